//! Draws PDF pages with pdfium, in a child process that can be killed.
//!
//! pdfium is fast and faithful, and a million lines of C++ that strangers' files are fed to. So none of it runs in this
//! process: a [`Renderer`] starts this program's own file once more for each document, sends the document's bytes over a
//! pipe and gets pixels back over another. The child has limits on memory, processor time and files, may make no
//! process, and on Linux (x86-64) no system call beyond a short list once the library is loaded. A page that takes too
//! long, and a child that is no longer wanted, are killed; the next page gets a fresh one.
//!
//! Read in this order: `renderer.rs` (documents and their children), `turns.rs` (whose child comes next), `process.rs` (one
//! child, from outside), `child.rs` (the same from inside), `protocol.rs` (what they say to each other), `draw.rs` (pdfium).
//! What a child shuts itself in with is the crate `ocr-confine`.
//!
//! ```no_run
//! use ocr_pdfium::{Allowance, Launch, Limits, Renderer, locate};
//! use std::time::Duration;
//!
//! let library = locate(None)?.expect("there is a libpdfium");
//! let renderer = Renderer::new(Launch::this_program(["internal", "pdf"], library), Limits::default());
//! let allowance = Allowance::of(Duration::from_secs(30));
//! let bytes = std::fs::read("scan.pdf")?;
//! let mut document = renderer.open(Box::new(bytes), None, &allowance)?;
//! let image = document.render(0, 1240, 1754, &allowance)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod child;
mod draw;
mod error;
mod locate;
mod process;
mod protocol;
mod renderer;
mod turns;

pub use child::{ChildOptions, serve};
pub use error::RenderError;
pub use locate::{FETCHED, LocateError, library_name, locate};
pub use process::{Allowance, Launch};
pub use protocol::{MAX_SIDE, MAX_WORDS};
pub use renderer::{Document, DocumentBytes, Limits, Renderer};
