//! `ocr-host.toml`: the flags that one does not want to type each time. Flags win over it.

use crate::args::{Compat, ConvertArgs, Progress, Rescue};
use crate::exit::{Exit, Failed};
use crate::recognition::{
    Device, Dtype, Fallback, ModelChoice, RecognitionArgs, RetryModes, Share, Within, task,
};
use ocr_model_deepseek::{Mode, Task};
use ocr_pipeline::PageSelection;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The file that is looked for in the present folder.
const LOCAL: &str = "ocr-host.toml";

/// The file, key by key as the flags are named.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    output: Option<PathBuf>,
    #[serde(default)]
    to: Vec<String>,
    compat: Option<Compat>,
    #[serde(default)]
    plugin: Vec<String>,
    pages: Option<Typed<PageSelection>>,
    dpi: Option<Typed<Within<36, 1200>>>,
    jobs: Option<Typed<Within<1, 512>>>,
    page_timeout: Option<String>,
    rescue: Option<Rescue>,
    models: Option<PathBuf>,
    progress: Option<Progress>,
    pdf_password: Option<String>,
    model: Option<Typed<ModelChoice>>,
    device: Option<Typed<Device>>,
    dtype: Option<Dtype>,
    mode: Option<Typed<Mode>>,
    max_crops: Option<Typed<Within<2, 9>>>,
    task: Option<TaskKey>,
    prompt: Option<String>,
    max_new_tokens: Option<Typed<Within<1, 8192>>>,
    no_repeat_ngram_size: Option<Typed<Within<0, 8192>>>,
    no_repeat_ngram_window: Option<Typed<Within<0, 8192>>>,
    gpu_memory_utilization: Option<Typed<Share>>,
    retry_modes: Option<Typed<RetryModes>>,
    fallback: Option<Fallback>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    timings: bool,
    #[serde(default)]
    verbose: bool,
    #[serde(default)]
    quiet: bool,
    /// `[plugin-limit] memory = "1GiB"`.
    #[serde(default)]
    plugin_limit: BTreeMap<String, toml::Value>,
    /// `[plugin-opt.markdown-out] images = "embedded"`.
    #[serde(default)]
    plugin_opt: BTreeMap<String, BTreeMap<String, toml::Value>>,
}

/// A value that is read as the flag's is, so that a wrong one is told of with its line.
#[derive(Debug)]
struct Typed<T>(T);

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Typed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = plain(&toml::Value::deserialize(deserializer)?);
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug)]
struct TaskKey(Task);

impl<'de> Deserialize<'de> for TaskKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        task(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Fills what the command line left open from the configuration file.
pub fn complete(args: &mut ConvertArgs) -> Result<(), Failed> {
    let Some(path) = find(args.config.as_deref()) else {
        return Ok(());
    };
    let wrong =
        |error: String| Failed::new(Exit::Config, format!("{}: {}", path.display(), error.trim_end()));
    let text = std::fs::read_to_string(&path).map_err(|e| wrong(format!("can't be read: {e}")))?;
    let config: Config = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    // Relative paths in the file are relative to it.
    let here = path.parent().unwrap_or(Path::new("")).to_owned();
    let placed = |path: PathBuf| here.join(path);
    args.output = args.output.take().or(config.output.map(placed));
    args.models = args.models.take().or(config.models.map(placed));
    if args.to.is_empty() && args.plugin.is_empty() && args.compat.is_none() {
        args.to = config.to;
        args.compat = config.compat;
        args.plugin = config.plugin.into_iter().map(|p| beside(&here, p)).collect();
    }
    args.pages = args.pages.take().or(config.pages.map(|p| p.0));
    args.dpi = args.dpi.or(config.dpi.map(|dpi| dpi.0.0));
    // The range keeps it below 512.
    args.jobs = args.jobs.or(config.jobs.map(|jobs| jobs.0.0 as u16));
    args.page_timeout = args.page_timeout.take().or(config.page_timeout);
    args.rescue = args.rescue.or(config.rescue);
    args.progress = args.progress.or(config.progress);
    args.pdf_password = args.pdf_password.take().or(config.pdf_password);
    if config.task.is_some() && config.prompt.is_some() {
        return Err(wrong("task and prompt exclude each other".into()));
    }
    let flags = &mut args.recognition;
    let model = config.model.map(|model| match model.0 {
        ModelChoice::Folder(folder) => ModelChoice::Folder(here.join(folder)),
        named => named,
    });
    // A prompt on the command line leaves no room for the file's task, nor a task for its prompt.
    let asked = flags.task.is_some() || flags.prompt.is_some();
    *flags = RecognitionArgs {
        model: flags.model.take().or(model),
        device: flags.device.or(config.device.map(|d| d.0)),
        dtype: flags.dtype.or(config.dtype),
        mode: flags.mode.or(config.mode.map(|m| m.0)),
        max_crops: flags.max_crops.or(config.max_crops.map(|n| n.0)),
        task: flags.task.take().or(config.task.filter(|_| !asked).map(|t| t.0)),
        prompt: flags.prompt.take().or(config.prompt.filter(|_| !asked)),
        max_new_tokens: flags.max_new_tokens.or(config.max_new_tokens.map(|n| n.0)),
        no_repeat_ngram_size: flags
            .no_repeat_ngram_size
            .or(config.no_repeat_ngram_size.map(|n| n.0)),
        no_repeat_ngram_window: flags
            .no_repeat_ngram_window
            .or(config.no_repeat_ngram_window.map(|n| n.0)),
        gpu_memory_utilization: flags
            .gpu_memory_utilization
            .or(config.gpu_memory_utilization.map(|share| share.0)),
        retry_modes: flags.retry_modes.take().or(config.retry_modes.map(|m| m.0)),
        fallback: flags.fallback.or(config.fallback),
        stream: flags.stream || config.stream,
    };
    args.timings |= config.timings;
    if config.verbose && config.quiet {
        return Err(wrong("verbose and quiet exclude each other".into()));
    }
    if args.verbose == 0 && !args.quiet {
        args.verbose = config.verbose.into();
        args.quiet = config.quiet;
    }
    // The file of the present folder is told of: it may have come with the documents.
    if path == Path::new(LOCAL) && !args.quiet && args.progress != Some(Progress::Json) {
        eprintln!("note: settings are taken from {}", path.display());
    }
    // Flags are read after these, so they win.
    let limits = config
        .plugin_limit
        .iter()
        .map(|(name, value)| format!("{name}={}", plain(value)));
    args.plugin_limit.splice(0..0, limits);
    let options = config.plugin_opt.iter().flat_map(|(plugin, options)| {
        options
            .iter()
            .map(move |(key, value)| format!("{plugin}.{key}={}", plain(value)))
    });
    args.plugin_opt.splice(0..0, options);
    Ok(())
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

/// A plugin's path relative to the file; names of built-in components stay as they are.
fn beside(here: &Path, plugin: String) -> String {
    let path = here.join(&plugin);
    if path.is_file() {
        path.display().to_string()
    } else {
        plugin
    }
}

/// A value as it would stand on the command line.
fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn completed(toml: &str, flags: &[&str]) -> Result<ConvertArgs, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ocr-host.toml");
        std::fs::write(&path, toml).unwrap();
        let mut line = vec!["ocr-host", "a.pdf", "--config", path.to_str().unwrap()];
        line.extend(flags);
        let mut args = crate::args::Cli::try_parse_from(line).unwrap().convert;
        complete(&mut args).map_err(|failed| {
            assert_eq!(failed.exit, Exit::Config);
            format!("{:#}", failed.error)
        })?;
        Ok(args)
    }

    #[test]
    fn flags_win_over_the_file() {
        let toml = "to = ['html']\ndpi = 300\njobs = 3\n[plugin-limit]\nmemory = '1GiB'\n[plugin-opt.html-out]\nboxes = false";
        let args = completed(toml, &["--dpi", "200", "--plugin-limit", "memory=2GiB"]).unwrap();
        assert_eq!(
            (args.dpi, args.jobs, &args.to[..]),
            (Some(200), Some(3), &["html".to_owned()][..])
        );
        assert_eq!(args.plugin_limit, ["memory=1GiB", "memory=2GiB"]);
        assert_eq!(args.plugin_opt, ["html-out.boxes=false"]);
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = completed("dpi = 300\nformat = 'md'\n", &[]).unwrap_err();
        assert!(error.contains("line 2") && error.contains("format"), "{error}");
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
        ] {
            let error = completed(toml, &[]).unwrap_err();
            assert!(
                error.contains("line 2") && error.contains(expected),
                "{toml}: {error}"
            );
            assert!(error.contains("ocr-host.toml"), "{error}");
        }
    }

    #[test]
    fn recognition_is_set_in_the_file_and_by_flags() {
        let toml = "model = 'weights'\ndevice = 'cuda:1'\nmode = 'base'\nmax-crops = 6\ntask = 'free'\n\
                    gpu-memory-utilization = 0.5\nno-repeat-ngram-window = 0\nretry-modes = 'none'\nfallback = 'none'";
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
        assert_eq!(args.recognition.retry_modes, Some(RetryModes(Vec::new())));
        let args = completed("task = 'free'", &["--prompt", "Read."]).unwrap();
        assert_eq!(args.recognition.wanted(), Task::Prompt("Read.".into()));
        assert!(
            completed("task = 'free'\nprompt = 'Read.'", &[])
                .unwrap_err()
                .contains("exclude")
        );
    }
}
