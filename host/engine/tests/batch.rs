//! Many sequences at once through a model that reads its own cache: a block in the wrong hands changes the text.

use ocr_engine::{Batch, BlockId, Capacity, Entry, Order, Part, Prefix, Said, StepModel, Tenant, Writing};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const BLOCK: usize = 4;

/// The token that follows a sequence: a sum over all of it, kept from the end token 0.
fn follow(tokens: impl Iterator<Item = u32>) -> u32 {
    let sum = tokens.fold(17u32, |sum, token| sum.wrapping_mul(31).wrapping_add(token + 1));
    1 + (sum >> 7) % 997
}

/// What is to be written behind a prompt.
fn expected(prompt: &[u32], count: usize) -> Vec<u32> {
    let mut all = prompt.to_vec();
    for _ in 0..count {
        all.push(follow(all.iter().copied()));
    }
    all.split_off(prompt.len())
}

/// A decoder whose cache holds the tokens themselves.
struct EchoModel {
    capacity: Capacity,
    cache: Vec<Option<u32>>,
    rows: Vec<Option<Row>>,
    begun: VecDeque<Vec<u32>>,
    widest: Arc<AtomicUsize>,
    encodes: Arc<AtomicUsize>,
    /// The most prompts at a time.
    most_encoded: Arc<AtomicUsize>,
    most_filled: Arc<AtomicUsize>,
    /// Prefills of sequences that had written before, and made room.
    resumed: Arc<AtomicUsize>,
    /// Steps until one fails.
    steps: usize,
    /// What encoding takes.
    delay: Duration,
}

struct Row {
    token: u32,
    length: usize,
    blocks: Vec<BlockId>,
}

impl EchoModel {
    fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            cache: vec![None; capacity.blocks * BLOCK],
            rows: (0..capacity.rows).map(|_| None).collect(),
            begun: VecDeque::new(),
            widest: Arc::default(),
            encodes: Arc::default(),
            most_encoded: Arc::default(),
            most_filled: Arc::default(),
            resumed: Arc::default(),
            steps: usize::MAX,
            delay: Duration::ZERO,
        }
    }

    fn place(blocks: &[BlockId], position: usize) -> usize {
        blocks[position / BLOCK] as usize * BLOCK + position % BLOCK
    }

    fn read(&self, blocks: &[BlockId], length: usize) -> u32 {
        follow((0..length).map(|at| self.cache[Self::place(blocks, at)].expect("written before it is read")))
    }
}

impl StepModel for EchoModel {
    type Prompt = Vec<u32>;
    type Encoded = Vec<u32>;

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn encode(&mut self, prompts: &[Vec<u32>]) -> Result<Vec<(Vec<u32>, Prefix)>, String> {
        assert!(!prompts.is_empty() && prompts.len() <= self.capacity.prompts);
        self.most_encoded.fetch_max(prompts.len(), Ordering::Relaxed);
        std::thread::sleep(self.delay);
        let mut encoded = Vec::new();
        for prompt in prompts {
            if prompt[0] == 666 {
                return Err("an evil page".into());
            }
            assert!(prompt[0] != 667, "a page that is worse");
            // Odd last tokens stand for images, which no step can read by an id.
            let last = prompt.last().copied().filter(|token| token % 2 == 0);
            let tokens = prompt.len();
            encoded.push((prompt.clone(), Prefix { tokens, last }));
        }
        self.encodes.fetch_add(prompts.len(), Ordering::Relaxed);
        Ok(encoded)
    }

    fn prefill(&mut self, parts: &[Part<'_, Vec<u32>>]) -> Result<Vec<Option<u32>>, String> {
        assert!(parts.iter().map(|part| part.count).sum::<usize>() <= self.capacity.chunk);
        self.most_filled.fetch_max(parts.len(), Ordering::Relaxed);
        let mut tokens = Vec::new();
        for part in parts {
            self.resumed
                .fetch_add(usize::from(!part.written.is_empty()), Ordering::Relaxed);
            let all = [part.encoded, part.written].concat();
            assert!(part.count > 0 && part.start + part.count <= all.len());
            assert!(!part.wants_token || part.encoded.last().is_some_and(|token| token % 2 == 1));
            for (at, &token) in all.iter().enumerate().skip(part.start).take(part.count) {
                self.cache[Self::place(part.blocks, at)] = Some(token);
            }
            let end = part.start + part.count;
            tokens.push(part.wants_token.then(|| self.read(part.blocks, end)));
        }
        Ok(tokens)
    }

    fn enter(&mut self, row: usize, prompt: &Vec<u32>, entry: Entry<'_>) -> Result<(), String> {
        assert!(self.rows[row].is_none());
        let newest = entry.written.last().or(prompt.last());
        assert_eq!(newest, Some(&entry.token));
        self.rows[row] = Some(Row {
            token: entry.token,
            length: entry.length,
            blocks: entry.blocks.to_vec(),
        });
        Ok(())
    }

    fn grow(&mut self, row: usize, blocks: &[BlockId]) -> Result<(), String> {
        self.rows[row].as_mut().unwrap().blocks = blocks.to_vec();
        Ok(())
    }

    fn leave(&mut self, row: usize) -> Result<(), String> {
        self.rows[row].take().expect("a row is left once");
        Ok(())
    }

    fn begin_step(&mut self, rows: usize) -> Result<(), String> {
        assert!(self.rows[rows..].iter().all(Option::is_none));
        self.widest
            .fetch_max(self.rows.iter().flatten().count(), Ordering::Relaxed);
        let mut tokens = vec![0; rows];
        for (n, token) in tokens.iter_mut().enumerate() {
            let Some(row) = &self.rows[n] else { continue };
            let place = Self::place(&row.blocks, row.length - 1);
            self.cache[place] = Some(row.token);
            *token = self.read(&row.blocks, row.length);
            let row = self.rows[n].as_mut().unwrap();
            (row.token, row.length) = (*token, row.length + 1);
        }
        self.begun.push_back(tokens);
        Ok(())
    }

    fn end_step(&mut self, tokens: &mut [u32]) -> Result<(), String> {
        let step = self.begun.pop_front().expect("a step was begun");
        if self.steps == 0 {
            return Err("the device is lost".into());
        }
        self.steps -= 1;
        tokens[..step.len()].copy_from_slice(&step);
        Ok(())
    }
}

fn capacity(blocks: usize, rows: usize) -> Capacity {
    Capacity {
        blocks,
        block_tokens: BLOCK,
        rows,
        context: 64,
        chunk: 5,
        prompts: 3,
        reserves: false,
    }
}

fn order(tenant: &str, most: usize) -> Order {
    Order {
        tenant: Tenant::named(tenant),
        most,
        end: None,
    }
}

fn start(model: EchoModel) -> Batch<Vec<u32>> {
    Batch::start(|| Ok::<_, std::io::Error>(model)).unwrap()
}

/// All tokens of a sequence, or why it failed.
fn listen(writing: &Writing) -> Result<Vec<u32>, String> {
    let mut tokens = Vec::new();
    loop {
        match writing.next(Duration::from_secs(20)).expect("it goes on") {
            Said::Token(token) => tokens.push(token),
            Said::End => return Ok(tokens),
            Said::Failed(why) => return Err(why),
        }
    }
}

#[test]
fn one_sequence_is_written_to_its_most_or_its_end() {
    let batch = start(EchoModel::new(capacity(16, 4)));
    let prompt = vec![5, 6, 7, 8, 9, 10, 11];
    let text = listen(&batch.handle().submit(prompt.clone(), order("a", 30))).unwrap();
    assert_eq!(text, expected(&prompt, 30));
    let end = text[12];
    let ended = Order {
        end: Some(end),
        ..order("a", 30)
    };
    let text = listen(&batch.handle().submit(prompt.clone(), ended)).unwrap();
    let length = 1 + expected(&prompt, 30)
        .iter()
        .position(|&token| token == end)
        .unwrap();
    assert_eq!(text, expected(&prompt, length));
    let one = listen(&batch.handle().submit(prompt.clone(), order("a", 1))).unwrap();
    assert_eq!(one, expected(&prompt, 1));
}

#[test]
fn the_context_bounds_the_text_and_a_prompt_that_fills_it_fails() {
    let batch = start(EchoModel::new(capacity(16, 4)));
    let text = listen(&batch.handle().submit(vec![3; 60], order("a", 30))).unwrap();
    assert_eq!(text, expected(&[3; 60], 4));
    let error = listen(&batch.handle().submit(vec![3; 64], order("a", 30))).unwrap_err();
    assert!(error.contains("leaves no room to write"), "{error}");
    // The cache is the narrower of the two here.
    let batch = start(EchoModel::new(capacity(5, 4)));
    let text = listen(&batch.handle().submit(vec![3; 16], order("a", 30))).unwrap();
    assert_eq!(text, expected(&[3; 16], 4));
}

#[test]
fn an_error_costs_its_own_sequence() {
    let batch = start(EchoModel::new(capacity(64, 4)));
    let handle = batch.handle();
    let good = handle.submit(vec![1, 2, 3], order("a", 40));
    let evil = handle.submit(vec![666], order("b", 40));
    assert_eq!(listen(&evil), Err("an evil page".into()));
    let worse = handle.submit(vec![667], order("b", 40));
    assert_eq!(
        listen(&worse),
        Err("the model panicked: a page that is worse".into())
    );
    assert_eq!(listen(&good).unwrap(), expected(&[1, 2, 3], 40));
}

#[test]
fn a_step_that_fails_ends_all_sequences_and_those_that_come() {
    let mut model = EchoModel::new(capacity(64, 4));
    model.steps = 7;
    let batch = start(model);
    let handle = batch.handle();
    let both = [vec![1, 2, 3], vec![4, 5]].map(|prompt| handle.submit(prompt, order("a", 40)));
    for writing in both {
        assert_eq!(listen(&writing), Err("the device is lost".into()));
    }
    let late = handle.submit(vec![9], order("a", 40));
    assert_eq!(listen(&late), Err("the device is lost".into()));
}

#[test]
fn an_error_among_prompts_that_go_together_is_its_own_alone() {
    // Rows for all, so that they are encoded together.
    let mut model = EchoModel::new(Capacity {
        prompts: 8,
        chunk: 40,
        ..capacity(200, 12)
    });
    model.delay = Duration::from_millis(30);
    let (encoded, filled) = (model.most_encoded.clone(), model.most_filled.clone());
    let batch = start(model);
    let prompts: Vec<Vec<u32>> = (0..12)
        .map(|n| match n {
            4 => vec![666],
            9 => vec![667, 1],
            n => (0..1 + n).map(|at| n * 31 + at).collect(),
        })
        .collect();
    let writings: Vec<Writing> = prompts
        .iter()
        .map(|prompt| batch.handle().submit(prompt.clone(), order("a", 9)))
        .collect();
    for (n, writing) in writings.iter().enumerate() {
        match n {
            4 => assert_eq!(listen(writing), Err("an evil page".into())),
            9 => assert!(listen(writing).unwrap_err().contains("a page that is worse")),
            _ => assert_eq!(listen(writing).unwrap(), expected(&prompts[n], 9), "sequence {n}"),
        }
    }
    assert!(encoded.load(Ordering::Relaxed) > 3 && filled.load(Ordering::Relaxed) > 3);
}

#[test]
fn sequences_that_reserve_their_blocks_never_make_room() {
    let model = EchoModel::new(Capacity {
        reserves: true,
        ..capacity(48, 8)
    });
    let resumed = model.resumed.clone();
    let batch = start(model);
    let prompts: Vec<Vec<u32>> = (0..40u32)
        .map(|n| (0..1 + n % 25).map(|at| n * 31 + at).collect())
        .collect();
    let most = |n: usize| 1 + n * 7 % 38;
    let writings: Vec<Writing> = (0..40)
        .map(|n| {
            batch
                .handle()
                .submit(prompts[n].clone(), order(["a", "b"][n % 2], most(n)))
        })
        .collect();
    for (n, writing) in writings.iter().enumerate() {
        assert_eq!(
            listen(writing).unwrap(),
            expected(&prompts[n], most(n)),
            "sequence {n}"
        );
    }
    assert_eq!(resumed.load(Ordering::Relaxed), 0);
    assert_eq!(batch.handle().census().unwrap().preempted, 0);
}

#[test]
fn an_endless_stream_of_urgent_sequences_lets_another_come_to_its_end() {
    // Room for two urgent ones and half of the patient one, so that they make each other room.
    let batch = start(EchoModel::new(capacity(20, 3)));
    let urgent = Order {
        tenant: Tenant {
            priority: 1,
            ..Tenant::named("urgent")
        },
        ..order("urgent", 20)
    };
    let prompt = |n: u32| -> Vec<u32> { (0..6).map(|at| n * 31 + at).collect() };
    let submit = |n: u32| (n, batch.handle().submit(prompt(n), urgent.clone()));
    let mut under_way: VecDeque<(u32, Writing)> = (0..8).map(submit).collect();
    let patient = batch.handle().submit(vec![7; 10], order("patient", 40));
    let (mut written, mut is_done, mut count) = (Vec::new(), false, 8);
    while !is_done {
        assert!(count < 150, "the patient one has {} tokens", written.len());
        let (n, first) = under_way.pop_front().unwrap();
        assert_eq!(listen(&first).unwrap(), expected(&prompt(n), 20), "sequence {n}");
        under_way.push_back(submit(count));
        count += 1;
        while let Some(said) = patient.next(Duration::ZERO) {
            match said {
                Said::Token(token) => written.push(token),
                Said::End => {
                    is_done = true;
                    break;
                }
                Said::Failed(why) => panic!("{why}"),
            }
        }
    }
    assert_eq!(written, expected(&[7; 10], 40));
    println!(
        "{count} urgent ones beside it, {} pre-emptions",
        batch.handle().census().unwrap().preempted
    );
}

#[test]
fn five_hundred_sequences_with_cancellations_in_a_cache_for_three() {
    let mut model = EchoModel::new(capacity(48, 8));
    // Long enough for sequences to meet, on a machine that is slow to start their threads.
    model.delay = Duration::from_micros(200);
    let (widest, encodes, resumed) = (model.widest.clone(), model.encodes.clone(), model.resumed.clone());
    let batch = start(model);
    let tenants = ["a", "b", "c"];
    let mut random = 99u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    std::thread::scope(|scope| {
        let mut sequences = Vec::new();
        for n in 0..500u32 {
            let prompt: Vec<u32> = (0..1 + next(30) as u32).map(|at| n * 31 + at).collect();
            let most = 1 + next(34) as usize;
            let cancelled = next(5) == 0;
            let handle = batch.handle();
            let tenant = tenants[next(3) as usize];
            let sequence = scope.spawn(move || {
                let writing = handle.submit(prompt.clone(), order(tenant, most));
                if cancelled {
                    // Some hear a token first.
                    if n % 2 == 0 {
                        writing.next(Duration::from_secs(20));
                    }
                    drop(writing);
                    return true;
                }
                assert_eq!(listen(&writing).unwrap(), expected(&prompt, most), "sequence {n}");
                false
            });
            sequences.push(sequence);
        }
        let cancelled = sequences
            .into_iter()
            .filter_map(|s| s.join().unwrap().then_some(()))
            .count();
        assert!((50..200).contains(&cancelled), "{cancelled}");
    });
    assert!(widest.load(Ordering::Relaxed) > 3, "sequences ran together");
    assert!(
        resumed.load(Ordering::Relaxed) > 0,
        "some had to make room and went on"
    );
    assert!(
        encodes.load(Ordering::Relaxed) <= 500,
        "no prompt is encoded twice"
    );
    let census = batch.handle().census().unwrap();
    assert_eq!((census.sequences, census.free_blocks), (0, census.blocks));
    assert!(census.preempted > 0);
    // All blocks are back: one that takes the whole cache can be written.
    let all = listen(&batch.handle().submit(vec![7; 60], order("a", 4))).unwrap();
    assert_eq!(all, expected(&[7; 60], 4));
}
