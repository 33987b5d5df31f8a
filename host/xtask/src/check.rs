//! Everything that has to hold before a change lands, and the same for the CUDA build.

use crate::cuda_toolkit;
use std::path::Path;
use std::process::Command;

/// What `.ci/run` does.
pub fn all(root: &Path) -> Result<String, String> {
    run(Command::new(root.join(".ci/run")).current_dir(root), ".ci/run")?;
    Ok("everything holds".into())
}

/// Lints and links the program with CUDA. It takes the toolkit of `CUDA_HOME`, else the one that `cuda-toolkit` made.
pub fn cuda(root: &Path) -> Result<String, String> {
    let home = cuda_toolkit::default_folder(root).join("home");
    let named = std::env::var_os("CUDA_HOME").is_some();
    if !named && !home.join("bin/nvcc").is_file() {
        let why =
            "there is no CUDA toolkit: set CUDA_HOME, or run `cargo xtask cuda-toolkit`, which fetches one";
        return Err(why.into());
    }
    let with_cuda = ["--release", "--package", "ocr-host", "--features", "cuda"];
    for (command, end) in [
        ("clippy", &["--all-targets", "--", "--deny", "warnings"][..]),
        ("build", &[]),
    ] {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(root).arg(command).args(with_cuda).args(end);
        if !named {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(home.join("bin")).chain(std::env::split_paths(&path));
            cargo.env(
                "PATH",
                std::env::join_paths(folders).map_err(|e| format!("PATH: {e}"))?,
            );
            cargo.env("CUDA_HOME", &home).env("CUDA_PATH", &home);
            let libraries = [home.join("lib/stubs"), home.join("lib")];
            cargo.env(
                "LIBRARY_PATH",
                std::env::join_paths(libraries).map_err(|e| format!("{}: {e}", home.display()))?,
            );
            // Without a GPU to ask, the build has to be told of one.
            if std::env::var_os("CUDA_COMPUTE_CAP").is_none() {
                cargo.env("CUDA_COMPUTE_CAP", "90");
            }
        }
        run(&mut cargo, &format!("cargo {command}"))?;
    }
    Ok("the CUDA build holds".into())
}

fn run(command: &mut Command, name: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed: {status}")),
        Err(e) => Err(format!("{name} can't be run: {e}")),
    }
}
