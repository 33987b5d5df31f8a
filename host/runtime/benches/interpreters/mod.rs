//! The formatters in Python and JavaScript that the benchmark measures, built as `ocr-host plugin build` builds an author's.

use ocr_runtime::build::{Built, script_project};
use std::fs;
use std::path::Path;

pub struct Language {
    pub name: &'static str,
    pub goal: &'static str,
    /// The project's files; the first is the formatter.
    files: [(&'static str, &'static str); 2],
}

pub const LANGUAGES: [Language; 2] = [
    Language {
        name: "JavaScript",
        goal: "< 0.3 ms",
        files: [
            ("least.js", include_str!("least.js")),
            ("package.json", include_str!("package.json")),
        ],
    },
    Language {
        name: "Python",
        goal: "< 1.5 ms",
        files: [
            ("least.py", include_str!("least.py")),
            ("pyproject.toml", include_str!("pyproject.toml")),
        ],
    },
];

impl Language {
    /// The component, or why there is none.
    pub fn build(&self) -> Result<Vec<u8>, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("overhead-{}", self.name));
        // The repository holds SDKs and contract as a project's kit does.
        let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
        fs::create_dir_all(folder.join("node_modules")).map_err(failed)?;
        for (name, text) in self.files {
            fs::write(folder.join(name), text).map_err(failed)?;
        }
        let linked = folder.join("node_modules/ocr-plugin");
        let _ = fs::remove_file(&linked);
        #[cfg(unix)]
        std::os::unix::fs::symlink(kit.join("sdk/js").canonicalize().map_err(failed)?, linked)
            .map_err(failed)?;
        let project = script_project(&folder)?.ok_or("it is no project")?;
        match project.build(&kit, None)? {
            Built::Component(component) => Ok(component),
            Built::UpToDate => Err("there was one before the first".into()),
        }
    }
}
