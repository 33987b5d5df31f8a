//! Nodes that become part of the step before them: biases, activations, additions; and those that only rename.

use super::build::{Axes, Builder};
use super::onnx::Node;
use super::plan::{Step, Value, Weights};
use super::pointwise::Activation;

impl Builder<'_> {
    /// Applies an activation in the step before it where that step's value has `readers` readers, all of which are
    /// part of the activation.
    pub fn activation(
        &mut self,
        input: &str,
        output: &str,
        wanted: Activation,
        readers: usize,
    ) -> Option<()> {
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
    pub fn hard_sigmoid(&mut self, node: &Node) -> Option<()> {
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
    pub fn gelu(&mut self, node: &Node) -> Option<()> {
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
    pub fn hard_swish(&mut self, node: &Node) -> Option<()> {
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
    pub fn bias(&mut self, node: &Node) -> Option<()> {
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

    pub fn addition(&mut self, node: &Node) -> Option<()> {
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

    pub fn split(&mut self, node: &Node) -> Option<()> {
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

    pub fn resize(&mut self, node: &Node) -> Option<()> {
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
    pub fn renaming(&mut self, node: &Node) -> Option<()> {
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
    pub fn channels(&self, value: Value) -> Option<usize> {
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
