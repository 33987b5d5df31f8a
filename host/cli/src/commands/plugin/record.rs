//! `ocr-host plugin record`: what an engine reads of a document, in a file that tests can use without one.

use crate::args::ReadArgs;
use crate::exit::{Exit, Failed};
use crate::{plugins, recognise};
use ocr_runtime::Limits;
use std::path::Path;

pub fn run(input: &Path, output: &Path, rasters: bool, read: &ReadArgs) -> Result<Exit, Failed> {
    if output.extension().is_none_or(|e| !e.eq_ignore_ascii_case("json")) {
        let why = format!("-o {}: a recording is a .json file", output.display());
        return Err(Failed::new(Exit::Arguments, why));
    }
    let runtime = plugins::runtime(&Limits::default())?;
    let recording = recognise::recognised(&runtime, input, read, rasters)?;
    recording.write(output)?;
    let count = recording.pages.len();
    let pages = if count == 1 { "page" } else { "pages" };
    println!("{} ({count} {pages})", output.display());
    Ok(Exit::Ok)
}
