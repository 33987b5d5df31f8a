//! What stands between the vision towers' matrix products: bias, activation, residual and norm in one pass, with windows cut
//! from a grid and put back on the way, and the rows that their convolutions multiply.
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

/// A layer norm over the last dimension.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// `[columns]`.
    pub weight: &'a Tensor,
    /// `[columns]`.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub epsilon: f32,
}

/// A product that is added to a residual before a norm.
#[derive(Debug, Clone, Copy)]
pub struct Product<'a> {
    /// `[batch, side, side, columns]`, or `[batch * across * across, window, window, columns]`.
    pub values: &'a Tensor,
    /// `[columns]`.
    pub bias: &'a Tensor,
    /// Windows of this side.
    pub window: Option<usize>,
}

/// `sum = x + product + bias` and its layer norm, rounded once each. Rows are `[batch, side, side, columns]`; `x` may be one
/// grid for all of the batch. With a `window` the norm is cut into windows `[batch * across * across, window, window,
/// columns]`, padded with zeros on the right and below.
pub fn norm_rows(
    x: &Tensor,
    product: Option<Product<'_>>,
    norm: Norm<'_>,
    window: Option<usize>,
) -> Result<(Tensor, Tensor)> {
    #[cfg(feature = "cuda")]
    if cuda::takes(x) && x.dim(candle_core::D::Minus1)? <= cuda::MOST_COLUMNS {
        return cuda::norm_rows(x, product, norm, window).map_err(candle_core::Error::wrap);
    }
    let sum = match product {
        None => x.clone(),
        Some(product) => {
            let values = match product.window {
                None => product.values.clone(),
                Some(_) => join_windows(product.values, x.dim(1)?)?,
            };
            x.broadcast_add(&values.broadcast_add(product.bias)?)?
        }
    };
    let normed = layer_norm(&sum, norm)?;
    let normed = match window {
        None => normed,
        Some(window) => cut_windows(&normed, window)?,
    };
    Ok((sum, normed))
}

/// The norm by its formula, in f32.
fn layer_norm(x: &Tensor, norm: Norm<'_>) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let columns = wide.dim(candle_core::D::Minus1)? as f64;
    let mean = (wide.sum_keepdim(candle_core::D::Minus1)? / columns)?;
    let centred = wide.broadcast_sub(&mean)?;
    let variance = (centred.sqr()?.sum_keepdim(candle_core::D::Minus1)? / columns)?;
    let scale = (variance + f64::from(norm.epsilon))?.sqrt()?;
    let weighted = centred
        .broadcast_div(&scale)?
        .broadcast_mul(&norm.weight.to_dtype(DType::F32)?)?;
    weighted
        .broadcast_add(&norm.bias.to_dtype(DType::F32)?)?
        .to_dtype(x.dtype())
}

/// Cuts `[batch, side, side, columns]` into windows `[batch * across * across, window, window, columns]`.
fn cut_windows(grid: &Tensor, window: usize) -> Result<Tensor> {
    let (batch, side, _, columns) = grid.dims4()?;
    let across = side.div_ceil(window);
    let more = across * window - side;
    let padded = grid.pad_with_zeros(1, 0, more)?.pad_with_zeros(2, 0, more)?;
    let cut = padded.reshape(&[batch, across, window, across, window, columns][..])?;
    let cut = cut.permute(vec![0, 1, 3, 2, 4, 5])?.contiguous()?;
    cut.reshape((batch * across * across, window, window, columns))
}

/// Puts windows back into `[batch, side, side, columns]`.
fn join_windows(cut: &Tensor, side: usize) -> Result<Tensor> {
    let (count, window, _, columns) = cut.dims4()?;
    let across = side.div_ceil(window);
    let batch = count / (across * across);
    let whole = cut.reshape(&[batch, across, across, window, window, columns][..])?;
    let whole = whole.permute(vec![0, 1, 3, 2, 4, 5])?.contiguous()?;
    let whole = whole.reshape((batch, across * window, across * window, columns))?;
    whole.narrow(1, 0, side)?.narrow(2, 0, side)?.contiguous()
}

/// What a 3 x 3 convolution with a border of one and this stride multiplies: `[batch, side, side, columns]` becomes
/// `[batch, out, out, 9 * columns]`, place by place (rows first), columns innermost.
pub fn patches_3x3(x: &Tensor, stride: usize) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::takes(x) {
        return cuda::patches_3x3(x, stride).map_err(candle_core::Error::wrap);
    }
    let (batch, side, _, columns) = x.dims4()?;
    let out = out_side(side, stride);
    let padded = x.pad_with_zeros(1, 1, stride)?.pad_with_zeros(2, 1, stride)?;
    // Every `stride`-th place from `first` on.
    let taken = |x: &Tensor, dimension: usize, first: usize| -> Result<Tensor> {
        let mut shape = x.narrow(dimension, first, out * stride)?.dims().to_vec();
        let part = x.narrow(dimension, first, out * stride)?.contiguous()?;
        shape.splice(dimension..=dimension, [out, stride]);
        part.reshape(shape)?
            .narrow(dimension + 1, 0, 1)?
            .squeeze(dimension + 1)
    };
    let mut places = Vec::new();
    for y in 0..3 {
        let rows = taken(&padded, 1, y)?;
        for x in 0..3 {
            places.push(taken(&rows, 2, x)?);
        }
    }
    Tensor::cat(&places, 3)?.reshape((batch, out, out, 9 * columns))
}

/// Side of what such a convolution puts out.
fn out_side(side: usize, stride: usize) -> usize {
    (side - 1) / stride + 1
}

/// Side of a patch of pixels.
pub const PATCH: usize = 16;

/// Pixels `[batch, side, side, 3]` of 8 bits to patches `[batch, side / 16, side / 16, 768]`, channel by channel and row by
/// row, each value by the table `levels` of 256.
pub fn pixel_patches(pixels: &Tensor, levels: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::takes(levels) {
        return cuda::pixel_patches(pixels, levels).map_err(candle_core::Error::wrap);
    }
    let (batch, side, _, _) = pixels.dims4()?;
    let grid = side / PATCH;
    // Widened, because candle takes the largest index of a type, here white, for "none".
    let index = pixels.flatten_all()?.to_dtype(DType::U32)?;
    let values = levels
        .index_select(&index, 0)?
        .reshape(&[batch, grid, PATCH, grid, PATCH, 3][..])?;
    let patches = values.permute(vec![0, 1, 3, 5, 2, 4])?.contiguous()?;
    patches.reshape((batch, grid, grid, 3 * PATCH * PATCH))
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::{Activation, Added, Norm, Product};
    use crate::buffer::address;
    use crate::error::{KernelError, Result};
    use crate::ffi::{Address, Gpu, NormLayout, Shape, arguments};
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

    /// Columns of the widest norm.
    pub(super) const MOST_COLUMNS: usize = 1024;

    pub(super) fn norm_rows(
        x: &Tensor,
        product: Option<Product<'_>>,
        norm: Norm<'_>,
        window: Option<usize>,
    ) -> Result<(Tensor, Tensor)> {
        let (x_batch, side, other, columns) = x.dims4()?;
        if side != other || window == Some(0) {
            let text = format!("{:?} are no square grids", x.dims());
            return Err(KernelError::argument(text));
        }
        let device = x.device();
        check("a norm's weight", norm.weight, &[columns], device)?;
        check("a norm's bias", norm.bias, &[columns], device)?;
        let windows_of = |window: usize| side.div_ceil(window).pow(2);
        let mut addresses = [Address::NULL; 2];
        let mut batch = x_batch;
        if let Some(product) = product {
            let values = product.values;
            let count = values.dim(0)?;
            let shape = match product.window {
                None => {
                    batch = count;
                    [batch, side, side, columns]
                }
                Some(window) => {
                    batch = count / windows_of(window.max(1));
                    [batch * windows_of(window.max(1)), window, window, columns]
                }
            };
            check("a product", values, &shape, device)?;
            check("a bias", product.bias, &[columns], device)?;
            addresses = [address("a product", values)?, address("a bias", product.bias)?];
        }
        if batch == 0 || (x_batch != batch && x_batch != 1) {
            let text = format!("{x_batch} grids are no residual for {batch}");
            return Err(KernelError::argument(text));
        }
        let sum = match product {
            Some(_) => room(x, &[batch, side, side, columns])?,
            None => x.clone(),
        };
        let out = match window {
            Some(window) => room(x, &[batch * windows_of(window), window, window, columns])?,
            None => room(x, &[batch, side, side, columns])?,
        };
        let rows = out.elem_count() / columns;
        if rows > i32::MAX as usize {
            return Err(KernelError::argument(format!("{rows} rows are too many")));
        }
        let layout = NormLayout {
            rows: rows as i32,
            x_rows: (x_batch * side * side) as i32,
            columns: columns as i32,
            side: side as i32,
            product_window: product.and_then(|product| product.window).unwrap_or(0) as i32,
            out_window: window.unwrap_or(0) as i32,
            epsilon: norm.epsilon,
        };
        let arguments = arguments![
            address("x", x)?,
            addresses[0],
            addresses[1],
            address("a norm's weight", norm.weight)?,
            address("a norm's bias", norm.bias)?,
            address("the sum", &sum)?,
            address("the result", &out)?,
            layout,
        ];
        let shape = Shape::new([rows.div_ceil(8) as u32, 1, 1], THREADS as u32).waiting();
        // SAFETY: shapes, dtypes and layouts were checked; a row of at most 1,024 columns is the kernel's; every place of a
        // grid lies in one of its windows, so sum and result are written whole.
        unsafe { Gpu::new(device)?.launch("norm_rows", shape, arguments) }?;
        Ok((sum, out))
    }

    pub(super) fn patches_3x3(x: &Tensor, stride: usize) -> Result<Tensor> {
        let (batch, side, other, columns) = x.dims4()?;
        if side != other || !(1..=2).contains(&stride) {
            let text = format!("{:?} with a stride of {stride} is no grid to convolve", x.dims());
            return Err(KernelError::argument(text));
        }
        let across = super::out_side(side, stride);
        let out = room(x, &[batch, across, across, 9 * columns])?;
        let (groups, shape) = launch_of(&out)?;
        let arguments = arguments![
            address("x", x)?,
            address("the result", &out)?,
            groups,
            side as i32,
            across as i32,
            columns as i32,
            stride as i32,
        ];
        // SAFETY: as in `finish`; the kernel reads places of the grid only.
        unsafe { Gpu::new(x.device())?.launch("patches_3x3", shape, arguments) }?;
        Ok(out)
    }

    pub(super) fn pixel_patches(pixels: &Tensor, levels: &Tensor) -> Result<Tensor> {
        let (batch, side, other, channels) = pixels.dims4()?;
        if side != other || channels != 3 || !side.is_multiple_of(super::PATCH) || !pixels.is_contiguous() {
            let text = format!("{:?} are no square images of whole patches", pixels.dims());
            return Err(KernelError::argument(text));
        }
        check("levels", levels, &[256], pixels.device())?;
        let grid = side / super::PATCH;
        let out = room(levels, &[batch, grid, grid, 3 * super::PATCH * super::PATCH])?;
        let (groups, shape) = launch_of(&out)?;
        let arguments = arguments![
            address("pixels", pixels)?,
            address("levels", levels)?,
            address("the result", &out)?,
            groups,
            side as i32,
        ];
        // SAFETY: as in `finish`; pixels are bytes (`address` gives no other type that has this many).
        unsafe { Gpu::new(levels.device())?.launch("pixel_patches", shape, arguments) }?;
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
        let back = join_windows(&cut, side)?;
        assert_eq!((x - back)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
        Ok(())
    }

    #[test]
    fn a_norm_adds_what_it_is_given_first() -> Result<()> {
        let device = Device::Cpu;
        let x = Tensor::new(&[[[[1f32, 2.0, 6.0]]]], &device)?;
        let values = Tensor::new(&[[[[1f32, 1.0, -2.0]]], [[[0.0, 0.0, 0.0]]]], &device)?;
        let bias = Tensor::new(&[1f32, 0.0, 0.0], &device)?;
        let norm = Norm {
            weight: &Tensor::new(&[1f32, 1.0, 2.0], &device)?,
            bias: &Tensor::new(&[0f32, 1.0, 0.0], &device)?,
            epsilon: 0.0,
        };
        let product = Product {
            values: &values,
            bias: &bias,
            window: None,
        };
        let (sum, normed) = norm_rows(&x, Some(product), norm, None)?;
        assert_eq!(
            sum.flatten_all()?.to_vec1::<f32>()?,
            [3.0, 3.0, 4.0, 2.0, 2.0, 6.0]
        );
        // Means 10/3, standard deviations sqrt(2)/3 and 4 sqrt(2)/3.
        let half = 0.5f32.sqrt();
        let want = [-half, 1.0 - half, 4.0 * half, -half, 1.0 - half, 4.0 * half];
        for (got, want) in normed.flatten_all()?.to_vec1::<f32>()?.iter().zip(want) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        Ok(())
    }

    #[test]
    fn patches_are_what_a_convolution_multiplies() -> Result<()> {
        let (device, columns, outputs) = (Device::Cpu, 5, 4);
        for (side, stride) in [(6, 1), (6, 2), (5, 2)] {
            let x = Tensor::randn(0f32, 1.0, (2, side, side, columns), &device)?;
            let weight = Tensor::randn(0f32, 1.0, (outputs, columns, 3, 3), &device)?;
            let want = x
                .permute((0, 3, 1, 2))?
                .contiguous()?
                .conv2d(&weight, 1, stride, 1, 1)?;
            let rows = patches_3x3(&x, stride)?;
            let out = rows.dim(1)?;
            let by_place = weight.permute((0, 2, 3, 1))?.reshape((outputs, 9 * columns))?;
            let got = rows.reshape(((), 9 * columns))?.matmul(&by_place.t()?)?;
            let got = got.reshape((2, out, out, outputs))?.permute((0, 3, 1, 2))?;
            let error = (got - want)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(error < 1e-4, "{side} by {stride}: {error}");
        }
        Ok(())
    }

    #[test]
    fn patches_of_pixels_go_by_channel_and_row() -> Result<()> {
        let (device, batch, side) = (Device::Cpu, 2, 32);
        let bytes: Vec<u8> = (0..batch * side * side * 3)
            .map(|n| ((n * 7919) >> 3) as u8)
            .collect();
        let levels = Tensor::arange(0f32, 256.0, &device)?;
        let pixels = Tensor::from_slice(&bytes, (batch, side, side, 3), &device)?;
        let patches = pixel_patches(&pixels, &levels)?;
        assert_eq!(patches.dims(), [batch, 2, 2, 768]);
        let at =
            |b: usize, y: usize, x: usize, c: usize| f32::from(bytes[((b * side + y) * side + x) * 3 + c]);
        let patch = patches.get(1)?.get(0)?.get(1)?.to_vec1::<f32>()?;
        assert_eq!(
            (patch[0], patch[1], patch[16]),
            (at(1, 0, 16, 0), at(1, 0, 17, 0), at(1, 1, 16, 0))
        );
        assert_eq!(patch[256 * 2 + 16 * 5 + 3], at(1, 5, 19, 2));
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
        for comparison in crate::check::vision_rows(&gpu).map_err(candle_core::Error::wrap)? {
            assert!(comparison.holds(), "{comparison:?}");
        }
        Ok(())
    }
}
