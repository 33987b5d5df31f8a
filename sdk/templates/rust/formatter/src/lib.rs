//! Writes the recognised text, with a line above each page.

#![forbid(unsafe_code)]

use ocr_plugin::{Config, DocInfo, Formatter, Page, Result, output};
use serde::Deserialize;

/// The settings. Cargo.toml describes them; the host fills defaults in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    rule: String,
}

struct MyPlugin {
    out: output::File,
    settings: Settings,
}

impl Formatter for MyPlugin {
    fn open(_doc: &DocInfo, config: Config) -> Result<Self> {
        Ok(Self {
            out: output::main()?,
            settings: config.parse()?,
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        let number = page.info().number;
        self.out.write_text(&format!("{} page {number}\n", self.settings.rule))?;
        for (_, span) in page.reading_order() {
            self.out.write_text(span.text(page))?;
            self.out.write_text("\n")?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

ocr_plugin::export_formatter!(MyPlugin);

#[test]
fn pages_become_text() {
    use ocr_plugin::{BlockKind, testing};
    let page = testing::PageBuilder::new(7)
        .span(BlockKind::Paragraph, "Grüezi")
        .build();
    let doc = DocInfo::new("a.png", "image/png");
    let run = testing::format::<MyPlugin>(&doc, r#"{"rule": "=="}"#, vec![page]);
    assert_eq!((&run.result, run.main().as_str()), (&Ok(()), "== page 7\nGrüezi\n"));
}
