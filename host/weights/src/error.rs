//! What can go wrong with model files.

use std::path::PathBuf;

/// An error about model files; each says which file or model and what to try.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The model is not on this machine.
    #[error("model `{model}` is not on this machine: {}; run `ocr-host models fetch {model}`", searched(.looked))]
    Absent {
        /// Its name.
        model: String,
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// Files of the model are missing.
    #[error(
        "model `{model}` in {} is incomplete: {} missing; run `ocr-host models fetch {model}` and leave --model FOLDER \
         out, or put the published files into that folder", folder.display(), listed(.missing)
    )]
    Incomplete {
        /// Its name.
        model: String,
        /// Its folder.
        folder: PathBuf,
        /// The files that are not there.
        missing: Vec<String>,
    },
    /// A file could not be read, written, locked or moved.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was being done to it.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what its format demands: truncated, overlapping, of unknown types.
    #[error(
        "{} is damaged: {reason}; delete it and run `ocr-host models fetch deepseek-ocr`, leaving --model FOLDER out, or \
         put the published file in its place", path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The tensors are not those of the model.
    #[error("{}: {reason}; is this another model? `ocr-host models fetch deepseek-ocr` fetches the right one", folder.display())]
    Mismatch {
        /// The model's folder.
        folder: PathBuf,
        /// How they differ.
        reason: String,
    },
    /// A tensor was asked for that the files do not have.
    #[error("{} has no tensor `{name}`", folder.display())]
    NoTensor {
        /// The model's folder.
        folder: PathBuf,
        /// The tensor's name.
        name: String,
    },
    /// The digest of a file is not the one it should have.
    #[error("{} has the digest {got}, not {expected}; {remedy}", path.display())]
    Digest {
        /// Which file.
        path: PathBuf,
        /// What it has, hex.
        got: String,
        /// What it should have, hex.
        expected: String,
        /// What to do about it.
        remedy: String,
    },
    /// The model would have to be fetched, and that was ruled out.
    #[error(
        "model `{model}` is not complete in {} and may not be fetched: {why}; leave --offline out and unset \
         HF_HUB_OFFLINE, or name the cache that has it with --cache-dir", cache.display()
    )]
    Offline {
        /// Its name.
        model: String,
        /// The cache.
        cache: PathBuf,
        /// What rules it out.
        why: String,
    },
    /// The hub could not be reached, refused, or answered nonsense.
    #[error("fetching {what}: {reason}")]
    Hub {
        /// Address of what was asked for.
        what: String,
        /// What happened and what to try.
        reason: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// A tensor could not be made.
    #[error("tensor `{name}`: {source}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why not.
        source: candle_core::Error,
    },
}

impl WeightsError {
    /// For `map_err` on file operations.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

fn searched(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
    match places[..] {
        [] => "there is no home folder to look in".into(),
        _ => format!("looked in {}", places.join(", ")),
    }
}

/// A few names and how many more there are: `a, b, c and 7 more`.
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    /// Enough to see what is the matter.
    const FEW: usize = 4;
    let few: Vec<&str> = names.iter().take(FEW).map(AsRef::as_ref).collect();
    match names.len() - few.len() {
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(listed(&["a", "b"]), "a, b");
        assert_eq!(listed(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
    }
}
