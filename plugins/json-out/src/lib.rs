//! JSON in the schema of Docling, which chunkers, indexers and readers of many projects understand.
//!
//! The schema is a set of arrays and a tree of references into them, and a file is written from its first byte to its
//! last. Texts, by far the largest array, are written as pages come; the others are kept as finished JSON until the end,
//! and the tree as numbers. Places are points from the page's bottom left.

#![forbid(unsafe_code)]

mod page;
mod schema;
mod table;
mod words;

use ocr_plugin::{Config, Diagnostic, DocInfo, Formatter, Page, Result, Severity, log, output};
use schema::{Group, Incident, Item, Meta, Node, Origin, PageItem, Ref, Size};
use serde::{Deserialize, Serialize};

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

struct Json {
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

/// How many items there are so far.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    texts: u32,
    tables: u32,
    pictures: u32,
    groups: u32,
}

impl Formatter for Json {
    fn open(doc: &DocInfo, config: Config) -> Result<Self> {
        let settings: Settings = config.parse()?;
        let mut out = Writer {
            file: output::main()?,
            indent: settings.indent,
            first: true,
        };
        out.field("schema_name", &schema::NAME)?;
        out.field("version", &schema::VERSION)?;
        out.field("name", &stem(&doc.name))?;
        out.field("origin", &origin(doc))?;
        out.open_array("texts")?;
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
        let indent = self.settings.indent;
        self.tables
            .extend(built.tables.iter().map(|t| render(t, indent, 2)));
        self.pictures
            .extend(built.pictures.iter().map(|p| render(p, indent, 2)));
        self.groups
            .extend(built.groups.iter().map(|g| render(g, indent, 2)));
        self.body.extend(&built.body);
        if let Some(words) = &self.words {
            words.write_text(&words::line(page, number, &built.items))?;
        }
        self.counts = built.counts;
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.out.close_array()?;
        for (name, items) in [
            ("groups", &self.groups),
            ("tables", &self.tables),
            ("pictures", &self.pictures),
        ] {
            self.out.open_array(name)?;
            items.iter().try_for_each(|item| self.out.rendered(item))?;
            self.out.close_array()?;
        }
        for name in ["key_value_items", "form_items"] {
            self.out.open_array(name)?;
            self.out.close_array()?;
        }
        let meta = (!self.incidents.is_empty()).then_some(Meta {
            pages: self.incidents,
        });
        self.out
            .field("furniture", &root("#/furniture", "furniture", Vec::new(), meta))?;
        let children = self.body.iter().map(|&item| item.into()).collect();
        self.out.field("body", &root("#/body", "body", children, None))?;
        self.out.open("pages", '{')?;
        for (number, page) in &self.pages {
            self.out.nested_field(&number.to_string(), page)?;
        }
        self.out.close('}')?;
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

fn root(pointer: &str, layer: &'static str, children: Vec<Ref>, meta: Option<Meta>) -> Group {
    let node = Node {
        self_ref: pointer.to_owned(),
        parent: None,
        children,
        content_layer: layer,
        meta,
    };
    Group {
        node,
        name: "_root_",
        label: "unspecified",
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

/// A value as JSON text; `depth` is the nesting it will stand at.
fn render(value: &impl Serialize, indent: bool, depth: usize) -> String {
    let text = if indent {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    // Serialising plain structs to memory cannot fail.
    let text = text.unwrap_or_else(|e| unreachable!("plain data has a JSON form: {e}"));
    // Newlines inside strings are escaped, so those that are left are layout.
    if indent {
        text.replace('\n', &format!("\n{}", "  ".repeat(depth)))
    } else {
        text
    }
}

/// Writes one object whose fields may be arrays that are written element by element.
struct Writer {
    file: output::File,
    indent: bool,
    /// Whether the innermost open object or array is still empty.
    first: bool,
}

impl Writer {
    fn separate(&mut self, depth: usize) -> String {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        if self.indent {
            format!("{comma}\n{}", "  ".repeat(depth))
        } else {
            comma.to_owned()
        }
    }

    fn name(&mut self, name: &str, depth: usize) -> String {
        let open = if depth == 1 && self.file.len() == 0 {
            "{"
        } else {
            ""
        };
        let space = if self.indent { " " } else { "" };
        format!("{open}{}\"{name}\":{space}", self.separate(depth))
    }

    fn field(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = self.name(name, 1) + &render(value, self.indent, 1);
        Ok(self.file.write_text(&text)?)
    }

    fn nested_field(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = self.name(name, 2) + &render(value, self.indent, 2);
        Ok(self.file.write_text(&text)?)
    }

    fn open(&mut self, name: &str, bracket: char) -> Result<()> {
        let text = format!("{}{bracket}", self.name(name, 1));
        self.first = true;
        Ok(self.file.write_text(&text)?)
    }

    fn open_array(&mut self, name: &str) -> Result<()> {
        self.open(name, '[')
    }

    fn element(&mut self, value: &impl Serialize) -> Result<()> {
        let text = render(value, self.indent, 2);
        self.rendered(&text)
    }

    fn rendered(&mut self, text: &str) -> Result<()> {
        let text = self.separate(2) + text;
        Ok(self.file.write_text(&text)?)
    }

    fn close(&mut self, bracket: char) -> Result<()> {
        let line = if self.indent && !self.first { "\n  " } else { "" };
        self.first = false;
        Ok(self.file.write_text(&format!("{line}{bracket}"))?)
    }

    fn close_array(&mut self) -> Result<()> {
        self.close(']')
    }

    fn finish(self) -> Result<()> {
        Ok(self.file.write_text(if self.indent { "\n}\n" } else { "}\n" })?)
    }
}

ocr_plugin::export_formatter!(Json);

#[cfg(test)]
mod tests;
