//! Room for what is large: whatever the plugins and documents under way, one call at a time may take much memory.
//!
//! A decoded page of 130 megapixels takes 384 MiB, an adapter may take 768 MiB of its own to draw one. Two at a time
//! would not fit on a small machine, and a hostile file of a few kilobytes can ask for it; so whoever needs an image of
//! more than [`LARGE_BYTES`], and an adapter that takes more than [`MUCH_MEMORY`], waits its turn and keeps it until its
//! call has ended. Turns go round among tenants, so that one with many such pages does not keep another's waiting beyond its
//! time. A holder may wait for a child of pdfium or for the engine, each with a deadline, and neither ever waits for the room, so this
//! cannot lock up. A component's memory never shrinks, so an adapter that took much for a page is started afresh for the next one (`session/adapter.rs`).

use crate::state::CancelFlag;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// From here on an image is large: an A4 page at 600 dpi takes 104 MB.
pub(crate) const LARGE_BYTES: u64 = 128 << 20;

/// From here on an adapter takes much memory: drawing an ordinary page takes some 100 MiB.
pub(crate) const MUCH_MEMORY: u64 = 256 << 20;

/// How often a call that waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Whose calls they are; turns go round among parties.
pub type Party = Arc<str>;

static TURNS: LazyLock<Mutex<Turns>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

/// Who has the room, and who is next.
#[derive(Debug, Default)]
struct Turns {
    is_taken: bool,
    waiting: Vec<(u64, Party)>,
    /// How many have asked, and how many turns there were.
    asked: u64,
    count: u64,
    /// Each party's last turn; those that never had one are not in it.
    last: HashMap<Party, u64>,
}

impl Turns {
    /// The party that has waited longest for a turn, in it whoever came first.
    fn next(&self) -> Option<u64> {
        let claim = |(order, party): &&(u64, Party)| (self.last.get(party).copied(), *order);
        self.waiting.iter().min_by_key(claim).map(|(order, _)| *order)
    }
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().expect("no thread panics while it holds this")
}

/// The right to take much memory.
#[derive(Debug)]
struct Permit;

impl Drop for Permit {
    fn drop(&mut self) {
        turns().is_taken = false;
        CHANGED.notify_all();
    }
}

/// What a call has been given.
#[derive(Debug, Default)]
pub(crate) struct Room {
    party: Party,
    permit: Option<Permit>,
}

impl Room {
    /// Room for the calls of a party.
    pub(crate) fn of(party: &Party) -> Self {
        Self {
            party: party.clone(),
            permit: None,
        }
    }

    /// Makes room; waits while another call has it. Fails once nobody wants it any more.
    pub(crate) fn reserve(&mut self, cancel: &CancelFlag, deadline: Instant) -> Result<(), String> {
        if self.permit.is_some() {
            return Ok(());
        }
        let mut turns = turns();
        let order = turns.asked;
        turns.asked += 1;
        turns.waiting.push((order, self.party.clone()));
        let ended = loop {
            if !turns.is_taken && turns.next() == Some(order) {
                break Ok(());
            }
            if cancel.is_cancelled() {
                break Err("did not come: the run was cancelled".to_owned());
            }
            if Instant::now() > deadline {
                break Err(
                    "did not come: other large pages took too long; raise --plugin-limit time".to_owned(),
                );
            }
            turns = CHANGED
                .wait_timeout(turns, LOOK)
                .expect("no thread panics while it holds this")
                .0;
        };
        turns.waiting.retain(|(other, _)| *other != order);
        if ended.is_ok() {
            turns.is_taken = true;
            turns.count += 1;
            let count = turns.count;
            turns.last.insert(self.party.clone(), count);
            self.permit = Some(Permit);
        }
        CHANGED.notify_all();
        ended
    }

    /// Lets the next one in.
    pub(crate) fn release(&mut self) {
        self.permit = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests share the room.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn turns_go_round_among_parties() {
        let _alone = ALONE.lock().unwrap();
        let (cancel, late) = (CancelFlag::default(), Instant::now() + Duration::from_secs(60));
        let mut holder = Room::of(&"many".into());
        holder.reserve(&cancel, late).unwrap();
        let served: Mutex<Vec<&str>> = Mutex::default();
        std::thread::scope(|scope| {
            for party in ["many", "many", "many", "few"] {
                let waiting = turns().waiting.len();
                let served = &served;
                scope.spawn(move || {
                    let mut room = Room::of(&party.into());
                    room.reserve(&CancelFlag::default(), late).unwrap();
                    served.lock().unwrap().push(party);
                });
                while turns().waiting.len() == waiting {
                    std::thread::yield_now();
                }
            }
            holder.release();
        });
        assert_eq!(*served.lock().unwrap(), ["few", "many", "many", "many"]);
    }

    #[test]
    fn large_images_take_turns() {
        let _alone = ALONE.lock().unwrap();
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
