//! Turns an ONNX graph into steps over NHWC activations; `None` for a graph with anything it does not know.
//!
//! Bias, batch norm and activation become part of the convolution before them, an addition becomes its residual, and
//! the several nodes of GELU and hard swish become one activation. Transposes and squeezes that only change how a
//! tensor is named, not how it lies in memory, become nothing.

use super::depthwise::{Depthwise, Window};
use super::gemm::Packed;
use super::onnx::{Constant, Graph, Node, read};
use super::pointwise::Activation;
use std::collections::HashMap;
use std::sync::Mutex;

/// Index of an activation.
pub(super) type Value = usize;

/// One step of a plan; it writes the value of its own position plus one (value 0 is the input).
pub(super) enum Step {
    Dense {
        input: Value,
        window: Window,
        weights: Weights,
        activation: Activation,
        residual: Option<Value>,
    },
    Depthwise {
        input: Value,
        kernel: Depthwise,
        activation: Activation,
    },
    /// 2 x 2 transposed convolution of stride 2.
    Double {
        input: Value,
        weights: Weights,
        activation: Activation,
    },
    Add {
        left: Value,
        right: Value,
    },
    /// Each channel times its own factor, which is first increased by `plus`.
    Scale {
        input: Value,
        factors: Value,
        plus: f32,
    },
    Activate {
        input: Value,
        activation: Activation,
    },
    /// The mean over all pixels.
    Mean {
        input: Value,
    },
    MaxPool {
        input: Value,
        window: Window,
    },
    AveragePool {
        input: Value,
        window: Window,
    },
    /// Channels side by side.
    Concat {
        inputs: Vec<Value>,
    },
    /// Some of the channels.
    Channels {
        input: Value,
        first: usize,
        count: usize,
    },
    /// Each pixel repeated on both axes.
    Enlarge {
        input: Value,
        factor: usize,
    },
    /// Probabilities over the channels.
    Softmax {
        input: Value,
    },
}

/// Weights of a dense convolution, `[width][depth]` before they are packed; `depth` runs over kernel rows, kernel
/// columns and input channels.
pub(super) enum Weights {
    Loose {
        depth: usize,
        width: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
    },
    Packed(Packed),
}

impl Weights {
    pub fn packed(&self) -> &Packed {
        match self {
            Self::Packed(packed) => packed,
            Self::Loose { .. } => unreachable!("plans pack their weights last"),
        }
    }

    fn pack(&mut self) {
        if let Self::Loose {
            depth,
            width,
            weights,
            bias,
        } = self
        {
            let depth = *depth;
            *self = Self::Packed(Packed::new(depth, *width, bias, |k, n| weights[n * depth + k]));
        }
    }
}

/// A network as steps.
pub(crate) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) outputs: Vec<Value>,
    /// For each value, the last step that reads it.
    pub(super) last_use: Vec<usize>,
    /// Buffers of earlier runs, a set for each run that went on at the same time.
    pub(super) spare: Mutex<Vec<Vec<Vec<f32>>>>,
}

/// How a tensor is named against how it lies in memory, which is always pixels first, channels innermost.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Axes {
    /// `[1, channels, height, width]`.
    Map,
    /// `[1, channels, pixels]`.
    ChannelsFirst,
    /// `[1, pixels, channels]`.
    ChannelsLast,
}

#[derive(Debug, Clone, Copy)]
struct Named {
    value: Value,
    axes: Axes,
    /// Height and width are 1.
    pooled: bool,
}

impl Plan {
    /// Plans the graph of an ONNX file.
    pub fn new(file: &[u8]) -> Option<Self> {
        let graph = read(file)?;
        let [input] = &graph.inputs[..] else { return None };
        let mut builder = Builder::new(&graph);
        builder.names.insert(
            input.clone(),
            Named {
                value: 0,
                axes: Axes::Map,
                pooled: false,
            },
        );
        for (n, node) in graph.nodes.iter().enumerate() {
            if !builder.done[n] {
                builder.node(node)?;
            }
        }
        let outputs = graph
            .outputs
            .iter()
            .map(|name| builder.names.get(name).map(|named| named.value));
        let outputs: Vec<Value> = outputs.collect::<Option<_>>()?;
        let mut steps = builder.steps;
        let mut last_use = vec![0; steps.len() + 1];
        for (n, step) in steps.iter_mut().enumerate() {
            if let Step::Dense { weights, .. } | Step::Double { weights, .. } = step {
                weights.pack();
            }
            step.inputs().for_each(|value| last_use[value] = n);
        }
        outputs.iter().for_each(|&value| last_use[value] = usize::MAX);
        Some(Self {
            steps,
            outputs,
            last_use,
            spare: Mutex::default(),
        })
    }
}

impl Step {
    /// The values it reads.
    pub fn inputs(&self) -> impl Iterator<Item = Value> + '_ {
        let (one, two, many): (Option<Value>, Option<Value>, &[Value]) = match self {
            Self::Dense { input, residual, .. } => (Some(*input), *residual, &[]),
            Self::Add { left, right } => (Some(*left), Some(*right), &[]),
            Self::Scale { input, factors, .. } => (Some(*input), Some(*factors), &[]),
            Self::Concat { inputs } => (None, None, inputs),
            Self::Depthwise { input, .. }
            | Self::Double { input, .. }
            | Self::Activate { input, .. }
            | Self::Mean { input }
            | Self::MaxPool { input, .. }
            | Self::AveragePool { input, .. }
            | Self::Channels { input, .. }
            | Self::Enlarge { input, .. }
            | Self::Softmax { input } => (Some(*input), None, &[]),
        };
        one.into_iter().chain(two).chain(many.iter().copied())
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    steps: Vec<Step>,
    names: HashMap<String, Named>,
    /// Nodes that became part of a step before their turn.
    done: Vec<bool>,
    /// Other names of a tensor that an `Identity` repeats.
    aliases: HashMap<&'a str, &'a str>,
    /// Nodes that read a tensor; graph outputs count as a node past the end.
    readers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph) -> Self {
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
        Self {
            graph,
            steps: Vec::new(),
            names: HashMap::new(),
            done,
            aliases,
            readers,
        }
    }

    fn canonical<'b>(&'b self, name: &'b str) -> &'b str {
        self.aliases.get(name).copied().unwrap_or(name)
    }

    fn named(&self, name: &str) -> Option<Named> {
        self.names.get(self.canonical(name)).copied()
    }

    fn constant(&self, name: &str) -> Option<&'a Constant> {
        self.graph.constants.get(self.canonical(name))
    }

    fn scalar(&self, name: &str) -> Option<f32> {
        self.constant(name)
            .filter(|c| c.floats.len() == 1)
            .map(|c| c.floats[0])
    }

    fn readers(&self, name: &str) -> &[usize] {
        self.readers.get(self.canonical(name)).map_or(&[], |r| r)
    }

    /// The only node that reads `name`, if it is an `op`.
    fn only_reader(&self, name: &str, op: &str) -> Option<(usize, &'a Node)> {
        let &[n] = self.readers(name) else { return None };
        self.graph
            .nodes
            .get(n)
            .filter(|node| node.op == op)
            .map(|node| (n, node))
    }

    fn push(&mut self, step: Step, name: &str, axes: Axes, pooled: bool) {
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
    fn rename(&mut self, from: Named, name: &str, axes: Axes) {
        self.names.insert(name.to_owned(), Named { axes, ..from });
    }

    /// The step behind `name`, when what follows may become part of it: nothing else reads its value.
    fn producer(&mut self, name: &str) -> Option<&mut Step> {
        let alone = self.readers(name).len() == 1;
        self.unshared_producer(name, alone)
    }

    fn unshared_producer(&mut self, name: &str, alone: bool) -> Option<&mut Step> {
        let value = self.named(name)?.value;
        (alone && value > 0).then(|| &mut self.steps[value - 1])
    }

    fn node(&mut self, node: &Node) -> Option<()> {
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

    fn convolution(&mut self, node: &Node) -> Option<()> {
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
    fn transposed(&mut self, node: &Node) -> Option<()> {
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

    fn product(&mut self, node: &Node) -> Option<()> {
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
    fn batch_norm(&mut self, node: &Node) -> Option<()> {
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

    /// Applies an activation in the step before it where that step's value has `readers` readers, all of which are
    /// part of the activation.
    fn activation(&mut self, input: &str, output: &str, wanted: Activation, readers: usize) -> Option<()> {
        let from = self.named(input)?;
        let alone = self.readers(input).len() == readers;
        let slot = match self.unshared_producer(input, alone) {
            Some(Step::Dense {
                activation,
                residual: None,
                ..
            }) => Some(activation),
            Some(Step::Depthwise { activation, .. } | Step::Double { activation, .. }) => Some(activation),
            _ => None,
        };
        match slot.filter(|slot| **slot == Activation::None) {
            Some(slot) => {
                *slot = wanted;
                self.rename(from, output, from.axes);
            }
            None => self.push(
                Step::Activate {
                    input: from.value,
                    activation: wanted,
                },
                output,
                from.axes,
                from.pooled,
            ),
        }
        Some(())
    }

    /// `HardSigmoid` alone or, times its own input, hard swish.
    fn hard_sigmoid(&mut self, node: &Node) -> Option<()> {
        let (slope, offset) = (node.float("alpha", 0.2), node.float("beta", 0.5));
        let input = &node.inputs[0];
        if let Some((n, product)) = self.only_reader(&node.outputs[0], "Mul")
            && product
                .inputs
                .iter()
                .any(|name| self.canonical(name) == self.canonical(input))
        {
            self.done[n] = true;
            return self.activation(
                input,
                &product.outputs[0],
                Activation::HardSwish { slope, offset },
                2,
            );
        }
        self.activation(
            input,
            &node.outputs[0],
            Activation::HardSigmoid { slope, offset },
            1,
        )
    }

    /// `x / sqrt 2`, erf, `+ 1`, `* x`, `/ 2`.
    fn gelu(&mut self, node: &Node) -> Option<()> {
        let input = &node.inputs[0];
        let root = self
            .scalar(&node.inputs[1])
            .filter(|v| (v - std::f32::consts::SQRT_2).abs() < 1e-4);
        root?;
        let (a, erf) = self.only_reader(&node.outputs[0], "Erf")?;
        let (b, sum) = self.only_reader(&erf.outputs[0], "Add")?;
        let (c, product) = self.only_reader(&sum.outputs[0], "Mul")?;
        let (d, half) = self.only_reader(&product.outputs[0], "Mul")?;
        let is_input = |name: &String| self.canonical(name) == self.canonical(input);
        let has = |node: &Node, value: f32| node.inputs.iter().any(|name| self.scalar(name) == Some(value));
        if !has(sum, 1.0) || !has(half, 0.5) || !product.inputs.iter().any(is_input) {
            return None;
        }
        [a, b, c, d].iter().for_each(|&n| self.done[n] = true);
        self.activation(input, &half.outputs[0], Activation::Gelu, 2)
    }

    /// `x + 3`, clipped to 0 ..= 6, `* x`, `/ 6`.
    fn hard_swish(&mut self, node: &Node) -> Option<()> {
        let input = &node.inputs[0];
        self.scalar(&node.inputs[1]).filter(|&v| v == 3.0)?;
        let (a, clip) = self.only_reader(&node.outputs[0], "Clip")?;
        let (b, product) = self.only_reader(&clip.outputs[0], "Mul")?;
        let (c, sixth) = self.only_reader(&product.outputs[0], "Div")?;
        let limits = [clip.inputs.get(1)?, clip.inputs.get(2)?].map(|name| self.scalar(name));
        let is_input = |name: &String| self.canonical(name) == self.canonical(input);
        let six = self.scalar(sixth.inputs.get(1)?) == Some(6.0);
        if limits != [Some(0.0), Some(6.0)] || !six || !product.inputs.iter().any(is_input) {
            return None;
        }
        [a, b, c].iter().for_each(|&n| self.done[n] = true);
        self.activation(
            input,
            &sixth.outputs[0],
            Activation::HardSwish {
                slope: 1.0 / 6.0,
                offset: 0.5,
            },
            2,
        )
    }

    /// The addition of a constant a channel.
    fn bias(&mut self, node: &Node) -> Option<()> {
        let at = node
            .inputs
            .iter()
            .position(|name| self.constant(name).is_some())?;
        let constant = self.constant(&node.inputs[at])?;
        let input = &node.inputs[1 - at];
        let from = self.named(input)?;
        // The channels must be the axis that the constant runs along.
        let fits = match from.axes {
            Axes::Map => constant.shape.len() == 4 && constant.shape[1] == constant.floats.len(),
            Axes::ChannelsLast => constant.shape.len() == 1,
            Axes::ChannelsFirst => false,
        };
        let (bias, repeats) = match self.producer(input)? {
            Step::Dense {
                weights: Weights::Loose { bias, .. },
                activation: Activation::None,
                residual: None,
                ..
            } => (bias, 1),
            Step::Double {
                weights: Weights::Loose { bias, .. },
                activation: Activation::None,
                ..
            } => (bias, 4),
            Step::Depthwise {
                kernel,
                activation: Activation::None,
                ..
            } => (&mut kernel.bias, 1),
            _ => return None,
        };
        if !fits || bias.len() != repeats * constant.floats.len() {
            return None;
        }
        bias.iter_mut()
            .zip(constant.floats.iter().cycle())
            .for_each(|(b, c)| *b += c);
        self.rename(from, &node.outputs[0], from.axes);
        Some(())
    }

    fn addition(&mut self, node: &Node) -> Option<()> {
        let (a, b) = (self.named(&node.inputs[0])?, self.named(&node.inputs[1])?);
        if a.axes != b.axes || a.pooled != b.pooled {
            return None;
        }
        // The later of the two may take the earlier as its residual.
        let (late, early, name) = if a.value > b.value {
            (a, b, &node.inputs[0])
        } else {
            (b, a, &node.inputs[1])
        };
        match self.producer(name) {
            Some(Step::Dense {
                residual: residual @ None,
                ..
            }) => *residual = Some(early.value),
            // `x + x * factors` is `x * (factors + 1)`.
            Some(Step::Scale { input, plus, .. }) if *input == early.value => *plus += 1.0,
            _ => {
                let step = Step::Add {
                    left: a.value,
                    right: b.value,
                };
                self.push(step, &node.outputs[0], a.axes, a.pooled);
                return Some(());
            }
        }
        self.rename(late, &node.outputs[0], late.axes);
        Some(())
    }

    fn split(&mut self, node: &Node) -> Option<()> {
        let input = self.named(&node.inputs[0]).filter(|i| i.axes == Axes::Map)?;
        let sizes = &self.constant(node.inputs.get(1)?)?.ints;
        if node.int("axis", 0) != 1 || sizes.len() != node.outputs.len() {
            return None;
        }
        let mut first = 0;
        for (name, &count) in node.outputs.iter().zip(sizes) {
            let count = usize::try_from(count).ok()?;
            self.push(
                Step::Channels {
                    input: input.value,
                    first,
                    count,
                },
                name,
                Axes::Map,
                input.pooled,
            );
            first += count;
        }
        Some(())
    }

    fn resize(&mut self, node: &Node) -> Option<()> {
        let input = self.named(&node.inputs[0]).filter(|i| i.axes == Axes::Map)?;
        let scales = &self.constant(node.inputs.get(2)?)?.floats;
        let &[1.0, 1.0, down, right] = &scales[..] else {
            return None;
        };
        let nearest = node.text("mode") == "nearest"
            && node.text("coordinate_transformation_mode") == "asymmetric"
            && node.text("nearest_mode") == "floor";
        let whole =
            down == right && down.fract() == 0.0 && (1.0..=16.0).contains(&down) && node.inputs.len() == 3;
        let step = Step::Enlarge {
            input: input.value,
            factor: down as usize,
        };
        (nearest && whole).then(|| self.push(step, &node.outputs[0], Axes::Map, false))
    }

    /// Operators that leave memory as it is.
    fn renaming(&mut self, node: &Node) -> Option<()> {
        let input = self.named(&node.inputs[0])?;
        let of_height = node.ints("axes") == [2];
        let axes = match (node.op.as_str(), input.axes) {
            ("Squeeze", Axes::Map) if of_height => Axes::ChannelsFirst,
            ("Unsqueeze", Axes::ChannelsFirst) if of_height => Axes::Map,
            ("Transpose", Axes::ChannelsFirst) if node.ints("perm") == [0, 2, 1] => Axes::ChannelsLast,
            ("Transpose", Axes::ChannelsLast) if node.ints("perm") == [0, 2, 1] => Axes::ChannelsFirst,
            ("Reshape", Axes::Map) => {
                let &[1, channels, -1] = &self.constant(node.inputs.get(1)?)?.ints[..] else {
                    return None;
                };
                // The channels stay the channels only where their number does.
                let stays = self.channels(input.value)? as i64 == channels;
                stays.then_some(Axes::ChannelsFirst)?
            }
            _ => return None,
        };
        self.rename(input, &node.outputs[0], axes);
        Some(())
    }

    /// Channels of a value, where its step tells.
    fn channels(&self, value: Value) -> Option<usize> {
        match self.steps.get(value.checked_sub(1)?)? {
            Step::Dense {
                weights: Weights::Loose { width, .. },
                ..
            } => Some(*width),
            Step::Depthwise { kernel, .. } => Some(kernel.channels),
            Step::Channels { count, .. } => Some(*count),
            Step::Activate { input, .. } => self.channels(*input),
            _ => None,
        }
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
