//! One network: ONNX bytes in, a function from one f32 tensor to several out.
//!
//! Thin on purpose: what runs the graph is known to this file alone.

use crate::EngineError;
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_tensor::{AsView, Layout, NdTensor, Tensor};
use std::borrow::Cow;
use std::sync::Arc;

/// A tensor a network answered, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// `shape`'s product values.
    pub data: Vec<f32>,
}

/// A loaded network; immutable and shared by all threads.
pub(crate) struct Net {
    name: &'static str,
    model: Model,
    input: NodeId,
    outputs: Vec<NodeId>,
}

impl Net {
    /// Loads ONNX bytes; `name` is for messages.
    pub fn load(name: &'static str, bytes: Cow<'static, [u8]>) -> Result<Self, EngineError> {
        let broken = |reason: String| EngineError::Load {
            name: name.into(),
            reason,
        };
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        let model = match bytes {
            Cow::Borrowed(bytes) => options.load_static_slice(bytes),
            Cow::Owned(bytes) => options.load(bytes),
        }
        .map_err(|e| broken(e.to_string()))?;
        let &input = model
            .input_ids()
            .first()
            .ok_or_else(|| broken("the graph has no input".into()))?;
        let outputs = model.output_ids().to_vec();
        Ok(Self {
            name,
            model,
            input,
            outputs,
        })
    }

    /// A metadata entry of the ONNX file.
    pub fn metadata(&self, key: &str) -> Option<String> {
        let found = self.model.metadata().fields().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.to_string())
    }

    /// Runs the graph on an NCHW tensor with the threads of `pool`.
    pub fn run(
        &self,
        shape: [usize; 4],
        data: Vec<f32>,
        pool: &Arc<ThreadPool>,
    ) -> Result<Vec<Output>, EngineError> {
        let failed = |reason: String| EngineError::Run {
            name: self.name.into(),
            reason,
        };
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let input = NdTensor::from_data(shape, data);
        let values = self
            .model
            .run(vec![(self.input, input.into())], &self.outputs, Some(options))
            .map_err(|e| failed(e.to_string()))?;
        values
            .into_iter()
            .map(|value| {
                let tensor: Tensor<f32> = value.try_into().map_err(|e| failed(format!("{e}")))?;
                Ok(Output {
                    shape: tensor.shape().to_vec(),
                    data: tensor.to_vec(),
                })
            })
            .collect()
    }
}
