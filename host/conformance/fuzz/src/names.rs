//! Names that plugins give to output files.

use ocr_runtime::check_output_name;
use std::path::{Component, Path};

/// The bytes are a name, or two with a zero byte between them.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (one, other) = text.split_once('\0').unwrap_or((text, ""));
    let folded = [one, other].map(check);
    if let [Some(a), Some(b)] = &folded {
        // Names that differ in case, as any one function sees it, collide.
        let alike = one.to_lowercase() == other.to_lowercase() || one.to_uppercase() == other.to_uppercase();
        assert!(a == b || !alike, "{one:?} and {other:?} do not collide");
    }
}

/// The form under which a name collides, where it is taken.
fn check(name: &str) -> Option<String> {
    let folded = check_output_name(name).ok()?;
    assert!(!name.is_empty() && name.len() <= 200);
    let path = Path::new(name);
    assert!(path.is_relative() && path.components().count() == name.split('/').count());
    for part in path.components() {
        let Component::Normal(part) = part else {
            panic!("{name:?} has the part {part:?}");
        };
        let part = part.to_str().expect("it is text");
        assert!(!part.starts_with(['.', ' ']) && !part.ends_with(['.', ' ']));
    }
    assert!(!name.contains(['\\', ':', '*', '?', '"', '<', '>', '|', '\0']));
    assert!(!name.chars().any(char::is_control));
    // Two names collide or they don't, whichever comes first.
    if let Ok(again) = check_output_name(&folded) {
        assert_eq!(again, folded);
    }
    Some(folded)
}
