//! Random access to an input's bytes, without a file system.

use crate::image::CALL_BYTES;
use crate::{HostError, host};

/// The bytes of an input.
#[derive(Debug)]
pub struct Source(pub(crate) host::Source);

impl Source {
    /// An input made by the plugin: an attachment, a picture inside a document.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, HostError> {
        host::Source::from_bytes(name, bytes).map(Self)
    }

    /// Its file name, without folders.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Its length, bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether it holds no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Up to `len` bytes from `offset`; fewer only at the end.
    pub fn read_at(&self, offset: u64, len: u32) -> Result<Vec<u8>, HostError> {
        self.0.read_at(offset, len)
    }

    /// All bytes, fetched in pieces. Memory for them is asked for first, so that an input too large for the plugin's
    /// memory limit is an error and no crash.
    pub fn read_all(&self) -> Result<Vec<u8>, HostError> {
        let len = self.len();
        let too_large = || {
            HostError::Failed(format!(
                "`{}` has {len} bytes, more than this plugin's memory can take",
                self.name()
            ))
        };
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(usize::try_from(len).map_err(|_| too_large())?)
            .map_err(|_| too_large())?;
        while (bytes.len() as u64) < len {
            let want = (len - bytes.len() as u64).min(CALL_BYTES as u64) as u32;
            let piece = self.read_at(bytes.len() as u64, want)?;
            if piece.is_empty() {
                return Err(HostError::Failed(format!(
                    "`{}` ends after {} of its {len} bytes",
                    self.name(),
                    bytes.len()
                )));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// An input that is a part of this one; no copy.
    pub fn window(&self, name: &str, offset: u64, len: u64) -> Result<Self, HostError> {
        self.0.window(name, offset, len).map(Self)
    }
}
