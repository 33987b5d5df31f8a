//! A part of a page that is read again, for what it is known to hold.

/// What is asked of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegionTask {
    /// Plain text, in a language where it is known (a BCP 47 tag).
    Text(Option<String>),
    /// Text with its structure.
    Markdown,
    /// A table.
    Table,
    /// A formula.
    Formula,
    /// A chart or drawing, as text.
    Figure,
    /// Where these words stand.
    Locate(String),
    /// What is to be seen, in a sentence.
    Describe,
}

impl RegionTask {
    /// A word for it in messages.
    pub fn name(&self) -> &'static str {
        match self {
            RegionTask::Text(_) => "text",
            RegionTask::Markdown => "markdown",
            RegionTask::Table => "table",
            RegionTask::Formula => "formula",
            RegionTask::Figure => "figure",
            RegionTask::Locate(_) => "locate",
            RegionTask::Describe => "describe",
        }
    }
}
