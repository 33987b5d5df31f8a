//! Names that plugins give to output files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ocr_runtime::check_output_name;
use std::path::{Component, Path};

fuzz_target!(|name: &str| {
    let Ok(folded) = check_output_name(name) else {
        return;
    };
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
        assert_eq!(check_output_name(&again).ok().as_ref(), Some(&again));
    }
});
