//! What a component of a script language was made of, as one digest.
//!
//! Neither Python's nor JavaScript's toolchain makes the same bytes twice: both snapshot an interpreter whose hash seeds come from the
//! machine. Hence a component carries the digest of its sources, and is made anew only where that has changed; compiled code,
//! which is kept by the component's own digest, stays useful.

use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Name of the custom section that holds the digest.
const SECTION: &str = "ocr-host:sources";

/// Folders that hold nothing a component is made of.
const OTHER: [&str; 6] = [
    "node_modules",
    "target",
    "test",
    "tests",
    "__pycache__",
    "dist-info",
];

/// Collects what a component is made of.
pub(super) struct Sources(Sha256);

impl Sources {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Something besides files: the toolchain's version, the manifest.
    pub(super) fn add(&mut self, what: &str, value: &[u8]) {
        for part in [what.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// All files below a folder, but for hidden ones, tests, texts for people and components.
    pub(super) fn add_folder(&mut self, folder: &Path) -> Result<(), String> {
        let mut files = Vec::new();
        collect(folder, &mut files).map_err(|e| format!("{}: {e}", folder.display()))?;
        files.sort();
        for file in files {
            let bytes = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let name = file
                .strip_prefix(folder)
                .unwrap_or(&file)
                .to_string_lossy()
                .into_owned();
            self.add(&name, &bytes);
        }
        Ok(())
    }

    pub(super) fn digest(self) -> String {
        self.0.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if name.starts_with('.') || name.ends_with(".wasm") || name.ends_with(".md") {
            continue;
        }
        if kind.is_dir() && !OTHER.iter().any(|other| name.ends_with(other)) {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Writes the digest into a component.
pub(super) fn mark(component: &mut Vec<u8>, digest: &str) {
    crate::encode::push_section(component, SECTION, digest.as_bytes());
}

/// Whether a component was made of just these sources.
pub(super) fn is_made_of(component: &[u8], digest: &str) -> bool {
    let found = crate::manifest::custom_section(component, SECTION);
    matches!(found, Ok(Some(section)) if section == digest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(folder: &Path) -> String {
        let mut sources = Sources::new();
        sources.add("tool", b"1");
        sources.add_folder(folder).unwrap();
        sources.digest()
    }

    #[test]
    fn sources_and_nothing_else_change_the_digest() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/a.py", "a");
        let before = digest(folder.path());
        for other in [
            "README.md",
            "tests/t.py",
            "x.wasm",
            ".git/HEAD",
            "src/__pycache__/a.pyc",
        ] {
            write(other, "b");
        }
        assert_eq!(digest(folder.path()), before);
        write("src/b.py", "");
        let with_empty = digest(folder.path());
        assert_ne!(with_empty, before);
        write("src/b.py", "b");
        assert_ne!(digest(folder.path()), with_empty);
    }

    #[test]
    fn components_know_their_sources() {
        let mut component = vec![0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        assert!(!is_made_of(&component, "12"));
        mark(&mut component, "12");
        assert!(is_made_of(&component, "12") && !is_made_of(&component, "13"));
    }
}
