//! `ocr-host config check`, `show` and `schema`.

use crate::args::ShowArgs;
use crate::config::{self, File, Item, Problems, no_workflow};
use crate::exit::{Exit, Failed};
use crate::plugins;
use clap::ArgMatches;
use ocr_pipeline::counted;
use ocr_runtime::Limits;
use std::path::Path;

/// Finds everything that a run would find, and tells all of it.
pub fn check(named: Option<&Path>) -> Result<Exit, Failed> {
    let path = config::find(named).ok_or_else(config::none)?;
    let mut problems = Problems::default();
    let file = File::parse(config::open(&path)?, &mut problems);
    // Plugins are compiled, as a run would do it; the built-in ones and those of before are in the cache.
    let runtime = plugins::runtime(&Limits::default())?;
    let mut checker = config::Checker::new(&file, &runtime);
    checker.all();
    problems.extend(checker.problems);
    let (errors, warnings) = (problems.errors(), problems.warnings());
    if errors + warnings > 0 {
        eprintln!("{}", problems.show(&file.source));
    }
    println!(
        "{}: {}, {}; {}, {}",
        path.display(),
        counted(file.workflows.len(), "workflow"),
        counted(file.tenants.len(), "tenant"),
        counted(errors, "error"),
        counted(warnings, "warning"),
    );
    Ok(if errors > 0 { Exit::Config } else { Exit::Ok })
}

/// Prints what holds.
pub fn show(args: &ShowArgs, given: &ArgMatches) -> Result<Exit, Failed> {
    let path = config::find(args.convert.config.as_deref());
    let file = path.as_deref().map(config::load).transpose()?;
    let workflow = match &args.workflow {
        None => None,
        Some(name) => Some(workflow(file.as_ref(), name)?),
    };
    let mut tenants = Vec::new();
    for name in &args.tenant {
        tenants.push(tenant(file.as_ref(), name)?);
    }
    let settled = config::settle(given, file.as_ref(), workflow)?;
    let plugins = plugins::manifests(&settled.args);
    print!(
        "{}",
        config::show(&settled, file.as_ref(), workflow, &tenants, &plugins)
    );
    Ok(Exit::Ok)
}

/// Prints the schema.
pub fn schema() -> Result<Exit, Failed> {
    println!("{:#}", config::schema());
    Ok(Exit::Ok)
}

/// The workflow that the command line names.
pub fn workflow<'a>(file: Option<&'a File>, name: &str) -> Result<&'a config::Workflow, Failed> {
    let wrong = |why: String| Failed::new(Exit::Arguments, why);
    let file = file.ok_or_else(config::none)?;
    file.workflows.get(name).ok_or_else(|| {
        let item = Item {
            text: name.to_owned(),
            at: 0..0,
        };
        let problem = no_workflow(&item, &file.workflows);
        let names: Vec<&str> = file.workflows.keys().map(String::as_str).collect();
        let known = match names[..] {
            [] => "it has none".to_owned(),
            _ => format!("it has {}", names.join(", ")),
        };
        let meant = Some(problem.label).filter(|label| !label.is_empty());
        wrong(format!(
            "{} in {}: {}",
            problem.message,
            file.source.path.display(),
            meant.unwrap_or(known)
        ))
    })
}

/// The tenant that the command line names.
pub fn tenant<'a>(file: Option<&'a File>, name: &str) -> Result<&'a config::Tenant, Failed> {
    let file = file.ok_or_else(config::none)?;
    let names = || file.tenants.keys().map(String::as_str);
    file.tenants.get(name).ok_or_else(|| {
        let known = match config::like(name, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => match names().collect::<Vec<_>>()[..] {
                [] => "the configuration file has none".to_owned(),
                ref all => format!("there are {}", all.join(", ")),
            },
        };
        Failed::new(Exit::Arguments, format!("there is no tenant `{name}`: {known}"))
    })
}
