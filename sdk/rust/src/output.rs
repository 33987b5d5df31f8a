//! The files a formatter writes. They are names in a tree that the host owns, checks, counts and commits.

use crate::image::{CALL_BYTES, Encoding, Image};
use crate::{HostError, host};

/// The file that the user asked for.
pub fn main() -> Result<File, HostError> {
    host::main().map(File)
}

/// A further file, placed by the host in a folder next to the main file; [`File::name`] tells where. Fails with
/// `denied` when the run has no folder for it because it writes to standard output.
pub fn create(name: &str, media_type: &str) -> Result<File, HostError> {
    host::create(name, media_type).map(File)
}

/// A file being written.
#[derive(Debug)]
pub struct File(host::File);

impl File {
    /// How the main file links to this one: a relative path with forward slashes. The main file's own name for itself.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// Bytes written so far.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a file being written has no use for it"
    )]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Appends bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<(), HostError> {
        bytes.chunks(CALL_BYTES).try_for_each(|chunk| self.0.write(chunk))
    }

    /// Appends text.
    pub fn write_text(&self, text: &str) -> Result<(), HostError> {
        let mut rest = text;
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at(rest.floor_char_boundary(CALL_BYTES));
            self.0.write_text(chunk)?;
            rest = tail;
        }
        Ok(())
    }

    /// Appends an image, encoded in the host. `quality` is 1 ..= 100 and counts for JPEG. Answers the bytes written.
    pub fn write_image(&self, image: &Image, encoding: Encoding, quality: u8) -> Result<u64, HostError> {
        self.0.write_image(&image.0, encoding, quality)
    }

    /// The same as base64 text, for `data:` URLs.
    pub fn write_image_base64(
        &self,
        image: &Image,
        encoding: Encoding,
        quality: u8,
    ) -> Result<u64, HostError> {
        self.0.write_image_base64(&image.0, encoding, quality)
    }
}
