//! `ocr-host plugin install` and `remove`.
//!
//! What is installed was checked as the host loads it, so a plugin that is in the list runs. Nothing of it is run.

use crate::exit::{Exit, Failed};
use crate::fetch::{Fetcher, Reference};
use crate::installed::{Store, sha256};
use crate::plugins::{self, BUILT_IN};
use ocr_http::Origin;
use ocr_runtime::{Limits, Manifest, read_component};
use std::path::Path;

pub fn run(source: &str, pinned: Option<&str>) -> Result<Exit, Failed> {
    let pinned = pinned.map(digest).transpose()?;
    let store = Store::required()?;
    let (component, source) = fetch(source)?;
    let found = sha256(&component);
    if let Some(pinned) = pinned.filter(|pinned| *pinned != found) {
        let why = format!(
            "{source}: its sha256 is {found}, not {pinned} as --sha256 says; get the component from whoever gave you \
             the digest"
        );
        return Err(Failed::new(Exit::Input, why));
    }
    let manifest = checked(&component, &source)?;
    let (plugin, replaced) = store.install(&component, &manifest, &source)?;
    let instead = match replaced {
        Some(old) if old.sha256 == plugin.sha256 => " (it was installed already)".to_owned(),
        Some(old) => format!(" instead of {}", old.version),
        None => String::new(),
    };
    println!("installed {} {}{instead}", plugin.name, plugin.version);
    println!("sha256 {}", plugin.sha256);
    Ok(Exit::Ok)
}

pub fn remove(name: &str) -> Result<Exit, Failed> {
    if plugins::built_in(name).is_some() {
        let why = format!("plugin `{name}` is built in and can't be removed");
        return Err(Failed::new(Exit::Arguments, why));
    }
    let removed = Store::required()?.remove(name)?;
    println!("removed {} {}", removed.name, removed.version);
    Ok(Exit::Ok)
}

/// The component at a file or an address, and where it came from, for the lock file.
fn fetch(source: &str) -> Result<(Vec<u8>, String), Failed> {
    if let Some(reference) = source.strip_prefix("oci://") {
        let reference = Reference::parse(reference)
            .map_err(|why| Failed::new(Exit::Arguments, format!("{source}: {why}")))?;
        return Ok((Fetcher::new()?.artifact(&reference)?, reference.to_string()));
    }
    if source.contains("://") {
        let why = match Origin::of_address(source) {
            Some(origin) if origin.is_private() => None,
            Some(_) => Some("it is not encrypted, and anyone on the way could change it; use https"),
            None => Some("it is neither an https address (or http of this machine) nor oci://"),
        };
        if let Some(why) = why {
            return Err(Failed::new(Exit::Arguments, format!("{source}: {why}")));
        }
        return Ok((Fetcher::new()?.component(source)?, source.to_owned()));
    }
    let path = Path::new(source);
    let component = read_component(path).map_err(|e| Failed::new(Exit::Arguments, e))?;
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Ok((component, place.display().to_string()))
}

/// The manifest of a component that the host would load under a name of its own.
fn checked(component: &[u8], source: &str) -> Result<Manifest, Failed> {
    let refused = |why: String| Failed::new(Exit::Arguments, format!("{source}: {why}"));
    let checked = plugins::runtime(&Limits::default())?.check(component);
    let manifest = match (checked.manifest, &checked.errors[..]) {
        (Some(manifest), []) => manifest,
        (_, errors) => return Err(refused(errors.join("; "))),
    };
    for name in manifest.aliases.iter().chain([&manifest.id]) {
        let own = BUILT_IN.iter().map(|b| b.manifest()).find(|m| m.answers_to(name));
        if let Some(own) = own {
            return Err(refused(format!(
                "it answers to `{name}`, which is the built-in plugin `{}`; whoever made it has to choose another name",
                own.id
            )));
        }
    }
    Ok(manifest)
}

/// A digest as someone writes it: `sha256:` before it, capitals.
fn digest(text: &str) -> Result<String, Failed> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    match digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(digits),
        false => {
            let why = format!("--sha256: `{text}` is no SHA-256; it has 64 hexadecimal digits");
            Err(Failed::new(Exit::Arguments, why))
        }
    }
}
