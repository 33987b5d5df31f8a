//! Compiled code, and where it is kept between runs: a folder that belongs to the user alone.
//!
//! Compiled components are trusted machine code, so this module is the runtime's only unsafe one, and what it loads
//! is only what this program made: [`CompiledCode`] comes out of this process's compiler or its child's. The folder is
//! made with mode 0700 and refused when it belongs to someone else or others may write to it; entries are written to a
//! temporary file and renamed, so that any number of processes may write the same; they are opened without following
//! links and without waiting for a pipe's writer; their names hold the digest of the component and the engine's
//! compatibility hash, and each begins with a digest over both and the code that follows, so that an entry that is torn,
//! altered or called like another is compiled anew. Users can't hand in compiled code: `Manifest::read` takes components
//! alone.

use crate::compile::CompileError;
use sha2::{Digest, Sha256};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes of the digest before the code.
const DIGEST_BYTES: usize = 32;

/// Longest entry that is read.
const ENTRY_BYTES: u64 = 1 << 30;

/// SHA-256 of a component.
pub(crate) struct Key(pub(crate) [u8; 32]);

/// Machine code that this program made of a component.
pub(crate) struct CompiledCode(Vec<u8>);

impl CompiledCode {
    /// Compiles in this process.
    pub(crate) fn here(engine: &Engine, component: &[u8]) -> Result<Self, CompileError> {
        let code = engine.precompile_component(component);
        code.map(Self)
            .map_err(|e| CompileError::Refused(crate::runtime::in_words(&e)))
    }

    /// What a child process of this very program has compiled.
    pub(crate) fn of_child(code: Vec<u8>) -> Self {
        Self(code)
    }
}

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

    /// Whether there is a place to keep code in.
    pub(crate) fn keeps(&self) -> bool {
        self.folder.is_some()
    }

    /// The component, where its code is kept.
    pub(crate) fn find(&self, engine: &Engine, key: &Key) -> Option<Component> {
        load_entry(engine, &self.path(key)?, &self.sealed(key))
    }

    /// Makes a component of its code and keeps that. A cache that can't be written costs time and nothing else.
    pub(crate) fn keep(
        &self,
        engine: &Engine,
        key: &Key,
        code: &CompiledCode,
    ) -> wasmtime::Result<Component> {
        if let Some(path) = self.path(key) {
            let _ = store_entry(&path, &self.sealed(key), &code.0);
        }
        load(engine, &code.0)
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        let name: String = key.0.iter().map(|b| format!("{b:02x}")).collect();
        Some(
            self.folder
                .as_ref()?
                .join(format!("{name}-{:016x}.code", self.compatibility)),
        )
    }

    /// A digest that has begun with what the entry is of.
    fn sealed(&self, key: &Key) -> Sha256 {
        let mut digest = Sha256::new();
        digest.update(key.0);
        digest.update(self.compatibility.to_le_bytes());
        digest
    }
}

/// Makes a component of code.
#[allow(unsafe_code)]
fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` needs bytes that wasmtime's compiler made and nobody altered. They are a `CompiledCode`,
    // which only this program's compiler makes, or an entry that was written from one into a folder that only this user
    // can write to (`is_private`) and whose digest is right (`load_entry`); wasmtime itself checks version and settings.
    // They are copied, so later changes of the file don't matter.
    unsafe { Component::deserialize(engine, code) }
}

fn load_entry(engine: &Engine, path: &Path, sealed: &Sha256) -> Option<Component> {
    let mut bytes = Vec::new();
    open(path).ok()?.take(ENTRY_BYTES).read_to_end(&mut bytes).ok()?;
    let (digest, code) = bytes.split_at_checked(DIGEST_BYTES)?;
    if sealed.clone().chain_update(code).finalize().as_slice() != digest {
        return None;
    }
    load(engine, code).ok()
}

/// Opens an entry: an ordinary file, not what a link leads to.
fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

fn store_entry(path: &Path, sealed: &Sha256, code: &[u8]) -> io::Result<()> {
    let folder = path.parent().expect("an entry lies in the folder");
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&sealed.clone().chain_update(code).finalize())?;
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

    struct Kept {
        folder: tempfile::TempDir,
        engine: Engine,
        cache: CodeCache,
        code: CompiledCode,
    }

    fn setup() -> Kept {
        let engine = Engine::default();
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::new(Some(folder.path().join("code")), &engine);
        let code = CompiledCode::here(&engine, &wat::parse_str(COMPONENT).unwrap());
        Kept {
            folder,
            engine,
            cache,
            code: code.unwrap_or_else(|e| panic!("{e}")),
        }
    }

    impl Kept {
        fn keep(&self, key: u8) -> PathBuf {
            self.cache
                .keep(&self.engine, &Key([key; 32]), &self.code)
                .unwrap();
            self.cache.path(&Key([key; 32])).unwrap()
        }

        fn finds(&self, key: u8) -> bool {
            self.cache.find(&self.engine, &Key([key; 32])).is_some()
        }
    }

    #[test]
    fn code_is_kept_and_no_altered_entry_is_loaded() {
        let kept = setup();
        let path = kept.keep(7);
        assert!(kept.finds(7));
        let whole = fs::read(&path).unwrap();
        for place in [0, DIGEST_BYTES, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(!kept.finds(7), "byte {place}");
        }
        for end in [0, 1, DIGEST_BYTES, whole.len() - 1] {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(!kept.finds(7), "{end} bytes");
        }
        kept.keep(7);
        assert!(kept.finds(7));
    }

    #[test]
    fn an_entry_of_another_component_is_not_taken_for_this_one() {
        let kept = setup();
        let (one, two) = (kept.keep(1), kept.keep(2));
        fs::copy(&one, &two).unwrap();
        assert!(kept.finds(1) && !kept.finds(2));
    }

    #[test]
    #[cfg(unix)]
    fn links_pipes_and_folders_are_no_entries() {
        let kept = setup();
        let (one, two) = (kept.keep(1), kept.keep(2));
        fs::remove_file(&two).unwrap();
        std::os::unix::fs::symlink(&one, &two).unwrap();
        assert!(!kept.finds(2));
        fs::remove_file(&two).unwrap();
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&two)
                .status()
                .unwrap()
                .success()
        );
        assert!(!kept.finds(2));
        fs::remove_file(&two).unwrap();
        fs::create_dir(&two).unwrap();
        assert!(!kept.finds(2));
        // What can't be kept is compiled each time.
        kept.cache.keep(&kept.engine, &Key([2; 32]), &kept.code).unwrap();
    }

    #[test]
    fn many_write_the_same_entry_at_once() {
        let kept = setup();
        std::thread::scope(|scope| {
            (0..8).for_each(|_| {
                scope.spawn(|| {
                    for _ in 0..20 {
                        kept.keep(3);
                        assert!(kept.finds(3));
                    }
                });
            });
        });
        assert_eq!(fs::read_dir(kept.folder.path().join("code")).unwrap().count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn a_folder_that_others_may_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let engine = Engine::default();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let cache = CodeCache::new(Some(folder.path().to_owned()), &engine);
        assert!(!cache.keeps() && cache.find(&engine, &Key([7; 32])).is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
