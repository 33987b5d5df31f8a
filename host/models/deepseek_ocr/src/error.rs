//! What can go wrong between a folder, a prompt and a page.

use crate::prompt::PromptError;
use std::path::PathBuf;

/// Why the model could not be read or asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model's folder could not be read.
    #[error("can't read {}: {source}; give a folder that holds DeepSeek-OCR as published", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the model's folder is not what its name says.
    #[error("{} is damaged or of another kind: {reason}; fetch it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What its reader said.
        reason: String,
    },
    /// The folder holds another model.
    #[error("{} is of {found}, not of DeepSeek-OCR (`DeepseekOCRForCausalLM`); give DeepSeek-OCR's folder", path.display())]
    OtherModel {
        /// The file that says so.
        path: PathBuf,
        /// What it calls the model.
        found: String,
    },
    /// The configuration asks for a network that this crate does not build.
    #[error("{}: `{key}` is {found}; this program runs {expected} only: use the config.json published beside the weights", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: &'static str,
        /// What it says.
        found: String,
        /// What can be run.
        expected: String,
    },
    /// A special token is missing or has another id than the weights were trained with.
    #[error(
        "{}: `{token}` has {}, the model needs id {expected}: use the tokenizer.json published beside the weights",
        path.display(),
        found.map_or("no id".to_owned(), |id| format!("id {id}"))
    )]
    TokenId {
        /// The file.
        path: PathBuf,
        /// The token's text.
        token: &'static str,
        /// Its id there.
        found: Option<u32>,
        /// The id in training.
        expected: u32,
    },
    /// The tokenizer has ids that the weights have no rows for.
    #[error(
        "{}: the highest id is {last}, the model has rows for ids below {vocabulary}; tokenizer.json and config.json are \
         of different models: fetch both from one place", path.display()
    )]
    Vocabulary {
        /// The tokenizer's file.
        path: PathBuf,
        /// Its highest id.
        last: u32,
        /// Ids that the model knows.
        vocabulary: usize,
    },
    /// Text could not be cut into tokens, or tokens joined to text.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    /// A prompt cannot be asked.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The weights could not be read, or are of another model.
    #[error(transparent)]
    Weights(#[from] ocr_weights::WeightsError),
    /// The device could not be opened.
    #[error(
        "CUDA device {ordinal} can't be used: {reason}; `ocr-host doctor` says which there are, --device cpu does without"
    )]
    Device {
        /// Its number.
        ordinal: usize,
        /// What the driver said.
        reason: String,
    },
    /// An operation of the network failed.
    #[error("the network failed: {0}")]
    Network(#[from] candle_core::Error),
    /// The prompt fills the context.
    #[error(
        "a prompt of {tokens} tokens, {text} of them text, leaves no room to write; see less of the page with a smaller --mode, or ask with fewer words"
    )]
    NoRoom {
        /// All of them.
        tokens: usize,
        /// Those that are not the page.
        text: usize,
    },
    /// The text of a prompt is too long for any page.
    #[error("the prompt's text takes {text} tokens of a context of {context}; ask with fewer words")]
    LongPrompt {
        /// Its tokens.
        text: usize,
        /// The model's.
        context: usize,
    },
    /// The page's sequence came to nothing.
    #[error("{0}")]
    Failed(String),
    /// The model's thread could not be started.
    #[error("the model's thread can't be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The kernels refused something.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Kernels(#[from] ocr_kernels::KernelError),
    /// The device's memory does not hold the model and the cache of one page.
    #[cfg(feature = "cuda")]
    #[error(
        "of the device's memory {} MiB may be taken and {} MiB are, of which {} MiB are still needed: give more with \
         --gpu-memory-utilization, or free some",
        allowed >> 20, taken >> 20, needed >> 20
    )]
    Memory {
        /// Bytes that may be taken.
        allowed: usize,
        /// Bytes that are taken, weights included.
        taken: usize,
        /// Bytes that work and one page's cache need.
        needed: usize,
    },
    /// The kernels keep a bounded list of bans.
    #[cfg(feature = "cuda")]
    #[error(
        "n-grams of {0} tokens without a window ban more ids than the GPU keeps; give --no-repeat-ngram-size 3 or more, or \
         --no-repeat-ngram-window 128 or less"
    )]
    ManyBans(usize),
    /// The kernels exempt two ids from the n-gram rule.
    #[cfg(feature = "cuda")]
    #[error("{0} ids are exempt from the n-gram rule; the GPU takes two")]
    AllowedIds(usize),
}

impl ModelError {
    /// Whether it is what was asked that is wrong, and not the model or the machine.
    pub fn is_of_the_request(&self) -> bool {
        let of_prompt = matches!(
            self,
            Self::Prompt(_) | Self::NoRoom { .. } | Self::LongPrompt { .. }
        );
        #[cfg(feature = "cuda")]
        let of_prompt = of_prompt || matches!(self, Self::ManyBans(_) | Self::AllowedIds(_));
        of_prompt
    }
}
