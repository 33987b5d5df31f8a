//! The markdown that the model writes inside a block, or on a whole page without tags, as blocks of one kind each.
//!
//! It writes a small dialect: headings, flat or nested lists, HTML tables, LaTeX between `\[` and `\]` or `$$`, fenced
//! code, centred captions, now and then a table of pipes. Everything else is a paragraph.

use super::flaws::Flaws;
use super::table::{self, Grid};

/// How deep lists may nest; what lies deeper joins the deepest level.
const MAX_NESTING: usize = 8;

/// A piece of content.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    /// `#` to `######`.
    Heading { level: u8, text: String },
    /// Running text; `centred` when it stood between `<center>` tags.
    Paragraph { text: String, centred: bool },
    /// One item with its marker; `level` is its nesting from 1.
    Item { level: u8, text: String },
    /// A table.
    Table(Grid),
    /// LaTeX of a displayed formula, without its delimiters.
    Formula(String),
    /// Lines between fences.
    Code(String),
}

/// The blocks of `content`, in order.
pub(super) fn blocks(content: &str, flaws: &mut Flaws) -> Vec<Block> {
    let mut out = Vec::new();
    let mut rest = content;
    while let Some((start, end)) = table::find(rest, flaws) {
        lines(&rest[..start], flaws, &mut out);
        let read = table::read_html(&rest[start..end], flaws);
        out.extend(read.grid.map(Block::Table));
        if !read.stray.is_empty() {
            out.push(Block::Paragraph {
                text: read.stray,
                centred: false,
            });
        }
        rest = &rest[end..];
    }
    lines(rest, flaws, &mut out);
    out
}

/// The blocks of text without HTML tables.
fn lines(text: &str, flaws: &mut Flaws, out: &mut Vec<Block>) {
    let mut writer = Writer {
        out,
        paragraph: Vec::new(),
        indents: Vec::new(),
        in_item: false,
    };
    let mut rest = text;
    // An opener without its end is looked for once, not at every line.
    let mut unclosed: Vec<&str> = Vec::new();
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let bare = line.trim();
        let indent = line.len() - line.trim_start().len();
        if let Some((latex, end)) = formula(&rest[indent.min(rest.len())..], &mut unclosed) {
            writer.push(Block::Formula(latex.to_owned()));
            rest = &rest[indent + end..];
            continue;
        }
        rest = after;
        if bare.is_empty() {
            writer.end_paragraph();
        } else if bare.starts_with("```") {
            let (code, end) = fenced(after);
            writer.push(Block::Code(code.to_owned()));
            rest = &after[end..];
        } else if let Some((level, text)) = heading(bare) {
            writer.push(Block::Heading {
                level,
                text: text.to_owned(),
            });
        } else if is_item(bare) {
            writer.item(line, bare);
        } else if let Some((rows, end)) = pipes(bare, after) {
            match table::read_pipes(&rows, flaws) {
                Some(grid) => {
                    writer.push(Block::Table(grid));
                    rest = &after[end..];
                }
                None => writer.line(bare),
            }
        } else {
            writer.line(bare);
        }
    }
    writer.end_paragraph();
}

/// A displayed formula at the start of `text`, and where it ends.
fn formula<'t>(text: &'t str, unclosed: &mut Vec<&'static str>) -> Option<(&'t str, usize)> {
    let (open, close) = [("\\[", "\\]"), ("$$", "$$")]
        .into_iter()
        .find(|(open, _)| text.starts_with(open))?;
    if unclosed.contains(&open) {
        return None;
    }
    let Some(length) = text[open.len()..].find(close) else {
        unclosed.push(open);
        return None;
    };
    let latex = text[open.len()..open.len() + length].trim();
    (!latex.is_empty()).then_some((latex, open.len() + length + close.len()))
}

/// The code up to the closing fence, and where the text behind it begins.
fn fenced(text: &str) -> (&str, usize) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim() == "```" {
            return (text[..at].trim_end_matches('\n'), at + line.len());
        }
        at += line.len();
    }
    (text.trim_end_matches('\n'), text.len())
}

fn heading(line: &str) -> Option<(u8, &str)> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']);
    is_heading.then(|| (level as u8, text.trim().trim_end_matches('#').trim_end()))
}

/// Whether a line begins with a bullet or with a number of up to three digits, as lists do.
pub(super) fn is_item(line: &str) -> bool {
    let Some((marker, text)) = line.split_once([' ', '\t']) else {
        return false;
    };
    let number = marker.strip_suffix(['.', ')']).unwrap_or("");
    let numbered = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    !text.trim().is_empty() && (["-", "*", "+", "•", "◦", "▪", "●", "·"].contains(&marker) || numbered)
}

/// The rows of a table of pipes whose head is `head`, without the line below it, and where in `after` it ends.
fn pipes<'t>(head: &'t str, after: &'t str) -> Option<(Vec<&'t str>, usize)> {
    let mut lines = after.split_inclusive('\n');
    let rule = lines.next()?;
    let is_rule = rule.contains('-') && rule.contains('|') && rule.trim().chars().all(|c| "|-: ".contains(c));
    if !head.contains('|') || !is_rule {
        return None;
    }
    let mut end = rule.len();
    let mut rows = vec![head];
    for row in lines.take_while(|row| row.contains('|')) {
        end += row.len();
        rows.push(row);
    }
    Some((rows, end))
}

struct Writer<'o, 't> {
    out: &'o mut Vec<Block>,
    /// Lines of the open paragraph.
    paragraph: Vec<&'t str>,
    /// Indents of the open lists, outermost first.
    indents: Vec<usize>,
    /// Whether the last line belongs to the item written last.
    in_item: bool,
}

impl<'t> Writer<'_, 't> {
    /// A block that ends paragraphs and lists.
    fn push(&mut self, block: Block) {
        self.end_paragraph();
        self.indents.clear();
        self.out.push(block);
    }

    fn line(&mut self, line: &'t str) {
        match self.out.last_mut() {
            // A line below an item goes on with it.
            Some(Block::Item { text, .. }) if self.in_item => {
                text.push('\n');
                text.push_str(line);
            }
            _ => self.paragraph.push(line),
        }
    }

    fn item(&mut self, line: &str, bare: &str) {
        self.end_paragraph();
        let spaces = &line[..line.len() - line.trim_start().len()];
        let indent = spaces.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
        while self.indents.last().is_some_and(|&open| open > indent) {
            self.indents.pop();
        }
        if self.indents.last().is_none_or(|&open| open < indent) && self.indents.len() < MAX_NESTING {
            self.indents.push(indent);
        }
        let level = self.indents.len().max(1) as u8;
        self.out.push(Block::Item {
            level,
            text: bare.to_owned(),
        });
        self.in_item = true;
    }

    fn end_paragraph(&mut self) {
        self.in_item = false;
        if self.paragraph.is_empty() {
            return;
        }
        self.indents.clear();
        let text = std::mem::take(&mut self.paragraph).join("\n");
        let (text, centred) = uncentred(&text);
        if !text.is_empty() {
            self.out.push(Block::Paragraph { text, centred });
        }
    }
}

/// Text without `<center>` tags, and whether it had any.
fn uncentred(text: &str) -> (String, bool) {
    // In one go: a tag that comes of taking out another is text.
    let parts = text.split("<center>").flat_map(|part| part.split("</center>"));
    let without: String = parts.collect();
    let centred = without.len() != text.len();
    (without.trim().to_owned(), centred)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Block> {
        blocks(text, &mut Flaws::default())
    }

    fn paragraph(text: &str) -> Block {
        Block::Paragraph {
            text: text.into(),
            centred: false,
        }
    }

    fn item(level: u8, text: &str) -> Block {
        Block::Item {
            level,
            text: text.into(),
        }
    }

    #[test]
    fn headings_paragraphs_and_lists_are_told_apart() {
        let text = "## Two ##\nOne\nline\n\n- a\n  1. b\n  more\n- c\n\nAfter\n#no\n2019. Not\n-5\n";
        let expected = [
            Block::Heading {
                level: 2,
                text: "Two".into(),
            },
            paragraph("One\nline"),
            item(1, "- a"),
            item(2, "1. b\nmore"),
            item(1, "- c"),
            paragraph("After\n#no\n2019. Not\n-5"),
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn displayed_formulas_stand_alone() {
        let text = "so\n\\[ a = b\n\\tag{1} \\]\n$$x$$ (2)\n\\[ never closed\n\\(y\\) inline";
        let expected = [
            paragraph("so"),
            Block::Formula("a = b\n\\tag{1}".into()),
            Block::Formula("x".into()),
            paragraph("(2)\n\\[ never closed\n\\(y\\) inline"),
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn code_is_kept_between_its_fences() {
        assert_eq!(
            found("```py\n# a\n\n- b\n```\nc"),
            [Block::Code("# a\n\n- b".into()), paragraph("c")]
        );
        assert_eq!(found("```\nx"), [Block::Code("x".into())]);
    }

    #[test]
    fn centred_text_loses_its_tags() {
        let expected = Block::Paragraph {
            text: "Figure 1".into(),
            centred: true,
        };
        assert_eq!(found("<center>Figure 1 </center>"), [expected]);
        assert_eq!(uncentred("A</cen<center>ter>B"), ("A</center>B".into(), true));
    }

    #[test]
    fn tables_of_both_spellings_are_found_in_text() {
        let blocks = found("Before <table><tr><td>a</td></tr></table> after\n\n| h |\n| - |\n| v |\nend");
        let texts: Vec<String> = blocks
            .iter()
            .map(|b| match b {
                Block::Table(grid) => grid.html(),
                Block::Paragraph { text, .. } => text.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        let pipes = "<table><tr><th>h</th></tr><tr><td>v</td></tr></table>";
        assert_eq!(
            texts,
            [
                "Before",
                "<table><tr><td>a</td></tr></table>",
                "after",
                pipes,
                "end"
            ]
        );
    }

    #[test]
    fn a_table_that_is_none_is_text() {
        assert_eq!(found("<table>only text"), [paragraph("only text")]);
        assert_eq!(found("a | b\nc | d"), [paragraph("a | b\nc | d")]);
    }
}
