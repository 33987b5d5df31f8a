//! Beasts that want the engine: `ocr.recognize` is granted to them, and there is an engine that reads one region after the
//! other.

use super::formatter;
use crate::keeper::{Act, Beast, Cage, Ended, Ends, page};
use crate::skeleton::Skeleton;
use ocr_document::PageImage;
use ocr_runtime::Quota::{CallBytes, Gpu};
use ocr_runtime::services::{ReadRegions, Recognition, Region, RegionError, Services, Until};
use ocr_runtime::{
    Context, DocInfo, FormatterOutput, FormatterSession, Grants, Limits, Plugin, PluginFailure,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An engine: one region a time, whoever asks.
#[derive(Default)]
struct Engine {
    turn: Mutex<()>,
    read: AtomicUsize,
    /// How long one region takes; `None` takes until nobody waits any more.
    each: Option<Duration>,
    /// Bytes of an answer.
    bytes: usize,
}

impl ReadRegions for Engine {
    fn read(
        &self,
        _: &PageImage,
        regions: &[Region],
        until: &Until,
    ) -> Vec<Result<Recognition, RegionError>> {
        let read = |_: &Region| {
            let _turn = self.turn.lock().expect("nobody panics with it");
            match self.each {
                Some(each) => std::thread::sleep(each),
                None => {
                    while !until.is_over() {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            }
            if until.is_over() {
                return Err(RegionError::Failed("its time was up".into()));
            }
            self.read.fetch_add(1, Ordering::Relaxed);
            Ok(Recognition {
                text: "x".repeat(self.bytes),
                spans: Vec::new(),
                tokens: 1,
            })
        };
        regions.iter().map(read).collect()
    }
}

/// Reads regions of 9 x 9 px, so many a call; fills the list first.
fn asking(regions: usize, wat: &str) -> Skeleton {
    let fill = format!(
        "(memory.fill (i32.const 196608) (i32.const 0) (i32.const 16384)) (global.set $at (i32.const 196608))
         (loop $fill (i32.store offset=8 (global.get $at) (i32.const 9)) (i32.store offset=12 (global.get $at) (i32.const 9))
           (global.set $at (i32.add (global.get $at) (i32.const 32)))
           (br_if $fill (i32.lt_u (global.get $at) (i32.const {}))))
         (call $page.raster (local.get $page) RET) CHECK (global.set $image HANDLE)",
        196_608 + regions * 32
    );
    let mut skeleton = formatter()
        .fields("(global $image (mut i32) (i32.const 0)) (global $calls (mut i32) (i32.const 0))")
        .body("page", &format!("{fill} {wat}"));
    skeleton
        .manifest
        .capabilities
        .push(ocr_runtime::Capability::OcrRecognize);
    skeleton
}

fn ask(regions: usize) -> String {
    format!(
        "(global.set $heap (i32.const 131072))
         (call $ocr.recognize (global.get $image) (i32.const 196608) (i32.const {regions}) RET) CHECK"
    )
}

fn granted(cage: &Cage, engine: &Arc<Engine>) -> Context {
    Context {
        grants: Grants::ALL,
        services: Services::reading(engine.clone()),
        ..cage.context()
    }
}

fn format(plugin: &Arc<Plugin>, context: &Context) -> Result<(), PluginFailure> {
    let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
    let mut session = FormatterSession::open(plugin, context, &DocInfo::default(), "{}", output)?;
    session.add_page(&page(7))?;
    session.finish().map(drop)
}

/// A beast with an engine of its own.
fn with_engine(name: &'static str, ends: Ends, skeleton: Skeleton, engine: fn() -> Engine) -> Beast {
    let act = move |cage: &Cage| match cage.load(&skeleton.build()) {
        Ok(plugin) => format(&plugin, &granted(cage, &Arc::new(engine()))).into(),
        Err(ended) => ended,
    };
    Beast::new(name, ends, Act::Do(Box::new(act)))
}

fn quick() -> Engine {
    Engine {
        each: Some(Duration::from_micros(100)),
        ..Engine::default()
    }
}

pub fn beasts() -> Vec<Beast> {
    let tried = Ends::Well("the engine is not asked, and the answer says why");
    // The first answer is an error: its tag stands where the list begins.
    let first_fails =
        "(if (i32.eqz (i32.load8_u (i32.load (i32.const 1032)))) (then (unreachable))) (i32.const 0)";
    vec![
        with_engine(
            "257 regions in one call",
            Ends::Says("257 regions are more than the 256 of one call"),
            asking(257, &format!("{} (i32.const 0)", ask(257))),
            quick,
        ),
        with_engine(
            "regions without end",
            Ends::Limit(&[Gpu]),
            asking(100, &format!("(loop $l {} (br $l)) (unreachable)", ask(100))),
            quick,
        ),
        with_engine(
            "regions without end, deaf to errors",
            Ends::Limit(&[Gpu]),
            asking(
                100,
                "(loop $l (global.set $heap (i32.const 131072))
                   (call $ocr.recognize (global.get $image) (i32.const 196608) (i32.const 100) RET)
                   (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                   (br_if $l (i32.lt_u (global.get $calls) (i32.const 500)))) (i32.const 0)",
            ),
            quick,
        ),
        with_engine(
            "a region that is turned inside out",
            tried,
            asking(
                1,
                &format!("(i32.store (i32.const 196608) (i32.const 77)) {} {first_fails}", ask(1)),
            ),
            quick,
        ),
        with_engine(
            "a region far outside of the image",
            tried,
            asking(
                1,
                &format!(
                    "(i32.store (i32.const 196608) (i32.const 77000)) (i32.store (i32.const 196616) (i32.const 78000))
                     {} {first_fails}",
                    ask(1)
                ),
            ),
            quick,
        ),
        with_engine(
            "a region with a hint of 60,000 bytes",
            tried,
            asking(
                1,
                &format!(
                    "(i32.store8 (i32.const 196628) (i32.const 1)) (i32.store (i32.const 196636) (i32.const 60000))
                     {} {first_fails}",
                    ask(1)
                ),
            ),
            quick,
        ),
        with_engine(
            "an answer of the engine that takes 100 MB",
            Ends::Limit(&[CallBytes]),
            asking(1, &format!("{} (i32.const 0)", ask(1))),
            || Engine {
                bytes: 100_000_000,
                ..quick()
            },
        ),
        with_engine(
            "an engine that does not come back by itself",
            Ends::Well("it is asked to stop before the call's time is up"),
            asking(1, &format!("{} {first_fails}", ask(1))),
            Engine::default,
        ),
        Beast::new(
            "256 regions a call while a neighbour wants one",
            Ends::Well("the neighbour has its region once the beasts' quotas are used up, or before"),
            Act::Do(Box::new(starving)),
        ),
    ]
}

fn starving(cage: &Cage) -> Ended {
    let engine = Arc::new(Engine {
        each: Some(Duration::from_millis(1)),
        ..Engine::default()
    });
    let greedy = asking(256, &format!("(loop $l {} (br $l)) (unreachable)", ask(256)));
    let modest = asking(1, &format!("{} (i32.const 0)", ask(1)));
    let (greedy, modest) = match (cage.load(&greedy.build()), cage.load(&modest.build())) {
        (Ok(greedy), Ok(modest)) => (greedy, modest),
        (Err(ended), _) | (_, Err(ended)) => return ended,
    };
    let limits = |gpu| Limits {
        gpu,
        time: Duration::from_secs(10),
        ..cage.limits.clone()
    };
    let context = |gpu| Context {
        limits: limits(gpu),
        ..granted(cage, &engine)
    };
    std::thread::scope(|scope| {
        let beasts: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| format(&greedy, &context(600))))
            .collect();
        std::thread::sleep(Duration::from_millis(20));
        let started = Instant::now();
        let done = format(&modest, &context(1));
        let waited = started.elapsed();
        for beast in beasts {
            match beast.join().expect("it does not panic") {
                Err(f) if matches!(f.cause, ocr_runtime::Cause::Limit { quota: Gpu, .. }) => {}
                other => return Ended::Wrong(format!("a beast ended with {other:?}")),
            }
        }
        // Two calls of 256 are within 600, the third is not.
        let read = engine.read.load(Ordering::Relaxed);
        if read != 3 * 512 + 1 || waited > Duration::from_secs(30) {
            return Ended::Wrong(format!(
                "{read} regions were read, the neighbour waited for {waited:?}"
            ));
        }
        done.into()
    })
}
