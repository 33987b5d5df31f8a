//! Plain text: blocks in reading order parted by an empty line, cells of a table by tabs.
//!
//! Nothing is escaped, since plain text has nothing to escape, but control characters go: the text may be shown by a
//! terminal, and a page must not be able to steer it.

#![forbid(unsafe_code)]

use ocr_plugin::{BlockKind, Config, DocInfo, Formatter, Page, Result, Span, output, push, text};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most columns of a table that are parted by tabs; a cell that says it stands further right is written there.
const MAX_COLUMNS: u32 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Lines {
    #[default]
    Keep,
    Join,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    lines: Lines,
    page_break: String,
    furniture: bool,
}

struct Text {
    out: output::File,
    settings: Settings,
    /// Whether a page has been written.
    begun: bool,
}

impl Formatter for Text {
    fn open(_: &DocInfo, config: Config) -> Result<Self> {
        let mut settings: Settings = config.parse()?;
        settings.page_break = settings.page_break.replace("\\f", "\u{c}").replace("\\n", "\n");
        Ok(Self {
            out: output::main()?,
            settings,
            begun: false,
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            let number = page.info().number.to_string();
            let between = self.settings.page_break.replace("{number}", &number);
            let end = if between.is_empty() { "" } else { "\n" };
            self.out.write_text(&format!("\n{between}{end}"))?;
        }
        let mut text = notice(page).unwrap_or_default();
        text.reserve(page.text().len() + 2 * page.spans().len());
        let mut last: Option<BlockKind> = None;
        for (index, span) in page.reading_order() {
            if span.kind.is_furniture() && !self.settings.furniture {
                continue;
            }
            let before = text.len();
            // Items of a list stand together.
            let list = span.kind == BlockKind::ListItem && last == Some(BlockKind::ListItem);
            if !text.is_empty() && !list {
                text.push('\n');
            }
            let start = text.len();
            self.block(&mut text, page, index, span);
            match text[start..].trim_end().len() {
                0 => text.truncate(before),
                seen => {
                    text.truncate(start + seen);
                    text.push('\n');
                    last = Some(span.kind);
                }
            }
        }
        Ok(self.out.write_text(&text)?)
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

impl Text {
    fn block(&self, out: &mut String, page: &Page, index: usize, span: &Span) {
        let text = match span.kind {
            BlockKind::Table => match table(page, index) {
                Some(rows) => return out.push_str(&rows),
                None => span.text(page),
            },
            BlockKind::Formula if span.text.len == 0 => span.markup(page),
            BlockKind::Code => return out.push_str(&clean(span.text(page))),
            _ => span.text(page),
        };
        let indent = match span.kind {
            BlockKind::ListItem => usize::from(span.level.clamp(1, 20)) - 1,
            _ => 0,
        };
        let text = clean(text);
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        for (at, line) in lines.enumerate() {
            match self.settings.lines {
                Lines::Join if at > 0 => push!(out, " ", line),
                Lines::Join => push!(out, "  ".repeat(indent), line),
                Lines::Keep => push!(out, "  ".repeat(indent), line, "\n"),
            }
        }
    }
}

/// A table's cells, a row a line, each in its column; none where the table has no cells.
fn table(page: &Page, index: usize) -> Option<String> {
    let mut rows: BTreeMap<u32, BTreeMap<u32, String>> = BTreeMap::new();
    for cell in page.cells_of(index) {
        let words: Vec<Cow<str>> = cell.text(page).split_whitespace().map(clean).collect();
        rows.entry(cell.row)
            .or_default()
            .insert(cell.column, words.join(" "));
    }
    let line = |cells: BTreeMap<u32, String>| {
        let mut line = String::new();
        let mut at = 0;
        for (column, text) in cells {
            let column = column.min(MAX_COLUMNS);
            line.extend((at..column).map(|_| '\t'));
            at = at.max(column);
            line.push_str(&text);
        }
        line.truncate(line.trim_end_matches('\t').len());
        line + "\n"
    };
    (!rows.is_empty()).then(|| rows.into_values().map(line).collect())
}

/// What the reader is told in place of a page that is not whole.
fn notice(page: &Page) -> Option<String> {
    let what = page.info().shortfall()?;
    Some(format!("[page {}: {what}]\n", page.info().number))
}

/// Text without control characters and without marks that turn the direction of what follows.
fn clean(text: &str) -> Cow<'_, str> {
    // Behind 0xc2 are controls, behind 0xe2 the marks.
    let stays = |b: u8| (b >= b' ') & (b != 0x7f) & (b != 0xc2) & (b != 0xe2) | (b == b'\n') | (b == b'\t');
    text::mapped(text, stays, |out, c| match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
        c if c.is_control() => {}
        c => out.push(c),
    })
}

ocr_plugin::export_formatter!(Text);

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_plugin::testing::{self, PageBuilder};
    use ocr_plugin::{CellKind, Diagnostic, Outcome, PageData, Severity};

    fn run(config: &str, pages: Vec<PageData>) -> String {
        let run = testing::format::<Text>(&DocInfo::new("a.pdf", "application/pdf"), config, pages);
        assert_eq!(run.result, Ok(()));
        run.main()
    }

    fn full_page() -> PageData {
        PageBuilder::new(1)
            .span(BlockKind::Header, "ACME annual report")
            .span(BlockKind::Title, "The title")
            .span(BlockKind::Paragraph, "First line\n second line  \n\nthird")
            .span(BlockKind::ListItem, "• one")
            .with(|s| s.level = 1)
            .span(BlockKind::ListItem, "a) inner\ngoes on")
            .with(|s| s.level = 2)
            .span(BlockKind::Table, "ignored")
            .cell(CellKind::ColumnHeader, (0, 0, 1, 2), "wide")
            .cell(CellKind::Data, (1, 0, 1, 1), "two\nlines")
            .cell(CellKind::Data, (1, 2, 1, 1), "1,234.50")
            .span(BlockKind::Table, "a\tb\nc\td")
            .span(BlockKind::Figure, "")
            .span(BlockKind::Formula, "")
            .markup("x^2")
            .span(BlockKind::Code, "if x:\n    y\n")
            .span(BlockKind::PageNumber, "1")
            .build()
    }

    #[test]
    fn reading_order_decides() {
        let page = PageBuilder::new(1)
            .span(BlockKind::Paragraph, "second")
            .with(|s| s.order = 1)
            .span(BlockKind::Paragraph, "first")
            .with(|s| s.order = 0)
            .build();
        assert_eq!(run("{}", vec![page]), "first\n\nsecond\n");
    }

    #[test]
    fn lines_are_joined_where_wanted() {
        let page = PageBuilder::new(1)
            .span(BlockKind::Paragraph, "one\n two \nthree")
            .span(BlockKind::Code, "a\n  b")
            .build();
        assert_eq!(
            run(r#"{"lines": "join"}"#, vec![page]),
            "one two three\n\na\n  b\n"
        );
    }

    #[test]
    fn pages_are_parted() {
        let page = |n| PageBuilder::new(n).span(BlockKind::Paragraph, "x").build();
        assert_eq!(run("{}", vec![page(1), page(2)]), "x\n\nx\n");
        let fed = run(r#"{"page-break": "\\f"}"#, vec![page(1), page(2)]);
        assert_eq!(fed, "x\n\n\u{c}\nx\n");
        let ruled = run(r#"{"page-break": "--- {number} ---\\n"}"#, vec![page(1), page(7)]);
        assert_eq!(ruled, "x\n\n--- 7 ---\n\nx\n");
    }

    #[test]
    fn a_page_cannot_steer_a_terminal() {
        let page = PageBuilder::new(1)
            .span(BlockKind::Paragraph, "a\u{1b}[31mb\u{7}\u{202e}c\r\nd\0")
            .build();
        assert_eq!(run("{}", vec![page]), "a[31mbc\nd\n");
    }

    #[test]
    fn lost_pages_and_odd_tables_are_written() {
        let failed = PageBuilder::new(5).info(|i| i.outcome = Outcome::Failed).build();
        let odd = PageBuilder::new(6)
            .span(BlockKind::Table, "")
            .cell(CellKind::Data, (u32::MAX, u32::MAX, 1, 1), "far")
            .build();
        let text = run("{}", vec![failed, odd]);
        assert!(text.starts_with("[page 5: it could not be read]\n\n\t"), "{text}");
        assert!(text.ends_with("\tfar\n"), "{text}");
    }

    #[test]
    fn text_that_may_be_wrong_is_told_to_be() {
        let odd = PageBuilder::new(2)
            .info(|i| {
                i.outcome = Outcome::Truncated;
                i.diagnostics
                    .push(Diagnostic::new(Severity::Error, "letters-lost", "a font"));
            })
            .span(BlockKind::Paragraph, "Pbhf")
            .build();
        assert_eq!(
            run("{}", vec![odd]),
            "[page 2: fonts of it are lost, so its text may be wrong or incomplete]\n\nPbhf\n"
        );
    }

    /// `UPDATE_GOLDENS=1 cargo test` writes the file anew; look at it as a reader would see it.
    #[test]
    fn golden() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/goldens/full-page.txt");
        let text = run(r#"{"furniture": true}"#, vec![full_page()]) + &run("{}", vec![full_page()]);
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap());
    }
}
