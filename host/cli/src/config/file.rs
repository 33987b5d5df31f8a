//! `ocr-host.toml` as types: defaults for the flags at its head, workflows, tenants.
//!
//! What stands here was read without looking at anything else: whether plugins, folders and inputs are there is for
//! `check.rs`.

use super::keys::Section;
use super::problem::{Problem, Problems, Source, Span, like};
use super::read::{Entries, Item, Pair, Value, read};
use ocr_runtime::limits::{parse_bytes, parse_duration};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub source: Arc<Source>,
    /// What flags have for defaults.
    pub head: Entries,
    pub workflows: BTreeMap<String, Workflow>,
    pub tenants: BTreeMap<String, Tenant>,
}

/// What is done with documents, under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    pub name: Item,
    pub settings: Entries,
}

/// Someone for whom documents are converted, kept apart from everyone else.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    pub name: Item,
    pub output: Option<Item>,
    pub inputs: Vec<Item>,
    pub workflows: Vec<Item>,
    /// Digests by plugin.
    pub plugins: Vec<Pair>,
    pub forced: Vec<Forced>,
    /// `None`: as the workflow grants.
    pub capabilities: Option<Vec<Item>>,
    /// Where they stand.
    pub capabilities_at: Option<usize>,
    pub limits: Vec<Pair>,
    pub quota: QuotaTable,
    /// Each with where it was set, if it was.
    pub weight: (u32, Option<usize>),
    pub priority: (i32, Option<usize>),
}

/// A processor that every page of a tenant goes through.
#[derive(Debug, Clone, PartialEq)]
pub struct Forced {
    pub plugin: Item,
    pub is_first: bool,
    pub options: Vec<Pair>,
}

/// A bound with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound<T> {
    pub most: T,
    pub at: Span,
}

/// What a run may do for a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaTable {
    pub documents: Option<Bound<u64>>,
    pub pages: Option<Bound<u64>>,
    pub input_bytes: Option<Bound<u64>>,
    pub output_bytes: Option<Bound<u64>>,
    pub gpu: Option<Bound<u64>>,
    pub time: Option<Bound<Duration>>,
}

impl File {
    /// Reads a file's text; what is wrong goes to `problems`, and the rest is what the file comes to without it.
    pub fn parse(source: Source, problems: &mut Problems) -> Self {
        let head = read(&source, problems);
        let named = |key: &str| match head.get(key).map(|entry| &entry.value) {
            Some(Value::Named(tables)) => tables.clone(),
            _ => Vec::new(),
        };
        let workflows: BTreeMap<String, Workflow> = named("workflow")
            .into_iter()
            .map(|(name, settings)| (name.text.clone(), Workflow { name, settings }))
            .collect();
        let tenants = named("tenant")
            .into_iter()
            .map(|(name, entries)| {
                (
                    name.text.clone(),
                    Tenant::new(name, &entries, &workflows, problems),
                )
            })
            .collect();
        Self {
            source: Arc::new(source),
            head,
            workflows,
            tenants,
        }
    }
}

impl Tenant {
    fn new(
        name: Item,
        entries: &Entries,
        workflows: &BTreeMap<String, Workflow>,
        problems: &mut Problems,
    ) -> Self {
        let output = entries.item("output").cloned();
        if entries.get("output").is_none() && output.is_none() {
            let why = format!("tenant `{}` has no `output`", name.text);
            let help = "give it a folder of its own: output = \"out/NAME\"; it writes nowhere else";
            problems.push(Problem::error(name.at.clone(), why).help(help));
        }
        for workflow in entries.items("workflows") {
            if !workflows.contains_key(&workflow.text) {
                problems.push(no_workflow(workflow, workflows));
            }
        }
        if entries.items("workflows").is_empty() {
            let why = format!("tenant `{}` may run no workflow", name.text);
            problems.push(
                Problem::warning(name.at.clone(), why).help("name those it may: workflows = [\"NAME\"]"),
            );
        }
        let limits: Vec<Pair> = entries.pairs("limits").to_vec();
        if let Some(stack) = limits.iter().find(|limit| limit.key.text == "stack") {
            let why = "`stack` is the same for all plugins of a run, whoever they run for";
            problems.push(
                Problem::error(stack.key.at.clone(), why).help("set it in the workflow's plugin-limit"),
            );
        }
        let tables = match entries.get("force").map(|entry| &entry.value) {
            Some(Value::Tables(tables)) => tables.as_slice(),
            _ => &[],
        };
        let forced = tables
            .iter()
            .filter_map(|table| Forced::new(table, problems))
            .collect();
        Self {
            output,
            inputs: entries.items("inputs").to_vec(),
            workflows: entries.items("workflows").to_vec(),
            plugins: entries.pairs("plugins").to_vec(),
            forced,
            capabilities: entries
                .get("capabilities")
                .map(|_| entries.items("capabilities").to_vec()),
            capabilities_at: entries.get("capabilities").map(|entry| entry.at.start),
            limits,
            quota: QuotaTable::new(entries),
            // The ranges of both keys fit.
            weight: entries
                .number("weight")
                .map_or((1, None), |(n, at)| (n as u32, Some(at.start))),
            priority: entries
                .number("priority")
                .map_or((0, None), |(n, at)| (n as i32, Some(at.start))),
            name,
        }
    }

    /// Where it may run `workflow` is said.
    pub fn may_run(&self, workflow: &str) -> bool {
        self.workflows.iter().any(|allowed| allowed.text == workflow)
    }
}

/// A workflow that there is not.
pub fn no_workflow(name: &Item, workflows: &BTreeMap<String, Workflow>) -> Problem {
    let problem = Problem::error(name.at.clone(), format!("there is no workflow `{}`", name.text));
    match like(&name.text, workflows.keys().map(String::as_str)) {
        Some(meant) => problem.label(format!("did you mean `{meant}`?")),
        None => problem.help(format!("write it as a table: [workflow.{}]", name.text)),
    }
}

impl Forced {
    fn new(table: &Entries, problems: &mut Problems) -> Option<Self> {
        let Some(plugin) = table.item("plugin").cloned() else {
            if table.get("plugin").is_none() {
                let why = format!("{} names no `plugin`", Section::Force.name());
                problems.push(Problem::error(table.at.clone(), why));
            }
            return None;
        };
        Some(Self {
            plugin,
            is_first: table.item("place").is_none_or(|place| place.text == "first"),
            options: table.pairs("options").to_vec(),
        })
    }
}

impl QuotaTable {
    fn new(tenant: &Entries) -> Self {
        let Some(Value::Table(table)) = tenant.get("quota").map(|entry| &entry.value) else {
            return Self::default();
        };
        // Negative numbers were refused when the file was read.
        let count = |name: &str| {
            let (most, at) = table.number(name)?;
            Some(Bound {
                most: u64::try_from(most).ok()?,
                at,
            })
        };
        let bytes = |name: &str| {
            let item = table.item(name)?;
            Some(Bound {
                most: parse_bytes(&item.text).ok()?,
                at: item.at.clone(),
            })
        };
        Self {
            documents: count("documents"),
            pages: count("pages"),
            input_bytes: bytes("input-bytes"),
            output_bytes: bytes("output-bytes"),
            gpu: count("gpu"),
            time: table.item("time").and_then(|item| {
                Some(Bound {
                    most: parse_duration(&item.text).ok()?,
                    at: item.at.clone(),
                })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn parsed(text: &str) -> (File, Problems) {
        let mut problems = Problems::default();
        let source = Source {
            path: "o.toml".into(),
            text: text.into(),
        };
        (File::parse(source, &mut problems), problems)
    }

    #[test]
    fn a_tenant_is_read_whole() {
        let (file, problems) = parsed(
            "[workflow.books]\nto = ['md']\n[tenant.acme]\noutput = 'out'\nworkflows = ['books']\nweight = 3\n\
             capabilities = []\nplugins.redact = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'\n\
             [[tenant.acme.force]]\nplugin = 'redact'\nplace = 'first'\noptions = { terms = ['a'] }\n\
             [tenant.acme.limits]\nmemory = '64MiB'\n[tenant.acme.quota]\npages = 10\ninput-bytes = '1GiB'\ntime = '2m'\n",
        );
        assert_eq!(problems.errors(), 0, "{}", problems.show(&file.source));
        let acme = &file.tenants["acme"];
        assert_eq!(
            (acme.weight.0, acme.priority, acme.capabilities.as_deref()),
            (3, (0, None), Some(&[][..]))
        );
        assert!(acme.may_run("books") && !acme.may_run("mail"));
        assert!(acme.forced[0].is_first);
        assert_eq!(acme.forced[0].options[0].value, serde_json::json!(["a"]));
        assert_eq!(acme.quota.pages.as_ref().unwrap().most, 10);
        assert_eq!(acme.quota.time.as_ref().unwrap().most.as_secs(), 120);
        assert_eq!(
            file.source.place(acme.quota.pages.as_ref().unwrap().at.start).0,
            16
        );
    }

    #[test]
    fn a_tenant_without_a_folder_or_with_a_wrong_workflow_is_refused() {
        let (file, problems) =
            parsed("[workflow.books]\n[tenant.acme]\nworkflows = ['boks']\nlimits.stack = '1MiB'\n");
        let shown = problems.show(&file.source);
        for expected in ["has no `output`", "did you mean `books`?", "`stack` is the same"] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
    }
}
