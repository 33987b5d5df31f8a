//! What several tests of the runtime need.

use ocr_runtime::{Capability, Manifest, encode};
use std::io::Read;

/// A component as the repository keeps it.
pub fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut component = Vec::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_end(&mut component)
        .unwrap();
    component
}

/// The component with another manifest in place of its own.
pub fn with_manifest(component: &[u8], manifest: &Manifest) -> Vec<u8> {
    const NAME: &[u8] = b"ocr-host:manifest";
    let mut bare = component[..8].to_vec();
    let mut rest = &component[8..];
    while let [id, after @ ..] = rest {
        let (mut size, mut bytes) = (0usize, 0);
        for byte in after {
            size |= usize::from(byte & 0x7f) << (7 * bytes);
            bytes += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let whole = 1 + bytes + size;
        let is_manifest = *id == 0 && rest[1 + bytes + 1..].starts_with(NAME);
        if !is_manifest {
            bare.extend_from_slice(&rest[..whole]);
        }
        rest = &rest[whole..];
    }
    encode(&bare, manifest).unwrap()
}

/// The component as one that asks for these capabilities.
pub fn asking(component: &[u8], capabilities: &[Capability]) -> Vec<u8> {
    let manifest = Manifest {
        capabilities: capabilities.to_vec(),
        ..Manifest::read(component).unwrap()
    };
    with_manifest(component, &manifest)
}
