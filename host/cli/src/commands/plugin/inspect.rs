//! `ocr-host plugin inspect`: what a component says of itself, what it can ask of the host, and what it gets.

use super::project;
use crate::exit::{Exit, Failed};
use crate::plugins;
use ocr_runtime::manifest::schema::Schema;
use ocr_runtime::{Checked, Limits, Manifest, OnFailure, Quota, World, capabilities, producers};
use serde_json::{Value, json};

/// All there is to tell.
struct Inspected<'a> {
    origin: String,
    manifest: &'a Manifest,
    checked: &'a Checked,
    sha256: String,
    bytes: usize,
    producers: Vec<(String, String)>,
    limits: Limits,
}

pub fn run(name: &str, as_json: bool, limits: &[String]) -> Result<Exit, Failed> {
    let limits = plugins::limits(limits)?;
    let found = project::find(name)?;
    let component = found.component()?;
    let checked = plugins::runtime(&limits)?.check(&component);
    let Some(manifest) = &checked.manifest else {
        let why = format!("plugin `{}`: {}", found.name(), checked.errors.join("; "));
        return Err(Failed::new(Exit::Arguments, why));
    };
    let inspected = Inspected {
        origin: found.origin(),
        manifest,
        checked: &checked,
        sha256: crate::installed::sha256(&component),
        bytes: component.len(),
        producers: producers(&component),
        limits,
    };
    match as_json {
        true => println!("{:#}", inspected.json()),
        false => inspected.print(),
    }
    Ok(match checked.errors.is_empty() {
        true => Exit::Ok,
        false => Exit::Arguments,
    })
}

impl Inspected<'_> {
    /// Limits that apply: name, what was wished for, and what it gets.
    fn limits(&self) -> Vec<(&'static str, Option<String>, String)> {
        let granted = self.manifest.limits.granted(&self.limits);
        let effective = self.manifest.limits.within(&self.limits);
        let limit = |quota: Quota| {
            let wish = granted.iter().find(|g| g.quota == quota);
            let wished = wish.map(|g| quota.shown(g.wished));
            (quota.name(), wished, quota.shown(effective.get(quota)))
        };
        Quota::ALL.into_iter().map(limit).collect()
    }

    fn json(&self) -> Value {
        let m = self.manifest;
        let limits: serde_json::Map<String, Value> = self
            .limits()
            .into_iter()
            .map(|(name, wished, effective)| {
                (name.to_owned(), json!({"wished": wished, "effective": effective}))
            })
            .collect();
        let producers: Vec<Value> = self
            .producers
            .iter()
            .map(|(field, entry)| json!({"field": field, "value": entry}))
            .collect();
        json!({
            "id": m.id,
            "version": m.version,
            "description": m.description,
            "origin": self.origin,
            "world": m.world.name(),
            "wit": m.wit,
            "aliases": m.aliases,
            "media-types": m.media_types,
            "extensions": m.extensions,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "imports": self.checked.imports.iter().map(|i| &i.name).collect::<Vec<_>>(),
            "capabilities": {"wanted": m.capabilities, "reachable": capabilities(&self.checked.imports)},
            "on-failure": (m.world == World::PageProcessor).then(|| m.on_failure()),
            "limits": limits,
            "config": m.config,
            "producers": producers,
            "errors": self.checked.errors,
        })
    }

    fn print(&self) {
        let m = self.manifest;
        println!("{} {}  ({})", m.id, m.version, self.origin);
        if !m.description.is_empty() {
            println!("{}", m.description);
        }
        println!("world        {} of ocr-host:plugin {}", m.world.name(), m.wit);
        let list = |label: &str, items: &[String]| {
            if !items.is_empty() {
                println!("{label:<12} {}", items.join(", "));
            }
        };
        list("media types", &m.media_types);
        list("extensions", &m.extensions);
        list("--to", &m.aliases);
        println!("capabilities {}", self.capabilities());
        if m.world == World::PageProcessor {
            let becomes = match m.on_failure() {
                OnFailure::Keep => "a page that it fails on goes on as it was",
                OnFailure::Withhold => "a page that it fails on is withheld",
            };
            println!("{:<12} {becomes}", "on failure");
        }
        let imports = self.checked.imports.iter().map(|i| i.name.as_str());
        let (ours, others): (Vec<&str>, Vec<&str>) = imports.partition(|i| i.starts_with("ocr-host:plugin/"));
        let short = |name: &&str| {
            name.trim_start_matches("ocr-host:plugin/")
                .split('@')
                .next()
                .unwrap_or("")
                .to_owned()
        };
        list("imports", &ours.iter().map(short).collect::<Vec<_>>());
        list(
            "also imports",
            &others.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(),
        );
        let (languages, tools): (Vec<_>, Vec<_>) =
            self.producers.iter().partition(|(field, _)| field == "language");
        let languages = languages.into_iter().map(|(_, entry)| entry.trim().to_owned());
        list("written in", &languages.collect::<Vec<_>>());
        let tools = tools
            .into_iter()
            .map(|(field, entry)| format!("{field} {}", entry.trim()));
        list("made with", &tools.collect::<Vec<_>>());
        println!("size         {} bytes", self.bytes);
        println!("sha256       {}", self.sha256);
        println!("limits       --plugin-limit NAME=VALUE sets them");
        for (name, wished, effective) in self.limits() {
            let wished = match wished {
                Some(wished) if wished == effective => "  as it wishes".to_owned(),
                Some(wished) => format!("  it wishes for {wished}"),
                None => String::new(),
            };
            println!("  {name:<13} {effective}{wished}");
        }
        let options = m.options();
        if !options.properties().is_empty() {
            println!("options      --plugin-opt {}.NAME=VALUE sets them", m.id);
        }
        for (name, schema) in options.properties() {
            println!("  {}", option(name, schema, options.required().contains(name)));
            if let Some(description) = &schema.description {
                println!("      {description}");
            }
        }
        for error in &self.checked.errors {
            eprintln!("error: plugin `{}` can't be loaded: {error}", m.id);
        }
    }

    /// What it wants and can ask for, in one line.
    fn capabilities(&self) -> String {
        let reachable = capabilities(&self.checked.imports);
        let wanted = &self.manifest.capabilities;
        let asked = wanted.iter().map(|c| match reachable.contains(c) {
            true => c.to_string(),
            false => format!("{c} (never asked for)"),
        });
        let silent = reachable.iter().filter(|c| !wanted.contains(c));
        let silent = silent.map(|c| format!("{c} (not in its manifest, so denied)"));
        let all: Vec<String> = asked.chain(silent).collect();
        match all.is_empty() {
            true => "none".to_owned(),
            false => all.join(", "),
        }
    }
}

/// An option in one line: `images = `auto` or `none` [default: auto]`.
fn option(name: &str, schema: &Schema, required: bool) -> String {
    let default = match &schema.default {
        Some(Value::String(text)) => format!(" [default: {text:?}]"),
        Some(value) => format!(" [default: {value}]"),
        None if required => " [required]".to_owned(),
        None => String::new(),
    };
    format!("{name} = {}{default}", schema.words())
}
