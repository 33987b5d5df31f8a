//! Why a page was not drawn.

use std::time::Duration;

/// Why a PDF was not opened, or a page of it not drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// It needs a password and none was given.
    #[error("it is encrypted and no password was given")]
    Encrypted,
    /// The given password does not open it.
    #[error("the password given does not open it")]
    WrongPassword,
    /// pdfium says no: a damaged file, no such page.
    #[error("pdfium: {0}")]
    Refused(String),
    /// The child could not be started.
    #[error("pdfium's process can't be started: {0}")]
    Start(String),
    /// The child ended by itself: it crashed, reached a limit or did what it may not.
    #[error("pdfium's process {0}")]
    Died(String),
    /// The child took too long and was killed.
    #[error("pdfium took longer than {:.1} s and was ended", .0.as_secs_f64())]
    Overdue(Duration),
    /// Nobody wants the page any more; the child was killed.
    #[error("cancelled")]
    Cancelled,
    /// The child's answer makes no sense; it was killed.
    #[error("pdfium's process gave a wrong answer ({0}) and was ended")]
    Protocol(String),
    /// The document's own bytes could not be read.
    #[error("its bytes can't be read: {0}")]
    Source(String),
}

impl RenderError {
    /// Whether it cost the child.
    pub(crate) fn is_fatal(&self) -> bool {
        !matches!(
            self,
            RenderError::Encrypted | RenderError::WrongPassword | RenderError::Refused(_)
        )
    }
}
