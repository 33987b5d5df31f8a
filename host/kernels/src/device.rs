//! Which GPUs there are, and how to open one so that the kernels can run on it.

/// A CUDA device of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its number.
    pub ordinal: usize,
    /// Its name, as the driver has it.
    pub name: String,
    /// Its whole memory.
    pub memory_bytes: u64,
    /// Its compute capability: (9, 0) is sm_90.
    pub compute_capability: (u32, u32),
}

/// All CUDA devices, by number. Empty where there is none, where the driver won't start, and without the feature `cuda`.
///
/// A program built with `cuda` is linked against `libcuda.so.1`: without that library it doesn't start at all.
pub fn devices() -> Vec<DeviceInfo> {
    #[cfg(feature = "cuda")]
    return cuda::devices();
    #[cfg(not(feature = "cuda"))]
    Vec::new()
}

#[cfg(feature = "cuda")]
pub use cuda::{free_memory, open};

#[cfg(feature = "cuda")]
mod cuda {
    use super::DeviceInfo;
    use crate::error::{KernelError, Result};
    use candle_core::Device;
    use candle_core::cuda_backend::cudarc::driver::{DriverError, result, sys};

    pub(super) fn devices() -> Vec<DeviceInfo> {
        let count = result::init()
            .and_then(|()| result::device::get_count())
            .unwrap_or(0);
        (0..count).filter_map(|ordinal| device(ordinal).ok()).collect()
    }

    fn device(ordinal: i32) -> std::result::Result<DeviceInfo, DriverError> {
        use sys::CUdevice_attribute as Attribute;
        let device = result::device::get(ordinal)?;
        // SAFETY: `device` comes from `get`, just above; an attribute is only read.
        let attribute = |name| unsafe { result::device::get_attribute(device, name) };
        Ok(DeviceInfo {
            ordinal: ordinal as usize,
            name: result::device::get_name(device)?,
            // SAFETY: as above.
            memory_bytes: unsafe { result::device::total_mem(device) }? as u64,
            compute_capability: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32,
            ),
        })
    }

    /// Opens a device with one stream of its own, on which candle and the kernels alike put their work.
    ///
    /// [`StepDecoder`](crate::StepDecoder) refuses devices opened by `Device::new_cuda`: their stream is another one on
    /// each thread. As there is one stream only, cudarc's bookkeeping of events between streams is turned off.
    pub fn open(ordinal: usize) -> Result<Device> {
        let device = Device::new_cuda_with_stream(ordinal)?;
        // SAFETY: all tensors of this device live on its single stream, which orders allocation, use and release. Another
        // device of the same number has a context object and bookkeeping of its own.
        unsafe { device.as_cuda_device()?.disable_event_tracking() };
        keep_freed(&device)?;
        Ok(device)
    }

    /// The driver's pool, from which all tensors come.
    fn pool(device: &Device) -> Result<Option<sys::CUmemoryPool>> {
        let context = device.as_cuda_device()?.cuda_stream().context().clone();
        if !context.has_async_alloc() {
            return Ok(None);
        }
        context.bind_to_thread().map_err(fault)?;
        // SAFETY: the context's own device.
        let pool = unsafe { result::device::get_mem_pool(context.cu_device()) };
        pool.map(Some).map_err(fault)
    }

    /// Tells the pool to keep what tensors gave back: otherwise it goes to the system whenever the host waits for the
    /// stream, which it does behind every step, and the next towers take it anew.
    fn keep_freed(device: &Device) -> Result<()> {
        let Some(pool) = pool(device)? else {
            return Ok(());
        };
        let mut most = u64::MAX;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the pool exists as long as its device; this attribute is a 64-bit word.
        unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut most).cast()) }.map_err(fault)
    }

    fn fault(error: DriverError) -> KernelError {
        KernelError::argument(format!("the device's memory can't be asked about: {error}"))
    }

    /// Bytes of a device's memory that nobody has, and all of them.
    pub fn free_memory(device: &Device) -> Result<(usize, usize)> {
        device.synchronize()?;
        if let Some(pool) = pool(device)? {
            // SAFETY: as in `keep_freed`. What the pool keeps and nobody uses counts as free.
            unsafe { result::mem_pool::trim_to(pool, 0) }.map_err(fault)?;
        }
        let stream = device.as_cuda_device()?.cuda_stream();
        stream.context().bind_to_thread().map_err(fault)?;
        result::mem_get_info().map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn devices_are_listed_or_none_are_there() {
        for (at, device) in super::devices().iter().enumerate() {
            assert_eq!(device.ordinal, at);
            assert!(device.memory_bytes > 0 && !device.name.is_empty());
        }
    }
}
