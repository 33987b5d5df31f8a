//! Recorded pages: a JSON file with what an engine read of a document, and pictures of the pages beside it if wanted.
//!
//! With a recording a plugin is run without an engine, and sees what it would see after one. The pages themselves are
//! written and read by `ocr_document::RecordedPage`; this is the file around them. One item stands on one line, so that
//! two recordings can be compared.

use crate::exit::{Exit, Failed};
use image::{ImageEncoder, ImageFormat, Limits as ImageLimits};
use ocr_document::{Page, PageImage, PixelFormat, RecordedPage};
use ocr_runtime::DocInfo;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Version of the format.
const FORMAT: u32 = 1;

/// Largest recording that is read.
const FILE_BYTES: u64 = 512 << 20;

/// Most memory that a picture may take to be read.
const RASTER_BYTES: u64 = 512 << 20;

/// Most pages of a recording.
const MOST_PAGES: usize = 100_000;

/// A document as an engine read it.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// As formatters are told of it.
    pub document: DocInfo,
    /// Its pages, each with its picture where that is kept.
    pub pages: Vec<(RecordedPage, Option<PageImage>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RecordedFile {
    recorded_pages: u32,
    #[serde(default)]
    document: Document,
    pages: Vec<RecordedPage>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Document {
    name: String,
    media_type: String,
    pages: Option<u32>,
    selected: Option<u32>,
    sha256: Option<String>,
    title: Option<String>,
}

impl From<&DocInfo> for Document {
    fn from(d: &DocInfo) -> Self {
        Self {
            name: d.name.clone(),
            media_type: d.media_type.clone(),
            pages: d.pages,
            selected: d.selected,
            sha256: d.sha256.clone(),
            title: d.title.clone(),
        }
    }
}

impl Document {
    /// What is left out by hand follows from the pages.
    fn info(self, pages: usize) -> DocInfo {
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let count = Some(pages as u32);
        DocInfo {
            name: or(self.name, "document.pdf"),
            media_type: or(self.media_type, "application/pdf"),
            pages: self.pages.or(count),
            selected: self.selected.or(count),
            sha256: self.sha256,
            title: self.title,
        }
    }
}

impl Recording {
    /// Reads a recording and the pictures that it names.
    pub fn read(path: &Path) -> Result<Self, Failed> {
        let wrong = |why: String| Failed::new(Exit::Input, format!("{}: {why}", path.display()));
        let meta = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?;
        if !meta.is_file() || meta.len() > FILE_BYTES {
            return Err(wrong(format!(
                "it is no file of at most {} MiB",
                FILE_BYTES >> 20
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let file: RecordedFile = serde_json::from_str(&text).map_err(|e| {
            wrong(format!(
                "it is no recording of pages: {e}; `ocr-host plugin record` makes one of a document"
            ))
        })?;
        if file.recorded_pages != FORMAT {
            let why = format!(
                "its format is {}, this program knows {FORMAT}",
                file.recorded_pages
            );
            return Err(wrong(why));
        }
        if file.pages.len() > MOST_PAGES {
            return Err(wrong(format!("it has more than {MOST_PAGES} pages")));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let raster = |page: &RecordedPage| match &page.raster {
            None => Ok(None),
            Some(name) => read_raster(folder, name)
                .map(Some)
                .map_err(|why| wrong(format!("page {}: its picture {name:?}: {why}", page.number))),
        };
        let document = file.document.info(file.pages.len());
        let pages = file.pages.into_iter().map(|page| {
            let raster = raster(&page)?;
            Ok((page, raster))
        });
        Ok(Self {
            document,
            pages: pages.collect::<Result<_, Failed>>()?,
        })
    }

    /// Writes the recording to `path`, and its pictures into `NAME.pages/` beside it.
    pub fn write(&self, path: &Path) -> Result<(), Failed> {
        let failed =
            |path: &Path, why: String| Failed::new(Exit::FileAccess, format!("{}: {why}", path.display()));
        let folder = path.parent().unwrap_or(Path::new(""));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let beside = format!("{stem}.pages");
        let mut pages = Vec::new();
        for (page, raster) in &self.pages {
            let mut page = page.clone();
            page.raster = raster.as_ref().map(|_| format!("{beside}/{}.png", page.number));
            if let (Some(name), Some(raster)) = (&page.raster, raster) {
                let place = folder.join(name);
                let written = std::fs::create_dir_all(folder.join(&beside))
                    .and_then(|()| std::fs::write(&place, png(raster)?));
                written.map_err(|e| failed(&place, e.to_string()))?;
            }
            pages.push(page);
        }
        std::fs::create_dir_all(folder).map_err(|e| failed(folder, e.to_string()))?;
        let text = json(&self.document, &pages);
        std::fs::write(path, text).map_err(|e| failed(path, e.to_string()))
    }

    /// The pages as plugins see them.
    pub fn pages(&self) -> Result<Vec<Arc<Page>>, String> {
        let page = |(index, (page, raster)): (usize, &(RecordedPage, Option<PageImage>))| {
            page.page(index as u32, raster.clone()).map(Arc::new)
        };
        self.pages.iter().enumerate().map(page).collect()
    }
}

/// The text of a recording.
pub fn json(document: &DocInfo, pages: &[RecordedPage]) -> String {
    let mut out = format!("{{\n\"recorded-pages\": {FORMAT},\n\"document\": ");
    out += &value(&Document::from(document)).to_string();
    out += ",\n\"pages\": [";
    for (n, page) in pages.iter().enumerate() {
        out += if n == 0 { "\n" } else { ",\n" };
        match value(page) {
            Value::Object(fields) => write_page(&mut out, &fields),
            other => out += &other.to_string(),
        }
    }
    out += "\n]}\n";
    out
}

fn value(data: &impl Serialize) -> Value {
    serde_json::to_value(data).expect("a recording is plain data")
}

/// A page's fields, lists of parts with one part a line.
fn write_page(out: &mut String, fields: &Map<String, Value>) {
    out.push('{');
    for (n, (name, field)) in fields.iter().enumerate() {
        let _ = write!(out, "{}  \"{name}\": ", if n == 0 { "\n" } else { ",\n" });
        match field {
            Value::Array(parts) if parts.iter().any(|part| part.is_object() || part.is_array()) => {
                out.push('[');
                for (n, part) in parts.iter().enumerate() {
                    let _ = write!(out, "{}    {part}", if n == 0 { "\n" } else { ",\n" });
                }
                out.push_str("\n  ]");
            }
            field => out.push_str(&field.to_string()),
        }
    }
    out.push_str("\n}");
}

fn read_raster(folder: &Path, name: &str) -> Result<PageImage, String> {
    let path = inside(folder, name)?;
    let meta = std::fs::metadata(&path).map_err(|e| e.to_string())?;
    if !meta.is_file() || meta.len() > FILE_BYTES {
        return Err("it is no file that is read".to_owned());
    }
    let mut reader = image::ImageReader::open(&path).map_err(|e| e.to_string())?;
    reader.set_format(ImageFormat::Png);
    let mut limits = ImageLimits::default();
    limits.max_alloc = Some(RASTER_BYTES);
    reader.limits(limits);
    let picture = reader.decode().map_err(|e| e.to_string())?;
    let (width, height) = (picture.width(), picture.height());
    let (format, pixels) = match picture {
        image::DynamicImage::ImageLuma8(gray) => (PixelFormat::Gray8, gray.into_raw()),
        other => (PixelFormat::Rgb8, other.into_rgb8().into_raw()),
    };
    PageImage::new(width, height, format, pixels).map_err(|e| e.to_string())
}

/// A path below a folder that a file names; files of strangers name no others.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = Path::new(name);
    match !name.is_empty() && path.components().all(|c| matches!(c, Component::Normal(_))) {
        true => Ok(folder.join(path)),
        false => Err("it lies outside of the recording's folder".to_owned()),
    }
}

/// A picture as PNG, packed as fast as it goes.
pub fn png(image: &PageImage) -> std::io::Result<Vec<u8>> {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let color = match image.format() {
        PixelFormat::Gray8 => image::ExtendedColorType::L8,
        PixelFormat::Rgb8 => image::ExtendedColorType::Rgb8,
    };
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    let encoded = encoder.write_image(image.pixels(), image.width(), image.height(), color);
    encoded.map_err(std::io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::{PageBuilder, PageInfo, Rect, SpanKind};

    fn recording() -> Recording {
        let mut page = PageBuilder::new(PageInfo::new(0, 3, 4, 2));
        page.push_span(SpanKind::Title, "title", 1, Rect::new(0, 0, 4, 1), None, "Hallo");
        let raster = PageImage::new(4, 2, PixelFormat::Gray8, vec![1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        Recording {
            document: DocInfo {
                name: "a.pdf".into(),
                ..DocInfo::default()
            },
            pages: vec![(RecordedPage::of(&page.finish()), Some(raster))],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/r.json");
        recording().write(&path).unwrap();
        let again = Recording::read(&path).unwrap();
        assert_eq!(again.document.name, "a.pdf");
        let pages = again.pages().unwrap();
        assert_eq!(pages[0].markdown(), "# Hallo\n");
        assert_eq!(pages[0].raster().unwrap().pixels(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(folder.path().join("a/r.pages/3.png").is_file());
    }

    #[test]
    fn a_page_by_hand_is_a_recording() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        let text =
            r#"{"recorded-pages": 1, "pages": [{"number": 1, "spans": [{"kind": "title", "text": "A"}]}]}"#;
        std::fs::write(&path, text).unwrap();
        let read = Recording::read(&path).unwrap();
        assert_eq!(
            (read.document.selected, read.document.media_type.as_str()),
            (Some(1), "application/pdf")
        );
        for (from, to, words) in [
            (
                "\"number\": 1",
                "\"number\": 1, \"raster\": \"../x.png\"",
                "outside",
            ),
            (
                "\"number\": 1",
                "\"number\": 1, \"raster\": \"/etc/passwd\"",
                "outside",
            ),
            (
                "\"recorded-pages\": 1",
                "\"recorded-pages\": 2",
                "its format is 2",
            ),
            ("\"title\"", "\"titel\"", "unknown variant `titel`"),
            ("\"kind\"", "\"knid\"", "line 1"),
        ] {
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let error = format!("{:#}", Recording::read(&path).unwrap_err().error);
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
