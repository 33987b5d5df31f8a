//! Which languages and tools made a component, as its `producers` sections say.

use crate::state::{clean, shorten};
use std::collections::BTreeSet;
use wasm_metadata::Producers;
use wasmparser::{Parser, Payload};

/// Most entries that are told of.
const TOLD: usize = 32;

/// `language Rust 1.95`, `processed-by wit-component 0.254.2`: what the component and the modules inside of it say, each
/// once. What follows a broken section is left out.
pub fn producers(component: &[u8]) -> Vec<(String, String)> {
    let mut found = BTreeSet::new();
    let sections = Parser::new(0).parse_all(component).map_while(Result::ok);
    for section in sections {
        let Payload::CustomSection(section) = section else {
            continue;
        };
        if section.name() != "producers" {
            continue;
        }
        let Ok(producers) = Producers::from_bytes(section.data(), section.data_offset()) else {
            continue;
        };
        for (field, entries) in producers.iter() {
            for (name, version) in entries.iter() {
                let entry = format!("{name} {version}");
                found.insert((clean(shorten(field, 40)), clean(shorten(&entry, 80))));
            }
        }
    }
    found.into_iter().take(TOLD).collect()
}
