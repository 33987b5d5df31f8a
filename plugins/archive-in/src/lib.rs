//! ZIP and CBZ archives: every picture and document in them is handed to the host as a document inside the document.
//!
//! Names of entries decide their order and nothing else: no path is ever followed. An entry's bytes are a window on the
//! archive where they are stored, and unpacked where they are deflated, never past the size that the directory promises.
//! No name is told in messages, since a redaction could not reach it there: entries are told by their place in the order
//! in which they are read.

#![forbid(unsafe_code)]

mod directory;
mod kind;
mod order;
mod unpack;

use directory::{Directory, Entry, Problem};
use kind::Kind;
use ocr_plugin::adapter::{Item, OpenOptions};
use ocr_plugin::source::Source;
use ocr_plugin::{Adapter, Diagnostic, DocInfo, Error, Result, Severity, log};
use serde::Deserialize;

/// Longest name of a document inside the document that the contract takes, bytes.
const NAME_BYTES: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    #[default]
    Name,
    Archive,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    order: Order,
}

struct Archive {
    source: Source,
    name: String,
    is_comic: bool,
    /// What is read, in its order.
    entries: Vec<Entry>,
}

impl Adapter for Archive {
    fn sniff(name: &str, head: &[u8]) -> u8 {
        let name = name.to_ascii_lowercase();
        let is_named = |extensions: &[&str]| extensions.iter().any(|e| name.ends_with(e));
        let is_zip = head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06");
        match is_zip {
            true if kind::is_package(&name, head) => 4,
            true if is_named(&[".zip", ".cbz"]) => 90,
            true => 60,
            // Programs that unpack themselves begin with something else.
            false if is_named(&[".zip", ".cbz"]) => 3,
            false => 0,
        }
    }

    fn open(source: Source, options: OpenOptions) -> Result<Self> {
        let settings: Settings = options.config.parse()?;
        let name = source.name();
        let head = source.read_at(0, 512)?;
        if kind::is_package(&name.to_ascii_lowercase(), &head) {
            return Err(Error::unsupported(format!(
                "`{name}` is an office document, a book or a program that is packed as ZIP; print it to PDF first"
            )));
        }
        let directory = Directory::read(&source).map_err(|problem| about(&format!("`{name}`"), problem))?;
        let files = directory.entries.len();
        let mut entries: Vec<Entry> = directory
            .entries
            .into_iter()
            .filter(|entry| !kind::is_litter(&entry.name))
            .collect();
        let litter = files - entries.len();
        if settings.order == Order::Name {
            entries.sort_by(|a, b| order::natural(&a.name, &b.name));
        }
        let before = entries.len();
        entries.retain(|entry| is_readable(&source, entry));
        let left_out = before - entries.len();
        if entries.is_empty() {
            return Err(Error::invalid_input(format!(
                "`{name}` holds no picture and no document that can be read; it has {} other files",
                litter + left_out
            )));
        }
        if entries.iter().all(|entry| entry.is_encrypted) {
            return Err(Error::failed(
                "encrypted",
                format!("`{name}` is an encrypted archive, which cannot be opened here; unpack it first"),
            ));
        }
        if left_out > 0 {
            let files = if left_out == 1 { "file is" } else { "files are" };
            let message = format!("{left_out} {files} neither picture nor document, and not read");
            log::report(&Diagnostic::new(Severity::Note, "entries-left-out", message));
        }
        Ok(Self {
            is_comic: name.to_ascii_lowercase().ends_with(".cbz"),
            source,
            name,
            entries,
        })
    }

    fn info(&self) -> DocInfo {
        let media_type = match self.is_comic {
            true => "application/vnd.comicbook+zip",
            false => "application/zip",
        };
        // How many pages its documents have nobody knows before they are opened.
        DocInfo::new(&self.name, media_type)
    }

    fn read(&mut self, index: u32, _dpi: f32) -> Result<Option<Item>> {
        let Some(entry) = self.entries.get(index as usize) else {
            return Ok(None);
        };
        let which = format!("entry {} of {}", index + 1, self.entries.len());
        if entry.is_encrypted {
            let why = format!("{which} is encrypted, which cannot be opened here; unpack the archive first");
            return Err(Error::failed("encrypted", why));
        }
        let at = entry
            .data(&self.source)
            .map_err(|problem| about(&which, problem))?;
        let name = base_name(&entry.name, index);
        let inner = match entry.is_deflated {
            false => self.source.window(&name, at, entry.packed)?,
            true => {
                let bytes =
                    unpack::inflate(&self.source, at, entry).map_err(|problem| about(&which, problem))?;
                if unpack::crc32(&bytes) != entry.crc32 {
                    let message = format!("{which} is damaged: its checksum is wrong");
                    log::report(&Diagnostic::new(Severity::Error, "damaged", message));
                }
                Source::from_bytes(&name, &bytes)?
            }
        };
        Ok(Some(Item::Embedded(inner)))
    }
}

/// Whether an entry looks like something that is read: by its name, or by its first bytes where the name says nothing.
/// What can't be looked into is kept, so that reading it says why.
fn is_readable(source: &Source, entry: &Entry) -> bool {
    match kind::of_name(&entry.name) {
        Kind::Readable => true,
        Kind::Other => false,
        Kind::Unknown if entry.is_encrypted => false,
        Kind::Unknown => {
            let head = entry
                .data(source)
                .ok()
                .and_then(|at| unpack::head(source, at, entry).ok());
            head.is_some_and(|head| kind::is_readable_head(&head))
        }
    }
}

fn about(what: &str, problem: Problem) -> Error {
    match problem {
        Problem::Damaged(why) => Error::invalid_input(format!("{what}: {why}")),
        Problem::Unsupported(why) => Error::unsupported(format!("{what}: {why}")),
        Problem::Host(error) => error.into(),
    }
}

/// The last part of an entry's name, as the contract takes it.
fn base_name(name: &str, index: u32) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut plain: String = last.chars().filter(|c| !c.is_control()).collect();
    plain.truncate(plain.floor_char_boundary(NAME_BYTES));
    match plain.trim().trim_matches('.').is_empty() {
        true => format!("entry-{}", index + 1),
        false => plain,
    }
}

ocr_plugin::export_adapter!(Archive);

#[cfg(test)]
mod tests;
