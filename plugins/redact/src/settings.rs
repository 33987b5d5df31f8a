//! The settings, checked: what there is to find, and that it can be found.
//!
//! Nothing to find is an error, and so is an empty list or entry: it is what a variable that was not set leaves
//! behind, and it must not pass for "nothing to redact".

use crate::kinds::{KINDS, Kind, Shape};
use crate::terms::Term;
use crate::text;
use ocr_plugin::{Config, Diagnostic, Error, Result, Severity};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::HashSet;
use unicode_normalization::UnicodeNormalization;

/// Most memory that one pattern may take, bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// Most terms and patterns; each takes memory and time on every page.
const MOST: usize = 10_000;

/// A list, or one text that holds its items.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Items {
    One(String),
    Many(Vec<String>),
}

impl Items {
    fn split(self, at: &[char]) -> Vec<String> {
        match self {
            Items::One(text) => text.split(at).map(str::to_owned).collect(),
            // A flag's text may be one of several items.
            Items::Many(items) => {
                let within = |item: &String| item.split(at).map(str::to_owned).collect::<Vec<_>>();
                items.iter().flat_map(within).collect()
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Case {
    #[default]
    Fold,
    Exact,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    kinds: Option<Items>,
    terms: Option<Items>,
    patterns: Option<Items>,
    case: Case,
    whole_words: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kinds: None,
            terms: None,
            patterns: None,
            case: Case::default(),
            whole_words: true,
        }
    }
}

/// What there is to find.
#[derive(Debug)]
pub struct Wanted {
    pub shapes: Vec<Shape>,
    pub terms: Vec<Term>,
    pub patterns: Vec<Regex>,
    /// Whether terms are found in capitals and small letters alike.
    pub folds_case: bool,
    pub whole_words: bool,
}

impl Wanted {
    pub fn new(config: &Config) -> Result<Self> {
        let settings: Settings = config.parse()?;
        let mut wrong = Vec::new();
        let mut complain = |why: String| wrong.push(Diagnostic::new(Severity::Error, "config", why));
        let folds_case = matches!(settings.case, Case::Fold);
        if settings.kinds.is_none() && settings.terms.is_none() && settings.patterns.is_none() {
            let names: Vec<&str> = KINDS.iter().map(|k| k.name()).collect();
            let kinds = names.join(", ");
            complain(format!(
                "there is nothing to redact: set `kinds` (of {kinds}), `terms` or `patterns`"
            ));
        }
        let mut items = |name: &str, given: Option<Items>, at: &[char]| {
            let Some(given) = given else {
                return Vec::new();
            };
            let items = given.split(at);
            if items.iter().all(|i| i.trim().is_empty()) {
                complain(format!(
                    "setting `{name}` is empty; leave it out if it is not meant"
                ));
                return Vec::new();
            }
            if let Some(at) = items.iter().position(|i| i.trim().is_empty()) {
                complain(format!(
                    "setting `{name}`: item {} of {} is empty",
                    at + 1,
                    items.len()
                ));
            }
            if items.len() > MOST {
                complain(format!(
                    "setting `{name}`: {} items are more than {MOST}",
                    items.len()
                ));
                return Vec::new();
            }
            items
        };
        let kinds = items("kinds", settings.kinds, &[',', '\n']);
        let terms = items("terms", settings.terms, &['\n']);
        let patterns = items("patterns", settings.patterns, &['\n']);
        let full = |items: Vec<String>| {
            items
                .into_iter()
                .enumerate()
                .filter(|(_, i)| !i.trim().is_empty())
        };

        let mut chosen = HashSet::new();
        for (_, name) in full(kinds) {
            match kind(name.trim()) {
                Ok(kind) => {
                    chosen.insert(kind);
                }
                Err(why) => complain(format!("setting `kinds`: {why}")),
            }
        }
        let shapes: Vec<Kind> = KINDS.into_iter().filter(|k| chosen.contains(k)).collect();
        let shapes = shapes.into_iter().map(Shape::new).collect::<Result<_>>()?;

        let mut read_terms = Vec::new();
        for (at, term) in full(terms) {
            match Term::new(&term, folds_case) {
                Some(term) => read_terms.push(term),
                None => complain(format!(
                    "setting `terms`: item {} holds nothing that can be seen",
                    at + 1
                )),
            }
        }
        let mut read_patterns = Vec::new();
        for (at, pattern) in full(patterns) {
            match compile(&pattern, folds_case) {
                Ok(pattern) => read_patterns.push(pattern),
                Err(why) => complain(format!("setting `patterns`: item {}{why}", at + 1)),
            }
        }
        if !wrong.is_empty() {
            return Err(Error::Config(wrong));
        }
        Ok(Self {
            shapes,
            terms: read_terms,
            patterns: read_patterns,
            folds_case,
            whole_words: settings.whole_words,
        })
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    KINDS.into_iter().find(|k| k.name() == name).ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|k| k.name()).collect();
        format!("there is no kind `{name}`; the kinds are {}", names.join(", "))
    })
}

/// A user's expression, in the normal forms that text has when it is searched. The complaint begins with the place.
fn compile(pattern: &str, folds_case: bool) -> Result<Regex, String> {
    if let Err(error) = regex_syntax::Parser::new().parse(pattern) {
        let (at, why) = match &error {
            regex_syntax::Error::Parse(e) => (e.span().start.column, e.kind().to_string()),
            regex_syntax::Error::Translate(e) => (e.span().start.column, e.kind().to_string()),
            _ => (1, error.to_string()),
        };
        return Err(format!(", column {at}: {why}"));
    }
    let normal: String = pattern.nfc().map(literal).collect();
    let built = RegexBuilder::new(&normal)
        .case_insensitive(folds_case)
        .size_limit(PATTERN_BYTES)
        .build();
    let regex = built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!(": it takes more than {PATTERN_BYTES} bytes; use smaller repetitions")
        }
        error => format!(": {error}"),
    })?;
    if regex.is_match("") {
        return Err(": it is found in an empty text, so it would be found everywhere; make it longer".into());
    }
    Ok(regex)
}

/// A character of an expression as folded text has it.
fn literal(c: char) -> String {
    if c.is_ascii() {
        return c.into();
    }
    match text::plain(c) {
        None => String::new(),
        Some('-') => r"\-".into(),
        Some(plain) => {
            let folded: String = std::iter::once(plain).nfkc().collect();
            // What would mean something else in an expression stays as it is.
            let safe = folded.chars().all(|c| c.is_alphanumeric() || c == ' ');
            if safe { folded } else { plain.into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(json: &str) -> String {
        Wanted::new(&Config::new(json)).unwrap_err().message()
    }

    #[test]
    fn nothing_to_find_is_an_error() {
        assert!(complaint("{}").starts_with("there is nothing to redact: set `kinds` (of url, email,"));
        assert!(complaint(r#"{"case": "exact"}"#).starts_with("there is nothing to redact"));
        for setting in ["kinds", "terms", "patterns"] {
            for empty in ["\"\"", "[]", "\" \"", "[\"\"]"] {
                let why = complaint(&format!(r#"{{"{setting}": {empty}}}"#));
                assert_eq!(
                    why,
                    format!("setting `{setting}` is empty; leave it out if it is not meant")
                );
            }
        }
        let beside = complaint(r#"{"kinds": ["email"], "terms": ""}"#);
        assert_eq!(
            beside,
            "setting `terms` is empty; leave it out if it is not meant"
        );
        assert_eq!(
            complaint(r#"{"terms": ["a", ""]}"#),
            "setting `terms`: item 2 of 2 is empty"
        );
    }

    #[test]
    fn wrong_settings_are_named_with_their_place() {
        assert!(
            complaint(r#"{"kinds": "email,fone"}"#)
                .starts_with("setting `kinds`: there is no kind `fone`; the kinds are ")
        );
        assert_eq!(
            complaint(r#"{"patterns": ["ok", "AZ-(\\d+"]}"#),
            "setting `patterns`: item 2, column 4: unclosed group"
        );
        assert!(
            complaint(r#"{"patterns": "\\p{Foo}"}"#)
                .starts_with("setting `patterns`: item 1, column 1: Unicode property not found")
        );
        assert!(complaint(r#"{"patterns": ["x*"]}"#).contains("item 1: it is found in an empty text"));
        assert!(complaint(r#"{"patterns": ["(\\w{1000}){1000}"]}"#).contains("more than 1048576 bytes"));
        assert_eq!(
            complaint("{\"terms\": [\"\u{200b}\"]}"),
            "setting `terms`: item 1 holds nothing that can be seen"
        );
        assert!(complaint(r#"{"term": "x"}"#).contains("unknown field `term`"));
        let both = complaint(r#"{"kinds": "x", "patterns": "("}"#);
        assert!(
            both.contains("no kind `x`") && both.contains("unclosed group"),
            "{both}"
        );
    }

    #[test]
    fn lists_may_be_one_text() {
        let wanted = Wanted::new(&Config::new(
            r#"{"kinds": ["email, iban", "email"], "terms": "Anna\nBert", "patterns": "a,b"}"#,
        ))
        .unwrap();
        assert_eq!(
            wanted.shapes.iter().map(|s| s.kind).collect::<Vec<_>>(),
            [Kind::Email, Kind::Iban]
        );
        assert_eq!((wanted.terms.len(), wanted.patterns.len()), (2, 1));
    }
}
