//! Processors whose edits break the contract, or are meant to cost more than they are worth.

use super::{SPIN, formatter, limit, processor};
use crate::keeper::{Act, Beast, Cage, Ended, Ends};
use crate::skeleton::HEAP;
use ocr_document::MAX_EDITS;
use ocr_runtime::Quota::{CallBytes, Memory, Time};
use std::fmt::Write;
use std::time::Duration;

/// Bytes of an edit.
const EDIT: usize = 36;

/// Where zeros are that 10,000 edits don't reach: a list of cells.
const CELLS: u32 = (HEAP + 10_000 * EDIT) as u32;

/// Fields of an edit: where, and a number; texts are the zeros at the start of memory.
type Fields<'a> = &'a [(usize, u32)];

/// Answers these edits: a case and its fields each.
fn edits(list: &[(u32, Fields)]) -> String {
    let mut body = format!("(memory.fill (i32.const {HEAP}) (i32.const 0) (i32.const 4096))");
    for (i, (case, fields)) in list.iter().enumerate() {
        let at = HEAP + i * EDIT;
        let _ = write!(body, "(i32.store8 (i32.const {at}) (i32.const {case}))");
        for (offset, value) in *fields {
            let _ = write!(
                body,
                "(i32.store (i32.const {}) (i32.const {value}))",
                at + offset
            );
        }
    }
    answer(&body, list.len())
}

/// Answers the edits that lie at `HEAP`.
fn answer(body: &str, count: usize) -> String {
    format!(
        "{body} (call $empty) (i32.store (i32.const 2056) (i32.const {HEAP})) (i32.store (i32.const 2060) (i32.const {count}))
         AREA"
    )
}

/// The same edit, `count` times; some of its fields are its number.
fn many(count: usize, case: u32, fields: Fields, numbered: &[usize]) -> String {
    let mut store = format!("(i32.store8 (global.get $at) (i32.const {case}))");
    for (offset, value) in fields {
        let _ = write!(
            store,
            "(i32.store offset={offset} (global.get $at) (i32.const {value}))"
        );
    }
    for offset in numbered {
        let _ = write!(
            store,
            "(i32.store offset={offset} (global.get $at) (local.get $n))"
        );
    }
    let pages = (count * EDIT) / 65_536 + 2;
    let body = format!(
        "(local $n i32) (drop (memory.grow (i32.const {pages})))
         (memory.fill (i32.const {HEAP}) (i32.const 0) (i32.const {}))
         (global.set $at (i32.const {HEAP}))
         (loop $next {store}
           (local.set $n (i32.add (local.get $n) (i32.const 1))) (global.set $at (i32.add (global.get $at) (i32.const {EDIT})))
           (br_if $next (i32.lt_u (local.get $n) (i32.const {count}))))",
        count * EDIT
    );
    answer(&body, count)
}

fn edited(name: &'static str, ends: Ends, wat: &str) -> Beast {
    Beast::new(name, ends, Act::Process(processor().body("process", wat)))
}

/// One edit that is refused with this text.
fn refused(name: &'static str, why: &'static str, case: u32, fields: Fields) -> Beast {
    edited(name, Ends::Says(why), &edits(&[(case, fields)]))
}

/// So many edits of one page that making them has to be bounded.
fn laborious(name: &'static str, ends: Ends, wat: &str) -> Beast {
    edited(name, ends, wat).limits(|l| {
        l.call_bytes = 64 << 20;
        l.memory = 64 << 20;
        l.time = Duration::from_secs(8);
    })
}

pub fn beasts() -> Vec<Beast> {
    let missing = "edit 0";
    let mut beasts = vec![
        refused("a text for a block that is not there", missing, 0, &[(4, 9999)]),
        refused("a joined text for a block that is not there", missing, 1, &[(4, 9999)]),
        refused("markup for a block that is not there", missing, 2, &[(4, u32::MAX)]),
        refused("a kind for a block that is not there", missing, 3, &[(4, 3)]),
        refused("a level for a block that is not there", missing, 4, &[(4, 3)]),
        refused("a place for a block that is not there", missing, 5, &[(4, 3)]),
        refused("a parent for a block that is not there", missing, 6, &[(4, 3)]),
        refused("a parent that is not there", missing, 6, &[(4, 0), (8, 1), (12, 77)]),
        refused("a block that is its own parent", missing, 6, &[(4, 1), (8, 1), (12, 1)]),
        edited(
            "two blocks that are each other's parents",
            Ends::Says("edit 1"),
            &edits(&[(6, &[(4, 0), (8, 1), (12, 1)]), (6, &[(4, 1), (8, 1), (12, 0)])]),
        ),
        refused("an area that is turned inside out", missing, 7, &[(4, 0), (8, 90), (12, 90), (16, 3), (20, 3)]),
        edited(
            "an area outside of the page",
            Ends::Well("it is cut to the page"),
            &edits(&[(7, &[(4, 0), (8, 5000), (12, 0), (16, 6000), (20, 10)])]),
        ),
        refused("a text for a cell that is not there", missing, 8, &[(4, 2)]),
        refused("cells for a block that is no table", missing, 9, &[(4, 0)]),
        edited(
            "70,000 cells for one table",
            Ends::Says("edit 0"),
            &answer(
                &format!(
                    "(drop (memory.grow (i32.const 80))) (memory.fill (i32.const {HEAP}) (i32.const 0) (i32.const 4000000))
                     (i32.store8 (i32.const {HEAP}) (i32.const 9)) (i32.store (i32.const {}) (i32.const 2))
                     (i32.store (i32.const {}) (i32.const {})) (i32.store (i32.const {}) (i32.const 70000))",
                    HEAP + 4,
                    HEAP + 8,
                    HEAP + 4096,
                    HEAP + 12
                ),
                1,
            ),
        )
        .limits(|l| l.call_bytes = 64 << 20),
        edited(
            "a cell in row 4,294,967,295",
            Ends::Says("edit 0"),
            &cells(&[&[(4, u32::MAX), (12, 1), (16, 1)]]),
        ),
        edited(
            "a cell over 4,294,967,295 rows",
            Ends::Says("edit 0"),
            &cells(&[&[(12, u32::MAX), (16, u32::MAX)]]),
        ),
        edited("a cell over no rows", Ends::Says("edit 0"), &cells(&[&[(12, 0), (16, 0)]])),
        edited(
            "two cells in one place",
            Ends::Says("edit 0"),
            &cells(&[&[(12, 1), (16, 1)], &[(12, 1), (16, 1)]]),
        ),
        refused("a block removed that is not there", missing, 10, &[(4, 3)]),
        edited("a block removed twice",
            Ends::Well("it is gone once"), &edits(&[(10, &[(4, 0)]), (10, &[(4, 0)])])),
        edited(
            "a text for a block that was removed",
            Ends::Well("it is gone with its text"),
            &edits(&[(10, &[(4, 0)]), (0, &[(4, 0)])]),
        ),
        refused("an erased text past the end of the page's", missing, 13, &[(4, 0), (8, 5000)]),
        refused("an erased text whose end overflows", missing, 13, &[(4, 9), (8, u32::MAX)]),
        refused("an erased half of a letter", missing, 13, &[(4, 0), (8, 3)]),
        edited(
            "a kind of block that there is not",
            Ends::Trap("discriminant"),
            &edits(&[(3, &[(4, 0), (8, 200)])]),
        ),
        edited("an edit that there is not", Ends::Trap("discriminant"), &edits(&[(77, &[])])),
        edited(
            "an edit whose text is past the end of memory",
            Ends::Trap("out of bounds"),
            &edits(&[(0, &[(4, 0), (8, u32::MAX - 3), (12, 90)])]),
        ),
        edited(
            "edits past the end of memory",
            Ends::Trap("out of bounds"),
            "(call $empty) (i32.store (i32.const 2056) (i32.const 0xfffffff0)) (i32.store (i32.const 2060) (i32.const 4))
             AREA",
        ),
        edited(
            "10,000 edits that are all the same 64 KiB of text",
            limit(&[CallBytes]),
            &many(10_000, 0, &[(12, 65_536)], &[]),
        ),
        edited(
            "10,000 edits that are all the same list of 1,000 cells",
            limit(&[CallBytes]),
            &many(10_000, 9, &[(8, CELLS), (12, 1000)], &[]),
        ),
        laborious("100,001 edits", Ends::Says("more than"), &many(MAX_EDITS + 1, 4, &[], &[])),
        laborious(
            "100,000,000 edits that are not there",
            Ends::Trap("out of bounds"),
            "(call $empty) (i32.store (i32.const 2056) (i32.const 131072)) (i32.store (i32.const 2060) (i32.const 100000000))
             AREA",
        ),
        laborious(
            "a block moved 100,000 times",
            Ends::Well("moving is cheap"),
            &many(MAX_EDITS, 5, &[(8, 2)], &[]),
        ),
        laborious(
            "100,000 new blocks",
            Ends::Says("would take too long"),
            &many(MAX_EDITS, 11, &[(8, 2), (20, 9), (24, 9), (32, 20)], &[4]),
        ),
        laborious(
            "100,000 new blocks, all first",
            Ends::Says("would take too long"),
            &many(MAX_EDITS, 11, &[(8, 2), (20, 9), (24, 9), (32, 20)], &[]),
        ),
        laborious(
            "an area erased 100,000 times",
            Ends::Well("once is enough"),
            &many(MAX_EDITS, 12, &[(12, 1000), (16, 800)], &[]),
        ),
        laborious(
            "a text erased 100,000 times",
            Ends::Well("once is enough"),
            &many(MAX_EDITS, 13, &[(4, 0), (8, 2)], &[]),
        ),
        laborious(
            "a text of 500 bytes set 100,000 times",
            Ends::Well("the last one counts"),
            &many(MAX_EDITS, 0, &[(4, 1), (12, 500)], &[]),
        ),
        Beast::new(
            "changes of a document without end",
            Ends::Says("changes of a document are more than 100"),
            Act::Process(processor().body(
                "edit_document",
                "(memory.fill (i32.const 131072) (i32.const 0) (i32.const 24000)) (call $empty)
                 (i32.store (i32.const 2056) (i32.const 131072)) (i32.store (i32.const 2060) (i32.const 1000)) AREA",
            )),
        ),
        Beast::new(
            "a processor that spins over a page",
            limit(&[Time]),
            Act::Process(processor().body("process", SPIN)),
        ),
        Beast::new(
            "a processor that spins over a document",
            limit(&[Time]),
            Act::Process(processor().body("edit_document", SPIN)),
        ),
        Beast::new(
            "a processor that takes memory without end",
            limit(&[Memory]),
            Act::Process(processor().body(
                "process",
                "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 0)",
            )),
        ),
        Beast::new(
            "a processor that writes files",
            Ends::Says("only output formatters write files"),
            Act::Process(
                processor()
                    .import("", "ocr-host:plugin/output@0.1.0")
                    .body("process", "(call $output.main RET) CHECK (i32.const 0)"),
            ),
        ),
        Beast::new(
            "a formatter run as a processor",
            Ends::Trap("edits no pages"),
            Act::Do(Box::new(|cage: &Cage| match cage.load(&formatter().build()) {
                Ok(plugin) => Ended::from(cage.process(&plugin).map(drop)),
                Err(ended) => ended,
            })),
        ),
    ];
    beasts.push(edited(
        "an area erased that is turned inside out",
        Ends::Says("edit 0"),
        &edits(&[(12, &[(4, 90), (8, 90), (12, 3), (16, 3)])]),
    ));
    beasts
}

/// Writes the table's cells anew; a cell's fields are counted from its own start: row 4, column 8, rows 12, columns 16.
fn cells(list: &[Fields]) -> String {
    const CELL: usize = 48;
    let at = HEAP + 4096;
    let mut body = format!(
        "(memory.fill (i32.const {HEAP}) (i32.const 0) (i32.const 8192)) (i32.store8 (i32.const {HEAP}) (i32.const 9))
         (i32.store (i32.const {}) (i32.const 2)) (i32.store (i32.const {}) (i32.const {at}))
         (i32.store (i32.const {}) (i32.const {}))",
        HEAP + 4,
        HEAP + 8,
        HEAP + 12,
        list.len()
    );
    for (i, fields) in list.iter().enumerate() {
        for (offset, value) in *fields {
            let _ = write!(
                body,
                "(i32.store (i32.const {}) (i32.const {value}))",
                at + i * CELL + offset
            );
        }
    }
    answer(&body, 1)
}
