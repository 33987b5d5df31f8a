//! Plugins that the user has installed: components named by their digest, and a lock file that lists them.
//!
//! `plugins.lock` in the user's data folder is the list, in TOML; the components lie in `plugins/SHA256.wasm` beside it.
//! Installing writes the component first and then replaces the lock file in one step, so whoever reads sees the old plugin
//! or the new one. A component is held against its digest each time it is loaded.

use crate::exit::{Exit, Failed};
use ocr_runtime::{Manifest, World, read_component, suggest};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Version of the lock file's format.
const FORMAT: u32 = 1;

/// Largest lock file; one of a thousand plugins takes 300 KB.
const LOCK_BYTES: u64 = 4 << 20;

/// The user's installed plugins.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// An installed plugin, as the lock file lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Installed {
    /// As `--plugin` and `--to` name it.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// What it is.
    pub world: World,
    /// Further names for `--to`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// SHA-256 of the component, 64 hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Where it came from.
    pub source: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    version: u32,
    #[serde(default)]
    plugin: Vec<Installed>,
}

impl Store {
    /// The store in the user's data folder; `OCR_HOST_DATA` names another.
    pub fn of_user() -> Option<Self> {
        let named = std::env::var_os("OCR_HOST_DATA")
            .filter(|f| !f.is_empty())
            .map(PathBuf::from);
        let folder = named.or_else(|| Some(dirs::data_dir()?.join("ocr-host")))?;
        Some(Self { folder })
    }

    /// The same, or why there is none.
    pub fn required() -> Result<Self, Failed> {
        Self::of_user().ok_or_else(|| {
            let why = "there is no home folder to keep plugins in; name a folder in OCR_HOST_DATA";
            Failed::new(Exit::FileAccess, why)
        })
    }

    /// The lock file.
    pub fn lock_file(&self) -> PathBuf {
        self.folder.join("plugins.lock")
    }

    fn component_file(&self, sha256: &str) -> PathBuf {
        self.folder.join("plugins").join(format!("{sha256}.wasm"))
    }

    /// All installed plugins, by name.
    pub fn list(&self) -> Result<Vec<Installed>, Failed> {
        let path = self.lock_file();
        let wrong = |why: String| {
            let why = format!(
                "{}: {why}; mend it, or remove it and install your plugins again",
                path.display()
            );
            Failed::new(Exit::Config, why)
        };
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrong(error.to_string())),
            Ok(meta) if !meta.is_file() || meta.len() > LOCK_BYTES => {
                return Err(wrong("it is no list of plugins".to_owned()));
            }
            Ok(_) => fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?,
        };
        let read: LockFile = toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        if read.version != FORMAT {
            return Err(wrong(format!(
                "its version is {}, this program knows {FORMAT}",
                read.version
            )));
        }
        let digest =
            |text: &str| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match read.plugin.iter().find(|p| !digest(&p.sha256)) {
            Some(bad) => Err(wrong(format!(
                "the sha256 of `{}` is no digest",
                bad.name.escape_debug()
            ))),
            None => Ok(read.plugin),
        }
    }

    /// The installed plugin called `name`.
    pub fn find(&self, name: &str) -> Result<Option<Installed>, Failed> {
        Ok(self.list()?.into_iter().find(|p| p.name == name))
    }

    /// The component of an installed plugin, once it is what was installed.
    pub fn component(&self, plugin: &Installed) -> Result<Vec<u8>, Failed> {
        let path = self.component_file(&plugin.sha256);
        let again = format!("install it again from {}", plugin.source);
        let missing = |why: String| {
            let why = format!("installed plugin `{}`: {why}; {again}", plugin.name);
            Failed::new(Exit::MissingDependency, why)
        };
        let component = read_component(&path).map_err(|e| missing(e.to_string()))?;
        let found = sha256(&component);
        if found != plugin.sha256 {
            return Err(missing(format!(
                "{} was changed since it was installed: its sha256 is {found}, {} has {}",
                path.display(),
                self.lock_file().display(),
                plugin.sha256
            )));
        }
        Ok(component)
    }

    /// Installs a component whose manifest was read from it; answers the plugin and what it replaces.
    pub fn install(
        &self,
        component: &[u8],
        manifest: &Manifest,
        source: &str,
    ) -> Result<(Installed, Option<Installed>), Failed> {
        let _one_at_a_time = self.guard()?;
        let mut list = self.list()?;
        let plugin = Installed {
            name: manifest.id.clone(),
            version: manifest.version.clone(),
            world: manifest.world,
            aliases: manifest.aliases.clone(),
            sha256: sha256(component),
            bytes: component.len() as u64,
            source: source.to_owned(),
        };
        let others = list.iter().filter(|p| p.name != plugin.name);
        let names = |p: &Installed| p.aliases.iter().chain([&p.name]).cloned().collect::<Vec<_>>();
        for other in others {
            if let Some(taken) = names(&plugin).iter().find(|name| names(other).contains(name)) {
                let why = format!(
                    "plugin `{}` answers to `{taken}`, and so does the installed plugin `{}`; remove that one first \
                     with `ocr-host plugin remove {}`",
                    plugin.name, other.name, other.name
                );
                return Err(Failed::new(Exit::Arguments, why));
            }
        }
        let path = self.component_file(&plugin.sha256);
        place(&path, component).map_err(|e| failed(&path, e))?;
        let replaced = list
            .iter()
            .position(|p| p.name == plugin.name)
            .map(|at| list.remove(at));
        list.push(plugin.clone());
        self.write(list)?;
        if let Some(old) = &replaced {
            self.discard(old)?;
        }
        Ok((plugin, replaced))
    }

    /// Removes an installed plugin.
    pub fn remove(&self, name: &str) -> Result<Installed, Failed> {
        let _one_at_a_time = self.guard()?;
        let mut list = self.list()?;
        let Some(at) = list.iter().position(|p| p.name == name) else {
            let near = suggest::hint(name, list.iter().map(|p| p.name.as_str()));
            let names: Vec<&str> = list.iter().map(|p| p.name.as_str()).collect();
            let why = match names.is_empty() {
                true => format!("plugin `{name}` is not installed; nothing is"),
                false => format!(
                    "plugin `{name}` is not installed; installed are {}{near}",
                    names.join(", ")
                ),
            };
            return Err(Failed::new(Exit::Arguments, why));
        };
        let removed = list.remove(at);
        self.write(list)?;
        self.discard(&removed)?;
        Ok(removed)
    }

    /// Removes a component that no plugin of the list needs any more.
    fn discard(&self, old: &Installed) -> Result<(), Failed> {
        if self.list()?.iter().any(|p| p.sha256 == old.sha256) {
            return Ok(());
        }
        let path = self.component_file(&old.sha256);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(()),
        }
    }

    fn write(&self, mut list: Vec<Installed>) -> Result<(), Failed> {
        list.sort_by(|a, b| a.name.cmp(&b.name));
        let lock = LockFile {
            version: FORMAT,
            plugin: list,
        };
        let path = self.lock_file();
        let text = toml::to_string(&lock).map_err(|e| failed(&path, std::io::Error::other(e)))?;
        let head = "# Plugins that `ocr-host plugin install` has installed. Their digests are checked at each load.\n";
        place(&path, format!("{head}{text}").as_bytes()).map_err(|e| failed(&path, e))
    }

    /// Keeps other processes from changing the list at the same time.
    fn guard(&self) -> Result<File, Failed> {
        let path = self.folder.join(".lock");
        let lock = || {
            fs::create_dir_all(&self.folder)?;
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|e| failed(&path, e))
    }
}

fn failed(path: &Path, error: std::io::Error) -> Failed {
    Failed::new(Exit::FileAccess, format!("{}: {error}", path.display()))
}

/// Writes a file beside its place and moves it there, so that nobody sees half of it.
fn place(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// A digest as lock files and messages show it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(id: &str, version: &str, alias: &str) -> Manifest {
        let json = format!(
            r#"{{"id":"{id}","version":"{version}","world":"output-formatter","wit":"0.1.0","extensions":["x"],"aliases":["{alias}"]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store {
            folder: folder.path().join("data"),
        };
        (folder, store)
    }

    fn components(store: &Store) -> usize {
        fs::read_dir(store.folder.join("plugins")).unwrap().count()
    }

    #[test]
    fn what_is_installed_is_found_replaced_and_removed() {
        let (_folder, store) = store();
        assert!(store.list().unwrap().is_empty());
        let (first, replaced) = store
            .install(b"one", &manifest("tidy", "1", "t"), "a.wasm")
            .unwrap();
        assert!(replaced.is_none());
        assert_eq!(store.component(&first).unwrap(), b"one");
        let (second, replaced) = store
            .install(b"two", &manifest("tidy", "2", "t"), "b.wasm")
            .unwrap();
        assert_eq!(replaced, Some(first));
        assert_eq!(
            (store.find("tidy").unwrap(), components(&store)),
            (Some(second.clone()), 1)
        );
        // One component under two names stays until nobody needs it.
        store
            .install(b"two", &manifest("neat", "2", "n"), "b.wasm")
            .unwrap();
        store.remove("neat").unwrap();
        assert_eq!(store.component(&second).unwrap(), b"two");
        store.remove("tidy").unwrap();
        assert_eq!((store.list().unwrap().len(), components(&store)), (0, 0));
        let error = format!("{:#}", store.remove("tidy").unwrap_err().error);
        assert!(error.contains("nothing is"), "{error}");
    }

    #[test]
    fn a_name_that_another_answers_to_is_refused() {
        let (_folder, store) = store();
        store.install(b"one", &manifest("tidy", "1", "t"), "a").unwrap();
        for (id, alias) in [("t", "u"), ("neat", "tidy"), ("neat", "t")] {
            let error = store.install(b"two", &manifest(id, "1", alias), "b").unwrap_err();
            let error = format!("{:#}", error.error);
            assert!(error.contains("plugin remove tidy"), "{error}");
        }
    }

    #[test]
    fn what_was_tampered_with_is_told_of() {
        let (_folder, store) = store();
        let (plugin, _) = store
            .install(b"one", &manifest("tidy", "1", "t"), "a.wasm")
            .unwrap();
        fs::write(store.component_file(&plugin.sha256), b"evil").unwrap();
        let error = format!("{:#}", store.component(&plugin).unwrap_err().error);
        assert!(
            error.contains("was changed since") && error.contains("install it again from a.wasm"),
            "{error}"
        );
        fs::remove_file(store.component_file(&plugin.sha256)).unwrap();
        assert!(store.component(&plugin).is_err());
        // A digest is part of a path, so it is one.
        let text = fs::read_to_string(store.lock_file()).unwrap();
        fs::write(
            store.lock_file(),
            text.replace(&plugin.sha256, "../../etc/passwd"),
        )
        .unwrap();
        let error = format!("{:#}", store.list().unwrap_err().error);
        assert!(error.contains("no digest"), "{error}");
        fs::write(store.lock_file(), "version = 1\nplugins = 3\n").unwrap();
        let error = format!("{:#}", store.list().unwrap_err().error);
        assert!(
            error.contains("line 2") && error.contains("install your plugins again"),
            "{error}"
        );
    }
}
