//! Builds the components that live in the repository, and checks that they are what their sources give.
//!
//! Those of `plugins/` go into the program and are kept packed (`NAME.wasm.gz`), and so is what tests run; examples are files
//! that `--plugin` takes (`NAME.wasm`).

use ocr_runtime::build::{PluginCrate, build as build_crates, plugin_crates};
use std::io::Read;
use std::path::{Path, PathBuf};
use zopfli::{Format, Options};

/// The workspace's profile for components.
const PROFILE: &str = "plugin";

pub fn build(root: &Path) -> Result<String, String> {
    let mut lines = Vec::new();
    for (path, component) in components(root)? {
        if read(&path).as_ref() == Some(&component) {
            continue;
        }
        let bytes = if is_packed(&path) {
            pack(&component)
        } else {
            component
        };
        std::fs::write(&path, &bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        lines.push(format!("{:>9} bytes  {}", bytes.len(), shown(root, &path)));
    }
    match lines.is_empty() {
        true => Ok("nothing has changed".into()),
        false => Ok(lines.join("\n")),
    }
}

pub fn check(root: &Path) -> Result<String, String> {
    let built = components(root)?;
    let stale: Vec<String> = built
        .iter()
        .filter(|(path, component)| read(path).as_ref() != Some(component))
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
    let built = build_crates(&crates, PROFILE, None)?;
    let place = |plugin: &PluginCrate| {
        let extension = if plugin.folder.starts_with(root.join("examples")) {
            "wasm"
        } else {
            "wasm.gz"
        };
        plugin.folder.join(format!("{}.{extension}", plugin.manifest.id))
    };
    Ok(crates.iter().map(place).zip(built).collect())
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "gz")
}

/// Packs it as small as gzip can be: it is done once, and the repository carries it for ever.
fn pack(component: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    zopfli::compress(Options::default(), Format::Gzip, component, &mut packed)
        .expect("memory can be written to");
    packed
}

/// The component in a file, unpacked; `None` where it is missing or broken.
fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    if !is_packed(path) {
        return Some(bytes);
    }
    let mut component = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_end(&mut component)
        .ok()?;
    Some(component)
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
