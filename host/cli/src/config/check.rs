//! What reading the file alone does not show: plugins that are not there or not what a tenant trusts, options that do
//! not fit or that the plugin itself does not take, inputs that are missing, folders that meet.
//!
//! A run asks the same before it begins, for its workflow and its tenants alone.

use super::file::{File, Forced, Tenant, Workflow};
use super::folders::check_folders;
use super::keys::{GROUPS, Kind, digest};
use super::opening::{self, Refusal};
use super::problem::{Problem, Problems, Weight};
use super::read::{Entries, Item, Pair, Value, as_flag};
use super::settle::{is_path, option, placed, plugins_of};
use crate::exit::Failed;
use crate::grants::is_built_in;
use crate::installed::Store;
use crate::plugins;
use ocr_runtime::{Limits, Manifest, Places, Plugin, Runtime, World, suggest};
use serde_json::Map;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A forced processor, loaded.
#[derive(Debug, Clone)]
pub struct ForcedPlugin {
    pub plugin: Arc<Plugin>,
    /// A JSON object that fits its schema.
    pub config: String,
    pub is_first: bool,
}

/// Looks at what a file names.
pub struct Checker<'a> {
    pub file: &'a File,
    runtime: &'a Runtime,
    /// Plugins by what they were called, loaded once.
    loaded: BTreeMap<String, Result<Arc<Plugin>, String>>,
    known: Option<Vec<Manifest>>,
    /// Whether plugins of workflows are asked about their options. A run asks them itself: its command line may have more.
    opens_workflows: bool,
    /// What plugins answered, by digest and options, asked once.
    opened: BTreeMap<(String, String), Result<(), Refusal>>,
    pub problems: Problems,
}

/// A plugin of a workflow and the place where it is named.
type Named = (Item, Arc<Plugin>);

impl<'a> Checker<'a> {
    pub fn new(file: &'a File, runtime: &'a Runtime) -> Self {
        Self {
            file,
            runtime,
            loaded: BTreeMap::new(),
            known: None,
            opens_workflows: false,
            opened: BTreeMap::new(),
            problems: Problems::default(),
        }
    }

    /// Everything there is.
    pub fn all(&mut self) {
        self.opens_workflows = true;
        self.workflow(None);
        for workflow in self.file.workflows.values() {
            self.workflow(Some(workflow));
        }
        for tenant in self.file.tenants.values() {
            self.tenant(tenant);
        }
        check_folders(self.file, &mut self.problems);
    }

    fn load(
        &mut self,
        item: &Item,
        how: impl FnOnce(&Runtime) -> Result<Arc<Plugin>, Failed>,
    ) -> Option<Arc<Plugin>> {
        let runtime = self.runtime;
        let loaded = self
            .loaded
            .entry(item.text.clone())
            .or_insert_with(|| how(runtime).map_err(|e| e.error.to_string()));
        match loaded {
            Ok(plugin) => Some(plugin.clone()),
            Err(why) => {
                let why = why.trim_start_matches("--to ").to_owned();
                self.problems.push(Problem::error(item.at.clone(), why));
                None
            }
        }
    }

    /// The plugin that an item of the file means.
    fn plugin(&mut self, item: &Item) -> Option<Arc<Plugin>> {
        let name = placed(&Kind::Plugin, &item.text, self.file.source.folder())
            .to_string_lossy()
            .into_owned();
        let item = Item {
            text: name.clone(),
            at: item.at.clone(),
        };
        self.load(&item, |runtime| plugins::load(runtime, &name))
    }

    /// A workflow's own settings and those that it takes from the head; `None`: the head alone.
    pub fn workflow(&mut self, workflow: Option<&Workflow>) -> Vec<Named> {
        let layers: Vec<&Entries> = workflow
            .map(|w| &w.settings)
            .into_iter()
            .chain([&self.file.head])
            .collect();
        let is_set = |layer: &Entries| GROUPS[0].iter().any(|key| layer.get(key).is_some());
        let formats = layers.iter().find(|layer| is_set(layer)).copied();
        let mut named: Vec<Named> = Vec::new();
        for item in formats.map_or(&[][..], |layer| layer.items("to")) {
            let loaded = self.load(item, |runtime| plugins::formatter(runtime, item.text.trim()));
            named.extend(loaded.map(|plugin| (item.clone(), plugin)));
        }
        for item in formats.map_or(&[][..], |layer| layer.items("plugin")) {
            let loaded = self.plugin(item);
            named.extend(loaded.map(|plugin| (item.clone(), plugin)));
        }
        self.names_meet(&named);
        for layer in &layers {
            self.options(layer, &named);
        }
        self.configured(workflow, &named);
        // What the head says of inputs and folders is for conversions, which have their own on the command line.
        if let Some(workflow) = workflow {
            self.inputs(workflow.settings.items("inputs"));
            let takes: Vec<&str> = named.iter().map(|(_, p)| p.manifest().id.as_str()).collect();
            self.idle_options(workflow, &takes);
        }
        for layer in layers.iter().take(1) {
            self.settings(layer);
        }
        named
    }

    /// Two plugins of one name, or two that write the same file.
    fn names_meet(&mut self, named: &[Named]) {
        let mut problems = Problems::default();
        for (n, (item, plugin)) in named.iter().enumerate() {
            let mine = plugin.manifest();
            for (other, theirs) in &named[..n] {
                let theirs = theirs.manifest();
                let same = mine.answers_to(&theirs.id) || theirs.answers_to(&mine.id);
                let formats = mine.world == World::OutputFormatter && theirs.world == World::OutputFormatter;
                let why = match () {
                    () if same => format!("there are two plugins `{}` in this run", theirs.id),
                    () if formats && mine.extensions[0] == theirs.extensions[0] => {
                        format!("two formatters write .{}", mine.extensions[0])
                    }
                    () => continue,
                };
                problems.push(
                    Problem::error(item.at.clone(), why)
                        .label("leave one out")
                        .also(other.at.clone(), ""),
                );
            }
        }
        self.problems.extend(problems);
    }

    fn known(&mut self) -> &[Manifest] {
        let file = self.file;
        self.known
            .get_or_insert_with(|| plugins::known_manifests(&plugins_of(file)))
    }

    /// Options against the manifests of those that take them.
    fn options(&mut self, layer: &Entries, named: &[Named]) {
        let Some(Value::Groups(groups)) = layer.get("plugin-opt").map(|entry| &entry.value) else {
            return;
        };
        let mut problems = Problems::default();
        for (name, pairs) in groups {
            let word = name.text.trim_end_matches(".wasm");
            let known = self.known();
            let all = || named.iter().map(|(_, p)| p.manifest()).chain(known);
            let meant = all()
                .find(|m| m.id == word)
                .or_else(|| all().find(|m| m.answers_to(word)));
            let Some(manifest) = meant else {
                let ids: Vec<&str> = all().map(|m| m.id.as_str()).collect();
                let problem = Problem::error(name.at.clone(), format!("there is no plugin `{word}`"));
                problems.push(match suggest::nearest(word, &ids) {
                    Some(near) => problem.label(format!("did you mean `{near}`?")),
                    None => problem.help(format!("known are {}", sorted(ids).join(", "))),
                });
                continue;
            };
            for pair in pairs {
                if let Err(why) = manifest.check_config_value(&pair.key.text, &pair.value) {
                    problems.push(Problem::error(pair.at.clone(), why));
                }
            }
        }
        self.problems.extend(problems);
    }

    /// What the options of each plugin come to: whether one is missing that it can't do without, and whether it takes them.
    fn configured(&mut self, workflow: Option<&Workflow>, named: &[Named]) {
        // The head's go first, and later ones win.
        let file = self.file;
        let layers = std::iter::once(&file.head).chain(workflow.map(|w| &w.settings));
        let layers: Vec<&Entries> = layers.collect();
        let given = layers.iter().flat_map(|layer| layer.pairs("plugin-limit"));
        let given: Vec<String> = given
            .map(|pair| format!("{}={}", pair.key.text, as_flag(&pair.value)))
            .collect();
        // One that is wrong was told of when the file was read.
        let limits = plugins::limits(&given).unwrap_or_default();
        for (item, plugin) in named {
            let manifest = plugin.manifest();
            let mut mine: Vec<&Pair> = Vec::new();
            for layer in &layers {
                let Some(Value::Groups(groups)) = layer.get("plugin-opt").map(|entry| &entry.value) else {
                    continue;
                };
                let groups = groups
                    .iter()
                    .filter(|(name, _)| manifest.answers_to(name.text.trim_end_matches(".wasm")));
                mine.extend(groups.flat_map(|(_, pairs)| pairs));
            }
            // What does not fit was told of where it stands.
            mine.retain(|pair| manifest.check_config_value(&pair.key.text, &pair.value).is_ok());
            let config = mine
                .iter()
                .map(|pair| (pair.key.text.clone(), pair.value.clone()));
            match (manifest.complete_config(config.collect()), workflow) {
                (Ok(_), _) if !self.opens_workflows => {}
                (Ok(config), _) => {
                    let config = serde_json::Value::Object(config).to_string();
                    if let Some(mut problem) = self.opens(plugin, &config, &limits, &mine, item) {
                        if mine.is_empty() {
                            problem.weight = Weight::Warning;
                            problem.message += "; the command line has to set them";
                        }
                        self.problems.push(problem);
                    }
                }
                (Err(why), Some(workflow)) => {
                    let help = format!(
                        "set it in [workflow.{}.plugin-opt.{}]",
                        workflow.name.text, manifest.id
                    );
                    self.problems
                        .push(Problem::error(item.at.clone(), why).help(help));
                }
                // A conversion may have it on its command line.
                (Err(_), None) => {}
            }
        }
    }

    /// Opens a plugin with its options; what it has to say of them stands under the one that it names.
    fn opens(
        &mut self,
        plugin: &Arc<Plugin>,
        config: &str,
        limits: &Limits,
        given: &[&Pair],
        item: &Item,
    ) -> Option<Problem> {
        let opened = self
            .opened
            .entry((plugin.digest(), config.to_owned()))
            .or_insert_with(|| opening::open(plugin, config, limits, &Places::default()));
        match opened {
            Ok(()) => None,
            Err(Refusal::Options(why)) => {
                let named = |pair: &&&Pair| why.contains(&format!("`{}`", pair.key.text));
                let place = given.iter().rfind(named).map_or(&item.at, |pair| &pair.at);
                Some(Problem::error(place.clone(), why.clone()))
            }
            Err(Refusal::Stopped(why)) => {
                let why = format!("{why}, when it was opened over no document");
                Some(Problem::warning(item.at.clone(), why))
            }
        }
    }

    /// Options of a workflow for a plugin that is not in it.
    fn idle_options(&mut self, workflow: &Workflow, takes: &[&str]) {
        let Some(Value::Groups(groups)) = workflow.settings.get("plugin-opt").map(|entry| &entry.value)
        else {
            return;
        };
        for (name, _) in groups {
            let word = name.text.trim_end_matches(".wasm").to_owned();
            let id = self
                .known()
                .iter()
                .find(|m| m.answers_to(&word))
                .map(|m| m.id.clone());
            // Adapters are in every run.
            let is_idle = |manifest: &Manifest| manifest.world != World::InputAdapter;
            let idle = self
                .known()
                .iter()
                .any(|m| Some(&m.id) == id.as_ref() && is_idle(m));
            if idle && !takes.contains(&id.unwrap_or_default().as_str()) {
                let why = format!(
                    "plugin `{word}` takes no part in workflow `{}`",
                    workflow.name.text
                );
                self.problems.push(Problem::warning(name.at.clone(), why));
            }
        }
    }

    fn inputs(&mut self, inputs: &[Item]) {
        for input in inputs {
            let path = PathBuf::from(placed(&Kind::Path, &input.text, self.file.source.folder()));
            let pattern = path.to_string_lossy().into_owned();
            let is_there = path.exists()
                || (input.text.contains(['*', '?', '['])
                    && glob::glob(&pattern).is_ok_and(|mut found| found.next().is_some()));
            if !is_there {
                let why = format!("nothing is at {}", path.display());
                self.problems.push(Problem::warning(input.at.clone(), why));
            }
        }
    }

    /// Paths and variables of a section.
    fn settings(&mut self, layer: &Entries) {
        let here = self.file.source.folder();
        if let Some(models) = layer
            .item("models")
            .filter(|models| !here.join(&models.text).is_dir())
        {
            let why = format!("there is no folder {}", here.join(&models.text).display());
            self.problems.push(Problem::error(models.at.clone(), why));
        }
        if let Some(output) = layer
            .item("output")
            .filter(|output| here.join(&output.text).is_file())
        {
            let why = format!("{} is a file", here.join(&output.text).display());
            self.problems
                .push(Problem::error(output.at.clone(), why).help("give a folder"));
        }
        if let Some(model) = layer
            .item("model")
            .filter(|model| model.text.contains(['/', '\\', '.']))
            && !here.join(&model.text).is_dir()
        {
            let why = format!("there is no folder {}", here.join(&model.text).display());
            self.problems.push(Problem::error(model.at.clone(), why));
        }
        if let Some(name) = layer
            .item("pdf-password-env")
            .filter(|name| std::env::var_os(&name.text).is_none())
        {
            let why = format!("the environment variable `{}` is not set here", name.text);
            self.problems.push(Problem::warning(name.at.clone(), why));
        }
    }

    /// A tenant's plugins, its forced processors, and whether it may have what its workflows name.
    pub fn tenant(&mut self, tenant: &Tenant) -> Vec<ForcedPlugin> {
        self.inputs(&tenant.inputs);
        let mut trusted: BTreeMap<String, String> = BTreeMap::new();
        for pair in &tenant.plugins {
            let wanted = pair
                .value
                .as_str()
                .and_then(|text| digest(text).ok())
                .unwrap_or_default()
                .to_owned();
            trusted.insert(wanted.clone(), pair.key.text.clone());
            let Some(plugin) = self.pinned(&pair.key) else {
                continue;
            };
            if plugin.digest() != wanted {
                let why = format!(
                    "plugin `{}` is not the one that tenant `{}` trusts",
                    pair.key.text, tenant.name.text
                );
                let problem = Problem::error(pair.at.clone(), why).label("another digest");
                let help = format!(
                    "the plugin that is here has sha256:{}; look at it before you write that",
                    plugin.digest()
                );
                self.problems.push(problem.help(help));
            }
        }
        let forced: Vec<ForcedPlugin> = tenant
            .forced
            .iter()
            .filter_map(|forced| self.forced(tenant, forced, &trusted))
            .collect();
        for name in &tenant.workflows {
            let Some(workflow) = self.file.workflows.get(&name.text) else {
                continue;
            };
            // Its own problems are told of once, whoever runs it.
            let named = self.quietly(|checker| checker.workflow(Some(workflow)));
            for (item, plugin) in named {
                if let Err(why) = trusts(tenant, &plugin) {
                    self.problems
                        .push(Problem::error(name.at.clone(), why).also(item.at, "named here"));
                }
            }
            self.forced_options(tenant, workflow, &forced);
        }
        forced
    }

    fn quietly<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let kept = std::mem::take(&mut self.problems);
        let answer = ask(self);
        self.problems = kept;
        answer
    }

    /// The plugin that a tenant pins: a path, a name, or what a plugin of a workflow calls itself.
    fn pinned(&mut self, item: &Item) -> Option<Arc<Plugin>> {
        if !is_path(&item.text) && plugins::find(&item.text).is_err() {
            let here = self.file.source.folder();
            let layers = self
                .file
                .workflows
                .values()
                .map(|w| &w.settings)
                .chain([&self.file.head]);
            let named: Vec<Item> = layers.flat_map(|layer| layer.items("plugin")).cloned().collect();
            for candidate in named {
                let path = placed(&Kind::Plugin, &candidate.text, here)
                    .to_string_lossy()
                    .into_owned();
                let manifest = plugins::find(&path)
                    .ok()
                    .and_then(|found| Manifest::read(&found.component().ok()?).ok());
                if manifest.is_some_and(|m| m.answers_to(&item.text)) {
                    return self.quietly(|checker| checker.plugin(&candidate));
                }
            }
        }
        self.plugin(item)
    }

    fn forced(
        &mut self,
        tenant: &Tenant,
        forced: &Forced,
        trusted: &BTreeMap<String, String>,
    ) -> Option<ForcedPlugin> {
        let name = &forced.plugin;
        // A name that the tenant pins is looked for as it is there.
        let plugin = match tenant.plugins.iter().any(|pair| pair.key.text == name.text) {
            true => self.quietly(|checker| checker.pinned(name))?,
            false => self.plugin(name)?,
        };
        let manifest = plugin.manifest();
        if plugin.world() != World::PageProcessor {
            let why = format!(
                "plugin `{}` is an {}; page processors alone are forced",
                manifest.id,
                plugin.world().name()
            );
            self.problems.push(Problem::error(name.at.clone(), why));
            return None;
        }
        if !is_built_in(&plugin) && !trusted.contains_key(&plugin.digest()) {
            let why = format!(
                "plugin `{}` is forced, and tenant `{}` does not name its digest",
                manifest.id, tenant.name.text
            );
            let help = format!(
                "write it down: [tenant.{}.plugins] {} = \"sha256:{}\"",
                tenant.name.text,
                manifest.id,
                plugin.digest()
            );
            self.problems
                .push(Problem::error(name.at.clone(), why).help(help));
            return None;
        }
        let mut config = Map::new();
        for pair in &forced.options {
            match manifest.check_config_value(&pair.key.text, &pair.value) {
                Ok(()) => drop(config.insert(pair.key.text.clone(), pair.value.clone())),
                Err(why) => self.problems.push(Problem::error(pair.at.clone(), why)),
            }
        }
        match manifest.complete_config(config) {
            Ok(config) => {
                let config = serde_json::Value::Object(config).to_string();
                let given: Vec<&Pair> = forced.options.iter().collect();
                let problem = self.opens(&plugin, &config, &Limits::default(), &given, name);
                problem
                    .into_iter()
                    .for_each(|problem| self.problems.push(problem));
                Some(ForcedPlugin {
                    config,
                    is_first: forced.is_first,
                    plugin,
                })
            }
            Err(why) => {
                let help = format!("set it in the `options` of [[tenant.{}.force]]", tenant.name.text);
                self.problems
                    .push(Problem::error(name.at.clone(), why).help(help));
                None
            }
        }
    }

    /// Options of a workflow for a processor that the tenant forces on it reach the workflow's own alone; without one
    /// they would be idle, and someone may have thought otherwise.
    fn forced_options(&mut self, tenant: &Tenant, workflow: &Workflow, forced: &[ForcedPlugin]) {
        let Some(Value::Groups(groups)) = workflow.settings.get("plugin-opt").map(|entry| &entry.value)
        else {
            return;
        };
        for (name, pairs) in groups {
            let Some(pair) = pairs.first() else { continue };
            let word = name.text.trim_end_matches(".wasm");
            let given = option(word, pair, &self.file.source);
            if let Some(meant) = forced.iter().find(|f| f.plugin.manifest().answers_to(word)) {
                let id = &meant.plugin.manifest().id;
                let why = format!(
                    "`{}` does not reach the `{id}` that tenant `{}` forces: its options are set there alone",
                    given.key, tenant.name.text
                );
                self.problems.push(Problem::warning(name.at.clone(), why));
            }
        }
    }
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether a tenant may have a plugin: those inside the program, and those whose digest it names.
pub fn trusts(tenant: &Tenant, plugin: &Plugin) -> Result<(), String> {
    let digests = tenant
        .plugins
        .iter()
        .filter_map(|pair| digest(pair.value.as_str()?).ok());
    if is_built_in(plugin) || digests.into_iter().any(|trusted| trusted == plugin.digest()) {
        return Ok(());
    }
    let (id, tenant) = (&plugin.manifest().id, &tenant.name.text);
    Err(format!(
        "plugin `{id}` (sha256:{}) is not among the plugins of tenant `{tenant}`",
        plugin.digest()
    ))
}

/// Files on which the plugins of a file depend, for those who watch them.
pub fn watched(file: &File) -> Vec<PathBuf> {
    let paths = plugins_of(file)
        .into_iter()
        .filter(|name| is_path(name))
        .map(PathBuf::from);
    let installed = Store::of_user().map(|store| store.lock_file());
    std::iter::once(file.source.path.clone())
        .chain(paths)
        .chain(installed)
        .collect()
}
