//! What stood at the edges of pages so far.

use crate::shape::{Edge, Head};
use ocr_plugin::BlockKind;

/// Pages back that a head may have stood last: left and right pages differ, and a chapter's first page has none.
const PAGES_BACK: u32 = 6;

/// Pages on which a block stood before it counts as a head.
const TIMES: u32 = 2;

/// The same for what the engine took for a heading.
const TIMES_FOR_HEADINGS: u32 = 3;

/// Most heads that are remembered; the oldest go first.
const MOST: usize = 64;

/// What is made of a block.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// What it is, where it is furniture.
    pub found: Option<BlockKind>,
    /// Pages that were handed on with it, because nobody could know.
    pub missed_on: Vec<u32>,
}

/// The blocks at the edges of the last pages.
#[derive(Debug, Default)]
pub struct Memory {
    known: Vec<Known>,
    /// Of the page under work.
    new: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    /// As it stood last.
    head: Head,
    times: u32,
    /// Pages on which it was left as text.
    kept_on: Vec<u32>,
}

impl Memory {
    /// What a block is, by what stood there before; it is remembered.
    pub fn judge(&mut self, head: &Head, kind: BlockKind) -> Verdict {
        let is_heading = matches!(kind, BlockKind::Title | BlockKind::Heading);
        let is_same = |k: &Known| {
            let back = head.page.abs_diff(k.head.page);
            (1..=PAGES_BACK).contains(&back) && head.stands_where(&k.head) && head.says_what(&k.head)
        };
        let at = self.known.iter().position(is_same);
        let mut known = match at {
            Some(at) => self.known.remove(at),
            None => Known {
                head: head.clone(),
                times: 0,
                kept_on: Vec::new(),
            },
        };
        known.head = head.clone();
        known.times += 1;
        let needed = if is_heading { TIMES_FOR_HEADINGS } else { TIMES };
        // A bare number that is the page's own needs no other page to be believed.
        let own_number = head.is_bare_number() && head.numbers[0] == head.page && !is_heading;
        let is_known = known.times >= needed || own_number;
        let missed_on = match is_known {
            true => std::mem::take(&mut known.kept_on),
            false => {
                // What the engine has marked was not missed.
                known.kept_on.extend((!kind.is_furniture()).then_some(head.page));
                Vec::new()
            }
        };
        self.new.push(known);
        let kind = match head.place.edge {
            _ if head.is_bare_number() => BlockKind::PageNumber,
            Edge::Top => BlockKind::Header,
            Edge::Bottom => BlockKind::Footer,
        };
        Verdict {
            found: is_known.then_some(kind),
            missed_on,
        }
    }

    /// Ends a page: what stood on it may be found on the next one.
    pub fn end_page(&mut self) {
        // What stood last comes first, so that of two alike the nearer is taken.
        self.new.append(&mut self.known);
        std::mem::swap(&mut self.new, &mut self.known);
        self.known.truncate(MOST);
    }
}
