//! What reads the pages, and how, as people type it; `model.rs` makes an engine of it.

use clap::{Args, ValueEnum};
use ocr_model_deepseek::{Mode, Precision, Task};
use std::path::PathBuf;
use std::str::FromStr;

/// Flags about recognition; all but `--stream` are keys of `ocr-host.toml` as well.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Recognition")]
pub struct RecognitionArgs {
    /// What reads the pages: auto, ppocr (inside the program), deepseek-ocr, or a folder with DeepSeek-OCR's files.
    /// Auto is DeepSeek-OCR where its weights and a CUDA device are found, else ppocr
    #[arg(long, value_name = "MODEL")]
    pub model: Option<ModelChoice>,
    /// Where DeepSeek-OCR runs: auto, cpu, cuda, cuda:N
    #[arg(long, value_name = "DEVICE", env = "OCR_HOST_DEVICE")]
    pub device: Option<Device>,
    /// How DeepSeek-OCR's weights are kept: f32, f16 or bf16. On a GPU, bf16 alone has fast kernels of its own
    /// [default: bf16, as they are published]
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<Dtype>,
    /// How DeepSeek-OCR sees a page: tiny, small, base, large, gundam [default: gundam]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<Mode>,
    /// Tiles that gundam may cut a page into, 2 to 9 [default: 9; DeepSeek's vLLM scripts have 6]
    #[arg(long, value_name = "N")]
    pub max_crops: Option<Within<2, 9>>,
    /// What DeepSeek-OCR is asked: markdown, ocr, free, figure, describe, "locate TEXT" [default: markdown]
    #[arg(long, value_name = "TASK", value_parser = task, conflicts_with = "prompt")]
    pub task: Option<Task>,
    /// A prompt of your own; <image> stands where the page goes, else the page comes first
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Tokens that DeepSeek-OCR may write on a page [default: 8192, the most]
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<Within<1, 8192>>,
    /// Length of the runs of tokens that may not repeat; 0 lets all repeat [default: 20]
    #[arg(long, value_name = "N")]
    pub no_repeat_ngram_size: Option<Within<0, 8192>>,
    /// Last tokens in which they may not; 0 is the whole text [default: 90]
    #[arg(long, value_name = "N")]
    pub no_repeat_ngram_window: Option<Within<0, 8192>>,
    /// Share of the GPU's memory that weights and cache may take with bf16, over 0, at most 1 [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    pub gpu_memory_utilization: Option<Share>,
    /// How a GPU keeps the experts' weights with bf16: bf16, or int8, which reads less and is less exact [default: bf16]
    #[arg(long, value_name = "TYPE")]
    pub expert_weights: Option<ExpertWeights>,
    /// Let a page's text not depend, to the last bit, on what a GPU reads beside it; slower
    #[arg(long)]
    pub deterministic: bool,
    /// Modes to try, in this order, when a page's text runs in circles, or none [default: base,large]
    #[arg(long, value_name = "MODES")]
    pub retry_modes: Option<RetryModes>,
    /// What reads a page that DeepSeek-OCR could not: ppocr or none [default: ppocr, where it is built in]
    #[arg(long, value_name = "ENGINE")]
    pub fallback: Option<Fallback>,
    /// Write DeepSeek-OCR's raw text to standard error as it comes; so it is by itself for one image whose output
    /// goes elsewhere than to this terminal
    #[arg(long)]
    pub stream: bool,
}

/// Which model reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ModelChoice {
    /// The best that this machine can run.
    #[default]
    Auto,
    /// The embedded one.
    Ppocr,
    /// DeepSeek-OCR, wherever its weights are found.
    Deepseek,
    /// DeepSeek-OCR in a folder.
    Folder(PathBuf),
}

impl FromStr for ModelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "ppocr" => Ok(Self::Ppocr),
            "deepseek-ocr" => Ok(Self::Deepseek),
            _ if text.contains(['/', '\\', '.']) || PathBuf::from(text).is_dir() => {
                Ok(Self::Folder(text.into()))
            }
            _ => Err(format!(
                "there is no model `{text}`, and no folder of that name; there are auto, ppocr, deepseek-ocr and \
                 folders with DeepSeek-OCR's files"
            )),
        }
    }
}

/// Where DeepSeek-OCR runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Device {
    /// On a GPU where there is one.
    #[default]
    Auto,
    /// On the processor.
    Cpu,
    /// On the CUDA device of this number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("there is no device `{text}`; there are auto, cpu, cuda and cuda:N (N from 0)");
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|n| n.parse().ok());
                number.map(Self::Cuda).ok_or_else(wrong)
            }
        }
    }
}

/// How numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// As the engine sees fit: bf16, the checkpoint's own
    Auto,
    /// 32 bits
    F32,
    /// 16 bits with 5 of exponent
    F16,
    /// 16 bits with 8 of exponent, the checkpoint's own
    Bf16,
}

impl Dtype {
    /// As the engine takes it.
    pub fn precision(self) -> Option<Precision> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Precision::F32),
            Self::F16 => Some(Precision::F16),
            Self::Bf16 => Some(Precision::Bf16),
        }
    }
}

/// How a GPU keeps the experts' weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpertWeights {
    /// 16 bits, the checkpoint's own
    Bf16,
    /// 8 bits and a scale for each row
    Int8,
}

impl ExpertWeights {
    /// As the engine takes it.
    pub fn kept(self) -> ocr_model_deepseek::ExpertWeights {
        match self {
            Self::Bf16 => ocr_model_deepseek::ExpertWeights::Bf16,
            Self::Int8 => ocr_model_deepseek::ExpertWeights::Int8,
        }
    }
}

/// What reads a page that DeepSeek-OCR could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// The embedded engine
    Ppocr,
    /// Nothing
    None,
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within<const LEAST: u32, const MOST: u32>(pub u32);

impl<const LEAST: u32, const MOST: u32> FromStr for Within<LEAST, MOST> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(n) if (LEAST..=MOST).contains(&n) => Ok(Self(n)),
            _ => Err(format!("{text} is not in {LEAST}..={MOST}")),
        }
    }
}

/// A share over 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f32);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok(Self(share)),
            _ => Err(format!("{text} is no share over 0 and at most 1, such as 0.9")),
        }
    }
}

/// Modes in which a page is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryModes(pub Vec<Mode>);

impl FromStr for RetryModes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let modes = text.split(',').map(|mode| mode.trim().parse());
        modes.collect::<Result<_, _>>().map(Self)
    }
}

/// A task by its name; `locate` takes the text to be found.
pub fn task(text: &str) -> Result<Task, String> {
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match (name, rest) {
        ("markdown", "") => Ok(Task::Markdown),
        ("ocr", "") => Ok(Task::Ocr),
        ("free", "") => Ok(Task::Free),
        ("figure", "") => Ok(Task::Figure),
        ("describe", "") => Ok(Task::Describe),
        ("locate", "") => Err("locate needs the text to be found: --task \"locate TEXT\"".into()),
        ("locate", what) => Ok(Task::Locate(what.to_owned())),
        _ => Err(format!(
            "there is no task `{text}`; there are markdown, ocr, free, figure, describe and \"locate TEXT\"; for a \
             prompt of your own write --prompt"
        )),
    }
}

impl RecognitionArgs {
    /// What is asked of each page.
    pub fn wanted(&self) -> Task {
        match (&self.prompt, &self.task) {
            (Some(prompt), _) => Task::Prompt(prompt.clone()),
            (None, Some(task)) => task.clone(),
            (None, None) => Task::Markdown,
        }
    }

    /// Flags that mean nothing to the embedded engine, as they are typed.
    pub fn of_deepseek_alone(&self) -> Vec<&'static str> {
        let given = [
            ("--dtype", self.dtype.is_some()),
            ("--mode", self.mode.is_some()),
            ("--max-crops", self.max_crops.is_some()),
            ("--task", self.task.is_some()),
            ("--prompt", self.prompt.is_some()),
            ("--max-new-tokens", self.max_new_tokens.is_some()),
            ("--no-repeat-ngram-size", self.no_repeat_ngram_size.is_some()),
            ("--no-repeat-ngram-window", self.no_repeat_ngram_window.is_some()),
            ("--gpu-memory-utilization", self.gpu_memory_utilization.is_some()),
            ("--expert-weights", self.expert_weights.is_some()),
            ("--deterministic", self.deterministic),
            ("--retry-modes", self.retry_modes.is_some()),
            ("--fallback", self.fallback.is_some()),
            ("--stream", self.stream),
        ];
        let given = given.into_iter().filter(|&(_, is)| is);
        given.map(|(flag, _)| flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn parsed(flags: &[&str]) -> Result<RecognitionArgs, String> {
        let line = ["ocr-host", "a.pdf"].iter().chain(flags);
        let cli = Cli::try_parse_from(line).map_err(|e| e.to_string())?;
        Ok(cli.convert.recognition)
    }

    #[test]
    fn flags_are_read_as_they_are_meant() {
        let args = parsed(&[
            "--model",
            "deepseek-ocr",
            "--device",
            "cuda:3",
            "--dtype",
            "f16",
            "--mode",
            "large",
            "--max-crops",
            "6",
            "--task",
            "locate  the total",
            "--max-new-tokens",
            "100",
            "--no-repeat-ngram-window",
            "0",
            "--gpu-memory-utilization",
            "0.5",
            "--expert-weights",
            "int8",
            "--deterministic",
            "--retry-modes",
            "tiny, base",
            "--fallback",
            "none",
            "--stream",
        ])
        .unwrap();
        assert_eq!(args.model, Some(ModelChoice::Deepseek));
        assert_eq!(args.device, Some(Device::Cuda(3)));
        assert_eq!(args.dtype.unwrap().precision(), Some(Precision::F16));
        assert_eq!((args.mode, args.max_crops), (Some(Mode::Large), Some(Within(6))));
        assert_eq!(args.wanted(), Task::Locate("the total".into()));
        assert_eq!(args.no_repeat_ngram_window, Some(Within(0)));
        assert_eq!(args.gpu_memory_utilization, Some(Share(0.5)));
        assert_eq!(args.expert_weights, Some(ExpertWeights::Int8));
        assert!(args.deterministic);
        assert_eq!(args.retry_modes, Some(RetryModes(vec![Mode::Tiny, Mode::Base])));
        assert_eq!((args.fallback, args.stream), (Some(Fallback::None), true));
    }

    #[test]
    fn what_is_left_open_is_upstreams() {
        let args = parsed(&[]).unwrap();
        assert_eq!(args.wanted(), Task::Markdown);
        assert_eq!(args.of_deepseek_alone(), [""; 0]);
        let args = parsed(&["--prompt", "<image>\nWho signed?", "--model", "./weights"]).unwrap();
        assert_eq!(args.wanted(), Task::Prompt("<image>\nWho signed?".into()));
        assert_eq!(args.model, Some(ModelChoice::Folder("./weights".into())));
        assert_eq!(args.of_deepseek_alone(), ["--prompt"]);
    }

    #[test]
    fn wrong_values_say_what_would_be_right() {
        for (flags, expected) in [
            (&["--device", "gpu"][..], "cuda:N"),
            (&["--device", "cuda:x"], "cuda:N"),
            (&["--model", "deepsek"], "ppocr, deepseek-ocr"),
            (&["--mode", "huge"], "gundam"),
            (&["--max-crops", "10"], "2..=9"),
            (&["--max-new-tokens", "9000"], "1..=8192"),
            (&["--task", "locate"], "locate TEXT"),
            (&["--task", "sing"], "--prompt"),
            (&["--task", "ocr", "--prompt", "Read."], "cannot be used with"),
            (&["--gpu-memory-utilization", "1.5"], "at most 1"),
            (&["--gpu-memory-utilization", "NaN"], "at most 1"),
            (&["--retry-modes", "base,huge"], "no mode `huge`"),
        ] {
            let error = parsed(flags).unwrap_err();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }
}
