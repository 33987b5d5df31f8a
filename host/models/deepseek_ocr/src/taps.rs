//! Looking at the stages of a page on their way, for comparison with the reference.

use candle_core::{Result, Tensor};

/// Hears every stage by name, or nothing.
pub struct Tap<'a>(Option<&'a mut dyn FnMut(&str, &Tensor) -> Result<()>>);

impl<'a> Tap<'a> {
    /// Hears nothing and costs nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Hands each stage to `hear`.
    pub fn on(hear: &'a mut dyn FnMut(&str, &Tensor) -> Result<()>) -> Self {
        Self(Some(hear))
    }

    /// Whether anybody listens.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn take(&mut self, name: impl FnOnce() -> String, value: &Tensor) -> Result<()> {
        match &mut self.0 {
            Some(hear) => hear(&name(), value),
            None => Ok(()),
        }
    }
}
