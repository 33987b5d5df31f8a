//! Where libpdfium is: named, beside this program, fetched, in the system's folders, or in an installed `pypdfium2`.
//!
//! It is looked for and not linked: without it everything else works as ever.

use std::path::{Path, PathBuf};

/// The folder, among fetched models, into which the library is fetched.
pub const FETCHED: &str = "pdfium";

/// What was named is not there.
#[derive(Debug, thiserror::Error)]
#[error(
    "no {} in {}; name the library or its folder, or run `ocr-host models fetch pdfium`",
    library_name(),
    .0.display()
)]
pub struct LocateError(PathBuf);

/// What the library is called on this system.
pub fn library_name() -> &'static str {
    if cfg!(windows) {
        "pdfium.dll"
    } else if cfg!(target_os = "macos") {
        "libpdfium.dylib"
    } else {
        "libpdfium.so"
    }
}

/// The library: what is `named`, a file or a folder that has it, or else the first that is found. `None` where there is
/// none; an error only where something was named.
pub fn locate(named: Option<&Path>) -> Result<Option<PathBuf>, LocateError> {
    match named {
        Some(named) => match in_place(named) {
            Some(library) => Ok(Some(library)),
            None => Err(LocateError(named.to_owned())),
        },
        None => Ok(places(&|name| std::env::var_os(name).map(PathBuf::from))
            .iter()
            .find_map(|place| in_place(place))),
    }
}

/// The library that `place` is or holds, as an absolute path: the child has another folder and no search path.
fn in_place(place: &Path) -> Option<PathBuf> {
    let inside = [
        place.to_owned(),
        place.join(library_name()),
        place.join("pypdfium2_raw").join(library_name()),
    ];
    let file = inside.into_iter().find(|p| p.is_file())?;
    std::path::absolute(file).ok()
}

/// Folders to look in, the first first.
fn places(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(folder) = std::env::current_exe()
        .ok()
        .and_then(|p| Some(p.parent()?.to_owned()))
    {
        places.push(folder.join("../lib"));
        places.insert(0, folder);
    }
    if let Some(path) = variable("LD_LIBRARY_PATH") {
        places.extend(std::env::split_paths(&path).filter(|p| p.is_absolute()));
    }
    let system = [
        "/usr/local/lib",
        "/usr/lib",
        "/usr/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/opt/homebrew/lib",
    ];
    places.extend(system.map(PathBuf::from));
    let home = variable("HOME").map(|home| home.join(".local"));
    let prefixes = [
        variable("VIRTUAL_ENV"),
        home,
        Some("/usr/local".into()),
        Some("/usr".into()),
    ];
    for prefix in prefixes.into_iter().flatten() {
        places.extend(site_packages(&prefix.join("lib")));
    }
    places
}

/// `python3.*/site-packages` and `dist-packages` below a `lib` folder, in a stable order.
fn site_packages(lib: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(lib) else {
        return Vec::new();
    };
    let is_python = |p: &PathBuf| {
        p.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("python3"))
    };
    let mut versions: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(is_python)
        .collect();
    versions.sort();
    versions
        .iter()
        .rev()
        .flat_map(|v| [v.join("site-packages"), v.join("dist-packages")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_taken_or_missed() {
        let folder = std::env::temp_dir().join(format!("ocr-pdfium-locate-{}", std::process::id()));
        let wheel = folder.join("pypdfium2_raw");
        std::fs::create_dir_all(&wheel).unwrap();
        let error = locate(Some(&folder)).unwrap_err().to_string();
        assert!(error.contains("models fetch pdfium"), "{error}");
        std::fs::write(wheel.join(library_name()), b"").unwrap();
        assert_eq!(locate(Some(&folder)).unwrap(), Some(wheel.join(library_name())));
        std::fs::write(folder.join(library_name()), b"").unwrap();
        assert_eq!(locate(Some(&folder)).unwrap(), Some(folder.join(library_name())));
        assert!(locate(Some(&folder.join(library_name()))).unwrap().is_some());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_installed_wheel_is_found() {
        let home = std::env::temp_dir().join(format!("ocr-pdfium-wheel-{}", std::process::id()));
        let site = home.join(".local/lib/python3.12/site-packages");
        std::fs::create_dir_all(site.join("pypdfium2_raw")).unwrap();
        let variable = |name: &str| (name == "HOME").then(|| home.clone());
        assert!(places(&variable).contains(&site));
        std::fs::remove_dir_all(home).unwrap();
    }
}
