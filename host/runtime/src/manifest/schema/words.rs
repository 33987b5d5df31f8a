//! A schema in words: what an option takes.

use super::fit::shown;
use super::{Bound, Count, Kind, Schema};

/// Values of an `enum` that are named; more are counted.
const NAMED: usize = 24;

impl Schema {
    /// What it takes, as the end of a sentence: "a whole number of 1 to 80", "`auto`, `none` or `embedded`".
    pub fn words(&self) -> String {
        if let Some(allowed) = &self.allowed {
            let mut names: Vec<String> = allowed.iter().take(NAMED).map(shown).collect();
            if allowed.len() > NAMED {
                names.push(format!("one of {} more", allowed.len() - NAMED));
            }
            return or(&names);
        }
        let branches: Vec<String> = self
            .one_of
            .iter()
            .chain(&self.any_of)
            .map(Schema::words)
            .collect();
        if !branches.is_empty() {
            return branches.join(", or ");
        }
        match self.kinds[..] {
            [] => "any value".to_owned(),
            _ => or(&self
                .kinds
                .iter()
                .map(|&kind| self.kind_words(kind))
                .collect::<Vec<_>>()),
        }
    }

    fn kind_words(&self, kind: Kind) -> String {
        match kind {
            Kind::Null => "null".to_owned(),
            Kind::Boolean => "true or false".to_owned(),
            Kind::Integer => format!("a whole number{}", self.range()),
            Kind::Number => format!("a number{}", self.range()),
            Kind::String if self.named().is_some() => "a text of them with commas".to_owned(),
            Kind::String => {
                let pattern = self.pattern.as_ref();
                let matching = pattern
                    .map(|p| format!(" that matches `{p}`"))
                    .unwrap_or_default();
                format!("a text{}{matching}", of(self.length, "character"))
            }
            Kind::Array => {
                let each = self
                    .items
                    .as_ref()
                    .map(|items| format!(", each {}", items.words()));
                let unique = if self.unique { ", no two alike" } else { "" };
                format!(
                    "a list{}{}{unique}",
                    of(self.count, "item"),
                    each.unwrap_or_default()
                )
            }
            Kind::Object => match self.properties.is_empty() {
                true => "a table".to_owned(),
                false => {
                    let names: Vec<&str> = self.properties.keys().map(String::as_str).collect();
                    format!("a table of {}", names.join(", "))
                }
            },
        }
    }

    fn range(&self) -> String {
        let range = match (&self.least, &self.most) {
            (None, None) => String::new(),
            (Some(a), Some(b)) if !a.exclusive && !b.exclusive => format!(" of {} to {}", a.value, b.value),
            (a, b) => {
                let a = a.as_ref().map(|b| b.words("above", "at least"));
                let b = b.as_ref().map(|b| b.words("below", "at most"));
                let both: Vec<String> = a.into_iter().chain(b).collect();
                format!(" {}", both.join(" and "))
            }
        };
        match &self.multiple_of {
            Some(step) => format!("{range} in steps of {step}"),
            None => range,
        }
    }
}

impl Bound {
    fn words(&self, exclusive: &str, inclusive: &str) -> String {
        let word = if self.exclusive { exclusive } else { inclusive };
        format!("{word} {}", self.value)
    }
}

fn of(count: Count, thing: &str) -> String {
    let things = |n: u64| {
        if n == 1 {
            thing.to_owned()
        } else {
            format!("{thing}s")
        }
    };
    match (count.least.filter(|&least| least > 0), count.most) {
        (None, None) => String::new(),
        (Some(least), Some(most)) if least == most => format!(" of {least} {}", things(most)),
        (Some(least), Some(most)) => format!(" of {least} to {most} {}", things(most)),
        (Some(least), None) => format!(" of at least {least} {}", things(least)),
        (None, Some(most)) => format!(" of at most {most} {}", things(most)),
    }
}

fn or(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
