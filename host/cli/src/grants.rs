//! Who may do what: components inside the program have what their manifests ask for, recognised by their digests,
//! whatever they are called and however they are given; a stranger has what an operator grants of what it asks for.
//!
//! A grant names a plugin by its id, by the path that `--plugin` has, or by its digest. An id is what a component says of
//! itself, so a run takes no two of one name (`plugins::check_names`), and the digest is there for those who want to be sure.

use crate::exit::{Exit, Failed};
use crate::plugins::built_in;
use ocr_runtime::{Capability, Grants, Plugin, suggest};
use std::str::FromStr;
use std::sync::Arc;

/// Before a digest.
const SHA256: &str = "sha256:";

/// Capabilities for one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id, path or digest.
    pub plugin: String,
    /// What it is granted.
    pub capabilities: Grants,
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (plugin, capabilities) = text.rsplit_once('=').ok_or_else(|| {
            format!("{text:?} is not PLUGIN=CAPABILITY; write for example tidy=page.raster")
        })?;
        if plugin.is_empty() || plugin == "*" {
            return Err("a grant names one plugin; there is none for all".into());
        }
        let capabilities = capabilities.split(',').map(|name| match name.trim() {
            "*" => Err("a grant names its capabilities; there is none for all".to_owned()),
            name => name.parse::<Capability>(),
        });
        Ok(Self {
            plugin: plugin.to_owned(),
            capabilities: capabilities.collect::<Result<Grants, String>>()?,
        })
    }
}

impl Grant {
    /// Whether it is meant for `plugin`, which was given as `given`.
    fn is_for(&self, plugin: &Plugin, given: &str) -> bool {
        match self.plugin.strip_prefix(SHA256) {
            Some(digest) => digest.eq_ignore_ascii_case(&plugin.digest()),
            None => self.plugin == plugin.manifest().id || self.plugin == given,
        }
    }
}

/// A plugin of a run and what the user called it.
#[derive(Debug, Clone)]
pub struct Given {
    /// The path or name of `--plugin`, or the name of the built-in one.
    pub name: String,
    /// The plugin.
    pub plugin: Arc<Plugin>,
}

/// Whether the plugin is one of those inside the program, byte by byte.
pub fn is_built_in(plugin: &Plugin) -> bool {
    built_in(&plugin.manifest().id).is_some_and(|ours| ours.digest() == plugin.digest())
}

/// What `given` is granted; its session takes of it what its manifest asks for.
pub fn of(given: &Given, grants: &[Grant]) -> Grants {
    if is_built_in(&given.plugin) {
        return Grants::ALL;
    }
    let meant = grants.iter().filter(|g| g.is_for(&given.plugin, &given.name));
    meant.flat_map(|g| g.capabilities.iter()).collect()
}

/// What a stranger asks for in vain, as a line that names the flag.
pub fn note(given: &Given, granted: Grants) -> Option<String> {
    let manifest = given.plugin.manifest();
    let missing = manifest.asks().without(granted);
    let meanings: Vec<&str> = missing.iter().map(Capability::meaning).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "note: plugin `{id}` asks to {meanings} and may not; let it with --grant {id}={missing}",
            id = manifest.id,
            meanings = meanings.join(", and to "),
        )
    })
}

/// Refuses grants of the command line for plugins that are not in the run, or for what they don't ask for.
pub fn check(grants: &[Grant], run: &[Given]) -> Result<(), Failed> {
    let wrong = |why: String| Err(Failed::new(Exit::Arguments, format!("--grant: {why}")));
    for grant in grants {
        let Some(meant) = run.iter().find(|g| grant.is_for(&g.plugin, &g.name)) else {
            let ids: Vec<&str> = run.iter().map(|g| g.plugin.manifest().id.as_str()).collect();
            return wrong(format!(
                "there is no plugin `{}` in this run; {}",
                grant.plugin,
                suggest::among(&grant.plugin, &ids)
            ));
        };
        let idle = grant.capabilities.without(meant.plugin.manifest().asks());
        if !idle.is_empty() {
            return wrong(format!(
                "plugin `{}` does not ask for {idle} in its manifest, so it could not use it; leave it out",
                meant.plugin.manifest().id
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_name_one_plugin_and_known_capabilities() {
        let grant: Grant = "tidy=page.raster,image.rows".parse().unwrap();
        assert_eq!(grant.plugin, "tidy");
        assert_eq!(grant.capabilities.to_string(), "page.raster,image.rows");
        let path: Grant = "./a=b/tidy.wasm=ocr.recognize".parse().unwrap();
        assert_eq!(path.plugin, "./a=b/tidy.wasm");
        for (wrong, why) in [
            ("tidy", "not PLUGIN=CAPABILITY"),
            ("*=page.raster", "names one plugin"),
            ("=page.raster", "names one plugin"),
            ("tidy=*", "names its capabilities"),
            ("tidy=page.raste", "did you mean `page.raster`?"),
            ("tidy=", "there are page.raster"),
        ] {
            let said = wrong.parse::<Grant>().unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
