use super::*;
use ocr_plugin::testing::{self, PageBuilder};
use ocr_plugin::{PageData, Rect};

fn run(config: &str, pages: Vec<PageData>) -> Vec<Vec<Edit>> {
    let run = testing::process::<Dehyphenate>(&DocInfo::new("a.pdf", "application/pdf"), config, pages);
    run.pages.into_iter().map(Result::unwrap).collect()
}

fn one(kind: BlockKind, text: &str) -> Vec<Edit> {
    run("{}", vec![PageBuilder::new(1).span(kind, text).build()]).remove(0)
}

fn reflow(index: u32, text: &str) -> Edit {
    Edit::ReflowText((index, text.to_owned()))
}

#[test]
fn a_joined_word_stands_where_it_began() {
    assert_eq!(
        one(BlockKind::Paragraph, "The recog-\nnition, of a para-\ngraph"),
        [reflow(0, "The recognition,\nof a paragraph")]
    );
    assert_eq!(
        one(BlockKind::Paragraph, "un-\nbeliev-\nable end"),
        [reflow(0, "unbelievable\nend")]
    );
    assert_eq!(one(BlockKind::Paragraph, "nothing\nto do - \nhere"), []);
    assert_eq!(one(BlockKind::Code, "a-\nb"), []);
    assert_eq!(one(BlockKind::Paragraph, "-\n-\n"), []);
}

#[test]
fn words_of_pages_before_are_remembered() {
    let page = |n, text: &str| PageBuilder::new(n).span(BlockKind::Paragraph, text).build();
    let edits = run("{}", vec![page(1, "well-known"), page(2, "a well-\nknown x")]);
    assert_eq!(edits, [vec![], vec![reflow(0, "a well-known\nx")]]);
}

fn columns(first: &str, second: &str) -> PageData {
    let area = |x0, y0, y1| Rect {
        x0,
        y0,
        x1: x0 + 200,
        y1,
    };
    PageBuilder::new(1)
        .span(BlockKind::Paragraph, first)
        .with(|s| s.area = area(50, 400, 800))
        .span(BlockKind::Paragraph, second)
        .with(|s| s.area = area(300, 50, 400))
        .build()
}

#[test]
fn a_word_cut_by_a_column_is_moved_into_the_first() {
    let page = columns("it is recog-", "nition of text");
    assert_eq!(
        run("{}", vec![page.clone()])[0],
        [reflow(0, "it is recognition"), reflow(1, "of text")]
    );
    assert_eq!(
        run(r#"{"paragraphs": "join"}"#, vec![page])[0],
        [reflow(0, "it is recognition\nof text"), Edit::DropSpan(1)]
    );
}

#[test]
fn paragraphs_are_joined_where_a_sentence_goes_on() {
    let join = |first, second| run(r#"{"paragraphs": "join"}"#, vec![columns(first, second)]).remove(0);
    assert_eq!(
        join("it goes", "on here"),
        [reflow(0, "it goes\non here"), Edit::DropSpan(1)]
    );
    assert_eq!(join("It ends.", "on here"), []);
    assert_eq!(join("it goes", "On here"), []);
    assert_eq!(run("{}", vec![columns("it goes", "on here")])[0], []);
    // One below the other is a new paragraph.
    let below = PageBuilder::new(1)
        .span(BlockKind::Paragraph, "it goes")
        .span(BlockKind::Paragraph, "on here")
        .build();
    assert_eq!(run(r#"{"paragraphs": "join"}"#, vec![below])[0], []);
}

#[test]
fn furniture_and_figures_are_left_alone() {
    assert_eq!(one(BlockKind::Header, "recog-\nnition"), []);
    assert_eq!(one(BlockKind::Figure, "recog-\nnition"), []);
}
