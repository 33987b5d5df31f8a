//! What the comparisons need of the host: copies of the weights and of buffers, and several cores.

use crate::buffer::Buffer;
use crate::dimensions::{EXPERT_INTER, HIDDEN, MAX_CONTEXT};
use crate::error::Result;
use crate::ops::experts::ExpertWeights;
use crate::step::cos_sin;
use crate::weights::{DecoderWeights, LayerWeights, MlpWeights};
use candle_core::{DType, Tensor};
use half::bf16;

/// All weights as the twins read them.
pub(super) struct HostWeights {
    pub(super) embed_tokens: Vec<bf16>,
    pub(super) norm: Vec<bf16>,
    pub(super) lm_head: Vec<bf16>,
    pub(super) layers: Vec<HostLayer>,
    /// (cos, sin), 64 a position.
    pub(super) turns: Vec<(f32, f32)>,
}

pub(super) struct HostLayer {
    pub(super) input_norm: Vec<bf16>,
    pub(super) qkv: Vec<bf16>,
    pub(super) o: Vec<bf16>,
    pub(super) post_norm: Vec<bf16>,
    mlp: HostMlp,
}

enum HostMlp {
    Dense {
        gate_up: Vec<bf16>,
        down: Vec<bf16>,
    },
    Experts {
        gate: Vec<bf16>,
        gate_up: Vec<bf16>,
        down: Vec<bf16>,
        shared_gate_up: Vec<bf16>,
        shared_down: Vec<bf16>,
    },
}

impl HostWeights {
    pub(super) fn new(weights: &DecoderWeights) -> Result<Self> {
        Ok(Self {
            embed_tokens: matrix(&weights.embed_tokens)?,
            norm: matrix(&weights.norm)?,
            lm_head: matrix(&weights.lm_head)?,
            layers: weights.layers.iter().map(HostLayer::new).collect::<Result<_>>()?,
            turns: cos_sin(MAX_CONTEXT)
                .chunks(2)
                .map(|turn| (turn[0], turn[1]))
                .collect(),
        })
    }
}

impl HostLayer {
    fn new(layer: &LayerWeights) -> Result<Self> {
        let mlp = match &layer.mlp {
            MlpWeights::Dense { gate_up, down } => HostMlp::Dense {
                gate_up: matrix(gate_up)?,
                down: matrix(down)?,
            },
            MlpWeights::Experts {
                gate,
                gate_up,
                down,
                shared_gate_up,
                shared_down,
                scales: _,
            } => HostMlp::Experts {
                gate: matrix(gate)?,
                gate_up: matrix(gate_up)?,
                down: matrix(down)?,
                shared_gate_up: matrix(shared_gate_up)?,
                shared_down: matrix(shared_down)?,
            },
        };
        Ok(Self {
            input_norm: matrix(&layer.input_norm)?,
            qkv: matrix(&layer.qkv)?,
            o: matrix(&layer.o)?,
            post_norm: matrix(&layer.post_norm)?,
            mlp,
        })
    }

    /// Gate and up, and down.
    pub(super) fn dense(&self) -> (&[bf16], &[bf16]) {
        match &self.mlp {
            HostMlp::Dense { gate_up, down } => (gate_up, down),
            HostMlp::Experts { .. } => unreachable!("the check's layer 0 is dense"),
        }
    }

    /// The router's gate, and the experts.
    pub(super) fn experts(&self) -> (&[bf16], ExpertWeights<'_>) {
        match &self.mlp {
            HostMlp::Experts {
                gate,
                gate_up,
                down,
                shared_gate_up,
                shared_down,
            } => (
                gate,
                ExpertWeights {
                    gate_up,
                    down,
                    shared_gate_up,
                    shared_down,
                    inter: EXPERT_INTER,
                },
            ),
            HostMlp::Dense { .. } => unreachable!("the check's layer 1 has experts"),
        }
    }
}

/// All values of a bf16 tensor.
pub(super) fn matrix(tensor: &Tensor) -> Result<Vec<bf16>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

/// The first rows of a buffer of floats.
pub(super) fn wide(buffer: &Buffer, rows: usize) -> Result<Vec<f32>> {
    Ok(buffer
        .rows(rows)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1()?)
}

/// The first rows of a buffer of integers.
pub(super) fn ints(buffer: &Buffer, rows: usize) -> Result<Vec<i32>> {
    Ok(buffer.rows(rows)?.flatten_all()?.to_vec1()?)
}

/// One position's key or value from a whole cache.
pub(super) fn cached(cache: &[bf16], pages: &[i32], position: usize) -> Vec<f32> {
    slot(cache, pages, position)
        .iter()
        .map(|value| value.to_f32())
        .collect()
}

/// The first `length` positions.
pub(super) fn context(cache: &[bf16], pages: &[i32], length: usize) -> Vec<bf16> {
    (0..length)
        .flat_map(|position| slot(cache, pages, position))
        .copied()
        .collect()
}

fn slot<'a>(cache: &'a [bf16], pages: &[i32], position: usize) -> &'a [bf16] {
    const PAGE: usize = 32;
    let at = pages[position / PAGE] as usize * PAGE + position % PAGE;
    &cache[at * HIDDEN..][..HIDDEN]
}

/// |got - want| / |want|. Not a number counts as infinite.
pub(super) fn relative_error(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len(), "as many values as wanted");
    let square = |sum: f64, value: f64| sum + value * value;
    let difference = got
        .iter()
        .zip(want)
        .map(|(g, w)| f64::from(g - w))
        .fold(0.0, square);
    let size = want.iter().map(|w| f64::from(*w)).fold(0.0, square);
    let error = (difference / size).sqrt() as f32;
    if error.is_nan() { f32::INFINITY } else { error }
}

/// `work(0) .. work(count - 1)`, on all cores.
pub(super) fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut results: Vec<Option<T>> = (0..count).map(|_| None).collect();
    std::thread::scope(|scope| {
        for (part, results) in results.chunks_mut(count.div_ceil(threads).max(1)).enumerate() {
            let (work, first) = (&work, part * count.div_ceil(threads).max(1));
            scope.spawn(move || {
                results
                    .iter_mut()
                    .enumerate()
                    .for_each(|(at, result)| *result = Some(work(first + at)));
            });
        }
    });
    results
        .into_iter()
        .map(|result| result.expect("every part was done"))
        .collect()
}
