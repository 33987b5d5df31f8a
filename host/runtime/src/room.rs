//! Room for large images: whatever the plugins and documents under way, one call at a time may take much memory.
//!
//! A decoded page of 130 megapixels takes 384 MiB. Two at a time would not fit on a small machine, and a hostile file
//! of a few kilobytes can ask for one; so whoever needs more than [`LARGE_BYTES`] waits its turn, and keeps it until
//! its call has ended. A holder waits for nothing but the processor, so this cannot lock up.

use crate::state::CancelFlag;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// From here on an image is large: an A4 page at 600 dpi takes 104 MB.
const LARGE_BYTES: u64 = 128 << 20;

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
    /// Makes room for an image of `bytes`; waits while another call has it. Fails once nobody wants it any more.
    pub(crate) fn reserve(
        &mut self,
        bytes: u64,
        cancel: &CancelFlag,
        deadline: Instant,
    ) -> Result<(), String> {
        if bytes <= LARGE_BYTES || self.permit.is_some() {
            return Ok(());
        }
        let mut taken = TAKEN.lock().expect("no thread panics while it holds this");
        while *taken {
            if cancel.is_cancelled() {
                return Err("was not begun: the run was cancelled".into());
            }
            if Instant::now() > deadline {
                return Err(
                    "was not begun: other large images took too long; raise --plugin-limit time".into(),
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
        first.reserve(LARGE_BYTES + 1, &cancel, soon()).unwrap();
        second.reserve(LARGE_BYTES, &cancel, soon()).unwrap();
        let refused = second.reserve(LARGE_BYTES + 1, &cancel, soon()).unwrap_err();
        assert!(refused.contains("took too long"), "{refused}");
        first.release();
        second.reserve(LARGE_BYTES + 1, &cancel, soon()).unwrap();
        cancel.cancel();
        assert!(
            first
                .reserve(LARGE_BYTES + 1, &cancel, soon())
                .unwrap_err()
                .contains("cancelled")
        );
    }
}
