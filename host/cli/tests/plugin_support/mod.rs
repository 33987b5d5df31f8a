//! What the tests of `ocr-host plugin` share: the program in a folder of its own, components made for the occasion, and a
//! server on a port of this machine.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

pub fn example(name: &str) -> String {
    repository().join("examples").join(name).display().to_string()
}

pub fn hello() -> PathBuf {
    repository().join("examples/hello-formatter/hello-formatter.wasm")
}

/// How a run ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The program in `folder`, whose plugins and settings are in there as well.
pub fn ocr_host(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocr-host"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
        .env("OCR_HOST_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
        .env("OCR_HOST_MODELS", concat!(env!("CARGO_TARGET_TMPDIR"), "/models"))
        .env("OCR_HOST_DATA", folder.join("data"))
        .env("DOCKER_CONFIG", folder.join("docker"))
        .env("XDG_CONFIG_HOME", folder)
        .env_remove("OCR_HOST_CONFIG")
        .env_remove("SSL_CERT_FILE");
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command
}

pub fn run(folder: &Path, args: &[&str]) -> Ran {
    let output = ocr_host(folder, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    let engine = |line: &&str| line.starts_with("note: pages are read by ");
    Ran {
        code: output.status.code().expect("it was not killed"),
        out: text(output.stdout),
        err: text(output.stderr)
            .split_inclusive('\n')
            .filter(|line| !engine(line))
            .collect(),
    }
}

/// A run that has to end with a code and say some words.
pub fn refused(folder: &Path, args: &[&str], code: i32, words: &[&str]) {
    let ran = run(folder, args);
    assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{args:?}: {word:?} is not in {}", ran.err);
    }
}

/// The component in text `wat` with a manifest.
pub fn component(wat: &str, manifest: &str) -> Vec<u8> {
    with_section(wat::parse_str(wat).unwrap(), manifest)
}

/// The hello formatter with another manifest in place of its own.
pub fn hello_with(manifest: &str) -> Vec<u8> {
    let component = std::fs::read(hello()).unwrap();
    let mut bare = component[..8].to_vec();
    let mut rest = &component[8..];
    while let [id, after @ ..] = rest {
        let (mut size, mut digits) = (0, 0);
        for byte in after {
            size |= usize::from(byte & 0x7f) << (7 * digits);
            digits += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (section, next) = rest.split_at(1 + digits + size);
        // A custom section begins with its name, and that with its length in one byte.
        let is_manifest = *id == 0 && section[1 + digits + 1..].starts_with(MANIFEST.as_bytes());
        if !is_manifest {
            bare.extend(section);
        }
        rest = next;
    }
    assert!(bare.len() < component.len(), "it had a manifest");
    with_section(bare, manifest)
}

/// The section that holds a component's manifest.
const MANIFEST: &str = "ocr-host:manifest";

fn with_section(mut bytes: Vec<u8>, manifest: &str) -> Vec<u8> {
    let mut section = leb128(MANIFEST.len());
    section.extend(MANIFEST.bytes());
    section.extend(manifest.bytes());
    bytes.push(0);
    bytes.extend(leb128(section.len()));
    bytes.extend(section);
    bytes
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The bytes of the hello formatter under another id, alias and version; `id` has the length of its own.
pub fn renamed(id: &str, version: &str) -> Vec<u8> {
    assert_eq!(id.len(), "hello-formatter".len());
    let mut bytes = std::fs::read(hello()).unwrap();
    let mut replace = |from: &str, to: &str| {
        let at = bytes
            .windows(from.len())
            .rposition(|w| w == from.as_bytes())
            .expect("the manifest has it");
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    };
    replace("\"id\":\"hello-formatter\"", &format!("\"id\":\"{id}\""));
    replace("\"version\":\"0.1.0\"", &format!("\"version\":\"{version}\""));
    bytes
}

#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: BTreeMap<String, String>,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Answering = dyn Fn(&Request) -> Answer + Send + Sync;

/// A server on a port of its own; it ends with the tests.
pub struct Server {
    /// `127.0.0.1:PORT`
    pub host: String,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server; `answer` is given its host besides.
    pub fn start(answer: impl Fn(&Request, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let heard: Arc<Mutex<Vec<Request>>> = Arc::default();
        let own = host.clone();
        let answer: Arc<Answering> = Arc::new(move |request: &Request| answer(request, &own));
        let log = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &log));
            }
        });
        Self { host, heard }
    }

    pub fn heard(&self) -> Vec<Request> {
        self.heard.lock().unwrap().clone()
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
    if !answer.headers.iter().any(|(name, _)| *name == "content-length") {
        let _ = write!(head, "content-length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let mut stream = stream;
    // The client may have left: that is its business.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(&answer.body);
}
