//! Room for what is large: whatever the plugins and documents under way, one call at a time may take much memory.
//!
//! A decoded page of 130 megapixels takes 384 MiB, an adapter may take 768 MiB of its own to draw one. Two at a time
//! would not fit on a small machine, and a hostile file of a few kilobytes can ask for it; so whoever needs an image of
//! more than [`LARGE_BYTES`], and an adapter that takes more than [`MUCH_MEMORY`], waits its turn and keeps it until its
//! call has ended. A holder waits for nothing but the processor, so this cannot lock up. A component's memory never
//! shrinks, so an adapter that took much for a page is started afresh for the next one (`session/adapter.rs`).

use crate::state::CancelFlag;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// From here on an image is large: an A4 page at 600 dpi takes 104 MB.
pub(crate) const LARGE_BYTES: u64 = 128 << 20;

/// From here on an adapter takes much memory: drawing an ordinary page takes some 100 MiB.
pub(crate) const MUCH_MEMORY: u64 = 256 << 20;

/// How often a call that waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

static TAKEN: Mutex<bool> = Mutex::new(false);
static GIVEN_BACK: Condvar = Condvar::new();

/// The right to take much memory.
#[derive(Debug)]
struct Permit;

impl Drop for Permit {
    fn drop(&mut self) {
        *TAKEN.lock().expect("no thread panics while it holds this") = false;
        GIVEN_BACK.notify_one();
    }
}

/// What a call has been given.
#[derive(Debug, Default)]
pub(crate) struct Room {
    permit: Option<Permit>,
}

impl Room {
    /// Makes room; waits while another call has it. Fails once nobody wants it any more.
    pub(crate) fn reserve(&mut self, cancel: &CancelFlag, deadline: Instant) -> Result<(), String> {
        if self.permit.is_some() {
            return Ok(());
        }
        let mut taken = TAKEN.lock().expect("no thread panics while it holds this");
        while *taken {
            if cancel.is_cancelled() {
                return Err("did not come: the run was cancelled".into());
            }
            if Instant::now() > deadline {
                return Err(
                    "did not come: other large pages took too long; raise --plugin-limit time".into(),
                );
            }
            taken = GIVEN_BACK
                .wait_timeout(taken, LOOK)
                .expect("no thread panics while it holds this")
                .0;
        }
        *taken = true;
        self.permit = Some(Permit);
        Ok(())
    }

    /// Lets the next one in.
    pub(crate) fn release(&mut self) {
        self.permit = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_images_take_turns() {
        let (mut first, mut second, cancel) = (Room::default(), Room::default(), CancelFlag::default());
        let soon = || Instant::now() + Duration::from_millis(50);
        first.reserve(&cancel, soon()).unwrap();
        first.reserve(&cancel, soon()).unwrap();
        let refused = second.reserve(&cancel, soon()).unwrap_err();
        assert!(refused.contains("took too long"), "{refused}");
        first.release();
        second.reserve(&cancel, soon()).unwrap();
        cancel.cancel();
        assert!(first.reserve(&cancel, soon()).unwrap_err().contains("cancelled"));
    }
}
