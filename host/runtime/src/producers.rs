//! Which language and tools made a component, as its `producers` sections say.

use crate::state::{clean, shorten};
use std::collections::BTreeSet;
use wasm_metadata::Producers;
use wasmparser::{Parser, Payload};

/// Most entries that are told of.
const TOLD: usize = 32;

/// The field of the language.
const LANGUAGE: &str = "language";

/// `language Rust 1.95`, `processed-by wit-component 0.254.2`: what the component and the modules inside of it say, each
/// once. What follows a broken section is left out.
///
/// Where the component itself names a language, that is its author's; what its modules say is the interpreter's, which came
/// along.
pub fn producers(component: &[u8]) -> Vec<(String, String)> {
    let (mut own, mut found) = (BTreeSet::new(), BTreeSet::new());
    // How many modules and components are around the section.
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        let section = match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                continue;
            }
            Payload::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Payload::CustomSection(section) if section.name() == "producers" => section,
            _ => continue,
        };
        let Ok(producers) = Producers::from_bytes(section.data(), section.data_offset()) else {
            continue;
        };
        for (field, entries) in producers.iter() {
            for (name, version) in entries.iter() {
                let entry = format!("{name} {version}");
                let entry = (clean(shorten(field, 40)), clean(shorten(&entry, 80)));
                match depth == 0 && entry.0 == LANGUAGE {
                    true => own.insert(entry),
                    false => found.insert(entry),
                };
            }
        }
    }
    if !own.is_empty() {
        found.retain(|(field, _)| field != LANGUAGE);
    }
    own.into_iter().chain(found).take(TOLD).collect()
}

/// Writes down in which language a component was written, and what made it.
pub(crate) fn mark(component: &[u8], language: &str, tool: &str, version: &str) -> Result<Vec<u8>, String> {
    let mut made = Producers::empty();
    made.add(LANGUAGE, language, "");
    made.add("processed-by", tool, version);
    made.add_to_wasm(component)
        .map_err(|e| format!("what made it can't be written down: {e:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_its_authors_and_not_the_interpreters() {
        let mut rust = Producers::empty();
        rust.add(LANGUAGE, "Rust", "1.95");
        let module = rust.add_to_wasm(&wat::parse_str("(module)").unwrap()).unwrap();
        let mut component = wat::parse_str("(component)").unwrap();
        component.push(1);
        assert!(module.len() < 128, "its length is one byte");
        component.push(module.len() as u8);
        component.extend(&module);
        let entry = |field: &str, entry: &str| (field.to_owned(), entry.to_owned());
        assert_eq!(producers(&component), [entry("language", "Rust 1.95")]);
        let marked = mark(&component, "Python", "componentize-py", "0.25.1").unwrap();
        assert_eq!(
            producers(&marked),
            [
                entry("language", "Python"),
                entry("processed-by", "componentize-py 0.25.1")
            ]
        );
    }
}
