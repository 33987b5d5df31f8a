//! The components that the program brings along, and how plugins are found by name or path.
//!
//! A name without a folder is a built-in plugin before it is a file, and a file before it is an installed plugin: nothing
//! that lies in the present folder takes a built-in's place, and a path is always that file.

use crate::args::{ConvertArgs, Progress};
use crate::exit::{Exit, Failed};
use crate::installed::{Installed, Store};
use crate::internal::COMPILER;
use ocr_runtime::{
    CompileChild, Limits, LoadError, Manifest, Plugin, Runtime, World, read_component, suggest,
};
use std::borrow::Cow;
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
pub static BUILT_IN: [BuiltIn; 13] = built_in![
    "pdf-in",
    "image-in",
    "archive-in",
    "mail-in",
    "markdown-out",
    "html-out",
    "json-out",
    "text-out",
    "hocr-out",
    "redact",
    "dehyphenate",
    "running-heads",
    "normalize-tables",
];

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

    /// SHA-256 of its bytes, in hexadecimal digits.
    pub fn digest(&self) -> String {
        ocr_runtime::digest(self.component())
    }

    /// Compiles it, or takes its code from the cache.
    pub fn load(&self, runtime: &Runtime) -> Result<Arc<Plugin>, Failed> {
        runtime
            .load_built_in(self.file, self.component())
            .map_err(|e| Failed::new(Exit::Other, e))
    }
}

/// The built-in component called `name`, with or without `.wasm`.
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN
        .iter()
        .find(|b| b.file == name || b.file.strip_suffix(".wasm") == Some(name))
}

/// The folder for what can be made again; `None` where there is no home folder.
pub fn cache_folder() -> Option<PathBuf> {
    let cache = std::env::var_os("OCR_HOST_CACHE").map(PathBuf::from);
    cache.or_else(|| Some(dirs::cache_dir()?.join("ocr-host")))
}

/// The folder in which compiled code is kept; `None` where there is no home folder.
pub fn code_folder() -> Option<PathBuf> {
    cache_folder().map(|cache| cache.join("code"))
}

/// Opens the folder in which compiled code is kept. What the program did not bring along is compiled in a process of its
/// own.
pub fn runtime(limits: &Limits) -> Result<Runtime, Failed> {
    Ok(silent_runtime(limits)?.on_slow_compile(|compiling| eprintln!("{compiling}")))
}

/// The same for a run whose standard error is its caller's: silent, or lines of JSON.
pub fn runtime_for(args: &ConvertArgs, limits: &Limits) -> Result<Runtime, Failed> {
    match args.quiet || args.progress == Some(Progress::Json) {
        true => silent_runtime(limits),
        false => runtime(limits),
    }
}

fn silent_runtime(limits: &Limits) -> Result<Runtime, Failed> {
    let wrong = |e: String| Failed::new(Exit::Other, format!("the component runtime can't start: {e}"));
    let runtime = Runtime::new(code_folder(), limits).map_err(|e| wrong(format!("{e:#}")))?;
    let compiler = CompileChild::this_program(COMPILER).map_err(|e| wrong(e.to_string()))?;
    Ok(runtime.compile_in(compiler))
}

/// The limits that `LIMIT=VALUE` make of the usual ones.
pub fn limits(given: &[String]) -> Result<Limits, Failed> {
    let mut limits = Limits::default();
    for given in given {
        let wrong = |why: String| Failed::new(Exit::Arguments, format!("--plugin-limit: {why}"));
        let (name, value) = given
            .split_once('=')
            .ok_or_else(|| wrong(format!("`{given}` is not LIMIT=VALUE")))?;
        limits.set(name, value).map_err(wrong)?;
    }
    Ok(limits)
}

/// Where a plugin is.
#[derive(Clone)]
pub enum Found {
    /// In the program.
    BuiltIn(&'static BuiltIn),
    /// In the user's store.
    Installed(Store, Installed),
    /// In a file.
    File(PathBuf),
}

impl Found {
    /// Its component.
    pub fn component(&self) -> Result<Cow<'static, [u8]>, Failed> {
        match self {
            Found::BuiltIn(built_in) => Ok(Cow::Borrowed(built_in.component())),
            Found::Installed(store, installed) => store.component(installed).map(Cow::Owned),
            Found::File(path) => match read_component(path) {
                Ok(component) => Ok(Cow::Owned(component)),
                Err(LoadError::Read { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
                    Err(unknown(&path.display().to_string()))
                }
                Err(error) => Err(Failed::new(Exit::Arguments, error)),
            },
        }
    }

    /// What messages call it until its manifest is read.
    pub fn name(&self) -> String {
        match self {
            Found::BuiltIn(built_in) => built_in.file.to_owned(),
            Found::Installed(_, installed) => installed.name.clone(),
            Found::File(path) => path.display().to_string(),
        }
    }

    /// Where it is, for people.
    pub fn origin(&self) -> String {
        match self {
            Found::BuiltIn(_) => "built in".to_owned(),
            Found::Installed(_, installed) => format!("installed from {}", installed.source),
            Found::File(path) => path.display().to_string(),
        }
    }

    /// Compiles it, or takes its code from the cache. A file must not call itself like a built-in plugin, unless it is a
    /// copy of it: options and grants go by names.
    pub fn load(&self, runtime: &Runtime) -> Result<Arc<Plugin>, Failed> {
        let plugin = self.load_any(runtime)?;
        let id = &plugin.manifest().id;
        match built_in(id) {
            Some(own) if own.digest() != plugin.digest() => {
                let why = format!(
                    "plugin `{}` calls itself `{id}`, which is a built-in plugin; give it a name of its own",
                    self.name()
                );
                Err(Failed::new(Exit::Arguments, why))
            }
            _ => Ok(plugin),
        }
    }
}

impl Found {
    /// The same for its author, whatever it is called.
    pub fn load_any(&self, runtime: &Runtime) -> Result<Arc<Plugin>, Failed> {
        if let Found::BuiltIn(own) = self {
            return own.load(runtime);
        }
        if let Found::BuiltIn(built_in) = self {
            return built_in.load(runtime);
        }
        let loaded = runtime.load(&self.name(), &self.component()?);
        loaded.map_err(|e| Failed::new(Exit::Arguments, e))
    }
}

/// The plugin that `--plugin NAME` means.
pub fn find(name: &str) -> Result<Found, Failed> {
    let path = Path::new(name);
    if name.contains(std::path::is_separator) {
        return Ok(Found::File(path.to_owned()));
    }
    if let Some(built_in) = built_in(name) {
        return Ok(Found::BuiltIn(built_in));
    }
    if name.ends_with(".wasm") && path.exists() {
        return Ok(Found::File(path.to_owned()));
    }
    if let Some(store) = Store::of_user()
        && let Some(installed) = store.find(name.trim_end_matches(".wasm"))?
    {
        return Ok(Found::Installed(store, installed));
    }
    match path.exists() {
        true => Ok(Found::File(path.to_owned())),
        false => Err(unknown(name)),
    }
}

/// No plugin has this name.
fn unknown(name: &str) -> Failed {
    let built_in: Vec<&str> = BUILT_IN
        .iter()
        .map(|b| b.file.trim_end_matches(".wasm"))
        .collect();
    let installed = installed();
    let installed: Vec<&str> = installed.iter().map(|p| p.name.as_str()).collect();
    let mut there_are = format!("the built-in ones are {}", built_in.join(", "));
    if !installed.is_empty() {
        there_are += &format!(", installed are {}", installed.join(", "));
    }
    let file = Path::new(name)
        .file_name()
        .map_or(name.into(), |f| f.to_string_lossy());
    let near = suggest::hint(
        file.trim_end_matches(".wasm"),
        built_in.into_iter().chain(installed),
    );
    let why = format!("plugin `{name}`: there is no such file or plugin; {there_are}{near}");
    Failed::new(Exit::Arguments, why)
}

/// Installed plugins, where their list can be read; whoever needs one of them is told why not.
fn installed() -> Vec<Installed> {
    let list = Store::of_user().map(|store| store.list());
    list.and_then(Result::ok).unwrap_or_default()
}

/// What the plugins say of themselves that can be named: built-in and installed ones, and `others` as `--plugin` takes
/// them. One that can't be read is left out; whoever needs it is told why.
pub fn known_manifests(others: &[String]) -> Vec<Manifest> {
    let store = Store::of_user();
    let installed = installed().into_iter();
    let installed = installed.filter_map(|plugin| Some(Found::Installed(store.clone()?, plugin)));
    let others = others.iter().filter_map(|name| find(name).ok());
    let read = |found: Found| Manifest::read(&found.component().ok()?).ok();
    let built_in = BUILT_IN.iter().map(BuiltIn::manifest);
    built_in.chain(installed.chain(others).filter_map(read)).collect()
}

/// What the plugins say of themselves that a run names, its formats among them. One that can't be read is left out.
pub fn manifests(args: &ConvertArgs) -> Vec<Manifest> {
    let known = known_manifests(&[]);
    let usual = ["md".to_owned()];
    let formats = match args.to.is_empty() && args.plugin.is_empty() && args.compat.is_none() {
        true => &usual[..],
        false => &args.to[..],
    };
    let format = |name: &String| {
        let is_meant = |m: &&Manifest| m.world == World::OutputFormatter && m.answers_to(name.trim());
        known.iter().find(is_meant).cloned()
    };
    let plugin = |name: &String| Manifest::read(&find(name).ok()?.component().ok()?).ok();
    let formats = formats.iter().filter_map(format);
    formats.chain(args.plugin.iter().filter_map(plugin)).collect()
}

/// Loads the plugin that `--plugin NAME` means.
pub fn load(runtime: &Runtime, name: &str) -> Result<Arc<Plugin>, Failed> {
    let found = find(name)?;
    if let (Found::BuiltIn(own), true) = (&found, Path::new(name).is_file())
        && read_component(Path::new(name)).is_ok_and(|file| file != own.component())
    {
        eprintln!("note: --plugin {name} is the built-in plugin; write ./{name} for the file in this folder");
    }
    found.load(runtime)
}

/// The formatter that `--to NAME` means: a built-in or an installed one.
pub fn formatter(runtime: &Runtime, name: &str) -> Result<Arc<Plugin>, Failed> {
    let is_meant = |m: &Manifest| m.world == World::OutputFormatter && m.answers_to(name);
    if let Some(own) = BUILT_IN.iter().find(|b| is_meant(&b.manifest())) {
        return own.load(runtime);
    }
    if let Some(store) = Store::of_user() {
        let answers = |p: &Installed| p.name == name || p.aliases.iter().any(|a| a == name);
        let formatter = |p: &Installed| p.world == World::OutputFormatter && answers(p);
        if let Some(installed) = store.list()?.into_iter().find(formatter) {
            return Found::Installed(store, installed).load(runtime);
        }
    }
    let formatters: Vec<Manifest> = BUILT_IN.iter().map(BuiltIn::manifest).collect();
    let formatters = formatters.iter().filter(|m| m.world == World::OutputFormatter);
    let mut names: Vec<String> = formatters.flat_map(|m| m.aliases.iter().cloned()).collect();
    let installed = installed()
        .into_iter()
        .filter(|p| p.world == World::OutputFormatter);
    names.extend(installed.map(|p| p.aliases.first().cloned().unwrap_or(p.name)));
    let near = suggest::hint(name, names.iter().map(String::as_str));
    let why = format!(
        "--to {name}: there is no such format; the formats are {}{near}; for a component of your own write --plugin \
         FILE.wasm",
        names.join(", ")
    );
    Err(Failed::new(Exit::Arguments, why))
}

/// Refuses a run in which two plugins answer to one name: options and grants would reach the wrong one.
pub fn check_names(plugins: &[Arc<Plugin>]) -> Result<(), Failed> {
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for manifest in plugins.iter().map(|p| p.manifest()) {
        let mut names: Vec<&str> = manifest.aliases.iter().map(String::as_str).collect();
        names.retain(|name| *name != manifest.id);
        for name in names.into_iter().chain([manifest.id.as_str()]) {
            if let Some((_, id)) = taken.iter().find(|(other, _)| *other == name) {
                let why = match *id == manifest.id {
                    true => format!("there are two plugins `{id}` in this run; leave one out"),
                    false => format!(
                        "plugins `{id}` and `{}` both call themselves `{name}`; leave one out",
                        manifest.id
                    ),
                };
                return Err(Failed::new(Exit::Arguments, why));
            }
            taken.push((name, &manifest.id));
        }
    }
    Ok(())
}

/// What is said of limits that plugins wish for and this run does not grant.
pub fn unmet_wishes(plugins: &[Arc<Plugin>], limits: &Limits) -> Vec<String> {
    let unmet = |plugin: &Arc<Plugin>| {
        let manifest = plugin.manifest();
        let granted = manifest
            .limits
            .granted(limits)
            .into_iter()
            .filter(|g| g.is_unmet());
        let said = granted.map(|g| {
            let name = g.quota.name();
            let (wished, granted) = (g.quota.shown(g.wished), g.quota.shown(g.granted));
            format!(
                "plugin `{}` wishes for {name} {wished} and gets {granted}; --plugin-limit {name}={} grants it",
                manifest.id,
                wished.replace(' ', "").replace("bytes", "")
            )
        });
        said.collect::<Vec<_>>()
    };
    plugins.iter().flat_map(unmet).collect()
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
