//! The whole engine on a page of our own making: `page.png` holds a title, a paragraph, a numbered list and a table.
#![cfg(feature = "embedded-models")]

use ocr_document::{Outcome, Page, PageImage, PixelFormat, Rect, SpanKind};
use ocr_engine::{Control, PageJob, RecognizeError, Recognizer};
use ocr_model_ppocr::{Options, Ppocr};
use std::io::Read;
use std::sync::LazyLock;
use std::time::Duration;

static ENGINE: LazyLock<Ppocr> = LazyLock::new(|| {
    Ppocr::new(Options {
        threads: 2,
        ..Options::default()
    })
    .unwrap()
});

const MARKDOWN: &str = "# Harbour report

The lighthouse keeper counted every ship that passed the northern rocks, and wrote their names in a book which \
nobody but the harbour master ever read.

1. Check the lamp oil
2. Wind the great clock

| Ship | Flag | Tons |
| --- | --- | --- |
| Aurora | Norway | 1250 |
| Meridian | Chile | 980 |
| Petrel | Japan | 2110 |
";

fn sample() -> PageImage {
    let png = image::load_from_memory(include_bytes!("page.png"))
        .unwrap()
        .to_luma8();
    PageImage::new(png.width(), png.height(), PixelFormat::Gray8, png.into_raw()).unwrap()
}

fn job(image: PageImage) -> PageJob {
    PageJob {
        index: 0,
        number: 1,
        dpi: 72.0,
        size_points: (image.width() as f32, image.height() as f32),
        image,
        text_layer: None,
        trust: Default::default(),
        diagnostics: Vec::new(),
        time_limit: Duration::from_secs(60),
        tenant: Default::default(),
    }
}

fn read(image: PageImage) -> Page {
    let job = job(image);
    ENGINE.recognize(&job, &Control::new(job.time_limit)).unwrap()
}

#[test]
fn a_page_is_read_in_all_four_orientations() {
    for quarters in 0..4 {
        let page = read(sample().rotate(quarters));
        assert_eq!(page.markdown(), MARKDOWN, "turned by {quarters} quarters");
        let raster = page.raster().unwrap();
        assert!(raster.pixels() == sample().pixels(), "the raster is upright");
        assert_eq!(
            (page.info().width, page.info().height),
            (raster.width(), raster.height())
        );
    }
}

#[test]
fn words_lie_on_their_ink_and_in_their_lines() {
    let page = read(sample());
    let image = sample();
    let is_dark = |r: Rect| {
        (r.y0..r.y1)
            .flat_map(|y| &image.row(y)[r.x0 as usize..r.x1 as usize])
            .any(|&v| v < 90)
    };
    let texts: Vec<&str> = page.words().iter().map(|w| page.text_of(w.text)).collect();
    assert!(
        texts.contains(&"lighthouse") && texts.contains(&"Meridian"),
        "{texts:?}"
    );
    for word in page.words() {
        let area = word.outline.bounds(page.info().width, page.info().height);
        assert!(
            is_dark(area),
            "{:?} at {area:?} lies on paper",
            page.text_of(word.text)
        );
        let line = page.lines()[word.line as usize]
            .outline
            .bounds(page.info().width, page.info().height);
        assert_eq!(area.intersect(&line), area, "a word lies inside its line");
    }
    // Drawn from x = 60 with 28 px letters: the second word starts about four letters on.
    let word = page
        .words()
        .iter()
        .find(|w| page.text_of(w.text) == "lighthouse")
        .unwrap();
    assert!((100.0..125.0).contains(&word.outline.a.x), "{:?}", word.outline);
}

#[test]
fn tables_have_cells_with_places() {
    let page = read(sample());
    let table = page
        .spans()
        .iter()
        .position(|s| s.kind == SpanKind::Table)
        .unwrap();
    let cells: Vec<(u32, u32, &str)> = page
        .cells()
        .iter()
        .filter(|c| c.table as usize == table)
        .map(|c| (c.row, c.column, page.text_of(c.text)))
        .collect();
    assert_eq!(cells.len(), 12);
    assert!(
        cells.contains(&(0, 2, "Tons")) && cells.contains(&(3, 1, "Japan")),
        "{cells:?}"
    );
    assert!(
        page.text_of(page.spans()[table].markup)
            .starts_with("<table><tr>")
    );
}

#[test]
fn areas_of_a_turned_page_map_back_to_its_source() {
    let turned = sample().rotate(1);
    let (width, height) = (f64::from(turned.width()), f64::from(turned.height()));
    let page = read(turned);
    // The upright page's top left corner lies at the top right of the page that was turned clockwise.
    let (x, y) = page.info().to_source.apply(0.0, 0.0);
    assert!((x - width).abs() < 1e-6 && (y - height).abs() < 1e-6, "{x} {y}");
}

#[test]
fn odd_images_are_pages_without_text() {
    let blank = |width: u32, height: u32, value: u8| {
        PageImage::new(
            width,
            height,
            PixelFormat::Gray8,
            vec![value; (width * height) as usize],
        )
        .unwrap()
    };
    for image in [
        blank(1, 1, 0),
        blank(1, 20_000, 255),
        blank(20_000, 1, 7),
        blank(640, 480, 0),
        blank(640, 480, 255),
    ] {
        let (width, height) = (image.width(), image.height());
        let page = read(image);
        assert_eq!(page.info().outcome, Outcome::Complete, "{width} x {height}");
        assert!(page.text().is_empty(), "{width} x {height}: {:?}", page.text());
    }
}

#[test]
fn noise_ends_in_a_page() {
    let mut state = 7u32;
    let noise = (0..700 * 700 * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let page = read(PageImage::new(700, 700, PixelFormat::Rgb8, noise.collect()).unwrap());
    assert_eq!(page.info().outcome, Outcome::Complete);
}

#[test]
fn an_overdue_page_says_so() {
    let control = Control::new(Duration::ZERO);
    let error = ENGINE.recognize(&job(sample()), &control).unwrap_err();
    assert!(matches!(error, RecognizeError::Deadline(_)), "{error}");
}

/// The embedded recogniser as a rescue recogniser whose every letter is a capital: what it has read again is seen.
fn shouting_recognizer() -> std::path::PathBuf {
    let mut planes = Vec::new();
    let packed = &include_bytes!("../weights/rec.onnx.planes.gz")[..];
    flate2::read::GzDecoder::new(packed)
        .read_to_end(&mut planes)
        .unwrap();
    let plane = |first: usize| (planes.len() - first).div_ceil(4);
    let starts: Vec<usize> = (0..4).map(|first| (0..first).map(plane).sum()).collect();
    let mut model: Vec<u8> = (0..planes.len())
        .map(|at| planes[starts[at % 4] + at / 4])
        .collect();
    let capitals = include_str!("../weights/rec-dict.txt").to_uppercase();
    // ONNX `ModelProto`, field 14: a `StringStringEntryProto` of key (1) and value (2).
    let field = |number: u8, bytes: &[u8]| {
        let mut out = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length > 127 {
            out.push(length as u8 | 128);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(bytes);
        out
    };
    model.extend(field(
        14,
        &[field(1, b"character"), field(2, capitals.as_bytes())].concat(),
    ));
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("shouting.onnx");
    std::fs::write(&path, model).unwrap();
    path
}

#[test]
fn uncertain_lines_are_read_again_by_the_rescue_recogniser() {
    let rescue = shouting_recognizer();
    let read_below = |rescue_below| {
        let engine = Ppocr::new(Options {
            threads: 2,
            rescue: Some(rescue.clone()),
            rescue_below,
            ..Options::default()
        });
        let (engine, job) = (engine.unwrap(), job(sample()));
        engine.recognize(&job, &Control::new(job.time_limit)).unwrap()
    };
    let certain = read_below(0.0);
    assert_eq!(certain.markdown(), MARKDOWN, "no line was uncertain");
    assert_eq!(certain.info().engine, "ppocr/tiny+small");
    let uncertain = read_below(1.1);
    assert_eq!(uncertain.markdown(), MARKDOWN.to_uppercase());
}
