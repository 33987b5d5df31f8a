//! A tenant's part of a run: its plan, its folder, its quota. What the workflow and the command line ask for is cut down
//! here to what the tenant may have; nothing of it can be loosened from outside.

use super::quota::{Counters, Usage};
use crate::args::ConvertArgs;
use crate::commands::convert::run_one;
use crate::config::{File, ForcedPlugin, Tenant, as_flag, below, resolve, trusts};
use crate::exit::{Exit, Failed};
use crate::inputs::Input;
use crate::prepared::{Prepared, Run};
use ocr_document::{Diagnostic, Severity};
use ocr_pipeline::{DocumentReport, Events, Failure, PageReport, Plan, ProcessorPlan};
use ocr_runtime::{Capability, Context, Grants, Limits, Quota, Source};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A tenant's part of a run, or the whole of one without tenants.
#[derive(Clone)]
pub struct Lane {
    pub tenant: Option<String>,
    pub plan: Plan,
    /// Where everything goes; `None`: standard output.
    pub folder: Option<PathBuf>,
    pub usage: Option<Arc<Usage>>,
    /// What is read where the command line names nothing.
    pub inputs: Vec<String>,
}

impl Lane {
    /// A run without tenants.
    pub fn alone(prepared: &Prepared, run: &Run, inputs: Vec<String>) -> Result<Self, Failed> {
        Ok(Self {
            tenant: None,
            plan: prepared.plan(run)?,
            folder: run.args.output.clone(),
            usage: None,
            inputs,
        })
    }

    /// The part of `tenant` in a run of the workflow called `workflow`.
    pub fn of(
        tenant: &Tenant,
        (file, workflow): (&File, &str),
        prepared: &Prepared,
        forced: &[ForcedPlugin],
        run: &Run,
        counters: Arc<Counters>,
    ) -> Result<Self, Failed> {
        let name = &tenant.name.text;
        let run = &Run {
            pdf: run.pdf.as_ref().map(|pdf| pdf.of(name)),
            ..run.clone()
        };
        let place = |at: usize| file.source.line(at);
        for ready in prepared.all() {
            trusts(tenant, &ready.given.plugin).map_err(|why| {
                let why = format!("{why} ({})", place(tenant.name.at.start));
                Failed::new(Exit::Config, why)
            })?;
        }
        let limits = ceiling(tenant, &prepared.limits);
        let allowed: Option<Grants> = tenant.capabilities.as_ref().map(|items| {
            let known = items
                .iter()
                .filter_map(|item| item.text.parse::<Capability>().ok());
            known.collect()
        });
        let cut = |context: &mut Context| {
            context.limits = limits.clone();
            context.party = name.as_str().into();
            context.grants = allowed.map_or(context.grants, |allowed| context.grants.and(allowed));
        };
        let mut plan = prepared.plan(run)?;
        let force = |forced: &ForcedPlugin| ProcessorPlan {
            plugin: forced.plugin.clone(),
            config: forced.config.clone(),
            context: Context {
                grants: Grants::ALL,
                cancel: run.cancel.clone(),
                ..Context::default()
            },
        };
        let own = std::mem::take(&mut plan.processors);
        let first = forced.iter().filter(|f| f.is_first).map(force);
        let last = forced.iter().filter(|f| !f.is_first).map(force);
        plan.processors = first.chain(own).chain(last).collect();
        plan.adapters.iter_mut().for_each(|a| cut(&mut a.context));
        plan.processors.iter_mut().for_each(|p| cut(&mut p.context));
        plan.formatters.iter_mut().for_each(|f| cut(&mut f.context));
        plan.tenant = ocr_engine::Tenant {
            name: name.as_str().into(),
            weight: tenant.weight.0,
            priority: tenant.priority.0,
        };
        let usage = Arc::new(Usage::new(name, &tenant.quota, &file.source, counters));
        plan.gate = usage.clone();
        plan.events = Arc::new(Prefixed {
            tenant: name.clone(),
            inner: run.events.clone(),
        });
        let here = file.source.folder();
        let output = tenant
            .output
            .as_ref()
            .expect("a tenant without a folder was refused");
        let folder = folder_of(&here.join(&output.text), workflow)
            .map_err(|e| Failed::new(Exit::FileAccess, format!("tenant `{name}`: {e}")))?;
        Ok(Self {
            tenant: Some(name.clone()),
            plan,
            folder: Some(folder),
            usage: Some(usage),
            inputs: tenant
                .inputs
                .iter()
                .map(|i| here.join(&i.text).display().to_string())
                .collect(),
        })
    }

    /// Converts one document.
    pub fn convert(&self, document: &Input) -> DocumentReport {
        // What stands for no document is none that a quota counts.
        let (Some(usage), Some(folder), None) = (&self.usage, &self.folder, document.nothing()) else {
            return run_one(&self.plan, document, document.open(), self.folder.as_deref());
        };
        let not_begun = |report: DocumentReport| {
            self.plan.events.document_done(&report);
            report
        };
        // A link that someone put into a tenant's folder may lead to what is another's. What can't be opened is told of by
        // the run itself, and counts as a document.
        let opened = document.open_below();
        let bytes = opened.as_ref().map_or(0, Source::len);
        if let Err(why) = usage.begin(bytes) {
            return not_begun(DocumentReport::skipped(&document.shown, why));
        }
        // Made part by part, so that no link that someone put there leads out.
        if let Err(error) = below(folder, &document.folder) {
            let why = Failure::new("output", format!("its folder can't be made: {error}"));
            return not_begun(DocumentReport::failed(&document.shown, why));
        }
        run_one(&self.plan, document, opened, Some(folder))
    }
}

/// The folder of a workflow in a tenant's, made and free of links.
fn folder_of(output: &Path, workflow: &str) -> std::io::Result<PathBuf> {
    let root = resolve(output)?;
    std::fs::create_dir_all(&root)?;
    // Made meanwhile by someone else, perhaps as a link.
    match root.canonicalize()? == root {
        true => below(&root, Path::new(workflow)),
        false => Err(std::io::Error::other(format!("{} is a link", root.display()))),
    }
}

/// The lower one of each limit.
fn ceiling(tenant: &Tenant, wanted: &Limits) -> Limits {
    let mut limits = wanted.clone();
    for pair in &tenant.limits {
        let mut most = Limits::default();
        // Its name and value were checked when the file was read.
        if most.set(&pair.key.text, &as_flag(&pair.value)).is_ok()
            && let Ok(quota) = Quota::named(&pair.key.text)
        {
            limits.put(quota, limits.get(quota).min(most.get(quota)));
        }
    }
    limits
}

/// Refuses flags that would be without effect on what a tenant forces, or show what no processor has seen; who typed
/// them thinks otherwise.
pub fn refuse_flags(
    tenant: &Tenant,
    file: &File,
    forced: &[ForcedPlugin],
    args: &ConvertArgs,
) -> Result<(), Failed> {
    let (name, place) = (&tenant.name.text, file.source.line(tenant.name.at.start));
    let bare = |plugin: &str| plugin.trim_end_matches(".wasm").to_owned();
    for option in &args.plugin_opt {
        let key = option.split_once('=').map_or(option.as_str(), |(key, _)| key);
        let Some((plugin, _)) = key.rsplit_once('.') else {
            continue;
        };
        let plugin = bare(plugin);
        let Some(meant) = forced.iter().find(|f| f.plugin.manifest().answers_to(&plugin)) else {
            continue;
        };
        // The workflow or the command line may have one of its own beside it.
        if !args
            .plugin
            .iter()
            .any(|own| meant.plugin.manifest().answers_to(&bare(own)))
        {
            let why = format!(
                "--plugin-opt {option}: tenant `{name}` forces `{plugin}`, and its options are set there alone ({place})"
            );
            return Err(Failed::new(Exit::Arguments, why));
        }
    }
    if !forced.is_empty() && args.recognition.stream {
        let why = format!(
            "--stream shows the model's text as no processor has seen it, and tenant `{name}` forces some ({place}); \
             leave it out"
        );
        return Err(Failed::new(Exit::Arguments, why));
    }
    Ok(())
}

/// Says whose a document is.
struct Prefixed {
    tenant: String,
    inner: Arc<dyn Events>,
}

impl Prefixed {
    fn name(&self, document: &str) -> String {
        format!("{}: {document}", self.tenant)
    }
}

impl Events for Prefixed {
    fn document_opened(&self, document: &str, pages: Option<u32>) {
        self.inner.document_opened(&self.name(document), pages);
    }

    fn page_done(&self, document: &str, page: &PageReport) {
        self.inner.page_done(&self.name(document), page);
    }

    fn document_done(&self, report: &DocumentReport) {
        let named = DocumentReport {
            input: self.name(&report.input),
            ..report.clone()
        };
        self.inner.document_done(&named);
    }

    fn plugin_report(&self, document: &str, plugin: &str, diagnostic: &Diagnostic) {
        self.inner.plugin_report(&self.name(document), plugin, diagnostic);
    }

    fn plugin_log(&self, document: &str, plugin: &str, severity: Severity, message: &str) {
        self.inner
            .plugin_log(&self.name(document), plugin, severity, message);
    }

    fn plugin_progress(&self, document: &str, plugin: &str, done: u32, total: Option<u32>) {
        self.inner
            .plugin_progress(&self.name(document), plugin, done, total);
    }
}
