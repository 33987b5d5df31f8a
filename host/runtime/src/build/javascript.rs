//! JavaScript: componentize-qjs (the QuickJS backend of jco) snapshots an interpreter that has loaded the plugin and all it imports, and
//! stubs what it would want of WASI.

use super::lend;
use super::python::in_place;
use super::script::{Script, ScriptProject, Tool, described, on_path};
use crate::manifest::World;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The module that starts the component; it stands in the project's folder while the component is made, as imports of packages are
/// looked for from there.
const ENTRY: &str = "ocr-host-entry.mjs";

pub(super) fn project(folder: &Path) -> Result<ScriptProject, String> {
    let path = folder.join("package.json");
    let place = path.display().to_string();
    let text = fs::read_to_string(&path).map_err(|e| format!("{place}: {e}"))?;
    let package: Value = serde_json::from_str(&text).map_err(|e| format!("{place}: {e}"))?;
    let about = &package["ocr-host"];
    if about.is_null() {
        return Err(format!(
            "{place} has no `ocr-host`; it says what the plugin is, for example `\"ocr-host\": {{\"world\": \"output-formatter\"}}`"
        ));
    }
    let manifest =
        described(&package, about, &place).map_err(|e| format!("{place}: {}", in_place(&e, "`ocr-host`")))?;
    let entry = package["main"]
        .as_str()
        .unwrap_or("index.js")
        .trim_start_matches("./")
        .to_owned();
    if !folder.join(&entry).is_file() {
        return Err(format!(
            "{place}: there is no {}; `main` names the module whose default export is the plugin",
            folder.join(&entry).display()
        ));
    }
    let dependencies = package["dependencies"].as_object();
    Ok(ScriptProject {
        language: Script::JavaScript,
        manifest,
        folder: folder.to_owned(),
        entry,
        has_dependencies: dependencies.is_some_and(|all| all.keys().any(|name| name != "ocr-plugin")),
    })
}

/// Finds componentize-qjs where Node would, then in `PATH`.
pub(super) fn tool(folder: &Path) -> Result<Tool, String> {
    let here = folder
        .canonicalize()
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    let node = on_path("node").ok_or(
        "JavaScript plugins are built by Node.js, and `node` is not in PATH; install Node.js 20 or later",
    )?;
    let package = here
        .ancestors()
        .map(|folder| folder.join("node_modules/componentize-qjs"))
        .find(|package| package.is_dir());
    if let Some(package) = package {
        let text = fs::read_to_string(package.join("package.json")).unwrap_or_default();
        let about: Value = serde_json::from_str(&text).unwrap_or_default();
        return Ok(Tool {
            command: vec![node, package.join("bin/componentize-qjs")],
            version: format!(
                "componentize-qjs {}",
                about["version"].as_str().unwrap_or_default()
            ),
        });
    }
    let listed = fs::read_to_string(folder.join("package.json"))
        .is_ok_and(|text| text.contains("\"componentize-qjs\""));
    if let Some(program) = on_path("componentize-qjs") {
        let tool = Tool {
            command: vec![program],
            version: String::new(),
        };
        let version = tool.run(|c| {
            c.arg("--version");
        });
        return Ok(Tool {
            version: version.unwrap_or_default(),
            ..tool
        });
    }
    Err(format!(
        "componentize-qjs makes components of JavaScript, and it is not installed; run\n    cd {} && {}",
        folder.display(),
        match listed {
            true => "npm install",
            false => "npm install --save-dev componentize-qjs@0.4.5",
        }
    ))
}

/// A file that is gone when this is.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(super) fn build(project: &ScriptProject, tool: &Tool, kit: &Path) -> Result<Vec<u8>, String> {
    let work = tempfile::tempdir().map_err(|e| format!("a temporary folder can't be made: {e}"))?;
    let home = project
        .folder
        .canonicalize()
        .map_err(|e| format!("{}: {e}", project.folder.display()))?;
    let sdk = home
        .ancestors()
        .map(|folder| folder.join("node_modules/ocr-plugin"))
        .find_map(|package| package.canonicalize().ok())
        .ok_or_else(|| {
            format!(
                "the SDK is not linked into the project; run\n    cd {} && npm install",
                project.folder.display()
            )
        })?;
    // Imports are read below one folder: the nearest that has both the project and the SDK.
    let root = home
        .ancestors()
        .find(|folder| sdk.starts_with(folder))
        .ok_or_else(|| {
            format!(
                "{} and {} have no folder in common",
                home.display(),
                sdk.display()
            )
        })?;
    let export = match project.manifest.world {
        World::OutputFormatter => "formatter",
        World::PageProcessor => "processor",
        World::InputAdapter => "adapter",
    };
    let entry = Passing(home.join(ENTRY));
    let text = format!(
        "import \"ocr-plugin/component/still.js\";\nimport plugin from {};\nimport {{ load }} from \"ocr-plugin/component/{}.js\";\nexport const {export} = load(plugin);\n",
        json!(format!("./{}", project.entry)),
        project.manifest.world.name(),
    );
    fs::write(&entry.0, text).map_err(|e| format!("{}: {e}", entry.0.display()))?;
    let contract = work.path().join("wit");
    lend::understood(&kit.join("wit/v0.1.0"), &contract)
        .map_err(|e| format!("the contract in {}: {e}", kit.display()))?;
    let made = work.path().join("made.wasm");
    let run = tool.run(|command| {
        command.arg("--wit").arg(&contract);
        command.args(["--world", project.manifest.world.name()]);
        command.arg("--js").arg(&entry.0).arg("--module-root").arg(root);
        command.args(["--stub-wasi", "--sync"]).arg("--output").arg(&made);
        command.current_dir(&home);
    });
    run.map_err(|said| {
        format!(
            "componentize-qjs could not make a component of `{}`:\n{said}",
            project.entry
        )
    })?;
    let mut component = fs::read(&made).map_err(|e| format!("componentize-qjs made no component: {e}"))?;
    lend::as_agreed(&mut component)?;
    Ok(component)
}
