//! What differs between two texts, as lines to read: `-` for what was expected, `+` for what is there.

/// Lines that are compared with each other; where more differ, the first are shown.
const COMPARED: usize = 1500;

/// Lines of a difference that are shown.
const SHOWN: usize = 40;

/// Lines around a difference.
const AROUND: usize = 2;

/// Bytes of a line that are shown.
const LINE_BYTES: usize = 160;

/// One line of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// How `found` differs from `expected`, with line numbers of `expected`. Bytes that are no text are counted.
pub fn readable(expected: &[u8], found: &[u8]) -> Vec<String> {
    match (std::str::from_utf8(expected), std::str::from_utf8(found)) {
        (Ok(expected), Ok(found)) => of_text(expected, found),
        _ => {
            let at = expected.iter().zip(found).position(|(a, b)| a != b);
            let at = at.unwrap_or(expected.len().min(found.len()));
            vec![format!(
                "{} bytes were expected, {} are there; the first that differs is byte {at}",
                expected.len(),
                found.len()
            )]
        }
    }
}

fn of_text(expected: &str, found: &str) -> Vec<String> {
    let old: Vec<&str> = expected.lines().collect();
    let new: Vec<&str> = found.lines().collect();
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - before;
    let after = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let (gone, come) = (&old[before..old.len() - after], &new[before..new.len() - after]);
    if gone.is_empty() && come.is_empty() {
        let end = |text: &str| {
            if text.ends_with('\n') {
                "ends its last line"
            } else {
                "does not end its last line"
            }
        };
        return vec![format!(
            "what was expected {}, what is there {}",
            end(expected),
            end(found)
        )];
    }
    let cut = gone.len() > COMPARED || come.len() > COMPARED;
    let changes = changes(
        &gone[..gone.len().min(COMPARED)],
        &come[..come.len().min(COMPARED)],
    );
    let mut lines: Vec<(usize, Change)> = Vec::new();
    let lead = before.saturating_sub(AROUND);
    lines.extend((lead..before).map(|n| (n + 1, Change::Same(old[n]))));
    let mut number = before;
    for change in changes {
        if !matches!(change, Change::New(_)) {
            number += 1;
        }
        lines.push((number, change));
    }
    let tail = old.len() - after;
    lines.extend((tail..(tail + AROUND).min(old.len())).map(|n| (n + 1, Change::Same(old[n]))));
    let total = lines.len();
    let mut shown: Vec<String> = near_changes(lines).into_iter().take(SHOWN).collect();
    if cut || shown.len() == SHOWN && total > SHOWN {
        shown.push("... and more".to_owned());
    }
    shown
}

/// The lines that changed and those beside them; a gap is told of.
fn near_changes(lines: Vec<(usize, Change)>) -> Vec<String> {
    let changed = |at: usize| {
        lines
            .get(at)
            .is_some_and(|(_, change)| !matches!(change, Change::Same(_)))
    };
    let near = |at: usize| (at.saturating_sub(AROUND)..=at + AROUND).any(changed);
    let mut shown = Vec::new();
    let mut gap = false;
    for (at, (number, change)) in lines.iter().enumerate() {
        if !near(at) {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            shown.push("    ...".to_owned());
        }
        shown.push(match change {
            Change::Same(line) => format!("{number:>5}   {}", visible(line)),
            Change::Gone(line) => format!("{number:>5} - {}", visible(line)),
            Change::New(line) => format!("      + {}", visible(line)),
        });
    }
    shown
}

/// A line whose blanks at the end and control characters are seen.
fn visible(line: &str) -> String {
    let short = &line[..line.floor_char_boundary(LINE_BYTES)];
    let mut text: String = short
        .chars()
        .map(|c| {
            if c.is_control() {
                c.escape_debug().to_string()
            } else {
                c.to_string()
            }
        })
        .collect();
    if short.len() < line.len() {
        text += " ..";
    } else if text.ends_with(' ') {
        text.push('\u{2423}');
    }
    text
}

/// The longest common subsequence of lines, walked through.
fn changes<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Change<'a>> {
    let width = new.len() + 1;
    let mut longest = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = match old[i] == new[j] {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut walked) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            walked.push(Change::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j >= new.len()
            || (i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            walked.push(Change::Gone(old[i]));
            i += 1;
        } else {
            walked.push(Change::New(new[j]));
            j += 1;
        }
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_shown_with_its_neighbours() {
        let old = "1\n2\n3\nfour\n5\n6\n7\n";
        let new = "1\n2\n3\nFOUR\n5\n6\n7\n";
        assert_eq!(
            readable(old.as_bytes(), new.as_bytes()),
            [
                "    2   2",
                "    3   3",
                "    4 - four",
                "      + FOUR",
                "    5   5",
                "    6   6"
            ]
        );
    }

    #[test]
    fn what_can_not_be_seen_is_made_visible() {
        assert_eq!(readable(b"a \n", b"a\n"), ["    1 - a \u{2423}", "      + a"]);
        assert_eq!(
            readable(b"a\n", b"a"),
            ["what was expected ends its last line, what is there does not end its last line"]
        );
        assert_eq!(
            readable(b"\x1b[31m\n", b"\n"),
            ["    1 - \\u{1b}[31m", "      + "]
        );
        assert!(readable(b"\xff\x01", b"\xff\x02\x03")[0].contains("the first that differs is byte 1"));
    }

    #[test]
    fn large_differences_end() {
        let old: String = (0..9000).map(|n| format!("a{n}\n")).collect();
        let new: String = (0..9000).map(|n| format!("b{n}\n")).collect();
        let shown = readable(old.as_bytes(), new.as_bytes());
        assert!(shown.len() <= SHOWN + 1 && shown.last().unwrap() == "... and more");
    }
}
