//! `config show`: what holds for a run, key by key, and where each value comes from: a flag, a variable, a line with its
//! table, or the default, of the program or of a plugin.

use super::file::{Bound, File, Tenant, Workflow};
use super::keys::{Kind, Section};
use super::read::as_flag;
use super::settle::{Origin, Settled};
use crate::options::GivenOption;
use ocr_runtime::Manifest;
use std::fmt::{Display, Write};

/// A line: key, value, origin.
type Line = (String, String, String);

/// All that holds, for the tenants named as well; `plugins` are those of the run.
pub fn show(
    settled: &Settled,
    file: Option<&File>,
    workflow: Option<&Workflow>,
    tenants: &[&Tenant],
    plugins: &[Manifest],
) -> String {
    let place = |at: usize| file.map(|file| file.source.line_in_table(at)).unwrap_or_default();
    let typed = settled
        .args
        .inputs
        .iter()
        .map(|input| (input.clone(), "command line".to_owned()));
    let mut inputs: Vec<(String, String)> = typed.collect();
    if let (true, Some(workflow)) = (inputs.is_empty(), workflow) {
        let named = workflow.settings.items("inputs").iter();
        inputs.extend(named.map(|item| (item.text.clone(), place(item.at.start))));
    }
    let inputs: Vec<Line> = inputs
        .into_iter()
        .map(|(input, origin)| ("inputs".to_owned(), plain(&input), origin))
        .collect();
    let options = default_options(settled, plugins);
    let lines = inputs
        .iter()
        .cloned()
        .chain(settings(settled, &place))
        .chain(options);
    let mut shown = table(&lines.collect::<Vec<Line>>());
    for tenant in tenants {
        let mut lines = Vec::new();
        if let (Some(output), Some(workflow)) = (&tenant.output, workflow) {
            let folder = file.map(|file| file.source.folder().join(&output.text));
            let folder = folder.unwrap_or_default().join(&workflow.name.text);
            let origin = format!("{}, and the workflow's name", place(output.at.start));
            lines.push(("output".to_owned(), plain(&folder.to_string_lossy()), origin));
        }
        if tenant.inputs.is_empty() {
            lines.extend(inputs.iter().cloned());
        }
        let own = of_tenant(tenant, &place).into_iter();
        lines.extend(own.filter(|line| workflow.is_none() || line.0 != "output"));
        let _ = write!(shown, "\n[tenant.{}]\n{}", tenant.name.text, table(&lines));
    }
    shown
}

/// Options of a run's plugins that nobody has set.
fn default_options(settled: &Settled, plugins: &[Manifest]) -> Vec<Line> {
    let set = settled.settings.iter().filter(|s| s.key.name == "plugin-opt");
    let set: Vec<GivenOption> = set
        .filter_map(|setting| match &setting.option {
            Some(option) => Some(option.clone()),
            None => GivenOption::from_flag(setting.value.as_ref()?.to_str()?).ok(),
        })
        .collect();
    let mut lines = Vec::new();
    for manifest in plugins {
        let is_set = |key: &str| {
            let mine =
                |option: &&GivenOption| option.plugin.as_deref().is_none_or(|p| manifest.answers_to(p));
            set.iter().filter(mine).any(|option| option.key == key)
        };
        let options = manifest.options();
        for (key, schema) in options.properties().iter().filter(|(key, _)| !is_set(key)) {
            let value = match &schema.default {
                Some(default) => format!("{}.{key}={}", manifest.id, as_flag(default)),
                None => format!("{}.{key} is not set", manifest.id),
            };
            let origin = format!("default of {} {}", manifest.id, manifest.version);
            lines.push(("plugin-opt".to_owned(), plain(&value), origin));
        }
    }
    lines
}

fn settings(settled: &Settled, place: &dyn Fn(usize) -> String) -> Vec<Line> {
    let mut lines = Vec::new();
    for key in Section::Head
        .keys()
        .iter()
        .filter(|key| !matches!(key.kind, Kind::Named(_)))
    {
        let set: Vec<_> = settled
            .settings
            .iter()
            .filter(|s| s.key.name == key.name)
            .collect();
        if set.is_empty() {
            let default = match (&key.kind, &key.default) {
                (_, Some(default)) => default.clone(),
                (Kind::Switch, None) => "false".into(),
                (_, None) => "-".into(),
            };
            lines.push((key.name.clone(), default, "default".into()));
        }
        for setting in set {
            let value = match (&setting.value, key.name.as_str()) {
                (Some(_), "pdf-password") => "(set)".to_owned(),
                (Some(value), _) => plain(&value.to_string_lossy()),
                (None, _) => "true".into(),
            };
            let origin = match &setting.origin {
                Origin::Flag => "command line".into(),
                Origin::Environment(name) => format!("environment, {name}"),
                Origin::File(at) => place(*at),
            };
            lines.push((key.name.clone(), value, origin));
        }
    }
    lines
}

fn of_tenant(tenant: &Tenant, place: &dyn Fn(usize) -> String) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut line = |key: &str, value: String, at: Option<usize>| {
        let origin = at.map_or_else(|| "default".to_owned(), place);
        lines.push((key.to_owned(), plain(&value), origin));
    };
    if let Some(output) = &tenant.output {
        line("output", output.text.clone(), Some(output.at.start));
    }
    for (key, items) in [("workflows", &tenant.workflows), ("inputs", &tenant.inputs)] {
        for item in items {
            line(key, item.text.clone(), Some(item.at.start));
        }
    }
    for pair in &tenant.plugins {
        line(
            &format!("plugins.{}", pair.key.text),
            as_flag(&pair.value),
            Some(pair.key.at.start),
        );
    }
    for forced in &tenant.forced {
        let place = if forced.is_first { "first" } else { "last" };
        line(
            "force",
            format!("{} ({place})", forced.plugin.text),
            Some(forced.plugin.at.start),
        );
        for option in &forced.options {
            let key = format!("force.{}.{}", forced.plugin.text, option.key.text);
            line(&key, as_flag(&option.value), Some(option.key.at.start));
        }
    }
    match &tenant.capabilities {
        None => line("capabilities", "what the workflow grants".into(), None),
        Some(none) if none.is_empty() => line("capabilities", "none".into(), tenant.capabilities_at),
        Some(some) => some
            .iter()
            .for_each(|c| line("capabilities", c.text.clone(), Some(c.at.start))),
    }
    for limit in &tenant.limits {
        line(
            &format!("limits.{}", limit.key.text),
            as_flag(&limit.value),
            Some(limit.key.at.start),
        );
    }
    fn bound<T: Display>(bound: &Option<Bound<T>>) -> (String, Option<usize>) {
        match bound {
            Some(bound) => (bound.most.to_string(), Some(bound.at.start)),
            None => ("unlimited".into(), None),
        }
    }
    let quota = &tenant.quota;
    for (key, most) in [
        ("documents", &quota.documents),
        ("pages", &quota.pages),
        ("input-bytes", &quota.input_bytes),
        ("output-bytes", &quota.output_bytes),
        ("gpu", &quota.gpu),
    ] {
        let (value, at) = bound(most);
        line(&format!("quota.{key}"), value, at);
    }
    let time = quota.time.as_ref().map(|time| format!("{:?}", time.most));
    line(
        "quota.time",
        time.unwrap_or_else(|| "unlimited".into()),
        quota.time.as_ref().map(|t| t.at.start),
    );
    let (weight, priority) = (tenant.weight, tenant.priority);
    line("weight", weight.0.to_string(), weight.1);
    line("priority", priority.0.to_string(), priority.1);
    lines
}

fn plain(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn table(lines: &[Line]) -> String {
    let width = |of: fn(&Line) -> &str| {
        lines
            .iter()
            .map(|l| of(l).chars().count().min(60))
            .max()
            .unwrap_or(0)
    };
    let (keys, values) = (width(|l| &l.0), width(|l| &l.1));
    lines
        .iter()
        .map(|(key, value, origin)| format!("{key:keys$}  {value:values$}  {origin}\n"))
        .collect()
}
