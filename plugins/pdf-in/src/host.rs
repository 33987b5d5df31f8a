//! The host's own renderer, for what can't be drawn in here. It is opened when it is first needed, and once.

use crate::document::Plan;
use ocr_plugin::adapter::TextLayer;
use ocr_plugin::image::Image;
use ocr_plugin::pdf::{Document, OpenError};
use ocr_plugin::source::Source;
use ocr_plugin::{Error, HostError, Result};

/// Resolutions that the host draws in.
const DPI: std::ops::RangeInclusive<f32> = 10.0..=1200.0;

/// The document as the host's renderer sees it.
pub struct HostPdf {
    source: Source,
    password: Option<String>,
    state: State,
}

enum State {
    Unasked,
    Open(Document),
    /// There is no such renderer, or it can't open the document, and why.
    Closed(String),
}

impl HostPdf {
    /// Opens nothing yet.
    pub fn new(source: Source, password: Option<String>) -> Self {
        Self {
            source,
            password,
            state: State::Unasked,
        }
    }

    /// The open document, or why there is none. Being cancelled is passed on.
    pub fn open(&mut self) -> Result<Result<&Document, String>> {
        if matches!(self.state, State::Unasked) {
            self.state = match Document::open(&self.source, self.password.as_deref()) {
                Ok(document) => State::Open(document),
                Err(OpenError::Host(HostError::Cancelled)) => return Err(Error::Host(HostError::Cancelled)),
                Err(OpenError::Host(error)) => State::Closed(error.message()),
                Err(OpenError::Encrypted) => State::Closed("it asks for a password".into()),
                Err(OpenError::WrongPassword) => State::Closed("the password does not open it".into()),
            };
        }
        Ok(match &self.state {
            State::Open(document) => Ok(document),
            State::Closed(why) => Err(why.clone()),
            State::Unasked => unreachable!("it was asked above"),
        })
    }

    /// Page `index` in about the size that `plan` has, or in the one that `planned` makes of its own size; or why not.
    pub fn draw(
        &mut self,
        index: u32,
        plan: Option<Plan>,
        planned: impl FnOnce((f32, f32)) -> Plan,
    ) -> Result<Result<(Image, Plan), String>> {
        let document = match self.open()? {
            Ok(document) => document,
            Err(why) => return Ok(Err(why)),
        };
        let size = match document.page_size(index) {
            Ok(size) => size,
            Err(error) => return passed_on(error).map(Err),
        };
        let plan = plan.unwrap_or_else(|| planned(size));
        // The host knows no user units, so the resolution follows from the raster that is wanted.
        let dpi = 72.0 * plan.width as f32 / size.0.max(1.0);
        match document.render(index, dpi.clamp(*DPI.start(), *DPI.end())) {
            Ok(image) => Ok(Ok((image, plan))),
            Err(error) => passed_on(error).map(Err),
        }
    }

    /// The words of page `index` in pixels of a raster that is `width` px wide; none where it can't be told.
    pub fn words(&mut self, index: u32, width: u32) -> Result<Option<TextLayer>> {
        let Ok(document) = self.open()? else {
            return Ok(None);
        };
        let found = document
            .page_size(index)
            .and_then(|size| Ok((size, document.text_layer(index)?)));
        let (size, layer) = match found {
            Ok((size, Some(layer))) => (size, layer),
            Ok((_, None)) => return Ok(None),
            Err(error) => return passed_on(error).map(|_| None),
        };
        let scale = width as f32 / size.0.max(1.0);
        Ok(Some(scaled(layer, scale)))
    }
}

/// In words, unless nobody wants the page any more.
fn passed_on(error: HostError) -> Result<String> {
    match error {
        HostError::Cancelled => Err(Error::Host(error)),
        other => Ok(other.message()),
    }
}

fn scaled(mut layer: TextLayer, scale: f32) -> TextLayer {
    for word in &mut layer.words {
        let quad = &mut word.outline;
        for corner in [&mut quad.a, &mut quad.b, &mut quad.c, &mut quad.d] {
            corner.x *= scale;
            corner.y *= scale;
        }
    }
    layer
}
