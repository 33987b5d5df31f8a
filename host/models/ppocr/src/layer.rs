//! Lines out of the text that a page carries, in place of lines that are read.
//!
//! The detector finds lines whatever a file says of itself, so only words that lie on such a line are taken: text that
//! can't be seen (white, tiny, outside, behind a picture) lies on none. A line is taken where its words fill it. With
//! trust `LayerTrust::Sample` some of the lines are read as well, and all are read where those do not agree.

use crate::detect::{length, thickness, turned};
use crate::recognize::{TextLine, TextWord};
use ocr_document::{Point, Quad, TextLayer};

/// The longest stretch of a line without a word, in line heights, at its ends and between words: a justified space is
/// about one, and the detector's outlines reach half a height further than their text. Anything longer may hold a word
/// that the layer lacks, so the line is read.
const STRETCH: f32 = 1.5;
/// Words overlap by no more than this share of their line's length.
const OVERLAP: f32 = 0.15;
/// A word's middle is this far from its line's at most, in line heights: inside of it. Outlines of long lines are tilted
/// by a descender now and then, so their ends are off.
const MIDDLE: f32 = 0.5;
/// A word on a line is at least this share of its height: smaller text is hidden in it.
const LEAST_HEIGHT: f32 = 0.25;
/// Words nearer than this, in line heights, are written without a space: they are one word whose font changes.
const TOUCHING: f32 = 0.08;

/// Lines that are read to see whether the layer speaks the truth.
const SAMPLE: usize = 10;
/// A sampled line has at least so many characters.
const SAMPLE_CHARACTERS: usize = 6;
/// Most errors a character with which reading and layer agree: the recogniser errs itself. Chosen, not tuned on a corpus.
const AGREEMENT: f32 = 0.12;

/// What the layer has for each line.
pub(crate) struct Covered {
    /// Index of the quad, and its line.
    pub lines: Vec<(usize, TextLine)>,
    /// Words that lie on no line.
    pub loose: usize,
}

/// The lines among `quads` that the layer fills. The page has been turned by `quarters` since the layer was made, and is
/// `size` now.
pub(crate) fn cover(layer: &TextLayer, quads: &[Quad], quarters: u8, size: (u32, u32)) -> Covered {
    let mut of_line: Vec<Vec<(Quad, &str)>> = vec![Vec::new(); quads.len()];
    let mut loose = 0;
    for word in &layer.words {
        let quad = turned_with_page(&word.outline, quarters, size);
        match line_of(&quad, quads) {
            Some(line) => of_line[line].push((quad, &word.text)),
            None => loose += 1,
        }
    }
    let lines = of_line.iter().enumerate();
    let lines = lines
        .filter_map(|(n, words)| Some((n, line(&quads[n], words)?)))
        .collect();
    Covered { lines, loose }
}

/// A word's outline on the page after it was turned clockwise by quarters to `size`.
fn turned_with_page(quad: &Quad, quarters: u8, (width, height): (u32, u32)) -> Quad {
    let (width, height) = (width as f32, height as f32);
    let turn = |p: Point| match quarters % 4 {
        0 => p,
        1 => Point {
            x: width - p.y,
            y: p.x,
        },
        2 => Point {
            x: width - p.x,
            y: height - p.y,
        },
        _ => Point {
            x: p.y,
            y: height - p.x,
        },
    };
    Quad {
        a: turn(quad.a),
        b: turn(quad.b),
        c: turn(quad.c),
        d: turn(quad.d),
    }
}

fn middle(quad: &Quad) -> Point {
    let corners = quad.corners();
    Point {
        x: corners.iter().map(|p| p.x).sum::<f32>() / 4.0,
        y: corners.iter().map(|p| p.y).sum::<f32>() / 4.0,
    }
}

/// A line's own axes: its beginning, one px along it, one px across it.
struct Axes {
    origin: Point,
    along: (f32, f32),
    across: (f32, f32),
}

impl Axes {
    fn of(quad: &Quad) -> Self {
        let unit = |from: Point, to: Point| {
            let (dx, dy) = (to.x - from.x, to.y - from.y);
            let length = dx.hypot(dy).max(1e-3);
            (dx / length, dy / length)
        };
        Self {
            origin: quad.a,
            along: unit(quad.a, quad.b),
            across: unit(quad.a, quad.d),
        }
    }

    fn place(&self, p: Point) -> (f32, f32) {
        let (dx, dy) = (p.x - self.origin.x, p.y - self.origin.y);
        let dot = |axis: (f32, f32)| dx * axis.0 + dy * axis.1;
        (dot(self.along), dot(self.across))
    }
}

/// The line in whose middle a word lies, the nearest of them.
fn line_of(word: &Quad, quads: &[Quad]) -> Option<usize> {
    let at = middle(word);
    let offset = |quad: &Quad| {
        let (u, v) = Axes::of(quad).place(at);
        let (long, high) = (length(quad), thickness(quad));
        let off = (v / high.max(1.0) - 0.5).abs();
        (u >= 0.0 && u <= long && off <= MIDDLE).then_some(off)
    };
    let near = quads
        .iter()
        .enumerate()
        .filter_map(|(n, quad)| Some((n, offset(quad)?)));
    near.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(n, _)| n)
}

/// The line that words make, if they fill it.
fn line(quad: &Quad, words: &[(Quad, &str)]) -> Option<TextLine> {
    let first = words.first()?;
    // The line's own top left is where its text says it is.
    let (dx, dy) = (first.0.b.x - first.0.a.x, first.0.b.y - first.0.a.y);
    let runs = |q: &Quad| (q.b.x - q.a.x) * dx + (q.b.y - q.a.y) * dy;
    let ways = [0, 1, 2, 3].map(|n| turned(quad, n));
    let quad = *ways.iter().max_by(|a, b| runs(a).total_cmp(&runs(b)))?;
    let (axes, long, high) = (Axes::of(&quad), length(&quad), thickness(&quad).max(1.0));
    let mut placed: Vec<(f32, f32, Quad, &str)> = Vec::new();
    for &(outline, text) in words {
        let ends = [axes.place(outline.a).0, axes.place(outline.b).0];
        let (from, to) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let against = ends[1] < ends[0];
        if against || thickness(&outline) < LEAST_HEIGHT * high {
            return None;
        }
        placed.push((from, to, outline, text));
    }
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut stretch, mut overlap, mut end) = (0.0_f32, 0.0, 0.0_f32);
    for &(from, to, ..) in &placed {
        let (from, to) = (from.clamp(0.0, long), to.clamp(0.0, long));
        stretch = stretch.max(from - end);
        overlap += (end - from).clamp(0.0, to - from);
        end = end.max(to);
    }
    if stretch.max(long - end) > STRETCH * high || overlap > OVERLAP * long {
        return None;
    }
    let mut text = String::new();
    let mut out: Vec<TextWord> = Vec::new();
    let mut before: Option<f32> = None;
    for (from, to, outline, word) in placed {
        let touches = before.is_some_and(|end| from - end < TOUCHING * high);
        if before.is_some() && !touches {
            text.push(' ');
        }
        before = Some(to);
        let start = text.len();
        text.push_str(word);
        match out.last_mut() {
            Some(last) if touches => {
                last.range.end = text.len();
                (last.quad.b, last.quad.c) = (outline.b, outline.c);
            }
            _ => out.push(TextWord {
                range: start..text.len(),
                quad: outline,
                confidence: 1.0,
            }),
        }
    }
    Some(TextLine {
        quad,
        text,
        confidence: 1.0,
        words: out,
    })
}

/// Which of the covered lines (indices into `covered`) to read besides those that were read already: spread over the
/// page, longer ones first.
pub(crate) fn sample(covered: &[(usize, TextLine)], read: &[(usize, TextLine)]) -> Vec<usize> {
    let worth = |line: &TextLine| line.text.chars().count() >= SAMPLE_CHARACTERS;
    let known = |n: usize| read.iter().any(|(k, _)| *k == n);
    let fresh: Vec<usize> = (0..covered.len())
        .filter(|&at| worth(&covered[at].1) && !known(covered[at].0))
        .collect();
    let already = covered
        .iter()
        .filter(|(n, line)| worth(line) && known(*n))
        .count();
    let wanted = SAMPLE.saturating_sub(already).min(fresh.len());
    (0..wanted).map(|n| fresh[n * fresh.len() / wanted]).collect()
}

/// Whether the lines that were read say what the layer says of them. Where none of them can be compared, they do not.
pub(crate) fn agrees(covered: &[(usize, TextLine)], read: &[(usize, TextLine)]) -> bool {
    let (mut errors, mut characters) = (0, 0);
    for (n, line) in covered {
        let Some((_, seen)) = read.iter().find(|(k, _)| k == n) else {
            continue;
        };
        let [a, b] =
            [&line.text, &seen.text].map(|t| t.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>());
        errors += distance(&a, &b);
        characters += a.len().max(b.len());
    }
    characters > 0 && errors as f32 <= AGREEMENT * characters as f32
}

/// Characters to insert, remove or replace.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (row[j + 1] + 1)
                .min(row[j] + 1)
                .min(diagonal + usize::from(x != y));
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::{LayerWord, Rect};

    const SIZE: (u32, u32) = (400, 300);

    fn at(x: u32, y: u32, width: u32, height: u32) -> Quad {
        Quad::from_rect(Rect::new(x, y, x + width, y + height))
    }

    fn layer(words: &[(&str, Quad)]) -> TextLayer {
        let word = |&(text, outline): &(&str, Quad)| LayerWord {
            text: text.into(),
            outline,
        };
        TextLayer {
            words: words.iter().map(word).collect(),
        }
    }

    fn texts(covered: &Covered) -> Vec<(usize, &str)> {
        covered.lines.iter().map(|(n, l)| (*n, l.text.as_str())).collect()
    }

    #[test]
    fn words_on_a_line_become_its_text() {
        let quads = [at(10, 10, 200, 20), at(10, 50, 200, 20)];
        let words = layer(&[
            ("world", at(110, 12, 95, 16)),
            ("Hello,", at(12, 12, 90, 16)),
            ("elsewhere", at(10, 200, 90, 16)),
        ]);
        let covered = cover(&words, &quads, 0, SIZE);
        assert_eq!(texts(&covered), [(0, "Hello, world")]);
        assert_eq!(covered.loose, 1);
        let line = &covered.lines[0].1;
        assert_eq!(&line.text[line.words[1].range.clone()], "world");
        assert_eq!(line.words[1].quad.a.x, 110.0);
    }

    #[test]
    fn a_line_that_is_half_empty_or_overfull_is_read() {
        let quads = [at(10, 10, 200, 20)];
        assert!(texts(&cover(&layer(&[("half", at(12, 12, 80, 16))]), &quads, 0, SIZE)).is_empty());
        let gap = layer(&[("one", at(12, 12, 70, 16)), ("three", at(140, 12, 68, 16))]);
        assert!(
            texts(&cover(&gap, &quads, 0, SIZE)).is_empty(),
            "the layer may lack a word"
        );
        let twice = layer(&[
            ("pay 100 to Ann", at(10, 12, 200, 16)),
            ("pay 900 to Bob", at(12, 12, 198, 16)),
        ]);
        assert!(texts(&cover(&twice, &quads, 0, SIZE)).is_empty());
        let tiny = layer(&[("seen", at(10, 12, 195, 16)), ("unseen", at(60, 19, 30, 2))]);
        assert!(
            texts(&cover(&tiny, &quads, 0, SIZE)).is_empty(),
            "hidden between the letters"
        );
    }

    #[test]
    fn a_word_in_two_fonts_stays_one() {
        let quads = [at(10, 10, 200, 20)];
        let words = layer(&[
            ("don", at(10, 12, 90, 16)),
            ("\u{2019}t", at(101, 12, 20, 16)),
            ("go", at(130, 12, 75, 16)),
        ]);
        let covered = cover(&words, &quads, 0, SIZE);
        assert_eq!(texts(&covered), [(0, "don\u{2019}t go")]);
        assert_eq!(covered.lines[0].1.words.len(), 2);
        assert_eq!(covered.lines[0].1.words[0].quad.b.x, 121.0);
    }

    #[test]
    fn a_page_that_was_turned_keeps_its_words() {
        // The source is 300 x 400 and was turned clockwise once; its text ran downwards on the left.
        let p = |x, y| Point { x, y };
        let upwards = Quad {
            a: p(10.0, 390.0),
            b: p(10.0, 190.0),
            c: p(30.0, 190.0),
            d: p(30.0, 390.0),
        };
        let covered = cover(&layer(&[("sideways", upwards)]), &[at(10, 10, 200, 20)], 1, SIZE);
        assert_eq!(texts(&covered), [(0, "sideways")]);
        let quad = covered.lines[0].1.words[0].quad;
        assert_eq!((quad.a, quad.c), (p(10.0, 10.0), p(210.0, 30.0)));
    }

    #[test]
    fn agreement_forgives_a_recogniser_and_no_cipher() {
        let line = |text: &str| TextLine {
            quad: Quad::default(),
            text: text.into(),
            confidence: 0.9,
            words: Vec::new(),
        };
        let layer = [(0, line("The quick brown fox")), (3, line("jumps over the dog"))];
        assert!(agrees(
            &layer,
            &[(0, line("The quick brovvn fox")), (3, line("jumps over the dog"))]
        ));
        assert!(!agrees(&layer, &[(0, line("Uif rvjdl cspxo gpy"))]));
        assert!(!agrees(&layer, &[]), "nothing was compared");
        assert_eq!(sample(&layer, &[(3, line("jumps"))]), [0]);
    }

    #[test]
    fn edits_are_counted() {
        let count =
            |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("same", "same"), 0);
    }
}
