//! Logins for registries, as `docker login` leaves them in `config.json`.
//!
//! Logins that a credential helper keeps are not asked for: that would run a program of somebody else's choice. Whoever is
//! refused over it is told.

use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Largest configuration that is read.
const CONFIG_BYTES: u64 = 1 << 20;

/// What there is for a registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// `user:password` in base64, the value of `Authorization: Basic`.
    pub basic: Option<String>,
    /// Why there is none, where something can be done about it.
    pub advice: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// The login for the registry at `host`, as the user's Docker configuration has it.
pub fn login(host: &str) -> Login {
    let folder = std::env::var_os("DOCKER_CONFIG")
        .filter(|f| !f.is_empty())
        .map(PathBuf::from);
    let folder = folder.or_else(|| Some(dirs::home_dir()?.join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else {
        return Login::default();
    };
    let small = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= CONFIG_BYTES);
    match small.then(|| std::fs::read_to_string(&path)) {
        Some(Ok(text)) => in_config(&text, host).unwrap_or_else(|why| Login {
            advice: Some(format!("{} can't be read: {why}", path.display())),
            ..Login::default()
        }),
        _ => Login::default(),
    }
}

fn in_config(text: &str, host: &str) -> Result<Login, String> {
    let config: Config = serde_json::from_str(text).map_err(|e| e.to_string())?;
    // Docker Hub is kept under a name of its own.
    let hub = ["docker.io", "registry-1.docker.io"].contains(&host);
    let is_it = |key: &str| {
        let bare = key.trim_start_matches("https://").trim_start_matches("http://");
        let bare = bare
            .trim_end_matches('/')
            .trim_end_matches("/v1")
            .trim_end_matches("/v2");
        bare == host || (hub && bare == "index.docker.io")
    };
    let helper = config
        .helpers
        .iter()
        .find(|(key, _)| is_it(key))
        .map(|(_, helper)| helper);
    let helper = helper.or(config.store.as_ref());
    let found = config
        .auths
        .iter()
        .find(|(key, _)| is_it(key))
        .map(|(_, auth)| auth);
    let basic = found.and_then(|auth| match (&auth.auth[..], &auth.username[..]) {
        ("", "") => None,
        ("", name) => {
            Some(base64::engine::general_purpose::STANDARD.encode(format!("{name}:{}", auth.password)))
        }
        (encoded, _) => Some(encoded.to_owned()),
    });
    let basic = basic.filter(|text| text.bytes().all(|b| b.is_ascii_graphic()));
    let advice = match (&basic, found, helper) {
        (Some(_), ..) => None,
        (None, Some(auth), _) if !auth.identitytoken.is_empty() => {
            Some("its login is an identity token, which is not used here; log in with a password or an access token".to_owned())
        }
        (None, _, Some(helper)) => Some(format!(
            "its login is kept by the credential helper `{helper}`, which is not asked; put it under `auths` of a \
             config.json in a folder that DOCKER_CONFIG names"
        )),
        _ => None,
    };
    Ok(Login { basic, advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(config: &str, host: &str) -> Option<String> {
        in_config(config, host).unwrap().basic
    }

    #[test]
    fn logins_are_found_by_host() {
        let config = r#"{"auths": {"ghcr.io": {"auth": "YTpi"}, "https://index.docker.io/v1/": {"auth": "Yzpk"},
            "localhost:5000": {"username": "a", "password": "b"}, "empty.io": {}}}"#;
        assert_eq!(basic(config, "ghcr.io").as_deref(), Some("YTpi"));
        assert_eq!(basic(config, "docker.io").as_deref(), Some("Yzpk"));
        assert_eq!(basic(config, "localhost:5000").as_deref(), Some("YTpi"));
        for other in ["ghcr.io.evil", "evil-ghcr.io", "localhost", "empty.io"] {
            assert_eq!(basic(config, other), None, "{other}");
        }
        assert_eq!(basic(r#"{"auths": {"a": {"auth": "x\ny"}}}"#, "a"), None);
        assert!(in_config("{", "a").is_err());
    }

    #[test]
    fn what_is_not_asked_is_told_of() {
        let advice = |config: &str| in_config(config, "ghcr.io").unwrap().advice.unwrap_or_default();
        assert!(advice(r#"{"credsStore": "desktop", "auths": {"ghcr.io": {}}}"#).contains("`desktop`"));
        assert!(advice(r#"{"credHelpers": {"ghcr.io": "gh"}}"#).contains("`gh`"));
        assert!(advice(r#"{"auths": {"ghcr.io": {"identitytoken": "x"}}}"#).contains("identity token"));
        assert_eq!(advice(r#"{"credHelpers": {"other.io": "gh"}}"#), "");
    }
}
