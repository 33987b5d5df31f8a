//! The author's loop: record, test, measure, and have a plugin run again whenever it changes.

mod plugin_support;

use plugin_support::{component, example, hello, ocr_host, refused, renamed, run};
use serde_json::Value;
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Two pages by hand.
const PAGES: &str = r#"{"recorded-pages": 1, "document": {"name": "letter.pdf"}, "pages": [
    {"number": 1, "spans": [{"kind": "title", "text": "Report"}, {"kind": "paragraph", "text": "All is well."}]},
    {"number": 2, "spans": [{"kind": "paragraph", "text": "The end."}]}
]}"#;

/// A folder with the hello formatter and one fixture.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(hello(), folder.path().join("hello.wasm")).unwrap();
    let fixture = folder.path().join("tests/letter");
    std::fs::create_dir_all(&fixture).unwrap();
    std::fs::write(fixture.join("pages.json"), PAGES).unwrap();
    std::fs::write(fixture.join("options.toml"), "rule = \"##\"\n").unwrap();
    folder
}

/// Puts a component that the repository keeps packed where `--plugin` and `plugin test` take it.
fn unpack(component: &str, to: &Path) {
    let packed = std::fs::File::open(plugin_support::repository().join(component)).unwrap();
    let mut unpacked = flate2::read::GzDecoder::new(packed);
    std::io::copy(&mut unpacked, &mut std::fs::File::create(to).unwrap()).unwrap();
}

#[test]
fn a_fixture_passes_until_something_changes() {
    let project = project();
    let folder = project.path();
    let ran = run(folder, &["plugin", "test"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.out.contains("letter ... FAILED\n  nothing is expected yet"),
        "{}",
        ran.out
    );
    let ran = run(folder, &["plugin", "test", "--update"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("expected/document.txt is new"), "{}", ran.out);
    let golden = folder.join("tests/letter/expected/document.txt");
    let written = std::fs::read_to_string(&golden).unwrap();
    assert!(
        written.starts_with("## page 1\n") && written.contains("All is well."),
        "{written}"
    );
    let ran = run(folder, &["plugin", "test"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "letter ... ok\n"),
        "{}",
        ran.err
    );

    std::fs::write(&golden, written.replace("well", "lost")).unwrap();
    std::fs::write(folder.join("tests/letter/expected/more.txt"), "x").unwrap();
    let ran = run(folder, &["plugin", "test"]);
    assert_eq!(ran.code, 1);
    for words in [
        "document.txt differs from expected/document.txt:",
        "- All is lost.",
        "+ All is well.",
        "more.txt is expected, and the plugin did not write it",
        "1 of 1 failed",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let ran = run(folder, &["plugin", "test", "--update"]);
    assert!(
        ran.out.contains("document.txt changed") && ran.out.contains("more.txt is gone"),
        "{}",
        ran.out
    );
    assert_eq!(run(folder, &["plugin", "test", "--filter", "let"]).code, 0);
    refused(
        folder,
        &["plugin", "test", "--filter", "none"],
        1,
        &["no fixture has \"none\"", "letter"],
    );
}

#[test]
fn what_is_wrong_with_a_fixture_is_told_with_its_place() {
    let project = project();
    let folder = project.path();
    let fixture = folder.join("tests/letter");
    let fails = |words: &str| {
        let ran = run(folder, &["plugin", "test"]);
        assert!(
            ran.code == 1 && ran.out.contains(words),
            "{words}: {}{}",
            ran.out,
            ran.err
        );
    };
    std::fs::write(fixture.join("options.toml"), "\nrule = 7\n").unwrap();
    fails("options.toml, line 2: plugin `hello-formatter`: option `rule`: it is `7`, it takes a text");
    std::fs::write(fixture.join("options.toml"), "rules = 'x'\n").unwrap();
    fails("did you mean `rule`?");
    std::fs::remove_file(fixture.join("options.toml")).unwrap();
    std::fs::write(
        fixture.join("pages.json"),
        PAGES.replace("\"title\"", "\"tilte\""),
    )
    .unwrap();
    fails("unknown variant `tilte`");
    std::fs::remove_file(fixture.join("pages.json")).unwrap();
    refused(
        folder,
        &["plugin", "test"],
        1,
        &["there is no fixture in", "plugin record"],
    );
}

#[test]
fn an_adapter_is_tested_over_a_document() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = folder.path().join("tests/receipt");
    std::fs::create_dir_all(&fixture).unwrap();
    std::fs::copy(example("receipt.png"), fixture.join("input.png")).unwrap();
    unpack(
        "plugins/image-in/image-in.wasm.gz",
        &folder.path().join("image-in.wasm"),
    );
    assert_eq!(run(folder.path(), &["plugin", "test", "--update"]).code, 0);
    let golden = std::fs::read(fixture.join("expected/document.json")).unwrap();
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    assert_eq!(golden["document"]["media-type"], "image/png");
    assert_eq!(golden["items"].as_array().unwrap().len(), 1);
    assert_eq!(golden["items"][0]["pixels-sha256"].as_str().unwrap().len(), 64);
    let ran = run(folder.path(), &["plugin", "test"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "receipt ... ok\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_failure_can_be_expected() {
    let folder = tempfile::tempdir().unwrap();
    unpack(
        "host/runtime/tests/misbehave/misbehave.wasm.gz",
        &folder.path().join("bad.wasm"),
    );
    let fixture = folder.path().join("tests/panics");
    std::fs::create_dir_all(&fixture).unwrap();
    std::fs::write(fixture.join("pages.json"), PAGES).unwrap();
    std::fs::write(fixture.join("options.toml"), "act = 'panic'\n").unwrap();
    assert_eq!(run(folder.path(), &["plugin", "test", "--update"]).code, 0);
    let failure = std::fs::read_to_string(fixture.join("expected/failure.txt")).unwrap();
    assert!(
        failure.starts_with("plugin `misbehave` 0.1.0 on page 1: trap: "),
        "{failure}"
    );
    assert_eq!(run(folder.path(), &["plugin", "test"]).code, 0);
}

#[test]
fn recorded_pages_give_what_the_run_gives() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let receipt = example("receipt.png");
    let whole = run(folder, &["--to", "html", &receipt]);
    assert_eq!(whole.code, 0, "{}", whole.err);
    let ran = run(
        folder,
        &[
            "plugin",
            "record",
            &receipt,
            "-o",
            "tests/receipt/pages.json",
            "--rasters",
        ],
    );
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "tests/receipt/pages.json (1 page)\n"),
        "{}",
        ran.err
    );
    let recorded: Value =
        serde_json::from_slice(&std::fs::read(folder.join("tests/receipt/pages.json")).unwrap()).unwrap();
    assert_eq!(recorded["document"]["name"], "receipt.png");
    assert!(folder.join("tests/receipt/pages.pages/1.png").is_file());
    unpack("plugins/html-out/html-out.wasm.gz", &folder.join("html.wasm"));
    let ran = run(folder, &["plugin", "test", "html.wasm", "--update"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let golden = std::fs::read_to_string(folder.join("tests/receipt/expected/document.html")).unwrap();
    assert_eq!(golden, whole.out, "the same page, the same bytes");
    refused(
        folder,
        &["plugin", "record", "gone.pdf", "-o", "x.json"],
        2,
        &["gone.pdf"],
    );
    refused(
        folder,
        &["plugin", "record", &receipt, "-o", "x.txt"],
        1,
        &["a recording is a .json file"],
    );
}

#[test]
fn costs_are_measured() {
    let project = project();
    let folder = project.path();
    let input = "tests/letter/pages.json";
    let ran = run(
        folder,
        &[
            "plugin",
            "bench",
            "hello.wasm",
            input,
            "--rounds",
            "20",
            "--count-fuel",
            "--json",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.err);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&json["times"]["open"]["count"], &json["times"]["page"]["count"]),
        (&20.into(), &20.into())
    );
    let p50 = json["times"]["page"]["p50-us"].as_f64().unwrap();
    let p99 = json["times"]["page"]["p99-us"].as_f64().unwrap();
    assert!(p50 > 0.0 && p99 >= p50, "{json}");
    let memory = json["memory-bytes"].as_u64().unwrap();
    assert!(
        (64 << 10..64 << 20).contains(&memory) && memory.is_multiple_of(64 << 10),
        "{memory}"
    );
    let fuel = json["fuel-per-page"].as_u64().unwrap();
    assert!((100..1_000_000).contains(&fuel), "{fuel}");
    // Instructions are the same each time, which times are not.
    let again = run(
        folder,
        &[
            "plugin",
            "bench",
            "hello.wasm",
            input,
            "--rounds",
            "1",
            "--count-fuel",
            "--json",
        ],
    );
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(again["fuel-per-page"], fuel);
    let ran = run(
        folder,
        &[
            "plugin",
            "bench",
            "markdown-out",
            input,
            "--rounds",
            "3",
            "--plugin-opt",
            "page-break=***",
        ],
    );
    assert!(
        ran.code == 0 && ran.out.contains("p99 us") && ran.out.contains("MiB at most"),
        "{}{}",
        ran.out,
        ran.err
    );
    // Without a document, over what the project is tested with; of a recording, the pages that are wanted.
    let ran = run(
        folder,
        &["plugin", "bench", ".", "--rounds", "2", "--json", "--pages", "2"],
    );
    let json: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.err));
    assert!(
        json["input"].as_str().unwrap().ends_with("letter/pages.json"),
        "{json}"
    );
    assert_eq!(json["times"]["first-page"]["count"], 2);
    assert_eq!(json["times"]["page"]["count"], 2, "there is but one page a round");
    refused(
        folder,
        &["plugin", "bench", ".", "--pages", "9"],
        1,
        &["it has none of the pages"],
    );
    let nowhere = tempfile::tempdir().unwrap();
    refused(
        nowhere.path(),
        &["plugin", "bench", "markdown-out"],
        1,
        &["there is nothing to run it over"],
    );
}

#[test]
fn fixtures_lie_where_node_has_its_tests_as_well() {
    let project = project();
    let folder = project.path();
    std::fs::rename(folder.join("tests"), folder.join("test")).unwrap();
    std::fs::write(folder.join("test/plugin.test.js"), "").unwrap();
    assert_eq!(run(folder, &["plugin", "test", "--update"]).code, 0);
    let ran = run(folder, &["plugin", "test"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "letter ... ok\n"),
        "{}",
        ran.err
    );
    std::fs::remove_dir_all(folder.join("test/letter")).unwrap();
    refused(
        folder,
        &["plugin", "test"],
        1,
        &[
            "there is no fixture in ./test; record one",
            "./test/scan/pages.json",
        ],
    );
}

/// A `plugin dev` under way.
struct Dev {
    child: Child,
    lines: Receiver<String>,
    /// Lines that were not waited for yet: those of the two streams come in any order.
    heard: RefCell<Vec<String>>,
}

impl Dev {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = ocr_host(folder, args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, lines) = channel();
        let errors = to.clone();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .for_each(|l| drop(to.send(l)))
        });
        std::thread::spawn(move || {
            BufReader::new(err)
                .lines()
                .map_while(Result::ok)
                .for_each(|l| drop(errors.send(l)))
        });
        Self {
            child,
            lines,
            heard: RefCell::default(),
        }
    }

    /// Waits for a line with these words; each line is heard once.
    fn hears(&self, words: &str) {
        let mut heard = self.heard.borrow_mut();
        loop {
            if let Some(at) = heard.iter().position(|line| line.contains(words)) {
                heard.remove(at);
                return;
            }
            match self.lines.recv_timeout(Duration::from_secs(120)) {
                Ok(line) => heard.push(line),
                Err(_) => panic!("{words:?} is not among {heard:?}"),
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_plugin_runs_again_whenever_it_changes() {
    let project = project();
    let folder = project.path();
    let args = [
        "plugin",
        "dev",
        "hello.wasm",
        "tests/letter/pages.json",
        "--plugin-opt",
        "rule=**",
    ];
    let dev = Dev::start(folder, &args);
    dev.hears("** page 1");
    dev.hears("hello-formatter 0.1.0: built and loaded");
    dev.hears("waiting for changes");
    std::fs::write(folder.join("hello.wasm"), component("(component)", "{}")).unwrap();
    dev.hears("error: plugin `hello.wasm`: its manifest is wrong: missing field `id`");
    dev.hears("waiting for changes");
    std::fs::write(folder.join("hello.wasm"), renamed("hello-formatter", "0.2.0")).unwrap();
    dev.hears("hello-formatter 0.2.0: built and loaded");
}

#[test]
fn pages_are_read_once_for_the_loop() {
    let project = project();
    let folder = project.path();
    std::fs::copy(example("receipt.png"), folder.join("receipt.png")).unwrap();
    let args = ["plugin", "dev", "hello.wasm", "receipt.png", "-o", "out"];
    // A cache of its own, so that this is the first time.
    let cache = folder.join("cache");
    let started = |words: &str| {
        let mut command = ocr_host(folder, &args);
        command
            .env("OCR_HOST_CACHE", &cache)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut heard = Vec::new();
        for line in BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok)
        {
            heard.push(line);
            if heard.last().is_some_and(|l| l.contains("waiting for changes")) {
                break;
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        let all = heard.join("\n");
        assert!(all.contains("1 page in"), "{all}");
        all.contains(words)
    };
    assert!(started("is read once"));
    assert!(!started("is read once"), "a restart finds the pages");
    let text = std::fs::read_to_string(folder.join("out/document.txt")).unwrap();
    assert!(text.contains("LANTERN BAKERY"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(cache.join("pages"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "what is on the pages is the user's alone");
    }
}
