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
        for l in &lines {
            println!(
                "{:<16} {:<17} {:<8} {}  {:<10} {}",
                l.name,
                l.world.name(),
                l.version,
                &l.sha256[..DIGITS],
                l.origin,
                l.description
            );
        }
    }
    match broken.into_iter().next() {
        Some(failed) => Err(failed),
        None => Ok(Exit::Ok),
    }
}
