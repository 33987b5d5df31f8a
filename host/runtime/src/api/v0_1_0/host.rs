//! The host's side of every imported function.
//!
//! Each function first counts itself ([`State::enter`]). A limit answers `quota` and is written down; a handle that
//! is not the plugin's is a trap, as the component model asks.

mod files;
mod images;
mod pdf;
mod regions;

use super::convert::{MESSAGE_BYTES, all, cut};
use super::imports::types::{HostError, QuotaHit};
use super::imports::{control, log, page, source, text_layer, types};
use crate::limits::Quota;
use crate::source::Source;
use crate::state::{ImageHandle, PANIC, PageHandle, State};
use wasmtime::Result;
use wasmtime::component::Resource;

/// What a fallible host function answers: a trap, the plugin's error, or the value.
type Answer<T> = Result<std::result::Result<T, HostError>>;

/// Longest name that is taken from a plugin, bytes.
const NAME_BYTES: usize = 255;

impl State {
    /// Counts a host call; too many within one call into the plugin end it.
    pub(super) fn enter(&mut self) -> Result<()> {
        self.meter.host_calls += 1;
        if self.meter.mute {
            return Err(wasmtime::Error::msg(
                "it called the host while it looked at the input's first bytes",
            ));
        }
        if self.meter.host_calls > self.limits.host_calls {
            self.hit(Quota::HostCalls, self.limits.host_calls);
            return Err(wasmtime::Error::msg("too many host calls"));
        }
        Ok(())
    }

    /// The plugin's view of a reached limit, which is written down as well.
    fn quota(&mut self, quota: Quota, limit: u64) -> HostError {
        self.quota_used(quota, limit, limit)
    }

    /// The same, of which `used` has been used.
    fn quota_used(&mut self, quota: Quota, limit: u64, used: u64) -> HostError {
        self.hit(quota, limit);
        let what = match quota {
            Quota::Memory | Quota::Stack => types::Quota::Memory,
            Quota::Time => types::Quota::Time,
            Quota::OutputBytes => types::Quota::OutputBytes,
            Quota::OutputFiles => types::Quota::OutputFiles,
            Quota::FileBytes => types::Quota::FileBytes,
            Quota::Handles => types::Quota::Handles,
            Quota::CallBytes => types::Quota::CallBytes,
            Quota::HostCalls => types::Quota::HostCalls,
            Quota::LogBytes => types::Quota::LogBytes,
            Quota::ImageBytes => types::Quota::ImageBytes,
            Quota::Gpu => types::Quota::Gpu,
        };
        HostError::Quota(QuotaHit { what, limit, used })
    }

    /// Keeps a value for the plugin and answers its handle.
    fn hand_out<T: Send + 'static>(&mut self, value: T) -> Answer<Resource<T>> {
        let pushed = self.table.push(value);
        Ok(pushed.map_err(|_| self.quota(Quota::Handles, self.limits.handles)))
    }

    /// Checks the bytes that a function is about to hand over.
    fn admit_call_bytes(&mut self, bytes: u64) -> std::result::Result<(), HostError> {
        match bytes > self.limits.call_bytes {
            true => Err(self.quota(Quota::CallBytes, self.limits.call_bytes)),
            false => Ok(()),
        }
    }
}

/// What every function of a capability answers that was not granted.
fn not_granted<T>(capability: &str) -> Answer<T> {
    Ok(Err(HostError::Denied(format!(
        "the capability `{capability}` is not granted"
    ))))
}

impl types::Host for State {}
impl text_layer::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: types::Severity, message: String) -> Result<()> {
        self.enter()?;
        if let Some(text) = self.admit_log(&message) {
            self.events.log(&self.plugin, level.into(), &text);
        }
        Ok(())
    }

    fn report(&mut self, d: types::Diagnostic) -> Result<()> {
        self.enter()?;
        if let Some(message) = self.admit_log(&d.message) {
            if d.code == PANIC {
                self.meter.panic = Some(message);
                return Ok(());
            }
            let diagnostic = ocr_document::Diagnostic {
                message: cut(&message, MESSAGE_BYTES),
                ..d.into()
            };
            self.events.report(&self.plugin, &diagnostic);
        }
        Ok(())
    }
}

impl control::Host for State {
    fn checkpoint(&mut self) -> Answer<()> {
        self.enter()?;
        Ok(if self.cancel.is_cancelled() {
            Err(HostError::Cancelled)
        } else {
            Ok(())
        })
    }

    fn progress(&mut self, done: u32, total: Option<u32>) -> Result<()> {
        self.enter()?;
        if self.tells_progress() {
            self.events.progress(&self.plugin, done, total);
        }
        Ok(())
    }
}

impl source::Host for State {}

impl source::HostSource for State {
    fn from_bytes(&mut self, name: String, bytes: Vec<u8>) -> Answer<Resource<Source>> {
        self.enter()?;
        match self.charge(bytes.len() as u64) {
            Ok(charge) => self.hand_out(Source::charged(cut(&name, NAME_BYTES), bytes, charge)),
            Err(quota) => Ok(Err(self.quota(quota, self.limits.image_bytes))),
        }
    }

    fn name(&mut self, this: Resource<Source>) -> Result<String> {
        self.enter()?;
        Ok(self.table.get(&this)?.name().to_owned())
    }

    fn len(&mut self, this: Resource<Source>) -> Result<u64> {
        self.enter()?;
        Ok(self.table.get(&this)?.len())
    }

    fn read_at(&mut self, this: Resource<Source>, offset: u64, len: u32) -> Answer<Vec<u8>> {
        self.enter()?;
        if let Err(error) = self.admit_call_bytes(u64::from(len)) {
            return Ok(Err(error));
        }
        let source = self.table.get(&this)?.clone();
        let bytes = self.on_host_time(|_| source.read_at(offset, len as usize));
        Ok(bytes.map_err(|e| HostError::Failed(format!("reading {}: {e}", source.name()))))
    }

    fn window(
        &mut self,
        this: Resource<Source>,
        name: String,
        offset: u64,
        len: u64,
    ) -> Answer<Resource<Source>> {
        self.enter()?;
        let source = self.table.get(&this)?;
        match source.window(cut(&name, NAME_BYTES), offset, len) {
            Some(window) => self.hand_out(window),
            None => {
                let whole = source.len();
                Ok(Err(HostError::Invalid(format!(
                    "bytes {offset} + {len} are not all in the {whole} bytes"
                ))))
            }
        }
    }

    fn drop(&mut self, this: Resource<Source>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl page::Host for State {}

impl page::HostPage for State {
    fn info(&mut self, this: Resource<PageHandle>) -> Result<types::PageInfo> {
        self.enter()?;
        Ok(self.table.get(&this)?.info().into())
    }

    fn text(&mut self, this: Resource<PageHandle>) -> Result<String> {
        self.enter()?;
        Ok(self.table.get(&this)?.text().to_owned())
    }

    fn labels(&mut self, this: Resource<PageHandle>) -> Result<Vec<String>> {
        self.enter()?;
        Ok(self.table.get(&this)?.labels().to_vec())
    }

    // The next four are what the contract asks for; `lists` does them faster and is what plugins meet.

    fn spans(&mut self, this: Resource<PageHandle>) -> Result<Vec<types::Span>> {
        self.enter()?;
        Ok(all(self.table.get(&this)?.spans()))
    }

    fn lines(&mut self, this: Resource<PageHandle>) -> Result<Vec<types::Line>> {
        self.enter()?;
        Ok(all(self.table.get(&this)?.lines()))
    }

    fn words(&mut self, this: Resource<PageHandle>) -> Result<Vec<types::Word>> {
        self.enter()?;
        Ok(all(self.table.get(&this)?.words()))
    }

    fn cells(&mut self, this: Resource<PageHandle>) -> Result<Vec<types::Cell>> {
        self.enter()?;
        Ok(all(self.table.get(&this)?.cells()))
    }

    fn markdown(&mut self, this: Resource<PageHandle>) -> Result<(String, Vec<types::Anchor>)> {
        self.enter()?;
        let page = self.table.get(&this)?;
        Ok((page.markdown().to_owned(), all(page.anchors())))
    }

    fn raw(&mut self, this: Resource<PageHandle>) -> Result<String> {
        self.enter()?;
        Ok(self.table.get(&this)?.raw().to_owned())
    }

    fn raster(&mut self, this: Resource<PageHandle>) -> Answer<Resource<ImageHandle>> {
        self.enter()?;
        if !self.grants.page_raster {
            return not_granted("page.raster");
        }
        match self.table.get(&this)?.raster().cloned() {
            Some(image) => self.hand_out_image(image),
            None => Ok(Err(HostError::Failed("the page's pixels are not kept".into()))),
        }
    }

    fn drop(&mut self, this: Resource<PageHandle>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
