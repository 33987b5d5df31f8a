//! `ocr-host.toml`: the flags that one does not want to type each time, workflows, and tenants.
//!
//! [`keys`] says what there is, [`read`] reads it and gathers what is wrong, [`file`] gives it types, [`settle`]
//! completes a command line with it; [`check`] finds what a run would find, [`show`] and [`schema`] tell of it.

mod check;
mod file;
mod folders;
mod keys;
mod opening;
mod problem;
mod read;
mod schema;
mod settle;
mod show;

pub use check::{Checker, ForcedPlugin, trusts, watched};
pub use file::{Bound, File, QuotaTable, Tenant, Workflow, no_workflow};
pub use folders::{below, check_folders, resolve};
pub use opening::{Refusal, open as open_plugin};
pub use problem::{Problems, Source, like};
pub use read::{Item, as_flag};
pub use schema::schema;
pub use settle::{Settled, is_path, settle};
pub use show::show;

use crate::args::Progress;
use crate::exit::{Exit, Failed};
use clap::ArgMatches;
use std::path::{Path, PathBuf};

/// The file that is looked for in the present folder.
const LOCAL: &str = "ocr-host.toml";

/// A configuration file longer than this is a mistake.
const FILE_BYTES: u64 = 4 << 20;

/// The command line completed from the configuration file, where there is one.
pub fn complete(given: &ArgMatches) -> Result<Settled, Failed> {
    let named: Option<&PathBuf> = given.get_one("config");
    let Some(path) = find(named.map(PathBuf::as_path)) else {
        return settle(given, None, None);
    };
    let file = load(&path)?;
    let settled = settle(given, Some(&file), None)?;
    // The file of the present folder is told of: it may have come with the documents, so it can't hush this itself.
    let may_be_foreign = named.is_none() && path == Path::new(LOCAL);
    let is_hushed = given.get_flag("quiet") || settled.args.progress == Some(Progress::Json);
    if (may_be_foreign || settled.args.verbose > 0) && !is_hushed {
        eprintln!("note: settings are taken from {}", path.display());
    }
    Ok(settled)
}

/// The file that was named, else the first that exists.
pub fn find(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    let local = PathBuf::from(LOCAL);
    let users = dirs::config_dir().map(|dir| dir.join("ocr-host/config.toml"));
    std::iter::once(local).chain(users).find(|path| path.is_file())
}

/// What a command says that can't do without a file where none is found.
pub fn none() -> Failed {
    let why =
        "there is no ocr-host.toml here nor in the user's configuration folder; name one with --config FILE";
    Failed::new(Exit::Config, why)
}

/// The text of a file.
pub fn open(path: &Path) -> Result<Source, Failed> {
    let wrong = |why: String| Failed::new(Exit::Config, format!("{}: can't be read: {why}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?;
    if !bytes.is_file() || bytes.len() > FILE_BYTES {
        return Err(wrong("it is no file of at most 4 MiB".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    Ok(Source {
        path: path.to_owned(),
        text,
    })
}

/// Reads a file; an error tells of everything that is wrong in it.
pub fn load(path: &Path) -> Result<File, Failed> {
    let mut problems = Problems::default();
    let file = File::parse(open(path)?, &mut problems);
    problems.result(&file.source)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::settle::Origin;
    use super::*;
    use crate::args::ConvertArgs;
    use crate::options::GivenValue;
    use crate::recognition::{Device, ExpertWeights, ModelChoice, RetryModes};
    use clap::CommandFactory;
    use ocr_model_deepseek::{Mode, Task};

    fn completed(toml: &str, flags: &[&str]) -> Result<ConvertArgs, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ocr-host.toml");
        std::fs::write(&path, toml).unwrap();
        let mut line = vec!["ocr-host", "a.pdf", "--config", path.to_str().unwrap()];
        line.extend(flags);
        let given = crate::args::Cli::command().try_get_matches_from(line).unwrap();
        let settled = complete(&given).map_err(|failed| {
            assert_eq!(failed.exit, Exit::Config);
            format!("{:#}", failed.error)
        })?;
        assert_eq!(settled.args.inputs, ["a.pdf"]);
        Ok(settled.args)
    }

    #[test]
    fn flags_win_over_the_file() {
        let toml = "to = ['html']\ndpi = 300\njobs = 3\ntimings = true\n[plugin-limit]\nmemory = '1GiB'\nhandles = 10\n\
                    [plugin-opt.html-out]\nboxes = false\nterms = ['a', 'b']";
        let args = completed(toml, &["--dpi", "200", "--plugin-limit", "memory=2GiB", "-vv"]).unwrap();
        assert_eq!(
            (args.dpi, args.jobs, &args.to[..], args.timings, args.verbose),
            (Some(200), Some(3), &["html".to_owned()][..], true, 2)
        );
        assert_eq!(args.plugin_limit, ["memory=1GiB", "handles=10", "memory=2GiB"]);
        let boxes = &args.file_options[0];
        assert_eq!(
            (boxes.plugin.as_deref(), boxes.key.as_str()),
            (Some("html-out"), "boxes")
        );
        let GivenValue::File(terms, place) = &args.file_options[1].value else {
            panic!("{args:?}")
        };
        assert_eq!((terms, place.line), (&serde_json::json!(["a", "b"]), 10));
        // Who asks for a format asks for it alone.
        let args = completed(toml, &["--plugin", "x.wasm"]).unwrap();
        assert_eq!((args.to.len(), args.plugin), (0, vec!["x.wasm".to_owned()]));
        let args = completed("quiet = true", &["-v"]).unwrap();
        assert_eq!((args.quiet, args.verbose), (false, 1));
    }

    #[test]
    fn grants_of_the_file_and_of_flags_are_kept_apart() {
        let toml = "[grants]\ntidy = ['page.raster', 'image.rows']\n";
        let args = completed(toml, &["--grant", "tidy=ocr.recognize"]).unwrap();
        assert_eq!(args.file_grants, ["tidy=page.raster,image.rows".parse().unwrap()]);
        assert_eq!(args.grant, ["tidy=ocr.recognize".parse().unwrap()]);
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = completed("dpi = 300\nformat = 'md'\n", &[]).unwrap_err();
        assert!(
            error.contains("ocr-host.toml:2:1") && error.contains("format"),
            "{error}"
        );
        for (toml, expected) in [
            ("quiet = false\ndpi = 9000", "36..=1200"),
            ("quiet = false\njobs = 0", "1..=512"),
            ("quiet = false\npages = '0'", "count from 1"),
            ("quiet = false\nmode = 'huge'", "gundam"),
            ("quiet = false\ndevice = 'gpu'", "cuda:N"),
            ("quiet = false\ntask = 'sing'", "no task `sing`"),
            ("quiet = false\nmax-crops = 10", "2..=9"),
            ("quiet = false\ngpu-memory-utilization = 2", "at most 1"),
            ("quiet = false\nretry-modes = 'base,huge'", "no mode `huge`"),
            ("quiet = false\nfallback = 'magic'", "ppocr"),
            ("quiet = false\ncompat = 'other'", "deepseek"),
            ("[grants]\ntidy = ['page.rasters']", "did you mean `page.raster`"),
        ] {
            let error = completed(toml, &[]).unwrap_err();
            assert!(
                error.contains("ocr-host.toml:2:") && error.contains(expected),
                "{toml}: {error}"
            );
        }
    }

    #[test]
    fn recognition_is_set_in_the_file_and_by_flags() {
        let toml = "model = 'weights'\ndevice = 'cuda:1'\nmode = 'base'\nmax-crops = 6\ntask = 'free'\n\
                    gpu-memory-utilization = 0.5\nexpert-weights = 'int8'\ndeterministic = true\nno-repeat-ngram-window = 0\nretry-modes = ['none']\nfallback = 'none'";
        // A name without a slash is a folder only where there is one.
        assert!(completed(toml, &[]).unwrap_err().contains("no model `weights`"));
        let args = completed(&toml.replace("'weights'", "'./weights'"), &["--mode", "large"]).unwrap();
        let Some(ModelChoice::Folder(folder)) = &args.recognition.model else {
            panic!("{:?}", args.recognition.model)
        };
        assert!(
            folder.is_absolute() && folder.ends_with("weights"),
            "it lies beside the file"
        );
        assert_eq!(args.recognition.mode, Some(Mode::Large));
        assert_eq!(args.recognition.device, Some(Device::Cuda(1)));
        assert_eq!(args.recognition.wanted(), Task::Free);
        assert!(args.recognition.deterministic);
        assert_eq!(args.recognition.expert_weights, Some(ExpertWeights::Int8));
        assert_eq!(args.recognition.retry_modes, Some(RetryModes(Vec::new())));
        let args = completed("task = 'free'", &["--prompt", "Read."]).unwrap();
        assert_eq!(args.recognition.wanted(), Task::Prompt("Read.".into()));
        assert!(
            completed("task = 'free'\nprompt = 'Read.'", &[])
                .unwrap_err()
                .contains("exclude")
        );
    }

    #[test]
    fn a_workflow_goes_before_the_head_and_flags_before_both() {
        let text = "dpi = 300\nquiet = true\nto = ['html']\ntimings = true\n[plugin-limit]\nmemory = '1GiB'\n\
                    [workflow.w]\nto = ['md', 'json']\ndpi = 200\ntimings = false\nplugin-limit.memory = '2GiB'\n";
        let source = Source {
            path: "conf/o.toml".into(),
            text: text.into(),
        };
        let mut problems = Problems::default();
        let file = File::parse(source, &mut problems);
        assert_eq!(problems.errors(), 0);
        let given = crate::args::Cli::command()
            .try_get_matches_from(["ocr-host", "a.pdf", "--jobs", "2"])
            .unwrap();
        let settled = settle(&given, Some(&file), Some(&file.workflows["w"])).unwrap();
        let args = &settled.args;
        assert_eq!(
            (args.dpi, args.jobs, args.quiet, args.timings),
            (Some(200), Some(2), true, false)
        );
        assert_eq!(args.to, ["md", "json"]);
        assert_eq!(args.plugin_limit, ["memory=1GiB", "memory=2GiB"]);
        let origin = |name: &str| {
            settled
                .settings
                .iter()
                .find(|s| s.key.name == name)
                .unwrap()
                .origin
                .clone()
        };
        assert_eq!(origin("jobs"), Origin::Flag);
        let Origin::File(at) = origin("dpi") else { panic!() };
        assert_eq!(file.source.line(at), "conf/o.toml:9");
    }
}
