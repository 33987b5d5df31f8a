//! What the program brings along for those who write plugins: SDKs, contract and templates, packed by `build.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::LazyLock;

/// Texts by their paths in the repository.
pub static FILES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let packed = include_bytes!(concat!(env!("OUT_DIR"), "/kit.json.gz"));
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut json)
        .expect("what build.rs packed can be unpacked");
    serde_json::from_slice(&json).expect("build.rs packs paths and texts")
});

/// The texts below `folder/`, with their paths in it.
pub fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let prefix = format!("{folder}/");
    FILES
        .iter()
        .filter_map(move |(path, text)| Some((path.strip_prefix(&prefix)?, text.as_str())))
}

/// Writes SDK and contract for a language (`rust`, `python`, `js`) into a folder, as projects have them in `.ocr-host`.
pub fn write(language: &str, folder: &Path) -> io::Result<()> {
    let sdk = format!("sdk/{language}");
    for part in [sdk.as_str(), "wit"] {
        for (path, text) in below(part) {
            write_text(&folder.join(part).join(path), text)?;
        }
    }
    Ok(())
}

/// Writes a file and the folders above it.
pub fn write_text(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rust_sdk_stands_alone() {
        let manifest = &FILES["sdk/rust/Cargo.toml"];
        assert!(!manifest.contains("workspace"), "{manifest}");
        assert!(manifest.contains("wit-bindgen"), "{manifest}");
        let lock = &FILES["sdk/rust/Cargo.lock"];
        assert!(
            lock.contains("name = \"wit-bindgen\"") && !lock.contains("wasmtime"),
            "{lock}"
        );
    }

    #[test]
    fn every_language_has_its_parts() {
        for file in [
            "sdk/rust/src/lib.rs",
            "sdk/python/ocr_plugin/testing/host.py",
            "sdk/js/component/output-formatter.js",
            "sdk/js/index.d.ts",
            "sdk/js/testing/index.d.ts",
            "wit/v0.1.0/types.wit",
            "sdk/templates/js/common/.gitignore",
        ] {
            assert!(FILES.contains_key(file), "{file}");
        }
        let stray = FILES
            .keys()
            .find(|path| path.contains("node_modules") || path.starts_with("sdk/js/test/"));
        assert_eq!(stray, None);
    }
}
