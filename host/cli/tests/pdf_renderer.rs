//! Pages that the sandbox can't draw are drawn by pdfium, in a process of its own; and the text that pages carry.
//!
//! libpdfium is taken from `OCR_HOST_PDFIUM`, which CI sets, or looked for; without one the tests that need it say so.

#[path = "../../pdfium/tests/pdfs.rs"]
mod pdfs;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn library() -> Option<PathBuf> {
    let named = std::env::var_os("OCR_HOST_PDFIUM").map(PathBuf::from);
    let found = ocr_pdfium::locate(named.as_deref()).unwrap();
    if found.is_none() {
        eprintln!("skipped: there is no libpdfium; `pip install pypdfium2`, or name one in OCR_HOST_PDFIUM");
    }
    found
}

struct Ran {
    code: i32,
    text: String,
    err: String,
    pages: Vec<Value>,
    document: Value,
}

impl Ran {
    fn codes(&self, page: usize) -> Vec<&str> {
        let said = self.pages[page]["diagnostics"].as_array();
        said.into_iter()
            .flatten()
            .filter_map(|d| d["code"].as_str())
            .collect()
    }

    fn engine(&self, page: usize) -> &str {
        self.pages[page]["engine"].as_str().unwrap_or_default()
    }
}

/// Converts a PDF to Markdown; `pdfium` is what `--pdfium` is given.
fn convert(pdf: &[u8], pdfium: &Path, args: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.pdf"), pdf).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ocr-host"))
        .args(["a.pdf", "-o", "out", "--model", "ppocr", "--pdfium"])
        .arg(pdfium)
        .args(args)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .env("OCR_HOST_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
        .env("OCR_HOST_MODELS", concat!(env!("CARGO_TARGET_TMPDIR"), "/models"))
        .env("XDG_CONFIG_HOME", folder.path())
        .env_remove("OCR_HOST_CONFIG")
        .env_remove("OCR_HOST_PDFIUM")
        .output()
        .unwrap();
    let out = folder.path().join("out");
    let report = std::fs::read(out.join("report.json")).unwrap_or_default();
    let report: Value = serde_json::from_slice(&report).unwrap_or_default();
    let document = report["documents"][0].clone();
    Ran {
        code: output.status.code().unwrap(),
        text: std::fs::read_to_string(out.join("a.md")).unwrap_or_default(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        pages: document["pages"].as_array().cloned().unwrap_or_default(),
        document,
    }
}

fn none() -> &'static Path {
    Path::new("none")
}

/// A white image of 60,000 x 60,000 px in 7,500 bytes: in CCITT's fourth group a row that is like the one above, and
/// white is above the first, takes one bit.
fn giant() -> Vec<u8> {
    let image = "/Type /XObject /Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceGray /BitsPerComponent 1 \
                 /Filter /CCITTFaxDecode /DecodeParms << /K -1 /Columns 60000 /Rows 60000 >>";
    let mut content = b"q 612 0 0 600 0 0 cm /X Do Q ".to_vec();
    // Some lines: one alone at the top would be taken for a running head, which Markdown leaves out.
    content.extend(page_of(&LINES));
    pdfs::pdf(
        &[
            &pdfs::line("The first page"),
            &content,
            &pdfs::line("The last page"),
        ],
        "/XObject << /X 4 0 R >>",
        &[(image, vec![0xff; 7_500])],
    )
}

#[test]
fn an_image_too_large_for_the_sandbox_is_drawn_by_pdfium() {
    let alone = convert(&giant(), none(), &[]);
    assert_eq!((alone.code, alone.pages.len()), (20, 3), "{}", alone.err);
    assert_eq!(alone.codes(1), ["image-too-large"]);
    let Some(library) = library() else { return };
    let ran = convert(&giant(), &library, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.text.contains("seventeen wooden boxes") && ran.text.contains("last page"),
        "{}",
        ran.text
    );
    assert_eq!(ran.codes(1), ["rendered-by"]);
    assert!(
        ran.codes(0).is_empty() && ran.codes(2).is_empty(),
        "nothing is said of the others"
    );
}

#[test]
fn a_page_on_which_the_sandbox_dies_is_drawn_by_pdfium() {
    // At 300 dpi drawing takes more calls of the host than allowed; having pdfium draw it takes few.
    let pdf = pdfs::lines(&["One line".into(), "Another line".into()]);
    let limits = ["--dpi", "300", "--plugin-limit", "host-calls=18"];
    let alone = convert(&pdf, none(), &limits);
    assert_eq!(alone.code, 22, "{}", alone.err);
    let Some(library) = library() else { return };
    let ran = convert(&pdf, &library, &limits);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.text.contains("One line") && ran.text.contains("Another line"),
        "{}",
        ran.text
    );
    assert_eq!(
        (ran.codes(0), ran.codes(1)),
        (vec!["rendered-by"], vec!["rendered-by"])
    );
    let message = ran.pages[0]["diagnostics"][0]["message"].as_str().unwrap();
    assert!(message.contains("host-calls"), "{message}");
}

#[test]
fn pdfium_draws_everything_where_it_is_asked_to() {
    let pdf = pdfs::pdf(&[&page_of(&LINES)], "", &[]);
    let option = ["--plugin-opt", "pdf-in.renderer=pdfium"];
    let alone = convert(&pdf, none(), &option);
    assert!(
        alone.code != 0 && alone.err.contains("models fetch pdfium"),
        "{}",
        alone.err
    );
    let Some(library) = library() else { return };
    let ran = convert(&pdf, &library, &option);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.text.contains("seventeen wooden boxes"), "{}", ran.text);
    assert!(ran.codes(0).is_empty(), "it is what was asked for");
}

#[test]
fn a_page_that_kills_pdfium_costs_itself_alone() {
    let Some(library) = library() else { return };
    let options = [
        "--plugin-opt",
        "pdf-in.renderer=pdfium",
        "--plugin-limit",
        "memory=64MiB",
    ];
    let ran = convert(&pdfs::bomb(), &library, &options);
    assert_eq!(ran.code, 20, "{} {}", ran.err, ran.document);
    assert!(
        ran.text.contains("before") && ran.text.contains("after"),
        "{}",
        ran.text
    );
    assert_eq!(ran.codes(1), ["not-drawn"]);
}

#[test]
fn a_library_that_is_missing_is_told_of() {
    let ran = convert(&pdfs::lines(&["x".into()]), Path::new("/no/such/folder"), &[]);
    assert!(
        ran.code == 3 && ran.err.contains("models fetch pdfium"),
        "{}: {}",
        ran.code,
        ran.err
    );
}

/// Lines of text, one below the other.
fn page_of(lines: &[&str]) -> Vec<u8> {
    let mut content = b"BT /F 14 Tf 72 720 Td 20 TL ".to_vec();
    for line in lines {
        content.extend(format!("({line}) Tj T* ").bytes());
    }
    content.extend(b"ET");
    content
}

const LINES: [&str; 5] = [
    "The committee met on the third of May to hear",
    "what had become of the seventeen wooden boxes that",
    "were left in the harbour office the year before, and",
    "nobody could say where the keys had been kept or by",
    "whom the letters in them had ever been answered.",
];

#[test]
fn text_that_a_page_carries_is_taken_where_it_is_true() {
    let pdf = pdfs::pdf(&[&page_of(&LINES)], "", &[]);
    let read = convert(&pdf, none(), &[]);
    assert_eq!((read.code, read.engine(0)), (0, "ppocr/tiny"), "{}", read.err);
    for mode in ["auto", "prefer"] {
        let taken = convert(&pdf, none(), &["--text-layer", mode]);
        assert_eq!(
            (taken.code, taken.engine(0)),
            (0, "text-layer+ppocr/tiny"),
            "{mode}: {}",
            taken.err
        );
        let text: String = taken.text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("seventeen wooden boxes that were left"), "{text}");
    }
}

#[test]
fn text_that_says_something_else_than_is_seen_is_not_taken() {
    // A font whose letters are said to mean their neighbours: a means b, b means c.
    let letters: String = (0x20..0x7e)
        .map(|c| format!("<{c:02x}> <{:04x}>\n", c + 1))
        .collect();
    let map =
        format!("1 begincodespacerange\n<00> <ff>\nendcodespacerange\n94 beginbfchar\n{letters}endbfchar\n");
    let map = format!("/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n{map}endcmap end end");
    let font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /ToUnicode 4 0 R >> >>";
    let pdf = pdfs::pdf(&[&page_of(&LINES)], font, &[("", map.into_bytes())]);
    let ran = convert(&pdf, none(), &["--text-layer", "auto"]);
    assert_eq!((ran.code, ran.engine(0)), (0, "ppocr/tiny"), "{}", ran.err);
    assert!(ran.text.contains("wooden boxes"), "{}", ran.text);
    assert_eq!(ran.codes(0), ["text-layer-disagrees"]);
}

#[test]
fn text_that_can_not_be_seen_is_not_taken() {
    let mut content = page_of(&LINES);
    // White, between the lines, below them, and so small that nobody sees it; and a line that is never painted.
    content.extend(
        b" 1 g BT /F 14 Tf 72 300 Td (white on white) Tj ET 0 g BT /F 0.5 Tf 72 200 Td (tiny letters) Tj ET",
    );
    content.extend(b" BT 3 Tr /F 14 Tf 72 250 Td (never painted) Tj ET");
    let pdf = pdfs::pdf(&[&content], "", &[]);
    for mode in ["auto", "prefer"] {
        let ran = convert(&pdf, none(), &["--text-layer", mode]);
        assert_eq!(
            (ran.code, ran.engine(0)),
            (0, "text-layer+ppocr/tiny"),
            "{}",
            ran.err
        );
        for hidden in ["white", "tiny", "painted"] {
            assert!(!ran.text.contains(hidden), "{mode}: {hidden}: {}", ran.text);
        }
        assert!(ran.codes(0).contains(&"text-layer-unseen"), "{:?}", ran.codes(0));
    }
}
