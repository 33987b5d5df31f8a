//! Beasts that look for a way out: WASI, capabilities that nobody granted, the terminal.

use super::memory::with_manifest;
use super::{adapter, formatter, on_page};
use crate::keeper::{Act, Beast, Cage, Ended, Ends, page};
use crate::skeleton::Skeleton;
use ocr_runtime::{Cause, DocInfo, FormatterOutput, FormatterSession, Grants};

pub const WASI_IO: &str = "package wasi:io@0.2.0;
interface error { resource error { to-debug-string: func() -> string; } }
interface poll { resource pollable { block: func(); } }
interface streams {
  use error.{error};
  variant stream-error { last-operation-failed(error), closed }
  resource input-stream { blocking-read: func(len: u64) -> result<list<u8>, stream-error>; }
  resource output-stream {
    blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
    write-zeroes: func(len: u64) -> result<_, stream-error>;
  }
}";
pub const WASI_CLOCKS: &str = "package wasi:clocks@0.2.0;
interface monotonic-clock {
  use wasi:io/poll@0.2.0.{pollable};
  now: func() -> u64;
  subscribe-duration: func(when: u64) -> pollable;
}
interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }";
const WASI_RANDOM: &str = "package wasi:random@0.2.0;
interface random { get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }";
const WASI_CLI: &str = "package wasi:cli@0.2.0;
interface environment {
  get-environment: func() -> list<tuple<string, string>>;
  get-arguments: func() -> list<string>;
  initial-cwd: func() -> option<string>;
}
interface exit { exit: func(status: result); }
interface stdin { use wasi:io/streams@0.2.0.{input-stream}; get-stdin: func() -> input-stream; }
interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }";
const WASI_FILESYSTEM: &str = "package wasi:filesystem@0.2.0;
interface types { resource descriptor; }
interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }";
const WASI_SOCKETS: &str = "package wasi:sockets@0.2.0;
interface network { resource network; }
interface instance-network { use network.{network}; instance-network: func() -> network; }";
const WASI_HTTP: &str = "package wasi:http@0.2.0;
interface outgoing-handler { handle: func() -> u32; }";

/// A formatter that imports one interface and does this with its page.
fn with(package: &str, import: &str, wat: &str) -> Skeleton {
    formatter().import(package, import).body("page", wat)
}

/// Traps where the list that an import answered has something in it.
const EMPTY: &str = "(if (i32.load (i32.const 1028)) (then (unreachable))) (i32.const 0)";

pub fn beasts() -> Vec<Beast> {
    let format = |name, ends, skeleton| Beast::new(name, ends, Act::Format(skeleton));
    let nothing = Ends::Well("there is nothing");
    vec![
        format(
            "reads the environment",
            nothing,
            with(
                WASI_CLI_ALONE,
                "wasi:cli/environment@0.2.0",
                &format!("(call $environment.get-environment RET) {EMPTY}"),
            ),
        ),
        format(
            "reads the command line",
            nothing,
            with(
                WASI_CLI_ALONE,
                "wasi:cli/environment@0.2.0",
                &format!("(call $environment.get-arguments RET) {EMPTY}"),
            ),
        ),
        format(
            "asks for the working folder",
            nothing,
            with(
                WASI_CLI_ALONE,
                "wasi:cli/environment@0.2.0",
                "(call $environment.initial-cwd RET) (if (i32.load8_u RET) (then (unreachable))) (i32.const 0)",
            ),
        ),
        format(
            "looks for folders that are open to it",
            nothing,
            with(
                WASI_FILESYSTEM,
                "wasi:filesystem/preopens@0.2.0",
                &format!("(call $preopens.get-directories RET) {EMPTY}"),
            ),
        ),
        format(
            "ends the process",
            Ends::Trap("exit"),
            with(WASI_CLI_ALONE, "wasi:cli/exit@0.2.0", "(call $exit.exit (i32.const 1)) (i32.const 0)"),
        ),
        format(
            "reads standard input",
            Ends::Well("it is closed"),
            formatter()
                .import(WASI_IO, "wasi:io/streams@0.2.0")
                .import(WASI_CLI, "wasi:cli/stdin@0.2.0")
                .body(
                    "page",
                    "(call $input-stream.blocking-read (call $stdin.get-stdin) (i64.const 64) RET)
                     (if (i32.eqz (i32.load8_u RET)) (then (unreachable))) (i32.const 0)",
                ),
        ),
        format(
            "writes to standard output",
            Ends::Well("it is closed"),
            formatter()
                .import(WASI_IO, "wasi:io/streams@0.2.0")
                .import(WASI_CLI, "wasi:cli/stdout@0.2.0")
                .body(
                    "page",
                    r#"(call $output-stream.blocking-write-and-flush (call $stdout.get-stdout) @"ESCAPED" RET) (i32.const 0)"#,
                ),
        ),
        format(
            "measures time",
            Ends::Well("clocks stand still"),
            formatter()
                .import(WASI_IO, "wasi:io/poll@0.2.0")
                .import(WASI_CLOCKS, "wasi:clocks/monotonic-clock@0.2.0")
                .body(
                    "page",
                    "(local $then i64) (local $n i32) (local.set $then (call $monotonic-clock.now))
                     (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
                       (br_if $l (i32.lt_u (local.get $n) (i32.const 1000000))))
                     (if (i64.ne (local.get $then) (call $monotonic-clock.now)) (then (unreachable))) (i32.const 0)",
                ),
        ),
        format(
            "asks for the date",
            Ends::Well("clocks stand still"),
            formatter()
                .import(WASI_IO, "wasi:io/poll@0.2.0")
                .import(WASI_CLOCKS, "wasi:clocks/wall-clock@0.2.0")
                .body(
                    "page",
                    "(call $wall-clock.now RET) (if (i64.ne (i64.load RET) (i64.const 0)) (then (unreachable)))
                     (i32.const 0)",
                ),
        ),
        Beast::new(
            "tells two runs apart by random numbers",
            Ends::Well("they are the same for every document"),
            Act::Do(Box::new(|cage| {
                let wat = r#"(call $output.main RET) CHECK
                    (i64.store (i32.const 100) (call $random.get-random-u64))
                    (call $file.write HANDLE (i32.const 100) (i32.const 8) RET) CHECK (i32.const 0)"#;
                let skeleton = with(WASI_RANDOM, "wasi:random/random@0.2.0", wat);
                let plugin = match cage.load(&skeleton.build()) {
                    Ok(plugin) => plugin,
                    Err(ended) => return ended,
                };
                let runs = [(); 2].map(|()| {
                    cage.format(&plugin, "{}")
                        .map(|()| std::fs::read(cage.out.join("doc.bad")).unwrap_or_default())
                });
                match runs {
                    [Ok(a), Ok(b)] if a == b && a.len() == 16 => Ended::Well,
                    [Err(failure), _] | [_, Err(failure)] => Ended::Failed(failure),
                    _ => Ended::Wrong("two runs differ".into()),
                }
            })),
        ),
        format(
            "imports sockets",
            Ends::NotLoaded("it imports `wasi:sockets/"),
            with(
                WASI_SOCKETS,
                "wasi:sockets/instance-network@0.2.0",
                "(drop (call $instance-network.instance-network)) (i32.const 0)",
            ),
        ),
        format(
            "imports HTTP",
            Ends::NotLoaded("it imports `wasi:http/"),
            with(
                WASI_HTTP,
                "wasi:http/outgoing-handler@0.2.0",
                "(drop (call $outgoing-handler.handle)) (i32.const 0)",
            ),
        ),
        format(
            "imports what no host has",
            Ends::NotLoaded("evil:host/secret"),
            with(
                "package evil:host@1.0.0; interface secret { tell: func() -> u32; }",
                "evil:host/secret@1.0.0",
                "(drop (call $secret.tell)) (i32.const 0)",
            ),
        ),
        Beast::new(
            "imports the system calls of WASI's first preview",
            Ends::NotLoaded("wasi-snapshot-preview1"),
            Act::Load(Box::new(|| {
                with_manifest(
                    r#"(component (import "wasi-snapshot-preview1" (instance (export "fd-write" (func (param "fd" u32))))))"#,
                )
            })),
        ),
        Beast::new(
            "imports a function of the contract that is not in it",
            Ends::NotLoaded("steal"),
            Act::Load(Box::new(|| {
                with_manifest(
                    r#"(component (import "ocr-host:plugin/control@0.1.0" (instance (export "steal" (func)))))"#,
                )
            })),
        ),
        Beast::new(
            "imports a contract of a later version",
            Ends::NotLoaded("ocr-host:plugin/control@0.9.0"),
            Act::Load(Box::new(|| {
                with_manifest(
                    r#"(component (import "ocr-host:plugin/control@0.9.0" (instance (export "checkpoint" (func)))))"#,
                )
            })),
        ),
        denied(
            "takes the page's pixels without the grant",
            "page.raster",
            formatter().body("page", "(call $page.raster (local.get $page) RET) CHECK (i32.const 0)"),
        ),
        Beast::new(
            "copies pixels without the grant",
            Ends::Says("the capability `image.rows` is not granted"),
            Act::Format(formatter().body(
                "page",
                "(call $page.raster (local.get $page) RET) CHECK
                 (call $image.read-rows HANDLE (i32.const 0) (i32.const 1) (i32.const 0) RET) CHECK (i32.const 0)",
            )),
        ),
        on_page(
            "has regions read without the grant",
            Ends::Says("ocr.recognize"),
            "(call $page.raster (local.get $page) RET) CHECK
             (call $ocr.recognize HANDLE (i32.const 200000) (i32.const 1) RET) CHECK (i32.const 0)",
        ),
        Beast::new(
            "has a PDF drawn without the grant",
            Ends::Says("pdf.render"),
            Act::Read(
                adapter().body(
                    "open",
                    "(call $document.open (local.get $source) (i32.const 0) (i32.const 0) (i32.const 0) RET)
                     (if (i32.load8_u RET) (then (return (i32.const 1032)))) (i32.const 0)",
                ),
                b"%PDF-1.7".to_vec(),
            ),
        ),
        heard(
            "writes escape sequences and forged lines to the log",
            r#"(call $log.write (i32.const 0) @"\1b[2J\1b]0;title\07ok\nerror: forged\0d\n")"#,
            |lines| !lines.is_empty() && lines.iter().all(|l| !l.chars().any(char::is_control)),
        ),
        heard(
            "writes text to the log that reads backwards",
            "(call $log.write (i32.const 0) @\"\\e2\\80\\aetxt.exe\")",
            |lines| !lines.is_empty() && lines.iter().all(|l| !l.contains('\u{202e}')),
        ),
        heard(
            "writes a line of 3 MB to the log",
            "(drop (memory.grow (i32.const 60))) (memory.fill (i32.const 131072) (i32.const 65) (i32.const 3000000))
             (call $log.write (i32.const 0) (i32.const 131072) (i32.const 3000000))",
            |lines| lines.iter().map(String::len).sum::<usize>() < 5000,
        ),
        heard(
            "reports in the name of the host",
            &report("plugin-limit", "a limit that nobody reached"),
            |lines| lines.iter().any(|l| l.starts_with("plugin-limit: ")),
        ),
        heard(
            "reports a code of 5,000 bytes with line breaks",
            &report(&"code\\n".repeat(1000), "message"),
            |lines| lines.iter().all(|l| l.len() < 100 && !l.contains('\n')),
        ),
        heard(
            "says that it panics and goes on",
            &report("panic", "not really"),
            |lines| lines.iter().any(|l| l.contains("not really")),
        ),
        heard(
            "tells of 9,000 steps",
            "(local $n i32)
             (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (call $control.progress (local.get $n) (i32.const 1) (i32.const 9000))
               (br_if $l (i32.lt_u (local.get $n) (i32.const 9000))))",
            |lines| (1..=20).contains(&lines.len()),
        ),
        Beast::new(
            "says as much as it may, is started afresh, and says it again",
            Ends::Well("what it said before counts"),
            Act::Do(Box::new(says_it_again)),
        ),
        Beast::new(
            "traps in a function whose name clears the screen and takes 100 KB",
            Ends::Well("the name is cleaned and cut"),
            Act::Do(Box::new(loud_function)),
        ),
        format(
            "asks for 60 MiB of random bytes",
            Ends::Trap("exceeds limit"),
            with(
                WASI_RANDOM,
                "wasi:random/random@0.2.0",
                "(call $random.get-random-bytes (i64.const 62914560) RET) (i32.const 0)",
            ),
        ),
        format(
            "asks for all random bytes that there are",
            Ends::Trap("exceeds limit"),
            with(
                WASI_RANDOM,
                "wasi:random/random@0.2.0",
                "(call $random.get-random-bytes (i64.const -1) RET) (i32.const 0)",
            ),
        ),
        format(
            "writes zeros without end to standard output",
            Ends::Trap("cannot write more zeroes"),
            formatter()
                .import(WASI_IO, "wasi:io/streams@0.2.0")
                .import(WASI_CLI, "wasi:cli/stdout@0.2.0")
                .body(
                    "page",
                    "(call $output-stream.write-zeroes (call $stdout.get-stdout) (i64.const 1099511627776) RET)
                     (i32.const 0)",
                ),
        ),
        format(
            "fails with a message of 3 MB and escape sequences",
            Ends::Says("AAAA"),
            formatter().body(
                "open",
                "(drop (memory.grow (i32.const 60))) (memory.fill (i32.const 131072) (i32.const 65) (i32.const 3000000))
                 (i32.store8 (i32.const 131090) (i32.const 27))
                 (call $empty) (i32.store8 AREA (i32.const 1)) (i32.store (i32.const 2064) (i32.const 131072))
                 (i32.store (i32.const 2068) (i32.const 3000000)) AREA",
            ),
        ),
    ]
}

/// The same document, and a sandbox for each of its pages.
fn says_it_again(cage: &Cage) -> Ended {
    let wat = r#"(local $n i32)
        (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1))) (call $log.write (i32.const 0) @"again and again")
          (br_if $l (i32.lt_u (local.get $n) (i32.const 1000)))) (unreachable)"#;
    let plugin = match cage.load(&formatter().body("page", wat).build()) {
        Ok(plugin) => plugin,
        Err(ended) => return ended,
    };
    let context = cage.context();
    for _ in 0..20 {
        let output = FormatterOutput::stream("x", Box::new(std::io::sink()));
        let session = FormatterSession::open(&plugin, &context, &DocInfo::default(), "{}", output);
        match session.map(|mut session| session.add_page(&page(7))) {
            Ok(Err(failure)) if matches!(failure.cause, Cause::Trap(_)) => {}
            Ok(Ok(())) => return Ended::Wrong("it goes on".into()),
            Ok(Err(failure)) | Err(failure) => return Ended::Failed(failure),
        }
    }
    let heard: usize = cage.heard.0.lock().unwrap().iter().map(String::len).sum();
    match (1..2 * cage.limits.log_bytes as usize).contains(&heard) {
        true => Ended::Well,
        false => Ended::Wrong(format!("{heard} bytes were heard")),
    }
}

fn loud_function(cage: &Cage) -> Ended {
    let name = "\\1b[2J".repeat(25_000);
    let loud = formatter()
        .body("page", &format!("(call $\"{name}\") (i32.const 0)"))
        .fields(&format!("(func $\"{name}\" (unreachable))"));
    let plugin = match cage.load(&loud.build()) {
        Ok(plugin) => plugin,
        Err(ended) => return ended,
    };
    let trace = match cage.format(&plugin, "{}") {
        Err(failure) => failure.backtrace,
        Ok(()) => return Ended::Well,
    };
    match trace.first() {
        Some(name) if name.contains("[2J") && name.len() <= 200 && !name.contains(char::is_control) => {
            Ended::Well
        }
        other => Ended::Wrong(format!("its name is {:?}", other.map(String::len))),
    }
}

/// The part of WASI's command-line package that needs no other.
const WASI_CLI_ALONE: &str = "package wasi:cli@0.2.0;
interface environment {
  get-environment: func() -> list<tuple<string, string>>;
  get-arguments: func() -> list<string>;
  initial-cwd: func() -> option<string>;
}
interface exit { exit: func(status: result); }";

fn report(code: &str, message: &str) -> String {
    format!(
        r#"(call $log.report (i32.const 2) @"{code}" @"{message}" {})"#,
        "(i32.const 0)".repeat(7)
    )
}

fn denied(name: &'static str, capability: &'static str, skeleton: Skeleton) -> Beast {
    Beast::new(name, Ends::Says(capability), Act::Format(skeleton)).grants(Grants::default())
}

/// What a plugin says reaches whoever listens, cleaned.
fn heard(name: &'static str, wat: &str, clean: fn(&[String]) -> bool) -> Beast {
    let skeleton = formatter().body("page", &format!("{wat} (i32.const 0)"));
    let act = move |cage: &Cage| {
        let ended = cage
            .load(&skeleton.build())
            .map(|plugin| cage.format(&plugin, "{}"));
        let lines = cage.heard.0.lock().unwrap();
        match ended {
            Ok(Ok(())) if clean(&lines) => Ended::Well,
            Ok(Ok(())) => Ended::Wrong(format!("it was heard as {:?}", lines.first())),
            Ok(Err(failure)) => Ended::Failed(failure),
            Err(ended) => ended,
        }
    };
    Beast::new(
        name,
        Ends::Well("it is heard under its own name, cleaned and cut"),
        Act::Do(Box::new(act)),
    )
}
