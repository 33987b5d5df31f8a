//! The output folder, held open: what is written goes into the folder that was there when the document was begun, also
//! where its name leads somewhere else by now. Somebody may swap it for a link while a document is being written.
//!
//! On Linux an open folder has a path of its own, `/proc/self/fd/N`, and files are reached through that; elsewhere by name.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Place {
    /// As the user names it.
    named: PathBuf,
    /// As it is reached.
    path: PathBuf,
    _open: Option<File>,
}

impl Place {
    pub(super) fn open(folder: &Path) -> Self {
        let open = File::open(folder).ok();
        let path = open
            .as_ref()
            .and_then(path_of)
            .unwrap_or_else(|| folder.to_owned());
        Self {
            named: folder.to_owned(),
            path,
            _open: open,
        }
    }

    /// As it is reached.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What lies in it, as the user would name it.
    pub(super) fn named(&self, path: &Path) -> PathBuf {
        let inside = path.strip_prefix(&self.path);
        inside.map_or_else(|_| path.to_owned(), |inside| self.named.join(inside))
    }

    /// An error in the user's words.
    pub(super) fn in_words(&self, error: io::Error) -> io::Error {
        let text = error.to_string();
        let path = self.path.display().to_string();
        match text.contains(&path) {
            true => io::Error::new(
                error.kind(),
                text.replace(&path, &self.named.display().to_string()),
            ),
            false => error,
        }
    }
}

#[cfg(target_os = "linux")]
fn path_of(open: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    path.join(".").is_dir().then_some(path)
}

#[cfg(not(target_os = "linux"))]
fn path_of(_: &File) -> Option<PathBuf> {
    None
}
