//! Loads components, gives them limits and host services, and calls them.
//!
//! [`Runtime`] turns bytes into a [`Plugin`]; an [`AdapterSession`] or a [`FormatterSession`] is a plugin at work on
//! one document, in a store of its own. Plugins see what the contract in `wit/` offers and nothing else.
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
mod decode;
mod dpi;
mod encode;
mod error;
mod jpeg;
pub mod limits;
mod manifest;
mod names;
mod output;
mod pixels;
mod plugin;
mod room;
mod runtime;
mod session;
mod source;
mod state;
mod tiff_pages;
mod wasi;

pub use api::WIT_VERSION;
pub use cache::keeps_code;
pub use encode::encode;
pub use error::{Cause, LoadError, Phase, PluginFailure};
pub use limits::{Limits, Quota};
pub use manifest::{Manifest, ManifestError, World};
pub use output::{
    CommitError, DocumentOutput, FormatterOutput, PARTIAL, Placed, SIDE, TreeOutput, discard_staged,
};
pub use plugin::Plugin;
pub use runtime::Runtime;
pub use session::{
    AdapterSession, Context, DocInfo, FormatterSession, InputItem, InputPage, OpenOptions, sniff,
};
pub use source::Source;
pub use state::{CancelFlag, Grants, PluginEvents, Unheard};
