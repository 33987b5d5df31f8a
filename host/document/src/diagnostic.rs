//! What a part has to say about a page or a document.

use crate::Rect;
use serde::{Deserialize, Serialize};

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something may be wrong or missing.
    Warning,
    /// Something is wrong or missing.
    Error,
}

/// One message about a page or a document; `code` is stable and meant for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Stable, kebab-case: `page-timeout`, `encrypted`.
    pub code: String,
    /// For people: what, which, why, what to try.
    pub message: String,
    /// Page number in the source, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// Where on the page, raster px.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub area: Option<Rect>,
}

impl Diagnostic {
    /// A diagnostic that is about no page in particular.
    pub fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity,
            code: code.into(),
            message: message.into(),
            page: None,
            area: None,
        }
    }

    /// The same, about page `number` (from 1).
    pub fn on_page(mut self, number: u32) -> Self {
        self.page = Some(number);
        self
    }
}
