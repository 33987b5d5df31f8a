//! Files that are no plugins, or not the ones they claim to be.

use super::memory::with_manifest;
use super::{adapter, formatter};
use crate::keeper::{Act, Beast, Cage, Ended, Ends, runtime, tight};
use crate::skeleton::Skeleton;
use ocr_runtime::Limits;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub fn beasts() -> Vec<Beast> {
    let load = |name, text, bytes: fn() -> Vec<u8>| {
        Beast::new(name, Ends::NotLoaded(text), Act::Load(Box::new(bytes)))
    };
    vec![
        load("no bytes", "no WASM component", Vec::new),
        load("a text file", "no WASM component", || {
            b"#!/bin/sh\nrm -rf /\n".to_vec()
        }),
        load("a core module", "core WASM module", || {
            wat::parse_str("(module)").expect("it parses")
        }),
        load("native code", "native code", || {
            [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 4096]].concat()
        }),
        load("compiled code of this very runtime", "native code", || {
            let engine = wasmtime::Engine::default();
            engine.precompile_component(b"(component)").expect("it compiles")
        }),
        load("native code with a component behind it", "native code", || {
            [b"\x7fELF\x02\x01\x01\0".as_slice(), &formatter().build()].concat()
        }),
        load("the first half of a plugin", "cut off", || {
            let whole = formatter().build();
            whole[..whole.len() / 2].to_vec()
        }),
        Beast::new(
            "a plugin cut at every place",
            Ends::Well("none is loaded"),
            Act::Do(Box::new(cut_everywhere)),
        ),
        Beast::new(
            "a plugin with a bit turned, at 500 places",
            Ends::Well("none crashes the host"),
            Act::Do(Box::new(turn_bits)),
        ),
        load(
            "a component without a manifest",
            "no `ocr-host:manifest` section",
            || wat::parse_str("(component)").expect("it parses"),
        ),
        load("a manifest of 300 KB", "over the limit", || {
            with_section(&format!("{{\"id\":\"{}\"}}", "x".repeat(300_000)))
        }),
        load("a manifest that is no JSON", "its manifest is wrong", || {
            with_section("id = 7")
        }),
        load("a manifest that is not UTF-8", "its manifest is wrong", || {
            with_section_of(b"{\"id\":\"\xff\xfe\"}")
        }),
        load("a manifest 100,000 levels deep", "its manifest is wrong", || {
            with_section(&format!("{{\"config\":{}", "[".repeat(100_000)))
        }),
        load(
            "a config schema 100,000 levels deep",
            "its manifest is wrong",
            || {
                with_section(&with_key(
                    "config",
                    &format!("{}1{}", "{\"a\":".repeat(40_000), "}".repeat(40_000)),
                ))
            },
        ),
        load("a manifest whose id is a path", "is not 1 to 64 of", || {
            with_section(&manifest("../../etc/passwd"))
        }),
        load("a manifest whose id is an option", "is not 1 to 64 of", || {
            with_section(&manifest("--help"))
        }),
        load("a manifest with an unknown key", "unknown field", || {
            with_section(&with_key("root", "true"))
        }),
        load(
            "a manifest whose extension is a path",
            "is not 1 to 64 of",
            || with_section(&with_key("extensions", "[\"/../x\"]")),
        ),
        load(
            "a manifest whose extension is the host's own",
            "kept for the host's own folders",
            || with_section(&with_key("extensions", "[\"partial\"]")),
        ),
        load(
            "a manifest whose version clears the screen",
            "control characters",
            || with_section(&with_key("version", "\"\\u001b[2J\"")),
        ),
        load("a manifest without an extension", "needs an extension", || {
            with_section(&with_key("extensions", "[]"))
        }),
        load(
            "a formatter that says it is an adapter",
            "its manifest says input-adapter",
            || lying(formatter(), adapter()),
        ),
        load(
            "an adapter that says it is a formatter",
            "its manifest says output-formatter",
            || lying(adapter(), formatter()),
        ),
        load(
            "a component that exports nothing",
            "it exports no `ocr-host:plugin/formatter@0.1.0`",
            || with_manifest("(component)"),
        ),
        load(
            "a plugin for a later contract",
            "it needs ocr-host:plugin 9",
            || {
                let mut later = formatter();
                later.manifest.wit = "9.9.9".into();
                later.build()
            },
        ),
        load("a plugin for no contract", "it needs ocr-host:plugin", || {
            let mut other = formatter();
            other.manifest.wit = "../0.1.0".into();
            other.build()
        }),
        load(
            "two manifests that differ",
            "there are two `ocr-host:manifest` sections",
            || {
                let mut twice = formatter().build();
                let mut second = formatter().manifest;
                second.id = "somebody-else".into();
                let empty = wat::parse_str("(component)").expect("it parses");
                twice.extend_from_slice(&ocr_runtime::encode(&empty, &second).expect("it is one")[8..]);
                twice
            },
        ),
        Beast::new(
            "a custom section of 60 MB",
            Ends::Well("nobody reads it"),
            Act::Load(Box::new(|| {
                let mut large = formatter().build();
                let body = [&[4], b"junk".as_slice(), &vec![7; 60_000_000]].concat();
                large.push(0);
                large.extend(leb128(body.len()));
                large.extend(body);
                large
            })),
        ),
        load("a section that says it is 4 GiB long", "cut off", || {
            let mut long = formatter().build();
            long.extend([0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]);
            long
        }),
        load("a module with memory of 64 bits", "memory64", || {
            with_manifest("(component (core module (memory i64 1)))")
        }),
        load("a shared memory", "shared", || {
            with_manifest("(component (core module (memory 1 1 shared)))")
        }),
        bomb("one function of 30 MB", "size", || {
            module_of(&[add(30_000_000 / 7)])
        }),
        bomb("one function of 7 MB", "limit `compile-", || {
            module_of(&[add(7_000_000 / 7)])
        }),
        bomb("100,000 functions of 600 bytes", "limit `compile-", || {
            module_of(&vec![add(84); 100_000])
        }),
        bomb("a jump table of a million targets", "br_table", || {
            module_of(&[jump(1_000_000)])
        }),
        bomb("900 jump tables of 65,000 targets", "limit `compile-", || {
            let tables = vec![jump(65_000); 900];
            module_of(&tables)
        }),
        bomb(
            "80 functions of 50,000 locals that all live",
            "limit `compile-",
            || module_of(&vec![many_locals(49_000); 80]),
        ),
        bomb("a million blocks inside each other", "", || {
            let body = [
                vec![0],
                [0x02, 0x40].repeat(1_000_000),
                vec![0x0b; 1_000_000],
                vec![0x20, 0, 0x0b],
            ]
            .concat();
            module_of(&[body])
        }),
        cached("an altered entry in the code cache", |entries| {
            for entry in entries {
                let mut bytes = fs::read(entry).expect("it is there");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x55;
                fs::write(entry, bytes).expect("the folder is ours");
            }
        }),
        cached("an entry of the code cache that is another plugin's", |entries| {
            let aside = entries[0].with_extension("aside");
            for (from, to) in [
                (&entries[0], &aside),
                (&entries[1], &entries[0]),
                (&aside, &entries[1]),
            ] {
                fs::rename(from, to).expect("the folder is ours");
            }
        }),
        cached("an entry of the code cache that is a pipe", |entries| {
            for entry in entries {
                fs::remove_file(entry).expect("the folder is ours");
                let made = std::process::Command::new("mkfifo").arg(entry).status();
                assert!(made.expect("mkfifo is there").success());
            }
        }),
        file("a file that is too large", "over the limit", |cage| {
            let path = cage.outside.join("../out/large.wasm");
            let made = fs::File::create(&path).and_then(|f| f.set_len(70 << 20));
            made.expect("the cage is ours");
            path
        }),
        file("a folder", "is a folder", |cage| cage.outside.clone()),
        file("a file that is not there", "No such file", |cage| {
            cage.outside.join("nothing.wasm")
        }),
        file("a name with a zero byte", "NUL byte", |_| PathBuf::from("a\0b")),
        file("a pipe that nobody writes to", "a pipe or a device", |cage| {
            let path = cage.out.join("pipe.wasm");
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.expect("mkfifo is there").success());
            path
        }),
        file("/dev/zero", "a pipe or a device", |_| "/dev/zero".into()),
        file("a terminal", "a pipe or a device", |_| "/dev/tty".into()),
        file("a socket", "a pipe or a device", |cage| {
            let path = cage.out.join("socket.wasm");
            drop(std::os::unix::net::UnixListener::bind(&path).expect("the cage is ours"));
            path
        }),
        file("a link to itself", "symbolic links", |cage| {
            let path = cage.out.join("loop.wasm");
            std::os::unix::fs::symlink(&path, &path).expect("the cage is ours");
            path
        }),
        load("a manifest of 60 MB", "over the limit", || {
            with_section(&"x".repeat(60_000_000))
        }),
        load(
            "a manifest whose unknown key clears the screen",
            "unknown field `a [2J b`",
            || with_section(&with_key("a\\u001b[2J\\nb", "1")),
        ),
        Beast::new(
            "a manifest whose unknown key takes 200 KB",
            Ends::Well("the message about it is cut"),
            Act::Do(Box::new(|cage| {
                let said = cage.load(&with_section(&with_key(&"x".repeat(200_000), "1")));
                match said {
                    Err(Ended::NotLoaded(why)) if why.len() < 1000 => Ended::Well,
                    Err(Ended::NotLoaded(why)) => Ended::Wrong(format!("{} bytes are said", why.len())),
                    _ => Ended::Wrong("it is loaded".into()),
                }
            })),
        ),
        Beast::new(
            "a manifest whose description clears the screen and takes 180 KB",
            Ends::Well("it is cleaned and cut"),
            Act::Do(Box::new(|cage| {
                let mut loud = formatter();
                loud.manifest.description = "\u{1b}[2J".repeat(20_000);
                loud.manifest.media_types = vec!["\u{1b}]0;x\u{7}".into()];
                let manifest = match cage.load(&loud.build()) {
                    Ok(plugin) => plugin.manifest().clone(),
                    Err(ended) => return ended,
                };
                let shown = [manifest.description.as_str(), &manifest.media_types[0]];
                match shown
                    .iter()
                    .all(|s| s.len() <= 1000 && !s.contains(char::is_control))
                {
                    true => Ended::Well,
                    false => Ended::Wrong("it is shown as it is".into()),
                }
            })),
        ),
        schema(
            "a pattern whose repetitions are nested",
            "takes too much memory",
            || r#"{"properties":{"a":{"pattern":"((a{1000}){1000}){1000}"}}}"#.into(),
        ),
        schema("a pattern 500 groups deep", "`pattern` is", || {
            let pattern = format!("{}a{}", "(".repeat(500), ")".repeat(500));
            format!(r#"{{"properties":{{"a":{{"pattern":"{pattern}"}}}}}}"#)
        }),
        schema(
            "4,000 patterns that are large when they are compiled",
            "more than 64 patterns",
            || {
                let keys: Vec<String> = (0..4000)
                    .map(|n| format!(r#""{n}":{{"pattern":"\\w{{4}}"}}"#))
                    .collect();
                format!(r#"{{"properties":{{{}}}}}"#, keys.join(","))
            },
        ),
        Beast::new(
            "a pattern that other engines search for ever",
            Ends::Well("it is held against a text in linear time"),
            Act::Do(Box::new(|cage| {
                let mut slow = formatter();
                let config = r#"{"properties":{"a":{"type":"string","pattern":"^(a|aa|a*)*(a*)*$"}}}"#;
                slow.manifest.config = serde_json::from_str(config).ok();
                let plugin = match cage.load(&slow.build()) {
                    Ok(plugin) => plugin,
                    Err(ended) => return ended,
                };
                let started = Instant::now();
                let text = format!("{}!", "a".repeat(30_000));
                match plugin.manifest().config_value("a", &text) {
                    Err(_) if started.elapsed() < Duration::from_secs(5) => Ended::Well,
                    other => Ended::Wrong(format!("{:?} after {:?}", other.is_ok(), started.elapsed())),
                }
            })),
        ),
        schema(
            "a schema that refers to itself",
            "the keyword `$ref` is not enforced",
            || r##"{"properties":{"a":{"$ref":"#"}}}"##.into(),
        ),
        schema(
            "schemas that refer to each other",
            "the keyword `$defs` is not enforced",
            || r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"properties":{}}"##.into(),
        ),
        schema("a schema of 40 levels", "nested more than 12 deep", || {
            let nested = (0..40).fold("{}".to_owned(), |inner, _| format!(r#"{{"items":{inner}}}"#));
            format!(r#"{{"properties":{{"a":{nested}}}}}"#)
        }),
        schema(
            "alternatives of alternatives, 9,000 in all",
            "more than 4096 schemas",
            || {
                let three = |inner: String, _| format!(r#"{{"anyOf":[{inner},{inner},{inner}]}}"#);
                let nested = (0..8).fold("{}".to_owned(), three);
                format!(r#"{{"properties":{{"a":{nested}}}}}"#)
            },
        ),
        schema(
            "a default of 75,000 numbers, held against 3,000 schemas",
            "take too long to check",
            || {
                let numbers = vec!["1"; 75_000].join(",");
                let schemas = vec![r#"{"uniqueItems":true}"#; 3000].join(",");
                format!(r#"{{"properties":{{"a":{{"oneOf":[{schemas}],"default":[{numbers}]}}}}}}"#)
            },
        ),
        Beast::new(
            "a million custom sections",
            Ends::Well("nobody reads them"),
            Act::Load(Box::new(|| {
                let mut many = formatter().build();
                (0..1_000_000).for_each(|_| many.extend([0, 2, 1, b'x']));
                many
            })),
        ),
        bomb("lists of lists of lists, 20,000 levels deep", "", || {
            nested_types("(list {})", 20_000)
        }),
        bomb("pairs of pairs of pairs, 2^60 of them", "", || {
            nested_types("(tuple {} {})", 60)
        }),
        bomb("components inside each other, 5,000 levels deep", "", || {
            let nested = (0..5000).fold(wat::parse_str("(component)").expect("it parses"), |inner, _| {
                [b"\0asm\x0d\0\x01\0".to_vec(), section(4, inner)].concat()
            });
            ocr_runtime::encode(&nested, &formatter().manifest).expect("it looks like a component")
        }),
        bomb(
            "components that make two of another each, 30 levels deep",
            "",
            || {
                let mut text = String::from(
                    "(component $c0 (core module $m (memory 1)) (core instance (instantiate $m)))",
                );
                for level in 1..=30 {
                    let inner = level - 1;
                    text = format!(
                        "(component $c{level} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
                    );
                }
                with_manifest(&format!("(component {text} (instance (instantiate $c30)))"))
            },
        ),
        bomb("a million exports", "", || {
            let mut exports = leb128(1_000_000);
            (0..1_000_000u32).for_each(|n| {
                exports.extend([
                    5,
                    b'a' + (n % 26) as u8,
                    b'a' + (n / 26 % 26) as u8,
                    b'a' + (n / 676 % 26) as u8,
                ]);
                exports.extend([
                    b'a' + (n / 17_576 % 26) as u8,
                    b'a' + (n / 456_976 % 26) as u8,
                    0,
                    0,
                ]);
            });
            of_module(&[
                section(1, vec![1, 0x60, 1, 0x7f, 1, 0x7f]),
                section(3, vec![1, 0]),
                section(7, exports),
                section(10, [vec![1, 4], vec![0, 0x20, 0, 0x0b]].concat()),
            ])
        }),
        tuned(
            "a bomb that has time but no memory",
            "limit `compile-memory`",
            |limits| {
                (limits.compile_time, limits.compile_memory) = (Duration::from_secs(60), 24 << 20);
            },
        ),
        tuned(
            "a bomb that has memory but no time",
            "limit `compile-time`",
            |limits| {
                (limits.compile_time, limits.compile_memory) = (Duration::from_millis(300), 4 << 30);
            },
        ),
        Beast::new(
            "a bomb whose host does not look at the clock",
            Ends::Well("the kernel ends the compiler over its processor time"),
            Act::Do(Box::new(|_| unwatched())),
        ),
        Beast::new(
            "a file that is swapped while it is loaded",
            Ends::Well("what is run is what the digest is of"),
            Act::Do(Box::new(swapped)),
        ),
    ]
}

/// A beast that is a path.
fn file(name: &'static str, text: &'static str, make: fn(&Cage) -> PathBuf) -> Beast {
    let act = move |cage: &Cage| {
        let path = make(cage);
        let ended = match cage.runtime.load_file(&path) {
            Ok(_) => Ended::Well,
            Err(error) => Ended::NotLoaded(error.to_string()),
        };
        if path.starts_with(&cage.out) || path.ends_with("large.wasm") {
            let _ = fs::remove_file(&path);
        }
        ended
    };
    Beast::new(name, Ends::NotLoaded(text), Act::Do(Box::new(act)))
}

fn manifest(id: &str) -> String {
    with_key("id", &format!("\"{id}\""))
}

/// A manifest with one key of its own.
fn with_key(key: &str, value: &str) -> String {
    let known = [
        ("id", "\"beast\""),
        ("version", "\"0.1.0\""),
        ("world", "\"output-formatter\""),
        ("wit", "\"0.1.0\""),
        ("extensions", "[\"bad\"]"),
    ];
    let mut keys: Vec<String> = known
        .iter()
        .filter(|(k, _)| *k != key)
        .map(|(k, v)| format!("\"{k}\":{v}"))
        .collect();
    keys.push(format!("\"{key}\":{value}"));
    format!("{{{}}}", keys.join(","))
}

fn with_section(json: &str) -> Vec<u8> {
    with_section_of(json.as_bytes())
}

/// An empty component with these bytes as its manifest.
fn with_section_of(json: &[u8]) -> Vec<u8> {
    let mut component = wat::parse_str("(component)").expect("it parses");
    let name = b"ocr-host:manifest";
    let body = [&[name.len() as u8], name.as_slice(), json].concat();
    component.push(0);
    component.extend(leb128(body.len()));
    component.extend(body);
    component
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A component that the compiler is meant to choke on, within a second and 200 MiB.
fn bomb(name: &'static str, text: &'static str, component: fn() -> Vec<u8>) -> Beast {
    let act = move |_: &Cage| {
        let limits = Limits {
            compile_time: Duration::from_secs(1),
            compile_memory: 200 << 20,
            ..tight()
        };
        let component = component();
        let runtime = runtime(None, &limits);
        let started = Instant::now();
        let ended = match runtime.load("bomb", &component) {
            Ok(_) => Ended::Well,
            Err(error) => Ended::NotLoaded(error.to_string()),
        };
        match started.elapsed() {
            // The child has a second, and this machine may be busy.
            late if late > Duration::from_secs(10) => Ended::Wrong(format!("it took {late:?}")),
            _ => ended,
        }
    };
    Beast::new(name, Ends::NotLoaded(text), Act::Do(Box::new(act)))
}

/// A manifest with this config schema.
fn schema(name: &'static str, text: &'static str, config: fn() -> String) -> Beast {
    let bytes = move || with_section(&with_key("config", &config()));
    Beast::new(name, Ends::NotLoaded(text), Act::Load(Box::new(bytes)))
}

/// A component of types that each are made of the one before.
fn nested_types(of: &str, levels: usize) -> Vec<u8> {
    let mut text = String::from("(component (type $t0 u8)");
    for level in 1..=levels {
        let before = format!("$t{}", level - 1);
        text.push_str(&format!("(type $t{level} {})", of.replace("{}", &before)));
    }
    with_manifest(&format!("{text})"))
}

/// A bomb under limits of its own, of which it reaches one and has plenty of the other.
fn tuned(name: &'static str, text: &'static str, tune: fn(&mut Limits)) -> Beast {
    let act = move |_: &Cage| {
        let mut limits = tight();
        tune(&mut limits);
        match runtime(None, &limits).load("bomb", &module_of(&vec![add(84); 20_000])) {
            Ok(_) => Ended::Well,
            Err(error) => Ended::NotLoaded(error.to_string()),
        }
    };
    Beast::new(name, Ends::NotLoaded(text), Act::Do(Box::new(act)))
}

/// The compiler with one second of processor time a thread, a bomb, and nobody who waits for it.
fn unwatched() -> Ended {
    use std::io::{Read, Write};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    let (stack, seconds, memory) = ("524288", "1", (4u64 << 30).to_string());
    let child = Command::new("/proc/self/exe")
        .args(crate::keeper::COMPILER)
        .args([stack, seconds, &memory])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.expect("this program has a file");
    let mut input = child.stdin.take().expect("it is a pipe");
    input
        .write_all(&module_of(&vec![add(84); 20_000]))
        .expect("it reads all");
    drop(input);
    let mut code = Vec::new();
    let mut output = child.stdout.take().expect("it is a pipe");
    output.read_to_end(&mut code).expect("it can be read");
    let status = child.wait().expect("it is ours");
    // SIGXCPU.
    match status.signal() {
        Some(24) if code.is_empty() => Ended::Well,
        _ => Ended::Wrong(format!("it ended with {status} and {} bytes of code", code.len())),
    }
}

fn section(id: u8, body: Vec<u8>) -> Vec<u8> {
    [vec![id], leb128(body.len()), body].concat()
}

/// A component with a module of these functions; each has an i32 as parameter and as result.
fn module_of(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut code = leb128(bodies.len());
    bodies.iter().for_each(|body| {
        code.extend(leb128(body.len()));
        code.extend(body);
    });
    of_module(&[
        section(1, vec![1, 0x60, 1, 0x7f, 1, 0x7f]),
        section(3, [leb128(bodies.len()), vec![0; bodies.len()]].concat()),
        section(10, code),
    ])
}

/// A component with a module of these sections.
fn of_module(sections: &[Vec<u8>]) -> Vec<u8> {
    let module = [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat();
    let component = [b"\0asm\x0d\0\x01\0".to_vec(), section(1, module)].concat();
    ocr_runtime::encode(&component, &formatter().manifest).expect("it looks like a component")
}

/// Adds the parameter to itself, again and again.
fn add(times: usize) -> Vec<u8> {
    [
        vec![0],
        [0x20, 0, 0x20, 0, 0x6a, 0x21, 0].repeat(times),
        vec![0x20, 0, 0x0b],
    ]
    .concat()
}

/// A block, and a jump out of it whose table has so many targets.
fn jump(targets: usize) -> Vec<u8> {
    let table = [vec![0x20, 0, 0x0e], leb128(targets), vec![0; targets + 1]].concat();
    [vec![0, 0x02, 0x40], table, vec![0x0b, 0x20, 0, 0x0b]].concat()
}

/// Locals that are all written in a loop and all read after it.
fn many_locals(locals: usize) -> Vec<u8> {
    let mut body = [vec![1], leb128(locals), vec![0x7f, 0x03, 0x40]].concat();
    for local in 1..=locals {
        body.extend(
            [
                vec![0x20],
                leb128(local - 1),
                vec![0x41, 1, 0x6a, 0x21],
                leb128(local),
            ]
            .concat(),
        );
    }
    body.extend([0x20, 0, 0x0d, 0, 0x0b, 0x41, 0]);
    for local in 1..=locals {
        body.extend([vec![0x20], leb128(local), vec![0x6a]].concat());
    }
    body.push(0x0b);
    body
}

/// Two plugins are kept in a code cache that somebody meddles with; then both are loaded again and each does what it
/// does.
fn cached(name: &'static str, meddle: fn(&[PathBuf])) -> Beast {
    let act = move |cage: &Cage| {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let folder = folder.path().join("code");
        let plugins = ["one", "two"].map(|id| (id, speaker(id)));
        let load =
            |(_, component): &(&str, Vec<u8>)| runtime(Some(folder.clone()), &tight()).load("x", component);
        for plugin in &plugins {
            if let Err(error) = load(plugin) {
                return Ended::NotLoaded(error.to_string());
            }
        }
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)
            .expect("it is kept")
            .flatten()
            .map(|e| e.path())
            .collect();
        entries.sort();
        if entries.len() != 2 {
            return Ended::Wrong(format!("{} entries are kept", entries.len()));
        }
        meddle(&entries);
        for plugin in &plugins {
            let loaded = match load(plugin) {
                Ok(loaded) => loaded,
                Err(error) => return Ended::NotLoaded(error.to_string()),
            };
            cage.heard.0.lock().unwrap().clear();
            if let Err(failure) = cage.format(&loaded, "{}") {
                return Ended::Failed(failure);
            }
            let heard = cage.heard.0.lock().unwrap().clone();
            if heard != [plugin.0, plugin.0] {
                return Ended::Wrong(format!("{} said {heard:?}", plugin.0));
            }
        }
        Ended::Well
    };
    Beast::new(
        name,
        Ends::Well("the plugin is compiled anew"),
        Act::Do(Box::new(act)),
    )
}

/// A plugin that says its name for each page.
fn speaker(id: &str) -> Vec<u8> {
    let mut plugin = formatter();
    plugin.manifest.id = id.into();
    plugin
        .body(
            "page",
            &format!(r#"(call $log.write (i32.const 0) @"{id}") (i32.const 0)"#),
        )
        .build()
}

/// The component of one with the manifest of another.
fn lying(is: Skeleton, says: Skeleton) -> Vec<u8> {
    let mut lies = is;
    lies.manifest = says.manifest;
    lies.build()
}

fn cut_everywhere(cage: &Cage) -> Ended {
    let whole = formatter().build();
    // Every place in its head and its end, every 37th between.
    let places = (0..whole.len()).filter(|p| *p < 400 || p % 37 == 0 || p + 200 > whole.len());
    for place in places {
        if cage.runtime.load_built_in("cut", &whole[..place]).is_ok() {
            return Ended::Wrong(format!("cut at {place} of {} it is loaded", whole.len()));
        }
    }
    Ended::Well
}

fn turn_bits(cage: &Cage) -> Ended {
    let whole = formatter()
        .body("page", "(call $page.text (local.get $page) RET) (i32.const 0)")
        .build();
    // A fixed sequence: the same places in each run.
    let mut seed = 7usize;
    for _ in 0..500 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut bytes = whole.clone();
        bytes[(seed >> 20) % whole.len()] ^= 1 << ((seed >> 16) & 7);
        if let Ok(plugin) = cage.runtime.load_built_in("turned", &bytes) {
            let _ = cage.format(&plugin, "{}");
        }
    }
    Ended::Well
}

/// Another thread writes one plugin over the other while both are loaded.
fn swapped(cage: &Cage) -> Ended {
    use std::sync::atomic::{AtomicBool, Ordering};
    // Of one length, so that half of one and half of the other has a chance to look whole.
    let plugins = ["one", "two"].map(speaker);
    let path = cage.out.join("doc.bad.wasm");
    fs::write(&path, &plugins[0]).expect("the cage is ours");
    let stop = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            for plugin in plugins.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let _ = fs::write(&path, plugin);
            }
        });
        let ended = (0..40).find_map(|_| {
            // Half a file is refused; a whole one is what it says it is.
            let plugin = cage.runtime.load_file(&path).ok()?;
            let id = plugin.manifest().id.clone();
            cage.heard.0.lock().unwrap().clear();
            if let Err(failure) = cage.format(&plugin, "{}") {
                return Some(Ended::Failed(failure));
            }
            let heard = cage.heard.0.lock().unwrap().clone();
            (heard != [id.clone(), id.clone()]).then(|| Ended::Wrong(format!("{id} said {heard:?}")))
        });
        stop.store(true, Ordering::Relaxed);
        ended
    });
    let _ = fs::remove_file(&path);
    ended.unwrap_or(Ended::Well)
}
