//! Components in OCI registries, by digest: `oci://ghcr.io/someone/plugin@sha256:...`.
//!
//! The digest is that of the artifact's manifest, which is asked for and compared; it names the one layer that is a
//! component, which is asked for and compared with the digest that the manifest has. So whatever the registry sends, what
//! comes is what the user meant. Registries are asked as the OCI distribution specification says, without a login where
//! that is enough.

use super::{Fetcher, answered, docker};
use crate::exit::{Exit, Failed};
use crate::installed::sha256;
use ocr_http::{Failure, HeaderMap, Origin, Response, Secret, is_here, read_body};
use ocr_runtime::limits::COMPONENT_BYTES;
use serde::Deserialize;

/// Longest manifest; the specification asks registries for at least 4 MiB.
const MANIFEST_BYTES: u64 = 4 << 20;

/// Longest answer with a token.
const TOKEN_BYTES: u64 = 1 << 20;

/// Media types of layers that are components: what `wkg` writes today, and what was written before.
const COMPONENTS: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An artifact in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    host: String,
    name: String,
    tag: Option<String>,
    sha256: Option<String>,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "oci://{}/{}", self.host, self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.sha256 {
            Some(digest) => write!(f, "@sha256:{digest}"),
            None => Ok(()),
        }
    }
}

impl Reference {
    /// Reads `HOST[:PORT]/NAME[:TAG][@sha256:DIGEST]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let sha256 = digest
            .map(|digest| {
                let digits = digest
                    .strip_prefix("sha256:")
                    .unwrap_or_default()
                    .to_ascii_lowercase();
                let sound = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                sound
                    .then_some(digits)
                    .ok_or_else(|| format!("`{digest}` is no digest; write sha256: and 64 digits"))
            })
            .transpose()?;
        let (host, path) = rest.split_once('/').ok_or(
            "write oci://HOST/NAME@sha256:DIGEST, for example oci://ghcr.io/someone/plugin@sha256:...",
        )?;
        let (name, tag) = match path.split_once(':') {
            Some((name, tag)) => (name, Some(tag.to_owned())),
            None => (path, None),
        };
        let host_sound = !host.is_empty()
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
            && Origin::of_address(&format!("https://{host}")).is_some();
        if !host_sound {
            return Err(format!(
                "`{host}` is no registry; write its host, for example ghcr.io"
            ));
        }
        let part = |part: &str| {
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            let inner =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
            ends(part.chars().next()) && ends(part.chars().last()) && part.chars().all(inner)
        };
        if name.len() > 255 || !name.split('/').all(part) {
            return Err(format!(
                "`{name}` is no name in a registry: small letters, digits, . _ - and / between them"
            ));
        }
        let tag_sound = |tag: &String| {
            (1..=128).contains(&tag.len())
                && tag
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if let Some(bad) = tag.as_ref().filter(|tag| !tag_sound(tag)) {
            return Err(format!("`{bad}` is no tag"));
        }
        let hub = host == "docker.io";
        Ok(Self {
            name: match hub && !name.contains('/') {
                true => format!("library/{name}"),
                false => name.to_owned(),
            },
            host: host.to_owned(),
            tag,
            sha256,
        })
    }

    /// Where the registry answers.
    fn base(&self) -> String {
        let host = match self.host.as_str() {
            "docker.io" => "registry-1.docker.io",
            host => host,
        };
        let bare = match host.rsplit_once(':') {
            Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) => bare,
            _ => host,
        };
        let scheme = if is_here(bare) { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{}", self.name)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// A registry, with what it wants to see of whoever asks.
struct Registry<'a> {
    fetcher: &'a Fetcher,
    reference: &'a Reference,
    secret: Option<Secret>,
}

impl Fetcher {
    /// The component of an artifact.
    pub fn artifact(&self, reference: &Reference) -> Result<Vec<u8>, Failed> {
        let mut registry = Registry {
            fetcher: self,
            reference,
            secret: None,
        };
        let fetched = registry.component();
        fetched.map_err(|failure| Failed::new(Exit::Input, format!("{reference}: {}", failure.reason)))
    }
}

impl Registry<'_> {
    fn component(&mut self) -> Result<Vec<u8>, Failure> {
        let Some(wanted) = self.reference.sha256.clone() else {
            return Err(self.unpinned());
        };
        let accept = [("accept", format!("{MANIFEST}, {INDEX}"))];
        let manifest = self.bytes(&format!("manifests/sha256:{wanted}"), &accept, MANIFEST_BYTES)?;
        same("the manifest", &wanted, &manifest)?;
        let manifest: Manifest = serde_json::from_slice(&manifest)
            .map_err(|e| Failure::lasting(format!("its manifest is none of an artifact: {e}")))?;
        let layer = layer(&manifest)?;
        let digest = layer
            .digest
            .strip_prefix("sha256:")
            .unwrap_or_default()
            .to_owned();
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Failure::lasting(
                "its component has no sha256 digest, so it can't be compared",
            ));
        }
        if layer.size > COMPONENT_BYTES {
            return Err(Failure::lasting(format!(
                "its component takes {} bytes, over the limit of {COMPONENT_BYTES}",
                layer.size
            )));
        }
        let component = self.bytes(&format!("blobs/sha256:{digest}"), &[], layer.size)?;
        same("the component", &digest, &component)?;
        Ok(component)
    }

    /// What to say of a reference without a digest: the one that its tag means now.
    fn unpinned(&mut self) -> Failure {
        let tag = self.reference.tag.clone().unwrap_or_else(|| "latest".to_owned());
        let accept = [("accept", format!("{MANIFEST}, {INDEX}"))];
        let now = match self.bytes(&format!("manifests/{tag}"), &accept, MANIFEST_BYTES) {
            Ok(manifest) => format!("; `{tag}` is @sha256:{} now", sha256(&manifest)),
            Err(failure) => format!("; what `{tag}` is can't be told: {}", failure.reason),
        };
        Failure::lasting(format!(
            "a tag can come to mean something else, so a digest has to be given{now}"
        ))
    }

    /// What the registry has at `path`, with a login once it asks for one.
    fn bytes(&mut self, path: &str, headers: &[(&str, String)], most: u64) -> Result<Vec<u8>, Failure> {
        let address = format!("{}/{path}", self.reference.base());
        let fetcher = self.fetcher;
        fetcher.again(|| {
            let mut response = fetcher.get(&address, headers, self.secret.as_ref())?;
            if response.status().as_u16() == 401 && self.secret.is_none() {
                self.secret = Some(self.authorise(response.headers())?);
                response = fetcher.get(&address, headers, self.secret.as_ref())?;
            }
            self.refused(&response)?;
            answered(&response, "the registry")?;
            read_body(response, most)
        })
    }

    fn refused(&self, response: &Response<ocr_http::Body>) -> Result<(), Failure> {
        let status = response.status().as_u16();
        if !matches!(status, 401 | 403) {
            return Ok(());
        }
        let host = &self.reference.host;
        let login = docker::login(host);
        let why = match (login.basic, login.advice) {
            (Some(_), _) => format!("{host} does not accept the login of your Docker configuration for it"),
            (None, Some(advice)) => format!("{host} wants a login, and {advice}"),
            (None, None) => {
                format!("{host} wants a login, or has no such artifact; `docker login {host}` writes one")
            }
        };
        Err(Failure::lasting(format!("{why} (status {status})")))
    }

    /// What the registry wants to see, as its answer 401 says.
    fn authorise(&self, headers: &HeaderMap) -> Result<Secret, Failure> {
        let host = &self.reference.host;
        let login = docker::login(host);
        let challenges = headers
            .get_all("www-authenticate")
            .iter()
            .filter_map(|v| v.to_str().ok());
        let challenges: Vec<Challenge> = challenges.filter_map(Challenge::parse).collect();
        let home = Origin::of_address(&self.reference.base())
            .ok_or_else(|| Failure::lasting(format!("`{host}` is no registry")))?;
        if let Some(bearer) = challenges.iter().find(|c| c.scheme == "bearer") {
            let token = self.token(bearer, login.basic)?;
            return Ok(Secret {
                origin: home,
                value: format!("Bearer {token}"),
            });
        }
        if !challenges.iter().any(|c| c.scheme == "basic") {
            return Err(Failure::lasting(format!(
                "{host} wants a login of a kind that is not known here"
            )));
        }
        match (login.basic, login.advice) {
            (Some(basic), _) => Ok(Secret {
                origin: home,
                value: format!("Basic {basic}"),
            }),
            (None, Some(advice)) => Err(Failure::lasting(format!("{host} wants a login, and {advice}"))),
            (None, None) => Err(Failure::lasting(format!(
                "{host} wants a login; `docker login {host}` writes one"
            ))),
        }
    }

    /// A token for this artifact, from the server that the challenge names.
    fn token(&self, bearer: &Challenge, basic: Option<String>) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let realm = bearer.parameter("realm").unwrap_or_default();
        let origin = Origin::of_address(realm)
            .filter(Origin::is_private)
            .ok_or_else(|| {
                Failure::lasting(format!(
                    "its server for tokens, `{}`, is no https address",
                    realm.escape_debug()
                ))
            })?;
        let scope = format!("repository:{}:pull", self.reference.name);
        let mut address = format!(
            "{realm}{}scope={}",
            if realm.contains('?') { '&' } else { '?' },
            encoded(&scope)
        );
        if let Some(service) = bearer.parameter("service") {
            address += &format!("&service={}", encoded(service));
        }
        let secret = basic.map(|basic| Secret {
            origin,
            value: format!("Basic {basic}"),
        });
        let response = self.fetcher.get(&address, &[], secret.as_ref())?;
        self.refused(&response)?;
        answered(&response, "the server for tokens")?;
        let answer: Answer = serde_json::from_slice(&read_body(response, TOKEN_BYTES)?)
            .map_err(|e| Failure::lasting(format!("the server for tokens answers with none: {e}")))?;
        let token = answer
            .token
            .or(answer.access_token)
            .filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic()));
        token.ok_or_else(|| Failure::lasting("the server for tokens answers with none"))
    }
}

/// The one layer that is a component.
fn layer(manifest: &Manifest) -> Result<&Descriptor, Failure> {
    if let Some(first) = manifest.manifests.first() {
        return Err(Failure::lasting(format!(
            "it is a list of {} artifacts; name one of them, for example @{}",
            manifest.manifests.len(),
            first.digest.escape_debug()
        )));
    }
    let components: Vec<&Descriptor> = manifest
        .layers
        .iter()
        .filter(|l| COMPONENTS.contains(&l.media_type.as_str()))
        .collect();
    match components[..] {
        [one] => Ok(one),
        [] => {
            let kinds: Vec<String> = manifest
                .layers
                .iter()
                .take(4)
                .map(|l| l.media_type.escape_debug().to_string())
                .collect();
            Err(Failure::lasting(format!(
                "it holds no component but [{}]",
                kinds.join(", ")
            )))
        }
        _ => Err(Failure::lasting(format!(
            "it holds {} components, not one",
            components.len()
        ))),
    }
}

fn same(what: &str, wanted: &str, bytes: &[u8]) -> Result<(), Failure> {
    let found = sha256(bytes);
    match found == wanted {
        true => Ok(()),
        false => Err(Failure::lasting(format!(
            "{what} that came has the sha256 {found}, not {wanted}; the registry sent something else"
        ))),
    }
}

/// What a registry says it wants to see.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    /// In small letters.
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads `Bearer realm="...",service="..."`.
    fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let mut parameters = Vec::new();
        while let Some((name, after)) = rest.trim_start_matches([' ', ',']).split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            parameters.push((name.trim().to_ascii_lowercase(), value.to_owned()));
            rest = after;
        }
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            parameters,
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Text as part of a query.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_read_whole_or_not() {
        let read = |text: &str| Reference::parse(&text.replace('D', DIGEST));
        let one = read("ghcr.io/a/b-c:1.0@sha256:D").unwrap();
        assert_eq!(
            (one.base(), one.to_string()),
            (
                "https://ghcr.io/v2/a/b-c".into(),
                format!("oci://ghcr.io/a/b-c:1.0@sha256:{DIGEST}")
            )
        );
        assert_eq!(
            read("localhost:5000/x@sha256:D").unwrap().base(),
            "http://localhost:5000/v2/x"
        );
        assert_eq!(
            read("docker.io/x@sha256:D").unwrap().base(),
            "https://registry-1.docker.io/v2/library/x"
        );
        assert_eq!(read("ghcr.io/a/b").unwrap().sha256, None);
        for wrong in [
            "x@sha256:D",
            "ghcr.io/A",
            "ghcr.io/../x",
            "ghcr.io/a//b",
            "a@b/c",
            "ghcr.io/a@sha256:1",
            "ghcr.io/a:b/c",
            "u:p@h/a",
            "h?/a",
            "",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn challenges_are_read() {
        let read =
            Challenge::parse(r#"Bearer realm="https://a/token",service="b, c" , scope="repository:x:pull""#)
                .unwrap();
        assert_eq!(
            (
                read.scheme.as_str(),
                read.parameter("realm"),
                read.parameter("service"),
                read.parameter("scope")
            ),
            (
                "bearer",
                Some("https://a/token"),
                Some("b, c"),
                Some("repository:x:pull")
            )
        );
        assert_eq!(Challenge::parse("BASIC").unwrap().scheme, "basic");
        assert!(Challenge::parse("Bearer realm=\"unclosed").is_none());
        assert_eq!(encoded("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
    }
}
