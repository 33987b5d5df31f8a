//! Holds a target to inputs for as long as one likes, led by what code they reach: one that runs a place that none has
//! run before, or runs it much more often, is kept and changed further.
//!
//! The compiler counts (`cover`): each place in this workspace's crates has a byte that goes up when it is passed. Without
//! those counters it says so and goes on unguided. A failing input, one that takes long, and one that takes much memory are
//! written to `artifacts/` and end the run.
//!
//! ```sh
//! ocr-fuzz TARGET [SECONDS [SEED]]
//! ```
#![deny(unsafe_code)]

use ocr_fuzz::inputs::{Random, next, seeds, words};
use ocr_fuzz::{TARGETS, Target};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longest time of one input; what is tested has no business to take a hundredth of it.
const LONGEST: Duration = Duration::from_secs(20);

/// Most resident memory, bytes.
const MOST_MEMORY: u64 = 2 << 30;

/// How often the figures are told.
const TELL: Duration = Duration::from_secs(60);

/// Kept inputs that are changed as often as all others together: the latest ones.
const LATEST: usize = 32;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = arguments
        .first()
        .and_then(|name| TARGETS.iter().find(|t| t.name == name));
    let number = |at: usize, default| arguments.get(at).map_or(Some(default), |text| text.parse().ok());
    let (Some(target), Some(seconds), Some(seed)) = (named, number(1, 60), number(2, 1)) else {
        let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
        eprintln!(
            "ocr-fuzz TARGET [SECONDS [SEED]]; the targets are {}",
            names.join(", ")
        );
        return ExitCode::FAILURE;
    };
    let mut run = Run::begin(target);
    if run.map.seen.is_empty() {
        eprintln!("there are no counters in this program, so it goes on unguided; see the README");
    }
    run.hold_for(Duration::from_secs(seconds), seed);
    println!("{}", run.figures());
    ExitCode::SUCCESS
}

/// What is being held at the moment, for whoever looks at the clock.
static HELD: Mutex<Option<(Instant, Vec<u8>)>> = Mutex::new(None);

struct Run {
    target: &'static Target,
    kept: Vec<(String, Vec<u8>)>,
    map: Map,
    executions: u64,
    started: Instant,
    from_before: usize,
}

impl Run {
    /// Holds what is there: the seeds, and what earlier runs kept.
    fn begin(target: &'static Target) -> Self {
        let watched = target.name;
        std::thread::spawn(move || watch(watched));
        let mut run = Self {
            target,
            kept: Vec::new(),
            map: Map::default(),
            executions: 0,
            started: Instant::now(),
            from_before: 0,
        };
        let mut known = seeds(target.name);
        for entry in fs::read_dir(folder("corpus", target.name))
            .into_iter()
            .flatten()
            .flatten()
        {
            if let Ok(bytes) = fs::read(entry.path()) {
                known.push((entry.file_name().to_string_lossy().into_owned(), bytes));
            }
        }
        // The first run of anything makes what it keeps; counted, it would look like something of the input's.
        if let Some((_, bytes)) = known.first() {
            run.hold(bytes);
        }
        for (name, bytes) in known {
            run.hold(&bytes);
            run.kept.push((name, bytes));
        }
        run.from_before = run.kept.len();
        run
    }

    fn hold_for(&mut self, time: Duration, seed: u64) {
        let (words, mut random) = (words(self.target.name), Random(seed));
        self.started = Instant::now();
        self.executions = 0;
        let mut told = Instant::now();
        while self.started.elapsed() < time {
            let latest = &self.kept[self.kept.len().saturating_sub(LATEST)..];
            let from = if random.below(2) == 0 {
                latest
            } else {
                &self.kept[..]
            };
            let bytes = next(&mut random, from, &words);
            if self.hold(&bytes) {
                let name = format!("{:016x}", random.bits());
                let path = folder("corpus", self.target.name).join(&name);
                fs::write(path, &bytes).expect("the folder was made");
                self.kept.push((name, bytes));
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                println!("{}", self.figures());
            }
        }
    }

    /// Holds one input; whether it reached something new.
    fn hold(&mut self, bytes: &[u8]) -> bool {
        *HELD.lock().expect("no thread panics while it holds this") = Some((Instant::now(), bytes.to_vec()));
        // What happened between two inputs is neither's.
        self.map.take();
        let held = catch_unwind(AssertUnwindSafe(|| (self.target.run)(bytes)));
        *HELD.lock().expect("no thread panics while it holds this") = None;
        self.executions += 1;
        if held.is_err() {
            found(self.target.name, bytes, "does not hold");
        }
        self.map.take()
    }

    fn figures(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        format!(
            "{}: {} inputs in {seconds:.0} s ({:.0} a second), {} places reached of {}, {} inputs kept, {} of them new",
            self.target.name,
            self.executions,
            self.executions as f64 / seconds,
            self.map.reached(),
            self.map.seen.len(),
            self.kept.len(),
            self.kept.len() - self.from_before,
        )
    }
}

fn folder(kind: &str, target: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    fs::create_dir_all(&folder).expect("the repository can be written to");
    folder
}

/// Keeps what was found and ends.
fn found(target: &str, bytes: &[u8], what: &str) -> ! {
    let path = folder("artifacts", target).join(format!(
        "{:x}",
        bytes.len() as u64 ^ Random(bytes.iter().map(|&b| u64::from(b)).sum()).bits()
    ));
    let kept = fs::write(&path, bytes);
    eprintln!(
        "{target}: an input of {} bytes {what}; it is in {} ({kept:?})",
        bytes.len(),
        path.display()
    );
    std::process::exit(1);
}

/// Looks whether an input takes too long or too much.
fn watch(target: &str) {
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let held = HELD.lock().expect("no thread panics while it holds this").clone();
        let Some((since, bytes)) = held else { continue };
        if since.elapsed() > LONGEST {
            found(target, &bytes, "takes too long");
        }
        let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = status.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
        if pages.unwrap_or(0) * 4096 > MOST_MEMORY {
            found(target, &bytes, "takes too much memory, or the ones before it");
        }
    }
}

/// The compiler's counters, and what was seen of them.
#[derive(Default)]
struct Map {
    /// For each place, the orders of magnitude in which it was passed, a bit each.
    seen: Vec<u8>,
}

impl Map {
    /// Whether an input passed a place in a number that none did before; it is remembered, and the counters begin again.
    fn take(&mut self) -> bool {
        let words = counters();
        self.seen.resize(words.len() * 8, 0);
        let mut is_new = false;
        for (word, seen) in words.iter().zip(self.seen.chunks_exact_mut(8)) {
            // Most places are not passed by most inputs.
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let counts = word.swap(0, Ordering::Relaxed).to_ne_bytes();
            for (count, seen) in counts.into_iter().zip(seen) {
                let magnitude = count.checked_ilog2().map_or(0, |order| 1 << order);
                is_new |= magnitude & !*seen != 0;
                *seen |= magnitude;
            }
        }
        is_new
    }

    fn reached(&self) -> usize {
        self.seen.iter().filter(|seen| **seen != 0).count()
    }
}

/// Where the counters lie: first and last address.
static COUNTERS: Mutex<(usize, usize)> = Mutex::new((0, 0));

/// All counters of this program, eight at a time; none where it was not compiled with them. A few at either end that are
/// not aligned are left out.
#[allow(unsafe_code)]
fn counters() -> &'static [AtomicU64] {
    let (start, stop) = *COUNTERS.lock().expect("no thread panics while it holds this");
    if start == 0 {
        return &[];
    }
    // SAFETY: the linker laid out the bytes from `start` to `stop` as the section of counters, which is there, initialised
    // and writable for as long as the program runs. Any bytes make a number; `align_to` sees to the alignment. Counted code
    // changes them without a lock, which at worst loses a count, so they are read and written as atomics.
    unsafe {
        std::slice::from_raw_parts(start as *const AtomicU8, stop - start)
            .align_to()
            .1
    }
}

/// Is called by counted code before `main`, once for each unit that the compiler made; all have the same section.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    *COUNTERS.lock().expect("no thread panics while it holds this") = (start as usize, stop as usize);
}
