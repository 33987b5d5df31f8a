//! From what an author points at to the component of it: a file is taken as it is, a project is built, and any other folder
//! has its component in it.

use super::{build, check};
use crate::exit::Failed;
use crate::plugins::{self, Found};
use std::path::{Path, PathBuf};

/// Whether `plugin build` knows what to do with a folder.
pub fn is_project(folder: &Path) -> bool {
    let files = ["Cargo.toml", "pyproject.toml", "package.json"];
    files.iter().any(|file| folder.join(file).is_file())
}

/// The component of `place`, built where it is a project and nobody asked to leave it.
pub fn component(place: &Path, no_build: bool) -> Result<PathBuf, Failed> {
    if !place.is_dir() {
        return Ok(place.to_owned());
    }
    if is_project(place) && !no_build {
        let mut made = build::make(place, None, "release", false)?;
        if made.len() == 1 {
            return Ok(made.remove(0).place);
        }
    }
    check::component_in(place)
}

/// The plugin that an author names to look at it: a built-in or installed one, a file, or a folder with its component. As with
/// `--plugin`, nothing that lies in the present folder takes a built-in's place.
pub fn find(name: &str) -> Result<Found, Failed> {
    let folder = Path::new(name);
    match plugins::built_in(name).is_none() && folder.is_dir() {
        true => check::component_in(folder).map(Found::File),
        false => plugins::find(name),
    }
}
