//! How much work the edits of one call may make.

use super::EditError;

/// Elementary steps, each some nanoseconds: about a second.
const STEPS: u64 = 400_000_000;

/// Counts steps down.
pub(super) struct Work(u64);

impl Work {
    pub(super) fn new() -> Self {
        Self(STEPS)
    }

    /// Takes `steps`; fails when none are left.
    pub(super) fn take(&mut self, steps: usize) -> Result<(), EditError> {
        self.0 = self.0.checked_sub(steps as u64).ok_or(EditError::TooMuchWork)?;
        Ok(())
    }
}
