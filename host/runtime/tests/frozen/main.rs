//! What was once published stays: the contract's text, and plugins that were built against it.
//!
//! This folder keeps the text of each published version, packed, and components built against it, one a world at least.
//! Every later host has to load all of them and run a page through each. They are never made again: a change to `wit/`
//! that needs that is a new version. `README.md` says how to add some.

mod fixtures;
mod records;
#[path = "../skeleton/mod.rs"]
mod skeleton;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ocr_document::{Page, PageBuilder, PageImage, PageInfo, PixelFormat, Rect, SpanKind};
use ocr_runtime::{
    AdapterSession, Context, DocInfo, DocumentOutput, FormatterSession, Grants, InputItem, Limits,
    OpenOptions, Plugin, ProcessorSession, Runtime, Source, World,
};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen")
}

fn unpack(path: &Path) -> Vec<u8> {
    let packed = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Writes a file that is not there yet. What is there stays.
fn freeze(name: &str, bytes: &[u8]) {
    let path = here().join(name);
    if path.exists() {
        return;
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    fs::write(path, packed.finish().unwrap()).unwrap();
}

/// All files of a version of the contract, one after the other, each under its name.
fn contract(version: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wit")
        .join(format!("v{version}"));
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let file = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        format!("==> {name}\n{}", fs::read_to_string(path).unwrap())
    };
    files.iter().map(file).collect()
}

/// `FREEZE=1` adds what is missing.
fn freezing() {
    if std::env::var_os("FREEZE").is_some() {
        freeze("wit-0.1.0.gz", contract("0.1.0").as_bytes());
        for (name, skeleton) in fixtures::all() {
            freeze(&format!("{name}.wasm.gz"), &skeleton.build());
        }
    }
}

#[test]
fn the_contract_is_what_was_published() {
    freezing();
    let frozen = String::from_utf8(unpack(&here().join("wit-0.1.0.gz"))).unwrap();
    let now = contract("0.1.0");
    let changed = frozen.lines().zip(now.lines()).find(|(a, b)| a != b);
    assert!(
        frozen == now,
        "wit/v0.1.0 is published and was changed ({changed:?}); a change is a new version beside it"
    );
}

fn page() -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 7, 100, 80));
    page.push_span(
        SpanKind::Paragraph,
        "text",
        0,
        Rect::new(0, 0, 50, 10),
        Some(0.5),
        "all is well",
    );
    page.push_span(
        SpanKind::Paragraph,
        "text",
        0,
        Rect::new(0, 20, 50, 30),
        None,
        "still",
    );
    page.raster(PageImage::new(100, 80, PixelFormat::Gray8, vec![128; 8000]).unwrap());
    Arc::new(page.finish())
}

fn context() -> Context {
    Context {
        limits: Limits::default(),
        grants: Grants {
            page_raster: true,
            image_rows: true,
            ..Grants::default()
        },
        ..Context::default()
    }
}

/// Runs a page through a plugin of any world and checks what comes of it.
fn run(name: &str, plugin: &Arc<Plugin>) {
    match plugin.world() {
        World::OutputFormatter => {
            let folder = tempfile::tempdir().unwrap();
            let output = DocumentOutput::begin(folder.path(), "doc").unwrap();
            let extension = &plugin.manifest().extensions[0];
            let config = plugin.manifest().default_config();
            let place = output.formatter(extension);
            let mut session = FormatterSession::open(plugin, &context(), &DocInfo::default(), &config, place)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            session
                .add_page(&page())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            session.finish().unwrap_or_else(|e| panic!("{name}: {e}"));
            output.commit(&HashSet::new()).unwrap();
            let written = fs::read_to_string(folder.path().join(format!("doc.{extension}"))).unwrap();
            assert!(written.contains("all is well"), "{name} wrote {written:?}");
        }
        World::InputAdapter => {
            let bytes = b"frozen input".to_vec();
            let sure = ocr_runtime::sniff(plugin, &context(), "x", &bytes).unwrap();
            assert!(sure > 0, "{name} does not know its input any more");
            let source = Source::from_bytes("x", bytes);
            let mut session = AdapterSession::open(plugin, &context(), &source, &OpenOptions::default())
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            session.info().unwrap_or_else(|e| panic!("{name}: {e}"));
            let item = session.read(0, 200.0).unwrap_or_else(|e| panic!("{name}: {e}"));
            let Some(InputItem::Page(read)) = item else {
                panic!("{name} reads {item:?}");
            };
            assert!(read.image.width() > 0 && read.dpi > 0.0);
        }
        World::PageProcessor => {
            let mut document = DocInfo::default();
            let config = plugin.manifest().default_config();
            let mut session = ProcessorSession::open(plugin, &context(), &document, &config)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let edits = session.edit_document().unwrap_or_else(|e| panic!("{name}: {e}"));
            edits.into_iter().for_each(|edit| edit.apply(&mut document));
            let edits = session.process(&page()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let edited = page().edited(&edits).unwrap_or_else(|e| panic!("{name}: {e}"));
            if name.starts_with("processor-") {
                assert_eq!(document.name, "ab");
                assert_eq!(edited.text_of(edited.spans()[0].text), "ab");
                assert_eq!(edited.spans()[1].kind, SpanKind::Heading);
            }
        }
    }
}

#[test]
fn every_plugin_that_was_ever_built_for_a_published_contract_runs() {
    freezing();
    let runtime = Runtime::new(None, &Limits::default()).unwrap();
    let mut worlds = BTreeSet::new();
    for entry in fs::read_dir(here()).unwrap().map(|e| e.unwrap()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".wasm.gz") {
            continue;
        }
        let plugin = runtime
            .load(&name, &unpack(&entry.path()))
            .unwrap_or_else(|e| panic!("{e}"));
        run(&name, &plugin);
        worlds.insert(plugin.world().name());
    }
    assert_eq!(
        worlds.into_iter().collect::<Vec<_>>(),
        ["input-adapter", "output-formatter", "page-processor"]
    );
}

#[test]
fn a_fixture_imports_all_that_its_world_offers() {
    for (name, skeleton) in fixtures::all() {
        let missing = skeleton.unused_imports();
        assert!(missing.is_empty(), "{name} leaves out {missing:?}");
    }
}
