//! `ocr-host`: documents in, text out, through sandboxed components.
//!
//! The composition root: flags and configuration become a plan, the plan runs, what happened is printed and becomes
//! the exit code. Results go to standard output, everything else to standard error.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod compat;
mod config;
mod exit;
mod inputs;
mod model;
mod plugins;
mod progress;
mod recognition;
mod report;
mod stream;

use args::{Cli, Command};
use clap::Parser;
use exit::{Exit, Failed};
use std::process::ExitCode;

/// Gives memory back that is not needed: the C library's own keeps what its threads once had, and a long document's
/// memory would creep up.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are no errors and go to standard output.
            let code = if error.use_stderr() {
                Exit::Arguments
            } else {
                Exit::Ok
            };
            let _ = error.print();
            return code.into();
        }
    };
    let done = match cli.command {
        None => commands::convert::run(cli.convert),
        Some(Command::Convert(args)) => commands::convert::run(*args),
        Some(Command::Plugin { command }) => commands::plugin::run(command),
        Some(Command::Models { command }) => commands::models::run(command),
        Some(Command::Doctor { json, config }) => commands::doctor::run(json, config.as_deref()),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(Failed { exit, error }) => {
            eprintln!("error: {error:#}");
            exit.into()
        }
    }
}
