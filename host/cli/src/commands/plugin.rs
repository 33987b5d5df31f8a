//! `ocr-host plugin build | inspect | list`.

use crate::args::PluginCommand;
use crate::exit::{Exit, Failed, OrExit};
use crate::plugins::{BUILT_IN, built_in};
use ocr_runtime::build::{build, plugin_crates};
use ocr_runtime::{Limits, Manifest, Plugin};
use std::path::Path;
use std::sync::Arc;

pub fn run(command: PluginCommand) -> Result<Exit, Failed> {
    match command {
        PluginCommand::Build {
            folder,
            output,
            profile,
        } => build_plugin(&folder, output.as_deref(), &profile),
        PluginCommand::Inspect { plugin } => inspect(&plugin),
        PluginCommand::List => {
            for built_in in &BUILT_IN {
                let m = built_in.manifest();
                println!(
                    "{:<14} {:<17} {:<8} {}",
                    m.id,
                    m.world.name(),
                    m.version,
                    m.description
                );
            }
            Ok(Exit::Ok)
        }
    }
}

fn build_plugin(folder: &Path, output: Option<&Path>, profile: &str) -> Result<Exit, Failed> {
    let crates = plugin_crates(folder).map_err(|e| Failed::new(Exit::Arguments, e))?;
    let here = folder.canonicalize().or_exit(Exit::FileAccess)?;
    // In a workspace, cargo lists all members; the one asked for is the one in this folder.
    let crates: Vec<_> = match crates.iter().find(|c| c.folder == here) {
        Some(one) => vec![one.clone()],
        None => crates,
    };
    if output.is_some() && crates.len() > 1 {
        return Err(Failed::new(
            Exit::Arguments,
            "-o names one file, but the workspace has several plugins",
        ));
    }
    let built = build(&crates, profile).map_err(|e| Failed::new(Exit::Other, e))?;
    for (plugin, component) in crates.iter().zip(built) {
        // As the user wrote it, where that is enough to find it.
        let home = if plugin.folder == here {
            folder
        } else {
            &plugin.folder
        };
        let place = home.join(format!("{}.wasm", plugin.manifest.id));
        let place = output.unwrap_or(&place);
        let written = std::fs::write(place, &component);
        written.map_err(|e| Failed::new(Exit::FileAccess, format!("{}: {e}", place.display())))?;
        println!("{} ({} bytes)", place.display(), component.len());
    }
    Ok(Exit::Ok)
}

fn inspect(name: &str) -> Result<Exit, Failed> {
    let runtime = crate::plugins::runtime(&Limits::default())?;
    let plugin: Arc<Plugin> = crate::plugins::load(&runtime, name)?;
    let m: &Manifest = plugin.manifest();
    let origin = if Path::new(name).exists() || built_in(name).is_none() {
        name
    } else {
        "built in"
    };
    println!("{} {}  ({origin})", m.id, m.version);
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
    list("wants", &m.capabilities);
    list("imports", &plugin.imports());
    println!("sha256       {}", plugin.digest());
    if let Some(properties) = m.config_properties() {
        println!("options");
        for (key, schema) in properties {
            let text = |field: &str| schema.get(field).map(|v| v.to_string().replace('"', ""));
            let kind = text("enum").or_else(|| text("type")).unwrap_or_default();
            let default = text("default")
                .map(|d| format!(" [default: {d}]"))
                .unwrap_or_default();
            println!(
                "  {key} = {kind}{default}\n      {}",
                text("description").unwrap_or_default()
            );
        }
    }
    Ok(Exit::Ok)
}
