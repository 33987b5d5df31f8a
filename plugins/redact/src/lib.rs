//! Erases what must not be read by others: addresses, numbers, names and patterns, from every copy of a page's text.
//!
//! The plugin says which bytes of the arena are to go; the host takes them out of spans, lines, words, cells, markup,
//! raw output and picture. A page on which it fails is withheld, as its manifest says. What it found is told by kind
//! and number, never by its text.

#![forbid(unsafe_code)]

mod checks;
mod find;
mod kinds;
mod markup;
mod page;
mod places;
mod settings;
mod terms;
mod text;

use find::{Counts, Finder};
use ocr_plugin::{
    Config, Diagnostic, DocInfo, DocumentEdit, Edit, Error, Page, Processor, Result, Severity, log,
};
use settings::Wanted;
use text::Source;

/// What stands in a title for what was there, as in pages.
const IN_TITLE: &str = "█";
/// The same in a file name, where signs may be refused.
const IN_NAME: &str = "redacted";

struct Redact {
    finder: Finder,
    title: Option<String>,
    name: String,
    /// Pages that are to come, where it is known; at the last of them it is told what was never found.
    to_come: Option<u32>,
    /// Whether anything was erased.
    has_found: bool,
}

impl Processor for Redact {
    fn open(doc: &DocInfo, config: Config) -> Result<Self> {
        Ok(Self {
            finder: Finder::new(Wanted::new(&config)?),
            title: doc.title.clone(),
            name: doc.name.clone(),
            to_come: doc.selected.or(doc.pages),
            has_found: false,
        })
    }

    fn edit_document(&mut self) -> Result<Vec<DocumentEdit>> {
        let mut edits = Vec::new();
        let mut counts = Counts::new();
        if let Some(title) = &self.title
            && let Some(redacted) = self.redacted(title, false, &mut counts)
        {
            edits.push(DocumentEdit::SetTitle(Some(redacted)));
        }
        if let Some(redacted) = self.redacted(&self.name, true, &mut counts) {
            edits.push(DocumentEdit::SetName(redacted));
        }
        if !edits.is_empty() {
            self.has_found = true;
            let told = Diagnostic::new(
                Severity::Note,
                "redacted",
                format!("in the document's title and name: {}", in_words(&counts)),
            );
            log::report(&told);
        }
        Ok(edits)
    }

    fn process(&mut self, page: &Page) -> Result<Vec<Edit>> {
        let (ranges, mut counts) = page::search(&self.finder, page);
        let Some(areas) = page::search_names(&self.finder, page, &mut counts) else {
            let why = "the name of a block without a place on the page holds what is to be erased";
            return Err(Error::failed("not-erasable", why));
        };
        if !counts.is_empty() {
            self.has_found = true;
            let told = Diagnostic::new(Severity::Note, "redacted", in_words(&counts));
            log::report(&told.on_page(page.info().number));
        }
        self.to_come = self.to_come.map(|pages| pages.saturating_sub(1));
        if self.to_come == Some(0) {
            self.to_come = None;
            self.tell_never_found();
        }
        let texts = ranges
            .into_iter()
            .map(|(from, to)| Edit::RedactText((from, to - from)));
        Ok(texts.chain(areas.into_iter().map(Edit::RedactArea)).collect())
    }
}

impl Redact {
    /// Tells which terms and patterns the whole document does not hold, by their positions in the settings. Where nothing was
    /// erased at all it is a warning: somebody expected otherwise.
    fn tell_never_found(&self) {
        let severity = match self.has_found {
            true => Severity::Note,
            false => Severity::Warning,
        };
        for (name, all, missed) in self.finder.never_met() {
            let positions: Vec<String> = missed.iter().map(usize::to_string).collect();
            let message = match positions.as_slice() {
                [] => continue,
                [one] => format!("{name} {one} of {all} was not found on any page that was searched"),
                [first @ .., last] => format!(
                    "{} of {all} {name}s were not found on any page that was searched: {} and {last}",
                    missed.len(),
                    first.join(", ")
                ),
            };
            log::report(&Diagnostic::new(severity, "never-found", message));
        }
    }

    /// A short text with what is wanted replaced; none where there is nothing to replace.
    fn redacted(&self, text: &str, is_name: bool, counts: &mut Counts) -> Option<String> {
        // In a file's name words are parted by what a name may hold; each such mark is one byte, like a space.
        let spaced = is_name.then(|| text.replace(['_', '-', '.', '+'], " "));
        let mut ranges = Vec::new();
        let mut found = Counts::new();
        for text in std::iter::once(text).chain(spaced.as_deref()) {
            let mut source = Source::default();
            source.plain(0, text);
            for (name, count) in self.finder.search(&source, &mut ranges) {
                let most = found.entry(name).or_default();
                *most = count.max(*most);
            }
        }
        for (name, count) in found {
            *counts.entry(name).or_default() += count;
        }
        let mut out = String::new();
        let mut at = 0;
        for (from, to) in page::apart(ranges) {
            out.push_str(&text[at..from as usize]);
            out.push_str(if is_name { IN_NAME } else { IN_TITLE });
            at = to as usize;
        }
        out.push_str(&text[at..]);
        (at > 0).then_some(out)
    }
}

/// `2 emails, 1 term`.
fn in_words(counts: &Counts) -> String {
    let all: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    all.join(", ")
}

ocr_plugin::export_processor!(Redact);

#[cfg(test)]
mod tests;
