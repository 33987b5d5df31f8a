use super::*;
use ocr_plugin::testing::{self, PageBuilder, Processed};
use ocr_plugin::{BlockKind, CellKind, PageData, Rect, Severity};

const AREA: Rect = Rect {
    x0: 50,
    y0: 50,
    x1: 500,
    y1: 70,
};

fn doc() -> DocInfo {
    DocInfo::new("scan.pdf", "application/pdf")
}

fn run(config: &str, page: &PageData) -> Processed {
    testing::process::<Redact>(&doc(), config, vec![page.clone()])
}

/// The arena with dots where bytes are erased.
fn erased(page: &PageData, run: &Processed) -> String {
    let mut bytes = page.text.clone().into_bytes();
    let mut end = 0;
    for edit in run.pages[0].as_ref().unwrap() {
        let Edit::RedactText((start, len)) = edit else {
            panic!("{edit:?}");
        };
        let (from, to) = (*start as usize, (start + len) as usize);
        assert!(
            page.text.get(from..to).is_some_and(|t| !t.is_empty()),
            "{from}..{to} is a range"
        );
        assert!(from >= end, "ranges are sorted and apart");
        bytes[from..to].fill(b'.');
        end = to;
    }
    String::from_utf8(bytes).unwrap()
}

fn redacted(config: &str, page: PageData) -> String {
    erased(&page, &run(config, &page))
}

fn text(text: &str) -> PageData {
    PageBuilder::new(1).span(BlockKind::Paragraph, text).build()
}

#[test]
fn every_copy_of_a_text_is_erased() {
    let mail = "write to a@b.ch";
    let page = PageBuilder::new(1)
        .span(BlockKind::Paragraph, "Please\nwrite to a@b.ch")
        .line(AREA, None, "Please")
        .line(AREA, None, mail)
        .span(BlockKind::Table, "x\ta@b.ch")
        .markup("<td>x</td><td>a&#64;b.ch</td>")
        .cell(CellKind::Data, (0, 0, 1, 1), "x")
        .cell(CellKind::Data, (0, 1, 1, 1), "a@b.ch")
        .build();
    let run = run(r#"{"kinds": "email"}"#, &page);
    assert_eq!(
        erased(&page, &run),
        "Please\nwrite to ......Pleasewrite to ......x\t......<td>x</td><td>..........</td>x......"
    );
    let told: Vec<_> = run
        .diagnostics
        .iter()
        .map(|d| (d.code.as_str(), d.message.as_str(), d.page))
        .collect();
    assert_eq!(told, [("redacted", "2 emails", Some(1))]);
}

#[test]
fn cut_lines_hide_nothing() {
    let config = r#"{"kinds": ["email", "iban", "phone", "date"], "terms": ["Anna Muster"], "patterns": ["AZ-\\d{6}"]}"#;
    for (before, after) in [
        ("to an.na@exam\nple.com now", "to ..............now"),
        ("to anna@\nexample.com now", "to ..... ........... now"),
        ("to anna@example.com\nnow", "to ................\nnow"),
        ("DE89 3704 0044\n0532 0130 00", ".............. ............"),
        ("call +41 44 123\n45 67 or", "call .......... ..... or"),
        ("on 3 March\n2024.", "on ....... ..... "),
        ("An-\nna Mus-\nter", "... ....... ..."),
        ("ref AZ-123\n456, ref AZ-12", "ref ...... ..., ref AZ-12"),
        ("ref AZ-\n123456", "ref ... ......"),
    ] {
        let got = redacted(config, text(before));
        let squash = |s: &str| s.replace(['\n', ' '], "");
        let letters = |s: &str| squash(s).chars().filter(|c| *c != '.').collect::<String>();
        assert_eq!(letters(&got), letters(after), "{before:?} became {got:?}");
        assert_eq!(
            got.matches('\n').count(),
            before.matches('\n').count(),
            "lines stay: {got:?}"
        );
    }
}

#[test]
fn spellings_hide_nothing() {
    let config = r#"{"terms": ["Müller", "office", "O'Neil", "ABC-12"]}"#;
    for spelling in [
        "Mu\u{308}ller",
        "MÜLLER",
        "o\u{fb03}ce",
        "O\u{2019}Neil",
        "\u{ff21}\u{ff22}\u{ff23}\u{2011}12",
        "Mü\u{ad}ller",
        "O\u{fb03}ce",
    ] {
        let got = redacted(config, text(&format!("x {spelling} y")));
        assert!(
            got.starts_with("x ..") && got.ends_with(". y"),
            "{spelling:?} became {got:?}"
        );
    }
    // The same where the setting is spelt so.
    assert_eq!(
        redacted(
            "{\"terms\": [\"Mu\u{308}ller o\u{fb03}ce\"]}",
            text("Müller office")
        ),
        ".".repeat(14)
    );
    assert_eq!(
        redacted(r#"{"terms": ["Anna"], "case": "exact"}"#, text("anna Anna")),
        "anna ...."
    );
    assert_eq!(
        redacted(r#"{"terms": ["Ann"], "whole-words": false}"#, text("Annual")),
        "...ual"
    );
    assert_eq!(
        redacted("{\"patterns\": [\"caf\u{65}\u{301} \u{ff11}\"]}", text("Café 1")),
        "........".replacen("........", ".......", 1)
    );
}

#[test]
fn phrases_go_on_over_blocks_and_cells() {
    let config = r#"{"terms": ["Anna Maria Muster"], "kinds": ["phone"]}"#;
    let blocks = PageBuilder::new(1)
        .span(BlockKind::Paragraph, "by Anna")
        .span(BlockKind::Paragraph, "Maria\nMuster, Bern")
        .build();
    assert_eq!(redacted(config, blocks), "by .........\n......, Bern");
    let cells = PageBuilder::new(1)
        .span(BlockKind::Table, "")
        .cell(CellKind::Data, (0, 0, 1, 1), "Anna")
        .cell(CellKind::Data, (0, 1, 1, 1), "044 123")
        .cell(CellKind::Data, (1, 0, 1, 1), "Maria Mus-\nter")
        .cell(CellKind::Data, (1, 1, 1, 1), "45 67")
        .build();
    // Numbers don't go on in the next cell.
    assert_eq!(redacted(config, cells), "....044 123..........\n...45 67");
}

#[test]
fn markup_hides_nothing() {
    let page = PageBuilder::new(1)
        .span(BlockKind::Formula, "")
        .markup(r"x = \text{Anna} \ \mathbf{Mus}ter")
        .span(BlockKind::Paragraph, r"**Anna** _Muster_ a\_b@c.ch")
        .build();
    let got = redacted(r#"{"terms": ["Anna Muster", "Muster"], "kinds": "email"}"#, page);
    assert_eq!(
        got,
        r"x = \text{....}...\mathbf{...}...**....**._......_ ........."
    );
}

#[test]
fn words_that_are_no_part_of_their_line_are_erased() {
    let mut page = PageBuilder::new(1)
        .span(BlockKind::Paragraph, "by Anna")
        .line(AREA, None, "by Anna")
        .build();
    for (word, text) in page.words.iter_mut().zip(["by", "Anna"]) {
        word.text = ocr_plugin::Slice {
            start: page.text.len() as u32,
            len: text.len() as u32,
        };
        page.text.push_str(text);
    }
    assert_eq!(redacted(r#"{"terms": "anna"}"#, page), "by ....by ....by....");
}

#[test]
fn a_line_that_differs_from_its_block_is_searched_itself() {
    let page = PageBuilder::new(1)
        .span(BlockKind::Paragraph, "recognition")
        .line(AREA, None, "recog-")
        .line(AREA, None, "nition")
        .build();
    assert_eq!(
        redacted(r#"{"terms": "recognition"}"#, page),
        ".".repeat(11 + 6 + 6)
    );
}

#[test]
fn title_and_name_are_redacted() {
    let doc = DocInfo {
        title: Some("Letter to Anna Muster".into()),
        ..DocInfo::new("2024-02-29_Anna_Muster.pdf", "application/pdf")
    };
    let config = r#"{"terms": ["Anna Muster"], "kinds": ["date"]}"#;
    let run = testing::process::<Redact>(&doc, config, vec![]);
    assert_eq!(
        run.document.unwrap(),
        [
            DocumentEdit::SetTitle(Some("Letter to █".into())),
            DocumentEdit::SetName("redacted_redacted.pdf".into())
        ]
    );
    assert_eq!(
        run.diagnostics[0].message,
        "in the document's title and name: 1 date, 2 terms"
    );
    assert_eq!(run.diagnostics[0].page, None);
    let nothing = testing::process::<Redact>(&doc, r#"{"terms": "Bert"}"#, vec![]);
    assert_eq!((nothing.document, nothing.diagnostics), (Ok(vec![]), vec![]));
}

#[test]
fn what_was_found_is_never_told() {
    let page = text("Anna Muster, a@b.ch, 4111 1111 1111 1111");
    let run = run(r#"{"terms": "anna", "kinds": "email,card"}"#, &page);
    assert_eq!(run.diagnostics[0].message, "1 card, 1 email, 1 term");
    assert!(run.log.is_empty());
}

#[test]
fn a_block_whose_name_is_wanted_is_erased_whole() {
    let mut page = PageBuilder::new(1)
        .span(BlockKind::Figure, "")
        .span(BlockKind::Paragraph, "else")
        .build();
    page.labels = vec!["text".into(), "photo of Anna Muster".into()];
    (page.spans[0].label, page.spans[1].label) = (1, 0);
    page.spans[0].area = AREA;
    let config = r#"{"terms": "anna muster"}"#;
    let told = run(config, &page);
    assert_eq!(told.pages, [Ok(vec![Edit::RedactArea(AREA)])]);
    assert_eq!(told.diagnostics[0].message, "1 term");
    // A block that stands nowhere can't be erased, so the page is not shown.
    page.spans[0].area = Rect { x1: AREA.x0, ..AREA };
    assert!(run(config, &page).pages[0].is_err());
}

#[test]
fn what_no_page_holds_is_told_by_its_position() {
    let doc = DocInfo {
        pages: Some(9),
        selected: Some(2),
        ..doc()
    };
    let config = r#"{"terms": ["anna", "bert", "carl", "dora"], "patterns": ["AZ-\\d+", "BZ-\\d+"]}"#;
    let run = testing::process::<Redact>(&doc, config, vec![text("Bert"), text("AZ-12, Dora")]);
    let told: Vec<_> = run
        .diagnostics
        .iter()
        .filter(|d| d.code == "never-found")
        .map(|d| (d.page, d.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                None,
                "2 of 4 terms were not found on any page that was searched: 1 and 3"
            ),
            (None, "pattern 2 of 2 was not found on any page that was searched")
        ]
    );
    // Where others were erased it is a note, and where nothing was, a warning.
    let severity = |page: &str| {
        let run = testing::process::<Redact>(&doc, config, vec![text(page), text(page)]);
        let told = run.diagnostics.into_iter().find(|d| d.code == "never-found");
        told.map(|d| d.severity)
    };
    assert_eq!(severity("Bert"), Some(Severity::Note));
    assert_eq!(severity("Emil"), Some(Severity::Warning));
    // Nobody knows whether more pages come.
    let open = testing::process::<Redact>(&self::doc(), config, vec![text("Bert")]);
    assert!(open.diagnostics.iter().all(|d| d.code != "never-found"));
}

#[test]
fn odd_pages_are_no_trouble() {
    let mut page = PageBuilder::new(1)
        .span(BlockKind::Paragraph, "a\u{301}")
        .line(AREA, None, "Anna")
        .span(BlockKind::Table, "")
        .cell(CellKind::Data, (u32::MAX, u32::MAX, 1, 1), "Anna")
        .build();
    page.spans[0].text.len = 2_000_000;
    page.lines[0].span = 99;
    page.words[0].line = 99;
    let everything =
        r#"{"terms": ["anna"], "kinds": "email,phone,iban,card,ssn,date,ip,url", "patterns": "\\w+"}"#;
    assert!(run(everything, &page).pages[0].is_ok());
    let nasty = [
        "@".repeat(5000),
        "+".repeat(5000),
        "1 ".repeat(5000),
        "(0".repeat(3000),
        "&#".repeat(3000),
        "-\n".repeat(5000),
        "<".repeat(5000),
        "DE00 ".repeat(2000),
    ];
    for nasty in nasty {
        run(everything, &text(&nasty)).pages[0].as_ref().unwrap();
    }
}
