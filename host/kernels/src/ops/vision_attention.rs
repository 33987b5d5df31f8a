//! Attention of the vision towers: SAM's windows and whole grids with their decomposed relative position, CLIP without.

use crate::math::{dot, softmax};
use half::bf16;

#[cfg(feature = "cuda")]
pub use cuda::{RelativePosition, vision_attention};

/// Values of a head, in both towers.
pub const HEAD_DIM: usize = 64;

/// One query's row: softmax(q . k / 8 + bias) v. `bias` has a value for each key, or none at all.
pub fn attend(q: &[f32], keys: &[&[bf16]], values: &[&[bf16]], bias: &[f32]) -> Vec<f32> {
    let scale = (q.len() as f32).sqrt().recip();
    let bias = bias.iter().copied().chain(std::iter::repeat(0.0));
    let scores: Vec<f32> = keys
        .iter()
        .zip(bias)
        .map(|(key, bias)| dot(key, q) * scale + bias)
        .collect();
    let mut out = vec![0.0; q.len()];
    for (p, value) in softmax(&scores).iter().zip(values) {
        out.iter_mut()
            .zip(*value)
            .for_each(|(sum, v)| *sum += p * v.to_f32());
    }
    out
}

/// The bias of a query at (y, x) of a grid for all its keys: `q . height[y - ky + side - 1] + q . width[x - kx + side - 1]`,
/// the query unscaled, tables [2 side - 1, head].
pub fn relative_bias(
    q: &[f32],
    (y, x): (usize, usize),
    side: usize,
    height: &[bf16],
    width: &[bf16],
) -> Vec<f32> {
    let along = |table: &[bf16], at: usize| -> Vec<f32> {
        (0..side)
            .map(|k| dot(&table[(at + side - 1 - k) * q.len()..][..q.len()], q))
            .collect()
    };
    let (of_y, of_x) = (along(height, y), along(width, x));
    of_y.iter()
        .flat_map(|of_y| of_x.iter().map(move |of_x| of_y + of_x))
        .collect()
}

#[cfg(feature = "cuda")]
pub(crate) use cuda::KERNELS;

#[cfg(feature = "cuda")]
mod cuda {
    use super::HEAD_DIM;
    use crate::buffer::address;
    use crate::error::{KernelError, Result};
    use crate::ffi::{Address, Gpu, Shape, VisionLayout, arguments};
    use crate::weights::check;
    use candle_core::op::BackpropOp;
    use candle_core::{CudaStorage, Storage, Tensor};
    use half::bf16;

    /// SAM's relative position for a square grid, bf16 [2 side - 1, 64] each, resized to the grid already.
    #[derive(Debug, Clone, Copy)]
    pub struct RelativePosition<'a> {
        /// `rel_pos_h`.
        pub height: &'a Tensor,
        /// `rel_pos_w`.
        pub width: &'a Tensor,
    }

    /// A variant of the kernel.
    pub(crate) struct Kernel {
        pub(crate) name: &'static str,
        /// Keys of a tile.
        tile: usize,
        stages: usize,
        most_warps: usize,
        /// The longest side of a grid, 0 without a bias.
        most_side: usize,
    }

    const PLAIN: Kernel = Kernel {
        name: "vision_attention",
        tile: 64,
        stages: 3,
        most_warps: 13,
        most_side: 0,
    };
    const TILE_64: Kernel = Kernel {
        name: "vision_attention_t64",
        tile: 64,
        stages: 3,
        most_warps: 13,
        most_side: 64,
    };
    const TILE_80: Kernel = Kernel {
        name: "vision_attention_t80",
        tile: 80,
        stages: 2,
        most_warps: 8,
        most_side: 80,
    };
    /// A tile is one row of a grid of 64.
    const ROW_64: Kernel = Kernel {
        name: "vision_attention_r64",
        tile: 64,
        stages: 3,
        most_warps: 8,
        most_side: 64,
    };
    /// And of 40.
    const ROW_40: Kernel = Kernel {
        name: "vision_attention_r40",
        tile: 48,
        stages: 3,
        most_warps: 8,
        most_side: 40,
    };
    /// All of them.
    pub(crate) const KERNELS: [Kernel; 5] = [PLAIN, TILE_64, TILE_80, ROW_64, ROW_40];

    /// Queries of a warp.
    const QUERIES: usize = 16;
    /// Warps of a block where a block can't have all queries: a whole grid's keys are read once for each block.
    const WARPS_OF_A_GRID: usize = 8;
    /// The same without a bias, where there are few queries and many multiprocessors.
    const WARPS_WITHOUT_BIAS: usize = 4;

    impl Kernel {
        fn shared_bytes(&self, warps: usize, side: usize) -> usize {
            let bias = if side == 0 {
                0
            } else {
                warps * QUERIES * (side + 1) * 4
            };
            self.stages * self.tile * 2 * HEAD_DIM * 2 + bias
        }

        /// Over all launches: 13 warps have windows, whose grids are small; the longest sides have 8.
        pub(crate) fn most_shared_bytes(&self) -> u32 {
            self.shared_bytes(self.most_warps.min(WARPS_OF_A_GRID), self.most_side) as u32
        }

        /// Keys of a tile that hold whole rows of a grid, at most four.
        fn used(&self, side: usize) -> usize {
            (self.tile / side).min(4) * side
        }
    }

    /// The kernel and its warps for this many tokens; the one whose tiles a grid fills best.
    pub(super) fn choose(tokens: usize, side: usize) -> (&'static Kernel, usize) {
        const ALL: &[Kernel; 5] = &KERNELS;
        let warps = tokens.div_ceil(QUERIES);
        match side {
            64 => return (&ALL[3], WARPS_OF_A_GRID),
            40 => return (&ALL[4], WARPS_OF_A_GRID),
            _ => {}
        }
        if side == 0 {
            return (&ALL[0], if warps <= 8 { warps } else { WARPS_WITHOUT_BIAS });
        }
        let fills = |kernel: &Kernel| kernel.used(side) as f32 / kernel.tile as f32;
        let kernel = if fills(&ALL[1]) >= fills(&ALL[2]) {
            &ALL[1]
        } else {
            &ALL[2]
        };
        (
            kernel,
            if warps <= kernel.most_warps {
                warps
            } else {
                WARPS_OF_A_GRID
            },
        )
    }

    /// Attention of every head over each sequence of a batch. `qkv` [batch, tokens, 3 heads 64], as a linear layer over q, k
    /// and v leaves it; the result is [batch, tokens, heads 64]. `qkv_bias`, [3 heads 64], is that layer's, if it was not
    /// added. With a relative position, tokens are a grid of an even side up to 80.
    ///
    /// bf16, contiguous, on a device from [`open`](crate::open).
    pub fn vision_attention(
        qkv: &Tensor,
        heads: usize,
        qkv_bias: Option<&Tensor>,
        bias: Option<RelativePosition<'_>>,
    ) -> Result<Tensor> {
        let (batch, tokens, width) = qkv.dims3()?;
        let device = qkv.device();
        check("qkv", qkv, &[batch, tokens, 3 * heads * HEAD_DIM], device)?;
        if width == 0 || batch * tokens == 0 || batch > 65_535 || heads > 65_535 {
            let text = format!(
                "qkv of {batch} x {tokens} tokens and {heads} heads is nothing that can be attended to"
            );
            return Err(KernelError::argument(text));
        }
        let mut of_qkv = Address::NULL;
        if let Some(qkv_bias) = qkv_bias {
            check("qkv's bias", qkv_bias, &[width], device)?;
            of_qkv = address("qkv's bias", qkv_bias)?;
        }
        let mut side = 0;
        let (mut height, mut of_width) = (Address::NULL, Address::NULL);
        if let Some(tables) = bias {
            side = tokens.isqrt();
            if side * side != tokens || !side.is_multiple_of(2) || side > TILE_80.most_side {
                let text = format!("{tokens} tokens are no square grid of an even side up to 80");
                return Err(KernelError::argument(text));
            }
            for (name, table) in [("height", tables.height), ("width", tables.width)] {
                check(name, table, &[2 * side - 1, HEAD_DIM], device)?;
            }
            height = address("height", tables.height)?;
            of_width = address("width", tables.width)?;
        }
        let (kernel, warps) = choose(tokens, side);
        let layout = VisionLayout {
            batch_stride: (tokens * width) as i64,
            token_stride: width as i32,
            matrix_stride: (width / 3) as i32,
            head_stride: HEAD_DIM as i32,
            tokens: tokens as i32,
            heads: heads as i32,
            side: side as i32,
        };
        let gpu = Gpu::new(device)?;
        let cuda = device.as_cuda_device()?;
        // SAFETY: the kernel writes every value of it before anything can read it: the stream orders both.
        let out = unsafe { cuda.alloc::<bf16>(batch * tokens * width / 3) }?;
        let out = Storage::Cuda(CudaStorage::wrap_cuda_slice(out, cuda.clone()));
        let out = Tensor::from_storage(out, (batch, tokens, width / 3), BackpropOp::none(), false);
        let grid = [
            tokens.div_ceil(warps * QUERIES) as u32,
            heads as u32,
            batch as u32,
        ];
        let shape = Shape::new(grid, warps as u32 * 32)
            .shared(kernel.shared_bytes(warps, side) as u32)
            .waiting();
        let arguments = arguments![
            address("qkv", qkv)?,
            of_qkv,
            height,
            of_width,
            address("the result", &out)?,
            layout
        ];
        // SAFETY: shapes, dtype and layout of all tensors were checked above; they are freed behind this launch on the
        // stream, if at all.
        unsafe { gpu.launch(kernel.name, shape, arguments) }?;
        Ok(out)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn grids_get_the_tiles_they_fill() {
            let of = |side: usize| {
                let (kernel, warps) = choose(side * side, side);
                (kernel.tile, warps)
            };
            assert_eq!(
                [14, 32, 40, 64, 80].map(of),
                [(64, 13), (64, 8), (48, 8), (64, 8), (80, 8)]
            );
            assert_eq!(
                [65, 101, 257, 401].map(|tokens| choose(tokens, 0).1),
                [5, 7, 4, 4]
            );
        }

        #[test]
        fn no_launch_wants_more_shared_memory_than_its_kernel_was_given() {
            for side in (2..=80).step_by(2) {
                let (kernel, warps) = choose(side * side, side);
                assert!(
                    kernel.shared_bytes(warps, side) <= kernel.most_shared_bytes() as usize,
                    "side {side}"
                );
                // The bias of kx is staged where the keys will be.
                let ring = kernel.stages * kernel.tile * 256;
                assert!(
                    warps * QUERIES * side * 4 <= ring && warps <= kernel.most_warps,
                    "side {side}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::testing::{assert_close, tensor, values, weights};
    use candle_core::{Device, Tensor};

    /// Against candle, with the bias looked up position by position as SAM's `get_rel_pos` does.
    #[test]
    fn attention_with_a_relative_position_is_candles() {
        let (side, dim) = (4, 8);
        let tokens = side * side;
        let queries = values(1, tokens * dim, 1.0);
        let (keys, contents) = (weights(2, tokens * dim, 1.0), weights(3, tokens * dim, 1.0));
        let (height, width) = (
            weights(4, (2 * side - 1) * dim, 1.0),
            weights(5, (2 * side - 1) * dim, 1.0),
        );
        let q = Tensor::from_vec(queries.clone(), (tokens, dim), &Device::Cpu).unwrap();
        let lookup = |table: &[bf16], coordinate: fn(usize, usize) -> usize| {
            let index = |q: usize, k: usize| (coordinate(q, side) + side - 1 - coordinate(k, side)) as u32;
            let index: Vec<u32> = (0..tokens * tokens)
                .map(|at| index(at / tokens, at % tokens))
                .collect();
            let index = Tensor::from_vec(index, tokens * tokens, &Device::Cpu).unwrap();
            let rows = tensor(table, &[2 * side - 1, dim])
                .index_select(&index, 0)
                .unwrap();
            let rows = rows.reshape((tokens, tokens, dim)).unwrap();
            rows.broadcast_mul(&q.unsqueeze(1).unwrap())
                .unwrap()
                .sum(2)
                .unwrap()
        };
        let bias = (lookup(&height, |at, side| at / side) + lookup(&width, |at, side| at % side)).unwrap();
        let scores = q.matmul(&tensor(&keys, &[tokens, dim]).t().unwrap()).unwrap();
        let scores = ((scores / (dim as f64).sqrt()).unwrap() + bias)
            .unwrap()
            .exp()
            .unwrap();
        let shares = scores.broadcast_div(&scores.sum_keepdim(1).unwrap()).unwrap();
        let want: Vec<Vec<f32>> = shares
            .matmul(&tensor(&contents, &[tokens, dim]))
            .unwrap()
            .to_vec2()
            .unwrap();

        let (keys, contents): (Vec<_>, Vec<_>) = (keys.chunks(dim).collect(), contents.chunks(dim).collect());
        for (at, want) in want.iter().enumerate() {
            let q = &queries[at * dim..][..dim];
            let bias = relative_bias(q, (at / side, at % side), side, &height, &width);
            assert_close(&attend(q, &keys, &contents, &bias), want, 1e-5);
        }
    }
}
