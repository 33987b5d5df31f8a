//! Functions of single values, vectorised.

use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};

/// What is applied to a convolution's sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activation {
    None,
    Relu,
    Sigmoid,
    /// `x / 2 * (1 + erf(x / sqrt 2))`.
    Gelu,
    /// `clamp(slope * x + offset, 0, 1)`.
    HardSigmoid {
        slope: f32,
        offset: f32,
    },
    /// `x * clamp(slope * x + offset, 0, 1)`.
    HardSwish {
        slope: f32,
        offset: f32,
    },
}

/// Applies it in place.
pub(super) fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Relu => Relu.map_mut(values),
        Activation::Sigmoid => rten_vecmath::Sigmoid {}.map_mut(values),
        Activation::Gelu => rten_vecmath::Gelu {}.map_mut(values),
        Activation::HardSigmoid { slope, offset } => HardSigmoid { slope, offset }.map_mut(values),
        Activation::HardSwish { slope, offset } => HardSwish(HardSigmoid { slope, offset }).map_mut(values),
    }
}

struct Relu;

impl SimdUnaryOp<f32> for Relu {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        isa.f32().max(x, isa.f32().zero())
    }
}

struct HardSigmoid {
    slope: f32,
    offset: f32,
}

impl SimdUnaryOp<f32> for HardSigmoid {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        let ops = isa.f32();
        let line = ops.mul_add(x, ops.splat(self.slope), ops.splat(self.offset));
        ops.clamp(line, ops.zero(), ops.one())
    }
}

struct HardSwish(HardSigmoid);

impl SimdUnaryOp<f32> for HardSwish {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        isa.f32().mul(x, self.0.eval(isa, x))
    }
}

/// Turns each row of `width` into probabilities.
pub(super) fn softmax(values: &mut [f32], width: usize) {
    for row in values.chunks_exact_mut(width) {
        rten_vecmath::Softmax::new_mut(row).dispatch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_follow_their_formulas() {
        let inputs: Vec<f32> = (-20..=20).map(|n| n as f32 / 4.0).collect();
        let (slope, offset) = (1.0 / 6.0, 0.5);
        let hard = |x: f32| (slope * x + offset).clamp(0.0, 1.0);
        let check = |activation, formula: &dyn Fn(f32) -> f32| {
            let mut values = inputs.clone();
            activate(activation, &mut values);
            for (&x, y) in inputs.iter().zip(values) {
                assert!((y - formula(x)).abs() < 1e-4, "{activation:?} of {x} is {y}");
            }
        };
        check(Activation::None, &|x| x);
        check(Activation::Relu, &|x| x.max(0.0));
        check(Activation::Sigmoid, &|x| 1.0 / (1.0 + (-x).exp()));
        check(Activation::HardSigmoid { slope, offset }, &hard);
        check(Activation::HardSwish { slope, offset }, &|x| x * hard(x));
        // Known values of the Gaussian error linear unit.
        let mut gelu = vec![-1.0, 0.0, 1.0, 3.0];
        activate(Activation::Gelu, &mut gelu);
        for (y, expected) in gelu.iter().zip([-0.158655, 0.0, 0.841345, 2.99595]) {
            assert!((y - expected).abs() < 1e-4, "{y} {expected}");
        }
    }

    #[test]
    fn probabilities_of_each_row_sum_to_one() {
        let mut values = vec![1.0, 2.0, 3.0, 0.0, 0.0, 100.0];
        softmax(&mut values, 3);
        assert!((values[..3].iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!((values[5] - 1.0).abs() < 1e-5);
    }
}
