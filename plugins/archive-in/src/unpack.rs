//! Inflating entries, and their checksums. No more is ever unpacked than the directory promises.

use crate::directory::{Entry, Problem, damaged};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use ocr_plugin::source::Source;

/// Bytes of an entry that tell what it is.
const HEAD: usize = 64;

/// Packed bytes that are fetched at a time.
const PIECE: u64 = 256 << 10;

/// An entry's bytes.
pub fn inflate(source: &Source, at: u64, entry: &Entry) -> Result<Vec<u8>, Problem> {
    let unpacked = usize::try_from(entry.unpacked).unwrap_or(usize::MAX);
    let bytes = inflate_up_to(source, at, entry.packed, unpacked, Beyond::IsDamage)?;
    match bytes.len() == unpacked {
        true => Ok(bytes),
        false => damaged(format!(
            "it unpacks to {} of the {unpacked} bytes that it promises",
            bytes.len()
        )),
    }
}

/// An entry's first bytes.
pub fn head(source: &Source, at: u64, entry: &Entry) -> Result<Vec<u8>, Problem> {
    let want = entry.unpacked.min(HEAD as u64) as usize;
    if entry.is_deflated {
        inflate_up_to(source, at, entry.packed, want, Beyond::IsUnwanted)
    } else {
        Ok(source.read_at(at, want as u32)?)
    }
}

/// What bytes behind those that are asked for mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    IsDamage,
    IsUnwanted,
}

/// At most `most` bytes.
fn inflate_up_to(
    source: &Source,
    at: u64,
    packed: u64,
    most: usize,
    beyond: Beyond,
) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    // One byte more shows whether there are more.
    if out.try_reserve_exact(most + 1).is_err() {
        return Err(Problem::Unsupported(format!(
            "its {most} bytes are more than this plugin's memory can take"
        )));
    }
    out.resize(most + 1, 0);
    let mut inflator = Box::new(DecompressorOxide::new());
    let (mut read, mut written) = (0, 0);
    while read < packed {
        let piece = source.read_at(at + read, (packed - read).min(PIECE) as u32)?;
        if piece.is_empty() {
            return damaged("it became shorter while it was read");
        }
        read += piece.len() as u64;
        let more = if read < packed {
            TINFL_FLAG_HAS_MORE_INPUT
        } else {
            0
        };
        let flags = more | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, _, made) = decompress(&mut inflator, &piece, &mut out, written, flags);
        written += made;
        match status {
            _ if written > most && beyond == Beyond::IsDamage => {
                return damaged("it unpacks to more bytes than it promises");
            }
            TINFLStatus::Done | TINFLStatus::HasMoreOutput => {
                out.truncate(written.min(most));
                return Ok(out);
            }
            // The whole piece was taken.
            TINFLStatus::NeedsMoreInput => {}
            _ => return damaged("its packed bytes make no sense"),
        }
    }
    damaged("its packed bytes end too early")
}

/// The checksum of ZIP: CRC-32 with the polynomial 0xedb88320.
pub fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 {
                    value >> 1 ^ 0xedb8_8320
                } else {
                    value >> 1
                };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| {
        crc >> 8 ^ TABLE[((crc ^ u32::from(byte)) & 0xff) as usize]
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_zip_s() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(super::crc32(b""), 0);
    }
}
