//! `ocr-host plugin build`: makes a component of the project in a folder, whatever language it is in.

use crate::exit::{Exit, Failed, OrExit};
use crate::kit;
use ocr_runtime::build::{Built, KIT, Script, ScriptProject, build, plugin_crates, script_project};
use std::path::{Path, PathBuf};

/// A component in its place.
pub struct Made {
    pub place: PathBuf,
    /// Its size; `None` where it was there already.
    bytes: Option<usize>,
}

pub fn run(folder: &Path, output: Option<&Path>, profile: &str, force: bool) -> Result<Exit, Failed> {
    for Made { place, bytes } in make(folder, output, profile, force)? {
        match bytes {
            Some(bytes) => println!("{} ({bytes} bytes)", place.display()),
            None => println!("{} is up to date", place.display()),
        }
    }
    Ok(Exit::Ok)
}

/// Builds the project in a folder and answers its components.
pub fn make(folder: &Path, output: Option<&Path>, profile: &str, force: bool) -> Result<Vec<Made>, Failed> {
    if !folder.is_dir() {
        let why = format!(
            "{} is no folder; give the folder of a plugin project",
            folder.display()
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    // Both may be there: a crate with a package.json for its documentation, say. The crate is what the folder is about.
    if !folder.join("Cargo.toml").is_file() {
        let project = script_project(folder).map_err(|e| Failed::new(Exit::Arguments, e))?;
        if let Some(project) = project {
            return build_script(&project, folder, output, force);
        }
        let why = format!(
            "{} has no Cargo.toml, pyproject.toml or package.json; give the folder of a plugin project, or make one by \
             `ocr-host plugin new --lang rust --kind formatter NAME`",
            folder.display()
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    build_crates(folder, output, profile)
}

fn build_crates(folder: &Path, output: Option<&Path>, profile: &str) -> Result<Vec<Made>, Failed> {
    let crates = plugin_crates(folder).map_err(|e| Failed::new(Exit::Arguments, e))?;
    let here = folder.canonicalize().or_exit(Exit::FileAccess)?;
    // In a workspace, cargo lists all members; the one asked for is the one in this folder.
    let crates: Vec<_> = match crates.iter().find(|c| c.folder == here) {
        Some(one) => vec![one.clone()],
        None => crates,
    };
    if output.is_some() && crates.len() > 1 {
        return Err(Failed::new(
            Exit::Arguments,
            "-o names one file, but the workspace has several plugins",
        ));
    }
    let shared = crate::plugins::cache_folder().map(|cache| cache.join("target"));
    let built = build(&crates, profile, shared.as_deref()).map_err(|e| Failed::new(Exit::Other, e))?;
    let mut made = Vec::new();
    for (plugin, component) in crates.iter().zip(built) {
        // As the user wrote it, where that is enough to find it.
        let home = if plugin.folder == here {
            folder
        } else {
            &plugin.folder
        };
        let place = home.join(format!("{}.wasm", plugin.manifest.id));
        made.push(write(output.unwrap_or(&place), &component)?);
    }
    Ok(made)
}

fn build_script(
    project: &ScriptProject,
    folder: &Path,
    output: Option<&Path>,
    force: bool,
) -> Result<Vec<Made>, Failed> {
    let place = folder.join(format!("{}.wasm", project.manifest.id));
    let place = output.unwrap_or(&place);
    let before = if force { None } else { std::fs::read(place).ok() };
    // A project without an SDK of its own gets this program's.
    let kit = tempfile::tempdir().or_exit(Exit::FileAccess)?;
    if !folder.join(KIT).is_dir() {
        let language = match project.language {
            Script::Python => "python",
            Script::JavaScript => "js",
        };
        kit::write(language, kit.path()).or_exit(Exit::FileAccess)?;
    }
    match project.build(kit.path(), before.as_deref()) {
        Ok(Built::Component(component)) => Ok(vec![write(place, &component)?]),
        Ok(Built::UpToDate) => Ok(vec![Made {
            place: place.to_owned(),
            bytes: None,
        }]),
        Err(why) => Err(Failed::new(Exit::Other, why)),
    }
}

fn write(place: &Path, component: &[u8]) -> Result<Made, Failed> {
    let written = std::fs::write(place, component);
    written.map_err(|e| Failed::new(Exit::FileAccess, format!("{}: {e}", place.display())))?;
    Ok(Made {
        place: place.to_owned(),
        bytes: Some(component.len()),
    })
}
