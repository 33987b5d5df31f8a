//! `output`: files that a formatter names and the host writes.

use super::super::imports::types::HostError;
use super::super::imports::{image, output};
use super::Answer;
use crate::output::{OutputError, OutputFile, OutputTree};
use crate::state::{ImageHandle, State};
use base64::Engine as _;
use wasmtime::Result;
use wasmtime::component::Resource;

/// Bytes that are written as base64 at a time; a multiple of 3, so that the parts are one text.
const BASE64_PART: usize = 48 << 10;

type Attempt = std::result::Result<OutputFile, OutputError>;

impl State {
    pub(super) fn denied_output() -> HostError {
        HostError::Denied("only output formatters write files".into())
    }

    fn output_error(&mut self, error: OutputError) -> HostError {
        match error {
            OutputError::Quota(quota, limit) => self.quota(quota, limit),
            OutputError::Invalid(why) => HostError::Invalid(why),
            OutputError::Denied(why) => HostError::Denied(why),
            OutputError::Io(error) => {
                let why = format!("writing failed: {error}");
                self.meter.failure.get_or_insert_with(|| why.clone());
                HostError::Failed(why)
            }
        }
    }

    fn hand_out_file(&mut self, file: Option<Attempt>) -> Answer<Resource<OutputFile>> {
        match file {
            Some(Ok(file)) => self.hand_out(file),
            Some(Err(error)) => Ok(Err(self.output_error(error))),
            None => Ok(Err(Self::denied_output())),
        }
    }

    fn write_bytes(&mut self, file: &Resource<OutputFile>, bytes: &[u8]) -> Answer<()> {
        let file = self.table.get(file)?.clone();
        let written = self.on_host_time(|state| {
            let limits = &state.limits;
            state.output.as_mut().map(|tree| tree.write(&file, bytes, limits))
        });
        Ok(match written {
            Some(written) => written.map_err(|error| self.output_error(error)),
            None => Err(Self::denied_output()),
        })
    }
}

impl output::Host for State {
    fn main(&mut self) -> Answer<Resource<OutputFile>> {
        self.enter()?;
        let file = self.output.as_mut().map(OutputTree::main);
        self.hand_out_file(file)
    }

    fn create(&mut self, name: String, _media_type: String) -> Answer<Resource<OutputFile>> {
        self.enter()?;
        let file = self.on_host_time(|state| {
            let limits = &state.limits;
            state.output.as_mut().map(|tree| tree.create(&name, limits))
        });
        self.hand_out_file(file)
    }
}

impl output::HostFile for State {
    fn name(&mut self, this: Resource<OutputFile>) -> Result<String> {
        self.enter()?;
        Ok(self.table.get(&this)?.name())
    }

    fn len(&mut self, this: Resource<OutputFile>) -> Result<u64> {
        self.enter()?;
        Ok(self.table.get(&this)?.len())
    }

    fn write(&mut self, this: Resource<OutputFile>, chunk: Vec<u8>) -> Answer<()> {
        self.enter()?;
        self.write_bytes(&this, &chunk)
    }

    fn write_text(&mut self, this: Resource<OutputFile>, chunk: String) -> Answer<()> {
        self.enter()?;
        self.write_bytes(&this, chunk.as_bytes())
    }

    fn write_image(
        &mut self,
        this: Resource<OutputFile>,
        img: Resource<ImageHandle>,
        to: image::Encoding,
        quality: u8,
    ) -> Answer<u64> {
        self.enter()?;
        let bytes = match self.encode(&img, to, quality, &this, |rest| rest)? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.write_bytes(&this, &bytes)?.map(|()| bytes.len() as u64))
    }

    fn write_image_base64(
        &mut self,
        this: Resource<OutputFile>,
        img: Resource<ImageHandle>,
        to: image::Encoding,
        quality: u8,
    ) -> Answer<u64> {
        self.enter()?;
        let bytes = match self.encode(&img, to, quality, &this, |rest| rest / 4 * 3)? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let mut written = 0;
        for part in bytes.chunks(BASE64_PART) {
            let text = base64::engine::general_purpose::STANDARD.encode(part);
            if let Err(error) = self.write_bytes(&this, text.as_bytes())? {
                return Ok(Err(error));
            }
            written += text.len() as u64;
        }
        Ok(Ok(written))
    }

    fn drop(&mut self, this: Resource<OutputFile>) -> Result<()> {
        let file = self.table.delete(this)?;
        if let Err(error) = file.flush() {
            self.meter
                .failure
                .get_or_insert_with(|| format!("writing {} failed: {error}", file.name()));
        }
        Ok(())
    }
}
