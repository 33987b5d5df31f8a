//! `pdf`: the host's own PDF renderer, for those who ask for `pdf.render` and are granted it.
//!
//! What it draws is charged before it is drawn; its time is the host's, and one call of it may take as long as a call of
//! the plugin.

use super::super::imports::types::HostError;
use super::super::imports::{pdf, text_layer, types};
use super::Answer;
use crate::pdf::{PdfError, PdfHandle, raster};
use crate::services::Until;
use crate::source::Source;
use crate::state::{ImageHandle, State};
use std::sync::Arc;
use std::time::Instant;
use wasmtime::Result;
use wasmtime::component::Resource;

/// Resolutions that are drawn, dots per inch.
const DPI: std::ops::RangeInclusive<f32> = 10.0..=1200.0;

/// Bytes that a word takes besides its text when it is handed over: eight coordinates, a pointer and a length.
const WORD_BYTES: u64 = 40;

impl State {
    /// How long the renderer may take for one answer.
    fn pdf_until(&self) -> Until {
        Until {
            cancel: self.cancel.clone(),
            deadline: self.host_deadline().min(Instant::now() + self.limits.time),
        }
    }

    /// Asks an open document for something on the host's time.
    fn ask<T>(
        &mut self,
        this: &Resource<PdfHandle>,
        page: u32,
        ask: impl FnOnce(&mut PdfHandle, &Until) -> std::result::Result<T, PdfError>,
    ) -> Answer<T> {
        let (until, started) = (self.pdf_until(), Instant::now());
        let document = self.table.get_mut(this)?;
        let pages = document.0.page_count();
        if page >= pages {
            let why = format!("the document has {pages} pages, number {page} (from 0) was asked for");
            return Ok(Err(HostError::Invalid(why)));
        }
        let answer = ask(document, &until);
        self.meter.host_time += started.elapsed();
        Ok(answer.map_err(host_error))
    }
}

fn host_error(error: PdfError) -> HostError {
    match error {
        PdfError::Cancelled => HostError::Cancelled,
        other => HostError::Failed(other.to_string()),
    }
}

impl pdf::Host for State {}

impl pdf::HostDocument for State {
    fn open(
        &mut self,
        src: Resource<Source>,
        password: Option<String>,
    ) -> Result<std::result::Result<Resource<PdfHandle>, pdf::OpenError>> {
        self.enter()?;
        if !self.grants.pdf_render {
            let refused: Answer<Resource<PdfHandle>> = super::not_granted("pdf.render");
            return Ok(refused?.map_err(pdf::OpenError::Host));
        }
        let source = self.table.get(&src)?.clone();
        let Some(renderer) = self.services.pdf.clone() else {
            let why = "this host has no PDF renderer; `ocr-host models fetch pdfium` gets one";
            return Ok(Err(pdf::OpenError::Host(HostError::Denied(why.into()))));
        };
        let until = self.pdf_until();
        let opened = self.on_host_time(|_| renderer.open(&source, password.as_deref(), &until));
        match opened {
            Ok(document) => Ok(self.hand_out(PdfHandle(document))?.map_err(pdf::OpenError::Host)),
            Err(PdfError::Encrypted) => Ok(Err(pdf::OpenError::Encrypted)),
            Err(PdfError::WrongPassword) => Ok(Err(pdf::OpenError::WrongPassword)),
            Err(other) => Ok(Err(pdf::OpenError::Host(host_error(other)))),
        }
    }

    fn page_count(&mut self, this: Resource<PdfHandle>) -> Result<u32> {
        self.enter()?;
        Ok(self.table.get(&this)?.0.page_count())
    }

    fn page_size(&mut self, this: Resource<PdfHandle>, page: u32) -> Answer<(f32, f32)> {
        self.enter()?;
        self.ask(&this, page, |document, until| document.0.page_size(page, until))
    }

    fn render(&mut self, this: Resource<PdfHandle>, page: u32, dpi: f32) -> Answer<Resource<ImageHandle>> {
        self.enter()?;
        if !DPI.contains(&dpi) {
            let why = format!("{dpi} dpi is none that is drawn; 10 to 1200 are");
            return Ok(Err(HostError::Invalid(why)));
        }
        let size = match self.ask(&this, page, |document, until| document.0.page_size(page, until))? {
            Ok(size) => size,
            Err(error) => return Ok(Err(error)),
        };
        let (width, height) = raster(size, dpi);
        let charge = match self.charge(u64::from(width) * u64::from(height) * 3) {
            Ok(charge) => Arc::new(charge),
            Err(quota) => return Ok(Err(self.quota(quota, self.limits.image_bytes))),
        };
        let drawn = self.ask(&this, page, |document, until| {
            document.0.render(page, width, height, until)
        })?;
        match drawn {
            Ok(image) => self.hand_out(ImageHandle {
                area: image.bounds(),
                image,
                charge: Some(charge),
            }),
            Err(error) => Ok(Err(error)),
        }
    }

    fn text_layer(&mut self, this: Resource<PdfHandle>, page: u32) -> Answer<Option<text_layer::Layer>> {
        self.enter()?;
        let layer = match self.ask(&this, page, |document, until| document.0.text_layer(page, until))? {
            Ok(layer) => layer,
            Err(error) => return Ok(Err(error)),
        };
        let bytes = layer.words.iter().map(|w| w.text.len() as u64 + WORD_BYTES);
        if let Err(error) = self.admit_call_bytes(bytes.sum()) {
            return Ok(Err(error));
        }
        let point = |p: ocr_document::Point| types::Point { x: p.x, y: p.y };
        let word = |w: ocr_document::LayerWord| text_layer::LayerWord {
            text: w.text,
            outline: types::Quad {
                a: point(w.outline.a),
                b: point(w.outline.b),
                c: point(w.outline.c),
                d: point(w.outline.d),
            },
        };
        let words: Vec<text_layer::LayerWord> = layer.words.into_iter().map(word).collect();
        Ok(Ok((!words.is_empty()).then_some(text_layer::Layer { words })))
    }

    fn drop(&mut self, this: Resource<PdfHandle>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
