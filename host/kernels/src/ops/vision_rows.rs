//! What stands between the vision towers' matrix products: bias, activation and residual in one pass, and windows cut
//! from a grid and put back.
//!
//! On CUDA in bf16 each is one kernel; everywhere else it is the same over candle's operations, which is the reference.

use candle_core::{DType, Result, Tensor};

/// What a product goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// The exact Gaussian error linear unit.
    Gelu,
    /// `x sigmoid(1.702 x)`, CLIP's approximation.
    QuickGelu,
}

/// Rows that are added to a product: a bias `[columns]`, and a residual of the product's own shape.
#[derive(Debug, Clone, Copy, Default)]
pub struct Added<'a> {
    /// `[columns]`.
    pub bias: Option<&'a Tensor>,
    /// Added behind the activation.
    pub residual: Option<&'a Tensor>,
}

/// `activation(x + bias) + residual` for `x` of `[.., columns]`, rounded once on CUDA.
pub fn finish(x: &Tensor, activation: Activation, added: Added<'_>) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::takes(x) {
        return cuda::finish(x, activation, added).map_err(candle_core::Error::wrap);
    }
    let x = match added.bias {
        Some(bias) => x.broadcast_add(bias)?,
        None => x.clone(),
    };
    let x = match activation {
        Activation::None => x,
        Activation::Gelu => in_f32(&x, Tensor::gelu_erf)?,
        Activation::QuickGelu => in_f32(&x, |x| x / ((x * -1.702)?.exp()? + 1.0)?)?,
    };
    match added.residual {
        Some(residual) => residual + x,
        None => Ok(x),
    }
}

/// 16-bit values are widened, so that an activation is rounded once.
fn in_f32(x: &Tensor, work: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    work(&x.to_dtype(DType::F32)?)?.to_dtype(x.dtype())
}

/// Cuts `[batch, side, side, columns]` into windows `[batch * across * across, window, window, columns]`, padded with
/// zeros on the right and below.
pub fn cut_windows(grid: &Tensor, window: usize) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::takes(grid) {
        return cuda::cut_windows(grid, window).map_err(candle_core::Error::wrap);
    }
    let (batch, side, _, columns) = grid.dims4()?;
    let across = side.div_ceil(window);
    let more = across * window - side;
    let padded = grid.pad_with_zeros(1, 0, more)?.pad_with_zeros(2, 0, more)?;
    let cut = padded.reshape(&[batch, across, window, across, window, columns][..])?;
    let cut = cut.permute(vec![0, 1, 3, 2, 4, 5])?.contiguous()?;
    cut.reshape((batch * across * across, window, window, columns))
}

/// Puts windows `[batch * across * across, window, window, columns]` back into `[batch, side, side, columns]`, with what is
/// to be added.
pub fn join_windows(cut: &Tensor, batch: usize, side: usize, added: Added<'_>) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::takes(cut) {
        return cuda::join_windows(cut, batch, side, added).map_err(candle_core::Error::wrap);
    }
    let (_, window, _, columns) = cut.dims4()?;
    let across = side.div_ceil(window);
    let whole = cut.reshape(&[batch, across, across, window, window, columns][..])?;
    let whole = whole.permute(vec![0, 1, 3, 2, 4, 5])?.contiguous()?;
    let whole = whole.reshape((batch, across * window, across * window, columns))?;
    let grid = whole.narrow(1, 0, side)?.narrow(2, 0, side)?.contiguous()?;
    finish(&grid, Activation::None, added)
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::{Activation, Added};
    use crate::buffer::address;
    use crate::error::{KernelError, Result};
    use crate::ffi::{Address, Gpu, Shape, WindowLayout, arguments};
    use crate::weights::check;
    use candle_core::op::BackpropOp;
    use candle_core::{CudaStorage, DType, Storage, Tensor};
    use half::bf16;

    /// Elements of a thread.
    const GROUP: usize = 8;
    const THREADS: usize = 256;

    /// The last dimension.
    fn columns(x: &Tensor) -> candle_core::Result<usize> {
        x.dim(candle_core::D::Minus1)
    }

    /// Whether the kernels are made for it.
    pub(super) fn takes(x: &Tensor) -> bool {
        x.device().is_cuda()
            && x.dtype() == DType::BF16
            && x.is_contiguous()
            && columns(x).is_ok_and(|columns| columns > 0 && columns.is_multiple_of(GROUP))
    }

    /// Room for a result and its address.
    fn room(like: &Tensor, shape: &[usize]) -> Result<Tensor> {
        let cuda = like.device().as_cuda_device()?;
        // SAFETY: the kernel writes every value of it before anything can read it: the stream orders both.
        let out = unsafe { cuda.alloc::<bf16>(shape.iter().product()) }?;
        let out = Storage::Cuda(CudaStorage::wrap_cuda_slice(out, cuda.clone()));
        Ok(Tensor::from_storage(out, shape, BackpropOp::none(), false))
    }

    /// Groups of an output, and the launch that has a thread for each.
    fn launch_of(out: &Tensor) -> Result<(i32, Shape)> {
        let groups = out.elem_count() / GROUP;
        if groups == 0 || groups > i32::MAX as usize {
            return Err(KernelError::argument(format!(
                "{:?} is empty or too large",
                out.dims()
            )));
        }
        let blocks = groups.div_ceil(THREADS) as u32;
        Ok((
            groups as i32,
            Shape::new([blocks, 1, 1], THREADS as u32).waiting(),
        ))
    }

    /// Addresses of what is added to rows of this shape; null where nothing is.
    fn added_to(shape: &[usize], like: &Tensor, added: Added<'_>) -> Result<[Address; 2]> {
        let mut addresses = [Address::NULL; 2];
        let columns = shape.last().copied().unwrap_or(0);
        if let Some(bias) = added.bias {
            check("bias", bias, &[columns], like.device())?;
            addresses[0] = address("bias", bias)?;
        }
        if let Some(residual) = added.residual {
            check("residual", residual, shape, like.device())?;
            addresses[1] = address("residual", residual)?;
        }
        Ok(addresses)
    }

    pub(super) fn finish(x: &Tensor, activation: Activation, added: Added<'_>) -> Result<Tensor> {
        let [bias, residual] = added_to(x.dims(), x, added)?;
        let out = room(x, x.dims())?;
        let (groups, shape) = launch_of(&out)?;
        let act = match activation {
            Activation::None => 0i32,
            Activation::Gelu => 1,
            Activation::QuickGelu => 2,
        };
        let (from, to) = (address("x", x)?, address("the result", &out)?);
        let columns = columns(x)? as i32;
        let arguments = arguments![from, bias, residual, to, groups, columns, act];
        // SAFETY: shapes, dtype and layout of all tensors were checked; they are freed behind this launch on the stream.
        unsafe { Gpu::new(x.device())?.launch("finish_rows", shape, arguments) }?;
        Ok(out)
    }

    fn layout(side: usize, window: usize, columns: usize) -> WindowLayout {
        WindowLayout {
            side: side as i32,
            window: window as i32,
            across: side.div_ceil(window) as i32,
            columns: columns as i32,
        }
    }

    pub(super) fn cut_windows(grid: &Tensor, window: usize) -> Result<Tensor> {
        let (batch, side, other, columns) = grid.dims4()?;
        if side != other || window == 0 {
            return Err(KernelError::argument(format!(
                "{:?} is no square grid to cut",
                grid.dims()
            )));
        }
        let across = side.div_ceil(window);
        let out = room(grid, &[batch * across * across, window, window, columns])?;
        let (groups, shape) = launch_of(&out)?;
        let (from, to) = (address("grid", grid)?, address("the result", &out)?);
        let arguments = arguments![from, to, groups, layout(side, window, columns)];
        // SAFETY: as in `finish`; the kernel reads places of the grid only.
        unsafe { Gpu::new(grid.device())?.launch("cut_windows", shape, arguments) }?;
        Ok(out)
    }

    pub(super) fn join_windows(cut: &Tensor, batch: usize, side: usize, added: Added<'_>) -> Result<Tensor> {
        let (count, window, other, columns) = cut.dims4()?;
        let across = side.div_ceil(window);
        if window != other || count != batch * across * across {
            let text = format!("{:?} are no windows of {batch} grids of {side}", cut.dims());
            return Err(KernelError::argument(text));
        }
        let whole = [batch, side, side, columns];
        let [bias, residual] = added_to(&whole, cut, added)?;
        let out = room(cut, &whole)?;
        let (groups, shape) = launch_of(&out)?;
        let (from, to) = (address("windows", cut)?, address("the result", &out)?);
        let arguments = arguments![from, bias, residual, to, groups, layout(side, window, columns)];
        // SAFETY: as in `finish`; every place of a grid lies in one of the windows that were counted above.
        unsafe { Gpu::new(cut.device())?.launch("join_windows", shape, arguments) }?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn bias_activation_and_residual_follow_their_formulas() -> Result<()> {
        let x = Tensor::new(&[[1f32, -2.0], [0.5, 3.0]], &Device::Cpu)?;
        let bias = Tensor::new(&[0.5f32, 1.0], &Device::Cpu)?;
        let residual = Tensor::new(&[[10f32, 20.0], [30.0, 40.0]], &Device::Cpu)?;
        let all = Added {
            bias: Some(&bias),
            residual: Some(&residual),
        };
        let close = |found: Tensor, expected: [[f32; 2]; 2]| -> Result<()> {
            for (found, expected) in found.to_vec2::<f32>()?.concat().iter().zip(expected.concat()) {
                assert!((found - expected).abs() < 1e-5, "{found} {expected}");
            }
            Ok(())
        };
        close(finish(&x, Activation::None, all)?, [[11.5, 19.0], [31.0, 44.0]])?;
        // erf(1.5 / sqrt 2) = 0.8663856, of 1: 0.6826895, of 4: 0.9999367.
        let gelu = [[1.399_789_2, -0.158_655_25], [0.841_344_7, 3.999_873_4]];
        let bias_alone = Added {
            residual: None,
            ..all
        };
        close(finish(&x, Activation::Gelu, bias_alone)?, gelu)?;
        let quick = |x: f32| x / (1.0 + (-1.702 * x).exp());
        close(
            finish(&x, Activation::QuickGelu, bias_alone)?,
            [[quick(1.5), quick(-1.0)], [quick(1.0), quick(4.0)]],
        )
    }

    #[test]
    fn windows_come_back_where_they_were() -> Result<()> {
        let (batch, side, window) = (2, 32, 14);
        let x = Tensor::arange(0f32, (batch * side * side * 3) as f32, &Device::Cpu)?;
        let x = x.reshape((batch, side, side, 3))?;
        let cut = cut_windows(&x, window)?;
        assert_eq!(cut.dims(), [batch * 9, window, window, 3]);
        // The last window holds the last 4 x 4 places and zeros.
        let last = cut.get(17)?.abs()?.sum(2)?.ne(0f32)?.to_dtype(DType::F32)?;
        assert_eq!(last.sum_all()?.to_scalar::<f32>()?, 16.0);
        let back = join_windows(&cut, batch, side, Added::default())?;
        assert_eq!((x - back)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
        Ok(())
    }

    /// Every operation on a GPU against candle's on the CPU, over the towers' shapes.
    #[cfg(feature = "cuda")]
    #[test]
    fn the_kernels_do_what_candle_does() -> Result<()> {
        if crate::devices().is_empty() {
            eprintln!("skipped: there is no CUDA device");
            return Ok(());
        }
        let gpu = crate::open(0).map_err(candle_core::Error::wrap)?;
        let differs = |on_gpu: Tensor, on_cpu: Tensor| -> Result<f32> {
            let wide = |x: &Tensor| x.to_device(&Device::Cpu)?.to_dtype(DType::F32);
            let (a, b) = (wide(&on_gpu)?, wide(&on_cpu)?);
            let norm = |x: &Tensor| x.sqr()?.sum_all()?.to_scalar::<f32>().map(f32::sqrt);
            Ok(norm(&(a - &b)?)? / norm(&b)?)
        };
        for (batch, side, columns) in [(1, 64, 768), (6, 40, 768), (2, 32, 48), (1, 80, 256)] {
            let random = |shape: &[usize]| Tensor::randn(0f32, 2.0, shape, &Device::Cpu);
            let (x, residual, bias) = (
                random(&[batch, side, side, columns])?.to_dtype(DType::BF16)?,
                random(&[batch, side, side, columns])?.to_dtype(DType::BF16)?,
                random(&[columns])?.to_dtype(DType::BF16)?,
            );
            let (gx, gr, gb) = (
                x.to_device(&gpu)?,
                residual.to_device(&gpu)?,
                bias.to_device(&gpu)?,
            );
            let wide = |x: &Tensor| x.to_dtype(DType::F32);
            let (wx, wr, wb) = (wide(&x)?, wide(&residual)?, wide(&bias)?);
            let added = |bias, residual| Added {
                bias: Some(bias),
                residual: Some(residual),
            };
            for activation in [Activation::None, Activation::Gelu, Activation::QuickGelu] {
                let error = differs(
                    finish(&gx, activation, added(&gb, &gr))?,
                    finish(&wx, activation, added(&wb, &wr))?,
                )?;
                assert!(error < 3e-3, "{activation:?} at {side}: {error}");
            }
            let (cut, wide_cut) = (cut_windows(&gx, 14)?, cut_windows(&wx, 14)?);
            assert_eq!(differs(cut.clone(), wide_cut.clone())?, 0.0);
            let error = differs(
                join_windows(&cut, batch, side, added(&gb, &gr))?,
                join_windows(&wide_cut, batch, side, added(&wb, &wr))?,
            )?;
            assert!(error < 3e-3, "joined at {side}: {error}");
        }
        Ok(())
    }
}
