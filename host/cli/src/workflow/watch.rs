//! `--watch`: new files in the inputs, and files that a run was made of and that have changed.

use crate::exit::Failed;
use crate::inputs::{self, Input};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What tells one state of a file from another; `None`: it is not there.
pub type Stamp = Option<(u64, SystemTime, u64)>;

/// Files with their stamps.
pub type Stamps = BTreeMap<PathBuf, Stamp>;

/// A file's present state.
pub fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let identity = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let identity = 0;
    Some((meta.len(), meta.modified().ok()?, identity))
}

/// Whether one of them is not as it was.
pub fn have_changed(stamps: &Stamps) -> bool {
    stamps.iter().any(|(path, before)| stamp(path) != *before)
}

/// Looks at inputs again and again, and hands out each file once it stays as it is.
#[derive(Default)]
pub struct Watch {
    /// Files that were seen, and whether they were handed out in that state.
    seen: HashMap<PathBuf, (Stamp, bool)>,
}

impl Watch {
    /// Files that are new, or changed, and were the same a look ago: who is still writing goes on.
    pub fn look(
        &mut self,
        typed: &[String],
        extensions: &[String],
        output: Option<&Path>,
    ) -> Result<Vec<Input>, Failed> {
        // An empty folder, a pattern that nothing fits yet, or a file that is to come is no mistake here.
        let some = |text: &&String| {
            let found = inputs::expand(std::slice::from_ref(*text), extensions, output);
            found.is_ok_and(|found| found.iter().any(|input| input.path().is_some_and(Path::exists)))
        };
        let typed: Vec<String> = typed.iter().filter(some).cloned().collect();
        let mut before = std::mem::take(&mut self.seen);
        let mut ready = Vec::new();
        for input in inputs::expand(&typed, extensions, output)? {
            let Some(path) = input.path().map(Path::to_owned) else {
                continue;
            };
            let now = stamp(&path);
            let (is_stable, was_taken) = match before.remove(&path) {
                Some((then, taken)) if then == now => (now.is_some(), taken),
                _ => (false, false),
            };
            self.seen.insert(path, (now, is_stable));
            if is_stable && !was_taken {
                ready.push(input);
            }
        }
        Ok(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_once_it_is_whole_and_again_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let typed = [
            folder.path().display().to_string(),
            format!("{}/*.gif", folder.path().display()),
        ];
        let extensions = ["pdf".to_owned(), "gif".to_owned()];
        let mut watch = Watch::default();
        let mut look = || -> Vec<String> {
            let found = watch.look(&typed[..1], &extensions, None).unwrap();
            found.into_iter().map(|input| input.name).collect()
        };
        assert_eq!(look(), [""; 0], "an empty folder is no mistake");
        let file = folder.path().join("a.pdf");
        std::fs::write(&file, "half").unwrap();
        assert_eq!(look(), [""; 0], "it may be still written");
        std::fs::write(&file, "half and whole").unwrap();
        assert_eq!(look(), [""; 0]);
        assert_eq!(look(), ["a"]);
        assert_eq!(look(), [""; 0]);
        std::fs::write(&file, "another one").unwrap();
        assert_eq!(look(), [""; 0]);
        assert_eq!(look(), ["a"]);
        assert!(
            Watch::default()
                .look(&typed[1..], &extensions, None)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_file_that_was_replaced_or_went_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ocr-host.toml");
        std::fs::write(&file, "dpi = 200").unwrap();
        let mut stamps = Stamps::from([(file.clone(), stamp(&file))]);
        assert!(!have_changed(&stamps));
        std::fs::write(&file, "dpi = 2000").unwrap();
        assert!(have_changed(&stamps));
        stamps.insert(file.clone(), stamp(&file));
        std::fs::remove_file(&file).unwrap();
        assert!(have_changed(&stamps));
    }
}
