//! `ocr-host doctor`: what this program can run on this machine, and what it lacks with the command that mends it.
//!
//! Everything is looked at, nothing is guessed: the embedded engine is loaded, weights are looked for where a run
//! would look, the folder of compiled code is tried. `findings` gathers, `print` shows.

use crate::args::{CacheArgs, Cli};
use crate::commands::{machine, models};
use crate::config;
use crate::exit::{Exit, Failed, OrExit};
use crate::pdf;
use crate::plugins::{BUILT_IN, code_folder};
use clap::CommandFactory;
use ocr_model_ppocr::{Options, Ppocr, Weights};
use ocr_weights::{DEEPSEEK_OCR, State};
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How a build that runs on a GPU is made.
const CUDA_BUILD: &str = "cargo build --release --features cuda";

pub fn run(json: bool, config: Option<&Path>) -> Result<Exit, Failed> {
    let found = findings(config);
    match json {
        true => println!("{}", serde_json::to_string_pretty(&found).or_exit(Exit::Other)?),
        false => print(&found),
    }
    let runs = found.engines.iter().any(|engine| engine.missing.is_none());
    Ok(if runs { Exit::Ok } else { Exit::MissingDependency })
}

/// All there is to say.
#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    processor: machine::Processor,
    cuda: machine::Cuda,
    engines: Vec<Engine>,
    plugins: Vec<BuiltInPlugin>,
    pdf_renderer: PdfRenderer,
    code_cache: CodeCache,
    config: Configuration,
    /// What is missing or wrong, and what mends it.
    advice: Vec<String>,
}

/// An engine that reads pages.
#[derive(Debug, Serialize)]
struct Engine {
    name: &'static str,
    /// Where its weights are; `None`: inside the program, or nowhere.
    weights: Option<PathBuf>,
    size_bytes: Option<u64>,
    /// Why it can't run.
    missing: Option<String>,
}

#[derive(Debug, Serialize)]
struct BuiltInPlugin {
    name: String,
    version: String,
    world: &'static str,
}

/// pdfium, for pages that can't be drawn inside the sandbox.
#[derive(Debug, Serialize)]
struct PdfRenderer {
    library: Option<PathBuf>,
    /// Whether its process's system calls are filtered.
    is_filtered: Option<bool>,
    /// Why it can't be used.
    error: Option<String>,
}

/// The folder of compiled plugins.
#[derive(Debug, Serialize)]
struct CodeCache {
    folder: Option<PathBuf>,
    is_usable: bool,
}

/// The file that completes the command line.
#[derive(Debug, Serialize)]
struct Configuration {
    file: Option<PathBuf>,
    /// What is wrong with it.
    error: Option<String>,
}

fn findings(config: Option<&Path>) -> Findings {
    let (config, weights, pdfium) = configuration(config);
    let engines = vec![embedded(weights), deepseek()];
    let mut found = Findings {
        version: env!("CARGO_PKG_VERSION"),
        processor: machine::processor(),
        cuda: machine::cuda(),
        engines,
        plugins: plugins(),
        pdf_renderer: pdf_renderer(pdfium.as_deref()),
        code_cache: code_cache(),
        config,
        advice: Vec::new(),
    };
    found.advice = advice(&found);
    found
}

/// The configuration file, and the folder of the embedded engine's models and the libpdfium that it names.
fn configuration(named: Option<&Path>) -> (Configuration, Option<PathBuf>, Option<PathBuf>) {
    let file = config::find(named);
    // As a run would read it; quiet, because this command says itself where settings come from.
    let line = ["ocr-host", "-", "--quiet"].map(OsString::from).into_iter();
    let flag = file
        .iter()
        .flat_map(|path| ["--config".into(), path.clone().into_os_string()]);
    let (error, models, pdfium) = match Cli::command().try_get_matches_from(line.chain(flag)) {
        Err(error) => (Some(error.to_string()), None, None),
        Ok(given) => match config::complete(&given) {
            Err(failed) => (Some(format!("{:#}", failed.error)), None, None),
            Ok(settled) => (None, settled.args.models, settled.args.pdfium),
        },
    };
    (Configuration { file, error }, models, pdfium)
}

fn pdf_renderer(named: Option<&Path>) -> PdfRenderer {
    let (library, error) = match pdf::library(named) {
        Ok(library) => (library, None),
        Err(failed) => (None, Some(format!("{:#}", failed.error))),
    };
    let probed = library.clone().map(pdf::probe).transpose();
    PdfRenderer {
        is_filtered: probed.as_ref().ok().copied().flatten(),
        error: error.or(probed.err()),
        library,
    }
}

fn embedded(folder: Option<PathBuf>) -> Engine {
    let weights = folder.clone().map_or(Weights::Embedded, Weights::Folder);
    let loaded = Ppocr::new(Options {
        weights,
        threads: 1,
        ..Options::default()
    });
    Engine {
        name: "ppocr",
        weights: folder,
        size_bytes: None,
        missing: loaded.err().map(|error| error.to_string()),
    }
}

fn deepseek() -> Engine {
    let state = models::deepseek(CacheArgs { cache_dir: None });
    let (weights, size_bytes) = match &state {
        State::Complete(found) | State::Incomplete { found, .. } => {
            (Some(found.folder.clone()), Some(found.size_bytes))
        }
        State::Absent { .. } => (None, None),
    };
    Engine {
        name: DEEPSEEK_OCR.name,
        weights,
        size_bytes,
        missing: state.complete(&DEEPSEEK_OCR).err().map(|error| error.to_string()),
    }
}

fn plugins() -> Vec<BuiltInPlugin> {
    let manifests = BUILT_IN.iter().map(|built_in| built_in.manifest());
    manifests
        .map(|m| BuiltInPlugin {
            name: m.id,
            version: m.version,
            world: m.world.name(),
        })
        .collect()
}

fn code_cache() -> CodeCache {
    let folder = code_folder();
    let is_usable = folder.as_deref().is_some_and(ocr_runtime::keeps_code);
    CodeCache { folder, is_usable }
}

/// What to do, the most useful first.
fn advice(found: &Findings) -> Vec<String> {
    let mut advice: Vec<String> = found.engines.iter().filter_map(|e| e.missing.clone()).collect();
    let cuda = &found.cuda;
    match (cuda.is_built, cuda.driver.is_some()) {
        (false, true) => advice.push(format!(
            "there is an NVIDIA driver, and this build has no CUDA; `{CUDA_BUILD}` makes one that has"
        )),
        (true, false) => advice.push(
            "this build has CUDA, and there is no NVIDIA driver; install it, or give a container the GPU \
             (`docker run --gpus all`)"
                .into(),
        ),
        (true, true) if cuda.library.is_none() => advice.push(
            "the driver's libcuda.so.1 is in none of the usual folders; install the driver's libraries, or name \
             their folder in LD_LIBRARY_PATH"
                .into(),
        ),
        _ => (),
    }
    if !found.code_cache.is_usable {
        let folder = found.code_cache.folder.as_ref();
        advice.push(match folder {
            Some(folder) => format!(
                "plugins are compiled at every start: {} is not a folder that this user alone can write to; \
                 `chmod 700` it, or set OCR_HOST_CACHE",
                folder.display()
            ),
            None => "plugins are compiled at every start: there is no home folder; set OCR_HOST_CACHE".into(),
        });
    }
    advice.extend(found.pdf_renderer.error.clone());
    advice.extend(found.config.error.clone());
    advice
}

fn print(found: &Findings) {
    let line = |label: &str, text: &str| println!("{label:<13} {text}");
    let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
    line("ocr-host", found.version);
    line("processor", &found.processor.to_string());
    let cuda = &found.cuda;
    line(
        "cuda",
        if cuda.is_built {
            "in this build"
        } else {
            "not in this build"
        },
    );
    let library = path(&cuda.library).map_or("no libcuda.so.1 found".into(), |p| p);
    match &cuda.driver {
        Some(driver) => line("driver", &format!("NVIDIA {driver}, {library}")),
        None => line("driver", "no NVIDIA driver"),
    }
    for gpu in &cuda.devices {
        line("gpu", &gpu.to_string());
    }
    for engine in &found.engines {
        let place = path(&engine.weights).unwrap_or_else(|| "inside the program".into());
        let size = engine.size_bytes.map(|b| format!(", {:.1} MB", b as f64 / 1e6));
        let state = match &engine.missing {
            Some(_) => "can't run".to_owned(),
            None => format!("ready: weights {place}{}", size.unwrap_or_default()),
        };
        line(engine.name, &state);
    }
    let plugins = found.plugins.iter().map(|p| format!("{} {}", p.name, p.version));
    line("plugins", &plugins.collect::<Vec<_>>().join(", "));
    let pdf = &found.pdf_renderer;
    let state = match (&pdf.error, &pdf.library, pdf.is_filtered) {
        (Some(_), ..) => "can't be used".to_owned(),
        (None, None, _) => "none; `ocr-host models fetch pdfium` gets it".to_owned(),
        (None, Some(library), Some(true)) => library.display().to_string(),
        (None, Some(library), _) => format!(
            "{} (its process's system calls are not filtered on this system)",
            library.display()
        ),
    };
    line("pdfium", &state);
    let cache = path(&found.code_cache.folder).unwrap_or_else(|| "none".into());
    let usable = if found.code_cache.is_usable {
        ""
    } else {
        " (can't be used)"
    };
    line("code cache", &format!("{cache}{usable}"));
    line(
        "config",
        &path(&found.config.file).unwrap_or_else(|| "none".into()),
    );
    for advice in &found.advice {
        line("to do", advice);
    }
}
