//! What a hub's answers mean; the asking is [`ocr_http`]'s.

use crate::WeightsError;
use ocr_http::{Failure, Open, Origin, Secret, Web};
use std::path::Path;
use ureq::Body;
use ureq::http::{HeaderMap, Response};

/// Asks one hub.
pub(crate) struct Client {
    web: Web,
    token: Option<Secret>,
}

impl Client {
    /// Asks the hub at `endpoint`, with `token` where there is one; `certificates` is a PEM file of roots to trust in
    /// place of those that came with the program.
    pub fn new(
        endpoint: &str,
        token: Option<String>,
        certificates: Option<&Path>,
    ) -> Result<Self, WeightsError> {
        let wrong = || WeightsError::Setting(format!("HF_ENDPOINT is `{endpoint}`, not an http(s) address"));
        let home = Origin::of_address(endpoint).ok_or_else(wrong)?;
        let advice = "check the network and the proxy variables, or set HF_ENDPOINT to a mirror";
        let web = Web::new(Open::Anywhere, certificates, advice).map_err(WeightsError::Setting)?;
        let token = token.map(|token| Secret {
            origin: home,
            value: format!("Bearer {token}"),
        });
        Ok(Self { web, token })
    }

    /// Gets `address`; answers with status 200, 206 or 416 are handed on.
    pub fn get(&self, address: &str, headers: &[(&str, String)]) -> Result<Response<Body>, Failure> {
        let response = self.web.get(address, headers, self.token.as_ref())?;
        match response.status().as_u16() {
            200 | 206 | 416 => Ok(response),
            status => Err(self.refusal(status, response.headers())),
        }
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
            (408 | 429 | 500..=599, _) => Failure::unable("the hub", status, headers),
            _ => Failure::lasting(format!("the hub answers with status {status}")),
        }
    }
}
