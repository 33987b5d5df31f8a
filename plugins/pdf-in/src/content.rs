//! What a file promises and a damaged or hostile one does not keep: pages that are not there, content that can't be
//! decoded, images that no 32-bit program could hold.
//!
//! The renderer forgives all of it and draws what is left, so nobody would hear of it.

use flate2::read::DeflateDecoder;
use hayro::hayro_syntax::Pdf;
use hayro::hayro_syntax::content::TypedIter;
use hayro::hayro_syntax::content::ops::TypedInstruction;
use hayro::hayro_syntax::object::{Array, Dict, MaybeRef, Name, Object, ObjectIdentifier, Stream};
use hayro::hayro_syntax::page::{Page, Resources};
use std::collections::HashSet;

/// Readers look for the end of a file in this many bytes (ISO 32000-1, annex H, note 18).
const END_WITHIN: usize = 1024;
/// A compressed stream of nothing takes no more bytes than this.
const NOTHING_BYTES: usize = 64;
/// Bytes of one decoded image from which on it is not tried: with its packed bytes and its copies it would take more
/// than the 4 GiB that a component can address.
const IMAGE_BYTES: u64 = 3 << 29;
/// Forms within forms; deeper ones are not looked into.
const FORM_DEPTH: u32 = 16;

/// How a page's content is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Content {
    /// Streams it consists of.
    pub streams: u32,
    /// Of these, those that are missing or can't be decoded.
    pub lost: u32,
}

/// An image's size as its dictionary says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes that it takes decoded.
    pub bytes: u64,
}

/// What a file's last pointer to a cross-reference table tells of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is there: every writer puts the pointer last.
    Whole,
    /// It is cut off.
    Cut,
    /// So is the end of a change that was written behind the file: what is there is the file before the change.
    CutChange,
}

/// How a file ends.
pub fn end(bytes: &[u8]) -> End {
    let Some(at) = bytes.windows(9).rposition(|w| w == b"startxref") else {
        return End::Cut;
    };
    let behind = &bytes[at + 9..];
    let used = behind
        .iter()
        .rposition(|b| !matches!(b, 0 | b' ' | b'\t' | b'\r' | b'\n'));
    let used = &behind[..used.map_or(0, |last| last + 1)];
    if used.len() <= END_WITHIN && !used.windows(4).any(|w| w == b" obj") {
        return End::Whole;
    }
    // The pointer at the beginning of a file that is made for the web is 0, or behind it the file goes on.
    let number = used.trim_ascii_start();
    let digits = number.iter().take_while(|b| b.is_ascii_digit()).count();
    match number[..digits].iter().all(|b| *b == b'0') {
        true => End::Cut,
        false => End::CutChange,
    }
}

/// Pages that the root of the page tree says it has.
pub fn promised_pages(pdf: &Pdf) -> Option<u32> {
    let catalog: Dict<'_> = pdf.xref().get(pdf.xref().root_id())?;
    catalog.get::<Dict<'_>>("Pages")?.get("Count")
}

/// How much of a page's content is there.
pub fn content(page: &Page<'_>) -> Content {
    let raw = page.raw();
    let streams: Vec<Option<Stream<'_>>> = match raw.get_raw::<Object<'_>>("Contents") {
        None | Some(MaybeRef::NotRef(Object::Null(_))) => return Content::default(),
        Some(_) => match raw.get::<Array<'_>>("Contents") {
            Some(parts) => parts.raw_iter().map(|part| resolved(page, part)).collect(),
            None => vec![raw.get("Contents")],
        },
    };
    let lost = streams
        .iter()
        .filter(|s| !s.as_ref().is_some_and(decodes))
        .count();
    Content {
        streams: streams.len() as u32,
        lost: lost as u32,
    }
}

fn resolved<'a>(page: &Page<'a>, part: MaybeRef<Object<'a>>) -> Option<Stream<'a>> {
    match part {
        MaybeRef::Ref(reference) => page.xref().get(reference.into()),
        MaybeRef::NotRef(object) => object.into_stream(),
    }
}

/// Whether a content stream is whole. The renderer's inflater never fails, it ends early; so that is looked at again.
pub fn decodes(stream: &Stream<'_>) -> bool {
    let Ok(decoded) = stream.decoded_data() else {
        return false;
    };
    let raw = stream.raw_data();
    let filters = filters(stream.dict());
    if filters.is_empty() || raw.iter().all(u8::is_ascii_whitespace) {
        return true;
    }
    match filters[0].as_ref() {
        b"FlateDecode" | b"Fl" => inflates(&raw),
        _ => !decoded.is_empty() || raw.len() <= NOTHING_BYTES,
    }
}

/// Whether deflated bytes have their end. The checksum behind it is often wrong, and the header (RFC 1950, section 2.2:
/// method 8, and a check that makes the two bytes a multiple of 31) sometimes missing.
fn inflates(raw: &[u8]) -> bool {
    let deflated = match raw {
        [method, flags, rest @ ..]
            if method & 15 == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) =>
        {
            rest
        }
        _ => raw,
    };
    std::io::copy(&mut DeflateDecoder::new(deflated), &mut std::io::sink()).is_ok()
}

/// Names of the filters a stream has gone through, the outermost first.
fn filters<'a>(dict: &Dict<'a>) -> Vec<Name<'a>> {
    match dict.get::<Object<'_>>("F").or_else(|| dict.get("Filter")) {
        Some(Object::Name(name)) => vec![name],
        Some(Object::Array(names)) => names.iter().collect(),
        _ => Vec::new(),
    }
}

/// Flags of annotations that are not shown: hidden, and not to be viewed (ISO 32000-1, table 165).
const UNSEEN: u32 = 1 << 1 | 1 << 5;

/// Annotations of a page that show something and do not say how: form fields with a value, marks on text and drawings
/// without an appearance. Viewers draw them all the same; the renderer here leaves them out and says nothing.
pub fn bare_annotations(page: &Page<'_>) -> u32 {
    let Some(annotations) = page.raw().get::<Array<'_>>("Annots") else {
        return 0;
    };
    let bare = annotations.iter::<Dict<'_>>().filter(|annotation| {
        let is_seen = annotation.get::<u32>("F").unwrap_or(0) & UNSEEN == 0;
        let has_appearance = annotation.get::<Dict<'_>>("AP").is_some();
        is_seen && !has_appearance && shows_something(annotation)
    });
    bare.count() as u32
}

fn shows_something(annotation: &Dict<'_>) -> bool {
    let kind = annotation.get::<Name<'_>>("Subtype");
    match kind.as_ref().map(|k| k.as_ref()) {
        Some(b"Widget") => {
            let parent = annotation.get::<Dict<'_>>("Parent");
            let own = annotation.get::<Object<'_>>("V");
            match own.or_else(|| parent.as_ref()?.get("V")) {
                Some(Object::String(text)) => !text.as_bytes().is_empty(),
                Some(Object::Name(name)) => name.as_ref() != b"Off",
                Some(Object::Null(_)) | None => false,
                Some(_) => true,
            }
        }
        Some(
            b"Highlight" | b"Underline" | b"StrikeOut" | b"Squiggly" | b"Square" | b"Circle" | b"Line"
            | b"Polygon" | b"PolyLine" | b"Ink" | b"FreeText",
        ) => true,
        _ => false,
    }
}

/// The first image that a page shows and no component could hold, decoded.
pub fn giant_image(page: &Page<'_>) -> Option<ImageSize> {
    let content = page.page_stream()?;
    giant_in(content, page.resources(), &mut HashSet::new(), FORM_DEPTH)
}

fn giant_in<'a>(
    content: &[u8],
    resources: &Resources<'a>,
    seen: &mut HashSet<ObjectIdentifier>,
    depth: u32,
) -> Option<ImageSize> {
    let mut operators = TypedIter::new(content);
    while let Some(operator) = operators.next() {
        let found = match operator {
            TypedInstruction::XObject(shown) => resources
                .get_x_object(shown.0)
                .filter(|x| seen.insert(x.obj_id()))
                .and_then(|x| giant_x_object(&x, resources, seen, depth)),
            TypedInstruction::InlineImage(image) => size(image.0).filter(is_giant),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn giant_x_object<'a>(
    x_object: &Stream<'a>,
    outer: &Resources<'a>,
    seen: &mut HashSet<ObjectIdentifier>,
    depth: u32,
) -> Option<ImageSize> {
    let dict = x_object.dict();
    match dict.get::<Name<'_>>("Subtype")?.as_ref() {
        b"Image" => {
            let masks = ["SMask", "Mask"]
                .into_iter()
                .filter_map(|key| dict.get::<Stream<'_>>(key));
            let masks = masks.filter_map(|mask| size(&mask));
            size(x_object).into_iter().chain(masks).find(is_giant)
        }
        b"Form" if depth > 0 => {
            let own = dict.get::<Dict<'a>>("Resources").map(Resources::new);
            let content = x_object.decoded_data().ok()?;
            giant_in(&content, own.as_ref().unwrap_or(outer), seen, depth - 1)
        }
        _ => None,
    }
}

fn is_giant(size: &ImageSize) -> bool {
    size.bytes > IMAGE_BYTES
}

/// An image's size. JPEG 2000 is decoded in the size that is drawn, so it has none that matters.
fn size(image: &Stream<'_>) -> Option<ImageSize> {
    let dict = image.dict();
    if filters(dict).iter().any(|f| f.as_ref() == b"JPXDecode") {
        return None;
    }
    let side = |long: &str, short: &str| dict.get::<u32>(short).or_else(|| dict.get(long));
    let (width, height) = (side("Width", "W")?, side("Height", "H")?);
    let space = dict.get::<Object<'_>>("CS").or_else(|| dict.get("ColorSpace"));
    let bytes = u64::from(width) * u64::from(height) * u64::from(components(space));
    Some(ImageSize { width, height, bytes })
}

/// Bytes a pixel of an image in a colour space; one where that is not easily seen.
fn components(space: Option<Object<'_>>) -> u32 {
    let name = match &space {
        Some(Object::Name(name)) => Some(name.clone()),
        Some(Object::Array(parts)) => parts.iter::<Name<'_>>().next(),
        _ => None,
    };
    match name.as_deref() {
        Some(b"DeviceRGB" | b"RGB" | b"CalRGB" | b"Lab") => 3,
        Some(b"DeviceCMYK" | b"CMYK") => 4,
        Some(b"ICCBased") => match &space {
            Some(Object::Array(parts)) => {
                let profile = parts.iter::<Object<'_>>().nth(1).and_then(Object::into_stream);
                profile
                    .and_then(|p| p.dict().get::<u32>("N"))
                    .unwrap_or(1)
                    .clamp(1, 4)
            }
            _ => 1,
        },
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PDF of one page with the given content object and further objects from number 5 on. It has no table of
    /// objects; the parser finds them all the same.
    fn with_content(contents: &str, objects: &[(&str, &[u8])]) -> Pdf {
        let mut bytes = format!(
            "%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n\
             2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 3 >>\nendobj\n\
             3 0 obj\n<< /Type /Page /Parent 2 0 R {contents} /Resources << /XObject << /A 6 0 R /B 7 0 R >> >> >>\nendobj\n"
        )
        .into_bytes();
        for (n, (dict, data)) in objects.iter().enumerate() {
            bytes.extend(format!("{} 0 obj\n<< /Length {} {dict} >>\nstream\n", n + 5, data.len()).bytes());
            bytes.extend(*data);
            bytes.extend(b"\nendstream\nendobj\n");
        }
        bytes.extend(b"trailer\n<< /Size 9 /Root 1 0 R >>\n");
        Pdf::new(bytes).unwrap()
    }

    fn lost(contents: &str, objects: &[(&str, &[u8])]) -> (u32, u32) {
        let pdf = with_content(contents, objects);
        let found = content(&pdf.pages()[0]);
        (found.lost, found.streams)
    }

    #[test]
    fn content_that_is_not_there_is_counted() {
        let good: (&str, &[u8]) = ("", b"0 0 m");
        assert_eq!(lost("/Contents 5 0 R", &[good]), (0, 1));
        assert_eq!(lost("", &[good]), (0, 0));
        assert_eq!(lost("/Contents null", &[good]), (0, 0));
        assert_eq!(lost("/Contents []", &[good]), (0, 0));
        assert_eq!(lost("/Contents 8 0 R", &[good]), (1, 1));
        assert_eq!(lost("/Contents [5 0 R 8 0 R]", &[good]), (1, 2));
    }

    #[test]
    fn streams_that_are_not_what_they_say_are_counted() {
        let flate = "/Filter /FlateDecode";
        let noise: Vec<u8> = (0..200u32).map(|n| (n * 73 + 7) as u8).collect();
        assert_eq!(
            lost("/Contents 5 0 R", &[(flate, b"this was never compressed at all")]),
            (1, 1)
        );
        assert_eq!(lost("/Contents 5 0 R", &[(flate, &noise)]), (1, 1));
        // An empty stream, compressed; and one that holds `q`.
        assert_eq!(
            lost("/Contents 5 0 R", &[(flate, b"\x78\x9c\x03\0\0\0\0\x01")]),
            (0, 1)
        );
        assert_eq!(
            lost("/Contents 5 0 R", &[(flate, b"\x78\x9c\x2b\x04\0\0\x72\0\x72")]),
            (0, 1)
        );
        // Half of what it was.
        let long = b"\x78\x9c\x4b\x4c\x4a\x4e\x49\x4d\x4b\xcf\xc8\xcc\xca\xce\xc9\xcd";
        assert_eq!(lost("/Contents 5 0 R", &[(flate, long)]), (1, 1));
        // The same without its header.
        assert_eq!(lost("/Contents 5 0 R", &[(flate, b"\x2b\x04\0")]), (0, 1));
    }

    #[test]
    fn giant_images_are_found_where_they_are_shown() {
        let image = "/Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceGray /BitsPerComponent 1";
        let small = "/Subtype /Image /Width 6000 /Height 6000 /ColorSpace /DeviceRGB /BitsPerComponent 8";
        let form = "/Subtype /Form /BBox [0 0 1 1]";
        let find = |shown: &[u8], objects: &[(&str, &[u8])]| {
            let mut all: Vec<(&str, &[u8])> = vec![("", shown)];
            all.extend(objects);
            let pdf = with_content("/Contents 5 0 R", &all);
            giant_image(&pdf.pages()[0]).map(|s| (s.width, s.height))
        };
        assert_eq!(find(b"/A Do", &[(image, b"\0")]), Some((60_000, 60_000)));
        assert_eq!(
            find(b"/B Do", &[(image, b"\0"), (small, b"\0")]),
            None,
            "it is not shown"
        );
        assert_eq!(
            find(b"/B Do", &[(image, b"\0"), (form, b"/A Do")]),
            Some((60_000, 60_000))
        );
        assert_eq!(
            find(b"/B Do", &[(image, b"\0"), (form, b"/B Do")]),
            None,
            "a form in itself"
        );
        let inline = b"BI /W 60000 /H 40000 /CS /G /BPC 1 ID \0 EI";
        assert_eq!(find(inline, &[]), Some((60_000, 40_000)));
    }

    #[test]
    fn annotations_that_do_not_say_how_they_look_are_counted() {
        let count = |annotations: &str| {
            let pdf = with_content(&format!("/Annots [{annotations}]"), &[("", b"q")]);
            bare_annotations(&pdf.pages()[0])
        };
        assert_eq!(count("<< /Subtype /Widget /FT /Tx /V (Zacznij) >>"), 1);
        assert_eq!(
            count("<< /Subtype /Widget /FT /Btn /V /Yes >> << /Subtype /Highlight >>"),
            2
        );
        assert_eq!(count("<< /Subtype /Widget /Parent << /V (inherited) >> >>"), 1);
        let nothing = "<< /Subtype /Link >> << /Subtype /Widget /V () >> << /Subtype /Widget /V /Off >> << /Subtype /Popup >>";
        assert_eq!(count(nothing), 0);
        assert_eq!(
            count("<< /Subtype /Widget /V (x) /F 2 >> << /Subtype /Ink /F 32 >>"),
            0,
            "hidden"
        );
        assert_eq!(
            count("<< /Subtype /Widget /V (x) /AP << /N 5 0 R >> >>"),
            0,
            "it says how"
        );
    }

    #[test]
    fn a_file_that_was_cut_has_no_end() {
        assert_eq!(end(b"%PDF-1.7 ... startxref\n123\n%%EOF\r\n\0\0\0\0"), End::Whole);
        assert_eq!(end(b"%PDF-1.7 ... stream"), End::Cut);
        assert_eq!(end(b""), End::Cut);
        let goes_on = |file: &[u8]| end(&[file, &[b'x'; 2000]].concat());
        assert_eq!(goes_on(b"startxref 0 %%EOF "), End::Cut, "made for the web");
        assert_eq!(goes_on(b"startxref 0 %%EOF startxref 116 %%EOF "), End::CutChange);
        assert_eq!(end(b"startxref 116 %%EOF 3 0 obj <<"), End::CutChange);
    }

    #[test]
    fn pages_are_promised_by_the_tree() {
        assert_eq!(promised_pages(&with_content("", &[])), Some(3));
    }
}
