//! What can go wrong when the engine is made or a network runs.

use std::path::PathBuf;

/// Why the engine could not be made, fetched or run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of the models folder could not be read.
    #[error("can't read {path}: {source}; give a folder that holds the engine's weights")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A network's file is no network we can run.
    #[error("can't load network `{name}`: {reason}")]
    Load {
        /// Which network.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A network failed while it ran.
    #[error("network `{name}` failed: {reason}")]
    Run {
        /// Which network.
        name: String,
        /// What it said.
        reason: String,
    },
    /// The binary was built without weights and no folder was named.
    #[error("this build carries no weights; name a models folder or build with feature `embedded-models`")]
    NoWeights,
    /// Optional weights could not be fetched.
    #[error("can't fetch `{name}`: {reason}")]
    Fetch {
        /// Which weights.
        name: String,
        /// What went wrong and what to try.
        reason: String,
    },
}
