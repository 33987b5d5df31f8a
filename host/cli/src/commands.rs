//! One module a command.

pub mod convert;
pub mod models;
pub mod plugin;
