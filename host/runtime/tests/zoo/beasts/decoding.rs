//! Pictures that are bombs, and pages whose text wants to become markup in the first-party formatters' output.

use super::adapter;
use crate::keeper::{Act, Beast, Cage, Ended, Ends};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use ocr_document::{
    Cell, CellKind, Page, PageBuilder, PageImage, PageInfo, PixelFormat, Rect, Slice, SpanKind,
};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const FAILS: Ends = Ends::Says("");

pub fn beasts() -> Vec<Beast> {
    vec![
        bomb(
            "a PNG of 60,000 x 60,000 px in 100 bytes",
            "image-bytes",
            png(60_000, 60_000, 8, 2, &[0; 64]),
        ),
        bomb(
            "a PNG of 16,000 x 16,000 px, well packed",
            "image-bytes",
            png(16_000, 16_000, 1, 0, &vec![0; 16_000 * 2001]),
        ),
        bomb(
            "a PNG of 4,294,967,295 px a side",
            "",
            png(u32::MAX, u32::MAX, 8, 6, &[0; 64]),
        ),
        bomb("a PNG of 0 x 0 px", "", png(0, 0, 8, 2, &[0; 64])),
        text_bomb(),
        bomb(
            "a JPEG of 65,500 x 65,500 px",
            "image-bytes",
            jpeg(65_500, 65_500),
        ),
        bomb("a JPEG of 0 x 0 px", "", jpeg(0, 0)),
        bomb(
            "a GIF of 65,535 x 65,535 px",
            "image-bytes",
            gif(65_535, 65_535, 1),
        ),
        Beast::new(
            "a GIF of 100,000 frames",
            Ends::Well("as many as the host counts are there, and it says that the rest is not"),
            Act::Read(decode(), gif(1, 1, 100_000)),
        )
        .deadline(Duration::from_millis(800)),
        bomb("a WebP of 16,384 x 16,384 px", "", webp()),
        bomb("a BMP of 2,147,483,647 px a side", "", bmp(i32::MAX, i32::MAX)),
        bomb("a BMP of negative width", "", bmp(-5, 5)),
        bomb(
            "a TIFF of 4,294,967,295 px a side",
            "",
            tiff(u32::MAX, u32::MAX, 0),
        ),
        bomb(
            "a TIFF of 60,000 x 60,000 px",
            "image-bytes",
            tiff(60_000, 60_000, 0),
        ),
        Beast::new(
            "a TIFF whose pages come back to the first",
            Ends::Says(""),
            Act::Read(decode(), tiff(1, 1, 8)),
        ),
        bomb("bytes that are no picture", "is no image", vec![7; 4096]),
        bomb("no bytes where a picture should be", "is no image", Vec::new()),
        Beast::new(
            "text that wants to be HTML, through every first-party formatter",
            Ends::Well("it comes out as text"),
            Act::Do(Box::new(injection)),
        )
        .limits(|l| {
            l.memory = 128 << 20;
            l.time = Duration::from_secs(20);
            l.host_calls = 1_000_000;
        }),
    ]
}

/// Opens its source as a picture and takes each of its images.
fn decode() -> crate::skeleton::Skeleton {
    adapter()
        .fields("(global $src (mut i32) (i32.const 0)) (global $d (mut i32) (i32.const 0))")
        .body(
            "open",
            "(call $decoder.open (local.get $source) RET) CHECK (global.set $d HANDLE) (i32.const 0)",
        )
        .body(
            "read",
            "(if (i32.ge_u (local.get $index) (call $decoder.frames (global.get $d))) (then (return (i32.const 0))))
             (call $decoder.frame (global.get $d) (local.get $index) RET) CHECK (call $empty)
             (i32.store8 (i32.const 2056) (i32.const 1)) (i32.store (i32.const 2064) HANDLE)
             (f32.store (i32.const 2068) (f32.const 300)) AREA",
        )
}

fn bomb(name: &'static str, text: &'static str, bytes: Vec<u8>) -> Beast {
    let ends = if text.is_empty() { FAILS } else { Ends::Says(text) };
    Beast::new(name, ends, Act::Read(decode(), bytes)).deadline(Duration::from_millis(800))
}

/// A small picture with a text of 200 MB beside it.
fn text_bomb() -> Beast {
    let mut zipped = ZlibEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b'a'; 1 << 20];
    (0..200).for_each(|_| zipped.write_all(&zeros).expect("memory takes it"));
    let text = [
        b"Comment\0\0".as_slice(),
        &zipped.finish().expect("memory takes it"),
    ]
    .concat();
    let whole = png(1, 1, 8, 0, &[0, 0]);
    // Behind the header: 8 bytes of signature, 25 of IHDR.
    let bytes = [&whole[..33], &chunk(b"zTXt", &text), &whole[33..]].concat();
    Beast::new(
        "a PNG with 200 MB of packed text",
        Ends::Well("nobody unpacks it"),
        Act::Read(decode(), bytes),
    )
}

fn png(width: u32, height: u32, depth: u8, colour: u8, rows: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(rows).expect("memory takes it");
    let header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[&header[..], &[depth, colour, 0, 0, 0]].concat()),
        chunk(b"IDAT", &packed.finish().expect("memory takes it")),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(body);
    let length = (body.len() as u32).to_be_bytes();
    [&length[..], kind, body, &crc.sum().to_be_bytes()].concat()
}

fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    let frame = [
        &[0xff, 0xc0, 0, 17, 8],
        &size[..],
        &[3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0],
    ]
    .concat();
    let table = [&[0xff, 0xdb, 0, 67, 0], &[1u8; 64][..]].concat();
    [
        &[0xff, 0xd8],
        &table[..],
        &frame,
        &[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 7, 7, 0xff, 0xd9],
    ]
    .concat()
}

fn gif(width: u16, height: u16, frames: usize) -> Vec<u8> {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let frame = [&[0x2c, 0, 0, 0, 0], &size[..], &[0, 2, 2, 0x4c, 1, 0]].concat();
    let head = [b"GIF89a", &size[..], &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    [head, frame.repeat(frames), vec![0x3b]].concat()
}

fn webp() -> Vec<u8> {
    // VP8L: signature, then 14 bits each of width - 1 and height - 1.
    let bits = 0x3fffu32 | 0x3fff << 14;
    let body = [&[0x2f], &bits.to_le_bytes()[..], &[0; 64]].concat();
    let size = (body.len() as u32).to_le_bytes();
    let riff = (body.len() as u32 + 12).to_le_bytes();
    [b"RIFF", &riff[..], b"WEBPVP8L", &size, &body, &[0]].concat()
}

fn bmp(width: i32, height: i32) -> Vec<u8> {
    let header = [40u32.to_le_bytes(), width.to_le_bytes(), height.to_le_bytes()].concat();
    [
        b"BM",
        &[0; 8][..],
        &54u32.to_le_bytes(),
        &header,
        &[1, 0, 24, 0],
        &[0; 24],
        &[0; 64],
    ]
    .concat()
}

/// One strip of nothing; `next` is where the next directory is said to be.
fn tiff(width: u32, height: u32, next: u32) -> Vec<u8> {
    let tags: [(u16, u16, u32); 9] = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, 1),
    ];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, value) in tags {
        bytes.extend(
            [
                &tag.to_le_bytes()[..],
                &kind.to_le_bytes(),
                &1u32.to_le_bytes(),
                &value.to_le_bytes(),
            ]
            .concat(),
        );
    }
    bytes.extend(next.to_le_bytes());
    bytes
}

/// What must not come out as it went in: each opens a tag or leaves an attribute.
const PAYLOADS: [&str; 9] = [
    "<script>zoo()</script>",
    "<img src=zoo onerror=zoo()>",
    "<svg/onload=zoo()>",
    "</title><script>zoo()</script>",
    "\"><iframe src=zoo></iframe>",
    "' onmouseover='zoo()' x='",
    "\" onmouseover=\"zoo()\" x=\"",
    "<!--<zoo-->",
    "<style>@import zoo</style>",
];

fn hostile_page() -> Arc<Page> {
    let mut info = PageInfo::new(0, 1, 600, 800);
    info.engine = PAYLOADS[6].into();
    info.language = Some(PAYLOADS[6].into());
    info.part = Some(PAYLOADS[0].into());
    let said = ocr_document::Diagnostic::new(ocr_document::Severity::Warning, PAYLOADS[4], PAYLOADS[1]);
    info.diagnostics.push(said);
    let mut page = PageBuilder::new(info);
    use SpanKind as K;
    let kinds = [
        K::Title,
        K::Heading,
        K::Paragraph,
        K::ListItem,
        K::Table,
        K::Formula,
        K::Figure,
        K::Caption,
        K::Header,
        K::Footer,
        K::PageNumber,
        K::Footnote,
        K::Code,
        K::Other,
    ];
    let mut top = 0;
    for kind in kinds {
        for payload in PAYLOADS {
            let area = Rect::new(0, top, 500, top + 5);
            let span = page.push_span(kind, payload, 1, area, Some(0.5), payload);
            let markup = format!("<table><tr><td onclick=\"zoo()\">{payload}</td></tr></table>");
            if matches!(kind, K::Table | K::Formula | K::Code) {
                page.set_markup(span, if kind == K::Table { &markup } else { payload });
            }
            if kind == K::Table {
                let cell = Cell {
                    table: span,
                    kind: CellKind::ColumnHeader,
                    row: 0,
                    column: 0,
                    row_span: 1,
                    column_span: 1,
                    area: None,
                    confidence: None,
                    text: Slice::default(),
                };
                page.push_cell(cell, payload);
            }
            top += 6;
        }
    }
    page.raster(PageImage::new(600, 800, PixelFormat::Gray8, vec![200; 480_000]).expect("it has its size"));
    Arc::new(page.finish())
}

/// A component that lies in `plugins/`.
fn first_party(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let packed = std::fs::read(folder.join(name).join(format!("{name}.wasm.gz")));
    let (packed, mut component) = (packed.expect("it is in the repository"), Vec::new());
    let unpacked = flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut component);
    unpacked.expect("it was packed by xtask");
    component
}

/// Every formatter that lies in `plugins/` is given the hostile page.
fn injection(cage: &Cage) -> Ended {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder)
        .expect("the plugins are there")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with("-out") {
            continue;
        }
        let plugin = match cage.load(&first_party(&name)) {
            Ok(plugin) => plugin,
            Err(ended) => return ended,
        };
        let config = plugin.manifest().default_config();
        if let Err(failure) = cage.format_pages(&plugin, &config, &[hostile_page()], || ()) {
            return Ended::Failed(failure);
        }
        let written = std::fs::read_to_string(cage.out.join("doc.bad")).unwrap_or_default();
        if !written.contains("zoo") {
            return Ended::Wrong(format!("{name} lost the text"));
        }
        if let Some(raw) = raw_markup(&name, &written) {
            return Ended::Wrong(format!("{name} writes {raw:?}"));
        }
        seen.push(name);
    }
    let has = |name: &str| seen.iter().any(|s| s == name);
    match has("html-out") && has("markdown-out") && has("json-out") {
        true => Ended::Well,
        false => Ended::Wrong(format!("only {seen:?} were there")),
    }
}

/// A piece of the payloads that a browser would take for markup.
fn raw_markup(formatter: &str, written: &str) -> Option<String> {
    // JSON is data: its own rule is that it parses.
    if formatter == "json-out" {
        let parsed = serde_json::from_str::<serde_json::Value>(written);
        return parsed.err().map(|e| e.to_string());
    }
    // Plain text is no markup, whatever is in it.
    if formatter == "text-out" {
        return None;
    }
    let lower = written.to_lowercase();
    let found = [
        "<script>zoo",
        "<img src=zoo",
        "<svg/onload",
        "<iframe",
        "<style>@import zoo",
        "<!--<zoo",
        "onclick=\"zoo",
    ];
    // In Markdown, what stands behind a backslash, in a fence or between backticks is text.
    let is_text = |at: usize| formatter == "markdown-out" && (is_escaped(&lower, at) || is_code(&lower, at));
    for needle in found {
        if let Some((at, _)) = lower.match_indices(needle).find(|(at, _)| !is_text(*at)) {
            return Some(lower[at..].chars().take(60).collect());
        }
    }
    if formatter == "markdown-out" {
        return None;
    }
    // An attribute ends at its own quote alone: between `<` and `>` there is no handler.
    let tags = lower
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag));
    let outside_of_values = |tag: &str| {
        let mut quote = None;
        let mut bare = String::new();
        for c in tag.chars() {
            match quote {
                Some(q) if c == q => quote = None,
                Some(_) => {}
                None if c == '"' || c == '\'' => quote = Some(c),
                None => bare.push(c),
            }
        }
        bare
    };
    tags.map(outside_of_values)
        .find(|tag| tag.contains("onmouseover") || tag.contains("onerror"))
}

/// Whether an odd number of backslashes stands before it.
fn is_escaped(text: &str, at: usize) -> bool {
    text[..at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Whether a place in a Markdown text lies in a fenced block or between backticks.
fn is_code(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let fences = before
        .lines()
        .filter(|l| l.trim_start().starts_with("```"))
        .count();
    let line = before.rsplit('\n').next().unwrap_or(before);
    fences % 2 == 1 || line.matches('`').count() % 2 == 1
}
