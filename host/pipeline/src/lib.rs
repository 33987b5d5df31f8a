//! The flow of a document: an adapter is pulled page by page, the engine reads, pages come back in order, formatters
//! are pushed page by page.
//!
//! There is one path. At most [`PAGES_AHEAD`] pages wait between the adapter and the formatters, so memory does not grow
//! with the number of pages.
#![forbid(unsafe_code)]

mod budget;
mod convert;
mod feed;
mod heard;
mod plan;
mod report;
mod select;
mod sink;

pub use budget::PageBudget;
pub use convert::{Destination, convert};
pub use feed::{LEAST_TIME, MAX_PAGES, PAGES_AHEAD};
pub use plan::{AdapterPlan, Events, FormatterPlan, NoEvents, Plan};
pub use report::{DocumentReport, DocumentStatus, Failure, PageReport, PageStatus};
pub use select::PageSelection;
pub use sink::{PageSink, SinkPlan};
