//! A ZIP's central directory: the list of entries at the archive's end, and the only one that is believed.
//!
//! Format: PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.4. Every offset and size is the file's word and checked against
//! the file's length; entries whose bytes overlap are refused, since that is how a small file promises petabytes.

use ocr_plugin::HostError;
use ocr_plugin::source::Source;

/// Most entries of an archive.
const MAX_ENTRIES: u64 = 100_000;

/// Most bytes of a directory; 100,000 entries with names of 200 bytes.
const MAX_DIRECTORY: u64 = 32 << 20;

/// How far from the end the directory's end may stand: a comment of 65,535 bytes and the record itself.
const TAIL: u64 = 65_535 + 22;

/// Most bytes that one entry may have unpacked: what a plugin's memory can hold beside its own.
pub const MAX_UNPACKED: u64 = 512 << 20;

/// The length of a local header without name and extra field.
const LOCAL: u64 = 30;

/// Why an archive or an entry can't be read.
#[derive(Debug)]
pub enum Problem {
    Damaged(String),
    Unsupported(String),
    Host(HostError),
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        Problem::Host(error)
    }
}

pub fn damaged<T>(why: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Damaged(why.into()))
}

pub struct Directory {
    /// Files, in the archive's order.
    pub entries: Vec<Entry>,
}

/// One file of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// With its folders.
    pub name: String,
    pub is_encrypted: bool,
    pub is_deflated: bool,
    pub crc32: u32,
    /// Bytes in the archive.
    pub packed: u64,
    /// Bytes unpacked, as the directory promises.
    pub unpacked: u64,
    /// Where its local header begins.
    header: u64,
    method: u16,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Where the directory stands.
struct Place {
    offset: u64,
    size: u64,
    entries: u64,
}

impl Directory {
    pub fn read(source: &Source) -> Result<Self, Problem> {
        let place = Place::find(source)?;
        if place.entries > MAX_ENTRIES || place.size > MAX_DIRECTORY {
            return Err(Problem::Unsupported(format!(
                "it has {} entries, more than the {MAX_ENTRIES} that are read; split it",
                place.entries
            )));
        }
        let bytes = read_exactly(source, place.offset, place.size)?;
        let mut entries = Vec::new();
        let mut at = 0;
        for number in 1..=place.entries {
            let Some((entry, next)) = Entry::read(&bytes, at, number) else {
                return damaged(format!(
                    "its directory ends in entry {number} of {}",
                    place.entries
                ));
            };
            at = next;
            if !entry.name.ends_with(['/', '\\']) {
                entries.push(entry);
            }
        }
        apart(&entries, place.offset)?;
        Ok(Self { entries })
    }
}

/// Whether no two entries share bytes, and none reaches into the directory.
fn apart(entries: &[Entry], end: u64) -> Result<(), Problem> {
    let mut spans: Vec<(u64, u64)> = entries
        .iter()
        .map(|e| (e.header, e.header.saturating_add(LOCAL).saturating_add(e.packed)))
        .collect();
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return damaged(
            "its entries share bytes, as in an archive made to grow without end when it is unpacked",
        );
    }
    match spans.last() {
        Some((_, last)) if *last > end => damaged("an entry reaches past the archive's files"),
        _ => Ok(()),
    }
}

impl Place {
    fn find(source: &Source) -> Result<Self, Problem> {
        let len = source.len();
        let start = len.saturating_sub(TAIL);
        let tail = read_exactly(source, start, len - start)?;
        // The last record whose comment ends where the file does.
        let is_end = |at: &usize| {
            tail[*at..].starts_with(b"PK\x05\x06")
                && u16_at(&tail, at + 20).is_some_and(|comment| at + 22 + usize::from(comment) <= tail.len())
        };
        let Some(at) = (0..tail.len().saturating_sub(21)).rev().find(is_end) else {
            return damaged("it has no directory at its end; it may have been cut off");
        };
        let field = |offset| u16_at(&tail, at + offset).unwrap_or_default();
        let long = |offset| u64::from(u32_at(&tail, at + offset).unwrap_or_default());
        if field(4) != field(6) && field(4) != u16::MAX {
            return Err(Problem::Unsupported(
                "it is one part of several; join them first".into(),
            ));
        }
        let mut place = Place {
            offset: long(16),
            size: long(12),
            entries: u64::from(field(10)),
        };
        let is_large = place.offset == u64::from(u32::MAX)
            || place.size == u64::from(u32::MAX)
            || place.entries == u64::from(u16::MAX);
        let end = start + at as u64;
        if is_large && let Some(large) = Place::find_large(source, end)? {
            place = large;
        }
        // Bytes before the first entry, as in programs that unpack themselves, are not counted in offsets; this reader
        // takes offsets at their word.
        match place.offset.checked_add(place.size) {
            Some(reaches) if reaches <= end => Ok(place),
            _ => damaged("its directory is not where it says"),
        }
    }

    /// The record of an archive that is larger than the first format has numbers for.
    fn find_large(source: &Source, end: u64) -> Result<Option<Self>, Problem> {
        let Some(locator_at) = end.checked_sub(20) else {
            return Ok(None);
        };
        let locator = read_exactly(source, locator_at, 20)?;
        if !locator.starts_with(b"PK\x06\x07") {
            return Ok(None);
        }
        let at = u64_at(&locator, 8).unwrap_or(u64::MAX);
        if at.checked_add(56).is_none_or(|e| e > locator_at) {
            return damaged("its directory is not where it says");
        }
        let record = read_exactly(source, at, 56)?;
        if !record.starts_with(b"PK\x06\x06") {
            return damaged("its directory is not where it says");
        }
        let field = |offset| u64_at(&record, offset).unwrap_or(u64::MAX);
        Ok(Some(Place {
            entries: field(32),
            size: field(40),
            offset: field(48),
        }))
    }
}

impl Entry {
    /// The entry whose record begins at `at`, and where the next one does.
    fn read(bytes: &[u8], at: usize, number: u64) -> Option<(Self, usize)> {
        let record = bytes.get(at..)?;
        if !record.starts_with(b"PK\x01\x02") {
            return None;
        }
        let flags = u16_at(record, 8)?;
        let method = u16_at(record, 10)?;
        let (name_len, extra_len, comment_len) = (
            usize::from(u16_at(record, 28)?),
            usize::from(u16_at(record, 30)?),
            usize::from(u16_at(record, 32)?),
        );
        let name = record.get(46..46 + name_len)?;
        let extra = record.get(46 + name_len..46 + name_len + extra_len)?;
        let next = 46 + name_len + extra_len + comment_len;
        record.get(..next)?;
        let mut entry = Entry {
            name: String::from_utf8(name.to_vec()).unwrap_or_else(|_| code_page_437(name)),
            // Bit 0 encrypts an entry, bit 6 strongly, bit 13 hides the directory's values.
            is_encrypted: flags & 0x2041 != 0,
            is_deflated: method == 8,
            crc32: u32_at(record, 16)?,
            packed: u64::from(u32_at(record, 20)?),
            unpacked: u64::from(u32_at(record, 24)?),
            header: u64::from(u32_at(record, 42)?),
            method,
        };
        if entry.name.is_empty() {
            entry.name = format!("entry-{number}");
        }
        entry.enlarge(extra);
        Some((entry, at + next))
    }

    /// Takes the numbers that were too large for the record from its extra field 1.
    fn enlarge(&mut self, mut extra: &[u8]) {
        while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let Some(body) = extra.get(4..4 + usize::from(len)) else {
                return;
            };
            if id == 1 {
                let mut at = 0;
                for value in [&mut self.unpacked, &mut self.packed, &mut self.header] {
                    if *value == u64::from(u32::MAX)
                        && let Some(large) = u64_at(body, at)
                    {
                        *value = large;
                        at += 8;
                    }
                }
                return;
            }
            extra = &extra[4 + usize::from(len)..];
        }
    }

    /// Where its bytes begin, behind its local header.
    pub fn data(&self, source: &Source) -> Result<u64, Problem> {
        if self.method != 0 && self.method != 8 {
            return Err(Problem::Unsupported(format!(
                "it is packed by method {}, of which only 0 (stored) and 8 (deflated) are read; pack it anew",
                self.method
            )));
        }
        if self.unpacked > MAX_UNPACKED {
            return Err(Problem::Unsupported(format!(
                "it takes {} bytes unpacked, more than the {MAX_UNPACKED} that are read",
                self.unpacked
            )));
        }
        if self.method == 0 && self.packed != self.unpacked {
            return damaged("its two sizes differ though it is not packed");
        }
        let local = read_exactly(source, self.header, LOCAL)?;
        let (Some(name), Some(extra)) = (u16_at(&local, 26), u16_at(&local, 28)) else {
            return damaged("its header is cut off");
        };
        if !local.starts_with(b"PK\x03\x04") {
            return damaged("its header is not where the directory says");
        }
        let at = self.header + LOCAL + u64::from(name) + u64::from(extra);
        match at.checked_add(self.packed) {
            Some(end) if end <= source.len() => Ok(at),
            _ => damaged("it reaches past the archive's end"),
        }
    }
}

/// Names without the flag for UTF-8 are in the code page of the first PCs; its letters up to 0xa5 are what names have.
fn code_page_437(bytes: &[u8]) -> String {
    const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑ";
    let letter = |b: &u8| match b {
        0..0x80 => char::from(*b),
        b => HIGH.chars().nth(usize::from(b - 0x80)).unwrap_or('\u{fffd}'),
    };
    bytes.iter().map(letter).collect()
}

fn read_exactly(source: &Source, offset: u64, len: u64) -> Result<Vec<u8>, Problem> {
    /// Bytes that every host hands over at a time.
    const CALL: u64 = 1 << 20;
    if offset.checked_add(len).is_none_or(|end| end > source.len()) {
        return damaged("it is cut off");
    }
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < len {
        let at = bytes.len() as u64;
        let piece = source.read_at(offset + at, (len - at).min(CALL) as u32)?;
        if piece.is_empty() {
            return damaged("it became shorter while it was read");
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
