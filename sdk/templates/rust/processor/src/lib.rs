//! Replaces a word wherever it was read.

#![forbid(unsafe_code)]

use ocr_plugin::{Config, DocInfo, Edit, Page, Processor, Result};
use serde::Deserialize;

/// The settings. Cargo.toml describes them; the host fills defaults in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MyPlugin {
    find: String,
    replace: String,
}

impl Processor for MyPlugin {
    fn open(_doc: &DocInfo, config: Config) -> Result<Self> {
        config.parse()
    }

    fn process(&mut self, page: &Page) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for (index, span) in page.reading_order() {
            let text = span.text(page);
            let words: Vec<&str> = text
                .split(' ')
                .map(|word| if word == self.find { &self.replace } else { word })
                .collect();
            let mended = words.join(" ");
            if mended != text {
                edits.push(Edit::SetText((index as u32, mended)));
            }
        }
        Ok(edits)
    }
}

ocr_plugin::export_processor!(MyPlugin);

#[test]
fn words_are_replaced() {
    use ocr_plugin::{BlockKind, testing};
    let page = testing::PageBuilder::new(1)
        .span(BlockKind::Heading, "Other")
        .span(BlockKind::Paragraph, "Off teh coast")
        .build();
    let doc = DocInfo::new("a.png", "image/png");
    let run = testing::process::<MyPlugin>(&doc, r#"{"find": "teh", "replace": "the"}"#, vec![page]);
    let edits = run.pages[0].as_ref().unwrap();
    assert_eq!(edits[..], [Edit::SetText((1, "Off the coast".to_owned()))]);
}
