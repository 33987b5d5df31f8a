//! Plugins that call whatever they are told to: bytes say which host function comes next and with what, handles
//! included. Random bytes make random calls; the tests run a few, the fuzzer as many as it likes.

use super::{Skeleton, calls, every_import, own_resource};
use ocr_runtime::World;
use std::collections::BTreeSet;
use std::fmt::Write;
use wit_parser::abi::WasmType;

/// Where the bytes lie, and how many there may be.
pub const PROGRAM: usize = 65_536;
pub const PROGRAM_BYTES: usize = 4096;

/// A plugin of this world that does what its bytes say: a formatter's and a processor's are in its options, a digit pair
/// a byte; an adapter's are its input.
pub fn puppet(world: World) -> Skeleton {
    let empty = Skeleton::new("puppet", world);
    let (_, resolve, id) = empty.module();
    let every: Vec<_> = every_import(&resolve, id)
        .into_iter()
        .chain(own_resource(&resolve, id))
        .collect();
    let (mut cases, mut resources) = (String::new(), BTreeSet::new());
    for (number, import) in every.iter().enumerate() {
        let mut arguments = String::new();
        let last = import.parameters.len().saturating_sub(1);
        for (i, parameter) in import.parameters.iter().enumerate() {
            if let Some(resource) = import.takes.get(i) {
                // Mostly one that it was given.
                let _ = write!(arguments, "(call $next_handle (global.get $last_{resource}))");
                resources.insert(resource.clone());
                continue;
            }
            arguments.push_str(match parameter {
                _ if i == last && import.answers_in_memory => "RET",
                WasmType::Pointer => "(call $next_place)",
                WasmType::Length => "(call $next_length)",
                WasmType::I32 => "(call $next_number)",
                WasmType::F32 => "(f32.reinterpret_i32 (call $next_word))",
                WasmType::F64 => "(f64.promote_f32 (f32.reinterpret_i32 (call $next_word)))",
                WasmType::I64 | WasmType::PointerOrI64 => "(i64.extend_i32_s (call $next_number))",
            });
        }
        let call = format!("(call ${} {arguments})", import.name);
        debug_assert!(calls(&call, &import.name));
        let drops = "(drop ".repeat(import.results);
        let keeps = import.gives.as_ref().map_or(String::new(), |resource| {
            resources.insert(resource.clone());
            format!("(if (i32.eqz (i32.load8_u RET)) (then (global.set $last_{resource} HANDLE)))")
        });
        let _ = writeln!(
            cases,
            "(if (i32.eq (local.get $which) (i32.const {number})) (then {drops}{call}{} {keeps}))",
            ")".repeat(import.results)
        );
    }
    let mut globals = String::new();
    for resource in resources {
        let _ = writeln!(globals, "(global $last_{resource} (mut i32) (i32.const 0))");
    }
    let fields = format!(
        "{globals} (global $reads (mut i32) (i32.const 0)) (global $ends (mut i32) (i32.const 0))
         (func $next_byte (result i32) (local $byte i32)
           (if (i32.ge_u (global.get $reads) (global.get $ends)) (then (return (i32.const 0))))
           (local.set $byte (i32.load8_u (i32.add (i32.const {PROGRAM}) (global.get $reads))))
           (global.set $reads (i32.add (global.get $reads) (i32.const 1)))
           (local.get $byte))
         (func $next_word (result i32)
           (i32.or (call $next_byte) (i32.or (i32.shl (call $next_byte) (i32.const 8))
             (i32.or (i32.shl (call $next_byte) (i32.const 16)) (i32.shl (call $next_byte) (i32.const 24))))))
         ;; Mostly small, like handles and cases; sometimes anything.
         (func $next_number (result i32) (local $byte i32)
           (local.set $byte (call $next_byte))
           (if (result i32) (i32.lt_u (local.get $byte) (i32.const 240)) (then (i32.and (local.get $byte) (i32.const 15)))
             (else (call $next_word))))
         (func $next_handle (param $last i32) (result i32) (local $byte i32)
           (local.set $byte (call $next_byte))
           (if (result i32) (i32.lt_u (local.get $byte) (i32.const 250)) (then (local.get $last))
             (else (call $next_number))))
         (func $next_place (result i32) (local $byte i32)
           (local.set $byte (call $next_byte))
           (if (result i32) (i32.lt_u (local.get $byte) (i32.const 240))
             (then (i32.add (i32.const {PROGRAM}) (i32.shl (local.get $byte) (i32.const 3)))) (else (call $next_word))))
         (func $next_length (result i32) (local $byte i32)
           (local.set $byte (call $next_byte))
           (if (result i32) (i32.lt_u (local.get $byte) (i32.const 240)) (then (local.get $byte))
             (else (call $next_word))))
         ;; One to 32 steps, in the first call: a long program mostly ends in a trap, a short one may end well.
         (global $ran (mut i32) (i32.const 0))
         (func $run (local $which i32) (local $steps i32) (local $most i32)
           (if (global.get $ran) (then (return)))
           (global.set $ran (i32.const 1))
           (local.set $most (i32.shl (i32.const 1) (i32.rem_u (call $next_byte) (i32.const 6))))
           (loop $more
             (if (i32.lt_u (global.get $reads) (global.get $ends)) (then
               (local.set $which (i32.rem_u (call $next_byte) (i32.const {}))) {cases}
               (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
               (br_if $more (i32.lt_u (local.get $steps) (local.get $most)))))))
         (func $digit (param $at i32) (result i32)
           (i32.and (i32.load8_u (local.get $at)) (i32.const 15)))
         ;; Two digits a byte, 0-9 and :;<=>? of ASCII for the rest.
         (func $take (param $from i32) (param $len i32) (local $i i32)
           (global.set $ends (i32.shr_u (local.get $len) (i32.const 1)))
           (if (i32.gt_u (global.get $ends) (i32.const {PROGRAM_BYTES})) (then (global.set $ends (i32.const {PROGRAM_BYTES}))))
           (loop $more
             (if (i32.lt_u (local.get $i) (global.get $ends)) (then
               (i32.store8 (i32.add (i32.const {PROGRAM}) (local.get $i)) (i32.or
                 (i32.shl (call $digit (i32.add (local.get $from) (i32.shl (local.get $i) (i32.const 1)))) (i32.const 4))
                 (call $digit (i32.add (local.get $from) (i32.add (i32.shl (local.get $i) (i32.const 1)) (i32.const 1))))))
               (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more)))))",
        every.len()
    );
    let puppet = empty.fields(&fields);
    // Something of each kind to begin with.
    let given = format!(
        "(call $canvas.create (i32.const 9) (i32.const 9) (i32.const 0) RET) CHECK
         (call $canvas.finish HANDLE RET) CHECK (global.set $last_image HANDLE)
         (call $canvas.create (i32.const 9) (i32.const 9) (i32.const 0) RET) CHECK (global.set $last_canvas HANDLE)
         (call $source.from-bytes (i32.const {PROGRAM}) (i32.const 4) (i32.const {PROGRAM}) (i32.const 100) RET) CHECK
         (global.set $last_source HANDLE)"
    );
    let open = format!("(call $take (local.get $config) (local.get $len)) {given} (i32.const 0)");
    let run = "(call $run) (i32.const 0)";
    // The page is given back when the call ends.
    let on_page = format!("(global.set $last_page (local.get $page)) {run}");
    match world {
        World::OutputFormatter => puppet
            .body("open", &format!("(call $output.main RET) CHECK (global.set $last_file HANDLE) {open}"))
            .body("page", &on_page),
        World::PageProcessor => puppet.body("open", &open).body("process", &on_page),
        World::InputAdapter => puppet
            .body(
                "open",
                &format!(
                    "(call $source.read-at (local.get $source) (i64.const 0) (i32.const {PROGRAM_BYTES}) RET) CHECK
                     (global.set $ends (i32.load (i32.const 1036)))
                     (memory.copy (i32.const {PROGRAM}) (i32.load (i32.const 1032)) (global.get $ends))
                     {given} (i32.const 0)"
                ),
            )
            .body("info", "(call $run)")
            .body("read", run),
    }
}

/// Bytes as the options of a puppet.
pub fn as_options(program: &[u8]) -> String {
    let digit = |value: u8| char::from(b'0' + value);
    program
        .iter()
        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
        .collect()
}
