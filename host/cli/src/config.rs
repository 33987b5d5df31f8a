//! `ocr-host.toml`: the flags that one does not want to type each time. Flags win over it.

use crate::args::{ConvertArgs, Progress, Rescue};
use crate::exit::{Exit, Failed};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is looked for in the present folder.
const LOCAL: &str = "ocr-host.toml";

/// The file, key by key as the flags are named.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    output: Option<PathBuf>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    plugin: Vec<String>,
    pages: Option<String>,
    dpi: Option<u32>,
    jobs: Option<u16>,
    page_timeout: Option<String>,
    rescue: Option<Rescue>,
    models: Option<PathBuf>,
    progress: Option<Progress>,
    pdf_password: Option<String>,
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
    if args.to.is_empty() && args.plugin.is_empty() {
        args.to = config.to;
        args.plugin = config.plugin.into_iter().map(|p| beside(&here, p)).collect();
    }
    if args.pages.is_none() {
        args.pages = config
            .pages
            .map(|p| p.parse().map_err(|e: String| wrong(format!("pages: {e}"))))
            .transpose()?;
    }
    if let Some(dpi) = config.dpi.filter(|dpi| !(36..=1200).contains(dpi)) {
        return Err(wrong(format!("dpi: {dpi} is not in 36..=1200")));
    }
    if config.jobs == Some(0) {
        return Err(wrong("jobs: 0 is not in 1..=512".into()));
    }
    args.dpi = args.dpi.or(config.dpi);
    args.jobs = args.jobs.or(config.jobs);
    args.page_timeout = args.page_timeout.take().or(config.page_timeout);
    args.rescue = args.rescue.or(config.rescue);
    args.progress = args.progress.or(config.progress);
    args.pdf_password = args.pdf_password.take().or(config.pdf_password);
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
        assert!(completed("dpi = 9000", &[]).unwrap_err().contains("36..=1200"));
        assert!(
            completed("pages = '0'", &[])
                .unwrap_err()
                .contains("count from 1")
        );
    }
}
