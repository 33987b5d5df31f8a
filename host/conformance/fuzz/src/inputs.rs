//! Inputs: what was kept, and a sequence of changes to it that a number determines.

use std::fs;
use std::path::{Path, PathBuf};

/// Most bytes of an input that grows.
const MOST_BYTES: usize = 4096;

/// The folder of this crate's seeds, or of one target's.
pub fn seeds_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target)
}

/// A target's seeds in the order of their names: how inputs usually look, and those that once broke something.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = fs::read_dir(seeds_folder(target))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name, fs::read(entry.path()).ok()?))
        })
        .collect();
    seeds.sort();
    seeds
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }
}

/// The next input: a seed with some changes, or now and then bytes out of nothing. `words` are put in as they are.
pub fn next(random: &mut Random, seeds: &[(String, Vec<u8>)], words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = match seeds.len() {
        0 => Vec::new(),
        _ if random.below(8) == 0 => (0..random.below(300)).map(|_| random.bits() as u8).collect(),
        count => seeds[random.below(count)].1.clone(),
    };
    for _ in 0..=random.below(8) {
        change(random, &mut bytes, seeds, words);
    }
    bytes.truncate(MOST_BYTES.max(seeds.iter().map(|(_, s)| s.len()).max().unwrap_or(0)));
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[(String, Vec<u8>)], words: &[Vec<u8>]) {
    let at = random.below(bytes.len() + 1);
    let until = at + random.below((bytes.len() - at + 1).min(64));
    match random.below(8) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b' ', b'"', b'/'][random.below(8)],
        2 => {
            bytes.drain(at..until);
        }
        3 => {
            let again = bytes[at..until].to_vec();
            bytes.splice(at..at, again);
        }
        4 if !words.is_empty() => {
            let word = words[random.below(words.len())].clone();
            bytes.splice(at..until, word);
        }
        5 if !seeds.is_empty() => {
            let other = &seeds[random.below(seeds.len())].1;
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        6 => {
            let number = random.bits() >> random.below(64);
            bytes.splice(at..until, number.to_string().into_bytes());
        }
        _ => bytes.insert(at, random.bits() as u8),
    }
}

/// The words of a dictionary in libFuzzer's form: one a line, in quotes, with `\xNN`, `\\` and `\"`.
pub fn words(target: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{target}.dict"));
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(word).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let inner = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    let (mut word, mut rest) = (Vec::new(), inner.as_bytes());
    loop {
        match rest {
            [] => return Some(word),
            [b'\\', b'x', a, b, after @ ..] => {
                let digits = [*a, *b];
                let digits = std::str::from_utf8(&digits).ok()?;
                word.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            [b'\\', c, after @ ..] | [c, after @ ..] => {
                word.push(*c);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_libfuzzer_does() {
        assert_eq!(word(r#""a\"b\\c\x0a""#), Some(b"a\"b\\c\n".to_vec()));
        assert_eq!(word("# a comment"), None);
    }

    #[test]
    fn the_sequence_is_the_same_in_each_run() {
        let seeds = [("a".to_owned(), b"some bytes".to_vec())];
        let run = || {
            let mut random = Random(7);
            (0..100)
                .map(|_| next(&mut random, &seeds, &[b"word".to_vec()]))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!(run().windows(2).any(|pair| pair[0] != pair[1]));
    }
}
