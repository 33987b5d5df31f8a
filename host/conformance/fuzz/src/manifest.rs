//! Bytes as a component, and as the manifest of one.

use ocr_runtime::{Manifest, World, encode};
use serde_json::Value;

/// An empty component.
const EMPTY: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// The bytes are a component, and a manifest section.
pub fn run(data: &[u8]) {
    if let Ok(manifest) = Manifest::read(data) {
        check(&manifest);
    }
    let name = b"ocr-host:manifest";
    let mut component = EMPTY.to_vec();
    component.push(0);
    length(&mut component, 1 + name.len() + data.len());
    component.push(name.len() as u8);
    component.extend_from_slice(name);
    component.extend_from_slice(data);
    if let Ok(manifest) = Manifest::read(&component) {
        check(&manifest);
    }
}

fn length(to: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn check(manifest: &Manifest) {
    let plain = |s: &str| {
        !s.is_empty() && s.len() <= 64 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    assert!(plain(&manifest.id));
    assert!(
        manifest
            .aliases
            .iter()
            .chain(&manifest.extensions)
            .all(|s| plain(s))
    );
    assert!(!manifest.version.chars().any(char::is_control));
    assert!(!manifest.description.chars().any(char::is_control));
    assert!(
        !manifest
            .media_types
            .iter()
            .any(|m| m.chars().any(char::is_control))
    );
    assert!(manifest.world != World::OutputFormatter || !manifest.extensions.is_empty());
    let _ = (
        manifest.default_config(),
        manifest.config_value("a", "1"),
        manifest.answers_to("x"),
    );
    let encoded = encode(&EMPTY, manifest).expect("what was read can be written");
    let again = Manifest::read(&encoded).expect("what was written can be read");
    // The last digit of a number that is no whole one may be lost on the way.
    let config = |manifest: &Manifest| manifest.config.as_ref().map(digits_aside);
    let but_config = |manifest: &Manifest| Manifest {
        config: None,
        ..manifest.clone()
    };
    assert_eq!(config(&again), config(manifest));
    assert_eq!(but_config(&again), but_config(manifest));
}

/// A value whose numbers that are no whole ones have ten digits.
fn digits_aside(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::from(
            number
                .as_f64()
                .map_or(String::new(), |number| format!("{number:.9e}")),
        ),
        Value::Array(items) => items.iter().map(digits_aside).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| (key.clone(), digits_aside(value)))
            .collect(),
        other => other.clone(),
    }
}
