//! DeepSeek-OCR through the program, on the CPU, with a checkpoint made from a formula: the whole road from a flag to
//! files. What it writes is no language, but the same in every run.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn receipt() -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .into();
    root.join("examples/receipt.png").display().to_string()
}

/// Runs the program over the receipt in `folder`, which has the checkpoint in `model`.
fn run(folder: &Path, flags: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocr-host"));
    command
        .arg(receipt())
        .args(["--model", "./model", "--device", "cpu", "--max-new-tokens", "40"]);
    command.args(flags).current_dir(folder).stdin(Stdio::null());
    command.env("OCR_HOST_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command
        .env("XDG_CONFIG_HOME", folder)
        .env_remove("OCR_HOST_CONFIG")
        .env_remove("OCR_HOST_DEVICE");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn an_image_goes_through_deepseek_ocr_to_its_scripts_files() {
    let folder = tempfile::tempdir().unwrap();
    ocr_synthetic::write(&folder.path().join("model"), ocr_synthetic::Kind::TinyWalk, 1).unwrap();
    let flags = [
        "--mode",
        "tiny",
        "--retry-modes",
        "none",
        "--fallback",
        "none",
        "--compat",
        "deepseek",
    ];
    let all: Vec<&str> = flags
        .into_iter()
        .chain(["--to", "md", "--stream", "-o", "out"])
        .collect();
    let (code, out, err) = run(folder.path(), &all);
    let report = std::fs::read(folder.path().join("out/report.json")).expect(&err);
    let report: Value = serde_json::from_slice(&report).unwrap();
    let page = &report["documents"][0]["pages"][0];
    // The walk never ends by itself, so the page is cut, and is told so; nothing of it is lost.
    assert_eq!((code, out.as_str()), (20, ""), "{err}");
    assert_eq!(page["status"], "truncated", "{page}");
    assert_eq!(
        (&page["engine"], &report["engine"]),
        (&"deepseek-ocr/tiny".into(), &"deepseek-ocr/tiny".into())
    );
    for stage in ["preprocess", "vision", "prefill", "decode"] {
        assert!(page["timings_ms"][stage].is_number(), "{stage}: {page}");
    }
    let file = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let raw = file("result_ori.mmd");
    assert!(!raw.is_empty());
    // What was heard while it was written is what was written; escapes are taken out for the terminal.
    let heard: String = raw
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    assert!(err.contains(&heard), "{heard:?} is not in {err:?}");
    assert!(folder.path().join("out/result_with_boxes.jpg").is_file());
    assert!(folder.path().join("out/receipt.md").is_file());
    // A second run says the same.
    let again: Vec<&str> = flags.into_iter().chain(["-q", "-o", "again"]).collect();
    let (_, _, err) = run(folder.path(), &again);
    let same = std::fs::read_to_string(folder.path().join("again/result_ori.mmd")).expect(&err);
    assert_eq!(same, raw);
}

#[test]
fn a_prompt_that_can_not_be_asked_ends_the_run_before_any_page() {
    let folder = tempfile::tempdir().unwrap();
    ocr_synthetic::write(&folder.path().join("model"), ocr_synthetic::Kind::TinyWalk, 1).unwrap();
    let long = "word ".repeat(2000);
    for (flags, says) in [
        (["--prompt", "<image> x <image>"], "`<image>` 2 times"),
        (["--task", "locate <td>"], "`<td>` is a tag"),
        (["--prompt", long.as_str()], "ask with fewer words"),
    ] {
        let (code, out, err) = run(folder.path(), &flags);
        assert!(code == 1 && err.contains(says), "{flags:?}: {code} {err}");
        assert_eq!(out, "");
    }
}
