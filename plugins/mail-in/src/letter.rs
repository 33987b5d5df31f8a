//! A mail as a letter: who, whom, when, what about, and its text.

use mail_parser::{Address, Message};

/// Headers by which a mail is known, in small letters.
const KNOWN: [&str; 14] = [
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "received",
    "return-path",
    "delivered-to",
    "message-id",
    "mime-version",
    "reply-to",
    "sender",
    "dkim-signature",
    "x-mailer",
];

/// How many headers of a mail `head` begins with; 0 where its first line is none.
pub fn known_headers(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head);
    let mut known = 0;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) && at > 0 {
            continue;
        }
        let name = line.split_once(':').map(|(name, _)| name);
        let is_name = |n: &&str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_graphic());
        match name.filter(is_name) {
            Some(name) => known += usize::from(KNOWN.contains(&name.to_ascii_lowercase().as_str())),
            // The last line of what was seen may be cut.
            None if at > 0 && head.len() >= 4096 => break,
            None => return 0,
        }
    }
    known
}

/// The mail as text; attachments are named by nobody here.
pub fn text(message: &Message) -> String {
    let mut text = String::new();
    let mut header = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.trim().is_empty()) {
            text.push_str(&format!("{name}: {}\n", one_line(&value)));
        }
    };
    header("From", message.from().map(addresses));
    header("To", message.to().map(addresses));
    header("Cc", message.cc().map(addresses));
    header("Date", message.date().map(|d| d.to_rfc822()));
    header("Subject", message.subject().map(str::to_owned));
    for at in 0..message.text_body_count() {
        let body = message.body_text(at).unwrap_or_default();
        if !body.trim().is_empty() {
            text.push('\n');
            text.push_str(body.trim_end());
            text.push('\n');
        }
    }
    text
}

fn addresses(of: &Address) -> String {
    let written = |a: &mail_parser::Addr| match (a.name(), a.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    };
    of.iter().map(written).collect::<Vec<_>>().join(", ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
