//! What becomes of a page whose text runs in circles: other modes, another engine, and never nothing.
//!
//! A head of zeros makes every token the first one, for ever.

use ocr_document::{Outcome, Page, PageBuilder, PageImage, PixelFormat, Recovery, Rect, SpanKind};
use ocr_engine::{Control, PageJob, RecognizeError, Recognizer};
use ocr_model_deepseek::{DeepseekOcr, Mode, Options, Place, TextSink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WEIGHTS: &str = "model-00001-of-000001.safetensors";

/// Puts zeros in the place of `lm_head.weight`.
fn silence(folder: &Path) {
    let path = folder.join(WEIGHTS);
    let mut bytes = std::fs::read(&path).unwrap();
    let head = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + head]).unwrap();
    let place = |n: usize| header["lm_head.weight"]["data_offsets"][n].as_u64().unwrap() as usize;
    bytes[8 + head + place(0)..8 + head + place(1)].fill(0);
    std::fs::write(path, bytes).unwrap();
}

/// A checkpoint in a folder of its own.
fn tiny_walk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ocr_synthetic::write(folder.path(), ocr_synthetic::Kind::TinyWalk, 1).unwrap();
    folder
}

fn job() -> PageJob {
    let (width, height) = (300, 200);
    PageJob {
        index: 0,
        number: 7,
        image: PageImage::new(
            width,
            height,
            PixelFormat::Rgb8,
            ocr_synthetic::page(width as usize, height as usize, 1),
        )
        .unwrap(),
        dpi: 72.0,
        size_points: (300.0, 200.0),
        text_layer: None,
        trust: Default::default(),
        diagnostics: Vec::new(),
        time_limit: Duration::from_secs(600),
        tenant: Default::default(),
    }
}

/// Another engine, which reads or fails.
struct Other(bool);

impl Recognizer for Other {
    fn name(&self) -> String {
        "other".into()
    }

    fn recognize(&self, job: &PageJob, _: &Control) -> Result<Page, RecognizeError> {
        if !self.0 {
            return Err(RecognizeError::Model("it can't".into()));
        }
        let mut page = PageBuilder::new(job.info());
        page.push_span(
            SpanKind::Paragraph,
            "text",
            0,
            Rect::default(),
            None,
            "read after all",
        );
        Ok(page.finish())
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<(u32, Option<String>)>>);

impl TextSink for Heard {
    fn text(&self, number: u32, piece: &str) {
        self.0.lock().unwrap().push((number, Some(piece.to_owned())));
    }

    fn end(&self, number: u32) {
        self.0.lock().unwrap().push((number, None));
    }
}

fn options(folder: &Path) -> Options {
    let mut options = Options::new(folder, Place::Cpu);
    options.mode = Mode::Tiny;
    options.retry = vec![Mode::Tiny, Mode::Small];
    // The guard would ban the circle.
    options.ngram.size = 0;
    options.max_new_tokens = 1500;
    options
}

#[test]
fn circles_are_retried_then_read_by_another_engine_then_kept() {
    let folder = tiny_walk();
    silence(folder.path());
    let read = |fallback: Option<Other>| {
        let heard = Arc::new(Heard::default());
        let options = Options {
            fallback: fallback.map(|other| Arc::new(other) as Arc<dyn Recognizer>),
            sink: Some(heard.clone()),
            ..options(folder.path())
        };
        let page = DeepseekOcr::load(options)
            .unwrap()
            .recognize(&job(), &Control::new(job().time_limit));
        (page.unwrap(), heard)
    };
    let (page, heard) = read(Some(Other(true)));
    assert_eq!(
        (page.info().recovery, page.info().outcome),
        (Recovery::Fallback, Outcome::Complete)
    );
    assert!(page.markdown().contains("read after all"));
    let said = &page.info().diagnostics[0];
    assert_eq!((said.code.as_str(), said.page), ("repetition", Some(7)));
    assert!(
        said.message.contains("in mode tiny") && said.message.contains("in mode small"),
        "{}",
        said.message
    );
    let ends = heard
        .0
        .lock()
        .unwrap()
        .iter()
        .filter(|(number, piece)| *number == 7 && piece.is_none())
        .count();
    assert_eq!(ends, 2, "each mode is tried once");

    for fallback in [None, Some(Other(false))] {
        let (page, _) = read(fallback);
        assert_eq!(
            (page.info().recovery, page.info().outcome),
            (Recovery::None, Outcome::Repetition)
        );
        assert!(!page.raw().is_empty(), "the first round is kept");
        assert!(
            page.raw().len() < 2000,
            "and the rest is not: {}",
            page.raw().len()
        );
        assert!(page.tokens().unwrap() > 500, "both attempts count");
    }
}

#[test]
fn a_text_without_end_is_cut_and_says_so() {
    let folder = tiny_walk();
    let options = Options {
        max_new_tokens: 30,
        ..options(folder.path())
    };
    let page = DeepseekOcr::load(options)
        .unwrap()
        .recognize(&job(), &Control::new(job().time_limit))
        .unwrap();
    assert_eq!(
        (page.info().outcome, page.info().recovery),
        (Outcome::Truncated, Recovery::None)
    );
    assert_eq!(page.info().diagnostics[0].code, "output-truncated");
    assert_eq!(page.tokens(), Some(30));
    assert_eq!(page.info().engine, "deepseek-ocr/tiny");
}

#[test]
fn a_page_that_nobody_wants_ends_while_it_is_written() {
    let folder = tiny_walk();
    let model = DeepseekOcr::load(options(folder.path())).unwrap();
    // The time is over before the first token: there is nothing to keep.
    let error = model
        .recognize(&job(), &Control::new(Duration::ZERO))
        .unwrap_err();
    assert!(matches!(error, RecognizeError::Deadline(_)), "{error}");
}
