//! Where options were given, for what plugins have to say of them: a complaint about `pattern` is more use with the file
//! and the line that it stands on.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Where options were given, by their names: `ocr-host.toml, line 3`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Option<Arc<BTreeMap<String, String>>>);

impl Places {
    /// The places of some options; the others were given on the command line, or not at all.
    pub fn new(places: BTreeMap<String, String>) -> Self {
        Self((!places.is_empty()).then(|| Arc::new(places)))
    }

    /// A message of a plugin, with the place of the option that it names first, in backquotes.
    pub(crate) fn with_place(&self, message: &str) -> String {
        let places = self.0.iter().flat_map(|places| places.iter());
        let named = places.filter_map(|(option, place)| Some((message.find(&format!("`{option}`"))?, place)));
        match named.min_by_key(|(at, _)| *at) {
            Some((_, place)) => format!("{place}: {message}"),
            None => message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_the_place_of_the_option_it_names() {
        let places = [("pattern", "a.toml, line 2"), ("mode", "a.toml, line 3")];
        let places = Places::new(places.map(|(option, place)| (option.into(), place.into())).into());
        assert_eq!(
            places.with_place("setting `pattern`: unclosed group; `mode` is fine"),
            "a.toml, line 2: setting `pattern`: unclosed group; `mode` is fine"
        );
        assert_eq!(places.with_place("no pattern"), "no pattern");
        assert_eq!(Places::default().with_place("`pattern`"), "`pattern`");
    }
}
