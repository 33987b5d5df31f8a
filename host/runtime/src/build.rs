//! Builds a plugin crate: cargo for `wasm32-unknown-unknown`, component encoding, manifest section.
//!
//! The manifest's source of truth is the crate's Cargo.toml: name, version and description of the package, and
//! `[package.metadata.ocr-host]`. Builds are reproducible: paths of the machine are remapped, so the same sources,
//! lock file and toolchain give the same bytes.

use crate::grants::Capability;
use crate::manifest::limits::WishedLimits;
use crate::manifest::{Manifest, OnFailure, World};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

mod javascript;
mod lend;
mod link;
mod python;
mod script;
mod sources;
mod world;

pub use script::{Built, KIT, Script, ScriptProject, script_project};

const TARGET: &str = "wasm32-unknown-unknown";

/// A plugin crate as cargo knows it.
#[derive(Debug, Clone)]
pub struct PluginCrate {
    /// What its component's section will hold.
    pub manifest: Manifest,
    /// The package's folder.
    pub folder: PathBuf,
    /// Where cargo puts what it builds.
    target: PathBuf,
    workspace: PathBuf,
    package: String,
    library: String,
}

/// `[package.metadata.ocr-host]`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Metadata {
    world: World,
    #[serde(default)]
    aliases: Vec<String>,
    media_type: Option<String>,
    #[serde(default)]
    media_types: Vec<String>,
    extension: Option<String>,
    #[serde(default)]
    extensions: Vec<String>,
    #[serde(default)]
    capabilities: Vec<Capability>,
    on_failure: Option<OnFailure>,
    #[serde(default)]
    limits: WishedLimits,
    #[serde(default)]
    config: Map<String, Value>,
}

/// The plugin crates of the package or workspace in `folder`.
pub fn plugin_crates(folder: &Path) -> Result<Vec<PluginCrate>, String> {
    let manifest_path = folder.join("Cargo.toml");
    if !manifest_path.is_file() {
        return Err(format!(
            "{} has no Cargo.toml; give the folder of a plugin crate",
            folder.display()
        ));
    }
    let mut cargo = Command::new(cargo());
    cargo
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(&manifest_path);
    let output = cargo
        .output()
        .map_err(|e| format!("cargo can't be run: {e}; install Rust first"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata failed:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        ));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let path = |value: &Value| PathBuf::from(value.as_str().unwrap_or_default());
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let described = &package["metadata"]["ocr-host"];
        if described.is_null() {
            continue;
        }
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let manifest = manifest_of(package, described).map_err(|e| format!("{name}: {e}"))?;
        let is_library = |t: &&Value| {
            t["crate_types"]
                .as_array()
                .is_some_and(|types| types.iter().any(|k| k == "cdylib"))
        };
        let library = package["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .find(is_library);
        let library = library.and_then(|t| t["name"].as_str()).ok_or_else(|| {
            format!("{name}: a plugin is a cdylib; add `[lib] crate-type = [\"cdylib\"]` to its Cargo.toml")
        })?;
        found.push(PluginCrate {
            manifest,
            folder: path(&package["manifest_path"])
                .parent()
                .unwrap_or(Path::new("."))
                .to_owned(),
            target: path(&metadata["target_directory"]),
            workspace: path(&metadata["workspace_root"]),
            package: name,
            library: library.replace('-', "_"),
        });
    }
    if found.is_empty() {
        return Err(format!(
            "{} has no [package.metadata.ocr-host]; it says what the plugin is, for example `world = \"output-formatter\"`",
            manifest_path.display()
        ));
    }
    Ok(found)
}

fn manifest_of(package: &Value, described: &Value) -> Result<Manifest, String> {
    let metadata: Metadata =
        serde_json::from_value(described.clone()).map_err(|e| format!("[package.metadata.ocr-host]: {e}"))?;
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let config = (!metadata.config.is_empty()).then(|| {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": metadata.config,
            "additionalProperties": false,
        })
    });
    let manifest = Manifest {
        id: text("name"),
        version: text("version"),
        world: metadata.world,
        wit: crate::WIT_VERSION.into(),
        description: text("description"),
        aliases: metadata.aliases,
        media_types: metadata
            .media_type
            .into_iter()
            .chain(metadata.media_types)
            .collect(),
        extensions: metadata
            .extension
            .into_iter()
            .chain(metadata.extensions)
            .collect(),
        capabilities: metadata.capabilities,
        limits: metadata.limits,
        on_failure: metadata.on_failure,
        config,
    };
    manifest.check().map_err(|e| e.to_string())?;
    Ok(manifest)
}

/// Builds plugin crates of one workspace with one cargo run and answers their components, in the same order.
/// `profile` is a cargo profile of their workspace; cargo's own messages go to standard error.
///
/// Projects that `ocr-host plugin new` made share what they have in common: with `shared`, a folder for cargo's target, and nothing else
/// said by the user, dependencies are compiled once for all of them.
pub fn build(crates: &[PluginCrate], profile: &str, shared: Option<&Path>) -> Result<Vec<Vec<u8>>, String> {
    let Some(first) = crates.first() else {
        return Ok(Vec::new());
    };
    let own = first.target == first.workspace.join("target") && first.workspace.join(KIT).is_dir();
    let shared = shared.filter(|_| own);
    let mut command = Command::new(cargo());
    command.args([
        "build",
        "--target",
        TARGET,
        "--profile",
        profile,
        "--manifest-path",
    ]);
    command.arg(first.workspace.join("Cargo.toml"));
    for plugin in crates {
        command.args(["--package", &plugin.package]);
    }
    // Flags are part of what cargo knows a dependency by. A project of its own has no paths outside its folder, and cargo
    // compiles with paths relative to it: there is nothing to remap.
    let workspace = shared.is_none().then_some(first.workspace.as_path());
    command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(workspace).join("\u{1f}"));
    if let Some(shared) = shared {
        command.arg("--target-dir").arg(shared);
    }
    // What a surrounding cargo set for its own build is not meant for this one.
    command.env_remove("RUSTFLAGS").env("CARGO_INCREMENTAL", "0");
    let status = command
        .status()
        .map_err(|e| format!("cargo can't be run: {e}; install Rust first"))?;
    if !status.success() {
        return Err(format!(
            "cargo could not build for {TARGET}; if the target is missing, run `rustup target add {TARGET}`"
        ));
    }
    let folder = if profile == "dev" { "debug" } else { profile };
    let built = shared.unwrap_or(&first.target).join(TARGET).join(folder);
    crates
        .iter()
        .map(|plugin| {
            let path = built.join(format!("{}.wasm", plugin.library));
            let module = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            crate::encode(&module, &plugin.manifest)
                .and_then(|component| world::check(&component, plugin.manifest.world).map(|()| component))
                .map_err(|e| format!("{}: {e}", plugin.package))
        })
        .collect()
}

/// SIMD is on in every engine that runs components; paths are remapped so that builds don't depend on the machine.
fn rust_flags(workspace: Option<&Path>) -> Vec<String> {
    let mut flags = vec!["-Ctarget-feature=+simd128".to_owned()];
    let mut remap =
        |from: &Path, to: &str| flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    if let Some(workspace) = workspace {
        remap(workspace, "/plugin");
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.map(|home| home.join("registry/src"));
    let mut registries: Vec<PathBuf> = sources
        .and_then(|sources| std::fs::read_dir(sources).ok())
        .map(|entries| entries.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    registries.sort();
    for registry in registries {
        remap(&registry, "/registry");
    }
    flags
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
