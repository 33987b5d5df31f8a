//! Joins words that were cut at the ends of lines: `recog-` and `nition` become `recognition`.
//!
//! Whether a hyphen belongs to the cut or to the word no rule can tell, but the document often does: a word that stands
//! elsewhere in one piece, joined or with its hyphen, settles it. [`words::Words`] remembers what was read so far,
//! [`cut`] decides. Lines and words stay as they are printed; text is changed as it is read. A joined word stands
//! where it began, and the line ends behind it.

#![forbid(unsafe_code)]

mod cut;
mod words;

use cut::{Cut, Joined};
use ocr_plugin::{BlockKind, Config, DocInfo, Edit, Page, Processor, Result, Span};
use serde::Deserialize;
use std::collections::BTreeMap;
use words::Words;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Paragraphs {
    #[default]
    Keep,
    Join,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    paragraphs: Paragraphs,
}

struct Dehyphenate {
    settings: Settings,
    /// Words of this document, up to and with the page under work.
    words: Words,
}

impl Processor for Dehyphenate {
    fn open(_: &DocInfo, config: Config) -> Result<Self> {
        Ok(Self {
            settings: config.parse()?,
            words: Words::default(),
        })
    }

    fn process(&mut self, page: &Page) -> Result<Vec<Edit>> {
        let spans: Vec<(usize, &Span)> = page
            .reading_order()
            .filter(|(_, s)| !s.kind.is_furniture() && s.kind != BlockKind::Figure)
            .collect();
        for (_, span) in &spans {
            self.words.read(span.text(page));
        }
        let mut texts: BTreeMap<usize, String> = BTreeMap::new();
        for (index, span) in &spans {
            if has_prose(span.kind) {
                let text = span.text(page);
                if let Some(joined) = self.join_lines(text) {
                    texts.insert(*index, joined);
                }
            }
        }
        let mut dropped = Vec::new();
        let prose = spans.iter().filter(|(_, s)| s.kind == BlockKind::Paragraph);
        let mut last: Option<(usize, &Span)> = None;
        for &(index, span) in prose {
            // A heading or figure between them may be anything's; the next paragraph in the order may be another's.
            let before = last.replace((index, span));
            let Some((head, head_span)) = before.filter(|(_, before)| goes_on_in_a_column(before, span))
            else {
                continue;
            };
            let text_of = |at: usize, span: &Span| {
                texts
                    .get(&at)
                    .map_or_else(|| span.text(page).to_owned(), String::clone)
            };
            let (mut first, mut second) = (text_of(head, head_span), text_of(index, span));
            let cut = Cut::between(&first, &second);
            let word = cut.as_ref().and_then(|cut| self.decide(cut));
            if let (Some(cut), Some(word)) = (cut, word) {
                first.truncate(cut.start);
                first.push_str(&word);
                second = second.trim_start()[cut.taken..].trim_start().to_owned();
            } else if self.settings.paragraphs == Paragraphs::Keep || !goes_on_mid_sentence(&first, &second) {
                continue;
            }
            if self.settings.paragraphs == Paragraphs::Join {
                let end = if second.is_empty() { "" } else { "\n" };
                texts.insert(head, format!("{first}{end}{second}"));
                texts.remove(&index);
                dropped.push(index);
                // What comes next goes on where this one ended.
                last = Some((head, span));
            } else {
                texts.insert(head, first);
                texts.insert(index, second);
            }
        }
        let reflow = |(index, text): (usize, String)| Edit::ReflowText((index as u32, text));
        let mut edits: Vec<Edit> = texts.into_iter().map(reflow).collect();
        edits.extend(dropped.into_iter().map(|index| Edit::DropSpan(index as u32)));
        Ok(edits)
    }
}

impl Dehyphenate {
    /// A block's text with its cut words joined; none where there are none.
    fn join_lines(&mut self, text: &str) -> Option<String> {
        // Hardly a block has a line that may be cut.
        let ends_with_hyphen = |line: &str| line.trim_end().ends_with(words::is_hyphen);
        if !text.lines().rev().skip(1).any(ends_with_hyphen) {
            return None;
        }
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut changed = false;
        let mut at = 0;
        while at + 1 < lines.len() {
            let cut = Cut::between(&lines[at], &lines[at + 1]);
            let word = cut.as_ref().and_then(|cut| self.decide(cut));
            if let (Some(cut), Some(word)) = (cut, word) {
                lines[at].truncate(cut.start);
                lines[at].push_str(&word);
                lines[at + 1] = lines[at + 1].trim_start()[cut.taken..].trim_start().to_owned();
                changed = true;
                if lines[at + 1].is_empty() {
                    lines.remove(at + 1);
                    continue;
                }
            }
            at += 1;
        }
        changed.then(|| lines.join("\n"))
    }

    /// The word that a cut one is; none where the line was not cut in a word.
    fn decide(&mut self, cut: &Cut) -> Option<String> {
        self.words.count_unread();
        match cut.decide(&self.words) {
            Joined::Apart => None,
            Joined::Whole => Some(format!("{}{}", cut.left, cut.right)),
            Joined::Hyphen => Some(format!("{}-{}", cut.left, cut.right)),
        }
    }
}

/// Whether a block holds running text, whose lines end where there was no more room.
fn has_prose(kind: BlockKind) -> bool {
    matches!(
        kind,
        BlockKind::Title
            | BlockKind::Heading
            | BlockKind::Paragraph
            | BlockKind::ListItem
            | BlockKind::Caption
            | BlockKind::Footnote
            | BlockKind::Other
    )
}

/// Whether the second block stands where a column goes on: beside the first one, and begins above its end.
fn goes_on_in_a_column(first: &Span, second: &Span) -> bool {
    let beside = second.area.x0 >= first.area.x1 || second.area.x1 <= first.area.x0;
    second.order == first.order + 1 && beside && second.area.y0 < first.area.y1
}

/// Whether a sentence is certainly under way: the first part ends with a letter or a comma, the second begins with a
/// small letter.
fn goes_on_mid_sentence(first: &str, second: &str) -> bool {
    let ends = first.trim_end().chars().next_back();
    let begins = second.trim_start().chars().next();
    ends.is_some_and(|c| c.is_alphabetic() || c == ',') && begins.is_some_and(char::is_lowercase)
}

ocr_plugin::export_processor!(Dehyphenate);

/// A text with its cut words joined, for measuring: blocks are parted by an empty line, pages by a form feed.
#[cfg(not(target_arch = "wasm32"))]
pub fn joined_pages(text: &str) -> String {
    let mut processor = Dehyphenate {
        settings: Settings::default(),
        words: Words::default(),
    };
    let join = |page: &str| {
        page.split("\n\n").for_each(|block| processor.words.read(block));
        let blocks = page.split("\n\n");
        let joined = blocks.map(|block| processor.join_lines(block).unwrap_or_else(|| block.to_owned()));
        joined.collect::<Vec<_>>().join("\n\n")
    };
    text.split('\u{c}').map(join).collect::<Vec<_>>().join("\u{c}")
}

#[cfg(test)]
mod tests;
