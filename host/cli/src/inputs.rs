//! From what the user typed to the documents to be read: folders are walked, patterns expanded, names made unique.

use crate::exit::{Exit, Failed};
use ocr_pipeline::Failure;
use ocr_runtime::{PARTIAL, SIDE, Source};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Bytes of standard input that are kept at most; a document is read at random, so a pipe has to be held in memory.
const STDIN_BYTES: u64 = 2 << 30;

/// One document to be read.
#[derive(Debug)]
pub struct Input {
    /// As messages and the report call it.
    pub shown: String,
    from: From,
    /// The folder that was typed: what lies below it is whoever's who fills it.
    root: PathBuf,
    /// Folder inside the output folder.
    pub folder: PathBuf,
    /// Output name without extension, unique in its folder.
    pub name: String,
}

#[derive(Debug)]
enum From {
    Stdin,
    File(PathBuf),
    /// A folder or pattern that has no documents, or can't be looked into, and why.
    Nothing(PathBuf, Failure),
}

/// The code of folders and patterns without documents.
const EMPTY: &str = "no-documents";

/// Extensions of files that hold one picture.
const IMAGES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

impl Input {
    /// Whether its name is that of one picture. What it holds is seen when it is opened.
    pub fn is_image(&self) -> bool {
        let From::File(path) = &self.from else {
            return false;
        };
        let extension = path.extension().unwrap_or_default();
        IMAGES.iter().any(|image| extension.eq_ignore_ascii_case(image))
    }

    /// Where it lies; standard input lies nowhere.
    pub fn path(&self) -> Option<&Path> {
        match &self.from {
            From::Stdin | From::Nothing(..) => None,
            From::File(path) => Some(path),
        }
    }

    /// Why there is nothing to be read: it stands for a folder or a pattern without documents.
    pub fn nothing(&self) -> Option<&Failure> {
        match &self.from {
            From::Nothing(_, why) => Some(why),
            From::Stdin | From::File(_) => None,
        }
    }

    /// Opens the document's bytes where somebody else fills the folder: nothing that was put there leads out of it.
    pub fn open_below(&self) -> std::io::Result<Source> {
        match &self.from {
            From::File(path) => {
                let inside = path.strip_prefix(&self.root).unwrap_or(path);
                Source::open_below(&self.root, inside)
            }
            From::Stdin | From::Nothing(..) => self.open(),
        }
    }

    /// Opens the document's bytes.
    pub fn open(&self) -> std::io::Result<Source> {
        match &self.from {
            From::File(path) => Source::open(path),
            From::Nothing(_, why) => Err(std::io::Error::other(why.message.as_str())),
            From::Stdin => {
                let mut bytes = Vec::new();
                std::io::stdin()
                    .lock()
                    .take(STDIN_BYTES + 1)
                    .read_to_end(&mut bytes)?;
                if bytes.len() as u64 > STDIN_BYTES {
                    let why = format!(
                        "standard input holds more than {} GiB; give a file instead",
                        STDIN_BYTES >> 30
                    );
                    return Err(std::io::Error::other(why));
                }
                Ok(Source::from_bytes("stdin", bytes))
            }
        }
    }
}

/// How many documents there are to be read.
pub fn count(inputs: &[Input]) -> usize {
    inputs.iter().filter(|input| input.nothing().is_none()).count()
}

/// Refuses a run that has nothing to read at all.
pub fn check_some<'a>(inputs: impl IntoIterator<Item = &'a Input>) -> Result<(), Failed> {
    let (mut all, mut exit) = (Vec::new(), Exit::Input);
    for input in inputs {
        let Some(why) = input.nothing() else { return Ok(()) };
        if why.code != EMPTY {
            exit = Exit::FileAccess;
        }
        all.push(format!("{}: {}", input.shown, why.message));
    }
    match all[..] {
        [] => Ok(()),
        _ => Err(Failed::new(exit, all.join("; "))),
    }
}

/// All documents that `typed` means, in order. Folders give the files in them whose extension is in `extensions`; what
/// an earlier run has written, into `output` or beside its inputs, is none of them. One that has none, or can't be looked
/// into, is told of among the others and does not end the run ([`Input::nothing`]).
pub fn expand(typed: &[String], extensions: &[String], output: Option<&Path>) -> Result<Vec<Input>, Failed> {
    let mut found: Vec<Found> = Vec::new();
    let output = output.and_then(|o| o.canonicalize().ok());
    for text in typed {
        let path = PathBuf::from(text);
        if text == "-" {
            if found.iter().any(|found| matches!(found.from, From::Stdin)) {
                return Err(Failed::new(
                    Exit::Arguments,
                    "standard input (-) can be read once",
                ));
            }
            found.push(Found {
                from: From::Stdin,
                root: PathBuf::new(),
                folder: PathBuf::new(),
            });
        } else if path.is_dir() {
            let before = found.len();
            walk(&path, Path::new(""), extensions, output.as_deref(), &mut found);
            if found.len() == before {
                let why = format!("no documents in this folder ({})", extensions.join(", "));
                found.push(Found::nothing(path, EMPTY, why));
            }
        } else if !path.exists() && text.contains(['*', '?', '[']) {
            let matches =
                glob::glob(text).map_err(|e| Failed::new(Exit::Arguments, format!("{text}: {e}")))?;
            let files: Vec<PathBuf> = matches.flatten().filter(|p| p.is_file()).collect();
            if files.is_empty() {
                found.push(Found::nothing(path, EMPTY, "nothing matches".into()));
                continue;
            }
            let root = before_pattern(&path);
            found.extend(files.into_iter().map(|file| Found::file(file, root.clone())));
        } else {
            // A file that is missing is one failed document among others, not the end of the run.
            let root = path.parent().map(Path::to_owned).unwrap_or_default();
            found.push(Found::file(path, root));
        }
    }
    Ok(name(found))
}

/// What is to be read, before it has a name.
struct Found {
    from: From,
    root: PathBuf,
    /// Folder inside the output folder.
    folder: PathBuf,
}

impl Found {
    fn file(path: PathBuf, root: PathBuf) -> Self {
        Self {
            from: From::File(path),
            root,
            folder: PathBuf::new(),
        }
    }

    fn nothing(path: PathBuf, code: &str, why: String) -> Self {
        Self {
            from: From::Nothing(path, Failure::new(code, why)),
            root: PathBuf::new(),
            folder: PathBuf::new(),
        }
    }
}

/// The folder of a pattern that was typed in full.
fn before_pattern(pattern: &Path) -> PathBuf {
    let is_typed = |part: &Component| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    // What matches has no `./` before it.
    let parts = pattern.components().filter(|part| *part != Component::CurDir);
    parts.take_while(is_typed).collect()
}

/// Files of the folder `below` in `root`, sorted. Links to folders are not followed, so a walk ends.
fn walk(root: &Path, below: &Path, extensions: &[String], output: Option<&Path>, found: &mut Vec<Found>) {
    let unreadable = |path: PathBuf, e: &std::io::Error| Found::nothing(path, "unreadable", e.to_string());
    let read = match std::fs::read_dir(root.join(below)) {
        Ok(read) => read,
        Err(e) => return found.push(unreadable(root.join(below), &e)),
    };
    let mut entries = Vec::new();
    for entry in read {
        match entry.map(|entry| (entry.file_type(), entry)) {
            Ok((Ok(kind), entry)) => entries.push((kind, entry)),
            // It may be gone by now; the others are still there.
            Ok((Err(e), entry)) => found.push(unreadable(entry.path(), &e)),
            Err(e) => found.push(unreadable(root.join(below), &e)),
        }
    }
    entries.sort_by_key(|(_, entry)| entry.file_name());
    for (kind, entry) in entries {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_dir() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = name.ends_with(SIDE) || name.ends_with(PARTIAL);
            if !ours && path.canonicalize().ok().as_deref() != output {
                walk(root, &below.join(entry.file_name()), extensions, output, found);
            }
        } else if kind.is_symlink() && path.is_dir() {
            let why = "a link to a folder is not followed; give that folder by itself";
            found.push(Found::nothing(path, "link", why.into()));
        } else if path
            .extension()
            .is_some_and(|e| extensions.iter().any(|known| e.eq_ignore_ascii_case(known)))
        {
            found.push(Found {
                from: From::File(path),
                root: root.to_owned(),
                folder: below.to_owned(),
            });
        }
    }
}

/// The run's own report lies beside the documents' files, so no document may be called like it.
const RESERVED: &str = "report";

/// Gives each document an output name: its stem; where stems meet, the whole file name; where those meet, a number.
fn name(found: Vec<Found>) -> Vec<Input> {
    let text =
        |part: Option<&std::ffi::OsStr>| part.map_or("document".into(), |p| p.to_string_lossy().into_owned());
    // What has no documents writes nothing and takes no name.
    let stem = |from: &From| match from {
        From::Stdin => Some("stdin".to_owned()),
        From::File(path) => Some(text(path.file_stem())),
        From::Nothing(..) => None,
    };
    let key = |folder: &Path, name: &str| (folder.to_owned(), name.to_lowercase());
    let mut stems: HashMap<_, u32> = HashMap::new();
    for Found { from, folder, .. } in &found {
        if let Some(stem) = stem(from) {
            *stems.entry(key(folder, &stem)).or_default() += 1;
        }
    }
    let mut taken = HashSet::new();
    let mut inputs = Vec::new();
    for Found { from, root, folder } in found {
        let shown = match &from {
            From::Stdin => "standard input".to_owned(),
            From::File(path) | From::Nothing(path, _) => path.display().to_string(),
        };
        let Some(mut name) = stem(&from) else {
            inputs.push(Input {
                shown,
                from,
                root,
                folder,
                name: String::new(),
            });
            continue;
        };
        let reserved = folder.as_os_str().is_empty() && name.eq_ignore_ascii_case(RESERVED);
        if let (From::File(path), true) = (&from, reserved || stems[&key(&folder, &name)] > 1) {
            name = text(path.file_name());
        }
        // A number may make a name that another document has by itself, so this goes on until one is free.
        let (wanted, mut number) = (name.clone(), 1);
        while !taken.insert(key(&folder, &name)) {
            number += 1;
            name = format!("{wanted}-{number}");
        }
        inputs.push(Input {
            shown,
            from,
            root,
            folder,
            name,
        });
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str]) -> Vec<String> {
        let found = paths
            .iter()
            .map(|p| Found::file(p.into(), PathBuf::new()))
            .collect();
        name(found).into_iter().map(|i| i.name).collect()
    }

    #[test]
    fn output_names_never_meet() {
        assert_eq!(names(&["a/x.pdf", "b/y.pdf"]), ["x", "y"]);
        assert_eq!(names(&["x.pdf", "X.png", "y.pdf"]), ["x.pdf", "X.png", "y"]);
        assert_eq!(
            names(&["a/x.pdf", "b/x.pdf", "x.pdf-2.png"]),
            ["x.pdf", "x.pdf-2", "x.pdf-2-2"]
        );
        assert_eq!(names(&["report.pdf", "y.pdf"]), ["report.pdf", "y"]);
        assert_eq!(
            names(&["a/x.pdf", "b/x.pdf", "c/x.pdf"]),
            ["x.pdf", "x.pdf-2", "x.pdf-3"]
        );
    }

    #[test]
    fn folders_are_walked_in_order_and_keep_their_shape() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for file in ["b.PDF", "a.png", "notes.txt", "sub/c.pdf", ".hidden.pdf"] {
            std::fs::write(folder.path().join(file), "x").unwrap();
        }
        let typed = [folder.path().display().to_string()];
        // What an earlier run wrote, here and in its output folder.
        for made in ["a.md.files", "a.partial", "out"] {
            std::fs::create_dir(folder.path().join(made)).unwrap();
            std::fs::write(folder.path().join(made).join("figure.png"), "x").unwrap();
        }
        let output = folder.path().join("out");
        let inputs = expand(&typed, &["pdf".into(), "png".into()], Some(&output)).unwrap();
        let found: Vec<_> = inputs
            .iter()
            .map(|i| (i.folder.to_str().unwrap(), i.name.as_str()))
            .collect();
        assert_eq!(found, [("", "a"), ("", "b"), ("sub", "c")]);
        let pattern = [format!("{}/*.png", folder.path().display())];
        let matched = expand(&pattern, &[], None).unwrap();
        assert_eq!((matched.len(), &*matched[0].root), (1, folder.path()));
        for here in [
            "./src/*.rs",
            "src/*.rs",
            "./src",
            "./src/main.rs",
            "../cli/src/main.rs",
        ] {
            let found = expand(&[here.into()], &["rs".into()], None).unwrap();
            assert!(found.iter().all(|input| input.open_below().is_ok()), "{here}");
        }
    }

    #[test]
    fn what_has_no_documents_stands_among_the_others_and_takes_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("a")).unwrap();
        std::fs::write(path("b.pdf"), "x").unwrap();
        let typed = [path("a"), path("b.pdf"), path("no*where"), path("a.pdf")];
        let inputs = expand(&typed, &["pdf".into(), "png".into()], None).unwrap();
        let seen: Vec<_> = inputs
            .iter()
            .map(|i| (i.name.as_str(), i.nothing().map(|why| why.message.as_str())))
            .collect();
        assert_eq!(
            seen,
            [
                ("", Some("no documents in this folder (pdf, png)")),
                ("b", None),
                ("", Some("nothing matches")),
                ("a", None)
            ]
        );
        assert_eq!(count(&inputs), 2);
        assert!(check_some(&inputs).is_ok());
        let refused = check_some([&inputs[0], &inputs[2]]).unwrap_err();
        let why = format!("{:#}", refused.error);
        assert_eq!(refused.exit, Exit::Input);
        assert!(
            why.contains("/a: no documents") && why.contains("no*where: nothing"),
            "{why}"
        );
        // What can't be looked into is told of as well, and is another error where it is all.
        let mut found = vec![];
        walk(&folder.path().join("gone"), Path::new(""), &[], None, &mut found);
        let unread = name(found);
        assert_eq!(unread[0].nothing().unwrap().code, "unreadable");
        assert_eq!(check_some(&unread).unwrap_err().exit, Exit::FileAccess);
    }

    #[test]
    #[cfg(unix)]
    fn a_linked_folder_is_told_of_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (inbox, elsewhere) = (folder.path().join("inbox"), folder.path().join("elsewhere"));
        for place in [&inbox, &elsewhere] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("a.pdf"), b"").unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, inbox.join("sub")).unwrap();
        let found = expand(&[inbox.display().to_string()], &["pdf".to_owned()], None).unwrap();
        let told: Vec<_> = found.iter().filter_map(|input| input.nothing()).collect();
        assert_eq!((found.len(), told.len()), (2, 1));
        assert_eq!(told[0].code, "link");
    }
}
