use super::*;
use serde_json::json;

fn schema(value: Value) -> Schema {
    Schema::new(&value, "config.x").unwrap()
}

fn refused(value: Value) -> String {
    Schema::new(&value, "config.x").unwrap_err().to_string()
}

/// Values that fit and values that do not, keyword by keyword.
#[test]
fn every_keyword_is_enforced() {
    let table = [
        (
            json!({"type": "integer"}),
            json!([1, -3, 2.0]),
            json!([1.5, "1", true, null]),
        ),
        (
            json!({"type": ["integer", "null"]}),
            json!([1, null]),
            json!(["1", false]),
        ),
        (json!({"type": "number"}), json!([1, 1.5]), json!(["1"])),
        (json!({"type": "boolean"}), json!([true]), json!(["true", 1])),
        (
            json!({"enum": ["a", 1, null]}),
            json!(["a", 1.0, null]),
            json!(["b", 2]),
        ),
        (
            json!({"const": {"a": 1}}),
            json!([{"a": 1.0}]),
            json!([{"a": 2}, {}]),
        ),
        (
            json!({"minimum": 1, "maximum": 3}),
            json!([1, 3, 2.5, "any text"]),
            json!([0, 3.1]),
        ),
        (
            json!({"exclusiveMinimum": 1, "exclusiveMaximum": 3}),
            json!([1.1, 2]),
            json!([1, 3]),
        ),
        (
            json!({"minimum": 9007199254740993u64}),
            json!([9007199254740993u64]),
            json!([9007199254740992u64]),
        ),
        (
            json!({"multipleOf": 0.1}),
            json!([0.3, 7, 1234567.8]),
            json!([0.35]),
        ),
        (json!({"multipleOf": 3}), json!([9, 0, -3]), json!([10])),
        (
            json!({"minLength": 2, "maxLength": 3}),
            json!(["äö", "abc", 7]),
            json!(["a", "abcd"]),
        ),
        (json!({"pattern": "^[a-z]+$"}), json!(["abc"]), json!(["aBc", ""])),
        (
            json!({"items": {"type": "integer"}}),
            json!([[], [1, 2]]),
            json!([[1, "2"]]),
        ),
        (
            json!({"minItems": 1, "maxItems": 2}),
            json!([[1], [1, 2]]),
            json!([[], [1, 2, 3]]),
        ),
        (
            json!({"uniqueItems": true}),
            json!([[1, 2], ["1", 1]]),
            json!([[1, 1.0], [{"a": 1}, {"a": 1}]]),
        ),
        (
            json!({"properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false}),
            json!([{"a": 1}]),
            json!([{}, {"a": "1"}, {"a": 1, "b": 2}]),
        ),
        (
            json!({"additionalProperties": {"type": "integer"}}),
            json!([{"a": 1}]),
            json!([{"a": "x"}]),
        ),
        (
            json!({"oneOf": [{"type": "integer"}, {"minimum": 5, "type": "number"}]}),
            json!([1, 5.5]),
            json!([7, 1.5]),
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"enum": ["auto"]}]}),
            json!([1, "auto"]),
            json!(["x", 1.5]),
        ),
    ];
    for (keyword, fitting, others) in table {
        let schema = schema(keyword.clone());
        for value in fitting.as_array().unwrap() {
            assert_eq!(schema.fit(value), Ok(()), "{keyword} takes {value}");
        }
        for value in others.as_array().unwrap() {
            assert!(schema.fit(value).is_err(), "{keyword} does not take {value}");
        }
    }
}

#[test]
fn keywords_that_are_not_enforced_are_refused_by_name() {
    for keyword in [
        "format",
        "allOf",
        "not",
        "if",
        "$ref",
        "patternProperties",
        "dependentRequired",
        "contains",
    ] {
        let error = refused(json!({"properties": {"y": {keyword: {}}}}));
        assert!(
            error.starts_with(&format!("config.x.y: the keyword `{keyword}`")),
            "{error}"
        );
    }
    assert!(refused(json!({"minimun": 1})).ends_with("did you mean `minimum`?"));
    schema(json!({"title": "a", "description": "b", "$comment": "c", "examples": [1], "deprecated": true}));
}

#[test]
fn nonsense_is_refused_where_it_stands() {
    for (value, words) in [
        (json!(true), "a schema is an object"),
        (json!({"type": "strin"}), "did you mean `string`?"),
        (json!({"type": []}), "empty list"),
        (json!({"enum": []}), "list of the values"),
        (json!({"minimum": "1"}), "`minimum` is a number"),
        (json!({"maxLength": -1}), "whole number from 0"),
        (json!({"multipleOf": 0}), "above 0"),
        (json!({"pattern": "(?=a)"}), "look-around"),
        (json!({"pattern": "(a{1000}){1000}"}), "too much memory"),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "understands",
        ),
        (
            json!({"type": "integer", "default": "1"}),
            "its default does not fit: it is the text `1`, it takes a whole number",
        ),
        (
            json!({"properties": {"ab": {}}, "required": ["ba"], "additionalProperties": false}),
            "did you mean `ab`?",
        ),
    ] {
        let error = refused(value.clone());
        assert!(error.contains(words), "{value}: {error}");
    }
    let deep = (0..40).fold(json!({}), |inner, _| json!({"items": inner}));
    assert!(refused(deep).contains("nested more than"));
    let wide: serde_json::Map<String, Value> = (0..5000).map(|n| (n.to_string(), json!({}))).collect();
    assert!(refused(json!({"properties": wide})).contains("more than 4096"));
    let each =
        |n: usize, schema: Value| -> Value { (0..n).map(|n| (n.to_string(), schema.clone())).collect() };
    let patterned = json!({"pattern": "a"});
    schema(json!({"properties": each(64, patterned.clone())}));
    assert!(refused(json!({"properties": each(65, patterned)})).contains("more than 64 patterns"));
    // 1,000 schemas would all sort through 10,000 numbers.
    let numbers: Vec<usize> = (0..10_000).collect();
    let unique = vec![json!({"uniqueItems": true}); 1000];
    assert!(refused(json!({"oneOf": unique, "default": numbers})).contains("take too long to check"));
}

#[test]
fn text_is_read_as_what_the_schema_takes() {
    let read = |s: Value, text: &str| schema(s).read(text);
    assert_eq!(read(json!({"type": "integer"}), "80"), Ok(json!(80)));
    assert_eq!(read(json!({"type": "string"}), "80"), Ok(json!("80")));
    assert_eq!(
        read(json!({"type": ["integer", "string"]}), "80 px"),
        Ok(json!("80 px"))
    );
    assert_eq!(read(json!({"enum": ["on", "off", 3]}), "3"), Ok(json!(3)));
    let list = json!({"type": "array", "items": {"type": "string"}});
    assert_eq!(read(list.clone(), r#"["a,b", "c"]"#), Ok(json!(["a,b", "c"])));
    assert_eq!(read(list, r"\d{2,3}"), Ok(json!([r"\d{2,3}"])));
    assert_eq!(
        read(json!({"type": "array", "items": {"type": "integer"}}), "7"),
        Ok(json!([7]))
    );
    assert_eq!(
        read(json!({"type": "object"}), r#"{"a": 1}"#),
        Ok(json!({"a": 1}))
    );
    assert!(read(json!({"type": "number"}), "1e999").is_err());
    assert!(read(json!({"type": "number"}), "NaN").is_err());
}

#[test]
fn complaints_say_what_is_allowed_and_what_was_meant() {
    let said = |s: Value, text: &str| schema(s).read(text).unwrap_err().to_string();
    assert_eq!(
        said(json!({"type": "integer", "minimum": 1, "maximum": 80}), "wide"),
        "it is `wide`, it takes a whole number of 1 to 80"
    );
    assert_eq!(
        said(json!({"enum": ["auto", "embedded", "none"]}), "embeded"),
        "it is `embeded`, it takes `auto`, `embedded` or `none`; did you mean `embedded`?"
    );
    assert_eq!(
        said(
            json!({"type": "number", "exclusiveMinimum": 0, "maximum": 400}),
            "0"
        ),
        "it is `0`, it takes a number above 0 and at most 400"
    );
    let inner = json!({"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}}});
    assert_eq!(
        said(inner, r#"[{"name": "a"}, {"name": ""}]"#),
        "at `[1].name` it is empty, it takes a text of at least 1 character"
    );
    assert!(!said(json!({"type": "integer"}), &"\u{1b}[31m".repeat(99)).contains('\u{1b}'));
    // A text that stands for a list: its pattern is for programs.
    let kinds = json!({
        "type": ["array", "string"],
        "items": {"type": "string", "enum": ["email", "phone", "iban"]},
        "pattern": "^\\s*(email|phone|iban)(\\s*,\\s*(email|phone|iban))*\\s*$",
    });
    let takes = "it takes `email`, `phone` or `iban`, or several with commas";
    assert_eq!(
        said(kinds.clone(), "email, phon"),
        format!("it is `phon`, {takes}; did you mean `phone`?")
    );
    assert_eq!(
        said(kinds.clone(), "phone;iban"),
        format!("it is `phone;iban`, {takes}")
    );
    assert_eq!(said(kinds.clone(), "iban,"), format!("it is empty, {takes}"));
    assert_eq!(
        said(kinds.clone(), r#"["iban", "emial"]"#),
        "at `[1]` it is `emial`, it takes `email`, `phone` or `iban`; did you mean `email`?"
    );
    assert_eq!(
        schema(kinds.clone()).fit(&json!("fax")).unwrap_err().to_string(),
        format!("it is `fax`, {takes}")
    );
    assert_eq!(
        schema(kinds).words(),
        "a list, each `email`, `phone` or `iban` or a text of them with commas"
    );
}

#[test]
fn defaults_fill_what_is_left_out_at_any_depth() {
    let schema = schema(json!({"properties": {
        "a": {"default": 1},
        "b": {"type": "array", "items": {"properties": {"c": {"default": "x"}}}},
    }}));
    let mut value = json!({"b": [{}, {"c": "y"}]});
    schema.complete(&mut value);
    assert_eq!(value, json!({"a": 1, "b": [{"c": "x"}, {"c": "y"}]}));
}
