//! Random access to an input's bytes, in a file or in memory; windows share them.

use crate::state::Charge;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Bytes with a name.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    data: Data,
    offset: u64,
    len: u64,
    /// What a plugin pays for bytes that it made.
    _charge: Option<Arc<Charge>>,
}

#[derive(Debug, Clone)]
enum Data {
    Memory(Arc<Vec<u8>>),
    File(Arc<Mutex<File>>),
}

impl Source {
    /// The bytes of a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Asked before opening: opening a pipe would wait for its writer.
        let meta = std::fs::metadata(path)?;
        if !meta.is_file() {
            let why = "is no regular file; give a file, or - to read from a pipe";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let file = File::open(path)?;
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Self {
            name,
            data: Data::File(Arc::new(Mutex::new(file))),
            offset: 0,
            len: meta.len(),
            _charge: None,
        })
    }

    /// Bytes in memory.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self {
            name: name.into(),
            data: Data::Memory(Arc::new(bytes)),
            offset: 0,
            len,
            _charge: None,
        }
    }

    /// Bytes in memory that a plugin pays for.
    pub(crate) fn charged(name: String, bytes: Vec<u8>, charge: Charge) -> Self {
        Self {
            _charge: Some(Arc::new(charge)),
            ..Self::from_bytes(name, bytes)
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Up to `len` bytes from `offset`; fewer at the end, none past it.
    pub fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let rest = self.len.saturating_sub(offset);
        let len = len.min(usize::try_from(rest).unwrap_or(usize::MAX));
        let start = self.offset + offset.min(self.len);
        match &self.data {
            Data::Memory(bytes) => Ok(bytes[start as usize..][..len].to_vec()),
            Data::File(file) => {
                let mut file = file.lock().expect("no thread panics while it reads");
                file.seek(SeekFrom::Start(start))?;
                let mut bytes = Vec::with_capacity(len);
                (&mut *file).take(len as u64).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// A window on the same bytes; `None` where it reaches past the end.
    pub fn window(&self, name: impl Into<String>, offset: u64, len: u64) -> Option<Source> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| Source {
            name: name.into(),
            data: self.data.clone(),
            offset: self.offset + offset,
            len,
            _charge: self._charge.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn windows_and_reads_stay_inside() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        for source in [
            Source::open(file.path()).unwrap(),
            Source::from_bytes("m", b"0123456789".to_vec()),
        ] {
            let window = source.window("w", 2, 5).unwrap();
            assert_eq!(window.read_at(1, 100).unwrap(), b"3456");
            assert_eq!(window.read_at(9, 4).unwrap(), b"");
            assert_eq!(window.window("v", 4, 1).unwrap().read_at(0, 9).unwrap(), b"6");
            assert!(source.window("x", 6, 5).is_none());
            assert!(source.window("x", u64::MAX, 2).is_none());
        }
    }
}
