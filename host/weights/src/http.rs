//! Asks a hub over HTTP: one request, its redirects, and what its answer means.
//!
//! Redirects are followed by hand: a hub sends large files to other hosts, and the token must not go there. Everything
//! an answer says is checked by whoever asked; here only its status is read.

use crate::WeightsError;
use std::path::Path;
use std::time::Duration;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// A hub sends a file's address on once or twice; a loop ends here.
const MOST_REDIRECTS: usize = 8;
/// To find the host and shake hands.
const CONNECT: Duration = Duration::from_secs(15);
/// The most that may pass without a byte.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest that a hub may make us wait when it says `Retry-After`.
const MOST_WAIT: Duration = Duration::from_secs(60);

/// A request that did not give what was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened and what to try.
    pub reason: String,
    /// Whether the same request may do better later.
    pub passing: bool,
    /// How long the hub asks to wait.
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
}

/// Asks one hub.
pub(crate) struct Client {
    agent: Agent,
    home: Origin,
    token: Option<String>,
}

impl Client {
    /// Asks the hub at `endpoint`, with `token` where there is one; `certificates` is a PEM file of roots to trust in
    /// place of those that came with the program.
    pub fn new(
        endpoint: &str,
        token: Option<String>,
        certificates: Option<&Path>,
    ) -> Result<Self, WeightsError> {
        let home = endpoint.parse().ok().and_then(|uri| Origin::of(&uri));
        let wrong = || WeightsError::Setting(format!("HF_ENDPOINT is `{endpoint}`, not an http(s) address"));
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
            home: home.ok_or_else(wrong)?,
            token,
        })
    }

    /// Gets `address`; answers with status 200, 206 or 416 are handed on.
    pub fn get(&self, address: &str, headers: &[(&str, String)]) -> Result<Response<Body>, Failure> {
        let mut at = parse(address)?;
        for _ in 0..=MOST_REDIRECTS {
            let response = self.ask(&at, headers)?;
            match response.status().as_u16() {
                200 | 206 | 416 => return Ok(response),
                301 | 302 | 303 | 307 | 308 => at = next(&at, response.headers())?,
                status => return Err(self.refusal(status, response.headers())),
            }
        }
        Err(Failure::lasting(format!(
            "it was sent on more than {MOST_REDIRECTS} times"
        )))
    }

    fn ask(&self, at: &Uri, headers: &[(&str, String)]) -> Result<Response<Body>, Failure> {
        // Bytes as they are: a compressed answer would make ranges and lengths mean something else.
        let mut request = self.agent.get(at).header(header::ACCEPT_ENCODING, "identity");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(token) = self
            .token
            .as_ref()
            .filter(|_| Origin::of(at).as_ref() == Some(&self.home))
        {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(|error| failure(&error, at))
    }

    /// What a status that is no answer means.
    fn refusal(&self, status: u16, headers: &HeaderMap) -> Failure {
        let code = headers.get("x-error-code").and_then(|v| v.to_str().ok());
        let login = match self.token {
            Some(_) => "the hub does not accept the token in HF_TOKEN for it",
            None => {
                "the hub wants a login; where the model exists and is not public, set HF_TOKEN to a token that \
                     may read it"
            }
        };
        let gated = "the hub does not give it to you; accept the model's conditions on its page, and set HF_TOKEN to \
                     your token";
        match (status, code) {
            (_, Some("GatedRepo")) | (403, _) => Failure::lasting(format!("{gated} (status {status})")),
            (401, _) => Failure::lasting(format!("{login} (status 401)")),
            (404, Some("RevisionNotFound")) => {
                Failure::lasting("the model has no such revision; check --revision (status 404)")
            }
            (404, _) => Failure::lasting(
                "the hub has no such model, revision or file; check HF_ENDPOINT and --revision (status 404)",
            ),
            (408 | 429 | 500..=599, _) => {
                let seconds = headers
                    .get(header::RETRY_AFTER)
                    .and_then(|v| v.to_str().ok()?.parse().ok());
                Failure {
                    wait: seconds.map(|s| Duration::from_secs(s).min(MOST_WAIT)),
                    ..Failure::passing(format!(
                        "the hub is not able to answer (status {status}); try again later"
                    ))
                }
            }
            _ => Failure::lasting(format!("the hub answers with status {status}")),
        }
    }
}

/// What an error on the way means. Names that are not found and connections that are refused may be a network that is
/// just coming up; certificates and addresses do not change.
fn failure(error: &ureq::Error, at: &Uri) -> Failure {
    let host = at.host().unwrap_or_default();
    let try_ = "check the network and the proxy variables, or set HF_ENDPOINT to a mirror";
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_) => Failure::lasting(format!(
            "{host} is not trusted: {error}; behind a proxy with certificates of its own, set SSL_CERT_FILE"
        )),
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => Failure::passing(format!("{host} can't be reached: {error}; {try_}")),
        _ => Failure::lasting(format!("{host}: {error}")),
    }
}

/// Scheme, host and port: to whom a token may be shown.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
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
fn roots(path: &Path) -> Result<RootCerts, WeightsError> {
    let text = std::fs::read(path).map_err(WeightsError::io("read", path))?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    match certificates.is_empty() {
        false => Ok(certificates.into()),
        true => Err(WeightsError::Setting(format!(
            "SSL_CERT_FILE is {}, which has no certificates",
            path.display()
        ))),
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
}
