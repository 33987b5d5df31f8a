//! A network as steps over NHWC activations.

use super::build::Builder;
use super::depthwise::{Depthwise, Window};
use super::gemm::Packed;
use super::onnx::read;
use super::pointwise::Activation;

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
}

impl Plan {
    /// Plans the graph of an ONNX file.
    pub fn new(file: &[u8]) -> Option<Self> {
        let graph = read(file)?;
        let [input] = &graph.inputs[..] else { return None };
        let mut builder = Builder::new(&graph, input);
        builder.all_nodes()?;
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
