//! What Docling's schema has no place for: confidences, the engine's own names of blocks, lines and words. One JSON
//! object a page.

use crate::json::{Json, Name, Value, object};
use crate::page::round;
use crate::schema::Item;
use ocr_plugin::{Page, Quad, Span};

struct PageWords<'p> {
    page_no: u32,
    /// Points.
    width: f64,
    height: f64,
    /// Of all quads below.
    coord_origin: Name,
    blocks: Vec<Block<'p>>,
    lines: Vec<LineWords<'p>>,
}

object!(PageWords: page_no, width, height, coord_origin, blocks, lines);

struct Block<'p> {
    item: Item,
    label: &'p str,
    confidence: Option<f64>,
}

object!(Block: item, label, confidence);

struct LineWords<'p> {
    /// The item that the line belongs to.
    item: Item,
    text: &'p str,
    confidence: Option<f64>,
    quad: [f64; 8],
    words: Vec<WordEntry<'p>>,
}

object!(LineWords: item, text, confidence, quad, words);

struct WordEntry<'p> {
    text: &'p str,
    confidence: Option<f64>,
    quad: [f64; 8],
}

object!(WordEntry: text, confidence, quad);

/// A page's lines as a line of JSON. Quads are x and y of four corners, clockwise from the text's own top left, in points
/// from the page's bottom left.
pub fn line(page: &Page, number: u32, items: &[Item]) -> String {
    let confidence = |c: Option<f32>| c.map(|c| round(f64::from(c), 1e4));
    let mut lines: Vec<LineWords> = page
        .lines()
        .iter()
        .map(|line| LineWords {
            item: items.get(line.span as usize).copied().unwrap_or(Item::Body),
            text: line.text(page),
            confidence: confidence(line.confidence),
            quad: points(page, &line.outline),
            words: Vec::new(),
        })
        .collect();
    for word in page.words() {
        let Some(line) = lines.get_mut(word.line as usize) else {
            continue;
        };
        line.words.push(WordEntry {
            text: word.text(page),
            confidence: confidence(word.confidence),
            quad: points(page, &word.outline),
        });
    }
    let block = |(index, span): (usize, &Span)| Block {
        item: items.get(index).copied().unwrap_or(Item::Body),
        label: page.label_of(span),
        confidence: confidence(span.confidence),
    };
    let blocks = page.reading_order().map(block).collect();
    let info = page.info();
    let words = PageWords {
        page_no: number,
        width: info.width_points.into(),
        height: info.height_points.into(),
        coord_origin: Name("BOTTOMLEFT"),
        blocks,
        lines,
    };
    let mut json = Json::new(false, 0);
    words.write(&mut json);
    json.out + "\n"
}

fn points(page: &Page, quad: &Quad) -> [f64; 8] {
    let [a, b, c, d] = quad
        .corners()
        .map(|p| page.info().to_points(f64::from(p.x), f64::from(p.y)));
    [a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1].map(|v| round(v, 1e2))
}
