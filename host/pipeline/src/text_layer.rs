//! Text that a page already carries: whether it is believed, and what it looks like before anyone reads it.
//!
//! Such text is as hostile as the rest of a file: letters may be mapped to others, words may lie where nothing is seen,
//! thousands may lie on one spot. Here it is put into one form (NFC, ligatures taken apart, nothing that can't be seen),
//! and refused where it can't be a page's text. Whether a word lies on something that can be seen is the engine's
//! business, which finds lines anyway; so is the comparison with what it reads.

use ocr_document::{LayerWord, PageImage, Quad, TextLayer};
use std::collections::HashSet;
use unicode_normalization::UnicodeNormalization;

/// What is done with text that a page carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextLayerMode {
    /// Nothing: the page is read.
    #[default]
    Ignore,
    /// It is taken where a sample of it reads as it says.
    Auto,
    /// It is taken wherever it lies on lines that can be seen.
    Prefer,
}

impl TextLayerMode {
    /// What an adapter's setting `text-layer` is to be. Text that is not painted is somebody else's reading of a scan,
    /// which is taken only where it is preferred.
    pub(crate) fn wanted_of_adapter(self) -> &'static str {
        match self {
            TextLayerMode::Ignore => "none",
            TextLayerMode::Auto => "visible",
            TextLayerMode::Prefer => "all",
        }
    }
}

/// Of a sane layer at least this share of characters are letters, digits, marks or ordinary signs.
const SANE_SHARE: f32 = 0.9;
/// Words that lie on one another are one word; fewer than this share of a layer's words may be such copies, because a
/// word that is drawn twice is bold and one that is drawn a hundred times is an attack.
const COPIES_SHARE: f32 = 0.75;
/// Words whose places differ by less, px, lie on one another.
const SAME_PLACE_PX: f32 = 4.0;

/// Why a layer is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Too much of it is no text.
    #[error("its characters have no meaning that can be told")]
    Encoding,
    /// Too many words lie on one another.
    #[error("its words lie on one another")]
    Copies,
}

/// The layer as an engine may see it; none where nothing is left.
pub(crate) fn sanitized(layer: TextLayer, image: &PageImage) -> Result<Option<TextLayer>, Refusal> {
    let before = layer.words.len();
    let on_page = |w: &LayerWord| lies_on(&w.outline, image.width() as f32, image.height() as f32);
    let words = layer.words.into_iter().filter(on_page);
    let (mut sane, mut all) = (0_usize, 0_usize);
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for word in words {
        let text = plain(&word.text);
        if text.is_empty() {
            continue;
        }
        all += text.chars().count();
        sane += text.chars().filter(|&c| is_sane(c)).count();
        let outline = word.outline;
        let cell = |v: f32| (v / SAME_PLACE_PX).round() as i64;
        let place = (cell(outline.a.x), cell(outline.a.y), cell(outline.c.x));
        if seen.insert((place, text.clone())) {
            kept.push(LayerWord { text, outline });
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    if (sane as f32) < SANE_SHARE * all as f32 {
        return Err(Refusal::Encoding);
    }
    if (before.saturating_sub(kept.len()) as f32) > COPIES_SHARE * before as f32 && kept.len() > 1 {
        return Err(Refusal::Copies);
    }
    Ok(Some(TextLayer { words: kept }))
}

/// Whether a word's outline has an area and its middle lies on the page.
fn lies_on(outline: &Quad, width: f32, height: f32) -> bool {
    let corners = outline.corners();
    if !corners.iter().all(|p| p.x.is_finite() && p.y.is_finite()) {
        return false;
    }
    let middle = |f: fn(&ocr_document::Point) -> f32| corners.iter().map(f).sum::<f32>() / 4.0;
    let (x, y) = (middle(|p| p.x), middle(|p| p.y));
    let side = |a: ocr_document::Point, b: ocr_document::Point| (b.x - a.x).hypot(b.y - a.y);
    let (long, high) = (side(corners[0], corners[1]), side(corners[1], corners[2]));
    (0.0..width).contains(&x) && (0.0..height).contains(&y) && long >= 1.0 && high >= 1.0
}

/// Text in one form: canonical composition, ligatures as their letters, no characters that can't be seen.
fn plain(text: &str) -> String {
    let apart = text.chars().flat_map(|c| match ligature(c) {
        Some(letters) => letters.chars().collect::<Vec<_>>(),
        None => vec![c],
    });
    let seen = apart.filter(|&c| !is_unseen(c));
    seen.nfc().collect::<String>().trim().to_owned()
}

/// The letters of a ligature that stands for nothing but them.
fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' => "ft",
        '\u{fb06}' => "st",
        '\u{132}' => "IJ",
        '\u{133}' => "ij",
        // A space that does not break is a space, and a soft hyphen that was drawn is a hyphen.
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' => " ",
        '\u{ad}' => "-",
        _ => return None,
    })
}

/// Controls, marks of direction, zero-width characters, variation selectors and tags: they hide and turn what is around
/// them.
fn is_unseen(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{61c}'
            | '\u{180b}'..='\u{180e}' | '\u{fff9}'..='\u{fffb}')
}

/// Whether a character can be text: no stand-in for what could not be told, no private or unassigned use.
fn is_sane(c: char) -> bool {
    !matches!(c,
        char::REPLACEMENT_CHARACTER | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::{PixelFormat, Rect};

    fn page() -> PageImage {
        PageImage::new(400, 300, PixelFormat::Gray8, vec![255; 120_000]).unwrap()
    }

    fn word(text: &str, x: u32, y: u32) -> LayerWord {
        LayerWord {
            text: text.into(),
            outline: Quad::from_rect(Rect::new(x, y, x + 50, y + 12)),
        }
    }

    fn texts(words: Vec<LayerWord>) -> Vec<String> {
        let layer = sanitized(TextLayer { words }, &page()).unwrap();
        layer
            .unwrap_or_default()
            .words
            .into_iter()
            .map(|w| w.text)
            .collect()
    }

    #[test]
    fn text_comes_in_one_form() {
        let decomposed = "Gru\u{308}\u{df}e";
        let found = texts(vec![
            word(decomposed, 0, 0),
            word("o\u{fb03}ce", 60, 0),
            word("a\u{202e}b\u{200b}c\0", 120, 0),
            word("  x\u{a0}y ", 180, 0),
            word("\u{200b}\u{2066}", 240, 0),
        ]);
        assert_eq!(found, ["Grüße", "office", "abc", "x y"]);
    }

    #[test]
    fn words_that_lie_nowhere_are_left_out() {
        let mut flat = word("flat", 100, 100);
        flat.outline = Quad::from_rect(Rect::new(100, 100, 150, 100));
        let mut wild = word("wild", 0, 0);
        wild.outline.a.x = f32::NAN;
        let found = texts(vec![
            word("here", 10, 10),
            word("there", 390, 10),
            word("below", 10, 295),
            flat,
            wild,
        ]);
        assert_eq!(found, ["here"]);
    }

    #[test]
    fn bold_by_printing_twice_is_one_word_and_a_pile_is_refused() {
        assert_eq!(
            texts(vec![
                word("bold", 10, 10),
                word("bold", 11, 10),
                word("thin", 10, 40)
            ]),
            ["bold", "thin"]
        );
        let mut pile: Vec<LayerWord> = (0..100).map(|_| word("again", 10, 10)).collect();
        pile.push(word("once", 10, 40));
        assert_eq!(
            sanitized(TextLayer { words: pile }, &page()),
            Err(Refusal::Copies)
        );
    }

    #[test]
    fn letters_without_meaning_are_refused() {
        let unknown = vec![word("\u{fffd}\u{fffd}\u{fffd}", 10, 10), word("ok", 70, 10)];
        assert_eq!(
            sanitized(TextLayer { words: unknown }, &page()),
            Err(Refusal::Encoding)
        );
        let private = vec![word("\u{e001}\u{e002}\u{f0e0}", 10, 10)];
        assert_eq!(
            sanitized(TextLayer { words: private }, &page()),
            Err(Refusal::Encoding)
        );
        assert_eq!(sanitized(TextLayer::default(), &page()), Ok(None));
    }
}
