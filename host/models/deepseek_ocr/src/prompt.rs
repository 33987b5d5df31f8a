//! What is asked of a page.

/// What is asked of a page; the texts are upstream's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// `<|grounding|>Convert the document to markdown.`
    Markdown,
    /// `<|grounding|>OCR this image.`
    Ocr,
    /// `Free OCR.`, text without boxes.
    Free,
    /// `Parse the figure.`
    Figure,
    /// `Describe this image in detail.`
    Describe,
    /// `Locate <|ref|>TEXT<|/ref|> in the image.`
    Locate(String),
    /// A prompt of the user's own; `<image>` stands where the page goes, else the page comes first.
    Prompt(String),
}
