//! `ocr-host plugin test`: runs a plugin over fixtures and compares what it leaves behind with what is expected.
//!
//! A fixture is a folder in `tests/` (or `test/`) with recorded pages (`pages.json`) or a document (`input.pdf`), the plugin's options
//! where it needs any (`options.toml`), and the files that are expected (`expected/`), byte by byte. `--update` writes
//! those anew. What a plugin says and how it fails are files as well, so both can be expected.

use super::project;
use crate::args::ReadArgs;
use crate::diff;
use crate::exit::{Exit, Failed, OrExit};
use crate::options::{self, GivenOption, GivenValue, Place};
use crate::recording::Recording;
use crate::trial::{self, Files, Trial};
use crate::{plugins, recognise};
use ocr_runtime::{Limits, Plugin, Runtime, Source, World};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Recorded pages of a fixture.
pub const PAGES: &str = "pages.json";
/// Where fixtures lie in a project; the second is where Node looks for tests.
const TESTS: [&str; 2] = ["tests", "test"];
const OPTIONS: &str = "options.toml";
const EXPECTED: &str = "expected";

/// Largest file of options.
const OPTIONS_BYTES: u64 = 1 << 20;

/// What to do with the fixtures.
pub struct How<'a> {
    /// Write what is expected anew.
    pub update: bool,
    /// Only fixtures whose name has this in it.
    pub filter: Option<&'a str>,
    /// Take the component as it is.
    pub no_build: bool,
}

/// How a fixture ended.
enum Verdict {
    Passed,
    Updated(Vec<String>),
    Failed(Vec<String>),
}

pub fn run(place: &Path, how: &How) -> Result<Exit, Failed> {
    if !place.exists() {
        let why = format!(
            "{}: there is no such folder or component; give a plugin's project",
            place.display()
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    let folder = match place.is_dir() {
        true => place.to_owned(),
        false => place.parent().unwrap_or(Path::new("")).to_owned(),
    };
    let fixtures = fixtures(&folder)?;
    let component = project::component(place, how.no_build)?;
    let limits = Limits::default();
    let runtime = plugins::runtime(&limits)?;
    let plugin = plugins::Found::File(component).load_any(&runtime)?;
    let wanted = |fixture: &&PathBuf| how.filter.is_none_or(|part| name(fixture).contains(part));
    let chosen: Vec<&PathBuf> = fixtures.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<String> = fixtures.iter().map(|f| name(f)).collect();
        let why = format!(
            "no fixture has {:?} in its name; there are {}",
            how.filter.unwrap_or(""),
            names.join(", ")
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    let mut failed = 0;
    for fixture in &chosen {
        let files = run_one(&runtime, &plugin, &limits, fixture);
        let verdict = files.and_then(|files| match how.update {
            true => update(&fixture.join(EXPECTED), &files).map(Verdict::Updated),
            false => compare(&fixture.join(EXPECTED), &files),
        });
        match verdict {
            Ok(Verdict::Passed) => println!("{} ... ok", name(fixture)),
            Ok(Verdict::Updated(changed)) if changed.is_empty() => {
                println!("{} ... as it was", name(fixture))
            }
            Ok(Verdict::Updated(changed)) => {
                println!("{} ... updated", name(fixture));
                changed.iter().for_each(|line| println!("  {line}"));
            }
            Ok(Verdict::Failed(lines)) => {
                failed += 1;
                println!("{} ... FAILED", name(fixture));
                lines.iter().for_each(|line| println!("  {line}"));
            }
            Err(Failed { error, .. }) => {
                failed += 1;
                println!("{} ... FAILED\n  {error:#}", name(fixture));
            }
        }
    }
    if failed == 0 {
        return Ok(Exit::Ok);
    }
    println!(
        "{failed} of {} failed; if what the plugin does now is right, `ocr-host plugin test --update` expects it from \
         now on",
        chosen.len()
    );
    Ok(Exit::Arguments)
}

fn name(fixture: &Path) -> String {
    fixture
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The folders in a project's `tests/`, or in the `test/` of JavaScript's, that have something to run a plugin over. Others are
/// somebody else's.
pub fn fixtures(project: &Path) -> Result<Vec<PathBuf>, Failed> {
    let is_fixture = |folder: &PathBuf| folder.join(PAGES).is_file() || input(folder).is_some();
    let places = TESTS.map(|name| project.join(name));
    let mut found: Vec<PathBuf> = places
        .iter()
        .flat_map(|tests| std::fs::read_dir(tests).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && is_fixture(path))
        .collect();
    found.sort();
    match found.is_empty() {
        false => Ok(found),
        true => {
            // Where the project has its tests already.
            let tests = places.iter().find(|tests| tests.is_dir()).unwrap_or(&places[0]);
            let why = format!(
                "there is no fixture in {}; record one with `ocr-host plugin record scan.pdf -o {}`",
                tests.display(),
                tests.join("scan").join(PAGES).display()
            );
            Err(Failed::new(Exit::Arguments, why))
        }
    }
}

/// The document of a fixture: the file called `input`, whatever its ending.
pub fn input(fixture: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(fixture).ok()?.flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.file_stem().is_some_and(|stem| stem == "input") && path.is_file())
        .collect();
    found.sort();
    found.into_iter().next()
}

fn run_one(
    runtime: &Runtime,
    plugin: &Arc<Plugin>,
    limits: &Limits,
    fixture: &Path,
) -> Result<Files, Failed> {
    let options = options(&fixture.join(OPTIONS))?;
    let settings = options::settings(std::slice::from_ref(plugin), &options, &[])?.remove(0);
    let trial = Trial {
        plugin,
        config: &settings.json,
        limits,
    };
    if plugin.world() == World::InputAdapter {
        let Some(input) = input(fixture) else {
            let why = "an adapter reads a document; put one beside it as input.EXT";
            return Err(Failed::new(Exit::Input, why));
        };
        let source = Source::open(&input).or_exit(Exit::Input)?;
        return trial.over_document(&source).or_exit(Exit::Other);
    }
    let recording = match (fixture.join(PAGES), input(fixture)) {
        (pages, _) if pages.is_file() => Recording::read(&pages)?,
        (_, Some(input)) => recognise::pages_of(runtime, &input, &ReadArgs::default(), true)?,
        (pages, None) => Recording::read(&pages)?,
    };
    let pages = recording.pages().map_err(|why| Failed::new(Exit::Input, why))?;
    trial.over_pages(&recording.document, &pages).or_exit(Exit::Other)
}

/// The options in a file, `key = value` a line.
fn options(path: &Path) -> Result<Vec<GivenOption>, Failed> {
    let wrong = |why: String| Failed::new(Exit::Config, format!("{}: {}", path.display(), why.trim_end()));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error.to_string())),
        Ok(meta) if meta.len() > OPTIONS_BYTES => return Err(wrong("it is no file of options".to_owned())),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let table: BTreeMap<String, toml::Spanned<toml::Value>> =
        toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let option = |(key, value): (String, toml::Spanned<toml::Value>)| {
        let place = Place {
            file: path.to_owned(),
            line: text[..value.span().start].matches('\n').count() + 1,
        };
        let value =
            options::json(value.as_ref()).map_err(|why| wrong(format!("line {}: {why}", place.line)))?;
        Ok(GivenOption {
            plugin: None,
            key,
            value: GivenValue::File(value, place),
        })
    };
    let mut options = table
        .into_iter()
        .map(option)
        .collect::<Result<Vec<_>, Failed>>()?;
    // As they stand, so that the first mistake is the first that is told of.
    options.sort_by_key(GivenOption::line);
    Ok(options)
}

/// Compares what a plugin left with what is expected.
fn compare(expected: &Path, found: &Files) -> Result<Verdict, Failed> {
    if !expected.is_dir() {
        let why = "nothing is expected yet; `ocr-host plugin test --update` writes what the plugin does now";
        return Ok(Verdict::Failed(vec![why.to_owned()]));
    }
    let mut wanted = Files::new();
    trial::gather(expected, "", &mut wanted).or_exit(Exit::FileAccess)?;
    let mut lines = Vec::new();
    for (file, bytes) in found {
        match wanted.get(file) {
            None => {
                lines.push(format!("{file} is not expected:"));
                lines.extend(diff::readable(b"", bytes));
            }
            Some(expected) if expected != bytes => {
                lines.push(format!("{file} differs from {EXPECTED}/{file}:"));
                lines.extend(diff::readable(expected, bytes));
            }
            Some(_) => {}
        }
    }
    for file in wanted.keys().filter(|file| !found.contains_key(*file)) {
        lines.push(format!("{file} is expected, and the plugin did not write it"));
    }
    Ok(match lines.is_empty() {
        true => Verdict::Passed,
        false => Verdict::Failed(lines),
    })
}

/// Expects what was found from now on; answers which files changed.
fn update(expected: &Path, found: &Files) -> Result<Vec<String>, Failed> {
    let mut before = Files::new();
    if expected.is_dir() {
        trial::gather(expected, "", &mut before).or_exit(Exit::FileAccess)?;
    }
    let mut changed = Vec::new();
    for file in before.keys().filter(|file| !found.contains_key(*file)) {
        std::fs::remove_file(expected.join(file)).or_exit(Exit::FileAccess)?;
        changed.push(format!("{EXPECTED}/{file} is gone"));
    }
    for (file, bytes) in found {
        match before.get(file) {
            Some(old) if old == bytes => continue,
            Some(_) => changed.push(format!("{EXPECTED}/{file} changed")),
            None => changed.push(format!("{EXPECTED}/{file} is new ({} bytes)", bytes.len())),
        }
        let place = expected.join(file);
        let folder = place.parent().unwrap_or(expected);
        std::fs::create_dir_all(folder).or_exit(Exit::FileAccess)?;
        std::fs::write(&place, bytes).or_exit(Exit::FileAccess)?;
    }
    Ok(changed)
}
