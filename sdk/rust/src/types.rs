//! The contract's plain data, with the helpers that plugin code asks for.

pub use crate::bindings::host::types::{
    Anchor, BlockKind, Cell, CellKind, Diagnostic, DocInfo, HostError, Line, Outcome, PageInfo,
    PluginError as Error, Point, Quad, Quota, QuotaHit, Recovery, Rect, Severity, Slice, Span, Word,
};
use crate::page::Page;

impl Rect {
    /// Width, px.
    pub fn width(&self) -> u32 {
        self.x1.saturating_sub(self.x0)
    }

    /// Height, px.
    pub fn height(&self) -> u32 {
        self.y1.saturating_sub(self.y0)
    }

    /// Whether the rectangle holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.width() == 0 || self.height() == 0
    }

    /// The common part, empty where there is none.
    pub fn intersect(&self, other: &Rect) -> Rect {
        let (x0, y0) = (self.x0.max(other.x0), self.y0.max(other.y0));
        Rect {
            x0,
            y0,
            x1: self.x1.min(other.x1).max(x0),
            y1: self.y1.min(other.y1).max(y0),
        }
    }
}

impl Quad {
    /// The corners in order, clockwise from the text's own top left.
    pub fn corners(&self) -> [Point; 4] {
        [self.a, self.b, self.c, self.d]
    }

    /// The upright quad of a rectangle.
    pub fn from_rect(r: Rect) -> Self {
        let p = |x: u32, y: u32| Point {
            x: x as f32,
            y: y as f32,
        };
        Self {
            a: p(r.x0, r.y0),
            b: p(r.x1, r.y0),
            c: p(r.x1, r.y1),
            d: p(r.x0, r.y1),
        }
    }
}

impl BlockKind {
    /// Page furniture: repeated on each page, no part of the text that runs through them.
    pub fn is_furniture(self) -> bool {
        matches!(
            self,
            BlockKind::Header | BlockKind::Footer | BlockKind::PageNumber
        )
    }

    /// The kind's name, as the contract spells it.
    pub fn name(self) -> &'static str {
        match self {
            BlockKind::Title => "title",
            BlockKind::Heading => "heading",
            BlockKind::Paragraph => "paragraph",
            BlockKind::ListItem => "list-item",
            BlockKind::Table => "table",
            BlockKind::Formula => "formula",
            BlockKind::Figure => "figure",
            BlockKind::Caption => "caption",
            BlockKind::Header => "header",
            BlockKind::Footer => "footer",
            BlockKind::PageNumber => "page-number",
            BlockKind::Footnote => "footnote",
            BlockKind::Code => "code",
            BlockKind::Other => "other",
        }
    }
}

impl Span {
    /// Its plain text.
    pub fn text<'p>(&self, page: &'p Page<'_>) -> &'p str {
        page.text_of(self.text)
    }

    /// The engine's markup of the same content: LaTeX of a formula, HTML of a table; often empty.
    pub fn markup<'p>(&self, page: &'p Page<'_>) -> &'p str {
        page.text_of(self.markup)
    }
}

impl Line {
    /// Its text.
    pub fn text<'p>(&self, page: &'p Page<'_>) -> &'p str {
        page.text_of(self.text)
    }
}

impl Word {
    /// Its text.
    pub fn text<'p>(&self, page: &'p Page<'_>) -> &'p str {
        page.text_of(self.text)
    }
}

impl Cell {
    /// Its text.
    pub fn text<'p>(&self, page: &'p Page<'_>) -> &'p str {
        page.text_of(self.text)
    }
}

impl Diagnostic {
    /// A diagnostic that is about no page in particular.
    pub fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code: code.to_owned(),
            message: message.into(),
            page: None,
            area: None,
        }
    }

    /// The same, about page `number` (from 1).
    pub fn on_page(mut self, number: u32) -> Self {
        self.page = Some(number);
        self
    }
}

impl DocInfo {
    /// A document of which only its name and media type are known.
    pub fn new(name: impl Into<String>, media_type: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            media_type: media_type.into(),
            pages: None,
            selected: None,
            sha256: None,
            title: None,
        }
    }
}

/// By the code of an error, what a page is without that its file has lost, the gravest first: a wrong letter looks like
/// a right one.
const LOSSES: [(&str, &str); 4] = [
    (
        "letters-lost",
        "fonts of it are lost, so its text may be wrong or incomplete",
    ),
    (
        "content-undecodable",
        "content of it is lost, so its text is incomplete",
    ),
    (
        "cut-off",
        "its file is cut off, so its text may be incomplete or out of date",
    ),
    (
        "parts-lost",
        "parts of it are lost, so its text may be incomplete",
    ),
];

impl PageInfo {
    /// A complete page of `width` x `height` px, one px to the point.
    pub fn new(index: u32, number: u32, width: u32, height: u32) -> Self {
        Self {
            index,
            number,
            part: None,
            outcome: Outcome::Complete,
            recovery: Recovery::None,
            width,
            height,
            width_points: width as f32,
            height_points: height as f32,
            to_source: (1.0, 0.0, 0.0, -1.0, 0.0, f64::from(height)),
            language: None,
            engine: String::new(),
            diagnostics: Vec::new(),
        }
    }

    /// What a reader has to know of a page that is not whole, as the words behind `page 3: `; `None` of a complete one.
    ///
    /// It follows from the outcome and the codes of errors. Messages are not quoted: they may be long, and in the words of
    /// a plugin that nobody knows.
    pub fn shortfall(&self) -> Option<&'static str> {
        let told = |code: &str| {
            let mut errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error);
            errors.any(|d| d.code == code)
        };
        let lost = LOSSES.iter().find(|(code, _)| told(code)).map(|(_, what)| *what);
        match self.outcome {
            Outcome::Complete => None,
            Outcome::Truncated => Some(lost.unwrap_or("its text is incomplete")),
            Outcome::Repetition => {
                Some(lost.unwrap_or("the engine repeated itself; its text may be incomplete"))
            }
            Outcome::Failed => Some("it could not be read"),
        }
    }

    /// Where raster position `(x, y)` px lies on the source page, in points from its bottom left.
    pub fn to_points(&self, x: f64, y: f64) -> (f64, f64) {
        let (a, b, c, d, e, f) = self.to_source;
        (a * x + c * y + e, b * x + d * y + f)
    }

    /// The upright box `(left, bottom, right, top)`, in points from the page's bottom left, around a raster area.
    pub fn rect_to_points(&self, r: Rect) -> (f64, f64, f64, f64) {
        let p = self.to_points(f64::from(r.x0), f64::from(r.y0));
        let q = self.to_points(f64::from(r.x1), f64::from(r.y1));
        (p.0.min(q.0), p.1.min(q.1), p.0.max(q.0), p.1.max(q.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_loss_is_told_and_no_message_is_quoted() {
        let mut info = PageInfo::new(0, 3, 100, 100);
        let error = |code: &str| Diagnostic::new(Severity::Error, code, "in words of its own");
        assert_eq!(info.shortfall(), None);
        info.outcome = Outcome::Truncated;
        info.diagnostics.push(Diagnostic::new(
            Severity::Warning,
            "letters-lost",
            "it is no error",
        ));
        assert_eq!(info.shortfall(), Some("its text is incomplete"));
        info.diagnostics.push(error("parts-lost"));
        assert_eq!(
            info.shortfall(),
            Some("parts of it are lost, so its text may be incomplete")
        );
        info.diagnostics.push(error("letters-lost"));
        let wrong = Some("fonts of it are lost, so its text may be wrong or incomplete");
        assert_eq!(info.shortfall(), wrong);
        info.outcome = Outcome::Repetition;
        assert_eq!(info.shortfall(), wrong);
        info.outcome = Outcome::Failed;
        assert_eq!(info.shortfall(), Some("it could not be read"));
    }
}
