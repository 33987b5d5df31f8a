//! `ocr-host plugin ...`: one file for each command.

mod bench;
mod build;
mod check;
mod dev;
mod inspect;
mod install;
mod list;
mod new;
mod project;
mod record;
mod test;

use crate::args::PluginCommand;
use crate::exit::{Exit, Failed};
use crate::options::GivenOption;

pub fn run(command: PluginCommand) -> Result<Exit, Failed> {
    match command {
        PluginCommand::New { lang, kind, place } => new::run(lang, kind, &place),
        PluginCommand::Build {
            folder,
            output,
            profile,
            force,
        } => build::run(&folder, output.as_deref(), &profile, force),
        PluginCommand::Check { component } => check::run(&component),
        PluginCommand::Inspect {
            plugin,
            json,
            plugin_limit,
        } => inspect::run(&plugin, json, &plugin_limit),
        PluginCommand::Record {
            input,
            output,
            rasters,
            read,
        } => record::run(&input, &output, rasters, &read),
        PluginCommand::Test {
            place,
            update,
            filter,
            no_build,
        } => {
            let how = test::How {
                update,
                filter: filter.as_deref(),
                no_build,
            };
            test::run(&place, &how)
        }
        PluginCommand::Bench {
            plugin,
            input,
            plugin_opt,
            rounds,
            count_fuel,
            json,
            read,
        } => {
            let options = plugin_opt.iter().map(|flag| GivenOption::from_flag(flag));
            bench::run(&bench::Bench {
                plugin: &plugin,
                input: input.as_deref(),
                options: &options.collect::<Result<Vec<_>, _>>()?,
                rounds,
                count_fuel,
                json,
                read: &read,
            })
        }
        PluginCommand::Dev {
            place,
            input,
            output,
            plugin_opt,
            read,
        } => {
            let options = plugin_opt.iter().map(|flag| GivenOption::from_flag(flag));
            dev::run(&dev::Dev {
                place: &place,
                input: &input,
                output: output.as_deref(),
                options: &options.collect::<Result<Vec<_>, _>>()?,
                read: &read,
            })
        }
        PluginCommand::List { json } => list::run(json),
        PluginCommand::Install { source, sha256 } => install::run(&source, sha256.as_deref()),
        PluginCommand::Remove { name } => install::remove(&name),
    }
}
