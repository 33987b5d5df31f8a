//! The layout of a Hugging Face cache, which Python tools share: `models--OWNER--NAME/` with `refs/REVISION` (a
//! commit), `snapshots/COMMIT/FILE` (links) and `blobs/DIGEST` (the files).
//!
//! Names and layout are those of huggingface_hub (`file_download.py`), so that what one program fetched the other finds.
//! Names that come from a server become paths here alone, after they were checked.

use crate::WeightsError;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A repository's folder in a cache.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    /// `CACHE/models--OWNER--NAME`.
    pub folder: PathBuf,
    /// `CACHE/.locks/models--OWNER--NAME`.
    locks: PathBuf,
}

impl Repository {
    /// `repository` is `OWNER/NAME`.
    pub fn new(cache: &Path, repository: &str) -> Self {
        Self::at(cache.join(format!("models--{}", repository.replace('/', "--"))))
    }

    /// The repository whose folder this is.
    pub fn at(folder: PathBuf) -> Self {
        let cache = folder.parent().unwrap_or(Path::new(""));
        let locks = cache.join(".locks").join(folder.file_name().unwrap_or_default());
        Self { folder, locks }
    }

    /// The folder of a commit's files.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where the content of digest `digest` is kept.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(digest)
    }

    /// The commit that a branch or tag stood for when it was last asked about.
    pub fn commit_of(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// All snapshots, newest first.
    pub fn snapshots(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join("snapshots"));
        let mut found: Vec<_> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let changed = entry.metadata().ok()?.modified().ok()?;
                entry.path().is_dir().then(|| (changed, entry.path()))
            })
            .collect();
        found.sort();
        found.into_iter().rev().map(|(_, path)| path).collect()
    }

    /// Notes which commit a branch or tag stands for.
    pub fn note_commit(&self, revision: &str, commit: &str) -> Result<(), WeightsError> {
        if revision == commit {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        make_parent(&path)?;
        replace(&path, |aside| fs::write(aside, commit))
    }

    /// Makes `name` of the snapshot of `commit` stand for a blob.
    pub fn link(&self, commit: &str, name: &str, digest: &str) -> Result<(), WeightsError> {
        let path = self.snapshot(commit).join(name);
        make_parent(&path)?;
        let target = Path::new("../../blobs").join(digest);
        if fs::read_link(&path).is_ok_and(|found| found == target) {
            return Ok(());
        }
        replace(&path, |aside| link(&target, &self.blob(digest), aside))
    }

    /// Holds off other programs that fetch the same blob, until the answer is dropped.
    pub fn lock(&self, digest: &str) -> Result<File, WeightsError> {
        let path = self.locks.join(format!("{digest}.lock"));
        make_parent(&path)?;
        let file = File::create(&path).map_err(WeightsError::io("create", &path))?;
        file.lock().map_err(WeightsError::io("lock", &path))?;
        Ok(file)
    }
}

#[cfg(unix)]
fn link(target: &Path, _blob: &Path, aside: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, aside)
}

/// Links take a privilege on Windows; a second name for the same file does not.
#[cfg(not(unix))]
fn link(_target: &Path, blob: &Path, aside: &Path) -> std::io::Result<()> {
    fs::hard_link(blob, aside)
}

/// Makes a file aside and renames it, so that `path` is always old or new and whole. Its name is no other's, neither of
/// another process nor of another fetch in this one.
fn replace(path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), WeightsError> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let mut aside = path.as_os_str().to_owned();
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    aside.push(format!(".{}.{number}.aside", std::process::id()));
    let aside = PathBuf::from(aside);
    match fs::remove_file(&aside) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(WeightsError::io("remove", &aside)(e)),
        _ => (),
    }
    make(&aside).map_err(WeightsError::io("create", &aside))?;
    fs::rename(&aside, path).map_err(WeightsError::io("replace", path))
}

/// Makes the folder that `path` lies in.
pub(crate) fn make_parent(path: &Path) -> Result<(), WeightsError> {
    let parent = path.parent().expect("paths in a cache have parents");
    fs::create_dir_all(parent).map_err(WeightsError::io("make folder", parent))
}

/// Whether `name` names a file in a folder and nothing else: no path, nothing hidden, nothing to encode in an address.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=255).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
}

/// Whether `name` could be of a branch or tag: plain names with slashes between.
pub(crate) fn is_revision(name: &str) -> bool {
    name.split('/').all(is_plain)
}

/// Whether `text` is a commit's full name.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_hex(text)
}

/// Whether `text` is hexadecimal, lower case, as digests are written here.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_paths() {
        for name in ["config.json", "model-00001-of-000001.safetensors", "a_b"] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "", ".", "..", ".hidden", "a/b", "../a", "/a", "a\\b", "C:a", "a\0", "a b", "a%2f",
        ] {
            assert!(!is_plain(name), "{name}");
        }
        assert!(is_revision("refs/pr/1") && !is_revision("refs/../x") && !is_revision("/main"));
        assert!(!is_revision("main/") && !is_revision(""));
    }

    #[test]
    fn links_are_relative_and_can_be_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(cache.path(), "owner/name");
        let commit = "0".repeat(40);
        fs::create_dir_all(repository.folder.join("blobs")).unwrap();
        for content in ["one", "two"] {
            fs::write(repository.blob(content), content).unwrap();
            repository.link(&commit, "a", content).unwrap();
            let path = repository.snapshot(&commit).join("a");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            #[cfg(unix)]
            assert!(fs::read_link(&path).unwrap().starts_with("../../blobs"));
        }
        repository.note_commit("main", &commit).unwrap();
        assert_eq!(repository.commit_of("main"), Some(commit));
        assert!(repository.folder.ends_with("models--owner--name"));
    }
}
