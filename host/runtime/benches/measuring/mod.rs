//! Criterion's medians, with what it does not tell: the 99th percentile of single calls, and shares of a page's time.

use criterion::{Criterion, Throughput};
use std::time::{Duration, Instant};

/// Pages of DeepSeek-OCR's Base mode on one H100, 1,000 tokens each, as `host/conformance/deepseek_ocr/results/2026-11-28-h100.json.gz`
/// has them: one alone (5.9 ms of vision and prefill, then 1,686 tokens a second), and how often one comes out of 128 at a time.
const GPU_PAGES: [(&str, Duration); 2] = [
    ("of a GPU page alone, 599 ms", Duration::from_millis(599)),
    ("of one among 128, 39.4 ms", Duration::from_micros(39_400)),
];

/// Calls of which single times are kept; a formatter's call takes 5 us.
const KEPT: usize = 1 << 20;

/// Measures, and keeps a row for each measurement.
pub struct Bench {
    criterion: Criterion,
    /// Whether times are wanted, not only that all runs.
    pub measured: bool,
    rows: Vec<String>,
}

impl Bench {
    pub fn new(measured: bool) -> Self {
        let criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2))
            .sample_size(50)
            .without_plots()
            .configure_from_args();
        Self {
            criterion,
            measured,
            rows: Vec::new(),
        }
    }

    fn calls(&mut self, what: &str, bytes: Option<u64>, mut call: impl FnMut()) -> Vec<Duration> {
        let mut times = Vec::with_capacity(KEPT);
        let mut group = self.criterion.benchmark_group("overhead");
        if let Some(bytes) = bytes {
            group.throughput(Throughput::Bytes(bytes));
        }
        group.bench_function(what, |bencher| {
            bencher.iter_custom(|calls| {
                let mut sum = Duration::ZERO;
                for _ in 0..calls {
                    let started = Instant::now();
                    call();
                    let time = started.elapsed();
                    sum += time;
                    if times.len() < KEPT {
                        times.push(time);
                    }
                }
                sum
            })
        });
        group.finish();
        times.sort_unstable();
        times
    }

    /// Times calls.
    pub fn time(&mut self, what: &str, goal: &str, call: impl FnMut()) {
        let times = self.calls(what, None, call);
        self.times(what, &times, goal);
    }

    /// The same, of a call that each page costs: its goal is a share of the page's time on a GPU.
    pub fn share(&mut self, what: &str, goal: &str, call: impl FnMut()) {
        let times = self.calls(what, None, call);
        self.times(what, &times, goal);
        for (page, whole) in GPU_PAGES {
            let shown = |time: Duration| format!("{:.4} %", 100.0 * time.as_secs_f64() / whole.as_secs_f64());
            self.parts(&format!("  {page} ({what})"), &times, "< 0.1 %", shown);
        }
    }

    /// Times calls that move 1 MiB each.
    pub fn throughput(&mut self, what: &str, goal: &str, call: impl FnMut()) {
        const MIB: u64 = 1 << 20;
        let times = self.calls(what, Some(MIB), call);
        let shown = |time: Duration| format!("{:.2} GB/s", MIB as f64 / time.as_secs_f64() / 1e9);
        self.parts(what, &times, goal, shown);
    }

    fn times(&mut self, what: &str, times: &[Duration], goal: &str) {
        let shown = |time: Duration| match time.as_secs_f64() {
            seconds if seconds < 1e-3 => format!("{:.1} us", seconds * 1e6),
            seconds => format!("{:.2} ms", seconds * 1e3),
        };
        self.parts(what, times, goal, shown);
    }

    /// The median and the 99th percentile of sorted times; there are none where Criterion was told to leave this one out.
    fn parts(&mut self, what: &str, times: &[Duration], goal: &str, shown: impl Fn(Duration) -> String) {
        if !times.is_empty() {
            let at = |part: usize| shown(times[times.len() * part / 100]);
            self.row(what, at(50), at(99), goal);
        }
    }

    pub fn row(&mut self, what: &str, median: String, p99: String, goal: &str) {
        self.rows
            .push(format!("{what:<64} {median:>12} {p99:>12}   {goal}"));
    }

    /// Says what could not be measured.
    pub fn missing(&mut self, what: &str) {
        self.rows.push(format!("not measured: {what}"));
    }

    pub fn print(self) {
        println!("{:<64} {:>12} {:>12}   goal", "", "median", "p99");
        self.rows.iter().for_each(|row| println!("{row}"));
    }
}
