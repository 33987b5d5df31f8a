//! Text as pages: laid out in columns of one width, drawn with Noto Sans Mono, its words kept as a text layer.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use ocr_plugin::adapter::{InputPage, LayerWord, TextLayer};
use ocr_plugin::image::{Canvas, PixelFormat};
use ocr_plugin::{Point, Quad, Result};

/// The font's size, px; the text of a page is as large as that of a letter printed at this resolution.
const SIZE: RasterHeight = RasterHeight::Size20;
const DPI: f32 = 120.0;

/// An A4 page at [`DPI`], px.
const WIDTH: u32 = 992;
const HEIGHT: u32 = 1403;

/// White around the text, px.
const MARGIN: u32 = 96;

/// From line to line, px.
const LINE: u32 = 27;

const LINES: usize = ((HEIGHT - 2 * MARGIN) / LINE) as usize;

/// One page of text.
#[derive(Debug, PartialEq)]
pub struct Layout {
    lines: Vec<String>,
    /// Characters that the font has no picture of.
    pub strange: usize,
}

fn cell() -> u32 {
    get_raster_width(FontWeight::Regular, SIZE) as u32
}

/// Characters in a line.
fn columns() -> usize {
    ((WIDTH - 2 * MARGIN) / cell()) as usize
}

/// Text in pages; none for text without a visible character.
pub fn lay_out(text: &str) -> Vec<Layout> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let lines: Vec<String> = text.lines().flat_map(|line| wrap(&plain(line))).collect();
    lines
        .chunks(LINES)
        .map(|lines| Layout {
            strange: lines
                .iter()
                .flat_map(|l| l.chars())
                .filter(|c| is_strange(*c))
                .count(),
            lines: lines.to_vec(),
        })
        .collect()
}

fn is_strange(c: char) -> bool {
    c != ' ' && get_raster(c, FontWeight::Regular, SIZE).is_none()
}

/// A line without control characters, and with the marks that every letter writer uses as the font has them.
fn plain(line: &str) -> String {
    line.chars()
        .flat_map(|c| {
            match c {
                '\t' => "    ".chars(),
                '\u{2018}' | '\u{2019}' => "'".chars(),
                '\u{201c}' | '\u{201d}' | '\u{201e}' => "\"".chars(),
                '\u{2013}' | '\u{2014}' | '\u{2011}' => "-".chars(),
                '\u{2026}' => "...".chars(),
                '\u{2022}' => "*".chars(),
                '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
                | '\u{ad}' => "".chars(),
                _ => "\0".chars(),
            }
            .map(move |shown| if shown == '\0' { c } else { shown })
        })
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect()
}

/// A line cut into lines that fit, between words where it can be.
fn wrap(line: &str) -> Vec<String> {
    let letters: Vec<char> = line.trim_end().chars().collect();
    let most = columns();
    let mut lines = Vec::new();
    let mut rest = &letters[..];
    while rest.len() > most {
        let space = rest[..=most].iter().rposition(|c| *c == ' ').filter(|at| *at > 0);
        let end = space.unwrap_or(most);
        lines.push(rest[..end].iter().collect());
        rest = &rest[end..];
        while rest.first() == Some(&' ') {
            rest = &rest[1..];
        }
    }
    lines.push(rest.iter().collect());
    lines
}

impl Layout {
    pub fn draw(&self) -> Result<InputPage> {
        let mut canvas = Canvas::new(WIDTH, HEIGHT, PixelFormat::Gray8)?;
        let height = SIZE.val() as u32;
        let mut words = Vec::new();
        // Bands of whole lines; what is between them is white.
        let blank = vec![255; (WIDTH * MARGIN) as usize];
        canvas.write_rows(0, &blank)?;
        for (at, line) in self.lines.iter().enumerate() {
            let top = MARGIN + at as u32 * LINE;
            canvas.write_rows(top, &band(line))?;
            words.extend(layer_words(line, top as f32, height as f32));
        }
        let end = MARGIN + self.lines.len() as u32 * LINE;
        canvas.write_rows(end, &vec![255; (WIDTH * (HEIGHT - end)) as usize])?;
        Ok(InputPage {
            image: canvas.finish()?,
            dpi: DPI,
            width_points: WIDTH as f32 * 72.0 / DPI,
            height_points: HEIGHT as f32 * 72.0 / DPI,
            text_layer: Some(TextLayer { words }),
        })
    }
}

/// The pixels of one line, black on white.
fn band(line: &str) -> Vec<u8> {
    let mut rows = vec![255; (WIDTH * LINE) as usize];
    for (column, c) in line.chars().enumerate().filter(|(_, c)| *c != ' ') {
        let left = (MARGIN + column as u32 * cell()) as usize;
        match get_raster(c, FontWeight::Regular, SIZE) {
            Some(glyph) => {
                for (y, row) in glyph.rows().enumerate() {
                    for (x, ink) in row.iter().enumerate() {
                        rows[y * WIDTH as usize + left + x] = 255 - ink;
                    }
                }
            }
            None => outline(&mut rows, left),
        }
    }
    rows
}

/// A box for a character that the font has no picture of.
fn outline(rows: &mut [u8], left: usize) {
    let (width, height) = (cell() as usize - 2, SIZE.val() - 4);
    for y in 2..2 + height {
        for x in 0..width {
            if y == 2 || y == 1 + height || x == 0 || x == width - 1 {
                rows[y * WIDTH as usize + left + x] = 0;
            }
        }
    }
}

/// The words of a line with their places.
fn layer_words(line: &str, top: f32, height: f32) -> Vec<LayerWord> {
    let mut words: Vec<LayerWord> = Vec::new();
    let mut column = 0;
    for word in line.split(' ') {
        let count = word.chars().count();
        if count > 0 {
            let x = |column: usize| (MARGIN + column as u32 * cell()) as f32;
            let (x0, x1) = (x(column), x(column + count));
            let p = |x, y| Point { x, y };
            words.push(LayerWord {
                text: word.to_owned(),
                outline: Quad {
                    a: p(x0, top),
                    b: p(x1, top),
                    c: p(x1, top + height),
                    d: p(x0, top + height),
                },
            });
        }
        column += count + 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_between_words() {
        let most = columns();
        let line = format!("{} {} end", "a".repeat(most - 3), "b".repeat(most * 2));
        let lines = wrap(&line);
        assert!(lines.iter().all(|l| l.chars().count() <= most), "{lines:?}");
        assert_eq!(lines[0], "a".repeat(most - 3));
        assert_eq!(lines.concat().replace(' ', ""), line.replace(' ', ""));
        assert_eq!(wrap(""), [""]);
    }

    #[test]
    fn marks_are_drawn_as_the_font_has_them() {
        assert_eq!(
            plain("\u{201c}it\u{2019}s\u{201d}\u{2026}\tx\u{200b}\u{1b}"),
            "\"it's\"...    x"
        );
        assert_eq!(lay_out("漢字 é")[0].strange, 2);
        assert_eq!(lay_out(" \n"), []);
    }

    #[test]
    fn every_line_has_its_page() {
        let text: String = (0..LINES * 2 + 1).map(|n| format!("line {n}\n")).collect();
        let pages = lay_out(&text);
        assert_eq!(
            pages.iter().map(|p| p.lines.len()).collect::<Vec<_>>(),
            [LINES, LINES, 1]
        );
    }
}
