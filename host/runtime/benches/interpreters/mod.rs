//! The formatters in Python and JavaScript that the benchmark measures, built as their SDKs build them.

use ocr_runtime::{World, encode};
use std::path::Path;
use std::process::Command;

pub struct Language {
    pub name: &'static str,
    pub goal: &'static str,
    source: (&'static str, &'static str),
    /// The command; WIT stands for the contract's folder.
    command: &'static [&'static str],
}

pub const LANGUAGES: [Language; 2] = [
    Language {
        name: "JavaScript",
        goal: "< 0.3 ms",
        source: ("formatter.mjs", include_str!("formatter.mjs")),
        command: &[
            "jco",
            "componentize",
            "formatter.mjs",
            "--wit",
            "WIT",
            "-n",
            "output-formatter",
            "--backend",
            "qjs",
            "--backend-qjs-stub-wasi",
            "--backend-qjs-disable-async",
            "-o",
            "built.wasm",
        ],
    },
    Language {
        name: "Python",
        goal: "< 1.5 ms",
        source: ("formatter.py", include_str!("formatter.py")),
        command: &[
            "componentize-py",
            "-d",
            "WIT",
            "-w",
            "output-formatter",
            "componentize",
            "--stub-wasi",
            "formatter",
            "-o",
            "built.wasm",
        ],
    },
];

impl Language {
    /// The component, with a manifest; or why there is none.
    pub fn build(&self) -> Result<Vec<u8>, String> {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/v0.1.0");
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        std::fs::write(folder.path().join(self.source.0), self.source.1).map_err(|e| e.to_string())?;
        let mut command = Command::new(self.command[0]);
        for argument in &self.command[1..] {
            match *argument {
                "WIT" => command.arg(&wit),
                argument => command.arg(argument),
            };
        }
        let ran = command.current_dir(folder.path()).output();
        let ran = ran.map_err(|_| format!("{} is not installed", self.command[0]))?;
        if !ran.status.success() {
            return Err(format!(
                "{} failed: {}",
                self.command[0],
                String::from_utf8_lossy(&ran.stderr)
            ));
        }
        let built = std::fs::read(folder.path().join("built.wasm")).map_err(|e| e.to_string())?;
        let manifest = serde_json::json!({
            "id": self.name.to_lowercase(), "version": "0.1.0", "world": World::OutputFormatter.name(), "wit": "0.1.0",
            "extensions": ["txt"],
        });
        encode(
            &built,
            &serde_json::from_value(manifest).expect("it is a manifest"),
        )
    }
}
