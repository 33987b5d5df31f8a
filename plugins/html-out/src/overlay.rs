//! What was found on a page, drawn over its picture: blocks as boxes that link to their text, and words in their place,
//! to be selected, searched and pointed at.

use crate::article::block_id;
use crate::text::escape;
use ocr_plugin::{Page, Point, Quad, Rect};
use std::fmt::Write;

/// Below this a word is worth a second look.
const DOUBTFUL: f32 = 0.8;

/// The overlay as SVG in raster px; `boxes` draws the blocks.
pub fn svg(page: &Page, number: u32, boxes: bool) -> String {
    let info = page.info();
    let mut out = format!(
        "<svg viewBox=\"0 0 {} {}\" aria-hidden=\"true\">",
        info.width, info.height
    );
    if boxes {
        for (index, span) in page.reading_order() {
            let Rect { x0, y0, .. } = span.area;
            let (width, height) = (span.area.width(), span.area.height());
            let confidence = percent(span.confidence).map_or(String::new(), |p| format!(" · {p}"));
            let kind = span.kind.name();
            let _ = write!(
                out,
                "<a href=\"#{}\"><rect class=\"{kind}\" x=\"{x0}\" y=\"{y0}\" width=\"{width}\" height=\"{height}\">\
                 <title>{kind}{confidence}</title></rect></a>",
                block_id(number, index),
            );
        }
    }
    if page.words().is_empty() {
        for line in page.lines() {
            write_text(&mut out, &line.outline, line.text(page), line.confidence);
        }
    } else {
        for word in page.words() {
            write_text(&mut out, &word.outline, word.text(page), word.confidence);
        }
    }
    out.push_str("</svg>");
    out
}

/// Text set into its outline: along its upper left to upper right corner, as high as its left side.
fn write_text(out: &mut String, outline: &Quad, text: &str, confidence: Option<f32>) {
    let Quad { a, b, d, .. } = *outline;
    let (length, height) = (distance(a, b), distance(a, d));
    if text.trim().is_empty() || length < 1.0 || height < 1.0 || !length.is_finite() || !height.is_finite() {
        return;
    }
    // The baseline lies a fifth above the lower side.
    let (x, y) = (d.x + (a.x - d.x) * 0.2, d.y + (a.y - d.y) * 0.2);
    let size = height * 0.85;
    let angle = (b.y - a.y).atan2(b.x - a.x).to_degrees();
    let turn = if angle.abs() < 0.5 {
        String::new()
    } else {
        format!(" transform=\"rotate({angle:.1} {x:.0} {y:.0})\"")
    };
    // The space that parts words when they are copied is set behind the outline.
    let letters = text.chars().count() as f32;
    let length = length * (letters + 1.0) / letters;
    let class = if confidence.is_some_and(|c| c < DOUBTFUL) {
        " class=\"doubtful\""
    } else {
        ""
    };
    let _ = write!(
        out,
        "<text{class} x=\"{x:.0}\" y=\"{y:.0}\" font-size=\"{size:.0}\" textLength=\"{length:.0}\" lengthAdjust=\"spacingAndGlyphs\"{turn}>"
    );
    if let Some(percent) = percent(confidence) {
        let _ = write!(out, "<title>{percent}</title>");
    }
    let _ = write!(out, "{} </text>", escape(text));
}

fn distance(p: Point, q: Point) -> f32 {
    (p.x - q.x).hypot(p.y - q.y)
}

fn percent(confidence: Option<f32>) -> Option<String> {
    confidence
        .filter(|c| c.is_finite())
        .map(|c| format!("{:.0} %", c * 100.0))
}
