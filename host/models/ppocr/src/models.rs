//! The weights of all networks: inside the binary (feature `embedded-models`) or in a folder.

use crate::EngineError;
use crate::net::Net;
use crate::recognize::{Dictionary, LineReader};
use crate::structure::TableReader;
use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

/// File names in a models folder. The repository and the program hold networks packed, as `det.onnx.planes.gz`, and a
/// models folder may as well.
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
    /// Files named as in `host/models/ppocr/weights`, networks packed or not.
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
    pub(crate) fn bytes(&self, name: &'static str) -> Result<Cow<'static, [u8]>, EngineError> {
        match self {
            Self::Embedded => match embedded(name).ok_or(EngineError::NoWeights)? {
                (true, packed) => unpack(name, packed).map(Cow::Owned),
                (false, plain) => Ok(Cow::Borrowed(plain)),
            },
            Self::Folder(folder) => {
                let packed = folder.join(format!("{name}.planes.gz"));
                match folder.join(name) {
                    plain if plain.exists() || !packed.exists() => read(&plain).map(Cow::Owned),
                    _ => unpack(name, &read(&packed)?).map(Cow::Owned),
                }
            }
        }
    }
}

/// Bytes of a float.
const PLANES: usize = 4;

/// Far more than any of the networks takes.
const NETWORK_BYTES: u64 = 256 << 20;

/// Unpacks gzip around byte planes: bytes 0, 4, 8 .. of the file, then 1, 5, 9 .. and so on. A network is floats, whose
/// upper bytes resemble each other, so that it packs 6 % smaller.
fn unpack(name: &str, packed: &[u8]) -> Result<Vec<u8>, EngineError> {
    let mut planes = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(packed)
        .take(NETWORK_BYTES)
        .read_to_end(&mut planes);
    let joined = |_| {
        let mut bytes = vec![0; planes.len()];
        let mut rest = &planes[..];
        for first in 0..PLANES.min(bytes.len()) {
            let (plane, behind) = rest.split_at((bytes.len() - first).div_ceil(PLANES));
            for (place, &byte) in bytes[first..].iter_mut().step_by(PLANES).zip(plane) {
                *place = byte;
            }
            rest = behind;
        }
        bytes
    };
    unpacked.map(joined).map_err(|e| EngineError::Load {
        name: format!("{name}.planes.gz"),
        reason: format!("it can't be unpacked: {e}"),
    })
}

/// A file's bytes, and whether they are packed.
#[cfg(feature = "embedded-models")]
fn embedded(name: &str) -> Option<(bool, &'static [u8])> {
    Some(match name {
        DETECTOR => (true, include_bytes!("../weights/det.onnx.planes.gz")),
        RECOGNIZER => (true, include_bytes!("../weights/rec.onnx.planes.gz")),
        DICTIONARY => (false, include_bytes!("../weights/rec-dict.txt")),
        LAYOUT => (true, include_bytes!("../weights/layout_cdla.onnx.planes.gz")),
        TABLES => (true, include_bytes!("../weights/slanet-plus.onnx.planes.gz")),
        _ => return None,
    })
}

#[cfg(not(feature = "embedded-models"))]
fn embedded(_: &str) -> Option<(bool, &'static [u8])> {
    None
}
