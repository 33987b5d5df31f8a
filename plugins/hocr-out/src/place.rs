//! The `title` attribute of hOCR: properties parted by semicolons.

use crate::xml;
use ocr_plugin::{Point, Quad, Rect, push};
use std::borrow::Cow;
use std::fmt::Write;

/// How far text may be turned and still have a baseline, degrees; beyond, its angle is told instead.
const UPRIGHT: f64 = 45.0;

/// Most elements have a box and one thing more.
const USUAL_BYTES: usize = 64;

/// Properties of one element, parted by semicolons.
#[derive(Debug, Default)]
pub struct Properties(String);

impl Properties {
    /// Begins a property.
    fn begin(&mut self, name: &str) -> &mut String {
        if self.0.is_empty() {
            self.0.reserve(USUAL_BYTES);
        } else {
            self.0.push_str("; ");
        }
        push!(self.0, name, " ");
        &mut self.0
    }

    /// A property whose value is whole numbers.
    pub fn numbers(&mut self, name: &str, values: &[u32]) {
        let out = self.begin(name);
        for (at, value) in values.iter().enumerate() {
            push!(out, if at > 0 { " " } else { "" }, value);
        }
    }

    /// A property whose value is a word.
    pub fn word(&mut self, name: &str, value: &str) {
        self.begin(name).push_str(value);
    }

    /// A property whose value is text, in quotes; what would end the quotes is left out.
    pub fn text(&mut self, name: &str, value: &str) {
        let out = self.begin(name);
        out.push('"');
        out.extend(value.chars().filter(|c| !"\"\\".contains(*c)));
        out.push('"');
    }

    pub fn area(&mut self, r: Rect) {
        self.numbers("bbox", &[r.x0, r.y0, r.x1, r.y1]);
    }

    /// From 0 to 100; nothing where it is not known.
    pub fn confidence(&mut self, name: &str, confidence: Option<f32>) {
        if let Some(c) = confidence.filter(|c| c.is_finite()) {
            self.numbers(name, &[(c.clamp(0.0, 1.0) * 100.0).round() as u32]);
        }
    }

    /// The line that the lower edge of a text's outline draws through its box, or the angle of text that stands.
    ///
    /// The engine tells outlines, not baselines: the edge lies below what hangs under the line (g, y).
    pub fn direction(&mut self, outline: &Quad, area: Rect) {
        let Quad { a, b, c, d } = outline;
        let angle = f64::from(a.y - b.y).atan2(f64::from(b.x - a.x)).to_degrees();
        if !angle.is_finite() {
            return;
        }
        if angle.abs() > UPRIGHT {
            let _ = write!(self.begin("textangle"), "{:.0}", (angle + 360.0) % 360.0);
            return;
        }
        let run = f64::from(c.x - d.x);
        let slope = f64::from(c.y - d.y) / run;
        let offset = f64::from(d.y) + slope * (f64::from(area.x0) - f64::from(d.x)) - f64::from(area.y1);
        if run > 0.0 && slope.is_finite() && offset.is_finite() {
            let _ = write!(
                self.begin("baseline"),
                "{} {}",
                rounded(slope),
                offset.round() as i64
            );
        }
    }

    /// As the value of an attribute in double quotes.
    pub fn attribute(&self) -> Cow<'_, str> {
        let escaped = xml::escape(&self.0);
        match escaped.contains(['\n', '\t']) {
            true => escaped.replace(['\n', '\t'], " ").into(),
            false => escaped,
        }
    }
}

/// Three digits behind the point, and no `-0`.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0 + 0.0
}

/// The upright box around an outline, inside a page of `size` px.
pub fn bounds(outline: &Quad, size: (u32, u32)) -> Rect {
    let edge = |of: fn(&Point) -> f32, most: u32| {
        let values = outline
            .corners()
            .map(|p| of(&p))
            .into_iter()
            .filter(|v| v.is_finite());
        let (low, high) = values.fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
        match low <= high {
            true => (
                (low.max(0.0).floor() as u32).min(most),
                (high.max(0.0).ceil() as u32).min(most),
            ),
            false => (0, 0),
        }
    };
    let (x0, x1) = edge(|p| p.x, size.0);
    let (y0, y1) = edge(|p| p.y, size.1);
    Rect { x0, y0, x1, y1 }
}
