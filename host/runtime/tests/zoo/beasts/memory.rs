//! Beasts that want memory: their own, or the host's on their behalf.

use super::{adapter, formatter, limit, on_page};
use crate::keeper::{Act, Beast, Cage, Ended, Ends};
use crate::skeleton::HEAP;
use ocr_runtime::Quota::{CallBytes, Handles, ImageBytes, Memory};
use std::time::Duration;

/// Repeats what answers a handle until the host says no.
fn hoard(prepare: &str, call: &str) -> String {
    format!("{prepare} (loop $l {call} CHECK (br $l)) (unreachable)")
}

const RASTER: &str = "(local $i i32) (call $page.raster (local.get $page) RET) CHECK (local.set $i HANDLE)";

pub fn beasts() -> Vec<Beast> {
    let format = |name, ends, skeleton| Beast::new(name, ends, Act::Format(skeleton));
    let read = |name, ends, skeleton| Beast::new(name, ends, Act::Read(skeleton, b"input".to_vec()));
    let many = |what: &str, n: usize| what.repeat(n);
    vec![
        on_page(
            "memory taken page by page",
            limit(&[Memory]),
            "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 0)",
        ),
        on_page(
            "4 GiB of memory at once",
            limit(&[Memory]),
            "(drop (memory.grow (i32.const 65000))) (i32.const 0)",
        ),
        {
            let mut large = formatter();
            large.pages = 65_536;
            format("4 GiB of memory from the start", limit(&[Memory]), large)
        },
        format(
            "a second memory beside the first",
            limit(&[Memory]),
            formatter().fields("(memory $b 1)").body(
                "page",
                "(loop $l (br_if $l (i32.ne (memory.grow $b (i32.const 16)) (i32.const -1)))) (i32.const 0)",
            ),
        ),
        format(
            "90 memories",
            Ends::NotLoaded("memories count of 91 exceeds"),
            formatter().fields(&many("(memory 0)", 90)),
        ),
        Beast::new(
            "10,000 memories",
            Ends::NotLoaded("memories"),
            Act::Load(Box::new(|| with_manifest(&format!("(component (core module {}))", "(memory 0)".repeat(10_000))))),
        ),
        Beast::new(
            "10,000 tables",
            Ends::NotLoaded("tables"),
            Act::Load(Box::new(|| {
                with_manifest(&format!("(component (core module {}))", "(table 0 funcref)".repeat(10_000)))
            })),
        ),
        Beast::new(
            "10,000 instances of one module",
            Ends::NotLoaded("instances"),
            Act::Load(Box::new(|| {
                with_manifest(&format!(
                    "(component (core module $m (memory 1)) {})",
                    "(core instance (instantiate $m))".repeat(10_000)
                ))
            })),
        ),
        format(
            "90 tables",
            Ends::NotLoaded("tables count of 90 exceeds"),
            formatter().fields(&many("(table 1 funcref)", 90)),
        ),
        format(
            "a table of 100 million elements, grown",
            limit(&[Handles]),
            formatter().fields("(table $t 1 funcref)").body(
                "page",
                "(drop (table.grow $t (ref.null func) (i32.const 100000000))) (i32.const 0)",
            ),
        ),
        format(
            "a table of 10 million elements from the start",
            Ends::NotLoaded("limit `handles`"),
            formatter().fields("(table $t 10000000 funcref)"),
        ),
        {
            let mut laden = formatter().fields(&format!(
                "(data (i32.const {HEAP}) \"{}\")",
                "0123456789abcdef".repeat(28 << 16)
            ));
            laden.pages = 480;
            format(
                "28 MiB of data that are copied into it",
                Ends::Well("they are its own memory's"),
                laden,
            )
            .limits(|l| l.time = Duration::from_secs(2))
        },
        on_page(
            "handles of crops",
            limit(&[Handles]),
            &hoard(
                RASTER,
                "(call $image.crop (local.get $i) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 9) RET)",
            ),
        ),
        read(
            "handles of windows",
            limit(&[Handles]),
            adapter().body(
                "open",
                &hoard(
                    "",
                    r#"(call $source.window (local.get $source) @"w" (i64.const 0) (i64.const 1) RET)"#,
                ),
            ),
        ),
        on_page(
            "handles of the main file",
            limit(&[Handles]),
            &hoard("", "(call $output.main RET)"),
        ),
        format(
            "handles of its own resource",
            limit(&[Handles]),
            formatter().body(
                "page",
                "(loop $l (drop (call $new (i32.const 7))) (br $l)) (unreachable)",
            ),
        ),
        format(
            "handles of sets to wait for",
            limit(&[Handles]),
            formatter()
                .core_import("[waitable-set-new]", "$set (result i32)")
                .body("page", "(loop $l (drop (call $set)) (br $l)) (unreachable)"),
        ),
        on_page("the page's pixels, again and again", limit(&[ImageBytes]), &hoard("", "(call $page.raster (local.get $page) RET)")),
        on_page(
            "turned images, all kept",
            limit(&[ImageBytes]),
            &hoard(RASTER, "(call $image.rotate (local.get $i) (i32.const 1) RET)"),
        )
        .limits(|l| l.time = Duration::from_secs(5)),
        on_page(
            "scaled images, all kept",
            limit(&[ImageBytes]),
            &hoard(RASTER, "(call $image.resize (local.get $i) (i32.const 4000) (i32.const 2000) RET)"),
        )
        .limits(|l| l.time = Duration::from_secs(5)),
        on_page(
            "an image of 4,000,000,000 x 4,000,000,000 px",
            Ends::Says("can't be resized to 4000000000 x 4000000000 px"),
            &hoard(
                RASTER,
                "(call $image.resize (local.get $i) (i32.const 4000000000) (i32.const 4000000000) RET)",
            ),
        ),
        on_page(
            "an image of 65,535 x 65,535 px",
            limit(&[ImageBytes]),
            &hoard(RASTER, "(call $image.resize (local.get $i) (i32.const 65535) (i32.const 65535) RET)"),
        ),
        on_page(
            "an image of 0 x 9 px",
            Ends::Says("can't be resized to 0 x 9 px"),
            &hoard(RASTER, "(call $image.resize (local.get $i) (i32.const 0) (i32.const 9) RET)"),
        ),
        on_page(
            "a canvas of 65,535 x 65,535 px",
            limit(&[ImageBytes]),
            &hoard("", "(call $canvas.create (i32.const 65535) (i32.const 65535) (i32.const 1) RET)"),
        ),
        on_page(
            "canvases, all kept",
            limit(&[ImageBytes]),
            &hoard("", "(call $canvas.create (i32.const 2000) (i32.const 2000) (i32.const 2) RET)"),
        )
        .deadline(Duration::from_secs(2)),
        on_page(
            "a canvas of 0 px",
            Ends::Says("a canvas can't be 0 x 0 px"),
            &hoard("", "(call $canvas.create (i32.const 0) (i32.const 0) (i32.const 1) RET)"),
        ),
        read(
            "sources made of its memory, all kept",
            limit(&[ImageBytes]),
            adapter().body(
                "open",
                &hoard(
                    "(drop (memory.grow (i32.const 32)))",
                    r#"(call $source.from-bytes @"s" (i32.const 0) (i32.const 2000000) RET)"#,
                ),
            ),
        )
        .deadline(Duration::from_secs(2)),
        on_page(
            "a log line of 256 MiB",
            limit(&[CallBytes]),
            "(drop (memory.grow (i32.const 4200)))
             (call $log.write (i32.const 0) (i32.const 0) (i32.const 268435456)) (i32.const 0)",
        )
        .limits(|l| l.memory = 512 << 20)
        .deadline(Duration::from_secs(2)),
        on_page(
            "a log line that reaches past its memory",
            Ends::Trap("out of bounds"),
            "(call $log.write (i32.const 0) (i32.const 60000) (i32.const 2147483647)) (i32.const 0)",
        ),
        on_page(
            "a file name of 200 MiB",
            limit(&[CallBytes]),
            "(drop (memory.grow (i32.const 3300)))
             (call $output.create (i32.const 0) (i32.const 209715200) (i32.const 0) (i32.const 0) RET) CHECK (i32.const 0)",
        )
        .limits(|l| l.memory = 512 << 20)
        .deadline(Duration::from_secs(2)),
        on_page(
            "8 MiB written at once",
            limit(&[CallBytes]),
            "(call $output.main RET) CHECK (drop (memory.grow (i32.const 160)))
             (call $file.write HANDLE (i32.const 0) (i32.const 8388608) RET) CHECK (i32.const 0)",
        ),
        read(
            "8 MiB read at once",
            limit(&[CallBytes]),
            adapter().body(
                "open",
                "(call $source.read-at (local.get $source) (i64.const 0) (i32.const 8388608) RET) CHECK (i32.const 0)",
            ),
        ),
        format(
            "10,000 diagnostics that are all the same 64 KiB",
            limit(&[CallBytes]),
            formatter().body(
                "open",
                &format!(
                    "(drop (memory.grow (i32.const 16))) {}
                     (call $empty) (i32.store8 AREA (i32.const 1)) (i32.store8 (i32.const 2056) (i32.const 2))
                     (i32.store (i32.const 2064) (i32.const {HEAP})) (i32.store (i32.const 2068) (i32.const 10000)) AREA",
                    records(48, &[12], 65_536)
                ),
            ),
        ),
        on_page(
            "10,000 regions with the same hint of 64 KiB",
            limit(&[CallBytes]),
            &format!(
                "{RASTER} (drop (memory.grow (i32.const 16))) {}
                 (call $ocr.recognize (local.get $i) (i32.const {HEAP}) (i32.const 10000) RET) CHECK (i32.const 0)",
                records(32, &[24], 65_536).replace("(;more;)", "(i32.store8 offset=20 (global.get $at) (i32.const 1))")
            ),
        ),
        on_page(
            "a million regions",
            limit(&[CallBytes]),
            &format!(
                "{RASTER} (drop (memory.grow (i32.const 500)))
                 (call $ocr.recognize (local.get $i) (i32.const {HEAP}) (i32.const 1000000) RET) CHECK (i32.const 0)"
            ),
        )
        .limits(|l| l.memory = 64 << 20),
        read(
            "a text layer of 10,000 words that are all the same 64 KiB",
            limit(&[CallBytes]),
            adapter().body(
                "read",
                &format!(
                    "(drop (memory.grow (i32.const 16)))
                     (call $canvas.create (i32.const 9) (i32.const 9) (i32.const 1) RET)
                     (call $canvas.finish HANDLE RET) {} (call $empty)
                     (i32.store8 (i32.const 2056) (i32.const 1)) (i32.store (i32.const 2064) HANDLE)
                     (i32.store8 (i32.const 2080) (i32.const 1)) (i32.store (i32.const 2084) (i32.const {HEAP}))
                     (i32.store (i32.const 2088) (i32.const 10000)) AREA",
                    records(40, &[0], 65_536)
                ),
            ),
        ),
        Beast::new(
            "options of 100 MB, handed on by the host",
            limit(&[Memory]),
            Act::Do(Box::new(|cage: &Cage| {
                let plugin = match cage.load(&formatter().build()) {
                    Ok(plugin) => plugin,
                    Err(ended) => return ended,
                };
                let config = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000_000));
                Ended::from(cage.format(&plugin, &config))
            })),
        ),
        read(
            "a title of 3 MB for every document",
            Ends::Well("it is cut"),
            adapter().body(
                "info",
                "(drop (memory.grow (i32.const 48))) (memory.fill (i32.const 131072) (i32.const 65) (i32.const 3000000))
                 (i32.store8 (i32.const 2092) (i32.const 1)) (i32.store (i32.const 2096) (i32.const 131072))
                 (i32.store (i32.const 2100) (i32.const 3000000))",
            ),
        ),
    ]
}

/// Fills memory from `HEAP` on with 10,000 records of `size` bytes, whose texts at `offsets` are all the same `len`.
fn records(size: usize, offsets: &[usize], len: usize) -> String {
    let texts: String = offsets
        .iter()
        .map(|o| format!("(i32.store offset={} (global.get $at) (i32.const {len}))", o + 4))
        .collect();
    format!(
        "(memory.fill (i32.const {HEAP}) (i32.const 0) (i32.const {})) (global.set $at (i32.const {HEAP}))
         (loop $fill {texts} (;more;) (global.set $at (i32.add (global.get $at) (i32.const {size})))
           (br_if $fill (i32.lt_u (global.get $at) (i32.const {}))))",
        10_000 * size,
        HEAP + 10_000 * size
    )
}

/// A component of this text, with a formatter's manifest.
pub fn with_manifest(wat: &str) -> Vec<u8> {
    let component = wat::parse_str(wat).unwrap_or_else(|e| panic!("{e}"));
    ocr_runtime::encode(&component, &formatter().manifest).expect("it is a component")
}
