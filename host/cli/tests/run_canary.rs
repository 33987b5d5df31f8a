//! What one tenant's plugins leave is nothing that another's find, on the whole road: `ocr-host run` serves both in one
//! process, from one queue, with one pool of places for their plugins.
//!
//! Both run the same two formatters, which do what the name of the document says: `f` fill the memory with a canary, `t` fill
//! and trap, `l` fill and loop until the time is up, `m` fill and ask for more memory than there is, `b` fill and search,
//! `s` search the whole memory, `d` write the whole memory out. Tenant A has documents that fill, tenant B has such that
//! search and dump. What A fills with is text of its page besides, so the search of B's files looks for that as well. The
//! same searches find both inside A's, so the test can fail.

mod plugin_support;
#[path = "../../runtime/tests/skeleton/mod.rs"]
mod skeleton;

use ocr_runtime::World;
use plugin_support::{example, run};
use serde_json::Value;
use skeleton::{HEAP, Skeleton};
use std::path::{Path, PathBuf};

/// What A fills everything with.
const CANARY: [u8; 8] = *b"canary!\x7f";

/// A word of A's page, which its plugins copy into their memory.
const WORD: &[u8] = b"LANTERN";

/// Pages of 64 KiB that every memory grows to: more than what stays with a place in the pool.
const GROWN: usize = 128;

fn plugin(id: &str) -> Vec<u8> {
    let canary = i64::from_le_bytes(CANARY);
    // The number itself must not stand in a searcher's memory or code.
    let hidden = canary ^ 0x5555_5555_5555_5555;
    let mut plugin = Skeleton::new(id, World::OutputFormatter)
        .fields(&format!(
            "(global $act (mut i32) (i32.const 0)) (global $out (mut i32) (i32.const 0))
             (func $canary (result i64) (i64.xor (i64.const {hidden}) (i64.const 0x5555555555555555)))
             (func $is (param i32) (result i32) (i32.eq (global.get $act) (local.get 0)))
             (func $grow
               (if (i32.lt_u (memory.size) (i32.const {GROWN}))
                 (then (drop (memory.grow (i32.sub (i32.const {GROWN}) (memory.size)))))))
             (func $fill (local $at i32)
               (local.set $at (i32.const {HEAP}))
               (loop $next
                 (i64.store (local.get $at) (call $canary))
                 (local.set $at (i32.add (local.get $at) (i32.const 8)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.const {end})))))
             ;; The first place from the texts on where the canary stands, at any alignment; 0 for none.
             (func $find (result i32) (local $at i32)
               (local.set $at (i32.const 4096))
               (loop $next
                 (if (i64.eq (i64.load (local.get $at)) (call $canary)) (then (return (local.get $at))))
                 (local.set $at (i32.add (local.get $at) (i32.const 1)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.const {last}))))
               (i32.const 0))
             (func $say (param $at i32) (param $len i32)
               (call $file.write (global.get $out) (local.get $at) (local.get $len) RET)
               (if (i32.load8_u RET) (then (unreachable))))
             (func $search
               (if (call $find) (then (call $say @\"found\")) (else (call $say @\"clean\"))))",
            end = GROWN << 16,
            last = (GROWN << 16) - 8,
        ))
        .body(
            "open",
            "(if (local.get $name_len) (then (global.set $act (i32.load8_u (local.get $name)))))
             (call $output.main RET) CHECK (global.set $out HANDLE) (i32.const 0)",
        )
        .body(
            "page",
            &format!(
                "(local $at i32)
                 (call $grow)
                 (if (call $is (i32.const {s})) (then (call $search) (return (i32.const 0))))
                 (if (call $is (i32.const {d})) (then
                   (loop $next
                     (call $say (local.get $at) (i32.const 65536))
                     (local.set $at (i32.add (local.get $at) (i32.const 65536)))
                     (br_if $next (i32.lt_u (local.get $at) (i32.const {end}))))
                   (return (i32.const 0))))
                 (call $fill)
                 ;; The page's own words come after, so that they stay.
                 (call $page.markdown (local.get $page) RET)
                 (call $say (i32.const {HEAP}) (i32.const 65536))
                 (if (call $is (i32.const {t})) (then (unreachable)))
                 (if (call $is (i32.const {l})) (then (loop $forever (br $forever))))
                 (if (call $is (i32.const {m})) (then
                   (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))))
                 (if (call $is (i32.const {b})) (then (call $search)))
                 (i32.const 0)",
                s = b's',
                d = b'd',
                t = b't',
                l = b'l',
                m = b'm',
                b = b'b',
                end = GROWN << 16,
            ),
        );
    plugin.manifest.extensions = vec![id.to_owned()];
    plugin.build()
}

fn digest(component: &[u8]) -> String {
    ocr_runtime::digest(component)
}

/// A small blank picture: what B's documents are about does not matter.
fn blank(path: &Path) {
    image::GrayImage::from_pixel(80, 60, image::Luma([255]))
        .save(path)
        .unwrap();
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// The document of a report whose input ends so.
fn document<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut documents = report["documents"].as_array().unwrap().iter();
    documents
        .find(|d| d["input"].as_str().unwrap().ends_with(name))
        .unwrap_or_else(|| panic!("{name}: {report:#}"))
}

#[test]
fn nothing_of_a_tenant_is_found_by_another_that_the_same_process_serves() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (one, two) = (plugin("one"), plugin("two"));
    std::fs::write(at.join("one.wasm"), &one).unwrap();
    std::fs::write(at.join("two.wasm"), &two).unwrap();
    let pins = format!(
        "one = 'sha256:{}'\ntwo = 'sha256:{}'\n",
        digest(&one),
        digest(&two)
    );
    let tenant = |name: &str| {
        format!(
            "[tenant.{name}]\noutput = 'out/{name}'\nworkflows = ['w']\ninputs = ['in/{name}']\n\
             [tenant.{name}.plugins]\n{pins}"
        )
    };
    let toml = format!(
        "model = 'ppocr'\n[workflow.w]\nplugin = ['one.wasm', 'two.wasm']\nplugin-limit.memory = '64MiB'\n\
         {}[tenant.a.limits]\ntime = '1s'\n{}",
        tenant("a"),
        tenant("b")
    );
    std::fs::write(at.join("ocr-host.toml"), toml).unwrap();
    let (a, b) = (at.join("in/a"), at.join("in/b"));
    std::fs::create_dir_all(&a).unwrap();
    std::fs::create_dir_all(&b).unwrap();
    // A's end in every way, mixed; B's are read beside and behind them.
    for round in 0..3 {
        for act in ["fill", "trap", "loop", "memory"] {
            std::fs::copy(example("receipt.png"), a.join(format!("{act}-{round}.png"))).unwrap();
        }
        for (act, count) in [("search", 4), ("dump", 2)] {
            (0..count).for_each(|n| blank(&b.join(format!("{act}-{round}-{n}.png"))));
        }
    }
    std::fs::copy(example("receipt.png"), a.join("both.png")).unwrap();

    let ran = run(at, &["run", "w", "--tenant", "a", "--tenant", "b"]);
    assert_eq!(ran.code, 22, "A's plugins are stopped: {}", ran.err);
    let report = |tenant: &str| -> Value {
        let text = std::fs::read(at.join("out").join(tenant).join("w/report.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    };

    // A's ended as they were meant to, and the searches find what is there.
    let theirs = report("a");
    for round in 0..3 {
        assert_eq!(
            document(&theirs, &format!("fill-{round}.png"))["status"],
            "success"
        );
        for (act, code, word) in [
            ("trap", "plugin-trap", "unreachable"),
            ("loop", "plugin-limit", "time"),
            ("memory", "plugin-limit", "memory"),
        ] {
            let ended = document(&theirs, &format!("{act}-{round}.png"));
            let errors = ended["errors"].as_array().unwrap();
            assert_eq!(errors.len(), 2, "both plugins: {ended:#}");
            for error in errors {
                let said = error["message"].as_str().unwrap();
                assert!(error["code"] == code && said.contains(word), "{act}: {error}");
            }
        }
    }
    for id in ["one", "two"] {
        let both = std::fs::read(at.join(format!("out/a/w/both.{id}"))).unwrap();
        assert!(
            both.ends_with(b"found"),
            "the search finds what the same memory holds"
        );
        let filled = std::fs::read(at.join(format!("out/a/w/fill-0.{id}"))).unwrap();
        assert!(
            holds(&filled, &CANARY) && holds(&filled, WORD),
            "so does that of files"
        );
    }

    // B's find nothing: not in their memories, and not in anything that was written for them.
    let ours = report("b");
    assert_eq!(ours["exit_code"], 0, "{ours:#}");
    let (mut searched, mut dumped) = (0, 0);
    for (path, bytes) in files(&at.join("out/b")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            !holds(&bytes, &CANARY) && !holds(&bytes, WORD),
            "{name} holds what is A's"
        );
        if name.starts_with("search") {
            assert_eq!(bytes, b"clean", "{name}");
            searched += 1;
        } else if name.starts_with("dump") {
            assert_eq!(bytes.len(), GROWN << 16, "{name} is the whole memory");
            dumped += 1;
        }
    }
    assert_eq!((searched, dumped), (24, 12), "two plugins, three rounds");
    assert!(!holds(ran.out.as_bytes(), &CANARY));
}
