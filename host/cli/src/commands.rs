//! One module a command.

pub mod config;
pub mod convert;
pub mod doctor;
mod machine;
pub mod models;
pub mod plugin;
pub mod run;
