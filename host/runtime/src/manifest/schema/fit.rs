//! Holds values against a schema, and reads them from text.

use super::{Bound, Count, Kind, Others, Schema};
use crate::state::{clean, shorten};
use crate::suggest;
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Bytes of a value that a message shows.
const SHOWN_BYTES: usize = 60;

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where inside the value: `[2].name`; empty for the value itself.
    pub at: String,
    /// What is there.
    pub found: String,
    /// What may be there.
    pub wanted: String,
    /// What was probably meant.
    pub near: Option<String>,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.at.is_empty() {
            write!(f, "at `{}` ", self.at)?;
        }
        write!(f, "it is {}, it takes {}", self.found, self.wanted)?;
        match &self.near {
            Some(near) => write!(f, "; did you mean `{near}`?"),
            None => Ok(()),
        }
    }
}

/// A value as messages show it.
pub(super) fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let short = shorten(&text, SHOWN_BYTES);
    let dots = if short.len() < text.len() { ".." } else { "" };
    match value {
        Value::Array(_) => format!("the list `{}{dots}`", clean(short)),
        Value::Object(_) => format!("the table `{}{dots}`", clean(short)),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        _ => format!("`{}{dots}`", clean(short)),
    }
}

impl Schema {
    /// Holds a value against the schema.
    pub fn fit(&self, value: &Value) -> Result<(), Mismatch> {
        self.fit_itself(value)?;
        match value {
            Value::Array(items) => self.fit_items(items)?,
            Value::Object(object) => self.fit_object(object)?,
            _ => {}
        }
        if !self.any_of.is_empty() && self.any_of.iter().all(|schema| schema.fit(value).is_err()) {
            return Err(self.refuse(value));
        }
        let fitting = self
            .one_of
            .iter()
            .filter(|schema| schema.fit(value).is_ok())
            .count();
        if !self.one_of.is_empty() && fitting != 1 {
            return Err(self.refuse(value));
        }
        Ok(())
    }

    fn refuse(&self, value: &Value) -> Mismatch {
        let text = value.is_string() && !self.takes(Kind::String);
        Mismatch {
            at: String::new(),
            found: match text {
                true => format!("the text {}", shown(value)),
                false => shown(value),
            },
            wanted: self.words(),
            near: value.as_str().and_then(|text| self.near(text)),
        }
    }

    /// The allowed text that is nearest to one that is not.
    fn near(&self, text: &str) -> Option<String> {
        let allowed: Vec<&str> = self.allowed.iter().flatten().filter_map(Value::as_str).collect();
        let branches = self.one_of.iter().chain(&self.any_of);
        suggest::nearest(text, &allowed)
            .map(str::to_owned)
            .or_else(|| branches.filter_map(|schema| schema.near(text)).next())
    }

    /// What says nothing of parts.
    fn fit_itself(&self, value: &Value) -> Result<(), Mismatch> {
        let fits = (self.kinds.is_empty() || self.kinds.iter().any(|&kind| is(value, kind)))
            && self
                .allowed
                .as_ref()
                .is_none_or(|all| all.iter().any(|v| equal(v, value)))
            && match value {
                Value::Number(number) => self.fits_number(number),
                Value::String(text) => {
                    self.length.holds(text.chars().count())
                        && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
                }
                Value::Array(items) => self.count.holds(items.len()) && (!self.unique || all_differ(items)),
                _ => true,
            };
        match fits {
            true => Ok(()),
            false => Err(self.refuse_part(value).unwrap_or_else(|| self.refuse(value))),
        }
    }

    /// The values that a text may name, one or several with commas, where a list may as well; its pattern says so.
    pub(super) fn named(&self) -> Option<&Schema> {
        let items = self.items.as_deref()?;
        let name = items.allowed.as_ref()?.first()?.as_str()?;
        let pattern = self.pattern.as_ref()?;
        pattern.is_match(&format!("{name},{name}")).then_some(items)
    }

    /// What is wrong with a text of several values: the first that is none.
    fn refuse_part(&self, value: &Value) -> Option<Mismatch> {
        let items = self.named()?;
        let mut parts = value.as_str()?.split(',').map(|part| Value::from(part.trim()));
        let wrong = parts.find(|part| items.fit(part).is_err())?;
        let mismatch = items.refuse(&wrong);
        Some(Mismatch {
            wanted: format!("{}, or several with commas", mismatch.wanted),
            ..mismatch
        })
    }

    fn fits_number(&self, number: &Number) -> bool {
        let above = |b: &Bound| match compare(number, &b.value) {
            Ordering::Greater => true,
            Ordering::Equal => !b.exclusive,
            Ordering::Less => false,
        };
        let below = |b: &Bound| match compare(number, &b.value) {
            Ordering::Less => true,
            Ordering::Equal => !b.exclusive,
            Ordering::Greater => false,
        };
        self.least.as_ref().is_none_or(above)
            && self.most.as_ref().is_none_or(below)
            && self
                .multiple_of
                .as_ref()
                .is_none_or(|step| is_multiple(number, step))
    }

    fn fit_items(&self, items: &[Value]) -> Result<(), Mismatch> {
        let Some(schema) = &self.items else { return Ok(()) };
        for (n, item) in items.iter().enumerate() {
            schema.fit(item).map_err(|m| within(m, &format!("[{n}]")))?;
        }
        Ok(())
    }

    fn fit_object(&self, object: &Map<String, Value>) -> Result<(), Mismatch> {
        for (name, value) in object {
            let schema = match (self.properties.get(name), &self.others) {
                (Some(schema), _) => schema,
                (None, Others::Fitting(schema)) => schema,
                (None, Others::Allowed) => continue,
                (None, Others::Refused) => {
                    let known: Vec<&str> = self.properties.keys().map(String::as_str).collect();
                    return Err(Mismatch {
                        at: String::new(),
                        found: format!("a table with `{}`", clean(shorten(name, SHOWN_BYTES))),
                        wanted: match known.is_empty() {
                            true => "an empty table".to_owned(),
                            false => format!("a table of {}", known.join(", ")),
                        },
                        near: suggest::nearest(name, &known).map(str::to_owned),
                    });
                }
            };
            schema
                .fit(value)
                .map_err(|m| within(m, &format!(".{}", shorten(name, SHOWN_BYTES))))?;
        }
        match self.required.iter().find(|name| !object.contains_key(*name)) {
            // What has a default is there once it is completed.
            Some(name) if self.properties.get(name).is_none_or(|p| p.default.is_none()) => Err(Mismatch {
                at: String::new(),
                found: format!("a table without `{name}`"),
                wanted: format!(
                    "a table that has it: {}",
                    self.properties
                        .get(name)
                        .map_or("any value".into(), Schema::words)
                ),
                near: None,
            }),
            _ => Ok(()),
        }
    }

    /// Reads a value from text, as it stands on a command line. What looks like a number is one where the schema takes
    /// numbers; lists and tables are written as JSON, and any other text for a list is its only item.
    pub fn read(&self, text: &str) -> Result<Value, Mismatch> {
        let mut readings = Vec::new();
        let mut add = |kind: Kind, value: Option<Value>| {
            if let Some(value) = value.filter(|_| self.takes(kind)) {
                readings.push(value);
            }
        };
        let trimmed = text.trim();
        add(Kind::Boolean, trimmed.parse().ok().map(Value::Bool));
        add(Kind::Null, (trimmed == "null").then_some(Value::Null));
        let number = trimmed.parse::<i64>().map(Value::from).ok();
        let number = number.or_else(|| trimmed.parse::<u64>().map(Value::from).ok());
        let number = number.or_else(|| Some(Value::Number(Number::from_f64(trimmed.parse().ok()?)?)));
        add(Kind::Number, number);
        let json = || serde_json::from_str::<Value>(trimmed).ok();
        match trimmed.as_bytes().first() {
            Some(b'[') => add(Kind::Array, json().filter(Value::is_array)),
            Some(b'{') => add(Kind::Object, json().filter(Value::is_object)),
            _ => {}
        }
        add(Kind::String, Some(Value::from(text)));
        if self.takes(Kind::Array) && !trimmed.starts_with('[') {
            let item = match &self.items {
                Some(items) => items.read(text).unwrap_or_else(|_| Value::from(text)),
                None => Value::from(text),
            };
            add(Kind::Array, Some(Value::Array(vec![item])));
        }
        let mut first = None;
        for value in readings {
            match self.fit(&value) {
                Ok(()) => return Ok(value),
                Err(mismatch) => first = first.or(Some(mismatch)),
            }
        }
        Err(first.unwrap_or_else(|| Mismatch {
            found: shown(&Value::from(text)),
            ..self.refuse(&Value::from(text))
        }))
    }

    /// Whether values of a kind may fit.
    fn takes(&self, kind: Kind) -> bool {
        let itself = self.kinds.is_empty()
            || self.kinds.contains(&kind)
            || (kind == Kind::Number && self.kinds.contains(&Kind::Integer));
        let branches = |schemas: &[Schema]| schemas.is_empty() || schemas.iter().any(|s| s.takes(kind));
        let listed = self
            .allowed
            .as_ref()
            .is_none_or(|all| all.iter().any(|v| is(v, kind)));
        itself && listed && branches(&self.one_of) && branches(&self.any_of)
    }
}

impl Count {
    fn holds(self, count: usize) -> bool {
        let count = count as u64;
        self.least.is_none_or(|least| count >= least) && self.most.is_none_or(|most| count <= most)
    }
}

/// The mismatch as seen from the value that `step` leads out of.
fn within(mut mismatch: Mismatch, step: &str) -> Mismatch {
    mismatch.at.insert_str(0, step);
    mismatch
}

fn is(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Null => value.is_null(),
        Kind::Boolean => value.is_boolean(),
        Kind::Number => value.is_number(),
        Kind::String => value.is_string(),
        Kind::Array => value.is_array(),
        Kind::Object => value.is_object(),
        Kind::Integer => match value {
            Value::Number(n) => whole(n).is_some() || n.as_f64().is_some_and(|f| f.fract() == 0.0),
            _ => false,
        },
    }
}

fn whole(number: &Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or(number.as_u64().map(i128::from))
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

fn compare(a: &Number, b: &Number) -> Ordering {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Less),
    }
}

/// Whether `number` is a whole number of steps; tenths are no binary fractions, so the last digits don't count.
fn is_multiple(number: &Number, step: &Number) -> bool {
    if let (Some(number), Some(step)) = (whole(number), whole(step)) {
        return step != 0 && number % step == 0;
    }
    let steps = float(number) / float(step);
    (steps - steps.round()).abs() <= 1e-9 * steps.abs().max(1.0)
}

/// Equal as JSON Schema has it: 1 and 1.0 are one number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

fn all_differ(items: &[Value]) -> bool {
    let mut seen = HashSet::new();
    items.iter().all(|item| seen.insert(canonical(item)))
}

/// One text for all values that are equal.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(n) => match (whole(n), float(n)) {
            (Some(whole), _) => whole.to_string(),
            (None, float) if float.fract() == 0.0 && float.abs() < 1e18 => (float as i128).to_string(),
            (None, float) => float.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(object) => {
            let mut fields: Vec<String> = object
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}
