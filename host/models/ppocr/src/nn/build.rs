//! Turns an ONNX graph into steps; `None` for a graph with anything it does not know.
//!
//! Bias, batch norm and activation become part of the convolution before them, an addition becomes its residual, and
//! the several nodes of GELU and hard swish become one activation (`fuse`). Transposes and squeezes that only change
//! how a tensor is named, not how it lies in memory, become nothing.

use super::depthwise::{Depthwise, Window};
use super::onnx::{Constant, Graph, Node};
use super::plan::{Step, Value, Weights};
use super::pointwise::Activation;
use std::collections::HashMap;

/// How a tensor is named against how it lies in memory, which is always pixels first, channels innermost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Axes {
    /// `[1, channels, height, width]`.
    Map,
    /// `[1, channels, pixels]`.
    ChannelsFirst,
    /// `[1, pixels, channels]`.
    ChannelsLast,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub value: Value,
    pub axes: Axes,
    /// Height and width are 1.
    pub pooled: bool,
}

pub(super) struct Builder<'a> {
    pub graph: &'a Graph,
    pub steps: Vec<Step>,
    pub names: HashMap<String, Named>,
    /// Nodes that became part of a step before their turn.
    pub done: Vec<bool>,
    /// Other names of a tensor that an `Identity` repeats.
    aliases: HashMap<&'a str, &'a str>,
    /// Nodes that read a tensor; graph outputs count as a node past the end.
    readers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Builder<'a> {
    /// Starts with the graph's input, a map of three channels.
    pub fn new(graph: &'a Graph, input: &str) -> Self {
        let mut aliases: HashMap<&str, &str> = HashMap::new();
        let mut done = vec![false; graph.nodes.len()];
        for (n, node) in graph.nodes.iter().enumerate() {
            if let ("Identity", [from], [to]) = (node.op.as_str(), &node.inputs[..], &node.outputs[..]) {
                let from = aliases.get(from.as_str()).copied().unwrap_or(from);
                aliases.insert(to, from);
                done[n] = true;
            }
        }
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        let all = graph.nodes.iter().enumerate().filter(|(n, _)| !done[*n]);
        for (n, name) in all.flat_map(|(n, node)| node.inputs.iter().map(move |name| (n, name))) {
            readers
                .entry(aliases.get(name.as_str()).copied().unwrap_or(name))
                .or_default()
                .push(n);
        }
        for name in &graph.outputs {
            readers
                .entry(aliases.get(name.as_str()).copied().unwrap_or(name))
                .or_default()
                .push(graph.nodes.len());
        }
        let image = Named {
            value: 0,
            axes: Axes::Map,
            pooled: false,
        };
        Self {
            graph,
            steps: Vec::new(),
            names: HashMap::from([(input.to_owned(), image)]),
            done,
            aliases,
            readers,
        }
    }

    /// Plans every node that has not become part of another.
    pub fn all_nodes(&mut self) -> Option<()> {
        for (n, node) in self.graph.nodes.iter().enumerate() {
            if !self.done[n] {
                self.node(node)?;
            }
        }
        Some(())
    }

    pub fn canonical<'b>(&'b self, name: &'b str) -> &'b str {
        self.aliases.get(name).copied().unwrap_or(name)
    }

    pub fn named(&self, name: &str) -> Option<Named> {
        self.names.get(self.canonical(name)).copied()
    }

    pub fn constant(&self, name: &str) -> Option<&'a Constant> {
        self.graph.constants.get(self.canonical(name))
    }

    pub fn scalar(&self, name: &str) -> Option<f32> {
        self.constant(name)
            .filter(|c| c.floats.len() == 1)
            .map(|c| c.floats[0])
    }

    pub fn readers(&self, name: &str) -> &[usize] {
        self.readers.get(self.canonical(name)).map_or(&[], |r| r)
    }

    /// The only node that reads `name`, if it is an `op`.
    pub fn only_reader(&self, name: &str, op: &str) -> Option<(usize, &'a Node)> {
        let &[n] = self.readers(name) else { return None };
        self.graph
            .nodes
            .get(n)
            .filter(|node| node.op == op)
            .map(|node| (n, node))
    }

    pub fn push(&mut self, step: Step, name: &str, axes: Axes, pooled: bool) {
        self.steps.push(step);
        self.names.insert(
            name.to_owned(),
            Named {
                value: self.steps.len(),
                axes,
                pooled,
            },
        );
    }

    /// Names the value of `from` once more.
    pub fn rename(&mut self, from: Named, name: &str, axes: Axes) {
        self.names.insert(name.to_owned(), Named { axes, ..from });
    }

    /// The step behind `name`, when what follows may become part of it: nothing else reads its value.
    pub fn producer(&mut self, name: &str) -> Option<&mut Step> {
        let alone = self.readers(name).len() == 1;
        self.unshared_producer(name, alone)
    }

    pub fn unshared_producer(&mut self, name: &str, alone: bool) -> Option<&mut Step> {
        let value = self.named(name)?.value;
        (alone && value > 0).then(|| &mut self.steps[value - 1])
    }

    pub fn node(&mut self, node: &Node) -> Option<()> {
        let output = node.outputs.first()?;
        match node.op.as_str() {
            "Conv" => self.convolution(node),
            "ConvTranspose" => self.transposed(node),
            "MatMul" => self.product(node),
            "BatchNormalization" => self.batch_norm(node),
            "Relu" => self.activation(&node.inputs[0], output, Activation::Relu, 1),
            "Sigmoid" => self.activation(&node.inputs[0], output, Activation::Sigmoid, 1),
            "HardSigmoid" => self.hard_sigmoid(node),
            "Div" => self.gelu(node),
            "Add" => self
                .hard_swish(node)
                .or_else(|| self.bias(node))
                .or_else(|| self.addition(node)),
            "Mul" => {
                let (a, b) = (self.named(&node.inputs[0])?, self.named(&node.inputs[1])?);
                let (map, factors) = if b.pooled { (a, b) } else { (b, a) };
                let fits = factors.pooled && map.axes == Axes::Map && factors.axes == Axes::Map;
                let step = Step::Scale {
                    input: map.value,
                    factors: factors.value,
                    plus: 0.0,
                };
                fits.then(|| self.push(step, output, Axes::Map, map.pooled))
            }
            "ReduceMean" | "GlobalAveragePool" => {
                let input = self.named(&node.inputs[0])?;
                let spatial = node.op == "GlobalAveragePool"
                    || (node.ints("axes") == [2, 3]
                        && node.int("keepdims", 1) == 1
                        && node.inputs.len() == 1);
                (spatial && input.axes == Axes::Map)
                    .then(|| self.push(Step::Mean { input: input.value }, output, Axes::Map, true))
            }
            "MaxPool" | "AveragePool" => {
                let input = self.named(&node.inputs[0])?;
                let window = window(node, node.ints("kernel_shape"))?;
                let unpadded = window.before == (0, 0) && window.after == (0, 0);
                let fits = input.axes == Axes::Map && node.int("ceil_mode", 0) == 0;
                let step = match node.op.as_str() {
                    "MaxPool" => Step::MaxPool {
                        input: input.value,
                        window,
                    },
                    _ if unpadded => Step::AveragePool {
                        input: input.value,
                        window,
                    },
                    _ => return None,
                };
                fits.then(|| self.push(step, output, Axes::Map, false))
            }
            "Concat" => {
                let inputs: Vec<Named> = node.inputs.iter().map(|n| self.named(n)).collect::<Option<_>>()?;
                let fits = node.int("axis", 0) == 1 && inputs.iter().all(|i| i.axes == Axes::Map);
                let inputs = inputs.iter().map(|i| i.value).collect();
                fits.then(|| self.push(Step::Concat { inputs }, output, Axes::Map, false))
            }
            "Split" => self.split(node),
            "Resize" => self.resize(node),
            "Squeeze" | "Unsqueeze" | "Transpose" | "Reshape" => self.renaming(node),
            "Softmax" => {
                let input = self.named(&node.inputs[0])?;
                let last = matches!(node.int("axis", -1), 2 | -1) && input.axes == Axes::ChannelsLast;
                last.then(|| self.push(Step::Softmax { input: input.value }, output, input.axes, false))
            }
            _ => None,
        }
    }

    pub fn convolution(&mut self, node: &Node) -> Option<()> {
        let input = self.named(&node.inputs[0])?;
        let weights = self.constant(&node.inputs[1])?;
        let &[width, depth, rows, columns] = &weights.shape[..] else {
            return None;
        };
        let window = window(node, &[rows as i64, columns as i64])?;
        let bias = match node.inputs.get(2) {
            Some(name) => self.constant(name)?.floats.clone(),
            None => vec![0.0; width],
        };
        let group = node.int("group", 1) as usize;
        if input.axes != Axes::Map || weights.floats.is_empty() || bias.len() != width {
            return None;
        }
        let taps = rows * columns;
        let activation = Activation::None;
        let step = if group == width && depth == 1 {
            let weights = (0..taps * width)
                .map(|n| weights.floats[n % width * taps + n / width])
                .collect();
            Step::Depthwise {
                input: input.value,
                kernel: Depthwise {
                    window,
                    channels: width,
                    weights,
                    bias,
                },
                activation,
            }
        } else if group == 1 {
            // From [width][channel][tap] to [width][tap][channel].
            let order = |n: usize| (n / (taps * depth) * depth + n % depth) * taps + n / depth % taps;
            let loose = (0..weights.floats.len())
                .map(|n| weights.floats[order(n)])
                .collect();
            let weights = Weights::Loose {
                depth: taps * depth,
                width,
                weights: loose,
                bias,
            };
            Step::Dense {
                input: input.value,
                window,
                weights,
                activation,
                residual: None,
            }
        } else {
            return None;
        };
        self.push(step, &node.outputs[0], Axes::Map, input.pooled);
        Some(())
    }

    /// A 2 x 2 transposed convolution of stride 2 is four products: one for each pixel of the square.
    pub fn transposed(&mut self, node: &Node) -> Option<()> {
        let input = self.named(&node.inputs[0])?;
        let weights = self.constant(&node.inputs[1])?;
        let &[depth, width, 2, 2] = &weights.shape[..] else {
            return None;
        };
        let plain = node.ints("strides") == [2, 2] && node.int("group", 1) == 1 && node.inputs.len() == 2;
        let unpadded = node.ints("pads").iter().all(|&p| p == 0) && node.ints("output_padding").is_empty();
        if !plain || !unpadded || input.axes != Axes::Map || weights.floats.is_empty() {
            return None;
        }
        // From [depth][width][tap] to [tap][width][depth].
        let order = |n: usize| (n % depth * width + n / depth % width) * 4 + n / (depth * width);
        let loose = (0..weights.floats.len())
            .map(|n| weights.floats[order(n)])
            .collect();
        let weights = Weights::Loose {
            depth,
            width: 4 * width,
            weights: loose,
            bias: vec![0.0; 4 * width],
        };
        let step = Step::Double {
            input: input.value,
            weights,
            activation: Activation::None,
        };
        self.push(step, &node.outputs[0], Axes::Map, false);
        Some(())
    }

    pub fn product(&mut self, node: &Node) -> Option<()> {
        let input = self
            .named(&node.inputs[0])
            .filter(|i| i.axes == Axes::ChannelsLast)?;
        let weights = self.constant(&node.inputs[1])?;
        let &[depth, width] = &weights.shape[..] else {
            return None;
        };
        let loose = (0..depth * width).map(|n| weights.floats.get(n % depth * width + n / depth).copied());
        let weights = Weights::Loose {
            depth,
            width,
            weights: loose.collect::<Option<_>>()?,
            bias: vec![0.0; width],
        };
        let window = Window::PLAIN;
        let step = Step::Dense {
            input: input.value,
            window,
            weights,
            activation: Activation::None,
            residual: None,
        };
        self.push(step, &node.outputs[0], Axes::ChannelsLast, false);
        Some(())
    }

    /// Folds `(x - mean) / sqrt(variance + epsilon) * scale + offset` into the convolution before it.
    pub fn batch_norm(&mut self, node: &Node) -> Option<()> {
        let input = self
            .named(&node.inputs[0])
            .filter(|i| i.axes != Axes::ChannelsLast)?;
        let [scale, offset, mean, variance] =
            [1, 2, 3, 4].map(|n| self.constant(&node.inputs[n]).map(|c| &c.floats));
        let (scale, offset, mean, variance) = (scale?, offset?, mean?, variance?);
        let epsilon = node.float("epsilon", 1e-5);
        let factors: Vec<f32> = scale
            .iter()
            .zip(variance)
            .map(|(s, v)| s / (v + epsilon).sqrt())
            .collect();
        let (weights, bias, per_output) = match self.producer(&node.inputs[0])? {
            Step::Dense {
                weights: Weights::Loose {
                    depth, weights, bias, ..
                },
                activation: Activation::None,
                residual: None,
                ..
            } => (weights, bias, *depth),
            Step::Depthwise {
                kernel,
                activation: Activation::None,
                ..
            } => (&mut kernel.weights, &mut kernel.bias, 0),
            _ => return None,
        };
        if bias.len() != factors.len() || offset.len() != factors.len() || mean.len() != factors.len() {
            return None;
        }
        let channels = factors.len();
        for (n, weight) in weights.iter_mut().enumerate() {
            *weight *= factors[n.checked_div(per_output).unwrap_or(n % channels)];
        }
        for (c, bias) in bias.iter_mut().enumerate() {
            *bias = (*bias - mean[c]) * factors[c] + offset[c];
        }
        self.rename(input, &node.outputs[0], input.axes);
        Some(())
    }
}

/// A node's window; `None` for dilations and for paddings it does not know.
fn window(node: &Node, kernel: &[i64]) -> Option<Window> {
    let two = |values: &[i64], default: i64| match *values {
        [a, b] => Some((usize::try_from(a).ok()?, usize::try_from(b).ok()?)),
        [] => Some((default as usize, default as usize)),
        _ => None,
    };
    let kernel = two(kernel, 1)?;
    let stride = two(node.ints("strides"), 1)?;
    if two(node.ints("dilations"), 1)? != (1, 1) || stride.0 == 0 || stride.1 == 0 {
        return None;
    }
    let (before, after) = match (node.text("auto_pad"), node.ints("pads")) {
        // At stride 1 the result keeps its size, and an odd zero goes below and to the right.
        ("SAME_UPPER", _) if stride == (1, 1) => {
            let all = (kernel.0 - 1, kernel.1 - 1);
            let before = (all.0 / 2, all.1 / 2);
            (before, (all.0 - before.0, all.1 - before.1))
        }
        ("" | "NOTSET" | "VALID", []) => ((0, 0), (0, 0)),
        ("" | "NOTSET", pads @ [_, _, _, _]) => (two(&pads[..2], 0)?, two(&pads[2..], 0)?),
        _ => return None,
    };
    Some(Window {
        kernel,
        stride,
        before,
        after,
    })
}
