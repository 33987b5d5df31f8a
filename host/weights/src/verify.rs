//! Reads files again and compares their digests.
//!
//! In a hub's cache a file is a link to a blob that is called by its digest: SHA-256 for large files, git's SHA-1 for
//! small ones. Files in a plain folder have no digest to compare with; they are counted and left to other checks.

use crate::WeightsError;
use crate::cache::is_hex;
use crate::locate::files;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A digest that a file should have, hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// SHA-256 of the content.
    Sha256(String),
    /// SHA-1 as git names content: over `blob`, the size, a zero byte and the content.
    Git(String),
}

impl Expected {
    /// What a blob of this name should have.
    pub fn from_blob_name(name: &str) -> Option<Self> {
        match name.len() {
            64 if is_hex(name) => Some(Self::Sha256(name.into())),
            40 if is_hex(name) => Some(Self::Git(name.into())),
            _ => None,
        }
    }

    pub fn hex(&self) -> &str {
        let (Self::Sha256(hex) | Self::Git(hex)) = self;
        hex
    }

    /// The digest of this kind that the file has, hex. `hear` hears of the bytes of each read.
    pub fn of_file(&self, path: &Path, hear: &mut dyn FnMut(u64)) -> Result<String, WeightsError> {
        let file = File::open(path).map_err(WeightsError::io("open", path))?;
        let digested = match self {
            Self::Sha256(_) => digest(Sha256::new(), file, hear),
            Self::Git(_) => file.metadata().and_then(|about| {
                let start = Sha1::new_with_prefix(format!("blob {}\0", about.len()));
                digest(start, file, hear)
            }),
        };
        digested.map_err(WeightsError::io("read", path))
    }
}

fn digest(mut digest: impl Digest, mut file: File, hear: &mut dyn FnMut(u64)) -> std::io::Result<String> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => {
                digest.update(&buffer[..n]);
                hear(n as u64);
            }
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// What [`verify`] looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files that have the digest they should have.
    pub right: usize,
    /// Files of which no digest is known.
    pub unknown: usize,
}

/// Reads all files of a model's folder and compares their digests. `progress` hears bytes done and bytes in all.
pub fn verify(folder: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Checked, WeightsError> {
    let files = files(folder);
    let total = files.iter().map(|(_, bytes)| bytes).sum();
    let (mut checked, mut done) = (Checked::default(), 0);
    for (name, bytes) in files {
        let path = folder.join(name);
        let blob = std::fs::read_link(&path).ok();
        let blob_name = blob.as_ref().and_then(|b| b.file_name()?.to_str());
        let Some(expected) = blob_name.and_then(Expected::from_blob_name) else {
            checked.unknown += 1;
            done += bytes;
            continue;
        };
        let got = expected.of_file(&path, &mut |n| {
            done += n;
            progress(done, total);
        })?;
        if got != expected.hex() {
            let blob = path.canonicalize().unwrap_or_else(|_| path.clone());
            return Err(WeightsError::Digest {
                path,
                got,
                expected: expected.hex().into(),
                remedy: format!(
                    "delete {} and run `ocr-host models fetch deepseek-ocr`",
                    blob.display()
                ),
            });
        }
        checked.right += 1;
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_git() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "hello\n").unwrap();
        // `printf 'hello\n' | sha256sum` and `| git hash-object --stdin`.
        for hex in [
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        ] {
            let expected = Expected::from_blob_name(hex).unwrap();
            assert_eq!(expected.of_file(&path, &mut |_| ()).unwrap(), hex);
        }
        assert_eq!(Expected::from_blob_name(&"g".repeat(64)), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_changed_blob_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blob = folder.path().join("ce013625030ba8dba906f756967f9e9ca394464a");
        std::fs::write(&blob, "hello\n").unwrap();
        let snapshot = folder.path().join("snapshot");
        std::fs::create_dir(&snapshot).unwrap();
        std::os::unix::fs::symlink(&blob, snapshot.join("config.json")).unwrap();
        std::fs::write(snapshot.join("plain"), "x").unwrap();
        let mut heard = (0, 0);
        let checked = verify(&snapshot, &mut |done, total| heard = (done, total)).unwrap();
        assert_eq!(checked, Checked { right: 1, unknown: 1 });
        assert_eq!(heard.1, 7);
        std::fs::write(&blob, "jello\n").unwrap();
        let error = verify(&snapshot, &mut |_, _| ()).unwrap_err().to_string();
        assert!(
            error.contains("config.json has the digest") && error.contains("delete"),
            "{error}"
        );
    }
}
