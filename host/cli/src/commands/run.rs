//! `ocr-host run WORKFLOW`: a workflow of the configuration file, for tenants where they are named, once or for as long as
//! inputs come.
//!
//! Threads take documents of all tenants from one queue; each takes the plans that hold when it begins. With `--watch`
//! this thread looks at inputs and at the files that the plans were made of, and makes new plans when these change.

use crate::args::RunArgs;
use crate::commands::convert::{
    DOCUMENTS_AT_A_TIME, cancel_on_interrupt, check_compat, check_destination, display, exit_code,
};
use crate::exit::{Exit, Failed};
use crate::inputs::{self, Input};
use crate::progress::Voice;
use crate::report::{RunReport, timings};
use crate::workflow::{Fixed, Generation, Lane, Queue, Stamps, Watch, have_changed};
use clap::ArgMatches;
use ocr_pipeline::DocumentReport;
use ocr_runtime::CancelFlag;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often inputs and configuration are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Tenants that have all the threads they can use; more share them.
const TENANTS_AT_A_TIME: usize = 8;

pub fn run(args: &RunArgs, given: &ArgMatches) -> Result<Exit, Failed> {
    let cancel = CancelFlag::default();
    let fixed = Fixed {
        args,
        given,
        cancel: &cancel,
    };
    let mut generation = Generation::load(&fixed, None, |args| display(args, false, usize::MAX))?;
    let documents = match args.watch {
        true => {
            awaited(&generation);
            generation.lanes.iter().map(|_| Vec::new()).collect()
        }
        false => {
            let documents = documents(&generation)?;
            generation.count(&documents);
            documents
        }
    };
    cancel_on_interrupt(&cancel)?;
    let engine_pages = generation.lanes[0].plan.engine.pages_at_a_time();
    let at_a_time = DOCUMENTS_AT_A_TIME.max(engine_pages);
    let tenants: Vec<_> = generation
        .lanes
        .iter()
        .map(|lane| lane.plan.tenant.clone())
        .collect();
    let threads = at_a_time.max(DOCUMENTS_AT_A_TIME * tenants.len().min(TENANTS_AT_A_TIME));
    let job = Job {
        started: Instant::now(),
        queue: Queue::new(tenants, at_a_time, args.watch),
        now: Mutex::new(Arc::new(generation)),
        fixed,
    };
    for (lane, documents) in documents.into_iter().enumerate() {
        documents
            .into_iter()
            .for_each(|document| job.queue.push(lane, document));
    }
    let threads = match args.watch {
        true => threads,
        false => threads.min(job.queue.open()),
    };
    let watched = std::thread::scope(|scope| -> Result<(), Failed> {
        for _ in 0..threads {
            let thread = std::thread::Builder::new()
                .name("ocr-document".into())
                .stack_size(job.now().lanes[0].plan.thread_stack());
            thread
                .spawn_scoped(scope, || job.work())
                .expect("a thread can be started");
        }
        let watched = match args.watch {
            true => job.watch(),
            false => Ok(()),
        };
        job.queue.close();
        watched
    });
    // What was done is reported, also where it could not go on.
    let ended = job.end();
    watched.and(ended)
}

/// Says which of the watched files and folders are still to come: one may be misspelt.
fn awaited(generation: &Generation) {
    let named = generation.lanes.iter().flat_map(|lane| typed(generation, lane));
    let is_missing = |text: &&String| !text.contains(['*', '?', '[']) && !Path::new(text.as_str()).exists();
    for missing in named.filter(is_missing).collect::<BTreeSet<_>>() {
        let note = format!("note: {missing} is not there yet; it is read once it comes");
        generation.display.say(Voice::Normal, &note);
    }
}

/// What is read for each tenant.
fn documents(generation: &Generation) -> Result<Vec<Vec<Input>>, Failed> {
    let mut all = Vec::new();
    for lane in &generation.lanes {
        let typed = typed(generation, lane);
        if typed.is_empty() {
            let why = match &lane.tenant {
                Some(tenant) => format!(
                    "no input for tenant `{tenant}`; give files, or `inputs` to it or to the workflow"
                ),
                None => "no input; give files, folders or -, or `inputs` to the workflow".into(),
            };
            return Err(Failed::new(Exit::Arguments, why));
        }
        let documents = inputs::expand(typed, &generation.extensions, lane.folder.as_deref())?;
        let check = match &lane.tenant {
            None => check_destination,
            Some(_) => check_compat,
        };
        check(&generation.args, &documents, &generation.formatters)?;
        all.push(documents);
    }
    // One tenant's empty folder is no other's business.
    inputs::check_some(all.iter().flatten())?;
    Ok(all)
}

fn typed<'a>(generation: &'a Generation, lane: &'a Lane) -> &'a [String] {
    match generation.args.inputs.is_empty() {
        true => &lane.inputs,
        false => &generation.args.inputs,
    }
}

/// A run under way.
struct Job<'a> {
    started: Instant,
    queue: Queue,
    /// The plans that hold now.
    now: Mutex<Arc<Generation>>,
    fixed: Fixed<'a>,
}

impl Job<'_> {
    fn now(&self) -> Arc<Generation> {
        self.now.lock().expect("no thread panics while it looks").clone()
    }

    /// Converts documents until no more come.
    fn work(&self) {
        while let Some(taken) = self.queue.pop() {
            let report = match self.fixed.cancel.is_cancelled() {
                true => {
                    let why = ocr_pipeline::Failure::new("cancelled", "the run was cancelled");
                    DocumentReport::failed(&taken.document.shown, why)
                }
                // Its plans are gone before it counts as done, and with the last that had them the engine of before:
                // whoever then finds nothing under way may start one in its place.
                false => self.now().lanes[taken.lane].convert(&taken.document),
            };
            self.queue.done(taken.lane, taken.order, report);
        }
    }

    /// Hands new documents to the queue, and takes up what has changed, until someone interrupts it.
    fn watch(&self) -> Result<(), Failed> {
        let mut watches: Vec<Watch> = self.now().lanes.iter().map(|_| Watch::default()).collect();
        let mut looked_at = self.now().stamps.clone();
        // Whether a new engine waits for the old one's documents to end.
        let mut lacks_room = false;
        self.say(Voice::Normal, "note: watching; interrupt it to end");
        while !self.fixed.cancel.is_cancelled() {
            if have_changed(&looked_at) || lacks_room && self.queue.is_idle() {
                (looked_at, lacks_room) = self.reload(looked_at)?;
            }
            let generation = self.now();
            for (at, (lane, watch)) in generation.lanes.iter().zip(&mut watches).enumerate() {
                let found = watch.look(
                    typed(&generation, lane),
                    &generation.extensions,
                    lane.folder.as_deref(),
                );
                match found {
                    Ok(found) => found
                        .into_iter()
                        .for_each(|document| self.queue.push(at, document)),
                    // A folder that can't be read just now may be read later.
                    Err(Failed { error, .. }) => self.say(Voice::Normal, &format!("warning: {error:#}")),
                }
                if let Some(reports) = self.queue.news(at) {
                    self.report(&generation, at, &reports)?;
                }
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Takes up a changed configuration, or tells what is wrong with it and goes on as before. Answers the files to look
    /// at from now on, and whether its engine had no room, so that nothing more begins until what is under way has ended.
    fn reload(&self, before: Stamps) -> Result<(Stamps, bool), Failed> {
        let old = self.now();
        // Before anything is read: what changes meanwhile is a change.
        let seen = old.look_again(&before);
        let before = Some((&*old, &self.queue));
        let loaded = Generation::load(&self.fixed, before, |_| unreachable!("the display is kept"));
        let stamps = match loaded {
            Ok(new) => {
                for (at, lane) in new.lanes.iter().enumerate() {
                    self.queue.set_tenant(at, lane.plan.tenant.clone());
                }
                let stamps = new.stamps.clone();
                self.take_up(new);
                old.display().reloaded(None);
                stamps
            }
            Err(Failed { error, .. }) => {
                old.display().reloaded(Some(&format!("{error:#}")));
                // Without an engine what waits would fail page by page.
                let again = old.started_again().inspect_err(|failed| {
                    let why = format!("no engine is left to read it: {:#}", failed.error);
                    self.queue.give_up(&ocr_pipeline::Failure::new("no-engine", why));
                })?;
                if let Some(again) = again {
                    self.take_up(again);
                }
                seen
            }
        };
        let lacks_room = self.now().lacked_room();
        match lacks_room {
            // However many documents wait: the old engine is to have an end. One drain goes over into the next.
            true => self.queue.drain(),
            false => self.queue.release(),
        }
        Ok((stamps, lacks_room))
    }

    /// Documents begin with these plans from now on.
    fn take_up(&self, new: Generation) {
        *self.now.lock().expect("no thread panics while it looks") = Arc::new(new);
    }

    fn say(&self, voice: Voice, line: &str) {
        self.now().display().say(voice, line);
    }

    /// Writes what became of everything, for each tenant in its own folder.
    fn end(&self) -> Result<Exit, Failed> {
        let generation = self.now();
        generation.display().finish();
        let mut all = Vec::new();
        for at in 0..generation.lanes.len() {
            let reports = self.queue.reports(at);
            self.report(&generation, at, &reports)?;
            all.extend(reports);
        }
        if generation.args.timings {
            eprint!("{}", timings(&all));
        }
        Ok(exit_code(&all, self.fixed.cancel))
    }

    fn report(&self, generation: &Generation, at: usize, reports: &[DocumentReport]) -> Result<(), Failed> {
        let lane = &generation.lanes[at];
        let Some(folder) = &lane.folder else { return Ok(()) };
        let report = RunReport {
            tool: format!("ocr-host {}", env!("CARGO_PKG_VERSION")),
            workflow: Some(&self.fixed.args.workflow),
            tenant: lane.tenant.as_deref(),
            quota: lane.usage.as_ref().map(|usage| usage.report()),
            engine: generation.engine(),
            exit_code: exit_code(reports, self.fixed.cancel) as u8,
            ms: self.started.elapsed().as_secs_f64() * 1e3,
            documents: reports,
        };
        report.write(folder).map_err(|e| {
            let path = folder.join("report.json");
            Failed::new(Exit::FileAccess, format!("{}: {e}", path.display()))
        })
    }
}
