//! Runs one plugin over recorded pages, or an adapter over a document, and gathers what it leaves behind as files.
//!
//! The author's loop is built on it: `plugin test` compares the files, `plugin dev` shows them. A plugin is granted what
//! its manifest asks for; there is no engine behind it, so `ocr.recognize` answers `denied`.

mod changes;

use ocr_document::{Diagnostic, Page, PageImage, PixelFormat, RecordedPage, Severity};
use ocr_runtime::{
    AdapterSession, Context, DocInfo, DocumentOutput, FormatterSession, Grants, InputItem, Limits,
    OpenOptions, Plugin, PluginEvents, PluginFailure, ProcessorSession, Source, World,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What the document is called, whatever the fixture is.
pub const NAME: &str = "document";

/// What the plugin said, one message a line.
pub const SAID: &str = "said.txt";

/// How the plugin failed.
pub const FAILURE: &str = "failure.txt";

/// Resolution at which adapters draw in a trial, dots per inch.
const DPI: f32 = 72.0;

/// Most items of a document that a trial asks an adapter for.
const MOST_ITEMS: u32 = 1000;

/// What a plugin is run with.
pub struct Trial<'a> {
    /// The plugin.
    pub plugin: &'a Arc<Plugin>,
    /// A JSON object that fits its schema.
    pub config: &'a str,
    /// What it may use.
    pub limits: &'a Limits,
}

/// What a plugin left behind: files by path, with [`SAID`] and [`FAILURE`] among them where there is something in them.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Hears what the plugin says, in its sequence.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Said {
    fn add(&self, line: String) {
        self.0
            .lock()
            .expect("no thread panics while it listens")
            .push(line);
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

impl PluginEvents for Said {
    fn report(&self, _: &str, d: &Diagnostic) {
        let page = d.page.map(|page| format!(" page {page}")).unwrap_or_default();
        self.add(format!("{} [{}]{page}: {}", word(d.severity), d.code, d.message));
    }

    fn log(&self, _: &str, severity: Severity, message: &str) {
        self.add(format!("log {}: {message}", word(severity)));
    }

    fn progress(&self, _: &str, _: u32, _: Option<u32>) {}
}

impl Trial<'_> {
    /// Runs a formatter or a processor over pages. An error is the host's, not the plugin's.
    pub fn over_pages(&self, document: &DocInfo, pages: &[Arc<Page>]) -> std::io::Result<Files> {
        let said = Arc::new(Said::default());
        let context = self.context(&said);
        let mut files = Files::new();
        let ended = match self.plugin.world() {
            World::OutputFormatter => self.format(&context, document, pages, &mut files)?,
            World::PageProcessor => self.process(&context, document, pages, &mut files),
            World::InputAdapter => unreachable!("an adapter is run over a document"),
        };
        finish(files, &said, ended)
    }

    /// Runs an adapter over a document.
    pub fn over_document(&self, source: &Source) -> std::io::Result<Files> {
        let said = Arc::new(Said::default());
        let context = self.context(&said);
        let mut items = Vec::new();
        let mut info = None;
        let ended = self.adapt(&context, source, &mut info, &mut items);
        let mut files = Files::new();
        let told = json!({"document": info, "items": items});
        files.insert("document.json".to_owned(), pretty(&told));
        finish(files, &said, ended)
    }

    fn context(&self, said: &Arc<Said>) -> Context {
        Context {
            limits: self.limits.clone(),
            grants: Grants::ALL,
            events: said.clone(),
            ..Context::default()
        }
    }

    fn format(
        &self,
        context: &Context,
        document: &DocInfo,
        pages: &[Arc<Page>],
        files: &mut Files,
    ) -> std::io::Result<Result<(), PluginFailure>> {
        let folder = tempfile::tempdir()?;
        let output = DocumentOutput::begin(folder.path(), NAME)?;
        let extension = &self.plugin.manifest().extensions[0];
        let place = output.formatter(extension);
        let opened = FormatterSession::open(self.plugin, context, document, self.config, place);
        let ended = opened.and_then(|mut session| {
            for page in pages {
                session.add_page(page)?;
            }
            session.finish().map(drop)
        });
        let unfinished = ended.is_err().then(|| extension.clone());
        let committed = output.commit(&HashSet::from_iter(unfinished));
        committed.map_err(|e| std::io::Error::other(e.to_string()))?;
        gather(folder.path(), "", files)?;
        Ok(ended)
    }

    fn process(
        &self,
        context: &Context,
        document: &DocInfo,
        pages: &[Arc<Page>],
        files: &mut Files,
    ) -> Result<(), PluginFailure> {
        let mut document = document.clone();
        let (mut edits, mut edited) = (json!({"document": [], "pages": []}), Vec::new());
        let mut run = || {
            let mut session = ProcessorSession::open(self.plugin, context, &document, self.config)?;
            for edit in session.edit_document()? {
                push(&mut edits["document"], changes::of_document(&edit));
                edit.apply(&mut document);
            }
            for page in pages {
                let number = page.info().number;
                let asked = session.process(page)?;
                let told: Vec<Value> = asked.iter().map(changes::of_page).collect();
                push(&mut edits["pages"], json!({"number": number, "edits": told}));
                match page.edited(&asked) {
                    Ok(page) => edited.push(RecordedPage::of(&page)),
                    Err(why) => push(
                        &mut edits["pages"],
                        json!({"number": number, "refused": why.to_string()}),
                    ),
                }
            }
            Ok(())
        };
        let ended = run();
        files.insert("edits.json".to_owned(), changes::text(&edits));
        files.insert(
            "pages.json".to_owned(),
            crate::recording::json(&document, &edited).into_bytes(),
        );
        ended
    }

    fn adapt(
        &self,
        context: &Context,
        source: &Source,
        info: &mut Option<Value>,
        items: &mut Vec<Value>,
    ) -> Result<(), PluginFailure> {
        let options = OpenOptions {
            config: self.config.to_owned(),
            password: None,
        };
        let mut session = AdapterSession::open(self.plugin, context, source, &options)?;
        let told = session.info()?;
        *info = Some(json!({
            "name": told.name, "media-type": told.media_type, "pages": told.pages, "title": told.title,
        }));
        let mut index = 0;
        while index < MOST_ITEMS {
            match session.read(index, DPI) {
                Ok(None) => break,
                Ok(Some(InputItem::Page(page))) => items.push(json!({
                    "page": index,
                    "width": page.image.width(),
                    "height": page.image.height(),
                    "format": match page.image.format() {
                        PixelFormat::Gray8 => "gray8",
                        PixelFormat::Rgb8 => "rgb8",
                    },
                    "pixels-sha256": pixels(&page.image),
                    "dpi": page.dpi,
                    "size-points": page.size_points,
                    "text-layer": page.text_layer.map(|layer| {
                        layer.words.iter().map(|w| w.text.clone()).collect::<Vec<_>>()
                    }),
                })),
                Ok(Some(InputItem::Embedded(inner))) => items.push(json!({
                    "embedded": inner.name(), "bytes": inner.len(),
                })),
                // An error costs its item; a stopped adapter reads no more.
                Err(failure) if session.is_dead() => return Err(failure),
                Err(failure) => items.push(json!({"page": index, "failed": failure.to_string()})),
            }
            index += 1;
        }
        Ok(())
    }
}

fn push(list: &mut Value, item: Value) {
    if let Value::Array(list) = list {
        list.push(item);
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn pixels(image: &PageImage) -> String {
    Sha256::digest(image.pixels())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Adds what was said and how it ended.
fn finish(mut files: Files, said: &Said, ended: Result<(), PluginFailure>) -> std::io::Result<Files> {
    let said = std::mem::take(&mut *said.0.lock().expect("no thread panics while it listens"));
    if !said.is_empty() {
        files.insert(SAID.to_owned(), (said.join("\n") + "\n").into_bytes());
    }
    if let Err(failure) = ended {
        let trace: String = failure.backtrace.iter().map(|f| format!("  in {f}\n")).collect();
        files.insert(FAILURE.to_owned(), format!("{failure}\n{trace}").into_bytes());
    }
    Ok(files)
}

/// Every file below a folder, by path.
pub fn gather(folder: &Path, below: &str, files: &mut Files) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => gather(&entry.path(), &format!("{name}/"), files)?,
            false => {
                files.insert(name, std::fs::read(entry.path())?);
            }
        }
    }
    Ok(())
}
