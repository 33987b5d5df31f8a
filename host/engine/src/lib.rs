//! Who recognises which page when.
//!
//! A [`Recognizer`] turns a [`PageJob`] into a page. An [`Engine`] owns one behind a bounded queue and hands out
//! [`Ticket`]s; dropping a ticket cancels its page. A [`Batch`] owns a [`StepModel`], a decoder that writes many
//! sequences at once: [`Scheduler`] plans its steps, and dropping a [`Writing`] ends a sequence. Nothing here knows
//! tensors.
#![forbid(unsafe_code)]

mod batch;
mod blocks;
mod job;
mod recognizer;
mod region;
mod scheduler;
mod step_model;
mod tenant;
mod urgency;
mod waiting;
mod worker;

pub use batch::{Batch, BatchHandle, Census, Said, Writing};
pub use blocks::{BlockId, Blocks};
pub use job::{LayerTrust, PageJob};
pub use recognizer::{Control, RecognizeError, Recognizer};
pub use region::RegionTask;
pub use scheduler::{Change, Fill, Order, Scheduler, SequenceId, Step};
pub use step_model::{Capacity, Entry, Part, Prefix, StepModel};
pub use tenant::Tenant;
pub use urgency::{PASSES, Urgency};
pub use waiting::Waiting;
pub use worker::{Engine, EngineHandle, Ticket};
