//! The words that a page carries, gathered by "drawing" it on a device that only listens to glyphs.
//!
//! A glyph's place is where it would be drawn; what it means is what its font says, and fonts lie. Nobody here believes
//! either: the host compares words with what can be seen on the page.

use hayro::hayro_interpret::font::{Glyph, GlyphRun, PositionedGlyph};
use hayro::hayro_interpret::hayro_cmap::{BfString, WritingMode};
use hayro::hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps, InterpreterCache,
    InterpreterSettings, SoftMask, interpret_page,
};
use hayro::hayro_syntax::page::Page;
use hayro::kurbo::{Affine, BezPath, Point, Rect, Vec2};
use ocr_plugin::adapter::LayerWord;

/// Most words of a page; more are not looked at.
const MAX_WORDS: usize = 200_000;
/// Longest word, bytes: more is no word.
const MAX_BYTES: usize = 512;
/// A glyph's height above and below its base, and the width of one whose font does not tell; all in units of its space,
/// 1,000 an em.
const ASCENT: f64 = 800.0;
const DESCENT: f64 = -200.0;
const WIDTH: f64 = 500.0;
/// A gap between glyphs that is as wide as this, in ems, parts words; letters are spaced by less, words by 0.25 or more.
const GAP: f64 = 0.18;
/// A glyph that lies this far back, or off the line, begins a word.
const BACK: f64 = 0.5;
const OFF: f64 = 0.3;

/// What text is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// What is painted.
    Visible,
    /// What is painted, and on a page where nothing is, what lies there unseen: the text behind a scan.
    All,
}

/// The words of a page, in pixels of the raster that `transform` leads to.
pub fn words(
    page: &Page<'_>,
    transform: Affine,
    settings: InterpreterSettings,
    which: Text,
) -> Vec<LayerWord> {
    let cache = InterpreterCache::new();
    let everything = Rect::new(-1e9, -1e9, 1e9, 1e9);
    let mut context = Context::new(transform, everything, &cache, page.xref(), settings);
    let mut listener = Listener::default();
    interpret_page(page, &mut context, &mut listener);
    listener.finish_word();
    match which {
        Text::All if listener.visible.is_empty() => listener.unseen,
        _ => listener.visible,
    }
}

/// A word under way.
struct Word {
    text: String,
    is_visible: bool,
    /// Corners of all its glyphs: along the line, and across it.
    first: [Point; 4],
    last: [Point; 4],
    /// Where the next glyph would stand, and one em along and across the line.
    end: Point,
    along: Vec2,
    across: Vec2,
}

#[derive(Default)]
struct Listener {
    word: Option<Word>,
    visible: Vec<LayerWord>,
    unseen: Vec<LayerWord>,
    /// Where the last run began and how long it was: one that is filled and stroked comes twice.
    last_run: Option<(Point, usize)>,
}

impl Listener {
    fn finish_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let kept = if word.is_visible {
            &mut self.visible
        } else {
            &mut self.unseen
        };
        let point = |p: Point| ocr_plugin::Point {
            x: p.x as f32,
            y: p.y as f32,
        };
        if kept.len() < MAX_WORDS && word.text.len() <= MAX_BYTES {
            kept.push(LayerWord {
                text: word.text,
                outline: ocr_plugin::Quad {
                    a: point(word.first[0]),
                    b: point(word.last[1]),
                    c: point(word.last[2]),
                    d: point(word.first[3]),
                },
            });
        }
    }

    fn glyph(&mut self, glyph: &PositionedGlyph<'_>, transform: Affine, mode: WritingMode, is_visible: bool) {
        let text = match glyph.as_unicode() {
            Some(BfString::Char(c)) => c.to_string(),
            Some(BfString::String(text)) => text,
            // What can't be told makes the word useless, and shows that it is.
            None => char::REPLACEMENT_CHARACTER.to_string(),
        };
        if text.chars().all(|c| c.is_whitespace() || c == '\0') {
            return self.finish_word();
        }
        let advance = match &**glyph {
            Glyph::Outline(outline) => outline.advance_width(),
            Glyph::Type3(glyph) => glyph.advance_width(),
        };
        let width = advance
            .map(f64::from)
            .filter(|w| w.is_finite() && *w > 0.0)
            .unwrap_or(WIDTH);
        let to = transform * glyph.transform();
        let at = |x: f64, y: f64| to * Point::new(x, y);
        let corners = [
            at(0.0, ASCENT),
            at(width, ASCENT),
            at(width, DESCENT),
            at(0.0, DESCENT),
        ];
        let origin = at(0.0, 0.0);
        let along = at(1000.0, 0.0) - origin;
        let across = at(0.0, 1000.0) - origin;
        // Vertical text runs against the glyph's own upward direction, an em a glyph.
        let (along, across, end, corners) = match mode {
            WritingMode::Horizontal => (along, across, at(width, 0.0), corners),
            WritingMode::Vertical => {
                let [a, b, c, d] = corners;
                (-across, along, at(0.0, -1000.0), [b, c, d, a])
            }
        };
        let follows = self.word.as_ref().is_some_and(|word| {
            word.is_visible == is_visible && word.text.len() < MAX_BYTES && word.is_followed_by(origin, along)
        });
        if !follows {
            self.finish_word();
        }
        let word = self.word.get_or_insert_with(|| Word {
            text: String::new(),
            is_visible,
            first: corners,
            last: corners,
            end,
            along,
            across,
        });
        word.text.push_str(&text);
        (word.last, word.end, word.along, word.across) = (corners, end, along, across);
    }
}

impl Word {
    fn is_followed_by(&self, origin: Point, along: Vec2) -> bool {
        let (em, height) = (self.along.hypot(), self.across.hypot());
        if !(em > 0.0 && height > 0.0 && along.hypot() > 0.0) {
            return false;
        }
        // Both run the same way, within 30 degrees.
        let same_way = self.along.dot(along) / (em * along.hypot()) > 0.866;
        let gap = (origin - self.end).dot(self.along) / (em * em);
        let off = (origin - self.end).dot(self.across) / (height * height);
        same_way && (-BACK..GAP).contains(&gap) && off.abs() < OFF
    }
}

impl<'a> Device<'a> for Listener {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        let begins = run
            .glyphs()
            .first()
            .map(|g| (props.transform * g.transform() * Point::ZERO, run.glyphs().len()));
        if matches!(mode, DrawMode::Stroke(_)) && begins.is_some() && begins == self.last_run {
            return;
        }
        self.last_run = begins;
        let is_visible = !matches!(mode, DrawMode::Invisible);
        for glyph in run.glyphs() {
            self.glyph(glyph, props.transform, run.writing_mode(), is_visible);
        }
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use hayro::hayro_interpret::TransformExt;
    use hayro::hayro_syntax::Pdf;

    /// The words of a page of 200 x 100 points with the given content, on a raster of 72 dpi.
    fn words_of(content: &str, which: Text) -> Vec<LayerWord> {
        let file = format!(
            "%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n\
             2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n\
             3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents 5 0 R \
             /Resources << /Font << /F 4 0 R >> >> >>\nendobj\n\
             4 0 obj\n<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>\nendobj\n\
             5 0 obj\n<< /Length {} >>\nstream\n{content}\nendstream\nendobj\n\
             trailer\n<< /Size 6 /Root 1 0 R >>\n",
            content.len()
        );
        let pdf = Pdf::new(file.into_bytes()).unwrap();
        let page = &pdf.pages()[0];
        words(
            page,
            page.initial_transform(true).to_kurbo(),
            InterpreterSettings::default(),
            which,
        )
    }

    fn texts(content: &str) -> Vec<String> {
        words_of(content, Text::Visible)
            .into_iter()
            .map(|w| w.text)
            .collect()
    }

    #[test]
    fn words_are_parted_by_spaces_and_by_gaps() {
        assert_eq!(
            texts("BT /F 10 Tf 20 50 Td (Hello, wide world) Tj ET"),
            ["Hello,", "wide", "world"]
        );
        // 300 thousandths of an em are a space, 50 are kerning.
        assert_eq!(
            texts("BT /F 10 Tf 20 50 Td [(wide) -300 (wor) 50 (ld)] TJ ET"),
            ["wide", "world"]
        );
        assert_eq!(
            texts("BT /F 10 Tf 20 50 Td (one) Tj 0 -12 Td (two) Tj ET"),
            ["one", "two"]
        );
        assert_eq!(
            texts("BT /F 10 Tf 20 50 Td (a) Tj 1 0 0 1 100 50 Tm (b) Tj ET"),
            ["a", "b"]
        );
    }

    #[test]
    fn a_word_stands_where_it_is_drawn() {
        let word = &words_of("BT /F 10 Tf 20 50 Td (Hi) Tj ET", Text::Visible)[0];
        let (a, c) = (word.outline.a, word.outline.c);
        // H is 722 and i 222 thousandths of an em wide; the base is 50 points above the foot.
        assert!(
            (a.x - 20.0).abs() < 0.1 && (c.x - 29.4).abs() < 0.2,
            "{:?}",
            word.outline
        );
        assert!(
            (a.y - 42.0).abs() < 0.1 && (c.y - 52.0).abs() < 0.1,
            "{:?}",
            word.outline
        );
        let turned = &words_of("BT /F 10 Tf 0 1 -1 0 100 20 Tm (Up) Tj ET", Text::Visible)[0];
        let (a, b) = (turned.outline.a, turned.outline.b);
        assert!(
            b.y < a.y && (b.x - a.x).abs() < 0.1,
            "it runs upwards: {:?}",
            turned.outline
        );
    }

    #[test]
    fn text_that_is_filled_and_stroked_comes_once() {
        assert_eq!(texts("2 Tr BT /F 10 Tf 20 50 Td (bold) Tj ET"), ["bold"]);
    }

    #[test]
    fn unpainted_text_counts_where_there_is_no_other() {
        let behind_a_scan = "BT 3 Tr /F 10 Tf 20 50 Td (scanned) Tj ET";
        assert_eq!(texts(behind_a_scan), [""; 0]);
        assert_eq!(words_of(behind_a_scan, Text::All)[0].text, "scanned");
        let both = format!("{behind_a_scan} BT 0 Tr /F 10 Tf 20 20 Td (seen) Tj ET");
        let all: Vec<String> = words_of(&both, Text::All).into_iter().map(|w| w.text).collect();
        assert_eq!(all, ["seen"]);
    }
}
