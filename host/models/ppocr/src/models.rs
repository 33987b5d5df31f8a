//! The weights of all networks: inside the binary (feature `embedded-models`) or in a folder.

use crate::EngineError;
use crate::net::Net;
use crate::recognize::{Dictionary, LineReader};
use crate::structure::TableReader;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// File names, the same in the repository and in a models folder.
const DETECTOR: &str = "det.onnx";
const RECOGNIZER: &str = "rec.onnx";
const DICTIONARY: &str = "rec-dict.txt";
const LAYOUT: &str = "layout_cdla.onnx";
const TABLES: &str = "slanet-plus.onnx";

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Weights {
    /// Out of the binary; an error in builds without feature `embedded-models`.
    #[default]
    Embedded,
    /// Files named as in `host/models/ppocr/weights`.
    Folder(PathBuf),
}

/// Which optional networks to load.
pub(crate) struct Wanted<'a> {
    pub layout: bool,
    pub tables: bool,
    pub rescue: Option<&'a Path>,
}

/// The loaded networks.
pub(crate) struct Models {
    pub detector: Net,
    pub reader: LineReader,
    pub rescue: Option<LineReader>,
    pub layout: Option<Net>,
    pub tables: Option<TableReader>,
}

impl Models {
    /// Loads what is wanted from `weights`.
    pub fn load(weights: &Weights, wanted: Wanted) -> Result<Self, EngineError> {
        let net = |name: &'static str| Net::load(name, weights.bytes(name)?);
        let dictionary = Dictionary::from_lines(&String::from_utf8_lossy(&weights.bytes(DICTIONARY)?));
        Ok(Self {
            detector: net(DETECTOR)?,
            reader: LineReader::new(net(RECOGNIZER)?, dictionary),
            rescue: wanted.rescue.map(load_rescue).transpose()?,
            layout: wanted.layout.then(|| net(LAYOUT)).transpose()?,
            tables: (wanted.layout && wanted.tables)
                .then(|| TableReader::new(net(TABLES)?))
                .transpose()?,
        })
    }
}

/// The small recogniser carries its dictionary in its metadata.
fn load_rescue(path: &Path) -> Result<LineReader, EngineError> {
    let net = Net::load("rescue recogniser", Cow::Owned(read(path)?))?;
    let characters = net.metadata("character").ok_or_else(|| EngineError::Load {
        name: path.display().to_string(),
        reason: "it has no metadata `character` with its dictionary; fetch it again".into(),
    })?;
    let dictionary = Dictionary::from_lines(characters);
    Ok(LineReader::new(net, dictionary))
}

fn read(path: &Path) -> Result<Vec<u8>, EngineError> {
    std::fs::read(path).map_err(|source| EngineError::Read {
        path: path.to_owned(),
        source,
    })
}

impl Weights {
    fn bytes(&self, name: &'static str) -> Result<Cow<'static, [u8]>, EngineError> {
        match self {
            Self::Embedded => embedded(name).map(Cow::Borrowed).ok_or(EngineError::NoWeights),
            Self::Folder(folder) => read(&folder.join(name)).map(Cow::Owned),
        }
    }
}

#[cfg(feature = "embedded-models")]
fn embedded(name: &str) -> Option<&'static [u8]> {
    Some(match name {
        DETECTOR => include_bytes!("../weights/det.onnx"),
        RECOGNIZER => include_bytes!("../weights/rec.onnx"),
        DICTIONARY => include_bytes!("../weights/rec-dict.txt"),
        LAYOUT => include_bytes!("../weights/layout_cdla.onnx"),
        TABLES => include_bytes!("../weights/slanet-plus.onnx"),
        _ => return None,
    })
}

#[cfg(not(feature = "embedded-models"))]
fn embedded(_: &str) -> Option<&'static [u8]> {
    None
}
