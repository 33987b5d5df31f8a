//! Position tables for other grids than they were trained on, in f32 on the host: once for each grid, then kept.
//!
//! Upstream resizes them with PyTorch's `interpolate`: bicubic with antialiasing for positions, linear for relative
//! positions, corners not aligned. The weights of an output cell are those of Pillow's resampling, without rounding.

use candle_core::Result;
use std::collections::HashMap;
use std::sync::Mutex;

/// What was made for each grid that was met, by its side.
pub struct PerGrid<T>(Mutex<HashMap<usize, T>>);

impl<T: Clone> PerGrid<T> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// What there is for a grid; made where it is not.
    pub fn get(&self, side: usize, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut made = self.0.lock().expect("no panic while a table is made");
        if let Some(found) = made.get(&side) {
            return Ok(found.clone());
        }
        let new = make()?;
        made.insert(side, new.clone());
        Ok(new)
    }
}

/// Keys' cubic with a = -0.5, which PyTorch takes where it antialiases.
const A: f64 = -0.5;

/// For each output cell the first input cell and the weights from there on.
type Weights = Vec<(usize, Vec<f32>)>;

fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn cubic_weights(from: usize, to: usize) -> Weights {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    (0..to)
        .map(|cell| {
            let centre = scale * (cell as f64 + 0.5);
            let first = (centre - support + 0.5).max(0.0) as usize;
            let last = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..last)
                .map(|at| cubic((at as f64 - centre + 0.5) / stretch))
                .collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.iter().map(|w| (w / sum) as f32).collect())
        })
        .collect()
}

/// A `side` x `side` table of `width` channels, row-major, resized to `to` x `to`.
pub fn bicubic(table: &[f32], side: usize, width: usize, to: usize) -> Vec<f32> {
    assert_eq!(table.len(), side * side * width, "a square table");
    if side == to {
        return table.to_vec();
    }
    let weights = cubic_weights(side, to);
    let mut across = vec![0f32; side * to * width];
    for y in 0..side {
        for (x, (first, weights)) in weights.iter().enumerate() {
            let out = &mut across[(y * to + x) * width..][..width];
            for (n, weight) in weights.iter().enumerate() {
                add(out, &table[(y * side + first + n) * width..][..width], *weight);
            }
        }
    }
    let row = to * width;
    let mut resized = vec![0f32; to * row];
    for (y, (first, weights)) in weights.iter().enumerate() {
        let out = &mut resized[y * row..][..row];
        for (n, weight) in weights.iter().enumerate() {
            add(out, &across[(first + n) * row..][..row], *weight);
        }
    }
    resized
}

/// `rows` rows of `width`, linearly interpolated to `to` rows.
pub fn linear(table: &[f32], rows: usize, width: usize, to: usize) -> Vec<f32> {
    assert_eq!(table.len(), rows * width, "a table of rows");
    if rows == to {
        return table.to_vec();
    }
    let scale = rows as f64 / to as f64;
    let mut resized = vec![0f32; to * width];
    for (cell, out) in resized.chunks_exact_mut(width).enumerate() {
        let at = (scale * (cell as f64 + 0.5) - 0.5).max(0.0);
        let low = (at as usize).min(rows - 1);
        let high = (low + 1).min(rows - 1);
        let share = (at - low as f64) as f32;
        add(out, &table[low * width..][..width], 1.0 - share);
        add(out, &table[high * width..][..width], share);
    }
    resized
}

fn add(out: &mut [f32], row: &[f32], weight: f32) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += weight * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_synthetic::Kind;
    use safetensors::SafeTensors;

    /// A tensor of the tiny checkpoint, its bf16 widened.
    fn tensor(name: &str) -> Vec<f32> {
        let shape = &Kind::Tiny.dimensions().shapes()[name];
        let bits = ocr_synthetic::tensor(Kind::Tiny, 1, name, shape);
        bits.into_iter()
            .map(|bits| f32::from_bits(u32::from(bits) << 16))
            .collect()
    }

    /// PyTorch's own tables, which host/conformance/deepseek_ocr/make_fixtures.py keeps.
    #[test]
    fn tables_are_pytorchs_for_every_grid() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tables.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let kept = metadata.metadata().clone().unwrap();
        let positions = tensor("model.sam_model.pos_embed");
        let clip = &tensor("model.vision_model.embeddings.position_embedding.weight")[64..];
        let relative = tensor("model.sam_model.blocks.1.attn.rel_pos_h");
        let mut seen = 0;
        for (name, view) in file.tensors() {
            let (what, side) = name.split_once('.').unwrap();
            let side: usize = side.parse().unwrap();
            let made = match what {
                "sam" => bicubic(&positions, 64, 48, side),
                "clip" => bicubic(clip, 16, 64, side),
                "relative" => linear(&relative, 127, 16, 2 * side - 1),
                _ => panic!("a table `{name}` that nobody knows"),
            };
            let stride = kept.get(&name).map_or(1, |text| {
                serde_json::from_str::<serde_json::Value>(text).unwrap()["stride"]
                    .as_u64()
                    .unwrap() as usize
            });
            let expected = view
                .data()
                .chunks_exact(4)
                .map(|v| f32::from_le_bytes(v.try_into().unwrap()));
            let made: Vec<f32> = made.into_iter().step_by(stride).collect();
            assert_eq!(made.len(), expected.len(), "{name}");
            let most = made
                .iter()
                .zip(expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(most < 1e-5, "{name} is off by {most:.1e}");
            seen += 1;
        }
        assert_eq!(seen, 9);
    }
}
