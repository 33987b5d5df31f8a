//! From the JSON of a schema to a [`Schema`], refusing what is not enforced.

use super::{
    Bound, Count, DEFAULT_STEPS, DEPTH, DIALECT, ENFORCED, Kind, NODES, Others, PATTERN_BYTES,
    PATTERN_MEMORY, PATTERNS, SAID, Schema, SchemaError,
};
use crate::state::{clean, shorten};
use crate::suggest;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Number, Value};

/// Bytes of a pattern that a message shows.
const SHOWN_BYTES: usize = 100;

#[derive(Default)]
pub(super) struct Compiler {
    nodes: usize,
    patterns: usize,
    /// Taken by defaults so far, of [`DEFAULT_STEPS`].
    steps: usize,
}

type Result<T> = std::result::Result<T, SchemaError>;

fn wrong<T>(at: &str, what: impl Into<String>) -> Result<T> {
    Err(SchemaError {
        at: clean(shorten(at, 200)),
        what: clean(&what.into()),
    })
}

impl Compiler {
    pub(super) fn schema(&mut self, value: &Value, at: &str, depth: usize) -> Result<Schema> {
        let before = self.nodes;
        self.nodes += 1;
        if depth > DEPTH {
            return wrong(
                at,
                format!("it is nested more than {DEPTH} deep; flatten the options"),
            );
        }
        if self.nodes > NODES {
            return wrong(at, format!("there are more than {NODES} schemas in it"));
        }
        let keywords = match value {
            Value::Object(keywords) => keywords,
            _ => return wrong(at, "a schema is an object, for example {\"type\": \"string\"}"),
        };
        for keyword in keywords.keys() {
            known(keyword, at)?;
        }
        self.patterns += usize::from(keywords.contains_key("pattern"));
        if self.patterns > PATTERNS {
            return wrong(at, format!("there are more than {PATTERNS} patterns in it"));
        }
        let mut schema = Schema {
            description: text(keywords, "description", at)?.map(|text| clean(&text)),
            kinds: kinds(keywords, at)?,
            allowed: allowed(keywords, at)?,
            least: bound(keywords, ["minimum", "exclusiveMinimum"], at)?,
            most: bound(keywords, ["maximum", "exclusiveMaximum"], at)?,
            multiple_of: multiple(keywords, at)?,
            length: count(keywords, ["minLength", "maxLength"], at)?,
            pattern: pattern(keywords, at)?,
            count: count(keywords, ["minItems", "maxItems"], at)?,
            unique: flag(keywords, "uniqueItems", at)?,
            required: names(keywords, "required", at)?,
            ..Schema::default()
        };
        if let Some(dialect) = text(keywords, "$schema", at)?
            && dialect.trim_end_matches('#') != DIALECT
        {
            return wrong(
                at,
                format!("$schema is `{dialect}`; this host understands {DIALECT}"),
            );
        }
        if let Some(items) = keywords.get("items") {
            schema.items = Some(Box::new(self.schema(items, &format!("{at}.items"), depth + 1)?));
        }
        self.object(keywords, &mut schema, at, depth)?;
        schema.one_of = self.list(keywords, "oneOf", at, depth)?;
        schema.any_of = self.list(keywords, "anyOf", at, depth)?;
        // The default is held against what is written beside it, so it comes last.
        if let Some(default) = keywords.get("default") {
            let schemas = self.nodes - before;
            self.steps = (self.steps).saturating_add(schemas.saturating_mul(default.to_string().len()));
            if self.steps > DEFAULT_STEPS {
                return wrong(at, "its defaults take too long to check; shorten them");
            }
            if let Err(mismatch) = schema.fit(default) {
                return wrong(at, format!("its default does not fit: {mismatch}"));
            }
            schema.default = Some(default.clone());
        }
        Ok(schema)
    }

    fn object(
        &mut self,
        keywords: &Map<String, Value>,
        schema: &mut Schema,
        at: &str,
        depth: usize,
    ) -> Result<()> {
        match keywords.get("properties") {
            None => {}
            Some(Value::Object(properties)) => {
                for (name, inner) in properties {
                    let inner = self.schema(inner, &format!("{at}.{name}"), depth + 1)?;
                    schema.properties.insert(name.clone(), inner);
                }
            }
            Some(_) => return wrong(at, "`properties` is an object of schemas"),
        }
        schema.others = match keywords.get("additionalProperties") {
            None | Some(Value::Bool(true)) => Others::Allowed,
            Some(Value::Bool(false)) => Others::Refused,
            Some(inner) => {
                let inner = self.schema(inner, &format!("{at}.additionalProperties"), depth + 1)?;
                Others::Fitting(Box::new(inner))
            }
        };
        let known = |name: &&String| schema.properties.contains_key(*name);
        let closed = matches!(schema.others, Others::Refused);
        match schema.required.iter().find(|name| closed && !known(name)) {
            Some(name) => {
                let near = suggest::hint(name, schema.properties.keys().map(String::as_str));
                wrong(
                    at,
                    format!("`required` names `{name}`, which is no property{near}"),
                )
            }
            None => Ok(()),
        }
    }

    fn list(
        &mut self,
        keywords: &Map<String, Value>,
        key: &str,
        at: &str,
        depth: usize,
    ) -> Result<Vec<Schema>> {
        let schemas = match keywords.get(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(schemas)) if !schemas.is_empty() => schemas,
            Some(_) => return wrong(at, format!("`{key}` is a list of schemas")),
        };
        let each = schemas.iter().enumerate();
        each.map(|(n, inner)| self.schema(inner, &format!("{at}.{key}[{n}]"), depth + 1))
            .collect()
    }
}

/// Refuses a keyword that nobody would enforce.
fn known(keyword: &str, at: &str) -> Result<()> {
    if ENFORCED.contains(&keyword) || SAID.contains(&keyword) {
        return Ok(());
    }
    let instead = match keyword {
        "format" => "; say it as a `pattern`, or check it in the plugin".to_owned(),
        "allOf" => "; write its schemas as one".to_owned(),
        "$ref" | "$defs" | "definitions" => "; write the schema where it is used".to_owned(),
        "prefixItems" | "contains" => "; give all items one schema with `items`".to_owned(),
        "patternProperties" | "propertyNames" => "; use `additionalProperties`".to_owned(),
        _ => suggest::hint(keyword, ENFORCED.into_iter().chain(SAID)),
    };
    wrong(
        at,
        format!(
            "the keyword `{}` is not enforced by this host{instead}",
            shorten(keyword, 60)
        ),
    )
}

fn text(keywords: &Map<String, Value>, key: &str, at: &str) -> Result<Option<String>> {
    match keywords.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => wrong(at, format!("`{key}` is a text")),
    }
}

fn flag(keywords: &Map<String, Value>, key: &str, at: &str) -> Result<bool> {
    match keywords.get(key) {
        None => Ok(false),
        Some(Value::Bool(set)) => Ok(*set),
        Some(_) => wrong(at, format!("`{key}` is true or false")),
    }
}

fn names(keywords: &Map<String, Value>, key: &str, at: &str) -> Result<Vec<String>> {
    let name = |value: &Value| value.as_str().map(str::to_owned);
    let names = match keywords.get(key) {
        None => return Ok(Vec::new()),
        Some(Value::Array(names)) => names.iter().map(name).collect(),
        Some(_) => None,
    };
    match names {
        Some(names) => Ok(names),
        None => wrong(at, format!("`{key}` is a list of names")),
    }
}

fn kinds(keywords: &Map<String, Value>, at: &str) -> Result<Vec<Kind>> {
    let names = match keywords.get("type") {
        None => return Ok(Vec::new()),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) if several.is_empty() => return wrong(at, "`type` is an empty list"),
        Some(_) => names(keywords, "type", at)?,
    };
    let kind = |name: &String| match Kind::ALL.into_iter().find(|kind| kind.name() == name) {
        Some(kind) => Ok(kind),
        None => {
            let near = suggest::hint(name, Kind::ALL.map(Kind::name));
            let all = Kind::ALL.map(Kind::name).join(", ");
            wrong(
                at,
                format!("there is no type `{name}`; the types are {all}{near}"),
            )
        }
    };
    names.iter().map(kind).collect()
}

fn allowed(keywords: &Map<String, Value>, at: &str) -> Result<Option<Vec<Value>>> {
    match (keywords.get("enum"), keywords.get("const")) {
        (None, None) => Ok(None),
        (None, Some(only)) => Ok(Some(vec![only.clone()])),
        (Some(Value::Array(values)), None) if !values.is_empty() => Ok(Some(values.clone())),
        (Some(_), Some(_)) => wrong(at, "`enum` and `const` say the same; leave one out"),
        (Some(_), None) => wrong(at, "`enum` is a list of the values that are allowed"),
    }
}

fn number(keywords: &Map<String, Value>, key: &str, at: &str) -> Result<Option<Number>> {
    match keywords.get(key) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number.clone())),
        Some(_) => wrong(at, format!("`{key}` is a number")),
    }
}

/// The end of a range; where it is given both ways, the exclusive one has to be the tighter, so one is enough.
fn bound(keywords: &Map<String, Value>, keys: [&str; 2], at: &str) -> Result<Option<Bound>> {
    let [inclusive, exclusive] = keys;
    let bound = |value, exclusive| Bound { value, exclusive };
    match (number(keywords, inclusive, at)?, number(keywords, exclusive, at)?) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(bound(value, false))),
        (None, Some(value)) => Ok(Some(bound(value, true))),
        (Some(_), Some(_)) => wrong(
            at,
            format!("`{inclusive}` and `{exclusive}` are one too many; leave one out"),
        ),
    }
}

fn multiple(keywords: &Map<String, Value>, at: &str) -> Result<Option<Number>> {
    let multiple = number(keywords, "multipleOf", at)?;
    match multiple.as_ref().and_then(Number::as_f64) {
        Some(step) if step <= 0.0 => wrong(at, "`multipleOf` is above 0"),
        _ => Ok(multiple),
    }
}

fn count(keywords: &Map<String, Value>, keys: [&str; 2], at: &str) -> Result<Count> {
    let whole = |key: &str| match keywords.get(key).map(Value::as_u64) {
        None => Ok(None),
        Some(Some(count)) => Ok(Some(count)),
        Some(None) => wrong(at, format!("`{key}` is a whole number from 0")),
    };
    Ok(Count {
        least: whole(keys[0])?,
        most: whole(keys[1])?,
    })
}

fn pattern(keywords: &Map<String, Value>, at: &str) -> Result<Option<Regex>> {
    let Some(pattern) = text(keywords, "pattern", at)? else {
        return Ok(None);
    };
    if pattern.len() > PATTERN_BYTES {
        return wrong(at, format!("`pattern` is over {PATTERN_BYTES} bytes"));
    }
    let built = RegexBuilder::new(&pattern)
        .size_limit(PATTERN_MEMORY)
        .dfa_size_limit(PATTERN_MEMORY)
        .build();
    match built {
        Ok(regex) => Ok(Some(regex)),
        Err(regex::Error::CompiledTooBig(_)) => {
            wrong(at, "`pattern` takes too much memory; shorten its repetitions")
        }
        Err(error) => {
            let why = error.to_string();
            let last = why
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            let hint = if pattern.contains("(?=") || pattern.contains("(?!") || pattern.contains("(?<") {
                "; look-around can't be used"
            } else {
                ""
            };
            let shown = shorten(&pattern, SHOWN_BYTES);
            wrong(at, format!("`pattern` is `{shown}`: {last}{hint}"))
        }
    }
}
