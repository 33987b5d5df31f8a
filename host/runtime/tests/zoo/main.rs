//! The zoo: plugins, files and folders that mean harm, each with the way in which the host has to end it.
//!
//! After every beast: the host is alive and formats the next document, the end is the one that is expected and names its
//! limit, it came in time, memory and descriptors are back, and nothing lies outside of the output folder. The test
//! prints the table; `README.md` holds it without the measurements. `cargo test --release -p ocr-runtime --test zoo --
//! NAME` runs the beasts whose line contains NAME, `ZOO_README=1` writes the README's table.

mod beasts;
mod keeper;
#[path = "../skeleton/mod.rs"]
mod skeleton;

use keeper::{Keeper, Kept};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    // Beasts are compiled in a process of their own, as the program does it.
    if let [internal, compile, numbers @ ..] = &arguments[..]
        && [internal, compile] == keeper::COMPILER
    {
        return ocr_runtime::compile_child(numbers);
    }
    if std::env::args().any(|a| a == "--list") {
        println!("zoo: test");
        return ExitCode::SUCCESS;
    }
    let wanted = |line: &str| arguments.is_empty() || arguments.iter().any(|a| line.contains(a.as_str()));
    let beasts = beasts::all();
    let listed = beasts::check_readme(&beasts);
    let mut keeper = Keeper::new();
    let (mut escaped, mut kept) = (Vec::new(), 0);
    println!("{}", Kept::HEAD);
    for beast in beasts.iter().filter(|b| wanted(&b.line())) {
        let seen = keeper.hold(beast);
        println!("{}", seen.line(beast));
        seen.escaped.iter().for_each(|why| println!("  ! {why}"));
        kept += 1;
        escaped.extend(
            seen.escaped
                .iter()
                .map(|why| format!("{} {}: {why}", beast.number, beast.name)),
        );
    }
    println!("{kept} beasts, {} escaped", escaped.len());
    if let Err(why) = listed {
        escaped.push(why);
    }
    match escaped[..] {
        [] => ExitCode::SUCCESS,
        _ => {
            eprintln!("{}", escaped.join("\n"));
            ExitCode::FAILURE
        }
    }
}
