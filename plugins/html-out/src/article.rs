//! A page's text as HTML.

use crate::text::escape;
use ocr_plugin::{BlockKind, Page, Rect, Span, list, push, text::Part};

/// A part of a page's HTML: text, or a picture that the host writes.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Finished HTML.
    Html(String),
    /// A figure's picture, to become an `img`.
    Picture(Picture),
}

/// What is to be shown of the raster, and in which words.
#[derive(Debug, PartialEq)]
pub struct Picture {
    /// Index of the figure's span.
    pub span: usize,
    /// Raster px.
    pub area: Rect,
    /// Not yet escaped.
    pub caption: String,
}

/// A heading, for the table of contents.
#[derive(Debug, PartialEq)]
pub struct Heading {
    /// The element's id.
    pub id: String,
    /// 1 ..= 6.
    pub depth: u8,
    /// Not yet escaped.
    pub text: String,
}

/// The id of a block's element; the boxes link to it.
#[derive(Debug, Clone, Copy)]
pub struct BlockId {
    pub page: u32,
    pub span: usize,
}

impl Part for BlockId {
    fn push_to(&self, out: &mut String) {
        push!(out, "b-", self.page, "-", self.span);
    }
}

/// What the reader is told above a page that is not whole.
pub fn notice(page: &Page) -> String {
    let info = page.info();
    let Some(what) = info.shortfall() else {
        return String::new();
    };
    let why: String = info
        .diagnostics
        .iter()
        .map(|d| format!("<br>{}", escape(&d.message)))
        .collect();
    format!(
        "<p class=\"notice\" role=\"note\"><strong>Page {}: {what}</strong>{why}</p>\n",
        info.number
    )
}

/// About what stands around the text of a block.
const BLOCK_BYTES: usize = 32;

/// The page's blocks in reading order, and its headings.
pub fn build(page: &Page, number: u32) -> (Vec<Piece>, Vec<Heading>) {
    let mut article = Article {
        page,
        number,
        html: String::with_capacity(page.text().len() + BLOCK_BYTES * page.spans().len()),
        pieces: Vec::new(),
        headings: Vec::new(),
        lists: Vec::new(),
    };
    for (index, span) in page.reading_order() {
        article.block(index, span);
    }
    article.close_lists(0);
    article.break_off();
    (article.pieces, article.headings)
}

struct Article<'p, 'h> {
    page: &'p Page<'h>,
    number: u32,
    html: String,
    pieces: Vec<Piece>,
    headings: Vec<Heading>,
    /// Elements of the open lists, outermost first.
    lists: Vec<&'static str>,
}

impl Article<'_, '_> {
    fn id(&self, span: usize) -> BlockId {
        BlockId {
            page: self.number,
            span,
        }
    }

    fn break_off(&mut self) {
        if !self.html.is_empty() {
            self.pieces.push(Piece::Html(std::mem::take(&mut self.html)));
        }
    }

    fn block(&mut self, index: usize, span: &Span) {
        // A running foot between two items interrupts the sheet, not the list.
        if span.kind != BlockKind::ListItem && !span.kind.is_furniture() {
            self.close_lists(0);
        }
        if span.kind.is_furniture() && !self.lists.is_empty() {
            self.close_lists(0);
        }
        let text = span.text(self.page);
        match span.kind {
            BlockKind::Title => self.heading(index, 1, text),
            BlockKind::Heading => self.heading(index, span.level.saturating_add(1).clamp(2, 6), text),
            BlockKind::ListItem => self.list_item(index, span, text),
            BlockKind::Table => self.table(index, span),
            BlockKind::Figure => self.figure(index, span),
            BlockKind::Formula => {
                let latex = span.markup(self.page);
                self.element(
                    index,
                    "pre",
                    "formula",
                    if latex.is_empty() { text } else { latex },
                );
            }
            BlockKind::Code => self.element(index, "pre", "code", text),
            BlockKind::Caption if self.owner(span).is_some() => {}
            BlockKind::Caption => self.element(index, "p", "caption", text),
            BlockKind::Footnote => self.element(index, "aside", "footnote", text),
            BlockKind::Header | BlockKind::Footer | BlockKind::PageNumber => {
                self.element(index, "p", "furniture", text);
            }
            BlockKind::Paragraph | BlockKind::Other => {
                push!(
                    self.html,
                    "<p id=\"",
                    self.id(index),
                    "\">",
                    escape(text),
                    "</p>\n"
                );
            }
        }
    }

    fn element(&mut self, index: usize, name: &str, class: &str, text: &str) {
        let id = self.id(index);
        push!(self.html, "<", name, " id=\"", id, "\" class=\"", class, "\">");
        push!(self.html, escape(text), "</", name, ">\n");
    }

    fn heading(&mut self, index: usize, depth: u8, text: &str) {
        let mut id = String::new();
        push!(id, self.id(index));
        push!(
            self.html,
            "<h",
            depth,
            " id=\"",
            id,
            "\">",
            escape(text),
            "</h",
            depth,
            ">\n"
        );
        self.headings.push(Heading {
            id,
            depth,
            text: text.to_owned(),
        });
    }

    /// The figure or table that a caption stands in.
    fn owner(&self, caption: &Span) -> Option<usize> {
        let owner = caption.parent? as usize;
        let kind = self.page.spans().get(owner)?.kind;
        matches!(kind, BlockKind::Figure | BlockKind::Table).then_some(owner)
    }

    /// Captions of a figure or table, each with its index.
    fn captions(&self, owner: usize) -> Vec<(usize, String)> {
        let captions = self
            .page
            .reading_order()
            .filter(|(_, s)| s.kind == BlockKind::Caption && s.parent == Some(owner as u32));
        captions.map(|(i, s)| (i, s.text(self.page).to_owned())).collect()
    }

    fn caption_html(&self, owner: usize) -> String {
        let mut html = String::new();
        for (at, (index, text)) in self.captions(owner).into_iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            push!(
                html,
                space,
                "<span id=\"",
                self.id(index),
                "\">",
                escape(&text),
                "</span>"
            );
        }
        html
    }

    fn figure(&mut self, index: usize, span: &Span) {
        push!(
            self.html,
            "<figure id=\"",
            self.id(index),
            "\" class=\"picture\">"
        );
        self.break_off();
        let caption = self
            .captions(index)
            .into_iter()
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
            .join(" ");
        self.pieces.push(Piece::Picture(Picture {
            span: index,
            area: span.area,
            caption,
        }));
        let (text, caption) = (span.text(self.page), self.caption_html(index));
        if !text.is_empty() {
            let opened = "<details><summary>Text in the figure</summary><p>";
            push!(self.html, opened, escape(text), "</p></details>");
        }
        if !caption.is_empty() {
            push!(self.html, "<figcaption>", caption, "</figcaption>");
        }
        self.html.push_str("</figure>\n");
    }

    fn table(&mut self, index: usize, span: &Span) {
        let caption = self.caption_html(index);
        match crate::table::rows(self.page, index) {
            Some(rows) => {
                push!(
                    self.html,
                    "<div class=\"scroll\"><table id=\"",
                    self.id(index),
                    "\">"
                );
                if !caption.is_empty() {
                    push!(self.html, "<caption>", caption, "</caption>");
                }
                self.html.push_str(&rows);
                self.html.push_str("</table></div>\n");
            }
            // Without cells there is only text; markup is the engine's and stays out.
            None => {
                self.element(index, "pre", "table", span.text(self.page));
                if !caption.is_empty() {
                    push!(self.html, "<p class=\"caption\">", caption, "</p>\n");
                }
            }
        }
    }

    fn list_item(&mut self, index: usize, span: &Span, text: &str) {
        let depth = usize::from(span.level.max(1));
        let (marker, is_numbered, text) = list::split_marker(text);
        let element = if is_numbered { "ol" } else { "ul" };
        // Engines skip levels; a list is never more than one deeper than the item above it.
        let depth = depth.min(self.lists.len() + 1);
        self.close_lists(depth);
        if self
            .lists
            .last()
            .is_some_and(|open| self.lists.len() == depth && *open != element)
        {
            self.close_lists(depth - 1);
        }
        if self.lists.len() < depth {
            push!(self.html, "<", element, ">\n");
            self.lists.push(element);
        } else {
            self.html.push_str("</li>\n");
        }
        push!(self.html, "<li id=\"", self.id(index), "\">");
        if let Some(marker) = marker.filter(|_| is_numbered) {
            push!(self.html, "<span class=\"marker\">", escape(marker), "</span> ");
        }
        self.html.push_str(&escape(text));
    }

    /// Closes lists until `depth` are open; the last item of an open list stays open.
    fn close_lists(&mut self, depth: usize) {
        while self.lists.len() > depth {
            if let Some(element) = self.lists.pop() {
                push!(self.html, "</li>\n</", element, ">\n");
            }
        }
    }
}
