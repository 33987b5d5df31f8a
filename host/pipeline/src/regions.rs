//! `ocr.recognize` over the document's own engine: regions are cut out, queued all at once among the pages, and put back
//! in the image's own pixels.

use crate::gate::Gate;
use ocr_document::{Outcome, Page, PageImage, Rect, Slice, Span, SpanKind};
use ocr_engine::{EngineHandle, LayerTrust, PageJob, RegionTask as Task, Tenant};
use ocr_runtime::services::{ReadRegions, Recognition, Region, RegionError, RegionTask, Until};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Resolution that a region is said to have; nobody knows it, and it only sizes what has no pixels.
const DPI: f32 = 150.0;

/// Reads regions on an engine.
pub(crate) struct EngineRegions {
    pub(crate) engine: EngineHandle,
    /// Whose document it is.
    pub(crate) tenant: Tenant,
    /// Counts regions over several documents.
    pub(crate) gate: Arc<dyn Gate>,
    /// How long one region may take.
    pub(crate) time_limit: Duration,
}

impl ReadRegions for EngineRegions {
    fn read(
        &self,
        image: &PageImage,
        regions: &[Region],
        until: &Until,
    ) -> Vec<Result<Recognition, RegionError>> {
        if let Err(why) = self.gate.regions(regions.len() as u64) {
            let refused = |_: &Region| Err(RegionError::Failed(why.message.clone()));
            return regions.iter().map(refused).collect();
        }
        let tickets: Vec<_> = regions
            .iter()
            .map(|region| {
                let part = image
                    .crop(region.area)
                    .map_err(|e| RegionError::Failed(e.to_string()))?;
                let job = self.job(part, until);
                let ticket = self.engine.submit_region(job, task(region), || until.is_over());
                ticket.ok_or_else(|| over(until))
            })
            .collect();
        let answers = tickets.into_iter().zip(regions).map(|(ticket, region)| {
            let page = ticket?.wait(|| until.is_over());
            let page = page.ok_or_else(|| RegionError::Failed("the engine has stopped".into()))?;
            answer(&page, region, until)
        });
        answers.collect()
    }
}

impl EngineRegions {
    fn job(&self, image: PageImage, until: &Until) -> PageJob {
        let points = |px: u32| px as f32 * 72.0 / DPI;
        PageJob {
            index: 0,
            number: 1,
            size_points: (points(image.width()), points(image.height())),
            image,
            dpi: DPI,
            text_layer: None,
            trust: LayerTrust::default(),
            diagnostics: Vec::new(),
            time_limit: self
                .time_limit
                .min(until.deadline.saturating_duration_since(Instant::now())),
            tenant: self.tenant.clone(),
        }
    }
}

/// Why a region was not read in time.
fn over(until: &Until) -> RegionError {
    match until.cancel.is_cancelled() {
        true => RegionError::Cancelled,
        false => RegionError::Failed(
            "the call's time was over before it was read; hand over fewer regions, or raise --plugin-limit time".into(),
        ),
    }
}

fn task(region: &Region) -> Task {
    match region.task {
        RegionTask::Text => Task::Text(region.hint.clone()),
        RegionTask::Markdown => Task::Markdown,
        RegionTask::Table => Task::Table,
        RegionTask::Formula => Task::Formula,
        RegionTask::Figure => Task::Figure,
        RegionTask::Locate => Task::Locate(region.hint.clone().unwrap_or_default()),
        RegionTask::Describe => Task::Describe,
    }
}

/// What the engine's page says of the region.
fn answer(page: &Page, region: &Region, until: &Until) -> Result<Recognition, RegionError> {
    if page.info().outcome == Outcome::Failed {
        if until.is_over() {
            return Err(over(until));
        }
        let said = page.info().diagnostics.last().map(|d| d.message.clone());
        return Err(RegionError::Failed(
            said.unwrap_or_else(|| "it could not be read".into()),
        ));
    }
    let mut text = String::new();
    let mut spans = Vec::new();
    match region.task {
        RegionTask::Markdown => {
            text.push_str(page.markdown());
            for anchor in page.anchors() {
                let slice = Slice {
                    start: anchor.start,
                    len: anchor.len,
                };
                spans.push((&page.spans()[anchor.span as usize], slice));
            }
        }
        RegionTask::Table | RegionTask::Formula => {
            let (kind, what) = match region.task {
                RegionTask::Table => (SpanKind::Table, "table"),
                _ => (SpanKind::Formula, "formula"),
            };
            for at in page.reading_order() {
                let span = &page.spans()[at];
                let markup = page.text_of(span.markup);
                if span.kind == kind && !markup.is_empty() {
                    spans.push((span, push(&mut text, markup)));
                }
            }
            if spans.is_empty() {
                return Err(RegionError::Failed(format!("no {what} was found in it")));
            }
        }
        _ => {
            for at in page.reading_order() {
                let span = &page.spans()[at];
                spans.push((span, push(&mut text, page.text_of(span.text))));
            }
        }
    }
    let spans = spans.into_iter().enumerate();
    Ok(Recognition {
        spans: spans
            .map(|(order, (span, text))| placed(span, order as u32, text, region.area))
            .collect(),
        text,
        tokens: page.tokens().unwrap_or(0),
    })
}

/// Adds a block's text, on a line of its own.
fn push(text: &mut String, more: &str) -> Slice {
    if !text.is_empty() {
        text.push('\n');
    }
    let start = text.len() as u32;
    text.push_str(more);
    Slice {
        start,
        len: more.len() as u32,
    }
}

/// A block of the region in the pixels of the image around it.
fn placed(span: &Span, order: u32, text: Slice, region: Rect) -> Span {
    let shift = |area: Rect| {
        Rect {
            x0: area.x0 + region.x0,
            y0: area.y0 + region.y0,
            x1: area.x1 + region.x0,
            y1: area.y1 + region.y0,
        }
        .intersect(&region)
    };
    Span {
        label: 0,
        order,
        // Blocks of a region stand for themselves.
        parent: None,
        area: shift(span.area),
        text,
        markup: Slice {
            start: text.start + text.len,
            len: 0,
        },
        ..span.clone()
    }
}
