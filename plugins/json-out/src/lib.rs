//! JSON in the schema of Docling, which chunkers, indexers and readers of many projects understand.
//!
//! The schema is a set of arrays and a tree of references into them, and a file is written from its first byte to its
//! last. Texts, by far the largest array, are written as pages come; the others are kept as finished JSON until the end,
//! and the tree as numbers. Places are points from the page's bottom left.

#![forbid(unsafe_code)]

mod json;
mod page;
mod schema;
mod table;
mod words;

use json::{Json, Name, Value};
use ocr_plugin::{Config, Diagnostic, DocInfo, Formatter, Page, Result, Severity, log, output};
use schema::{Group, Incident, Item, Meta, Node, Origin, PageItem, Ref, Size};
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Images {
    #[default]
    None,
    Referenced,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    indent: bool,
    images: Images,
    words: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            indent: true,
            images: Images::None,
            words: false,
        }
    }
}

struct Docling {
    out: Writer,
    words: Option<output::File>,
    settings: Settings,
    counts: Counts,
    /// The body's children, in reading order.
    body: Vec<Item>,
    tables: Vec<String>,
    pictures: Vec<String>,
    groups: Vec<String>,
    pages: Vec<(u32, PageItem)>,
    incidents: Vec<Incident>,
}

/// Bytes that are handed on at once, at most and about; an ordinary page has 40 KiB.
const MOST_KEPT: usize = 64 << 10;

/// How many items there are so far.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    texts: u32,
    tables: u32,
    pictures: u32,
    groups: u32,
}

impl Formatter for Docling {
    fn open(doc: &DocInfo, config: Config) -> Result<Self> {
        let settings: Settings = config.parse()?;
        let mut out = Writer {
            file: output::main()?,
            json: Json::new(settings.indent, 0),
        };
        out.json.open("{");
        out.field("schema_name", &schema::NAME)?;
        out.field("version", &schema::VERSION)?;
        out.field("name", &stem(&doc.name))?;
        out.field("origin", &origin(doc))?;
        out.open("texts", "[");
        out.flush()?;
        let words = settings.words.then(open_words).flatten();
        Ok(Self {
            out,
            words,
            settings,
            counts: Counts::default(),
            body: Vec::new(),
            tables: Vec::new(),
            pictures: Vec::new(),
            groups: Vec::new(),
            pages: Vec::new(),
            incidents: Vec::new(),
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        let info = page.info();
        // A page number is a key; documents inside documents may repeat one.
        let number = match self.pages.last() {
            Some((last, _)) if info.number <= *last => last + 1,
            _ => info.number.max(1),
        };
        let (width, height) = (f64::from(info.width_points), f64::from(info.height_points));
        self.pages.push((
            number,
            PageItem {
                size: Size { width, height },
                page_no: number,
            },
        ));
        self.incidents.extend(page::incident(page, number));

        let built = page::build(
            page,
            number,
            self.counts,
            self.settings.images == Images::Referenced,
        );
        for text in &built.texts {
            self.out.element(text)?;
        }
        self.out.flush()?;
        let indent = self.settings.indent;
        self.tables.extend(built.tables.iter().map(|t| render(t, indent)));
        self.pictures
            .extend(built.pictures.iter().map(|p| render(p, indent)));
        self.groups.extend(built.groups.iter().map(|g| render(g, indent)));
        self.body.extend(&built.body);
        if let Some(words) = &self.words {
            words.write_text(&words::line(page, number, &built.items))?;
        }
        self.counts = built.counts;
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.out.json.close("]");
        for (name, items) in [
            ("groups", &self.groups),
            ("tables", &self.tables),
            ("pictures", &self.pictures),
        ] {
            self.out.open(name, "[");
            items.iter().try_for_each(|item| self.out.rendered(item))?;
            self.out.json.close("]");
        }
        for name in ["key_value_items", "form_items"] {
            self.out.open(name, "[");
            self.out.json.close("]");
        }
        let meta = (!self.incidents.is_empty()).then_some(Meta {
            pages: self.incidents,
        });
        self.out
            .field("furniture", &root(Item::Furniture, "furniture", Vec::new(), meta))?;
        let children = self.body.iter().map(|&item| item.into()).collect();
        self.out
            .field("body", &root(Item::Body, "body", children, None))?;
        self.out.open("pages", "{");
        for (number, page) in &self.pages {
            self.out.field(&number.to_string(), page)?;
        }
        self.out.json.close("}");
        self.out.finish()
    }
}

fn open_words() -> Option<output::File> {
    match output::create("words.jsonl", "application/jsonl") {
        Ok(file) => Some(file),
        Err(e) => {
            let message = format!("words are not written: {}", e.message());
            log::report(&Diagnostic::new(Severity::Warning, "words-omitted", message));
            None
        }
    }
}

fn root(item: Item, layer: &'static str, children: Vec<Ref>, meta: Option<Meta>) -> Group {
    let node = Node {
        self_ref: item,
        parent: None,
        children,
        content_layer: Name(layer),
        meta,
    };
    Group {
        node,
        name: "_root_",
        label: Name("unspecified"),
    }
}

fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

fn origin(doc: &DocInfo) -> Origin<'_> {
    // Readers check the media type against a list of their own, on which some that we read are missing.
    const ACCEPTED: [&str; 7] = [
        "application/pdf",
        "image/png",
        "image/jpeg",
        "image/tiff",
        "image/gif",
        "image/bmp",
        "text/html",
    ];
    let mimetype = ACCEPTED
        .into_iter()
        .find(|m| *m == doc.media_type)
        .unwrap_or("application/octet-stream");
    // Docling's hash: the last 64 bits of the SHA-256.
    let digits = doc.sha256.as_deref().unwrap_or_default();
    let tail = digits
        .len()
        .checked_sub(16)
        .and_then(|at| digits.get(at..))
        .unwrap_or("0");
    Origin {
        mimetype,
        binary_hash: u64::from_str_radix(tail, 16).unwrap_or(0),
        filename: &doc.name,
    }
}

/// An item of an array of the document, kept until its array is written.
fn render(item: &impl Value, indent: bool) -> String {
    // The arrays are fields of the document.
    let mut json = Json::new(indent, 2);
    item.write(&mut json);
    json.out
}

/// Writes one object whose fields may be arrays that are written element by element.
struct Writer {
    file: output::File,
    /// Holds what the file has not been given yet.
    json: Json,
}

impl Writer {
    fn field(&mut self, name: &str, value: &impl Value) -> Result<()> {
        self.json.name(name);
        value.write(&mut self.json);
        self.flush_much()
    }

    fn open(&mut self, name: &str, bracket: &'static str) {
        self.json.name(name);
        self.json.open(bracket);
    }

    fn element(&mut self, value: &impl Value) -> Result<()> {
        self.json.begin();
        value.write(&mut self.json);
        self.flush_much()
    }

    fn rendered(&mut self, item: &str) -> Result<()> {
        self.json.begin();
        self.json.out.push_str(item);
        self.flush_much()
    }

    fn flush_much(&mut self) -> Result<()> {
        match self.json.out.len() < MOST_KEPT {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// Hands on what there is.
    fn flush(&mut self) -> Result<()> {
        self.file.write(self.json.out.as_bytes())?;
        self.json.out.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.json.close("}");
        self.json.out.push('\n');
        self.flush()
    }
}

ocr_plugin::export_formatter!(Docling);

#[cfg(test)]
mod tests;
