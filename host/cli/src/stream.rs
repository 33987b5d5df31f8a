//! `--stream`: the model's raw text as it comes, on standard error.

use ocr_model_deepseek::TextSink;
use std::io::Write;
use std::sync::Mutex;

/// Writes pieces of pages to a terminal or a log. Pages that are written at a time are told apart by a line each time
/// that the voice changes.
pub struct Stream<W> {
    state: Mutex<State<W>>,
    /// Whether a run can have more than one page.
    numbered: bool,
}

struct State<W> {
    out: W,
    page: Option<u32>,
}

impl<W: Write + Send> Stream<W> {
    /// To `out`; `numbered` names each page before its text.
    pub fn new(out: W, numbered: bool) -> Self {
        Self {
            state: Mutex::new(State { out, page: None }),
            numbered,
        }
    }
}

impl<W: Write + Send> TextSink for Stream<W> {
    fn text(&self, number: u32, piece: &str) {
        let mut state = self.state.lock().expect("no thread panics while it writes");
        let mut shown = String::with_capacity(piece.len());
        if self.numbered && state.page != Some(number) {
            shown += if state.page.is_some() { "\n" } else { "" };
            shown += &format!("--- page {number} ---\n");
        }
        state.page = Some(number);
        // What a document makes the model write must not steer the terminal.
        shown.extend(
            piece
                .chars()
                .filter(|c| !c.is_control() || matches!(c, '\n' | '\t')),
        );
        // A closed standard error is no reason to stop reading.
        let _ = state
            .out
            .write_all(shown.as_bytes())
            .and_then(|()| state.out.flush());
    }

    fn end(&self, number: u32) {
        let mut state = self.state.lock().expect("no thread panics while it writes");
        if state.page == Some(number) {
            let _ = state.out.write_all(b"\n");
            // What follows, another attempt perhaps, is named anew.
            state.page = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(numbered: bool, say: impl Fn(&Stream<Vec<u8>>)) -> String {
        let stream = Stream::new(Vec::new(), numbered);
        say(&stream);
        String::from_utf8(stream.state.into_inner().unwrap().out).unwrap()
    }

    #[test]
    fn pieces_are_joined_and_escapes_taken_out() {
        let text = said(false, |s| {
            s.text(1, "# A\u{1b}[2J");
            s.text(1, "\nb\t\u{7}c");
            s.end(1);
        });
        assert_eq!(text, "# A[2J\nb\tc\n");
    }

    #[test]
    fn pages_are_told_apart() {
        let text = said(true, |s| {
            s.text(3, "three");
            s.text(4, "four");
            s.end(4);
            s.text(4, "again");
            s.end(4);
        });
        assert_eq!(
            text,
            "--- page 3 ---\nthree\n--- page 4 ---\nfour\n--- page 4 ---\nagain\n"
        );
    }
}
