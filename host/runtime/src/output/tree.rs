//! Files that a writer of the host's own puts anywhere below the output folder, beside what formatters write.
//!
//! They are staged under a name that no formatter's file can have, and placed one by one: a folder that is there
//! already keeps its other files, so `images/` of the user's own loses nothing but what bears the same name.

use super::{DocumentOutput, Moves, Placed, create_new, sorted_entries};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Component, Path, PathBuf};

/// What the staged name of a tree begins with. Formatters' files are called `NAME.EXTENSION`, and no tree's key has a
/// dot but the first.
const PREFIX: &str = ".tree-";

/// Whether a staged entry is a tree.
pub(super) fn is_key(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|id| !id.contains('.'))
}

/// Where the files of one writer go.
#[derive(Debug)]
pub struct TreeOutput {
    root: PathBuf,
    key: String,
}

impl TreeOutput {
    /// As `DocumentOutput::commit` knows it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A new file at `path`, which is relative to the output folder; its folders are made.
    pub fn create(&self, path: &str) -> io::Result<BufWriter<File>> {
        let inside = |part| matches!(part, Component::Normal(_));
        if path.is_empty() || !Path::new(path).components().all(inside) {
            let why = format!("{path:?} is no path inside the output folder");
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, why));
        }
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("it lies below the root"))?;
        create_new(&path).map(BufWriter::new)
    }
}

impl DocumentOutput {
    /// The place for the files of writer `id`, a word.
    pub fn tree(&self, id: &str) -> io::Result<TreeOutput> {
        let key = format!("{PREFIX}{id}");
        assert!(is_key(&key), "the id of a writer is a word");
        let root = self.staging.path().join(&key);
        fs::create_dir(&root)?;
        Ok(TreeOutput { root, key })
    }

    /// Places the files staged in `tree`, or keeps them with what is unfinished.
    pub(super) fn place_tree(
        &self,
        tree: &Path,
        failed: bool,
        moves: &mut Moves,
        placed: &mut Placed,
    ) -> io::Result<()> {
        for entry in sorted_entries(tree)? {
            let name = entry.file_name().expect("an entry has a name");
            let target = self.folder.path().join(name);
            if failed {
                let partial = self.partial();
                if placed.partial.is_none() {
                    moves.make_folder(&partial)?;
                    placed.partial = Some(partial.clone());
                }
                moves.rename(&entry, &partial.join(name))?;
                placed.stale.extend(target.is_file().then_some(target));
            } else {
                merge(&entry, &target, moves)?;
                placed.committed.push(target);
            }
        }
        Ok(())
    }
}

/// Moves a file, or the files of a folder, to `to`.
fn merge(from: &Path, to: &Path, moves: &mut Moves) -> io::Result<()> {
    if !from.is_dir() {
        moves.aside(to, false)?;
        return moves.rename(from, to);
    }
    // A link is no folder here, wherever it leads.
    if !fs::symlink_metadata(to).is_ok_and(|there| there.is_dir()) {
        moves.aside(to, true)?;
        moves.make_folder(to)?;
    }
    for entry in sorted_entries(from)? {
        merge(
            &entry,
            &to.join(entry.file_name().expect("an entry has a name")),
            moves,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::io::Write;

    fn staged(folder: &Path, files: &[&str]) -> (DocumentOutput, TreeOutput) {
        let output = DocumentOutput::begin(folder, "a").unwrap();
        let tree = output.tree("words").unwrap();
        for file in files {
            tree.create(file).unwrap().write_all(b"new").unwrap();
        }
        (output, tree)
    }

    #[test]
    fn a_folder_that_is_there_keeps_its_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let here = |name: &str| folder.path().join(name);
        fs::create_dir(here("images")).unwrap();
        fs::write(here("images/mine.jpg"), "precious").unwrap();
        fs::write(here("images/0.jpg"), "old").unwrap();
        let (output, _) = staged(folder.path(), &["a.mmd", "images/0.jpg", "images/1.jpg"]);
        let placed = output.commit(&HashSet::new()).unwrap();
        assert_eq!(placed.committed, [here("a.mmd"), here("images")]);
        let read = |name: &str| fs::read_to_string(here(name)).unwrap();
        assert_eq!(read("images/mine.jpg"), "precious");
        assert_eq!(
            (read("images/0.jpg"), read("images/1.jpg")),
            ("new".into(), "new".into())
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_can_not_be_placed_whole_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let here = |name: &str| folder.path().join(name);
        fs::create_dir(here("images")).unwrap();
        fs::write(here("images/0.jpg"), "old").unwrap();
        fs::create_dir(here("z.mmd")).unwrap();
        let (output, _) = staged(folder.path(), &["images/0.jpg", "images/1.jpg", "z.mmd"]);
        let error = output.commit(&HashSet::new()).unwrap_err();
        assert!(error.to_string().contains("z.mmd is a folder"), "{error}");
        assert_eq!(fs::read_to_string(here("images/0.jpg")).unwrap(), "old");
        assert!(!here("images/1.jpg").exists());
    }

    #[test]
    fn a_failed_tree_stays_as_partial() {
        let folder = tempfile::tempdir().unwrap();
        let (output, tree) = staged(folder.path(), &["a.mmd", "images/0.jpg"]);
        let placed = output.commit(&HashSet::from([tree.key().to_owned()])).unwrap();
        assert!(placed.committed.is_empty());
        let partial = placed.partial.unwrap();
        assert!(partial.join("a.mmd").is_file() && partial.join("images/0.jpg").is_file());
    }

    #[test]
    #[cfg(unix)]
    fn a_planted_link_to_a_folder_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("images")).unwrap();
        let (output, _) = staged(folder.path(), &["images/0.jpg"]);
        output.commit(&HashSet::new()).unwrap();
        assert!(folder.path().join("images/0.jpg").is_file());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_output, tree) = staged(folder.path(), &[]);
        for path in ["../x", "/x", "a/../../x", "", "."] {
            assert!(tree.create(path).is_err(), "{path}");
        }
    }
}
