//! Pages made from a number, and the same pages as the SDK's tests have them.
//!
//! A formatter is compiled twice, for this machine and as a component, and both must write the same bytes of the same
//! pages. [`page`] makes pages that hold what is hard to write down: text of every script and of attackers, tables on top of
//! themselves, empty blocks, lost pages.
#![forbid(unsafe_code)]

mod generate;
mod translate;

pub use generate::{document, page};
pub use translate::{doc_info, page_data};
