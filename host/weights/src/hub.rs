//! Fetches a model from a Hugging Face hub into the cache that Python tools share.
//!
//! A revision becomes a commit and a list of files; those the model needs are brought into `blobs/` one by one, each
//! checked against the digest that the hub lists for it, renamed into place when whole, and linked from the commit's
//! snapshot. The branch's note is written last, so that it never stands for half a model. A hub is not trusted with
//! names or sizes: see `cache.rs` and `download.rs`.

use crate::cache::{Repository, is_commit, is_hex, is_plain, is_revision, make_parent};
use crate::download::{Remote, download, get_text};
use crate::error::listed;
use crate::http::Client;
use crate::locate::{Found, NEEDED, Places, State, locate, plain_folder};
use crate::map::{INDEX, is_weight_file, read_index};
use crate::verify::Expected;
use crate::{HubModel, WeightsError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files that are fetched where the hub has them.
const WELCOME: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", INDEX];
/// The list of a repository's files is at most this long; DeepSeek-OCR's has 20 files.
const MOST_LIST_BYTES: u64 = 16 << 20;

/// How often is tried, and how long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in a row that may bring nothing.
    pub attempts: u32,
    /// The pause after the first of them; it doubles from one to the next.
    pub first_wait: Duration,
}

impl Default for Retry {
    /// Five attempts over 15 seconds.
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_secs(1),
        }
    }
}

/// Which hub, and how it is asked.
#[derive(Clone)]
pub struct HubSettings {
    /// Its address.
    pub endpoint: String,
    /// Shown to the hub itself, never to a host it sends us on to.
    pub token: Option<String>,
    /// Whether the network is ruled out.
    pub is_offline: bool,
    /// PEM file of the certificates to trust, in place of Mozilla's.
    pub certificates: Option<PathBuf>,
    /// How often is tried.
    pub retry: Retry,
}

impl HubSettings {
    /// As Python's `huggingface_hub` reads the environment: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`; and
    /// `SSL_CERT_FILE`. The proxy variables are honoured as well.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| {
            variable(name)?
                .into_string()
                .ok()
                .filter(|v| !v.trim().is_empty())
        };
        let offline = text("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_uppercase();
        Self {
            endpoint: text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()),
            token: text("HF_TOKEN").map(|t| t.trim().to_owned()),
            is_offline: ["1", "ON", "YES", "TRUE"].contains(&offline.as_str()),
            certificates: text("SSL_CERT_FILE").map(PathBuf::from),
            retry: Retry::default(),
        }
    }
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes arrive.
    Downloading,
    /// A file is read again for its digest.
    Checking,
}

/// How far a fetch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done.
    pub stage: Stage,
    /// To which file.
    pub file: &'a str,
    /// Bytes of all files that are there (of this file that are checked).
    pub done: u64,
    /// Bytes of all files (of this file); files whose size the hub does not list count nothing.
    pub total: u64,
}

/// A hub to fetch from.
pub struct Hub {
    endpoint: String,
    client: Client,
    is_offline: bool,
    retry: Retry,
}

impl Hub {
    /// Fails when the settings make no sense; nothing is asked of the hub yet.
    pub fn new(settings: HubSettings) -> Result<Self, WeightsError> {
        let endpoint = settings.endpoint.trim_end_matches('/').to_owned();
        let client = Client::new(&endpoint, settings.token, settings.certificates.as_deref())?;
        Ok(Self {
            endpoint,
            client,
            is_offline: settings.is_offline,
            retry: settings.retry,
        })
    }

    /// Brings a model into `cache` as it is at `revision` (a branch, tag or commit); answers its folder. Files that
    /// are there are left alone; offline, or when a commit is complete, the hub is not asked.
    pub fn fetch(
        &self,
        model: &HubModel,
        revision: &str,
        cache: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Found, WeightsError> {
        if !is_revision(revision) {
            let name = revision.escape_debug();
            return Err(WeightsError::Setting(format!(
                "--revision `{name}` is no name of a branch, tag or commit"
            )));
        }
        let places = Places {
            models: None,
            hub: Some(cache.to_owned()),
        };
        if self.is_offline || is_commit(revision) {
            match locate(model, &places, Some(revision)) {
                State::Complete(found) => return Ok(found),
                _ if self.is_offline => {
                    return Err(WeightsError::Offline {
                        model: model.name.into(),
                        cache: cache.to_owned(),
                        why: "--offline or HF_HUB_OFFLINE is set".into(),
                    });
                }
                _ => (),
            }
        }
        let listing = self.list(model, revision)?;
        let mut fetch = Fetch {
            hub: self,
            model,
            repository: Repository::new(cache, model.repository),
            commit: &listing.commit,
            total: sum(listing.files.values()),
            done: 0,
            progress,
        };
        let folder = fetch.files(&listing)?;
        fetch.repository.note_commit(revision, &listing.commit)?;
        plain_folder(&folder).complete(model)
    }

    /// The commit that `revision` stands for and the files of the model.
    fn list(&self, model: &HubModel, revision: &str) -> Result<Listing, WeightsError> {
        let revision = revision.replace('/', "%2F");
        let repository = model.repository;
        let address = format!(
            "{}/api/models/{repository}/revision/{revision}?blobs=true",
            self.endpoint
        );
        let text = get_text(&self.client, self.retry, &address, MOST_LIST_BYTES)?;
        Listing::parse(&text).map_err(|reason| WeightsError::Hub {
            what: address,
            reason,
        })
    }
}

/// One model on its way.
struct Fetch<'a> {
    hub: &'a Hub,
    model: &'a HubModel,
    repository: Repository,
    commit: &'a str,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl Fetch<'_> {
    /// Brings all files; answers the snapshot's folder.
    fn files(&mut self, listing: &Listing) -> Result<PathBuf, WeightsError> {
        let folder = self.repository.snapshot(self.commit);
        let (weights, others): (Vec<_>, Vec<_>) = listing
            .files
            .values()
            .partition(|file| is_weight_file(&file.name));
        for file in others {
            self.file(file)?;
        }
        // A repository may have its weights twice, in one file and in several; the index says which count.
        let index = read_index(&folder)?;
        if let Some(index) = &index {
            let lacking = index.values().find(|name| !listing.files.contains_key(*name));
            if let Some(name) = lacking {
                let reason = format!("it names {name}, which the hub does not have");
                let path = folder.join(INDEX);
                return Err(WeightsError::Damaged { path, reason });
            }
        }
        let counts = |name: &String| {
            index
                .as_ref()
                .is_none_or(|index| index.values().any(|n| n == name))
        };
        let (counting, others): (Vec<_>, Vec<_>) = weights.into_iter().partition(|file| counts(&file.name));
        self.total = self.total.saturating_sub(sum(others));
        for file in counting {
            self.file(file)?;
        }
        Ok(folder)
    }

    /// Brings one file and links it.
    fn file(&mut self, file: &Remote) -> Result<(), WeightsError> {
        let digest = match &file.expected {
            Some(expected) => expected.hex().to_owned(),
            // A name that can't be mistaken for a digest.
            None => format!("unlisted-{}-{}", self.commit, file.name),
        };
        let blob = self.repository.blob(&digest);
        make_parent(&blob)?;
        let _lock = self.repository.lock(&digest)?;
        let there = std::fs::metadata(&blob).map(|about| about.len()).ok();
        if there.is_none() || (file.size.is_some() && file.size != there) {
            self.blob(file, &digest, &blob)?;
        }
        self.repository.link(self.commit, &file.name, &digest)?;
        self.done = self.done.saturating_add(file.size.unwrap_or(0));
        Ok(())
    }

    fn blob(&mut self, file: &Remote, digest: &str, blob: &Path) -> Result<(), WeightsError> {
        let address = format!(
            "{}/{}/resolve/{}/{}",
            self.hub.endpoint, self.model.repository, self.commit, file.name
        );
        let partial = blob.with_file_name(format!("{digest}.incomplete"));
        let (done, total) = (self.done, self.total);
        let mut hear = |bytes: u64| {
            (self.progress)(Progress {
                stage: Stage::Downloading,
                file: &file.name,
                done: done.saturating_add(bytes.min(file.size.unwrap_or(0))),
                total,
            })
        };
        download(
            &self.hub.client,
            self.hub.retry,
            &address,
            file,
            &partial,
            &mut hear,
        )?;
        if let Some(expected) = &file.expected {
            self.check(file, expected, &partial, &address)?;
        }
        std::fs::rename(&partial, blob).map_err(WeightsError::io("rename", partial))
    }

    /// Deletes the file and fails unless it has its digest.
    fn check(
        &mut self,
        file: &Remote,
        expected: &Expected,
        partial: &Path,
        address: &str,
    ) -> Result<(), WeightsError> {
        let mut checked = 0;
        let got = expected.of_file(partial, &mut |bytes| {
            checked += bytes;
            (self.progress)(Progress {
                stage: Stage::Checking,
                file: &file.name,
                done: checked,
                total: file.size.unwrap_or(checked),
            });
        })?;
        if got == expected.hex() {
            return Ok(());
        }
        std::fs::remove_file(partial).map_err(WeightsError::io("delete", partial))?;
        Err(WeightsError::Digest {
            path: address.into(),
            got,
            expected: expected.hex().into(),
            remedy: "what had arrived is deleted; fetch again, or from another mirror (HF_ENDPOINT)".into(),
        })
    }
}

/// Bytes of several files; a hub may list any number.
fn sum<'a>(files: impl IntoIterator<Item = &'a Remote>) -> u64 {
    let sizes = files.into_iter().filter_map(|file| file.size);
    sizes.fold(0, u64::saturating_add)
}

/// What a revision is.
#[derive(Debug)]
struct Listing {
    commit: String,
    /// The files of the model, by name.
    files: BTreeMap<String, Remote>,
}

impl Listing {
    /// Takes the files of a model from the hub's answer; an error says what is wrong with it.
    fn parse(text: &str) -> Result<Self, String> {
        let raw: RawListing =
            serde_json::from_str(text).map_err(|e| format!("the hub's answer is not understood: {e}"))?;
        if !is_commit(&raw.sha) {
            return Err(format!(
                "the hub names `{}` as the commit",
                raw.sha.escape_debug()
            ));
        }
        let mut files = BTreeMap::new();
        for file in raw.siblings {
            if !is_harmless(&file.rfilename) {
                let name = file.rfilename.escape_debug();
                return Err(format!(
                    "the hub lists a file `{name}`, which leads out of its folder"
                ));
            }
            let name = file.rfilename.as_str();
            if is_weight_file(name) || NEEDED.contains(&name) || WELCOME.contains(&name) {
                files.insert(name.to_owned(), file.remote()?);
            }
        }
        let mut lacking: Vec<&str> = NEEDED.into_iter().filter(|n| !files.contains_key(*n)).collect();
        if !files.keys().any(|name| is_weight_file(name)) {
            lacking.push("*.safetensors");
        }
        match lacking.is_empty() {
            true => Ok(Self {
                commit: raw.sha,
                files,
            }),
            false => Err(format!("the model has no {} at this revision", listed(&lacking))),
        }
    }
}

/// Whether a path stays in its folder on every system.
fn is_harmless(path: &str) -> bool {
    let bad = |c: char| c == '\\' || c == ':' || c.is_control();
    !path.contains(bad) && !path.split('/').any(|part| ["", ".", ".."].contains(&part))
}

#[derive(Deserialize)]
struct RawListing {
    sha: String,
    siblings: Vec<RawFile>,
}

#[derive(Deserialize)]
struct RawFile {
    rfilename: String,
    size: Option<u64>,
    /// Of the file, or of the pointer that stands for it in the repository where `lfs` is there.
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<RawLarge>,
}

#[derive(Deserialize)]
struct RawLarge {
    sha256: Option<String>,
    size: Option<u64>,
}

impl RawFile {
    fn remote(self) -> Result<Remote, String> {
        let name = self.rfilename;
        let (hex, length, size) = match self.lfs {
            Some(large) => {
                let hex = large
                    .sha256
                    .ok_or_else(|| format!("the hub lists no SHA-256 for {name}"))?;
                (Some(hex), 64, large.size.or(self.size))
            }
            None => (self.blob_id, 40, self.size),
        };
        let expected = match hex {
            None => None,
            Some(hex) if hex.len() == length && is_hex(&hex) => Expected::from_blob_name(&hex),
            Some(hex) => {
                let hex = hex.escape_debug();
                return Err(format!("the hub lists `{hex}` as the digest of {name}"));
            }
        };
        debug_assert!(is_plain(&name), "only plain names are asked for");
        Ok(Remote { name, size, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_python_reads_it() {
        let settings = |set: &[(&str, &str)]| {
            HubSettings::from_variables(|name| {
                let found = set.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| value.into())
            })
        };
        let plain = settings(&[]);
        assert_eq!(
            (plain.endpoint.as_str(), plain.is_offline),
            ("https://huggingface.co", false)
        );
        let set = settings(&[
            ("HF_ENDPOINT", "http://x"),
            ("HF_HUB_OFFLINE", "true"),
            ("HF_TOKEN", "t\n"),
        ]);
        assert_eq!((set.endpoint.as_str(), set.is_offline), ("http://x", true));
        assert_eq!(set.token.as_deref(), Some("t"));
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).is_offline);
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for endpoint in ["huggingface.co", "ftp://huggingface.co", ""] {
            let settings = HubSettings {
                endpoint: endpoint.into(),
                ..HubSettings::from_variables(|_| None)
            };
            let error = Hub::new(settings).err().expect("it is refused").to_string();
            assert!(error.contains("HF_ENDPOINT"), "{error}");
        }
    }
}
