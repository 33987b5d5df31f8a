//! What is found by its shape: a loose expression finds candidates, a check that knows the kind's rules decides.
//!
//! Where a rule allows two readings, the one that erases more is taken: a miss can't be made good.

use crate::{checks, places};
use ocr_plugin::Result;
use regex::Regex;
use serde::Deserialize;
use std::ops::Range;

/// A kind of text that is found by its shape, in the order in which they are looked for: what an earlier one has found
/// is no candidate for a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Url,
    Email,
    Iban,
    Card,
    Ip,
    Ssn,
    Date,
    Phone,
}

pub const KINDS: [Kind; 8] = [
    Kind::Url,
    Kind::Email,
    Kind::Iban,
    Kind::Card,
    Kind::Ip,
    Kind::Ssn,
    Kind::Date,
    Kind::Phone,
];

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Url => "url",
            Kind::Email => "email",
            Kind::Iban => "iban",
            Kind::Card => "card",
            Kind::Ip => "ip",
            Kind::Ssn => "ssn",
            Kind::Date => "date",
            Kind::Phone => "phone",
        }
    }

    /// Whether its shape is so distinct that it may be put together across the ends of lines.
    pub fn survives_tight_lines(self) -> bool {
        matches!(self, Kind::Url | Kind::Email | Kind::Iban | Kind::Card)
    }

    /// A cheap reason why a text can't hold any.
    fn is_impossible_in(self, signs: &Signs) -> bool {
        match self {
            Kind::Url => !signs.colon && !signs.dot_after_w,
            Kind::Email => !signs.at,
            Kind::Ip => !signs.number_after_mark,
            Kind::Date => signs.digits == 0,
            Kind::Iban | Kind::Card | Kind::Ssn | Kind::Phone => signs.digits < 3,
        }
    }

    /// The first place from `at` on at which the expression may match, up to where a match may end.
    fn place(self, text: &str, at: usize) -> Option<Range<usize>> {
        match self {
            Kind::Url => places::url(text, at),
            Kind::Email => places::email(text, at),
            Kind::Iban => places::iban(text, at),
            Kind::Card => places::card(text, at),
            Kind::Ip => places::ip(text, at),
            Kind::Ssn => places::ssn(text, at),
            Kind::Date => places::date(text, at),
            Kind::Phone => places::phone(text, at),
        }
    }

    /// What [`places`] knows of each has to be kept in step.
    fn expression(self) -> &'static str {
        match self {
            Kind::Url => r#"(?i:(?:https?|ftps?|wss?|file)://|www\.|mailto:)[^ \t<>"|]+"#,
            Kind::Email => r"[^ \t@,;:<>()\[\]{}]+@[^ \t@,;:<>()\[\]{}/]+",
            Kind::Iban => r"(?i:[a-z]{2}[ \t-]?[0-9o][0-9o](?:[ \t.-]?[a-z0-9]){11,40})",
            Kind::Card => r"[0-9](?:[ \t.-]{0,2}[0-9]){12,30}",
            Kind::Ip => r"[0-9a-fA-F]*[.:][0-9a-fA-F.:]+(?:/[0-9]{1,3})?",
            Kind::Ssn => r"[0-9]{3}(?: ?- ?| )[0-9]{2}(?: ?- ?| )[0-9]{4}",
            Kind::Date => DATE,
            Kind::Phone => r"(?:\+|\(|[0-9])[0-9 ()./\[\]-]{5,28}[0-9]",
        }
    }
}

/// What a text holds, as far as it tells which kinds it can't.
#[derive(Debug, Default, Clone, Copy)]
pub struct Signs {
    /// `@`.
    at: bool,
    colon: bool,
    /// The end of `www.`.
    dot_after_w: bool,
    /// A dot or colon with what goes on an address behind it.
    number_after_mark: bool,
    digits: usize,
}

impl Signs {
    pub fn of(text: &str) -> Self {
        let mut signs = Self::default();
        let mut last = b' ';
        for b in text.bytes() {
            if b.is_ascii_punctuation() || last.is_ascii_punctuation() {
                signs.at |= b == b'@';
                signs.colon |= b == b':';
                signs.dot_after_w |= b == b'.' && last.eq_ignore_ascii_case(&b'w');
                signs.number_after_mark |= places::is_mark(last) && places::goes_on_an_address(b);
            }
            signs.digits += usize::from(b.is_ascii_digit());
            last = b;
        }
        signs
    }
}

/// Months in languages of Europe, whole and cut short; followed by `.` or not.
const DATE: &str = r"(?ix:
    [0-9]{4} \x20?[-/.]\x20? [0-9]{1,2} \x20?[-/.]\x20? [0-9]{1,2}
  | [0-9]{1,2} \x20?[-/.]\x20? [0-9]{1,2} \x20?[-/.]\x20? [0-9]{2,4}
  | [0-9]{1,2} (?:st|nd|rd|th|er|\.|º|ª)? \x20? (?:of\x20|de\x20|d[ei]\x20|-)? MONTH \.? ,? (?:\x20|-|\x20de\x20)? [0-9]{2,4}
  | [0-9]{1,2} (?:st|nd|rd|th|er|\.)? \x20? (?:of\x20)? MONTH
  | MONTH \.? \x20? [0-9]{1,2} (?:st|nd|rd|th)? (?: \x20?,?\x20? [0-9]{4} )?
  | [0-9]{4} \x20?年\x20? [0-9]{1,2} \x20?月\x20? [0-9]{1,2} \x20?日
  | [0-9]{4} \x20?년\x20? [0-9]{1,2} \x20?월\x20? [0-9]{1,2} \x20?일
)";

const MONTH: &str = "(?:jan(?:uary|uar|vier|uari)?|jän(?:ner)?|feb(?:ruary|ruar|braio|rero|ruari)?|févr(?:ier)?|\
    mar(?:ch|s|zo)?|märz|maart|mrz|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|may|mai|mei|mag(?:gio)?|mayo|maio|\
    jun(?:e|i|io)?|juin|giu(?:gno)?|jul(?:y|i|io)?|juil(?:let)?|lug(?:lio)?|aug(?:ust|ustus)?|août|ago(?:sto)?|\
    sept?(?:ember|embre|iembre|tembre)?|set(?:tembre|embro)?|oct(?:ober|obre|ubre)?|okt(?:ober)?|ott(?:obre)?|out(?:ubro)?|\
    nov(?:ember|embre|iembre|embro)?|dec(?:ember|embro)?|dez(?:ember|embro)?|déc(?:embre)?|dic(?:embre|iembre)?|\
    janeiro|fevereiro|março|junho|julho|enero|gennaio)";

/// A kind, ready to search.
#[derive(Debug)]
pub struct Shape {
    pub kind: Kind,
    expression: Regex,
}

impl Shape {
    pub fn new(kind: Kind) -> Result<Self> {
        // No expression looks around itself, so it matches the same where it is tried at a place of its own.
        let text = format!(r"\A(?:{})", kind.expression().replace("MONTH", MONTH));
        let expression = Regex::new(&text).expect("the expression of a kind compiles; a test makes each");
        Ok(Self { kind, expression })
    }

    /// Every range of `text` that is of this kind; `signs` are those of the text.
    pub fn find(&self, text: &str, signs: &Signs) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.kind.is_impossible_in(signs) {
            return found;
        }
        let mut at = 0;
        while let Some(candidate) = self.candidate(text, at) {
            match self.check(text, candidate.clone()) {
                Some(range) => {
                    at = range.end.max(candidate.start + 1);
                    found.push(range);
                }
                // Another one may begin inside of what was none.
                None => at = next_start(text, candidate.start),
            }
            if at >= text.len() {
                break;
            }
        }
        found
    }

    /// The first match of the expression from `at` on. It is tried where it may match, which is in few places.
    fn candidate(&self, text: &str, mut at: usize) -> Option<Range<usize>> {
        loop {
            let place = self.kind.place(text, at)?;
            if self.kind == Kind::Ip {
                return Some(place);
            }
            if let Some(found) = self.expression.find(&text[place.clone()]) {
                return Some(place.start..place.start + found.end());
            }
            at = text.ceil_char_boundary(place.start + 1);
        }
    }

    fn check(&self, text: &str, range: Range<usize>) -> Option<Range<usize>> {
        match self.kind {
            Kind::Url => Some(checks::without_trailing_marks(text, range)),
            Kind::Email => checks::email(text, range),
            Kind::Iban => checks::iban(text, range),
            Kind::Card => checks::card(text, range),
            Kind::Ip => checks::ip(text, range),
            Kind::Ssn => checks::ssn(text, range),
            Kind::Date => checks::date(text, range),
            Kind::Phone => checks::phone(text, range),
        }
    }
}

/// Where the next word or number after the one at `at` begins: a candidate that begins inside a word is none.
fn next_start(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let word = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    let end = at + word;
    match word {
        0 => end + text[end..].chars().next().map_or(0, char::len_utf8),
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts that are made up; more were tried when it was written.
    const TEXTS: usize = 300;

    fn found(kind: Kind, text: &str) -> Vec<String> {
        let shape = Shape::new(kind).unwrap();
        let signs = Signs::of(text);
        shape
            .find(text, &signs)
            .into_iter()
            .map(|r| text[r].to_owned())
            .collect()
    }

    fn finds(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert_eq!(found(kind, &format!("see {text} here")), [*text], "{kind:?}");
            assert_eq!(found(kind, &format!("({text}).")), [*text], "{kind:?}");
            assert_eq!(found(kind, text), [*text], "{kind:?}");
        }
    }

    fn leaves(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert_eq!(found(kind, text), [""; 0], "{kind:?} in {text}");
        }
    }

    #[test]
    fn a_word_beside_a_number_does_not_hide_it() {
        for (kind, number) in [
            (Kind::Card, "4111 1111 1111 1111"),
            (Kind::Card, "4111111111111111"),
            (Kind::Iban, "DE89 3704 0044 0532 0130 00"),
            (Kind::Ip, "192.168.10.254"),
            (Kind::Ssn, "123-45-6789"),
            (Kind::Date, "17.05.2026"),
            (Kind::Date, "17 May 2026"),
            (Kind::Phone, "0555 0142 77"),
        ] {
            for text in [format!("see nr{number} here"), format!("see{number}")] {
                assert_eq!(found(kind, &text), [number], "{kind:?} in {text}");
            }
            if kind != Kind::Phone {
                let text = format!("see {number}and more");
                assert_eq!(found(kind, &text), [number], "{kind:?} in {text}");
            }
        }
        leaves(Kind::Ip, &["v1.2.3.4", "1.2.3.4b"]);
        leaves(Kind::Date, &["12 marbles", "x1.2.2024"]);
        leaves(Kind::Ssn, &["A123-45-6789", "123-45-6789b"]);
    }

    #[test]
    fn a_day_is_not_the_year_of_the_date_before_it() {
        assert_eq!(
            found(Kind::Date, "1 May 8 May 15 May"),
            ["1 May", "8 May", "15 May"]
        );
        assert_eq!(
            found(Kind::Date, "8 May 15 and 9 May 16."),
            ["8 May 15", "9 May 16"]
        );
    }

    #[test]
    fn every_kind_compiles() {
        for kind in KINDS {
            assert_eq!(found(kind, ""), [""; 0]);
        }
    }

    /// The expression searched for from every character, as it would be without [`places`].
    fn assert_same_candidates(shapes: &[(Shape, Regex)], text: &str) {
        for (shape, plain) in shapes {
            for (at, _) in text.char_indices() {
                let expected = plain.find_at(text, at).map(|m| m.range());
                assert_eq!(
                    shape.candidate(text, at),
                    expected,
                    "{:?} from {at} in {text:?}",
                    shape.kind
                );
            }
            let signs = Signs::of(text);
            let all = Signs {
                at: true,
                colon: true,
                dot_after_w: true,
                number_after_mark: true,
                ..signs
            };
            assert_eq!(shape.find(text, &signs), shape.find(text, &all), "{text:?}");
        }
    }

    #[test]
    fn no_place_is_left_out() {
        const PIECES: &str = "0 1 2 3 4 5 6 7 8 9 12 2024 31 0 1 2 3 4 5 6 7 8 9 00 999 1234567 \
            . . - - / : : @ @ + ( ) [ ] , ; < > { } | \" a b o O c e F x z M de DE ch oo st nd rd th er of di \
            \u{ba} \u{aa} \u{e9} \u{17f} \u{212a} \u{5e74} \u{6708} \u{65e5} \
            \u{b144} \u{c6d4} \u{c77c} http https ftp WS wss file :// www. Www. mailto: mail may MA\u{17f}O o\u{212a}t \
            \u{17f}ept jan feb mar mrz apr okt sept dec word , . january januar janvier januari j\u{e4}nner february \
            februar febbraio febrero februari f\u{e9}vr f\u{e9}vrier march mars marzo m\u{e4}rz maart april aprile avril \
            abril mai mei maggio mag mayo maio june juni junio juin giugno giu july juli julio luglio lug juillet juil \
            august augustus ao\u{fb}t agosto ago september septembre septiembre settembre setembro october octobre octubre \
            oktober ottobre outubro november novembre noviembre novembro december dezember d\u{e9}cembre dicembre diciembre \
            dezembro janeiro fevereiro mar\u{e7}o junho julho enero gennaio";
        let pieces: Vec<&str> = PIECES
            .split_whitespace()
            .chain([" ", " ", " ", " ", " ", " ", " ", "\t"])
            .collect();
        let shapes: Vec<(Shape, Regex)> = KINDS
            .into_iter()
            .map(|kind| {
                let plain = kind.expression().replace("MONTH", MONTH);
                (Shape::new(kind).unwrap(), Regex::new(&plain).unwrap())
            })
            .collect();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        };
        // A run of one sort of pieces is what long numbers are made of.
        for _ in 0..TEXTS {
            let (from, width) = (random(pieces.len()), 1 + random(pieces.len()));
            let length = 1 + random(40);
            let text: String = (0..length)
                .map(|_| pieces[(from + random(width)) % pieces.len()])
                .collect();
            assert_same_candidates(&shapes, &text);
        }
    }

    #[test]
    fn emails() {
        finds(
            Kind::Email,
            &[
                "a@b.ch",
                "Anna.Muster+x@mail.example.co.uk",
                "müller@straße.de",
                "o'neil_9@ex-ample.org",
            ],
        );
        leaves(Kind::Email, &["a@b", "@you", "5 @ 3.20", "a@.b", "x@1.5"]);
        assert_eq!(found(Kind::Email, "a@b.ch, c@d.org."), ["a@b.ch", "c@d.org"]);
        assert_eq!(found(Kind::Email, "(a@b.ch/x"), ["a@b.ch"]);
    }

    #[test]
    fn urls() {
        finds(
            Kind::Url,
            &[
                "https://example.com/a?b=c#d",
                "www.example.org",
                "ftp://x.y/z",
                "mailto:a@b.ch",
            ],
        );
        finds(Kind::Url, &["Www.example.org", "MailTo:a@b.ch", "HTTPS://x.y"]);
        leaves(Kind::Url, &["http:/x", "wwwx.ch"]);
    }

    #[test]
    fn ibans_have_their_country_s_length_and_checksum() {
        finds(
            Kind::Iban,
            &[
                "DE89 3704 0044 0532 0130 00",
                "DE89370400440532013000",
                "CH93 0076 2011 6238 5295 7",
                "GB82-WEST-1234-5698-7654-32",
                "NO93 8601 1117 947",
                "FR14 2004 1010 0505 0001 3M02 606",
                "de89 3704 0044 0532 0130 00",
            ],
        );
        leaves(
            Kind::Iban,
            &[
                "DE89 3704 0044 0532 0130 01",
                "XX12 ABCD",
                "AB12 3456 7890 1234 5678",
            ],
        );
        // Where it says what it is, a digit that was read wrongly doesn't save it.
        assert_eq!(
            found(Kind::Iban, "IBAN: DE89 3704 0044 0532 0130 01 and"),
            ["DE89 3704 0044 0532 0130 01"]
        );
        assert_eq!(
            found(Kind::Iban, "DE89 3704 0044 0532 0130 00 an den Empfaenger"),
            ["DE89 3704 0044 0532 0130 00"]
        );
    }

    #[test]
    fn cards_pass_luhn() {
        finds(
            Kind::Card,
            &[
                "4111 1111 1111 1111",
                "5500-0000-0000-0004",
                "378282246310005",
                "6011000990139424",
            ],
        );
        leaves(
            Kind::Card,
            &[
                "4111 1111 1111 1112",
                "0000 0000 0000 0000",
                "1234 5678 9012 3456 7",
                "9111111111111111",
            ],
        );
        assert_eq!(
            found(Kind::Card, "No. 12 4111 1111 1111 1111 12/27"),
            ["4111 1111 1111 1111"]
        );
    }

    #[test]
    fn ips() {
        finds(
            Kind::Ip,
            &[
                "192.168.0.1",
                "10.0.0.0/8",
                "2001:db8::1",
                "fe80::1ff:fe23:4567:890a",
                "::ffff:1.2.3.4",
            ],
        );
        leaves(
            Kind::Ip,
            &[
                "1.2.3",
                "256.1.1.1",
                "1.2.3.4.5",
                "12:30:45",
                "a::",
                "::",
                "version 1.2.3.4b",
            ],
        );
    }

    #[test]
    fn social_security_numbers() {
        finds(Kind::Ssn, &["123-45-6789", "123 45 6789"]);
        leaves(
            Kind::Ssn,
            &[
                "000-12-3456",
                "666-12-3456",
                "912-12-3456",
                "123-00-4567",
                "123-45-0000",
                "1123-45-6789",
                "123-45-67890",
            ],
        );
    }

    #[test]
    fn dates() {
        finds(
            Kind::Date,
            &[
                "2024-02-29",
                "31.12.1999",
                "1/2/24",
                "12/31/2020",
                "3 March 2024",
                "March 3, 2024",
                "12. März 2024",
                "1er mai 1968",
                "5 de mayo de 2010",
                "14 ottobre 1950",
                "2024年3月12日",
                "Dec 24",
                "24 December",
                "05-Jan-2021",
            ],
        );
        leaves(
            Kind::Date,
            &[
                "1.2.3",
                "99.99.2020",
                "2024-13-01",
                "3.14",
                "May be",
                "12 marbles",
                "32 March",
            ],
        );
    }

    #[test]
    fn phones() {
        finds(
            Kind::Phone,
            &[
                "+41 44 123 45 67",
                "+1 (555) 123-4567",
                "555-123-4567",
                "(555) 123-4567",
                "030/1234567",
                "044 123 45 67",
                "0049 30 1234567",
                "01 23 45 67 89",
                "1-800-555-0199",
                "+49 (0) 30 123456",
            ],
        );
        leaves(
            Kind::Phone,
            &[
                "12345",
                "2024-02-29",
                "05.12.2024",
                "1,234,567.89",
                "3.1415926535",
                "0.123456789",
                "10 20 30 40",
                "1990 - 2000",
                "100.200.300",
            ],
        );
    }
}
