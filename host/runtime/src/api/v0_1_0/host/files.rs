//! `output`: files that a formatter names and the host writes.

use super::super::imports::types::HostError;
use super::super::imports::{image, output};
use super::Answer;
use crate::output::{OutputError, OutputFile, OutputTree};
use crate::state::{ImageHandle, State};
use base64::Engine as _;
use wasmtime::Result;
use wasmtime::component::Resource;

type Attempt = std::result::Result<OutputFile, OutputError>;

impl State {
    fn denied_output() -> HostError {
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

    /// Encodes an image, turns the bytes into what the file shall hold, and writes that.
    fn write_encoded(
        &mut self,
        file: &Resource<OutputFile>,
        img: &Resource<ImageHandle>,
        to: image::Encoding,
        quality: u8,
        wrap: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Answer<u64> {
        let bytes = match self.encode(img, to, quality)? {
            Ok(bytes) => wrap(bytes),
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.write_bytes(file, &bytes)?.map(|()| bytes.len() as u64))
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
        let limits = &self.limits;
        let file = self.output.as_mut().map(|tree| tree.create(&name, limits));
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
        self.write_encoded(&this, &img, to, quality, |bytes| bytes)
    }

    fn write_image_base64(
        &mut self,
        this: Resource<OutputFile>,
        img: Resource<ImageHandle>,
        to: image::Encoding,
        quality: u8,
    ) -> Answer<u64> {
        self.enter()?;
        let base64 = |bytes: Vec<u8>| {
            base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into_bytes()
        };
        self.write_encoded(&this, &img, to, quality, base64)
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
