//! Which adapter reads an input.

use crate::plan::{AdapterPlan, Plan};
use crate::report::Failure;
use ocr_document::{Diagnostic, Severity};
use ocr_runtime::{Context, PluginEvents, PluginFailure, Source, sniff};
use std::sync::Arc;

/// Bytes of an input that adapters see before they are chosen.
const HEAD_BYTES: usize = 4096;

/// The adapter that is surest of the input. One that fails over it is told of, whoever reads it then.
pub(crate) fn surest<'a>(
    plan: &'a Plan,
    source: &Source,
    events: &Arc<dyn PluginEvents>,
) -> Result<&'a AdapterPlan, Failure> {
    let head = source
        .read_at(0, HEAD_BYTES)
        .map_err(|e| Failure::new("unreadable", e.to_string()))?;
    let mut best: Option<(u8, &AdapterPlan)> = None;
    let mut broken: Option<PluginFailure> = None;
    for adapter in &plan.adapters {
        let context = Context {
            events: events.clone(),
            ..adapter.context.clone()
        };
        match sniff(&adapter.plugin, &context, source.name(), &head) {
            Ok(sure) if sure > best.map_or(0, |(most, _)| most) => best = Some((sure, adapter)),
            Ok(_) => {}
            Err(failure) => broken = Some(failure),
        }
    }
    if let Some((_, adapter)) = best {
        if let Some(failure) = broken {
            let said = Diagnostic::new(
                Severity::Warning,
                failure.code(),
                format!("{}: {}", failure.phase, failure.cause),
            );
            events.report(&failure.plugin, &said);
        }
        return Ok(adapter);
    }
    Err(match broken {
        Some(failure) => Failure::from(&failure),
        None => {
            let known: Vec<&str> = plan
                .adapters
                .iter()
                .flat_map(|a| &a.plugin.manifest().extensions)
                .map(String::as_str)
                .collect();
            Failure::new(
                "unsupported",
                format!("no adapter can read it; readable are {}", known.join(", ")),
            )
        }
    })
}
