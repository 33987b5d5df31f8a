//! Python: componentize-py snapshots an interpreter that has loaded the plugin, and stubs what it would want of WASI.

use super::script::{Script, ScriptProject, Tool, described, on_path};
use crate::manifest::World;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules that componentize-py and this build put beside the project's own.
const TAKEN: [&str; 8] = [
    "adapter",
    "formatter",
    "processor",
    "ocr_host_app",
    "ocr_plugin",
    "wit_world",
    "componentize_py_types",
    "poll_loop",
];

pub(super) fn project(folder: &Path) -> Result<ScriptProject, String> {
    let path = folder.join("pyproject.toml");
    let place = path.display().to_string();
    let text = fs::read_to_string(&path).map_err(|e| format!("{place}: {e}"))?;
    let parsed: Value = toml::from_str(&text).map_err(|e| format!("{place}: {e}"))?;
    let package = &parsed["project"];
    let about = &parsed["tool"]["ocr-host"];
    if about.is_null() {
        return Err(format!(
            "{place} has no [tool.ocr-host]; it says what the plugin is, for example `world = \"output-formatter\"`"
        ));
    }
    let mut about = about.clone();
    let entry = about.as_object_mut().and_then(|about| about.remove("module"));
    let manifest = described(package, &about, &place)
        .map_err(|e| format!("{place}: {}", in_place(&e, "[tool.ocr-host]")))?;
    let module = match entry {
        None => manifest.id.replace('-', "_"),
        Some(Value::String(module)) => module,
        Some(_) => {
            return Err(format!(
                "{place}: [tool.ocr-host] `module` is a module's name, as in `import NAME`"
            ));
        }
    };
    let first = module.split('.').next().unwrap_or_default();
    let is_name = |part: &str| {
        !part.is_empty()
            && !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
    };
    if !module.split('.').all(is_name) {
        return Err(format!(
            "{place}: `{module}` is no Python module's name; say by `module = \"NAME\"` in [tool.ocr-host] which one exports the plugin"
        ));
    }
    if TAKEN.contains(&first) {
        return Err(format!(
            "{place}: a component has a module `{first}` of its own; give yours another name, by `module = \"NAME\"` in [tool.ocr-host]"
        ));
    }
    let dependencies = package["dependencies"].as_array();
    let project = ScriptProject {
        language: Script::Python,
        manifest,
        folder: folder.to_owned(),
        entry: module,
        has_dependencies: dependencies.is_some_and(|list| !list.is_empty()),
    };
    let file = PathBuf::from(project.entry.replace('.', "/"));
    let home = source_folder(folder);
    if !home.join(&file).with_extension("py").is_file() && !home.join(&file).is_dir() {
        return Err(format!(
            "{place}: there is no {}; the plugin's module has the project's name, or the one that `module` in [tool.ocr-host] says",
            home.join(&file).with_extension("py").display()
        ));
    }
    Ok(project)
}

/// Complaints of the shared reader name Rust's table.
pub(super) fn in_place(complaint: &str, table: &str) -> String {
    complaint.replace("[package.metadata.ocr-host]", table)
}

/// Where the project's modules are.
fn source_folder(folder: &Path) -> PathBuf {
    let src = folder.join("src");
    if src.is_dir() { src } else { folder.to_owned() }
}

/// Finds componentize-py: the project's own virtual environment, `PATH`, then whatever `python3` has.
pub(super) fn tool(folder: &Path) -> Result<Tool, String> {
    let own =
        [".venv/bin/componentize-py", ".venv/Scripts/componentize-py.exe"].map(|path| folder.join(path));
    let program = own
        .into_iter()
        .find(|p| p.is_file())
        .or_else(|| on_path("componentize-py"));
    let module = || {
        let start = "import componentize_py; componentize_py.script()";
        Some(vec![on_path("python3")?, "-c".into(), start.into()])
    };
    let missing = || {
        "componentize-py makes components of Python, and it is not installed; run\n    \
         python3 -m pip install componentize-py==0.25.1\n\
         or put it into the project's own environment:\n    \
         python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1"
            .to_owned()
    };
    let command = program.map(|p| vec![p]).or_else(module).ok_or_else(missing)?;
    let mut tool = Tool {
        command,
        version: String::new(),
    };
    tool.version = tool
        .run(|c| {
            c.arg("--version");
        })
        .map_err(|_| missing())?;
    Ok(tool)
}

pub(super) fn build(project: &ScriptProject, tool: &Tool, kit: &Path) -> Result<Vec<u8>, String> {
    let work = tempfile::tempdir().map_err(|e| format!("a temporary folder can't be made: {e}"))?;
    let name = |file: &str| work.path().join(file);
    let (interface, class, base) = match project.manifest.world {
        World::OutputFormatter => ("formatter", "Session", "FormatterSession"),
        World::PageProcessor => ("processor", "Session", "ProcessorSession"),
        World::InputAdapter => ("adapter", "Document", "AdapterDocument"),
    };
    let load = format!(
        "_component.load({}, {})",
        json!(project.manifest.world.name()),
        json!(project.entry)
    );
    // componentize-py wants a class named after the interface in the application, and one for its resource in a module of its own.
    let exported = match project.manifest.world {
        World::InputAdapter => "class Adapter(_component.AdapterExports):\n    plugin = _component.",
        World::OutputFormatter => "class Formatter:\n    plugin = _component.",
        World::PageProcessor => "class Processor:\n    plugin = _component.",
    };
    let app = format!(
        "from ocr_plugin import _component\n\n{exported}{}\n",
        &load["_component.".len()..]
    );
    let resource = format!(
        "from ocr_plugin import _component\n\nclass {class}(_component.{base}):\n    plugin = {load}\n"
    );
    let write = |file: String, text: &str| fs::write(name(&file), text).map_err(|e| format!("{file}: {e}"));
    write("ocr_host_app.py".into(), &app)?;
    write(format!("{interface}.py"), &resource)?;
    let made = name("made.wasm");
    let run = tool.run(|command| {
        command.args(["-q", "-d"]).arg(kit.join("wit/v0.1.0"));
        command.args([
            "-w",
            project.manifest.world.name(),
            "componentize",
            "--stub-wasi",
            "ocr_host_app",
        ]);
        for path in [
            work.path(),
            &source_folder(&project.folder),
            &kit.join("sdk/python"),
        ] {
            command.arg("-p").arg(path);
        }
        command.arg("-o").arg(&made);
    });
    run.map_err(|said| {
        format!(
            "componentize-py could not make a component of `{}`:\n{}",
            project.entry,
            plain(&said)
        )
    })?;
    fs::read(&made).map_err(|e| format!("componentize-py made no component: {e}"))
}

/// The author's part of what componentize-py says: it wraps the interpreter's traceback in one of its own, warns of texts in
/// the bindings that it made, and ends with its own stack.
fn plain(said: &str) -> String {
    let said = said.split_once("AssertionError: ").map_or(said, |(_, rest)| rest);
    let said = said.split("\nCaused by:").next().unwrap_or_default();
    let said = said.split("\nStack backtrace:").next().unwrap_or_default();
    let mut lines = Vec::new();
    let mut rest = said.lines();
    while let Some(line) = rest.next() {
        if line.starts_with("/world/") && line.contains("SyntaxWarning") {
            rest.next();
        } else {
            lines.push(line);
        }
    }
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_traceback_is_told_alone() {
        let said = "Traceback (most recent call last):\n  File \"componentize-py\", line 8\nAssertionError: \
                    /world/wit_world/imports/output.py:113: SyntaxWarning: \"\\ \" is invalid\n  zero-width\n\
                    Traceback (most recent call last):\n  File \"/1/a.py\", line 1\nNameError: name 'b' is not defined\n\n\
                    Caused by:\n    0: trap\n\nStack backtrace:\n   0: x";
        let told = "Traceback (most recent call last):\n  File \"/1/a.py\", line 1\nNameError: name 'b' is not defined";
        assert_eq!(plain(said), told);
    }
}
