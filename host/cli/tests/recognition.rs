//! Which engine reads, and what `--compat deepseek` writes, as people run it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn example(name: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .into();
    root.join("examples").join(name).display().to_string()
}

/// Runs the program in `folder` as on a machine without weights; answers exit code, standard output and error.
fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocr-host"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.env("OCR_HOST_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command
        .env("OCR_HOST_MODELS", folder.join("models"))
        .env("HF_HUB_CACHE", folder.join("hub"));
    command
        .env("XDG_CONFIG_HOME", folder)
        .env_remove("OCR_HOST_CONFIG")
        .env_remove("OCR_HOST_DEVICE");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Files below `folder`, by their path.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.is_dir() {
            true => found.extend(files(&path).into_iter().map(|file| format!("{name}/{file}"))),
            false => found.push(name),
        }
    }
    found.sort();
    found
}

#[test]
fn the_engine_is_told_of_unless_it_was_named_or_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = example("receipt.png");
    // Where nothing of DeepSeek-OCR is here, there is nothing to tell.
    let (code, out, err) = run(folder.path(), &[&receipt]);
    assert_eq!((code, err.as_str()), (0, ""));
    let weights = folder.path().join("models/deepseek-ocr");
    ocr_synthetic::write(&weights, ocr_synthetic::Kind::TinyWalk, 1).unwrap();
    let (code, same, err) = run(folder.path(), &[&receipt]);
    assert_eq!((code, same == out), (0, true), "{err}");
    assert!(
        err.contains("note: pages are read by the embedded engine") && err.contains("--model deepseek-ocr"),
        "{err}"
    );
    for named in [&["--quiet"][..], &["--model", "ppocr"]] {
        let line: Vec<&str> = [receipt.as_str()].iter().chain(named).copied().collect();
        let (code, same, err) = run(folder.path(), &line);
        assert_eq!((code, same == out), (0, true), "{err}");
        assert_eq!(err, "");
    }
}

#[test]
fn what_is_missing_ends_the_run_and_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = example("receipt.png");
    let (code, _, err) = run(folder.path(), &[&receipt, "--model", "deepseek-ocr"]);
    assert!(code == 3 && err.contains("deepseek-ocr"), "{code}: {err}");
    let (code, _, err) = run(folder.path(), &[&receipt, "--model", "./nowhere"]);
    assert!(code == 3 && err.contains("nowhere"), "{code}: {err}");
    // Auto falls back, but a device that was asked for is meant.
    let (code, _, err) = run(folder.path(), &[&receipt, "--device", "cuda"]);
    assert_eq!(code, 3, "{err}");
    let (code, _, err) = run(folder.path(), &[&receipt, "--mode", "base"]);
    assert!(
        code == 0 && err.contains("--mode is DeepSeek-OCR's"),
        "{code}: {err}"
    );
    let (code, _, err) = run(folder.path(), &[&receipt, "--compat", "deepseek"]);
    assert!(code == 1 && err.contains("-o DIR"), "{code}: {err}");
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_build_without_cuda_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights");
    std::fs::create_dir(&weights).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::write(weights.join(file), "{}").unwrap();
    }
    let line = [
        &example("receipt.png"),
        "--model",
        "./weights",
        "--device",
        "cuda",
    ];
    let (code, _, err) = run(folder.path(), &line);
    assert!(code == 3 && err.contains("--features cuda"), "{code}: {err}");
}

#[test]
fn deepseeks_files_are_written_alone_or_beside_formats() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(
        folder.path(),
        &[
            "-q",
            &example("report.pdf"),
            "--compat",
            "deepseek",
            "-o",
            "out",
            "--pages",
            "2-3",
        ],
    );
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let out = folder.path().join("out");
    let written = files(&out);
    let pictures = written.iter().filter(|file| file.starts_with("images/"));
    let names = pictures
        .clone()
        .all(|file| file.starts_with("images/1_") || file.starts_with("images/2_"));
    assert!(names, "pages keep their numbers, counted from 0: {written:?}");
    let others: Vec<&str> = written
        .iter()
        .filter(|f| !f.starts_with("images/"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        others,
        [
            "report.json",
            "report.pdf.mmd",
            "report.pdf_det.mmd",
            "report.pdf_layouts.pdf"
        ]
    );
    let text = std::fs::read_to_string(out.join("report.pdf.mmd")).unwrap();
    assert_eq!(text.matches("<--- Page Split --->").count(), 2);
    for picture in pictures {
        assert!(text.contains(&format!("![]({picture})")), "{picture} is linked");
    }
    assert!(!text.contains("<|ref|>"));
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["documents"][0]["status"], "success");
    // The layouts are a PDF that our own adapter reads: the same pages, and their text is still to be read.
    let layouts = out.join("report.pdf_layouts.pdf").display().to_string();
    let (code, read, err) = run(folder.path(), &["-q", &layouts]);
    assert_eq!(code, 0, "{err}");
    let words = |text: &str| {
        text.split_whitespace()
            .filter(|w| w.len() > 6)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (before, after) = (words(&text), words(&read));
    let kept = before.iter().filter(|word| after.contains(word)).count();
    assert!(kept * 10 > before.len() * 7, "{kept} of {} words", before.len());
}

#[test]
fn one_image_and_several_have_their_own_files() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = example("receipt.png");
    let (code, _, err) = run(
        folder.path(),
        &["-q", &receipt, "--compat", "deepseek", "--to", "md", "-o", "one"],
    );
    assert_eq!(code, 0, "{err}");
    let one = files(&folder.path().join("one"));
    let text: Vec<&str> = one
        .iter()
        .filter(|f| !f.starts_with("images/"))
        .map(String::as_str)
        .collect();
    assert_eq!(
        text,
        [
            "receipt.md",
            "report.json",
            "result.mmd",
            "result_ori.mmd",
            "result_with_boxes.jpg"
        ]
    );
    std::fs::copy(&receipt, folder.path().join("b.png")).unwrap();
    let both = ["-q", &receipt, "b.png", "--compat", "deepseek", "-o", "two"];
    let (code, _, err) = run(folder.path(), &both);
    assert_eq!(code, 0, "{err}");
    let two = files(&folder.path().join("two"));
    assert_eq!(
        two,
        ["b.md", "b_det.md", "receipt.md", "receipt_det.md", "report.json"]
    );
    let clash: Vec<&str> = both.into_iter().chain(["--to", "md"]).collect();
    let (code, _, err) = run(folder.path(), &clash);
    assert!(code == 1 && err.contains("leave one out"), "{code}: {err}");
}
