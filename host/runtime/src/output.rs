//! The output tree of one document: formatters name files, the host checks, counts and commits.
//!
//! Files are written to a private temporary folder inside the output folder and renamed into place when every
//! formatter has finished, so a finished document is there as a whole or not at all. What a failed document left is
//! kept as `NAME.partial/`.
//!
//! Layout for the document `NAME` and a formatter with extension `md`: the main file is `NAME.md`, the files it
//! creates lie in `NAME.md.files/`. Writers of the host's own name their files themselves, see [`TreeOutput`].

mod place;
mod tree;

pub use tree::TreeOutput;

use crate::limits::{Limits, Quota};
use crate::names;
use place::Place;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Files one formatter may hold open at a time; more would eat the process's descriptors.
pub const OPEN_FILES: usize = 256;

/// What the folder of a formatter's further files is called after its main file.
pub const SIDE: &str = ".files";

/// What the folder of a failed document's files is called after the document.
pub const PARTIAL: &str = ".partial";

/// Bytes gathered before a write reaches the file system.
const BUFFER_BYTES: usize = 64 << 10;

/// The staged output of one document.
#[derive(Debug)]
pub struct DocumentOutput {
    // Removed before the folder that it lies in is let go.
    staging: Staging,
    folder: Place,
    name: String,
}

impl DocumentOutput {
    /// Starts the output of document `name` in `folder`, which is made where it is missing.
    pub fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = Place::open(folder);
        Ok(Self {
            staging: Staging::new(folder.path())?,
            folder,
            name: name.to_owned(),
        })
    }

    /// The place for a formatter's files; `extension` is that of its main file.
    pub fn formatter(&self, extension: &str) -> FormatterOutput {
        let main = format!("{}.{extension}", self.name);
        let side = format!("{main}{SIDE}");
        FormatterOutput {
            target: Target::Folder {
                main: self.staging.path().join(&main),
                side: self.staging.path().join(&side),
            },
            main_name: main,
            side_name: side,
            meter: None,
        }
    }

    /// Moves finished files into place, replacing what an earlier run left there. What formatters with an extension
    /// in `failed`, and trees with their key in it, have written is kept in `NAME.partial/`; one from an earlier run
    /// goes. All of it happens or none: on an error everything is as it was before, and the document's files are kept
    /// where the error says.
    pub fn commit(self, failed: &HashSet<String>) -> Result<Placed, CommitError> {
        let mut moves = Moves::default();
        match self.place(failed, &mut moves) {
            Ok(mut placed) => {
                let found = placed
                    .committed
                    .iter_mut()
                    .chain(&mut placed.stale)
                    .chain(&mut placed.partial);
                found.for_each(|path| *path = self.folder.named(path));
                Ok(placed)
            }
            Err(error) => {
                moves.undo();
                let partial = self.partial();
                let Self { staging, folder, .. } = self;
                let kept = staging.keep();
                // An earlier run's partial folder stays in the way; the staging folder is then the place.
                let free = fs::symlink_metadata(&partial).is_err();
                let moved = free && fs::rename(&kept, &partial).is_ok();
                Err(CommitError {
                    error: folder.in_words(error),
                    kept: folder.named(if moved { &partial } else { &kept }),
                })
            }
        }
    }

    fn partial(&self) -> PathBuf {
        self.folder.path().join(format!("{}{PARTIAL}", self.name))
    }

    fn place(&self, failed: &HashSet<String>, moves: &mut Moves) -> io::Result<Placed> {
        let unfinished = |entry: &str| {
            failed.iter().any(|extension| {
                let main = format!("{}.{extension}", self.name);
                entry == main || entry.strip_suffix(SIDE) == Some(&main)
            })
        };
        let mut placed = Placed::default();
        let partial = self.partial();
        moves.aside(&partial, true)?;
        for entry in sorted_entries(self.staging.path())? {
            let name = entry.file_name().expect("an entry has a name").to_owned();
            if let Some(key) = name.to_str().filter(|name| tree::is_key(name)) {
                self.place_tree(&entry, failed.contains(key), moves, &mut placed)?;
            } else if name.to_str().is_some_and(unfinished) {
                if placed.partial.is_none() {
                    moves.make_folder(&partial)?;
                    placed.partial = Some(partial.clone());
                }
                moves.rename(&entry, &partial.join(&name))?;
                let stale = self.folder.path().join(&name);
                placed.stale.extend(stale.is_file().then_some(stale));
            } else {
                let target = self.folder.path().join(&name);
                moves.aside(&target, entry.is_dir())?;
                moves.rename(&entry, &target)?;
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
    /// Files of an earlier run that bear the name of an unfinished one; they are as they were.
    pub stale: Vec<PathBuf>,
}

/// Why a document's files are not in place.
#[derive(Debug, thiserror::Error)]
#[error("{error}; what was written is kept in {}", kept.display())]
pub struct CommitError {
    /// From the file system.
    pub error: io::Error,
    /// The folder that has the files.
    pub kept: PathBuf,
}

/// Folders in which documents are being written.
static STAGED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes what documents under way have written, for a process that is about to end.
pub fn discard_staged() {
    if let Ok(staged) = STAGED.lock() {
        for folder in staged.iter() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// A folder of its own, removed when dropped.
#[derive(Debug)]
struct Staging(Option<tempfile::TempDir>);

impl Staging {
    fn new(folder: &Path) -> io::Result<Self> {
        let made = tempfile::Builder::new().prefix(".ocr-host-").tempdir_in(folder)?;
        let mut staged = STAGED.lock().expect("no thread panics while it holds this");
        staged.insert(made.path().to_owned());
        Ok(Self(Some(made)))
    }

    fn path(&self) -> &Path {
        self.0.as_ref().expect("it is kept at its end alone").path()
    }

    /// Leaves the folder where it is.
    fn keep(mut self) -> PathBuf {
        let mut staged = STAGED.lock().expect("no thread panics while it holds this");
        staged.remove(self.path());
        self.0.take().expect("it is kept once").keep()
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let (Some(made), Ok(mut staged)) = (&self.0, STAGED.lock()) {
            staged.remove(made.path());
        }
    }
}

/// Renames that can be taken back.
#[derive(Default)]
struct Moves {
    /// Takes each step back, the last one first.
    back: Vec<Step>,
    /// Holds what was in the way until all is done.
    old: Option<tempfile::TempDir>,
}

enum Step {
    Rename { from: PathBuf, to: PathBuf },
    RemoveFolder(PathBuf),
}

impl Moves {
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        self.back.push(Step::Rename {
            from: to.to_owned(),
            to: from.to_owned(),
        });
        Ok(())
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        self.back.push(Step::RemoveFolder(path.to_owned()));
        Ok(())
    }

    /// Takes out of the way what stands at `path`: a link, a file for a file, a folder for a folder. Whatever else is
    /// there is not ours, and an error.
    fn aside(&mut self, path: &Path, for_folder: bool) -> io::Result<()> {
        let Ok(meta) = fs::symlink_metadata(path) else {
            return Ok(());
        };
        if !meta.is_symlink() && meta.is_dir() != for_folder {
            let (is, wanted) = if meta.is_dir() {
                ("folder", "file")
            } else {
                ("file", "folder")
            };
            let why = format!(
                "{} is a {is}, and the output needs a {wanted} of that name; move it away",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        if self.old.is_none() {
            let parent = path.parent().unwrap_or(Path::new("."));
            let made = tempfile::Builder::new()
                .prefix(".ocr-host-old-")
                .tempdir_in(parent)?;
            self.old = Some(made);
        }
        let old = self.old.as_ref().expect("made above").path();
        let kept = old.join(self.back.len().to_string());
        // A second name lets the rename that follows replace the file in one step: readers never miss it.
        if meta.is_file() && fs::hard_link(path, &kept).is_ok() {
            self.back.push(Step::Rename {
                from: kept,
                to: path.to_owned(),
            });
            return Ok(());
        }
        self.rename(path, &kept)
    }

    fn undo(mut self) {
        for step in self.back.drain(..).rev() {
            // What can't be taken back stays; the error that led here is the one to tell.
            let _ = match step {
                Step::Rename { from, to } => fs::rename(from, to),
                Step::RemoveFolder(path) => fs::remove_dir(path),
            };
        }
    }
}

fn sorted_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// Counts what is written over several documents.
pub trait OutputMeter: Send + Sync {
    /// Whether so many bytes more may be written; they count from then on.
    fn take(&self, bytes: u64) -> bool;
}

/// Where one formatter's files go.
pub struct FormatterOutput {
    target: Target,
    main_name: String,
    side_name: String,
    meter: Option<Arc<dyn OutputMeter>>,
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
            meter: None,
        }
    }

    /// Has `meter` asked before anything is written.
    pub fn metered(self, meter: Arc<dyn OutputMeter>) -> Self {
        Self {
            meter: Some(meter),
            ..self
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
            return Err(OutputError::Invalid(format!(
                "{OPEN_FILES} output files are open already; drop handles before more are made"
            )));
        }
        if self.names.contains(&folded) {
            return Err(OutputError::Invalid(format!("output name {name:?} is taken")));
        }
        let path = side.join(name);
        let parent = path.parent().unwrap_or(side);
        fs::create_dir_all(parent).map_err(|e| clash(name, e))?;
        let writer = create_new(&path).map_err(|e| clash(name, e))?;
        let file = OutputFile::open(format!("{}/{name}", self.output.side_name), Box::new(writer));
        self.open.push(Arc::downgrade(&file.0));
        // Kept of files alone: a plugin may try as many names as it likes.
        self.names.insert(folded);
        self.files += 1;
        Ok(file)
    }

    /// How many bytes a file may still take, and the limit that is reached first.
    pub(crate) fn rest(&self, file: &OutputFile, limits: &Limits) -> (u64, Quota, u64) {
        let of_file = limits.file_bytes.saturating_sub(file.len());
        let of_all = limits.output_bytes.saturating_sub(self.bytes);
        match of_file <= of_all {
            true => (of_file, Quota::FileBytes, limits.file_bytes),
            false => (of_all, Quota::OutputBytes, limits.output_bytes),
        }
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
        if self.output.meter.as_ref().is_some_and(|meter| !meter.take(count)) {
            return Err(OutputError::Quota(Quota::OutputBytes, self.bytes));
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

    /// Every file below a folder with its content, sorted.
    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in sorted_entries(folder).unwrap() {
            let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
            match entry.is_dir() {
                true => found.extend(files(&entry).into_iter().map(|(f, c)| (format!("{name}/{f}"), c))),
                false => found.push((name, fs::read_to_string(&entry).unwrap())),
            }
        }
        found
    }

    #[test]
    fn what_can_not_be_placed_whole_changes_nothing_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let here = |name: &str| folder.path().join(name);
        fs::write(here("a.html"), "old").unwrap();
        fs::create_dir(here("a.html.files")).unwrap();
        fs::write(here("a.html.files/x"), "old").unwrap();
        // A folder of the user's own stands where the last file belongs.
        fs::create_dir(here("a.md")).unwrap();
        fs::write(here("a.md/mine"), "precious").unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let limits = Limits::default();
        for extension in ["html", "md"] {
            let mut tree = OutputTree::new(output.formatter(extension));
            let main = tree.main().unwrap();
            tree.write(&main, b"new", &limits).unwrap();
            let side = tree.create("x", &limits).unwrap();
            tree.write(&side, b"new", &limits).unwrap();
            drop(side);
            tree.finish().unwrap();
        }
        let error = output.commit(&HashSet::new()).unwrap_err();
        assert_eq!(error.kept, here("a.partial"));
        assert!(error.to_string().contains("a.md is a folder"), "{error}");
        let expected = [
            ("a.html", "old"),
            ("a.html.files/x", "old"),
            ("a.md/mine", "precious"),
            ("a.partial/a.html", "new"),
            ("a.partial/a.html.files/x", "new"),
            ("a.partial/a.md", "new"),
            ("a.partial/a.md.files/x", "new"),
        ];
        assert_eq!(
            files(folder.path()),
            expected.map(|(n, c)| (n.to_owned(), c.to_owned()))
        );
    }

    #[test]
    fn an_ending_process_leaves_no_temporary_folders() {
        let folder = tempfile::tempdir().unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        tree(&output).main().unwrap();
        // Not `discard_staged`, which would take the other tests' folders as well.
        assert!(STAGED.lock().unwrap().contains(output.staging.path()));
        let path = output.staging.path().to_owned();
        drop(output);
        assert!(!STAGED.lock().unwrap().contains(&path) && !path.exists());
    }

    #[test]
    fn a_failed_document_stays_as_partial() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.md"), "of an earlier run").unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let mut tree = tree(&output);
        let main = tree.main().unwrap();
        tree.write(&main, b"half", &Limits::default()).unwrap();
        tree.flush().unwrap();
        let placed = output.commit(&HashSet::from(["md".to_owned()])).unwrap();
        assert!(placed.committed.is_empty());
        assert_eq!(placed.stale, [folder.path().join("a.md")]);
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
        assert_eq!(tree.names.len(), 1, "what was not made is not kept");
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
