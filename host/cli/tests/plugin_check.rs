//! `ocr-host plugin check` and `inspect`: what is wrong with a component is found without running it, and named.

mod plugin_support;

use plugin_support::{component, hello, hello_with, ocr_host, refused, run};
use serde_json::Value;

const MANIFEST: &str = r#"{"id":"mine","version":"1.0.0","world":"output-formatter","wit":"0.1.0","extensions":["txt"],"media-types":["a/b"]}"#;

#[test]
fn a_component_that_is_well_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &["plugin", "check", hello().to_str().unwrap()]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.err);
    assert!(
        ran.out.ends_with("is an output-formatter that this host loads\n"),
        "{}",
        ran.out
    );
    // A folder stands for the component that was built in it.
    std::fs::copy(hello(), folder.path().join("hello.wasm")).unwrap();
    assert_eq!(run(folder.path(), &["plugin", "check", "."]).code, 0);
    let ran = run(folder.path(), &["plugin", "inspect", "."]);
    assert!(
        ran.code == 0 && ran.out.starts_with("hello-formatter "),
        "{}",
        ran.err
    );
}

#[test]
fn plugins_are_looked_at_by_their_names_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // A folder of a built-in's name does not take its place.
    std::fs::create_dir(at.join("redact")).unwrap();
    let ran = run(at, &["plugin", "check", "redact"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.starts_with("redact.wasm: redact "), "{}", ran.out);
    refused(
        at,
        &["plugin", "check", "./redact"],
        1,
        &["there is no component in this folder"],
    );
    let hello = hello().display().to_string();
    assert_eq!(run(at, &["plugin", "install", &hello]).code, 0);
    let ran = run(at, &["plugin", "check", "hello-formatter"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let ran = run(at, &["plugin", "inspect", "hello-formatter"]);
    assert!(ran.out.contains("installed from"), "{}", ran.out);
    refused(
        at,
        &["plugin", "check", "helo-formatter"],
        1,
        &["did you mean `hello-formatter`?"],
    );
}

#[test]
fn each_problem_is_named_with_its_remedy() {
    let with = |from: &str, to: &str| MANIFEST.replace(from, to);
    let empty = "(component)";
    let cases: [(Vec<u8>, &[&str]); 14] = [
        (b"#!/bin/sh".to_vec(), &["no WASM component"]),
        (
            wat::parse_str("(module)").unwrap(),
            &["core WASM module", "plugin build"],
        ),
        (
            wat::parse_str(empty).unwrap(),
            &["no `ocr-host:manifest` section", "plugin build"],
        ),
        (
            component(empty, MANIFEST),
            &[
                "says output-formatter, but it exports no `ocr-host:plugin/formatter@0.1.0`",
                "export_formatter!",
            ],
        ),
        (
            component(empty, &with("0.1.0", "0.2.0")),
            &[
                "it needs ocr-host:plugin 0.2, this host has 0.1; upgrade ocr-host, or rebuild the plugin with the SDK of 0.1",
            ],
        ),
        (
            component(empty, &with("output-formatter", "formatter")),
            &["unknown variant `formatter`", "`output-formatter`"],
        ),
        (
            component(empty, &with("\"mine\"", "\"../x\"")),
            &["\"../x\" is not 1 to 64"],
        ),
        (
            component(empty, &with("\"id\"", "\"limits\":{\"memroy\":\"1GiB\"},\"id\"")),
            &["did you mean `memory`?"],
        ),
        (
            component(
                empty,
                &with(
                    "\"id\"",
                    "\"config\":{\"properties\":{\"mail\":{\"format\":\"email\"}}},\"id\"",
                ),
            ),
            &[
                "config.mail: the keyword `format` is not enforced by this host",
                "`pattern`",
            ],
        ),
        (
            component(
                empty,
                &with(
                    "\"id\"",
                    "\"config\":{\"properties\":{\"n\":{\"type\":\"integer\",\"default\":\"x\"}}},\"id\"",
                ),
            ),
            &["config.n: its default does not fit", "whole number"],
        ),
        (
            component(
                "(component (import \"ocr-host:plugin/page@0.2.0\" (instance)))",
                MANIFEST,
            ),
            &["imports `ocr-host:plugin/page@0.2.0`: it needs ocr-host:plugin 0.2"],
        ),
        (
            component(
                "(component (import \"ocr-host:plugin/log@0.1.0\" (instance (export \"shine\" (func)))))",
                MANIFEST,
            ),
            &["the function `shine` of `ocr-host:plugin/log@0.1.0`, which this host lacks; upgrade"],
        ),
        (
            component(
                "(component (import \"wasi:sockets/tcp@0.2.0\" (instance)) (import \"acme:db/store\" (instance)))",
                MANIFEST,
            ),
            &[
                "they have no network",
                "imports `acme:db/store`, which plugins don't get",
            ],
        ),
        (
            component(
                "(component (instance $i) (export \"ocr-host:plugin/adapter@0.1.0\" (instance $i)))",
                MANIFEST,
            ),
            &["exports what an input-adapter does; make it `world = \"input-adapter\"`"],
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (bytes, words) in cases {
        std::fs::write(folder.path().join("mine.wasm"), bytes).unwrap();
        refused(folder.path(), &["plugin", "check", "mine.wasm"], 1, words);
        // A run says the same.
        let ran = run(
            folder.path(),
            &["--plugin", "mine.wasm", &plugin_support::example("receipt.png")],
        );
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(
            ran.err.starts_with("error: plugin `mine.wasm`: ") && ran.err.contains(words[0]),
            "{}",
            ran.err
        );
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        folder.path(),
        &["plugin", "check", "."],
        1,
        &["no component in this folder", "plugin build"],
    );
    refused(
        folder.path(),
        &["plugin", "check", "gone.wasm"],
        1,
        &["gone.wasm"],
    );
    #[cfg(unix)]
    for (command, name) in [
        ("check", "/dev/zero"),
        ("inspect", "/dev/zero"),
        ("install", "/dev/zero"),
    ] {
        refused(
            folder.path(),
            &["plugin", command, name],
            1,
            &["a pipe or a device"],
        );
    }
    #[cfg(unix)]
    {
        let made = std::process::Command::new("mkfifo")
            .arg(folder.path().join("pipe.wasm"))
            .status();
        assert!(made.unwrap().success());
        refused(
            folder.path(),
            &["--plugin", "pipe.wasm", "x.png"],
            1,
            &["a pipe or a device"],
        );
    }
    std::fs::create_dir(folder.path().join("dir.wasm")).unwrap();
    refused(
        folder.path(),
        &["--plugin", "./dir.wasm", "x.png"],
        1,
        &["it is a folder; build it"],
    );
}

#[test]
fn authors_are_warned_of_what_is_not_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = r#"{"id":"html","version":"1","world":"output-formatter","wit":"0.1.0","extensions":["txt"],
        "capabilities":["ocr.recognize"],"limits":{"memory":"2 GiB"},"config":{"properties":{"a":{}}}}"#;
    std::fs::write(folder.path().join("mine.wasm"), hello_with(manifest)).unwrap();
    let ran = run(folder.path(), &["plugin", "check", "mine.wasm"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for words in [
        "it lists the capability `ocr.recognize` and never asks for it",
        "it wishes for memory 2 GiB, and gets 768 MiB unless the operator gives --plugin-limit memory=2GiB",
        "`html` means the built-in plugin `html-out`",
        "no media type",
        "option `a` has no description",
    ] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
}

#[test]
fn inspect_tells_what_a_plugin_is_asks_for_and_gets() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &["plugin", "inspect", "html-out"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for words in [
        "html-out 0.1.0  (built in)",
        "output-formatter of ocr-host:plugin 0.1.0",
        "capabilities page.raster",
        "made with    processed-by wit-",
        "memory        768 MiB",
        "page-images = `auto`, `embedded`, `referenced` or `none` [default: \"auto\"]",
        "boxes = true or false [default: true]",
        "sha256 ",
    ] {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    let ran = run(
        folder.path(),
        &[
            "plugin",
            "inspect",
            "html-out",
            "--json",
            "--plugin-limit",
            "memory=1GiB",
        ],
    );
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["limits"]["memory"]["effective"], "1 GiB");
    assert_eq!(
        json["capabilities"]["reachable"],
        serde_json::json!(["page.raster"])
    );
    assert_eq!(json["sha256"].as_str().unwrap().len(), 64);
    assert!(
        json["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|i| i == "ocr-host:plugin/page@0.1.0")
    );
    refused(
        folder.path(),
        &["plugin", "inspect", "html-uot"],
        1,
        &["did you mean `html-out`?"],
    );
}

/// The hello formatter with a module of one long function, which nobody calls.
#[cfg(target_os = "linux")]
fn heavy() -> Vec<u8> {
    let steps =
        "(local.set 0 (i32.mul (i32.add (local.get 0) (i32.const 77)) (local.get 0)))".repeat(300_000);
    let module = wat::parse_str(format!(
        "(module (func (param i32) (result i32) {steps} (local.get 0)))"
    ));
    let module = module.unwrap();
    let mut bytes = std::fs::read(hello()).unwrap();
    bytes.push(1);
    let mut size = module.len();
    while size > 0x7f {
        bytes.push(size as u8 | 0x80);
        size >>= 7;
    }
    bytes.push(size as u8);
    bytes.extend(module);
    bytes
}

/// What compilers have that `parent` started, KiB: memory that they can write, and what of it is there.
#[cfg(target_os = "linux")]
fn memory_of_compilers(parent: u32) -> Vec<(u64, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<String> = children
        .flat_map(|all| all.split_whitespace().map(String::from).collect::<Vec<_>>())
        .collect();
    let memory = |child: &String| {
        // Until it runs the program anew, it has its parent's memory.
        let command = std::fs::read_to_string(format!("/proc/{child}/cmdline")).ok()?;
        if !command.contains("internal") {
            return None;
        }
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
        };
        Some((kib("VmData:")?, kib("RssAnon:")?))
    };
    children.iter().filter_map(memory).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn compiling_takes_as_much_memory_as_its_limit_says() {
    const LIMIT_MIB: u64 = 96;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("heavy.wasm"), heavy()).unwrap();
    let receipt = plugin_support::example("receipt.png");
    let limit = format!("compile-memory={LIMIT_MIB}MiB");
    let arguments = [
        "--plugin",
        "./heavy.wasm",
        "-o",
        "out",
        "--plugin-limit",
        &limit,
        &receipt,
    ];
    let mut child = ocr_host(folder.path(), &arguments)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (mut writable, mut there) = (0, 0);
    let status = loop {
        for (data, anonymous) in memory_of_compilers(child.id()) {
            (writable, there) = (writable.max(data), there.max(anonymous));
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let reached = format!("limit `compile-memory` of {LIMIT_MIB} MiB");
    assert!(!status.success() && said.contains(&reached), "{said}");
    println!("{} KiB can be written, {} KiB are there", writable, there);
    // Beyond what it has when it begins, which is less than 20 MiB. What it is refused may be a large piece.
    assert!(writable <= (LIMIT_MIB + 20) << 10, "{writable} KiB");
    assert!(writable >= (LIMIT_MIB - LIMIT_MIB / 4) << 10, "{writable} KiB");
    assert!(there > LIMIT_MIB << 9, "{there} KiB");
}
