//! Bytes on their way to the device through page-locked memory, so that the host does not wait for the stream.

use crate::error::{KernelError, Result};
use crate::ffi::cuda;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, DevicePtr, PinnedHostSlice, result};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, Device, Storage, Tensor};

/// While one is copied to the device the next is filled.
const PLACES: usize = 2;

struct Place {
    bytes: PinnedHostSlice<u8>,
    copied: CudaEvent,
}

/// Two page-locked buffers that take turns.
pub struct Staging {
    device: Device,
    places: [Place; PLACES],
    next: usize,
}

impl Staging {
    /// Buffers of so many bytes. `device` must come from [`open`](crate::open).
    pub fn new(device: &Device, bytes: usize) -> Result<Self> {
        let doing = |error| cuda("allocating page-locked memory", error);
        let stream = device.as_cuda_device()?.cuda_stream();
        let place = || -> Result<Place> {
            // SAFETY: unset memory of bytes; it is written before it is read.
            let bytes = unsafe { stream.context().alloc_pinned_with_flags(bytes, 0) }.map_err(doing)?;
            let copied = stream.context().new_event(None).map_err(doing)?;
            Ok(Place { bytes, copied })
        };
        Ok(Self {
            device: device.clone(),
            places: [place()?, place()?],
            next: 0,
        })
    }

    /// What a buffer holds, bytes.
    pub fn room(&self) -> usize {
        self.places[0].bytes.len()
    }

    /// `count` bytes on the device, u8 `[count]`, which `fill` writes on the host. Waits only where the buffer's last but
    /// one copy is still under way.
    pub fn upload(&mut self, count: usize, fill: impl FnOnce(&mut [u8])) -> Result<Tensor> {
        if count == 0 || count > self.room() {
            let text = format!(
                "{count} bytes are to be copied, there is room for {}",
                self.room()
            );
            return Err(KernelError::argument(text));
        }
        let doing = |error| cuda("copying pixels to the device", error);
        let place = &mut self.places[self.next];
        self.next = (self.next + 1) % PLACES;
        place.copied.synchronize().map_err(doing)?;
        let bytes = &mut place.bytes.as_mut_slice().map_err(doing)?[..count];
        fill(bytes);
        let device = self.device.as_cuda_device()?;
        let stream = device.cuda_stream();
        // SAFETY: the copy below writes all of it, before anything behind it on the stream can read it.
        let to = unsafe { device.alloc::<u8>(count) }?;
        let at = to.device_ptr(&stream).0;
        // SAFETY: `to` has `count` bytes; the host's are kept, and not written again before `copied` has happened; `drop`
        // waits for the stream.
        unsafe { result::memcpy_htod_async(at, bytes, stream.cu_stream()) }
            .and_then(|()| place.copied.record(&stream))
            .map_err(doing)?;
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(to, device.clone()));
        Ok(Tensor::from_storage(storage, count, BackpropOp::none(), false))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A copy may still be on its way out of the memory that is about to go. If this fails, so has every copy.
        let _ = self.device.synchronize();
    }
}
