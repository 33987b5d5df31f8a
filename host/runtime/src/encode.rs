//! Turns what a toolchain builds into a plugin: component encoding and the manifest section in one step.

use crate::manifest::{Manifest, SECTION};
use wit_component::ComponentEncoder;

/// Makes a plugin of a core module that carries its component type (as `wit-bindgen` leaves it), or of a component
/// that lacks a manifest.
pub fn encode(wasm: &[u8], manifest: &Manifest) -> Result<Vec<u8>, String> {
    manifest.check().map_err(|e| e.to_string())?;
    let is_component = wasm.get(4..8) == Some(&[0x0d, 0, 1, 0]);
    let mut component = match is_component {
        true => wasm.to_vec(),
        false => ComponentEncoder::default()
            .validate(true)
            .module(wasm)
            .and_then(|mut encoder| encoder.encode())
            .map_err(|e| format!("it is no module built against ocr-host:plugin: {e:#}"))?,
    };
    let json = serde_json::to_vec(manifest).expect("a manifest is plain data");
    push_section(&mut component, SECTION, &json);
    Ok(component)
}

/// Adds a custom section at a component's end.
pub(crate) fn push_section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut section = leb128(name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    component.push(0);
    component.extend(leb128(section.len()));
    component.extend(section);
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}
