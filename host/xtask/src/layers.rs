//! Who may import whom. The table is the architecture: a change to it is a decision, recorded in host/README.md.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Each crate of ours and the crates of ours it may depend on.
const TABLE: &[(&str, &[&str])] = &[
    ("ocr-document", &[]),
    ("ocr-engine", &["ocr-document"]),
    ("ocr-kernels", &[]),
    ("ocr-http", &[]),
    ("ocr-weights", &["ocr-http"]),
    ("ocr-synthetic", &[]),
    ("ocr-model-ppocr", &["ocr-document", "ocr-engine"]),
    (
        "ocr-model-deepseek",
        &[
            "ocr-document",
            "ocr-engine",
            "ocr-kernels",
            "ocr-weights",
            "ocr-png",
            "ocr-synthetic",
        ],
    ),
    ("ocr-confine", &[]),
    ("ocr-pdfium", &["ocr-confine", "ocr-document"]),
    ("ocr-png", &["ocr-document"]),
    ("ocr-runtime", &["ocr-confine", "ocr-document", "ocr-png"]),
    ("ocr-pipeline", &["ocr-document", "ocr-engine", "ocr-runtime"]),
    (
        "ocr-host",
        &[
            "ocr-document",
            "ocr-engine",
            "ocr-http",
            "ocr-kernels",
            "ocr-weights",
            "ocr-model-ppocr",
            "ocr-model-deepseek",
            "ocr-pdfium",
            "ocr-runtime",
            "ocr-pipeline",
            "ocr-synthetic",
        ],
    ),
    (
        "ocr-differential",
        &[
            "ocr-document",
            "ocr-runtime",
            "ocr-plugin",
            "markdown-out",
            "html-out",
            "json-out",
            "text-out",
            "hocr-out",
        ],
    ),
    ("ocr-fuzz", &["ocr-document", "ocr-model-deepseek", "ocr-runtime"]),
    ("ocr-xtask", &["ocr-runtime"]),
    ("ocr-plugin", &[]),
];

/// What plugins and examples may depend on: the SDK, never the host.
const PLUGINS: &[&str] = &["ocr-plugin"];

pub fn check(root: &Path) -> Result<String, String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(root.join("Cargo.toml"))
        .output()
        .map_err(|e| format!("cargo can't be run: {e}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"]
        .as_array()
        .ok_or("cargo metadata lists no packages")?;
    let ours: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let allowed = match TABLE.iter().find(|(known, _)| *known == name) {
            Some((_, allowed)) => allowed,
            None if !package["metadata"]["ocr-host"].is_null() => &PLUGINS,
            None => {
                wrong.push(format!("{name} is not in the table of host/xtask/src/layers.rs"));
                continue;
            }
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            if ours.contains(&to) && !allowed.contains(&to) {
                wrong.push(format!("{name} must not import {to}"));
            }
        }
    }
    match wrong[..] {
        [] => Ok(format!("{} crates import what they may", packages.len())),
        _ => Err(wrong.join("\n")),
    }
}
