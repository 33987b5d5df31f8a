//! Who recognises which page when.
//!
//! A [`Recognizer`] turns a [`PageJob`] into a page. An [`Engine`] owns one behind a bounded queue and hands out
//! [`Ticket`]s; dropping a ticket cancels its page. Nothing here knows tensors.
#![forbid(unsafe_code)]

mod job;
mod recognizer;
mod worker;

pub use job::PageJob;
pub use recognizer::{Control, RecognizeError, Recognizer};
pub use worker::{Engine, EngineHandle, Ticket};
