//! Pages made from a number: the same number, the same page.

use ocr_document::{
    Affine, Cell, CellKind, Diagnostic, Outcome, Page, PageBuilder, PageImage, PageInfo, PixelFormat, Point,
    Quad, Recovery, Rect, Severity, SpanKind,
};

/// Width and height of a page, px: small enough that no formatter scales it, which two hosts do differently.
const SIZE: (u32, u32) = (240, 320);

/// What is hard to write down in some format.
const TEXTS: [&str; 30] = [
    "",
    " ",
    "plain words of a line",
    "two\nlines",
    "many\n\n\nlines\r\nand\ttabs",
    "</title><script>alert(1)</script>",
    "\" onload='x' {{7*7}} <img src=x onerror=y>",
    "a --> b <!-- c --> ]]> <![CDATA[",
    "![x](figure:0) [link](javascript:alert(1))",
    "# not a heading\n- not a list\n1. nor this\n> nor that",
    "a|b|c\n---|---|---",
    "*stars* _lines_ `ticks` ~~~ $x_1$ \\(y\\)",
    "&amp; &#60; &lt;",
    "Gru\u{308}ezi, o\u{fb03}ce, \u{ff21}\u{ff22}",
    "\u{202e}desrever\u{202c} \u{2066}isolated\u{2069}",
    "\u{0}\u{1}\u{1b}[31m\u{7f}\u{85}\u{9f}",
    "\u{fffe}\u{ffff}\u{fdd0}\u{10ffff}",
    "\u{feff}bom \u{200b}zero\u{200d}width",
    "日本語のテキスト、漢字。",
    "العربية עברית",
    "हिन्दी ภาษาไทย",
    "👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈",
    "• bullet",
    "iv) roman",
    "12.3 numbered",
    "{\"json\": \"\\u0000\", 'quotes': \"\\\\\"}",
    "<table><tr><td>x</td></tr></table>",
    "x^2 + \\frac{1}{2} \\text{a}",
    "trailing spaces   \n   and leading",
    "a\\\nb\\\\",
];

/// A source of numbers that look random.
struct Dice(u64);

impl Dice {
    /// A number below `most`.
    fn below(&mut self, most: u32) -> u32 {
        // Knuth's multiplier; the high bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(most.max(1))) as u32
    }

    fn one_in(&mut self, most: u32) -> bool {
        self.below(most) == 0
    }

    fn text(&mut self) -> String {
        let mut text = TEXTS[self.below(TEXTS.len() as u32) as usize].to_owned();
        while self.one_in(3) {
            text.push([' ', '\n', '-'][self.below(3) as usize]);
            text.push_str(TEXTS[self.below(TEXTS.len() as u32) as usize]);
        }
        if self.one_in(40) {
            text = text.repeat(500);
        }
        text
    }

    fn area(&mut self) -> Rect {
        let (x, y) = (self.below(SIZE.0), self.below(SIZE.1));
        let (width, height) = (self.below(SIZE.0 - x + 1), self.below(SIZE.1 - y + 1));
        Rect::new(x, y, x + width, y + height)
    }

    fn outline(&mut self) -> Quad {
        let mut point = || Point {
            x: self.below(SIZE.0 * 4) as f32 / 3.0 - 10.0,
            y: self.below(SIZE.1 * 4) as f32 / 3.0 - 10.0,
        };
        Quad {
            a: point(),
            b: point(),
            c: point(),
            d: point(),
        }
    }

    fn confidence(&mut self) -> Option<f32> {
        (!self.one_in(4)).then(|| self.below(1001) as f32 / 1000.0)
    }

    fn raster(&mut self) -> PageImage {
        let format = if self.one_in(2) {
            PixelFormat::Gray8
        } else {
            PixelFormat::Rgb8
        };
        let bytes = SIZE.0 as usize * SIZE.1 as usize * format.bytes();
        let pixels = (0..bytes).map(|at| ((at / 7) as u8).wrapping_add(self.below(3) as u8));
        let image = PageImage::new(SIZE.0, SIZE.1, format, pixels.collect());
        image.expect("there are as many bytes as pixels")
    }
}

/// What is known of the document of a number.
pub fn document(seed: u64) -> (String, Option<String>) {
    let mut dice = Dice(seed ^ 0x5eed);
    let title = dice.one_in(2).then(|| dice.text());
    (format!("{}.pdf", dice.text().replace('/', "")), title)
}

/// The page of a number, at `index` of its document.
pub fn page(seed: u64, index: u32) -> Page {
    let mut dice = Dice(
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(u64::from(index)),
    );
    let mut info = PageInfo::new(index, 3 * index + 1 + dice.below(3), SIZE.0, SIZE.1);
    (info.width_points, info.height_points) = (dice.below(2000) as f32 / 3.0 + 1.0, 500.5);
    info.to_source = Affine::raster_to_points(SIZE.0, SIZE.1, info.width_points, info.height_points);
    info.part = dice.one_in(3).then(|| dice.text());
    info.language = dice
        .one_in(2)
        .then(|| ["de-CH", "x", "\" onload="][dice.below(3) as usize].to_owned());
    info.engine = dice.text();
    info.recovery = [Recovery::None, Recovery::Retried, Recovery::Fallback][dice.below(3) as usize];
    if dice.one_in(4) {
        info.outcome = [Outcome::Truncated, Outcome::Repetition, Outcome::Failed][dice.below(3) as usize];
        let said = Diagnostic::new(Severity::Error, "lost", dice.text()).on_page(info.number);
        info.diagnostics.push(said);
    }
    let is_lost = info.outcome == Outcome::Failed;
    let mut builder = PageBuilder::new(info);
    if dice.one_in(2) {
        builder.raw(dice.text());
    }
    if !is_lost {
        for _ in 0..dice.below(9) {
            block(&mut dice, &mut builder);
        }
    }
    builder.raster(dice.raster());
    if dice.one_in(3) {
        builder.text_is_markdown();
    }
    builder.finish()
}

fn block(dice: &mut Dice, page: &mut PageBuilder) {
    let kind = SpanKind::ALL[dice.below(SpanKind::ALL.len() as u32) as usize];
    let text = dice.text();
    let (level, area, confidence) = (dice.below(8) as u8, dice.area(), dice.confidence());
    let label = ["text", "sub_title", "<b>"][dice.below(3) as usize];
    let span = page.push_span(kind, label, level, area, confidence, &text);
    if dice.one_in(3) {
        page.set_markup(span, &dice.text());
    }
    if span > 0 && dice.one_in(3) {
        page.set_parent(span, dice.below(span));
    }
    for text in text.lines().take(4) {
        if dice.one_in(2) {
            continue;
        }
        let (outline, confidence) = (dice.outline(), dice.confidence());
        let line = page.push_line(span, outline, confidence, text);
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            let (outline, confidence) = (dice.outline(), dice.confidence());
            page.push_word(line, start..start + word.len(), outline, confidence);
        }
    }
    if kind == SpanKind::Table {
        for _ in 0..dice.below(12) {
            let text = dice.text();
            let cell = Cell {
                table: span,
                kind: [
                    CellKind::Data,
                    CellKind::ColumnHeader,
                    CellKind::RowHeader,
                    CellKind::RowSection,
                ][dice.below(4) as usize],
                row: dice.below(5),
                column: dice.below(5),
                row_span: 1 + dice.below(3),
                column_span: 1 + dice.below(3),
                area: dice.one_in(2).then(|| dice.area()),
                confidence: dice.confidence(),
                text: Default::default(),
            };
            page.push_cell(cell, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_differ_and_one_number_makes_one_page() {
        assert_eq!(page(7, 2).text(), page(7, 2).text());
        let markdown: std::collections::HashSet<String> =
            (0..50).map(|n| page(n, 0).markdown().to_owned()).collect();
        assert!(markdown.len() > 30, "{} of 50 pages differ", markdown.len());
        let kinds: std::collections::HashSet<SpanKind> = (0..200)
            .flat_map(|n| page(n, 0).spans().iter().map(|s| s.kind).collect::<Vec<_>>())
            .collect();
        assert_eq!(kinds.len(), SpanKind::ALL.len());
    }
}
