//! `ocr-host plugin new`: writes a project that builds on its own.
//!
//! A project is a template of the kind and language asked for, under its own name, and a folder `.ocr-host` with the SDK and the
//! contract. Templates are plugins themselves, called `my-plugin`, `my_plugin` or `MyPlugin` as each place wants it.

use crate::args::{Kind, Language};
use crate::exit::{Exit, Failed};
use crate::kit;
use ocr_runtime::build::KIT;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands in `.ocr-host/README.md`.
const KIT_README: &str = "\
# What this plugin was written against

Written by `ocr-host plugin new` (ocr-host VERSION). `sdk/` is the SDK with its README, `wit/` the contract between plugin and host. Commit
this folder; the plugin builds without anything else of ocr-host. To take another version, delete it and write a new one: make an
empty project with the other ocr-host and copy its `.ocr-host` here.
";

/// Names that a language, a registry or the build keeps for itself.
const KEPT: [&str; 14] = [
    "test",
    "tests",
    "std",
    "core",
    "alloc",
    "proc-macro",
    "self",
    "super",
    "crate",
    "formatter",
    "processor",
    "adapter",
    "ocr-plugin",
    "node-modules",
];

pub fn run(language: Language, kind: Kind, place: &Path) -> Result<Exit, Failed> {
    let name = name_of(place)?;
    if fs::symlink_metadata(place).is_ok() {
        return Err(Failed::new(
            Exit::Arguments,
            format!(
                "{} exists already; give the project another name, or remove it first",
                place.display()
            ),
        ));
    }
    let parent = place.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|p| !p.is_dir()) {
        return Err(Failed::new(
            Exit::FileAccess,
            format!(
                "{}: there is no such folder to make `{name}` in",
                parent.display()
            ),
        ));
    }
    // Beside its place first: a project is whole or not there.
    let staged = tempfile::Builder::new()
        .prefix(".ocr-host-new-")
        .tempdir_in(parent.unwrap_or(Path::new(".")))
        .map_err(|e| cannot_write(place, e))?;
    for (path, text) in project(language, kind, &name) {
        kit::write_text(&staged.path().join(path), &text).map_err(|e| cannot_write(place, e))?;
    }
    kit::write(language.name(), &staged.path().join(KIT)).map_err(|e| cannot_write(place, e))?;
    open_to_all(staged.path()).map_err(|e| cannot_write(place, e))?;
    fs::rename(staged.path(), place).map_err(|e| cannot_write(place, e))?;
    // What was staged has moved away; there is nothing left to remove.
    let _ = staged.keep();
    println!(
        "{} is a {} {}. Next:\n",
        place.display(),
        language.label(),
        kind.label()
    );
    println!("    cd {} && {}", place.display(), language.test());
    println!("    ocr-host plugin build");
    Ok(Exit::Ok)
}

fn cannot_write(place: &Path, error: std::io::Error) -> Failed {
    Failed::new(Exit::FileAccess, format!("{}: {error}", place.display()))
}

/// Temporary folders are for their owner alone; a project gets the rights of any new folder.
#[cfg(unix)]
fn open_to_all(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join("probe");
    fs::create_dir(&probe)?;
    let rights = fs::metadata(&probe)?.permissions();
    fs::remove_dir(&probe)?;
    fs::set_permissions(folder, rights)
}

#[cfg(not(unix))]
fn open_to_all(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The plugin's name: the last part of the folder's path, if every language can have a package of that name.
fn name_of(place: &Path) -> Result<String, Failed> {
    let name = place
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let wrong = |why: &str| {
        Err(Failed::new(
            Exit::Arguments,
            format!("`{name}` is no name for a plugin: {why}"),
        ))
    };
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return wrong("it begins with a letter from a to z");
    }
    if let Some(c) = name
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-'))
    {
        return wrong(&format!("it has a {c:?}; a to z, 0 to 9 and - are allowed"));
    }
    if name.len() > 64 || name.ends_with('-') || name.contains("--") {
        return wrong("it has at most 64 characters, and single dashes between words");
    }
    if KEPT.contains(&name.as_str()) || KEYWORDS.contains(&name.as_str()) {
        return wrong("the name is taken by the language or by the build; `my-NAME` will do");
    }
    if crate::plugins::built_in(&name).is_some() {
        return wrong("a plugin of this program has it");
    }
    Ok(name)
}

/// Words that are no module's name in Python, or no crate's in Rust.
const KEYWORDS: [&str; 56] = [
    "and", "as", "assert", "async", "await", "break", "class", "const", "continue", "def", "del", "elif",
    "else", "enum", "except", "extern", "false", "finally", "fn", "for", "from", "global", "if", "impl",
    "import", "in", "is", "lambda", "let", "loop", "match", "mod", "move", "mut", "nonlocal", "not", "or",
    "pass", "pub", "raise", "ref", "return", "static", "struct", "trait", "true", "try", "type", "unsafe",
    "use", "where", "while", "with", "yield", "dyn", "gen",
];

/// The project's own files.
fn project(language: Language, kind: Kind, name: &str) -> BTreeMap<PathBuf, String> {
    let module = name.replace('-', "_");
    let class: String = name
        .split('-')
        .map(|word| word[..1].to_ascii_uppercase() + &word[1..])
        .collect();
    let named = |text: &str| {
        text.replace("my-plugin", name)
            .replace("my_plugin", &module)
            .replace("MyPlugin", &class)
            .replace("RUN-LINE", &format!("`{}`", kind.use_of(name)))
    };
    let template = format!("sdk/templates/{}", language.name());
    let mut files: BTreeMap<PathBuf, String> = ["common", kind.label()]
        .into_iter()
        .flat_map(|part| kit::below(&format!("{template}/{part}")).collect::<Vec<_>>())
        .map(|(path, text)| (PathBuf::from(named(path)), named(text)))
        .collect();
    if language == Language::Python {
        // Tests are found in a package, and this one makes the SDK importable.
        debug_assert!(files.contains_key(Path::new("tests/__init__.py")));
    }
    if language == Language::Rust {
        // The versions that this program was built with; cargo adds the project itself.
        let lock = kit::FILES["sdk/rust/Cargo.lock"].clone();
        files.insert("Cargo.lock".into(), lock);
    }
    let about = KIT_README.replace("VERSION", env!("CARGO_PKG_VERSION"));
    files.insert(Path::new(KIT).join("README.md"), about);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_work_in_every_language() {
        for good in ["hello", "text-out2", "a"] {
            assert_eq!(
                name_of(Path::new("some/where").join(good).as_path()).unwrap(),
                good
            );
        }
        for bad in [
            "",
            "..",
            "2fast",
            "Upper",
            "a_b",
            "a--b",
            "a-",
            "ä",
            "class",
            "fn",
            "test",
            "formatter",
            "json-out",
            "a b",
        ] {
            assert!(name_of(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_template_is_a_project() {
        for language in [Language::Rust, Language::Python, Language::Js] {
            for kind in [Kind::Formatter, Kind::Processor, Kind::Adapter] {
                let files = project(language, kind, "shout-out");
                for file in ["README.md", ".gitignore", ".ocr-host/README.md"] {
                    assert!(
                        files.contains_key(Path::new(file)),
                        "{language:?} {kind:?} {file}"
                    );
                }
                for (path, text) in &files {
                    let whole = format!("{}\n{text}", path.display());
                    for left in ["my-plugin", "my_plugin", "MyPlugin", "RUN-LINE"] {
                        assert!(
                            !whole.contains(left),
                            "{language:?} {kind:?} {}: {left}",
                            path.display()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_shortest_formatter_is_short() {
        for (language, file) in [
            (Language::Rust, "src/lib.rs"),
            (Language::Python, "a_b.py"),
            (Language::Js, "src/index.js"),
        ] {
            let files = project(language, Kind::Formatter, "a-b");
            assert!(files[Path::new(file)].lines().count() < 60, "{language:?}");
        }
    }
}
