//! The engine itself: detect, turn upright, read, assemble.

use crate::EngineError;
use crate::assemble::assemble;
use crate::detect::detect;
use crate::models::{Models, Wanted, Weights};
use crate::orientation::{Decision, decide};
use crate::reading::{Reading, read};
use crate::workers::Workers;
use ocr_document::{Affine, Diagnostic, Outcome, Page, PageBuilder, PageImage, PageInfo, Quad, Severity};
use ocr_engine::{Control, PageJob, RecognizeError, Recognizer};
use std::path::PathBuf;
use std::time::Instant;

/// Default of [`Options::rescue_below`]: on 40 receipts word F1 is 0.940 at 0.95, 0.954 at 0.97 and 0.955 at 0.98, for
/// two to three times the time of pages without rescue.
const RESCUE_BELOW: f32 = 0.98;

/// How to make an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where the weights come from.
    pub weights: Weights,
    /// Cores to use, shared by all pages under way.
    pub threads: usize,
    /// The small recogniser (`PP-OCRv6_rec_small.onnx`) that re-reads lines of low confidence.
    pub rescue: Option<PathBuf>,
    /// Lines below this confidence are re-read by the small recogniser, 0 ..= 1.
    pub rescue_below: f32,
    /// Find headings, tables, figures, captions and running heads.
    pub layout: bool,
    /// Read the structure of tables (needs `layout`).
    pub tables: bool,
    /// Turn pages that lie on their side or upside down.
    pub orientation: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            rescue: None,
            rescue_below: RESCUE_BELOW,
            layout: true,
            tables: true,
            orientation: true,
        }
    }
}

/// PP-OCRv6 tiny with layout and tables, on the CPU. Cheap to share, made once.
pub struct Ppocr {
    models: Models,
    workers: Workers,
    options: Options,
}

impl Ppocr {
    /// Loads the networks.
    pub fn new(options: Options) -> Result<Self, EngineError> {
        let wanted = Wanted {
            layout: options.layout,
            tables: options.tables,
            rescue: options.rescue.as_deref(),
        };
        let models = Models::load(&options.weights, wanted)?;
        Ok(Self {
            models,
            workers: Workers::new(options.threads),
            options,
        })
    }

    /// Detects lines and turns the page upright; answers quarter turns, the upright page, its quads and what was
    /// read on the way.
    fn upright(
        &self,
        job: &PageJob,
        control: &Control,
        page: &mut PageBuilder,
    ) -> Result<Upright, RecognizeError> {
        let find = |image: &PageImage, page: &mut PageBuilder| {
            control.check()?;
            let started = Instant::now();
            let quads = detect(&self.models.detector, image, self.workers.all()).map_err(model_error)?;
            page.time("detect", started.elapsed());
            Ok::<Vec<Quad>, RecognizeError>(quads)
        };
        let quads = find(&job.image, page)?;
        if !self.options.orientation {
            return Ok(Upright {
                image: job.image.clone(),
                quads,
                decision: Decision {
                    quarters: 0,
                    read: Vec::new(),
                },
            });
        }
        let started = Instant::now();
        let decision =
            decide(&self.models.reader, &job.image, &quads, &self.workers, control).map_err(model_error)?;
        page.time("orientation", started.elapsed());
        if decision.quarters == 0 {
            return Ok(Upright {
                image: job.image.clone(),
                quads,
                decision,
            });
        }
        let image = job.image.rotate(decision.quarters);
        let quads = find(&image, page)?;
        Ok(Upright {
            image,
            quads,
            decision: Decision {
                read: Vec::new(),
                ..decision
            },
        })
    }
}

/// A page the right way up.
struct Upright {
    image: PageImage,
    quads: Vec<Quad>,
    decision: Decision,
}

impl Recognizer for Ppocr {
    fn name(&self) -> String {
        if self.options.rescue.is_some() {
            "ppocr/tiny+small".into()
        } else {
            "ppocr/tiny".into()
        }
    }

    fn recognize(&self, job: &PageJob, control: &Control) -> Result<Page, RecognizeError> {
        let mut page = PageBuilder::new(job.info());
        page.info_mut().engine = self.name();
        let Upright {
            image,
            quads,
            decision,
        } = self.upright(job, control, &mut page)?;
        turn_info(page.info_mut(), decision.quarters);
        let reading = read(
            &self.models,
            &image,
            &quads,
            decision.read,
            self.options.rescue_below,
            &self.workers,
            control,
        );
        let overdue = match control.check() {
            Err(RecognizeError::Cancelled) => return Err(RecognizeError::Cancelled),
            Err(error) if reading.lines.is_empty() => return Err(error),
            overdue => overdue.is_err(),
        };
        report(&reading, overdue, job.number, page.info_mut());
        reading.times.iter().for_each(|&(stage, spent)| {
            page.time(stage, spent);
        });
        let started = Instant::now();
        assemble(reading, job.number, &image, &mut page);
        page.time("assemble", started.elapsed());
        page.raster(image);
        Ok(page.finish())
    }
}

fn model_error(error: EngineError) -> RecognizeError {
    RecognizeError::Model(error.to_string())
}

/// Describes the page as displayed: width and height, in px and in points, swap under a quarter turn, and areas
/// still map to the points of the page in its source.
fn turn_info(info: &mut PageInfo, quarters: u8) {
    info.to_source = Affine::undo_quarter_turns(quarters, info.width, info.height).then(&info.to_source);
    if quarters % 2 == 1 {
        std::mem::swap(&mut info.width, &mut info.height);
        std::mem::swap(&mut info.width_points, &mut info.height_points);
    }
}

/// Says what was left out, so that nothing is lost silently.
fn report(reading: &Reading, overdue: bool, number: u32, info: &mut PageInfo) {
    let mut say = |severity, code: &str, message: String| {
        info.diagnostics
            .push(Diagnostic::new(severity, code, message).on_page(number));
    };
    if reading.dropped > 0 {
        let message = format!(
            "{} lines read with confidence below 0.5 were left out",
            reading.dropped
        );
        say(Severity::Note, "low-confidence-lines", message);
    }
    for failure in &reading.failures {
        say(Severity::Warning, "network-failed", failure.to_string());
    }
    if overdue || reading.unread > 0 {
        let message = format!("{} lines were not read; allow the page more time", reading.unread);
        say(Severity::Warning, "page-truncated", message);
        info.outcome = Outcome::Truncated;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_page_maps_to_its_source() {
        let mut info = PageInfo::new(0, 1, 300, 200);
        (info.width_points, info.height_points) = (150.0, 100.0);
        info.to_source = Affine::raster_to_points(300, 200, 150.0, 100.0);
        turn_info(&mut info, 1);
        assert_eq!(
            (info.width, info.height, info.width_points, info.height_points),
            (200, 300, 100.0, 150.0)
        );
        // The top right of the upright page was the top left of the source.
        assert_eq!(info.to_source.apply(200.0, 0.0), (0.0, 100.0));
    }

    #[test]
    fn what_was_left_out_is_said() {
        let mut info = PageInfo::new(0, 1, 3, 3);
        report(&Reading::default(), false, 1, &mut info);
        assert!(info.diagnostics.is_empty() && info.outcome == Outcome::Complete);
        let reading = Reading {
            dropped: 2,
            unread: 1,
            ..Reading::default()
        };
        report(&reading, true, 1, &mut info);
        let codes: Vec<&str> = info.diagnostics.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(codes, ["low-confidence-lines", "page-truncated"]);
        assert_eq!(info.outcome, Outcome::Truncated);
    }
}
