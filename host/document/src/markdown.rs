//! Renders a page's spans as CommonMark with GitHub tables, and remembers which bytes came from which span.
//!
//! Blocks are parted by one empty line, items of a list by none. Page furniture is left out: it has an anchor of
//! length 0 where it stood. A figure is a placeholder, `![Figure](figure:SPAN)`, that formatters find by its anchor.
//!
//! Plain text is escaped so that it stays plain; text that is markdown already keeps its markup (`authored`).

mod authored;
mod escape;
mod table;

use crate::{Anchor, Page, Span, SpanKind};
use escape::{block_text, emphasised};

/// Nested items are indented by this: more than any marker is wide, less than would make code of them.
const INDENT: &str = "    ";

/// How the text inside a line is written.
type Inline = fn(&str) -> String;

/// The page as markdown, and the anchors of its spans in reading order.
pub(crate) fn render(page: &Page) -> (String, Vec<Anchor>) {
    let inline: Inline = if page.text_is_markdown {
        authored::inline
    } else {
        escape::inline
    };
    let mut out = String::new();
    let mut anchors = Vec::new();
    let mut list: Vec<u8> = Vec::new();
    let tables = table::Tables::of(page);
    for index in page.reading_order() {
        let span = &page.spans()[index];
        let in_list = !list.is_empty();
        if span.kind.is_furniture() {
            anchors.push(Anchor {
                span: index as u32,
                start: out.len() as u32,
                len: 0,
            });
            continue;
        }
        let block = match span.kind {
            SpanKind::ListItem => {
                let depth = nest(&mut list, span.level.max(1));
                item(page.text_of(span.text), depth, inline)
            }
            _ => {
                list.clear();
                block(page, index, span, &tables, inline)
            }
        };
        if block.is_empty() {
            anchors.push(Anchor {
                span: index as u32,
                start: out.len() as u32,
                len: 0,
            });
            continue;
        }
        let continues_list = in_list && !list.is_empty();
        if !out.is_empty() && !continues_list {
            out.push('\n');
        }
        anchors.push(Anchor {
            span: index as u32,
            start: out.len() as u32,
            len: block.len() as u32,
        });
        out.push_str(&block);
        out.push('\n');
    }
    (out, anchors)
}

/// A block that is no list item.
fn block(page: &Page, index: usize, span: &Span, tables: &table::Tables, inline: Inline) -> String {
    let text = page.text_of(span.text);
    let markup = page.text_of(span.markup);
    match span.kind {
        SpanKind::Title => heading(1, text, inline),
        SpanKind::Heading => heading(span.level.clamp(1, 6), text, inline),
        SpanKind::Caption => emphasised(text, inline),
        SpanKind::Figure => format!("![Figure](figure:{index})"),
        SpanKind::Table => tables
            .render(page, index as u32, inline)
            .or_else(|| (!markup.is_empty()).then(|| markup.to_owned()))
            .unwrap_or_else(|| block_text(text, inline)),
        SpanKind::Formula if !markup.is_empty() => format!("$$\n{}\n$$", authored::spaced(markup.trim())),
        SpanKind::Code => fenced(text),
        _ => block_text(text, inline),
    }
}

fn heading(level: u8, text: &str, inline: Inline) -> String {
    let text = inline(&text.replace('\n', " "));
    if text.is_empty() {
        String::new()
    } else {
        format!("{} {text}", "#".repeat(usize::from(level)))
    }
}

/// How many lists an item of `level` lies inside of; levels that were skipped open none.
fn nest(list: &mut Vec<u8>, level: u8) -> usize {
    while list.last().is_some_and(|&open| open > level) {
        list.pop();
    }
    if list.last() != Some(&level) {
        list.push(level);
    }
    list.len() - 1
}

/// A list item; a bullet as it was printed becomes `-`, a number keeps its place as the item's marker.
fn item(text: &str, depth: usize, inline: Inline) -> String {
    let text = text.trim();
    let (marker, body) = match text.chars().next() {
        Some(c) if is_bullet(c) => ("-", text[c.len_utf8()..].trim_start()),
        Some(c) if c.is_ascii_digit() => {
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            match text[digits..].chars().next() {
                Some('.' | ')') if digits <= 9 => (&text[..=digits], text[digits + 1..].trim_start()),
                _ => ("-", text),
            }
        }
        _ => ("-", text),
    };
    let indent = INDENT.repeat(depth);
    let hanging = format!("\n{indent}{}", " ".repeat(marker.len() + 1));
    format!(
        "{indent}{marker} {}",
        block_text(body, inline).replace('\n', &hanging)
    )
}

fn is_bullet(c: char) -> bool {
    "•●○◦■□▪▫‣▶►➢➤✓✔◆◇★※-–—*·»+".contains(c)
}

/// Code between fences that are longer than any run of back-ticks inside.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use crate::{Page, PageBuilder, PageInfo, Rect, SpanKind};

    fn page(spans: &[(SpanKind, u8, &str)]) -> Page {
        let mut page = PageBuilder::new(PageInfo::new(0, 1, 100, 100));
        for &(kind, level, text) in spans {
            page.push_span(kind, "x", level, Rect::default(), None, text);
        }
        page.finish()
    }

    fn rendered(spans: &[(SpanKind, u8, &str)]) -> String {
        page(spans).markdown().to_owned()
    }

    #[test]
    fn blocks_are_parted_and_furniture_is_left_out() {
        let page = page(&[
            (SpanKind::Header, 0, "Chapter 1"),
            (SpanKind::Title, 1, "Tales"),
            (SpanKind::Paragraph, 0, "Once."),
            (SpanKind::Figure, 0, "labels"),
            (SpanKind::Caption, 0, "A *figure"),
            (SpanKind::PageNumber, 0, "7"),
        ]);
        assert_eq!(
            page.markdown(),
            "# Tales\n\nOnce.\n\n![Figure](figure:3)\n\n*A \\*figure*\n"
        );
        let text = |n: usize| {
            let a = page.anchors()[n];
            &page.markdown()[a.start as usize..(a.start + a.len) as usize]
        };
        assert_eq!(
            (text(0), text(1), text(3), text(5)),
            ("", "# Tales", "![Figure](figure:3)", "")
        );
    }

    #[test]
    fn lists_are_tight_nest_and_keep_their_numbers() {
        let found = rendered(&[
            (SpanKind::Paragraph, 0, "Take"),
            (SpanKind::ListItem, 1, "• flour"),
            (SpanKind::ListItem, 2, "- white\nor brown"),
            (SpanKind::ListItem, 1, "3. eggs"),
            (SpanKind::ListItem, 1, "(a) salt"),
            (SpanKind::Paragraph, 0, "Mix."),
        ]);
        assert_eq!(
            found,
            "Take\n\n- flour\n    - white  \n      or brown\n3. eggs\n- (a) salt\n\nMix.\n"
        );
    }

    #[test]
    fn a_list_that_starts_deep_is_no_code() {
        assert_eq!(
            rendered(&[(SpanKind::ListItem, 3, "- x"), (SpanKind::ListItem, 1, "- y")]),
            "- x\n- y\n"
        );
    }

    #[test]
    fn formulas_and_code_keep_their_bytes() {
        let mut page = PageBuilder::new(PageInfo::new(0, 1, 9, 9));
        let span = page.push_span(SpanKind::Formula, "x", 0, Rect::default(), None, "a*b");
        page.set_markup(span, "a \\cdot b");
        page.push_span(SpanKind::Formula, "x", 0, Rect::default(), None, "a*b");
        page.push_span(SpanKind::Code, "x", 0, Rect::default(), None, "let a = `*b*`;");
        let expected = "$$\na \\cdot b\n$$\n\na\\*b\n\n```\nlet a = `*b*`;\n```\n";
        assert_eq!(page.finish().markdown(), expected);
    }

    #[test]
    fn text_that_is_markdown_keeps_its_markup_but_opens_no_block() {
        let mut page = PageBuilder::new(PageInfo::new(0, 1, 9, 9));
        page.text_is_markdown();
        page.push_span(SpanKind::Heading, "x", 2, Rect::default(), None, "The \\(n\\)th");
        page.push_span(SpanKind::Paragraph, "x", 0, Rect::default(), None, "**a**\n# b");
        page.push_span(SpanKind::ListItem, "x", 1, Rect::default(), None, "- *c*");
        assert_eq!(
            page.finish().markdown(),
            "## The $n$th\n\n**a**  \n\\# b\n\n- *c*\n"
        );
    }

    #[test]
    fn empty_blocks_leave_no_trace_but_an_anchor() {
        let page = page(&[(SpanKind::Heading, 2, ""), (SpanKind::Paragraph, 0, "x")]);
        assert_eq!(page.markdown(), "x\n");
        assert_eq!(page.anchors().len(), 2);
    }
}
