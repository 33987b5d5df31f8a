//! The rules of each kind: whether a candidate is one, and how much of it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Lengths of account numbers by country, from the registry of ISO 13616.
const IBAN_LENGTHS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 \
    DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 \
    JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 \
    PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 \
    XK20 YE30";

/// How far before a number its name may stand, bytes.
const NAMED_WITHIN: usize = 16;

fn before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

fn after(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}

/// Whether a number neither begins nor ends inside another one. A letter beside it makes a name of it (`v1.2.3.4`, `12b`); a
/// word does not: engines lose spaces.
fn is_whole_number(text: &str, range: &Range<usize>) -> bool {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    // What stands beside one end of the range, the nearest first; whether that end is a digit.
    let is_free = |is_digit: bool, nearest: Option<char>, next: Option<char>| match nearest {
        Some(c) if c.is_alphabetic() && is_digit => next.is_some_and(char::is_alphabetic),
        Some(c) => !c.is_alphanumeric(),
        None => true,
    };
    let (mut ahead, mut behind) = (text[..range.start].chars().rev(), text[range.end..].chars());
    is_free(is_digit(after(text, range.start)), ahead.next(), ahead.next())
        && is_free(is_digit(before(text, range.end)), behind.next(), behind.next())
}

fn digits(text: &str) -> impl Iterator<Item = u32> {
    text.chars().filter_map(|c| c.to_digit(10))
}

/// A URL doesn't end with the sentence that it stands in.
pub fn without_trailing_marks(text: &str, mut range: Range<usize>) -> Range<usize> {
    while let Some(c) = text[range.clone()].chars().next_back() {
        let closes = |open: char, close: char| {
            let inside = &text[range.clone()];
            c == close && inside.matches(close).count() > inside.matches(open).count()
        };
        if !".,;:!?'\"*".contains(c) && !closes('(', ')') && !closes('[', ']') {
            break;
        }
        range.end -= c.len_utf8();
    }
    range
}

pub fn email(text: &str, mut range: Range<usize>) -> Option<Range<usize>> {
    let at = range.start + text[range.clone()].find('@')?;
    let is_mark = |c: char| ".'\"!?*_-".contains(c);
    let local = &text[range.start..at];
    range.start += local.len() - local.trim_start_matches(|c| is_mark(c) && c != '_').len();
    range.end -= text[at + 1..range.end].len() - text[at + 1..range.end].trim_end_matches(is_mark).len();
    let local = &text[range.start..at];
    let domain = &text[at + 1..range.end];
    let (labels, last) = domain.rsplit_once('.')?;
    let sound =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let top = last.chars().count() >= 2
        && last
            .chars()
            .all(|c| c.is_alphabetic() || c == '-' || c.is_numeric());
    let named = last.chars().any(char::is_alphabetic);
    (!local.is_empty() && labels.split('.').all(sound) && top && named).then_some(range)
}

/// The shortest beginning of the candidate that has the right length and checksum. Where `IBAN` stands before it, the
/// length is enough: a digit may have been read wrongly.
pub fn iban(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    if before(text, range.start).is_some_and(char::is_numeric) {
        return None;
    }
    let begins = !before(text, range.start).is_some_and(char::is_alphabetic);
    let mut number = String::new();
    let mut ends = Vec::new();
    for (at, c) in text[range.clone()].char_indices() {
        if c.is_ascii_alphanumeric() {
            number.push(c.to_ascii_uppercase());
            ends.push(range.start + at + 1);
        }
    }
    let known = IBAN_LENGTHS.split_whitespace().find(|l| l[..2] == number[..2]);
    let length: usize = known?[2..].parse().ok()?;
    let end = *ends.get(length - 1)?;
    let sound = checksum(&number[..length]);
    let mut from = range.start.saturating_sub(NAMED_WITHIN);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let named = text[from..range.start].to_ascii_uppercase().contains("IBAN");
    // With a sound checksum it is one, whatever word a lost space has put beside it.
    let goes_on = after(text, end).is_some_and(char::is_numeric);
    let ends = !after(text, end).is_some_and(char::is_alphanumeric);
    (sound && !goes_on || named && begins && ends).then_some(range.start..end)
}

/// ISO 7064, modulo 97: the first four characters come last, letters count from 10.
fn checksum(number: &str) -> bool {
    let (head, tail) = number.split_at(4);
    let mut rest = 0u32;
    for c in tail.chars().chain(head.chars()) {
        let Some(value) = c.to_digit(36) else {
            return false;
        };
        rest = if value < 10 {
            rest * 10 + value
        } else {
            rest * 100 + value
        } % 97;
    }
    rest == 1
}

/// A run of 13 to 19 digits in the candidate that passes Luhn's test and begins as cards do, whatever word a lost space has
/// put beside it.
pub fn card(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    if before(text, range.start).is_some_and(char::is_numeric) {
        return None;
    }
    let places: Vec<(usize, u32)> = text[range.clone()]
        .char_indices()
        .filter_map(|(at, c)| Some((range.start + at, c.to_digit(10)?)))
        .collect();
    for first in 0..places.len().saturating_sub(12) {
        // A card begins where a group of digits does.
        let parted = first == 0 || places[first - 1].0 + 1 < places[first].0;
        if !parted || !(2..=6).contains(&places[first].1) {
            continue;
        }
        for length in (13..=19).rev().filter(|l| first + l <= places.len()) {
            let (last, _) = places[first + length - 1];
            let ends = after(text, last + 1).is_none_or(|c| !c.is_numeric());
            let run: Vec<u32> = places[first..first + length].iter().map(|p| p.1).collect();
            if ends && luhn(&run) {
                return Some(places[first].0..last + 1);
            }
        }
    }
    None
}

fn luhn(digits: &[u32]) -> bool {
    let doubled = |d: u32| if d > 4 { d * 2 - 9 } else { d * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, &d)| if i % 2 == 1 { doubled(d) } else { d })
        .sum();
    sum.is_multiple_of(10)
}

pub fn ip(text: &str, mut range: Range<usize>) -> Option<Range<usize>> {
    // An address doesn't end with the sentence that it stands in.
    let trimmed = text[range.clone()].trim_end_matches('.');
    let trimmed = match trimmed.strip_suffix(':') {
        Some(rest) if !rest.ends_with(':') => rest,
        _ => trimmed,
    };
    // Of letters beside four numbers some are digits of another kind of address.
    let (begin, trimmed) = match trimmed.contains(':') {
        false => {
            let tail = trimmed.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            let begin = range.start + trimmed.len() - tail.len();
            (begin, tail.trim_end_matches(|c: char| c.is_ascii_alphabetic()))
        }
        true => (range.start, trimmed),
    };
    range = begin..begin + trimmed.len();
    let mut ahead = text[..range.start].chars().rev();
    if !is_whole_number(text, &range) || goes_on(ahead.next(), ahead.next()) {
        return None;
    }
    let address = trimmed.split('/').next()?;
    let sound = match address.contains(':') {
        false => address.parse::<Ipv4Addr>().is_ok() || padded(address),
        // `a::` and the like are found in prose and code.
        true => address.parse::<Ipv6Addr>().is_ok() && address.len() > 3 && digits(address).next().is_some(),
    };
    sound.then_some(range)
}

/// Four numbers up to 255 with zeros before them, which the parser refuses.
fn padded(address: &str) -> bool {
    let parts: Vec<&str> = address.split('.').collect();
    parts.len() == 4
        && parts
            .iter()
            .all(|p| (1..=3).contains(&p.len()) && p.parse::<u16>().is_ok_and(|n| n < 256))
}

pub fn ssn(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let number: Vec<u32> = digits(&text[range.clone()]).collect();
    let value = |digits: &[u32]| digits.iter().fold(0, |n, d| n * 10 + d);
    let (area, group, serial) = (value(&number[..3]), value(&number[3..5]), value(&number[5..]));
    let issued = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    let joined = |c: Option<char>| c == Some('-');
    let alone = is_whole_number(text, &range)
        && !joined(before(text, range.start))
        && !(joined(after(text, range.end))
            && after(text, range.end + 1).is_some_and(|c| c.is_ascii_digit()));
    (issued && alone).then_some(range)
}

pub fn date(text: &str, mut range: Range<usize>) -> Option<Range<usize>> {
    range.end -= next_day(text, &range);
    if !is_whole_number(text, &range) {
        return None;
    }
    let found = &text[range.clone()];
    let numbers: Vec<&str> = found
        .split(|c: char| !c.is_ascii_digit())
        .filter(|n| !n.is_empty())
        .collect();
    let value = |n: &&str| n.parse::<u32>().unwrap_or(u32::MAX);
    let day = |n: &&str| (1..=31).contains(&value(n));
    let month = |n: &&str| (1..=12).contains(&value(n));
    let year = |n: &&str| n.len() == 4 || n.len() == 2;
    // Inside a longer number of the same form (`1.2.3.4`) it is none.
    let head = &text[..range.start];
    let mut ahead = head.chars().rev();
    let (last, last_but_one) = (ahead.next(), ahead.next());
    let mut behind = text[range.end..].chars();
    if goes_on(last, last_but_one) || goes_on(behind.next(), behind.next()) {
        return None;
    }
    let has_letters = found.chars().any(|c| c.is_alphabetic());
    let sound = match &numbers[..] {
        [a, b, c] if a.len() == 4 => month(b) && day(c),
        [a, b, c] => year(c) && ((day(a) && month(b)) || (month(a) && day(b))),
        [a] if has_letters => day(a) || a.len() == 4,
        [a, b] if has_letters => (day(a) && year(b)) || (day(b) && year(a)),
        _ => false,
    };
    sound.then_some(range)
}

/// How many bytes at the end of `8 May 15` are the day of another date: `May` follows again.
fn next_day(text: &str, range: &Range<usize>) -> usize {
    let found = &text[range.clone()];
    let head = found.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_day = (1..=2).contains(&(found.len() - head.len()));
    let word = |text: &str| -> String {
        let letters = text.chars().take_while(|c| c.is_alphabetic());
        letters.flat_map(char::to_lowercase).collect()
    };
    let month: String = head
        .chars()
        .filter(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect();
    let head = head.trim_end_matches(' ');
    let follows = text[range.end..].strip_prefix(' ').map(word);
    match follows {
        Some(next) if is_day && !month.is_empty() && next == month => found.len() - head.len(),
        _ => 0,
    }
}

/// The first of the numbers that the candidate holds: it may be two that stand beside each other, so it is cut into
/// numbers such that as many digits as can be belong to one.
pub fn phone(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let mut ahead = text[..range.start].chars().rev();
    let is_name = match (ahead.next(), ahead.next()) {
        // A word may stand there that has lost its space.
        (Some(last), before) if last.is_alphabetic() => !before.is_some_and(char::is_alphabetic),
        (Some(last), _) => last.is_numeric() || last == '+',
        (None, _) => false,
    };
    if is_name {
        return None;
    }
    let mut ahead = text[..range.start].chars().rev();
    if goes_on(ahead.next(), ahead.next()) || date(text, range.clone()).is_some() {
        return None;
    }
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, c) in text[range.clone()]
        .char_indices()
        .filter(|(_, c)| c.is_ascii_digit())
    {
        let at = range.start + at;
        match groups.last_mut() {
            Some(last) if last.end == at => last.end = at + c.len_utf8(),
            _ => groups.push(at..at + 1),
        }
    }
    // From the back: how many digits from a group on belong to numbers, and where the number that begins there ends.
    let mut best = vec![(0, None); groups.len() + 1];
    for first in (0..groups.len()).rev() {
        let mut digits = 0;
        for last in first..groups.len() {
            digits += groups[last].len();
            let covered = digits + best[last + 1].0;
            if covered > best[first].0 && is_phone(text, &groups[first..=last]) {
                best[first] = (covered, Some(last));
            }
        }
    }
    let last = best.first()?.1?;
    let mut start = range.start;
    // What opens and never closes belongs to the sentence.
    let is_left_open = |number: &str| number.matches('(').count() > number.matches(')').count();
    while text[start..].starts_with('(') && is_left_open(&text[start..groups[last].end]) {
        start += 1;
    }
    Some(start..groups[last].end)
}

/// Whether a number or date goes on behind a mark.
fn goes_on(mark: Option<char>, next: Option<char>) -> bool {
    mark.is_some_and(|c| ".,-/:".contains(c)) && next.is_some_and(|c| c.is_ascii_digit())
}

/// International numbers, national ones that begin with 0, and those of North America.
fn is_phone(text: &str, groups: &[Range<usize>]) -> bool {
    let (start, end) = (groups[0].start, groups[groups.len() - 1].end);
    let mut behind = text[end..].chars();
    let next = behind.next();
    if next.is_some_and(char::is_alphanumeric) || goes_on(next, behind.next()) {
        return false;
    }
    let number = &text[start..end];
    if number.contains('+') {
        return false;
    }
    let sizes: Vec<usize> = groups.iter().map(Range::len).collect();
    let count: usize = sizes.iter().sum();
    let american = |groups: &[Range<usize>]| {
        let sizes: Vec<usize> = groups.iter().map(Range::len).collect();
        matches!(sizes[..], [3, 3, 4] | [3, 7] | [6, 4])
            && ('2'..='9').contains(&after(text, groups[0].start).unwrap_or('0'))
    };
    let head = text[..start].trim_end_matches('(');
    if head.ends_with('+') {
        (7..=15).contains(&count)
    } else if number.starts_with("00") {
        (9..=17).contains(&count) && groups.len() > 1
    } else if number.starts_with('0') {
        // `0.123456789` is a number, `0-306-40615-2` that of a book.
        let sound = sizes[0] > 1 || number.starts_with("0 ");
        (8..=13).contains(&count) && groups.len() > 1 && sound
    } else {
        american(groups)
            || (number.starts_with('1') && sizes[0] == 1 && groups.len() > 2 && american(&groups[1..]))
    }
}
