//! Mails: their text is drawn as pages, and every attachment is handed to the host as a document inside the document.
//!
//! `mail-parser` takes the message apart (multiparts, transfer encodings, names and words in other character sets); this
//! plugin decides what is a page. Text is drawn with a small font of its own, and each page carries its words as a text
//! layer besides, so nothing depends on how well they are read. What is not read is told by number and size: subject,
//! sender and names of files never stand in a message, since a redaction could not reach them there.

#![forbid(unsafe_code)]

mod draw;
mod letter;
mod parts;

use draw::Layout;
use ocr_plugin::adapter::{Item, OpenOptions};
use ocr_plugin::source::Source;
use ocr_plugin::{Adapter, Diagnostic, DocInfo, Error, Result, Severity, log};
use parts::Parts;
use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pictures {
    #[default]
    All,
    Attached,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    text: bool,
    pictures: Pictures,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            text: true,
            pictures: Pictures::default(),
        }
    }
}

/// Longest text that is drawn, bytes: some 250 pages.
const MOST_TEXT: usize = 1 << 20;

struct Mail {
    name: String,
    subject: Option<String>,
    pages: Vec<Layout>,
    attachments: Vec<parts::Attachment>,
}

impl Adapter for Mail {
    fn sniff(name: &str, head: &[u8]) -> u8 {
        let is_named = name.to_ascii_lowercase().ends_with(".eml");
        match letter::known_headers(head) {
            0 if is_named => 2,
            0 => 0,
            1 if !is_named => 20,
            _ => 85,
        }
    }

    fn open(source: Source, options: OpenOptions) -> Result<Self> {
        let settings: Settings = options.config.parse()?;
        let name = source.name();
        let bytes = source.read_all()?;
        let not_a_mail = || Error::invalid_input(format!("`{name}` is no mail, whatever its name says"));
        if letter::known_headers(&bytes[..bytes.len().min(4096)]) == 0 {
            return Err(not_a_mail());
        }
        let message = mail_parser::MessageParser::default()
            .parse(&bytes)
            .ok_or_else(not_a_mail)?;
        let mut text = letter::text(&message);
        let mut pages = Vec::new();
        if !settings.text {
            note(
                "text-not-read",
                format!(
                    "the mail's text of {} bytes was not read, as `text` is off",
                    text.len()
                ),
            );
        } else {
            if text.len() > MOST_TEXT {
                let len = text.len();
                text.truncate(text.floor_char_boundary(MOST_TEXT));
                let message = format!("the mail's text of {len} bytes is cut after {}", text.len());
                log::report(&Diagnostic::new(Severity::Error, "text-cut", message));
            }
            pages = draw::lay_out(&text);
            let strange: usize = pages.iter().map(|p| p.strange).sum();
            if strange > 0 {
                let message = format!(
                    "{strange} characters are not in the font and drawn as boxes; the text layer has them"
                );
                note("not-in-font", message);
            }
        }
        let Parts {
            attachments,
            left_out,
        } = parts::of(&message, settings.pictures);
        if left_out.count > 0 {
            let parts = if left_out.count == 1 {
                "part of the mail is"
            } else {
                "parts of the mail are"
            };
            let message = format!(
                "{} {parts} neither picture nor document that can be read ({} bytes), and not read",
                left_out.count, left_out.bytes
            );
            log::report(&Diagnostic::new(Severity::Warning, "parts-left-out", message));
        }
        if pages.is_empty() && attachments.is_empty() {
            return Err(Error::invalid_input(format!(
                "`{name}` has neither text nor attachments that can be read"
            )));
        }
        Ok(Self {
            subject: message.subject().map(str::to_owned),
            name,
            pages,
            attachments,
        })
    }

    fn info(&self) -> DocInfo {
        DocInfo {
            title: self.subject.clone(),
            // Known where there is nothing to open.
            pages: self.attachments.is_empty().then_some(self.pages.len() as u32),
            ..DocInfo::new(&self.name, "message/rfc822")
        }
    }

    fn read(&mut self, index: u32, _dpi: f32) -> Result<Option<Item>> {
        let index = index as usize;
        if let Some(page) = self.pages.get(index) {
            return Ok(Some(Item::Page(page.draw()?)));
        }
        let Some(attachment) = self.attachments.get(index - self.pages.len()) else {
            return Ok(None);
        };
        let inner = Source::from_bytes(&attachment.name, &attachment.bytes)?;
        Ok(Some(Item::Embedded(inner)))
    }
}

fn note(code: &str, message: String) {
    log::report(&Diagnostic::new(Severity::Note, code, message));
}

ocr_plugin::export_adapter!(Mail);

#[cfg(test)]
mod tests;
