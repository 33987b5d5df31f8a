//! What was found on a page, drawn over its picture: blocks as boxes that link to their text, and words in their place,
//! to be selected, searched and pointed at.

use crate::article::BlockId;
use crate::text::escape;
use ocr_plugin::{Page, Point, Quad, Rect, push, text::Part};
use std::fmt::Write;

/// Below this a word is worth a second look.
const DOUBTFUL: f32 = 0.8;

/// About the bytes of a block's box.
const BOX_BYTES: usize = 160;

/// The overlay as SVG in raster px; `boxes` draws the blocks.
pub fn svg(page: &Page, number: u32, boxes: bool) -> String {
    let info = page.info();
    let mut out = String::with_capacity(BOX_BYTES * (page.spans().len() + 1));
    push!(
        out,
        "<svg viewBox=\"0 0 ",
        info.width,
        " ",
        info.height,
        "\" aria-hidden=\"true\">"
    );
    if boxes {
        for (index, span) in page.reading_order() {
            let Rect { x0, y0, .. } = span.area;
            let id = BlockId {
                page: number,
                span: index,
            };
            let kind = span.kind.name();
            push!(
                out,
                "<a href=\"#",
                id,
                "\"><rect class=\"",
                kind,
                "\" x=\"",
                x0,
                "\" y=\"",
                y0
            );
            push!(
                out,
                "\" width=\"",
                span.area.width(),
                "\" height=\"",
                span.area.height(),
                "\"><title>",
                kind
            );
            if let Some(percent) = Percent::of(span.confidence) {
                push!(out, " · ", percent);
            }
            out.push_str("</title></rect></a>");
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
    // The space that parts words when they are copied is set behind the outline.
    let letters = text.chars().count() as f32;
    let length = length * (letters + 1.0) / letters;
    let class = if confidence.is_some_and(|c| c < DOUBTFUL) {
        " class=\"doubtful\""
    } else {
        ""
    };
    push!(out, "<text", class, " x=\"", Rounded(x), "\" y=\"", Rounded(y));
    push!(
        out,
        "\" font-size=\"",
        Rounded(size),
        "\" textLength=\"",
        Rounded(length)
    );
    push!(out, "\" lengthAdjust=\"spacingAndGlyphs\"");
    if angle.abs() >= 0.5 {
        let _ = write!(out, " transform=\"rotate({angle:.1} {x:.0} {y:.0})\"");
    }
    out.push('>');
    if let Some(percent) = Percent::of(confidence) {
        push!(out, "<title>", percent, "</title>");
    }
    push!(out, escape(text), " </text>");
}

fn distance(p: Point, q: Point) -> f32 {
    (p.x - q.x).hypot(p.y - q.y)
}

/// A number as `{:.0}` writes it.
struct Rounded(f32);

impl Part for Rounded {
    fn push_to(&self, out: &mut String) {
        // Whole numbers up to here are all there, and rounding is what `format!` would do: half to even.
        const EXACT: f32 = 16_777_216.0;
        match self.0 {
            value if value.is_sign_positive() && value < EXACT => push!(out, value.round_ties_even() as u32),
            value => {
                let _ = write!(out, "{value:.0}");
            }
        }
    }
}

/// A confidence, as the reader is told it.
struct Percent(f32);

impl Percent {
    fn of(confidence: Option<f32>) -> Option<Self> {
        confidence.filter(|c| c.is_finite()).map(Self)
    }
}

impl Part for Percent {
    fn push_to(&self, out: &mut String) {
        push!(out, Rounded(self.0 * 100.0), " %");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_format_does() {
        let mut values: Vec<f32> = (0..4000).map(|n| n as f32 / 8.0).collect();
        values.extend((0..2000).map(|n| f32::from_bits(0x9e37_79b9_u32.wrapping_mul(n))));
        values.extend([
            16_777_215.0,
            16_777_216.0,
            8_388_607.5,
            f32::MIN_POSITIVE,
            0.499_999_97,
            f32::NAN,
        ]);
        for value in values.into_iter().flat_map(|v| [v, -v]) {
            let mut out = String::new();
            push!(out, Rounded(value));
            assert_eq!(out, format!("{value:.0}"));
        }
    }
}
