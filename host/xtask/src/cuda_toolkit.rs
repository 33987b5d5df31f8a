//! A CUDA toolkit out of NVIDIA's wheels, as much of it as our build needs: no installer, no root, no GPU.
//!
//! The wheels share one layout (`nvidia/cu13/{bin,include,lib,nvvm}`) and lack three things of a toolkit: links
//! `libX.so` for the linker, executable bits, and a `libcuda.so` to link against (the true one comes with a driver).

use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every wheel by name, version and digest: x86-64 Linux.
const WHEELS: &[(&str, &str, &str)] = &[
    (
        "nvidia-cublas",
        "13.0.2.14",
        "0cf238ffdbe46c00cb9aa98e7bca745c223a5ca5a53e686ac8b3e5a08fe80d6c",
    ),
    (
        "nvidia-cuda-cccl",
        "13.0.85",
        "e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649",
    ),
    (
        "nvidia-cuda-crt",
        "13.0.88",
        "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
    ),
    (
        "nvidia-cuda-nvcc",
        "13.0.88",
        "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
    ),
    (
        "nvidia-cuda-nvrtc",
        "13.0.88",
        "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    ),
    (
        "nvidia-cuda-runtime",
        "13.0.96",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    ),
    (
        "nvidia-curand",
        "10.4.0.35",
        "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    ),
    (
        "nvidia-nvvm",
        "13.0.88",
        "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
    ),
];

/// Where the wheels keep what belongs into a toolkit.
const INSIDE: &str = "nvidia/cu13/";

/// What every function of the stub answers: `CUDA_ERROR_STUB_LIBRARY`.
const STUB_ANSWER: u32 = 34;

/// The toolkit's folder where none is named.
pub fn default_folder(root: &Path) -> PathBuf {
    root.join("target/cuda")
}

/// Fetches, unpacks and completes the toolkit in `folder`; answers the lines that a shell needs for a build.
pub fn make(root: &Path, folder: &Path) -> Result<String, String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(
            "the wheels are for x86-64 Linux; install a CUDA toolkit and set CUDA_HOME instead".into(),
        );
    }
    let wheels = folder.join("wheels");
    fs::create_dir_all(&wheels).map_err(|e| at(folder, e))?;
    let folder = folder.canonicalize().map_err(|e| at(folder, e))?;
    let wheels = folder.join("wheels");
    download(&wheels)?;
    // What a broken run has left is not built upon.
    let home = folder.join("home");
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|e| at(&home, e))?;
    }
    for (name, version, _) in WHEELS {
        let wheel = find(&wheels, &format!("{}-{version}-", name.replace('-', "_")))?;
        unpack(&wheel, &home).map_err(|e| at(&wheel, e))?;
    }
    link_libraries(&home.join("lib")).map_err(|e| at(&home, e))?;
    stub(root, &home.join("lib/stubs"))?;
    Ok(exports(&home))
}

/// The variables of a build with the toolkit in `home`, as a shell takes them.
fn exports(home: &Path) -> String {
    let home = home.display();
    format!(
        "export CUDA_HOME={home} CUDA_PATH={home}\n\
         export PATH={home}/bin:$PATH\n\
         export LIBRARY_PATH={home}/lib/stubs:{home}/lib\n\
         # one kind of GPU builds faster than all: 80 is A100, 86 RTX 30, 89 RTX 40 and L40S, 90 H100 and H200\n\
         export CUDA_COMPUTE_CAP=90\n\
         # to run what was built, beside NVIDIA's driver:\n\
         export LD_LIBRARY_PATH={home}/lib"
    )
}

/// Lets pip fetch the wheels and check their digests; what is there already is kept.
fn download(wheels: &Path) -> Result<(), String> {
    let list = wheels.join("requirements.txt");
    let lines: Vec<String> = WHEELS
        .iter()
        .map(|(name, version, sha256)| format!("{name}=={version} --hash=sha256:{sha256}\n"))
        .collect();
    fs::write(&list, lines.concat()).map_err(|e| at(&list, e))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--require-hashes"]);
    pip.arg("--requirement").arg(&list).arg("--dest").arg(wheels);
    run(&mut pip, "python3 -m pip download")
}

fn find(folder: &Path, beginning: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|e| at(folder, e))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |path: &PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        name.starts_with(beginning) && name.ends_with(".whl")
    };
    paths
        .into_iter()
        .find(is_it)
        .ok_or_else(|| format!("{}: pip left no {beginning}*.whl", folder.display()))
}

/// Unpacks the toolkit's part of a wheel into `home`; programs become executable.
fn unpack(wheel: &Path, home: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(wheel)?)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(inside) = entry
            .enclosed_name()
            .and_then(|name| name.strip_prefix(INSIDE).ok().map(Path::to_owned))
        else {
            continue;
        };
        if entry.is_dir() {
            continue;
        }
        let target = home.join(&inside);
        fs::create_dir_all(target.parent().expect("it lies below the home"))?;
        io::copy(&mut entry, &mut File::create(&target)?)?;
        if inside.starts_with("bin") || inside.starts_with("nvvm/bin") {
            make_executable(&target)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Gives each `libX.so.N` a link `libX.so`, which is what `-lX` looks for.
fn link_libraries(lib: &Path) -> io::Result<()> {
    for entry in fs::read_dir(lib)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if let Some((stem, _)) = name.split_once(".so.") {
            symlink(&name, &lib.join(format!("{stem}.so")))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(to: &str, link: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(to, link) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Compiles a `libcuda.so` that has every function which cudarc names and can do nothing. A program linked against it
/// looks for `libcuda.so.1`, the driver's; where there is no driver the stub lets it start and find no device.
fn stub(root: &Path, folder: &Path) -> Result<(), String> {
    let bindings = cudarc(root)?.join("src/driver/sys/mod.rs");
    let text = fs::read_to_string(&bindings).map_err(|e| at(&bindings, e))?;
    let names = functions(&text);
    if names.is_empty() {
        return Err(format!(
            "{}: no functions of the driver were found in it",
            bindings.display()
        ));
    }
    let lines: Vec<String> = names
        .iter()
        .map(|name| format!("int {name}(void) {{ return {STUB_ANSWER}; }}\n"))
        .collect();
    fs::create_dir_all(folder).map_err(|e| at(folder, e))?;
    let source = folder.join("libcuda.c");
    fs::write(&source, lines.concat()).map_err(|e| at(&source, e))?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"]);
    cc.arg(folder.join("libcuda.so")).arg(&source);
    run(&mut cc, "cc")?;
    symlink("libcuda.so", &folder.join("libcuda.so.1")).map_err(|e| at(folder, e))
}

/// Names of the driver's functions that Rust source declares, sorted.
fn functions(source: &str) -> Vec<&str> {
    let name = |after: &'_ str| -> usize {
        after
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(after.len())
    };
    let declared = source.split("fn ").skip(1).map(|after| &after[..name(after)]);
    let mut names: Vec<&str> = declared
        .filter(|name| {
            name.strip_prefix("cu")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The folder of the cudarc that the workspace builds with.
fn cudarc(root: &Path) -> Result<PathBuf, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "metadata",
        "--all-features",
        "--format-version",
        "1",
        "--manifest-path",
    ]);
    let output = cargo
        .arg(root.join("Cargo.toml"))
        .output()
        .map_err(|e| format!("cargo can't be run: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut manifests = packages
        .filter(|p| p["name"] == "cudarc")
        .filter_map(|p| p["manifest_path"].as_str());
    let manifest = manifests.next().ok_or("the workspace depends on no cudarc")?;
    Ok(Path::new(manifest)
        .parent()
        .expect("a manifest lies in a folder")
        .to_owned())
}

fn run(command: &mut Command, name: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed: {status}")),
        Err(e) => Err(format!("{name} can't be run: {e}; install it and try again")),
    }
}

fn at(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_functions_are_found() {
        let source = "pub unsafe fn cuInit(Flags: u32) -> R {\n extern \"C\" { fn cuInit(f: u32); fn cuMemAlloc_v2(a: u8); }\n\
                      pub unsafe fn culib() {}\nfn custom() {}\nfn cuda() {}";
        assert_eq!(functions(source), ["cuInit", "cuMemAlloc_v2"]);
    }

    #[test]
    #[cfg(unix)]
    fn libraries_get_the_names_that_linkers_look_for() {
        let lib = std::env::temp_dir().join(format!("ocr-xtask-{}", std::process::id()));
        fs::create_dir_all(&lib).unwrap();
        for name in [
            "libcublas.so.13",
            "libnvrtc-builtins.so.13.0",
            "libcudart_static.a",
        ] {
            fs::write(lib.join(name), "").unwrap();
        }
        link_libraries(&lib).unwrap();
        link_libraries(&lib).unwrap();
        let leads_to = |name: &str| fs::read_link(lib.join(name)).ok();
        assert_eq!(leads_to("libcublas.so"), Some("libcublas.so.13".into()));
        assert_eq!(
            leads_to("libnvrtc-builtins.so"),
            Some("libnvrtc-builtins.so.13.0".into())
        );
        assert_eq!(fs::read_dir(&lib).unwrap().count(), 5);
        fs::remove_dir_all(&lib).unwrap();
    }
}
