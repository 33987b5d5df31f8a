//! A plugin's settings as the user gave them, parsed into the plugin's own type.

use crate::{Diagnostic, Error, Severity};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The settings of one run. The host has checked them against the manifest's schema and filled its defaults in.
#[derive(Debug, Clone, Default)]
pub struct Config {
    json: String,
}

impl Config {
    /// Settings from the JSON text of an object; empty text means none.
    pub fn new(json: impl Into<String>) -> Self {
        Self { json: json.into() }
    }

    /// The JSON text as it came.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The settings as a type of the plugin's own; put `#[serde(default, deny_unknown_fields)]` on it. An error
    /// names the setting at fault.
    ///
    /// ```
    /// #[derive(serde::Deserialize, Default)]
    /// #[serde(default, deny_unknown_fields)]
    /// struct Settings { columns: u32 }
    ///
    /// let error = ocr_plugin::Config::new(r#"{"columns": "two"}"#).parse::<Settings>().err().unwrap();
    /// assert!(error.message().starts_with("setting `columns`: invalid type"), "{}", error.message());
    /// ```
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let text = if self.json.trim().is_empty() {
            "{}"
        } else {
            &self.json
        };
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|e| config_error(format!("the settings are no JSON object: {e}")))?;
        serde_json::from_value(Value::Object(object.clone())).map_err(|e| {
            // serde_json forgets which key it was reading; the culprit is the one without which the complaint changes.
            let culprit = object.keys().find(|key| {
                let mut rest = object.clone();
                rest.remove(*key);
                serde_json::from_value::<T>(Value::Object(rest))
                    .err()
                    .map(|e| e.to_string())
                    != Some(e.to_string())
            });
            config_error(match culprit {
                Some(key) => format!("setting `{key}`: {e}"),
                None => format!("settings: {e}"),
            })
        })
    }
}

fn config_error(message: String) -> Error {
    Error::Config(vec![Diagnostic::new(Severity::Error, "config", message)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug, Default, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        columns: u32,
        mode: String,
    }

    fn complaint(json: &str) -> String {
        Config::new(json).parse::<Settings>().unwrap_err().message()
    }

    #[test]
    fn no_settings_are_the_defaults() {
        assert_eq!(Config::new(" ").parse::<Settings>().unwrap(), Settings::default());
    }

    #[test]
    fn complaints_name_the_setting() {
        assert!(complaint(r#"{"mode": "x", "columns": -1}"#).starts_with("setting `columns`: "));
        assert!(complaint(r#"{"mode": "x", "colums": 1}"#).starts_with("setting `colums`: unknown field"));
        assert!(complaint("[1]").starts_with("the settings are no JSON object"));
    }
}
