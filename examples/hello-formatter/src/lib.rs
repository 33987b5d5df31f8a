//! The shortest useful formatter: plain text, with a line above each page.

#![forbid(unsafe_code)]

use ocr_plugin::{Config, DocInfo, Formatter, Page, Result, output};
use serde::Deserialize;

/// The settings, `--plugin-opt rule="***"` on the command line.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    rule: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rule: "----".to_owned(),
        }
    }
}

struct Hello {
    out: output::File,
    settings: Settings,
}

impl Formatter for Hello {
    fn open(_doc: &DocInfo, config: Config) -> Result<Self> {
        Ok(Self {
            out: output::main()?,
            settings: config.parse()?,
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        self.out
            .write_text(&format!("{} page {}\n", self.settings.rule, page.info().number))?;
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

ocr_plugin::export_formatter!(Hello);

#[test]
fn pages_become_text() {
    use ocr_plugin::{BlockKind, testing};
    let page = testing::PageBuilder::new(7)
        .span(BlockKind::Paragraph, "Grüezi")
        .build();
    let run = testing::format::<Hello>(
        &DocInfo::new("a.png", "image/png"),
        r#"{"rule": "=="}"#,
        vec![page],
    );
    assert_eq!(
        (run.result.clone(), run.main()),
        (Ok(()), "== page 7\nGrüezi\n".to_owned())
    );
}
