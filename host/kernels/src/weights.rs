//! The decoder's weights in the layouts that the kernels read: matrices `[out, in]` as in the checkpoint, with those
//! that are read together stacked. Checked once, when a decoder is made.

use crate::dimensions::{DENSE_INTER, EXPERT_INTER, EXPERTS, HIDDEN, SHARED_INTER, VOCAB};
use crate::error::{KernelError, Result};
use crate::quantized::quantize;
use candle_core::{DType, Device, Tensor};

/// All weights of the decoder, bf16, contiguous, on one CUDA device.
#[derive(Debug, Clone)]
pub struct DecoderWeights {
    /// `model.embed_tokens.weight` [129280, 1280].
    pub embed_tokens: Tensor,
    /// `model.norm.weight` [1280].
    pub norm: Tensor,
    /// `lm_head.weight` [129280, 1280].
    pub lm_head: Tensor,
    /// The layers, in their order.
    pub layers: Vec<LayerWeights>,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// `input_layernorm.weight` [1280].
    pub input_norm: Tensor,
    /// `self_attn`: `q_proj`, `k_proj`, `v_proj` stacked [3840, 1280].
    pub qkv: Tensor,
    /// `self_attn.o_proj.weight` [1280, 1280].
    pub o: Tensor,
    /// `post_attention_layernorm.weight` [1280].
    pub post_norm: Tensor,
    /// What follows the attention.
    pub mlp: MlpWeights,
}

/// A layer's feed-forward part.
#[derive(Debug, Clone)]
pub enum MlpWeights {
    /// The first layer's.
    Dense {
        /// `gate_proj` then `up_proj` [13696, 1280].
        gate_up: Tensor,
        /// `down_proj` [1280, 6848].
        down: Tensor,
    },
    /// The others'.
    Experts {
        /// `gate.weight`, the router [64, 1280].
        gate: Tensor,
        /// Each expert's `gate_proj` then `up_proj` [64, 1792, 1280].
        gate_up: Tensor,
        /// Each expert's `down_proj` [64, 1280, 896].
        down: Tensor,
        /// `shared_experts`: `gate_proj` then `up_proj` [3584, 1280].
        shared_gate_up: Tensor,
        /// `shared_experts.down_proj` [1280, 1792].
        shared_down: Tensor,
        /// Of the four above, where they are of 8 bits ([`quantize`](crate::quantize)); `None`: they are bf16.
        scales: Option<ExpertScales>,
    },
}

/// What the rows of experts of 8 bits are multiplied by, f32.
#[derive(Debug, Clone)]
pub struct ExpertScales {
    /// [64, 1792].
    pub gate_up: Tensor,
    /// [64, 1280].
    pub down: Tensor,
    /// [3584].
    pub shared_gate_up: Tensor,
    /// [1280].
    pub shared_down: Tensor,
}

impl MlpWeights {
    /// The same with experts of 8 bits: half the memory, and half of what a step reads of them. The dense layer stays.
    pub fn in_bytes(self) -> Result<Self> {
        let Self::Experts {
            gate,
            gate_up,
            down,
            shared_gate_up,
            shared_down,
            scales: None,
        } = self
        else {
            return Ok(self);
        };
        let (gate_up, of_gate_up) = quantize(&gate_up)?;
        let (down, of_down) = quantize(&down)?;
        let (shared_gate_up, of_shared_gate_up) = quantize(&shared_gate_up)?;
        let (shared_down, of_shared_down) = quantize(&shared_down)?;
        Ok(Self::Experts {
            gate,
            gate_up,
            down,
            shared_gate_up,
            shared_down,
            scales: Some(ExpertScales {
                gate_up: of_gate_up,
                down: of_down,
                shared_gate_up: of_shared_gate_up,
                shared_down: of_shared_down,
            }),
        })
    }
}

impl DecoderWeights {
    /// Fails on the first tensor of another shape, dtype, layout or device.
    pub fn check(&self, device: &Device) -> Result<()> {
        check("embed_tokens", &self.embed_tokens, &[VOCAB, HIDDEN], device)?;
        check("norm", &self.norm, &[HIDDEN], device)?;
        check("lm_head", &self.lm_head, &[VOCAB, HIDDEN], device)?;
        if self.layers.is_empty() {
            return Err(KernelError::argument("the decoder has no layers"));
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let check = |name: &str, tensor, shape: &[usize]| {
                check(&format!("layer {number}, {name}"), tensor, shape, device)
            };
            check("input_norm", &layer.input_norm, &[HIDDEN])?;
            check("qkv", &layer.qkv, &[3 * HIDDEN, HIDDEN])?;
            check("o", &layer.o, &[HIDDEN, HIDDEN])?;
            check("post_norm", &layer.post_norm, &[HIDDEN])?;
            match &layer.mlp {
                MlpWeights::Dense { gate_up, down } => {
                    check("gate_up", gate_up, &[2 * DENSE_INTER, HIDDEN])?;
                    check("down", down, &[HIDDEN, DENSE_INTER])?;
                }
                MlpWeights::Experts {
                    gate,
                    gate_up,
                    down,
                    shared_gate_up,
                    shared_down,
                    scales,
                } => {
                    check("gate", gate, &[EXPERTS, HIDDEN])?;
                    let kept = match scales {
                        Some(_) => DType::U8,
                        None => DType::BF16,
                    };
                    let check = |name: &str, tensor, shape: &[usize], dtype| {
                        check_as(&format!("layer {number}, {name}"), tensor, shape, dtype, device)
                    };
                    check(
                        "experts' gate_up",
                        gate_up,
                        &[EXPERTS, 2 * EXPERT_INTER, HIDDEN],
                        kept,
                    )?;
                    check("experts' down", down, &[EXPERTS, HIDDEN, EXPERT_INTER], kept)?;
                    check(
                        "shared gate_up",
                        shared_gate_up,
                        &[2 * SHARED_INTER, HIDDEN],
                        kept,
                    )?;
                    check("shared down", shared_down, &[HIDDEN, SHARED_INTER], kept)?;
                    if let Some(scales) = scales {
                        let f32 = DType::F32;
                        check(
                            "experts' gate_up scales",
                            &scales.gate_up,
                            &[EXPERTS, 2 * EXPERT_INTER],
                            f32,
                        )?;
                        check("experts' down scales", &scales.down, &[EXPERTS, HIDDEN], f32)?;
                        check(
                            "shared gate_up scales",
                            &scales.shared_gate_up,
                            &[2 * SHARED_INTER],
                            f32,
                        )?;
                        check("shared down scales", &scales.shared_down, &[HIDDEN], f32)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// That `tensor` is contiguous bf16 of this shape on this device.
pub(crate) fn check(name: &str, tensor: &Tensor, shape: &[usize], device: &Device) -> Result<()> {
    check_as(name, tensor, shape, DType::BF16, device)
}

/// The same of another type.
fn check_as(name: &str, tensor: &Tensor, shape: &[usize], dtype: DType, device: &Device) -> Result<()> {
    let fault = |problem: String| Err(KernelError::tensor(name, problem));
    if tensor.dims() != shape {
        return fault(format!("its shape is {:?}, it must be {shape:?}", tensor.dims()));
    }
    if tensor.dtype() != dtype {
        return fault(format!("its dtype is {:?}, it must be {dtype:?}", tensor.dtype()));
    }
    if !tensor.is_contiguous() {
        return fault("it is not contiguous; try `contiguous()`".into());
    }
    if !tensor.device().same_device(device) {
        return fault(format!(
            "it lies on {:?}, the decoder runs on {device:?}",
            tensor.device().location()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_refused_for_what_is_wrong_with_it() {
        let cpu = Device::Cpu;
        let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &cpu).unwrap();
        let said = |tensor: &Tensor| check("o", tensor, &[2, 3], &cpu).unwrap_err().to_string();
        assert!(check("o", &zeros(&[2, 3], DType::BF16), &[2, 3], &cpu).is_ok());
        assert_eq!(
            said(&zeros(&[3, 2], DType::BF16)),
            "o: its shape is [3, 2], it must be [2, 3]"
        );
        assert_eq!(
            said(&zeros(&[2, 3], DType::F32)),
            "o: its dtype is F32, it must be BF16"
        );
        let turned = zeros(&[3, 2], DType::BF16).t().unwrap();
        assert_eq!(said(&turned), "o: it is not contiguous; try `contiguous()`");
    }
}
