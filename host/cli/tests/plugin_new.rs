//! `ocr-host plugin new` and what `plugin build` says where a toolchain is missing. That projects build and run is `sdk/check.py`'s.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn ocr_host(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ocr-host"))
        .args(arguments)
        .current_dir(folder)
        // No toolchain is found here.
        .env("PATH", folder)
        .env_remove("CARGO")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn new(folder: &Path, language: &str, kind: &str, name: &str) -> Output {
    ocr_host(
        folder,
        &["plugin", "new", "--lang", language, "--kind", kind, name],
    )
}

#[test]
fn a_project_is_whole_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    for (language, source, next) in [
        ("rust", "src/lib.rs", "cargo test"),
        ("python", "shout_out.py", "python3 -m unittest"),
        ("js", "src/index.js", "npm install && npm test"),
    ] {
        let home = folder.path().join(language);
        fs::create_dir(&home).unwrap();
        let made = new(&home, language, "formatter", "shout-out");
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let said = text(&made.stdout);
        assert!(
            said.contains(next) && said.contains("ocr-host plugin build"),
            "{said}"
        );
        let project = home.join("shout-out");
        let wanted = [
            source,
            "README.md",
            ".gitignore",
            ".ocr-host/wit/v0.1.0/worlds.wit",
            ".ocr-host/README.md",
        ];
        for file in wanted
            .map(str::to_owned)
            .iter()
            .chain([&format!(".ocr-host/sdk/{language}/README.md")])
        {
            assert!(project.join(file).is_file(), "{language}: {file}");
        }
        assert_eq!(
            fs::read_dir(&home).unwrap().count(),
            1,
            "{language}: something was left beside it"
        );
    }
}

#[test]
fn what_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken"), "mine").unwrap();
    let refused = new(folder.path(), "python", "adapter", "taken");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("taken exists already"),
        "{}",
        text(&refused.stderr)
    );
    assert_eq!(fs::read_to_string(folder.path().join("taken")).unwrap(), "mine");
    let refused = new(folder.path(), "js", "processor", "no/such/place");
    assert_eq!(refused.status.code(), Some(5));
    assert!(
        text(&refused.stderr).contains("no/such"),
        "{}",
        text(&refused.stderr)
    );
    let refused = new(folder.path(), "js", "processor", "Shout");
    assert!(
        text(&refused.stderr).contains("a letter from a to z"),
        "{}",
        text(&refused.stderr)
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_toolchain_is_told_with_the_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    for (language, command) in [
        ("python", "python3 -m pip install componentize-py=="),
        ("js", "`node` is not in PATH"),
        ("rust", "install Rust first"),
    ] {
        new(folder.path(), language, "formatter", &format!("in-{language}"));
        let built = ocr_host(folder.path(), &["plugin", "build", &format!("in-{language}")]);
        assert_ne!(built.status.code(), Some(0), "{language}");
        assert!(
            text(&built.stderr).contains(command),
            "{language}: {}",
            text(&built.stderr)
        );
    }
}

#[test]
fn a_project_that_does_not_describe_itself_is_told_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let build = || text(&ocr_host(folder.path(), &["plugin", "build"]).stderr);
    assert!(build().contains("ocr-host plugin new"), "{}", build());
    let write = |text: &str| fs::write(folder.path().join("pyproject.toml"), text).unwrap();
    write("[project]\nname = \"a\"\nversion = \"1\"\n");
    assert!(build().contains("[tool.ocr-host]"), "{}", build());
    write(
        "[project]\nname = \"a\"\nversion = \"1\"\n[tool.ocr-host]\nworld = \"output-formatter\"\nmedia = \"x\"\n",
    );
    let said = build();
    assert!(
        said.contains("[tool.ocr-host]: unknown field `media`") && !said.contains("package.metadata"),
        "{said}"
    );
    write("[project]\nname = \"formatter\"\nversion = \"1\"\n[tool.ocr-host]\nworld = \"page-processor\"\n");
    assert!(build().contains("module `formatter` of its own"), "{}", build());
    write("[project]\nname = \"a-b\"\nversion = \"1\"\n[tool.ocr-host]\nworld = \"page-processor\"\n");
    assert!(build().contains("there is no ./a_b.py"), "{}", build());
    write(
        "[project]\nname = \"a\"\nversion = \"1\"\n[tool.ocr-host]\nworld = \"page-processor\"\nmodule = \"../x\"\n",
    );
    assert!(build().contains("no Python module's name"), "{}", build());
}
