//! The host's own PDF renderer: pdfium where its library is found, in children of this program.
//!
//! Glue alone: `ocr-pdfium` knows no plugins, the runtime knows no pdfium.

use crate::commands::models;
use crate::exit::{Exit, Failed};
use crate::internal::PDFIUM;
use ocr_document::{PageImage, TextLayer};
use ocr_model_ppocr::fetch::Pinned;
use ocr_pdfium::{
    Allowance, ChildOptions, Document, DocumentBytes, FETCHED, Launch, RenderError, Renderer, locate,
};
use ocr_runtime::services::Until;
use ocr_runtime::{Limits, PdfDocument, PdfError, PdfRenderer, Source};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What `--pdfium` takes to do without.
const NONE: &str = "none";

/// How long a child may take to begin where someone only asks whether it can.
const PROBE_TIME: Duration = Duration::from_secs(10);

/// libpdfium out of the Python package `pypdfium2`, for this system; none where the package has none for it.
pub fn pinned() -> Option<Pinned> {
    let of = |wheel_sha256, member, sha256, bytes| Pinned {
        name: "pdfium",
        package: "pypdfium2",
        version: "5.15.2",
        wheel_sha256,
        member,
        sha256,
        bytes,
        license: "Apache-2.0 / BSD-3-Clause, (c) the PDFium authors and the authors of what it contains",
    };
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some(of(
            "dc31aea5b0fb9fefc9b537a65f4113980b2c40798445736a7e6565bc85161e37",
            "pypdfium2_raw/libpdfium.so",
            "c76dc0f7839644bfa7c3e3107a6068df714e339c861bb7d4519907b821d427f9",
            8_271_176,
        )),
        ("linux", "aarch64") => Some(of(
            "dd46e93c0c3a73f6cea8489baff6d77a5d0759dd53fbbce0aeb49c91830176fc",
            "pypdfium2_raw/libpdfium.so",
            "4378615ad9710397c96c112611be9018629bbfe38805d91a2663a534b99c28ca",
            8_308_952,
        )),
        ("macos", "aarch64") => Some(of(
            "e71fe832e94421ac3c28d6a6ed4a9e61f22417089652d339f391c4ffc2a44c35",
            "pypdfium2_raw/libpdfium.dylib",
            "5574cd4164a1317bc6b2f3168a4f433ca84561aa1b33f570422ce20f199d3765",
            7_591_600,
        )),
        ("macos", "x86_64") => Some(of(
            "7f296a298074d76fb7c3d1ecb80d7097a96778bf0ad9c5c48a0170e56e2c6821",
            "pypdfium2_raw/libpdfium.dylib",
            "967a413d03dde793455ed9f9ecb29b7fec6da846166ecd5b43e0bc3ddb4d9be2",
            8_034_080,
        )),
        ("windows", "x86_64") => Some(of(
            "74d1bace34fb01c660d0b64344d5a4b7d276942b7c6623c88ab59ea21c5acfbd",
            "pypdfium2_raw/pdfium.dll",
            "42d87f68957d745ce9377dfb1d8d63691e19082a7ec29ff421d22779d3142b29",
            7_835_648,
        )),
        _ => None,
    }
}

/// The folder into which the library is fetched.
pub fn folder() -> Result<PathBuf, Failed> {
    Ok(models::folder()?.join(FETCHED))
}

/// The library: what `--pdfium` names, or what was fetched, or what is found on this machine.
pub fn library(named: Option<&Path>) -> Result<Option<PathBuf>, Failed> {
    if named == Some(Path::new(NONE)) {
        return Ok(None);
    }
    if let (None, Ok(folder)) = (named, folder())
        && let Ok(Some(fetched)) = locate(Some(&folder))
    {
        return Ok(Some(fetched));
    }
    locate(named).map_err(|e| Failed::new(Exit::MissingDependency, format!("--pdfium: {e}")))
}

fn renderer(library: PathBuf, limits: &Limits) -> Renderer {
    let limits = ocr_pdfium::Limits {
        memory: limits.memory,
        time: limits.time,
        ..ocr_pdfium::Limits::default()
    };
    Renderer::new(Launch::this_program(PDFIUM, library), limits)
}

/// The renderer of a run; none where there is no library. A plugin's limits on memory and time hold for it too.
pub fn service(named: Option<&Path>, limits: &Limits) -> Result<Option<Pdfium>, Failed> {
    let library = library(named)?;
    Ok(library.map(|library| Pdfium(renderer(library, limits))))
}

/// Whether the library works, and whether its process's system calls are filtered.
pub fn probe(library: PathBuf) -> Result<bool, String> {
    let renderer = renderer(library, &Limits::default());
    renderer
        .probe(&Allowance::of(PROBE_TIME))
        .map_err(|e| e.to_string())
}

/// `ocr-host internal pdf`: this program as the child.
pub fn child(arguments: &[String]) -> ExitCode {
    match ChildOptions::read(arguments).and_then(|options| ocr_pdfium::serve(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The renderer; tenants share its children.
#[derive(Clone)]
pub struct Pdfium(Renderer);

impl Pdfium {
    /// The renderer as a tenant's documents have it.
    pub fn of(&self, tenant: &str) -> Self {
        Self(self.0.of(tenant))
    }
}

struct Bytes(Source);

impl DocumentBytes for Bytes {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        self.0.read_at(offset, len)
    }
}

/// Asks with the runtime's deadline.
fn with<T>(until: &Until, ask: impl FnOnce(&Allowance<'_>) -> Result<T, RenderError>) -> Result<T, PdfError> {
    let is_cancelled = || until.cancel.is_cancelled();
    ask(&Allowance::until(until.deadline, &is_cancelled)).map_err(|e| match e {
        RenderError::Encrypted => PdfError::Encrypted,
        RenderError::WrongPassword => PdfError::WrongPassword,
        RenderError::Cancelled => PdfError::Cancelled,
        other => PdfError::Failed(other.to_string()),
    })
}

impl PdfRenderer for Pdfium {
    fn open(
        &self,
        source: &Source,
        password: Option<&str>,
        until: &Until,
    ) -> Result<Box<dyn PdfDocument>, PdfError> {
        let bytes = Box::new(Bytes(source.clone()));
        let document = with(until, |allowance| {
            self.0.open(bytes, password.map(str::to_owned), allowance)
        })?;
        Ok(Box::new(Open(document)))
    }
}

struct Open(Document);

impl PdfDocument for Open {
    fn page_count(&self) -> u32 {
        self.0.pages()
    }

    fn page_size(&mut self, page: u32, until: &Until) -> Result<(f32, f32), PdfError> {
        with(until, |allowance| self.0.size(page, allowance))
    }

    fn render(&mut self, page: u32, width: u32, height: u32, until: &Until) -> Result<PageImage, PdfError> {
        with(until, |allowance| self.0.render(page, width, height, allowance))
    }

    fn text_layer(&mut self, page: u32, until: &Until) -> Result<TextLayer, PdfError> {
        with(until, |allowance| self.0.text(page, allowance))
    }
}
