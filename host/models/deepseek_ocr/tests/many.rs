//! Pages written together are what each is alone: 256 tokens in f32 on the CPU, 1, 8 and 32 at a time, of mixed lengths.

use ocr_document::{PageImage, PixelFormat};
use ocr_model_deepseek::generate::{Asked, Stop};
use ocr_model_deepseek::{Mode, Model, NgramRule, Options, Place, Precision, Seen, Task};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const TOKENS: usize = 256;
const PAGES: usize = 32;

/// A page whose prompt has 77 tokens, or 115, and every eighth another picture size; how many tokens are wanted differs too.
fn page(model: &Model, n: usize) -> Seen {
    let (mode, task) = match n % 3 {
        0 => (Mode::Small, Task::Free),
        1 => (Mode::Tiny, Task::Markdown),
        _ => (Mode::Tiny, Task::Describe),
    };
    let (width, height) = (200 + 16 * (n % 8), 240);
    let pixels = ocr_synthetic::page(width, height, n as u64);
    let image = PageImage::new(width as u32, height as u32, PixelFormat::Rgb8, pixels).unwrap();
    Seen::new(model.tokenizer(), &image, mode, 6, &task).unwrap()
}

fn asked(n: usize, rule: &NgramRule) -> Asked {
    Asked {
        max_new_tokens: if n % 4 == 3 { 40 + 5 * n } else { TOKENS },
        ngram: rule.clone(),
        stop: Stop::Never,
    }
}

fn texts(model: &Model, pages: &[Seen], at_a_time: usize, rule: &NgramRule) -> Vec<Vec<u32>> {
    let next = AtomicUsize::new(0);
    let texts: Vec<Mutex<Vec<u32>>> = pages.iter().map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(page) = pages.get(n) else { return };
                    let written = model.write(page.clone(), &asked(n, rule), &mut |_| true).unwrap();
                    *texts[n].lock().unwrap() = written.tokens;
                }
            });
        }
    });
    texts.into_iter().map(|text| text.into_inner().unwrap()).collect()
}

/// Compares the two roads over the tiny checkpoint under a rule: so many pages, so many at a time; `deterministic`: one by one.
fn compare(rule: NgramRule, deterministic: bool, batches: &[(usize, usize)]) {
    let folder = tempfile::tempdir().unwrap();
    ocr_synthetic::write(folder.path(), ocr_synthetic::Kind::Tiny, 1).unwrap();
    let options = Options {
        precision: Some(Precision::F32),
        rows: 32,
        deterministic,
        ngram: rule.clone(),
        ..Options::new(folder.path(), Place::Cpu)
    };
    let alone = Model::load_plain(&options).unwrap();
    let many = Model::load_many(&options).unwrap();
    let most = batches.iter().map(|batch| batch.0).max().unwrap();
    let pages: Vec<Seen> = (0..most).map(|n| page(&alone, n)).collect();
    let wanted = texts(&alone, &pages, 2, &rule);
    for (n, text) in wanted.iter().enumerate() {
        assert_eq!(text.len(), asked(n, &rule).max_new_tokens, "page {n}");
        // A text of one token over and over would say little.
        let kinds: std::collections::HashSet<_> = text.iter().collect();
        assert!(
            kinds.len() > text.len() / 8,
            "page {n} has {} tokens",
            kinds.len()
        );
    }
    for &(count, at_a_time) in batches {
        let found = texts(&many, &pages[..count], at_a_time, &rule);
        for (n, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            assert_eq!(found, wanted, "page {n} of {count}, {at_a_time} at a time");
        }
    }
}

#[test]
fn pages_in_f32_are_the_same_alone_8_and_32_at_a_time() {
    let none = NgramRule {
        size: 0,
        ..NgramRule::default()
    };
    compare(none, false, &[(3, 1), (8, 8), (PAGES, 32)]);
}

#[test]
fn each_page_has_a_ban_of_its_own_one_by_one_too() {
    let all = NgramRule {
        size: 2,
        window: None,
        allowed: Vec::new(),
    };
    compare(all, true, &[(6, 4)]);
}
