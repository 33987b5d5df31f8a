//! hOCR 1.2: one XHTML file in which each page, block, line and word carries its place, for programs that lay text
//! over pictures.
//!
//! A page is an `ocr_page`, a block an `ocr_carea` with one `ocr_par`, in reading order. Lines and words come from the
//! engine; where it tells blocks alone, the paragraph holds the text and nobody invents lines. Pages are written as
//! they come.

#![forbid(unsafe_code)]

mod place;
mod xml;

use ocr_plugin::{
    BlockKind, Config, DocInfo, Formatter, Line, Page, Result, Span, Word, output, push, text::Part,
};
use place::{Properties, bounds};
use serde::Deserialize;

/// The classes that this file may hold.
const CAPABILITIES: &str = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocr_image ocrp_lang ocrp_wconf";

/// About what stands around the text of a block.
const BLOCK_BYTES: usize = 192;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    words: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { words: true }
    }
}

struct Hocr {
    out: output::File,
    settings: Settings,
    name: String,
    /// Pages written.
    pages: u32,
}

impl Formatter for Hocr {
    fn open(doc: &DocInfo, config: Config) -> Result<Self> {
        let settings = config.parse()?;
        let out = output::main()?;
        let title = xml::escape(doc.title.as_deref().unwrap_or(&doc.name));
        let version = env!("CARGO_PKG_VERSION");
        out.write_text(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \
             \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
             <html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<title>{title}</title>\n\
             <meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\" />\n\
             <meta name=\"ocr-system\" content=\"ocr-host hocr-out {version}\" />\n\
             <meta name=\"ocr-capabilities\" content=\"{CAPABILITIES}\" />\n</head>\n<body>\n"
        ))?;
        Ok(Self {
            out,
            settings,
            name: doc.name.clone(),
            pages: 0,
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        self.pages += 1;
        let info = page.info();
        let mut properties = Properties::default();
        properties.text("image", &self.name);
        properties.numbers("bbox", &[0, 0, info.width, info.height]);
        properties.numbers("ppageno", &[info.number.saturating_sub(1)]);
        let dpi = |pixels: u32, points: f32| {
            let dpi = f64::from(pixels) * 72.0 / f64::from(points);
            (dpi.is_finite() && (1.0..1e5).contains(&dpi)).then(|| dpi.round() as u32)
        };
        if let (Some(x), Some(y)) = (
            dpi(info.width, info.width_points),
            dpi(info.height, info.height_points),
        ) {
            properties.numbers("scan_res", &[x, y]);
        }
        let mut html = String::with_capacity(page.text().len() + BLOCK_BYTES * (page.spans().len() + 1));
        let language = language(info.language.as_deref());
        push!(
            html,
            "<div class=\"ocr_page\" id=\"page_",
            self.pages,
            "\"",
            language
        );
        push!(html, " title=\"", properties.attribute(), "\">\n");
        // No message is written: it may quote what a processor has taken out.
        if let Some(what) = info.shortfall() {
            push!(html, "<!-- page ", info.number, ": ", what, " -->\n");
        }
        let mut content = Content::new(page);
        for (index, span) in page.reading_order() {
            self.block(&mut html, page, &mut content, index, span);
        }
        html.push_str("</div>\n");
        Ok(self.out.write_text(&html)?)
    }

    fn finish(self) -> Result<()> {
        Ok(self.out.write_text("</body>\n</html>\n")?)
    }
}

/// A page's lines by block and words by line, and how many of each were written.
struct Content<'p> {
    lines: Vec<Vec<(usize, &'p Line)>>,
    words: Vec<Vec<&'p Word>>,
    blocks_written: u32,
    lines_written: u32,
    words_written: u32,
}

impl<'p> Content<'p> {
    fn new(page: &'p Page<'_>) -> Self {
        let mut lines = vec![Vec::new(); page.spans().len()];
        for (index, line) in page.lines().iter().enumerate() {
            if let Some(of) = lines.get_mut(line.span as usize) {
                of.push((index, line));
            }
        }
        let mut words = vec![Vec::new(); page.lines().len()];
        for word in page.words() {
            if let Some(of) = words.get_mut(word.line as usize) {
                of.push(word);
            }
        }
        Self {
            lines,
            words,
            blocks_written: 0,
            lines_written: 0,
            words_written: 0,
        }
    }
}

impl Hocr {
    fn block(&self, html: &mut String, page: &Page, content: &mut Content, index: usize, span: &Span) {
        content.blocks_written += 1;
        let id = Id(self.pages, content.blocks_written);
        let mut properties = Properties::default();
        properties.area(span.area);
        properties.word("x_kind", span.kind.name());
        let place = properties.attribute();
        let lines = std::mem::take(&mut content.lines[index]);
        let text = span.text(page).trim();
        if span.kind == BlockKind::Figure && lines.is_empty() && text.is_empty() {
            push!(
                html,
                "<div class=\"ocr_image\" id=\"block_",
                id,
                "\" title=\"",
                place,
                "\"></div>\n"
            );
            return;
        }
        push!(
            html,
            "<div class=\"ocr_carea\" id=\"block_",
            id,
            "\" title=\"",
            place,
            "\">\n"
        );
        push!(
            html,
            "<p class=\"ocr_par\" id=\"par_",
            id,
            "\" title=\"",
            place,
            "\">\n"
        );
        if lines.is_empty() {
            match span.kind {
                BlockKind::Table => self.cells(html, page, content, index, text),
                _ => xml::push_with_breaks(html, text),
            }
        }
        for (at, line) in lines {
            self.line(html, page, content, at, line);
        }
        html.push_str("</p>\n</div>\n");
    }

    /// The cells of a table without lines: each has a place of its own, where the engine tells.
    fn cells(&self, html: &mut String, page: &Page, content: &mut Content, table: usize, text: &str) {
        let mut any = false;
        for cell in page.cells_of(table) {
            any = true;
            let text = cell.text(page).trim();
            let Some(area) = cell.area else {
                xml::push_with_breaks(html, text);
                html.push('\n');
                continue;
            };
            content.lines_written += 1;
            let mut properties = Properties::default();
            properties.area(area);
            let id = Id(self.pages, content.lines_written);
            let place = properties.attribute();
            push!(
                html,
                "<span class=\"ocr_line\" id=\"line_",
                id,
                "\" title=\"",
                place,
                "\">"
            );
            xml::push_with_breaks(html, text);
            html.push_str("</span>\n");
        }
        if !any {
            xml::push_with_breaks(html, text);
        }
    }

    fn line(&self, html: &mut String, page: &Page, content: &mut Content, at: usize, line: &Line) {
        let text = line.text(page).trim();
        if text.is_empty() {
            return;
        }
        content.lines_written += 1;
        let mut properties = Properties::default();
        let size = (page.info().width, page.info().height);
        let area = bounds(&line.outline, size);
        properties.area(area);
        properties.direction(&line.outline, area);
        properties.confidence("x_conf", line.confidence);
        let id = Id(self.pages, content.lines_written);
        let place = properties.attribute();
        push!(
            html,
            "<span class=\"ocr_line\" id=\"line_",
            id,
            "\" title=\"",
            place,
            "\">"
        );
        let words = std::mem::take(&mut content.words[at]);
        let words: Vec<&Word> = words
            .into_iter()
            .filter(|w| self.settings.words && !w.text(page).trim().is_empty())
            .collect();
        if words.is_empty() {
            push!(html, xml::escape(text));
        }
        for (i, word) in words.iter().enumerate() {
            content.words_written += 1;
            let mut properties = Properties::default();
            properties.area(bounds(&word.outline, size));
            properties.confidence("x_wconf", word.confidence);
            let id = Id(self.pages, content.words_written);
            let (space, place) = (if i == 0 { "" } else { " " }, properties.attribute());
            push!(
                html,
                space,
                "<span class=\"ocrx_word\" id=\"word_",
                id,
                "\" title=\"",
                place,
                "\">"
            );
            push!(html, xml::escape(word.text(page).trim()), "</span>");
        }
        html.push_str("</span>\n");
    }
}

/// What tells an element of a class from the others: the page, and its number on the page.
#[derive(Clone, Copy)]
struct Id(u32, u32);

impl Part for Id {
    fn push_to(&self, out: &mut String) {
        push!(out, self.0, "_", self.1);
    }
}

/// The attributes that tell a language, if it looks like one.
fn language(tag: Option<&str>) -> String {
    let is_tag =
        |t: &&str| (2..=35).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match tag.filter(is_tag) {
        Some(tag) => format!(" lang=\"{tag}\" xml:lang=\"{tag}\""),
        None => String::new(),
    }
}

ocr_plugin::export_formatter!(Hocr);

#[cfg(test)]
mod tests;
