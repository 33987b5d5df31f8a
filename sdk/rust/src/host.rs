//! The host's side of every call: the component's imports in a component, an in-memory stand-in elsewhere, so that
//! a plugin's own tests run with plain `cargo test`.

pub use crate::bindings::host::page::Page;

#[cfg(target_arch = "wasm32")]
mod imports {
    pub use crate::bindings::host::image::{Canvas, Decoder, Image};
    pub use crate::bindings::host::output::{File, create, main};
    pub use crate::bindings::host::pdf::Document as PdfDocument;
    pub use crate::bindings::host::source::Source;
    pub use crate::bindings::host::{control, log, ocr};
    use crate::{HostError, PageInfo, Raster};

    pub fn lent_raster(page: &super::Page) -> Result<Image, HostError> {
        page.raster()
    }

    pub fn test_raster(_: &PageInfo, _: Option<&Raster>) -> Result<Image, HostError> {
        Err(HostError::Denied(
            "this page was made from data and has no raster".to_owned(),
        ))
    }
}

#[cfg(target_arch = "wasm32")]
pub use imports::*;

#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::host::*;
