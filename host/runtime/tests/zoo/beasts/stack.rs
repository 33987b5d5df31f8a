//! Beasts that go deep.

use super::{adapter, formatter};
use crate::keeper::{Act, Beast, Cage, Ended, Ends};
use ocr_runtime::Quota::{Handles, Stack, Time};

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
        format(
            "an allocator that calls the host while a list of blocks is written",
            Ends::Trap("cannot leave component instance"),
            formatter()
                .fields("(global $lists (mut i32) (i32.const 0))")
                .body(
                    "page",
                    "(global.set $lists (i32.const 1)) (call $page.spans (local.get $page) RET) (i32.const 0)",
                )
                .body(
                    "realloc",
                    r#"(if (global.get $lists) (then (call $log.write (i32.const 0) @"again")))
                     (call $alloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))"#,
                ),
        ),
        inside(
            "a whole that calls a part of itself, which calls the whole back",
            Ends::Trap("cannot enter component instance"),
            "",
        ),
        inside(
            "a part that calls the whole back before it has begun",
            Ends::Trap("cannot enter component instance"),
            "(start $back)",
        ),
        beside(
            "a part whose allocator calls the host while another part hands it a list",
            Ends::Trap("cannot leave component instance"),
            Part {
                allocates: CALL,
                ..Part::default()
            },
        ),
        beside(
            "a part that calls the host after it has returned to another",
            Ends::Well("between parts that is a call like any other, and counts as one"),
            Part {
                after: CALL,
                ..Part::default()
            },
        ),
        beside(
            "a part that traps after it has returned to another",
            Ends::Trap("unreachable"),
            Part {
                after: "(unreachable)",
                ..Part::default()
            },
        ),
        beside(
            "a part without end after it has returned to another",
            Ends::Limit(&[Time]),
            Part {
                after: "(loop $forever (br $forever))",
                ..Part::default()
            },
        ),
        beside(
            "a part without end below another",
            Ends::Limit(&[Time]),
            Part {
                runs: "(loop $forever (br $forever))",
                ..Part::default()
            },
        ),
        beside(
            "a plugin of two parts, one of which calls the host for the other",
            Ends::Well("each part is a plugin's own"),
            Part {
                runs: CALL,
                ..Part::default()
            },
        ),
    ]
}

/// A formatter whose component holds another, which it calls with each page and which calls a function of the formatter. What
/// calls the part stands in a table: the part is made after the formatter's own code, since it is given that function.
fn inside(name: &'static str, ends: Ends, begins: &'static str) -> Beast {
    let whole = formatter()
        .fields(r#"(table $parts (export "parts") 1 funcref) (type $go (func))"#)
        .body(
            "page",
            "(call_indirect $parts (type $go) (i32.const 0)) (i32.const 0)",
        );
    let text = format!(
        r#"(core module $own (func (export "back")))
        (core instance $own (instantiate $own))
        (func $own_back (canon lift (core func $own "back")))
        (component $inner
          (import "back" (func $back))
          (core func $back (canon lower (func $back)))
          (core module $code (import "" "back" (func $back)) (func (export "go") (call $back)) {begins})
          (core instance $code (instantiate $code (with "" (instance (export "back" (func $back))))))
          (func (export "go") (canon lift (core func $code "go"))))
        (instance $part (instantiate $inner (with "back" (func $own_back))))
        (core func $go (canon lower (func $part "go")))
        (core module $tie
          (import "main" "parts" (table 1 funcref))
          (import "" "go" (func $go))
          (elem (i32.const 0) func $go))
        (core instance (instantiate $tie (with "main" (instance $main)) (with "" (instance (export "go" (func $go))))))"#
    );
    let build = move || {
        let component = printed(&whole.build());
        let open = component.strip_suffix(')').expect("it is one component");
        parsed(&format!("{open}{text})"))
    };
    made(name, ends, build)
}

/// What a component does that another calls: in that call, when it allocates for the list that it is given, and after its return.
#[derive(Default)]
struct Part {
    runs: &'static str,
    allocates: &'static str,
    after: &'static str,
}

/// A call of the host, see [`beside`].
const CALL: &str = "(call $progress (i32.const 1) (i32.const 0) (i32.const 0))";

/// A component of two beside each other, as tools that compose them make it: a formatter, and what it calls with each page.
fn beside(name: &'static str, ends: Ends, part: Part) -> Beast {
    const PART: &str = "zoo:part/part";
    let formatter = formatter()
        .import(
            "package zoo:part; interface part { go: func(bytes: list<u8>) -> u32; }",
            PART,
        )
        .body("page", r#"(drop (call $part.go @"a list")) (i32.const 0)"#);
    let Part {
        runs,
        allocates,
        after,
    } = part;
    let part = format!(
        r#"(component $part
          (import "progress" (func $progress (param "done" u32) (param "total" (option u32))))
          (core func $progress (canon lower (func $progress)))
          (core module $code
            (import "" "progress" (func $progress (param i32 i32 i32)))
            (memory (export "memory") 1)
            (func (export "go") (param i32 i32) (result i32) {runs} (i32.const 0))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) {allocates} (i32.const 1024))
            (func (export "after") (param i32) {after}))
          (core instance $code (instantiate $code (with "" (instance (export "progress" (func $progress))))))
          (func (export "go") (param "bytes" (list u8)) (result u32)
            (canon lift (core func $code "go") (memory (core memory $code "memory"))
              (realloc (core func $code "realloc")) (post-return (core func $code "after")))))"#
    );
    let build = move || {
        let component = printed(&formatter.build());
        // What it imports is imported by the whole and handed on, but for what the part answers.
        let (head, _) = component
            .split_once("\n  (core module")
            .expect("imports come before code");
        let names = || {
            let imports = head.lines().filter_map(|line| line.strip_prefix("  (import \""));
            imports.filter_map(|import| import.split_once('"'))
        };
        let kept: String = head
            .lines()
            .filter(|line| !line.contains(&format!("(import \"{PART}\"")))
            .map(|line| format!("{line}\n"))
            .collect();
        let mut given = String::new();
        for (name, rest) in names().filter(|(name, _)| *name != PART) {
            let instance = rest.split_whitespace().nth(1).expect("an import has a name");
            given.push_str(&format!("(with \"{name}\" (instance {instance}))\n"));
        }
        let whole = format!(
            r#"{kept}
            (import "ocr-host:plugin/control@0.1.0" (instance $host_control
              (export "progress" (func (param "done" u32) (param "total" (option u32))))))
            {part}
            (instance $part (instantiate $part (with "progress" (func $host_control "progress"))))
            {}
            (instance $formatter (instantiate $formatter {given} (with "{PART}" (instance $part))))
            (export "{FORMATTER}" (instance $formatter "{FORMATTER}")))"#,
            component.replacen("(component", "(component $formatter", 1)
        );
        ocr_runtime::encode(&parsed(&whole), &formatter.manifest).expect("it has a manifest")
    };
    made(name, ends, build)
}

const FORMATTER: &str = "ocr-host:plugin/formatter@0.1.0";

fn made(name: &'static str, ends: Ends, build: impl Fn() -> Vec<u8> + 'static) -> Beast {
    let act = move |cage: &Cage| match cage.load(&build()) {
        Ok(plugin) => match cage.format(&plugin, "{}") {
            // Those that end well do so after they have called the host.
            Ok(()) if cage.heard.0.lock().unwrap().is_empty() => {
                Ended::Wrong("the host was not called".into())
            }
            ended => ended.into(),
        },
        Err(ended) => ended,
    };
    Beast::new(name, ends, Act::Do(Box::new(act)))
}

/// A component as text, in which the instance of its own module is `$main`.
fn printed(component: &[u8]) -> String {
    let text = wasmprinter::print_bytes(component).expect("what was made can be read");
    text.trim_end().to_owned()
}

fn parsed(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"))
}
