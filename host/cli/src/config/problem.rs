//! What is wrong with a configuration file, shown as a compiler shows it: what, where with the line itself, how to mend
//! it. Problems are gathered, so that one look finds them all.

use crate::exit::{Exit, Failed};
use ocr_runtime::suggest;
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of the file's text.
pub type Span = Range<usize>;

/// Characters of a line that an excerpt shows at most.
const EXCERPT: usize = 110;

/// A configuration file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    /// The folder that the file's relative paths start from.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Line and column of a byte, both from 1.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        (line, before[begin..].chars().count() + 1)
    }

    /// `ocr-host.toml:12`, as messages and `config show` name a place.
    pub fn line(&self, at: usize) -> String {
        format!("{}:{}", self.path.display(), self.place(at).0)
    }
}

impl Source {
    /// `ocr-host.toml:12 [workflow.papers]`: the same with the table that it stands in, none at the head.
    pub fn line_in_table(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = self.text[before.len()..].lines().next().unwrap_or_default();
        // The line itself may be the table's, where its name is the place.
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let own = format!("{}{line}", &before[begin..]);
        let lines = before[..begin].lines().chain([own.as_str()]);
        let table = lines.filter_map(table_header).next_back();
        let table = table.map(|table| format!(" {table}")).unwrap_or_default();
        self.line(at) + &table
    }
}

/// The header of a table in a line. An array's items may begin with a bracket too, but not with a bare word.
fn table_header(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let name = line.trim_start_matches('[');
    let end = line.rfind(']')? + 1;
    let is_header = line.starts_with('[') && name.starts_with(|c: char| c.is_ascii_alphabetic());
    is_header.then(|| &line[..end])
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// A run would go on.
    Warning,
    /// A run would not begin.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub weight: Weight,
    /// Where in the file.
    pub at: Span,
    /// What is wrong.
    pub message: String,
    /// Stands under the place itself.
    pub label: String,
    /// Further places, each with what it has to do with it.
    pub also: Vec<(Span, String)>,
    /// How to mend it.
    pub help: Option<String>,
}

impl Problem {
    pub fn error(at: Span, message: impl Into<String>) -> Self {
        Self {
            weight: Weight::Error,
            at,
            message: message.into(),
            label: String::new(),
            also: Vec::new(),
            help: None,
        }
    }

    pub fn warning(at: Span, message: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::error(at, message)
        }
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn also(mut self, at: Span, label: impl Into<String>) -> Self {
        self.also.push((at, label.into()));
        self
    }

    /// The problem with the lines it is about.
    pub fn show(&self, source: &Source) -> String {
        let word = match self.weight {
            Weight::Warning => "warning",
            Weight::Error => "error",
        };
        let places =
            || std::iter::once((&self.at, &self.label)).chain(self.also.iter().map(|(at, l)| (at, l)));
        let widest = places()
            .map(|(at, _)| source.place(at.start).0)
            .max()
            .unwrap_or(1);
        let margin = widest.to_string().len();
        let mut shown = format!("{word}: {}\n", plain(&self.message));
        for (n, (at, label)) in places().enumerate() {
            let (line, column) = source.place(at.start);
            let arrow = if n == 0 { "-->" } else { ":::" };
            let (text, start, marks) = excerpt(source, at);
            let _ = write!(
                shown,
                "{:margin$}{arrow} {}:{line}:{column}\n{:margin$} |\n{line:margin$} | {text}\n{:margin$} | {:start$}{}",
                "",
                source.path.display(),
                "",
                "",
                "",
                "^".repeat(marks),
            );
            if !label.is_empty() {
                let _ = write!(shown, " {}", plain(label));
            }
            shown.push('\n');
        }
        if let Some(help) = &self.help {
            let _ = writeln!(shown, "{:margin$} = help: {}", "", plain(help));
        }
        shown
    }
}

/// Without what would steer a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The line at a place, where the place begins in it, and how many characters of it are meant.
fn excerpt(source: &Source, at: &Span) -> (String, usize, usize) {
    let (line, column) = source.place(at.start);
    let text = plain(source.text.lines().nth(line - 1).unwrap_or_default());
    let meant = source.text.get(at.clone()).unwrap_or_default();
    let marks = meant.lines().next().unwrap_or_default().chars().count().max(1);
    let length = text.chars().count();
    if length <= EXCERPT {
        return (
            text,
            column - 1,
            marks.min((length + 1).saturating_sub(column - 1)).max(1),
        );
    }
    // A long line is cut around the place.
    let from = (column - 1).saturating_sub(EXCERPT / 3);
    let cut: String = text.chars().skip(from).take(EXCERPT).collect();
    let (before, start) = match from {
        0 => ("", column - 1),
        _ => ("...", column - 1 - from + 3),
    };
    let after = if from + EXCERPT < length { "..." } else { "" };
    let marks = marks.min(EXCERPT.saturating_sub(start).max(1));
    (format!("{before}{cut}{after}"), start, marks)
}

/// All that is wrong with a file.
#[derive(Debug, Clone, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        // Two checks may come upon the same thing.
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub fn extend(&mut self, others: Problems) {
        others.0.into_iter().for_each(|problem| self.push(problem));
    }

    pub fn retain(&mut self, keep: impl FnMut(&Problem) -> bool) {
        self.0.retain(keep);
    }

    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub fn errors(&self) -> usize {
        self.0.iter().filter(|p| p.weight == Weight::Error).count()
    }

    pub fn warnings(&self) -> usize {
        self.0.len() - self.errors()
    }

    /// All of them, in the file's order.
    pub fn show(&self, source: &Source) -> String {
        let mut sorted: Vec<&Problem> = self.0.iter().collect();
        sorted.sort_by_key(|p| (p.at.start, p.at.end));
        let shown: Vec<String> = sorted.iter().map(|p| p.show(source)).collect();
        shown.join("\n")
    }

    /// `Err` with all of them where one is an error.
    pub fn result(&self, source: &Source) -> Result<(), Failed> {
        match self.errors() {
            0 => Ok(()),
            count => {
                let those = if count == 1 { "error" } else { "errors" };
                let all = self.show(source);
                // The program writes `error: ` before it, as it stands before each problem.
                let why = format!(
                    "{} has {count} {those}\n\n{}",
                    source.path.display(),
                    all.trim_end()
                );
                Err(Failed::new(Exit::Config, why))
            }
        }
    }
}

/// The one of `known` that `word` is most like, if it is like one.
pub fn like<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.replace('_', "-");
    let known: Vec<&str> = known.into_iter().collect();
    // `plugins` for `plugin`, `format` for `formats`.
    let cut = |other: &&&str| word.starts_with(**other) || other.starts_with(word.as_str());
    let begins = || known.iter().find(cut).copied().filter(|_| word.len() >= 3);
    suggest::nearest(&word, &known).or_else(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            path: "o.toml".into(),
            text: text.into(),
        }
    }

    #[test]
    fn a_problem_shows_its_line_and_how_to_mend_it() {
        let source = source("a = 1\nfrmat = 'md'\n");
        let problem = Problem::error(6..11, "there is no key `frmat`")
            .label("did you mean `format`?")
            .help("see `ocr-host config schema`");
        let expected = "\
error: there is no key `frmat`
 --> o.toml:2:1
  |
2 | frmat = 'md'
  | ^^^^^ did you mean `format`?
  = help: see `ocr-host config schema`
";
        assert_eq!(problem.show(&source), expected);
    }

    #[test]
    fn places_count_characters_and_survive_the_end() {
        let source = source("ä = 'ö'\nb");
        let at = source.text.find('ö').unwrap();
        assert_eq!(source.place(at), (1, 6));
        assert_eq!(source.place(source.text.len()), (2, 2));
        let last = Problem::error(source.text.len()..source.text.len(), "cut").show(&source);
        assert!(last.contains("2 | b\n  |  ^"), "{last}");
    }

    #[test]
    fn nothing_of_a_file_steers_the_terminal() {
        let long = format!("a = '\u{1b}[2J{}'", "x".repeat(500));
        let source = source(&long);
        let shown = Problem::error(4..8, "\u{7}wrong").show(&source);
        assert!(
            !shown.contains(['\u{1b}', '\u{7}']) && shown.contains("..."),
            "{shown}"
        );
    }

    #[test]
    fn a_slip_is_recognised() {
        let known = ["format", "plugin", "pages", "page-timeout"];
        assert_eq!(like("frmat", known), Some("format"));
        assert_eq!(like("plugins", known), Some("plugin"));
        assert_eq!(like("page_timeout", known), Some("page-timeout"));
        assert_eq!(like("pgaes", known), Some("pages"));
        assert_eq!(like("colour", known), None);
        assert_eq!(like(&"x".repeat(1000), known), None);
    }
}
