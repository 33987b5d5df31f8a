//! Config schemas, and values for them: both are strangers' words.

use ocr_runtime::manifest::schema::Schema;
use serde_json::{Map, Value};

/// The first line is a schema, the others are values as they stand on a command line.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let json = lines.next().unwrap_or_default();
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return;
    };
    let schema = match Schema::new(&value, "config") {
        Ok(schema) => schema,
        Err(error) => {
            assert!(error.at.starts_with("config") && !error.to_string().chars().any(char::is_control));
            return;
        }
    };
    check(&schema);
    for line in lines {
        match schema.read(line) {
            Ok(value) => assert_eq!(schema.fit(&value), Ok(()), "{line:?} is read as {value}"),
            Err(mismatch) => assert!(!mismatch.to_string().is_empty()),
        }
        if let Ok(value) = serde_json::from_str::<Value>(line) {
            let fits = schema.fit(&value).is_ok();
            let mut completed = value.clone();
            schema.complete(&mut completed);
            let mut again = completed.clone();
            schema.complete(&mut again);
            assert_eq!(completed, again, "completing {value} twice differs");
            let _ = fits;
        }
    }
    let mut empty = Value::Object(Map::new());
    schema.complete(&mut empty);
}

/// What it promises of itself.
fn check(schema: &Schema) {
    assert!(!schema.words().is_empty());
    if let Some(default) = &schema.default {
        assert_eq!(schema.fit(default), Ok(()), "a default does not fit");
    }
    schema.properties().values().for_each(check);
}
