//! `ocr-host plugin bench`: what a plugin costs, over recorded pages or a document, without the engine's time.
//!
//! Each round is a document: a fresh instance, its pages, its end. Times are taken around the host's calls, so they hold
//! what crosses the boundary as well. Fuel, WASM instructions executed, is counted by an engine of its own, since counting
//! slows a plugin down.

use super::{project, test};
use crate::args::ReadArgs;
use crate::exit::{Exit, Failed, OrExit};
use crate::options::{self, GivenOption};
use crate::{plugins, recognise};
use ocr_document::Page;
use ocr_runtime::{
    AdapterSession, Context, DocInfo, DocumentOutput, FormatterSession, Grants, InputItem, Limits,
    OpenOptions, Plugin, PluginFailure, ProcessorSession, Runtime, Source, Usage, World,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Resolution at which adapters draw, dots per inch; that of a run.
const DPI: f32 = 150.0;

/// What to measure.
pub struct Bench<'a> {
    /// The plugin: a file, a project, or a name.
    pub plugin: &'a str,
    /// A document or a recording; without one, the first fixture of the project.
    pub input: Option<&'a Path>,
    /// Options of the plugin.
    pub options: &'a [GivenOption],
    /// Documents.
    pub rounds: u32,
    /// Whether fuel is counted.
    pub count_fuel: bool,
    /// As JSON.
    pub json: bool,
    /// How the document is read.
    pub read: &'a ReadArgs,
}

/// Times of all rounds.
#[derive(Default)]
struct Times {
    open: Vec<Duration>,
    first: Vec<Duration>,
    pages: Vec<Duration>,
    finish: Vec<Duration>,
    usage: Usage,
}

/// What a plugin is run over.
enum Work {
    Pages(DocInfo, Vec<Arc<Page>>),
    Document(Source),
}

pub fn run(bench: &Bench) -> Result<Exit, Failed> {
    let limits = Limits::default();
    let runtime = plugins::runtime(&limits)?;
    let found = match Path::new(bench.plugin).is_dir() {
        true => plugins::Found::File(project::component(Path::new(bench.plugin), false)?),
        false => plugins::find(bench.plugin)?,
    };
    let component = found.component()?;
    let started = Instant::now();
    let plugin = found.load_any(&runtime)?;
    let load = started.elapsed();
    let settings = options::settings(std::slice::from_ref(&plugin), bench.options, &[])?;
    let config = settings.into_iter().next().map(|settings| settings.json);
    let config = config.unwrap_or_else(|| plugin.manifest().default_config());
    let input = match bench.input {
        Some(input) => input.to_owned(),
        None => fixture(bench.plugin, &plugin)?,
    };
    let work = match plugin.world() {
        World::InputAdapter => Work::Document(Source::open(&input).or_exit(Exit::Input)?),
        _ => {
            let recording = recognise::pages_of(&runtime, &input, bench.read, true)?;
            let pages = recording.pages().map_err(|why| Failed::new(Exit::Input, why))?;
            if pages.is_empty() {
                let why = format!("{}: it has none of the pages", input.display());
                return Err(Failed::new(Exit::Arguments, why));
            }
            Work::Pages(recording.document, pages)
        }
    };
    let mut times = Times::default();
    for _ in 0..bench.rounds {
        round(&plugin, &config, &limits, &work, &mut times)?;
    }
    let fuel = match bench.count_fuel {
        true => Some(fuel(&component, &found.name(), &config, &limits, &work)?),
        false => None,
    };
    let report = Report {
        plugin: &plugin,
        input: &input,
        bytes: component.len(),
        load,
        times: &times,
        fuel,
    };
    match bench.json {
        true => println!("{:#}", report.json()),
        false => report.print(),
    }
    Ok(Exit::Ok)
}

/// What the project of a plugin is tested with first.
fn fixture(place: &str, plugin: &Plugin) -> Result<PathBuf, Failed> {
    let project = Path::new(place);
    let folder = match project.is_dir() {
        true => project,
        false => project.parent().unwrap_or(Path::new("")),
    };
    let fixtures = test::fixtures(folder).unwrap_or_default();
    let mut inputs = fixtures.iter().filter_map(|fixture| match plugin.world() {
        World::InputAdapter => test::input(fixture),
        _ => Some(fixture.join(test::PAGES))
            .filter(|pages| pages.is_file())
            .or_else(|| test::input(fixture)),
    });
    inputs.next().ok_or_else(|| {
        let why = format!(
            "plugin `{}`: there is nothing to run it over; give a document, or a recording that `ocr-host plugin record` made",
            plugin.manifest().id
        );
        Failed::new(Exit::Arguments, why)
    })
}

/// One document.
fn round(
    plugin: &Arc<Plugin>,
    config: &str,
    limits: &Limits,
    work: &Work,
    times: &mut Times,
) -> Result<(), Failed> {
    let context = Context {
        limits: limits.clone(),
        grants: Grants::ALL,
        ..Context::default()
    };
    let folder = tempfile::tempdir().or_exit(Exit::FileAccess)?;
    let ended = match work {
        Work::Document(source) => adapt(plugin, &context, source, config.to_owned(), times),
        Work::Pages(document, pages) if plugin.world() == World::PageProcessor => {
            process(plugin, &context, document, pages, config, times)
        }
        Work::Pages(document, pages) => {
            let output = DocumentOutput::begin(folder.path(), "bench").or_exit(Exit::FileAccess)?;
            let place = output.formatter(&plugin.manifest().extensions[0]);
            let started = Instant::now();
            let opened = FormatterSession::open(plugin, &context, document, config, place);
            times.open.push(started.elapsed());
            opened.and_then(|mut session| {
                for (n, page) in pages.iter().enumerate() {
                    let started = Instant::now();
                    session.add_page(page)?;
                    times.page(n, started.elapsed());
                }
                times.usage = times.usage.max(session.usage());
                let started = Instant::now();
                session.finish()?;
                times.finish.push(started.elapsed());
                Ok(())
            })
        }
    };
    ended.map_err(|failure| {
        let exit = match failure.code() {
            "plugin-config" => Exit::Arguments,
            "invalid-input" | "unsupported" => Exit::Input,
            _ => Exit::Plugin,
        };
        Failed::new(exit, failure)
    })
}

fn process(
    plugin: &Arc<Plugin>,
    context: &Context,
    document: &DocInfo,
    pages: &[Arc<Page>],
    config: &str,
    times: &mut Times,
) -> Result<(), PluginFailure> {
    let started = Instant::now();
    let mut session = ProcessorSession::open(plugin, context, document, config)?;
    session.edit_document()?;
    times.open.push(started.elapsed());
    for (n, page) in pages.iter().enumerate() {
        let started = Instant::now();
        session.process(page)?;
        times.page(n, started.elapsed());
    }
    times.usage = times.usage.max(session.usage());
    Ok(())
}

fn adapt(
    plugin: &Arc<Plugin>,
    context: &Context,
    source: &Source,
    config: String,
    times: &mut Times,
) -> Result<(), PluginFailure> {
    let options = OpenOptions {
        config,
        password: None,
    };
    let started = Instant::now();
    let mut session = AdapterSession::open(plugin, context, source, &options)?;
    session.info()?;
    times.open.push(started.elapsed());
    for index in 0.. {
        let started = Instant::now();
        let item: Option<InputItem> = session.read(index, DPI)?;
        if item.is_none() {
            break;
        }
        times.page(index as usize, started.elapsed());
    }
    times.usage = times.usage.max(session.usage());
    Ok(())
}

/// WASM instructions of one round.
fn fuel(component: &[u8], name: &str, config: &str, limits: &Limits, work: &Work) -> Result<u64, Failed> {
    let runtime = Runtime::counting_fuel(limits)
        .map_err(|e| Failed::new(Exit::Other, format!("the component runtime can't start: {e:#}")))?;
    let plugin = runtime.load(name, component).or_exit(Exit::Arguments)?;
    let mut times = Times::default();
    round(&plugin, config, limits, work, &mut times)?;
    Ok(times.usage.fuel)
}

impl Times {
    fn page(&mut self, index: usize, spent: Duration) {
        match index {
            0 => self.first.push(spent),
            _ => self.pages.push(spent),
        }
    }

    /// The pages behind the first; where a document has but one, the first pages.
    fn warm(&self) -> &[Duration] {
        if self.pages.is_empty() {
            &self.first
        } else {
            &self.pages
        }
    }
}

/// Microseconds at a share of the sorted times.
fn at(times: &[Duration], share: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

struct Report<'a> {
    plugin: &'a Arc<Plugin>,
    input: &'a Path,
    bytes: usize,
    load: Duration,
    times: &'a Times,
    fuel: Option<u64>,
}

impl Report<'_> {
    /// What was timed, with its times.
    fn rows(&self) -> [(&'static str, &[Duration]); 4] {
        [
            ("open", &self.times.open),
            ("first page", &self.times.first),
            ("page", self.times.warm()),
            ("finish", &self.times.finish),
        ]
    }

    fn fuel_a_page(&self) -> Option<u64> {
        let pages = (self.times.first.len() + self.times.pages.len()) / self.times.open.len().max(1);
        self.fuel.map(|fuel| fuel / pages.max(1) as u64)
    }

    fn json(&self) -> serde_json::Value {
        let rows = self.rows().into_iter().filter(|(_, times)| !times.is_empty());
        let rows: serde_json::Map<String, serde_json::Value> = rows
            .map(|(name, times)| {
                let row = json!({"count": times.len(), "p50-us": at(times, 0.5), "p99-us": at(times, 0.99)});
                (name.replace(' ', "-"), row)
            })
            .collect();
        json!({
            "plugin": self.plugin.manifest().id,
            "version": self.plugin.manifest().version,
            "sha256": self.plugin.digest(),
            "bytes": self.bytes,
            "input": self.input.display().to_string(),
            "load-ms": self.load.as_secs_f64() * 1e3,
            "times": rows,
            "memory-bytes": self.times.usage.memory,
            "fuel-per-page": self.fuel_a_page(),
        })
    }

    fn print(&self) {
        let m = self.plugin.manifest();
        println!(
            "{} {}, {} bytes, loaded in {:.1} ms, over {}",
            m.id,
            m.version,
            self.bytes,
            self.load.as_secs_f64() * 1e3,
            self.input.display()
        );
        println!("{:<11} {:>7} {:>12} {:>12}", "", "count", "p50 us", "p99 us");
        for (name, times) in self.rows().into_iter().filter(|(_, times)| !times.is_empty()) {
            println!(
                "{name:<11} {:>7} {:>12.1} {:>12.1}",
                times.len(),
                at(times, 0.5),
                at(times, 0.99)
            );
        }
        println!(
            "memory      {:.1} MiB at most",
            self.times.usage.memory as f64 / f64::from(1 << 20)
        );
        if let Some(fuel) = self.fuel_a_page() {
            println!("fuel        {fuel} a page");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_the_sorted_times() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_micros).collect();
        assert_eq!((at(&times, 0.5).round(), at(&times, 0.99).round()), (50.0, 99.0));
        assert_eq!(at(&times[..1], 0.99).round(), 100.0);
        assert_eq!(at(&[], 0.5), 0.0);
    }
}
