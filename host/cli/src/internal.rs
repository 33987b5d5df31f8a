//! What the program starts itself for: work that is better done in a process with limits of its own. Not for people, so
//! no part of the help and not read by clap.

use crate::pdf;
use std::process::ExitCode;

/// The words that stand before the name of such work.
const INTERNAL: &str = "internal";
const COMPILE: &str = "compile";

const PDF: &str = "pdf";

/// How pdfium's process is started.
pub const PDFIUM: [&str; 2] = [INTERNAL, PDF];

/// How the runtime starts the compiler.
pub const COMPILER: [&str; 2] = [INTERNAL, COMPILE];

/// Does the work that the arguments name; `None` where they are a person's.
pub fn run() -> Option<ExitCode> {
    let mut arguments = std::env::args_os()
        .skip(1)
        .map(|a| a.to_string_lossy().into_owned());
    if arguments.next()? != INTERNAL {
        return None;
    }
    match arguments.next()?.as_str() {
        COMPILE => Some(ocr_runtime::compile_child(&arguments.collect::<Vec<_>>())),
        PDF => Some(pdf::child(&arguments.collect::<Vec<_>>())),
        _ => None,
    }
}
