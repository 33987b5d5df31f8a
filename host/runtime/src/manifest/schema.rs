//! The part of JSON Schema 2020-12 that a plugin's options may use. All of it is enforced.
//!
//! A schema is compiled into [`Schema`] before anything is checked against it. A keyword that is not enforced here is an
//! error that names it, and so is a default that does not fit: what a manifest promises of its options holds, or the
//! plugin is not loaded. Schemas come from strangers, so their depth, their size and their patterns are bounded.

mod compile;
mod fit;
mod words;

pub use fit::Mismatch;

use regex::Regex;
use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// Deepest schema; options are a few tables deep at most.
const DEPTH: usize = 12;

/// Most schemas inside of one, itself included.
const NODES: usize = 4096;

/// Longest pattern, bytes.
const PATTERN_BYTES: usize = 1024;

/// Memory that a compiled pattern may take, bytes. The `regex` crate matches in linear time whatever the pattern.
const PATTERN_MEMORY: usize = 1 << 20;

/// Most patterns of a schema; with [`PATTERN_MEMORY`] for each they take 64 MiB at most, and a second to compile.
const PATTERNS: usize = 64;

/// Steps that checking defaults may take: for each default, the schemas that it is held against times its length. An option
/// of ordinary size takes some hundred.
const DEFAULT_STEPS: usize = 4 << 20;

/// Keywords that are enforced.
const ENFORCED: [&str; 22] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "additionalProperties",
    "default",
    "oneOf",
    "anyOf",
    "$schema",
];

/// Keywords for people, with nothing to enforce.
const SAID: [&str; 5] = ["title", "description", "$comment", "examples", "deprecated"];

/// The dialect that is understood.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A schema that can be held against values.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// What it says of itself.
    pub description: Option<String>,
    /// What it is where nobody says.
    pub default: Option<Value>,
    kinds: Vec<Kind>,
    allowed: Option<Vec<Value>>,
    least: Option<Bound>,
    most: Option<Bound>,
    multiple_of: Option<Number>,
    length: Count,
    pattern: Option<Regex>,
    items: Option<Box<Schema>>,
    count: Count,
    unique: bool,
    properties: BTreeMap<String, Schema>,
    required: Vec<String>,
    others: Others,
    one_of: Vec<Schema>,
    any_of: Vec<Schema>,
}

/// A type of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    const ALL: [Kind; 7] = [
        Kind::Null,
        Kind::Boolean,
        Kind::Integer,
        Kind::Number,
        Kind::String,
        Kind::Array,
        Kind::Object,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::String => "string",
            Kind::Array => "array",
            Kind::Object => "object",
        }
    }
}

/// An end of a range.
#[derive(Debug, Clone)]
struct Bound {
    value: Number,
    exclusive: bool,
}

/// How many there may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    least: Option<u64>,
    most: Option<u64>,
}

/// What may stand beside the properties that are named.
#[derive(Debug, Clone, Default)]
enum Others {
    #[default]
    Allowed,
    Refused,
    Fitting(Box<Schema>),
}

/// Why a schema can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {what}")]
pub struct SchemaError {
    /// Where: `config.wrap`.
    pub at: String,
    /// What is wrong there.
    pub what: String,
}

impl Schema {
    /// Compiles a schema; `at` is what errors call its place.
    pub fn new(schema: &Value, at: &str) -> Result<Schema, SchemaError> {
        compile::Compiler::default().schema(schema, at, 0)
    }

    /// The properties that it names.
    pub fn properties(&self) -> &BTreeMap<String, Schema> {
        &self.properties
    }

    /// The properties that have to be there.
    pub fn required(&self) -> &[String] {
        &self.required
    }

    /// Completes a value with the defaults of what it leaves out, at any depth.
    pub fn complete(&self, value: &mut Value) {
        match value {
            Value::Object(object) => {
                for (name, schema) in &self.properties {
                    if let Some(inner) = object.get_mut(name) {
                        schema.complete(inner);
                    } else if let Some(default) = &schema.default {
                        object.insert(name.clone(), default.clone());
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.complete(item));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
