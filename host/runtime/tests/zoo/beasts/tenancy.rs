//! Beasts that want what belongs to their neighbours: their data, their turn, their place.

use super::{SPIN, adapter, formatter};
use crate::keeper::{Act, Beast, Cage, Ended, Ends, page};
use ocr_runtime::{DocInfo, FormatterOutput, FormatterSession, Quota};
use std::time::{Duration, Instant};

pub fn beasts() -> Vec<Beast> {
    vec![
        Beast::new(
            "spinning on every thread while a neighbour works",
            Ends::Well("the neighbour's document is done when the others' time is up"),
            Act::Do(Box::new(spinning_neighbours)),
        ),
        Beast::new(
            "taking the turn for large images and keeping it",
            Ends::Well("the neighbour has its turn when the beast's time is up"),
            Act::Do(Box::new(large_neighbour)),
        ),
        Beast::new(
            "300 sessions that are all kept open",
            Ends::Well("each has its place"),
            Act::Do(Box::new(many_sessions)),
        )
        .limits(|l| l.time = Duration::from_secs(5)),
        Beast::new(
            "70 sessions of 28 tables and 3 memories that are all kept open",
            Ends::Well("a neighbour's plugin has its place as well"),
            Act::Do(Box::new(crowded)),
        ),
        Beast::new(
            "three threads that trap while a fourth works",
            Ends::Well("a trap ends its own session alone"),
            Act::Do(Box::new(trapping_neighbours)),
        )
        .limits(|l| l.time = Duration::from_secs(5)),
    ]
}

fn spinning_neighbours(cage: &Cage) -> Ended {
    let spinner = match cage.load(&formatter().body("page", SPIN).build()) {
        Ok(plugin) => plugin,
        Err(ended) => return ended,
    };
    let patient = ocr_runtime::Limits {
        time: Duration::from_secs(20),
        ..cage.limits.clone()
    };
    std::thread::scope(|scope| {
        let spinners: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
                    let session =
                        FormatterSession::open(&spinner, &cage.context(), &DocInfo::default(), "{}", output);
                    session.and_then(|mut s| s.add_page(&page(7)))
                })
            })
            .collect();
        let tame = Cage {
            limits: patient,
            out: cage.out.clone(),
            outside: cage.outside.clone(),
            heard: cage.heard.clone(),
            cancel: cage.cancel.clone(),
            ..*cage
        };
        let done = tame.format(cage.tame, "{}");
        for spinner in spinners {
            match spinner.join().expect("it does not panic") {
                Err(f)
                    if matches!(
                        f.cause,
                        ocr_runtime::Cause::Limit {
                            quota: Quota::Time,
                            ..
                        }
                    ) => {}
                other => return Ended::Wrong(format!("a spinner ended with {other:?}")),
            }
        }
        done.into()
    })
}

/// An image of 140 MB takes the turn; the beast then spins with it.
fn large_neighbour(cage: &Cage) -> Ended {
    let large = "(call $canvas.create (i32.const 12000) (i32.const 12000) (i32.const 0) RET) CHECK";
    let beast = adapter().body("read", &format!("{large} {SPIN}"));
    let neighbour = adapter().body("read", &format!("{large} (i32.const 0)"));
    let (beast, neighbour) = match (cage.load(&beast.build()), cage.load(&neighbour.build())) {
        (Ok(beast), Ok(neighbour)) => (beast, neighbour),
        (Err(ended), _) | (_, Err(ended)) => return ended,
    };
    let context = ocr_runtime::Context {
        limits: ocr_runtime::Limits {
            image_bytes: 400 << 20,
            time: Duration::from_millis(400),
            ..cage.limits.clone()
        },
        ..cage.context()
    };
    let read = |plugin| {
        let source = ocr_runtime::Source::from_bytes("x", vec![7; 64]);
        let options = ocr_runtime::OpenOptions::default();
        ocr_runtime::AdapterSession::open(plugin, &context, &source, &options)
            .and_then(|mut s| s.read(0, 100.0).map(drop))
    };
    let started = Instant::now();
    std::thread::scope(|scope| {
        let spinning = scope.spawn(|| read(&beast));
        std::thread::sleep(Duration::from_millis(50));
        let done = read(&neighbour);
        if spinning.join().expect("it does not panic").is_ok() {
            return Ended::Wrong("the beast ended well".into());
        }
        if started.elapsed() > Duration::from_secs(20) {
            return Ended::Wrong(format!("the neighbour waited for {:?}", started.elapsed()));
        }
        done.into()
    })
}

fn many_sessions(cage: &Cage) -> Ended {
    let open = || {
        let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
        FormatterSession::open(cage.tame, &cage.context(), &DocInfo::default(), "{}", output)
    };
    let sessions: Result<Vec<_>, _> = (0..300).map(|_| open()).collect();
    match sessions {
        Ok(mut sessions) => {
            for session in &mut sessions {
                if let Err(failure) = session.add_page(&page(7)) {
                    return Ended::Failed(failure);
                }
            }
            Ended::Well
        }
        Err(failure) => Ended::Failed(failure),
    }
}

fn crowded(cage: &Cage) -> Ended {
    let many = format!("{}{}", "(table 1 funcref)".repeat(28), "(memory 1)".repeat(2));
    let greedy = match cage.load(&formatter().fields(&many).build()) {
        Ok(plugin) => plugin,
        Err(ended) => return ended,
    };
    let open = |plugin| {
        let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
        FormatterSession::open(plugin, &cage.context(), &DocInfo::default(), "{}", output)
    };
    let crowd: Result<Vec<_>, _> = (0..70).map(|_| open(&greedy)).collect();
    let neighbour = open(cage.tame).and_then(|mut session| session.add_page(&page(7)));
    match (crowd, neighbour) {
        (Ok(_), Ok(())) => Ended::Well,
        (Err(failure), _) | (_, Err(failure)) => Ended::Failed(failure),
    }
}

fn trapping_neighbours(cage: &Cage) -> Ended {
    let trapping = match cage.load(&formatter().body("page", "(unreachable)").build()) {
        Ok(plugin) => plugin,
        Err(ended) => return ended,
    };
    let run = |plugin| {
        let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
        FormatterSession::open(plugin, &cage.context(), &DocInfo::default(), "{}", output)
            .and_then(|mut s| s.add_page(&page(7)).and_then(|()| s.finish().map(drop)))
    };
    std::thread::scope(|scope| {
        let traps: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| (0..100).all(|_| run(&trapping).is_err())))
            .collect();
        let done = (0..100).try_for_each(|_| run(cage.tame));
        if !traps.into_iter().all(|t| t.join().expect("it does not panic")) {
            return Ended::Wrong("a trap ended well".into());
        }
        done.into()
    })
}
