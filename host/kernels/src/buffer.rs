//! Device memory with a fixed address.

use crate::error::{KernelError, Result};
use crate::ffi::Address;
use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr};
use candle_core::{DType, Device, Shape, Storage, Tensor};

/// What the kernels read at once.
const ALIGNMENT: u64 = 16;

/// A tensor that kernels write to. It is kept, so its address stays good; only the stream orders what is done to it.
pub(crate) struct Buffer {
    pub(crate) tensor: Tensor,
    pub(crate) address: Address,
}

impl Buffer {
    /// Zeros.
    pub(crate) fn zeros(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Self> {
        let tensor = Tensor::zeros(shape, dtype, device)?;
        let address = address("a buffer", &tensor)?;
        Ok(Self { tensor, address })
    }

    /// A copy of the first `rows` rows, ordered after what is on the stream.
    pub(crate) fn rows(&self, rows: usize) -> Result<Tensor> {
        Ok(self.tensor.narrow(0, 0, rows)?.force_contiguous()?)
    }
}

/// Where a contiguous CUDA tensor begins. Good for as long as the tensor is kept.
pub(crate) fn address(name: &str, tensor: &Tensor) -> Result<Address> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(KernelError::tensor(name, "it does not lie on a CUDA device"));
    };
    let stream = storage.device.cuda_stream();
    let base = match &storage.slice {
        CudaStorageSlice::BF16(slice) => base(slice, &stream),
        CudaStorageSlice::F32(slice) => base(slice, &stream),
        CudaStorageSlice::I32(slice) => base(slice, &stream),
        CudaStorageSlice::I64(slice) => base(slice, &stream),
        CudaStorageSlice::U8(slice) => base(slice, &stream),
        _ => {
            return Err(KernelError::tensor(
                name,
                format!("no kernel reads {:?}", tensor.dtype()),
            ));
        }
    };
    let address = base + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64;
    if !address.is_multiple_of(ALIGNMENT) {
        return Err(KernelError::tensor(
            name,
            "it does not begin at a multiple of 16 bytes; try `force_contiguous()`",
        ));
    }
    Ok(Address(address))
}

fn base<T>(slice: &CudaSlice<T>, stream: &CudaStream) -> u64 {
    slice.device_ptr(stream).0
}
