//! Beasts that want the host's time.

use super::{SPIN, SPIN_SILENTLY, adapter, formatter, limit, on_page};
use crate::keeper::{Act, Beast, Ends};
use crate::skeleton::Skeleton;
use ocr_runtime::Quota::{self, HostCalls, Time};
use std::time::Duration;

const IN_TIME: Ends = Ends::Limit(&[Time]);
/// A flood ends in what it reaches first on this machine.
const FLOOD: &[Quota] = &[HostCalls, Time];

/// Sleeps for an hour.
pub fn sleeper() -> Skeleton {
    formatter()
        .import(super::escape::WASI_IO, "wasi:io/poll@0.2.0")
        .import(super::escape::WASI_CLOCKS, "wasi:clocks/monotonic-clock@0.2.0")
        .body(
            "page",
            "(local $p i32) (local.set $p (call $monotonic-clock.subscribe-duration (i64.const 3600000000000)))
             (call $pollable.block (local.get $p)) (call $pollable.drop (local.get $p)) (i32.const 0)",
        )
}

pub fn beasts() -> Vec<Beast> {
    let format = |name, skeleton| Beast::new(name, IN_TIME, Act::Format(skeleton));
    let read = |name, skeleton| Beast::new(name, IN_TIME, Act::Read(skeleton, b"input".to_vec()));
    let flood = |name, wat: &str| {
        on_page(
            name,
            limit(FLOOD),
            &format!("(loop $flood {wat} (br $flood)) (unreachable)"),
        )
    };
    let wide = |beast: Beast| beast.limits(|l| (l.memory, l.handles) = (128 << 20, 4096));
    vec![
        on_page("an endless loop in add-page", IN_TIME, SPIN),
        format("an endless loop in open", formatter().body("open", SPIN)),
        format("an endless loop in finish", formatter().body("finish", SPIN)),
        format(
            "an endless loop in the start function",
            formatter().fields("(func $begin (loop $l (br $l))) (start $begin)"),
        ),
        format("an endless loop in the allocator", formatter().body("realloc", SPIN)),
        format("an endless loop after the return", formatter().body("after", SPIN_SILENTLY)),
        format(
            "an endless loop in a destructor",
            formatter()
                .body("finish", "(call $drop (local.get $session)) (i32.const 0)")
                .body("destroy", SPIN_SILENTLY),
        ),
        read("an adapter that sniffs forever", adapter().body("sniff", SPIN)),
        read("an adapter that opens forever", adapter().body("open", SPIN)),
        read("an adapter that describes forever", adapter().body("info", SPIN_SILENTLY)),
        read("an adapter that reads forever", adapter().body("read", SPIN)),
        format(
            "tail calls without end",
            formatter()
                .body("page", "(call $ping) (i32.const 0)")
                .fields("(func $ping (return_call $pong)) (func $pong (return_call $ping))"),
        ),
        on_page(
            "a loop of vector arithmetic",
            IN_TIME,
            "(local $v v128)
             (loop $l (local.set $v (f64x2.sqrt (f64x2.add (local.get $v) (v128.const f64x2 1 2)))) (br $l)) (unreachable)",
        ),
        wide(on_page(
            "64 MiB filled again and again",
            IN_TIME,
            "(drop (memory.grow (i32.const 1100)))
             (loop $l (memory.fill (i32.const 65536) (i32.const 7) (i32.const 67108864)) (br $l)) (unreachable)",
        )),
        wide(on_page(
            "64 MiB copied again and again",
            IN_TIME,
            "(drop (memory.grow (i32.const 1100)))
             (loop $l (memory.copy (i32.const 65536) (i32.const 131072) (i32.const 67108864)) (br $l)) (unreachable)",
        )),
        wide(format(
            "a table filled again and again",
            formatter().fields("(table $t 60000 funcref)").body(
                "page",
                "(loop $l (table.fill $t (i32.const 0) (ref.null func) (i32.const 60000)) (br $l)) (unreachable)",
            ),
        )),
        flood("a flood of log lines", r#"(call $log.write (i32.const 0) @"again")"#),
        flood("a flood of checkpoints", "(call $control.checkpoint RET)"),
        flood(
            "a flood of progress",
            "(call $control.progress (i32.const 1) (i32.const 1) (i32.const 2))",
        ),
        flood("a flood of the page's text", "(call $page.text (local.get $page) RET)"),
        flood(
            "a flood of the page's blocks",
            "(global.set $heap (i32.const 131072)) (call $page.spans (local.get $page) RET)",
        ),
        Beast::new(
            "a source read byte by byte",
            limit(FLOOD),
            Act::Read(
                adapter().body(
                    "open",
                    "(loop $flood (call $source.read-at (local.get $source) (i64.const 0) (i32.const 1) RET) (br $flood))
                     (unreachable)",
                ),
                b"input".to_vec(),
            ),
        ),
        Beast::new(
            "an output that drips, a byte a call",
            limit(FLOOD),
            Act::Format(formatter().body(
                "page",
                r#"(local $f i32) (call $output.main RET) CHECK (local.set $f HANDLE)
                   (loop $drip (call $file.write (local.get $f) @"x" RET) (br $drip)) (unreachable)"#,
            )),
        ),
        // The host works four times as long as the plugin itself may.
        on_page(
            "images scaled by the host without end",
            IN_TIME,
            "(local $i i32) (call $page.raster (local.get $page) RET) CHECK (local.set $i HANDLE)
             (loop $l (call $image.resize (local.get $i) (i32.const 3000) (i32.const 3000) RET) CHECK
                (call $image.drop HANDLE) (br $l)) (unreachable)",
        )
        .deadline(Duration::from_millis(800)),
        on_page(
            "images encoded by the host without end",
            IN_TIME,
            "(local $i i32) (local $f i32) (call $page.raster (local.get $page) RET) CHECK (local.set $i HANDLE)
             (call $output.main RET) CHECK (local.set $f HANDLE)
             (loop $l (call $file.write-image (local.get $f) (local.get $i) (i32.const 0) (i32.const 90) RET) CHECK
                (br $l)) (unreachable)",
        )
        .limits(|l| (l.output_bytes, l.file_bytes) = (1 << 40, 1 << 40))
        .deadline(Duration::from_millis(800)),
        Beast::new(
            "a sleep of an hour by WASI",
            Ends::Well("what waits for a clock is ready at once"),
            Act::Format(sleeper()),
        ),
        on_page("a loop that does not hear that it is cancelled", Ends::Cancelled, SPIN)
            .limits(|l| l.time = Duration::from_secs(3600))
            .cancel(Duration::from_millis(100)),
        format(
            "turns offered to nobody, again and again",
            formatter()
                .core_import("[thread-yield]", "$yield (result i32)")
                .body("page", "(loop $l (drop (call $yield)) (br $l)) (unreachable)"),
        ),
        Beast::new(
            "a wait for what never comes, by the component model's own means",
            Ends::Trap("cannot block a synchronous task"),
            Act::Format(
                formatter()
                    .core_import("[waitable-set-new]", "$set (result i32)")
                    .core_import("[waitable-set-wait]", "$wait (param i32 i32) (result i32)")
                    .body("page", "(drop (call $wait (call $set) (i32.const 512))) (i32.const 0)"),
            ),
        ),
        Beast::new(
            "an allocator that takes its time with each piece",
            IN_TIME,
            Act::Format(
                formatter()
                    .body(
                        "realloc",
                        "(local $n i32)
                         (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
                           (br_if $l (i32.lt_u (local.get $n) (i32.const 3000000))))
                         (call $alloc (local.get $old) (local.get $old_len) (local.get $align) (local.get $len))",
                    )
                    .body(
                        "page",
                        "(loop $l (call $page.text (local.get $page) RET) (br $l)) (unreachable)",
                    ),
            ),
        ),
    ]
}
