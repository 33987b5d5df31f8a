//! One HTML file to read a document in and to check it against its pages: text beside each page's picture, with the
//! blocks and words that were found drawn over it. It works offline and holds no script at all; views are switched by
//! style alone, and a content security policy keeps it so.
//!
//! Pages are written as they come. What is kept is the table of contents, which is bounded.

#![forbid(unsafe_code)]

mod article;
mod overlay;
mod table;
mod text;

use article::{Heading, Picture, Piece};
use ocr_plugin::image::{Encoding, Image};
use ocr_plugin::{
    Config, Diagnostic, DocInfo, Formatter, HostError, Outcome, Page, Result, Severity, control, log, output,
};
use serde::Deserialize;
use text::{escape, language, link};

/// Pages beyond which `auto` no longer puts their pictures into the file: about 10 MB.
const EMBEDDED_PAGES: u32 = 50;
/// Width of pages' pictures, px: sharp in a column on a dense screen.
const PAGE_WIDTH: u32 = 1400;
/// JPEG quality of pages' pictures and of figures.
const PAGE_QUALITY: u8 = 72;
/// See [`PAGE_QUALITY`].
const FIGURE_QUALITY: u8 = 85;
/// Headings in the table of contents; a longer one helps nobody.
const MOST_HEADINGS: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PageImages {
    #[default]
    Auto,
    Embedded,
    Referenced,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Images {
    #[default]
    Auto,
    Embedded,
    Referenced,
    Placeholder,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    page_images: PageImages,
    images: Images,
    boxes: bool,
    title: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page_images: PageImages::Auto,
            images: Images::Auto,
            boxes: true,
            title: String::new(),
        }
    }
}

/// Where a picture goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Embedded,
    Referenced,
    Nowhere,
}

/// A document being written.
pub struct Html {
    out: output::File,
    boxes: bool,
    pages: Place,
    figures: Place,
    /// Whether a missing folder is worth a word: only when files were asked for.
    asked_for_files: bool,
    contents: Vec<Heading>,
    count: u32,
    told: bool,
}

impl Formatter for Html {
    fn open(doc: &DocInfo, config: Config) -> Result<Self> {
        let settings: Settings = config.parse()?;
        let many = doc.selected.or(doc.pages).is_some_and(|n| n > EMBEDDED_PAGES);
        let pages = match settings.page_images {
            PageImages::Auto if many => Place::Referenced,
            PageImages::Auto | PageImages::Embedded => Place::Embedded,
            PageImages::Referenced => Place::Referenced,
            PageImages::None => Place::Nowhere,
        };
        let figures = match settings.images {
            Images::Auto if many || pages == Place::Referenced => Place::Referenced,
            Images::Auto | Images::Embedded => Place::Embedded,
            Images::Referenced => Place::Referenced,
            Images::Placeholder => Place::Nowhere,
        };
        let asked_for_files =
            settings.page_images == PageImages::Referenced || settings.images == Images::Referenced;
        let out = output::main()?;
        out.write_text(&head(
            doc,
            &settings.title,
            pages != Place::Nowhere,
            settings.boxes,
        ))?;
        Ok(Self {
            out,
            boxes: settings.boxes,
            pages,
            figures,
            asked_for_files,
            contents: Vec::new(),
            count: 0,
            told: false,
        })
    }

    fn page(&mut self, page: &Page) -> Result<()> {
        let info = page.info();
        // A page number is an anchor; documents inside documents may repeat one.
        self.count += 1;
        let number = info.number.max(self.count);
        self.count = number;
        self.out.write_text(&page_start(page, number))?;
        if self.pages != Place::Nowhere {
            self.scan(page, number)?;
        }
        self.article(page, number)?;
        self.out.write_text("</div>\n</section>\n")?;
        Ok(control::checkpoint()?)
    }

    fn finish(self) -> Result<()> {
        self.out.write_text("</main>\n")?;
        if self.contents.len() > 1 {
            self.out.write_text(&contents(&self.contents))?;
        }
        Ok(self.out.write_text("</body>\n</html>\n")?)
    }
}

impl Html {
    fn scan(&mut self, page: &Page, number: u32) -> Result<()> {
        let info = page.info();
        let (width, height) = (info.width.max(1), info.height.max(1));
        self.out.write_text(&format!(
            "<figure class=\"scan\" style=\"aspect-ratio:{width}/{height}\">"
        ))?;
        let alternative = format!("Page {number}");
        let drawn = page.raster().and_then(|raster| {
            let picture = fit(raster)?;
            let name = format!("page-{number}.jpg");
            self.img(&picture, self.pages, &name, PAGE_QUALITY, &alternative)
        });
        if let Err(e) = drawn
            && info.outcome != Outcome::Failed
        {
            // A page that could not be read has no picture, and says so itself.
            self.without(page, "pages are shown without their pictures", e)?;
        }
        self.out.write_text(&overlay::svg(page, number, self.boxes))?;
        Ok(self.out.write_text("</figure>\n")?)
    }

    fn article(&mut self, page: &Page, number: u32) -> Result<()> {
        let lang = language(page.info().language.as_deref());
        let lang = lang.map_or(String::new(), |l| format!(" lang=\"{l}\""));
        self.out
            .write_text(&format!("<article{lang}>\n{}", article::notice(page)))?;
        let (pieces, headings) = article::build(page, number);
        for piece in pieces {
            match piece {
                Piece::Html(html) => self.out.write_text(&html)?,
                Piece::Picture(picture) => self.figure(page, number, &picture)?,
            }
        }
        let room = MOST_HEADINGS.saturating_sub(self.contents.len());
        self.contents.extend(headings.into_iter().take(room));
        Ok(self.out.write_text("</article>\n")?)
    }

    fn figure(&mut self, page: &Page, number: u32, picture: &Picture) -> Result<()> {
        let drawn = match self.figures {
            Place::Nowhere => Ok(false),
            place => page
                .raster()
                .and_then(|r| r.crop(picture.area))
                .and_then(|image| {
                    let name = format!("page-{number}-figure-{}.jpg", picture.span + 1);
                    self.img(&image, place, &name, FIGURE_QUALITY, &picture.caption)
                        .map(|()| true)
                }),
        };
        match drawn {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(e) => self.without(page, "figures are shown without their pictures", e)?,
        }
        Ok(self.out.write_text("<div class=\"missing\">Figure</div>")?)
    }

    /// Writes an `img`. Where the run has no folder for files, the picture goes into the file instead.
    fn img(&self, image: &Image, place: Place, name: &str, quality: u8, alt: &str) -> Result<(), HostError> {
        let (width, height) = (image.width(), image.height());
        let attributes = format!(
            "alt=\"{}\" width=\"{width}\" height=\"{height}\" loading=\"lazy\"",
            escape(alt)
        );
        if place == Place::Referenced {
            match output::create(name, Encoding::Jpeg.media_type()) {
                Ok(file) => {
                    file.write_image(image, Encoding::Jpeg, quality)?;
                    let src = link(&file.name());
                    return self.out.write_text(&format!("<img {attributes} src=\"{src}\">"));
                }
                Err(e) if e.is_denied() && !self.asked_for_files => {}
                Err(e) => return Err(e),
            }
        }
        self.out
            .write_text(&format!("<img {attributes} src=\"data:image/jpeg;base64,"))?;
        let written = self.out.write_image_base64(image, Encoding::Jpeg, quality);
        self.out.write_text("\">")?;
        written.map(|_| ())
    }

    /// Goes on without a picture where one can; says why, once.
    fn without(&mut self, page: &Page, what: &str, why: HostError) -> Result<()> {
        if matches!(why, HostError::Cancelled | HostError::Quota(_)) {
            return Err(why.into());
        }
        if !self.told {
            self.told = true;
            let message = format!("{what}: {}", why.message());
            log::report(
                &Diagnostic::new(Severity::Warning, "picture-omitted", message).on_page(page.info().number),
            );
        }
        Ok(())
    }
}

/// A page's picture at the width it is shown in.
fn fit(raster: Image) -> Result<Image, HostError> {
    let (width, height) = (raster.width(), raster.height());
    if width <= PAGE_WIDTH {
        return Ok(raster);
    }
    let scaled = u64::from(height) * u64::from(PAGE_WIDTH) / u64::from(width);
    raster.resize(PAGE_WIDTH, u32::try_from(scaled).unwrap_or(u32::MAX).max(1))
}

fn head(doc: &DocInfo, title: &str, has_scans: bool, has_boxes: bool) -> String {
    let stated = doc
        .title
        .as_deref()
        .filter(|t| !t.trim().is_empty())
        .unwrap_or(&doc.name);
    let title = escape(if title.trim().is_empty() { stated } else { title });
    let pages = match doc.selected.or(doc.pages) {
        Some(1) => " · 1 page".to_owned(),
        Some(n) => format!(" · {n} pages"),
        None => String::new(),
    };
    let name = if title == escape(&doc.name) {
        pages.trim_start_matches(" · ").to_owned()
    } else {
        escape(&doc.name).into_owned() + &pages
    };
    let switches = if has_scans { SWITCHES } else { NO_SWITCHES };
    let boxes = if has_scans && has_boxes {
        "<label class=\"toggle\" for=\"boxes\">Boxes</label>"
    } else {
        ""
    };
    let views = if has_scans { VIEWS } else { "" };
    format!(
        "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' data: file:; \
         style-src 'unsafe-inline'\">\n<meta name=\"generator\" content=\"ocr-host html-out {version}\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{switches}\
         <header class=\"bar\"><div class=\"name\"><strong>{title}</strong><span>{name}</span></div>{views}{boxes}\
         </header>\n<main>\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

const STYLE: &str = include_str!("style.css");
/// The state of the views; everything else follows by style.
const SWITCHES: &str = "\
<input class=\"switch\" type=\"radio\" name=\"view\" id=\"side\" aria-label=\"Side by side\" checked>\n\
<input class=\"switch\" type=\"radio\" name=\"view\" id=\"text\" aria-label=\"Text only\">\n\
<input class=\"switch\" type=\"radio\" name=\"view\" id=\"sheet\" aria-label=\"Pages only\">\n\
<input class=\"switch\" type=\"checkbox\" id=\"boxes\" aria-label=\"Boxes on pages\" checked>\n\
<input class=\"switch\" type=\"checkbox\" id=\"place\" aria-label=\"Recognised text in place\">\n";
const NO_SWITCHES: &str = "<input class=\"switch\" type=\"radio\" id=\"text\" checked hidden>\n";
const VIEWS: &str = "<div class=\"views\"><label for=\"side\">Side by side</label><label for=\"text\">Text</label>\
                     <label for=\"sheet\">Pages</label></div><label class=\"toggle\" for=\"place\">Text in place</label>";

fn page_start(page: &Page, number: u32) -> String {
    let info = page.info();
    let printed = info.number;
    let engine = if info.engine.is_empty() {
        String::new()
    } else {
        format!("<span>{}</span>", escape(&info.engine))
    };
    format!(
        "<section class=\"page\" id=\"page-{number}\">\n<p class=\"folio\"><a href=\"#page-{number}\">Page {printed}</a>\
         {engine}</p>\n<div class=\"spread\">\n"
    )
}

fn contents(headings: &[Heading]) -> String {
    let entry = |h: &Heading| {
        format!(
            "<li style=\"--d:{}\"><a href=\"#{}\">{}</a></li>\n",
            h.depth,
            h.id,
            escape(&h.text)
        )
    };
    let entries: String = headings.iter().map(entry).collect();
    format!("<nav class=\"contents\" aria-label=\"Contents\"><ol>\n{entries}</ol></nav>\n")
}

ocr_plugin::export_formatter!(Html);

#[cfg(test)]
mod tests;
