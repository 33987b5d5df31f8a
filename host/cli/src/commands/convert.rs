//! `ocr-host [convert]`: flags become a plan, documents run through it, what happened becomes the exit code.

use crate::args::{ConvertArgs, Progress};
use crate::config;
use crate::exit::{Exit, Failed, Output};
use crate::inputs::{self, Input};
use crate::model::{self, Choice, Machine};
use crate::pdf;
use crate::plugins;
use crate::prepared::{Prepared, Ready, Run};
use crate::progress::{Display, Voice};
use crate::report::{RunReport, timings};
use crate::stream::Stream;
use clap::ArgMatches;
use ocr_model_deepseek::TextSink;
use ocr_pipeline::{Destination, DocumentReport, DocumentStatus, Failure, Plan, QUOTA, convert, counted};
use ocr_runtime::{CancelFlag, Source, discard_staged};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Documents under way at a time, or as many as the engine reads pages: while one is opened or finished, the engine
/// reads the others.
pub const DOCUMENTS_AT_A_TIME: usize = 2;

pub fn run(given: &ArgMatches) -> Result<Exit, Failed> {
    let started = Instant::now();
    let args = config::complete(given)?.args;
    if args.inputs.is_empty() {
        let why = "no input; give files, folders or - for standard input (see --help)";
        return Err(Failed::new(Exit::Arguments, why));
    }
    check_command(&args.inputs[0])?;
    let limits = plugins::limits(&args.plugin_limit)?;
    let runtime = plugins::runtime_for(&args, &limits)?;
    let prepared = Prepared::new(&runtime, limits, &args)?;
    prepared.open()?;
    let documents = inputs::expand(&args.inputs, &prepared.extensions(), args.output.as_deref())?;
    inputs::check_some(&documents)?;
    check_destination(&args, &documents, &prepared.formatters)?;
    check_streams(&args)?;
    let chosen = model::choose(&args.recognition, &Machine::here())?;
    let sink = text_sink(&args, &chosen.choice, &documents);
    let display = display(&args, sink.is_some(), documents.len());
    tell(&display, &chosen, &prepared);
    let cancel = CancelFlag::default();
    cancel_on_interrupt(&cancel)?;
    let engine = model::start(&args, &chosen.choice, sink)?;
    let run = Run {
        args: &args,
        choice: &chosen.choice,
        engine: engine.handle(),
        documents: inputs::count(&documents),
        pdf: pdf::service(args.pdfium.as_deref(), &prepared.limits)?,
        cancel: &cancel,
        events: display.clone(),
    };
    let plan = prepared.plan(&run)?;
    let reports = run_all(&plan, &documents, args.output.as_deref());
    display.finish();
    let exit = exit_code(&reports, &cancel);
    if let Some(folder) = &args.output {
        let report = RunReport {
            tool: format!("ocr-host {}", env!("CARGO_PKG_VERSION")),
            engine: plan.engine.name(),
            exit_code: exit as u8,
            workflow: None,
            tenant: None,
            quota: None,
            ms: started.elapsed().as_secs_f64() * 1e3,
            documents: &reports,
        };
        report.write(folder).map_err(|e| {
            Failed::new(
                Exit::FileAccess,
                format!("{}: {e}", folder.join("report.json").display()),
            )
        })?;
    }
    if args.timings {
        eprint!("{}", timings(&reports));
    }
    Ok(exit)
}

/// What the user sees of a run; `is_heard`: the model's text shows how far it is.
pub fn display(args: &ConvertArgs, is_heard: bool, documents: usize) -> Arc<Display> {
    let voice = match (args.quiet, args.verbose) {
        (true, _) => Voice::Quiet,
        (false, 0) => Voice::Normal,
        (false, _) => Voice::Verbose,
    };
    let how = match (args.progress.unwrap_or(Progress::Auto), is_heard) {
        (Progress::Auto, true) => Progress::None,
        (how, _) => how,
    };
    Arc::new(Display::new(how, voice, documents))
}

/// Says what was chosen, and what plugins ask for in vain.
pub fn tell(display: &Display, chosen: &model::Chosen, prepared: &Prepared) {
    if let Some(note) = &chosen.note {
        display.say(Voice::Normal, &format!("note: {note}"));
    }
    if let Some(warning) = &chosen.warning {
        display.say(Voice::Normal, &format!("warning: {warning}"));
    }
    for note in prepared.notes() {
        display.say(Voice::Normal, &note);
    }
}

/// Standard error is one.
pub fn check_streams(args: &ConvertArgs) -> Result<(), Failed> {
    if args.recognition.stream && args.progress == Some(Progress::Json) {
        let why = "--stream and --progress json both write to standard error; leave one out";
        return Err(Failed::new(Exit::Arguments, why));
    }
    Ok(())
}

/// What hears the model's text: standard error, where it was asked for, or where one image is read for someone who
/// watches and its output goes elsewhere. On one screen, raw text and result would be one too many.
pub fn text_sink(args: &ConvertArgs, choice: &Choice, documents: &[Input]) -> Option<Arc<dyn TextSink>> {
    let watched = std::io::stderr().is_terminal() && !args.quiet && args.progress.is_none();
    let elsewhere = args.output.is_some() || !std::io::stdout().is_terminal();
    let one_image = matches!(documents, [only] if only.is_image());
    let wanted = args.recognition.stream || (watched && elsewhere && one_image);
    let sink = || -> Arc<dyn TextSink> { Arc::new(Stream::new(std::io::stderr(), !one_image)) };
    (wanted && choice.writes()).then(sink)
}

/// Without a folder, exactly one file can be written: one document in one format, to standard output.
pub fn check_destination(
    args: &ConvertArgs,
    documents: &[Input],
    formatters: &[Ready],
) -> Result<(), Failed> {
    if args.output.is_none() && args.compat.is_some() {
        let why = "--compat deepseek writes several files; give a folder with -o DIR";
        return Err(Failed::new(Exit::Arguments, why));
    }
    check_compat(args, documents, formatters)?;
    let count = inputs::count(documents);
    if args.output.is_none() && (count > 1 || formatters.len() > 1) {
        let why = format!(
            "{} in {} can't go to standard output, which takes one file; give a folder with -o DIR",
            counted(count, "document"),
            counted(formatters.len(), "format")
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    if args.output.as_ref().is_some_and(|o| o.exists() && !o.is_dir()) {
        let why = format!(
            "-o {}: it is a file; give a folder",
            args.output.as_deref().unwrap_or(Path::new("")).display()
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    Ok(())
}

/// Refuses files of DeepSeek's scripts that a formatter writes as well.
pub fn check_compat(args: &ConvertArgs, documents: &[Input], formatters: &[Ready]) -> Result<(), Failed> {
    let writes_md = formatters
        .iter()
        .any(|f| f.given.plugin.manifest().extensions[0] == "md");
    if args.compat.is_some()
        && writes_md
        && inputs::count(documents) > 1
        && documents.iter().any(Input::is_image)
    {
        let why =
            "--compat deepseek writes NAME.md for each of several images, and so does --to md; leave one out";
        return Err(Failed::new(Exit::Arguments, why));
    }
    Ok(())
}

/// The first interrupt (or request to terminate) ends the run in order, the second at once.
pub fn cancel_on_interrupt(cancel: &CancelFlag) -> Result<(), Failed> {
    let flag = cancel.clone();
    let set = ctrlc::set_handler(move || {
        if flag.is_cancelled() {
            discard_staged();
            std::process::exit(Exit::Interrupted as i32);
        }
        flag.cancel();
    });
    set.map_err(|e| Failed::new(Exit::Other, format!("interrupts can't be caught: {e}")))
}

/// Runs every document; the reports come back in the documents' order.
fn run_all(plan: &Plan, documents: &[Input], folder: Option<&Path>) -> Vec<DocumentReport> {
    let next = AtomicUsize::new(0);
    let reports: Mutex<Vec<Option<DocumentReport>>> = Mutex::new(vec![None; documents.len()]);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(document) = documents.get(at) else { return };
            let report = match plan.cancel.is_cancelled() {
                true => DocumentReport::failed(
                    &document.shown,
                    Failure::new("cancelled", "the run was cancelled"),
                ),
                false => run_one(plan, document, document.open(), folder),
            };
            reports.lock().expect("no thread panics while it stores")[at] = Some(report);
        }
    };
    std::thread::scope(|scope| {
        let at_a_time = DOCUMENTS_AT_A_TIME.max(plan.engine.pages_at_a_time());
        for _ in 0..at_a_time.min(documents.len()) {
            let thread = std::thread::Builder::new()
                .name("ocr-document".into())
                .stack_size(plan.thread_stack());
            thread.spawn_scoped(scope, work).expect("a thread can be started");
        }
    });
    let reports = reports.into_inner().expect("no thread panics while it stores");
    reports
        .into_iter()
        .map(|report| report.expect("every document was taken by a thread"))
        .collect()
}

/// Converts a document whose bytes were opened, or not.
pub fn run_one(
    plan: &Plan,
    document: &Input,
    opened: std::io::Result<Source>,
    folder: Option<&Path>,
) -> DocumentReport {
    let destination = match folder {
        Some(folder) => Destination::Folder {
            folder: folder.join(&document.folder),
            name: document.name.clone(),
        },
        None => Destination::Stream(Box::new(Output::new())),
    };
    match opened {
        Ok(source) => {
            // A decoder that panics costs its document, as a plugin that traps does.
            let run = std::panic::AssertUnwindSafe(|| convert(plan, &document.shown, &source, destination));
            std::panic::catch_unwind(run).unwrap_or_else(|_| {
                let failure = Failure::new("internal", "this program failed on it; please report the file");
                let report = DocumentReport::failed(&document.shown, failure);
                plan.events.document_done(&report);
                report
            })
        }
        Err(error) => {
            let mut why = error.to_string();
            if error.kind() == std::io::ErrorKind::NotFound {
                why += "; check its name and folder";
            }
            let unreadable = || Failure::new("unreadable", why);
            let failure = document.nothing().cloned().unwrap_or_else(unreadable);
            let report = DocumentReport::failed(&document.shown, failure);
            plan.events.document_done(&report);
            report
        }
    }
}

/// Refuses what was meant for a command: `plugn list`, or `-q plugin list`.
fn check_command(first: &str) -> Result<(), Failed> {
    const COMMANDS: [&str; 6] = ["convert", "run", "config", "plugin", "models", "doctor"];
    let meant = match COMMANDS.contains(&first) {
        true => Some(first),
        false => ocr_runtime::suggest::nearest(first, &COMMANDS),
    };
    match meant {
        Some(command) if !Path::new(first).exists() => Err(Failed::new(
            Exit::Arguments,
            format!(
                "{first}: there is no such file; the command `{command}` comes first, and flags behind it: \
                 ocr-host {command} --help"
            ),
        )),
        _ => Ok(()),
    }
}

/// One document has the code of its own failure; several have 21 when some failed, as one has of which no page was read. A stopped plugin outranks
/// failed files, which outrank failed pages.
pub fn exit_code(reports: &[DocumentReport], cancel: &CancelFlag) -> Exit {
    if cancel.is_cancelled() {
        return Exit::Interrupted;
    }
    if reports.iter().any(DocumentReport::plugin_was_stopped) {
        return Exit::Plugin;
    }
    let failed: Vec<&DocumentReport> = reports
        .iter()
        .filter(|r| matches!(r.status, DocumentStatus::Failure | DocumentStatus::Skipped))
        .collect();
    if let ([only], 1) = (&failed[..], reports.len()) {
        return match only.errors.first().map(|f| f.code.as_str()) {
            Some("encrypted" | "wrong-password") => Exit::Encrypted,
            Some("unreadable" | "output" | "host-error") => Exit::FileAccess,
            Some("internal") => Exit::Other,
            Some("plugin-config" | "no-such-page") => Exit::Arguments,
            Some(QUOTA) => Exit::SomeFiles,
            Some(_) => Exit::Input,
            None if only
                .pages
                .iter()
                .all(|p| p.diagnostics.iter().any(|d| d.code == "invalid-input")) =>
            {
                Exit::Input
            }
            // Every page failed, so the file did.
            None => Exit::SomeFiles,
        };
    }
    if !failed.is_empty() {
        return Exit::SomeFiles;
    }
    match reports.iter().any(|r| r.status == DocumentStatus::PartialSuccess) {
        true => Exit::SomePages,
        false => Exit::Ok,
    }
}
