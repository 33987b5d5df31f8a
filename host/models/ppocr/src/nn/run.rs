//! Executes a plan: one step after the other, each split over the pool's threads by rows of its output.

use super::gemm::{BLOCK, Source};
use super::plan::{Plan, Step, Value};
use super::pointwise::{Activation, activate, softmax};
use super::spatial::{average_pool, convolve_row, max_pool, mean};
use crate::net::Output;
use rayon::prelude::*;

/// Below so many output values a step is not worth splitting.
pub(super) const WORTH_SPLITTING: usize = 16_384;
/// Parts a step is split into, for each thread: more than one, so that an unlucky thread loses little.
const PARTS: usize = 4;

/// An activation: pixels in row order, channels innermost.
#[derive(Default)]
pub(super) struct Activations {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub data: Vec<f32>,
}

impl Activations {
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    pub fn pixels(&self) -> usize {
        self.height * self.width
    }
}

impl Plan {
    /// Runs on an NCHW image of three channels, with the threads of the current rayon pool.
    pub fn run(&self, height: usize, width: usize, image: &[f32]) -> Result<Vec<Output>, String> {
        let mut machine = Machine {
            values: Vec::with_capacity(self.steps.len() + 1),
        };
        machine.values.push(interleave(height, width, image));
        for (n, step) in self.steps.iter().enumerate() {
            let result = machine.step(step, |value| self.last_use[value] == n)?;
            machine.values.push(result);
            for value in step.inputs().filter(|&v| self.last_use[v] == n) {
                machine.values[value].data = Vec::new();
            }
        }
        let outputs = self.outputs.iter().map(|&v| output(&mut machine.values[v]));
        Ok(outputs.collect())
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
}

impl Machine {
    /// Computes a step; `is_last` tells whether it is the last to read a value.
    fn step(&mut self, step: &Step, is_last: impl Fn(Value) -> bool) -> Result<Activations, String> {
        let (height, width, channels) = self.shape(step)?;
        if let Some(data) = self.in_place(step, is_last) {
            return Ok(Activations {
                height,
                width,
                channels,
                data,
            });
        }
        let mut data = vec![0.0; height * width * channels];
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
                let row = width * channels;
                if window.is_plain() {
                    split(&mut data, BLOCK * channels, |first, out| {
                        let source =
                            Source::rows(&input.data[first / channels * packed.depth..], packed.depth);
                        packed.apply(
                            source,
                            *activation,
                            residual.map(|r| &r[first..][..out.len()]),
                            out,
                        );
                    });
                } else {
                    split(&mut data, row, |first, out| {
                        for (n, out) in out.chunks_exact_mut(row).enumerate() {
                            let residual = residual.map(|r| &r[first + n * row..][..row]);
                            convolve_row(
                                input,
                                *window,
                                packed,
                                first / row + n,
                                *activation,
                                residual,
                                out,
                            );
                        }
                    });
                }
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
                        packed.apply(
                            Source::rows(pixels, packed.depth),
                            *activation,
                            None,
                            &mut squares,
                        );
                        let (upper, lower) = out.split_at_mut(width * channels);
                        for (x, square) in squares.chunks_exact(4 * channels).enumerate() {
                            let (top, bottom) = square.split_at(2 * channels);
                            upper[2 * x * channels..][..2 * channels].copy_from_slice(top);
                            lower[2 * x * channels..][..2 * channels].copy_from_slice(bottom);
                        }
                    }
                });
            }
            Step::Add { .. } | Step::Scale { .. } | Step::Activate { .. } | Step::Softmax { .. } => {
                let (to, change) = elementwise(step);
                data.copy_from_slice(&value(&to).data);
                self.change(change, channels, &mut data);
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
        }
        Ok(Activations {
            height,
            width,
            channels,
            data,
        })
    }

    /// The result of a step that changes values one by one, in the buffer of an input that nobody reads again.
    fn in_place(&mut self, step: &Step, is_last: impl Fn(Value) -> bool) -> Option<Vec<f32>> {
        let (to, change) = match step {
            Step::Add { left, right } if !is_last(*left) && is_last(*right) => (*right, Change::Add(*left)),
            Step::Add { .. } | Step::Scale { .. } | Step::Activate { .. } | Step::Softmax { .. } => {
                elementwise(step)
            }
            _ => return None,
        };
        let own = match change {
            Change::Add(other) | Change::Scale { factors: other, .. } => other != to,
            _ => true,
        };
        if !own || !is_last(to) {
            return None;
        }
        let mut data = std::mem::take(&mut self.values[to].data);
        self.change(change, self.values[to].channels, &mut data);
        Some(data)
    }

    fn change(&self, change: Change, channels: usize, data: &mut [f32]) {
        match change {
            Change::Add(other) => {
                let other = &self.values[other].data;
                split(data, channels, |first, out| {
                    out.iter_mut().zip(&other[first..]).for_each(|(o, v)| *o += v);
                });
            }
            Change::Scale { factors, plus } => {
                let factors: Vec<f32> = self.values[factors].data.iter().map(|f| f + plus).collect();
                split(data, channels, |_, out| {
                    for pixel in out.chunks_exact_mut(channels) {
                        pixel.iter_mut().zip(&factors).for_each(|(o, f)| *o *= f);
                    }
                });
            }
            Change::Activate(activation) => split(data, channels, |_, out| activate(activation, out)),
            Change::Softmax => split(data, channels, |_, out| softmax(out, channels)),
        }
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
            Step::Scale { input, factors, .. } => {
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

/// What a step does to each value of its first input.
#[derive(Clone, Copy)]
enum Change {
    Add(Value),
    Scale { factors: Value, plus: f32 },
    Activate(Activation),
    Softmax,
}

/// The first input of a step that changes values one by one, and what it does to it.
fn elementwise(step: &Step) -> (Value, Change) {
    match step {
        Step::Add { left, right } => (*left, Change::Add(*right)),
        Step::Scale { input, factors, plus } => (
            *input,
            Change::Scale {
                factors: *factors,
                plus: *plus,
            },
        ),
        Step::Activate { input, activation } => (*input, Change::Activate(*activation)),
        Step::Softmax { input } => (*input, Change::Softmax),
        _ => unreachable!("other steps have a place of their own"),
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
