//! Beasts that break the contract's types: wrong bytes, wrong numbers, handles that are not theirs.

use super::{adapter, formatter, on_page};
use crate::keeper::{Act, Beast, Cage, Ended, Ends};
use crate::skeleton::Skeleton;
use crate::skeleton::random::{as_options, puppet};
use ocr_runtime::{InputItem, Quota, World};
use wit_component::StringEncoding;

/// A page that an adapter answers: fills the area with the image's handle and these numbers.
fn answer(image: &str, dpi: &str, width: &str, more: &str) -> String {
    format!(
        "{image} (call $empty) (i32.store8 (i32.const 2056) (i32.const 1)) (i32.store (i32.const 2064) HANDLE)
         (f32.store (i32.const 2068) (f32.const {dpi})) (f32.store (i32.const 2072) (f32.const {width}))
         (f32.store (i32.const 2076) (f32.const {width})) {more} AREA"
    )
}

const IMAGE: &str = "(call $canvas.create (i32.const 90) (i32.const 60) (i32.const 1) RET) CHECK
                     (call $canvas.finish HANDLE RET) CHECK";

/// The handle of the page's raster in `$i`.
const RASTER: &str = "(local $i i32) (call $page.raster (local.get $page) RET) CHECK (local.set $i HANDLE)";

pub fn beasts() -> Vec<Beast> {
    let format = |name, ends, skeleton| Beast::new(name, ends, Act::Format(skeleton));
    let read =
        |name, ends, wat: &str| Beast::new(name, ends, Act::Read(adapter().body("read", wat), vec![7; 64]));
    let unknown = Ends::Trap("unknown handle index");
    vec![
        on_page(
            "a log line that is not UTF-8",
            Ends::Trap("utf-8"),
            r#"(call $log.write (i32.const 0) @"\ff\fe") (i32.const 0)"#,
        ),
        format(
            "half of a surrogate pair",
            Ends::Trap("unpaired surrogate"),
            formatter()
                .strings(StringEncoding::UTF16)
                .body("page", r#"(call $log.write (i32.const 0) @"\00\d8\41\00") (i32.const 0)"#),
        ),
        format(
            "UTF-16 text at an odd address",
            Ends::Trap("aligned"),
            formatter()
                .strings(StringEncoding::UTF16)
                .body("page", "(call $log.write (i32.const 0) (i32.const 4097) (i32.const 2)) (i32.const 0)"),
        ),
        format(
            "Latin-1 text that claims to be UTF-16",
            Ends::Trap("out of bounds"),
            formatter()
                .strings(StringEncoding::CompactUTF16)
                .body("page", "(call $log.write (i32.const 0) (i32.const 4096) (i32.const 0xfffffff0)) (i32.const 0)"),
        ),
        on_page(
            "a severity that there is not",
            Ends::Trap("discriminant"),
            r#"(call $log.write (i32.const 77) @"hello") (i32.const 0)"#,
        ),
        on_page(
            "a pixel format that there is not",
            Ends::Trap("discriminant"),
            "(call $canvas.create (i32.const 9) (i32.const 9) (i32.const 200) RET) (i32.const 0)",
        ),
        on_page(
            "an option that is neither there nor missing",
            Ends::Trap("discriminant"),
            "(call $control.progress (i32.const 1) (i32.const 5) (i32.const 2)) (i32.const 0)",
        ),
        format(
            "a result that is neither",
            Ends::Trap("discriminant"),
            formatter().body("page", "(call $empty) (i32.store8 AREA (i32.const 9)) AREA"),
        ),
        format(
            "an error that there is not",
            Ends::Trap("discriminant"),
            formatter().body(
                "page",
                "(call $empty) (i32.store8 AREA (i32.const 1)) (i32.store8 (i32.const 2056) (i32.const 99)) AREA",
            ),
        ),
        format(
            "an error's text past the end of memory",
            Ends::Trap("out of bounds"),
            formatter().body(
                "page",
                "(call $empty) (i32.store8 AREA (i32.const 1)) (i32.store (i32.const 2064) (i32.const 0xfffffff0))
                 (i32.store (i32.const 2068) (i32.const 64)) AREA",
            ),
        ),
        format(
            "an answer past the end of memory",
            Ends::Trap("beyond end of memory"),
            formatter()
                .body("open", "(call $new (i32.const 1)) (drop) AREA")
                .body("realloc", "(i32.const 0xfffffff0)"),
        ),
        format(
            "an allocator that answers an odd address",
            Ends::Trap("aligned"),
            formatter()
                .body("realloc", "(i32.const 131073)")
                .body("page", "(call $page.spans (local.get $page) RET) (i32.const 0)"),
        ),
        format(
            "an allocator that answers zero",
            Ends::Well("what it overwrites is its own"),
            formatter()
                .body("realloc", "(i32.const 0)")
                .body("page", "(call $page.text (local.get $page) RET) (i32.const 0)"),
        ),
        format(
            "an allocator that traps",
            Ends::Trap("unreachable"),
            formatter().body("realloc", "(unreachable)"),
        ),
        on_page("a handle that it never had", unknown, "(call $image.width (i32.const 7777)) (drop) (i32.const 0)"),
        on_page("the handle 0", unknown, "(call $image.width (i32.const 0)) (drop) (i32.const 0)"),
        on_page(
            "the handle 4,294,967,295",
            unknown,
            "(call $image.width (i32.const -1)) (drop) (i32.const 0)",
        ),
        on_page(
            "a file given as an image",
            Ends::Trap("handle"),
            "(call $output.main RET) CHECK (call $image.width HANDLE) (drop) (i32.const 0)",
        ),
        on_page(
            "an image used after it is dropped",
            unknown,
            &format!("{RASTER} (call $image.drop (local.get $i)) (call $image.width (local.get $i)) (drop) (i32.const 0)"),
        ),
        on_page(
            "an image dropped twice",
            unknown,
            &format!("{RASTER} (call $image.drop (local.get $i)) (call $image.drop (local.get $i)) (i32.const 0)"),
        ),
        on_page(
            "a canvas finished twice",
            Ends::Trap("handle index"),
            "(local $c i32) (call $canvas.create (i32.const 9) (i32.const 9) (i32.const 1) RET) CHECK
             (local.set $c HANDLE) (call $canvas.finish (local.get $c) RET) (call $canvas.finish (local.get $c) RET)
             (i32.const 0)",
        ),
        format(
            "a page kept past its call",
            Ends::Trap("borrow"),
            formatter().body("page", "(global.set $kept (i32.const 1)) (i32.const 0)"),
        ),
        format(
            "a page used in the next call",
            Ends::Trap("handle"),
            formatter()
                .fields("(global $old (mut i32) (i32.const 0))")
                .body(
                    "page",
                    "(if (global.get $old) (then (call $page.text (i32.add (global.get $old) (i32.const 1)) RET)))
                     (global.set $old (local.get $page)) (i32.const 0)",
                ),
        ),
        on_page("a page dropped twice", unknown, "(call $page.drop (local.get $page)) (i32.const 0)"),
        format(
            "an answer without a session",
            Ends::Trap("handle"),
            formatter().body("open", "(call $empty) (i32.store (i32.const 2056) (i32.const 999)) AREA"),
        ),
        format(
            "a session that is dropped before it is answered",
            Ends::Trap("handle"),
            formatter().body(
                "open",
                "(local $s i32) (local.set $s (call $new (i32.const 1))) (call $drop (local.get $s)) (call $empty)
                 (i32.store (i32.const 2056) (local.get $s)) AREA",
            ),
        ),
        on_page(
            "a crop that is turned inside out",
            Ends::Well("its corners are put in order, and it is cut to the image"),
            &format!(
                "{RASTER} (call $image.crop (local.get $i) (i32.const 90) (i32.const 90) (i32.const 3) (i32.const 3) RET)
                 (i32.const 0)"
            ),
        ),
        on_page(
            "a crop far outside of the image",
            Ends::Says("lies outside of the image"),
            &format!(
                "{RASTER} (call $image.crop (local.get $i) (i32.const -9) (i32.const -9) (i32.const -1) (i32.const -1) RET)
                 CHECK (i32.const 0)"
            ),
        ),
        on_page(
            "a crop of a crop whose sums overflow",
            Ends::Says("lies outside of the image"),
            &format!(
                "{RASTER} (call $image.crop (local.get $i) (i32.const 9) (i32.const 9) (i32.const 99) (i32.const 99) RET)
                 CHECK (call $image.crop HANDLE (i32.const -1) (i32.const -1) (i32.const -1) (i32.const -1) RET) CHECK
                 (i32.const 0)"
            ),
        ),
        on_page(
            "rows of a canvas with the wrong length",
            Ends::Says("are no whole rows of 9 x 9 px"),
            "(call $canvas.create (i32.const 9) (i32.const 9) (i32.const 1) RET) CHECK
             (call $canvas.write-rows HANDLE (i32.const 0) (i32.const 0) (i32.const 28) RET) CHECK (i32.const 0)",
        ),
        on_page(
            "rows of a canvas past its last one",
            Ends::Says("are no whole rows of 9 x 9 px"),
            "(call $canvas.create (i32.const 9) (i32.const 9) (i32.const 1) RET) CHECK
             (call $canvas.write-rows HANDLE (i32.const 8) (i32.const 0) (i32.const 54) RET) CHECK (i32.const 0)",
        ),
        on_page(
            "rows of a canvas from the last row number on",
            Ends::Says("are no whole rows of 9 x 9 px"),
            "(call $canvas.create (i32.const 9) (i32.const 9) (i32.const 1) RET) CHECK
             (call $canvas.write-rows HANDLE (i32.const -1) (i32.const 0) (i32.const 27) RET) CHECK (i32.const 0)",
        ),
        on_page(
            "no rows of a canvas, from far past its last one",
            Ends::Says("are no whole rows of 9 x 9 px"),
            "(call $canvas.create (i32.const 9) (i32.const 9) (i32.const 1) RET) CHECK
             (call $canvas.write-rows HANDLE (i32.const -1) (i32.const 0) (i32.const 0) RET) CHECK (i32.const 0)",
        ),
        Beast::new(
            "rows read past the image's last one",
            Ends::Says("are not all in the image"),
            Act::Format(formatter().body(
                "page",
                &format!(
                    "{RASTER} (call $image.read-rows (local.get $i) (i32.const -2) (i32.const 9) (i32.const 0) RET) CHECK
                     (i32.const 0)"
                ),
            )),
        )
        .grants(ocr_runtime::Grants {
            page_raster: true,
            image_rows: true,
            ..Default::default()
        }),
        Beast::new(
            "a window past the end of its source",
            Ends::Says("are not all in the 64 bytes"),
            Act::Read(
                adapter().body(
                    "open",
                    r#"(call $source.window (local.get $source) @"w" (i64.const -8) (i64.const 16) RET) CHECK (i32.const 0)"#,
                ),
                vec![7; 64],
            ),
        ),
        Beast::new(
            "a source read from far past its end",
            Ends::Well("there is nothing"),
            Act::Read(
                adapter().body(
                    "open",
                    "(call $source.read-at (local.get $source) (i64.const -8) (i32.const 16) RET) CHECK (i32.const 0)",
                ),
                vec![7; 64],
            ),
        ),
        believed(
            "a page of NaN dots an inch and NaN points",
            adapter().body("read", &answer(IMAGE, "nan", "nan", "")),
        ),
        believed(
            "a page of infinite dots an inch and points",
            adapter().body("read", &answer(IMAGE, "inf", "-inf", "")),
        ),
        believed(
            "a page of negative size",
            adapter().body("read", &answer(IMAGE, "-300", "-1", "")),
        ),
        believed(
            "a text layer of NaN boxes",
            adapter().body(
                "read",
                &answer(
                    IMAGE,
                    "300",
                    "100",
                    "(i32.store8 (i32.const 2080) (i32.const 1)) (i32.store (i32.const 2084) (i32.const 131072))
                     (i32.store (i32.const 2088) (i32.const 1)) (f32.store (i32.const 131080) (f32.const nan))",
                ),
            ),
        ),
        read(
            "a page whose image is dropped",
            Ends::Trap("handle"),
            &answer(&format!("{IMAGE} (call $image.drop HANDLE)"), "300", "100", ""),
        ),
        read(
            "a page whose image is a source",
            Ends::Trap("handle"),
            &answer(
                r#"(call $source.from-bytes @"s" @"abc" RET) CHECK"#,
                "300",
                "100",
                "",
            ),
        ),
        Beast::new(
            "an adapter that is surer than sure",
            Ends::Well("it counts as 100"),
            Act::Do(Box::new(|cage| {
                let plugin = match cage.load(&adapter().body("sniff", "(i32.const 255)").build()) {
                    Ok(plugin) => plugin,
                    Err(ended) => return ended,
                };
                match ocr_runtime::sniff(&plugin, &cage.context(), "x", b"y") {
                    Ok(100) => Ended::Well,
                    Ok(sure) => Ended::Wrong(format!("it is {sure} sure")),
                    Err(failure) => Ended::Failed(failure),
                }
            })),
        ),
        Beast::new(
            "an adapter that calls the host while it sniffs",
            Ends::Trap("called the host while it looked at the input's first bytes"),
            Act::Read(
                adapter().body("sniff", r#"(call $log.write (i32.const 0) @"hello") (i32.const 90)"#),
                vec![7; 64],
            ),
        ),
        Beast::new(
            "a formatter that calls the host at random, 400 times",
            Ends::Well("each call is answered or ends its document alone"),
            Act::Do(Box::new(|cage| at_random(cage, World::OutputFormatter))),
        ),
        Beast::new(
            "an adapter that calls the host at random, 400 times",
            Ends::Well("each call is answered or ends its document alone"),
            Act::Do(Box::new(|cage| at_random(cage, World::InputAdapter))),
        ),
        Beast::new(
            "a session that goes on after it was stopped",
            Ends::Trap("it was stopped before and can't go on"),
            Act::Do(Box::new(after_the_end)),
        ),
    ]
}

/// An adapter's page is taken with numbers that make sense.
fn believed(name: &'static str, skeleton: Skeleton) -> Beast {
    let act = move |cage: &Cage| {
        let plugin = match cage.load(&skeleton.build()) {
            Ok(plugin) => plugin,
            Err(ended) => return ended,
        };
        let items = match cage.read(&plugin, &[7; 64]) {
            Ok(items) => items,
            Err(failure) => return Ended::Failed(failure),
        };
        let sane = |v: f32| v.is_finite() && v > 0.0;
        for item in items {
            let InputItem::Page(page) = item else {
                return Ended::Wrong("that was no page".into());
            };
            let (w, h) = page.size_points;
            if ![w, h, page.dpi].into_iter().all(sane) || page.text_layer.is_some_and(|l| !l.words.is_empty())
            {
                return Ended::Wrong(format!("{} dpi, {w} x {h} points", page.dpi));
            }
        }
        Ended::Well
    };
    Beast::new(
        name,
        Ends::Well("the host puts in what makes sense"),
        Act::Do(Box::new(act)),
    )
}

/// Programs of a fixed sequence of random bytes; what counts is what is left afterwards.
fn at_random(cage: &Cage, world: World) -> Ended {
    let plugin = match cage.load(&puppet(world).build()) {
        Ok(plugin) => plugin,
        Err(ended) => return ended,
    };
    let (mut seed, mut traps) = (7u64, 0);
    for _ in 0..400 {
        let program: Vec<u8> = (0..200)
            .map(|_| {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (seed >> 56) as u8
            })
            .collect();
        let ended = match world {
            World::OutputFormatter => cage.format(&plugin, &as_options(&program)),
            _ => cage.read(&plugin, &program).map(drop),
        };
        traps += usize::from(ended.is_err());
    }
    match traps {
        // Programs that all end in the first call would try nothing.
        0..=5 | 400 => Ended::Wrong(format!("{traps} of 400 failed")),
        _ => Ended::Well,
    }
}

/// A trapped session gets a second page.
fn after_the_end(cage: &Cage) -> Ended {
    use ocr_runtime::{Cause, DocInfo, FormatterOutput, FormatterSession};
    let plugin = match cage.load(&formatter().body("page", super::SPIN).build()) {
        Ok(plugin) => plugin,
        Err(ended) => return ended,
    };
    let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
    let session = FormatterSession::open(&plugin, &cage.context(), &DocInfo::default(), "{}", output);
    let mut session = match session {
        Ok(session) => session,
        Err(failure) => return Ended::Failed(failure),
    };
    let page = crate::keeper::page(7);
    match session.add_page(&page) {
        Err(failure)
            if matches!(
                failure.cause,
                Cause::Limit {
                    quota: Quota::Time,
                    ..
                }
            ) => {}
        other => return Ended::Wrong(format!("the first page ended with {other:?}")),
    }
    session.add_page(&page).into()
}
