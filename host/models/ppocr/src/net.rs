//! One network: ONNX bytes in, a function from one f32 tensor to several out.
//!
//! Our own runtime (`nn`) runs the graphs it knows; rten runs all others. Which of the two it is, is known to this
//! file alone.

use crate::EngineError;
use crate::nn::{self, Plan};
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
    graph: Graph,
    metadata: Vec<(String, String)>,
}

enum Graph {
    Own(Plan),
    Rten {
        model: Box<Model>,
        input: NodeId,
        outputs: Vec<NodeId>,
    },
}

impl Net {
    /// Loads ONNX bytes; `name` is for messages.
    pub fn load(name: &'static str, bytes: Cow<'static, [u8]>) -> Result<Self, EngineError> {
        match Plan::new(&bytes) {
            Some(plan) => Ok(Self {
                name,
                graph: Graph::Own(plan),
                metadata: nn::metadata(&bytes),
            }),
            None => Self::load_with_rten(name, bytes),
        }
    }

    fn load_with_rten(name: &'static str, bytes: Cow<'static, [u8]>) -> Result<Self, EngineError> {
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
        let metadata = model
            .metadata()
            .fields()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        Ok(Self {
            name,
            graph: Graph::Rten {
                model: Box::new(model),
                input,
                outputs,
            },
            metadata,
        })
    }

    /// A metadata entry of the ONNX file.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Runs the graph on an NCHW tensor of batch 1 with the threads of `pool`.
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
        let (model, input, outputs) = match &self.graph {
            Graph::Own(plan) => return pool.run(|| plan.run(shape[2], shape[3], &data)).map_err(failed),
            Graph::Rten {
                model,
                input,
                outputs,
            } => (model, *input, outputs),
        };
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let tensor = NdTensor::from_data(shape, data);
        let values = model
            .run(vec![(input, tensor.into())], outputs, Some(options))
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

#[cfg(all(test, feature = "embedded-models"))]
mod tests {
    use super::*;
    use crate::models::Weights;

    /// A noisy image that differs from row to row.
    fn image(shape: [usize; 4]) -> Vec<f32> {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        (0..shape.iter().product())
            .map(|n| noise() * 2.0 - 1.0 + (n % 97) as f32 / 97.0)
            .collect()
    }

    #[test]
    fn our_runtime_answers_what_rten_answers() {
        let nets: [(&'static str, [usize; 4], f32); 3] = [
            ("det.onnx", [1, 3, 96, 160], 2e-3),
            ("rec.onnx", [1, 3, 48, 203], 1e-3),
            ("layout_cdla.onnx", [1, 3, 800, 608], 2e-3),
        ];
        let pool = Arc::new(ThreadPool::with_num_threads(2));
        let weights = Weights::Folder(concat!(env!("CARGO_MANIFEST_DIR"), "/weights").into());
        for (name, shape, tolerance) in nets {
            let bytes = weights.bytes(name).unwrap();
            let ours = Net::load("net", bytes.clone()).unwrap();
            assert!(
                matches!(ours.graph, Graph::Own(_)),
                "{name} has an operator we don't know"
            );
            let theirs = Net::load_with_rten("net", bytes).unwrap();
            let image = image(shape);
            let (ours, theirs) = (
                ours.run(shape, image.clone(), &pool).unwrap(),
                theirs.run(shape, image, &pool).unwrap(),
            );
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours.shape, theirs.shape, "{name}");
                let apart = ours
                    .data
                    .iter()
                    .zip(&theirs.data)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(apart < tolerance, "{name} is {apart} apart");
            }
        }
    }

    #[test]
    fn a_broken_file_is_refused() {
        assert!(matches!(
            Net::load("x", Cow::Borrowed(b"no net")),
            Err(EngineError::Load { .. })
        ));
    }
}
