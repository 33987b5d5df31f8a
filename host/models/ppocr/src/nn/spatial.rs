//! Kernels that look at a neighbourhood: rows of dense convolutions, pools and means.

use super::depthwise::Window;
use super::gemm::{Packed, Source};
use super::pointwise::Activation;
use super::run::{Activations, WORTH_SPLITTING};
use rayon::prelude::*;

/// One output row of a dense convolution. Inside the row the kernel's rows are read where they lie; at its ends,
/// where the kernel reaches over an edge, its inputs are gathered.
pub(super) fn convolve_row(
    input: &Activations,
    window: Window,
    packed: &Packed,
    row: usize,
    activation: Activation,
    residual: Option<&[f32]>,
    out: &mut [f32],
) {
    let channels = input.channels;
    let columns = out.len() / packed.width;
    let kernel_rows = window.rows_inside(row, input.height);
    let inside = match kernel_rows.is_empty() {
        true => 0..0,
        false => window.columns_inside(input.width, columns),
    };
    if !inside.is_empty() {
        let y = row * window.stride.0 + kernel_rows.start - window.before.0;
        let x = inside.start * window.stride.1 - window.before.1;
        let source = Source {
            data: &input.data[(y * input.width + x) * channels..],
            step: window.stride.1 * channels,
            stride: input.width * channels,
            stretches: kernel_rows.len(),
            length: window.kernel.1 * channels,
            first_input: kernel_rows.start * window.kernel.1 * channels,
        };
        let span = inside.start * packed.width..inside.end * packed.width;
        packed.apply(
            source,
            activation,
            residual.map(|r| &r[span.clone()]),
            &mut out[span],
        );
    }
    let mut gathered = Vec::new();
    for x in (0..columns).filter(|x| !inside.contains(x)) {
        gathered.resize(packed.depth, 0.0);
        gather(input, window, (row, x), &mut gathered);
        let span = x * packed.width..(x + 1) * packed.width;
        let source = Source::rows(&gathered, packed.depth);
        packed.apply(
            source,
            activation,
            residual.map(|r| &r[span.clone()]),
            &mut out[span],
        );
    }
}

/// Everything the kernel of one output pixel covers, zeros beyond the edges.
pub(super) fn gather(input: &Activations, window: Window, (y, x): (usize, usize), out: &mut [f32]) {
    let channels = input.channels;
    for (tap, out) in out.chunks_exact_mut(channels).enumerate() {
        let (ky, kx) = (tap / window.kernel.1, tap % window.kernel.1);
        // Wraps to a huge number before the edge.
        let iy = (y * window.stride.0 + ky).wrapping_sub(window.before.0);
        let ix = (x * window.stride.1 + kx).wrapping_sub(window.before.1);
        if iy < input.height && ix < input.width {
            out.copy_from_slice(&input.data[(iy * input.width + ix) * channels..][..channels]);
        } else {
            out.fill(0.0);
        }
    }
}

pub(super) fn mean(input: &Activations, out: &mut [f32]) {
    // Sums of the rows' sums: thousands of pixels would lose digits in one f32.
    let channels = input.channels;
    let chunk = input.width.max(1) * channels;
    let sum = |row: &[f32]| {
        let mut sums = vec![0.0f32; channels];
        for pixel in row.chunks_exact(channels) {
            sums.iter_mut().zip(pixel).for_each(|(s, v)| *s += v);
        }
        sums
    };
    let rows: Vec<Vec<f32>> = if input.data.len() < WORTH_SPLITTING || rayon::current_num_threads() == 1 {
        input.data.chunks(chunk).map(sum).collect()
    } else {
        input.data.par_chunks(chunk).map(sum).collect()
    };
    out.fill(0.0);
    for row in &rows {
        out.iter_mut().zip(row).for_each(|(o, v)| *o += v);
    }
    let share = 1.0 / input.pixels().max(1) as f32;
    out.iter_mut().for_each(|o| *o *= share);
}

pub(super) fn max_pool(input: &Activations, window: Window, first_row: usize, width: usize, out: &mut [f32]) {
    let channels = input.channels;
    out.fill(f32::MIN);
    for (n, out) in out.chunks_exact_mut(width * channels).enumerate() {
        for ky in window.rows_inside(first_row + n, input.height) {
            let iy = (first_row + n) * window.stride.0 + ky - window.before.0;
            let from = &input.data[iy * input.width * channels..][..input.width * channels];
            for kx in 0..window.kernel.1 {
                max_row(from, channels, (window.stride.1, kx, window.before.1), out);
            }
        }
    }
}

/// The greater of `out` and one kernel column's values, which start at pixel `kx - before` and lie `stride` apart.
pub(super) fn max_row(
    from: &[f32],
    channels: usize,
    (stride, kx, before): (usize, usize, usize),
    out: &mut [f32],
) {
    let greater = |(o, &v): (&mut f32, &f32)| *o = if v > *o { v } else { *o };
    if stride == 1 {
        // Neighbours lie together: one stretch of values.
        let (skip, start) = (
            before.saturating_sub(kx) * channels,
            kx.saturating_sub(before) * channels,
        );
        let (skip, start) = (skip.min(out.len()), start.min(from.len()));
        out[skip..].iter_mut().zip(&from[start..]).for_each(greater);
        return;
    }
    for (x, out) in out.chunks_exact_mut(channels).enumerate() {
        let at = (x * stride + kx).wrapping_sub(before).saturating_mul(channels);
        if let Some(pixel) = from.get(at..at.saturating_add(channels)) {
            out.iter_mut().zip(pixel).for_each(greater);
        }
    }
}

pub(super) fn average_pool(input: &Activations, window: Window, width: usize, out: &mut [f32]) {
    let channels = input.channels;
    let share = 1.0 / (window.kernel.0 * window.kernel.1) as f32;
    for (n, out) in out.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (n / width, n % width);
        out.fill(0.0);
        for (ky, kx) in
            (0..window.kernel.0 * window.kernel.1).map(|k| (k / window.kernel.1, k % window.kernel.1))
        {
            let at = ((y * window.stride.0 + ky) * input.width + x * window.stride.1 + kx) * channels;
            out.iter_mut()
                .zip(&input.data[at..][..channels])
                .for_each(|(o, v)| *o += v * share);
        }
    }
}
