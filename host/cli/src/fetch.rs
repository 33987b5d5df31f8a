//! Brings a component from the network: from an https address, or from an OCI registry.
//!
//! What comes is bounded before and while it is read, and is no component until its digest was compared. `http` is asked
//! on this machine alone.

mod docker;
mod oci;

pub use oci::Reference;

use crate::exit::{Exit, Failed};
use ocr_http::{Body, Failure, Open, Response, Secret, Web, read_body};
use ocr_runtime::limits::COMPONENT_BYTES;
use std::path::PathBuf;
use std::time::Duration;

/// How often something is asked for that may come the next time.
const ATTEMPTS: u32 = 3;

/// Wait before something is asked for again, where the server does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks servers, again while that may help.
pub struct Fetcher {
    web: Web,
}

impl Fetcher {
    pub fn new() -> Result<Self, Failed> {
        let certificates = std::env::var_os("SSL_CERT_FILE")
            .filter(|f| !f.is_empty())
            .map(PathBuf::from);
        let advice = "check the address, the network and the proxy variables";
        let web = Web::new(Open::Here, certificates.as_deref(), advice);
        let web = web.map_err(|why| Failed::new(Exit::Config, why))?;
        Ok(Self { web })
    }

    /// The component at an address.
    pub fn component(&self, address: &str) -> Result<Vec<u8>, Failed> {
        let fetched = self.again(|| {
            let response = self.web.get(address, &[], None)?;
            answered(&response, "the server")?;
            read_body(response, COMPONENT_BYTES)
        });
        fetched.map_err(|failure| Failed::new(Exit::Input, format!("{address}: {}", failure.reason)))
    }

    /// Asks until it comes, or will not.
    fn again<T>(&self, mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            match ask() {
                Err(failure) if failure.passing && attempt < ATTEMPTS => {
                    std::thread::sleep(failure.wait.unwrap_or(PAUSE * attempt));
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }

    fn get(
        &self,
        address: &str,
        headers: &[(&str, String)],
        secret: Option<&Secret>,
    ) -> Result<Response<Body>, Failure> {
        self.web.get(address, headers, secret)
    }
}

/// Whether an answer has what was asked for.
fn answered(response: &Response<Body>, who: &str) -> Result<(), Failure> {
    match response.status().as_u16() {
        200 => Ok(()),
        401 | 403 => Err(Failure::lasting(format!(
            "{who} does not give it to you (status {})",
            response.status().as_u16()
        ))),
        404 => Err(Failure::lasting(format!(
            "{who} has no such thing (status 404); check the address"
        ))),
        status @ (408 | 429 | 500..=599) => Err(Failure::unable(who, status, response.headers())),
        status => Err(Failure::lasting(format!("{who} answers with status {status}"))),
    }
}
