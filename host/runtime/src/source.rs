//! Random access to an input's bytes, in a file or in memory; windows share them.

use crate::state::Charge;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Bytes with a name.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    data: Data,
    offset: u64,
    len: u64,
    /// What a plugin pays for bytes that it made.
    _charge: Option<Arc<Charge>>,
}

#[derive(Debug, Clone)]
enum Data {
    Memory(Arc<Vec<u8>>),
    File(Arc<Mutex<File>>),
}

impl Source {
    /// The bytes of a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Asked before opening: opening a pipe would wait for its writer.
        let meta = std::fs::metadata(path)?;
        if !meta.is_file() {
            let why = "is no regular file; give a file, or - to read from a pipe";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self::of_file(path, File::open(path)?, meta.len()))
    }

    /// The bytes of the file `inside` the folder `root`, for those who can make links below `root` and must not lead out of
    /// it: no link is followed there, and a file that has other names (hard links) is refused, since one of them may be
    /// somebody else's. What was looked at is what is read, whatever becomes of the names meanwhile.
    pub fn open_below(root: &Path, inside: &Path) -> io::Result<Self> {
        let refused = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
        let file = below::open(root, inside)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(refused("is no regular file"));
        }
        match below::names(&meta) {
            1 => Ok(Self::of_file(inside, file, meta.len())),
            names => Err(refused(&format!(
                "it has {names} names (hard links), and the others may be somebody else's; copy it here"
            ))),
        }
    }

    fn of_file(path: &Path, file: File, len: u64) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        Self {
            name: name.unwrap_or_default(),
            data: Data::File(Arc::new(Mutex::new(file))),
            offset: 0,
            len,
            _charge: None,
        }
    }

    /// Bytes in memory.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self {
            name: name.into(),
            data: Data::Memory(Arc::new(bytes)),
            offset: 0,
            len,
            _charge: None,
        }
    }

    /// Bytes in memory that a plugin pays for.
    pub(crate) fn charged(name: String, bytes: Vec<u8>, charge: Charge) -> Self {
        Self {
            _charge: Some(Arc::new(charge)),
            ..Self::from_bytes(name, bytes)
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Up to `len` bytes from `offset`; fewer at the end, none past it.
    pub fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let rest = self.len.saturating_sub(offset);
        let len = len.min(usize::try_from(rest).unwrap_or(usize::MAX));
        let start = self.offset + offset.min(self.len);
        match &self.data {
            Data::Memory(bytes) => Ok(bytes[start as usize..][..len].to_vec()),
            Data::File(file) => {
                let mut file = file.lock().expect("no thread panics while it reads");
                file.seek(SeekFrom::Start(start))?;
                let mut bytes = Vec::with_capacity(len);
                (&mut *file).take(len as u64).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// A window on the same bytes; `None` where it reaches past the end.
    pub fn window(&self, name: impl Into<String>, offset: u64, len: u64) -> Option<Source> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| Source {
            name: name.into(),
            data: self.data.clone(),
            offset: self.offset + offset,
            len,
            _charge: self._charge.clone(),
        })
    }
}

/// Opening files part by part, so that no link is followed.
mod below {
    use std::fs::{File, Metadata};
    use std::io;
    use std::path::{Component, Path};

    const LINK: &str = "it is a link; a tenant's documents are files";

    fn refused(why: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
    }

    fn is_plain(inside: &Path) -> io::Result<()> {
        let is_plain = inside
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        match is_plain && inside.file_name().is_some() {
            true => Ok(()),
            false => Err(refused("it leads out of its folder")),
        }
    }

    fn folder_is_link(part: &Path) -> io::Error {
        refused(&format!(
            "{} on the way to it is a link, or no folder",
            part.display()
        ))
    }

    #[cfg(unix)]
    pub fn open(root: &Path, inside: &Path) -> io::Result<File> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        use rustix::io::Errno;
        is_plain(inside)?;
        // A folder on the way need not be one that may be listed: passing through takes its search permission alone.
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        let pass = OFlags::PATH;
        #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
        let pass = OFlags::RDONLY;
        let folder = pass | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let here = if root.as_os_str().is_empty() {
            Path::new(".")
        } else {
            root
        };
        let mut at = openat(CWD, here, folder, Mode::empty())?;
        for part in inside.parent().into_iter().flat_map(Path::components) {
            let part: &Path = part.as_ref();
            at = openat(&at, part, folder | OFlags::NOFOLLOW, Mode::empty()).map_err(|e| match e {
                Errno::LOOP | Errno::NOTDIR | Errno::MLINK => folder_is_link(part),
                other => other.into(),
            })?;
        }
        let name = Path::new(inside.file_name().unwrap_or_default());
        // Opening a pipe would wait for its writer.
        let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&at, name, file, Mode::empty()).map_err(|e| match e {
            Errno::LOOP | Errno::MLINK => refused(LINK),
            other => other.into(),
        })?;
        Ok(File::from(opened))
    }

    #[cfg(not(unix))]
    pub fn open(root: &Path, inside: &Path) -> io::Result<File> {
        is_plain(inside)?;
        let mut at = root.to_owned();
        for part in inside.components() {
            at.push(part);
            if std::fs::symlink_metadata(&at)?.is_symlink() {
                return Err(match at == root.join(inside) {
                    true => refused(LINK),
                    false => folder_is_link(part.as_ref()),
                });
            }
        }
        File::open(at)
    }

    /// How many names a file has.
    #[cfg(unix)]
    pub fn names(meta: &Metadata) -> u64 {
        std::os::unix::fs::MetadataExt::nlink(meta)
    }

    /// How many names a file has, where nobody tells.
    #[cfg(not(unix))]
    pub fn names(_: &Metadata) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[cfg(unix)]
    #[test]
    fn nothing_outside_of_a_folder_is_opened_below_it() {
        let place = tempfile::tempdir().unwrap();
        let (mine, theirs) = (place.path().join("mine"), place.path().join("theirs"));
        std::fs::create_dir_all(mine.join("sub")).unwrap();
        std::fs::create_dir(&theirs).unwrap();
        std::fs::write(theirs.join("secret.pdf"), "secret").unwrap();
        std::fs::write(mine.join("sub/a.pdf"), "mine").unwrap();
        let open = |inside: &str| Source::open_below(&mine, Path::new(inside));
        let source = open("sub/a.pdf").unwrap();
        assert_eq!(
            (source.name(), source.read_at(0, 9).unwrap()),
            ("a.pdf", b"mine".to_vec())
        );
        let refused = |inside: &str, why: &str| {
            let said = open(inside).unwrap_err().to_string();
            assert!(said.contains(why), "{inside}: {said}");
        };
        std::os::unix::fs::symlink("../theirs/secret.pdf", mine.join("link.pdf")).unwrap();
        std::os::unix::fs::symlink("../theirs", mine.join("folder")).unwrap();
        std::os::unix::fs::symlink("sub", mine.join("own")).unwrap();
        refused("link.pdf", "it is a link");
        refused("folder/secret.pdf", "folder on the way to it is a link");
        refused("own/a.pdf", "own on the way to it is a link");
        refused("../theirs/secret.pdf", "leads out");
        refused("sub", "no regular file");
        std::fs::hard_link(theirs.join("secret.pdf"), mine.join("second.pdf")).unwrap();
        refused("second.pdf", "it has 2 names (hard links)");
        assert_eq!(open("none.pdf").unwrap_err().kind(), io::ErrorKind::NotFound);
        // The root is the operator's, and may be a link.
        let root = place.path().join("root");
        std::os::unix::fs::symlink("mine", &root).unwrap();
        assert!(Source::open_below(&root, Path::new("sub/a.pdf")).is_ok());
    }

    /// Runs itself again as somebody to whom permissions mean something, which they don't to the superuser.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_may_be_searched_and_not_listed_is_passed_through() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        use std::os::unix::process::CommandExt;
        const NAME: &str = "source::tests::a_folder_that_may_be_searched_and_not_listed_is_passed_through";
        const INBOX: &str = "OCR_TEST_INBOX";
        const NOBODY: u32 = 65_534;
        if let Some(inbox) = std::env::var_os(INBOX) {
            let inbox = Path::new(&inbox);
            assert!(std::fs::read_dir(inbox).is_err() && std::fs::read_dir(inbox.join("sub")).is_err());
            let open = |inside: &str| Source::open_below(inbox, Path::new(inside)).map_err(|e| e.to_string());
            assert_eq!(open("sub/a.pdf").unwrap().read_at(0, 9).unwrap(), b"mine");
            for (inside, why) in [
                ("link/a.pdf", "on the way to it is a link"),
                ("sub/link.pdf", "it is a link"),
                ("sub/second.pdf", "it has 2 names"),
                ("shut/a.pdf", "ermission denied"),
            ] {
                let said = open(inside).unwrap_err();
                assert!(said.contains(why), "{inside}: {said}");
            }
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        std::fs::create_dir_all(path("inbox/sub")).unwrap();
        std::fs::create_dir(path("inbox/shut")).unwrap();
        for name in ["inbox/sub/a.pdf", "inbox/shut/a.pdf", "other.pdf"] {
            std::fs::write(path(name), "mine").unwrap();
        }
        symlink("sub", path("inbox/link")).unwrap();
        symlink("a.pdf", path("inbox/sub/link.pdf")).unwrap();
        std::fs::hard_link(path("other.pdf"), path("inbox/sub/second.pdf")).unwrap();
        // Where the program lies nobody may look either.
        std::fs::copy(std::env::current_exe().unwrap(), path("again")).unwrap();
        let set = |name: &str, mode: u32| {
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (name, mode) in [
            ("", 0o755),
            ("inbox/shut", 0),
            ("inbox/sub", 0o311),
            ("inbox", 0o311),
        ] {
            set(name, mode);
        }
        let mut again = std::process::Command::new(path("again"));
        again.args([NAME, "--exact"]).env(INBOX, path("inbox"));
        if rustix::process::geteuid().is_root() {
            again.uid(NOBODY).gid(NOBODY);
        }
        let ran = again.output().unwrap();
        for name in ["inbox", "inbox/sub", "inbox/shut"] {
            set(name, 0o755);
        }
        let out = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && out.contains("1 passed"), "{out}");
    }

    #[test]
    fn windows_and_reads_stay_inside() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        for source in [
            Source::open(file.path()).unwrap(),
            Source::from_bytes("m", b"0123456789".to_vec()),
        ] {
            let window = source.window("w", 2, 5).unwrap();
            assert_eq!(window.read_at(1, 100).unwrap(), b"3456");
            assert_eq!(window.read_at(9, 4).unwrap(), b"");
            assert_eq!(window.window("v", 4, 1).unwrap().read_at(0, 9).unwrap(), b"6");
            assert!(source.window("x", 6, 5).is_none());
            assert!(source.window("x", u64::MAX, 2).is_none());
        }
    }
}
