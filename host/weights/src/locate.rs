//! Where a model is on this machine.
//!
//! A model is looked for in our own models folder (`MODELS/NAME`), then in the cache that Python's `huggingface_hub`
//! shares. Of a cache's snapshots the one that `main` stands for comes first, then the newest complete one.

use crate::cache::{Repository, is_commit, is_revision};
use crate::map::{EXTENSION, INDEX, is_weight_file, read_index};
use crate::{HubModel, WeightsError};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Files that a model is nothing without, beside its weights.
pub(crate) const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];

/// Folders in which models may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Our own: each model in a folder of its name.
    pub models: Option<PathBuf>,
    /// The hub's cache.
    pub hub: Option<PathBuf>,
}

impl Places {
    /// The hub's cache as environment variables place it: `HF_HUB_CACHE`, else `HF_HOME/hub`, else
    /// `~/.cache/huggingface/hub` (`XDG_CACHE_HOME` for `~/.cache`). `models` is our own folder.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>, models: Option<PathBuf>) -> Self {
        let path = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || path("HOME").or_else(|| path("USERPROFILE"));
        let caches = || path("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")));
        let hf_home = || path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")));
        let hub = path("HF_HUB_CACHE").or_else(|| Some(hf_home()?.join("hub")));
        Self { models, hub }
    }
}

/// A model's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// With `config.json`, `tokenizer.json` and the safetensors.
    pub folder: PathBuf,
    /// Size of its files, bytes.
    pub size_bytes: u64,
}

/// What is known of a model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All files are there.
    Complete(Found),
    /// Some files are there.
    Incomplete {
        /// What is there.
        found: Found,
        /// Names of the files that are not.
        missing: Vec<String>,
    },
    /// Nothing is there.
    Absent {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
}

impl State {
    /// The folder, or the error that says what is missing and where it was looked for.
    pub fn complete(self, model: &HubModel) -> Result<Found, WeightsError> {
        let model = model.name.to_owned();
        match self {
            Self::Complete(found) => Ok(found),
            Self::Incomplete { found, missing } => Err(WeightsError::Incomplete {
                model,
                folder: found.folder,
                missing,
            }),
            Self::Absent { looked } => Err(WeightsError::Absent { model, looked }),
        }
    }

    /// The first complete of two, else the first that is anything.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (done @ Self::Complete(_), _) | (_, done @ Self::Complete(_)) => done,
            (Self::Absent { looked: mut all }, Self::Absent { looked }) => {
                all.extend(looked);
                Self::Absent { looked: all }
            }
            (Self::Absent { .. }, some) | (some, _) => some,
        }
    }
}

/// Looks for a model in all places. With a `revision` (branch, tag or commit), the hub's cache alone can answer.
pub fn locate(model: &HubModel, places: &Places, revision: Option<&str>) -> State {
    let nowhere = State::Absent { looked: Vec::new() };
    let own = places.models.as_ref().filter(|_| revision.is_none());
    let own = own.map_or(nowhere.clone(), |models| plain_folder(&models.join(model.name)));
    let hub = places.hub.as_ref();
    let hub = hub.map_or(nowhere, |cache| {
        in_repository(&Repository::new(cache, model.repository), revision)
    });
    own.or(hub)
}

/// Looks for a model in a folder that someone named: the model's own, a hub's cache, or a repository in one.
pub fn look_in(model: &HubModel, folder: &Path) -> State {
    let repository = Repository::new(folder, model.repository);
    if repository.folder.is_dir() {
        return in_repository(&repository, None);
    }
    if folder.join("snapshots").is_dir() {
        return in_repository(&Repository::at(folder.to_owned()), None);
    }
    plain_folder(folder)
}

fn in_repository(repository: &Repository, revision: Option<&str>) -> State {
    let folders = match revision {
        Some(revision) => commit(repository, revision).into_iter().collect(),
        None => {
            let main = repository.commit_of("main").map(|c| repository.snapshot(&c));
            main.into_iter().chain(repository.snapshots()).collect::<Vec<_>>()
        }
    };
    let nothing = State::Absent {
        looked: vec![repository.folder.clone()],
    };
    // Absent snapshots add nothing to what was looked at.
    let states = folders.iter().map(|folder| plain_folder(folder));
    let some = states.filter(|state| !matches!(state, State::Absent { .. }));
    some.fold(None, |best: Option<State>, state| {
        Some(best.map_or(state.clone(), |b| b.or(state)))
    })
    .unwrap_or(nothing)
}

/// The snapshot that a branch, tag or commit means.
fn commit(repository: &Repository, revision: &str) -> Option<PathBuf> {
    let named = || {
        let named = is_revision(revision).then(|| repository.commit_of(revision));
        named.flatten()
    };
    let commit = is_commit(revision).then(|| revision.to_owned()).or_else(named)?;
    Some(repository.snapshot(&commit))
}

/// The state of a model whose files lie in `folder` itself.
pub(crate) fn plain_folder(folder: &Path) -> State {
    let found = Found {
        folder: folder.to_owned(),
        size_bytes: files(folder).iter().map(|(_, bytes)| bytes).sum(),
    };
    let missing = missing(folder);
    match missing.is_empty() {
        true => State::Complete(found),
        false if found.size_bytes > 0 => State::Incomplete { found, missing },
        false => State::Absent {
            looked: vec![folder.to_owned()],
        },
    }
}

/// Names of the needed files that are not there. A link to a file that is gone is not there.
fn missing(folder: &Path) -> Vec<String> {
    let there: BTreeSet<String> = files(folder).into_iter().map(|(name, _)| name).collect();
    let mut needed: BTreeSet<String> = NEEDED.map(str::to_owned).into();
    match read_index(folder) {
        Ok(Some(index)) => needed.extend(index.into_values()),
        Ok(None) if there.iter().any(|name| is_weight_file(name)) => (),
        Ok(None) => _ = needed.insert(format!("*{EXTENSION}")),
        // An index that is no index: it has to come anew.
        Err(_) => _ = needed.insert(INDEX.into()),
    }
    needed.difference(&there).cloned().collect::<Vec<_>>()
}

/// Names and sizes of the files in a folder, links followed.
pub(crate) fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let file = |entry: std::fs::DirEntry| {
        let about = std::fs::metadata(entry.path()).ok().filter(|m| m.is_file())?;
        Some((entry.file_name().into_string().ok()?, about.len()))
    };
    entries.filter_map(|entry| file(entry.ok()?)).collect()
}
