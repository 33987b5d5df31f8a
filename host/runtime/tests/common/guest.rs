//! Components for tests, written as WebAssembly text around the contract's own ABI: small, of one's own making, and without
//! a toolchain. What they answer lies ready in their memory.
#![allow(dead_code, reason = "each test uses some of it")]

use ocr_document::{CellKind, Edit, Rect, SpanKind};
use ocr_runtime::{Capability, Manifest, OnFailure, World, encode};
use std::path::Path;

/// What a processor does with a page; the last one goes for all further pages.
pub enum Act {
    /// Answers these edits.
    Edits(Vec<Edit>),
    /// Crashes.
    Trap,
    /// Never comes back.
    Spin,
    /// Answers `failed` with this message.
    Fail(&'static str),
    /// Makes span 0 a paragraph of the host's answer to a call: what was read, or why it was not.
    Ask(Call),
}

/// A host function that needs a capability.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// `page.raster`.
    Raster,
    /// `image.read-rows` of a canvas of its own.
    ReadRows,
    /// `ocr.recognize` of these regions (place, task, hint); the answer is the first one's.
    Recognize(&'static [(Rect, u8, Option<&'static str>)]),
}

/// A page processor.
pub struct Processor {
    pub id: &'static str,
    pub asks: Vec<Capability>,
    pub on_failure: OnFailure,
    /// The title that it gives the document.
    pub title: Option<&'static str>,
    pub acts: Vec<Act>,
}

impl Processor {
    pub fn new(id: &'static str, acts: Vec<Act>) -> Self {
        Self {
            id,
            asks: Vec::new(),
            on_failure: OnFailure::Keep,
            title: None,
            acts,
        }
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let mut memory = Memory::new();
        let title = self.title.map(|title| {
            let text = memory.text(title);
            memory.block(&[0, 1, text.0, text.1])
        });
        let document_edits = (title.unwrap_or(0), u32::from(title.is_some()));
        let bodies: Vec<String> = self.acts.iter().map(|act| body(act, &mut memory)).collect();
        let last = bodies.len() - 1;
        let mut process = String::new();
        for (at, body) in bodies.iter().enumerate() {
            let condition = match at == last {
                true => "(i32.const 1)".to_owned(),
                false => format!("(i32.eq (global.get $page) (i32.const {}))", at + 1),
            };
            process += &format!("(if {condition} (then {body} (return (i32.const 64))))\n");
        }
        let (edits_at, edits) = document_edits;
        let wat = format!(
            r#"(module
            (import "[export]ocr-host:plugin/processor@0.1.0" "[resource-new]session" (func $new (param i32) (result i32)))
            {IMPORTS}
            {data}
            (global $page (mut i32) (i32.const 0))
            (func (export "ocr-host:plugin/processor@0.1.0#[static]session.open")
              (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
              (i32.store (i32.const 64) (i32.const 0))
              (i32.store (i32.const 72) (call $new (i32.const 1)))
              (i32.const 64))
            (func (export "ocr-host:plugin/processor@0.1.0#[method]session.edit-document") (param i32) (result i32)
              (i32.store (i32.const 64) (i32.const 0))
              (i32.store (i32.const 72) (i32.const {edits_at}))
              (i32.store (i32.const 76) (i32.const {edits}))
              (i32.const 64))
            (func (export "ocr-host:plugin/processor@0.1.0#[method]session.process") (param i32 i32) (result i32)
              (local $page_handle i32)
              (local.set $page_handle (local.get 1))
              (global.set $page (i32.add (global.get $page) (i32.const 1)))
              {process}
              (unreachable)))"#,
            data = memory.data(),
        );
        component(&wat, World::PageProcessor, &self.manifest())
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            on_failure: Some(self.on_failure),
            ..manifest(self.id, World::PageProcessor, &self.asks)
        }
    }
}

/// An adapter that makes the host's answer to `pdf.document.open` its own error.
pub fn pdf_asker(asks: &[Capability]) -> Vec<u8> {
    let mut memory = Memory::new();
    let (opened, opened_len) = memory.text("opened");
    let wat = format!(
        r#"(module
        (import "ocr-host:plugin/pdf@0.1.0" "[static]document.open" (func $open_pdf (param i32 i32 i32 i32 i32)))
        (import "ocr-host:plugin/source@0.1.0" "[resource-drop]source" (func $drop_source (param i32)))
        {data}
        (func (export "ocr-host:plugin/adapter@0.1.0#sniff") (param i32 i32 i32 i32) (result i32) (i32.const 9))
        (func (export "ocr-host:plugin/adapter@0.1.0#[static]document.open")
          (param i32 i32 i32 i32 i32 i32) (result i32)
          (call $open_pdf (local.get 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
          (call $drop_source (local.get 0))
          ;; err(invalid-input(..)): the host's words, or that it opened (or would have, were this a PDF)
          (i32.store (i32.const 64) (i32.const 1))
          (i32.store (i32.const 72) (i32.const 0))
          (i32.store (i32.const 80) (i32.const {opened}))
          (i32.store (i32.const 84) (i32.const {opened_len}))
          (if (i32.load8_u (i32.const 512)) (then
            (if (i32.eq (i32.load8_u (i32.const 520)) (i32.const 2)) (then
              (i32.store (i32.const 80) (i32.load (i32.const 536)))
              (i32.store (i32.const 84) (i32.load (i32.const 540)))))))
          (i32.const 64))
        (func (export "ocr-host:plugin/adapter@0.1.0#[method]document.info") (param i32) (result i32) (unreachable))
        (func (export "ocr-host:plugin/adapter@0.1.0#[method]document.read") (param i32 i32 f32) (result i32)
          (unreachable)))"#,
        data = memory.data(),
    );
    component(
        &wat,
        World::InputAdapter,
        &manifest("pdf-asker", World::InputAdapter, asks),
    )
}

/// An adapter of boxes: `BOX!`, the number of documents in it, and where each begins and how long it is, 32 bits each. It
/// says of none how many pages it has; document 7 of a box crashes it.
pub fn box_adapter() -> Vec<u8> {
    let mut memory = Memory::new();
    let (name, name_len) = memory.text("inner.bin");
    let wat = format!(
        r#"(module
        (import "ocr-host:plugin/source@0.1.0" "[method]source.read-at" (func $read (param i32 i64 i32 i32)))
        (import "ocr-host:plugin/source@0.1.0" "[method]source.window" (func $window (param i32 i32 i32 i64 i64 i32)))
        (import "[export]ocr-host:plugin/adapter@0.1.0" "[resource-new]document" (func $new (param i32) (result i32)))
        {data}
        (global $source (mut i32) (i32.const 0))
        (func (export "ocr-host:plugin/adapter@0.1.0#sniff") (param i32 i32 i32 i32) (result i32)
          (if (i32.lt_u (local.get 3) (i32.const 8)) (then (return (i32.const 0))))
          (select (i32.const 100) (i32.const 0) (i32.eq (i32.load (local.get 2)) (i32.const 0x21584f42))))
        (func (export "ocr-host:plugin/adapter@0.1.0#[static]document.open")
          (param i32 i32 i32 i32 i32 i32) (result i32)
          (global.set $source (local.get 0))
          (i32.store (i32.const 64) (i32.const 0))
          (i32.store (i32.const 72) (call $new (i32.const 1)))
          (i32.const 64))
        ;; An empty name and media type, and nothing known.
        (func (export "ocr-host:plugin/adapter@0.1.0#[method]document.info") (param i32) (result i32) (i32.const 256))
        (func (export "ocr-host:plugin/adapter@0.1.0#[method]document.read") (param i32 i32 f32) (result i32)
          (local $entry i32)
          (if (i32.eq (local.get 1) (i32.const 7)) (then (unreachable)))
          (i32.store (i32.const 64) (i32.const 0))
          (i32.store (i32.const 72) (i32.const 0))
          ;; The whole table; the box is small.
          (call $read (global.get $source) (i64.const 4) (i32.const 256) (i32.const 512))
          (local.set $entry (i32.load (i32.const 520)))
          (if (i32.ge_u (local.get 1) (i32.load (local.get $entry))) (then (return (i32.const 64))))
          (local.set $entry (i32.add (local.get $entry) (i32.mul (local.get 1) (i32.const 8))))
          (call $window (global.get $source) (i32.const {name}) (i32.const {name_len})
            (i64.extend_i32_u (i32.load offset=4 (local.get $entry)))
            (i64.extend_i32_u (i32.load offset=8 (local.get $entry))) (i32.const 512))
          ;; ok(some(embedded(..)))
          (i32.store (i32.const 72) (i32.const 1))
          (i32.store (i32.const 76) (i32.const 1))
          (i32.store (i32.const 80) (i32.load (i32.const 520)))
          (i32.const 64)))"#,
        data = memory.data(),
    );
    component(
        &wat,
        World::InputAdapter,
        &manifest("box-in", World::InputAdapter, &[]),
    )
}

/// A box of documents.
pub fn boxed(documents: &[&[u8]]) -> Vec<u8> {
    let mut at = 8 + 8 * documents.len() as u32;
    let mut bytes = b"BOX!".to_vec();
    bytes.extend((documents.len() as u32).to_le_bytes());
    for document in documents {
        bytes.extend(at.to_le_bytes());
        bytes.extend((document.len() as u32).to_le_bytes());
        at += document.len() as u32;
    }
    documents
        .iter()
        .for_each(|document| bytes.extend_from_slice(document));
    bytes
}

fn manifest(id: &str, world: World, asks: &[Capability]) -> Manifest {
    Manifest {
        id: id.into(),
        version: "0.1.0".into(),
        world,
        wit: ocr_runtime::WIT_VERSION.into(),
        description: String::new(),
        aliases: Vec::new(),
        media_types: Vec::new(),
        extensions: Vec::new(),
        capabilities: asks.to_vec(),
        on_failure: None,
        limits: Default::default(),
        config: None,
    }
}

fn component(wat: &str, world: World, manifest: &Manifest) -> Vec<u8> {
    let mut module = wat::parse_str(wat).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/v0.1.0");
    let (package, _) = resolve.push_dir(&wit).unwrap();
    let world = resolve.select_world(&[package], Some(world.name())).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    encode(&module, manifest).unwrap()
}

const IMPORTS: &str = r#"
    (import "ocr-host:plugin/page@0.1.0" "[resource-drop]page" (func $drop_page (param i32)))
    (import "ocr-host:plugin/page@0.1.0" "[method]page.raster" (func $raster (param i32 i32)))
    (import "ocr-host:plugin/image@0.1.0" "[static]canvas.create" (func $create (param i32 i32 i32 i32)))
    (import "ocr-host:plugin/image@0.1.0" "[static]canvas.finish" (func $finish (param i32 i32)))
    (import "ocr-host:plugin/image@0.1.0" "[method]image.read-rows" (func $rows (param i32 i32 i32 i32 i32)))
    (import "ocr-host:plugin/ocr@0.1.0" "recognize" (func $recognize (param i32 i32 i32 i32)))"#;

/// An answer of edits at an address.
fn answer(at: u32, count: u32) -> String {
    format!(
        "(call $drop_page (local.get $page_handle))
         (i32.store (i32.const 64) (i32.const 0))
         (i32.store (i32.const 72) (i32.const {at}))
         (i32.store (i32.const 76) (i32.const {count}))"
    )
}

fn body(act: &Act, memory: &mut Memory) -> String {
    match act {
        Act::Trap => "(unreachable)".into(),
        Act::Spin => "(loop $on (br $on))".into(),
        Act::Fail(message) => {
            let (at, len) = memory.text(message);
            format!(
                "(call $drop_page (local.get $page_handle))
                 ;; err(invalid-input(..))
                 (i32.store (i32.const 64) (i32.const 1))
                 (i32.store (i32.const 72) (i32.const 0))
                 (i32.store (i32.const 80) (i32.const {at}))
                 (i32.store (i32.const 84) (i32.const {len}))"
            )
        }
        Act::Edits(edits) => {
            let words: Vec<[u32; 9]> = edits.iter().map(|edit| words(edit, memory)).collect();
            answer(memory.block(&words.concat()), edits.len() as u32)
        }
        Act::Ask(call) => ask(*call, memory),
    }
}

/// Calls the host, and answers edits that make span 0 say what it answered.
fn ask(call: Call, memory: &mut Memory) -> String {
    // `set-kind(0, paragraph)`, so that what is said shows, and `set-text(0, ..)`.
    let edits = memory.block(&[[3, 0, 2, 0, 0, 0, 0, 0, 0], [0; 9]].concat());
    let edit = edits + 36;
    let (done, done_len) = memory.text("done");
    let (quota, quota_len) = memory.text("quota");
    // The result lies at 512, its payload at 520.
    let calls = match call {
        Call::Raster => "(call $raster (local.get $page_handle) (i32.const 512))".to_owned(),
        Call::ReadRows => "(call $create (i32.const 4) (i32.const 4) (i32.const 0) (i32.const 512))
             (call $finish (i32.load (i32.const 520)) (i32.const 512))
             (call $rows (i32.load (i32.const 520)) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 512))"
            .to_owned(),
        Call::Recognize(regions) => {
            let words: Vec<u32> = regions
                .iter()
                .flat_map(|(area, task, hint)| {
                    let (at, len) = hint.map_or((0, 0), |hint| memory.text(hint));
                    let r = area;
                    [r.x0, r.y0, r.x1, r.y1, u32::from(*task), u32::from(hint.is_some()), at, len]
                })
                .collect();
            let at = memory.block(&words);
            format!(
                "(call $raster (local.get $page_handle) (i32.const 512))
                 (call $recognize (i32.load (i32.const 520)) (i32.const {at}) (i32.const {}) (i32.const 512))",
                regions.len()
            )
        }
    };
    // For regions, the first answer of the list: its text, or its own error, which then lies where the call's would.
    let inner = match call {
        Call::Recognize(_) => {
            "(if (i32.eqz (i32.load8_u (i32.const 512))) (then
               (i32.store (i32.const 500) (i32.load (i32.const 520)))
               (if (i32.load8_u (i32.load (i32.const 500)))
                 (then (i32.store8 (i32.const 512) (i32.const 1))
                   (i32.store (i32.const 520) (i32.load offset=8 (i32.load (i32.const 500))))
                   (i32.store (i32.const 528) (i32.load offset=16 (i32.load (i32.const 500))))
                   (i32.store (i32.const 532) (i32.load offset=20 (i32.load (i32.const 500)))))
                 (else
                   (i32.store offset=8 (i32.const EDIT) (i32.load offset=8 (i32.load (i32.const 500))))
                   (i32.store offset=12 (i32.const EDIT) (i32.load offset=12 (i32.load (i32.const 500))))))))"
                .replace("EDIT", &edit.to_string())
        }
        _ => String::new(),
    };
    format!(
        "{calls}
         (i32.store offset=8 (i32.const {edit}) (i32.const {done}))
         (i32.store offset=12 (i32.const {edit}) (i32.const {done_len}))
         {inner}
         (if (i32.load8_u (i32.const 512)) (then
           (if (i32.eq (i32.load8_u (i32.const 520)) (i32.const 1))
             (then (i32.store offset=8 (i32.const {edit}) (i32.const {quota}))
               (i32.store offset=12 (i32.const {edit}) (i32.const {quota_len})))
             (else (i32.store offset=8 (i32.const {edit}) (i32.load (i32.const 528)))
               (i32.store offset=12 (i32.const {edit}) (i32.load (i32.const 532)))))))
         {answer}",
        answer = answer(edits, 2),
    )
}

/// An edit as it lies in memory.
fn words(edit: &Edit, memory: &mut Memory) -> [u32; 9] {
    let mut words = [0; 9];
    let mut put = |case: u32, values: &[u32]| {
        words[0] = case;
        words[1..1 + values.len()].copy_from_slice(values);
    };
    let kind = |kind: SpanKind| match kind {
        SpanKind::Title => 0,
        SpanKind::Heading => 1,
        SpanKind::Paragraph => 2,
        SpanKind::Table => 4,
        SpanKind::Header => 8,
        other => panic!("no flat type for {other:?}"),
    };
    let corners = |r: &Rect| [r.x0, r.y0, r.x1, r.y1];
    match edit {
        Edit::SetText(span, text) => {
            let (at, len) = memory.text(text);
            put(0, &[*span, at, len]);
        }
        Edit::ReflowText(span, text) => {
            let (at, len) = memory.text(text);
            put(1, &[*span, at, len]);
        }
        Edit::SetMarkup(span, text) => {
            let (at, len) = memory.text(text);
            put(2, &[*span, at, len]);
        }
        Edit::SetKind(span, to) => put(3, &[*span, kind(*to)]),
        Edit::SetLevel(span, level) => put(4, &[*span, u32::from(*level)]),
        Edit::SetOrder(span, order) => put(5, &[*span, *order]),
        Edit::SetParent(span, parent) => {
            put(6, &[*span, u32::from(parent.is_some()), parent.unwrap_or(0)]);
        }
        Edit::SetArea(span, area) => put(7, &[&[*span][..], &corners(area)].concat()),
        Edit::SetCell(cell, text) => {
            let (at, len) = memory.text(text);
            put(8, &[*cell, at, len]);
        }
        Edit::SetCells(span, cells) => {
            let all: Vec<u32> = cells
                .iter()
                .flat_map(|cell| {
                    let kind = match cell.kind {
                        CellKind::Data => 0,
                        CellKind::ColumnHeader => 1,
                        CellKind::RowHeader => 2,
                        CellKind::RowSection => 3,
                    };
                    let (at, len) = memory.text(&cell.text);
                    let area = corners(&cell.area.unwrap_or_default());
                    let [x0, y0, x1, y1] = area;
                    let known = u32::from(cell.area.is_some());
                    [
                        kind,
                        cell.row,
                        cell.column,
                        cell.row_span,
                        cell.column_span,
                        known,
                        x0,
                        y0,
                        x1,
                        y1,
                        at,
                        len,
                    ]
                })
                .collect();
            put(9, &[*span, memory.block(&all), cells.len() as u32]);
        }
        Edit::DropSpan(span) => put(10, &[*span]),
        Edit::Insert(after, to, area, text) => {
            let (at, len) = memory.text(text);
            put(
                11,
                &[&[*after, kind(*to)][..], &corners(area), &[at, len]].concat(),
            );
        }
        Edit::RedactArea(area) => put(12, &corners(area)),
        Edit::RedactText(start, len) => put(13, &[*start, *len]),
    }
    words
}

/// What lies ready in a guest's memory, from address 1024 on.
struct Memory(Vec<u8>);

impl Memory {
    const START: u32 = 1024;

    fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&mut self, bytes: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = Self::START + self.0.len() as u32;
        self.0.extend_from_slice(bytes);
        at
    }

    fn text(&mut self, text: &str) -> (u32, u32) {
        (self.place(text.as_bytes()), text.len() as u32)
    }

    fn block(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.place(&bytes)
    }

    /// The memory and its data, and the heap behind them, in which what the host hands over lies one behind the other.
    fn data(&self) -> String {
        const PAGE: usize = 65_536;
        let bytes: String = self.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let own = (Self::START as usize + self.0.len()).div_ceil(PAGE);
        format!(
            r#"(memory (export "memory") {pages})
            (data (i32.const {start}) "{bytes}")
            (global $heap (mut i32) (i32.const {heap}))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
              (local $at i32)
              (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
              (global.set $heap (i32.add (local.get $at) (local.get 3)))
              (local.get $at))"#,
            pages = own + 16,
            start = Self::START,
            heap = own * PAGE,
        )
    }
}
