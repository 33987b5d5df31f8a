//! `ocr-host`: documents in, text out, through sandboxed components.
//!
//! The composition root: flags and configuration become a plan, the plan runs, what happened is printed and becomes
//! the exit code. Results go to standard output, everything else to standard error.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod compat;
mod config;
mod diff;
mod exit;
mod fetch;
mod grants;
mod inputs;
mod installed;
mod internal;
mod kit;
mod model;
mod options;
mod pdf;
mod plugins;
mod prepared;
mod progress;
mod recognise;
mod recognition;
mod recording;
mod report;
mod stream;
mod trial;
mod workflow;

use args::{Cli, Command, ConfigCommand};
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use exit::{Exit, Failed};
use std::process::ExitCode;

/// Gives memory back that is not needed: the C library's own keeps what its threads once had, and a long document's
/// memory would creep up.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(ended) = internal::run() {
        return ended;
    }
    exit::end_where_nobody_reads();
    let parsed = Cli::command().try_get_matches();
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
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
        None => commands::convert::run(&matches),
        Some(Command::Convert(_)) => commands::convert::run(innermost(&matches)),
        Some(Command::Run(args)) => commands::run::run(&args, innermost(&matches)),
        Some(Command::Config { command }) => match command {
            ConfigCommand::Check { config } => commands::config::check(config.as_deref()),
            ConfigCommand::Show(args) => commands::config::show(&args, innermost(&matches)),
            ConfigCommand::Schema => commands::config::schema(),
        },
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

/// What was typed after the last subcommand; where a value comes from is known here alone.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches
        .subcommand()
        .map_or(matches, |(_, inner)| innermost(inner))
}
