//! `ocr-host plugin check`: everything that the host looks at before it runs a component, all at once, and nothing is run.
//!
//! Errors are what keeps the host from loading it; warnings are what its author would want to know. Only errors make the
//! exit code 1.

use super::project;
use crate::exit::{Exit, Failed};
use crate::plugins::{self, Found, built_in};
use ocr_runtime::{Interface, Limits, Manifest, World, capabilities};
use std::path::{Path, PathBuf};

/// Components above this take long to load where they were never compiled; Python's take 20 MB.
const LARGE_BYTES: usize = 32 << 20;

pub fn run(given: &str) -> Result<Exit, Failed> {
    let found = project::find(given)?;
    let shown = found.name();
    let component = found.component()?;
    let runtime = plugins::runtime(&Limits::default())?;
    let checked = runtime.check(&component);
    for error in &checked.errors {
        eprintln!("error: {shown}: {error}");
    }
    if let Some(manifest) = &checked.manifest {
        let mut told = warnings(manifest, &checked.imports, component.len());
        // The built-in ones have their own names by right.
        if !matches!(found, Found::BuiltIn(_)) {
            told.extend(taken_names(manifest));
        }
        for warning in told {
            eprintln!("warning: {shown}: {warning}");
        }
    }
    match (&checked.errors[..], &checked.manifest) {
        ([], Some(manifest)) => {
            println!(
                "{shown}: {} {} is {} that this host loads",
                manifest.id,
                manifest.version,
                manifest.world.with_article()
            );
            Ok(Exit::Ok)
        }
        (errors, _) => {
            let count = errors.len();
            let problems = if count == 1 { "problem" } else { "problems" };
            eprintln!("{shown}: the host does not load it: {count} {problems}");
            Ok(Exit::Arguments)
        }
    }
}

/// The component that was built in a folder.
pub fn component_in(folder: &Path) -> Result<PathBuf, Failed> {
    let failed = |why: String| Failed::new(Exit::Arguments, format!("{}: {why}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(|e| failed(e.to_string()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "wasm") && path.is_file())
        .collect();
    found.sort();
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(failed(format!(
            "there is no component in this folder; build it with `ocr-host plugin build {}`",
            folder.display()
        ))),
        several => {
            let names = several.iter().filter_map(|p| p.file_name());
            let names: Vec<_> = names.map(|n| n.to_string_lossy()).collect();
            Err(failed(format!(
                "there are several components; give one of {}",
                names.join(", ")
            )))
        }
    }
}

/// A component of this size brings an interpreter along: QuickJS takes 1.8 MB, plugins in Rust a tenth of that.
const INTERPRETER_BYTES: usize = 1 << 20;

/// What does not keep the host from loading it.
fn warnings(manifest: &Manifest, imports: &[Interface], bytes: usize) -> Vec<String> {
    let mut found = Vec::new();
    let reached = capabilities(imports);
    // Interpreters import all that their world offers; what the plugin itself calls can't be told.
    let is_interpreted = bytes > INTERPRETER_BYTES;
    for capability in &reached {
        if !is_interpreted && !manifest.capabilities.contains(capability) {
            found.push(format!(
                "it can ask for `{capability}`, which its manifest does not list, so it will be denied; add it to \
                 `capabilities`, if it is meant"
            ));
        }
    }
    for wanted in &manifest.capabilities {
        if !reached.contains(wanted) && !imports.is_empty() {
            found.push(format!(
                "it lists the capability `{wanted}` and never asks for it; leave it out"
            ));
        }
    }
    for granted in manifest
        .limits
        .granted(&Limits::default())
        .iter()
        .filter(|g| g.is_unmet())
    {
        let (name, wished) = (granted.quota.name(), granted.quota.shown(granted.wished));
        found.push(format!(
            "it wishes for {name} {wished}, and gets {} unless the operator gives --plugin-limit {name}={}",
            granted.quota.shown(granted.granted),
            wished.replace(' ', "")
        ));
    }
    if manifest.media_types.is_empty() && manifest.world != World::PageProcessor {
        found.push("its manifest has no media type; say what it reads or writes".to_owned());
    }
    for (name, schema) in manifest.options().properties() {
        if schema.description.is_none() {
            found.push(format!(
                "its option `{name}` has no description; `plugin inspect` shows it to users"
            ));
        }
    }
    let wasi = imports.iter().filter(|i| i.name.starts_with("wasi:")).count();
    if wasi > 0 {
        found.push(format!(
            "it imports {wasi} interfaces of WASI, which are empty here: no files, arguments or environment, and clocks \
             that stand still"
        ));
    }
    if bytes > LARGE_BYTES {
        found.push(format!(
            "it takes {} MiB, which takes long to compile the first time",
            bytes >> 20
        ));
    }
    found
}

/// Names of its that mean a built-in plugin.
fn taken_names(manifest: &Manifest) -> Vec<String> {
    let mut found = Vec::new();
    for name in manifest.aliases.iter().chain([&manifest.id]) {
        let taken = plugins::BUILT_IN
            .iter()
            .map(|b| b.manifest())
            .find(|m| m.answers_to(name));
        if let Some(taken) = taken.filter(|m| m.id != manifest.id) {
            found.push(format!(
                "`{name}` means the built-in plugin `{}`; choose another name",
                taken.id
            ));
        }
    }
    if built_in(&manifest.id).is_some() {
        found.push(format!(
            "`{}` is the name of a built-in plugin, so it can't be installed",
            manifest.id
        ));
    }
    found
}
