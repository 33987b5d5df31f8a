//! `config schema`: the file as a JSON Schema for editors, made of the same keys that the file is read by.

use super::keys::{Kind, Section, limits};
use serde_json::{Map, Value, json};

/// The schema of the whole file.
pub fn schema() -> Value {
    let sections = [Section::Workflow, Section::Tenant, Section::Force, Section::Quota];
    let defined: Map<String, Value> = sections
        .into_iter()
        .map(|section| (reference(section).to_owned(), object(section)))
        .collect();
    let mut schema = object(Section::Head);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("ocr-host.toml");
    schema["$defs"] = Value::Object(defined);
    schema
}

fn reference(section: Section) -> &'static str {
    match section {
        Section::Head => "head",
        Section::Workflow => "workflow",
        Section::Tenant => "tenant",
        Section::Force => "force",
        Section::Quota => "quota",
    }
}

fn object(section: Section) -> Value {
    let mut properties = Map::new();
    for key in section.keys() {
        let mut schema = of(&key.kind);
        let default = key
            .default
            .as_ref()
            .map(|d| format!(" [default: {d}]"))
            .unwrap_or_default();
        schema["description"] = json!(format!("{}{default}", key.about));
        properties.insert(key.name.clone(), schema);
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    match section {
        Section::Tenant => schema["required"] = json!(["output"]),
        Section::Force => schema["required"] = json!(["plugin"]),
        _ => {}
    }
    schema
}

fn of(kind: &Kind) -> Value {
    let text = || json!({ "type": "string" });
    let linked = |section| json!({ "$ref": format!("#/$defs/{}", reference(section)) });
    match kind {
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Text | Kind::Path | Kind::PathOrNone | Kind::Model | Kind::Plugin => text(),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Integer(least, i64::MAX) => json!({ "type": "integer", "minimum": least }),
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Number(most) => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": most }),
        Kind::Time => json!({ "anyOf": [
            { "type": "string", "pattern": "^[0-9.]+(ms|s|m|min|h)?$" }, { "type": "number", "minimum": 0 }
        ] }),
        Kind::Bytes => bytes(),
        Kind::Pages => json!({ "anyOf": [
            { "type": "string", "pattern": "^[0-9, -]+$" }, { "type": "integer", "minimum": 1 }
        ] }),
        Kind::List(of_kind) => json!({ "type": "array", "items": of(of_kind) }),
        Kind::Commas => json!({ "anyOf": [text(), { "type": "array", "items": text() }] }),
        Kind::Limits => {
            let limit = || json!({ "anyOf": [text(), { "type": "number", "minimum": 0 }] });
            let properties: Map<String, Value> = limits().map(|name| (name.to_owned(), limit())).collect();
            json!({ "type": "object", "properties": properties, "additionalProperties": false })
        }
        Kind::Options => json!({ "type": "object", "additionalProperties": { "type": "object" } }),
        Kind::Grants => json!({
            "type": "object",
            "additionalProperties": { "type": "array", "items": text() }
        }),
        Kind::Values => json!({ "type": "object" }),
        Kind::Digests => json!({
            "type": "object",
            "additionalProperties": { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" }
        }),
        Kind::Table(section) => linked(*section),
        Kind::Tables(section) => json!({ "type": "array", "items": linked(*section) }),
        Kind::Named(section) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[a-z0-9_][a-z0-9_-]{0,63}$" },
            "additionalProperties": linked(*section)
        }),
    }
}

fn bytes() -> Value {
    json!({ "anyOf": [
        { "type": "string", "pattern": "^[0-9]+ ?([kKmMgG]?[iI]?[bB]?)$" }, { "type": "integer", "minimum": 0 }
    ] })
}
