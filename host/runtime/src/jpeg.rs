//! What a JPEG file's markers tell without decoding it (ITU-T T.81, annex B).

const SCAN: u8 = 0xda;
const END: u8 = 0xd9;

/// Whether a JPEG ends before its picture does: decoders fill in what is missing and say nothing.
///
/// A file that is not made of markers as it should be is left to the decoder, which refuses it.
pub(crate) fn is_cut(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        let Some(&[lead, marker]) = bytes.get(at..at + 2).and_then(|b| <&[u8; 2]>::try_from(b).ok()) else {
            return true;
        };
        match (lead, marker) {
            // Fill bytes may stand before a marker.
            (0xff, 0xff) => at += 1,
            (0xff, END) => return false,
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            (0xff, _) => {
                let Some(length) = bytes.get(at + 2..at + 4) else {
                    return true;
                };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                if marker == SCAN {
                    at = end_of_scan(bytes, at);
                }
            }
            _ => return false,
        }
    }
}

/// Where the marker behind a scan's coded data stands; the end of the file where there is none.
fn end_of_scan(bytes: &[u8], from: usize) -> usize {
    let coded = bytes.get(from..).unwrap_or_default();
    // A zero is stuffed behind each 0xff of the data, and restart markers lie between its parts.
    let marker = coded
        .windows(2)
        .position(|b| b[0] == 0xff && !matches!(b[1], 0 | 0xd0..=0xd7 | 0xff));
    marker.map_or(bytes.len(), |behind| from + behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg() -> Vec<u8> {
        let noisy = image::RgbImage::from_fn(64, 64, |x, y| {
            image::Rgb([(x * y * 37 % 251) as u8, x as u8, y as u8])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        noisy.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_cut_is_seen_wherever_it_is() {
        let whole = jpeg();
        assert!(!is_cut(&whole));
        for end in [2, 3, 20, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
            assert!(is_cut(&whole[..end]), "cut at {end}");
        }
    }

    #[test]
    fn what_follows_the_picture_and_what_lies_in_it_does_not_count() {
        let whole = jpeg();
        let mut trailed = whole.clone();
        trailed.extend(b"more, from a camera");
        assert!(!is_cut(&trailed));
        // A thumbnail with an end of its own, in an application segment.
        let segment = [b"\xff\xe1\0\x08".as_slice(), b"..\xff\xd9..", &whole[2..]].concat();
        let with_thumbnail = [&whole[..2], &segment].concat();
        assert!(!is_cut(&with_thumbnail));
        assert!(is_cut(&with_thumbnail[..with_thumbnail.len() - 40]));
        // Fill bytes and restart markers.
        assert!(!is_cut(
            b"\xff\xd8\xff\xff\xda\0\x02ab\xff\0c\xff\xd0d\xff\xff\xd9"
        ));
    }
}
