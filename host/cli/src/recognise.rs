//! Reads a document for the author's loop: through the program's own adapters and engine, into a recording.
//!
//! Recognising takes seconds, and an author runs a plugin over the same pages a hundred times, so recordings are kept in the
//! user's cache folder, by the digest of what was read and of how. They hold what is on the pages, so the folder is the
//! user's alone.

use crate::args::{Cli, ConvertArgs, ReadArgs};
use crate::commands::convert::exit_code;
use crate::exit::{Exit, Failed, OrExit};
use crate::model::{self, Machine};
use crate::plugins::{self, BUILT_IN};
use crate::recording::Recording;
use clap::Parser;
use ocr_document::{Page, PageImage, RecordedPage};
use ocr_engine::Tenant;
use ocr_pipeline::{
    AdapterPlan, Destination, DocumentStatus, Failure, NoEvents, NoGate, PageBudget, PageSink, Plan,
    SinkPlan, TextLayerMode, convert,
};
use ocr_runtime::{CancelFlag, Context, DocInfo, Grants, Runtime, Source, TreeOutput, World, keeps_code};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Bytes hashed at a time.
const HASH_BYTES: usize = 1 << 20;

/// The pages of `input`: of a recording, or of a document, read now or before. `rasters` says whether pictures are wanted.
pub fn pages_of(
    runtime: &Runtime,
    input: &Path,
    read: &ReadArgs,
    rasters: bool,
) -> Result<Recording, Failed> {
    if input.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
        let mut recording = Recording::read(input)?;
        if let Some(wanted) = &read.pages {
            recording.pages.retain(|(page, _)| wanted.contains(page.number));
            recording.document.selected = Some(recording.pages.len() as u32);
        }
        return Ok(recording);
    }
    let source = open(input)?;
    let place = place(&source, read)?;
    if let Some(kept) = place.as_deref().and_then(|place| kept(place, rasters)) {
        return Ok(kept);
    }
    eprintln!(
        "note: {} is read once; its pages are kept for the next time",
        input.display()
    );
    let recording = read_document(runtime, input, &source, read, true)?;
    if let Some(place) = place {
        // A cache that can't be written to costs time and nothing else.
        let _ = keep(&recording, &place);
    }
    Ok(recording)
}

/// Reads a document. Pages that could not be read are recorded as well, empty.
pub fn recognised(
    runtime: &Runtime,
    input: &Path,
    read: &ReadArgs,
    rasters: bool,
) -> Result<Recording, Failed> {
    read_document(runtime, input, &open(input)?, read, rasters)
}

fn open(input: &Path) -> Result<Source, Failed> {
    let opened = Source::open(input);
    opened.map_err(|e| Failed::new(Exit::Input, format!("{}: {e}", input.display())))
}

fn read_document(
    runtime: &Runtime,
    input: &Path,
    source: &Source,
    read: &ReadArgs,
    rasters: bool,
) -> Result<Recording, Failed> {
    let args = convert_args(read);
    let chosen = model::choose(&args.recognition, &Machine::here())?;
    for said in chosen.note.iter().chain(&chosen.warning) {
        eprintln!("note: {said}");
    }
    let engine = model::start(&args, &chosen.choice, None)?;
    let context = Context {
        grants: Grants::ALL,
        ..Context::default()
    };
    let adapter = |built_in: &plugins::BuiltIn| -> Result<AdapterPlan, Failed> {
        let plugin = built_in.load(runtime)?;
        let config = plugin.manifest().default_config();
        Ok(AdapterPlan {
            plugin,
            config,
            context: context.clone(),
        })
    };
    let adapters = BUILT_IN
        .iter()
        .filter(|b| b.manifest().world == World::InputAdapter);
    let recorder = Arc::new(Recorder {
        rasters,
        taken: Arc::default(),
    });
    let plan = Plan {
        adapters: adapters.map(adapter).collect::<Result<_, _>>()?,
        processors: Vec::new(),
        formatters: Vec::new(),
        sinks: vec![recorder.clone()],
        engine: engine.handle(),
        pages: args.pages.clone().unwrap_or_default(),
        dpi: args.dpi.unwrap_or(chosen.choice.dpi()) as f32,
        password: args.pdf_password.clone(),
        tenant: Tenant::default(),
        gate: Arc::new(NoGate),
        text_layer: TextLayerMode::Ignore,
        page_timeout: chosen.choice.page_timeout(),
        budget: PageBudget::new(engine.handle().pages_at_a_time()),
        cancel: CancelFlag::default(),
        events: Arc::new(NoEvents),
    };
    // Sinks want a folder; this one leaves it empty.
    let empty = tempfile::tempdir().or_exit(Exit::FileAccess)?;
    let destination = Destination::Folder {
        folder: empty.path().to_owned(),
        name: "recorded".to_owned(),
    };
    let report = convert(&plan, &input.display().to_string(), source, destination);
    for failure in &report.errors {
        eprintln!("error: {}: {}", report.input, failure.message);
    }
    for page in &report.pages {
        for said in &page.diagnostics {
            eprintln!("note: {}: page {}: {}", report.input, page.number, said.message);
        }
    }
    if report.status == DocumentStatus::Failure {
        let why = format!(
            "{}: it could not be read, so there is nothing to record",
            report.input
        );
        let exit = exit_code(std::slice::from_ref(&report), &plan.cancel);
        return Err(Failed::new(exit, why));
    }
    drop(plan);
    let taken = std::mem::take(&mut *recorder.taken.lock().expect("no thread panics while it records"));
    Ok(taken)
}

/// What the engine is started from.
fn convert_args(read: &ReadArgs) -> ConvertArgs {
    let usual = Cli::parse_from(["ocr-host"]).convert;
    ConvertArgs {
        pages: read.pages.clone(),
        dpi: read.dpi,
        pdf_password: read.pdf_password.clone(),
        models: read.models.clone(),
        recognition: read.recognition.clone(),
        ..usual
    }
}

/// Takes down what is read.
struct Recorder {
    rasters: bool,
    taken: Arc<Mutex<Recording>>,
}

impl SinkPlan for Recorder {
    fn id(&self) -> &str {
        "recorder"
    }

    fn open(&self, document: &DocInfo, _: &str, _: TreeOutput) -> Result<Box<dyn PageSink>, Failure> {
        self.taken
            .lock()
            .expect("no thread panics while it records")
            .document = document.clone();
        Ok(Box::new(Recorder {
            rasters: self.rasters,
            taken: self.taken.clone(),
        }))
    }
}

impl PageSink for Recorder {
    fn page(&mut self, page: &Page) -> Result<(), Failure> {
        let raster: Option<PageImage> = page.raster().filter(|_| self.rasters).cloned();
        let mut taken = self.taken.lock().expect("no thread panics while it records");
        taken.pages.push((RecordedPage::of(page), raster));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Where the recording of a document is kept; `None` where nothing can be.
fn place(source: &Source, read: &ReadArgs) -> Result<Option<PathBuf>, Failed> {
    let Some(folder) = plugins::cache_folder().map(|cache| cache.join("pages")) else {
        return Ok(None);
    };
    if !keeps_code(&folder) {
        return Ok(None);
    }
    let mut hasher = Sha256::new();
    let mut at = 0;
    while at < source.len() {
        let chunk = source.read_at(at, HASH_BYTES).or_exit(Exit::Input)?;
        if chunk.is_empty() {
            break;
        }
        at += chunk.len() as u64;
        hasher.update(&chunk);
    }
    // How it is read, by whom, and what it is called.
    let how = format!("{read:?} {} {}", source.name(), env!("CARGO_PKG_VERSION"));
    hasher.update(how);
    let key: String = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Some(folder.join(key)))
}

/// The recording that is kept at a place. One that lacks wanted pictures, or can't be read, is made anew.
fn kept(place: &Path, rasters: bool) -> Option<Recording> {
    let recording = Recording::read(&place.join("pages.json")).ok()?;
    let complete = !rasters || recording.pages.iter().any(|(_, raster)| raster.is_some());
    complete.then_some(recording)
}

/// Writes a recording beside its place and moves it there.
fn keep(recording: &Recording, place: &Path) -> Result<(), Failed> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let making = tempfile::tempdir_in(folder).or_exit(Exit::FileAccess)?;
    recording.write(&making.path().join("pages.json"))?;
    if place.exists() {
        std::fs::remove_dir_all(place).or_exit(Exit::FileAccess)?;
    }
    std::fs::rename(making.keep(), place).or_exit(Exit::FileAccess)
}
