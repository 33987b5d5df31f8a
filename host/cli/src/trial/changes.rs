//! Edits of pages and documents as JSON, for goldens: one edit a line, named as the contract names it.

use ocr_document::{Edit, NewCell, Rect};
use ocr_runtime::DocumentEdit;
use serde_json::{Value, json};
use std::fmt::Write as _;

fn area(r: &Rect) -> Value {
    json!([r.x0, r.y0, r.x1, r.y1])
}

fn cell(c: &NewCell) -> Value {
    json!({
        "kind": c.kind, "row": c.row, "column": c.column, "row-span": c.row_span, "column-span": c.column_span,
        "area": c.area.as_ref().map(area), "text": c.text,
    })
}

/// One edit of a page.
pub fn of_page(edit: &Edit) -> Value {
    match edit {
        Edit::SetText(span, text) => json!({"set-text": span, "text": text}),
        Edit::ReflowText(span, text) => json!({"reflow-text": span, "text": text}),
        Edit::SetMarkup(span, markup) => json!({"set-markup": span, "markup": markup}),
        Edit::SetKind(span, kind) => json!({"set-kind": span, "kind": kind}),
        Edit::SetLevel(span, level) => json!({"set-level": span, "level": level}),
        Edit::SetOrder(span, order) => json!({"set-order": span, "order": order}),
        Edit::SetParent(span, parent) => json!({"set-parent": span, "parent": parent}),
        Edit::SetArea(span, place) => json!({"set-area": span, "area": area(place)}),
        Edit::SetCell(cell, text) => json!({"set-cell": cell, "text": text}),
        Edit::SetCells(span, cells) => {
            json!({"set-cells": span, "cells": cells.iter().map(cell).collect::<Vec<_>>()})
        }
        Edit::DropSpan(span) => json!({"drop-span": span}),
        Edit::Insert(after, kind, place, text) => {
            json!({"insert": after, "kind": kind, "area": area(place), "text": text})
        }
        Edit::RedactArea(place) => json!({"redact-area": area(place)}),
        Edit::RedactText(start, len) => json!({"redact-text": [start, len]}),
    }
}

/// One edit of what is told of a document.
pub fn of_document(edit: &DocumentEdit) -> Value {
    match edit {
        DocumentEdit::SetTitle(title) => json!({"set-title": title}),
        DocumentEdit::SetName(name) => json!({"set-name": name}),
    }
}

/// All edits of a run, one a line.
pub fn text(edits: &Value) -> Vec<u8> {
    let none = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&none).clone();
    let mut out = String::from("{\n\"document\": [");
    lines(&mut out, &list(&edits["document"]), "  ");
    out += "],\n\"pages\": [";
    for (n, page) in list(&edits["pages"]).iter().enumerate() {
        let _ = write!(
            out,
            "{}{{\"number\": {}",
            if n == 0 { "\n" } else { ",\n" },
            page["number"]
        );
        match page.get("refused") {
            Some(why) => {
                let _ = write!(out, ", \"refused\": {why}}}");
            }
            None => {
                out += ", \"edits\": [";
                lines(&mut out, &list(&page["edits"]), "  ");
                out += "]}";
            }
        }
    }
    out += "\n]}\n";
    out.into_bytes()
}

fn lines(out: &mut String, items: &[Value], indent: &str) {
    for (n, item) in items.iter().enumerate() {
        let _ = write!(out, "{}{indent}{item}", if n == 0 { "\n" } else { ",\n" });
    }
    if !items.is_empty() {
        out.push('\n');
    }
}
