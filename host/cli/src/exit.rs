//! Exit codes: OCRmyPDF's, and three of our own from 20 on.

use ocr_runtime::discard_staged;
use std::io::{ErrorKind, Stdout, Write};
use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for is there.
    Ok = 0,
    /// Flags that make no sense.
    Arguments = 1,
    /// An input that is no document, or broken.
    Input = 2,
    /// Something that has to be installed or fetched first.
    MissingDependency = 3,
    /// A file could not be read or written.
    FileAccess = 5,
    /// A document needs a password.
    Encrypted = 8,
    /// A configuration file that makes no sense.
    Config = 9,
    /// Anything else.
    Other = 15,
    /// Some pages could not be read.
    SomePages = 20,
    /// Some files could not be read.
    SomeFiles = 21,
    /// A plugin crashed or reached a limit.
    Plugin = 22,
    /// Interrupted from the keyboard.
    Interrupted = 130,
    /// Nobody reads standard output any more: as a program that SIGPIPE ends.
    Unread = 141,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error and the code it ends the program with.
#[derive(Debug)]
pub struct Failed {
    pub exit: Exit,
    pub error: anyhow::Error,
}

/// Gives an error its exit code.
pub trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Failed>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failed> {
        self.map_err(|error| Failed {
            exit,
            error: error.into(),
        })
    }
}

impl Failed {
    /// A failure in words.
    pub fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self {
            exit,
            error: anyhow::anyhow!("{message}"),
        }
    }
}

/// Standard output. Where its reader has gone (`| head`), nobody wants the rest, nor to be told so.
pub struct Output(Stdout);

impl Output {
    pub fn new() -> Self {
        Self(std::io::stdout())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        or_end(self.0.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        or_end(self.0.flush())
    }
}

fn or_end<T>(written: std::io::Result<T>) -> std::io::Result<T> {
    if written.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe) {
        end_unread();
    }
    written
}

fn end_unread() -> ! {
    discard_staged();
    std::process::exit(Exit::Unread as i32)
}

/// The system's number for a pipe that nobody reads.
const BROKEN_PIPE: i32 = if cfg!(windows) { 232 } else { 32 };

/// Has the program end so where `println!` meets it, which panics. The signal itself stays ignored: it would end the program
/// over a child that has gone as well.
pub fn end_where_nobody_reads() {
    let gone = std::io::Error::from_raw_os_error(BROKEN_PIPE);
    let said = format!("failed printing to stdout: {gone}");
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() == Some(&said) {
            end_unread();
        }
        tell(panic);
    }));
}
