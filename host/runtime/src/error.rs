//! What can go wrong with a plugin, in words that name the plugin, the phase, the page and what to try.

use crate::limits::{Limits, Quota};
use crate::manifest::ManifestError;
use ocr_document::Diagnostic;

/// Why a plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such file, or unreadable.
    #[error("plugin `{plugin}`: {error}")]
    Read {
        /// As the user named it.
        plugin: String,
        /// From the file system.
        error: std::io::Error,
    },
    /// Too large to be compiled.
    #[error(
        "plugin `{plugin}` takes {bytes} bytes, over the limit of {limit}; leave out what it does not need"
    )]
    TooLarge {
        /// As the user named it.
        plugin: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// No usable manifest.
    #[error("plugin `{plugin}`: {error}")]
    Manifest {
        /// As the user named it.
        plugin: String,
        /// What is wrong.
        error: ManifestError,
    },
    /// Built against a contract that this host does not speak.
    #[error("plugin `{plugin}`: {}", crate::contract::versions(wanted))]
    Version {
        /// As the user named it.
        plugin: String,
        /// What it was built against.
        wanted: String,
    },
    /// Compiling it took more than it may, or failed.
    #[error("plugin `{plugin}`: {reason}")]
    Compile {
        /// As the user named it.
        plugin: String,
        /// The limit and the flag that raises it, or what broke.
        reason: String,
    },
    /// Does not compile, or imports or exports what its world does not have.
    #[error("plugin `{plugin}`: {reason}")]
    Component {
        /// As the user named it.
        plugin: String,
        /// From the compiler or the linker.
        reason: String,
    },
}

/// What the plugin was doing: `open`, `page`, `finish`, `sniff`, `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Being set up in a fresh sandbox.
    Instantiate,
    /// Looking at an input's first bytes.
    Sniff,
    /// Opening the document.
    Open,
    /// Reading or formatting a page.
    Page(u32),
    /// Writing what comes last.
    Finish,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Phase::Instantiate => f.write_str("while starting"),
            Phase::Sniff => f.write_str("while looking at the input"),
            Phase::Open => f.write_str("while opening the document"),
            Phase::Page(number) => write!(f, "on page {number}"),
            Phase::Finish => f.write_str("while finishing the document"),
        }
    }
}

/// A plugin's call that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("plugin `{plugin}` {version} {phase}: {cause}")]
pub struct PluginFailure {
    /// Its id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// What it was doing.
    pub phase: Phase,
    /// What happened.
    pub cause: Cause,
    /// Names of the WASM functions on the stack, innermost first, where known.
    pub backtrace: Vec<String>,
}

/// What ended a plugin's call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Cause {
    /// It reached a limit.
    #[error("{}", limit_message(*quota, *limit))]
    Limit {
        /// Which.
        quota: Quota,
        /// Its value, in bytes, counts or milliseconds.
        limit: u64,
    },
    /// It crashed.
    #[error("trap: {0}")]
    Trap(String),
    /// It answered with an error.
    #[error("{}", .0.message)]
    Said(Box<Diagnostic>),
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The host could not do what was asked (disk full, say).
    #[error("{0}")]
    Host(String),
}

impl PluginFailure {
    /// Whether the plugin crashed or hit a limit, rather than refused its input.
    pub fn is_trap_or_limit(&self) -> bool {
        matches!(self.cause, Cause::Limit { .. } | Cause::Trap(_))
    }

    /// A stable word for programs: `plugin-limit`, `plugin-trap`, or the plugin's own code.
    pub fn code(&self) -> &str {
        match &self.cause {
            Cause::Limit { .. } => "plugin-limit",
            Cause::Trap(_) => "plugin-trap",
            Cause::Said(diagnostic) => &diagnostic.code,
            Cause::Cancelled => "cancelled",
            Cause::Host(_) => "host-error",
        }
    }
}

/// Memory that a component can have at all: its addresses have 32 bits.
const ADDRESSABLE: u64 = 4 << 30;

fn limit_message(quota: Quota, limit: u64) -> String {
    let name = quota.name();
    // A plugin that wished for a quarter of the usual would be advised to take the usual, which counts as not set.
    let factor = match limit.checked_mul(4) == Some(Limits::default().get(quota)) {
        true => 8,
        false => 4,
    };
    let (shown, larger) = match quota {
        Quota::Memory if limit >= ADDRESSABLE => {
            return format!(
                "it reached {} MiB of memory, all that a component can have",
                ADDRESSABLE >> 20
            );
        }
        Quota::Memory if limit >= 1 << 20 => (
            format!("{} MiB", limit >> 20),
            format!("{}MiB", (limit * factor).min(ADDRESSABLE) >> 20),
        ),
        Quota::Time => (
            format!("{} s", limit as f64 / 1e3),
            format!("{}s", (limit / 1000).max(1).saturating_mul(factor)),
        ),
        Quota::Stack => (
            format!("{} KiB", limit >> 10),
            format!("{}KiB", (limit >> 10) * factor),
        ),
        Quota::Handles | Quota::HostCalls | Quota::OutputFiles | Quota::Gpu => {
            (limit.to_string(), limit.saturating_mul(factor).to_string())
        }
        _ if limit >= 1 << 20 => (
            format!("{} MiB", limit >> 20),
            format!("{}MiB", (limit >> 20) * factor),
        ),
        _ => (format!("{limit} bytes"), limit.saturating_mul(factor).to_string()),
    };
    format!("it reached its limit `{name}` of {shown}; raise it with --plugin-limit {name}={larger}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_names_plugin_phase_page_limit_and_flag() {
        let failure = PluginFailure {
            plugin: "pdf-in".into(),
            version: "0.1.0".into(),
            phase: Phase::Page(3),
            cause: Cause::Limit {
                quota: Quota::Memory,
                limit: 512 << 20,
            },
            backtrace: Vec::new(),
        };
        assert_eq!(
            failure.to_string(),
            "plugin `pdf-in` 0.1.0 on page 3: it reached its limit `memory` of 512 MiB; raise it with \
             --plugin-limit memory=2048MiB"
        );
    }

    #[test]
    fn no_more_memory_is_advised_than_there_can_be() {
        let message = |mib: u64| limit_message(Quota::Memory, mib << 20);
        assert!(message(2048).ends_with("raise it with --plugin-limit memory=4096MiB"));
        assert_eq!(
            message(4096),
            "it reached 4096 MiB of memory, all that a component can have"
        );
        assert_eq!(message(1 << 40), message(4096));
        // The usual limit counts as not set, so it is never what is advised.
        assert!(message(192).ends_with("raise it with --plugin-limit memory=1536MiB"));
    }
}
