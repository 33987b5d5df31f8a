//! The flow of a document: an adapter is pulled page by page, the engine reads, pages come back in order, processors edit
//! them, formatters are pushed page by page.
//!
//! There is one path. At most [`PAGES_AHEAD`] pages wait between the adapter and the formatters, so memory does not grow
//! with the number of pages.
#![forbid(unsafe_code)]

mod budget;
mod convert;
mod feed;
mod gate;
mod heard;
mod plan;
mod process;
mod regions;
mod report;
mod rescue;
mod select;
mod sink;
mod surest;
mod text_layer;

pub use budget::PageBudget;
pub use convert::{Destination, QUOTA, convert};
pub use feed::{LEAST_TIME, MAX_PAGES, PAGES_AHEAD};
pub use gate::{Gate, NoGate};
pub use plan::{AdapterPlan, Events, FormatterPlan, NoEvents, Plan, ProcessorPlan};
pub use report::{DocumentReport, DocumentStatus, Failure, PageReport, PageStatus, counted};
pub use select::PageSelection;
pub use sink::{PageSink, SinkPlan};
pub use text_layer::TextLayerMode;
