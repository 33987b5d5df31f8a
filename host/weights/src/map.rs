//! The weights of a model, mapped into memory: [`Checkpoint`].
//!
//! Nothing is read when a checkpoint is opened but the heads of its files; a tensor's bytes come from the disk, or the
//! system's cache of it, when they are touched. No copy of a file is made: [`Checkpoint::tensor`] copies from the map
//! straight to the device, and [`Checkpoint::bytes`] lends the map itself to code that places several tensors in one
//! allocation of its own.
#![allow(unsafe_code)] // memory maps; the one block below says why it holds

use crate::error::{WeightsError, listed};
use crate::header::{self, Entry};
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The file that says which tensor is in which other file.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
/// How the names of files of weights end.
pub(crate) const EXTENSION: &str = ".safetensors";
/// An index is at most this long; that of DeepSeek-OCR has 0.3 MB.
const MOST_INDEX_BYTES: u64 = 32 << 20;

/// All tensors of a model, by name.
///
/// The files must not be written to while they are mapped: the hub's cache and this crate put a new file in the place
/// of an old one and never change one in place.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<Mmap>,
    /// Which file, and where in it.
    tensors: BTreeMap<String, (usize, Entry)>,
}

impl Checkpoint {
    /// Maps the weights in `folder`: those that `model.safetensors.index.json` names, else every `*.safetensors`.
    pub fn open(folder: &Path) -> Result<Self, WeightsError> {
        let index = read_index(folder)?;
        let names = match &index {
            Some(index) => index.values().cloned().collect(),
            None => weight_files(folder)?,
        };
        let missing: Vec<String> = match names.is_empty() {
            true => vec![format!("*{EXTENSION}")],
            false => names
                .iter()
                .filter(|n| !folder.join(n).is_file())
                .cloned()
                .collect(),
        };
        if !missing.is_empty() {
            return Err(WeightsError::Incomplete {
                model: crate::DEEPSEEK_OCR.name.into(),
                folder: folder.into(),
                missing,
            });
        }
        let mut checkpoint = Self {
            folder: folder.into(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
        };
        for name in &names {
            checkpoint.add(name)?;
        }
        if let Some(index) = index {
            checkpoint.agrees_with(&index, &names)?;
        }
        Ok(checkpoint)
    }

    /// Maps one more file of the folder.
    fn add(&mut self, name: &str) -> Result<(), WeightsError> {
        let path = self.folder.join(name);
        let map = map(&path)?;
        let entries = header::read(&map).map_err(|reason| WeightsError::Damaged {
            path: path.clone(),
            reason,
        })?;
        let file = self.files.len();
        for (tensor, entry) in entries {
            match self.tensors.entry(tensor) {
                btree_map::Entry::Vacant(place) => place.insert((file, entry)),
                btree_map::Entry::Occupied(taken) => {
                    let reason = format!("tensor `{}` is in an earlier file as well", taken.key());
                    return Err(WeightsError::Damaged { path, reason });
                }
            };
        }
        self.files.push(map);
        Ok(())
    }

    /// Fails unless every tensor is in the file that the index names; `files` in the order they were mapped.
    fn agrees_with(
        &self,
        index: &BTreeMap<String, String>,
        files: &BTreeSet<String>,
    ) -> Result<(), WeightsError> {
        let files: Vec<&String> = files.iter().collect();
        let stray = index
            .iter()
            .find(|(name, file)| self.tensors.get(*name).map(|(at, _)| files[*at]) != Some(*file))
            .map(|(name, file)| format!("it says that tensor `{name}` is in {file}, which does not have it"));
        let unlisted = || {
            let (name, (file, _)) = self.tensors.iter().find(|(n, _)| !index.contains_key(*n))?;
            Some(format!("it does not list tensor `{name}` of {}", files[*file]))
        };
        match stray.or_else(unlisted) {
            None => Ok(()),
            Some(reason) => Err(WeightsError::Damaged {
                path: self.folder.join(INDEX),
                reason,
            }),
        }
    }

    /// The folder it was opened from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Size of all tensors, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.tensors.values().map(|(_, e)| e.range.len() as u64).sum()
    }

    /// The shape of tensor `name`.
    pub fn shape(&self, name: &str) -> Result<&[usize], WeightsError> {
        Ok(&self.entry(name)?.1.shape)
    }

    /// The type of tensor `name` in the file.
    pub fn dtype(&self, name: &str) -> Result<DType, WeightsError> {
        Ok(self.entry(name)?.1.dtype)
    }

    /// The bytes of tensor `name`: elements in row-major order, little-endian, at no particular alignment. They are
    /// the map itself: a caller that stacks several tensors copies each of these to its place in one allocation.
    pub fn bytes(&self, name: &str) -> Result<&[u8], WeightsError> {
        let (file, entry) = self.entry(name)?;
        Ok(&self.files[*file][entry.range.clone()])
    }

    /// Tensor `name` on `device`, of the file's type.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor, WeightsError> {
        let (_, entry) = self.entry(name)?;
        let bytes = self.bytes(name)?;
        Tensor::from_raw_buffer(bytes, entry.dtype, &entry.shape, device).map_err(failed(name))
    }

    /// Tensor `name` on `device` as `dtype`. It is converted there, after it was copied.
    pub fn tensor_as(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor, WeightsError> {
        let tensor = self.tensor(name, device)?;
        tensor.to_dtype(dtype).map_err(failed(name))
    }

    /// The tensors `names`, all of one shape, as one of `[names, ..shape]` on `device`. Beside the result there is one
    /// of them at a time, never a second copy of all.
    pub fn stacked<N: AsRef<str>>(
        &self,
        names: &[N],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor, WeightsError> {
        let first = names.first().map_or("", AsRef::as_ref);
        let shape = [&[names.len()], self.shape(first)?].concat();
        let all = Tensor::zeros(shape, dtype, device).map_err(failed(first))?;
        for (n, name) in names.iter().enumerate() {
            let name = name.as_ref();
            let one = self.tensor_as(name, dtype, device)?;
            let placed = one.unsqueeze(0).and_then(|one| all.slice_set(&one, 0, n));
            placed.map_err(failed(name))?;
        }
        Ok(all)
    }

    /// Fails unless the tensors are exactly those that are `expected`, each of its shape and a floating-point type.
    pub fn check<N: AsRef<str>, S: AsRef<[usize]>>(
        &self,
        expected: impl IntoIterator<Item = (N, S)>,
    ) -> Result<(), WeightsError> {
        let expected: BTreeMap<String, Vec<usize>> = expected
            .into_iter()
            .map(|(name, shape)| (name.as_ref().to_owned(), shape.as_ref().to_vec()))
            .collect();
        match self.difference(&expected) {
            None => Ok(()),
            Some(reason) => Err(WeightsError::Mismatch {
                folder: self.folder.clone(),
                reason,
            }),
        }
    }

    /// The first kind of difference from what is expected: the names, the shapes, then the types.
    fn difference(&self, expected: &BTreeMap<String, Vec<usize>>) -> Option<String> {
        let missing: Vec<&String> = expected
            .keys()
            .filter(|n| !self.tensors.contains_key(*n))
            .collect();
        let unexpected: Vec<&String> = self
            .tensors
            .keys()
            .filter(|n| !expected.contains_key(*n))
            .collect();
        if !missing.is_empty() || !unexpected.is_empty() {
            let (has, asked) = (self.tensors.len(), expected.len());
            let mut why = vec![format!("it has {has} tensors where the model has {asked}")];
            for (names, what) in [(missing, "missing"), (unexpected, "unexpected")] {
                if !names.is_empty() {
                    why.push(format!("{what} {}: {}", names.len(), listed(&names)));
                }
            }
            return Some(why.join("; "));
        }
        let misshapen: Vec<String> = expected
            .iter()
            .map(|(name, shape)| (name, &self.tensors[name].1.shape, shape))
            .filter(|(_, has, asked)| has != asked)
            .map(|(name, has, asked)| format!("`{name}` is {has:?}, not {asked:?}"))
            .collect();
        if !misshapen.is_empty() {
            return Some(format!(
                "{} tensors of a wrong shape: {}",
                misshapen.len(),
                listed(&misshapen)
            ));
        }
        let floats = [DType::BF16, DType::F16, DType::F32];
        let mistyped: Vec<String> = self
            .tensors
            .iter()
            .filter(|(_, (_, entry))| !floats.contains(&entry.dtype))
            .map(|(name, (_, entry))| format!("`{name}` is {}", entry.dtype.as_str()))
            .collect();
        let names = listed(&mistyped);
        (!mistyped.is_empty()).then(|| {
            format!(
                "{} tensors of a wrong type, not bf16, f16 or f32: {names}",
                mistyped.len()
            )
        })
    }

    fn entry(&self, name: &str) -> Result<&(usize, Entry), WeightsError> {
        self.tensors.get(name).ok_or_else(|| WeightsError::NoTensor {
            folder: self.folder.clone(),
            name: name.into(),
        })
    }
}

fn failed(name: &str) -> impl FnOnce(candle_core::Error) -> WeightsError {
    let name = name.to_owned();
    move |source| WeightsError::Tensor { name, source }
}

fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let file = File::open(path).map_err(WeightsError::io("open", path))?;
    // SAFETY: the map is read-only, and all access goes through its slice, whose length is the file's when it was
    // mapped. What can't be checked here is that no other process shortens or rewrites the file meanwhile: the cache
    // and `hub.rs` only ever rename whole files into place, and `Checkpoint` tells callers so.
    let map = unsafe { Mmap::map(&file) };
    map.map_err(WeightsError::io("map", path))
}

/// Tensor name to file name, where the folder has an index.
pub(crate) fn read_index(folder: &Path) -> Result<Option<BTreeMap<String, String>>, WeightsError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let path = folder.join(INDEX);
    let file = match File::open(&path) {
        Ok(file) => file,
        // A link to a file that is gone is no index, but not the absence of one either.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(e) => return Err(WeightsError::io("open", path)(e)),
    };
    let mut text = Vec::new();
    let read = file.take(MOST_INDEX_BYTES + 1).read_to_end(&mut text);
    read.map_err(WeightsError::io("read", &path))?;
    let wrong = |reason: String| WeightsError::Damaged {
        path: path.clone(),
        reason,
    };
    if text.len() as u64 > MOST_INDEX_BYTES {
        return Err(wrong(format!("it is longer than {MOST_INDEX_BYTES} bytes")));
    }
    let index: Index = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    match index.weight_map.values().find(|name| !is_weight_file(name)) {
        Some(name) => Err(wrong(format!(
            "`{}` is no name of a file of weights",
            name.escape_debug()
        ))),
        None => Ok(Some(index.weight_map)),
    }
}

/// Whether it is a plain name in this folder that ends as files of weights do.
pub(crate) fn is_weight_file(name: &str) -> bool {
    name.ends_with(EXTENSION) && crate::cache::is_plain(name)
}

/// All files of weights in a folder, sorted.
fn weight_files(folder: &Path) -> Result<BTreeSet<String>, WeightsError> {
    let entries = std::fs::read_dir(folder).map_err(WeightsError::io("read", folder))?;
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| is_weight_file(name)).collect())
}
