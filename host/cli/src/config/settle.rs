//! Which value holds: the command line's, else the environment's, else the workflow's, else that of the file's head,
//! else the default. What holds is written down as a command line and read by the flags' own parser, so that a value
//! means the same wherever it stands.

use super::file::{File, Workflow};
use super::keys::{ADDED, GROUPS, Key, Kind, Section, command};
use super::problem::{Problem, Problems, Source};
use super::read::{Entry, Pair, Value, as_flag};
use crate::args::ConvertArgs;
use crate::exit::{Exit, Failed};
use crate::options::{GivenOption, GivenValue, Place};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use std::ffi::OsString;
use std::path::Path;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable of this name.
    Environment(String),
    /// The file, at this byte.
    File(usize),
}

/// A value that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub key: &'static Key,
    /// As the flag takes it; none for a switch.
    pub value: Option<OsString>,
    pub origin: Origin,
    /// The same with its type, where it is a plugin's option of a file.
    pub option: Option<GivenOption>,
}

/// All that holds for a run.
#[derive(Debug)]
pub struct Settled {
    pub args: ConvertArgs,
    pub settings: Vec<Setting>,
}

/// Completes the command line `given` from the environment, a workflow and the file's head.
pub fn settle(
    given: &ArgMatches,
    file: Option<&File>,
    workflow: Option<&Workflow>,
) -> Result<Settled, Failed> {
    let mut settings = typed(given);
    // What goes first is there first; each layer fills what the ones before left open.
    let layers = [workflow.map(|w| &w.settings), file.map(|f| &f.head)];
    let mut added = Vec::new();
    for layer in layers.into_iter().flatten() {
        let file = file.expect("a layer comes from a file");
        let taken: Vec<&str> = settings.iter().map(|s| s.key.name.as_str()).collect();
        let is_open = |name: &str| {
            let group = GROUPS.iter().find(|group| group.contains(&name));
            !taken
                .iter()
                .any(|taken| *taken == name || group.is_some_and(|g| g.contains(taken)))
        };
        let (open, of_all): (Vec<_>, Vec<_>) = layer
            .list
            .iter()
            .filter(|e| !matches!(e.key.kind, Kind::Named(_)) && e.key.name != "inputs")
            .partition(|e| !ADDED.contains(&e.key.name.as_str()));
        let mut found = Vec::new();
        for entry in open.into_iter().filter(|entry| is_open(&entry.key.name)) {
            let from = |value: Option<OsString>, at: usize| Setting {
                key: entry.key,
                value,
                origin: Origin::File(at),
                option: None,
            };
            match &entry.value {
                Value::Items(items) => {
                    for item in items {
                        let value = placed(&entry.key.kind, &item.text, file.source.folder());
                        found.push(from(Some(value), item.at.start));
                    }
                }
                // A switch that is off in a workflow is off, whatever the head says.
                Value::Switch(is) => found.push(from((!is).then(|| "false".into()), entry.at.start)),
                _ => {}
            }
        }
        settings.extend(found);
        // Later ones win, and the head's go first.
        added.splice(
            0..0,
            of_all.into_iter().flat_map(|entry| spread(entry, &file.source)),
        );
    }
    settings.retain(|s| !(matches!(s.key.kind, Kind::Switch) && s.value.is_some()));
    // Before those of the command line, which win.
    settings.splice(0..0, added);
    secret(&mut settings, file)?;
    let line = settings
        .iter()
        .filter(|s| s.key.flag.is_some() && s.option.is_none())
        .map(|setting| {
            let mut word = OsString::from(format!("--{}", setting.key.name));
            if let Some(value) = &setting.value {
                word.push("=");
                word.push(value);
            }
            word
        });
    let wrong =
        |error: clap::Error| Failed::new(Exit::Config, error.to_string().trim_start_matches("error: "));
    let matches = command().try_get_matches_from(line).map_err(wrong)?;
    let mut args = ConvertArgs::from_arg_matches(&matches).map_err(wrong)?;
    // As for inputs; a folder of that name is `./-`.
    args.output = args.output.filter(|output| output != "-");
    args.inputs = given
        .get_many("inputs")
        .map(|inputs| inputs.cloned().collect())
        .unwrap_or_default();
    args.config = given.get_one("config").cloned();
    args.grant = given
        .get_many("grant")
        .map(|grants| grants.cloned().collect())
        .unwrap_or_default();
    args.file_options = settings.iter().filter_map(|s| s.option.clone()).collect();
    args.file_plugins = file.map(plugins_of).unwrap_or_default();
    let granted = |setting: &Setting| setting.value.as_ref()?.to_str()?.parse().ok();
    args.file_grants = settings
        .iter()
        .filter(|s| s.key.name == "grants")
        .filter_map(granted)
        .collect();
    Ok(Settled { args, settings })
}

/// What the command line and the environment say.
fn typed(given: &ArgMatches) -> Vec<Setting> {
    let mut settings = Vec::new();
    for key in Section::Head.keys() {
        let Some(id) = &key.flag else { continue };
        let origin = match given.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Environment(variable(id)),
            _ => continue,
        };
        let setting = |value| Setting {
            key,
            value,
            origin: origin.clone(),
            option: None,
        };
        match key.kind {
            Kind::Switch if key.name == "verbose" => {
                settings.extend((0..given.get_count(id)).map(|_| setting(None)));
            }
            Kind::Switch => settings.push(setting(None)),
            _ => {
                let values = given.get_raw(id).into_iter().flatten();
                settings.extend(values.map(|value| setting(Some(value.to_owned()))));
            }
        }
    }
    settings
}

/// The environment variable of a flag.
fn variable(id: &str) -> String {
    use clap::Args;
    let command = ConvertArgs::augment_args(clap::Command::new("ocr-host"));
    let arg = command.get_arguments().find(|arg| arg.get_id() == id);
    let name = arg.and_then(|arg| arg.get_env());
    name.map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Options, limits and grants as flags take them.
fn spread(entry: &Entry, source: &Source) -> Vec<Setting> {
    let setting = |text: String, at: usize| Setting {
        key: entry.key,
        value: Some(text.into()),
        origin: Origin::File(at),
        option: None,
    };
    match &entry.value {
        Value::Pairs(pairs) => pairs
            .iter()
            .map(|pair| {
                let text = format!("{}={}", pair.key.text, as_flag(&pair.value));
                setting(text, pair.key.at.start)
            })
            .collect(),
        Value::Items(items) => items
            .iter()
            .map(|item| setting(item.text.clone(), item.at.start))
            .collect(),
        Value::Groups(groups) => groups
            .iter()
            .flat_map(|(plugin, pairs)| pairs.iter().map(move |pair| (plugin, pair)))
            .map(|(plugin, pair)| {
                let text = format!("{}.{}={}", plugin.text, pair.key.text, as_flag(&pair.value));
                Setting {
                    option: Some(option(&plugin.text, pair, source)),
                    ..setting(text, pair.key.at.start)
                }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A plugin's option as it stands in the file.
pub fn option(plugin: &str, pair: &Pair, source: &Source) -> GivenOption {
    let place = Place {
        file: source.path.clone(),
        line: source.place(pair.key.at.start).0,
    };
    GivenOption {
        plugin: Some(plugin.trim_end_matches(".wasm").to_owned()),
        key: pair.key.text.clone(),
        value: GivenValue::File(pair.value.clone(), place),
    }
}

/// The plugins that a file asks for, whatever runs.
pub fn plugins_of(file: &File) -> Vec<String> {
    let workflows = file.workflows.values().map(|w| &w.settings);
    let named = std::iter::once(&file.head)
        .chain(workflows)
        .flat_map(|s| s.items("plugin"));
    let here = file.source.folder();
    let pinned = file
        .tenants
        .values()
        .flat_map(|t| &t.plugins)
        .map(|pair| &pair.key);
    let mut all: Vec<String> = named
        .chain(pinned)
        .map(|item| {
            placed(&Kind::Plugin, &item.text, here)
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A value of the file as it would be typed: relative paths start from the file.
pub fn placed(kind: &Kind, text: &str, here: &Path) -> OsString {
    match kind {
        Kind::List(of) => placed(of, text, here),
        Kind::Path => here.join(text).into(),
        Kind::PathOrNone if text != "none" => here.join(text).into(),
        Kind::Model if text.contains(['/', '\\', '.']) || here.join(text).is_dir() => here.join(text).into(),
        Kind::Plugin if is_path(text) => here.join(text).into(),
        _ => text.into(),
    }
}

/// Whether a plugin is named by its file. A bare word is a name, whatever lies in the folder.
pub fn is_path(plugin: &str) -> bool {
    plugin.contains(['/', '\\']) || (plugin.ends_with(".wasm") && crate::plugins::built_in(plugin).is_none())
}

/// Puts the password in the place of the variable that holds it.
fn secret(settings: &mut [Setting], file: Option<&File>) -> Result<(), Failed> {
    for setting in settings.iter_mut().filter(|s| s.key.name == "pdf-password-env") {
        let (Some(name), Origin::File(at), Some(file)) = (&setting.value, &setting.origin, file) else {
            continue;
        };
        let Some(password) = std::env::var_os(name) else {
            let mut problems = Problems::default();
            let why = format!("the environment variable `{}` is not set", name.display());
            problems.push(Problem::error(*at..*at + 1, why).help("set it, or take `pdf-password-env` out"));
            return Err(problems.result(&file.source).expect_err("there is an error"));
        };
        setting.key = Section::Head.key("pdf-password").expect("it is a flag");
        setting.value = Some(password);
    }
    Ok(())
}
