//! Checks and times the decoder's kernels on GPU 0, with weights whose greedy output is known.
//!
//!     cargo run --release -p ocr-kernels --features cuda --example step_check [operations] [vision] [walk] [prefill] [time] [deterministic] [bytes]
//!
//! `operations` and `vision` hold each kernel against its twin on the CPU; `walk` decodes 256 tokens at six batch sizes from mixed
//! contexts and compares every one; `prefill` compares keys, values and the next token after prefill with those after
//! decoding the same tokens one by one; `time` takes 1,024 steps from context 277 and prefills of 277 and 907 tokens,
//! median of three (RUNS in the environment: of so many), `deterministic` the same steps with results that do not depend on
//! the batch, `bytes` with experts of 8 bits. Without arguments all. With SMALL in the environment two layers and few sizes,
//! for compute-sanitizer. Progress goes to stderr, one JSON object to stdout; exit code 1 when
//! anything failed.

use candle_core::{D, DType, Device, Tensor};
use ocr_kernels::check::{self, Comparison, normal, walk};
use ocr_kernels::{
    DecoderWeights, KernelError, LayerWeights, PromptPart, RowState, Stage, StepDecoder, StepOptions,
};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Layers, and two of them where a tool looks at every access.
static LAYERS: LazyLock<usize> = LazyLock::new(|| if is_small() { 2 } else { 12 });
const PAGE: usize = 32;
const BATCHES: [usize; 6] = [1, 8, 32, 64, 128, 256];
/// Decoded tokens whose caches may differ this much from prefilled ones', relative: both are bf16, summed in other orders
/// through twelve layers.
const CACHE_LIMIT: f32 = 3e-2;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|want| want == name);
    let mut report = Report::default();
    if let Err(error) = run(&is_wanted, &mut report) {
        report.fail(format!("stopped: {error}"));
    }
    report.values["failures"] = json!(report.failures);
    println!("{}", report.values);
    if !report.failures.is_empty() {
        std::process::exit(1);
    }
}

fn run(is_wanted: &dyn Fn(&str) -> bool, report: &mut Report) -> Result<()> {
    let devices = ocr_kernels::devices();
    let gpu = devices.first().ok_or("this machine has no CUDA device")?;
    eprintln!(
        "{} ({} MiB, {:?})",
        gpu.name,
        gpu.memory_bytes >> 20,
        gpu.compute_capability
    );
    report.values["gpu"] = json!(gpu.name);
    let device = ocr_kernels::open(0)?;
    let clock = Instant::now();
    for (name, of_decoder) in [("operations", true), ("vision", false)] {
        if is_wanted(name) {
            report.part(name, |report| operations(&device, of_decoder, report));
        }
    }
    if ["walk", "prefill", "time", "deterministic", "bytes"]
        .iter()
        .any(|name| is_wanted(name))
    {
        let weights = check::walk_weights(*LAYERS, &device)?;
        device.synchronize()?;
        eprintln!("{:6.1} s  weights", clock.elapsed().as_secs_f32());
        let mut decoder = StepDecoder::new(&device, weights.clone(), options())?;
        fill_cache(&decoder, &device)?;
        device.synchronize()?;
        eprintln!("{:6.1} s  decoder", clock.elapsed().as_secs_f32());
        if is_wanted("prefill") {
            report.part("prefill", |report| {
                prefill(&mut decoder, &weights, &device, report)
            });
        }
        if is_wanted("walk") {
            report.part("walk", |report| walks(&mut decoder, report));
        }
        if is_wanted("time") {
            report.part("time", |report| times(&mut decoder, &weights, &device, report));
        }
        drop(decoder);
        let mut weights = weights;
        for (name, deterministic) in [("deterministic", true), ("bytes", false)] {
            if !is_wanted(name) {
                continue;
            }
            if name == "bytes" {
                let in_bytes = |layer: LayerWeights| -> Result<LayerWeights> {
                    Ok(LayerWeights {
                        mlp: layer.mlp.in_bytes()?,
                        ..layer
                    })
                };
                weights.layers = weights.layers.into_iter().map(in_bytes).collect::<Result<_>>()?;
            }
            let options = StepOptions {
                deterministic,
                ..options()
            };
            let mut decoder = StepDecoder::new(&device, weights.clone(), options)?;
            fill_cache(&decoder, &device)?;
            report.part(name, |report| {
                report.values[name] = json!({"decode": decode_times(&mut decoder, &device, report)?});
                Ok(())
            });
        }
    }
    report.values["seconds"] = json!(clock.elapsed().as_secs_f32());
    Ok(())
}

fn is_small() -> bool {
    std::env::var_os("SMALL").is_some()
}

fn options() -> StepOptions {
    let max_context = 1312;
    StepOptions {
        max_rows: 256,
        page_tokens: PAGE,
        pages: 256 * max_context / PAGE,
        max_context,
        history_tokens: 1024,
        ..StepOptions::default()
    }
}

/// What came out.
struct Report {
    values: Value,
    failures: Vec<String>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            values: json!({}),
            failures: Vec::new(),
        }
    }
}

impl Report {
    fn fail(&mut self, text: String) {
        eprintln!("FAILED  {text}");
        self.failures.push(text);
    }

    /// Runs a part; what stops it is noted, and the next part runs all the same.
    fn part(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<()>) {
        let clock = Instant::now();
        eprintln!("{name}");
        if let Err(error) = work(self) {
            self.fail(format!("{name} stopped: {error}"));
        }
        eprintln!("{:6.1} s  {name}", clock.elapsed().as_secs_f32());
    }
}

fn operations(device: &Device, of_decoder: bool, report: &mut Report) -> Result<()> {
    let mut worst = serde_json::Map::new();
    let mut failures = Vec::new();
    let sizes: &[usize] = match is_small() {
        true => &[3, 29, 130],
        false => &[1, 2, 5, 8, 9, 13, 16, 29, 32, 64, 100, 128, 200, 256],
    };
    let mut show = |comparison: &Comparison| {
        let Comparison {
            what,
            rows,
            error,
            limit,
        } = comparison;
        if !comparison.holds() {
            eprintln!("  {what}, {rows} rows: {error:.1e}, limit {limit:.1e}");
            failures.push(format!("{what}, {rows} rows: error {error}, limit {limit}"));
        }
        let known = worst.get(*what).and_then(Value::as_f64).unwrap_or(0.0);
        // An infinite error is no JSON number; it stands among the failures.
        worst.insert((*what).into(), json!(known.max(f64::from(*error).min(f64::MAX))));
    };
    let done = match of_decoder {
        true => check::operations(device, sizes, &mut show),
        false => check::vision(device, &mut show)
            .and_then(|()| check::vision_rows(device))
            .map(|all| all.iter().for_each(&mut show)),
    };
    for (what, error) in &worst {
        eprintln!("  {what:28} {:.1e}", error.as_f64().unwrap_or(f64::NAN));
    }
    report.values[if of_decoder { "operations" } else { "vision" }] = Value::Object(worst);
    failures.into_iter().for_each(|failure| report.fail(failure));
    Ok(done?)
}

/// Random keys and values, as wide as projections of normed rows are (0.02 * sqrt(1280)).
fn fill_cache(decoder: &StepDecoder, device: &Device) -> Result<()> {
    for layer in 0..*LAYERS {
        let (keys, values) = decoder.cache(layer);
        for cache in [keys, values] {
            cache.slice_set(&normal(cache.dims(), 0.0, 0.72, device)?, 0, 0)?;
        }
    }
    Ok(())
}

/// The pages of a row: as many as a sequence may have, scattered.
fn pages(decoder: &StepDecoder, row: usize) -> Vec<i32> {
    let (each, all) = (decoder.options().pages_a_row(), decoder.options().pages);
    // 7,919 is prime and divides no count of pages here, so no page comes twice.
    (row * each..(row + 1) * each)
        .map(|at| (at * 7919 % all) as i32)
        .collect()
}

fn first_token(row: usize) -> u32 {
    1000 + (row * 104_729 % 119_000) as u32
}

/// Puts `rows` sequences in with that many tokens in the cache each.
fn put_rows(decoder: &mut StepDecoder, rows: usize, context: impl Fn(usize) -> usize) -> Result<()> {
    for row in 0..decoder.options().max_rows {
        if row >= rows {
            decoder.clear_row(row)?;
            continue;
        }
        let pages = pages(decoder, row);
        let state = RowState {
            token: first_token(row),
            length: context(row) + 1,
            pages: &pages,
            history: &[],
        };
        decoder.set_row(row, state)?;
    }
    Ok(())
}

/// Takes `steps` steps, one ahead of the reader; says how many tokens were not the walk's.
fn take_steps(decoder: &mut StepDecoder, rows: usize, steps: usize) -> Result<usize> {
    let mut want: Vec<u32> = (0..rows).map(first_token).collect();
    let mut got = vec![0; rows];
    let mut wrong = 0;
    for step in 0..=steps {
        if step < steps {
            decoder.step(rows)?;
        }
        if step > 0 {
            decoder.tokens(&mut got)?;
            want.iter_mut().for_each(|token| *token = walk(*token));
            wrong += got.iter().zip(&want).filter(|(got, want)| got != want).count();
        }
    }
    Ok(wrong)
}

fn walks(decoder: &mut StepDecoder, report: &mut Report) -> Result<()> {
    for rows in BATCHES {
        put_rows(decoder, rows, |row| 5 + row * 389 % 996)?;
        let wrong = take_steps(decoder, rows, 256)?;
        eprintln!("  {rows:3} rows: {wrong} of {} tokens wrong", 256 * rows);
        if wrong > 0 {
            report.fail(format!("walk of {rows} rows: {wrong} tokens wrong"));
        }
    }
    // A batch with rows missing in the middle: 13 of the 16 that its graph has.
    put_rows(decoder, 16, |row| 5 + row * 389 % 996)?;
    for row in [0, 7, 14] {
        decoder.clear_row(row)?;
    }
    let mut got = vec![0; 16];
    let mut want: Vec<u32> = (0..16).map(first_token).collect();
    let mut wrong = 0;
    for _ in 0..32 {
        decoder.step(16)?;
        decoder.tokens(&mut got)?;
        want.iter_mut().for_each(|token| *token = walk(*token));
        wrong += (0..16)
            .filter(|row| ![0, 7, 14].contains(row) && got[*row] != want[*row])
            .count();
    }
    if wrong > 0 {
        report.fail(format!("walk with empty rows: {wrong} tokens wrong"));
    }
    refusals(decoder, report)
}

/// Calls that must be refused.
fn refusals(decoder: &mut StepDecoder, report: &mut Report) -> Result<()> {
    put_rows(decoder, 1, |_| 31)?;
    let mut expect = |what: &str, result: std::result::Result<(), KernelError>| match result {
        Err(KernelError::Argument(text)) => eprintln!("  refused: {text}"),
        other => report.fail(format!("{what} was not refused: {other:?}")),
    };
    expect("a step without its rows", decoder.step(0));
    let state = RowState {
        token: 1,
        length: 33,
        pages: &[0],
        history: &[],
    };
    expect("a length beyond the pages", decoder.set_row(1, state));
    let state = RowState {
        pages: &[i32::MAX],
        length: 1,
        ..state
    };
    expect("a page that there is not", decoder.set_row(1, state));
    let state = RowState {
        token: 1,
        length: 32,
        pages: &[0],
        history: &[],
    };
    decoder.set_row(0, state)?;
    decoder.step(1)?;
    expect("a step past a row's pages", decoder.step(1));
    decoder.set_pages(0, &[0, 1])?;
    for _ in 0..3 {
        decoder.step(1)?;
    }
    expect("a fifth unread step", decoder.step(1));
    let mut out = [0];
    (0..4).try_for_each(|_| decoder.tokens(&mut out).map(|_| ()))?;
    expect(
        "reading a step that was not taken",
        decoder.tokens(&mut out).map(|_| ()),
    );
    Ok(())
}

/// A prompt of that many tokens, and their embeddings.
fn prompt(tokens: usize, weights: &DecoderWeights, device: &Device) -> Result<(Vec<u32>, Tensor)> {
    let ids: Vec<u32> = (0..tokens).map(|at| 500 + (at * 7919 % 120_000) as u32).collect();
    let embeds = weights
        .embed_tokens
        .index_select(&Tensor::new(ids.as_slice(), device)?, 0)?;
    Ok((ids, embeds))
}

fn prefill(
    decoder: &mut StepDecoder,
    weights: &DecoderWeights,
    device: &Device,
    report: &mut Report,
) -> Result<()> {
    let mut results = Vec::new();
    let sizes: &[usize] = if is_small() { &[5, 70] } else { &[5, 277, 907] };
    for &tokens in sizes {
        let (ids, embeds) = prompt(tokens, weights, device)?;
        put_rows(decoder, 0, |_| 0)?;
        let (prefilled, decoded) = (pages(decoder, 0), pages(decoder, 1));
        // In two calls, the second starting behind the first.
        let cut = tokens / 3;
        let part = |start, count, wants_token| PromptPart {
            start,
            count,
            pages: &prefilled,
            wants_token,
        };
        decoder.prefill(&embeds.narrow(0, 0, cut)?, &[part(0, cut, false)])?;
        let rest = embeds.narrow(0, cut, tokens - cut)?.force_contiguous()?;
        let said = decoder.prefill(&rest, &[part(cut, tokens - cut, true)])?;
        let token = said[0].ok_or("prefill said no token")?;
        let mut next = [0];
        for (at, id) in ids.iter().enumerate() {
            decoder.set_row(
                0,
                RowState {
                    token: *id,
                    length: at + 1,
                    pages: &decoded,
                    history: &[],
                },
            )?;
            decoder.step(1)?;
            decoder.tokens(&mut next)?;
        }
        let errors = (0..*LAYERS)
            .map(|layer| cache_error(decoder, layer, &prefilled, &decoded, tokens, device))
            .collect::<Result<Vec<_>>>()?;
        let worst = errors.iter().copied().fold(0.0, f32::max);
        eprintln!(
            "  {tokens} tokens: caches differ by {worst:.1e}; next token {token}, decoded {}",
            next[0]
        );
        let want = walk(ids[tokens - 1]);
        if token != want || next[0] != want {
            report.fail(format!(
                "after {tokens} tokens: prefill says {token}, decoding {}, not {want}",
                next[0]
            ));
        }
        if worst.is_nan() || worst > CACHE_LIMIT {
            report.fail(format!("after {tokens} tokens the caches differ by {errors:?}"));
        }
        taps(decoder, &embeds, &prefilled, want, report)?;
        results.push(json!({"tokens": tokens, "cache_errors": errors}));
    }
    report.values["prefill"] = json!(results);
    Ok(())
}

/// The relative difference between two sequences' keys and values, the larger of the two.
fn cache_error(
    decoder: &StepDecoder,
    layer: usize,
    first: &[i32],
    second: &[i32],
    tokens: usize,
    device: &Device,
) -> Result<f32> {
    let gather = |cache: &Tensor, pages: &[i32]| -> Result<Tensor> {
        let pages: Vec<u32> = pages[..tokens.div_ceil(PAGE)]
            .iter()
            .map(|page| *page as u32)
            .collect();
        let rows = cache
            .index_select(&Tensor::new(pages.as_slice(), device)?, 0)?
            .flatten_to(1)?;
        Ok(rows.narrow(0, 0, tokens)?.to_dtype(DType::F32)?)
    };
    let size = |tensor: &Tensor| -> Result<f32> { Ok(tensor.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt()) };
    let (keys, values) = decoder.cache(layer);
    let mut worst: f32 = 0.0;
    for cache in [keys, values] {
        let (first, second) = (gather(cache, first)?, gather(cache, second)?);
        let error = size(&(&first - &second)?)? / size(&second)?;
        // `max` would drop a NaN.
        worst = if error.is_nan() {
            f32::NAN
        } else {
            worst.max(error)
        };
    }
    Ok(worst)
}

/// The taps come in their order with every row, and the logits lead to the same token.
fn taps(
    decoder: &mut StepDecoder,
    embeds: &Tensor,
    pages: &[i32],
    want: u32,
    report: &mut Report,
) -> Result<()> {
    let mut stages = Vec::new();
    let mut rows = 0;
    let logits = decoder.prefill_with_taps(embeds, pages, &mut |stage, activations| {
        if stage == Stage::Norm {
            rows += activations.dim(0).unwrap_or(0);
        }
        stages.push(stage);
    })?;
    let launches = embeds.dim(0)?.div_ceil(decoder.options().prompt_rows);
    let best = logits.argmax(D::Minus1)?.to_scalar::<u32>()?;
    if best != want || stages.len() != launches * (*LAYERS + 1) || rows != embeds.dim(0)? {
        report.fail(format!(
            "taps: best token {best}, not {want}; {} stages, {rows} rows normed",
            stages.len()
        ));
    }
    Ok(())
}

fn decode_times(decoder: &mut StepDecoder, device: &Device, report: &mut Report) -> Result<Vec<Value>> {
    const STEPS: usize = 1024;
    let mut decode = Vec::new();
    for rows in BATCHES {
        let mut runs = Vec::new();
        let count = std::env::var("RUNS")
            .ok()
            .and_then(|runs| runs.parse().ok())
            .unwrap_or(3);
        for _ in 0..count {
            put_rows(decoder, rows, |_| 277)?;
            device.synchronize()?;
            let clock = Instant::now();
            let wrong = take_steps(decoder, rows, STEPS)?;
            runs.push(clock.elapsed().as_secs_f64() * 1e3 / STEPS as f64);
            if wrong > 0 {
                report.fail(format!("timed run of {rows} rows: {wrong} tokens wrong"));
            }
        }
        let ms = median(&mut runs);
        eprintln!(
            "  {rows:3} rows: {ms:.3} ms a step, {:.0} tokens/s",
            rows as f64 / ms * 1e3
        );
        decode.push(
            json!({"rows": rows, "ms_a_step": ms, "tokens_a_second": rows as f64 / ms * 1e3, "runs": runs}),
        );
    }
    Ok(decode)
}

fn times(
    decoder: &mut StepDecoder,
    weights: &DecoderWeights,
    device: &Device,
    report: &mut Report,
) -> Result<()> {
    let decode = decode_times(decoder, device, report)?;
    let mut prefills = Vec::new();
    for (prompts, tokens) in [(1, 277), (8, 277), (1, 907), (4, 907)] {
        let (_, embeds) = prompt(prompts * tokens, weights, device)?;
        let pages: Vec<Vec<i32>> = (0..prompts).map(|row| pages(decoder, row)).collect();
        let parts: Vec<PromptPart<'_>> = pages
            .iter()
            .enumerate()
            .map(|(at, pages)| PromptPart {
                start: 0,
                count: tokens,
                pages,
                wants_token: at + 1 == prompts,
            })
            .collect();
        let mut runs = Vec::new();
        for run in 0..4 {
            device.synchronize()?;
            let clock = Instant::now();
            decoder.prefill(&embeds, &parts)?;
            // The first warms up the sizes that nothing used before.
            if run > 0 {
                runs.push(clock.elapsed().as_secs_f64() * 1e3);
            }
        }
        let ms = median(&mut runs);
        eprintln!(
            "  prefill of {prompts} x {tokens}: {ms:.2} ms, {:.2} a prompt, {:.0} tokens/s",
            ms / prompts as f64,
            (prompts * tokens) as f64 / ms * 1e3
        );
        prefills.push(json!({"prompts": prompts, "tokens": tokens, "ms": ms, "runs": runs}));
    }
    report.values["time"] = json!({"decode": decode, "prefill": prefills});
    Ok(())
}

fn median(runs: &mut [f64]) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
