//! What the model's labels mean.

use ocr_document::SpanKind;

/// Longest name of a kind of block; what is longer is text that was located.
pub const MAX_LABEL_BYTES: usize = 64;

/// Whether a reference is the name of a kind of block (`sub_title`) and not a piece of the page's text.
pub(super) fn is_name(reference: &str) -> bool {
    !reference.is_empty()
        && reference.len() <= MAX_LABEL_BYTES
        && reference
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

/// The kind of block that a label names; `None` for names that are unknown. The paper and the released scripts list no
/// labels: these are those of DeepSeek-OCR's published outputs, of docling's reader and their evident kin.
pub(super) fn kind(label: &str) -> Option<SpanKind> {
    Some(match label {
        "title" => SpanKind::Title,
        "sub_title" | "subtitle" | "section_header" => SpanKind::Heading,
        "text" | "paragraph" | "abstract" => SpanKind::Paragraph,
        "list" | "list_item" => SpanKind::ListItem,
        "table" => SpanKind::Table,
        "equation" | "formula" | "equation_block" => SpanKind::Formula,
        "image" | "figure" | "chart" | "picture" => SpanKind::Figure,
        "image_caption" | "figure_caption" | "chart_caption" | "table_caption" | "code_caption"
        | "equation_caption" => SpanKind::Caption,
        "table_footnote" | "image_footnote" | "figure_footnote" | "page_footnote" | "footnote" => {
            SpanKind::Footnote
        }
        "header" | "page_header" => SpanKind::Header,
        "footer" | "page_footer" => SpanKind::Footer,
        "page_number" => SpanKind::PageNumber,
        "code" | "algorithm" => SpanKind::Code,
        _ => return None,
    })
}

/// The kind of block that a caption or footnote of this label belongs to.
pub(super) fn owner(label: &str) -> Option<SpanKind> {
    match label.split_once('_')? {
        ("table", "caption" | "footnote") => Some(SpanKind::Table),
        ("image" | "figure" | "chart", "caption" | "footnote") => Some(SpanKind::Figure),
        _ => None,
    }
}
