//! Options of plugins: where they were given, to whom they go, and whether they fit.
//!
//! An option of the command line is text; one of a configuration file has a type and a line. Both are held against the
//! schema in the plugin's manifest before any plugin runs, and a complaint says where the option stands, what the plugin
//! takes and what was probably meant.

use crate::exit::{Exit, Failed};
use crate::plugins;
use ocr_runtime::{Manifest, Places, Plugin, suggest};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// One option as the user gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenOption {
    /// The plugin that it is for; without one it goes to every plugin that knows it.
    pub plugin: Option<String>,
    /// Its name.
    pub key: String,
    /// What it is to be.
    pub value: GivenValue,
}

/// What an option is to be.
#[derive(Debug, Clone, PartialEq)]
pub enum GivenValue {
    /// From the command line.
    Text(String),
    /// From a configuration file.
    File(Value, Place),
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.line)
    }
}

impl GivenOption {
    /// Reads `KEY=VALUE` or `PLUGIN.KEY=VALUE`.
    pub fn from_flag(flag: &str) -> Result<Self, Failed> {
        let (name, value) = flag.split_once('=').ok_or_else(|| {
            let why = format!("--plugin-opt: `{flag}` is not KEY=VALUE");
            Failed::new(Exit::Arguments, why)
        })?;
        let (plugin, key) = match name.rsplit_once('.') {
            Some((plugin, key)) => (Some(plugin.trim_end_matches(".wasm").to_owned()), key),
            None => (None, name),
        };
        Ok(Self {
            plugin,
            key: key.to_owned(),
            value: GivenValue::Text(value.to_owned()),
        })
    }

    /// Its line in a file; 0 on the command line.
    pub fn line(&self) -> usize {
        match &self.value {
            GivenValue::File(_, place) => place.line,
            GivenValue::Text(_) => 0,
        }
    }

    /// Where it stands, as the beginning of a message.
    fn place(&self) -> String {
        match (&self.value, &self.plugin) {
            (GivenValue::Text(_), _) => "--plugin-opt".to_owned(),
            (GivenValue::File(_, place), Some(plugin)) => format!("{place}: [plugin-opt.{plugin}]"),
            (GivenValue::File(_, place), None) => place.to_string(),
        }
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Failed {
        let exit = match self.value {
            GivenValue::Text(_) => Exit::Arguments,
            GivenValue::File(..) => Exit::Config,
        };
        Failed::new(exit, format!("{}: {why}", self.place()))
    }

    /// The value, as the plugin's schema takes it.
    fn value(&self, manifest: &Manifest) -> Result<Value, String> {
        match &self.value {
            GivenValue::Text(text) => manifest.config_value(&self.key, text),
            GivenValue::File(value, _) => {
                manifest.check_config_value(&self.key, value)?;
                Ok(value.clone())
            }
        }
    }
}

/// A TOML value as JSON has it; dates become texts.
pub fn json(value: &toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(whole) => Value::from(*whole),
        toml::Value::Boolean(set) => Value::from(*set),
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Float(number) => {
            let number = serde_json::Number::from_f64(*number);
            Value::Number(number.ok_or("infinity and not-a-number are no numbers that plugins know")?)
        }
        toml::Value::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| Ok::<_, String>((key.clone(), json(value)?)));
            Value::Object(entries.collect::<Result<_, _>>()?)
        }
    })
}

/// What a plugin is opened with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The options as a JSON object that fits the plugin's schema, defaults filled in.
    pub json: String,
    /// Where options were given that came from a file.
    pub places: Places,
}

/// A plugin's options so far, and where those of a file stand.
type Gathered = (Map<String, Value>, BTreeMap<String, String>);

/// The settings of each of `plugins`. `others` are plugins that a configuration file asks for; it may have options for
/// them even where this run does not use them.
pub fn settings(
    plugins: &[Arc<Plugin>],
    given: &[GivenOption],
    others: &[String],
) -> Result<Vec<Settings>, Failed> {
    let manifests: Vec<&Manifest> = plugins.iter().map(|p| p.manifest()).collect();
    let mut settings: Vec<Gathered> = vec![Default::default(); plugins.len()];
    for option in given {
        for at in takers(option, &manifests, others)? {
            let mut value = option.value(manifests[at]).map_err(|why| option.wrong(why))?;
            let (config, places) = &mut settings[at];
            // Flags that give a list piece by piece give all of it; what a file says is replaced.
            let by_flag = matches!(option.value, GivenValue::Text(_)) && !places.contains_key(&option.key);
            if let Some(before) = config.get(&option.key).filter(|_| by_flag) {
                let both = Value::Array([list(before), list(&value)].concat());
                if manifests[at].check_config_value(&option.key, &both).is_ok() {
                    value = both;
                }
            }
            config.insert(option.key.clone(), value);
            match &option.value {
                GivenValue::File(_, place) => places.insert(option.key.clone(), place.to_string()),
                GivenValue::Text(_) => places.remove(&option.key),
            };
        }
    }
    let complete = |(manifest, (config, places)): (&&Manifest, Gathered)| {
        let config = manifest
            .complete_config(config)
            .map_err(|why| Failed::new(Exit::Arguments, why))?;
        let json = Value::Object(config).to_string();
        Ok(Settings {
            json,
            places: Places::new(places),
        })
    };
    manifests.iter().zip(settings).map(complete).collect()
}

/// The items of a list; anything else is its own only item.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

/// The plugins that an option goes to, by index.
fn takers(option: &GivenOption, manifests: &[&Manifest], others: &[String]) -> Result<Vec<usize>, Failed> {
    let key = option.key.as_str();
    let Some(name) = option.plugin.as_deref() else {
        let knows = |m: &Manifest| m.config_properties().is_some_and(|p| p.contains_key(key));
        let found: Vec<usize> = (0..manifests.len()).filter(|&at| knows(manifests[at])).collect();
        return match found.is_empty() {
            false => Ok(found),
            true => Err(option.wrong(nobody_knows(key, manifests))),
        };
    };
    let by_id = manifests.iter().position(|m| m.id == name);
    let by_alias: Vec<usize> = (0..manifests.len())
        .filter(|&at| manifests[at].answers_to(name))
        .collect();
    match (by_id, &by_alias[..]) {
        (Some(at), _) => Ok(vec![at]),
        (None, &[at]) => Ok(vec![at]),
        (None, []) => {
            elsewhere(option, name, manifests, others)?;
            Ok(Vec::new())
        }
        (None, several) => {
            let ids: Vec<&str> = several.iter().map(|&at| manifests[at].id.as_str()).collect();
            Err(option.wrong(format!(
                "`{name}` can be {}; write the name of the one you mean",
                ids.join(" or ")
            )))
        }
    }
}

fn nobody_knows(key: &str, manifests: &[&Manifest]) -> String {
    let mut known: Vec<(&str, &str)> = Vec::new();
    for manifest in manifests {
        let keys = manifest.config_properties().into_iter().flatten();
        known.extend(keys.map(|(key, _)| (key.as_str(), manifest.id.as_str())));
    }
    let near = suggest::hint(key, known.iter().map(|(key, _)| *key));
    let listed: Vec<String> = known.iter().map(|(key, id)| format!("{id}.{key}")).collect();
    match listed.is_empty() {
        true => format!("no plugin takes `{key}`; those of this run have no options"),
        false => format!(
            "no plugin of this run takes `{key}`; it knows {}{near}",
            listed.join(", ")
        ),
    }
}

/// An option for a plugin that takes no part in this run. A configuration file may have it, if the plugin is known and
/// would take it; a flag may not.
fn elsewhere(
    option: &GivenOption,
    name: &str,
    manifests: &[&Manifest],
    others: &[String],
) -> Result<(), Failed> {
    let known = plugins::known_manifests(others);
    let meant = known
        .iter()
        .find(|m| m.id == name)
        .or_else(|| known.iter().find(|m| m.answers_to(name)));
    match (meant, &option.value) {
        (Some(manifest), GivenValue::File(..)) => {
            option.value(manifest).map(drop).map_err(|why| option.wrong(why))
        }
        (Some(manifest), GivenValue::Text(_)) => Err(option.wrong(format!(
            "plugin `{}` takes no part in this run; {}",
            manifest.id,
            match manifest.aliases.first() {
                Some(alias) => format!("ask for it with --to {alias}, or leave the option out"),
                None => format!(
                    "ask for it with --plugin {}, or leave the option out",
                    manifest.id
                ),
            }
        ))),
        (None, _) => {
            let running = manifests.iter().map(|m| m.id.as_str());
            let names: Vec<&str> = running.chain(known.iter().map(|m| m.id.as_str())).collect();
            let aliases = known.iter().flat_map(|m| &m.aliases).map(String::as_str);
            let near = suggest::hint(name, names.iter().copied().chain(aliases));
            let mut all = names.clone();
            all.sort_unstable();
            all.dedup();
            Err(option.wrong(format!(
                "there is no plugin `{name}`; known are {}{near}",
                all.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_address_a_plugin_or_all() {
        let read = |flag: &str| {
            let given = GivenOption::from_flag(flag).unwrap();
            (given.plugin, given.key, given.value)
        };
        let text = |t: &str| GivenValue::Text(t.to_owned());
        assert_eq!(read("boxes=false"), (None, "boxes".into(), text("false")));
        assert_eq!(
            read("html-out.title=a=b.c"),
            (Some("html-out".into()), "title".into(), text("a=b.c"))
        );
        assert_eq!(
            read("html-out.wasm.boxes=1"),
            (Some("html-out".into()), "boxes".into(), text("1"))
        );
        assert!(GivenOption::from_flag("boxes").is_err());
    }

    #[test]
    fn values_of_files_keep_their_types() {
        let table: toml::Table = toml::from_str("x = [1.5, true, 2026-11-28, {a = 1}]").unwrap();
        assert_eq!(
            json(&table["x"]).unwrap(),
            serde_json::json!([1.5, true, "2026-11-28", {"a": 1}])
        );
        assert!(json(&toml::Value::Float(f64::NAN)).is_err());
    }
}
