//! Fetching from a hub: a small HTTP server stands in for it, with every fault that a hub, a network or an attacker
//! may show.

use ocr_weights::{Checked, DEEPSEEK_OCR, Found, Hub, HubSettings, Retry, Stage, WeightsError, verify};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "model-00001-of-000001.safetensors";

#[derive(Debug, Clone)]
struct Request {
    path: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    /// First byte that is asked for.
    fn start(&self) -> Option<usize> {
        let range = self.headers.get("range")?;
        range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Bytes after which the connection is cut.
    cut: usize,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: usize::MAX,
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A file, or the rest of it that is asked for.
    fn file(request: &Request, content: &[u8]) -> Self {
        match request.start() {
            None => Self::new(200, content),
            Some(start) if start < content.len() => {
                let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
                Self::new(206, &content[start..]).with("content-range", range)
            }
            Some(_) => Self::new(416, ""),
        }
    }
}

type Answering = dyn Fn(&Request) -> Answer + Send + Sync;

/// A server on a port of its own; it ends with the tests.
struct Server {
    address: String,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (answer, log): (Arc<Answering>, _) = (Arc::new(answer), heard.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &log));
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> Vec<Request> {
        self.heard.lock().unwrap().clone()
    }

    /// Requests for the weights.
    fn heard_weights(&self) -> Vec<Request> {
        let weights = |request: &Request| request.path.ends_with(WEIGHTS);
        self.heard().into_iter().filter(weights).collect()
    }
}

fn serve(stream: TcpStream, answer: &Answering, log: &Mutex<Vec<Request>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(": ")
                .map(|(n, v)| (n.to_lowercase(), v.to_owned()))
        })
        .collect();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let request = Request { path, headers };
    log.lock().unwrap().push(request.clone());
    let answer = answer(&request);
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
    let _ = write!(head, "content-length: {}\r\n", answer.body.len());
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let body = &answer.body[..answer.body.len().min(answer.cut)];
    let mut stream = stream;
    // The client may have left: that is its business.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(body);
}

/// Some bytes that repeat nowhere nearby.
fn weights() -> Vec<u8> {
    (0..200_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

fn files() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("config.json", b"{\"model\":1}".to_vec()),
        ("tokenizer.json", b"{\"tokens\":1}".to_vec()),
        ("tokenizer_config.json", b"{}".to_vec()),
        ("README.md", b"not wanted".to_vec()),
        (WEIGHTS, weights()),
    ])
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn git(content: &[u8]) -> String {
    let start = Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    hex(start.chain_update(content).finalize())
}

/// The hub's list of files.
fn listing() -> Value {
    let siblings = files().into_iter().map(|(name, content)| {
        let mut file = json!({"rfilename": name, "size": content.len(), "blobId": git(&content)});
        if name == WEIGHTS {
            let sha256 = hex(Sha256::digest(&content));
            file["lfs"] = json!({"sha256": sha256, "size": content.len(), "pointerSize": 134});
            // Of the pointer, as hubs have it.
            file["blobId"] = json!("f".repeat(40));
        }
        file
    });
    json!({"id": "deepseek-ai/DeepSeek-OCR", "sha": COMMIT, "siblings": siblings.collect::<Vec<_>>()})
}

/// A hub as it should be.
fn good(request: &Request) -> Answer {
    let repository = "/deepseek-ai/DeepSeek-OCR";
    if request.path == format!("/api/models{repository}/revision/main?blobs=true") {
        return Answer::new(200, listing().to_string());
    }
    let prefix = format!("{repository}/resolve/{COMMIT}/");
    let name = request.path.strip_prefix(&prefix).unwrap_or_default();
    match files().get(name) {
        Some(content) => Answer::file(request, content),
        None => Answer::new(404, ""),
    }
}

/// A hub that is good but for its weights.
fn weights_by(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.path.ends_with(WEIGHTS) {
        true => answer(request),
        false => good(request),
    })
}

/// A hub that is good but for its list of files.
fn listing_by(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.path.starts_with("/api/") {
        true => answer(request),
        false => good(request),
    })
}

fn settings(server: &Server) -> HubSettings {
    HubSettings {
        endpoint: server.address.clone(),
        token: None,
        is_offline: false,
        certificates: None,
        retry: Retry {
            attempts: 3,
            first_wait: Duration::from_millis(1),
        },
    }
}

fn fetch_with(settings: HubSettings, cache: &Path) -> Result<Found, WeightsError> {
    Hub::new(settings)?.fetch(&DEEPSEEK_OCR, "main", cache, &mut |_| ())
}

fn fetch(server: &Server, cache: &Path) -> Result<Found, WeightsError> {
    fetch_with(settings(server), cache)
}

/// The error of a fetch, which leaves no model behind.
fn refused(server: &Server) -> String {
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(server, cache.path())
        .expect_err("it is refused")
        .to_string();
    assert!(!repository(cache.path()).join("refs/main").exists());
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

fn repository(cache: &Path) -> PathBuf {
    cache.join("models--deepseek-ai--DeepSeek-OCR")
}

fn blob() -> String {
    hex(Sha256::digest(weights()))
}

fn assert_whole(found: &Found) {
    assert_eq!(std::fs::read(found.folder.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(
        verify(&found.folder, &mut |_, _| ()).unwrap(),
        Checked { right: 4, unknown: 0 }
    );
}

#[test]
fn a_model_is_fetched_into_the_layout_that_python_reads() {
    let server = Server::start(good);
    let cache = tempfile::tempdir().unwrap();
    let mut heard = Vec::new();
    let hub = Hub::new(settings(&server)).unwrap();
    let found = hub.fetch(&DEEPSEEK_OCR, "main", cache.path(), &mut |p| {
        heard.push((p.stage, p.done, p.total))
    });
    let found = found.unwrap();
    assert_whole(&found);
    let repository = repository(cache.path());
    assert_eq!(found.folder, repository.join("snapshots").join(COMMIT));
    assert_eq!(
        std::fs::read_to_string(repository.join("refs/main")).unwrap(),
        COMMIT
    );
    #[cfg(unix)]
    {
        let link = |name: &str| std::fs::read_link(found.folder.join(name)).unwrap();
        assert_eq!(link(WEIGHTS), Path::new("../../blobs").join(blob()));
        assert_eq!(
            link("config.json"),
            Path::new("../../blobs").join(git(&files()["config.json"]))
        );
    }
    assert!(!found.folder.join("README.md").exists());
    assert_eq!(std::fs::read_dir(repository.join("blobs")).unwrap().count(), 4);
    // Progress grows to the whole.
    let total: usize = files()
        .iter()
        .filter(|(n, _)| **n != "README.md")
        .map(|(_, c)| c.len())
        .sum();
    let downloaded: Vec<u64> = heard
        .iter()
        .filter(|(s, _, _)| *s == Stage::Downloading)
        .map(|(_, done, _)| *done)
        .collect();
    assert!(downloaded.is_sorted() && downloaded.last() == Some(&(total as u64)));
    assert!(
        heard
            .iter()
            .any(|(s, done, all)| *s == Stage::Checking && done == all)
    );

    // A second fetch asks what `main` is and brings nothing.
    let before = server.heard().len();
    fetch(&server, cache.path()).unwrap();
    assert_eq!(server.heard().len(), before + 1);
    // A commit that is complete is not asked for at all.
    hub.fetch(&DEEPSEEK_OCR, COMMIT, cache.path(), &mut |_| ())
        .unwrap();
    assert_eq!(server.heard().len(), before + 1);
}

#[test]
fn a_cut_connection_goes_on_where_it_was_cut() {
    let server = weights_by(|request| {
        let mut answer = good(request);
        answer.cut = 250_000;
        answer
    });
    let cache = tempfile::tempdir().unwrap();
    assert_whole(&fetch(&server, cache.path()).unwrap());
    let starts: Vec<_> = server.heard_weights().iter().map(Request::start).collect();
    assert_eq!(starts, [None, Some(250_000), Some(500_000), Some(750_000)]);
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_ended() {
    let server = Server::start(good);
    let cache = tempfile::tempdir().unwrap();
    let blobs = repository(cache.path()).join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(
        blobs.join(format!("{}.incomplete", blob())),
        &weights()[..300_000],
    )
    .unwrap();
    assert_whole(&fetch(&server, cache.path()).unwrap());
    let starts: Vec<_> = server.heard_weights().iter().map(Request::start).collect();
    assert_eq!(starts, [Some(300_000)]);
}

#[test]
fn what_is_too_long_or_the_wrong_part_starts_anew() {
    let cache = tempfile::tempdir().unwrap();
    let blobs = repository(cache.path()).join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let partial = blobs.join(format!("{}.incomplete", blob()));
    std::fs::write(&partial, [weights(), weights()].concat()).unwrap();
    assert_whole(&fetch(&Server::start(good), cache.path()).unwrap());

    // A hub that answers another part than was asked for, or none.
    for wrong in [Some("bytes 7-9/800000"), None] {
        let server = weights_by(move |request| match (request.start(), wrong) {
            (None, _) => good(request),
            (Some(_), Some(range)) => Answer::new(206, "abc").with("content-range", range),
            (Some(_), None) => Answer::new(416, ""),
        });
        let cache = tempfile::tempdir().unwrap();
        let blobs = repository(cache.path()).join("blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(
            blobs.join(format!("{}.incomplete", blob())),
            &weights()[..300_000],
        )
        .unwrap();
        assert_whole(&fetch(&server, cache.path()).unwrap());
        assert_eq!(server.heard_weights().len(), 2);
    }
}

#[test]
fn a_hub_that_can_not_send_parts_sends_all_again() {
    let count = Mutex::new(0);
    let server = weights_by(move |_| {
        let mut answer = Answer::new(200, weights());
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count == 1 {
            answer.cut = 250_000;
        }
        answer
    });
    let cache = tempfile::tempdir().unwrap();
    assert_whole(&fetch(&server, cache.path()).unwrap());
    assert_eq!(server.heard_weights().len(), 2);
}

#[test]
fn a_connection_that_is_always_cut_ends() {
    let server = weights_by(|_| {
        let mut answer = Answer::new(200, weights());
        answer.cut = 1000;
        answer
    });
    let error = refused(&server);
    assert!(error.contains("the connection was cut after 1000"), "{error}");
    assert_eq!(server.heard_weights().len(), 3);
}

#[test]
fn a_wrong_digest_is_deleted_and_told() {
    let server = weights_by(|request| {
        let mut wrong = weights();
        wrong[5] ^= 1;
        Answer::file(request, &wrong)
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&server, cache.path()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, WeightsError::Digest { .. }));
    assert!(
        text.contains(&blob()) && text.contains("is deleted; fetch again"),
        "{text}"
    );
    let blobs = std::fs::read_dir(repository(cache.path()).join("blobs")).unwrap();
    let names: Vec<_> = blobs
        .map(|b| b.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.starts_with(&blob())), "{names:?}");

    // Small files have git's digest.
    let server = Server::start(|request| match request.path.ends_with("/config.json") {
        true => Answer::new(200, "{\"model\":2}"),
        false => good(request),
    });
    assert!(refused(&server).contains("config.json has the digest"));
}

#[test]
fn a_size_that_is_not_the_listed_one_is_told() {
    let server = weights_by(|_| Answer::new(200, "version https://git-lfs.github.com/spec/v1"));
    let error = refused(&server);
    assert!(
        error.contains("lists 800000 bytes for it and sends 42"),
        "{error}"
    );
    assert_eq!(server.heard_weights().len(), 1);
}

#[test]
fn refusals_say_what_to_do() {
    for (status, code, expected) in [
        (401, "RepoNotFound", "set HF_TOKEN"),
        (403, "GatedRepo", "accept the model's conditions"),
        (403, "", "accept the model's conditions"),
        (404, "RevisionNotFound", "has no such revision; check --revision"),
        (404, "", "check HF_ENDPOINT and --revision"),
        (418, "", "status 418"),
    ] {
        let server = listing_by(move |_| Answer::new(status, "").with("x-error-code", code));
        let error = refused(&server);
        assert!(
            error.contains(expected) && error.contains(&format!("status {status}")),
            "{error}"
        );
        assert_eq!(server.heard().len(), 1, "a refusal is not asked again");
    }
    let server = listing_by(|_| Answer::new(401, ""));
    let with_token = HubSettings {
        token: Some("secret".into()),
        ..settings(&server)
    };
    let error = fetch_with(with_token, tempfile::tempdir().unwrap().path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("does not accept the token in HF_TOKEN") && !error.contains("secret"),
        "{error}"
    );
}

#[test]
fn a_passing_failure_is_tried_again() {
    for status in [500, 503, 429] {
        let failing = Mutex::new(std::collections::BTreeSet::new());
        let server =
            Server::start(
                move |request| match failing.lock().unwrap().insert(request.path.clone()) {
                    true => Answer::new(status, "").with("retry-after", "0"),
                    false => good(request),
                },
            );
        assert_whole(&fetch(&server, tempfile::tempdir().unwrap().path()).unwrap());
    }
    let server = Server::start(|_| Answer::new(500, ""));
    assert!(refused(&server).contains("status 500"));
    assert_eq!(server.heard().len(), 3);
}

#[test]
fn the_token_is_not_shown_to_another_host() {
    let elsewhere = Server::start(|request| Answer::file(request, &weights()));
    let there = elsewhere.address.clone();
    let hub = weights_by(move |request| match request.path.starts_with("/moved") {
        true => Answer::new(302, "").with("location", format!("{there}/{WEIGHTS}")),
        // First to another path of its own, as for a repository that was renamed.
        false => Answer::new(307, "").with("location", format!("/moved/{WEIGHTS}")),
    });
    let with_token = HubSettings {
        token: Some("secret".into()),
        ..settings(&hub)
    };
    assert_whole(&fetch_with(with_token, tempfile::tempdir().unwrap().path()).unwrap());
    let shown = |request: &Request| request.headers.get("authorization").cloned();
    assert!(
        hub.heard()
            .iter()
            .all(|r| shown(r).as_deref() == Some("Bearer secret"))
    );
    assert_eq!(hub.heard_weights().len(), 2);
    assert_eq!(elsewhere.heard().len(), 1);
    assert!(elsewhere.heard().iter().all(|r| shown(r).is_none()));
}

#[test]
fn redirects_that_never_end_do() {
    let server = weights_by(|request| Answer::new(302, "").with("location", request.path.clone()));
    assert!(refused(&server).contains("sent on more than 8 times"));
}

#[test]
fn offline_the_hub_is_not_asked() {
    let server = Server::start(good);
    let offline = || HubSettings {
        is_offline: true,
        ..settings(&server)
    };
    let cache = tempfile::tempdir().unwrap();
    let error = fetch_with(offline(), cache.path()).unwrap_err();
    assert!(matches!(error, WeightsError::Offline { .. }), "{error}");
    let advice = "leave --offline out and unset HF_HUB_OFFLINE";
    assert!(error.to_string().contains(advice), "{error}");
    assert!(server.heard().is_empty());
    let found = fetch(&server, cache.path()).unwrap();
    let before = server.heard().len();
    assert_eq!(fetch_with(offline(), cache.path()).unwrap(), found);
    assert_eq!(server.heard().len(), before);
}

#[test]
fn a_hub_that_is_not_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let nobody = HubSettings {
        endpoint: address,
        ..settings(&Server::start(good))
    };
    let error = fetch_with(nobody, tempfile::tempdir().unwrap().path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("can't be reached") && error.contains("check the network"),
        "{error}"
    );
}

/// The error for a list of files that was changed.
fn listed(change: impl Fn(&mut Value) + Send + Sync + 'static) -> String {
    refused(&listing_by(move |_| {
        let mut listing = listing();
        change(&mut listing);
        Answer::new(200, listing.to_string())
    }))
}

#[test]
fn hostile_lists_are_refused() {
    for name in [
        "../evil.safetensors",
        "/etc/evil.safetensors",
        "a\\..\\evil.safetensors",
        "C:evil.safetensors",
        "a//b",
    ] {
        let error = listed(move |listing| {
            let evil = json!({"rfilename": name, "size": 1, "blobId": "0".repeat(40)});
            listing["siblings"].as_array_mut().unwrap().push(evil);
        });
        assert!(error.contains("leads out of its folder"), "{error}");
    }
    for (pointer, value, expected) in [
        ("/sha", json!("../../../etc"), "as the commit"),
        ("/sha", json!(7), "not understood"),
        (
            "/siblings/1/blobId",
            json!("../../../../evil"),
            "as the digest of config.json",
        ),
        (
            "/siblings/2/lfs/sha256",
            json!("0".repeat(40)),
            "as the digest of model-",
        ),
        (
            "/siblings/2/lfs/sha256",
            Value::Null,
            "lists no SHA-256 for model-",
        ),
        (
            "/siblings/1/rfilename",
            json!("other.json"),
            "has no config.json at this revision",
        ),
        (
            "/siblings/2/rfilename",
            json!("weights.bin"),
            "has no *.safetensors",
        ),
        (
            "/siblings/2/rfilename",
            json!("sub/model.safetensors"),
            "has no *.safetensors",
        ),
    ] {
        let error = listed(move |listing| *listing.pointer_mut(pointer).unwrap() = value.clone());
        assert!(error.contains(expected), "{error} lacks {expected}");
    }
    let error = refused(&listing_by(|_| Answer::new(200, vec![b' '; 17 << 20])));
    assert!(error.contains("longer than"), "{error}");
}

#[test]
fn files_without_a_listed_digest_are_fetched_and_counted_as_unknown() {
    let server = listing_by(|_| {
        let mut listing = listing();
        for file in listing["siblings"].as_array_mut().unwrap() {
            file.as_object_mut().unwrap().remove("blobId");
        }
        Answer::new(200, listing.to_string())
    });
    let cache = tempfile::tempdir().unwrap();
    let found = fetch(&server, cache.path()).unwrap();
    let checked = verify(&found.folder, &mut |_, _| ()).unwrap();
    assert_eq!(checked, Checked { right: 1, unknown: 3 });
}

#[test]
fn the_index_says_which_weights_count() {
    let index = json!({"weight_map": {"a": WEIGHTS}}).to_string();
    let served = index.clone();
    let server = Server::start(move |request| {
        if request.path.starts_with("/api/") {
            let mut listing = listing();
            let siblings = listing["siblings"].as_array_mut().unwrap();
            let (name, digest) = ("model.safetensors.index.json", git(index.as_bytes()));
            siblings.push(json!({"rfilename": name, "size": index.len(), "blobId": digest}));
            siblings.push(json!({"rfilename": "consolidated.safetensors", "size": 9, "lfs": {"sha256": "0".repeat(64)}}));
            return Answer::new(200, listing.to_string());
        }
        match request.path.ends_with("index.json") {
            true => Answer::new(200, served.clone()),
            false => good(request),
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let found = fetch(&server, cache.path()).unwrap();
    assert!(found.folder.join(WEIGHTS).exists() && !found.folder.join("consolidated.safetensors").exists());
    assert!(
        !server
            .heard()
            .iter()
            .any(|r| r.path.ends_with("consolidated.safetensors"))
    );
}

#[test]
fn two_fetches_at_once_share_the_work() {
    let server = Server::start(good);
    let cache = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_whole(&fetch(&server, cache.path()).unwrap()));
        }
    });
    assert_eq!(server.heard_weights().len(), 1);
}

#[test]
fn revisions_that_are_paths_are_refused() {
    let hub = Hub::new(settings(&Server::start(good))).unwrap();
    for revision in ["../main", "", "a b", "main?x", "/main"] {
        let error = hub
            .fetch(&DEEPSEEK_OCR, revision, Path::new("/nowhere"), &mut |_| ())
            .unwrap_err();
        assert!(matches!(error, WeightsError::Setting(_)), "{error}");
    }
}
