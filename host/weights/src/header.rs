//! The head of a safetensors file: eight bytes of length, then JSON that says where each tensor lies.
//!
//! Files come from anywhere, so nothing in a head is believed. Invariants of what [`read`] answers: every tensor has a
//! known type, its range has exactly the bytes that type and shape ask for, and the ranges cover the file from the
//! head to its end without gap or overlap, as the format demands.

use candle_core::DType;
use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Heads are at most this long. That of DeepSeek-OCR's 2,710 tensors has 0.4 MB; the format itself stops at 100 MB.
const MOST_BYTES: u64 = 32 << 20;

/// Where a tensor lies in its file and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Bytes, from the start of the file.
    pub range: Range<usize>,
}

/// Reads the head of `file`; an error says what is wrong with it.
pub(crate) fn read(file: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(format!("{} bytes are too few for a safetensors file", file.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > MOST_BYTES {
        return Err(format!("its head claims {length} bytes, more than {MOST_BYTES}"));
    }
    // It fits: it is at most `MOST_BYTES`.
    let Some((head, data)) = rest.split_at_checked(length as usize) else {
        return Err(format!(
            "it ends inside its head: {length} bytes are claimed and {} are there",
            rest.len()
        ));
    };
    let Head(raw) = serde_json::from_slice(head).map_err(|e| format!("its head is not understood: {e}"))?;
    let start = file.len() - data.len();
    let mut entries = BTreeMap::new();
    for (name, raw) in raw {
        let entry = raw
            .placed(start)
            .map_err(|why| format!("tensor `{name}` {why}"))?;
        entries.insert(name, entry);
    }
    cover(&entries, start, file.len())?;
    Ok(entries)
}

/// Fails unless the entries lie end to end from `start` to the file's end.
fn cover(entries: &BTreeMap<String, Entry>, start: usize, end: usize) -> Result<(), String> {
    let mut ordered: Vec<(&String, &Entry)> = entries.iter().collect();
    ordered.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
    let last = ordered
        .iter()
        .map(|(_, entry)| entry.range.end)
        .max()
        .unwrap_or(start);
    if last > end {
        return Err(format!(
            "it is truncated: {} bytes are missing at its end",
            last - end
        ));
    }
    let mut at = start;
    for (name, entry) in ordered {
        if entry.range.start < at {
            return Err(format!("tensor `{name}` overlaps the one before it"));
        }
        if entry.range.start > at {
            return Err(format!(
                "{} bytes before tensor `{name}` are nobody's",
                entry.range.start - at
            ));
        }
        at = entry.range.end;
    }
    match end - at {
        0 => Ok(()),
        more => Err(format!("{more} bytes follow its last tensor")),
    }
}

#[derive(Deserialize)]
struct Raw {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl Raw {
    fn placed(self, start: usize) -> Result<Entry, String> {
        let dtype = dtype(&self.dtype)
            .ok_or_else(|| format!("is of type `{}`, which this program does not know", self.dtype))?;
        let shape = self.shape;
        let asked = shape
            .iter()
            .try_fold(dtype.size_in_bytes(), |bytes, &dim| bytes.checked_mul(dim))
            .ok_or_else(|| format!("has the impossible shape {shape:?}"))?;
        let [first, last] = self.data_offsets;
        if last.checked_sub(first) != Some(asked) {
            return Err(format!(
                "lies at {first}..{last}, but {} of {shape:?} take {asked} bytes",
                dtype.as_str()
            ));
        }
        let range = start.checked_add(first).zip(start.checked_add(last));
        let (first, last) = range.ok_or_else(|| format!("lies at {first}..{last}, past any file"))?;
        Ok(Entry {
            dtype,
            shape,
            range: first..last,
        })
    }
}

/// The type that a head calls `name`.
fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "BF16" => DType::BF16,
        "F16" => DType::F16,
        "F32" => DType::F32,
        "F64" => DType::F64,
        "U8" => DType::U8,
        "U32" => DType::U32,
        "I16" => DType::I16,
        "I32" => DType::I32,
        "I64" => DType::I64,
        "F8_E4M3" => DType::F8E4M3,
        _ => return None,
    })
}

/// The JSON object, in which each name stands once.
struct Head(BTreeMap<String, Raw>);

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadVisitor)
    }
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with one entry a tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value()?;
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("tensor `{name}` stands there twice")));
            }
            entries.insert(name, raw);
        }
        Ok(Head(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(head: &str, data: usize) -> Vec<u8> {
        let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
        bytes.extend(head.bytes());
        bytes.resize(bytes.len() + data, 7);
        bytes
    }

    const GOOD: &str = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
        "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#;

    #[test]
    fn a_good_head_places_its_tensors() {
        let bytes = file(GOOD, 16);
        let entries = read(&bytes).unwrap();
        let start = 8 + GOOD.len();
        assert_eq!(entries["a"].range, start..start + 4);
        assert_eq!(
            (&entries["b"].shape[..], entries["b"].dtype),
            (&[2, 3][..], DType::BF16)
        );
        assert_eq!(entries["b"].range.end, bytes.len());
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = file(GOOD, 16);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn hostile_heads_are_refused_in_words() {
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let two = |a: &str, b: &str| {
            let entry = r#"{"dtype":"U8","shape":[4],"data_offsets":"#;
            format!(r#"{{"a":{entry}{a}}},"b":{entry}{b}}}}}"#)
        };
        let max = usize::MAX;
        for (head, data, expected) in [
            (one("BF16", "[4]", "[0,8]"), 4, "truncated: 4 bytes are missing"),
            (one("BF16", "[4]", "[0,8]"), 9, "1 bytes follow its last tensor"),
            (one("BF16", "[4]", "[0,7]"), 7, "take 8 bytes"),
            (one("BF16", "[4]", "[8,0]"), 8, "lies at 8..0"),
            (
                one("BF16", "[4]", "[2,10]"),
                10,
                "2 bytes before tensor `a` are nobody's",
            ),
            (one("F4", "[4]", "[0,2]"), 2, "is of type `F4`"),
            (one("BF16", &format!("[{max},2]"), "[0,8]"), 8, "impossible shape"),
            (
                one("U8", "[4]", &format!("[{},{max}]", max - 4)),
                8,
                "past any file",
            ),
            (one("BF16", "[-4]", "[0,8]"), 8, "not understood"),
            (two("[0,4]", "[2,6]"), 6, "tensor `b` overlaps"),
            (two("[0,4]", "[0,4]"), 4, "overlaps"),
            (GOOD.replace("\"b\"", "\"a\""), 16, "`a` stands there twice"),
            ("[]".into(), 0, "not understood"),
            ("{}".into(), 3, "3 bytes follow"),
        ] {
            let error = read(&file(&head, data)).unwrap_err();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
        let mut claims = file(GOOD, 16);
        claims[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&claims).unwrap_err().contains("its head claims"));
        claims[..8].copy_from_slice(&5000u64.to_le_bytes());
        assert!(read(&claims).unwrap_err().contains("ends inside its head"));
    }
}
