//! What can go wrong, and how a plugin says so.

use crate::{Diagnostic, Error, HostError, Severity};

/// Shorthand for results of plugin code.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The plugin gave up for a reason of its own. `code` is stable, kebab-case and meant for programs
    /// (`encrypted`); `message` is for people: what, which, why, what to try.
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Error::Failed(Diagnostic::new(Severity::Error, code, message))
    }

    /// The input is not what it claims to be, or is damaged.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Error::InvalidInput(message.into())
    }

    /// The input is sound, but asks for something that this plugin does not do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Error::Unsupported(message.into())
    }

    /// The same, about page `number` (from 1), where the error can carry it.
    pub fn on_page(self, number: u32) -> Self {
        match self {
            Error::Failed(d) => Error::Failed(Diagnostic {
                page: Some(number),
                ..d
            }),
            other => other,
        }
    }

    /// The error in words.
    pub fn message(&self) -> String {
        match self {
            Error::InvalidInput(m) | Error::Unsupported(m) => m.clone(),
            Error::Config(list) => list
                .iter()
                .map(|d| d.message.as_str())
                .collect::<Vec<_>>()
                .join("; "),
            Error::Host(h) => h.message(),
            Error::Failed(d) => d.message.clone(),
        }
    }
}

impl HostError {
    /// Whether the host refuses because the capability was not granted or does not exist in this run.
    pub fn is_denied(&self) -> bool {
        matches!(self, HostError::Denied(_))
    }

    /// The error in words.
    pub fn message(&self) -> String {
        match self {
            HostError::Denied(m) | HostError::Invalid(m) | HostError::Failed(m) => m.clone(),
            HostError::Quota(q) => format!("{:?} limit reached: {} of {}", q.what, q.used, q.limit),
            HostError::Cancelled => "cancelled".to_owned(),
        }
    }
}

impl From<HostError> for Error {
    fn from(e: HostError) -> Self {
        Error::Host(e)
    }
}
