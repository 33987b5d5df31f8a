//! A call's time, for work of the host that is done piece by piece: whoever does it asks between two pieces, and stops
//! once the time is up. What libraries do in one go is stopped where they read or write ([`Timed`]).

use std::cell::Cell;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::time::Instant;

/// Bytes that are read between two looks at the clock. Four kibibytes of a compressed picture may become four mebibytes,
/// which take milliseconds.
const LOOK_BYTES: usize = 4 << 10;

/// Whether a call's time is up.
pub(crate) struct Clock<'a> {
    is_late: &'a dyn Fn() -> bool,
    is_up: Cell<bool>,
}

impl<'a> Clock<'a> {
    /// A clock that asks `is_late`.
    pub(crate) fn new(is_late: &'a dyn Fn() -> bool) -> Self {
        Self {
            is_late,
            is_up: Cell::new(false),
        }
    }

    /// One whose time is never up.
    pub(crate) fn never() -> Self {
        Self::new(&|| false)
    }

    /// Looks whether the time is up; once it is, it stays so.
    pub(crate) fn is_late(&self) -> bool {
        if !self.is_up.get() {
            self.is_up.set((self.is_late)());
        }
        self.is_up.get()
    }

    /// Whether someone was told that the time is up: whatever came of the work is not whole.
    pub(crate) fn was_late(&self) -> bool {
        self.is_up.get()
    }

    fn check(&self) -> io::Result<()> {
        match self.is_late() {
            true => Err(io::Error::from(io::ErrorKind::TimedOut)),
            false => Ok(()),
        }
    }
}

/// Whether a moment has passed.
pub(crate) fn past(deadline: Instant) -> impl Fn() -> bool {
    move || Instant::now() > deadline
}

/// A reader that fails once the time is up.
pub(crate) struct Timed<'a, R> {
    inner: R,
    clock: &'a Clock<'a>,
    /// Bytes until the clock is looked at again.
    left: usize,
}

impl<'a, R> Timed<'a, R> {
    pub(crate) fn new(inner: R, clock: &'a Clock<'a>) -> Self {
        Self {
            inner,
            clock,
            left: 0,
        }
    }

    fn look(&mut self) -> io::Result<()> {
        if self.left == 0 {
            self.clock.check()?;
            self.left = LOOK_BYTES;
        }
        Ok(())
    }
}

impl<R: Read> Read for Timed<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.look()?;
        let most = to.len().min(self.left);
        let read = self.inner.read(&mut to[..most])?;
        self.left -= read;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Timed<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.look()?;
        let bytes = self.inner.fill_buf()?;
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.left = self.left.saturating_sub(amount);
    }
}

impl<R: Seek> Seek for Timed<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // Whoever goes back and forth without reading much is looked after as well.
        self.left = self.left.saturating_sub(LOOK_BYTES / 64);
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_fails_once_the_time_is_up() {
        let looks = Cell::new(0);
        let is_late = || {
            looks.set(looks.get() + 1);
            looks.get() > 3
        };
        let clock = Clock::new(&is_late);
        let mut read = Vec::new();
        let bytes = vec![7u8; 10 * LOOK_BYTES];
        let failed = Timed::new(&bytes[..], &clock).read_to_end(&mut read).unwrap_err();
        assert_eq!(
            (failed.kind(), read.len()),
            (io::ErrorKind::TimedOut, 3 * LOOK_BYTES)
        );
        assert!(clock.was_late() && clock.is_late());
        assert_eq!(looks.get(), 4, "it is not asked again");
    }
}
