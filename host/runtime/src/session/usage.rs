//! What a session has used, for those who measure.

use super::{AdapterSession, FormatterSession, Guest, ProcessorSession};

/// What a session has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Linear memory, bytes. It never shrinks, so this is the most it was.
    pub memory: u64,
    /// WASM instructions; 0 where the runtime does not count them.
    pub fuel: u64,
}

impl Usage {
    /// The larger of both, each by itself.
    pub fn max(self, other: Usage) -> Usage {
        Usage {
            memory: self.memory.max(other.memory),
            fuel: self.fuel.max(other.fuel),
        }
    }
}

impl Guest {
    fn usage(&self) -> Usage {
        Usage {
            memory: self.store.data().meter.memory,
            fuel: match self.plugin.counts_fuel {
                true => self.store.get_fuel().map_or(0, |rest| u64::MAX - rest),
                false => 0,
            },
        }
    }
}

impl FormatterSession {
    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        self.guest.usage()
    }
}

impl ProcessorSession {
    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        self.guest.usage()
    }
}

impl AdapterSession {
    /// What it has used so far, the sandboxes that it gave up included.
    pub fn usage(&self) -> Usage {
        let open = self.open.as_ref().map(|open| open.guest.usage());
        self.used.max(open.unwrap_or_default())
    }
}
