//! Tenants' folders: none writes outside its own, and no two share one.
//!
//! Paths are compared as they are on the disk: `..` and links are followed first, also where the last parts are not
//! there yet.

use super::file::File;
use super::problem::{Problem, Problems};
use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};

/// Links that are followed one after the other; more go round in circles.
const LINKS: usize = 40;

/// Where `path` is, whether it is there or not.
pub fn resolve(path: &Path) -> Result<PathBuf> {
    let mut links = 0;
    resolve_from(&std::env::current_dir()?.canonicalize()?, path, &mut links)
}

fn resolve_from(here: &Path, path: &Path, links: &mut usize) -> Result<PathBuf> {
    // What stands in `at` is free of links and of `..`.
    let mut at = here.to_owned();
    for part in path.components() {
        match part {
            Component::Prefix(_) | Component::RootDir => at.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                at.pop();
            }
            Component::Normal(name) => {
                let next = at.join(name);
                match std::fs::symlink_metadata(&next) {
                    Ok(found) if found.is_symlink() => {
                        *links += 1;
                        if *links > LINKS {
                            let why = format!("{}: links go round in circles", path.display());
                            return Err(Error::new(ErrorKind::InvalidInput, why));
                        }
                        at = resolve_from(&at, &std::fs::read_link(&next)?, links)?;
                    }
                    _ => at = next,
                }
            }
        }
    }
    Ok(at)
}

/// Makes the folder `inside` below `root`, which is resolved, and answers it. A link on the way is refused: it may
/// lead anywhere.
pub fn below(root: &Path, inside: &Path) -> Result<PathBuf> {
    let mut at = root.to_owned();
    for part in inside.components() {
        let Component::Normal(name) = part else {
            let why = format!("{} leads out of {}", inside.display(), root.display());
            return Err(Error::new(ErrorKind::InvalidInput, why));
        };
        at.push(name);
        match std::fs::create_dir(&at) {
            Ok(()) => {}
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(_) if std::fs::symlink_metadata(&at)?.is_dir() => {}
            Err(_) => {
                let why = format!("{} is no folder but a link or a file", at.display());
                return Err(Error::new(ErrorKind::NotADirectory, why));
            }
        }
    }
    Ok(at)
}

/// Where the head and the workflows write, by whose it is. One that can't be resolved is told of when it is used.
fn outputs(file: &File) -> Vec<(String, std::ops::Range<usize>, PathBuf)> {
    let head = std::iter::once(("the file's head".to_owned(), &file.head));
    let workflows = file.workflows.values();
    let workflows = workflows.map(|w| (format!("workflow `{}`", w.name.text), &w.settings));
    let found = head.chain(workflows).filter_map(|(owner, settings)| {
        let output = settings.item("output")?;
        let folder = resolve(&file.source.folder().join(&output.text)).ok()?;
        Some((owner, output.at.clone(), folder))
    });
    found.collect()
}

/// Resolves all tenants' folders; those that meet each other, or what no tenant's run writes, are problems.
pub fn check_folders(file: &File, problems: &mut Problems) {
    let here = file.source.folder();
    let shared = outputs(file);
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for (name, tenant) in &file.tenants {
        let Some(output) = &tenant.output else { continue };
        let folder = match resolve(&here.join(&output.text)) {
            Ok(folder) => folder,
            Err(error) => {
                problems.push(Problem::error(
                    output.at.clone(),
                    format!("tenant `{name}`: {error}"),
                ));
                continue;
            }
        };
        if folder.exists() && !folder.is_dir() {
            let why = format!("tenant `{name}`: {} is a file", folder.display());
            problems.push(Problem::error(output.at.clone(), why).help("give it a folder"));
            continue;
        }
        for (other, theirs) in &found {
            let meet = match (folder.starts_with(theirs), theirs.starts_with(&folder)) {
                (true, true) => "is that of",
                (true, false) => "lies in that of",
                (false, true) => "holds that of",
                (false, false) => continue,
            };
            let why = format!("the folder of tenant `{name}` {meet} tenant `{other}`");
            let place = file.tenants[other]
                .output
                .as_ref()
                .map(|o| o.at.clone())
                .unwrap_or_default();
            let problem = Problem::error(output.at.clone(), why)
                .label(format!("this is {}", folder.display()))
                .also(place, format!("this is {}", theirs.display()));
            problems.push(problem.help("give each tenant a folder of its own"));
        }
        for (owner, place, theirs) in &shared {
            let meet = match (folder.starts_with(theirs), theirs.starts_with(&folder)) {
                (true, true) => "is",
                (true, false) => "lies in",
                (false, true) => "holds",
                (false, false) => continue,
            };
            let why = format!("the folder of tenant `{name}` {meet} that of {owner}");
            let problem = Problem::error(output.at.clone(), why)
                .label(format!("this is {}", folder.display()))
                .also(place.clone(), format!("this is {}", theirs.display()));
            problems.push(problem.help("what runs for nobody in particular is written elsewhere"));
        }
        found.push((name.clone(), folder));
    }
    for (name, tenant) in &file.tenants {
        for input in &tenant.inputs {
            let Ok(folder) = resolve(&here.join(&input.text)) else {
                continue;
            };
            for (other, theirs) in found.iter().filter(|(other, _)| other != name) {
                if folder.starts_with(theirs) || theirs.starts_with(&folder) {
                    let why = format!("tenant `{name}` reads what is written for tenant `{other}`");
                    problems.push(
                        Problem::error(input.at.clone(), why).help("read from a folder of no tenant's"),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn problems(folder: &Path, outputs: &[(&str, &str)]) -> String {
        let tenants = outputs
            .iter()
            .map(|(name, output)| format!("[tenant.{name}]\noutput = '{output}'\nworkflows = ['w']\n"));
        let mut problems = Problems::default();
        let source = Source {
            path: folder.join("o.toml"),
            text: format!("[workflow.w]\n{}", tenants.collect::<String>()),
        };
        let file = File::parse(source, &mut problems);
        check_folders(&file, &mut problems);
        problems.show(&file.source)
    }

    #[test]
    fn folders_that_meet_are_refused_however_they_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::create_dir_all(at.join("out/acme")).unwrap();
        assert_eq!(problems(at, &[("a", "out/acme"), ("b", "out/acme2")]), "");
        assert!(
            problems(at, &[("a", "out/acme"), ("b", "./out/x/../acme")]).contains("is that of tenant `a`")
        );
        assert!(problems(at, &[("a", "out"), ("b", "out/new/deep")]).contains("lies in that of"));
        assert!(problems(at, &[("a", "out/new/deep"), ("b", "out/new")]).contains("holds that of"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("out/acme", at.join("link")).unwrap();
            std::os::unix::fs::symlink("nowhere/yet", at.join("dangling")).unwrap();
            std::os::unix::fs::symlink("loop", at.join("loop")).unwrap();
            assert!(problems(at, &[("a", "out/acme"), ("b", "link/x")]).contains("lies in that of"));
            assert!(problems(at, &[("a", "nowhere/yet"), ("b", "dangling")]).contains("is that of"));
            // The folder above a link's target is not the folder above the link.
            assert!(problems(at, &[("a", "out"), ("b", "link/..")]).contains("is that of"));
            assert!(problems(at, &[("a", "loop")]).contains("round in circles"));
        }
    }

    #[test]
    fn a_tenants_folder_is_no_workflows() {
        let folder = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            let mut problems = Problems::default();
            let source = Source {
                path: folder.path().join("o.toml"),
                text: text.to_owned(),
            };
            let file = File::parse(source, &mut problems);
            check_folders(&file, &mut problems);
            problems.show(&file.source)
        };
        let tenant = "[tenant.a]\noutput = 'out/a'\nworkflows = ['w']\n";
        for (output, meets) in [
            ("out/x/../a", "is that of workflow `w`"),
            ("out", "lies in that of workflow `w`"),
            ("out/a/w", "holds that of workflow `w`"),
        ] {
            let said = told(&format!("[workflow.w]\noutput = '{output}'\n{tenant}"));
            assert!(said.contains(meets) && said.contains("o.toml:4:10"), "{said}");
        }
        let said = told(&format!("output = 'out'\n[workflow.w]\n{tenant}"));
        assert!(said.contains("lies in that of the file's head"), "{said}");
        assert_eq!(told(&format!("[workflow.w]\noutput = 'out/w'\n{tenant}")), "");
    }

    #[test]
    fn nothing_leads_out_of_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("mine")).unwrap();
        assert_eq!(
            below(&root.join("mine"), Path::new("a/b")).unwrap(),
            root.join("mine/a/b")
        );
        assert!(below(&root.join("mine"), Path::new("../b")).is_err());
        assert!(below(&root.join("mine"), Path::new("/tmp")).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("..", root.join("mine/out")).unwrap();
            assert!(below(&root.join("mine"), Path::new("out/theirs")).is_err());
            assert!(!root.join("theirs").exists());
        }
    }
}
