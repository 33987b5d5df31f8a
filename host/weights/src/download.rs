//! Brings one file of a hub into a file here, across interruptions.
//!
//! What has arrived stays in `NAME.incomplete`. Where the file's digest is known the rest is asked for, in this run or
//! a later one: should the hub have another file by then, the digest tells. Where no digest is known the rest is
//! asked for in the same run alone, and only of the same version (`If-Range`).

use crate::WeightsError;
use crate::http::Client;
use crate::hub::Retry;
use crate::verify::Expected;
use ocr_http::Failure;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use ureq::Body;
use ureq::http::{Response, header};

/// No file of a model is longer; where a hub does not say how long one is, reading stops here.
const MOST_BYTES: u64 = 1 << 40;

/// A file as the hub lists it.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub name: String,
    /// Bytes, where the hub says so.
    pub size: Option<u64>,
    /// Its digest, where the hub says so.
    pub expected: Option<Expected>,
}

/// Why an attempt ended.
enum Trouble {
    Hub(Failure),
    Disk(WeightsError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Hub(failure)
    }
}

impl From<WeightsError> for Trouble {
    fn from(error: WeightsError) -> Self {
        Self::Disk(error)
    }
}

/// Brings the file at `address` to `partial`, where a part of it may be. `hear` hears how many bytes are there.
pub(crate) fn download(
    client: &Client,
    retry: Retry,
    address: &str,
    remote: &Remote,
    partial: &Path,
    hear: &mut dyn FnMut(u64),
) -> Result<(), WeightsError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(remote.expected.is_none());
    let file = options.open(partial).map_err(WeightsError::io("open", partial))?;
    let mut transfer = Transfer {
        client,
        address,
        remote,
        partial,
        file,
        version: None,
    };
    let mut failures = 0;
    let mut furthest = transfer.length()?;
    loop {
        let failure = match transfer.attempt(hear) {
            Ok(()) => break,
            Err(Trouble::Disk(error)) => return Err(error),
            Err(Trouble::Hub(failure)) => failure,
        };
        // An attempt that brought the file further than any before was not in vain.
        let length = transfer.length()?;
        failures = if length > furthest { 1 } else { failures + 1 };
        furthest = furthest.max(length);
        if !failure.passing || failures >= retry.attempts {
            return Err(WeightsError::Hub {
                what: address.into(),
                reason: failure.reason,
            });
        }
        std::thread::sleep(failure.wait.unwrap_or_else(|| retry.wait_after(failures)));
    }
    transfer
        .file
        .sync_all()
        .map_err(WeightsError::io("write", partial))
}

/// Asks for what is listed, again while that may help.
pub(crate) fn get_text(
    client: &Client,
    retry: Retry,
    address: &str,
    most_bytes: u64,
) -> Result<String, WeightsError> {
    let ask = || {
        let mut response = client.get(address, &[])?;
        if response.status() != 200 {
            return Err(Failure::lasting(format!(
                "the hub answers with status {}",
                response.status()
            )));
        }
        let body = response
            .body_mut()
            .with_config()
            .limit(most_bytes)
            .read_to_string();
        body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => {
                Failure::lasting(format!("it is longer than {most_bytes} bytes"))
            }
            error => Failure::passing(format!("the answer was cut off: {error}")),
        })
    };
    let mut failures = 0;
    loop {
        match ask() {
            Ok(text) => return Ok(text),
            Err(failure) => {
                failures += 1;
                if !failure.passing || failures >= retry.attempts {
                    let what = address.into();
                    return Err(WeightsError::Hub {
                        what,
                        reason: failure.reason,
                    });
                }
                std::thread::sleep(failure.wait.unwrap_or_else(|| retry.wait_after(failures)));
            }
        }
    }
}

/// A file on its way.
struct Transfer<'a> {
    client: &'a Client,
    address: &'a str,
    remote: &'a Remote,
    partial: &'a Path,
    file: File,
    /// The hub's mark of the version that has arrived in part.
    version: Option<String>,
}

impl Transfer<'_> {
    fn length(&self) -> Result<u64, WeightsError> {
        let about = self.file.metadata();
        about
            .map(|m| m.len())
            .map_err(WeightsError::io("read", self.partial))
    }

    /// One request for what is not there yet.
    fn attempt(&mut self, hear: &mut dyn FnMut(u64)) -> Result<(), Trouble> {
        let size = self.remote.size;
        let mut start = self.length()?;
        if Some(start) == size && start > 0 {
            return Ok(());
        }
        // Without a digest or a version there is no telling what a rest would be the rest of.
        let can_go_on = self.remote.expected.is_some() || self.version.is_some();
        if size.is_some_and(|size| start > size) || !can_go_on {
            start = 0;
        }
        let mut response = self.client.get(self.address, &self.headers(start))?;
        if response.status() == 416 {
            self.begin_at(0)?;
            return Err(Failure::passing("the hub has no rest of what has arrived").into());
        }
        if response.status() == 200 {
            start = 0;
        } else if range_start(&response) != Some(start) {
            self.begin_at(0)?;
            return Err(Failure::passing("the hub sends another part than was asked for").into());
        }
        let total = response.body().content_length().map(|rest| start + rest);
        if let (Some(size), Some(total)) = (size, total)
            && size != total
        {
            return Err(Failure::lasting(format!(
                "the hub lists {size} bytes for it and sends {total}; try again later, or another mirror"
            ))
            .into());
        }
        self.version = strong_version(&response);
        self.begin_at(start)?;
        self.receive(response.body_mut(), start, size.or(total), hear)
    }

    fn headers(&self, start: u64) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if start > 0 {
            headers.push(("range", format!("bytes={start}-")));
            // A digest is the better proof: hosts behind a hub disagree about the mark of one and the same file.
            if let (None, Some(version)) = (&self.remote.expected, &self.version) {
                headers.push(("if-range", version.clone()));
            }
        }
        headers
    }

    fn begin_at(&mut self, start: u64) -> Result<(), WeightsError> {
        let begun = self
            .file
            .set_len(start)
            .and_then(|()| self.file.seek(SeekFrom::Start(start)));
        begun.map(drop).map_err(WeightsError::io("write", self.partial))
    }

    fn receive(
        &mut self,
        body: &mut Body,
        start: u64,
        total: Option<u64>,
        hear: &mut dyn FnMut(u64),
    ) -> Result<(), Trouble> {
        let most = total.unwrap_or(MOST_BYTES);
        let mut body = body.with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 256 << 10];
        let mut at = start;
        loop {
            let got = body.read(&mut buffer);
            let n =
                got.map_err(|e| Failure::passing(format!("the connection was cut after {at} bytes: {e}")))?;
            if n == 0 {
                break;
            }
            if n as u64 > most - at {
                return Err(Failure::lasting(format!("the hub sends more than {most} bytes")).into());
            }
            let written = self.file.write_all(&buffer[..n]);
            written.map_err(WeightsError::io("write", self.partial))?;
            at += n as u64;
            hear(at);
        }
        match total {
            Some(total) if at < total => {
                Err(Failure::passing(format!("the connection was cut after {at} of {total} bytes")).into())
            }
            _ => Ok(()),
        }
    }
}

/// The first byte of a part: `Content-Range: bytes 5-9/10`.
fn range_start(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// The mark of a version that is the same byte for byte.
fn strong_version(response: &Response<Body>) -> Option<String> {
    let mark = response.headers().get(header::ETAG)?.to_str().ok()?;
    (!mark.starts_with("W/")).then(|| mark.to_owned())
}

impl Retry {
    /// The pause after so many failures in a row: it doubles.
    fn wait_after(self, failures: u32) -> Duration {
        self.first_wait * 2u32.saturating_pow(failures.saturating_sub(1).min(6))
    }
}
