//! One module a command.

pub mod convert;
pub mod doctor;
mod machine;
pub mod models;
pub mod plugin;
