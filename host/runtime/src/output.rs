//! The output tree of one document: formatters name files, the host checks, counts and commits.
//!
//! Files are written to a private temporary folder inside the output folder and renamed into place when every
//! formatter has finished, so a finished document is there as a whole or not at all. What a failed document left is
//! kept as `NAME.partial/`.
//!
//! Layout for the document `NAME` and a formatter with extension `md`: the main file is `NAME.md`, the files it
//! creates lie in `NAME.md.files/`.

use crate::limits::{Limits, Quota};
use crate::names;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Files one formatter may hold open at a time; more would eat the process's descriptors.
pub const OPEN_FILES: usize = 256;

/// Bytes gathered before a write reaches the file system.
const BUFFER_BYTES: usize = 64 << 10;

/// The staged output of one document.
#[derive(Debug)]
pub struct DocumentOutput {
    staging: tempfile::TempDir,
    folder: PathBuf,
    name: String,
}

impl DocumentOutput {
    /// Starts the output of document `name` in `folder`, which is made where it is missing.
    pub fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let staging = tempfile::Builder::new().prefix(".ocr-host-").tempdir_in(folder)?;
        Ok(Self {
            staging,
            folder: folder.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The place for a formatter's files; `extension` is that of its main file.
    pub fn formatter(&self, extension: &str) -> FormatterOutput {
        let main = format!("{}.{extension}", self.name);
        let side = format!("{main}.files");
        FormatterOutput {
            target: Target::Folder {
                main: self.staging.path().join(&main),
                side: self.staging.path().join(&side),
            },
            main_name: main,
            side_name: side,
        }
    }

    /// Moves finished files into place, replacing what an earlier run left there. What formatters with an extension
    /// in `failed` have written is kept in `NAME.partial/`; one from an earlier run goes.
    pub fn commit(self, failed: &HashSet<String>) -> io::Result<Placed> {
        let unfinished = |entry: &str| {
            failed.iter().any(|extension| {
                let main = format!("{}.{extension}", self.name);
                entry == main || entry.strip_suffix(".files") == Some(&main)
            })
        };
        let partial = self.folder.join(format!("{}.partial", self.name));
        clear(&partial)?;
        let mut placed = Placed::default();
        for entry in sorted_entries(self.staging.path())? {
            let name = entry.file_name().expect("an entry has a name").to_owned();
            if name.to_str().is_some_and(unfinished) {
                fs::create_dir_all(&partial)?;
                replace(&entry, &partial.join(&name))?;
                placed.partial = Some(partial.clone());
            } else {
                let target = self.folder.join(&name);
                replace(&entry, &target)?;
                placed.committed.push(target);
            }
        }
        Ok(placed)
    }
}

/// What is in place after a document.
#[derive(Debug, Default)]
pub struct Placed {
    /// Finished files and folders.
    pub committed: Vec<PathBuf>,
    /// The folder that keeps unfinished ones.
    pub partial: Option<PathBuf>,
}

/// Removes the leftovers of an earlier run. A symbolic link is removed, not followed.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn sorted_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Renames `from` to `to`. A file replaces a file or a link in one step; what else is in the way is moved aside first
/// and comes back if the rename fails.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let is_folder = |path: &Path| fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    let in_the_way = fs::symlink_metadata(to).is_ok() && (is_folder(from) || is_folder(to));
    if !in_the_way {
        return fs::rename(from, to);
    }
    let parent = to.parent().unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new()
        .prefix(".ocr-host-old-")
        .tempdir_in(parent)?;
    let old = aside.path().join("old");
    fs::rename(to, &old)?;
    fs::rename(from, to).inspect_err(|_| {
        let _ = fs::rename(&old, to);
    })
}

/// Where one formatter's files go.
pub struct FormatterOutput {
    target: Target,
    main_name: String,
    side_name: String,
}

enum Target {
    Folder { main: PathBuf, side: PathBuf },
    Stream(Box<dyn Write + Send>),
}

impl FormatterOutput {
    /// The main file goes to `writer`, as it is written; further files are refused.
    pub fn stream(name: &str, writer: Box<dyn Write + Send>) -> Self {
        Self {
            target: Target::Stream(writer),
            main_name: name.to_owned(),
            side_name: String::new(),
        }
    }
}

/// Why a file operation did not succeed.
#[derive(Debug)]
pub(crate) enum OutputError {
    /// A limit: which, and its value.
    Quota(Quota, u64),
    /// The name is not acceptable, or taken.
    Invalid(String),
    /// This run has no place for it.
    Denied(String),
    /// The file system failed.
    Io(io::Error),
}

/// An open output file; handles to the main file share one.
#[derive(Clone)]
pub struct OutputFile(Arc<Mutex<OpenFile>>);

struct OpenFile {
    name: String,
    len: u64,
    writer: BufWriter<Box<dyn Write + Send>>,
}

impl OutputFile {
    fn open(name: String, writer: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(OpenFile {
            name,
            len: 0,
            writer: BufWriter::with_capacity(BUFFER_BYTES, writer),
        })))
    }

    pub(crate) fn name(&self) -> String {
        self.lock().name.clone()
    }

    pub(crate) fn len(&self) -> u64 {
        self.lock().len
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.lock().writer.flush()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, OpenFile> {
        self.0.lock().expect("no thread panics while it writes")
    }
}

/// One formatter's files and what it has used of its limits.
pub(crate) struct OutputTree {
    output: FormatterOutput,
    main: Option<OutputFile>,
    names: HashSet<String>,
    open: Vec<std::sync::Weak<Mutex<OpenFile>>>,
    files: u64,
    bytes: u64,
}

impl OutputTree {
    pub(crate) fn new(output: FormatterOutput) -> Self {
        Self {
            output,
            main: None,
            names: HashSet::new(),
            open: Vec::new(),
            files: 0,
            bytes: 0,
        }
    }

    /// Bytes written to all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The main file, made at the first call.
    pub(crate) fn main(&mut self) -> Result<OutputFile, OutputError> {
        if let Some(main) = &self.main {
            return Ok(main.clone());
        }
        let writer: Box<dyn Write + Send> = match &mut self.output.target {
            Target::Folder { main, .. } => Box::new(create_new(main).map_err(OutputError::Io)?),
            Target::Stream(writer) => std::mem::replace(writer, Box::new(io::sink())),
        };
        let file = OutputFile::open(self.output.main_name.clone(), writer);
        self.main = Some(file.clone());
        Ok(file)
    }

    /// A new file beside the main one.
    pub(crate) fn create(&mut self, name: &str, limits: &Limits) -> Result<OutputFile, OutputError> {
        let Target::Folder { side, .. } = &self.output.target else {
            return Err(OutputError::Denied(
                "this run writes to standard output and has no folder for further files; give -o DIR".into(),
            ));
        };
        let folded = names::check(name).map_err(OutputError::Invalid)?;
        if self.files >= limits.output_files {
            return Err(OutputError::Quota(Quota::OutputFiles, limits.output_files));
        }
        self.open.retain(|file| file.strong_count() > 0);
        if self.open.len() >= OPEN_FILES {
            return Err(OutputError::Quota(Quota::Handles, OPEN_FILES as u64));
        }
        if !self.names.insert(folded) {
            return Err(OutputError::Invalid(format!("output name {name:?} is taken")));
        }
        let path = side.join(name);
        let parent = path.parent().unwrap_or(side);
        fs::create_dir_all(parent).map_err(|e| clash(name, e))?;
        let writer = create_new(&path).map_err(|e| clash(name, e))?;
        let file = OutputFile::open(format!("{}/{name}", self.output.side_name), Box::new(writer));
        self.open.push(Arc::downgrade(&file.0));
        self.files += 1;
        Ok(file)
    }

    /// Appends to a file, within the limits.
    pub(crate) fn write(
        &mut self,
        file: &OutputFile,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(), OutputError> {
        let mut open = file.lock();
        let count = bytes.len() as u64;
        if open.len + count > limits.file_bytes {
            return Err(OutputError::Quota(Quota::FileBytes, limits.file_bytes));
        }
        if self.bytes + count > limits.output_bytes {
            return Err(OutputError::Quota(Quota::OutputBytes, limits.output_bytes));
        }
        open.writer.write_all(bytes).map_err(OutputError::Io)?;
        open.len += count;
        self.bytes += count;
        Ok(())
    }

    /// Makes sure that everything has left the buffers, and that a main file exists.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let main = self.main().map_err(|e| match e {
            OutputError::Io(e) => e,
            _ => io::Error::other("the main file could not be made"),
        })?;
        main.flush()?;
        self.flush()
    }

    /// Writes out what buffers hold, so that a failed document keeps it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(main) = &self.main {
            main.flush()?;
        }
        self.open
            .iter()
            .filter_map(|f| f.upgrade())
            .try_for_each(|f| OutputFile(f).flush())
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// A name that is both a file and a folder, or differs from another in what this file system ignores.
fn clash(name: &str, error: io::Error) -> OutputError {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            OutputError::Invalid(format!("output name {name:?} clashes with another"))
        }
        io::ErrorKind::InvalidFilename => {
            OutputError::Invalid(format!("output name {name:?} can't be stored here"))
        }
        _ => OutputError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(output: &DocumentOutput) -> OutputTree {
        OutputTree::new(output.formatter("md"))
    }

    #[test]
    fn a_document_appears_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let (mut tree, limits) = (tree(&output), Limits::default());
        let main = tree.main().unwrap();
        tree.write(&main, b"text", &limits).unwrap();
        let side = tree.create("images/1.png", &limits).unwrap();
        assert_eq!(side.name(), "a.md.files/images/1.png");
        tree.write(&side, b"pixels", &limits).unwrap();
        drop(side);
        tree.finish().unwrap();
        assert!(!folder.path().join("a.md").exists());
        let committed = output.commit(&HashSet::new()).unwrap().committed;
        assert_eq!(
            committed,
            [folder.path().join("a.md"), folder.path().join("a.md.files")]
        );
        assert_eq!(
            fs::read(folder.path().join("a.md.files/images/1.png")).unwrap(),
            b"pixels"
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no temporary folder stays"
        );
    }

    #[test]
    fn a_second_run_replaces_the_first() {
        let folder = tempfile::tempdir().unwrap();
        for round in ["one", "two"] {
            let output = DocumentOutput::begin(folder.path(), "a").unwrap();
            let (mut tree, limits) = (tree(&output), Limits::default());
            let side = tree.create(round, &limits).unwrap();
            tree.write(&side, b"x", &limits).unwrap();
            tree.finish().unwrap();
            output.commit(&HashSet::new()).unwrap();
        }
        assert!(!folder.path().join("a.md.files/one").exists());
        assert!(folder.path().join("a.md.files/two").exists());
    }

    #[test]
    fn a_failed_document_stays_as_partial() {
        let folder = tempfile::tempdir().unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let mut tree = tree(&output);
        let main = tree.main().unwrap();
        tree.write(&main, b"half", &Limits::default()).unwrap();
        tree.flush().unwrap();
        let placed = output.commit(&HashSet::from(["md".to_owned()])).unwrap();
        assert!(placed.committed.is_empty() && !folder.path().join("a.md").exists());
        assert_eq!(fs::read(placed.partial.unwrap().join("a.md")).unwrap(), b"half");
    }

    #[test]
    #[cfg(unix)]
    fn a_planted_symlink_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("a.md")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("a.md.files")).unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let (mut tree, limits) = (tree(&output), Limits::default());
        let main = tree.main().unwrap();
        tree.write(&main, b"new", &limits).unwrap();
        tree.create("x", &limits).unwrap();
        tree.finish().unwrap();
        output.commit(&HashSet::new()).unwrap();
        let is_link = |name: &str| folder.path().join(name).symlink_metadata().unwrap().is_symlink();
        assert!(!is_link("a.md") && !is_link("a.md.files"));
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn limits_hold() {
        let folder = tempfile::tempdir().unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let mut tree = tree(&output);
        let limits = Limits {
            output_files: 1,
            output_bytes: 10,
            file_bytes: 6,
            ..Limits::default()
        };
        let main = tree.main().unwrap();
        let side = tree.create("s", &limits).unwrap();
        assert!(matches!(
            tree.create("t", &limits),
            Err(OutputError::Quota(Quota::OutputFiles, 1))
        ));
        tree.write(&main, b"123456", &limits).unwrap();
        assert!(matches!(
            tree.write(&main, b"7", &limits),
            Err(OutputError::Quota(Quota::FileBytes, 6))
        ));
        assert!(matches!(
            tree.write(&side, b"12345", &limits),
            Err(OutputError::Quota(Quota::OutputBytes, 10))
        ));
    }

    #[test]
    fn names_that_clash_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let (mut tree, limits) = (tree(&output), Limits::default());
        tree.create("x", &limits).unwrap();
        for name in ["x", "X", "x/y"] {
            assert!(
                matches!(tree.create(name, &limits), Err(OutputError::Invalid(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn standard_output_takes_no_further_files() {
        let mut tree = OutputTree::new(FormatterOutput::stream("a.md", Box::new(Vec::new())));
        assert!(matches!(
            tree.create("x", &Limits::default()),
            Err(OutputError::Denied(_))
        ));
    }
}
