//! Beasts that want the file system.

use super::{formatter, limit, on_page};
use crate::keeper::{Act, Beast, Cage, Ended, Ends, page};
use ocr_runtime::Limits;
use ocr_runtime::Quota::{FileBytes, HostCalls, OutputBytes, OutputFiles};
use std::fs;
use std::time::Duration;

/// Makes a file of this name, writes a word into it and gives it back.
fn create(name: &str) -> String {
    format!(
        r#"(call $output.create @"{name}" @"text/plain" RET) CHECK (call $file.write-text HANDLE @"hello" RET) CHECK"#
    )
}

fn names(list: &[&str]) -> String {
    let all: String = list.iter().map(|name| create(name)).collect();
    format!("{all} (i32.const 0)")
}

/// What happens once, when the document is opened.
fn at_first(name: &'static str, ends: Ends, wat: &str) -> Beast {
    Beast::new(name, ends, Act::Format(formatter().body("open", wat)))
}

pub fn beasts() -> Vec<Beast> {
    let mut beasts = vec![
        on_page(
            "writing without end",
            limit(&[FileBytes]),
            "(local $f i32) (call $output.main RET) CHECK (local.set $f HANDLE)
             (loop $l (call $file.write (local.get $f) (i32.const 0) (i32.const 65536) RET) CHECK (br $l)) (unreachable)",
        ),
        on_page(
            "writing without end, deaf to errors",
            limit(&[FileBytes]),
            "(local $f i32) (local $n i32) (call $output.main RET) CHECK (local.set $f HANDLE)
             (loop $l (call $file.write (local.get $f) (i32.const 0) (i32.const 65536) RET)
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $l (i32.lt_u (local.get $n) (i32.const 5000)))) (i32.const 0)",
        ),
        on_page(
            "many files of a megabyte",
            limit(&[OutputBytes]),
            r#"(local $n i32)
               (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (i32.store8 (i32.const 100) (i32.add (i32.const 65) (local.get $n)))
                 (call $output.create (i32.const 100) (i32.const 1) @"x" RET) CHECK
                 (local.set $n (local.get $n))
                 (drop (memory.grow (i32.sub (i32.const 17) (memory.size))))
                 (call $file.write HANDLE (i32.const 0) (i32.const 1000000) RET) CHECK (br $l)) (unreachable)"#,
        )
        .limits(|l| l.memory = 64 << 20),
        on_page(
            "a million files",
            limit(&[OutputFiles]),
            r#"(local $n i32)
               (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (i32.store8 (i32.const 100) (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
                 (i32.store8 (i32.const 101) (i32.add (i32.const 97) (i32.shr_u (local.get $n) (i32.const 4))))
                 (call $output.create (i32.const 100) (i32.const 2) @"x" RET) CHECK (call $file.drop HANDLE) (br $l))
               (unreachable)"#,
        ),
        on_page(
            "files that are all kept open",
            Ends::Says("256 output files are open"),
            r#"(local $n i32)
               (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
                 (i32.store8 (i32.const 100) (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
                 (i32.store8 (i32.const 101) (i32.add (i32.const 97) (i32.shr_u (local.get $n) (i32.const 4))))
                 (call $output.create (i32.const 100) (i32.const 2) @"x" RET) CHECK (br $l)) (unreachable)"#,
        )
        .limits(|l| (l.output_files, l.handles) = (10_000, 4096)),
        on_page(
            "a million empty writes",
            limit(&[HostCalls, ocr_runtime::Quota::Time]),
            "(local $f i32) (call $output.main RET) CHECK (local.set $f HANDLE)
             (loop $l (call $file.write (local.get $f) (i32.const 0) (i32.const 0) RET) CHECK (br $l)) (unreachable)",
        ),
        on_page(
            "the page as base64, again and again",
            limit(&[FileBytes, ocr_runtime::Quota::Time]),
            "(local $f i32) (local $i i32) (call $output.main RET) CHECK (local.set $f HANDLE)
             (call $page.raster (local.get $page) RET) CHECK (local.set $i HANDLE)
             (loop $l (call $file.write-image-base64 (local.get $f) (local.get $i) (i32.const 1) (i32.const 255) RET)
               CHECK (br $l)) (unreachable)",
        )
        .deadline(Duration::from_millis(800)),
        on_page(
            "a JPEG of quality 0 and one of 255",
            Ends::Well("the quality is put in bounds"),
            "(local $f i32) (local $i i32) (call $output.main RET) CHECK (local.set $f HANDLE)
             (call $page.raster (local.get $page) RET) CHECK (local.set $i HANDLE)
             (call $file.write-image (local.get $f) (local.get $i) (i32.const 1) (i32.const 0) RET) CHECK
             (call $file.write-image (local.get $f) (local.get $i) (i32.const 1) (i32.const 255) RET) CHECK
             (i32.const 0)",
        ),
    ];
    let hidden = "has control, bidirectional or zero-width";
    let stored = "not every file system can store";
    let ends = "begins with a space or ends in a dot or a space";
    let device = "is the name of a device";
    let long: &'static str = Box::leak("x".repeat(5000).into_boxed_str());
    let refused: [(&'static str, &'static str, &'static str); 34] = [
        ("the name `../x`", "../x", "leaves the output folder"),
        ("the name `..`", "..", "leaves the output folder"),
        ("the name `.`", ".", "leaves the output folder"),
        ("the name `/etc/x`", "/etc/x", "starts with a slash"),
        ("the name `a/../../b`", "a/../../b", "leaves the output folder"),
        ("the name `a//b`", "a//b", "empty part"),
        ("the name `a/`", "a/", "empty part"),
        ("no name", "", "is empty"),
        ("the name `C:\\x`", "C:\\\\x", stored),
        ("the name `C:x`", "C:x", stored),
        ("the name `\\\\srv\\x`", "\\\\\\\\srv\\\\x", stored),
        ("the name `a:stream`", "a:stream", stored),
        ("the name `what?`", "what?", stored),
        ("the name `CON`", "CON", device),
        ("the name `nul.txt`", "nul.txt", device),
        ("the name `a/COM1.b`", "a/COM1.b", device),
        ("a name with a zero byte", "a\\00b", hidden),
        ("a name with a line break", "a\\nb", hidden),
        ("a name with an escape sequence", "\\1b[31mred", hidden),
        ("a name that ends in a dot", "dot.", ends),
        ("a name that ends in a space", "space ", ends),
        ("a name that begins with a space", " lead", ends),
        ("the name `.hidden`", ".hidden", "is hidden"),
        ("the name `a/.git/hooks/x`", "a/.git/hooks/x", "is hidden"),
        ("a name that reads backwards", "\u{202e}gpj.exe", hidden),
        ("a name with a zero-width space", "a\u{200b}b", hidden),
        ("a name with a soft hyphen", "a\u{ad}b", hidden),
        ("a name with a line separator", "a\u{2028}b", hidden),
        ("a name with a tag character", "a\u{e0041}b", hidden),
        ("a name with a byte order mark", "\u{feff}a", hidden),
        (
            "a name of 5,000 bytes",
            long,
            "5000 bytes is over the limit of 200",
        ),
        (
            "a path of 20 parts",
            "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/b",
            "nested too deeply",
        ),
        ("a name with a right-to-left mark", "a\u{200f}b", hidden),
        (
            "a name with a control character of the C1 set",
            "a\u{9b}b",
            hidden,
        ),
    ];
    for (what, name, why) in refused {
        beasts.push(on_page(what, Ends::Says(why), &names(&[name])));
    }
    beasts.extend([
        on_page(
            "a name that is not UTF-8",
            Ends::Trap("utf-8"),
            &names(&["a\\ff\\feb"]),
        ),
        on_page(
            "the same name twice",
            Ends::Says("is taken"),
            &names(&["a.txt", "a.txt"]),
        ),
        on_page(
            "names that differ in case alone",
            Ends::Says("is taken"),
            &names(&["A.txt", "a.TXT"]),
        ),
        on_page(
            "Greek names that differ in case alone",
            Ends::Says("is taken"),
            &names(&["\u{3a9}.txt", "\u{3c9}.txt"]),
        ),
        on_page(
            "names that differ in their composition alone",
            Ends::Says("is taken"),
            &names(&["caf\u{e9}.txt", "cafe\u{301}.txt"]),
        ),
        on_page(
            "a file and then a folder of its name",
            Ends::Says("a/b"),
            &names(&["a", "a/b"]),
        ),
        on_page(
            "a folder and then a file of its name",
            Ends::Says("\"a\""),
            &names(&["a/b", "a"]),
        ),
        on_page(
            "names that differ by a sharp s alone",
            Ends::Says("is taken"),
            &names(&["stra\u{df}e.txt", "STRASSE.txt"]),
        ),
        on_page(
            "Greek names that differ in their last letter's form alone",
            Ends::Says("is taken"),
            &names(&["\u{3b1}\u{3c3}.txt", "\u{3b1}\u{3c2}.txt"]),
        ),
        on_page(
            "the name `COM\u{b9}`",
            Ends::Says(device),
            &names(&["COM\u{b9}"]),
        ),
        on_page(
            "the name `CONIN$.txt`",
            Ends::Says(device),
            &names(&["CONIN$.txt"]),
        ),
        on_page(
            "a name with a filler that shows nothing",
            Ends::Says(hidden),
            &names(&["a\u{3164}b"]),
        ),
        Beast::new(
            "names that all clash, as many as it likes",
            limit(&[HostCalls, ocr_runtime::Quota::Time]),
            Act::Format(clashing()),
        )
        .deadline(Duration::from_millis(800)),
        on_page(
            "noise of 50 megapixels into a file of 6 MiB",
            limit(&[FileBytes]),
            r#"(local $c i32) (local $f i32) (local $n i32)
               (call $canvas.create (i32.const 7000) (i32.const 7000) (i32.const 0) RET) CHECK (local.set $c HANDLE)
               (drop (memory.grow (i32.const 60)))
               (loop $fill (local.set $n (i32.add (local.get $n) (i32.const 4)))
                 (i32.store (i32.add (i32.const 131072) (local.get $n))
                   (i32.mul (i32.mul (local.get $n) (local.get $n)) (i32.const 0x9e3779b1)))
                 (br_if $fill (i32.lt_u (local.get $n) (i32.const 3500000))))
               (local.set $n (i32.const 0))
               (loop $rows
                 (call $canvas.write-rows (local.get $c) (local.get $n) (i32.const 131072) (i32.const 3500000) RET) CHECK
                 (local.set $n (i32.add (local.get $n) (i32.const 500)))
                 (br_if $rows (i32.lt_u (local.get $n) (i32.const 7000))))
               (call $canvas.finish (local.get $c) RET) CHECK (local.set $c HANDLE)
               (call $output.main RET) CHECK (local.set $f HANDLE)
               (call $file.write-image-base64 (local.get $f) (local.get $c) (i32.const 0) (i32.const 90) RET) CHECK
               (i32.const 0)"#,
        )
        .limits(|l| l.time = Duration::from_secs(5)),
        at_first(
            "a further file that is called like the main one",
            Ends::Well("it lies in the formatter's own folder"),
            &names(&["doc.bad", "doc.partial"]),
        ),
        at_first(
            "a media type of 3 MB",
            Ends::Well("nobody keeps it"),
            r#"(drop (memory.grow (i32.const 60)))
               (call $output.create @"a" (i32.const 131072) (i32.const 3000000) RET) CHECK (i32.const 0)"#,
        ),
        planted("a planted link where the main file goes", "doc.bad"),
        planted("a planted link where the further files go", "doc.bad.files"),
        planted("a planted link where unfinished files go", "doc.partial"),
        Beast::new(
            "a folder in the place of the main file",
            Ends::Says("is a folder"),
            Act::Do(Box::new(|cage| {
                fs::create_dir(cage.out.join("doc.bad")).expect("the cage is ours");
                let ended = write_two(cage, || ());
                let _ = fs::remove_dir(cage.out.join("doc.bad"));
                ended
            })),
        ),
        Beast::new(
            "an output folder that is swapped for a link while it runs",
            Ends::Well("what is written goes to the folder that was there"),
            Act::Do(Box::new(|cage| {
                let aside = cage.out.with_file_name("out-aside");
                let mut swapped = false;
                let ended = write_two(cage, || {
                    if !swapped {
                        fs::rename(&cage.out, &aside).expect("the cage is ours");
                        link(&cage.outside, &cage.out);
                        swapped = true;
                    }
                });
                let _ = fs::remove_file(&cage.out);
                let _ = fs::rename(&aside, &cage.out);
                let _ = fs::remove_dir_all(cage.out.join("doc.bad.files"));
                fs::read_dir(&cage.out)
                    .expect("it is back")
                    .flatten()
                    .for_each(|e| {
                        let _ = fs::remove_dir_all(e.path());
                    });
                ended
            })),
        ),
        Beast::new(
            "an output folder that goes while it runs",
            Ends::Says("No such file or directory"),
            Act::Do(Box::new(|cage| {
                let ended = write_two(cage, || {
                    let _ = fs::remove_dir_all(&cage.out);
                });
                fs::create_dir_all(&cage.out).expect("the cage is ours");
                ended
            })),
        ),
    ]);
    beasts
}

/// A file, and then names below it: each is new, and none can be made.
fn clashing() -> crate::skeleton::Skeleton {
    formatter().body(
        "page",
        r#"(local $n i32) (call $output.create @"a" @"x" RET)
           (memory.fill (i32.const 100) (i32.const 120) (i32.const 200))
           (i32.store16 (i32.const 100) (i32.const 0x2f61))
           (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (i32.store8 (i32.const 110) (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
             (i32.store8 (i32.const 111) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 15))))
             (i32.store8 (i32.const 112) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 15))))
             (i32.store8 (i32.const 113) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 12)) (i32.const 15))))
             (i32.store8 (i32.const 114) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 16)) (i32.const 15))))
             (global.set $heap (i32.const 131072))
             (call $output.create (i32.const 100) (i32.const 198) (i32.const 0) (i32.const 0) RET) (br $l)) (unreachable)"#,
    )
}

fn link(to: &std::path::Path, at: &std::path::Path) {
    std::os::unix::fs::symlink(to, at).expect("the cage is ours");
}

/// Writes the main file and, on each page, a further one.
fn write_two(cage: &Cage, between: impl FnMut()) -> Ended {
    let wat = r#"(call $output.main RET) CHECK (call $file.write-text HANDLE @"hello" RET) CHECK
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (i32.store8 (i32.const 100) (i32.add (i32.const 97) (global.get $n)))
        (call $output.create (i32.const 100) (i32.const 1) @"x" RET) CHECK
        (call $file.write-text HANDLE @"hello" RET) CHECK (call $file.drop HANDLE) (i32.const 0)"#;
    let writer = formatter()
        .body("page", wat)
        .fields("(global $n (mut i32) (i32.const 0))");
    match cage.load(&writer.build()) {
        Ok(plugin) => cage
            .format_pages(&plugin, "{}", &[page(7), page(8)], between)
            .into(),
        Err(ended) => ended,
    }
}

/// A link to the folder outside stands where the host is going to write.
fn planted(name: &'static str, at: &'static str) -> Beast {
    let act = move |cage: &Cage| {
        let to = if at == "doc.bad" {
            cage.outside.join("secret.txt")
        } else {
            cage.outside.clone()
        };
        link(&to, &cage.out.join(at));
        let ended = write_two(cage, || ());
        if at == "doc.partial" {
            // What fails goes there.
            let failing = Cage {
                limits: Limits {
                    output_files: 1,
                    ..cage.limits.clone()
                },
                out: cage.out.clone(),
                outside: cage.outside.clone(),
                heard: cage.heard.clone(),
                cancel: cage.cancel.clone(),
                ..*cage
            };
            link(&to, &cage.out.join("doc.partial"));
            let _ = write_two(&failing, || ());
            if !cage.out.join("doc.partial").is_dir() || cage.out.join("doc.partial").is_symlink() {
                return Ended::Wrong("unfinished files are not kept in a folder".into());
            }
        }
        if cage.out.join(at).is_symlink() {
            return Ended::Wrong("the link is still there".into());
        }
        ended
    };
    Beast::new(
        name,
        Ends::Well("the link is replaced, not followed"),
        Act::Do(Box::new(act)),
    )
}
