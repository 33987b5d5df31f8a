//! Builds the components that live in the repository, and checks that they are what their sources give.

use ocr_runtime::build::{PluginCrate, build as build_crates, plugin_crates};
use std::path::{Path, PathBuf};

/// The workspace's profile for components.
const PROFILE: &str = "plugin";

pub fn build(root: &Path) -> Result<String, String> {
    let mut lines = Vec::new();
    for (path, component) in components(root)? {
        std::fs::write(&path, &component).map_err(|e| format!("{}: {e}", path.display()))?;
        lines.push(format!("{:>9} bytes  {}", component.len(), shown(root, &path)));
    }
    Ok(lines.join("\n"))
}

pub fn check(root: &Path) -> Result<String, String> {
    let built = components(root)?;
    let stale: Vec<String> = built
        .iter()
        .filter(|(path, component)| std::fs::read(path).ok().as_ref() != Some(component))
        .map(|(path, _)| shown(root, path))
        .collect();
    match stale[..] {
        [] => Ok(format!("{} components are what their sources give", built.len())),
        _ => Err(format!(
            "stale: {}; run `cargo xtask plugins` and commit",
            stale.join(", ")
        )),
    }
}

/// Every component of the workspace with the path it belongs at.
fn components(root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    let crates: Vec<PluginCrate> = plugin_crates(root)?;
    let built = build_crates(&crates, PROFILE)?;
    let place = |plugin: &PluginCrate| plugin.folder.join(format!("{}.wasm", plugin.manifest.id));
    Ok(crates.iter().map(place).zip(built).collect())
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
