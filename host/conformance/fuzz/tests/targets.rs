//! Each target holds its seeds and some thousand inputs that are the same in each run. What a longer run finds becomes a seed.

use ocr_fuzz::inputs::{Random, next, seeds, words};
use ocr_fuzz::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Where the sequence begins; `OCR_FUZZ_SEED` is another one, `OCR_FUZZ_TIMES` makes it so many times as long.
const SEED: u64 = 7;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().expect("it is a number"))
}

fn hold(name: &str) {
    let target = TARGETS
        .iter()
        .find(|t| t.name == name)
        .expect("there is such a target");
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for (seed, bytes) in &seeds {
        held(target, bytes, &format!("the seed {seed}"));
    }
    let (words, mut random) = (words(name), Random(number("OCR_FUZZ_SEED", SEED)));
    let count = target.inputs as u64 * number("OCR_FUZZ_TIMES", 1);
    let started = Instant::now();
    for n in 0..count {
        let bytes = next(&mut random, &seeds, &words);
        held(target, &bytes, &format!("input {n}"));
    }
    println!("{name}: {count} inputs in {:?}", started.elapsed());
}

/// A failure shows the input, to be kept as a seed.
fn held(target: &Target, bytes: &[u8], which: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        let path = std::env::temp_dir().join(format!("ocr-fuzz-{}", target.name));
        let kept = std::fs::write(&path, bytes);
        panic!(
            "{}: {which} does not hold; it is in {} ({kept:?})",
            target.name,
            path.display()
        );
    }
}

#[test]
fn edits() {
    hold("edits");
}

#[test]
fn grounding() {
    hold("grounding");
}

#[test]
fn host_calls() {
    hold("host_calls");
}

#[test]
fn manifest() {
    hold("manifest");
}

#[test]
fn names() {
    hold("names");
}

#[test]
fn pictures() {
    hold("pictures");
}

#[test]
fn schema() {
    hold("schema");
}
