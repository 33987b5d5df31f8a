//! All beasts, numbered by group, and the README that lists them.

mod data;
mod decoding;
mod escape;
mod loader;
mod memory;
mod output;
mod processing;
mod regions;
mod stack;
mod tenancy;
mod time;

use crate::keeper::{Act, Beast, Ends};
use crate::skeleton::Skeleton;
use ocr_runtime::{Quota, World};

/// A letter, a title, and the beasts.
type Group = (&'static str, &'static str, fn() -> Vec<Beast>);

/// All groups.
const GROUPS: [Group; 11] = [
    ("T", "Time", time::beasts),
    ("M", "Memory", memory::beasts),
    ("S", "Stack", stack::beasts),
    ("O", "Output", output::beasts),
    ("D", "Data", data::beasts),
    ("P", "Pictures and pages", decoding::beasts),
    ("C", "Changes of pages", processing::beasts),
    ("R", "Regions", regions::beasts),
    ("E", "Escape", escape::beasts),
    ("L", "Loader", loader::beasts),
    ("N", "Neighbours", tenancy::beasts),
];

pub fn all() -> Vec<Beast> {
    let numbered = |letter: &str, beasts: Vec<Beast>| {
        let name = |(i, beast): (usize, Beast)| Beast {
            number: format!("{letter}{}", i + 1),
            ..beast
        };
        beasts.into_iter().enumerate().map(name).collect::<Vec<_>>()
    };
    GROUPS
        .iter()
        .flat_map(|(letter, _, beasts)| numbered(letter, beasts()))
        .collect()
}

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zoo/README.md");
const TABLE: &str = "<!-- the table is written by the test -->\n";

/// The table in the README is this zoo's.
pub fn check_readme(beasts: &[Beast]) -> Result<(), String> {
    let mut table = String::new();
    for (letter, title, _) in GROUPS {
        let of_group = |b: &&Beast| b.number.starts_with(letter);
        table.push_str(&format!("\n## {title}\n\n| # | beast | ends |\n|---|---|---|\n"));
        beasts
            .iter()
            .filter(of_group)
            .for_each(|b| table.push_str(&format!("{}\n", b.line())));
    }
    let readme = std::fs::read_to_string(README).map_err(|e| format!("{README}: {e}"))?;
    let (text, held) = readme
        .split_once(TABLE)
        .ok_or("the README has no place for the table")?;
    let text = text.to_owned();
    if held == table {
        return Ok(());
    }
    if std::env::var_os("ZOO_README").is_some() {
        return std::fs::write(README, format!("{text}{TABLE}{table}")).map_err(|e| e.to_string());
    }
    Err("tests/zoo/README.md does not list these beasts; run the test with ZOO_README=1 to write it".into())
}

pub use time::sleeper;

fn formatter() -> Skeleton {
    Skeleton::new("beast", World::OutputFormatter)
}

fn adapter() -> Skeleton {
    Skeleton::new("beast", World::InputAdapter)
}

fn processor() -> Skeleton {
    Skeleton::new("beast", World::PageProcessor)
}

/// A formatter that does this with its first page.
fn on_page(name: &'static str, ends: Ends, wat: &str) -> Beast {
    Beast::new(name, ends, Act::Format(formatter().body("page", wat)))
}

fn limit(quota: &'static [Quota]) -> Ends {
    Ends::Limit(quota)
}

/// For functions that answer a number.
const SPIN: &str = "(loop $forever (br $forever)) (unreachable)";
/// For functions that answer nothing.
const SPIN_SILENTLY: &str = "(loop $forever (br $forever))";
