//! The embedded CPU engine: PP-OCRv6 tiny reads lines, PicoDet finds regions, SLANet-plus reads tables.
//!
//! A page goes through `detect` (where lines are), `orientation` (which way up it is), `reading` (lines, regions and
//! tables, over all cores) and `assemble` (blocks in reading order). The weights are inside the binary with feature
//! `embedded-models`, which is on by default; `weights/NOTICE` says where they come from.
//!
//! ```
//! use ocr_document::{PageImage, PixelFormat};
//! use ocr_engine::{Control, PageJob, Recognizer};
//! use ocr_model_ppocr::{Options, Ppocr};
//! use std::time::Duration;
//!
//! # if cfg!(feature = "embedded-models") {
//! let engine = Ppocr::new(Options { threads: 1, layout: false, ..Options::default() })?;
//! let blank = PageImage::new(64, 64, PixelFormat::Gray8, vec![255; 64 * 64])?;
//! let job = PageJob {
//!     index: 0,
//!     number: 1,
//!     image: blank,
//!     dpi: 72.0,
//!     size_points: (64.0, 64.0),
//!     text_layer: None,
//!     trust: Default::default(),
//!     diagnostics: Vec::new(),
//!     time_limit: Duration::from_secs(60),
//!     tenant: Default::default(),
//! };
//! let page = engine.recognize(&job, &Control::new(job.time_limit))?;
//! assert_eq!(page.markdown(), "");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod assemble;
mod blocks;
mod components;
mod ctc;
mod detect;
mod error;
pub mod fetch;
mod frame;
mod furniture;
mod headings;
mod layer;
mod layout;
mod lists;
mod models;
mod net;
mod nn;
mod orientation;
mod paragraphs;
mod ppocr;
mod reading;
mod reading_order;
mod recognize;
mod resize;
mod structure;
mod tables;
mod warp;
mod workers;

pub use error::EngineError;
pub use models::Weights;
pub use ppocr::{Options, Ppocr};
