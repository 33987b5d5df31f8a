//! Tells image formats by their first bytes.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A format that the host decodes, by its media type.
    Known(&'static str),
    /// An image format that the host does not decode, by its name.
    Foreign(&'static str),
}

/// Looks at a file's first bytes.
pub fn of(head: &[u8]) -> Option<Format> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    let known = |is: bool, media_type| is.then_some(Format::Known(media_type));
    known(at(0, b"\x89PNG\r\n\x1a\n"), "image/png")
        .or_else(|| known(at(0, b"\xff\xd8\xff"), "image/jpeg"))
        .or_else(|| known(at(0, b"RIFF") && at(8, b"WEBP"), "image/webp"))
        .or_else(|| known(at(0, b"GIF87a") || at(0, b"GIF89a"), "image/gif"))
        .or_else(|| known(is_tiff(head), "image/tiff"))
        .or_else(|| known(is_bmp(head), "image/bmp"))
        .or_else(|| foreign(head).map(Format::Foreign))
}

/// Classic and big TIFF, of either byte order. Camera raw files share the first bytes; Canon's say so at byte 8.
fn is_tiff(head: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
    magics.iter().any(|m| head.starts_with(m)) && head.get(8..10) != Some(b"CR")
}

/// `BM` alone is too common; the size of the header that follows is one of eight.
fn is_bmp(head: &[u8]) -> bool {
    let header = head
        .get(14..18)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    head.starts_with(b"BM") && header.is_some_and(|n| [12, 16, 40, 52, 56, 64, 108, 124].contains(&n))
}

fn foreign(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"\xff\x0a") || head.starts_with(b"\0\0\0\x0cJXL \r\n\x87\n") {
        return Some("JPEG XL");
    }
    if head.starts_with(b"\0\0\0\x0cjP  \r\n\x87\n") || head.starts_with(b"\xff\x4f\xff\x51") {
        return Some("JPEG 2000");
    }
    if head.starts_with(b"AT&TFORM") {
        return Some("DjVu");
    }
    match (head.get(4..8)?, head.get(8..12)?) {
        (b"ftyp", b"avif" | b"avis") => Some("AVIF"),
        (b"ftyp", b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1") => Some("HEIC"),
        _ => None,
    }
}

/// Whether a file of this name may be an image: a hint that is weaker than any magic.
pub fn name_suggests_image(name: &str) -> bool {
    const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "gif"];
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let mut bmp = *b"BM________________";
        bmp[14..18].copy_from_slice(&40u32.to_le_bytes());
        let table: [(&[u8], Option<Format>); 12] = [
            (b"\x89PNG\r\n\x1a\n", Some(Format::Known("image/png"))),
            (b"\xff\xd8\xff\xe0", Some(Format::Known("image/jpeg"))),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some(Format::Known("image/webp"))),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"GIF89a", Some(Format::Known("image/gif"))),
            (b"MM\0*\0\0\0\x08", Some(Format::Known("image/tiff"))),
            (b"II*\0\x10\0\0\0CR\x02\0", None),
            (&bmp, Some(Format::Known("image/bmp"))),
            (b"BMW is a make of cars", None),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Some(Format::Foreign("HEIC"))),
            (b"\0\0\0\x18ftypisom\0\0\0\0", None),
            (b"", None),
        ];
        for (head, expected) in table {
            assert_eq!(of(head), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn names_are_a_hint() {
        assert!(name_suggests_image("scan.TIF"));
        assert!(!name_suggests_image("tif"));
        assert!(!name_suggests_image("scan.tif.pdf"));
    }
}
