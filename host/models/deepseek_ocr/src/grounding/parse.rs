//! Takes raw text apart into elements.
//!
//! Every byte of the raw text belongs either to the tags or to the content of exactly one element, in order. Reading
//! looks no further ahead than the next tag, so it takes time in proportion to the text.

use super::coordinates::{self, GridBox};
use super::flaws::{Flaw, Flaws};
use super::label;
use std::ops::Range;

/// Elements that a page may have: the shortest takes 13 of a page's 8,192 tokens.
pub const MAX_ELEMENTS: usize = 1024;

const REF: &str = "<|ref|>";
const REF_END: &str = "<|/ref|>";
const DET: &str = "<|det|>";
const DET_END: &str = "<|/det|>";
/// Tokens that stand for nothing on the page; a generator may leave them in.
const SILENT: [&str; 2] = ["<｜end▁of▁sentence｜>", "<|grounding|>"];

/// A block as the model wrote it down.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Element {
    /// What stood between the `ref` tags, trimmed: a name (`sub_title`), or the text that was located. Empty for text that
    /// no tag precedes.
    pub label: String,
    /// Its boxes, in the model's order.
    pub boxes: Vec<GridBox>,
    /// What follows up to the next element, untrimmed.
    pub content: String,
    /// Byte ranges of the raw text that are tags of this element and no content.
    pub tags: Vec<Range<usize>>,
    /// Whether the label is a piece of the page's text and not the name of a kind of block: `OCR this image.` and
    /// `Locate` answer so. A single lower-case word may be either; where other labels of the page are known names, it is
    /// a name.
    pub located: bool,
}

/// A page's raw text, taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// In the model's order.
    pub elements: Vec<Element>,
    pub(super) flaws: Flaws,
}

impl Parsed {
    /// What did not follow the grammar, each kind once.
    pub fn diagnostics(&self) -> Vec<ocr_document::Diagnostic> {
        self.flaws.diagnostics()
    }
}

/// Takes `raw` apart. Total: any text gives elements, and no content is lost.
pub fn elements(raw: &str) -> Parsed {
    let mut reader = Reader {
        raw,
        parsed: Parsed::default(),
    };
    let mut at = 0;
    while let Some((tag, range)) = next_tag(raw, at) {
        reader.content(at..range.start);
        at = match tag {
            Tag::Ref => reader.reference(range),
            Tag::Det => reader.stray_boxes(range),
            Tag::RefEnd | Tag::DetEnd => reader.ignore(range, Some(Flaw::TagStray)),
            Tag::Silent => reader.ignore(range, None),
        };
    }
    reader.content(at..raw.len());
    let mut parsed = reader.parsed;
    let labelled = parsed.elements.iter().any(|e| label::kind(&e.label).is_some());
    for element in parsed.elements.iter_mut().filter(|e| !e.label.is_empty()) {
        let maybe_name = label::is_name(&element.label) && (labelled || !element.content.trim().is_empty());
        element.located = !maybe_name;
    }
    parsed
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Tag {
    Ref,
    RefEnd,
    Det,
    DetEnd,
    Silent,
}

/// The first tag from byte `from` on, and where it stands.
fn next_tag(raw: &str, from: usize) -> Option<(Tag, Range<usize>)> {
    let spelled = [
        (REF, Tag::Ref),
        (REF_END, Tag::RefEnd),
        (DET, Tag::Det),
        (DET_END, Tag::DetEnd),
    ];
    raw[from..].match_indices('<').find_map(|(at, _)| {
        let (start, text) = (from + at, &raw[from + at..]);
        let silent = SILENT.iter().map(|&tag| (tag, Tag::Silent));
        let (spelling, tag) = spelled
            .into_iter()
            .chain(silent)
            .find(|(s, _)| text.starts_with(s))?;
        Some((tag, start..start + spelling.len()))
    })
}

struct Reader<'r> {
    raw: &'r str,
    parsed: Parsed,
}

impl Reader<'_> {
    fn flaw(&mut self, flaw: Flaw) {
        self.parsed.flaws.note(flaw);
    }

    fn current(&mut self) -> &mut Element {
        if self.parsed.elements.is_empty() {
            self.parsed.elements.push(Element::default());
        }
        let last = self.parsed.elements.len() - 1;
        &mut self.parsed.elements[last]
    }

    fn content(&mut self, range: Range<usize>) {
        let raw = self.raw;
        if !range.is_empty() {
            self.current().content.push_str(&raw[range]);
        }
    }

    fn tag(&mut self, range: Range<usize>) {
        let tags = &mut self.current().tags;
        match tags.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None => tags.push(range),
        }
    }

    fn ignore(&mut self, tag: Range<usize>, flaw: Option<Flaw>) -> usize {
        let end = tag.end;
        flaw.into_iter().for_each(|flaw| self.flaw(flaw));
        self.tag(tag);
        end
    }

    /// Begins an element; past the bound its text joins the last one.
    fn begin(&mut self, label: &str, boxes: Vec<GridBox>, tag: Range<usize>) {
        let label = label.trim();
        if self.parsed.elements.len() < MAX_ELEMENTS {
            self.parsed.elements.push(Element {
                label: label.to_owned(),
                boxes,
                ..Element::default()
            });
        } else {
            self.flaw(Flaw::ElementsTooMany);
            if !label::is_name(label) {
                let last = self.current();
                last.content.extend(["\n", label, "\n"]);
            }
        }
        self.tag(tag);
    }

    /// Reads a reference from its opening tag on and answers where reading goes on.
    fn reference(&mut self, open: Range<usize>) -> usize {
        let raw = self.raw;
        let (label, after) = match next_tag(raw, open.end) {
            Some((Tag::RefEnd, end)) => (&raw[open.end..end.start], end.end),
            Some((Tag::Det, det)) => {
                self.flaw(Flaw::RefUnclosed);
                (&raw[open.end..det.start], det.start)
            }
            Some((Tag::Ref, _)) => return self.ignore(open, Some(Flaw::RefNested)),
            _ => return self.ignore(open, Some(Flaw::RefUnclosed)),
        };
        let gap = raw[after..].len() - raw[after..].trim_start().len();
        if !raw[after + gap..].starts_with(DET) {
            self.flaw(Flaw::BoxMissing);
            self.begin(label, Vec::new(), open.start..after);
            return after;
        }
        self.boxes(label, open.start, after + gap + DET.len())
    }

    /// Boxes that no reference precedes are those of a text.
    fn stray_boxes(&mut self, det: Range<usize>) -> usize {
        self.flaw(Flaw::TagStray);
        self.boxes("text", det.start, det.end)
    }

    /// Reads boxes whose list begins at `body`, for an element whose tags begin at `start`.
    fn boxes(&mut self, label: &str, start: usize, body: usize) -> usize {
        let raw = self.raw;
        let (end, after) = match next_tag(raw, body) {
            Some((Tag::DetEnd, range)) => (range.start, range.end),
            next => {
                self.flaw(Flaw::DetUnclosed);
                let end = next.map_or(raw.len(), |(_, range)| range.start);
                (end, end)
            }
        };
        let (boxes, rest) = coordinates::read(&raw[body..end], &mut self.parsed.flaws);
        self.begin(label, boxes, start..body + rest);
        self.content(body + rest..end);
        if end < after {
            self.tag(end..after);
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Label, number of boxes and content of each element, and the codes of the diagnostics.
    fn parsed(raw: &str) -> (Vec<(String, usize, String)>, Vec<String>) {
        let parsed = elements(raw);
        let codes = parsed.diagnostics().into_iter().map(|d| d.code).collect();
        let elements = parsed.elements.into_iter();
        (
            elements.map(|e| (e.label, e.boxes.len(), e.content)).collect(),
            codes,
        )
    }

    fn check(raw: &str, expected: &[(&str, usize, &str)], codes: &[&str]) {
        let (found, found_codes) = parsed(raw);
        let found: Vec<_> = found
            .iter()
            .map(|(l, n, c)| (l.as_str(), *n, c.as_str()))
            .collect();
        assert_eq!(found, expected, "{raw}");
        assert_eq!(found_codes, codes, "{raw}");
    }

    #[test]
    fn elements_follow_the_grammar() {
        check(
            "lead\n<|ref|>title<|/ref|><|det|>[[1,2,3,4]]<|/det|>\n# A\n\n<|ref|>image<|/ref|><|det|>[[1,2,3,4],[5,6,7,8]]<|/det|>\n",
            &[("", 0, "lead\n"), ("title", 1, "\n# A\n\n"), ("image", 2, "\n")],
            &[],
        );
        check("", &[], &[]);
    }

    #[test]
    fn what_is_malformed_stays_text_and_is_said() {
        check("<|ref|>text", &[("", 0, "text")], &["ref-unclosed"]);
        check(
            "a<|ref|>b<|ref|>text<|/ref|><|det|>[[1,2,3,4]]<|/det|>c",
            &[("", 0, "ab"), ("text", 1, "c")],
            &["ref-nested"],
        );
        check("<|ref|>title<|/ref|>A", &[("title", 0, "A")], &["box-missing"]);
        check(
            "<|ref|>text<|det|>[[1,2,3,4]]<|/det|>A",
            &[("text", 1, "A")],
            &["ref-unclosed"],
        );
        check(
            "<|ref|>text<|/ref|><|det|>[[1,2,3,4]]\nA",
            &[("text", 1, "\nA")],
            &["det-unclosed", "det-unreadable"],
        );
        check(
            "<|ref|>text<|/ref|><|det|>exec()<|/det|>A",
            &[("text", 0, "exec()A")],
            &["det-unreadable"],
        );
        check(
            "<|ref|>text<|/ref|><|det|>[[1,2,3,4],[5,",
            &[("text", 1, "")],
            &["det-unclosed", "box-unreadable"],
        );
        check(
            "A<|/ref|>B<|/det|>C<|det|>[[1,2,3,4]]<|/det|>D",
            &[("", 0, "ABC"), ("text", 1, "D")],
            &["tag-stray"],
        );
    }

    #[test]
    fn tokens_of_the_generator_are_no_text() {
        check("A<｜end▁of▁sentence｜>", &[("", 0, "A")], &[]);
    }

    #[test]
    fn tags_and_contents_make_up_the_text() {
        for raw in [
            "a<|ref|>text<|/ref|> <|det|>x<|/det|>b<|ref|>c",
            "<|det|>[[1,2,3,4]] z<|/det|>",
        ] {
            let tags: Vec<_> = elements(raw).elements.into_iter().flat_map(|e| e.tags).collect();
            let mut outside = String::new();
            let mut at = 0;
            for range in &tags {
                outside.push_str(&raw[at..range.start]);
                at = range.end;
            }
            outside.push_str(&raw[at..]);
            let contents: String = elements(raw).elements.into_iter().map(|e| e.content).collect();
            assert_eq!(outside, contents);
        }
    }

    #[test]
    fn elements_past_the_bound_join_the_last() {
        let raw = "<|ref|>text<|/ref|><|det|>[[1,2,3,4]]<|/det|>x".repeat(MAX_ELEMENTS + 2);
        let parsed = elements(&raw);
        assert_eq!(parsed.elements.len(), MAX_ELEMENTS);
        assert_eq!(parsed.elements[MAX_ELEMENTS - 1].content, "xxx");
        assert_eq!(parsed.diagnostics()[0].code, "elements-too-many");
    }

    #[test]
    fn located_text_is_told_from_names() {
        let located = |raw: &str| elements(raw).elements[0].located;
        assert!(located(
            "<|ref|>Total: 12 EUR<|/ref|><|det|>[[1,2,3,4]]<|/det|>\n"
        ));
        assert!(located("<|ref|>dog<|/ref|><|det|>[[1,2,3,4]]<|/det|>"));
        assert!(!located("<|ref|>stamp<|/ref|><|det|>[[1,2,3,4]]<|/det|>\nPAID"));
        assert!(!located(
            "<|ref|>stamp<|/ref|><|det|>[[1,2,3,4]]<|/det|><|ref|>text<|/ref|>"
        ));
        assert!(!located("<|ref|>image<|/ref|><|det|>[[1,2,3,4]]<|/det|>"));
    }
}
