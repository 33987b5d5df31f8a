//! From flags to a plan: the plugins that a run names, loaded, with their options and grants; and all that is done with
//! documents, once an engine runs.

use crate::args::{Compat, ConvertArgs, TextLayerChoice};
use crate::compat::Deepseek;
use crate::config::{Refusal, open_plugin};
use crate::exit::{Exit, Failed};
use crate::grants::{self, Given, Grant};
use crate::model::Choice;
use crate::options::{self, GivenOption, Settings};
use crate::pdf::Pdfium;
use crate::plugins;
use ocr_engine::{EngineHandle, Tenant};
use ocr_pipeline::{
    AdapterPlan, Events, FormatterPlan, LEAST_TIME, NoGate, PageBudget, Plan, ProcessorPlan, SinkPlan,
    TextLayerMode,
};
use ocr_runtime::limits::parse_duration;
use ocr_runtime::services::Services;
use ocr_runtime::{CancelFlag, Context, Grants, Limits, PdfRenderer, Places, Plugin, Runtime, World};
use std::sync::Arc;
use std::time::Duration;

/// What all plans of a run have in common.
#[derive(Clone)]
pub struct Run<'a> {
    pub args: &'a ConvertArgs,
    pub choice: &'a Choice,
    pub engine: EngineHandle,
    /// How many documents there are.
    pub documents: usize,
    /// Draws PDFs, where a library for it was found.
    pub pdf: Option<Pdfium>,
    pub cancel: &'a CancelFlag,
    pub events: Arc<dyn Events>,
}

/// A plugin of a run with its options.
#[derive(Clone)]
pub struct Ready {
    pub given: Given,
    /// A JSON object that fits its schema.
    pub config: String,
    /// Where its options were given.
    pub places: Places,
    pub grants: Grants,
}

/// The plugins of a run, by what they do.
pub struct Prepared {
    /// The user's own first.
    pub adapters: Vec<Ready>,
    /// In the order in which they edit.
    pub processors: Vec<Ready>,
    pub formatters: Vec<Ready>,
    pub limits: Limits,
}

impl Prepared {
    /// Loads what the flags name, and checks options and grants.
    pub fn new(runtime: &Runtime, limits: Limits, args: &ConvertArgs) -> Result<Self, Failed> {
        let chosen = load(runtime, args)?;
        let all: Vec<Given> = chosen
            .adapters
            .iter()
            .chain(&chosen.processors)
            .chain(&chosen.formatters)
            .cloned()
            .collect();
        let plugins: Vec<Arc<Plugin>> = all.iter().map(|given| given.plugin.clone()).collect();
        plugins::check_names(&plugins)?;
        check_extensions(&chosen.formatters)?;
        grants::check(&args.grant, &all)?;
        let mut given = args.file_options.clone();
        for flag in &args.plugin_opt {
            given.push(GivenOption::from_flag(flag)?);
        }
        let settings = options::settings(&plugins, &given, &args.file_plugins)?;
        let granted: Vec<Grant> = args.grant.iter().chain(&args.file_grants).cloned().collect();
        let ready = |(given, settings): (Given, Settings)| Ready {
            grants: grants::of(&given, &granted),
            given,
            config: settings.json,
            places: settings.places,
        };
        let mut ready: Vec<Ready> = all.into_iter().zip(settings).map(ready).collect();
        let formatters = ready.split_off(chosen.adapters.len() + chosen.processors.len());
        let processors = ready.split_off(chosen.adapters.len());
        Ok(Self {
            adapters: ready,
            processors,
            formatters,
            limits,
        })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Ready> {
        self.adapters
            .iter()
            .chain(&self.processors)
            .chain(&self.formatters)
    }

    /// Asks the plugins that were asked for whether they take their options, before any document is opened.
    pub fn open(&self) -> Result<(), Failed> {
        let named = self.processors.iter().chain(&self.formatters);
        for ready in named {
            let opened = open_plugin(&ready.given.plugin, &ready.config, &self.limits, &ready.places);
            if let Err(Refusal::Options(why)) = opened {
                let is_of_a_file = ready.places != Places::default();
                let exit = if is_of_a_file {
                    Exit::Config
                } else {
                    Exit::Arguments
                };
                return Err(Failed::new(exit, why));
            }
        }
        Ok(())
    }

    /// Extensions of files that can be read.
    pub fn extensions(&self) -> Vec<String> {
        let each = self
            .adapters
            .iter()
            .flat_map(|a| &a.given.plugin.manifest().extensions);
        each.cloned().collect()
    }

    /// What there is to say of plugins that ask for more than they get.
    pub fn notes(&self) -> Vec<String> {
        let plugins: Vec<Arc<Plugin>> = self.all().map(|ready| ready.given.plugin.clone()).collect();
        let unmet = plugins::unmet_wishes(&plugins, &self.limits)
            .into_iter()
            .map(|unmet| format!("note: {unmet}"));
        unmet
            .chain(
                self.all()
                    .filter_map(|ready| grants::note(&ready.given, ready.grants)),
            )
            .collect()
    }

    /// The plan of a run with them.
    pub fn plan(&self, run: &Run) -> Result<Plan, Failed> {
        let args = run.args;
        let pdf = run.pdf.clone().map(|pdf| Arc::new(pdf) as Arc<dyn PdfRenderer>);
        let context = |ready: &Ready| Context {
            limits: self.limits.clone(),
            grants: ready.grants,
            cancel: run.cancel.clone(),
            services: Services::drawing(pdf.clone()),
            places: ready.places.clone(),
            // Each document hears its own plugins, and has its regions read.
            ..Context::default()
        };
        let adapter = |ready: &Ready| AdapterPlan {
            plugin: ready.given.plugin.clone(),
            config: ready.config.clone(),
            context: context(ready),
        };
        let processor = |ready: &Ready| ProcessorPlan {
            plugin: ready.given.plugin.clone(),
            config: ready.config.clone(),
            context: context(ready),
        };
        let formatter = |ready: &Ready| FormatterPlan {
            plugin: ready.given.plugin.clone(),
            config: ready.config.clone(),
            context: context(ready),
        };
        Ok(Plan {
            adapters: self.adapters.iter().map(adapter).collect(),
            processors: self.processors.iter().map(processor).collect(),
            formatters: self.formatters.iter().map(formatter).collect(),
            sinks: sinks(args, &self.formatters, run.documents),
            engine: run.engine.clone(),
            tenant: Tenant::default(),
            pages: args.pages.clone().unwrap_or_default(),
            dpi: args.dpi.unwrap_or(run.choice.dpi()) as f32,
            password: args.pdf_password.clone(),
            text_layer: text_layer(args, run.choice)?,
            page_timeout: page_timeout(args)?.unwrap_or(run.choice.page_timeout()),
            budget: PageBudget::new(run.engine.pages_at_a_time()),
            gate: Arc::new(NoGate),
            cancel: run.cancel.clone(),
            events: run.events.clone(),
        })
    }
}

/// What is done with the text that pages carry; only the embedded engine can use it.
fn text_layer(args: &ConvertArgs, choice: &Choice) -> Result<TextLayerMode, Failed> {
    match (args.text_layer, choice) {
        (None | Some(TextLayerChoice::Ignore), _) => Ok(TextLayerMode::Ignore),
        (Some(TextLayerChoice::Auto), Choice::Ppocr) => Ok(TextLayerMode::Auto),
        (Some(TextLayerChoice::Prefer), Choice::Ppocr) => Ok(TextLayerMode::Prefer),
        (Some(_), Choice::Deepseek { .. }) => {
            let why = "--text-layer: deepseek-ocr reads every page; add --model ppocr, or leave it out";
            Err(Failed::new(Exit::Arguments, why))
        }
    }
}

fn page_timeout(args: &ConvertArgs) -> Result<Option<Duration>, Failed> {
    let wrong = |e: String| Failed::new(Exit::Arguments, format!("--page-timeout: {e}"));
    let Some(text) = &args.page_timeout else {
        return Ok(None);
    };
    match parse_duration(text).map_err(wrong)? {
        time if time < LEAST_TIME => Err(wrong(format!(
            "`{text}` is too short; give {} s or more",
            LEAST_TIME.as_secs()
        ))),
        time => Ok(Some(time)),
    }
}

/// Native writers beside the formatters, for so many documents.
pub fn sinks(args: &ConvertArgs, formatters: &[Ready], documents: usize) -> Vec<Arc<dyn SinkPlan>> {
    let compat = args.compat.map(|Compat::Deepseek| -> Arc<dyn SinkPlan> {
        Arc::new(Deepseek {
            several: documents > 1,
            taken: formatters
                .iter()
                .map(|f| f.given.plugin.manifest().extensions[0].clone())
                .collect(),
        })
    });
    compat.into_iter().collect()
}

/// What the flags name, by what it does.
struct Chosen {
    adapters: Vec<Given>,
    processors: Vec<Given>,
    formatters: Vec<Given>,
}

fn load(runtime: &Runtime, args: &ConvertArgs) -> Result<Chosen, Failed> {
    let (mut adapters, mut processors, mut formatters) = (Vec::new(), Vec::new(), Vec::new());
    let given = |name: &str, plugin: Arc<Plugin>| Given {
        name: name.to_owned(),
        plugin,
    };
    for name in args.to.iter().map(|name| name.trim()) {
        formatters.push(given(name, plugins::formatter(runtime, name)?));
    }
    for name in &args.plugin {
        let plugin = given(name, plugins::load(runtime, name)?);
        match plugin.plugin.world() {
            World::InputAdapter => adapters.push(plugin),
            World::OutputFormatter => formatters.push(plugin),
            World::PageProcessor => processors.push(plugin),
        }
    }
    if formatters.is_empty() && args.compat.is_none() {
        formatters.push(given("md", plugins::formatter(runtime, "md")?));
    }
    for built_in in plugins::BUILT_IN
        .iter()
        .filter(|b| b.manifest().world == World::InputAdapter)
    {
        // It may be asked for by its name as well.
        let id = built_in.manifest().id;
        if adapters.iter().all(|a| a.plugin.manifest().id != id) {
            adapters.push(given(&id, built_in.load(runtime)?));
        }
    }
    Ok(Chosen {
        adapters,
        processors,
        formatters,
    })
}

/// Two formatters can't write files of one name.
fn check_extensions(formatters: &[Given]) -> Result<(), Failed> {
    let extensions = formatters
        .iter()
        .map(|f| f.plugin.manifest().extensions[0].as_str());
    let mut extensions: Vec<&str> = extensions.collect();
    extensions.sort_unstable();
    match extensions.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => {
            let why = format!("two formatters write .{}; choose one of them", twice[0]);
            Err(Failed::new(Exit::Arguments, why))
        }
        None => Ok(()),
    }
}
