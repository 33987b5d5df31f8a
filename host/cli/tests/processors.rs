//! Page processors through the program: what they change, who hears of what they fail on, and what they may ask for.

#[path = "../../runtime/tests/common/guest.rs"]
mod guest;

use guest::{Act, Call, Processor};
use ocr_document::{Edit, Rect, SpanKind};
use ocr_runtime::{Capability, OnFailure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Ran {
    folder: tempfile::TempDir,
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn file(&self, name: &str) -> String {
        let path = self.folder.path().join("out").join(name);
        String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}\n{}", self.err)))
            .into_owned()
    }

    fn report(&self) -> Value {
        serde_json::from_str(&self.file("report.json")).unwrap()
    }

    /// Every byte of every file that was written, and what was said.
    fn everything(&self) -> String {
        fn walk(folder: &Path, all: &mut String) {
            for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                match entry.is_dir() {
                    true => walk(&entry, all),
                    false => *all += &String::from_utf8_lossy(&std::fs::read(&entry).unwrap()),
                }
            }
        }
        let mut all = format!("{}{}", self.out, self.err);
        walk(&self.folder.path().join("out"), &mut all);
        all
    }
}

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    root.join(name).display().to_string()
}

/// Runs the program in a folder of its own, in which the processors lie as `ID.wasm`.
fn run(processors: &[Processor], args: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    for processor in processors {
        let path: PathBuf = folder.path().join(format!("{}.wasm", processor.id));
        std::fs::write(path, processor.build()).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocr-host"));
    command.args(args).current_dir(folder.path()).stdin(Stdio::null());
    command.env("OCR_HOST_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.env("OCR_HOST_MODELS", concat!(env!("CARGO_TARGET_TMPDIR"), "/models"));
    command
        .env("XDG_CONFIG_HOME", folder.path())
        .env_remove("OCR_HOST_CONFIG");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ran {
        folder,
        code: output.status.code().expect("it was not killed"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn set(text: &str) -> Act {
    // A paragraph shows in every format.
    Act::Edits(vec![
        Edit::SetKind(0, SpanKind::Paragraph),
        Edit::SetText(0, text.into()),
    ])
}

fn codes(page: &Value) -> Vec<&str> {
    let said = page["diagnostics"].as_array().unwrap();
    said.iter().map(|d| d["code"].as_str().unwrap()).collect()
}

#[test]
fn processors_edit_in_the_order_given_before_every_formatter() {
    let first = Processor {
        title: Some("A title of its own"),
        ..Processor::new("first", vec![set("set by the first")])
    };
    // Sees the page as the first left it: its text is the arena's beginning.
    let second = Processor::new("second", vec![Act::Edits(vec![Edit::RedactText(7, 3)])]);
    let receipt = example("receipt.png");
    let args = [
        &receipt,
        "-o",
        "out",
        "--to",
        "md,html,json",
        "--compat",
        "deepseek",
    ];
    let plugins = ["--plugin", "first.wasm", "--plugin", "second.wasm"];
    let ran = run(&[first, second], &[&args[..], &plugins].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    for file in ["receipt.md", "receipt.html", "receipt.json", "result.mmd"] {
        let text = ran.file(file);
        assert!(
            text.contains("set by █ first") || text.contains("set by \\u2588 first"),
            "{file}: {text}"
        );
    }
    assert!(ran.file("receipt.html").contains("A title of its own"));
    let timings = &ran.report()["documents"][0]["pages"][0]["timings_ms"];
    assert!(
        timings["process:first"].is_number() && timings["process:second"].is_number(),
        "{timings}"
    );
}

#[test]
fn a_failing_processor_keeps_pages_and_says_so() {
    let acts = vec![set("Zedited"), Act::Trap, set("Zedited again")];
    let report = example("report.pdf");
    let args = [&report, "-o", "out", "--plugin", "tidy.wasm", "--pages", "1-3"];
    let ran = run(&[Processor::new("tidy", acts)], &args);
    assert_eq!(ran.code, 22, "{}", ran.err);
    let report = ran.report();
    let pages = report["documents"][0]["pages"].as_array().unwrap();
    assert_eq!(report["documents"][0]["status"], "partial-success");
    assert!(codes(&pages[0]).is_empty(), "{:?}", pages[0]);
    assert_eq!(codes(&pages[1]), ["plugin-trap"]);
    assert!(pages[1].to_string().contains("goes on as it was"));
    assert_eq!(pages[1]["status"], "complete");
    // Started afresh, it begins again with its first act.
    let text = ran.file("report.pdf.md");
    assert_eq!(text.matches("Zedited").count(), 2, "{text}");
    let whole = run(&[], &[&example("report.pdf"), "-o", "out", "--pages", "2"]);
    let second = whole.file("report.pdf.md");
    assert!(text.contains(second.trim()), "page 2 is as it was");
}

#[test]
fn a_failing_processor_that_withholds_leaves_nothing_of_the_page() {
    let report = example("report.pdf");
    let args = [
        &report,
        "-o",
        "out",
        "--to",
        "md,html,json",
        "--plugin",
        "strict.wasm",
        "--pages",
        "1-2",
    ];
    let page = |number: &str| {
        run(
            &[],
            &[&report, "-o", "out", "--pages", number, "--to", "md,html,json"],
        )
    };
    let (first, second) = (page("1"), page("2"));
    let text = second.file("report.pdf.md");
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 7);
    let shown = first.everything();
    let secret_words: Vec<&str> = words.filter(|word| !shown.contains(*word)).collect();
    assert!(secret_words.len() > 10, "{secret_words:?}");
    for failing in [
        Act::Trap,
        Act::Fail("the secret is quoted: Quarterly"),
        Act::Edits(vec![Edit::SetText(99_999, String::new())]),
    ] {
        let processor = Processor {
            on_failure: OnFailure::Withhold,
            ..Processor::new("strict", vec![Act::Edits(Vec::new()), failing])
        };
        let ran = run(&[processor], &args);
        assert!(ran.code == 22 || ran.code == 20, "{}: {}", ran.code, ran.err);
        let told = ran.report();
        let pages = told["documents"][0]["pages"].as_array().unwrap();
        assert_eq!(
            (&pages[0]["status"], &pages[1]["status"]),
            (&"complete".into(), &"failed".into())
        );
        assert!(
            pages[1].to_string().contains("the page is withheld"),
            "{}",
            pages[1]
        );
        let all = ran.everything();
        let left: Vec<&&str> = secret_words.iter().filter(|word| all.contains(**word)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!all.contains("is quoted"));
        // As many pictures as page 1 alone has.
        let pictures = |ran: &Ran| ran.file("report.pdf.html").matches("data:image/").count();
        assert_eq!(pictures(&ran), pictures(&first));
    }
}

/// A file cut behind `share` hundredths of its bytes, in a folder of its own.
fn cut(name: &str, share: usize) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(example(name)).unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, &bytes[..bytes.len() * share / 100]).unwrap();
    (folder, path.display().to_string())
}

#[test]
fn a_half_read_page_loses_its_picture_behind_a_processor_that_withholds() {
    let (_folder, scan) = cut("scan.jpg", 50);
    let eye = || Processor {
        asks: vec![Capability::PageRaster],
        ..Processor::new("eye", vec![Act::Ask(Call::Raster)])
    };
    let other = |on_failure| Processor {
        on_failure,
        ..Processor::new("other", vec![Act::Edits(Vec::new())])
    };
    for (scan, on_failure, seen) in [
        (&scan, OnFailure::Keep, true),
        (&scan, OnFailure::Withhold, false),
        // One that was read whole keeps it.
        (&example("scan.jpg"), OnFailure::Withhold, true),
    ] {
        let plugins = ["--plugin", "other.wasm", "--plugin", "eye.wasm"];
        let args = [scan, "-o", "out", "--grant", "eye=page.raster"];
        let ran = run(&[other(on_failure), eye()], &[&args[..], &plugins].concat());
        let text = ran.file("scan.md");
        assert_eq!(text.contains("done"), seen, "{on_failure:?}: {text}");
        assert_eq!(
            text.contains("pixels are not kept"),
            !seen,
            "{on_failure:?}: {text}"
        );
    }
}

#[test]
fn of_a_page_whose_letters_are_lost_nothing_is_left_behind_a_processor_that_withholds() {
    // Its fonts lie behind its pages, so other letters are seen than were meant.
    let (_folder, report) = cut("report.pdf", 60);
    let args = [&report, "-o", "out", "--to", "md,html,json", "--pages", "1"];
    let bare = run(&[], &args);
    assert_eq!(bare.code, 20, "{}", bare.err);
    let page = &bare.report()["documents"][0]["pages"][0];
    assert_eq!(page["status"], "truncated", "{page}");
    assert!(
        bare.file("report.pdf.md").contains("Nine Ponds"),
        "its title's font is there"
    );

    let redact = ["--plugin", "redact", "--plugin-opt", "redact.terms=nowhere"];
    let ran = run(&[], &[&args[..], &redact].concat());
    assert_ne!(ran.code, 0, "{}", ran.err);
    let page = &ran.report()["documents"][0]["pages"][0];
    assert_eq!(page["status"], "failed", "{page}");
    assert!(page.to_string().contains("so the page is withheld"), "{page}");
    let all = ran.everything();
    assert!(!all.contains("Ponds") && !all.contains("data:image/"), "{all}");
}

#[test]
fn a_processor_that_withholds_goes_first() {
    let tidy = Processor::new("tidy", vec![set("Zedited")]);
    let strict = Processor {
        on_failure: OnFailure::Withhold,
        ..Processor::new("strict", vec![Act::Edits(vec![Edit::RedactText(0, 3)])])
    };
    let receipt = example("receipt.png");
    let args = [
        &receipt,
        "-o",
        "out",
        "--plugin",
        "tidy.wasm",
        "--plugin",
        "strict.wasm",
    ];
    let ran = run(&[tidy, strict], &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // What it erased is what was recognised, not what another one had put there.
    let text = ran.file("receipt.md");
    assert!(text.contains("Zedited"), "{text}");
    let said = ran.report()["documents"][0]["diagnostics"].to_string();
    assert!(
        said.contains("processor-moved") && said.contains("plugin `strict`: goes before `tidy`"),
        "{said}"
    );
}

#[test]
fn a_region_is_read_again_on_the_embedded_engine() {
    let ask = |asks: &[Capability]| Processor {
        asks: asks.to_vec(),
        ..Processor::new("reread", vec![Act::Ask(WHOLE)])
    };
    const WHOLE: Call = Call::Recognize(&[(
        Rect {
            x0: 0,
            y0: 0,
            x1: 5000,
            y1: 5000,
        },
        0,
        None,
    )]);
    let both = [Capability::PageRaster, Capability::OcrRecognize];
    let receipt = example("receipt.png");
    let args = [&receipt, "-o", "out", "--plugin", "reread.wasm"];
    let granted = ["--grant", "reread=page.raster,ocr.recognize"];
    let ran = run(&[ask(&both)], &[&args[..], &granted].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    // The first block now holds what was read of all of the page: its own words are still there once, all others twice.
    let plain = run(&[], &[&receipt, "-o", "out"]).file("receipt.md");
    let read = ran.file("receipt.md");
    for (word, times) in [("LANTERN", 1), ("Butter", 2), ("coffee", 2), ("sunrise", 2)] {
        assert_eq!(plain.matches(word).count(), 1, "{word}: {plain}");
        assert_eq!(read.matches(word).count(), times, "{word}: {read}");
    }
    assert!(!ran.err.contains("--grant"), "{}", ran.err);

    // Not granted: it is told so, once, and the processor hears `denied`.
    let ran = run(
        &[ask(&both)],
        &[&args[..], &["--grant", "reread=page.raster"]].concat(),
    );
    let note = "note: plugin `reread` asks to have the host's engine read regions again and may not; let it with \
                --grant reread=ocr.recognize";
    assert_eq!(ran.err.matches(note).count(), 1, "{}", ran.err);
    assert!(
        ran.file("receipt.md").contains("is not granted"),
        "{}",
        ran.file("receipt.md")
    );
    // Granted to a plugin that does not ask: useless, and said so.
    let ran = run(&[ask(&[])], &[&args[..], &granted].concat());
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("does not ask for page.raster,ocr.recognize in its manifest"),
        "{}",
        ran.err
    );

    let quota = [
        "--grant",
        "reread=page.raster,ocr.recognize",
        "--plugin-limit",
        "gpu=0",
    ];
    let ran = run(&[ask(&both)], &[&args[..], &quota].concat());
    assert_eq!(ran.code, 22, "{}", ran.err);
    assert!(
        ran.report().to_string().contains("limit `gpu` of 0"),
        "{}",
        ran.report()
    );
    // The task that the embedded engine has no network for fails for its region, and the document goes on.
    const FORMULA: Call = Call::Recognize(&[(
        Rect {
            x0: 0,
            y0: 0,
            x1: 100,
            y1: 100,
        },
        3,
        None,
    )]);
    let formula = Processor {
        asks: both.to_vec(),
        ..Processor::new("reread", vec![Act::Ask(FORMULA)])
    };
    let ran = run(&[formula], &[&args[..], &granted].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.file("receipt.md").contains("can't do"),
        "{}",
        ran.file("receipt.md")
    );
}

#[test]
fn grants_and_names_that_mean_nothing_are_refused() {
    let receipt = example("receipt.png");
    let tidy = || Processor::new("tidy", vec![set("edited")]);
    let refused = |processors: &[Processor], args: &[&str], why: &str| {
        let ran = run(processors, &[&[receipt.as_str(), "-o", "out"], args].concat());
        assert!(
            ran.code != 0 && ran.err.contains(why),
            "{args:?}: {} {}",
            ran.code,
            ran.err
        );
    };
    let plugin = ["--plugin", "tidy.wasm"];
    let with = |more: &[&'static str]| [&plugin[..], more].concat();
    refused(
        &[tidy()],
        &with(&["--grant", "tdiy=page.raster"]),
        "did you mean `tidy`?",
    );
    refused(
        &[tidy()],
        &with(&["--grant", "tidy=page.rastre"]),
        "did you mean `page.raster`?",
    );
    refused(
        &[tidy()],
        &with(&["--grant", "*=page.raster"]),
        "names one plugin",
    );
    refused(&[tidy()], &with(&plugin), "two plugins `tidy`");
    // A stranger that takes a built-in component's name is not taken for it.
    let impostor = Processor::new("markdown-out", vec![set("edited")]);
    refused(
        &[impostor],
        &["--plugin", "./markdown-out.wasm", "--to", "md"],
        "calls itself `markdown-out`, which is a built-in plugin",
    );
}

#[test]
fn documents_inside_documents_are_named_unless_a_processor_withholds() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("all.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&archive).unwrap());
    for (name, bytes) in [
        ("anna-muster.png", &b"\x89PNG\r\n\x1a\n but broken"[..]),
        ("receipt.png", &std::fs::read(example("receipt.png")).unwrap()),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    }
    zip.finish().unwrap();
    let archive = archive.display().to_string();
    let plain = run(&[], &[&archive, "-o", "out"]);
    assert_eq!(plain.code, 20, "{}", plain.err);
    let said = plain.report()["documents"][0]["pages"][0]["diagnostics"].to_string();
    assert!(said.contains("all.zip/anna-muster.png"), "{said}");
    let redacted = run(
        &[],
        &[
            &archive,
            "-o",
            "out",
            "--to",
            "md,html,json",
            "--plugin",
            "redact",
            "--plugin-opt",
            "redact.terms=muster",
        ],
    );
    assert_eq!(redacted.code, 20, "{}", redacted.err);
    let everything = redacted.everything();
    assert!(
        everything.contains("part-1.png") && !everything.contains("anna-muster"),
        "{everything}"
    );
}
