//! The repository's upkeep: `cargo xtask plugins [--check]`, `cargo xtask layers`.
#![forbid(unsafe_code)]

mod layers;
mod plugins;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  plugins           build every component of plugins/ and examples/ and put it beside its source
  plugins --check   build them and fail on any byte of difference
  layers            check that crates import only what host/README.md allows";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["plugins"] => plugins::build(&root()),
        ["plugins", "--check"] => plugins::check(&root()),
        ["layers"] => layers::check(&root()),
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
