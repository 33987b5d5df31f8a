//! The pages of a TIFF file, each as a file of its own for a decoder that knows one page.

use crate::decode::Bytes;
use std::io::{Cursor, Read, Seek, SeekFrom};

/// Most pages of a file.
const MAX_PAGES: usize = 10_000;

/// A TIFF file whose header points to another directory, so that a single-page decoder reads that page.
pub(crate) struct TiffPage {
    inner: Cursor<Bytes>,
    first: u64,
}

impl TiffPage {
    /// The page whose directory is at offset `first`.
    pub(crate) fn new(inner: Cursor<Bytes>, first: u64) -> Self {
        Self { inner, first }
    }
}

impl Read for TiffPage {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let at = self.inner.position();
        let count = self.inner.read(to)?;
        let bytes = self.inner.get_ref().as_ref();
        let (little, big) = (bytes[0] == b'I', is_big_tiff(bytes));
        let (start, size) = if big { (8, 8) } else { (4, 4) };
        let mut pointer = self.first.to_le_bytes()[..size].to_vec();
        if !little {
            pointer.reverse();
        }
        for (i, byte) in pointer.into_iter().enumerate() {
            let place = start + i as u64;
            if (at..at + count as u64).contains(&place) {
                to[(place - at) as usize] = byte;
            }
        }
        Ok(count)
    }
}

impl Seek for TiffPage {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

fn is_big_tiff(bytes: &[u8]) -> bool {
    matches!(bytes.get(..4), Some([b'I', b'I', 43, 0] | [b'M', b'M', 0, 43]))
}

/// Offsets of a TIFF's directories, in page order, and why there are no more where the file has more; thumbnails and
/// masks (NewSubfileType bits 0 and 2) are no pages.
pub(crate) fn tiff_directories(bytes: &[u8]) -> Result<(Vec<u64>, Option<String>), String> {
    let tiff = crate::dpi::Tiff::new(bytes).ok_or("is no TIFF file")?;
    let mut offsets = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut next = tiff.first_directory();
    let mut cut = None;
    while let Some(at) = next.filter(|&at| at != 0) {
        let directory = tiff.directory(at);
        cut = match &directory {
            _ if !seen.insert(at) => {
                Some("its pages lead back to an earlier one; what follows is not read".into())
            }
            _ if offsets.len() >= MAX_PAGES => Some(format!(
                "it has more than {MAX_PAGES} pages; the rest is not read"
            )),
            Some(found) if found.is_sound() => None,
            _ => Some("it is damaged behind its last page that could be found".into()),
        };
        let (Some(directory), None) = (directory, &cut) else {
            break;
        };
        let subfile = directory.number(254).unwrap_or(0.0) as u32;
        if subfile & 0b101 == 0 {
            offsets.push(at);
        }
        next = directory.next;
    }
    if offsets.is_empty() {
        Err("has no pages".into())
    } else {
        Ok((offsets, cut))
    }
}
