//! Builds a plugin written in Python or JavaScript: the language's own toolchain, manifest section, digest of the sources.
//!
//! The manifest's source of truth is `[project]` and `[tool.ocr-host]` of pyproject.toml, or package.json and its `ocr-host`, with the
//! same keys as Rust's `[package.metadata.ocr-host]`.

use super::sources::{self, Sources};
use super::{javascript, link, manifest_of, python, world};
use crate::manifest::Manifest;
use crate::producers;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Folder of a project in which `ocr-host plugin new` puts SDK and contract.
pub const KIT: &str = ".ocr-host";

/// The languages besides Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// By componentize-py.
    Python,
    /// By componentize-qjs.
    JavaScript,
}

impl Script {
    /// Its name, and that of what makes components of it.
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Script::Python => ("Python", "componentize-py"),
            Script::JavaScript => ("JavaScript", "componentize-qjs"),
        }
    }
}

/// A plugin project in one of them.
#[derive(Debug, Clone)]
pub struct ScriptProject {
    /// Its language.
    pub language: Script,
    /// What its component's section will hold.
    pub manifest: Manifest,
    /// Its folder.
    pub folder: PathBuf,
    /// The module that exports the plugin: a Python module's name, or a JavaScript file's path in the folder.
    pub(super) entry: String,
    /// Whether it uses packages besides the SDK; what they hold is not known to the digest of the sources.
    pub(super) has_dependencies: bool,
}

/// What a build came to.
#[derive(Debug)]
pub enum Built {
    /// A component.
    Component(Vec<u8>),
    /// The component that was there is made of the same sources.
    UpToDate,
}

/// The project in `folder`, where there is one in Python or JavaScript.
pub fn script_project(folder: &Path) -> Result<Option<ScriptProject>, String> {
    if folder.join("pyproject.toml").is_file() {
        return python::project(folder).map(Some);
    }
    if folder.join("package.json").is_file() {
        return javascript::project(folder).map(Some);
    }
    Ok(None)
}

/// The manifest that a project file describes: `package` with name, version and description, `described` with the rest.
pub(super) fn described(package: &Value, described: &Value, place: &str) -> Result<Manifest, String> {
    for key in ["name", "version"] {
        if !package[key].is_string() {
            return Err(format!("{place} has no `{key}`; a plugin needs one"));
        }
    }
    manifest_of(package, described)
}

impl ScriptProject {
    /// Makes the component. `kit` has the SDK and the contract, for projects that have no [`KIT`] of their own; `before` is the
    /// component that the last build made.
    pub fn build(&self, kit: &Path, before: Option<&[u8]>) -> Result<Built, String> {
        let own = self.folder.join(KIT);
        let kit = if own.is_dir() { own.as_path() } else { kit };
        let kit = &kit
            .canonicalize()
            .map_err(|e| format!("{}: {e}", kit.display()))?;
        let tool = match self.language {
            Script::Python => python::tool(&self.folder)?,
            Script::JavaScript => javascript::tool(&self.folder)?,
        };
        let mut sources = Sources::new();
        sources.add("tool", tool.version.as_bytes());
        // What is done with a component once the tool has made it: one of before is made anew.
        sources.add("finish", b"linked");
        sources.add("entry", self.entry.as_bytes());
        sources.add(
            "manifest",
            &serde_json::to_vec(&self.manifest).map_err(|e| e.to_string())?,
        );
        sources.add_folder(&self.folder)?;
        sources.add_folder(kit)?;
        let digest = sources.digest();
        if !self.has_dependencies && before.is_some_and(|before| sources::is_made_of(before, &digest)) {
            return Ok(Built::UpToDate);
        }
        let made = match self.language {
            Script::Python => python::build(self, &tool, kit)?,
            Script::JavaScript => javascript::build(self, &tool, kit)?,
        };
        world::check(&made, self.manifest.world)?;
        let made = link::linked(made);
        let component = crate::encode(&made, &self.manifest)?;
        let (language, name) = self.language.labels();
        // `componentize-py 0.25.1`, as it states it.
        let version = tool.version.split_whitespace().next_back().unwrap_or_default();
        let mut component = producers::mark(&component, language, name, version)?;
        sources::mark(&mut component, &digest);
        Ok(Built::Component(component))
    }
}

/// A program that makes components.
#[derive(Debug)]
pub(super) struct Tool {
    /// Program and first arguments.
    pub(super) command: Vec<PathBuf>,
    /// As it states it.
    pub(super) version: String,
}

impl Tool {
    /// Runs it; what it prints is told where it fails.
    pub(super) fn run(&self, arguments: impl FnOnce(&mut std::process::Command)) -> Result<String, String> {
        let (program, first) = self.command.split_first().expect("a tool has a program");
        let mut command = std::process::Command::new(program);
        command.args(first).env("RUST_BACKTRACE", "0");
        arguments(&mut command);
        let name = program.display();
        let output = command
            .output()
            .map_err(|e| format!("{name} can't be run: {e}"))?;
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).trim().to_owned());
        match output.status.success() {
            true => Ok(said[0].clone()),
            false => Err(said
                .into_iter()
                .filter(|s| !s.is_empty())
                .collect::<Vec<_>>()
                .join("\n")),
        }
    }
}

/// The program called `name` in the folders of `PATH`.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
        .find(|program| program.is_file())
}
