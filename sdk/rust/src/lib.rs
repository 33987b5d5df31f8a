//! Write ocr-host plugins in Rust.
//!
//! A plugin is a WebAssembly component: an *output formatter* ([`Formatter`]), an *input adapter* ([`Adapter`]) or a
//! *page processor* ([`Processor`]). Implement the trait, name the type in the export macro, and
//! `ocr-host plugin build` makes the component.
//!
//! ```
//! use ocr_plugin::{Config, DocInfo, Formatter, Page, Result, output};
//!
//! struct Text(output::File);
//!
//! impl Formatter for Text {
//!     fn open(_: &DocInfo, _: Config) -> Result<Self> {
//!         Ok(Text(output::main()?))
//!     }
//!
//!     fn page(&mut self, page: &Page) -> Result<()> {
//!         for (_, span) in page.reading_order() {
//!             self.0.write_text(span.text(page))?;
//!             self.0.write_text("\n")?;
//!         }
//!         Ok(())
//!     }
//!
//!     fn finish(self) -> Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! ocr_plugin::export_formatter!(Text);
//! ```
//!
//! A plugin has no file system, network, clock or environment; what it may do is in this crate's modules, and some of
//! it only when the host grants the capability. Outside a component the same calls reach an in-memory host, see
//! [`testing`].

// The generated bindings name the runtime by a path that must hold here and in plugins.
extern crate self as ocr_plugin;

pub mod adapter;
#[doc(hidden)]
pub mod bindings;
mod config;
pub mod control;
mod error;
mod formatter;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
mod host;
pub mod image;
pub mod list;
pub mod log;
pub mod ocr;
pub mod output;
mod page;
pub mod pdf;
mod processor;
pub mod source;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod text;
mod types;

pub use adapter::Adapter;
pub use config::Config;
pub use error::Result;
pub use formatter::Formatter;
pub use page::{Page, PageData, Raster};
pub use processor::{DocumentEdit, Edit, NewCell, Processor};
pub use types::*;
#[doc(hidden)]
pub use wit_bindgen;

/// The examples of README.md, which are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
