//! The flow of a document: an adapter is pulled page by page, the engine reads, pages come back in order, formatters
//! are pushed page by page.
//!
//! There is one path. At most [`PAGES_AHEAD`] pages wait between the adapter and the formatters, so a document of
//! 2,000 pages takes no more memory than one of ten.
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
pub use feed::{MAX_PAGES, PAGES_AHEAD};
pub use plan::{AdapterPlan, Events, FormatterPlan, NoEvents, Plan};
pub use report::{DocumentReport, DocumentStatus, Failure, PageReport, PageStatus};
pub use select::PageSelection;
pub use sink::{PageSink, SinkPlan};
