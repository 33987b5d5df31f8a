//! Reads a component from a file: an ordinary file of a bounded size, whatever the path leads to.

use crate::error::LoadError;
use crate::limits::COMPONENT_BYTES;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// The bytes of the component in a file. Folders, devices and pipes are refused before anything waits for them.
pub fn read_component(path: &Path) -> Result<Vec<u8>, LoadError> {
    let plugin = path.display().to_string();
    let read = |error| LoadError::Read {
        plugin: plugin.clone(),
        error,
    };
    let too_large = |bytes| LoadError::TooLarge {
        plugin: plugin.clone(),
        bytes,
        limit: COMPONENT_BYTES,
    };
    // Asked before opening: opening a pipe would wait for its writer.
    ordinary(&std::fs::metadata(path).map_err(read)?).map_err(read)?;
    let file = File::open(path).map_err(read)?;
    // Asked again of what was opened, which may be something else by now.
    let meta = file.metadata().map_err(read)?;
    ordinary(&meta).map_err(read)?;
    if meta.len() > COMPONENT_BYTES {
        return Err(too_large(meta.len()));
    }
    let mut bytes = Vec::new();
    file.take(COMPONENT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    match bytes.len() as u64 > COMPONENT_BYTES {
        true => Err(too_large(bytes.len() as u64)),
        false => Ok(bytes),
    }
}

fn ordinary(meta: &Metadata) -> io::Result<()> {
    let why = match (meta.is_file(), meta.is_dir()) {
        (true, _) => return Ok(()),
        (_, true) => {
            "it is a folder; build it with `ocr-host plugin build`, and give the .wasm that comes of it"
        }
        _ => "it is a pipe or a device, not a file; save the component to a file first",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ordinary_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        std::fs::write(&path, b"bytes").unwrap();
        assert_eq!(read_component(&path).unwrap(), b"bytes");
        let said = |path: &Path| read_component(path).unwrap_err().to_string();
        assert!(said(folder.path()).contains("is a folder"));
        let large = folder.path().join("large.wasm");
        File::create(&large)
            .unwrap()
            .set_len(COMPONENT_BYTES + 1)
            .unwrap();
        assert!(said(&large).contains("over the limit"));
        #[cfg(unix)]
        assert!(said(Path::new("/dev/zero")).contains("a pipe or a device"));
    }
}
