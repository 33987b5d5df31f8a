//! Executes a plan: one step after the other, each split over the pool's threads by rows of its output.

use super::depthwise::Window;
use super::gemm::BLOCK;
use super::plan::{Plan, Step, Value};
use super::pointwise::{activate, softmax};
use crate::net::Output;
use rayon::prelude::*;

/// Below so many output values a step is not worth splitting.
const WORTH_SPLITTING: usize = 16_384;
/// Parts a step is split into, for each thread: more than one, so that an unlucky thread loses little.
const PARTS: usize = 4;

/// An activation: pixels in row order, channels innermost.
#[derive(Default)]
struct Activations {
    height: usize,
    width: usize,
    channels: usize,
    data: Vec<f32>,
}

impl Activations {
    fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    fn pixels(&self) -> usize {
        self.height * self.width
    }
}

impl Plan {
    /// Runs on an NCHW image of three channels, with the threads of the current rayon pool.
    pub fn run(&self, height: usize, width: usize, image: &[f32]) -> Result<Vec<Output>, String> {
        let mut machine = Machine {
            values: Vec::with_capacity(self.steps.len() + 1),
            spare: Vec::new(),
        };
        machine.values.push(interleave(height, width, image));
        for (n, step) in self.steps.iter().enumerate() {
            let result = machine.step(step)?;
            machine.values.push(result);
            for value in step.inputs().filter(|&v| self.last_use[v] == n) {
                let used = std::mem::take(&mut machine.values[value].data);
                machine.spare.push(used);
            }
        }
        Ok(self
            .outputs
            .iter()
            .map(|&v| output(&mut machine.values[v]))
            .collect())
    }
}

/// Channels innermost.
fn interleave(height: usize, width: usize, image: &[f32]) -> Activations {
    let plane = height * width;
    let channels = image.len() / plane.max(1);
    let data = (0..image.len())
        .map(|n| image[n % channels * plane + n / channels])
        .collect();
    Activations {
        height,
        width,
        channels,
        data,
    }
}

/// `[1, pixels, channels]`, which for one channel is `[1, 1, height, width]` as well.
fn output(value: &mut Activations) -> Output {
    let shape = if value.channels == 1 {
        vec![1, 1, value.height, value.width]
    } else {
        vec![1, value.pixels(), value.channels]
    };
    Output {
        shape,
        data: std::mem::take(&mut value.data),
    }
}

struct Machine {
    values: Vec<Activations>,
    /// Buffers of values that nobody reads any more.
    spare: Vec<Vec<f32>>,
}

impl Machine {
    /// A buffer of `length` values, whatever they are.
    fn buffer(&mut self, length: usize) -> Vec<f32> {
        let fit = (0..self.spare.len())
            .filter(|&n| self.spare[n].capacity() >= length)
            .min_by_key(|&n| self.spare[n].capacity());
        let mut buffer = fit.map(|n| self.spare.swap_remove(n)).unwrap_or_default();
        buffer.resize(length, 0.0);
        buffer
    }

    fn step(&mut self, step: &Step) -> Result<Activations, String> {
        let (height, width, channels) = self.shape(step)?;
        let mut data = self.buffer(height * width * channels);
        let value = |v: &Value| &self.values[*v];
        match step {
            Step::Dense {
                input,
                window,
                weights,
                activation,
                residual,
            } => {
                let (input, packed) = (value(input), weights.packed());
                let residual = residual.as_ref().map(|v| value(v).data.as_slice());
                let plain = window.kernel == (1, 1) && window.stride == (1, 1) && window.before == (0, 0);
                let block = BLOCK * channels;
                split(&mut data, block, |first, out| {
                    let pixel = first / channels;
                    let residual = residual.map(|r| &r[first..][..out.len()]);
                    if plain {
                        let pixels =
                            &input.data[pixel * packed.depth..][..out.len() / channels * packed.depth];
                        return packed.apply(pixels, *activation, residual, out);
                    }
                    let mut gathered = vec![0.0; BLOCK * packed.depth];
                    for (n, out) in out.chunks_mut(block).enumerate() {
                        let rows = out.len() / channels;
                        let gathered = &mut gathered[..rows * packed.depth];
                        gather(input, *window, width, pixel + n * BLOCK, gathered);
                        packed.apply(
                            gathered,
                            *activation,
                            residual.map(|r| &r[n * block..][..out.len()]),
                            out,
                        );
                    }
                });
            }
            Step::Depthwise {
                input,
                kernel,
                activation,
            } => {
                let input = value(input);
                let row = width * channels;
                split(&mut data, row, |first, out| {
                    kernel.rows(&input.data, input.size(), first / row, *activation, out);
                });
            }
            Step::Double {
                input,
                weights,
                activation,
            } => {
                let (input, packed) = (value(input), weights.packed());
                let rows = 2 * width * channels;
                split(&mut data, rows, |first, out| {
                    let mut squares = vec![0.0; input.width * packed.width];
                    for (n, out) in out.chunks_exact_mut(rows).enumerate() {
                        let y = first / rows + n;
                        let pixels =
                            &input.data[y * input.width * packed.depth..][..input.width * packed.depth];
                        packed.apply(pixels, *activation, None, &mut squares);
                        let (upper, lower) = out.split_at_mut(width * channels);
                        for (x, square) in squares.chunks_exact(4 * channels).enumerate() {
                            let (top, bottom) = square.split_at(2 * channels);
                            upper[2 * x * channels..][..2 * channels].copy_from_slice(top);
                            lower[2 * x * channels..][..2 * channels].copy_from_slice(bottom);
                        }
                    }
                });
            }
            Step::Add { left, right } => {
                let (left, right) = (&value(left).data, &value(right).data);
                split(&mut data, channels, |first, out| {
                    let (left, right) = (&left[first..][..out.len()], &right[first..][..out.len()]);
                    for ((out, l), r) in out.iter_mut().zip(left).zip(right) {
                        *out = l + r;
                    }
                });
            }
            Step::Scale { input, factors } => {
                let (input, factors) = (&value(input).data, &value(factors).data);
                split(&mut data, channels, |first, out| {
                    let pixels = input[first..][..out.len()].chunks_exact(channels);
                    for (out, pixel) in out.chunks_exact_mut(channels).zip(pixels) {
                        for ((out, value), factor) in out.iter_mut().zip(pixel).zip(factors) {
                            *out = value * factor;
                        }
                    }
                });
            }
            Step::Activate { input, activation } => {
                let input = &value(input).data;
                split(&mut data, channels, |first, out| {
                    out.copy_from_slice(&input[first..][..out.len()]);
                    activate(*activation, out);
                });
            }
            Step::Mean { input } => mean(value(input), &mut data),
            Step::MaxPool { input, window } => {
                let input = value(input);
                let row = width * channels;
                split(&mut data, row, |first, out| {
                    max_pool(input, *window, first / row, width, out)
                });
            }
            Step::AveragePool { input, window } => average_pool(value(input), *window, width, &mut data),
            Step::Concat { inputs } => {
                let inputs: Vec<&Activations> = inputs.iter().map(value).collect();
                split(&mut data, channels, |first, out| {
                    for (n, out) in out.chunks_exact_mut(channels).enumerate() {
                        let (pixel, mut at) = (first / channels + n, 0);
                        for input in &inputs {
                            let from = &input.data[pixel * input.channels..][..input.channels];
                            out[at..at + input.channels].copy_from_slice(from);
                            at += input.channels;
                        }
                    }
                });
            }
            Step::Channels { input, first, count } => {
                let input = value(input);
                for (out, pixel) in data
                    .chunks_exact_mut(*count)
                    .zip(input.data.chunks_exact(input.channels))
                {
                    out.copy_from_slice(&pixel[*first..][..*count]);
                }
            }
            Step::Enlarge { input, factor } => {
                let input = value(input);
                let row = width * channels;
                split(&mut data, row, |first, out| {
                    for (n, out) in out.chunks_exact_mut(row).enumerate() {
                        let y = (first / row + n) / factor;
                        let from = input.data[y * input.width * channels..].chunks_exact(channels);
                        for (out, pixel) in out.chunks_exact_mut(factor * channels).zip(from) {
                            out.chunks_exact_mut(channels)
                                .for_each(|out| out.copy_from_slice(pixel));
                        }
                    }
                });
            }
            Step::Softmax { input } => {
                let input = &value(input).data;
                split(&mut data, channels, |first, out| {
                    out.copy_from_slice(&input[first..][..out.len()]);
                    softmax(out, channels);
                });
            }
        }
        Ok(Activations {
            height,
            width,
            channels,
            data,
        })
    }

    /// Height, width and channels of a step's result; an error for inputs that do not fit.
    fn shape(&self, step: &Step) -> Result<(usize, usize, usize), String> {
        let value = |v: &Value| &self.values[*v];
        let shape = |v: &Value| (value(v).height, value(v).width, value(v).channels);
        let check = |fits: bool, what: &str| {
            if fits {
                Ok(())
            } else {
                Err(format!("{what} does not fit its input"))
            }
        };
        match step {
            Step::Dense {
                input,
                window,
                weights,
                residual,
                ..
            } => {
                let (input, packed) = (value(input), weights.packed());
                let taps = window.kernel.0 * window.kernel.1;
                check(input.channels * taps == packed.depth, "a convolution")?;
                let (height, width) = window.output(input.size());
                let residual_fits = residual
                    .as_ref()
                    .is_none_or(|v| shape(v) == (height, width, packed.width));
                check(residual_fits, "a residual")?;
                Ok((height, width, packed.width))
            }
            Step::Depthwise { input, kernel, .. } => {
                check(
                    value(input).channels == kernel.channels,
                    "a depthwise convolution",
                )?;
                let (height, width) = kernel.window.output(value(input).size());
                Ok((height, width, kernel.channels))
            }
            Step::Double { input, weights, .. } => {
                let (input, packed) = (value(input), weights.packed());
                check(input.channels == packed.depth, "a transposed convolution")?;
                Ok((2 * input.height, 2 * input.width, packed.width / 4))
            }
            Step::Add { left, right } => {
                check(shape(left) == shape(right), "an addition")?;
                Ok(shape(left))
            }
            Step::Scale { input, factors } => {
                let fits = shape(factors) == (1, 1, value(input).channels);
                check(fits, "a factor")?;
                Ok(shape(input))
            }
            Step::Activate { input, .. } | Step::Softmax { input } => Ok(shape(input)),
            Step::Mean { input } => Ok((1, 1, value(input).channels)),
            Step::MaxPool { input, window } | Step::AveragePool { input, window } => {
                let (height, width) = window.output(value(input).size());
                let small = value(input).height + window.before.0 + window.after.0 < window.kernel.0
                    || value(input).width + window.before.1 + window.after.1 < window.kernel.1;
                check(!small, "a pool")?;
                Ok((height, width, value(input).channels))
            }
            Step::Concat { inputs } => {
                let size = value(&inputs[0]).size();
                check(inputs.iter().all(|v| value(v).size() == size), "a concatenation")?;
                Ok((size.0, size.1, inputs.iter().map(|v| value(v).channels).sum()))
            }
            Step::Channels { input, first, count } => {
                check(first + count <= value(input).channels, "a split")?;
                Ok((value(input).height, value(input).width, *count))
            }
            Step::Enlarge { input, factor } => {
                let (height, width, channels) = shape(input);
                Ok((height * factor, width * factor, channels))
            }
        }
    }
}

/// Hands parts of `data`, each a whole number of `unit`s, to the pool's threads with the place they start at.
fn split(data: &mut [f32], unit: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let threads = rayon::current_num_threads();
    if threads == 1 || data.len() < WORTH_SPLITTING {
        return work(0, data);
    }
    let units = data.len().div_ceil(unit);
    let part = units.div_ceil(threads * PARTS).max(1) * unit;
    data.par_chunks_mut(part)
        .enumerate()
        .for_each(|(n, out)| work(n * part, out));
}

/// For output pixels from `first` on, everything their kernels cover: one row of `out` each, zeros over the edges.
fn gather(input: &Activations, window: Window, width: usize, first: usize, out: &mut [f32]) {
    let channels = input.channels;
    let (rows, columns) = window.kernel;
    for (n, out) in out.chunks_exact_mut(rows * columns * channels).enumerate() {
        let (y, x) = ((first + n) / width, (first + n) % width);
        for (ky, out) in out.chunks_exact_mut(columns * channels).enumerate() {
            let top = (y * window.stride.0 + ky)
                .checked_sub(window.before.0)
                .filter(|&iy| iy < input.height);
            let Some(iy) = top else {
                out.fill(0.0);
                continue;
            };
            let left = x * window.stride.1;
            let skip = window.before.1.saturating_sub(left).min(columns);
            let from = left + skip - window.before.1.min(left + skip);
            let count = (columns - skip).min(input.width.saturating_sub(from));
            let (zeros, rest) = out.split_at_mut(skip * channels);
            let (copied, more) = rest.split_at_mut(count * channels);
            zeros.fill(0.0);
            more.fill(0.0);
            copied.copy_from_slice(&input.data[(iy * input.width + from) * channels..][..count * channels]);
        }
    }
}

fn mean(input: &Activations, out: &mut [f32]) {
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

fn max_pool(input: &Activations, window: Window, first_row: usize, width: usize, out: &mut [f32]) {
    let channels = input.channels;
    out.fill(f32::MIN);
    for (n, out) in out.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (first_row + n / width, n % width);
        for (ky, kx) in
            (0..window.kernel.0 * window.kernel.1).map(|k| (k / window.kernel.1, k % window.kernel.1))
        {
            let iy = (y * window.stride.0 + ky).wrapping_sub(window.before.0);
            let ix = (x * window.stride.1 + kx).wrapping_sub(window.before.1);
            if iy < input.height && ix < input.width {
                let pixel = &input.data[(iy * input.width + ix) * channels..][..channels];
                out.iter_mut()
                    .zip(pixel)
                    .for_each(|(o, &v)| *o = if v > *o { v } else { *o });
            }
        }
    }
}

fn average_pool(input: &Activations, window: Window, width: usize, out: &mut [f32]) {
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
