//! From TOML to entries of known keys, each with its place. Everything that is wrong on the way is a problem of its
//! own, and reading goes on behind it.

use super::keys::{EXCLUSIVE, Key, Kind, Section, digest, limits, refuse};
use super::problem::{Problem, Problems, Source, Span, like};
use super::settle::placed;
use crate::grants::Grant;
use ocr_runtime::Limits;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A text and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub text: String,
    pub at: Span,
}

/// A key of a free table with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub key: Item,
    pub value: Json,
    pub at: Span,
}

/// A key that was set.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: &'static Key,
    /// Where the key stands.
    pub at: Span,
    pub value: Value,
}

/// What it was set to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Switch(bool),
    /// One value, or the items of a list, as a flag takes them.
    Items(Vec<Item>),
    Pairs(Vec<Pair>),
    /// Tables of pairs by name.
    Groups(Vec<(Item, Vec<Pair>)>),
    Table(Entries),
    Tables(Vec<Entries>),
    Named(Vec<(Item, Entries)>),
}

/// A section's entries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries {
    /// Where the section begins.
    pub at: Span,
    pub list: Vec<Entry>,
}

impl Entries {
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.list.iter().find(|entry| entry.key.name == name)
    }

    /// The items of a key; none where it is not set.
    pub fn items(&self, name: &str) -> &[Item] {
        match self.get(name).map(|entry| &entry.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// The one value of a key.
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items(name).first()
    }

    pub fn pairs(&self, name: &str) -> &[Pair] {
        match self.get(name).map(|entry| &entry.value) {
            Some(Value::Pairs(pairs)) => pairs,
            _ => &[],
        }
    }

    /// A number that was checked when it was read.
    pub fn number(&self, name: &str) -> Option<(i64, Span)> {
        let item = self.item(name)?;
        Some((item.text.parse().ok()?, item.at.clone()))
    }
}

/// Reads a file's text.
pub fn read(source: &Source, problems: &mut Problems) -> Entries {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let mut broken = BTreeSet::new();
    for error in errors {
        let end = source.text.len();
        let at = error.span().unwrap_or(end..end);
        broken.insert(source.place(at.start).0);
        let problem = Problem::error(at, error.message().trim_end()).label("this is no TOML");
        problems.push(problem);
    }
    let reader = Reader { source };
    let mut found = Problems::default();
    let entries = reader.section(Section::Head, table.get_ref(), 0..0, &mut found);
    // What the parser made of a broken line is not what was meant, and nothing to complain of.
    found.retain(|problem| !broken.contains(&source.place(problem.at.start).0));
    problems.extend(found);
    entries
}

struct Reader<'a> {
    source: &'a Source,
}

impl Reader<'_> {
    fn section(&self, section: Section, table: &DeTable, at: Span, problems: &mut Problems) -> Entries {
        let mut entries = Entries { at, list: Vec::new() };
        let mut pairs: Vec<_> = table.iter().collect();
        pairs.sort_by_key(|(key, _)| key.span().start);
        for (name, value) in pairs {
            let Some(key) = section.key(name.get_ref()) else {
                problems.push(unknown(section, name));
                continue;
            };
            if let Some(value) = self.value(key, &key.kind, value, problems) {
                let at = name.span();
                entries.list.push(Entry { key, at, value });
            }
        }
        for group in EXCLUSIVE {
            let set: Vec<&Entry> = entries
                .list
                .iter()
                .filter(|e| group.contains(&e.key.name.as_str()))
                .collect();
            // `verbose = false` beside `quiet = true` asks for nothing impossible.
            let set: Vec<&Entry> = set
                .into_iter()
                .filter(|e| e.value != Value::Switch(false))
                .collect();
            if let [first, second, ..] = set[..] {
                let why = format!(
                    "`{}` and `{}` exclude each other",
                    first.key.name, second.key.name
                );
                problems.push(
                    Problem::error(second.at.clone(), why)
                        .label("leave one out")
                        .also(first.at.clone(), ""),
                );
            }
        }
        entries
    }

    fn value(
        &self,
        key: &'static Key,
        kind: &Kind,
        value: &Spanned<DeValue>,
        problems: &mut Problems,
    ) -> Option<Value> {
        let at = value.span();
        let mut wrong = |help: Option<String>| {
            let found = found(value.get_ref());
            let why = format!("`{}` takes {}, not {found}", key.name, kind.name());
            problems.push(Problem {
                help,
                ..Problem::error(at.clone(), why).label(format!("this is {found}"))
            });
            None
        };
        match (kind, value.get_ref()) {
            (Kind::Switch, DeValue::Boolean(is)) => Some(Value::Switch(*is)),
            (Kind::List(of), DeValue::Array(items)) => {
                let items = items.iter().filter_map(|item| self.item(key, of, item, problems));
                Some(Value::Items(items.collect()))
            }
            (Kind::List(_), DeValue::String(text)) => {
                wrong(Some(format!("write it as a list: [{:?}]", text.as_ref())))
            }
            // What a flag takes as one text may stand as the list that it is.
            (Kind::Commas, DeValue::Array(items)) => {
                let words: Option<Vec<String>> = items
                    .iter()
                    .map(|item| item.get_ref().as_str().map(str::to_owned))
                    .collect();
                let Some(words) = words else { return wrong(None) };
                self.checked(key, kind, words.join(","), at, problems)
                    .map(|item| Value::Items(vec![item]))
            }
            (Kind::Limits, DeValue::Table(table)) => Some(Value::Pairs(self.limits(table, problems))),
            (Kind::Grants, DeValue::Table(table)) => Some(Value::Items(self.grants(table, problems))),
            (Kind::Digests, DeValue::Table(table)) => Some(Value::Pairs(self.digests(table, problems))),
            (Kind::Values, DeValue::Table(table)) => Some(Value::Pairs(self.pairs(table, problems))),
            (Kind::Options, DeValue::Table(table)) => {
                let mut groups = Vec::new();
                for (name, options) in sorted(table) {
                    match options.get_ref() {
                        DeValue::Table(options) => groups.push((name, self.pairs(options, problems))),
                        other => {
                            let why = format!("`{}` takes {}", key.name, kind.name());
                            let help = format!("name the plugin: [{}.PLUGIN]", key.name);
                            let problem = Problem::error(options.span(), why)
                                .label(format!("this is {}", found(other)));
                            problems.push(problem.help(help));
                        }
                    }
                }
                Some(Value::Groups(groups))
            }
            (Kind::Table(section), DeValue::Table(table)) => {
                Some(Value::Table(self.section(*section, table, at, problems)))
            }
            (Kind::Tables(section), DeValue::Array(tables)) => {
                Some(Value::Tables(self.tables(*section, key, tables, problems)))
            }
            (Kind::Named(section), DeValue::Table(table)) => {
                Some(Value::Named(self.named(*section, key, table, problems)))
            }
            (
                Kind::Switch
                | Kind::List(_)
                | Kind::Limits
                | Kind::Digests
                | Kind::Grants
                | Kind::Values
                | Kind::Options
                | Kind::Table(_)
                | Kind::Tables(_)
                | Kind::Named(_),
                _,
            ) => wrong(None),
            (_, DeValue::Array(_) | DeValue::Table(_)) => wrong(None),
            _ => self
                .item(key, kind, value, problems)
                .map(|item| Value::Items(vec![item])),
        }
    }

    /// A value that is one text, number or time.
    fn item(
        &self,
        key: &'static Key,
        kind: &Kind,
        value: &Spanned<DeValue>,
        problems: &mut Problems,
    ) -> Option<Item> {
        let at = value.span();
        let wrong = |help: Option<String>, problems: &mut Problems| {
            let found = found(value.get_ref());
            let why = format!("`{}` takes {}, not {found}", key.name, kind.name());
            problems.push(Problem {
                help,
                ..Problem::error(at.clone(), why).label(format!("this is {found}"))
            });
            None
        };
        let text = match (kind, value.get_ref()) {
            (Kind::Integer(least, most), DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                match number.filter(|n| (least..=most).contains(&n)) {
                    Some(number) => number.to_string(),
                    None => {
                        let why = format!("`{}` is not in {least}..={most}", key.name);
                        problems.push(Problem::error(at, why).label(match *most {
                            i64::MAX => "give a number that is not negative".to_owned(),
                            most => format!("give {least} to {most}"),
                        }));
                        return None;
                    }
                }
            }
            (Kind::Number(_), DeValue::Integer(number)) => number.to_string(),
            (Kind::Number(_), DeValue::Float(number)) => number.as_str().to_owned(),
            (Kind::Integer(..) | Kind::Number(_), DeValue::String(text)) if text.parse::<f64>().is_ok() => {
                return wrong(Some(format!("write it without quotes: {text}")), problems);
            }
            (Kind::Integer(..) | Kind::Number(_), _) => return wrong(None, problems),
            // A bare number is seconds, bytes, a page.
            (Kind::Time | Kind::Bytes | Kind::Pages, DeValue::Integer(number)) => number.to_string(),
            (Kind::Time, DeValue::Float(number)) => number.as_str().to_owned(),
            (_, DeValue::String(text)) => text.as_ref().to_owned(),
            _ => return wrong(None, problems),
        };
        self.checked(key, kind, text, at, problems)
    }

    fn checked(
        &self,
        key: &'static Key,
        kind: &Kind,
        text: String,
        at: Span,
        problems: &mut Problems,
    ) -> Option<Item> {
        if let Kind::Choice(words) = kind
            && !words.contains(&text)
        {
            let why = format!("`{}` is {}, not `{text}`", key.name, kind.name());
            let mut problem = Problem::error(at, why);
            if let Some(meant) = like(&text, words.iter().map(String::as_str)) {
                problem = problem.label(format!("did you mean `{meant}`?"));
            }
            problems.push(problem);
            return None;
        }
        // A relative folder is looked at where the file is.
        let looked_at = match kind {
            Kind::Model => placed(kind, &text, self.source.folder())
                .to_string_lossy()
                .into_owned(),
            _ => text.clone(),
        };
        match refuse(key, &looked_at) {
            Ok(()) => Some(Item { text, at }),
            Err(why) => {
                problems.push(Problem::error(at, format!("`{}`: {why}", key.name)));
                None
            }
        }
    }

    fn limits(&self, table: &DeTable, problems: &mut Problems) -> Vec<Pair> {
        let mut pairs = self.pairs(table, problems);
        pairs.retain(|pair| {
            let name = &pair.key.text;
            if !limits().any(|limit| limit == name) {
                let mut problem =
                    Problem::error(pair.key.at.clone(), format!("there is no plugin limit `{name}`")).help(
                        format!("the limits are {}", limits().collect::<Vec<_>>().join(", ")),
                    );
                if let Some(meant) = like(name, limits()) {
                    problem = problem.label(format!("did you mean `{meant}`?"));
                }
                problems.push(problem);
                return false;
            }
            match Limits::default().set(name, &as_flag(&pair.value)) {
                Ok(()) => true,
                Err(why) => {
                    problems.push(Problem::error(pair.at.clone(), format!("limit `{name}`: {why}")));
                    false
                }
            }
        });
        pairs
    }

    /// Each as its flag has it: `PLUGIN=CAPABILITY,CAPABILITY`.
    fn grants(&self, table: &DeTable, problems: &mut Problems) -> Vec<Item> {
        let mut grants = Vec::new();
        for pair in self.pairs(table, problems) {
            let words: Option<Vec<&str>> = pair
                .value
                .as_array()
                .and_then(|words| words.iter().map(Json::as_str).collect());
            let Some(words) = words else {
                let why = format!("`{}` takes a list of capabilities", pair.key.text);
                problems.push(Problem::error(pair.at, why).help("for example [\"page.raster\"]"));
                continue;
            };
            if words.is_empty() {
                continue;
            }
            let plugin = placed(&Kind::Plugin, &pair.key.text, self.source.folder());
            let text = format!("{}={}", plugin.to_string_lossy(), words.join(","));
            match text.parse::<Grant>() {
                Ok(_) => grants.push(Item {
                    text,
                    at: pair.key.at,
                }),
                Err(why) => problems.push(Problem::error(pair.at, why)),
            }
        }
        grants
    }

    fn digests(&self, table: &DeTable, problems: &mut Problems) -> Vec<Pair> {
        let mut pairs = self.pairs(table, problems);
        pairs.retain(|pair| {
            let why = match pair.value.as_str() {
                Some(text) => digest(text).err(),
                None => Some(format!(
                    "`{}` takes a text such as \"sha256:9f86...\"",
                    pair.key.text
                )),
            };
            let is_right = why.is_none();
            if let Some(why) = why {
                problems.push(Problem::error(pair.at.clone(), why));
            }
            is_right
        });
        pairs
    }

    fn pairs(&self, table: &DeTable, problems: &mut Problems) -> Vec<Pair> {
        let pair = |(key, value): (Item, &Spanned<DeValue>)| match json(value.get_ref()) {
            Some(json) => Some(Pair {
                key,
                value: json,
                at: value.span(),
            }),
            None => {
                let why = format!(
                    "`{}` is {}, which no option takes",
                    key.text,
                    found(value.get_ref())
                );
                problems.push(Problem::error(value.span(), why).help("write it as a text, in quotes"));
                None
            }
        };
        sorted(table).into_iter().filter_map(pair).collect()
    }

    fn tables(&self, section: Section, key: &Key, tables: &DeArray, problems: &mut Problems) -> Vec<Entries> {
        let mut read = Vec::new();
        for table in tables.iter() {
            match table.get_ref() {
                DeValue::Table(entries) => read.push(self.section(section, entries, table.span(), problems)),
                other => {
                    let why = format!("`{}` takes a list of tables", key.name);
                    problems
                        .push(Problem::error(table.span(), why).label(format!("this is {}", found(other))));
                }
            }
        }
        read
    }

    fn named(
        &self,
        section: Section,
        key: &Key,
        table: &DeTable,
        problems: &mut Problems,
    ) -> Vec<(Item, Entries)> {
        let mut read = Vec::new();
        for (name, value) in sorted(table) {
            let DeValue::Table(entries) = value.get_ref() else {
                let why = format!("`{}` holds tables by name", key.name);
                let help = format!("give it a name: [{}.NAME]", key.name);
                problems.push(
                    Problem::error(name.at.clone(), why)
                        .label("this is no table")
                        .help(help),
                );
                continue;
            };
            if !is_plain(&name.text) {
                let why = format!("{:?} is no name for {}", name.text, section.name());
                let help = "a name is 1 to 64 of a-z, 0-9, - and _; a folder is called like it";
                problems.push(Problem::error(name.at.clone(), why).help(help));
                continue;
            }
            let at = name.at.clone();
            read.push((name, self.section(section, entries, at, problems)));
        }
        read
    }
}

/// Names that become folders.
pub fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

/// A table in the order in which it is written.
fn sorted<'a>(table: &'a DeTable) -> Vec<(Item, &'a Spanned<DeValue<'a>>)> {
    let mut pairs: Vec<(Item, &Spanned<DeValue>)> = table
        .iter()
        .map(|(key, value)| {
            let (text, at) = (key.get_ref().to_string(), key.span());
            (Item { text, at }, value)
        })
        .collect();
    pairs.sort_by_key(|(key, _)| key.at.start);
    pairs
}

fn unknown(section: Section, name: &Spanned<std::borrow::Cow<str>>) -> Problem {
    let word = name.get_ref();
    let problem = Problem::error(
        name.span(),
        format!("there is no key `{word}` for {}", section.name()),
    );
    let known = section.keys().iter().map(|key| key.name.as_str());
    if let Some(meant) = like(word, known) {
        return problem.label(format!("did you mean `{meant}`?"));
    }
    let elsewhere = [
        Section::Head,
        Section::Workflow,
        Section::Tenant,
        Section::Quota,
        Section::Force,
    ];
    match elsewhere.into_iter().find(|other| other.key(word).is_some()) {
        Some(other) => problem.label(format!("it is a key of {}", other.name())),
        None => {
            let mut known: Vec<&str> = section.keys().iter().map(|key| key.name.as_str()).collect();
            known.sort_unstable();
            problem.help(format!("the keys are {}", known.join(", ")))
        }
    }
}

/// What a value is, in words.
fn found(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The same value in JSON, as plugins get it; dates are none.
fn json(value: &DeValue) -> Option<Json> {
    Some(match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => Json::from(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => {
            serde_json::Number::from_f64(number.as_str().parse().ok()?).map(Json::Number)?
        }
        DeValue::Boolean(is) => Json::Bool(*is),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => Json::Array(
            items
                .iter()
                .map(|item| json(item.get_ref()))
                .collect::<Option<_>>()?,
        ),
        DeValue::Table(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?)));
            Json::Object(pairs.collect::<Option<_>>()?)
        }
    })
}

/// A value as it would stand in a flag.
pub fn as_flag(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let source = Source {
            path: "o.toml".into(),
            text: text.into(),
        };
        let mut problems = Problems::default();
        read(&source, &mut problems);
        problems.iter().map(|problem| problem.show(&source)).collect()
    }

    #[test]
    fn all_that_is_wrong_is_found_at_once() {
        let found = problems(
            "frmat = 'md'\ndpi = 9000\nto = 'md'\nquiet = true\nverbose = true\nworkflow.Bad = {}\n\
             [workflow.a]\npagse = '1-'\ndpi = '300'\npages = 'x'\nquota = 1\n\
             [workflow.a.plugin-limit]\nmemroy = '1GiB'\ntime = 'soon'\n\
             [tenant.t]\noutput = 3\nforce = [{ plugin = 'redact', place = 'frist' }]\n\
             quota.pages = -1\nplugins.x = 'sha256:12'\nlimits = 7\n",
        );
        for expected in [
            "o.toml:1:1",
            "`dpi` is not in 36..=1200",
            "write it as a list: [\"md\"]",
            "`quiet` and `verbose` exclude",
            "\"Bad\" is no name for a workflow",
            "did you mean `pages`?",
            "write it without quotes: 300",
            "`x` is no page range",
            "`quota` for a workflow",
            "did you mean `memory`?",
            "limit `time`: `soon` is no time",
            "`output` takes a path, not a whole number",
            "did you mean `first`?",
            "give a number that is not negative",
            "`sha256:12` is no digest",
            "`limits` takes a table of limits, not a whole number",
        ] {
            assert!(
                found.iter().any(|f| f.contains(expected)),
                "{expected}: {found:#?}"
            );
        }
        assert_eq!(found.len(), 16, "{found:#?}");
    }

    #[test]
    fn broken_toml_is_told_of_and_the_rest_read() {
        let found = problems("dpi = \nmodle = 'ppocr'\n[workflow.a\npages = '0'\n");
        for expected in ["o.toml:1:", "did you mean `model`?", "o.toml:3:"] {
            assert!(
                found.iter().any(|f| f.contains(expected)),
                "{expected}: {found:#?}"
            );
        }
        // The broken lines are told of once each, not as values of a wrong type besides.
        assert_eq!(found.len(), 3, "{found:#?}");
    }

    #[test]
    fn hostile_text_makes_problems_and_nothing_worse() {
        for text in [
            "\u{0}",
            "[",
            "a.b.c.d = [[[[",
            "[workflow.\"../../x\"]",
            "[tenant.'a\\nb']\n",
            "dpi = 99999999999999999999",
            "x = 1979-05-27",
            "[plugin-opt.a]\nb = 1979-05-27",
            "plugin-opt = { a = 1 }",
            "workflow = 3",
            "tenant = []",
            "gpu-memory-utilization = nan",
            "dpi = 0x7fffffffffffffff",
        ] {
            assert!(!problems(text).is_empty(), "{text:?}");
        }
        problems(&"[".repeat(10_000));
        problems(&format!("a = {}", "[".repeat(100_000)));
    }
}
