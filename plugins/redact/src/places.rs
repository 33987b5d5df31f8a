//! Where in a text the expression of a kind may match: the places that its first characters leave.
//!
//! An expression that is tried at every character of a page costs milliseconds, and most of a page is words. Each function
//! here answers the first place from `at` on at which its kind's expression might match, and all that a match there could
//! cover. It may answer places where nothing matches and leaves out none where something does; a test holds it against
//! the expressions.

use std::ops::Range;

/// What follows `start` up to `bytes` further, the longest that a match can be.
fn within(text: &str, start: usize, bytes: usize) -> Range<usize> {
    start..text.floor_char_boundary(start + bytes)
}

fn first(text: &str, at: usize, may_begin: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    (at..bytes.len()).find(|&at| may_begin(&bytes[at..]))
}

/// How many bytes from the start are of a sort.
fn run<'b>(bytes: impl IntoIterator<Item = &'b u8>, is_part: impl Fn(u8) -> bool) -> usize {
    bytes.into_iter().take_while(|b| is_part(**b)).count()
}

pub fn url(text: &str, at: usize) -> Option<Range<usize>> {
    let start = first(text, at, |rest| {
        b"hfwmHFWM".contains(&rest[0]) && begins_url(rest)
    })?;
    let end = run(&text.as_bytes()[start..], |b| !b" \t<>\"|".contains(&b));
    Some(start..start + end)
}

/// Whether there is a scheme with its colon, or `www` with its dot. It is no guess: what is left of a page can be long,
/// and is not to be tried at each of its letters.
fn begins_url(rest: &[u8]) -> bool {
    // The longest is `httpſ`, with the second small letter that `s` has.
    const LONGEST: usize = 7;
    let Some(end) = rest.iter().take(LONGEST).position(|b| *b == b':' || *b == b'.') else {
        return false;
    };
    let name = String::from_utf8_lossy(&rest[..end])
        .replace('\u{17f}', "s")
        .to_ascii_lowercase();
    match name.as_str() {
        "www" => rest[end] == b'.',
        "mailto" => rest[end] == b':',
        "http" | "https" | "ftp" | "ftps" | "ws" | "wss" | "file" => rest[end..].starts_with(b"://"),
        _ => false,
    }
}

pub fn email(text: &str, at: usize) -> Option<Range<usize>> {
    let parts = |b: u8| b" \t@,;:<>()[]{}".contains(&b);
    let is_sign = |rest: &[u8]| rest[0] == b'@';
    around(text, at, 1, is_sign, |b| !parts(b), |b| !parts(b) && b != b'/')
}

/// No more and no less than what the expression matches: each number with a point may be the beginning of an address.
pub fn ip(text: &str, at: usize) -> Option<Range<usize>> {
    let is_sign = |rest: &[u8]| is_mark(rest[0]);
    let address = around(
        text,
        at,
        0,
        is_sign,
        |b| b.is_ascii_hexdigit(),
        goes_on_an_address,
    )?;
    // A slash and up to three digits.
    let size = text.as_bytes()[address.end..].strip_prefix(b"/");
    let digits = size.map_or(0, |size| run(size.iter().take(3), |b| b.is_ascii_digit()));
    let end = address.end + if digits > 0 { 1 + digits } else { 0 };
    Some(address.start..end)
}

/// A place that is known by a sign in its middle: it begins with the characters that may stand before it, `least` of
/// them, and goes on with some behind it. Where it is cut off at `at` it begins there, and so does the match.
fn around(
    text: &str,
    at: usize,
    least: usize,
    is_sign: impl Fn(&[u8]) -> bool,
    before: impl Fn(u8) -> bool,
    behind: impl Fn(u8) -> bool,
) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut from = at;
    loop {
        let sign = first(text, from, &is_sign)?;
        let start = sign - run(bytes[at..sign].iter().rev(), &before);
        let end = sign + 1 + run(&bytes[sign + 1..], &behind);
        if sign - start >= least && end > sign + 1 {
            return Some(start..end);
        }
        from = sign + 1;
    }
}

/// What parts the numbers of an address.
pub fn is_mark(b: u8) -> bool {
    b == b'.' || b == b':'
}

/// What stands behind such a mark.
pub fn goes_on_an_address(b: u8) -> bool {
    b.is_ascii_hexdigit() || is_mark(b)
}

pub fn iban(text: &str, at: usize) -> Option<Range<usize>> {
    // Two letters of 3 bytes at most, a space and two digits, then 40 of both.
    const LONGEST: usize = 2 * 3 + 1 + 2 + 40 * (1 + 3);
    // Which letters are one in capitals and in small letters is for the expression to say.
    let letter = |bytes: &[u8]| match bytes {
        [b, ..] if b.is_ascii_alphabetic() => Some(1),
        [0xc5, 0xbf, ..] => Some(2),
        [0xe2, 0x84, 0xaa, ..] => Some(3),
        _ => None,
    };
    let digits = |bytes: &[u8]| {
        let is_digit = |b: &u8| b.is_ascii_digit() || *b == b'o' || *b == b'O';
        bytes.len() >= 2 && bytes[..2].iter().all(is_digit)
    };
    let start = first(text, at, |rest| {
        let behind = letter(rest).and_then(|one| Some(one + letter(&rest[one..])?));
        let Some(rest) = behind.map(|behind| &rest[behind..]) else {
            return false;
        };
        let number = match rest.first() {
            Some(b' ' | b'\t' | b'-') => &rest[1..],
            _ => rest,
        };
        digits(number) && goes_on_as_iban(&number[2..])
    })?;
    Some(within(text, start, LONGEST))
}

/// Whether eleven letters or digits follow, with a mark at most before each.
fn goes_on_as_iban(mut rest: &[u8]) -> bool {
    for _ in 0..11 {
        if let [b' ' | b'\t' | b'.' | b'-', behind @ ..] = rest {
            rest = behind;
        }
        match rest {
            [b, behind @ ..] if b.is_ascii_alphanumeric() => rest = behind,
            // One beyond ASCII may be a letter: that is for the expression to say.
            [b, ..] => return *b >= 0x80,
            [] => return false,
        }
    }
    true
}

pub fn card(text: &str, at: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 1 + 30 * (2 + 1);
    let start = first(text, at, |rest| {
        let part = |b: &&u8| b.is_ascii_digit() || b" \t.-".contains(b);
        let digits = rest
            .iter()
            .take(LONGEST)
            .take_while(part)
            .filter(|b| b.is_ascii_digit());
        rest[0].is_ascii_digit() && digits.count() >= 13
    })?;
    Some(within(text, start, LONGEST))
}

pub fn ssn(text: &str, at: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 3 + 3 + 2 + 3 + 4;
    let start = first(text, at, |rest| {
        let digits = run(rest.iter().take(3), |b| b.is_ascii_digit());
        let marks = run(rest[digits..].iter().take(3), |b| b" -".contains(&b));
        digits == 3 && marks > 0 && rest.get(3 + marks).is_some_and(u8::is_ascii_digit)
    })?;
    Some(within(text, start, LONGEST))
}

pub fn date(text: &str, at: usize) -> Option<Range<usize>> {
    // A day with `ſt`, `de` with its spaces, ten letters of 3 bytes at most, `.`, `,`, `de` and a year.
    const LONGEST: usize = 2 + 3 + 1 + 3 + 10 * 3 + 2 + 4 + 4;
    // A month up to the number behind it.
    const MONTH: usize = 10 * 3 + 1 + 1 + 1;
    let is_digit = u8::is_ascii_digit;
    let start = first(text, at, |rest| {
        match run(rest.iter().take(5), |b| b.is_ascii_digit()) {
            0 => begins_month(rest) && rest.iter().take(MONTH).any(is_digit),
            digits @ (1 | 2 | 4) => {
                let behind = without_space(&rest[digits..]);
                behind.first().is_some_and(|&b| match b {
                    b'-' | b'/' | b'.' => goes_on_as_date(&behind[1..]),
                    b if b >= 0x80 => true,
                    _ => digits < 4 && (ends_day(behind) || begins_month(behind)),
                })
            }
            _ => false,
        }
    })?;
    Some(within(text, start, LONGEST))
}

fn without_space(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b" ").unwrap_or(bytes)
}

/// Whether what follows the first mark of a date is its second number with a mark, or no number.
fn goes_on_as_date(rest: &[u8]) -> bool {
    let rest = without_space(rest);
    match run(rest.iter().take(3), |b| b.is_ascii_digit()) {
        0 => true,
        digits @ (1 | 2) => without_space(&rest[digits..])
            .first()
            .is_some_and(|b| b"-/.".contains(b)),
        _ => false,
    }
}

/// Whether the ending of a day's number follows, or what parts it from the month.
fn ends_day(rest: &[u8]) -> bool {
    const ENDINGS: [&[u8; 2]; 8] = [b"st", b"nd", b"rd", b"th", b"er", b"of", b"de", b"di"];
    rest.first_chunk::<2>()
        .is_some_and(|two| ENDINGS.iter().any(|ending| two.eq_ignore_ascii_case(*ending)))
}

/// Whether three letters begin a month; with one beyond ASCII among them they may.
fn begins_month(rest: &[u8]) -> bool {
    const MONTHS: &[u8] =
        b"jan feb fev mar maa mrz apr avr abr may mai mei mag jun jui giu jul lug aug ago sep set oct okt \
        ott out nov dec dez dic ene gen";
    // Most words are none by their first letter.
    let Some(&[a, b, c]) = rest.first_chunk() else {
        return false;
    };
    if !b"jfmasondegl".contains(&a.to_ascii_lowercase()) && a != 0xc5 {
        return false;
    }
    let letters = [a, b, c].map(|b| b.to_ascii_lowercase());
    !letters.is_ascii() || MONTHS.chunks(4).any(|month| month[..3] == letters)
}

pub fn phone(text: &str, at: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 1 + 28 + 1;
    let start = first(text, at, |rest| {
        let part = |b: u8| b.is_ascii_digit() || b" ()./[]-".contains(&b);
        let begins = rest[0].is_ascii_digit() || b"+(".contains(&rest[0]);
        begins && run(rest[1..].iter().take(6), part) == 6
    })?;
    Some(within(text, start, LONGEST))
}
