//! Compiles each file of `cuda/` into one fatbin with nvcc and lists them for `include_bytes!`.
//!
//! Only with the feature `cuda`. nvcc is looked for in `CUDA_HOME`, `CUDA_PATH` and `PATH`. Machine code is made for the
//! compute capabilities in `OCR_HOST_CUDA_ARCHS` (`80,89,90`), else for the one in `CUDA_COMPUTE_CAP`, else for 8.0, 8.9
//! and 9.0; PTX of the newest lets later GPUs compile it when they load it.

use std::collections::VecDeque;
use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const DEFAULT_ARCHS: &str = "80,89,90";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed=cuda");
    for name in [
        "OCR_HOST_CUDA_ARCHS",
        "CUDA_COMPUTE_CAP",
        "CUDA_HOME",
        "CUDA_PATH",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let archs = archs();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let sources = sources();
    compile(&nvcc(), &archs, &sources, &out);
    std::fs::write(out.join("images.rs"), images(&sources, &out)).expect("OUT_DIR can be written");
    println!("cargo::rustc-env=OCR_KERNELS_ARCHS={}", archs.join(","));
}

/// Compute capabilities without their dot, ascending.
fn archs() -> Vec<String> {
    let text = ["OCR_HOST_CUDA_ARCHS", "CUDA_COMPUTE_CAP"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|text| !text.trim().is_empty()))
        .unwrap_or_else(|| DEFAULT_ARCHS.into());
    let mut archs: Vec<u32> = text
        .split(',')
        .map(|arch| {
            let digits = arch.trim().trim_start_matches("sm_").replace('.', "");
            digits
                .parse()
                .unwrap_or_else(|_| panic!("`{arch}` in `{text}` is no compute capability; try 80,89,90"))
        })
        .collect();
    archs.sort_unstable();
    archs.dedup();
    archs.iter().map(u32::to_string).collect()
}

fn nvcc() -> PathBuf {
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os);
    let beside = homes.map(|home| PathBuf::from(home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    beside
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("nvcc"))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "the feature `cuda` needs nvcc, which is neither in CUDA_HOME nor in CUDA_PATH nor in PATH; \
                 `cargo xtask cuda-toolkit` fetches one"
            )
        })
}

fn sources() -> Vec<PathBuf> {
    let mut sources: Vec<PathBuf> = std::fs::read_dir("cuda")
        .expect("the folder `cuda` lies beside build.rs")
        .map(|entry| entry.expect("`cuda` can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cu"))
        .collect();
    sources.sort();
    sources
}

fn compile(nvcc: &Path, archs: &[String], sources: &[PathBuf], out: &Path) {
    let jobs = env::var("NUM_JOBS")
        .ok()
        .and_then(|jobs| jobs.parse().ok())
        .unwrap_or(1);
    let mut running: VecDeque<(&Path, Child)> = VecDeque::new();
    for source in sources {
        if running.len() >= jobs {
            finish(running.pop_front().expect("jobs is at least 1"));
        }
        let mut command = Command::new(nvcc);
        command
            .args(["-std=c++17", "-O3", "-fatbin", "-o"])
            .arg(fatbin(source, out));
        for arch in archs {
            command.arg(format!("-gencode=arch=compute_{arch},code=sm_{arch}"));
        }
        let newest = archs.last().expect("there is at least one");
        command.arg(format!("-gencode=arch=compute_{newest},code=compute_{newest}"));
        let child = command
            .arg(source)
            .spawn()
            .unwrap_or_else(|error| panic!("{} can't be run: {error}", nvcc.display()));
        running.push_back((source, child));
    }
    running.into_iter().for_each(finish);
}

fn finish((source, mut child): (&Path, Child)) {
    let status = child.wait().expect("nvcc can be waited for");
    assert!(
        status.success(),
        "nvcc could not compile {}: {status}",
        source.display()
    );
}

fn fatbin(source: &Path, out: &Path) -> PathBuf {
    let name = source.file_stem().expect("a source has a name");
    out.join(name).with_extension("fatbin")
}

/// `(name, image)` of every file, as Rust.
fn images(sources: &[PathBuf], out: &Path) -> String {
    let mut text = String::from("&[\n");
    for source in sources {
        let name = source
            .file_stem()
            .expect("a source has a name")
            .to_string_lossy()
            .into_owned();
        writeln!(
            text,
            "    ({name:?}, &Aligned(*include_bytes!({:?}))),",
            fatbin(source, out)
        )
        .expect("a string grows");
    }
    text + "]\n"
}
