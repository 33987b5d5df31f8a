//! The tiny checkpoint, and what PyTorch made of it.

use ocr_document::{PageImage, PixelFormat};
use ocr_model_deepseek::{Mode, NgramRule, Task};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// A checkpoint of seed 1 in a folder of its own.
pub fn tiny(kind: ocr_synthetic::Kind) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ocr_synthetic::write(folder.path(), kind, 1).unwrap();
    folder
}

/// A stage as it was kept: every `stride`-th element.
pub struct Kept {
    pub stride: usize,
    pub values: Vec<f32>,
}

/// One input and what PyTorch made of it.
pub struct Fixture {
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
    input: Value,
    pub image: PageImage,
    pub mode: Mode,
    pub max_crops: usize,
    pub task: Task,
    pub count: usize,
}

impl Fixture {
    /// `tiny-NAME.safetensors`.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/tiny-{name}.safetensors"));
        let bytes = std::fs::read(path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = metadata.metadata().clone().unwrap();
        let input: Value = serde_json::from_str(&metadata["input"]).unwrap();
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let (width, height) = (number(&input["page"][0]), number(&input["page"][1]));
        let pixels = ocr_synthetic::page(width, height, input["page_seed"].as_u64().unwrap());
        Self {
            image: PageImage::new(width as u32, height as u32, PixelFormat::Rgb8, pixels).unwrap(),
            mode: input["mode"].as_str().unwrap().parse().unwrap(),
            max_crops: number(&input["max_crops"]),
            task: Task::Prompt(input["prompt"].as_str().unwrap().to_owned()),
            count: number(&input["tokens"]),
            bytes,
            metadata,
            input,
        }
    }

    /// A list of ids.
    pub fn ids(&self, name: &str) -> Vec<u32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap();
        let width = view.data().len() / view.shape().iter().product::<usize>();
        view.data()
            .chunks_exact(width)
            .map(|id| u32::from_le_bytes(id[..4].try_into().unwrap()))
            .collect()
    }

    /// The stages in f32 by name.
    pub fn stages(&self) -> Vec<(String, Kept)> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let floats = file
            .tensors()
            .into_iter()
            .filter(|(name, view)| view.dtype() == safetensors::Dtype::F32 && name != "top.values");
        let kept = floats.map(|(name, view)| {
            let values = view
                .data()
                .chunks_exact(4)
                .map(|v| f32::from_le_bytes(v.try_into().unwrap()));
            let values = values.collect();
            let stride = self.metadata.get(&name).map_or(1, |text| {
                let said: Value = serde_json::from_str(text).unwrap();
                said["stride"].as_u64().unwrap() as usize
            });
            (name, Kept { stride, values })
        });
        kept.collect()
    }

    /// The rule that its guarded tokens were made under.
    pub fn guard(&self) -> NgramRule {
        let guard = &self.input["guard"];
        NgramRule {
            size: guard["size"].as_u64().unwrap() as usize,
            window: Some(guard["window"].as_u64().unwrap() as usize),
            allowed: guard["allow"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_u64().unwrap() as u32)
                .collect(),
        }
    }
}
