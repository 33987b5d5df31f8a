//! Exit codes: OCRmyPDF's, and three of our own from 20 on.

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
