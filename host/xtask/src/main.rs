//! The repository's upkeep: `cargo xtask check`, `plugins`, `layers`, `cuda-toolkit`.
#![forbid(unsafe_code)]

mod check;
mod cuda_toolkit;
mod layers;
mod plugins;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  plugins           build every component of plugins/ and examples/ and put it beside its source
  plugins --check   build them and fail on any byte of difference
  layers            check that crates import only what host/README.md allows
  check             all that has to hold before a change lands: what .ci/run does
  check --cuda      lint and link the program with CUDA; needs no GPU
  cuda-toolkit [--dir DIR]
                    make a CUDA toolkit of NVIDIA's wheels (1.9 GB) in DIR [default: target/cuda] and print the
                    variables of a build; needs python3 with pip, and cc";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["plugins"] => plugins::build(&root()),
        ["plugins", "--check"] => plugins::check(&root()),
        ["layers"] => layers::check(&root()),
        ["check"] => check::all(&root()),
        ["check", "--cuda"] => check::cuda(&root()),
        ["cuda-toolkit"] => cuda_toolkit::make(&root(), &cuda_toolkit::default_folder(&root())),
        ["cuda-toolkit", "--dir", folder] => cuda_toolkit::make(&root(), Path::new(folder)),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace this program was built in.
fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let manifest = manifest.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    manifest
        .ancestors()
        .nth(2)
        .expect("xtask lies two folders below the root")
        .to_owned()
}
