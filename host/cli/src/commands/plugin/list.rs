//! `ocr-host plugin list`: the components that have a name here.

use crate::exit::{Exit, Failed};
use crate::installed::{Store, sha256};
use crate::plugins::BUILT_IN;
use ocr_runtime::World;
use serde_json::json;

/// Digits of a digest that tell plugins apart; `--json` has all.
const DIGITS: usize = 16;

/// One line of the list.
struct Line {
    name: String,
    version: String,
    world: World,
    sha256: String,
    origin: String,
    description: String,
}

pub fn run(as_json: bool) -> Result<Exit, Failed> {
    let mut lines: Vec<Line> = BUILT_IN
        .iter()
        .map(|built_in| {
            let m = built_in.manifest();
            Line {
                name: m.id,
                version: m.version,
                world: m.world,
                sha256: sha256(built_in.component()),
                origin: "built in".to_owned(),
                description: m.description,
            }
        })
        .collect();
    let mut broken = Vec::new();
    if let Some(store) = Store::of_user() {
        for plugin in store.list()? {
            let manifest = match store.component(&plugin) {
                Ok(component) => ocr_runtime::Manifest::read(&component).ok(),
                Err(failed) => {
                    broken.push(failed);
                    None
                }
            };
            lines.push(Line {
                name: plugin.name,
                version: plugin.version,
                world: plugin.world,
                sha256: plugin.sha256,
                origin: plugin.source,
                description: manifest.map(|m| m.description).unwrap_or_default(),
            });
        }
    }
    if as_json {
        let lines: Vec<_> = lines
            .iter()
            .map(|l| {
                json!({
                    "name": l.name, "version": l.version, "world": l.world.name(), "sha256": l.sha256,
                    "origin": l.origin, "description": l.description,
                })
            })
            .collect();
        println!("{:#}", json!(lines));
    } else {
        let cells = |l: &Line| {
            let digits = l.sha256[..DIGITS].to_owned();
            let world = l.world.name().to_owned();
            [&l.name, &world, &l.version, &digits, &l.origin, &l.description].map(Clone::clone)
        };
        for line in columns(lines.iter().map(cells).collect()) {
            println!("{line}");
        }
    }
    match broken.into_iter().next() {
        Some(failed) => Err(failed),
        None => Ok(Exit::Ok),
    }
}

/// Rows with each column as wide as its widest cell.
fn columns<const N: usize>(rows: Vec<[String; N]>) -> Vec<String> {
    let letters = |cell: &String| cell.chars().count();
    let widths: [usize; N] =
        std::array::from_fn(|at| rows.iter().map(|row| letters(&row[at])).max().unwrap_or(0));
    let line = |row: [String; N]| {
        let padded = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |name: &str, version: &str, about: &str| [name, version, about].map(str::to_owned);
        let rows = vec![
            row("redact", "0.1.0", "takes words out"),
            row("a-much-longer-größe", "10.20.30-rc.1", ""),
        ];
        assert_eq!(
            columns(rows),
            [
                "redact               0.1.0          takes words out",
                "a-much-longer-größe  10.20.30-rc.1"
            ]
        );
        assert!(columns::<2>(Vec::new()).is_empty());
    }
}
