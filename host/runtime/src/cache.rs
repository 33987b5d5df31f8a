//! Compiled code, kept between runs in a folder that belongs to the user alone.
//!
//! Compiled components are trusted machine code, so this module is the runtime's only unsafe one, and what it loads
//! is only what this program wrote: the folder is made with mode 0700 and refused when it belongs to someone else
//! or others may write to it; entries are written to a temporary file and renamed; their names hold the digest of
//! the component, the engine's compatibility hash, and each entry begins with a digest of the code that follows, so
//! that a torn or altered file is compiled anew. Users can't hand in compiled code: `Manifest::read` takes
//! components alone.

use sha2::{Digest, Sha256};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of the digest before the code.
const DIGEST_BYTES: usize = 32;

pub(crate) struct CodeCache {
    folder: Option<PathBuf>,
    compatibility: u64,
}

impl CodeCache {
    pub(crate) fn new(folder: Option<PathBuf>, engine: &Engine) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let folder = folder.filter(|folder| is_private(folder));
        Self {
            folder,
            compatibility: hasher.finish(),
        }
    }

    /// The component, from the cache or compiled now. A cache that can't be used costs time and nothing else.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        component: &[u8],
        digest: &[u8; 32],
    ) -> wasmtime::Result<Component> {
        let Some(folder) = &self.folder else {
            return Component::from_binary(engine, component);
        };
        let name: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        let path = folder.join(format!("{name}-{:016x}.code", self.compatibility));
        if let Some(compiled) = load_entry(engine, &path) {
            return Ok(compiled);
        }
        let compiled = Component::from_binary(engine, component)?;
        if let Ok(code) = compiled.serialize() {
            let _ = store_entry(folder, &path, &code);
        }
        Ok(compiled)
    }
}

#[allow(unsafe_code)]
fn load_entry(engine: &Engine, path: &Path) -> Option<Component> {
    let bytes = fs::read(path).ok()?;
    let (digest, code) = bytes.split_at_checked(DIGEST_BYTES)?;
    if Sha256::digest(code).as_slice() != digest {
        return None;
    }
    // SAFETY: `deserialize` needs bytes that `Component::serialize` made and nobody altered. They lie in a folder
    // that only this user can write to (`is_private`), they match the digest written with them, and wasmtime itself
    // checks version and settings. They are copied, so later changes of the file don't matter.
    unsafe { Component::deserialize(engine, code) }.ok()
}

fn store_entry(folder: &Path, path: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    file.persist(path)?;
    Ok(())
}

/// Makes the folder if it is missing; whether it belongs to this user and nobody else may write to it.
#[cfg(unix)]
fn is_private(folder: &Path) -> bool {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    // A file that we make belongs to the user we run as; the folder must belong to the same.
    let ours = tempfile::NamedTempFile::new_in(folder).and_then(|f| f.as_file().metadata());
    match (fs::symlink_metadata(folder), ours) {
        (Ok(meta), Ok(ours)) => meta.is_dir() && meta.uid() == ours.uid() && meta.mode() & 0o022 == 0,
        _ => false,
    }
}

/// Elsewhere the user's own cache folder is private by the system's defaults.
#[cfg(not(unix))]
fn is_private(folder: &Path) -> bool {
    fs::create_dir_all(folder).is_ok()
}

/// Whether compiled code can be kept in `folder`, which is made where it is missing.
pub fn keeps_code(folder: &Path) -> bool {
    is_private(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &str = "(component (core module (func (export \"f\"))))";

    fn setup() -> (tempfile::TempDir, Engine, Vec<u8>) {
        let engine = Engine::default();
        let folder = tempfile::tempdir().unwrap();
        (folder, engine, wat::parse_str(COMPONENT).unwrap())
    }

    fn entries(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect()
    }

    #[test]
    fn code_is_kept_and_a_tampered_entry_is_compiled_anew() {
        let (folder, engine, wasm) = setup();
        let cache = CodeCache::new(Some(folder.path().join("code")), &engine);
        cache.load(&engine, &wasm, &[7; 32]).unwrap();
        let path = entries(&folder.path().join("code")).remove(0);
        assert!(load_entry(&engine, &path).is_some());
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(load_entry(&engine, &path).is_none());
        cache.load(&engine, &wasm, &[7; 32]).unwrap();
        assert!(load_entry(&engine, &path).is_some());
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_that_others_may_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, engine, wasm) = setup();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let cache = CodeCache::new(Some(folder.path().to_owned()), &engine);
        cache.load(&engine, &wasm, &[7; 32]).unwrap();
        assert!(entries(folder.path()).is_empty());
    }
}
