use super::*;
use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

/// A component as wit-component links libraries: a shim for a function of the host, a main module with memory, table and addresses,
/// two libraries, what fills the table and the shim last. `BETWEEN` and `LIBRARY` are for what differs.
const LIBRARIES: &str = r#"(component
  (import "host" (func $host (param "x" u32) (result u32)))
  (import "say" (func $say (param "text" string)))
  (core module $shim
    (table (export "$imports") 1 1 funcref)
    (func (export "0") (param i32 i32)
      local.get 0 local.get 1 i32.const 0 call_indirect (param i32 i32)))
  (core module $main
    (memory (export "memory") 2)
    (table (export "table") 8 funcref)
    (global (export "memory_base") i32 (i32.const 64))
    (global (export "table_base") i32 (i32.const 1))
    (global (export "GOT.x") (mut i32) (i32.const 72))
    (global (export "stack") (mut i32) (i32.const 4096))
    (func (export "late") (param i32) (result i32) local.get 0 i32.const 4 call_indirect (param i32) (result i32))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (data (i32.const 64) "\01\00\00\00\02\00\00\00\03\00\00\00")
    (data (i32.const 512) "nobody"))
  (core module $first
    (import "env" "memory" (memory 1))
    (import "env" "table" (table 1 funcref))
    (import "env" "memory_base" (global $base i32))
    (import "env" "table_base" (global $table i32))
    (import "GOT" "x" (global $x (mut i32)))
    (import "env" "stack" (global $stack (mut i32)))
    (import "env" "late" (func $late (param i32) (result i32)))
    (import "host" "host" (func $host (param i32) (result i32)))
    (import "host" "say" (func $say (param i32 i32)))
    (type $one (func (param i32) (result i32)))
    (func $double (type $one) local.get 0 i32.const 2 i32.mul)
    (func $triple (type $one) local.get 0 i32.const 3 i32.mul)
    (func $unused (export "unused") (param i32) local.get 0 global.set $x)
    (func (export "sum") (result i32)
      ;; the stack pointer moves, so it stays a global
      global.get $stack i32.const 16 i32.sub global.set $stack
      global.get $base i32.load
      global.get $x i32.load i32.add
      i32.const 10 i32.const 1 call_indirect (type $one) i32.add
      i32.const 100 call $late i32.add
      i32.const 5 call $host i32.add
      i32.const 64 i32.const 4 call $say
      global.get $stack i32.add)
    (elem (global.get $table) func $double $triple)
    LIBRARY)
  (core module $second
    (import "env" "memory" (memory 1))
    (import "first" "sum" (func $sum (result i32)))
    (global $calls (mut i32) (i32.const 0))
    (func (export "run") (result i32)
      global.get $calls i32.const 1 i32.add global.set $calls
      (memory.init $text (i32.const 600) (i32.const 0) (i32.const 2))
      call $sum
      (i32.load8_u (i32.const 600)) i32.add
      global.get $calls i32.const 1000 i32.mul i32.add)
    (func (export "later") (param i32) (result i32) local.get 0 i32.const 7 i32.add)
    (data $text "A!"))
  (core module $fill
    (import "env" "table" (table 1 funcref))
    (import "second" "later" (func $later (param i32) (result i32)))
    (elem (i32.const 4) func $later))
  (core module $fixup
    (import "" "0" (func $0 (param i32 i32)))
    (import "" "$imports" (table 1 funcref))
    (elem (i32.const 0) func $0))

  (core instance $shim (instantiate $shim))
  (core func $lowered (canon lower (func $host)))
  (core instance $main (instantiate $main))
  (alias core export $main "memory" (core memory $memory))
  (alias core export $main "table" (core table $table))
  (alias core export $main "memory_base" (core global $memory_base))
  (alias core export $main "table_base" (core global $table_base))
  (alias core export $main "GOT.x" (core global $x))
  (alias core export $main "stack" (core global $stack))
  (alias core export $main "late" (core func $late))
  (alias core export $shim "0" (core func $shim0))
  (core instance $env
    (export "memory" (memory $memory)) (export "table" (table $table)) (export "memory_base" (global $memory_base))
    (export "table_base" (global $table_base)) (export "stack" (global $stack)) (export "late" (func $late)))
  (core instance $got (export "x" (global $x)))
  (core instance $hosts (export "host" (func $lowered)) (export "say" (func $shim0)))
  (core instance $first (instantiate $first (with "env" (instance $env)) (with "GOT" (instance $got)) (with "host" (instance $hosts))))
  BETWEEN
  (core instance $second (instantiate $second (with "env" (instance $main)) (with "first" (instance $first))))
  (alias core export $main "realloc" (core func $realloc))
  (core func $said (canon lower (func $say) (memory $memory) (realloc $realloc)))
  (alias core export $shim "$imports" (core table $imports))
  (core instance $fixed (export "0" (func $said)) (export "$imports" (table $imports)))
  (core instance (instantiate $fixup (with "" (instance $fixed))))
  (core instance (instantiate $fill (with "env" (instance $main)) (with "second" (instance $second))))
  (func (export "run") (result u32) (canon lift (core func $second "run"))))"#;

fn component(between: &str, library: &str) -> Vec<u8> {
    let text = LIBRARIES.replace("BETWEEN", between).replace("LIBRARY", library);
    wat::parse_str(text).expect("it is a component")
}

/// What `run` answers, twice, and what the host was told.
fn run(component: &[u8]) -> (u32, u32, Vec<String>) {
    let mut config = Config::new();
    config.wasm_component_model(true);
    let engine = Engine::new(&config).unwrap();
    let component = Component::new(&engine, component).unwrap();
    let mut linker = Linker::<Vec<String>>::new(&engine);
    let mut root = linker.root();
    root.func_wrap("host", |_, (x,): (u32,)| Ok((x * 1_000_000,)))
        .unwrap();
    root.func_wrap("say", |mut store, (text,): (String,)| {
        store.data_mut().push(text);
        Ok(())
    })
    .unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let run = instance.get_typed_func::<(), (u32,)>(&mut store, "run").unwrap();
    let (first,) = run.call(&mut store, ()).unwrap();
    let (second,) = run.call(&mut store, ()).unwrap();
    (first, second, store.into_data())
}

/// Of the component itself, not of nested ones: modules, and the operators of their bodies.
fn modules(component: &[u8]) -> (usize, Vec<String>) {
    let (mut count, mut operators) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } => count += 1,
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader().unwrap() {
                    operators.push(format!("{:?}", operator.unwrap()));
                }
            }
            _ => {}
        }
    }
    (count, operators)
}

#[test]
fn libraries_become_one_module_that_does_the_same() {
    let before = component("", "");
    let after = linked(before.clone());
    // 1 + 3 in memory, 20 by the table, 107 by the function that is put there last, the host's, the stack pointer, "A", the call.
    let expected = 4 + 20 + 107 + 5_000_000 + 4080 + 65 + 1000;
    let said = vec!["\u{1}\0\0\0".to_owned(); 2];
    assert_eq!(run(&before), (expected, expected + 1000 - 16, said.clone()));
    assert_eq!(run(&after), (expected, expected + 1000 - 16, said));

    assert_eq!(modules(&before).0, 6);
    let (count, operators) = modules(&after);
    assert_eq!(count, 3, "the shim, the merged one, and what fills the shim");
    let reads = operators.iter().filter(|o| o.starts_with("GlobalGet")).count();
    assert_eq!(
        reads, 4,
        "of the stack pointer and the counter; addresses are constants: {operators:?}"
    );
    let writes = operators.iter().filter(|o| o.starts_with("GlobalSet")).count();
    assert_eq!(writes, 2, "what nothing calls is gone");
    // Linked is linked.
    assert_eq!(linked(after.clone()), after);
}

#[test]
fn a_global_that_is_written_stays_one() {
    // The address is changed by a function that is called through the table alone.
    let library =
        r#"(func $move (type $one) i32.const 68 global.set $x i32.const 0) (elem (i32.const 1) func $move)"#;
    let before = component("", library);
    let after = linked(before.clone());
    assert_eq!(modules(&after).0, 3);
    assert_eq!(run(&before), run(&after));
}

#[test]
fn names_stay_with_their_functions() {
    let after = linked(component("", ""));
    let mut named = Vec::new();
    for payload in Parser::new(0).parse_all(&after) {
        if let Payload::CustomSection(section) = payload.unwrap()
            && let wasmparser::KnownCustom::Name(names) = section.as_known()
        {
            for name in names {
                if let wasmparser::Name::Function(functions) = name.unwrap() {
                    named.extend(functions.into_iter().map(|n| n.unwrap().name.to_owned()));
                }
            }
        }
    }
    assert!(
        named.iter().any(|n| n == "double") && named.iter().any(|n| n == "triple"),
        "{named:?}"
    );
    assert!(!named.iter().any(|n| n == "unused"), "{named:?}");
}

#[test]
fn what_is_made_in_another_way_stays_as_it_is() {
    for (between, library) in [
        // When it starts matters.
        ("", "(func $begin) (start $begin)"),
        // A function of the component's own, made of the first library and needed by numbers behind it.
        (
            r#"(func $lifted (result u32) (canon lift (core func $first "sum")))"#,
            "",
        ),
        // What it writes there has to come before what the second library writes.
        (
            r#"(alias core export $main "realloc" (core func $early))
               (core func $told (canon lower (func $say) (memory $memory) (realloc $early)))
               (core module $between (import "" "say" (func (param i32 i32))) (import "" "memory" (memory 1)) (data (i32.const 600) "A"))
               (core instance $handed (export "say" (func $told)) (export "memory" (memory $memory)))
               (core instance (instantiate $between (with "" (instance $handed))))"#,
            "",
        ),
        (
            r#"(alias core export $main "realloc" (core func $early))
               (core func $told (canon lower (func $say) (memory $memory) (realloc $early)))
               (core module $between (import "" "say" (func $s (param i32 i32))) (func $b (call $s (i32.const 0) (i32.const 1))) (start $b))
               (core instance $handed (export "say" (func $told)))
               (core instance (instantiate $between (with "" (instance $handed))))"#,
            "",
        ),
        // A component inside that takes a module by its number.
        (
            "(component (alias outer 1 0 (core module $m)) (core instance (instantiate $m)))",
            "",
        ),
        // A second memory.
        ("", "(memory 1)"),
        ("", "(tag)"),
    ] {
        let text = LIBRARIES.replace("BETWEEN", between).replace("LIBRARY", library);
        let component = wat::parse_str(text).expect("it is a component");
        assert_eq!(linked(component.clone()), component, "{between}{library}");
    }
    let alone = wat::parse_str("(component (core module $m) (core instance (instantiate $m)))").unwrap();
    assert_eq!(linked(alone.clone()), alone);
    assert_eq!(linked(b"nothing of the kind".to_vec()), b"nothing of the kind");
}

#[test]
fn a_component_inside_is_linked_as_well() {
    let inner = LIBRARIES.replace("BETWEEN", "").replace("LIBRARY", "").replacen(
        "(component",
        "(component $inner",
        1,
    );
    let outer = format!(
        r#"(component
          (import "host" (func $host (param "x" u32) (result u32)))
          (import "say" (func $say (param "text" string)))
          {inner}
          (instance $i (instantiate $inner (with "host" (func $host)) (with "say" (func $say))))
          (export "run" (func $i "run")))"#
    );
    let before = wat::parse_str(outer).unwrap();
    let after = linked(before.clone());
    assert_eq!(modules(&after).0, 3);
    assert_eq!(run(&before), run(&after));
}
