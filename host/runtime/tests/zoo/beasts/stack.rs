//! Beasts that go deep.

use super::{adapter, formatter};
use crate::keeper::{Act, Beast, Ends};
use ocr_runtime::Quota::{Handles, Stack};

const IN_STACK: Ends = Ends::Limit(&[Stack]);

pub fn beasts() -> Vec<Beast> {
    let format = |name, ends, skeleton| Beast::new(name, ends, Act::Format(skeleton));
    // Locals that are alive over the call make a large frame.
    let mut large = String::from("(func $large (param $n i64) (result i64)");
    (0..500).for_each(|i| large.push_str(&format!("(local $l{i} i64)")));
    (0..500).for_each(|i| {
        large.push_str(&format!(
            "(local.set $l{i} (i64.mul (local.get $n) (i64.const {i})))"
        ))
    });
    large.push_str("(local.set $n (call $large (local.get $n)))");
    (0..500).for_each(|i| {
        large.push_str(&format!(
            "(local.set $n (i64.add (local.get $n) (local.get $l{i})))"
        ))
    });
    large.push_str("(local.get $n))");
    vec![
        format(
            "recursion without end",
            IN_STACK,
            formatter()
                .body("page", "(call $down (i32.const 0))")
                .fields("(func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (local.get 0))))"),
        ),
        format(
            "recursion through a table",
            IN_STACK,
            formatter().body("page", "(call $down (i32.const 0))").fields(
                "(table $t 1 funcref) (elem (i32.const 0) $down) (type $f (func (param i32) (result i32)))
                 (func $down (param i32) (result i32)
                   (i32.add (i32.const 1) (call_indirect $t (type $f) (local.get 0) (i32.const 0))))",
            ),
        ),
        format(
            "recursion with frames of 4,000 bytes",
            IN_STACK,
            formatter()
                .body("page", "(drop (call $large (i64.const 3))) (i32.const 0)")
                .fields(&large),
        ),
        format(
            "recursion in the start function",
            IN_STACK,
            formatter().fields(
                "(func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (local.get 0))))
                 (func $begin (drop (call $down (i32.const 0)))) (start $begin)",
            ),
        ),
        format(
            "recursion in the allocator",
            IN_STACK,
            formatter()
                .body("realloc", "(call $down (i32.const 0))")
                .fields("(func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (local.get 0))))"),
        ),
        format(
            "a destructor that drops a new resource of its kind",
            Ends::Limit(&[Stack, Handles]),
            formatter()
                .body("finish", "(call $drop (local.get $session)) (i32.const 0)")
                .body("destroy", "(call $drop (call $new (i32.const 1)))"),
        ),
        format(
            "an allocator that calls the host while the host calls it",
            Ends::Trap("cannot leave component instance"),
            formatter().body(
                "realloc",
                r#"(call $log.write (i32.const 0) @"again") (call $alloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))"#,
            ),
        ),
        format(
            "an allocator that gives a handle back while the host calls it",
            Ends::Trap("cannot leave component instance"),
            formatter()
                .fields("(global $image (mut i32) (i32.const 0))")
                .body(
                    "page",
                    "(call $page.raster (local.get $page) RET) CHECK (global.set $image HANDLE)
                     (call $page.text (local.get $page) RET) (i32.const 0)",
                )
                .body(
                    "realloc",
                    "(if (global.get $image) (then (call $image.drop (global.get $image))))
                     (call $alloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))",
                ),
        ),
        format(
            "a call of the host after the return",
            Ends::Trap("cannot leave component instance"),
            formatter().body("after", r#"(call $log.write (i32.const 0) @"again")"#),
        ),
        Beast::new(
            "an adapter that goes down while it sniffs",
            IN_STACK,
            Act::Read(
                adapter()
                    .body("sniff", "(call $down (i32.const 0))")
                    .fields("(func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (local.get 0))))"),
                b"input".to_vec(),
            ),
        ),
    ]
}
