//! Looking at the stages of a page on their way, for comparison with the reference.

use candle_core::{Result, Tensor};

/// Takes a stage: its name and its value.
pub type Hearer<'a> = &'a mut dyn FnMut(&str, &Tensor) -> Result<()>;

/// Hears every stage by name, or nothing.
pub struct Tap<'a>(Option<Hearer<'a>>);

impl<'a> Tap<'a> {
    /// Hears nothing and costs nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Hands each stage to `hear`.
    pub fn on(hear: Hearer<'a>) -> Self {
        Self(Some(hear))
    }

    /// A stage that has to be made for it.
    pub(crate) fn take_made(
        &mut self,
        name: impl FnOnce() -> String,
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<()> {
        match &mut self.0 {
            Some(hear) => hear(&name(), &make()?),
            None => Ok(()),
        }
    }

    pub(crate) fn take(&mut self, name: impl FnOnce() -> String, value: &Tensor) -> Result<()> {
        match &mut self.0 {
            Some(hear) => hear(&name(), value),
            None => Ok(()),
        }
    }
}
