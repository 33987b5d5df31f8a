//! What hangs on a mail: which of its parts are documents.

use crate::Pictures;
use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

/// Longest name of a document inside the document that the contract takes, bytes.
const NAME_BYTES: usize = 255;

/// A document that came with the mail.
#[derive(Debug, PartialEq)]
pub struct Attachment {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Parts that nobody reads.
#[derive(Debug, Default, PartialEq)]
pub struct LeftOut {
    pub count: usize,
    pub bytes: usize,
}

#[derive(Debug, Default)]
pub struct Parts {
    pub attachments: Vec<Attachment>,
    pub left_out: LeftOut,
}

/// A mail's documents in its own order.
pub fn of(message: &Message, pictures: Pictures) -> Parts {
    let mut parts = Parts::default();
    for part in message.attachments() {
        // The other form of a text that is there in one already, and what proves who signed.
        let is_text =
            matches!(part.body, PartType::Text(_) | PartType::Html(_)) && part.attachment_name().is_none();
        let is_inline = matches!(part.body, PartType::InlineBinary(_));
        if is_text || is_signature(part) || is_inline && pictures == Pictures::Attached {
            continue;
        }
        let ending = ending(part);
        let bytes = part.contents();
        match ending {
            Some(ending) if !bytes.is_empty() => parts.attachments.push(Attachment {
                name: name(part, ending, parts.attachments.len() + 1),
                bytes: bytes.to_vec(),
            }),
            _ => {
                parts.left_out.count += 1;
                parts.left_out.bytes += bytes.len();
            }
        }
    }
    parts
}

fn is_signature(part: &MessagePart) -> bool {
    ["pkcs7-signature", "x-pkcs7-signature", "pgp-signature"]
        .iter()
        .any(|kind| part.is_content_type("application", kind))
}

/// The ending that a part's name has to have for adapters to know it; none for what no adapter reads: calendars, office
/// documents, the `winmail.dat` of Outlook.
fn ending(part: &MessagePart) -> Option<&'static str> {
    const ENDINGS: [&str; 15] = [
        "pdf", "png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif", "heic", "avif", "jp2", "zip",
        "cbz", "eml",
    ];
    if part.is_message() {
        return Some("eml");
    }
    let name = part.attachment_name().unwrap_or_default().to_ascii_lowercase();
    let of_name = name
        .rsplit_once('.')
        .map(|(_, ending)| ending)
        .unwrap_or_default();
    if let Some(known) = ENDINGS.iter().find(|e| **e == of_name) {
        return Some(known);
    }
    let bytes = part.contents();
    let begins = |with: &[u8]| bytes.starts_with(with);
    let by_bytes: [(&[u8], &str); 6] = [
        (b"%PDF-", "pdf"),
        (b"\x89PNG", "png"),
        (b"\xff\xd8\xff", "jpg"),
        (b"GIF8", "gif"),
        (b"II*\0", "tif"),
        (b"MM\0*", "tif"),
    ];
    by_bytes
        .into_iter()
        .find(|(beginning, _)| begins(beginning))
        .map(|(_, ending)| ending)
}

/// The name that the part has, as the contract takes it.
fn name(part: &MessagePart, ending: &str, count: usize) -> String {
    let given = part.attachment_name().unwrap_or_default();
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut plain: String = last.chars().filter(|c| !c.is_control()).collect();
    plain.truncate(plain.floor_char_boundary(NAME_BYTES - 8));
    let stem = match plain.trim().trim_matches('.').is_empty() {
        true => format!("attachment-{count}"),
        false => plain,
    };
    match stem.to_ascii_lowercase().ends_with(&format!(".{ending}")) {
        true => stem,
        false => format!("{stem}.{ending}"),
    }
}
