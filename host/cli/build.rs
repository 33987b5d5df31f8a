//! Packs what `ocr-host plugin new` writes into the program: the SDKs, the contract and the templates of this repository.
//!
//! Nothing of it is on a registry, so the program has to bring it along. The archive is a JSON object of paths and texts, compressed;
//! the same files give the same bytes. The Rust SDK is a member of this workspace, and gets the values that it inherits from
//! there; the versions that Cargo.lock has of its dependencies go along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is packed: files and folders of the repository, relative to its root.
const PACKED: [&str; 12] = [
    "sdk/rust/Cargo.toml",
    "sdk/rust/README.md",
    "sdk/rust/src",
    "sdk/python/README.md",
    "sdk/python/ocr_plugin",
    "sdk/js/README.md",
    "sdk/js/component",
    "sdk/js/testing",
    "sdk/js",
    "sdk/templates",
    "wit/v0.1.0",
    "wit/README.md",
];

/// Folders whose own files are packed, but no folders in them besides those named above.
const FLAT: [&str; 1] = ["sdk/js"];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = BTreeMap::new();
    for packed in PACKED {
        println!("cargo::rerun-if-changed={}", root.join(packed).display());
        collect(&root, packed, &mut files);
    }
    for watched in ["Cargo.toml", "Cargo.lock", "host/cli/build.rs"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let read = |name: &str| -> toml::Table {
        let text = fs::read_to_string(root.join(name)).expect("the repository's own file is there");
        text.parse().expect("the repository's own file is TOML")
    };
    let sdk = files
        .get_mut("sdk/rust/Cargo.toml")
        .expect("the Rust SDK has a manifest");
    *sdk = standalone(sdk.parse().expect("it is TOML"), &read("Cargo.toml"));
    files.insert("sdk/rust/Cargo.lock".into(), lock(&read("Cargo.lock")));

    let json = serde_json::to_vec(&files).expect("paths and texts");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names a folder"));
    let file = fs::File::create(out.join("kit.json.gz")).expect("cargo's folder can be written to");
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::best());
    packer
        .write_all(&json)
        .and_then(|()| packer.finish())
        .expect("cargo's folder can be written to");
}

/// The texts at `path`, a file or a folder; hidden files belong to templates.
fn collect(root: &Path, path: &str, files: &mut BTreeMap<String, String>) {
    let place = root.join(path);
    if place.is_file() {
        let text = fs::read_to_string(&place).unwrap_or_else(|e| panic!("{path}: {e}"));
        files.insert(path.to_owned(), text);
        return;
    }
    let entries = fs::read_dir(&place).unwrap_or_else(|e| panic!("{path}: {e}"));
    for entry in entries {
        let entry = entry.unwrap_or_else(|e| panic!("{path}: {e}"));
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let is_left_out = name == "__pycache__" || name.ends_with(".pyc") || name == "package-lock.json";
        if !(is_left_out || FLAT.contains(&path) && entry.path().is_dir()) {
            collect(root, &format!("{path}/{name}"), files);
        }
    }
}

/// The SDK's manifest with what it inherits from the workspace written out.
fn standalone(mut manifest: toml::Table, workspace: &toml::Table) -> String {
    let workspace = workspace["workspace"]
        .as_table()
        .expect("the root is a workspace");
    for part in ["package", "dependencies"] {
        let inherited = workspace[part].as_table().expect("the workspace has it");
        for (key, value) in manifest[part].as_table_mut().expect("the SDK has it") {
            if value.get("workspace").is_some_and(|w| w.as_bool() == Some(true)) {
                *value = inherited[key].clone();
            }
        }
    }
    manifest.remove("lints");
    toml::to_string(&manifest).expect("it was TOML before")
}

/// The part of a lock file that the Rust SDK needs.
fn lock(whole: &toml::Table) -> String {
    let packages = whole["package"].as_array().expect("a lock file lists packages");
    let text = |package: &toml::Value, key: &str| {
        package
            .get(key)
            .and_then(|v| v.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let mut wanted = vec!["ocr-plugin".to_owned()];
    let mut kept = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        // `NAME`, or `NAME VERSION` where there are several.
        let (name, version) = name.split_once(' ').unwrap_or((&name, ""));
        let found = packages
            .iter()
            .position(|p| text(p, "name") == name && (version.is_empty() || text(p, "version") == version));
        let found = found.expect("a lock file has what it names");
        if kept.insert(found) {
            let needs = packages[found].get("dependencies").and_then(|d| d.as_array());
            wanted.extend(
                needs
                    .into_iter()
                    .flatten()
                    .filter_map(|d| d.as_str())
                    .map(str::to_owned),
            );
        }
    }
    let mut lock = toml::Table::new();
    lock.insert("version".into(), whole["version"].clone());
    let kept = kept.into_iter().map(|i| packages[i].clone()).collect();
    lock.insert("package".into(), toml::Value::Array(kept));
    toml::to_string(&lock).expect("it was TOML before")
}
