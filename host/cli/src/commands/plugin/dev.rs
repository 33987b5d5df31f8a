//! `ocr-host plugin dev`: builds a plugin and runs it over one document, each time its sources change.
//!
//! Files are looked at a few times a second, which works on every system and over every file system. The document is read
//! once; its pages are kept in the cache, over restarts as well. Nothing that goes wrong ends it but an interrupt.

use super::project;
use crate::args::ReadArgs;
use crate::exit::{Exit, Failed, OrExit, Output};
use crate::options::{self, GivenOption};
use crate::recording::Recording;
use crate::trial::{FAILURE, Files, NAME, SAID, Trial};
use crate::{plugins, recognise};
use ocr_document::Page;
use ocr_pipeline::counted;
use ocr_runtime::{Limits, Runtime, Source, World};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Most files that are looked at; a project has fewer.
const MOST_FILES: usize = 20_000;

/// Deepest folder that is looked at.
const DEPTH: usize = 12;

/// Folders that tools fill.
const FILLED: [&str; 5] = ["target", "node_modules", "__pycache__", "venv", "expected"];

/// What to do each time.
pub struct Dev<'a> {
    /// The project, a folder with a component, or a component.
    pub place: &'a Path,
    /// The document, or a recording.
    pub input: &'a Path,
    /// Where the plugin's files go; without it the main one is printed.
    pub output: Option<&'a Path>,
    /// Options of the plugin.
    pub options: &'a [GivenOption],
    /// How the document is read.
    pub read: &'a ReadArgs,
}

pub fn run(dev: &Dev) -> Result<Exit, Failed> {
    if !dev.place.exists() {
        let why = format!("{}: there is no such folder or file", dev.place.display());
        return Err(Failed::new(Exit::Arguments, why));
    }
    let limits = Limits::default();
    let runtime = plugins::runtime(&limits)?;
    let mut pages = None;
    let mut seen = None;
    loop {
        let now = look(dev.place);
        if seen.as_ref() == Some(&now) {
            std::thread::sleep(LOOK);
            continue;
        }
        if let Err(Failed { error, .. }) = once(dev, &runtime, &limits, &mut pages) {
            eprintln!("error: {error:#}");
        }
        eprintln!("--- waiting for changes in {}; Ctrl-C ends", dev.place.display());
        // What building itself wrote is no change.
        seen = Some(match project::is_project(dev.place) {
            true => look(dev.place),
            false => now,
        });
    }
}

/// Builds, loads and runs once.
fn once(
    dev: &Dev,
    runtime: &Runtime,
    limits: &Limits,
    pages: &mut Option<(Recording, Vec<Arc<Page>>)>,
) -> Result<(), Failed> {
    let started = Instant::now();
    let component = project::component(dev.place, false)?;
    let plugin = plugins::Found::File(component).load_any(runtime)?;
    let built = started.elapsed();
    let settings = options::settings(std::slice::from_ref(&plugin), dev.options, &[])?.remove(0);
    let trial = Trial {
        plugin: &plugin,
        config: &settings.json,
        limits,
    };
    let (files, spent, what) = if plugin.world() == World::InputAdapter {
        let source = Source::open(dev.input).or_exit(Exit::Input)?;
        let started = Instant::now();
        let files = trial.over_document(&source).or_exit(Exit::Other)?;
        (files, started.elapsed(), dev.input.display().to_string())
    } else {
        if pages.is_none() {
            let recording = recognise::pages_of(runtime, dev.input, dev.read, true)?;
            let made = recording.pages().map_err(|why| Failed::new(Exit::Input, why))?;
            *pages = Some((recording, made));
        }
        let (recording, made) = pages.as_ref().expect("filled above");
        let started = Instant::now();
        let files = trial.over_pages(&recording.document, made).or_exit(Exit::Other)?;
        (files, started.elapsed(), counted(made.len(), "page"))
    };
    show(dev, &files)?;
    let manifest = plugin.manifest();
    eprintln!(
        "--- {} {}: built and loaded in {:.1} s, {what} in {:.1} ms",
        manifest.id,
        manifest.version,
        built.as_secs_f64(),
        spent.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Writes the files, or prints the main one.
fn show(dev: &Dev, files: &Files) -> Result<(), Failed> {
    let text = |file: &str| {
        files
            .get(file)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    if let Some(folder) = dev.output {
        for (file, bytes) in files {
            let place = folder.join(file);
            std::fs::create_dir_all(place.parent().unwrap_or(folder)).or_exit(Exit::FileAccess)?;
            std::fs::write(&place, bytes).or_exit(Exit::FileAccess)?;
        }
    } else {
        let mut out = Output::new();
        let main = |file: &&String| file.starts_with(NAME) && !file.contains('/');
        let shown = files
            .keys()
            .find(main)
            .or_else(|| files.keys().find(|f| f.as_str() == "edits.json"));
        if let Some(bytes) = shown.and_then(|file| files.get(file)) {
            out.write_all(bytes)
                .and_then(|()| out.flush())
                .or_exit(Exit::FileAccess)?;
        }
        let others = files
            .keys()
            .filter(|f| Some(*f) != shown && ![SAID, FAILURE].contains(&f.as_str()))
            .count();
        if others > 0 {
            eprintln!("--- and {others} more files; -o FOLDER keeps them");
        }
    }
    for (file, what) in [(SAID, "said"), (FAILURE, "error")] {
        for line in text(file).unwrap_or_default().lines() {
            eprintln!("{what}: {line}");
        }
    }
    Ok(())
}

/// What is there to see: every file's time and size.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

fn look(place: &Path) -> Seen {
    let mut seen = Seen::new();
    if place.is_dir() {
        // Outside of a project the component is what changes; inside it is what is made of the rest.
        walk(place, !project::is_project(place), 0, &mut seen);
    } else if let Ok(meta) = std::fs::metadata(place) {
        seen.insert(place.to_owned(), (meta.modified().ok(), meta.len()));
    }
    seen
}

fn walk(folder: &Path, components: bool, depth: usize, seen: &mut Seen) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let (Ok(kind), path) = (entry.file_type(), entry.path()) else {
            continue;
        };
        if name.starts_with('.') || seen.len() >= MOST_FILES {
            continue;
        }
        if kind.is_dir() {
            if depth < DEPTH && !FILLED.contains(&&*name) {
                walk(&path, components, depth + 1, seen);
            }
        } else if (components || !name.ends_with(".wasm"))
            && let Ok(meta) = entry.metadata()
        {
            seen.insert(path, (meta.modified().ok(), meta.len()));
        }
    }
}
