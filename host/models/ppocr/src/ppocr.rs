//! The engine itself: detect, turn upright, read, assemble.

use crate::EngineError;
use crate::assemble::assemble;
use crate::detect::detect;
use crate::layer::{Covered, agrees, cover, sample};
use crate::layout::{Region, RegionKind};
use crate::models::{Models, Wanted, Weights};
use crate::orientation::{Decision, decide, read_lines};
use crate::reading::{Known, Reading, read};
use crate::recognize::TextLine;
use crate::workers::Workers;
use ocr_document::{Affine, Diagnostic, Outcome, Page, PageBuilder, PageImage, PageInfo, Quad, Severity};
use ocr_engine::{Control, LayerTrust, PageJob, RecognizeError, Recognizer, RegionTask};
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

impl Ppocr {
    /// The lines that are known before the page is read: those of the text that it carries, where that is believed,
    /// beside those that were `read` on the way. Says which it was.
    #[allow(clippy::too_many_arguments)]
    fn believe(
        &self,
        covered: Covered,
        mut read: Vec<(usize, TextLine)>,
        image: &PageImage,
        quads: &[Quad],
        job: &PageJob,
        control: &Control,
        page: &mut PageBuilder,
    ) -> Result<Vec<(usize, TextLine)>, RecognizeError> {
        if covered.lines.is_empty() {
            return Ok(read);
        }
        if job.trust == LayerTrust::Sample {
            let lines: Vec<usize> = sample(&covered.lines, &read)
                .into_iter()
                .map(|at| covered.lines[at].0)
                .collect();
            let more = read_lines(&self.models.reader, image, quads, &lines, &self.workers, control);
            read.extend(more.map_err(model_error)?);
            if !agrees(&covered.lines, &read) {
                let message = "the text that it carries does not say what is seen; the page was read";
                let said = Diagnostic::new(Severity::Note, "text-layer-disagrees", message);
                page.info_mut().diagnostics.push(said.on_page(job.number));
                return Ok(read);
            }
        }
        if covered.loose > 0 {
            let message = format!(
                "{} words of the text that it carries lie on nothing that can be seen and were left out",
                covered.loose
            );
            let said = Diagnostic::new(Severity::Note, "text-layer-unseen", message);
            page.info_mut().diagnostics.push(said.on_page(job.number));
        }
        page.info_mut().engine = format!("text-layer+{}", self.name());
        let is_covered = |n: usize| covered.lines.iter().any(|(k, _)| *k == n);
        read.retain(|(n, _)| !is_covered(*n));
        read.extend(covered.lines.iter().cloned());
        Ok(read)
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
        let quarters = decision.quarters;
        let known = match &job.text_layer {
            None => decision.read,
            Some(layer) => {
                let started = Instant::now();
                let covered = cover(layer, &quads, quarters, (image.width(), image.height()));
                let known = self.believe(covered, decision.read, &image, &quads, job, control, &mut page)?;
                page.time("text-layer", started.elapsed());
                known
            }
        };
        let reading = read(
            &self.models,
            &image,
            &quads,
            Known {
                lines: known,
                layout: None,
            },
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

    fn read_region(
        &self,
        job: &PageJob,
        task: &RegionTask,
        control: &Control,
    ) -> Result<Page, RecognizeError> {
        let whole = |kind| Region {
            kind,
            area: job.image.bounds(),
            confidence: 1.0,
        };
        let laid_out = match task {
            RegionTask::Markdown => None,
            RegionTask::Text(_) => Some(Vec::new()),
            RegionTask::Table if self.models.tables.is_some() => Some(vec![whole(RegionKind::Table)]),
            task => {
                return Err(RecognizeError::Model(format!(
                    "{} reads text, markdown and tables, and can't do `{}`",
                    self.name(),
                    task.name()
                )));
            }
        };
        let mut page = PageBuilder::new(job.info());
        page.info_mut().engine = self.name();
        control.check()?;
        let mut quads = detect(&self.models.detector, &job.image, self.workers.all()).map_err(model_error)?;
        if quads.is_empty() {
            // Cut close to its letters, a line has no margin that would tell it from a picture.
            quads.push(Quad::from_rect(job.image.bounds()));
        }
        let reading = read(
            &self.models,
            &job.image,
            &quads,
            Known {
                lines: Vec::new(),
                layout: laid_out,
            },
            self.options.rescue_below,
            &self.workers,
            control,
        );
        control.check()?;
        report(&reading, false, job.number, page.info_mut());
        assemble(reading, job.number, &job.image, &mut page);
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
