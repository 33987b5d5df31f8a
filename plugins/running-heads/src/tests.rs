use super::*;
use ocr_plugin::testing::{self, PageBuilder, Processed};
use ocr_plugin::{PageData, Rect};

fn run(config: &str, pages: Vec<PageData>) -> Processed {
    testing::process::<RunningHeads>(&DocInfo::new("a.pdf", "application/pdf"), config, pages)
}

fn edits(run: &Processed) -> Vec<Vec<Edit>> {
    run.pages.iter().map(|p| p.as_ref().unwrap().clone()).collect()
}

fn at(y: u32) -> Rect {
    Rect {
        x0: 50,
        y0: y,
        x1: 400,
        y1: y + 14,
    }
}

/// A page with a head, a paragraph in its middle, and a foot.
fn page(number: u32, head: &str, foot: &str) -> PageData {
    PageBuilder::new(number)
        .span(BlockKind::Paragraph, head)
        .with(|s| s.area = at(30 + number % 2))
        .span(BlockKind::Paragraph, &format!("Text of page {number}."))
        .with(|s| s.area = at(400))
        .span(BlockKind::Paragraph, foot)
        .with(|s| s.area = at(800))
        .build()
}

fn mark(index: u32, kind: BlockKind) -> Edit {
    Edit::SetKind((index, kind))
}

#[test]
fn what_repeats_is_marked_from_the_second_page_on() {
    let run = run(
        "{}",
        vec![
            page(1, "Annual Report 2024", "Confidential"),
            page(2, "Annual Rcport 2024", "Confidential"),
            page(3, "ANNUAL REPORT 2024", "Other"),
        ],
    );
    use BlockKind::{Footer, Header};
    assert_eq!(
        edits(&run),
        [
            vec![],
            vec![mark(0, Header), mark(2, Footer)],
            vec![mark(0, Header)]
        ]
    );
    // The first page could not know; the report says so, without its text.
    let told: Vec<_> = run
        .diagnostics
        .iter()
        .map(|d| (d.code.as_str(), d.page))
        .collect();
    assert_eq!(told, [("running-head-kept", Some(1))]);
    assert!(!run.diagnostics[0].message.contains("Annual"));
}

#[test]
fn left_and_right_pages_have_their_own() {
    let pages = (1..=6).map(|n| match n % 2 {
        0 => page(n, &format!("{n} The Author"), ""),
        _ => page(n, &format!("The Title {n}"), ""),
    });
    let run = run("{}", pages.collect());
    let marked: Vec<usize> = edits(&run).iter().map(Vec::len).collect();
    assert_eq!(marked, [0, 0, 1, 1, 1, 1]);
}

#[test]
fn page_numbers_count_with_the_pages() {
    let foot = |n: u32| ["- 11 -", "- 12 -", "- 13 -", "- 99 -"][n as usize - 1];
    let run_counting = run("{}", (1..=4).map(|n| page(n, "", foot(n))).collect());
    use BlockKind::PageNumber;
    assert_eq!(
        edits(&run_counting),
        [
            vec![],
            vec![mark(2, PageNumber)],
            vec![mark(2, PageNumber)],
            vec![]
        ]
    );
    // The page's own number is believed at once.
    let own = run("{}", vec![page(7, "", "Page 7 of 30")]);
    assert_eq!(edits(&own), [vec![mark(2, PageNumber)]]);
    let roman = run("{}", vec![page(1, "", "ix"), page(2, "", "x"), page(3, "", "xi")]);
    assert_eq!(edits(&roman)[2], [mark(2, PageNumber)]);
}

#[test]
fn what_differs_or_moves_or_is_content_stays() {
    let chapters = run(
        "{}",
        vec![
            page(1, "Chapter 3", "a"),
            page(2, "Chapter 5", "b"),
            page(3, "Introduction", "c"),
        ],
    );
    assert_eq!(edits(&chapters), [vec![], vec![], vec![]]);
    let mut moved = page(2, "Same words", "");
    moved.spans[0].area = at(70);
    assert_eq!(
        edits(&run("{}", vec![page(1, "Same words", ""), moved])),
        [vec![], vec![]]
    );
    let mut inside = vec![page(1, "", ""), page(2, "", "")];
    for page in &mut inside {
        page.spans[1].text = page.spans[0].text;
    }
    assert_eq!(edits(&run("{}", inside)), [vec![], vec![]]);
    let far = run("{}", vec![page(1, "Same words", ""), page(9, "Same words", "")]);
    assert_eq!(edits(&far), [vec![], vec![]]);
    let table = |n| {
        PageBuilder::new(n)
            .span(BlockKind::Table, "Date\tSum")
            .with(|s| s.area = at(30))
            .build()
    };
    assert_eq!(
        edits(&run("{}", vec![table(1), table(2), table(3)])),
        [vec![], vec![], vec![]]
    );
}

#[test]
fn headings_need_a_third_page() {
    let heading = |n| {
        let mut page = page(n, "Terms", "");
        page.spans[0].kind = BlockKind::Heading;
        page
    };
    let run = run("{}", vec![heading(1), heading(2), heading(3)]);
    assert_eq!(edits(&run), [vec![], vec![], vec![mark(0, BlockKind::Header)]]);
    assert_eq!(
        run.diagnostics.iter().map(|d| d.page).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
}

#[test]
fn dropping_takes_what_the_engine_marked() {
    let mut first = page(1, "Head", "12");
    first.spans[0].kind = BlockKind::Header;
    let run = run(r#"{"action": "drop"}"#, vec![first, page(2, "Head", "13")]);
    assert_eq!(edits(&run)[0], [Edit::DropSpan(0)]);
    assert_eq!(edits(&run)[1], [Edit::DropSpan(0), Edit::DropSpan(2)]);
}

#[test]
fn odd_pages_are_no_trouble() {
    let mut odd = page(1, &"9".repeat(400), &"ⅷ 99999999999999999999".repeat(3));
    odd.info.as_mut().unwrap().height = 0;
    let mut nowhere = page(2, "x", "y");
    nowhere.info.as_mut().unwrap().height_points = f32::NAN;
    let run = run("{}", vec![odd, nowhere]);
    assert_eq!(edits(&run), [vec![], vec![]]);
}

#[test]
fn settings_are_checked() {
    for (config, why) in [
        (r#"{"edge": 0.9}"#, "setting `edge`: 0.9 is not above 0"),
        (
            r#"{"action": "hide"}"#,
            "setting `action`: unknown variant `hide`",
        ),
    ] {
        let message = run(config, vec![]).document.unwrap_err().message();
        assert!(message.starts_with(why), "{message}");
    }
}
