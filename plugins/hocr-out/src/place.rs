//! The `title` attribute of hOCR: properties parted by semicolons.

use crate::xml;
use ocr_plugin::{Point, Quad, Rect};

/// How far text may be turned and still have a baseline, degrees; beyond, its angle is told instead.
const UPRIGHT: f64 = 45.0;

/// Properties of one element.
#[derive(Debug, Default)]
pub struct Properties(Vec<String>);

impl Properties {
    pub fn push(&mut self, property: &str) {
        self.0.push(property.to_owned());
    }

    /// A property whose value is text, in quotes; what would end the quotes is left out.
    pub fn text(&mut self, name: &str, value: &str) {
        let value: String = value.chars().filter(|c| !"\"\\".contains(*c)).collect();
        self.0.push(format!("{name} \"{value}\""));
    }

    pub fn area(&mut self, r: Rect) {
        self.0.push(format!("bbox {} {} {} {}", r.x0, r.y0, r.x1, r.y1));
    }

    /// From 0 to 100; nothing where it is not known.
    pub fn confidence(&mut self, name: &str, confidence: Option<f32>) {
        if let Some(c) = confidence.filter(|c| c.is_finite()) {
            self.0
                .push(format!("{name} {}", (c.clamp(0.0, 1.0) * 100.0).round() as u32));
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
            self.0.push(format!("textangle {:.0}", (angle + 360.0) % 360.0));
            return;
        }
        let run = f64::from(c.x - d.x);
        let slope = f64::from(c.y - d.y) / run;
        let offset = f64::from(d.y) + slope * (f64::from(area.x0) - f64::from(d.x)) - f64::from(area.y1);
        if run > 0.0 && slope.is_finite() && offset.is_finite() {
            self.0
                .push(format!("baseline {} {}", rounded(slope), offset.round() as i64));
        }
    }

    /// As the value of an attribute in double quotes.
    pub fn attribute(&self) -> String {
        xml::escape(&self.0.join("; ")).replace(['\n', '\t'], " ")
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
