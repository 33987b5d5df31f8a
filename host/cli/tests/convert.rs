//! The program as people run it: real inputs, good and bad, and what it says, writes and returns.

use serde_json::Value;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn example(name: &str) -> String {
    repository().join("examples").join(name).display().to_string()
}

/// The plugin that does whatever it is told, as a file in `folder`.
fn misbehave(folder: &Path) -> String {
    let packed = std::fs::read(repository().join("host/runtime/tests/misbehave/misbehave.wasm.gz")).unwrap();
    let mut component = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut component)
        .unwrap();
    let path = folder.join("misbehave.wasm");
    std::fs::write(&path, component).unwrap();
    path.display().to_string()
}

/// The program in a folder of its own, away from configuration files.
fn ocr_host(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocr-host"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    // What the sandbox can't draw stays undrawn here; tests/pdf_renderer.rs is about the other way.
    command.env("OCR_HOST_PDFIUM", "none");
    command.env("OCR_HOST_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.env("OCR_HOST_MODELS", concat!(env!("CARGO_TARGET_TMPDIR"), "/models"));
    command
        .env("XDG_CONFIG_HOME", folder)
        .env_remove("OCR_HOST_CONFIG");
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        // Every run tells which engine reads; tests/recognition.rs hears that. Whether compiling takes long enough to be
        // told of hangs on the machine, and on which test is the first to need the component.
        let engine = |line: &&str| line.starts_with("note: pages are read by ");
        let compiling = |line: &&str| line.starts_with("compiling plugin `");
        let err: String = text(output.stderr)
            .split_inclusive('\n')
            .filter(|line| !engine(line) && !compiling(line))
            .collect();
        Self {
            code: output.status.code().expect("it was not killed"),
            out: text(output.stdout),
            err,
        }
    }
}

fn run_in(folder: &Path, args: &[&str]) -> Ran {
    ocr_host(folder, args).output().unwrap().into()
}

fn run(args: &[&str]) -> Ran {
    run_in(tempfile::tempdir().unwrap().path(), args)
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

/// A PDF of the given objects (object 1 is the catalogue), with a cross-reference table that fits.
fn pdf(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        offsets.push(bytes.len());
        bytes.extend(format!("{} 0 obj\n", n + 1).bytes());
        bytes.extend(object);
        bytes.extend(b"\nendobj\n");
    }
    let start = bytes.len();
    bytes.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    bytes.extend(
        offsets
            .iter()
            .flat_map(|o| format!("{o:010} 00000 n \n").into_bytes()),
    );
    let size = objects.len() + 1;
    bytes.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n").bytes());
    bytes
}

/// A PDF whose pages show one line of text each.
fn pages(lines: &[&str]) -> Vec<u8> {
    let kids: Vec<String> = (0..lines.len()).map(|n| format!("{} 0 R", 4 + 2 * n)).collect();
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!(
            "<< /Type /Pages /Kids [{}] /Count {} >>",
            kids.join(" "),
            lines.len()
        )
        .into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
    ];
    for (n, line) in lines.iter().enumerate() {
        let content = format!("BT /F1 24 Tf 20 60 Td ({line}) Tj ET");
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 120] /Contents {} 0 R \
                 /Resources << /Font << /F1 3 0 R >> >> >>",
                5 + 2 * n
            )
            .into_bytes(),
        );
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()).into_bytes());
    }
    pdf(&objects)
}

fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Share of the words of `expected` that `got` has, case folded.
fn recall(expected: &str, got: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let mut got = words(got);
    let expected = words(expected);
    let found = expected.iter().filter(|w| {
        got.iter()
            .position(|g| g == *w)
            .map(|at| got.swap_remove(at))
            .is_some()
    });
    found.count() as f64 / expected.len() as f64
}

#[test]
fn a_report_becomes_markdown_on_standard_output() {
    let ran = run(&[&example("report.pdf")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("# Nine Ponds\n"), "{}", &ran.out[..200]);
    for line in [
        "## 2 How we counted",
        "1. Write down the time, the sky and the temperature of the water.",
        "| Mill Pond | 182 | 97 | 14 | 293 | 10 % |",
    ] {
        assert!(ran.out.lines().any(|l| l == line), "{line}\n{}", ran.out);
    }
    // Columns are read one after the other: the left one's end comes before the right one's beginning.
    let at = |text: &str| ran.out.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(at("reached no deeper than a hand") < at("Shade at noon ran"));
    let expected = std::fs::read_to_string(example("report.expected.txt")).unwrap();
    let recall = recall(&expected, &ran.out);
    assert!(recall > 0.95, "{recall}");
}

#[test]
fn a_command_that_is_misspelt_or_behind_a_flag_is_no_file() {
    for line in [
        &["plugn", "list"][..],
        &["-q", "plugin", "list"],
        &["--quiet", "doctor"],
    ] {
        let ran = run(line);
        assert_eq!(ran.code, 1, "{line:?}: {}", ran.err);
        let command = if line.contains(&"doctor") {
            "doctor"
        } else {
            "plugin"
        };
        let told = format!("the command `{command}` comes first");
        assert!(ran.err.contains(&told), "{line:?}: {}", ran.err);
    }
    // A file of such a name is one.
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(example("receipt.png"), folder.path().join("run.png")).unwrap();
    assert_eq!(run_in(folder.path(), &["run.png"]).code, 0);
}

#[test]
fn a_dash_is_standard_output_whatever_a_file_says() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ocr-host.toml"), "output = \"out\"\n").unwrap();
    let receipt = example("receipt.png");
    let ran = run_in(folder.path(), &[&receipt, "-o", "-", "--to", "text"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("LANTERN BAKERY"), "{}", ran.out);
    let left = std::fs::read_dir(folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "out" || name == "-"), "{left:?}");

    let several = run_in(folder.path(), &[&receipt, &example("scan.jpg"), "-o", "-"]);
    assert_eq!(several.code, 1, "{}", several.err);
}

#[test]
fn three_formats_are_written_from_one_reading() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run_in(
        folder.path(),
        &[&example("receipt.png"), "-o", "out", "--to", "md,html,json"],
    );
    assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (0, "", ""));
    let out = folder.path().join("out");
    let text = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(text("receipt.md").contains("LANTERN BAKERY"));
    assert!(text("receipt.html").contains("data:image/") && text("receipt.html").contains("LANTERN BAKERY"));
    let json: Value = serde_json::from_str(&text("receipt.json")).unwrap();
    assert_eq!(json["schema_name"], "DoclingDocument");
    let report = report(&out);
    assert_eq!(report["documents"][0]["status"], "success");
    assert_eq!(report["documents"][0]["pages"][0]["status"], "complete");
    assert_eq!(report["documents"][0]["outputs"].as_array().unwrap().len(), 3);
    let hidden = std::fs::read_dir(&out)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "no temporary folder stays");
}

#[test]
fn a_component_that_is_not_built_in_runs_the_same_way() {
    let hello = repository().join("examples/hello-formatter/hello-formatter.wasm");
    let args = [
        "--plugin",
        hello.to_str().unwrap(),
        "--plugin-opt",
        "rule=====",
        &example("receipt.png"),
    ];
    let ran = run(&args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out.starts_with("==== page 1\n") && ran.out.contains("LANTERN BAKERY"),
        "{}",
        ran.out
    );
}

#[test]
fn built_in_components_are_found_by_name_from_any_folder() {
    let ran = run(&["--plugin", "html-out.wasm", &example("receipt.png")]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("<!doctype html>") || ran.out.starts_with("<!DOCTYPE html>"));
}

#[test]
fn standard_input_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = ocr_host(folder.path(), &["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&pages(&["Through the pipe"]))
        .unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out.trim(), "Through the pipe");
}

#[test]
fn pages_are_selected_from_one() {
    let folder = folder_with(&[(
        "five.pdf",
        &pages(&[
            "First page",
            "Second page",
            "Third page",
            "Fourth page",
            "Fifth page",
        ]),
    )]);
    let ran = run_in(folder.path(), &["five.pdf", "--pages", "4-,2"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran
        .out
        .lines()
        .filter(|l| !l.is_empty())
        .map(|l| l.trim_start_matches(['#', ' ']))
        .collect();
    assert_eq!(lines, ["Second page", "Fourth page", "Fifth page"]);
    let ran = run_in(folder.path(), &["five.pdf", "--pages", "9"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .contains("page 9 was asked for, but the document has 5 pages"),
        "{}",
        ran.err
    );
    assert_eq!(run_in(folder.path(), &["five.pdf", "--pages", "0"]).code, 1);
    // What exists is converted, and what does not is told.
    let ran = run_in(folder.path(), &["five.pdf", "--pages", "5,9"]);
    assert!(
        ran.code == 20 && ran.out.contains("Fifth page") && ran.err.contains("page 9"),
        "{}: {}",
        ran.code,
        ran.err
    );
}

#[test]
fn passwords_open_what_is_encrypted() {
    let locked = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/locked.pdf");
    let locked = locked.to_str().unwrap();
    let ran = run(&[locked]);
    assert_eq!(ran.code, 8, "{}", ran.err);
    assert!(
        ran.err.contains("locked.pdf") && ran.err.contains("password"),
        "{}",
        ran.err
    );
    assert_eq!(run(&[locked, "--pdf-password", "wrong"]).code, 8);
    let ran = run(&[locked, "--pdf-password", "sesame"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("Sealed with care"), "{}", ran.out);
}

#[test]
fn bad_inputs_get_a_clear_error_and_their_exit_code() {
    let whole = std::fs::read(example("report.pdf")).unwrap();
    let empty_tree = pdf(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [] /Count 0 >>".to_vec(),
    ]);
    let png = std::fs::read(example("receipt.png")).unwrap();
    let folder = folder_with(&[
        ("empty.pdf", b""),
        ("truncated.pdf", &whole[..2000]),
        ("zero-pages.pdf", &empty_tree),
        ("text.pdf", b"this is no PDF at all\n"),
        ("cut.png", &png[..png.len() / 2]),
        ("notes.xyz", b"plain text"),
    ]);
    for (file, code, words) in [
        ("empty.pdf", 2, "the file is empty"),
        ("truncated.pdf", 2, "truncated.pdf"),
        ("zero-pages.pdf", 2, "without a single page"),
        ("text.pdf", 2, "text.pdf"),
        ("cut.png", 2, "get the file again"),
        ("notes.xyz", 2, "no adapter can read it"),
        ("missing.pdf", 5, "check its name"),
    ] {
        let ran = run_in(folder.path(), &[file, "-o", "out"]);
        assert_eq!(ran.code, code, "{file}: {}", ran.err);
        assert!(
            ran.err.starts_with("error: ") && ran.err.contains(words),
            "{file}: {}",
            ran.err
        );
        assert!(!ran.err.contains("panicked"), "{file}: {}", ran.err);
        assert_eq!(
            report(&folder.path().join("out"))["documents"][0]["status"],
            "failure",
            "{file}"
        );
    }
}

#[test]
fn what_a_damaged_file_lacks_is_told() {
    let whole = std::fs::read(example("report.pdf")).unwrap();
    let scan = std::fs::read(example("scan.jpg")).unwrap();
    let one_page = |count: u32, contents: &str, filter: &str| {
        let content = "BT /F1 24 Tf 20 60 Td (One page of three) Tj ET";
        pdf(&[
            b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
            format!("<< /Type /Pages /Kids [4 0 R] /Count {count} >>").into_bytes(),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 120] /Contents {contents} \
                 /Resources << /Font << /F1 3 0 R >> >> >>"
            )
            .into_bytes(),
            format!(
                "<< /Length {} {filter} >>\nstream\n{content}\nendstream",
                content.len()
            )
            .into_bytes(),
        ])
    };
    let folder = folder_with(&[
        ("half.pdf", &whole[..whole.len() / 2]),
        ("most.pdf", &whole[..whole.len() * 7 / 10]),
        ("nearly.pdf", &whole[..whole.len() * 9 / 10]),
        ("half.jpg", &scan[..scan.len() / 2]),
        ("fewer.pdf", &one_page(3, "5 0 R", "")),
        ("gone.pdf", &one_page(1, "9 0 R", "")),
        ("noise.pdf", &one_page(1, "5 0 R", "/Filter /FlateDecode")),
    ]);
    let truncated = "truncated";
    for (file, code, status, words) in [
        (
            "half.pdf",
            20,
            truncated,
            "error: half.pdf: page 1: plugin `pdf-in`: 3 fonts of it are missing in the file",
        ),
        (
            "most.pdf",
            20,
            truncated,
            "warning: most.pdf: plugin `pdf-in`: it ends before its end",
        ),
        (
            "nearly.pdf",
            0,
            "complete",
            "warning: nearly.pdf: plugin `pdf-in`: it ends before its end",
        ),
        (
            "half.jpg",
            20,
            truncated,
            "error: half.jpg: page 1: plugin `image-in`: the file ends before its picture",
        ),
        (
            "fewer.pdf",
            20,
            "complete",
            "it says that it has 3 pages, but 1 could be found",
        ),
        (
            "gone.pdf",
            20,
            truncated,
            "error: gone.pdf: page 1: plugin `pdf-in`: its content is missing",
        ),
        (
            "noise.pdf",
            20,
            truncated,
            "error: noise.pdf: page 1: plugin `pdf-in`: its content is missing",
        ),
    ] {
        let ran = run_in(folder.path(), &[file, "-o", "out", "--pages", "1"]);
        assert_eq!(ran.code, code, "{file}: {}", ran.err);
        assert!(ran.err.contains(words), "{file}: {}", ran.err);
        let document = &report(&folder.path().join("out"))["documents"][0];
        let page = &document["pages"][0];
        assert_eq!(page["status"], status, "{file}: {document}");
        // Each error is told once in the report, and the page's readers are told as well.
        let said = page["diagnostics"].as_array().unwrap();
        let said = said.iter().map(|d| d["message"].as_str().unwrap());
        let errors: Vec<&str> = said.filter(|m| m.starts_with("plugin `")).collect();
        assert_eq!(errors.is_empty(), status == "complete", "{file}: {document}");
        let output = document["outputs"][0].as_str().unwrap();
        let text = std::fs::read_to_string(folder.path().join(output)).unwrap();
        for (at, error) in errors.iter().enumerate() {
            assert!(!errors[..at].contains(error), "{file}: {document}");
            let bare = error.split_once("`: ").unwrap().1.split("; ").next().unwrap();
            assert!(text.contains(&format!("({bare})")), "{file}: {bare}: {text}");
            assert!(
                !page["diagnostics"].to_string().contains(&format!("\"{bare}")),
                "{page}"
            );
        }
    }
}

#[test]
fn who_stops_reading_is_not_told_of_it() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&[example("report.pdf").as_str()][..], &["plugin", "list"]] {
        let mut command = ocr_host(folder.path(), args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let ran: Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, ran.err.as_str()), (141, ""), "{args:?}");
    }
}

#[test]
fn standard_output_takes_one_file() {
    for (args, told) in [
        (&["--to", "md,json"][..], "1 document in 2 formats"),
        (&[example("scan.jpg").as_str()], "2 documents in 1 format "),
    ] {
        let receipt = example("receipt.png");
        let ran = run(&[&[receipt.as_str()], args].concat());
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains(told), "{}", ran.err);
    }
}

/// A PDF whose only page, `points` wide and high, shows a white image of `side` x `side` px in one bit.
fn image_page(points: u32, side: u32) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let row = vec![255; side as usize / 8];
    (0..side).for_each(|_| packer.write_all(&row).unwrap());
    let pixels = packer.finish().unwrap();
    let content = format!("q {points} 0 0 {points} 0 0 cm /I Do Q");
    let mut image = format!(
        "<< /Subtype /Image /Width {side} /Height {side} /ColorSpace /DeviceGray /BitsPerComponent 1 \
         /Filter /FlateDecode /Length {} >>\nstream\n",
        pixels.len()
    )
    .into_bytes();
    image.extend(pixels);
    image.extend(b"\nendstream");
    pdf(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {points} {points}] /Contents 4 0 R \
             /Resources << /XObject << /I 5 0 R >> >> >>"
        )
        .into_bytes(),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()).into_bytes(),
        image,
    ])
}

#[test]
fn images_that_no_component_could_hold_are_named() {
    let folder = folder_with(&[("giant.pdf", &image_page(400, 60_000))]);
    let ran = run_in(folder.path(), &["giant.pdf", "-o", "out", "--to", "md,html"]);
    assert_eq!(ran.code, 21, "{}", ran.err);
    assert!(
        ran.err.contains("page 1") && ran.err.contains("an image of 60000 x 60000 px"),
        "{}",
        ran.err
    );
    assert!(
        !ran.err.contains("panicked") && !ran.err.contains("--plugin-limit"),
        "{}",
        ran.err
    );
    // A page that could not be read has no picture, and that is no second complaint.
    assert!(!ran.err.contains("without their pictures"), "{}", ran.err);
    assert_eq!(
        report(&folder.path().join("out"))["documents"][0]["pages"][0]["status"],
        "failed"
    );
}

#[test]
fn pages_that_take_much_memory_are_drawn_in_turn() {
    // Each decodes 400 MB inside its sandbox, from 50 that were packed.
    let large = image_page(60_000, 20_000);
    let folder = folder_with(&[("a.pdf", &large), ("b.pdf", &large)]);
    let (ran, peak) = run_measured(folder.path(), &["a.pdf", "b.pdf", "-o", "out"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(peak < 1536 << 20, "{peak} bytes");
}

#[test]
fn oversized_images_of_every_kind_are_refused_before_they_are_decoded() {
    let side = 60_000u32;
    let le = u32::to_le_bytes;
    // BMP: file header, then BITMAPINFOHEADER of 24 bits a pixel.
    let mut bmp = b"BM".to_vec();
    [58, 0, 54, 40, side, side, 24 << 16 | 1, 0, 4, 2835, 2835, 0, 0]
        .iter()
        .for_each(|&v| bmp.extend(le(v)));
    bmp.extend([0; 4]);
    // TIFF: one directory with width, height, bits, compression, photometry, offset, rows and bytes of the only strip.
    let mut tiff = b"II*\0\x08\0\0\0\x09\0".to_vec();
    let fields = [
        (256u16, side),
        (257, side),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, side),
        (279, u32::MAX),
    ];
    for (tag, value) in fields {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(b"\x04\0\x01\0\0\0");
        tiff.extend(le(value));
    }
    tiff.extend([0; 4]);
    // JPEG: a frame of one component, a quantisation table and a scan without data.
    let mut jpeg = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
    jpeg.extend([1; 64]);
    jpeg.extend(b"\xff\xc0\0\x0b\x08");
    jpeg.extend([(side as u16).to_be_bytes(), (side as u16).to_be_bytes()].concat());
    jpeg.extend(b"\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9");
    let folder = folder_with(&[("giant.bmp", &bmp), ("giant.tif", &tiff), ("giant.jpg", &jpeg)]);
    for file in ["giant.bmp", "giant.tif", "giant.jpg"] {
        let (ran, peak) = run_measured(folder.path(), &[file]);
        assert_eq!(ran.code, 2, "{file}: {}", ran.err);
        assert!(
            ran.err.contains("60000 x 60000 px") && ran.err.contains("megapixels"),
            "{file}: {}",
            ran.err
        );
        assert!(peak < 1 << 30, "{file}: {peak} bytes");
    }
}

#[test]
fn oversized_images_are_refused_before_they_are_decoded() {
    // The header of a PNG of 60,000 x 60,000 pixels (10 GB decoded) with a checksum that fits.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend([60_000u32.to_be_bytes(), 60_000u32.to_be_bytes()].concat());
    png.extend([8, 2, 0, 0, 0]);
    let crc = png[12..].iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| {
            if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 }
        })
    });
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    let folder = folder_with(&[("giant.png", &png)]);
    let ran = run_in(folder.path(), &["giant.png"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(
        ran.err.contains("60000 x 60000 px") && ran.err.contains("megapixels"),
        "{}",
        ran.err
    );
}

#[test]
fn decompression_bombs_end_in_a_limit_or_an_error() {
    // A page whose content is 4 GiB of blanks, deflated twice.
    let deflate = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut inner = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let blanks = vec![b' '; 1 << 20];
    (0..4096).for_each(|_| inner.write_all(&blanks).unwrap());
    let bomb = deflate(&inner.finish().unwrap());
    let mut content = format!(
        "<< /Length {} /Filter [/FlateDecode /FlateDecode] >>\nstream\n",
        bomb.len()
    )
    .into_bytes();
    content.extend(&bomb);
    content.extend(b"\nendstream");
    let bytes = pdf(&[
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>".to_vec(),
        content,
    ]);
    let good = pages(&["Still standing"]);
    let folder = folder_with(&[("bomb.pdf", &bytes), ("good.pdf", &good)]);
    let args = ["bomb.pdf", "good.pdf", "-o", "out", "--page-timeout", "8s"];
    let (ran, peak) = run_measured(folder.path(), &args);
    // Drawing it ends in the page's time or the plugin's memory; the page fails, the file with it.
    assert!([21, 22].contains(&ran.code), "{}: {}", ran.code, ran.err);
    assert!(
        ran.err.contains("bomb.pdf")
            && (ran.err.contains("--page-timeout") || ran.err.contains("--plugin-limit")),
        "{}",
        ran.err
    );
    assert!(peak < 1536 << 20, "{peak} bytes");
    let text = std::fs::read_to_string(folder.path().join("out/good.md")).unwrap();
    assert!(text.contains("Still standing"));
    let report = report(&folder.path().join("out"));
    let page = &report["documents"][0]["pages"][0];
    assert_eq!(
        (&page["number"], &page["status"]),
        (&1.into(), &"failed".into()),
        "{page}"
    );
}

/// Runs the program and answers as well the most memory that it had, bytes.
#[cfg(target_os = "linux")]
fn run_measured(folder: &Path, args: &[&str]) -> (Ran, u64) {
    let child = ocr_host(folder, args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        // The file goes with the process; VmHWM is its peak so far, KiB.
        while let Ok(text) = std::fs::read_to_string(&status) {
            let Some(line) = text.lines().find(|l| l.starts_with("VmHWM")) else {
                break;
            };
            peak = line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10;
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        peak
    });
    let ran = Ran::from(child.wait_with_output().unwrap());
    (ran, watch.join().unwrap())
}

/// Elsewhere only what the program says is looked at.
#[cfg(not(target_os = "linux"))]
fn run_measured(folder: &Path, args: &[&str]) -> (Ran, u64) {
    (run_in(folder, args), 0)
}

#[test]
fn large_images_are_read_in_turn_and_scaled_down() {
    // Two grey GIFs and two PNGs of 12,000 x 12,000 px, a few kilobytes each and 144 megapixels decoded.
    let gray = image::GrayImage::from_pixel(12_000, 12_000, image::Luma([250]));
    let mut png = std::io::Cursor::new(Vec::new());
    gray.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let rgba = image::RgbaImage::from_pixel(5_000, 5_000, image::Rgba([250; 4]));
    let mut gif = std::io::Cursor::new(Vec::new());
    rgba.write_to(&mut gif, image::ImageFormat::Gif).unwrap();
    let files = [
        ("a.png", png.get_ref().as_slice()),
        ("b.png", png.get_ref()),
        ("c.gif", gif.get_ref()),
        ("d.gif", gif.get_ref()),
    ];
    let folder = folder_with(&files);
    let (ran, peak) = run_measured(folder.path(), &["a.png", "b.png", "c.gif", "d.gif", "-o", "out"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(peak < 1536 << 20, "{peak} bytes");
    let report = report(&folder.path().join("out"));
    for (at, scaled) in [(0, true), (1, true), (2, false), (3, false)] {
        let page = &report["documents"][at]["pages"][0];
        let said = page["diagnostics"].to_string().contains("page-scaled-down");
        assert_eq!((&page["status"], said), (&"complete".into(), scaled), "{page}");
    }
}

#[test]
fn what_plugins_say_is_in_the_report() {
    let folder = folder_with(&[("a.pdf", &pages(&["One", "Two"]))]);
    let bad = misbehave(folder.path());
    let act = "misbehave.act=report";
    let args = ["a.pdf", "-o", "out", "--plugin", &bad, "--plugin-opt", act];
    let ran = run_in(folder.path(), &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err
            .contains("warning: a.pdf: page 2: plugin `misbehave`: on a page")
            && ran.err.contains("of the document"),
        "{}",
        ran.err
    );
    let document = &report(&folder.path().join("out"))["documents"][0];
    assert_eq!(
        document["diagnostics"][0]["message"],
        "plugin `misbehave`: of the document"
    );
    let page = &document["pages"][1]["diagnostics"][0];
    assert_eq!((&page["code"], &page["page"]), (&"said".into(), &2.into()));
}

#[test]
fn pages_that_nobody_takes_are_in_the_report() {
    let folder = folder_with(&[("a.pdf", &pages(&["One", "Two", "Three", "Four"]))]);
    let bad = misbehave(folder.path());
    let act = "misbehave.act=panic";
    let args = ["a.pdf", "-o", "out", "--plugin", &bad, "--plugin-opt", act];
    let ran = run_in(folder.path(), &args);
    assert_eq!(ran.code, 22, "{}", ran.err);
    let document = &report(&folder.path().join("out"))["documents"][0];
    let pages = document["pages"].as_array().unwrap();
    let statuses: Vec<_> = pages
        .iter()
        .map(|p| (p["number"].as_u64().unwrap(), p["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        statuses,
        [(1, "complete"), (2, "skipped"), (3, "skipped"), (4, "skipped")]
    );
    assert!(ran.err.contains("3 pages were not read"), "{}", ran.err);
}

#[test]
fn settings_of_the_present_folder_are_named() {
    let toml = b"timings = true\n[plugin-limit]\nstack = '1MiB'\n[plugin-opt.image-in]\ndpi = 100\n";
    let png = std::fs::read(example("receipt.png")).unwrap();
    let folder = folder_with(&[("ocr-host.toml", toml), ("receipt.png", &png)]);
    let ran = run_in(folder.path(), &["receipt.png"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err
            .starts_with("note: settings are taken from ocr-host.toml\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with(" ms\n"), "{}", ran.err);
    assert!(ran.err.contains("stage") && ran.out.contains("LANTERN BAKERY"));
    // The user hushes that, and lines of JSON stay such; the file itself may have come with the documents.
    std::fs::write(folder.path().join("ocr-host.toml"), "quiet = true\n").unwrap();
    let told = |flags: &[&str]| {
        let ran = run_in(folder.path(), &[flags, &["receipt.png"][..]].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err.contains("note: settings are taken from")
    };
    assert!(told(&[]));
    assert!(!told(&["--quiet"]) && !told(&["--progress", "json"]));
    assert!(!told(&["--config", "ocr-host.toml"]), "the user named it");
}

#[test]
fn compiling_for_the_first_time_is_no_word_to_who_wants_none() {
    let folder = tempfile::tempdir().unwrap();
    let receipt = example("receipt.png");
    let first = |flags: &[&str]| {
        let cache = tempfile::tempdir().unwrap();
        let output = ocr_host(folder.path(), &[flags, &[receipt.as_str()][..]].concat())
            .env("OCR_HOST_CACHE", cache.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(first(&["--quiet"]), "");
    for line in first(&["--progress", "json"]).lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{line}");
    }
}

#[test]
#[cfg(unix)]
fn a_request_to_terminate_ends_the_run_in_order() {
    let lines: Vec<String> = (0..400).map(|n| format!("Page {n} of many")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let folder = folder_with(&[("a.pdf", &pages(&lines))]);
    let mut child = ocr_host(folder.path(), &["a.pdf", "-o", "out", "--progress", "json"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once the first page is done, the run is under way.
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(err.by_ref().any(|l| l.unwrap().contains("\"page\"")));
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    err.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let out = folder.path().join("out");
    let document = &report(&out)["documents"][0];
    let pages = document["pages"].as_array().unwrap();
    assert_eq!(pages.len(), 400, "every page has a status");
    assert_eq!(
        (&pages[0]["status"], &pages[399]["status"]),
        (&"complete".into(), &"skipped".into())
    );
    let names: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|n| n == "a.partial" || n == "report.json"),
        "{names:?}"
    );
    assert!(
        std::fs::read_to_string(out.join("a.partial/a.md"))
            .unwrap()
            .contains("Page 0 of many")
    );
}

#[test]
fn one_bad_file_never_stops_the_others() {
    let good = pages(&["All is well"]);
    let folder = folder_with(&[("a.pdf", b"broken"), ("b.pdf", &good), ("c.pdf", &good)]);
    let ran = run_in(folder.path(), &[".", "-o", "out"]);
    assert_eq!(ran.code, 21, "{}", ran.err);
    let out = folder.path().join("out");
    for name in ["b.md", "c.md"] {
        assert!(
            std::fs::read_to_string(out.join(name))
                .unwrap()
                .contains("All is well")
        );
    }
    let statuses: Vec<String> = report(&out)["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses, ["failure", "success", "success"]);
}

#[test]
fn a_folder_without_documents_never_stops_the_others() {
    let folder = folder_with(&[("a.pdf", &pages(&["All is well"]))]);
    std::fs::create_dir(folder.path().join("none")).unwrap();
    let ran = run_in(folder.path(), &["none", "a.pdf", "no*where", "-o", "out"]);
    assert_eq!(ran.code, 21, "{}", ran.err);
    for told in [
        "error: none: no documents in this folder (",
        "error: no*where: nothing matches\n",
    ] {
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
    }
    let out = folder.path().join("out");
    let text = std::fs::read_to_string(out.join("a.md")).unwrap();
    assert!(text.contains("All is well"), "{text}");
    let report = report(&out);
    let documents = report["documents"].as_array().unwrap();
    let statuses: Vec<&str> = documents.iter().map(|d| d["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["failure", "success", "failure"]);
    assert_eq!(documents[0]["errors"][0]["code"], "no-documents");
    // It is no second document that standard output has no room for.
    let ran = run_in(folder.path(), &["none", "a.pdf"]);
    assert_eq!(ran.code, 21, "{}", ran.err);
    assert!(ran.out.contains("All is well") && ran.err.contains("error: none: no documents"));
    for nothing in [&["none", "-o", "out2"][..], &["none", "no*where", "-o", "out2"]] {
        let ran = run_in(folder.path(), nothing);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.starts_with("error: none: no documents"), "{}", ran.err);
    }
    assert!(!folder.path().join("out2").exists());
}

#[test]
fn a_crashing_plugin_costs_its_own_output_alone() {
    let good = pages(&["All is well"]);
    let folder = folder_with(&[("a.pdf", &good)]);
    let bad = misbehave(folder.path());
    let args = ["a.pdf", "-o", "out", "--to", "md", "--plugin", &bad];
    for (act, words) in [
        ("panic", "trap"),
        ("loop", "limit `time`"),
        ("grow", "limit `memory`"),
    ] {
        let act = format!("misbehave.act={act}");
        let more = [
            "--plugin-opt",
            &act,
            "--plugin-limit",
            "time=4s",
            "--plugin-limit",
            "memory=64MiB",
        ];
        let ran = run_in(folder.path(), &[&args[..], &more[..]].concat());
        assert_eq!(ran.code, 22, "{}", ran.err);
        assert!(
            ran.err.contains("plugin `misbehave` 0.1.0 on page 1") && ran.err.contains(words),
            "{}",
            ran.err
        );
        let out = folder.path().join("out");
        assert!(
            std::fs::read_to_string(out.join("a.md"))
                .unwrap()
                .contains("All is well")
        );
        assert_eq!(
            std::fs::read_to_string(out.join("a.partial/a.bad")).unwrap(),
            "begun\n"
        );
        assert!(!out.join("a.bad").exists());
        let document = &report(&out)["documents"][0];
        assert_eq!(document["status"], "partial-success");
        assert!(document["partial"].as_str().unwrap().ends_with("a.partial"));
    }
}

#[test]
fn flags_that_make_no_sense_say_what_would() {
    let receipt = example("receipt.png");
    for (args, words) in [
        (vec!["--to", "docx", &receipt], "the formats are"),
        (vec!["--plugin", "nothing.wasm", &receipt], "built-in ones are"),
        (vec!["--plugin-opt", "colour=red", &receipt], "it knows"),
        (vec!["--plugin-opt", "images=maybe", &receipt], "it takes `auto`"),
        (vec!["--plugin-limit", "ram=1GiB", &receipt], "memory, time"),
        (vec!["--to", "md,html", &receipt], "-o DIR"),
        (vec!["--page-timeout", "0s", &receipt], "give 1 s or more"),
        (vec![&receipt, &receipt], "-o DIR"),
        (vec![], "no input"),
    ] {
        let ran = run(&args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "");
    }
}

#[test]
fn progress_is_told_as_json_lines() {
    let folder = folder_with(&[("a.pdf", &pages(&["One", "Two"]))]);
    let ran = run_in(folder.path(), &["a.pdf", "--progress", "json"]);
    assert_eq!(ran.code, 0);
    let events: Vec<Value> = ran
        .err
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let names: Vec<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["document-opened", "page", "page", "document-done"]);
    assert_eq!(
        (&events[0]["pages"], &events[2]["page"]["number"]),
        (&2.into(), &2.into())
    );
}

#[test]
fn models_and_plugins_are_listed() {
    let ran = run(&["plugin", "list"]);
    assert!(
        ran.code == 0 && ran.out.contains("html-out") && ran.out.contains("input-adapter"),
        "{}",
        ran.out
    );
    let ran = run(&["plugin", "inspect", "markdown-out"]);
    assert!(
        ran.out.contains("output-formatter of ocr-host:plugin 0.1.0") && ran.out.contains("images ="),
        "{}",
        ran.out
    );
    let ran = run(&["models", "list"]);
    assert!(
        ran.out.contains("ppocr-tiny") && ran.out.contains("ppocr-small"),
        "{}",
        ran.out
    );
    assert_eq!(run(&["models", "verify", "ppocr-small"]).code, 3);
    assert_eq!(run(&["models", "fetch", "gpt"]).code, 1);
}
