//! Asks servers over HTTP: one request, its redirects, and what failed on the way.
//!
//! Models and plugins both come over the network, from servers that send large files on to other hosts. What holds for
//! both is here: redirects are followed by hand, never from an encrypted connection to an open one, and a secret is shown
//! to the origin that it is for and to no other. What an answer means is up to whoever asked.
#![forbid(unsafe_code)]

use std::io::Read;
use std::path::Path;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

pub use ureq::Body;
pub use ureq::http::{HeaderMap, Response};

/// A server sends a file's address on once or twice; a loop ends here.
const MOST_REDIRECTS: usize = 8;
/// To find the host and shake hands.
const CONNECT: Duration = Duration::from_secs(15);
/// The most that may pass without a byte.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest that a server may make us wait when it says `Retry-After`.
const MOST_WAIT: Duration = Duration::from_secs(60);

/// A request that did not give what was asked for.
#[derive(Debug)]
pub struct Failure {
    /// What happened and what to try.
    pub reason: String,
    /// Whether the same request may do better later.
    pub passing: bool,
    /// How long the server asks to wait.
    pub wait: Option<Duration>,
}

impl Failure {
    /// One that the same request would meet again.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            passing: false,
            wait: None,
        }
    }

    /// One that may be over soon.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self {
            passing: true,
            ..Self::lasting(reason)
        }
    }

    /// A server that can't answer at the moment, as its status 408, 429 or 500 and more says.
    pub fn unable(who: &str, status: u16, headers: &HeaderMap) -> Self {
        let seconds = headers
            .get(header::RETRY_AFTER)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        Self {
            wait: seconds.map(|s| Duration::from_secs(s).min(MOST_WAIT)),
            ..Self::passing(format!(
                "{who} is not able to answer (status {status}); try again later"
            ))
        }
    }
}

/// What a secret is, and to whom it may be shown.
#[derive(Clone)]
pub struct Secret {
    /// The origin that it is for.
    pub origin: Origin,
    /// The value of the header `Authorization`.
    pub value: String,
}

/// Which addresses without encryption are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// All; what is fetched is checked against digests, or the user wrote the address.
    Anywhere,
    /// Those of this machine.
    Here,
}

/// Asks servers.
pub struct Web {
    agent: Agent,
    open: Open,
    advice: &'static str,
}

impl Web {
    /// `certificates` is a PEM file of roots to trust in place of those that came with the program; `advice` ends
    /// messages about servers that can't be reached.
    pub fn new(open: Open, certificates: Option<&Path>, advice: &'static str) -> Result<Self, String> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = certificates {
            tls = tls.root_certs(roots(path)?);
        }
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("ocr-host/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .tls_config(tls.build());
        Ok(Self {
            agent: config.build().into(),
            open,
            advice,
        })
    }

    /// Gets `address`, wherever it leads; any status but one that sends on is handed on.
    pub fn get(
        &self,
        address: &str,
        headers: &[(&str, String)],
        secret: Option<&Secret>,
    ) -> Result<Response<Body>, Failure> {
        let mut at = parse(address)?;
        for _ in 0..=MOST_REDIRECTS {
            self.admit(&at)?;
            let response = self.ask(&at, headers, secret)?;
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => at = next(&at, response.headers())?,
                _ => return Ok(response),
            }
        }
        Err(Failure::lasting(format!(
            "it was sent on more than {MOST_REDIRECTS} times"
        )))
    }

    fn admit(&self, at: &Uri) -> Result<(), Failure> {
        let origin = Origin::of(at);
        match self.open == Open::Anywhere || origin.is_some_and(|o| o.is_private()) {
            true => Ok(()),
            false => Err(Failure::lasting(format!(
                "`{at}` is not encrypted, and anyone on the way could change it; use https"
            ))),
        }
    }

    fn ask(
        &self,
        at: &Uri,
        headers: &[(&str, String)],
        secret: Option<&Secret>,
    ) -> Result<Response<Body>, Failure> {
        // Bytes as they are: a compressed answer would make ranges and lengths mean something else.
        let mut request = self.agent.get(at).header(header::ACCEPT_ENCODING, "identity");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(secret) = secret.filter(|s| Origin::of(at).as_ref() == Some(&s.origin)) {
            request = request.header(header::AUTHORIZATION, &secret.value);
        }
        request.call().map_err(|error| failure(&error, at, self.advice))
    }
}

/// The body of an answer, whole and of at most `most` bytes; what is said to be longer is not begun.
pub fn read_body(response: Response<Body>, most: u64) -> Result<Vec<u8>, Failure> {
    let too_long = || Failure::lasting(format!("it has more than {most} bytes, the most that is taken"));
    let length = response.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    let mut body = response.into_body().into_reader().take(most + 1);
    body.read_to_end(&mut bytes)
        .map_err(|e| Failure::passing(format!("the connection was cut after {} bytes: {e}", bytes.len())))?;
    let read = bytes.len() as u64;
    match length {
        _ if read > most => Err(too_long()),
        Some(length) if read < length => Err(Failure::passing(format!(
            "the connection was cut after {read} of {length} bytes"
        ))),
        _ => Ok(bytes),
    }
}

/// What an error on the way means. Names that are not found and connections that are refused may be a network that is
/// just coming up; certificates and addresses do not change.
fn failure(error: &ureq::Error, at: &Uri, advice: &str) -> Failure {
    let host = at.host().unwrap_or_default();
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_) => Failure::lasting(format!(
            "{host} is not trusted: {error}; behind a proxy with certificates of its own, set SSL_CERT_FILE"
        )),
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => Failure::passing(format!("{host} can't be reached: {error}; {advice}")),
        _ => Failure::lasting(format!("{host}: {error}")),
    }
}

/// Scheme, host and port: to whom a secret may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an http(s) address.
    pub fn of(uri: &Uri) -> Option<Self> {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        Some(Self {
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(usual),
            scheme,
        })
    }

    /// The same of an address in text.
    pub fn of_address(address: &str) -> Option<Self> {
        Origin::of(&address.parse().ok()?)
    }

    /// Whether nobody on the way can listen: it is encrypted, or there is no way.
    pub fn is_private(&self) -> bool {
        self.scheme == "https" || is_here(&self.host)
    }
}

/// Whether a host is this machine.
pub fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    bare.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Where a redirect leads. It never leads from an encrypted connection to an open one.
fn next(from: &Uri, headers: &HeaderMap) -> Result<Uri, Failure> {
    let location = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    let location = location.ok_or_else(|| Failure::lasting("it is sent on without an address"))?;
    let to = match location.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => {
            let scheme = from.scheme_str().unwrap_or_default();
            let authority = from.authority().map_or("", |a| a.as_str());
            parse(&format!("{scheme}://{authority}{location}"))?
        }
        _ => parse(location)?,
    };
    if from.scheme_str() == Some("https") && to.scheme_str() != Some("https") {
        return Err(Failure::lasting("it is sent on from https to an address without"));
    }
    Ok(to)
}

fn parse(address: &str) -> Result<Uri, Failure> {
    let uri = address.parse().ok().filter(|uri| Origin::of(uri).is_some());
    uri.ok_or_else(|| Failure::lasting(format!("`{}` is no http(s) address", address.escape_debug())))
}

/// The certificates in a PEM file.
fn roots(path: &Path) -> Result<RootCerts, String> {
    let wrong = |why: String| format!("SSL_CERT_FILE is {}, {why}", path.display());
    let text = std::fs::read(path).map_err(|e| wrong(format!("which can't be read: {e}")))?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    match certificates.is_empty() {
        false => Ok(certificates.into()),
        true => Err(wrong("which has no certificates".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(from: &str, to: &str) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, to.parse().unwrap());
        next(&from.parse().unwrap(), &headers)
            .map(|uri| uri.to_string())
            .map_err(|f| f.reason)
    }

    #[test]
    fn redirects_lead_where_they_say() {
        assert_eq!(redirected("https://a/x", "https://b/y").unwrap(), "https://b/y");
        assert_eq!(redirected("http://a:81/x", "/y?z").unwrap(), "http://a:81/y?z");
        assert!(
            redirected("https://a/x", "http://a/x")
                .unwrap_err()
                .contains("from https")
        );
        for nowhere in ["//b/y", "file:///etc/passwd", "ftp://a/b", "y"] {
            assert!(
                redirected("https://a/x", nowhere)
                    .unwrap_err()
                    .contains("no http"),
                "{nowhere}"
            );
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |a: &str| Origin::of(&a.parse().unwrap());
        assert_eq!(origin("https://Hub.co/a"), origin("https://hub.co:443"));
        assert_ne!(origin("https://hub.co"), origin("http://hub.co"));
        assert_ne!(origin("https://hub.co"), origin("https://hub.co:444"));
        assert_ne!(origin("https://hub.co"), origin("https://hub.co.evil"));
    }

    #[test]
    fn open_addresses_are_asked_on_this_machine_alone() {
        let web = Web::new(Open::Here, None, "").unwrap();
        let admitted = |address: &str| web.admit(&address.parse().unwrap()).is_ok();
        for address in [
            "https://a/x",
            "http://localhost:81/x",
            "http://127.0.0.1/x",
            "http://[::1]:5000/x",
        ] {
            assert!(admitted(address), "{address}");
        }
        for address in ["http://a/x", "http://localhost.evil/x", "http://10.0.0.1/x"] {
            assert!(!admitted(address), "{address}");
        }
    }
}
