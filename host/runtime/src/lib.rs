//! Loads components, gives them limits and host services, and calls them.
//!
//! [`Runtime`] turns bytes into a [`Plugin`]; an [`AdapterSession`], a [`ProcessorSession`] or a [`FormatterSession`] is a
//! plugin at work on one document, in a store of its own. Plugins see what the contract in `wit/` offers and nothing else.
//!
//! ```no_run
//! use ocr_runtime::{AdapterSession, Context, Limits, OpenOptions, Runtime, Source};
//!
//! let runtime = Runtime::new(None, &Limits::default())?;
//! let plugin = runtime.load_file("image-in.wasm".as_ref())?;
//! let source = Source::open("scan.png".as_ref())?;
//! let mut pages = AdapterSession::open(&plugin, &Context::default(), &source, &OpenOptions::default())?;
//! while let Some(item) = pages.read(0, 200.0)? {
//!     println!("{item:?}");
//!     break;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod api;
pub mod build;
mod cache;
mod clock;
mod compile;
mod component_file;
mod contract;
mod decode;
mod dpi;
mod encode;
mod error;
mod grants;
mod jpeg;
pub mod limits;
pub mod manifest;
mod names;
mod output;
mod pdf;
mod pixels;
mod plugin;
mod pool;
mod producers;
mod room;
mod runtime;
pub mod services;
mod session;
mod source;
mod state;
pub mod suggest;
mod tiff_pages;
mod wasi;

pub use api::WIT_VERSION;
pub use cache::keeps_code;
pub use compile::{CompileChild, Compiling, compile_child};
pub use component_file::read_component;
pub use contract::{Interface, capabilities};
pub use encode::encode;
pub use error::{Cause, LoadError, Phase, PluginFailure};
pub use grants::{Capability, Grants};
pub use limits::{Limits, Quota};
pub use manifest::{Manifest, ManifestError, OnFailure, World};
pub use names::check as check_output_name;
pub use output::{
    CommitError, DocumentOutput, FormatterOutput, OutputMeter, PARTIAL, Placed, SIDE, TreeOutput,
    discard_staged,
};
pub use pdf::{PdfDocument, PdfError, PdfRenderer};
pub use plugin::{Plugin, digest};
pub use producers::producers;
pub use runtime::{Checked, Runtime};
pub use session::{
    AdapterSession, Context, DocInfo, DocumentEdit, FormatterSession, InputItem, InputPage, OpenOptions,
    Places, ProcessorSession, Usage, sniff,
};
pub use source::Source;
pub use state::{CancelFlag, LogBudget, PluginEvents, Unheard};
