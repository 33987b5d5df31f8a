//! Renders a page's spans as CommonMark with GitHub tables, and remembers which bytes came from which span.

use crate::{Anchor, Page, SpanKind};

/// The page as markdown, blocks parted by one empty line, and the anchors of its spans.
pub(crate) fn render(page: &Page) -> (String, Vec<Anchor>) {
    let (mut out, mut anchors) = (String::new(), Vec::new());
    for index in page.reading_order() {
        let span = &page.spans()[index];
        let text = page.text_of(span.text);
        let block = match span.kind {
            SpanKind::Title => format!("# {text}"),
            SpanKind::Heading => format!("{} {text}", "#".repeat(span.level.clamp(1, 6) as usize)),
            _ => text.to_owned(),
        };
        if !out.is_empty() {
            out.push('\n');
        }
        anchors.push(Anchor {
            span: index as u32,
            start: out.len() as u32,
            len: block.len() as u32,
        });
        out.push_str(&block);
        out.push('\n');
    }
    (out, anchors)
}
