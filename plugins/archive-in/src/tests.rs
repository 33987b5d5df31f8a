use super::*;
use ocr_plugin::testing;
use std::io::Write;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

fn pack(entries: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes, method) in entries {
        let options = SimpleFileOptions::default().compression_method(*method);
        if name.ends_with('/') {
            zip.add_directory(*name, options).unwrap();
            continue;
        }
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn stored(names: &[&str]) -> Vec<u8> {
    let entries: Vec<_> = names
        .iter()
        .map(|n| (*n, PNG, CompressionMethod::Stored))
        .collect();
    pack(&entries)
}

fn open(bytes: Vec<u8>) -> Result<Archive> {
    testing::open::<Archive>("a.zip", bytes, "{}", None)
}

fn message(bytes: Vec<u8>) -> String {
    open(bytes).err().unwrap().message()
}

/// Name and bytes of every item; its error where it has one.
fn items(archive: &mut Archive) -> Vec<Result<(String, Vec<u8>), String>> {
    let mut found = Vec::new();
    loop {
        match archive.read(found.len() as u32, 150.0) {
            Ok(None) => return found,
            Ok(Some(Item::Embedded(inner))) => found.push(Ok((inner.name(), inner.read_all().unwrap()))),
            Ok(Some(Item::Page(_))) => unreachable!("archives have no pages of their own"),
            Err(e) => found.push(Err(e.message())),
        }
    }
}

fn names(bytes: Vec<u8>) -> Vec<String> {
    let mut archive = open(bytes).unwrap();
    items(&mut archive).into_iter().map(|i| i.unwrap().0).collect()
}

/// Changes bytes in each record of the central directory.
fn in_directory(mut bytes: Vec<u8>, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(4).position(|w| w == b"PK\x01\x02") {
        at += found;
        change(&mut bytes[at..]);
        at += 4;
    }
    bytes
}

#[test]
fn entries_come_in_the_order_of_their_names() {
    let shuffled = [
        "10.png",
        "2.JPG",
        "notes/",
        "notes/1.pdf",
        "1.tif",
        "__MACOSX/._1.tif",
        ".DS_Store",
        "ComicInfo.xml",
    ];
    assert_eq!(names(stored(&shuffled)), ["1.tif", "2.JPG", "10.png", "1.pdf"]);
    let mut kept = testing::open::<Archive>(
        "a.zip",
        stored(&["b.png", "a.png"]),
        r#"{"order": "archive"}"#,
        None,
    )
    .unwrap();
    assert_eq!(items(&mut kept)[0].as_ref().unwrap().0, "b.png");
}

#[test]
fn bytes_are_unpacked() {
    let long = b"%PDF-1.7 ".repeat(100_000);
    let mut archive = open(pack(&[
        ("a.pdf", &long, CompressionMethod::Deflated),
        ("b.png", PNG, CompressionMethod::Stored),
    ]))
    .unwrap();
    assert_eq!(
        items(&mut archive),
        [Ok(("a.pdf".into(), long)), Ok(("b.png".into(), PNG.to_vec()))]
    );
    assert_eq!(testing::diagnostics(), []);
    assert_eq!(archive.info().pages, None);
}

#[test]
fn other_files_are_counted_and_unknown_ones_looked_into() {
    let entries: [(&str, &[u8], _); 4] = [
        ("readme.txt", b"hello", CompressionMethod::Stored),
        ("scan", PNG, CompressionMethod::Deflated),
        ("data.bin", b"\0\0\0", CompressionMethod::Deflated),
        ("page.xyz", b"%PDF-1.4", CompressionMethod::Stored),
    ];
    assert_eq!(names(pack(&entries)), ["page.xyz", "scan"]);
    let said = testing::diagnostics();
    assert_eq!(
        said.iter().map(|d| d.message.as_str()).collect::<Vec<_>>(),
        ["2 files are neither picture nor document, and not read"]
    );
    assert_eq!(
        message(pack(&[("readme.txt", b"x", CompressionMethod::Stored)])),
        "`a.zip` holds no picture and no document that can be read; it has 1 other files"
    );
}

#[test]
fn names_are_never_paths() {
    let tricks = [
        "../../etc/x.png",
        "/abs.png",
        "C:\\dir\\w.png",
        "a\nb.png",
        "..png",
    ];
    let mut found = names(stored(&tricks));
    found.sort();
    // A name that begins with a dot is a hidden file's.
    assert_eq!(found, ["ab.png", "abs.png", "w.png", "x.png"]);
    assert_eq!(base_name("a/..png", 0), "..png");
    let long = format!("{}.png", "ä".repeat(300));
    assert!(names(stored(&[&long]))[0].len() <= 255);
    assert_eq!(base_name("a/..", 4), "entry-5");
}

#[test]
fn encrypted_entries_are_told_apart() {
    let all = in_directory(stored(&["a.png", "b.png"]), |record| record[8] |= 1);
    let error = open(all).err().unwrap();
    assert!(
        matches!(&error, Error::Failed(d) if d.code == "encrypted"),
        "{error:?}"
    );
    let one = in_directory(stored(&["a.png", "b.png"]), |record| {
        record[8] |= u8::from(record[46] == b'b')
    });
    let mut archive = open(one).unwrap();
    let found = items(&mut archive);
    assert!(found[0].is_ok());
    assert_eq!(
        found[1],
        Err("entry 2 of 2 is encrypted, which cannot be opened here; unpack the archive first".into())
    );
}

#[test]
fn bombs_stay_small() {
    let zeros = vec![0; 1 << 20];
    let bytes = pack(&[("a.png", &zeros, CompressionMethod::Deflated)]);
    // The directory promises 1,000 bytes; no more than that is ever unpacked.
    let liar = in_directory(bytes.clone(), |r| {
        r[24..28].copy_from_slice(&1000u32.to_le_bytes())
    });
    assert_eq!(
        items(&mut open(liar).unwrap()),
        [Err(
            "entry 1 of 1: it unpacks to more bytes than it promises".into()
        )]
    );
    let short = in_directory(bytes.clone(), |r| {
        r[24..28].copy_from_slice(&(2u32 << 20).to_le_bytes())
    });
    assert_eq!(
        items(&mut open(short).unwrap()),
        [Err(
            "entry 1 of 1: it unpacks to 1048576 of the 2097152 bytes that it promises".into()
        )]
    );
    let huge = in_directory(bytes, |r| {
        r[24..28].copy_from_slice(&(u32::MAX - 1).to_le_bytes())
    });
    assert!(
        items(&mut open(huge).unwrap())[0]
            .as_ref()
            .unwrap_err()
            .contains("more than the 536870912")
    );
    // Two entries that share their bytes.
    let shared = in_directory(stored(&["a.png", "b.png"]), |r| r[42..46].fill(0));
    assert!(message(shared).contains("its entries share bytes"));
}

#[test]
fn damage_is_told() {
    let sound = pack(&[("a.png", &PNG.repeat(50), CompressionMethod::Deflated)]);
    for cut in [10, 30, sound.len() / 2, sound.len() - 1] {
        assert!(
            message(sound[..cut].to_vec()).starts_with("`a.zip`: it "),
            "cut at {cut}"
        );
    }
    let wrong = in_directory(sound.clone(), |r| r[16] ^= 1);
    assert_eq!(items(&mut open(wrong).unwrap()).len(), 1);
    assert_eq!(
        testing::diagnostics()[0].message,
        "entry 1 of 1 is damaged: its checksum is wrong"
    );
    let method = in_directory(sound.clone(), |r| r[10] = 12);
    assert!(
        items(&mut open(method).unwrap())[0]
            .as_ref()
            .unwrap_err()
            .contains("packed by method 12")
    );
    // Any byte may be wrong: an error at most.
    for at in 0..sound.len() {
        let mut broken = sound.clone();
        broken[at] ^= 0xff;
        if let Ok(mut archive) = open(broken) {
            items(&mut archive);
        }
    }
}

#[test]
fn other_packages_are_left_to_others() {
    let book = pack(&[
        ("mimetype", b"application/epub+zip", CompressionMethod::Stored),
        ("a.png", PNG, CompressionMethod::Stored),
    ]);
    assert_eq!(Archive::sniff("a", &book), 4);
    assert!(message(book).contains("print it to PDF first"));
    let zip = stored(&["a.png"]);
    assert_eq!(
        [
            Archive::sniff("a.CBZ", &zip),
            Archive::sniff("a", &zip),
            Archive::sniff("a.zip", b"x"),
            Archive::sniff("a", b"PK")
        ],
        [90, 60, 3, 0]
    );
}
