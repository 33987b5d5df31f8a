//! Being stopped, and telling how far the work has come.

use crate::{HostError, host};

/// Fails with `cancelled` once the user has asked to stop. Call it in loops that take longer than a second.
pub fn checkpoint() -> Result<(), HostError> {
    host::control::checkpoint()
}

/// Steps done, of how many where known.
pub fn progress(done: u32, total: Option<u32>) {
    host::control::progress(done, total);
}
