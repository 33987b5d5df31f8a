//! Reads an upright page: its lines, its regions and its tables, as tasks over all cores.
//!
//! The layout is the longest task and goes first; the tables it finds go next; lines fill the other cores. A page
//! that is overdue keeps what was read.

use crate::EngineError;
use crate::detect::turned;
use crate::layout::{Region, RegionKind, regions};
use crate::models::Models;
use crate::recognize::TextLine;
use crate::structure::Grid;
use crate::workers::Workers;
use ocr_document::{PageImage, Quad};
use ocr_engine::Control;
use rten::ThreadPool;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Lines below this confidence are noise and are dropped.
const DROP_BELOW: f32 = 0.5;
/// Lines below this are read turned over as well.
const TURN_BELOW: f32 = 0.6;
/// The second recogniser's reading is kept unless it is less sure by more than this.
const RESCUE_MARGIN: f32 = 0.02;

/// Everything that was read on a page.
#[derive(Default)]
pub(crate) struct Reading {
    /// Lines that are sure enough, in no particular order.
    pub lines: Vec<TextLine>,
    /// Lines that were dropped because they read badly.
    pub dropped: usize,
    /// Lines that were not read because time was up.
    pub unread: usize,
    /// Best first.
    pub regions: Vec<Region>,
    /// Grids of regions, by index.
    pub grids: Vec<(usize, Grid)>,
    /// Networks that failed, and why.
    pub failures: Vec<EngineError>,
    /// Time spent on each stage, summed over cores.
    pub times: Vec<(&'static str, Duration)>,
}

enum Task {
    Layout,
    Table(usize, Region),
    Line(Quad),
}

/// What is known of a page before it is read.
#[derive(Default)]
pub(crate) struct Known {
    /// Lines read before, by the number of their quad.
    pub lines: Vec<(usize, TextLine)>,
    /// The layout, where it need not be looked for.
    pub layout: Option<Vec<Region>>,
}

/// Reads the lines in `quads`, and the layout where there is a network for it and it is not known already.
pub(crate) fn read(
    models: &Models,
    image: &PageImage,
    quads: &[Quad],
    known: Known,
    rescue_below: f32,
    workers: &Workers,
    control: &Control,
) -> Reading {
    let Known {
        lines: known,
        layout: laid_out,
    } = known;
    let is_known = |n: &usize| known.iter().any(|(k, _)| k == n);
    let unknown = (0..quads.len())
        .filter(|n| !is_known(n))
        .map(|n| Task::Line(quads[n]));
    let layout = (laid_out.is_none() && models.layout.is_some() && !quads.is_empty()).then_some(Task::Layout);
    let regions = laid_out.unwrap_or_default();
    let layout = layout.into_iter().chain(tables(&regions));
    let queue: Mutex<VecDeque<Task>> = Mutex::new(layout.chain(unknown).collect());
    let reading = Mutex::new(Reading {
        regions,
        ..Reading::default()
    });
    let reader = Reader {
        models,
        image,
        rescue_below,
    };
    let again = Mutex::new(
        known
            .into_iter()
            .map(|(_, line)| line)
            .collect::<VecDeque<TextLine>>(),
    );
    workers.drain(&again, |line, pool| {
        let started = Instant::now();
        let line = reader.improve(line, pool);
        reading.lock().expect(HELD).take_line(line, started);
    });
    workers.drain(&queue, |task, pool| {
        let started = Instant::now();
        if control.check().is_err() {
            if matches!(task, Task::Line(_)) {
                reading.lock().expect(HELD).unread += 1;
            }
            return;
        }
        match task {
            Task::Line(quad) => {
                let line = reader.line(&quad, pool);
                reading.lock().expect(HELD).take_line(line, started);
            }
            Task::Layout => {
                let found = reader.layout(pool);
                let mut reading = reading.lock().expect(HELD);
                reading.spend("layout", started);
                match found {
                    Ok(found) => {
                        let mut queue = queue.lock().expect(HELD);
                        tables(&found).into_iter().for_each(|task| queue.push_front(task));
                        reading.regions = found;
                    }
                    Err(failure) => reading.failures.push(failure),
                }
            }
            Task::Table(n, region) => {
                let grid = reader.table(&region, pool);
                let mut reading = reading.lock().expect(HELD);
                reading.spend("tables", started);
                match grid {
                    Ok(Some(grid)) => reading.grids.push((n, grid)),
                    Ok(None) => {}
                    Err(failure) => reading.failures.push(failure),
                }
            }
        }
    });
    reading.into_inner().expect(HELD)
}

/// The tables among regions, each to be read.
fn tables(regions: &[Region]) -> Vec<Task> {
    let tables = regions
        .iter()
        .enumerate()
        .filter(|(_, r)| r.kind == RegionKind::Table);
    tables.map(|(n, r)| Task::Table(n, r.clone())).collect()
}

const HELD: &str = "no task panics while it holds the reading";

impl Reading {
    fn spend(&mut self, stage: &'static str, started: Instant) {
        self.times.push((stage, started.elapsed()));
    }

    fn take_line(&mut self, line: Result<TextLine, EngineError>, started: Instant) {
        self.spend("recognize", started);
        match line {
            Ok(line) if line.text.is_empty() => {}
            Ok(line) if line.confidence < DROP_BELOW => self.dropped += 1,
            Ok(line) => self.lines.push(line),
            Err(failure) => {
                self.unread += 1;
                self.failures.push(failure);
            }
        }
    }
}

/// The networks at work on one page.
struct Reader<'a> {
    models: &'a Models,
    image: &'a PageImage,
    rescue_below: f32,
}

impl Reader<'_> {
    fn line(&self, quad: &Quad, pool: &Arc<ThreadPool>) -> Result<TextLine, EngineError> {
        let line = self.models.reader.read(self.image, quad, pool)?;
        self.improve(line, pool)
    }

    /// Second looks at a line that read badly: turned over, then by the rescue recogniser.
    fn improve(&self, mut line: TextLine, pool: &Arc<ThreadPool>) -> Result<TextLine, EngineError> {
        if line.confidence < TURN_BELOW {
            let over = self
                .models
                .reader
                .read(self.image, &turned(&line.quad, 2), pool)?;
            if over.confidence > line.confidence.max(TURN_BELOW) {
                line = over;
            }
        }
        if let Some(rescue) = self
            .models
            .rescue
            .as_ref()
            .filter(|_| line.confidence < self.rescue_below)
        {
            let better = rescue.read(self.image, &line.quad, pool)?;
            if better.confidence >= line.confidence - RESCUE_MARGIN {
                line = better;
            }
        }
        Ok(line)
    }

    fn layout(&self, pool: &Arc<ThreadPool>) -> Result<Vec<Region>, EngineError> {
        self.models
            .layout
            .as_ref()
            .map_or(Ok(Vec::new()), |net| regions(net, self.image, pool))
    }

    fn table(&self, region: &Region, pool: &Arc<ThreadPool>) -> Result<Option<Grid>, EngineError> {
        self.models
            .tables
            .as_ref()
            .map_or(Ok(None), |tables| tables.read(self.image, region.area, pool))
    }
}
