//! Work recorded once and replayed as one launch.

use crate::error::{KernelError, Result};
use crate::ffi::cuda;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, CudaStream, sys};
use std::sync::Arc;

/// A recorded stretch of the stream.
pub(crate) struct Graph(CudaGraph);

// SAFETY: the driver asks that no two threads use a graph at once, which owning it (`launch` is only called through
// the decoder's `&mut self`) sees to; it is not tied to the thread that recorded it.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` puts on the stream; nothing of it runs. Allocation, copies from pageable memory and waiting
    /// are not allowed meanwhile, and every kernel must have run before (the driver loads it at its first launch).
    pub(crate) fn record(stream: &Arc<CudaStream>, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let doing = |error| cuda("recording a graph", error);
        // Thread-local: other threads may allocate meanwhile.
        stream
            .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .map_err(doing)?;
        let worked = work();
        // The recording ends in any case: a stream left recording would be of no use to anyone.
        let graph = stream
            .end_capture(sys::CUgraphInstantiate_flags(0))
            .map_err(doing);
        worked?;
        let graph = graph?.ok_or_else(|| KernelError::argument("nothing was recorded for a graph"))?;
        graph.upload().map_err(doing)?;
        Ok(Self(graph))
    }

    /// Replays it on the stream that it was recorded on.
    pub(crate) fn launch(&mut self) -> Result<()> {
        self.0
            .launch()
            .map_err(|error| cuda("launching a step's graph", error))
    }
}
