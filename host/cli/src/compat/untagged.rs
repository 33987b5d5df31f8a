//! Tagged text for pages that DeepSeek-OCR did not write: those of the engine it falls back to, and of runs without it.
//!
//! Each block becomes what the model would have written for it, so that one road leads from tags to files.

use ocr_document::{Page, Rect, SpanKind};

/// The page as the model writes pages; areas refer to `width` x `height` px.
pub fn raw(page: &Page, width: u32, height: u32) -> String {
    let mut raw = String::new();
    for anchor in page.anchors() {
        let span = &page.spans()[anchor.span as usize];
        let (start, end) = (anchor.start as usize, (anchor.start + anchor.len) as usize);
        let is_figure = span.kind == SpanKind::Figure;
        // Running heads have no markdown; the model does not write them either.
        if start == end && !is_figure {
            continue;
        }
        let parent = span.parent.map(|parent| page.spans()[parent as usize].kind);
        let label = label(span.kind, parent);
        raw += &format!(
            "<|ref|>{label}<|/ref|><|det|>{}<|/det|>\n",
            boxed(span.area, width, height)
        );
        if !is_figure {
            raw += page.markdown()[start..end].trim_end();
            raw += "\n\n";
        }
    }
    raw
}

/// The model's own names.
fn label(kind: SpanKind, parent: Option<SpanKind>) -> &'static str {
    match kind {
        SpanKind::Title => "title",
        SpanKind::Heading => "sub_title",
        SpanKind::Table => "table",
        SpanKind::Formula => "equation",
        SpanKind::Figure => "image",
        SpanKind::Caption if parent == Some(SpanKind::Table) => "table_caption",
        SpanKind::Caption => "image_caption",
        _ => "text",
    }
}

/// A box in the model's units, 0 to 999 across the page; readers turn it back with `int(c / 999 * size)`.
fn boxed(area: Rect, width: u32, height: u32) -> String {
    // Rounded up, so that the way back, which rounds down, ends where it began.
    let unit = |px: u32, size: u32| (u64::from(px.min(size)) * 999).div_ceil(u64::from(size.max(1)));
    let (x0, y0) = (unit(area.x0, width), unit(area.y0, height));
    let (x1, y1) = (unit(area.x1, width), unit(area.y1, height));
    format!("[[{x0}, {y0}, {x1}, {y1}]]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::{PageBuilder, PageInfo};
    use ocr_model_deepseek::compat::{Script, page as page_files};

    #[test]
    fn blocks_are_written_as_the_model_would() {
        let mut page = PageBuilder::new(PageInfo::new(0, 1, 500, 700));
        let area = |n: u32| Rect::new(50, 100 * n, 450, 100 * n + 80);
        page.push_span(SpanKind::Header, "header", 0, area(0), None, "Page of a book");
        page.push_span(SpanKind::Title, "title", 1, area(1), None, "Report");
        let figure = page.push_span(SpanKind::Figure, "figure", 0, area(2), None, "");
        let caption = page.push_span(SpanKind::Caption, "caption", 0, area(3), None, "A tree");
        page.set_parent(caption, figure);
        let page = page.finish();
        let expected = "<|ref|>title<|/ref|><|det|>[[100, 143, 900, 257]]<|/det|>\n# Report\n\n\
                        <|ref|>image<|/ref|><|det|>[[100, 286, 900, 400]]<|/det|>\n\
                        <|ref|>image_caption<|/ref|><|det|>[[100, 429, 900, 543]]<|/det|>\n*A tree*\n\n";
        assert_eq!(raw(&page, 500, 700), expected);
        let files = page_files(Script::Pdf, expected, 0, 500, 700);
        assert_eq!(files.crops[0].area, area(2), "and the way back is exact");
        assert!(files.text.contains("# Report") && files.text.contains("![](images/0_0.jpg)"));
    }
}
