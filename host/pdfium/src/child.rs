//! The child, from inside: loads pdfium, shuts itself in, and answers what its parent asks until that goes away.

use crate::draw;
use crate::protocol::{Answer, Failure, Request, take};
use ocr_confine::Fence;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How the child is started.
#[derive(Debug, Clone)]
pub struct ChildOptions {
    /// libpdfium.
    pub library: PathBuf,
    /// What it may take.
    pub fence: Fence,
}

impl ChildOptions {
    /// From the arguments that a parent gives.
    pub fn read(arguments: &[String]) -> io::Result<Self> {
        let wrong =
            |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is missing or wrong"));
        let value = |name: &str| {
            let at = arguments.iter().position(|a| a == name);
            at.and_then(|at| arguments.get(at + 1)).ok_or_else(|| wrong(name))
        };
        let number = |name: &str| value(name)?.parse::<u64>().map_err(|_| wrong(name));
        Ok(Self {
            library: value("--library")?.into(),
            fence: Fence {
                addresses: number("--memory")?,
                data: None,
                cpu: Duration::from_secs(number("--cpu")?),
            },
        })
    }
}

/// Serves the parent over standard input and output until it goes away. What goes wrong before anything is served is
/// told to the parent.
pub fn serve(options: &ChildOptions) -> io::Result<()> {
    let (mut from, mut to) = pipes()?;
    let ready = ocr_confine::without_core_dumps()
        .and_then(|()| draw::load(&options.library))
        .and_then(|pdfium| {
            ocr_confine::end_with_parent()?;
            let is_filtered = ocr_confine::enter(&options.fence)?;
            Ok((pdfium, is_filtered))
        });
    let (pdfium, is_filtered) = match ready {
        Ok(ready) => ready,
        Err(message) => {
            let why = Failure::Other;
            Answer::Failed { why, message }.write(&mut to)?;
            return to.flush();
        }
    };
    Answer::Ready { is_filtered }.write(&mut to)?;
    to.flush()?;

    let mut document = None;
    while let Some(request) = Request::read(&mut from)? {
        let answer = match (request, &document) {
            (Request::Open { password, bytes }, _) => {
                let bytes = take(&mut from, bytes)?;
                draw::open(&pdfium, bytes, password.as_deref()).map(|opened| {
                    let pages = draw::pages(&opened);
                    document = Some(opened);
                    Answer::Opened { pages }
                })
            }
            (_, None) => return Err(io::Error::other("no document is open")),
            (Request::Size { page }, Some(document)) => draw::size(document, page),
            (Request::Render { page, width, height }, Some(document)) => {
                draw::render(document, page, width, height)
            }
            (Request::Text { page }, Some(document)) => draw::text(document, page),
        };
        answer.unwrap_or_else(|failed| failed).write(&mut to)?;
        to.flush()?;
    }
    Ok(())
}

/// Standard input and output without the line buffers of the standard library's own.
#[cfg(unix)]
fn pipes() -> io::Result<(impl Read, impl Write)> {
    use std::os::fd::AsFd;
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok((File::from(input), BufWriter::new(File::from(output))))
}

#[cfg(windows)]
fn pipes() -> io::Result<(impl Read, impl Write)> {
    use std::os::windows::io::AsHandle;
    let input = io::stdin().as_handle().try_clone_to_owned()?;
    let output = io::stdout().as_handle().try_clone_to_owned()?;
    Ok((File::from(input), BufWriter::new(File::from(output))))
}
