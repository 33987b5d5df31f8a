//! Markdown, page by page as pages come, so memory stays flat however long the document is.
//!
//! The host renders a page's markdown; this formatter puts pictures where the host left a mark. A figure is written
//! there as the image `![..](figure:INDEX)`, covered by the anchor of span `INDEX`; whatever else looks like one is
//! text that somebody wrote, and stays.

#![forbid(unsafe_code)]

use ocr_plugin::image::Encoding;
use ocr_plugin::{
    BlockKind, Config, Diagnostic, DocInfo, Formatter, HostError, Page, Result, Severity, Span, log, output,
};
use serde::Deserialize;

/// Where pictures go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Images {
    /// Files where the run has a folder for them, comments otherwise.
    #[default]
    Auto,
    Placeholder,
    Embedded,
    Referenced,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    images: Images,
    page_break: String,
}

struct Markdown {
    out: output::File,
    settings: Settings,
    /// Whether the reader has been told that pictures are missing; once is enough.
    told: bool,
}

impl Formatter for Markdown {
    fn open(_: &DocInfo, config: Config) -> Result<Self> {
        let settings = config.parse()?;
        Ok(Self {
            out: output::main()?,
            settings,
            told: false,
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        let info = page.info();
        if self.out.len() > 0 {
            self.out.write_text("\n")?;
            if !self.settings.page_break.is_empty() {
                let line = self
                    .settings
                    .page_break
                    .replace("{number}", &info.number.to_string());
                self.out.write_text(&format!("{line}\n\n"))?;
            }
        }
        if let Some(notice) = notice(page) {
            self.out.write_text(&notice)?;
        }
        let markdown = page.markdown();
        let mut written = 0;
        for mark in figure_marks(page) {
            self.out.write_text(&markdown[written..mark.start])?;
            self.figure(page, &mark)?;
            written = mark.end;
        }
        let rest = &markdown[written..];
        self.out.write_text(rest)?;
        if !rest.is_empty() && !rest.ends_with('\n') {
            self.out.write_text("\n")?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// A figure's place in the page's markdown, bytes.
#[derive(Debug, PartialEq)]
struct Mark {
    start: usize,
    end: usize,
    span: usize,
}

/// The host's figure marks, in the order of the markdown.
fn figure_marks(page: &Page) -> Vec<Mark> {
    let markdown = page.markdown();
    let mut marks: Vec<Mark> = Vec::new();
    for anchor in page.anchors() {
        let (span, start) = (anchor.span as usize, anchor.start as usize);
        let is_figure = page
            .spans()
            .get(span)
            .is_some_and(|s| s.kind == BlockKind::Figure);
        let Some(text) = markdown
            .get(start..start + anchor.len as usize)
            .filter(|_| is_figure)
        else {
            continue;
        };
        // The last one that closes the anchored text: an alternative text may hold anything but comes first.
        let tail = format!("](figure:{span})");
        let Some(at) = text.rfind(&tail) else { continue };
        let Some(open) = text[..at].find("![") else {
            continue;
        };
        let mark = Mark {
            start: start + open,
            end: start + at + tail.len(),
            span,
        };
        if marks.last().is_none_or(|last| last.end <= mark.start) {
            marks.push(mark);
        }
    }
    marks
}

impl Markdown {
    fn figure(&mut self, page: &Page, mark: &Mark) -> Result<()> {
        let span = &page.spans()[mark.span];
        let drawn = match self.settings.images {
            Images::Placeholder => return self.placeholder(page, mark.span),
            Images::Embedded => self.embedded(page, span),
            Images::Auto | Images::Referenced => self.referenced(page, mark.span, span),
        };
        match drawn {
            Ok(()) => Ok(()),
            // Nothing has been written to the main file yet when these come back.
            Err(e @ (HostError::Denied(_) | HostError::Invalid(_) | HostError::Failed(_))) => {
                self.tell(page, &e);
                self.placeholder(page, mark.span)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn referenced(&self, page: &Page, index: usize, span: &Span) -> Result<(), HostError> {
        let picture = page.raster()?.crop(span.area)?;
        let name = format!("page-{}-figure-{}.png", page.info().number, index + 1);
        let file = output::create(&name, Encoding::Png.media_type())?;
        file.write_image(&picture, Encoding::Png, 100)?;
        self.out.write_text(&format!(
            "![{}]({})",
            alternative_text(page, index),
            link(&file.name())
        ))
    }

    fn embedded(&self, page: &Page, span: &Span) -> Result<(), HostError> {
        let index = page
            .spans()
            .iter()
            .position(|s| std::ptr::eq(s, span))
            .unwrap_or_default();
        let picture = page.raster()?.crop(span.area)?;
        let media_type = Encoding::Jpeg.media_type();
        self.out.write_text(&format!(
            "![{}](data:{media_type};base64,",
            alternative_text(page, index)
        ))?;
        self.out.write_image_base64(&picture, Encoding::Jpeg, 90)?;
        self.out.write_text(")")
    }

    fn placeholder(&self, page: &Page, index: usize) -> Result<()> {
        // A caption stands beside the figure and need not be said twice.
        let own = one_line(page.spans()[index].text(page));
        let comment = match caption_of(page, index).is_some() || own.is_empty() {
            true => "<!-- figure -->".to_owned(),
            false => format!("<!-- figure: {} -->", in_comment(&own)),
        };
        Ok(self.out.write_text(&comment)?)
    }

    /// Says once why pictures are missing. In `auto` a missing folder is expected and worth no word.
    fn tell(&mut self, page: &Page, why: &HostError) {
        if self.told || (self.settings.images == Images::Auto && why.is_denied()) {
            return;
        }
        self.told = true;
        let message = format!("figures are written as comments: {}", why.message());
        log::report(
            &Diagnostic::new(Severity::Warning, "figure-omitted", message).on_page(page.info().number),
        );
    }
}

/// What the reader is told above a page that is not whole.
fn notice(page: &Page) -> Option<String> {
    let info = page.info();
    let what = info.shortfall()?;
    // What went wrong, without what to try: advice is for who runs the program, and its flags begin with `--`, which
    // ends comments in older readers.
    let wrong = |d: &Diagnostic| {
        let message = one_line(&d.message);
        format!(" ({})", message.split("; ").next().unwrap_or_default())
    };
    let why: String = info.diagnostics.iter().map(wrong).collect();
    Some(format!(
        "<!-- page {}: {what}{} -->\n\n",
        info.number,
        in_comment(&why)
    ))
}

fn caption_of<'a>(page: &'a Page<'_>, index: usize) -> Option<&'a Span> {
    let of_figure = |s: &&Span| s.kind == BlockKind::Caption && s.parent == Some(index as u32);
    page.spans().iter().find(of_figure)
}

/// A figure's caption on one line; its own text where it has none.
fn caption(page: &Page, index: usize) -> String {
    let span = caption_of(page, index).unwrap_or(&page.spans()[index]);
    one_line(span.text(page))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text that is safe between the brackets of an image.
fn alternative_text(page: &Page, index: usize) -> String {
    let mut out = String::new();
    for c in caption(page, index).chars() {
        if matches!(c, '[' | ']' | '\\' | '`' | '<' | '>' | '*' | '_' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Text that cannot end the comment it stands in.
fn in_comment(text: &str) -> String {
    text.replace("--", "\u{2013}").replace('>', "\u{203a}")
}

/// A relative path as a link's target.
fn link(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte as char)
            }
            // Letters of other scripts are legal in links and far easier to read unescaped, but not to every parser.
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

ocr_plugin::export_formatter!(Markdown);

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_plugin::testing::{self, Grants, PageBuilder, Run};
    use ocr_plugin::{Outcome, PageData, Rect};

    fn figure_page() -> PageData {
        PageBuilder::new(3)
            .span(BlockKind::Figure, "")
            .with(|s| {
                s.area = Rect {
                    x0: 10,
                    y0: 20,
                    x1: 110,
                    y1: 70,
                }
            })
            .span(BlockKind::Caption, "Fig. 1: a [tall] --> tower")
            .with(|s| s.parent = Some(0))
            .span(BlockKind::Paragraph, "Somebody wrote ![x](figure:0) here")
            .markdown(&[
                (Some(0), "![](figure:0)"),
                (None, "\n\n"),
                (Some(1), "Fig. 1: a [tall] --> tower"),
                (None, "\n\n"),
                (Some(2), "Somebody wrote ![x](figure:0) here"),
                (None, "\n"),
            ])
            .build()
    }

    fn run(config: &str, grants: Grants, pages: Vec<PageData>) -> Run {
        testing::format_with::<Markdown>(grants, &DocInfo::new("a.pdf", "application/pdf"), config, pages)
    }

    fn first_line(run: &Run) -> String {
        run.main().lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn figures_become_files() {
        let run = run("{}", Grants::default(), vec![figure_page()]);
        assert_eq!(run.result, Ok(()));
        assert_eq!(
            first_line(&run),
            r"![Fig. 1: a \[tall\] --\> tower](main.files/page-3-figure-1.png)"
        );
        assert_eq!(
            run.file("main.files/page-3-figure-1.png").as_deref(),
            Some("<png 100x50>")
        );
        assert!(
            run.main().contains("Somebody wrote ![x](figure:0) here"),
            "text is no mark"
        );
    }

    #[test]
    fn figures_become_data() {
        let run = run(
            r#"{"images": "embedded"}"#,
            Grants::default(),
            vec![figure_page()],
        );
        assert!(
            first_line(&run).ends_with("](data:image/jpeg;base64,jpg-100x50)"),
            "{}",
            run.main()
        );
    }

    #[test]
    fn figures_become_comments_where_no_file_can_be() {
        let no_files = Grants {
            files: false,
            ..Grants::default()
        };
        let quiet = run("{}", no_files, vec![figure_page()]);
        assert_eq!(first_line(&quiet), "<!-- figure -->");
        assert!(
            quiet.main().contains("\n\nFig. 1: a [tall] --> tower\n"),
            "its caption is said once"
        );
        let text = "one --> two";
        let uncaptioned = PageBuilder::new(1)
            .span(BlockKind::Figure, text)
            .markdown(&[(Some(0), "![](figure:0)")])
            .build();
        let uncaptioned = run("{}", no_files, vec![uncaptioned]);
        assert_eq!(first_line(&uncaptioned), "<!-- figure: one –› two -->");
        assert_eq!(quiet.diagnostics, []);
        let asked = run(
            r#"{"images": "referenced"}"#,
            no_files,
            vec![figure_page(), figure_page()],
        );
        assert_eq!(asked.diagnostics.len(), 1, "said once");
        assert_eq!(asked.diagnostics[0].code, "figure-omitted");
        let no_raster = Grants {
            raster: false,
            ..Grants::default()
        };
        assert!(first_line(&run("{}", no_raster, vec![figure_page()])).starts_with("<!-- figure"));
    }

    #[test]
    fn pages_are_parted() {
        let page = |n, text: &str| {
            PageBuilder::new(n)
                .span(BlockKind::Paragraph, text)
                .markdown(&[(Some(0), text)])
                .build()
        };
        let pages = vec![page(1, "one\n"), page(2, "two")];
        assert_eq!(run("{}", Grants::default(), pages.clone()).main(), "one\n\ntwo\n");
        let parted = run(
            r#"{"page-break": "<!-- page {number} -->"}"#,
            Grants::default(),
            pages,
        );
        assert_eq!(parted.main(), "one\n\n<!-- page 2 -->\n\ntwo\n");
    }

    #[test]
    fn failed_pages_are_said() {
        let page = PageBuilder::new(5)
            .info(|i| {
                i.outcome = Outcome::Failed;
                i.diagnostics.push(Diagnostic::new(
                    Severity::Error,
                    "x",
                    "ran --> out\nof time; raise --page-timeout",
                ));
            })
            .build();
        let run = run("{}", Grants::default(), vec![page]);
        assert_eq!(
            run.main(),
            "<!-- page 5: it could not be read (ran –› out of time) -->\n\n"
        );
    }

    #[test]
    fn text_that_may_be_wrong_is_told_to_be() {
        let page = PageBuilder::new(2)
            .info(|i| {
                i.outcome = Outcome::Truncated;
                let why = "a font is missing; get the file again";
                i.diagnostics
                    .push(Diagnostic::new(Severity::Error, "letters-lost", why));
            })
            .build();
        assert_eq!(
            run("{}", Grants::default(), vec![page]).main(),
            "<!-- page 2: fonts of it are lost, so its text may be wrong or incomplete (a font is missing) -->\n\n"
        );
    }

    /// `UPDATE_GOLDENS=1 cargo test -p markdown-out` writes the file anew; look at it as a reader would see it.
    #[test]
    fn golden() {
        let text = PageBuilder::new(1)
            .span(BlockKind::Title, "Nine Ponds")
            .span(BlockKind::Paragraph, "Counted *by night*.")
            .span(BlockKind::ListItem, "• frogs")
            .span(BlockKind::Table, "Pond\tFrogs\nMill\t182")
            .markdown(&[
                (Some(0), "# Nine Ponds"),
                (None, "\n\n"),
                (Some(1), "Counted \\*by night\\*."),
                (None, "\n\n"),
                (Some(2), "- frogs"),
                (None, "\n\n"),
                (Some(3), "| Pond | Frogs |\n| --- | --- |\n| Mill | 182 |"),
                (None, "\n"),
            ])
            .build();
        let failed = PageBuilder::new(2).info(|i| i.outcome = Outcome::Failed).build();
        let config = r#"{"page-break": "<!-- page {number} -->"}"#;
        let run = run(config, Grants::default(), vec![text, failed, figure_page()]);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/goldens/three-pages.md");
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(path, run.main()).unwrap();
        }
        assert_eq!(run.main(), std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn wrong_settings_are_named() {
        let run = run(r#"{"images": "none"}"#, Grants::default(), vec![]);
        let message = run.result.unwrap_err().message();
        assert!(
            message.starts_with("setting `images`: unknown variant `none`"),
            "{message}"
        );
    }
}
