//! `ocr`: regions that the host's engine reads again.

use super::super::convert::all;
use super::super::imports::ocr;
use super::super::imports::types::{self, HostError};
use super::Answer;
use crate::limits::{HOST_TIME, Quota};
use crate::services::{Recognition, Region, RegionError, RegionTask, Until};
use crate::state::{ImageHandle, State};
use ocr_document::Rect;
use wasmtime::component::Resource;

/// Most regions of one call.
const MAX_REGIONS: usize = 256;

/// Longest hint, bytes.
const HINT_BYTES: usize = 1024;

type Read = std::result::Result<ocr::Recognition, HostError>;

impl ocr::Host for State {
    fn recognize(&mut self, img: Resource<ImageHandle>, regions: Vec<ocr::Region>) -> Answer<Vec<Read>> {
        self.enter()?;
        if !self.grants.ocr_recognize {
            return super::not_granted("ocr.recognize");
        }
        let Some(service) = self.services.ocr.clone() else {
            return Ok(Err(HostError::Denied(
                "there is no engine here that reads regions".into(),
            )));
        };
        if regions.len() > MAX_REGIONS {
            let why = format!(
                "{} regions are more than the {MAX_REGIONS} of one call",
                regions.len()
            );
            return Ok(Err(HostError::Invalid(why)));
        }
        if let Err(used) = self.services.take_regions(regions.len() as u64, self.limits.gpu) {
            return Ok(Err(self.quota_used(Quota::Gpu, self.limits.gpu, used)));
        }
        let view = match self.view(&img)? {
            Ok(view) => view,
            Err(error) => return Ok(Err(error)),
        };
        let mut wanted = Vec::new();
        // Where each region's answer comes from: the engine's next one, or why it is not asked.
        let asked: Vec<std::result::Result<(), HostError>> = regions
            .into_iter()
            .map(|region| checked(region, view.bounds()).map(|region| wanted.push(region)))
            .collect();
        let until = Until {
            cancel: self.cancel.clone(),
            // Some time is left to the plugin for what comes behind.
            deadline: self.meter.started + self.limits.time.saturating_mul(HOST_TIME) - self.limits.time / 2,
        };
        let read = match wanted.is_empty() {
            true => Vec::new(),
            false => self.on_host_time(|_| service.read(&view, &wanted, &until)),
        };
        if self.cancel.is_cancelled() {
            return Ok(Err(HostError::Cancelled));
        }
        let bytes: u64 = read
            .iter()
            .flatten()
            .map(|r| (r.text.len() + 80 * r.spans.len()) as u64)
            .sum();
        if let Err(error) = self.admit_call_bytes(bytes) {
            return Ok(Err(error));
        }
        let mut read = read.into_iter();
        let answers = asked.into_iter().map(|asked| {
            asked?;
            match read.next() {
                Some(Ok(recognition)) => Ok((&recognition).into()),
                Some(Err(RegionError::Cancelled)) => Err(HostError::Cancelled),
                Some(Err(RegionError::Failed(why))) => Err(HostError::Failed(why)),
                None => Err(HostError::Failed("the engine gave no answer".into())),
            }
        });
        Ok(Ok(answers.collect()))
    }
}

/// A region as the engine takes it.
fn checked(region: ocr::Region, image: Rect) -> std::result::Result<Region, HostError> {
    let invalid = |why: String| Err(HostError::Invalid(why));
    let types::Rect { x0, y0, x1, y1 } = region.area;
    let area = match x0 <= x1 && y0 <= y1 {
        true => Rect::new(x0, y0, x1, y1).intersect(&image),
        false => return invalid(format!("the area ({x0}, {y0}) to ({x1}, {y1}) is inverted")),
    };
    if area.is_empty() {
        return invalid(format!(
            "nothing of the area ({x0}, {y0}) to ({x1}, {y1}) is in the image"
        ));
    }
    let task = match region.task {
        ocr::Task::Text => RegionTask::Text,
        ocr::Task::Markdown => RegionTask::Markdown,
        ocr::Task::Table => RegionTask::Table,
        ocr::Task::Formula => RegionTask::Formula,
        ocr::Task::Figure => RegionTask::Figure,
        ocr::Task::Locate => RegionTask::Locate,
        ocr::Task::Describe => RegionTask::Describe,
    };
    let takes_hint = matches!(task, RegionTask::Text | RegionTask::Markdown | RegionTask::Locate);
    match &region.hint {
        Some(hint) if hint.len() > HINT_BYTES => {
            return invalid(format!("the hint has {} bytes, over {HINT_BYTES}", hint.len()));
        }
        Some(_) if !takes_hint => return invalid("a hint is for text, markdown and locate".into()),
        None if task == RegionTask::Locate => {
            return invalid("locate needs the words to look for as its hint".into());
        }
        _ => {}
    }
    Ok(Region {
        area,
        task,
        hint: region.hint,
    })
}

impl From<&Recognition> for ocr::Recognition {
    fn from(read: &Recognition) -> Self {
        Self {
            text: read.text.clone(),
            spans: all(&read.spans),
            tokens: read.tokens,
        }
    }
}
