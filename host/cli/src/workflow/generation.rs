//! What a configuration file comes to at one time. A reload makes another; documents under way keep the one that they
//! began with.

use super::lane::{Lane, refuse_flags};
use super::queue::Queue;
use super::quota::Counters;
use super::watch::{Stamps, stamp};
use crate::args::{ConvertArgs, RunArgs};
use crate::commands::config::{tenant, workflow};
use crate::commands::convert::{check_streams, tell};
use crate::config::{self, Checker, File, Problems, Tenant};
use crate::exit::{Exit, Failed};
use crate::inputs::{self, Input};
use crate::model::{self, Choice, Machine};
use crate::pdf;
use crate::plugins;
use crate::prepared::{Prepared, Ready, Run, sinks};
use crate::progress::Display;
use crate::stream::Stream;
use clap::ArgMatches;
use ocr_engine::{Engine, EngineHandle};
use ocr_model_deepseek::TextSink;
use ocr_runtime::{CancelFlag, Runtime};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Plans for all tenants, and what they run on.
#[derive(Clone)]
pub struct Generation {
    pub lanes: Vec<Lane>,
    pub args: ConvertArgs,
    /// Extensions of files that can be read.
    pub extensions: Vec<String>,
    pub formatters: Vec<Ready>,
    /// The files that it was made of, as they were before they were read.
    pub stamps: Stamps,
    path: PathBuf,
    /// Shared by all that have it; `None` once it was stopped.
    engine: Arc<Mutex<Option<Engine>>>,
    /// What the engine was started with.
    engine_settings: String,
    choice: Choice,
    streams: bool,
    /// Whether an engine that was to take the place of this one had no room beside it.
    lacked_room: Arc<AtomicBool>,
    runtime: Arc<Runtime>,
    counters: Vec<Arc<Counters>>,
    pub display: Arc<Display>,
}

/// What does not change over a run.
pub struct Fixed<'a> {
    pub args: &'a RunArgs,
    pub given: &'a ArgMatches,
    pub cancel: &'a CancelFlag,
}

impl Generation {
    /// Reads the configuration file and starts what it asks for; `before` lends its engine where the new one would be
    /// the same, and what tenants have used. Where it would be another and nothing of the queue is under way, the queue is
    /// held and the old engine stopped first: two may have no room.
    pub fn load(
        fixed: &Fixed,
        before: Option<(&Generation, &Queue)>,
        show: impl FnOnce(&ConvertArgs) -> Arc<Display>,
    ) -> Result<Self, Failed> {
        let queue = before.map(|(_, queue)| queue);
        let before = before.map(|(before, _)| before);
        let path = match before {
            Some(before) => Some(before.path.clone()),
            None => config::find(fixed.args.convert.config.as_deref()),
        };
        // A file that changes while it is read differs from its stamp afterwards, and is read again.
        let mut stamps = Stamps::default();
        if let Some(path) = &path {
            stamps.insert(path.clone(), stamp(path));
        }
        let file = path.as_deref().map(config::load).transpose()?;
        let name = &fixed.args.workflow;
        let flow = workflow(file.as_ref(), name)?;
        let file = file.as_ref().expect("a workflow comes from a file");
        for path in config::watched(file) {
            stamps.entry(path.clone()).or_insert_with(|| stamp(&path));
        }
        let tenants = tenants(file, fixed.args)?;
        let args = config::settle(fixed.given, Some(file), Some(flow))?.args;
        check(&args, fixed)?;
        let limits = plugins::limits(&args.plugin_limit)?;
        for path in args
            .plugin
            .iter()
            .filter(|name| config::is_path(name))
            .map(PathBuf::from)
        {
            stamps.entry(path.clone()).or_insert_with(|| stamp(&path));
        }
        if let Some(before) = before
            && before.lanes[0].plan.thread_stack() < limits.thread_stack()
        {
            let why = "plugin-limit stack can't be raised while it runs; start it again";
            return Err(Failed::new(Exit::Config, why));
        }
        let runtime = match before {
            // The stack is the engine's of the components; another one needs another engine.
            Some(before) if before.lanes[0].plan.thread_stack() == limits.thread_stack() => {
                before.runtime.clone()
            }
            _ => Arc::new(plugins::runtime_for(&args, &limits)?),
        };
        let forced = look_at(file, flow, &tenants, &runtime)?;
        for (tenant, forced) in tenants.iter().zip(&forced) {
            refuse_flags(tenant, file, forced, &args)?;
        }
        let prepared = Prepared::new(&runtime, limits, &args)?;
        prepared.open()?;
        let settings = format!(
            "{:?} {:?} {:?} {:?}",
            args.recognition, args.models, args.rescue, args.jobs
        );
        let chosen = model::choose(&args.recognition, &Machine::here())?;
        let display = match before {
            Some(before) => before.display.clone(),
            None => show(&args),
        };
        tell(&display, &chosen, &prepared);
        let forces = forced.iter().any(|forced| !forced.is_empty());
        let streams = args.recognition.stream && !forces && chosen.choice.writes();
        let engine = match before {
            Some(before) if before.engine_settings == settings => before.engine.clone(),
            _ => {
                let is_alone = before.is_none() || queue.is_some_and(Queue::hold);
                if let (Some(before), true) = (before, is_alone) {
                    before.stop();
                }
                let started = start(&args, &chosen.choice, streams);
                let engine = started.map_err(|failed| match before {
                    Some(before) if !is_alone => before.lacks_room(failed),
                    _ => failed,
                })?;
                Arc::new(Mutex::new(Some(engine)))
            }
        };
        let handle = handle(&engine)?;
        let run = Run {
            args: &args,
            choice: &chosen.choice,
            engine: handle,
            // Until they are counted; those that are waited for are several.
            documents: usize::MAX,
            pdf: pdf::service(args.pdfium.as_deref(), &prepared.limits)?,
            cancel: fixed.cancel,
            events: display.clone(),
        };
        let here = file.source.folder();
        let inputs: Vec<String> = flow
            .settings
            .items("inputs")
            .iter()
            .map(|i| here.join(&i.text).display().to_string())
            .collect();
        let counters: Vec<Arc<Counters>> = match before {
            Some(before) => before.counters.clone(),
            None => (0..tenants.len().max(1)).map(|_| Arc::default()).collect(),
        };
        let lanes = match tenants.is_empty() {
            true => vec![Lane::alone(&prepared, &run, inputs)?],
            false => {
                let each = tenants.iter().zip(&forced).zip(&counters);
                each.map(|((tenant, forced), counters)| {
                    let lane = Lane::of(tenant, (file, name), &prepared, forced, &run, counters.clone())?;
                    Ok(match lane.inputs.is_empty() {
                        true => Lane {
                            inputs: inputs.clone(),
                            ..lane
                        },
                        false => lane,
                    })
                })
                .collect::<Result<_, Failed>>()?
            }
        };
        // All tenants' pages count together, with those that are still under way for the same engine.
        let kept = before.filter(|before| Arc::ptr_eq(&before.engine, &engine));
        let budget = kept
            .map_or(&lanes[0], |before| &before.lanes[0])
            .plan
            .budget
            .clone();
        let lanes = lanes.into_iter().map(|mut lane: Lane| {
            lane.plan.budget = budget.clone();
            lane
        });
        Ok(Self {
            lanes: lanes.collect(),
            extensions: prepared.extensions(),
            formatters: prepared.formatters,
            args,
            stamps,
            path: file.source.path.clone(),
            engine,
            engine_settings: settings,
            choice: chosen.choice,
            streams,
            lacked_room: Arc::default(),
            runtime,
            counters,
            display,
        })
    }

    /// Tells native writers how many documents each lane has: they name files by it.
    pub fn count(&mut self, documents: &[Vec<Input>]) {
        for (lane, documents) in self.lanes.iter_mut().zip(documents) {
            lane.plan.sinks = sinks(&self.args, &self.formatters, inputs::count(documents));
        }
    }

    /// Present stamps of the files that are looked at, and of those that the configuration names now.
    pub fn look_again(&self, before: &Stamps) -> Stamps {
        let mut stamps: Stamps = before.keys().map(|path| (path.clone(), stamp(path))).collect();
        if let Ok(file) = config::load(&self.path) {
            for path in config::watched(&file) {
                stamps.entry(path.clone()).or_insert_with(|| stamp(&path));
            }
        }
        stamps
    }

    /// Gives the engine's memory back. Nothing may be under way.
    fn stop(&self) {
        self.engine
            .lock()
            .expect("no thread panics while it holds the engine")
            .take();
    }

    /// The same with its engine started anew, if it was stopped for one that did not start.
    pub fn started_again(&self) -> Result<Option<Self>, Failed> {
        if handle(&self.engine).is_ok() {
            return Ok(None);
        }
        let engine = start(&self.args, &self.choice, self.streams)?;
        let mut again = self.clone();
        for lane in &mut again.lanes {
            lane.plan.engine = engine.handle();
        }
        again.engine = Arc::new(Mutex::new(Some(engine)));
        Ok(Some(again))
    }

    /// What is said where another engine did not start beside the one at work.
    fn lacks_room(&self, failed: Failed) -> Failed {
        self.lacked_room.store(true, SeqCst);
        let why = "the engine of before is still at work, and there may be no room for two; this is tried again once \
                   nothing is under way";
        Failed::new(failed.exit, format!("{:#}; {why}", failed.error))
    }

    /// Whether another engine had no room beside this one since this was asked.
    pub fn lacked_room(&self) -> bool {
        self.lacked_room.swap(false, SeqCst)
    }

    /// What the user sees.
    pub fn display(&self) -> &Display {
        &self.display
    }

    /// Engine and mode.
    pub fn engine(&self) -> &str {
        self.lanes[0].plan.engine.name()
    }
}

/// Starts an engine; its text goes to standard error where that was asked for.
fn start(args: &ConvertArgs, choice: &Choice, streams: bool) -> Result<Engine, Failed> {
    let sink = || -> Arc<dyn TextSink> { Arc::new(Stream::new(std::io::stderr(), true)) };
    model::start(args, choice, streams.then(sink))
}

/// What hands pages to an engine that runs.
fn handle(engine: &Mutex<Option<Engine>>) -> Result<EngineHandle, Failed> {
    let engine = engine.lock().expect("no thread panics while it holds the engine");
    let stopped = || Failed::new(Exit::Other, "the engine was stopped");
    engine.as_ref().map(Engine::handle).ok_or_else(stopped)
}

/// The tenants of the command line, each once.
fn tenants<'a>(file: &'a File, args: &RunArgs) -> Result<Vec<&'a Tenant>, Failed> {
    let mut found: Vec<&Tenant> = Vec::new();
    for name in &args.tenant {
        let tenant = tenant(Some(file), name)?;
        if !tenant.may_run(&args.workflow) {
            let may: Vec<&str> = tenant.workflows.iter().map(|w| w.text.as_str()).collect();
            let why = format!(
                "tenant `{name}` may not run workflow `{}` ({}); it may run {}",
                args.workflow,
                file.source.line(tenant.name.at.start),
                if may.is_empty() {
                    "none".to_owned()
                } else {
                    may.join(", ")
                }
            );
            return Err(Failed::new(Exit::Arguments, why));
        }
        if found.iter().all(|other| other.name.text != *name) {
            found.push(tenant);
        }
    }
    Ok(found)
}

/// What flags can't be together with tenants, or with inputs that are watched.
fn check(args: &ConvertArgs, fixed: &Fixed) -> Result<(), Failed> {
    check_streams(args)?;
    let wrong = |why: &str| Err(Failed::new(Exit::Arguments, why));
    let (tenants, watch) = (fixed.args.tenant.len(), fixed.args.watch);
    if tenants > 0 && fixed.args.convert.output.is_some() {
        return wrong("-o: a tenant writes to its own folder alone; leave it out");
    }
    if args.inputs.iter().any(|input| input == "-") && (tenants > 1 || watch) {
        return wrong("standard input (-) is read once; give files or folders");
    }
    if watch && tenants == 0 && args.output.is_none() {
        return wrong(
            "--watch writes many documents; give a folder with -o DIR, or `output` in the workflow",
        );
    }
    Ok(())
}

/// Asks what `config check` asks, of this workflow and these tenants; answers what each tenant forces.
fn look_at(
    file: &File,
    flow: &config::Workflow,
    tenants: &[&Tenant],
    runtime: &Runtime,
) -> Result<Vec<Vec<config::ForcedPlugin>>, Failed> {
    let mut checker = Checker::new(file, runtime);
    checker.workflow(Some(flow));
    let forced = tenants.iter().map(|tenant| checker.tenant(tenant)).collect();
    let mut problems: Problems = checker.problems;
    config::check_folders(file, &mut problems);
    problems.result(&file.source)?;
    Ok(forced)
}
