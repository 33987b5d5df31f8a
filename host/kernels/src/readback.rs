//! Tokens on their way to the host: each step's are copied behind it, and waited for when the host wants them.

use crate::error::{KernelError, Result};
use crate::ffi::{Address, cuda};
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream, PinnedHostSlice, result};
use std::collections::VecDeque;
use std::sync::Arc;

/// Steps whose tokens may be unread. Two let the host work on one step's tokens while the next runs; two more cost
/// 2 KB.
pub(crate) const STEPS_AHEAD: usize = 4;

struct Place {
    tokens: PinnedHostSlice<u32>,
    copied: CudaEvent,
}

/// A ring of page-locked copies.
pub(crate) struct Readback {
    stream: Arc<CudaStream>,
    free: Vec<Place>,
    unread: VecDeque<(usize, Place)>,
}

impl Readback {
    /// For up to `rows` tokens a step.
    pub(crate) fn new(stream: &Arc<CudaStream>, rows: usize) -> Result<Self> {
        let doing = |error| cuda("allocating page-locked memory", error);
        let place = || -> Result<Place> {
            // SAFETY: unset memory of integers; it is read only after a copy has filled it.
            let tokens = unsafe { stream.context().alloc_pinned_with_flags(rows, 0) }.map_err(doing)?;
            let copied = stream.context().new_event(None).map_err(doing)?;
            Ok(Place { tokens, copied })
        };
        let free = (0..STEPS_AHEAD).map(|_| place()).collect::<Result<_>>()?;
        Ok(Self {
            stream: stream.clone(),
            free,
            unread: VecDeque::new(),
        })
    }

    /// That there is room for one more step.
    pub(crate) fn check_room(&self) -> Result<()> {
        if self.free.is_empty() {
            let text =
                format!("the tokens of {STEPS_AHEAD} steps are unread; read some before the next step");
            return Err(KernelError::argument(text));
        }
        Ok(())
    }

    /// Puts the copy of the first `rows` tokens on the stream.
    pub(crate) fn enqueue(&mut self, tokens: Address, rows: usize) -> Result<()> {
        self.check_room()?;
        let mut place = self.free.pop().expect("there is room");
        let doing = |error| cuda("copying a step's tokens to the host", error);
        assert!(rows <= place.tokens.len(), "a copy for {rows} rows");
        let to = place.tokens.as_mut_ptr().map_err(doing)?;
        // SAFETY: `to` has room for `rows` integers (checked above) and is kept until `copied` has happened: a place
        // leaves `unread` only after waiting for it, and `drop` waits for the stream.
        let copied = unsafe {
            let to = std::slice::from_raw_parts_mut(to, rows);
            result::memcpy_dtoh_async(to, tokens.0, self.stream.cu_stream())
        };
        copied
            .and_then(|()| place.copied.record(&self.stream))
            .map_err(doing)?;
        self.unread.push_back((rows, place));
        Ok(())
    }

    /// Waits for the oldest unread step; its tokens go to `out`. Says how many they are.
    pub(crate) fn read(&mut self, out: &mut [u32]) -> Result<usize> {
        let doing = |error| cuda("waiting for a step's tokens", error);
        let Some((rows, place)) = self.unread.pop_front() else {
            return Err(KernelError::argument("no step's tokens are unread"));
        };
        let rows = rows.min(out.len());
        place.copied.synchronize().map_err(doing)?;
        out[..rows].copy_from_slice(&place.tokens.as_slice().map_err(doing)?[..rows]);
        self.free.push(place);
        Ok(rows)
    }
}

impl Drop for Readback {
    fn drop(&mut self) {
        // A copy may still be on its way into the memory that is about to go. If this fails, so has every copy.
        let _ = self.stream.synchronize();
    }
}
