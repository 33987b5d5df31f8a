//! `--compat deepseek`: the files that DeepSeek-OCR's own scripts write, page by page, beside or instead of formatters.
//!
//! What is written down is `ocr_model_deepseek::compat`'s affair; here it becomes files, pictures and a PDF. Which
//! script's files it are follows from the input: one image, several images, or documents with pages.

mod canvas;
mod layouts;
mod untagged;

use canvas::{Canvas, Colour};
use layouts::Layouts;
use ocr_document::Page;
use ocr_model_deepseek::compat::{Outline, Script, page as page_files};
use ocr_pipeline::{Failure, PageSink, SinkPlan};
use ocr_runtime::{DocInfo, TreeOutput};
use std::fs::File;
use std::io::{self, BufWriter, Write};

/// Outlines of titles and of all else, px; the fill's alpha. As the scripts draw.
const TITLE_PX: u32 = 4;
const OUTLINE_PX: u32 = 2;
const FILL_ALPHA: u8 = 20;

/// Writes DeepSeek's files for the documents of a run.
pub struct Deepseek {
    /// Whether the run has several documents.
    pub several: bool,
    /// Extensions of the formatters beside it, whose files are not to be met.
    pub taken: Vec<String>,
}

impl SinkPlan for Deepseek {
    fn id(&self) -> &str {
        "deepseek"
    }

    fn open(&self, document: &DocInfo, name: &str, output: TreeOutput) -> Result<Box<dyn PageSink>, Failure> {
        let is_image = document.media_type.starts_with("image/") && document.pages == Some(1);
        let (script, folder) = match (is_image, self.several) {
            (true, false) => (Script::Image, String::new()),
            (true, true) => (Script::Batch, String::new()),
            (false, false) => (Script::Pdf, String::new()),
            // Each document's pictures are called alike, so each has a folder.
            (false, true) => (Script::Pdf, format!("{name}/")),
        };
        let (text, tagged) = match script {
            Script::Image | Script::Transformers => ("result.mmd".to_owned(), "result_ori.mmd".to_owned()),
            Script::Pdf => (format!("{name}.mmd"), format!("{name}_det.mmd")),
            Script::Batch => (format!("{name}.md"), format!("{name}_det.md")),
        };
        let mut formatted = self.taken.iter().map(|extension| format!("{name}.{extension}"));
        if let Some(both) = formatted.find(|file| folder.is_empty() && (*file == text || *file == tagged)) {
            let why = format!("a formatter and --compat deepseek both write {both}; leave one of them out");
            return Err(Failure::new("output", why));
        }
        let create = |file: &str| output.create(&format!("{folder}{file}")).map_err(|e| failed(&e));
        Ok(Box::new(Writer {
            text: create(&text)?,
            tagged: create(&tagged)?,
            layouts: match script {
                Script::Pdf => {
                    let file = create(&format!("{name}_layouts.pdf"))?;
                    Some(Layouts::new(file).map_err(|e| failed(&e))?)
                }
                _ => None,
            },
            script,
            folder,
            output,
        }))
    }
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new("output", format!("--compat deepseek: {error}"))
}

/// One document's files.
struct Writer {
    script: Script,
    output: TreeOutput,
    /// Where its files lie in `output`; empty or with a slash at its end.
    folder: String,
    text: BufWriter<File>,
    tagged: BufWriter<File>,
    layouts: Option<Layouts<BufWriter<File>>>,
}

impl Writer {
    fn write(&mut self, page: &Page) -> io::Result<()> {
        let info = page.info();
        let raster = page.raster();
        let (width, height) = raster.map_or((info.width, info.height), |r| (r.width(), r.height()));
        // What processors have changed is in the page and not in what the model wrote.
        let raw = match page.raw() {
            raw if !raw.is_empty() && !page.is_edited() => raw.to_owned(),
            _ => untagged::raw(page, width, height),
        };
        // The scripts count pages from 0.
        let files = page_files(self.script, &raw, info.number - 1, width, height);
        self.text.write_all(files.text.as_bytes())?;
        self.tagged.write_all(files.tagged.as_bytes())?;
        for crop in &files.crops {
            let Some(part) = raster.and_then(|r| r.crop(crop.area).ok()) else {
                continue;
            };
            self.file(&crop.file)?.write_all(&Canvas::of(&part).jpeg()?)?;
        }
        if self.script == Script::Batch {
            return Ok(());
        }
        let mut canvas = raster.map_or_else(|| Canvas::blank(width, height), Canvas::of);
        draw(&mut canvas, info.number, &files.outlines);
        let jpeg = canvas.jpeg()?;
        match &mut self.layouts {
            Some(layouts) => layouts.page(&jpeg, (width, height), (info.width_points, info.height_points)),
            None => self.file("result_with_boxes.jpg")?.write_all(&jpeg),
        }
    }

    fn file(&self, name: &str) -> io::Result<BufWriter<File>> {
        self.output.create(&format!("{}{name}", self.folder))
    }
}

impl PageSink for Writer {
    fn page(&mut self, page: &Page) -> Result<(), Failure> {
        self.write(page).map_err(|e| failed(&e))
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        let flushed = self.text.flush().and_then(|()| self.tagged.flush());
        let layouts = self.layouts.take().map_or(Ok(()), Layouts::finish);
        flushed.and(layouts).map_err(|e| failed(&e))
    }
}

/// Draws the boxes, each element in a colour of its own, then the labels, so that no box hides one.
fn draw(canvas: &mut Canvas, page: u32, outlines: &[Outline]) {
    for outline in outlines {
        let colour = colour(page, outline.element);
        let px = if outline.label == "title" {
            TITLE_PX
        } else {
            OUTLINE_PX
        };
        canvas.fill(outline.area, colour, FILL_ALPHA);
        canvas.frame(outline.area, colour, px);
    }
    for outline in outlines {
        canvas.label(outline.area, &outline.label, colour(page, outline.element));
    }
}

/// A colour that is random to the eye and the same in every run; dark enough on white.
fn colour(page: u32, element: usize) -> Colour {
    // One step of SplitMix64.
    let seed = (u64::from(page) << 32) ^ element as u64;
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let [red, green, blue, ..] = (z ^ (z >> 31)).to_le_bytes();
    [red % 200, green % 200, blue]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocr_document::{Outcome, PageBuilder, PageImage, PageInfo, PixelFormat};
    use ocr_runtime::DocumentOutput;
    use std::collections::{BTreeMap, HashSet};
    use std::path::Path;

    const RAW: &str = "<|ref|>title<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\n# A\n\n<|ref|>image<|/ref|><|det|>[[100, 300, 500, 600]]<|/det|>\n";

    fn page(number: u32, raw: &str) -> Page {
        let mut page = PageBuilder::new(PageInfo::new(number - 1, number, 200, 300));
        page.raw(raw);
        page.raster(PageImage::new(200, 300, PixelFormat::Rgb8, vec![255; 200 * 300 * 3]).unwrap());
        page.finish()
    }

    /// As a page comes that could not be drawn.
    fn unread(number: u32) -> Page {
        let mut info = PageInfo::new(number - 1, number, 612, 792);
        info.outcome = Outcome::Failed;
        PageBuilder::new(info).finish()
    }

    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_dir() {
                let below = files(&entry.path()).into_iter();
                found.extend(below.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
            } else {
                found.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
        found
    }

    fn written(media_type: &str, several: bool, pages: &[Page]) -> BTreeMap<String, Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let output = DocumentOutput::begin(folder.path(), "a.b").unwrap();
        let plan = Deepseek {
            several,
            taken: vec!["html".into()],
        };
        let document = DocInfo {
            media_type: media_type.into(),
            pages: Some(pages.len() as u32),
            ..DocInfo::default()
        };
        let tree = output.tree(plan.id()).unwrap();
        let mut sink = plan.open(&document, "a.b", tree).unwrap();
        for page in pages {
            sink.page(page).unwrap();
        }
        sink.finish().unwrap();
        output.commit(&HashSet::new()).unwrap();
        files(folder.path())
    }

    fn names(files: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
        files.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_pdf_has_the_pdf_scripts_files_with_true_page_numbers() {
        let files = written("application/pdf", false, &[page(1, ""), unread(2), page(3, RAW)]);
        let expected = ["a.b.mmd", "a.b_det.mmd", "a.b_layouts.pdf", "images/2_0.jpg"];
        assert_eq!(names(&files), expected);
        let text = String::from_utf8(files["a.b.mmd"].clone()).unwrap();
        assert_eq!(text.matches("<--- Page Split --->").count(), 3, "{text}");
        assert!(
            text.contains("# A") && text.contains("![](images/2_0.jpg)"),
            "{text}"
        );
        let tagged = String::from_utf8(files["a.b_det.mmd"].clone()).unwrap();
        assert!(tagged.contains(RAW), "{tagged}");
        let crop = image::load_from_memory(&files["images/2_0.jpg"]).unwrap();
        assert_eq!((crop.width(), crop.height()), (80, 90));
    }

    #[test]
    fn one_image_has_the_image_scripts_files() {
        let files = written("image/png", false, &[page(1, RAW)]);
        let expected = [
            "images/0.jpg",
            "result.mmd",
            "result_ori.mmd",
            "result_with_boxes.jpg",
        ];
        assert_eq!(names(&files), expected);
        assert_eq!(files["result_ori.mmd"], RAW.as_bytes());
        let drawn = image::load_from_memory(&files["result_with_boxes.jpg"])
            .unwrap()
            .into_rgb8();
        assert_eq!(drawn.dimensions(), (200, 300));
        // The title's outline is 4 px: its left edge begins at int(100 / 999 * 200) = 20.
        let dark = |x: u32| drawn.get_pixel(x, 45).0.iter().any(|&c| c < 215);
        assert_eq!([16, 21, 22, 27].map(dark), [false, true, true, false]);
    }

    #[test]
    fn several_documents_do_not_meet() {
        let image = written("image/png", true, &[page(1, RAW)]);
        assert_eq!(names(&image), ["a.b.md", "a.b_det.md"]);
        let pdf = written("application/pdf", true, &[page(1, RAW)]);
        let expected = [
            "a.b/a.b.mmd",
            "a.b/a.b_det.mmd",
            "a.b/a.b_layouts.pdf",
            "a.b/images/0_0.jpg",
        ];
        assert_eq!(names(&pdf), expected);
    }

    #[test]
    fn a_formatter_of_the_same_name_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let output = DocumentOutput::begin(folder.path(), "a").unwrap();
        let plan = Deepseek {
            several: true,
            taken: vec!["md".into()],
        };
        let image = DocInfo {
            media_type: "image/png".into(),
            pages: Some(1),
            ..DocInfo::default()
        };
        let refused = plan
            .open(&image, "a", output.tree("deepseek").unwrap())
            .err()
            .unwrap();
        assert!(refused.message.contains("both write a.md"), "{}", refused.message);
    }
}
