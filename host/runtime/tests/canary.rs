//! What one tenant leaves is nothing that another finds.
//!
//! Tenant A fills its memory, globals, table and handles with a canary and ends: well, in a trap, by the clock, at the
//! memory limit. Tenant B, another plugin or the same one, then starts in the place that A has left and looks: is
//! everything beyond what B brought along zero when it starts, and after it has grown its memory as far as A had? It
//! also writes all of its memory to its output, where the test looks for the canary. The same search within one instance
//! finds it, so the test can fail.

#[path = "skeleton/mod.rs"]
mod skeleton;

use ocr_document::{Page, PageBuilder, PageImage, PageInfo, PixelFormat, Rect, SpanKind};
use ocr_runtime::{
    Cause, Context, DocInfo, FormatterOutput, FormatterSession, Grants, Limits, Plugin, PluginFailure, Quota,
    Runtime, World,
};
use skeleton::{HEAP, Skeleton};
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// What A fills everything with.
const CANARY: [u8; 8] = *b"canary!\x7f";

/// Pages of 64 KiB that both grow to: 8 MiB, so that more than what stays with a place in the pool is written.
const GROWN: usize = 128;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new(None, &limits()).expect("the runtime starts"));

fn limits() -> Limits {
    Limits {
        memory: 16 << 20,
        ..Limits::default()
    }
}

/// The first letter of the options says what it does: `f` fill, `t` fill and trap, `l` fill and loop, `m` fill and ask for
/// more memory than there is, `s` search, `d` dump, `b` fill on the first page and search on the second.
fn tenant(id: &str) -> Arc<Plugin> {
    let canary = i64::from_le_bytes(CANARY);
    // The number itself must not stand in B's memory or code for the search to find.
    let hidden = canary ^ 0x5555_5555_5555_5555;
    let plugin = Skeleton::new(id, World::OutputFormatter)
        .fields(&format!(
            "(global $act (mut i32) (i32.const 0)) (global $out (mut i32) (i32.const 0))
             (global $pages (mut i32) (i32.const 0)) (global $dirty (mut i32) (i32.const 0))
             (global $secret (mut i64) (i64.const 0)) (table $t 1000 funcref) (elem declare func $anybody)
             (func $anybody)
             (func $canary (result i64) (i64.xor (i64.const {hidden}) (i64.const 0x5555555555555555)))
             ;; Everything is zero before anybody has written: memory, table, globals.
             (func $begin (local $at i32)
               (loop $next
                 (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (global.set $dirty (i32.const 1))))
                 (local.set $at (i32.add (local.get $at) (i32.const 8)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.const 4096))))
               (if (call $dirt (i32.const {HEAP})) (then (global.set $dirty (i32.const 2))))
               (local.set $at (i32.const 0))
               (loop $next
                 (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then (global.set $dirty (i32.const 3))))
                 (local.set $at (i32.add (local.get $at) (i32.const 1)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.const 1000))))
               (if (i64.ne (global.get $secret) (i64.const 0)) (then (global.set $dirty (i32.const 4)))))
             (start $begin)
             ;; Whether anything from here to the end of memory is not zero.
             (func $dirt (param $at i32) (result i32) (local $sum i64)
               (loop $next
                 (local.set $sum (i64.or (local.get $sum) (i64.load (local.get $at))))
                 (local.set $at (i32.add (local.get $at) (i32.const 8)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
               (i64.ne (local.get $sum) (i64.const 0)))
             (func $grow (drop (memory.grow (i32.sub (i32.const {GROWN}) (memory.size)))))
             (func $fill (local $at i32)
               (call $grow) (local.set $at (i32.const {HEAP}))
               (loop $next
                 (i64.store (local.get $at) (call $canary))
                 (local.set $at (i32.add (local.get $at) (i32.const 8)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.const {}))))
               (table.fill $t (i32.const 0) (ref.func $anybody) (i32.const 1000))
               (global.set $secret (call $canary)))
             ;; The first place from the heap on where the canary stands, at any alignment; 0 for none.
             (func $find (result i32) (local $at i32)
               (local.set $at (i32.const {HEAP}))
               (loop $next
                 (if (i64.eq (i64.load (local.get $at)) (call $canary)) (then (return (local.get $at))))
                 (local.set $at (i32.add (local.get $at) (i32.const 1)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 8)))))
               (i32.const 0))
             (func $is (param i32) (result i32) (i32.eq (global.get $act) (local.get 0)))
             (func $say (param $at i32) (param $len i32)
               (call $file.write (global.get $out) (local.get $at) (local.get $len) RET)
               (if (i32.load8_u RET) (then (unreachable))))",
            GROWN << 16
        ))
        .body(
            "open",
            "(global.set $act (i32.load8_u (local.get $config)))
             (call $output.main RET) CHECK (global.set $out HANDLE) (i32.const 0)",
        )
        .body(
            "page",
            &format!(
                r#"(local $at i32) (global.set $pages (i32.add (global.get $pages) (i32.const 1)))
                (if (global.get $dirty) (then (call $say @"dirty at its start")))
                (if (i32.or (call $is (i32.const {s})) (i32.and (call $is (i32.const {b})) (i32.eq (global.get $pages) (i32.const 2)))) (then
                  (call $grow)
                  (if (call $find) (then (call $say @"found")) (else
                  (if (call $dirt (i32.const {beyond})) (then (call $say @"dirty")) (else (call $say @"clean")))))
                  (return (i32.const 0))))
                (if (call $is (i32.const {d})) (then
                  (call $grow)
                  (loop $next
                    (call $say (local.get $at) (i32.const 65536))
                    (local.set $at (i32.add (local.get $at) (i32.const 65536)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.const {end}))))
                  (return (i32.const 0))))
                (call $fill)
                ;; Handles stay open: images, files, and the canary as a text that the host holds.
                (call $page.raster (local.get $page) RET)
                (i64.store (i32.const 64) (call $canary))
                (call $log.write (i32.const 0) (i32.const 64) (i32.const 7))
                (call $say (i32.const {heap}) (i32.const 4096))
                (if (call $is (i32.const {t})) (then (unreachable)))
                (if (call $is (i32.const {l})) (then (loop $forever (br $forever))))
                (if (call $is (i32.const {m})) (then
                  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))))
                (i32.const 0)"#,
                s = b's',
                b = b'b',
                d = b'd',
                t = b't',
                l = b'l',
                m = b'm',
                heap = HEAP,
                beyond = HEAP + (1 << 16),
                end = GROWN << 16,
            ),
        )
        .build();
    RUNTIME.load(id, &plugin).expect("it loads")
}

fn page(text: &str) -> Arc<Page> {
    let mut page = PageBuilder::new(PageInfo::new(0, 1, 100, 80));
    page.push_span(
        SpanKind::Paragraph,
        "text",
        0,
        Rect::new(0, 0, 50, 10),
        None,
        text,
    );
    page.raster(PageImage::new(100, 80, PixelFormat::Gray8, vec![128; 8000]).unwrap());
    Arc::new(page.finish())
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A document of two pages; answers what was written and how it ended.
fn run(plugin: &Arc<Plugin>, act: &str, text: &str) -> (Vec<u8>, Result<(), PluginFailure>) {
    let context = Context {
        limits: Limits {
            // Short for the one who loops, long for those who search on a busy machine.
            time: Duration::from_millis(if act == "l" { 300 } else { 20_000 }),
            ..limits()
        },
        grants: Grants {
            page_raster: true,
            ..Grants::default()
        },
        ..Context::default()
    };
    let written = Written::default();
    let output = FormatterOutput::stream("x", Box::new(written.clone()));
    let ended =
        FormatterSession::open(plugin, &context, &DocInfo::default(), act, output).and_then(|mut session| {
            session.add_page(&page(text))?;
            session.add_page(&page(text))?;
            session.finish().map(drop)
        });
    let written = written.0.lock().unwrap().clone();
    (written, ended)
}

/// Fills a place and leaves it in the way that the act says.
fn leave(plugin: &Arc<Plugin>, act: &str) {
    let secret = "the tenant's own words: canary!";
    let (_, ended) = run(plugin, act, secret);
    let as_expected = match (act, &ended) {
        ("f", Ok(())) => true,
        ("t", Err(failure)) => matches!(failure.cause, Cause::Trap(_)),
        ("l", Err(failure)) => matches!(
            failure.cause,
            Cause::Limit {
                quota: Quota::Time,
                ..
            }
        ),
        ("m", Err(failure)) => matches!(
            failure.cause,
            Cause::Limit {
                quota: Quota::Memory,
                ..
            }
        ),
        _ => false,
    };
    assert!(as_expected, "{act}: {ended:?}");
}

fn search(plugin: &Arc<Plugin>) -> String {
    let (written, ended) = run(plugin, "s", "all is well");
    ended.unwrap();
    String::from_utf8(written).unwrap()
}

#[test]
fn the_search_finds_what_the_same_instance_has_filled() {
    let plugin = tenant("one");
    let (written, ended) = run(&plugin, "b", "all is well");
    ended.unwrap();
    assert!(written.ends_with(b"found"), "{} bytes", written.len());
}

#[test]
fn nothing_of_a_tenant_is_found_by_the_next() {
    let (a, b) = (tenant("one"), tenant("two"));
    for act in ["f", "t", "l", "m"] {
        for next in [&b, &a] {
            // More often than the pool keeps places warm, so that each kind of place is used again.
            for _ in 0..if act == "l" { 3 } else { 40 } {
                leave(&a, act);
            }
            for _ in 0..3 {
                assert_eq!(
                    search(next),
                    "cleanclean",
                    "after {act}, by {:?}",
                    next.manifest().id
                );
            }
        }
    }
}

#[test]
fn tenants_at_work_at_the_same_time_find_nothing_of_each_other() {
    let (a, b) = (tenant("one"), tenant("two"));
    std::thread::scope(|scope| {
        for act in ["f", "t", "m"] {
            let a = &a;
            scope.spawn(move || (0..30).for_each(|_| leave(a, act)));
        }
        (0..30).for_each(|_| assert_eq!(search(&b), "cleanclean"));
    });
}

#[test]
fn all_of_a_tenants_memory_written_out_holds_nothing_of_another() {
    let (a, b) = (tenant("one"), tenant("two"));
    let holds = |written: &[u8]| {
        written
            .windows(CANARY.len())
            .any(|w| w == CANARY || w == b"the tena")
    };
    // The test can fail: A's own output has it.
    assert!(holds(&run(&a, "f", "x").0));
    for act in ["f", "t", "m"] {
        (0..10).for_each(|_| leave(&a, act));
        let (written, ended) = run(&b, "d", "all is well");
        ended.unwrap();
        assert_eq!(written.len(), 2 * (GROWN << 16));
        assert!(!holds(&written), "after {act}");
    }
}

#[test]
fn handles_that_a_tenant_left_open_open_nothing_for_another() {
    let a = tenant("one");
    (0..5).for_each(|_| leave(&a, "f"));
    let guess = Skeleton::new("guess", World::OutputFormatter)
        .fields("(global $n (mut i32) (i32.const 0))")
        .body(
            "open",
            "(global.set $n (i32.load8_u (local.get $config))) (i32.const 0)",
        )
        .body("page", "(drop (call $image.width (global.get $n))) (i32.const 0)")
        .build();
    let guess = RUNTIME.load("guess", &guess).unwrap();
    for handle in 1..100u8 {
        let config = char::from(handle).to_string();
        let failure = run(&guess, &config, "x").1.unwrap_err().to_string();
        assert!(failure.contains("handle"), "{handle}: {failure}");
    }
}
