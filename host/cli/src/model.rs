//! From flags and what this machine has to the engine that reads the pages.
//!
//! [`choose`] decides and can be tested without a GPU; [`start`] loads.

use crate::args::{CacheArgs, ConvertArgs, Rescue};
use crate::commands::models;
use crate::exit::{Exit, Failed};
use crate::recognition::{Device, Fallback, ModelChoice, RecognitionArgs};
use ocr_engine::{Engine, Recognizer};
use ocr_model_deepseek::{DeepseekOcr, NgramRule, Options, Place, TextSink};
use ocr_model_ppocr::{Options as PpocrOptions, Ppocr, Weights};
use ocr_weights::{DEEPSEEK_OCR, look_in};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a build that runs on a GPU is made.
const CUDA_BUILD: &str = "this build has no CUDA; make one with `cargo build --release --features cuda` (host/README.md has the steps)";

/// Pages that the embedded engine reads at a time; they share its threads. Two keep the cores busy where one page is
/// in a stage that does not spread.
const PPOCR_PAGES: usize = 2;

/// What reads the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The embedded engine.
    Ppocr,
    /// DeepSeek-OCR.
    Deepseek { folder: PathBuf, place: Place },
}

/// A choice, and what there is to say of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen {
    pub choice: Choice,
    /// Which engine and why, where the user left it open.
    pub note: Option<String>,
    /// What was asked for and does not come.
    pub warning: Option<String>,
}

/// What there is on this machine.
pub struct Machine<'a> {
    /// Whether this program was built for CUDA.
    pub has_cuda: bool,
    /// How many CUDA devices there are.
    pub devices: &'a dyn Fn() -> usize,
    /// Where DeepSeek-OCR's weights are, or why not.
    pub weights: &'a dyn Fn() -> Result<PathBuf, String>,
}

impl Machine<'static> {
    /// The one that this runs on.
    pub fn here() -> Self {
        Self {
            has_cuda: cfg!(feature = "cuda"),
            devices: &|| ocr_kernels::devices().len(),
            weights: &|| {
                let state = models::deepseek(CacheArgs { cache_dir: None }).complete(&DEEPSEEK_OCR);
                state.map(|found| found.folder).map_err(|e| e.to_string())
            },
        }
    }
}

impl Choice {
    /// Resolution at which PDF pages are drawn, dots per inch. DeepSeek's scripts draw at 144. The embedded engine's
    /// detector sees at most 1280 px a side, so more helps small print alone; 150 was the best compromise measured in
    /// host/conformance.
    pub fn dpi(&self) -> u32 {
        match self {
            Choice::Ppocr => 150,
            Choice::Deepseek { .. } => 144,
        }
    }

    /// Time one page may take. DeepSeek-OCR may have 8,192 tokens to write in each of three modes.
    pub fn page_timeout(&self) -> Duration {
        Duration::from_secs(match self {
            Choice::Ppocr => 60,
            Choice::Deepseek {
                place: Place::Cuda(_),
                ..
            } => 5 * 60,
            Choice::Deepseek {
                place: Place::Cpu, ..
            } => 2 * 60 * 60,
        })
    }

    /// Whether the model writes text that can be heard.
    pub fn writes(&self) -> bool {
        matches!(self, Choice::Deepseek { .. })
    }
}

/// Decides what reads the pages.
pub fn choose(args: &RecognitionArgs, machine: &Machine) -> Result<Chosen, Failed> {
    let model = args.model.clone().unwrap_or_default();
    let device = args.device.unwrap_or_default();
    let deepseek = |folder: PathBuf| -> Result<Chosen, Failed> {
        let place = place(device, machine)?;
        let note = (model == ModelChoice::Auto || device == Device::Auto).then(|| {
            let on = match place {
                Place::Cpu => "the CPU, which takes minutes a page".to_owned(),
                Place::Cuda(n) => format!("cuda:{n}"),
            };
            format!("pages are read by DeepSeek-OCR of {} on {on}", folder.display())
        });
        Ok(Chosen {
            choice: Choice::Deepseek { folder, place },
            note,
            warning: None,
        })
    };
    let missing = |why: String| Failed::new(Exit::MissingDependency, why);
    // A device that there is not comes before weights that there are not: these would be fetched for nothing.
    if model != ModelChoice::Ppocr && matches!(device, Device::Cuda(_)) {
        place(device, machine)?;
    }
    match &model {
        ModelChoice::Ppocr => match device {
            Device::Cuda(_) => {
                let why = "--device cuda: ppocr runs on the CPU; leave one of --device and --model out";
                Err(Failed::new(Exit::Arguments, why))
            }
            _ => Ok(embedded(args, None)),
        },
        ModelChoice::Folder(folder) => {
            let found = look_in(&DEEPSEEK_OCR, folder).complete(&DEEPSEEK_OCR);
            let found = found.map_err(|e| missing(format!("--model {}: {e}", folder.display())))?;
            deepseek(found.folder)
        }
        ModelChoice::Deepseek => deepseek((machine.weights)().map_err(missing)?),
        ModelChoice::Auto => {
            let why = match device {
                Device::Cuda(_) => return deepseek((machine.weights)().map_err(missing)?),
                Device::Cpu => Some("--device cpu".to_owned()),
                Device::Auto => no_cuda(machine),
            };
            match (why, (machine.weights)()) {
                (None, Ok(folder)) => deepseek(folder),
                (None, Err(why)) => Ok(embedded(args, Some(why))),
                (Some(why), Ok(_)) => {
                    let why =
                        format!("{why}; DeepSeek-OCR is here, and --model deepseek-ocr takes it to the CPU");
                    Ok(embedded(args, Some(why)))
                }
                // Nothing of it is here: there is nothing to tell.
                (Some(_), Err(_)) => Ok(embedded(args, None)),
            }
        }
    }
}

/// The embedded engine, chosen because of `why` where the user did not name it.
fn embedded(args: &RecognitionArgs, why: Option<String>) -> Chosen {
    let idle = args.of_deepseek_alone();
    Chosen {
        choice: Choice::Ppocr,
        note: why.map(|why| format!("pages are read by the embedded engine (ppocr): {why}")),
        warning: (!idle.is_empty()).then(|| {
            let (flags, verb) = (idle.join(", "), if idle.len() == 1 { "is" } else { "are" });
            format!("{flags} {verb} DeepSeek-OCR's and without effect: pages are read by the embedded engine")
        }),
    }
}

/// Why nothing can run on CUDA; `None` where something can.
fn no_cuda(machine: &Machine) -> Option<String> {
    match machine.has_cuda {
        false => Some("this build has no CUDA".into()),
        true if (machine.devices)() == 0 => Some("there is no CUDA device".into()),
        true => None,
    }
}

fn place(device: Device, machine: &Machine) -> Result<Place, Failed> {
    let missing = |why: String| Err(Failed::new(Exit::MissingDependency, why));
    match device {
        Device::Cpu => Ok(Place::Cpu),
        Device::Auto => Ok(no_cuda(machine).map_or(Place::Cuda(0), |_| Place::Cpu)),
        Device::Cuda(_) if !machine.has_cuda => missing(format!("--device cuda: {CUDA_BUILD}")),
        Device::Cuda(number) => match (machine.devices)() {
            0 => missing("--device cuda: there is no CUDA device, or its driver does not start".into()),
            count if number >= count => missing(format!(
                "--device cuda:{number}: there are {count} CUDA devices, the last is cuda:{}",
                count - 1
            )),
            _ => Ok(Place::Cuda(number)),
        },
    }
}

/// Loads what was chosen; `sink` hears the text while it is written.
pub fn start(args: &ConvertArgs, choice: &Choice, sink: Option<Arc<dyn TextSink>>) -> Result<Engine, Failed> {
    let (model, pages): (Arc<dyn Recognizer>, usize) = match choice {
        Choice::Ppocr => (Arc::new(ppocr(args)?), PPOCR_PAGES),
        Choice::Deepseek { folder, place } => {
            let options = Options {
                fallback: fallback(args)?,
                sink,
                ..options(&args.recognition, folder.clone(), *place)
            };
            let model = DeepseekOcr::load(options).map_err(|e| {
                let exit = match e.is_of_the_request() {
                    true => Exit::Arguments,
                    false => Exit::MissingDependency,
                };
                Failed::new(exit, e)
            })?;
            let pages = model.pages_at_a_time();
            (Arc::new(model), pages)
        }
    };
    Engine::start(model, pages).map_err(|e| Failed::new(Exit::Other, format!("the engine can't start: {e}")))
}

/// What the flags say; what they leave open is upstream's.
fn options(args: &RecognitionArgs, folder: PathBuf, place: Place) -> Options {
    let upstream = Options::new(folder, place);
    let number = |given: u32| given as usize;
    Options {
        precision: args.dtype.map_or(upstream.precision, |dtype| dtype.precision()),
        mode: args.mode.unwrap_or(upstream.mode),
        max_crops: args.max_crops.map_or(upstream.max_crops, |n| number(n.0)),
        task: args.wanted(),
        max_new_tokens: args
            .max_new_tokens
            .map_or(upstream.max_new_tokens, |n| number(n.0)),
        ngram: NgramRule {
            size: args
                .no_repeat_ngram_size
                .map_or(upstream.ngram.size, |n| number(n.0)),
            window: match args.no_repeat_ngram_window {
                None => upstream.ngram.window,
                Some(last) => Some(number(last.0)).filter(|&last| last > 0),
            },
            ..upstream.ngram
        },
        gpu_memory_utilization: args
            .gpu_memory_utilization
            .map_or(upstream.gpu_memory_utilization, |share| share.0),
        experts: args
            .expert_weights
            .map_or(upstream.experts, |experts| experts.kept()),
        deterministic: args.deterministic,
        retry: args.retry_modes.clone().map_or(upstream.retry, |modes| modes.0),
        ..upstream
    }
}

/// The engine that reads what DeepSeek-OCR could not. A build without it has none unless it is asked for.
fn fallback(args: &ConvertArgs) -> Result<Option<Arc<dyn Recognizer>>, Failed> {
    let has_models = cfg!(feature = "embedded-models") || args.models.is_some();
    match args.recognition.fallback {
        Some(Fallback::None) => Ok(None),
        None if !has_models => Ok(None),
        None | Some(Fallback::Ppocr) => Ok(Some(Arc::new(ppocr(args)?))),
    }
}

fn ppocr(args: &ConvertArgs) -> Result<Ppocr, Failed> {
    let rescue = match args.rescue.unwrap_or(Rescue::Auto) {
        Rescue::Off => None,
        Rescue::Auto => models::rescue(),
        Rescue::On => Some(models::rescue().ok_or_else(|| {
            let why =
                "--rescue on: the small recogniser is not there; run `ocr-host models fetch ppocr-small`";
            Failed::new(Exit::MissingDependency, why)
        })?),
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let model = Ppocr::new(PpocrOptions {
        weights: match &args.models {
            Some(folder) => Weights::Folder(folder.clone()),
            None => Weights::Embedded,
        },
        threads: args.jobs.map_or(cores, usize::from),
        rescue,
        ..PpocrOptions::default()
    });
    model.map_err(|e| Failed::new(Exit::MissingDependency, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::{Dtype, ExpertWeights, RetryModes, Share, Within};
    use ocr_model_deepseek::{Mode, Precision, Task};

    /// What is chosen for `flags` on a machine: a build with CUDA or without, its devices, weights or none.
    fn chosen(
        flags: &[&str],
        has_cuda: bool,
        devices: usize,
        weights: bool,
    ) -> Result<Chosen, (Exit, String)> {
        use clap::Parser;
        let line = ["ocr-host", "a.pdf"].iter().chain(flags);
        let args = crate::args::Cli::try_parse_from(line)
            .unwrap()
            .convert
            .recognition;
        let machine = Machine {
            has_cuda,
            devices: &|| devices,
            weights: &|| {
                weights
                    .then(|| PathBuf::from("/w"))
                    .ok_or_else(|| "no weights".to_owned())
            },
        };
        choose(&args, &machine).map_err(|failed| (failed.exit, failed.error.to_string()))
    }

    fn deepseek(place: Place) -> Choice {
        Choice::Deepseek {
            folder: "/w".into(),
            place,
        }
    }

    #[test]
    fn auto_takes_the_best_that_there_is_and_says_why() {
        let best = chosen(&[], true, 1, true).unwrap();
        assert_eq!(best.choice, deepseek(Place::Cuda(0)));
        assert!(best.note.unwrap().contains("/w on cuda:0"));
        for (flags, has_cuda, devices, weights, why) in [
            (&[][..], true, 1, false, "no weights"),
            (&[], true, 0, true, "no CUDA device; DeepSeek-OCR is here"),
            (&[], false, 0, true, "has no CUDA; DeepSeek-OCR is here"),
            (
                &["--device", "cpu"],
                true,
                1,
                true,
                "--device cpu; DeepSeek-OCR is here",
            ),
        ] {
            let chosen = chosen(flags, has_cuda, devices, weights).unwrap();
            assert_eq!(chosen.choice, Choice::Ppocr, "{flags:?}");
            let note = chosen.note.unwrap();
            assert!(note.contains(why), "{flags:?}: {note}");
        }
        let plain = chosen(&[], false, 0, false).unwrap();
        assert_eq!((plain.choice, plain.note), (Choice::Ppocr, None));
    }

    #[test]
    fn what_is_named_is_taken_or_refused() {
        let model = |flags: &[&str], has_cuda, devices| {
            let all: Vec<&str> = ["--model", "deepseek-ocr"].iter().chain(flags).copied().collect();
            chosen(&all, has_cuda, devices, true).map(|c| c.choice)
        };
        assert_eq!(model(&[], true, 1), Ok(deepseek(Place::Cuda(0))));
        assert_eq!(model(&[], false, 0), Ok(deepseek(Place::Cpu)));
        assert_eq!(
            model(&["--device", "cuda:1"], true, 2),
            Ok(deepseek(Place::Cuda(1)))
        );
        let refused = |result: Result<Choice, (Exit, String)>, exit: Exit, why: &str| {
            let (found, said) = result.unwrap_err();
            assert!(found == exit && said.contains(why), "{found:?}: {said}");
        };
        let missing = Exit::MissingDependency;
        refused(model(&["--device", "cuda"], false, 0), missing, "--features cuda");
        refused(model(&["--device", "cuda"], true, 0), missing, "no CUDA device");
        refused(
            model(&["--device", "cuda:2"], true, 2),
            missing,
            "the last is cuda:1",
        );
        let none = chosen(&["--model", "deepseek-ocr"], true, 1, false).map(|c| c.choice);
        refused(none, missing, "no weights");
        let folder = chosen(&["--model", "./no/such/folder"], true, 1, true).map(|c| c.choice);
        refused(folder, missing, "no/such/folder");
        let mixed = chosen(&["--model", "ppocr", "--device", "cuda"], true, 1, true).map(|c| c.choice);
        refused(mixed, Exit::Arguments, "runs on the CPU");
        let named = chosen(&["--model", "ppocr"], true, 1, true).unwrap();
        assert_eq!((named.choice, named.note), (Choice::Ppocr, None));
    }

    #[test]
    fn flags_without_effect_are_told_of() {
        let chosen = chosen(&["--mode", "base", "--prompt", "Read."], false, 0, false).unwrap();
        assert!(
            chosen
                .warning
                .unwrap()
                .starts_with("--mode, --prompt are DeepSeek-OCR's")
        );
    }

    #[test]
    fn flags_become_options() {
        let open = options(&RecognitionArgs::default(), "/w".into(), Place::Cpu);
        assert_eq!(
            (open.mode, open.max_crops, open.max_new_tokens),
            (Mode::Gundam, 9, 8192)
        );
        assert_eq!(open.ngram, NgramRule::default());
        let args = RecognitionArgs {
            dtype: Some(Dtype::F32),
            mode: Some(Mode::Tiny),
            max_crops: Some(Within(6)),
            task: Some(Task::Free),
            max_new_tokens: Some(Within(10)),
            no_repeat_ngram_size: Some(Within(30)),
            no_repeat_ngram_window: Some(Within(0)),
            gpu_memory_utilization: Some(Share(0.5)),
            expert_weights: Some(ExpertWeights::Int8),
            deterministic: true,
            retry_modes: Some(RetryModes(Vec::new())),
            ..RecognitionArgs::default()
        };
        let given = options(&args, "/w".into(), Place::Cuda(1));
        assert_eq!(
            (given.precision, given.mode, given.max_crops),
            (Some(Precision::F32), Mode::Tiny, 6)
        );
        assert_eq!((given.task, given.max_new_tokens), (Task::Free, 10));
        assert_eq!((given.ngram.size, given.ngram.window), (30, None));
        assert_eq!(given.ngram.allowed, NgramRule::default().allowed);
        assert_eq!((given.gpu_memory_utilization, given.retry), (0.5, Vec::new()));
        assert!(given.deterministic && !open.deterministic);
        assert_eq!(
            (open.experts, given.experts),
            (ExpertWeights::Bf16.kept(), ExpertWeights::Int8.kept())
        );
    }
}
