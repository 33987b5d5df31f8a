//! The components that the program brings along, and how plugins are found by name or path.

use crate::exit::{Exit, Failed};
use ocr_runtime::{Limits, LoadError, Manifest, Plugin, Runtime, World};
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(BuiltIn {
            file: concat!($name, ".wasm"),
            packed: include_bytes!(concat!("../../../plugins/", $name, "/", $name, ".wasm.gz")),
            component: OnceLock::new(),
        }),*]
    };
}

/// A component inside the program, packed until it is asked for.
pub struct BuiltIn {
    /// As `--plugin` names it.
    pub file: &'static str,
    packed: &'static [u8],
    component: OnceLock<Vec<u8>>,
}

/// First-party components. Adapters are asked in this order.
pub static BUILT_IN: [BuiltIn; 5] = built_in!["pdf-in", "image-in", "markdown-out", "html-out", "json-out"];

impl BuiltIn {
    /// Its bytes.
    pub fn component(&self) -> &[u8] {
        self.component.get_or_init(|| {
            let mut bytes = Vec::new();
            let unpacked = flate2::read::GzDecoder::new(self.packed).read_to_end(&mut bytes);
            unpacked.expect("a built-in component unpacks; xtask packed it");
            bytes
        })
    }

    /// Its description of itself.
    pub fn manifest(&self) -> Manifest {
        Manifest::read(self.component()).expect("a built-in component has a manifest; xtask writes it")
    }

    /// Compiles it, or takes its code from the cache.
    pub fn load(&self, runtime: &Runtime) -> Result<Arc<Plugin>, Failed> {
        runtime
            .load(self.file, self.component())
            .map_err(|e| Failed::new(Exit::Other, e))
    }
}

/// The built-in component called `name`, with or without `.wasm`.
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN
        .iter()
        .find(|b| b.file == name || b.file.strip_suffix(".wasm") == Some(name))
}

/// The folder in which compiled code is kept; `None` where there is no home folder.
pub fn code_folder() -> Option<PathBuf> {
    let cache = std::env::var_os("OCR_HOST_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(dirs::cache_dir()?.join("ocr-host")));
    cache.map(|c| c.join("code"))
}

/// Opens the folder in which compiled code is kept.
pub fn runtime(limits: &Limits) -> Result<Runtime, Failed> {
    let runtime = Runtime::new(code_folder(), limits);
    runtime.map_err(|e| Failed::new(Exit::Other, format!("the component runtime can't start: {e:#}")))
}

/// The plugin that `--plugin NAME` means: a file, or a built-in component by its bare name.
pub fn load(runtime: &Runtime, name: &str) -> Result<Arc<Plugin>, Failed> {
    let path = Path::new(name);
    if !path.exists()
        && let Some(built_in) = built_in(name)
    {
        return built_in.load(runtime);
    }
    runtime.load_file(path).map_err(|error| match error {
        LoadError::Read { .. } if !path.exists() => {
            let names = BUILT_IN.iter().map(|b| b.file).collect::<Vec<_>>().join(", ");
            let why = format!("plugin `{name}`: there is no such file, and the built-in ones are {names}");
            Failed::new(Exit::Arguments, why)
        }
        error => Failed::new(Exit::Arguments, error),
    })
}

/// The formatter that `--to NAME` means.
pub fn formatter(runtime: &Runtime, name: &str) -> Result<Arc<Plugin>, Failed> {
    let formatters: Vec<(&BuiltIn, Manifest)> = BUILT_IN
        .iter()
        .map(|b| (b, b.manifest()))
        .filter(|(_, m)| m.world == World::OutputFormatter)
        .collect();
    match formatters.iter().find(|(_, m)| m.answers_to(name)) {
        Some((found, _)) => found.load(runtime),
        None => {
            let names: Vec<&str> = formatters
                .iter()
                .flat_map(|(_, m)| m.aliases.iter())
                .map(String::as_str)
                .collect();
            let why = format!(
                "--to {name}: there is no such format; the formats are {}",
                names.join(", ")
            );
            Err(Failed::new(
                Exit::Arguments,
                format!("{why}; for a component of your own write --plugin FILE.wasm"),
            ))
        }
    }
}

/// The options of each plugin as JSON, from `KEY=VALUE` and `PLUGIN.KEY=VALUE`. A bare key goes to every plugin that
/// knows it, and one at least has to.
pub fn options(plugins: &[Arc<Plugin>], given: &[String]) -> Result<Vec<String>, Failed> {
    let wrong = |why: String| Failed::new(Exit::Arguments, format!("--plugin-opt: {why}"));
    let mut configs: Vec<Map<String, Value>> =
        plugins.iter().map(|p| p.manifest().config_defaults()).collect();
    for option in given {
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| wrong(format!("`{option}` is not KEY=VALUE")))?;
        let addressed = key
            .split_once('.')
            .map(|(plugin, key)| (plugin.trim_end_matches(".wasm"), key));
        let (plugin, key) = addressed.map_or((None, key), |(plugin, key)| (Some(plugin), key));
        let mut taken = 0;
        let mut complaints = Vec::new();
        for (taker, config) in plugins.iter().zip(&mut configs) {
            let manifest = taker.manifest();
            if plugin.is_some_and(|name| !manifest.answers_to(name)) {
                continue;
            }
            let known = manifest.config_properties().is_some_and(|p| p.contains_key(key));
            match manifest.config_value(key, value) {
                Ok(value) => {
                    config.insert(key.to_owned(), value);
                    taken += 1;
                }
                Err(why) if known => return Err(wrong(why)),
                Err(why) => complaints.push(why),
            }
        }
        // An option in a configuration file may be for a format that this run does not write.
        if taken == 0 && (plugin.is_none() || !complaints.is_empty()) {
            let why = match complaints.is_empty() {
                true => format!("no plugin takes `{key}`"),
                false => complaints.join("; "),
            };
            return Err(wrong(why));
        }
    }
    Ok(configs
        .into_iter()
        .map(|c| Value::Object(c).to_string())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_components_describe_themselves() {
        for built_in in &BUILT_IN {
            let manifest = built_in.manifest();
            assert_eq!(format!("{}.wasm", manifest.id), built_in.file);
        }
    }
}
