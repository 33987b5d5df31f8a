//! The keys of `ocr-host.toml`, in one table a section. The parser, `config schema`, `config show` and the words of
//! messages all come from these.
//!
//! Most keys are flags: every long flag of a conversion is a key under the same name, at the file's head and in
//! `[workflow.NAME]`, and its value goes the flag's way through the same parser. So a new flag is a key at once.

use crate::args::ConvertArgs;
use clap::{Arg, ArgAction, Args, Command};
use ocr_pipeline::LEAST_TIME;
use ocr_runtime::limits::{OF_COMPILATION, parse_bytes, parse_duration};
use ocr_runtime::{Capability, Quota};
use std::any::TypeId;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// What stands before any header.
    Head,
    /// `[workflow.NAME]`.
    Workflow,
    /// `[tenant.NAME]`.
    Tenant,
    /// `[[tenant.NAME.force]]`.
    Force,
    /// `[tenant.NAME.quota]`.
    Quota,
}

/// What a key's value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// Any text.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// A whole number in this range.
    Integer(i64, i64),
    /// A number over 0 and at most this.
    Number(f64),
    /// `90s`.
    Time,
    /// `1GiB`.
    Bytes,
    /// `1,3,5-9`.
    Pages,
    /// A file or folder, from the file's own folder on.
    Path,
    /// The same, or `none`.
    PathOrNone,
    /// A model by its name, or a folder.
    Model,
    /// A component: its name, or a path.
    Plugin,
    /// Several, as a list.
    List(Box<Kind>),
    /// Several words in one text, parted by commas.
    Commas,
    /// A table of plugin limits.
    Limits,
    /// A table of plugins, each with a table of options.
    Options,
    /// A table of plugins, each with a list of capabilities.
    Grants,
    /// A table of a plugin's options.
    Values,
    /// A table of plugins with their digests.
    Digests,
    /// A table of this section.
    Table(Section),
    /// Tables of this section, one after the other.
    Tables(Section),
    /// Tables of this section, each with a name.
    Named(Section),
}

impl Kind {
    /// As messages call it.
    pub fn name(&self) -> String {
        match self {
            Kind::Switch => "true or false".into(),
            Kind::Text => "a text".into(),
            Kind::Choice(words) => format!("one of {}", quoted(words)),
            Kind::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Number(most) => format!("a number over 0 and at most {most}"),
            Kind::Time => "a time such as \"90s\"".into(),
            Kind::Bytes => "a size such as \"512MiB\"".into(),
            Kind::Pages => "pages such as \"1,3,5-9\"".into(),
            Kind::Path => "a path".into(),
            Kind::PathOrNone => "a path, or none".into(),
            Kind::Model => "a model's name or a folder".into(),
            Kind::Plugin => "a plugin's name or path".into(),
            Kind::List(of) => format!("a list, each {}", of.name()),
            Kind::Commas => "words parted by commas, in one text".into(),
            Kind::Limits => "a table of limits".into(),
            Kind::Options => "a table of plugins, each with a table of options".into(),
            Kind::Grants => "a table of plugins, each with a list of capabilities".into(),
            Kind::Values => "a table of options".into(),
            Kind::Digests => "a table of plugins with their digests".into(),
            Kind::Table(_) => "a table".into(),
            Kind::Tables(_) => "a list of tables".into(),
            Kind::Named(_) => "a table of tables".into(),
        }
    }
}

fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// A key of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub kind: Kind,
    /// One sentence, as the schema has it.
    pub about: String,
    /// What holds where nobody says anything, in words.
    pub default: Option<String>,
    /// The id of the flag that it is.
    pub flag: Option<String>,
}

fn key(name: &str, kind: Kind, about: &str) -> Key {
    Key {
        name: name.into(),
        kind,
        about: about.into(),
        default: None,
        flag: None,
    }
}

impl Key {
    fn or(mut self, default: &str) -> Self {
        self.default = Some(default.into());
        self
    }
}

/// Keys of which one at most is set; who sets one in a place that goes first sets all.
pub const GROUPS: [&[&str]; 4] = [
    &["to", "plugin", "compat"],
    &["task", "prompt"],
    &["verbose", "quiet"],
    &["pdf-password", "pdf-password-env"],
];

/// Those of [`GROUPS`] of which one place may set but one.
pub const EXCLUSIVE: [&[&str]; 3] = [GROUPS[1], GROUPS[2], GROUPS[3]];

/// Keys whose values from all places add up, the later ones winning.
pub const ADDED: [&str; 3] = ["plugin-opt", "plugin-limit", "grants"];

/// The flag that says where settings come from is no key; grants are a table, `grants`.
const NO_KEYS: [&str; 2] = ["config", "grant"];

/// What the flags' own parsers don't tell: ranges, and that a text is a path or a time.
fn known_kind(name: &str) -> Option<Kind> {
    Some(match name {
        "plugin" | "processor" => Kind::List(Box::new(Kind::Plugin)),
        "pdfium" => Kind::PathOrNone,
        "plugin-opt" => Kind::Options,
        "plugin-limit" => Kind::Limits,
        "pages" => Kind::Pages,
        "page-timeout" => Kind::Time,
        "model" => Kind::Model,
        "dpi" => Kind::Integer(36, 1200),
        "jobs" => Kind::Integer(1, 512),
        "max-crops" => Kind::Integer(2, 9),
        "max-new-tokens" => Kind::Integer(1, 8192),
        "no-repeat-ngram-size" | "no-repeat-ngram-window" => Kind::Integer(0, 8192),
        "gpu-memory-utilization" => Kind::Number(1.0),
        "mode" => Kind::Choice(
            ["tiny", "small", "base", "large", "gundam"]
                .map(String::from)
                .to_vec(),
        ),
        "retry-modes" => Kind::Commas,
        _ => return None,
    })
}

/// The flags of a conversion, as a command of their own that no environment variable completes.
pub fn command() -> Command {
    let command = Command::new("ocr-host")
        .no_binary_name(true)
        .disable_help_flag(true);
    ConvertArgs::augment_args(command).mut_args(|arg| arg.env(None))
}

fn flag_key(arg: &Arg) -> Option<Key> {
    let name = arg.get_long().filter(|name| !NO_KEYS.contains(name))?;
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let (about, default) = match help.split_once(" [default: ") {
        Some((about, rest)) => (about, rest.split_once(']').map(|(default, _)| default.to_owned())),
        None => (help.as_str(), None),
    };
    let words = arg.get_possible_values();
    let plain = match words.is_empty() {
        false => Kind::Choice(words.iter().map(|word| word.get_name().to_owned()).collect()),
        true if arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() => Kind::Path,
        true => Kind::Text,
    };
    let kind = known_kind(name).unwrap_or(match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count => Kind::Switch,
        ArgAction::Append => Kind::List(Box::new(plain)),
        _ => plain,
    });
    Some(Key {
        name: name.to_owned(),
        kind,
        about: about.replace(". Repeatable", ""),
        default,
        flag: Some(arg.get_id().to_string()),
    })
}

/// Flags, and what stands for a flag that holds a secret.
fn flags() -> Vec<Key> {
    let mut keys: Vec<Key> = command().get_arguments().filter_map(flag_key).collect();
    let about = "Environment variable that holds the password of encrypted PDFs";
    keys.push(key("pdf-password-env", Kind::Text, about));
    let about = "What components may do that they ask for and do not get by themselves";
    keys.push(key("grants", Kind::Grants, about));
    keys
}

impl Section {
    /// Its keys, in the order in which they are told of.
    pub fn keys(self) -> &'static [Key] {
        static KEYS: [OnceLock<Vec<Key>>; 5] = [const { OnceLock::new() }; 5];
        KEYS[self as usize].get_or_init(|| self.make())
    }

    /// The key called `name`.
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| key.name == name)
    }

    /// As messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Section::Head => "the file",
            Section::Workflow => "a workflow",
            Section::Tenant => "a tenant",
            Section::Force => "a forced processor",
            Section::Quota => "a quota",
        }
    }

    fn make(self) -> Vec<Key> {
        let list = |of| Kind::List(Box::new(of));
        match self {
            Section::Head => {
                let mut keys = flags();
                let about = "Workflows by name: `ocr-host run NAME`";
                keys.push(key("workflow", Kind::Named(Section::Workflow), about));
                let about = "Tenants by name: `ocr-host run WORKFLOW --tenant NAME`";
                keys.push(key("tenant", Kind::Named(Section::Tenant), about));
                keys
            }
            Section::Workflow => {
                let about = "Files, folders or patterns that are read where the command names none";
                let mut keys = vec![key("inputs", list(Kind::Path), about)];
                keys.extend(flags());
                keys
            }
            Section::Tenant => vec![
                key(
                    "output",
                    Kind::Path,
                    "The folder in which all is written for it; it writes nowhere else",
                ),
                key("workflows", list(Kind::Text), "Workflows that it may run").or("none"),
                key(
                    "inputs",
                    list(Kind::Path),
                    "What is read for it where the command names nothing",
                )
                .or("the workflow's"),
                key(
                    "plugins",
                    Kind::Digests,
                    "Plugins that may run for it beside the built-in ones, by digest",
                )
                .or("none"),
                key(
                    "force",
                    Kind::Tables(Section::Force),
                    "Processors that every page of it goes through",
                ),
                key(
                    "capabilities",
                    list(Kind::Choice(
                        Capability::ALL.map(|c| c.name().to_owned()).to_vec(),
                    )),
                    "The most that plugins may be granted for it",
                )
                .or("what the workflow grants"),
                key(
                    "limits",
                    Kind::Limits,
                    "The most that plugins may use for it, by limit",
                ),
                key(
                    "quota",
                    Kind::Table(Section::Quota),
                    "The most that a run may do for it",
                ),
                key(
                    "weight",
                    Kind::Integer(1, 1000),
                    "Its share of the engine beside other tenants",
                )
                .or("1"),
                key(
                    "priority",
                    Kind::Integer(-100, 100),
                    "Its pages go before all of a lower one",
                )
                .or("0"),
            ],
            Section::Force => vec![
                key(
                    "plugin",
                    Kind::Plugin,
                    "The processor: a built-in one, or one of the tenant's `plugins`",
                ),
                key(
                    "place",
                    Kind::Choice(vec!["first".into(), "last".into()]),
                    "Before or after the workflow's own",
                )
                .or("first"),
                key("options", Kind::Values, "Its options; nobody else can set them"),
            ],
            Section::Quota => {
                let most = i64::MAX;
                vec![
                    key("documents", Kind::Integer(0, most), "Documents that a run begins"),
                    key("pages", Kind::Integer(0, most), "Pages that a run reads"),
                    key(
                        "input-bytes",
                        Kind::Bytes,
                        "Bytes of all documents that a run begins",
                    ),
                    key("output-bytes", Kind::Bytes, "Bytes that a run writes"),
                    key(
                        "gpu",
                        Kind::Integer(0, most),
                        "Regions that plugins have recognised in a run",
                    ),
                    key("time", Kind::Time, "Time that a run may take"),
                ]
            }
        }
    }
}

/// Why `text` is no value of `key`; the flag's own parser has the last word.
pub fn refuse(key: &Key, text: &str) -> Result<(), String> {
    match &key.kind {
        Kind::Time => {
            let time = parse_duration(text)?;
            if key.flag.is_some() && time < LEAST_TIME {
                return Err(format!(
                    "`{text}` is too short; give {} s or more",
                    LEAST_TIME.as_secs()
                ));
            }
        }
        Kind::Bytes => {
            parse_bytes(text)?;
        }
        _ => {}
    }
    match key.flag {
        Some(_) => as_flag(key, text),
        None => Ok(()),
    }
}

/// The digits of `sha256:...`.
pub fn digest(text: &str) -> Result<&str, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    let fits = digits.len() == 64
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match fits {
        true => Ok(digits),
        false => Err(format!(
            "`{text}` is no digest; write `sha256:` and 64 digits, as `ocr-host plugin inspect` prints them"
        )),
    }
}

/// Why the flag would not take `text`.
fn as_flag(key: &Key, text: &str) -> Result<(), String> {
    static COMMAND: OnceLock<Command> = OnceLock::new();
    let line = [format!("--{}={text}", key.name)];
    let Err(error) = COMMAND.get_or_init(command).clone().try_get_matches_from(line) else {
        return Ok(());
    };
    let why = std::error::Error::source(&error).map(ToString::to_string);
    Err(why.unwrap_or_else(|| {
        let said = error.to_string();
        let first = said.lines().next().unwrap_or_default();
        first.trim_start_matches("error: ").to_owned()
    }))
}

/// The names of plugin limits.
pub fn limits() -> impl Iterator<Item = &'static str> {
    Quota::ALL.into_iter().map(Quota::name).chain(OF_COMPILATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_a_key_and_ranges_are_the_flags_own() {
        let head: Vec<&str> = Section::Head.keys().iter().map(|k| k.name.as_str()).collect();
        for flag in [
            "output",
            "to",
            "model",
            "task",
            "stream",
            "plugin-opt",
            "pdf-password",
        ] {
            assert!(head.contains(&flag), "{flag}");
            assert!(Section::Workflow.key(flag).is_some(), "{flag}");
        }
        assert!(!head.contains(&"config"));
        for key in Section::Head.keys() {
            if let Kind::Integer(least, most) = key.kind {
                let taken = |n: i64| as_flag(key, &n.to_string()).is_ok();
                assert!(taken(least) && taken(most), "{}", key.name);
                assert!(!taken(least - 1) && !taken(most + 1), "{}", key.name);
            }
            if let Kind::Choice(words) = &key.kind {
                assert!(
                    words.iter().all(|word| as_flag(key, word).is_ok()),
                    "{}",
                    key.name
                );
            }
        }
        assert_eq!(
            Section::Head.key("mode").unwrap().default.as_deref(),
            Some("gundam")
        );
    }

    #[test]
    fn a_flag_says_itself_what_is_wrong() {
        let why = |name: &str, text: &str| refuse(Section::Head.key(name).unwrap(), text).unwrap_err();
        assert!(why("device", "gpu").contains("cuda:N"));
        assert!(why("pages", "0").contains("count from 1"));
        assert!(why("task", "sing").starts_with("there is no task `sing`"));
        assert!(why("retry-modes", "base,huge").contains("no mode `huge`"));
        assert!(why("page-timeout", "10ms").contains("too short"));
        assert!(digest("sha256:abc").unwrap_err().contains("64 digits"));
    }
}
