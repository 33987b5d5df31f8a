//! Running heads and feet and page numbers: what stands at the edge of a page where it stood on a page before, in
//! the same words but for numbers.
//!
//! Pages come one by one and can't be called back, so the first page that has a head is handed on before anyone can know
//! that it is one; the report then says which page that was. An engine that knows the page's layout has often marked it
//! already: this plugin finds what such an engine has missed.

#![forbid(unsafe_code)]

mod memory;
mod shape;

use memory::{Memory, Verdict};
use ocr_plugin::{
    BlockKind, Config, Diagnostic, DocInfo, Edit, Error, Page, Processor, Result, Severity, Span, log,
};
use serde::Deserialize;
use shape::{Edge, Head, Place};

/// Most lines of a head.
const MOST_LINES: usize = 2;

/// Longest head, characters.
const LONGEST: usize = 160;

/// Most blocks at one edge that are looked at: a head is rarely in more than three pieces.
const MOST_BLOCKS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    #[default]
    Mark,
    Drop,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    action: Action,
    edge: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            action: Action::default(),
            edge: 0.12,
        }
    }
}

struct RunningHeads {
    settings: Settings,
    memory: Memory,
}

impl Processor for RunningHeads {
    fn open(_: &DocInfo, config: Config) -> Result<Self> {
        let settings: Settings = config.parse()?;
        if !(settings.edge > 0.0 && settings.edge <= 0.3) {
            let why = format!("setting `edge`: {} is not above 0 and at most 0.3", settings.edge);
            return Err(Error::Config(vec![Diagnostic::new(
                Severity::Error,
                "config",
                why,
            )]));
        }
        Ok(Self {
            settings,
            memory: Memory::default(),
        })
    }

    fn process(&mut self, page: &Page) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        let mut missed = Vec::new();
        for (index, head) in candidates(page, self.settings.edge) {
            let kind = page.spans()[index].kind;
            let Verdict { found, missed_on } = self.memory.judge(&head, kind);
            missed.extend(missed_on);
            let Some(found) = found else { continue };
            match self.settings.action {
                Action::Drop => edits.push(Edit::DropSpan(index as u32)),
                // What the engine has marked is marked; it is remembered all the same.
                Action::Mark if !kind.is_furniture() => edits.push(Edit::SetKind((index as u32, found))),
                Action::Mark => {}
            }
        }
        if self.settings.action == Action::Drop {
            let marked = page
                .spans()
                .iter()
                .enumerate()
                .filter(|(_, s)| s.kind.is_furniture());
            for (index, _) in marked {
                let drop = Edit::DropSpan(index as u32);
                if !edits.contains(&drop) {
                    edits.push(drop);
                }
            }
        }
        self.memory.end_page();
        tell(page, &mut missed);
        Ok(edits)
    }
}

/// Says on which pages a head was handed on before it was known for one.
fn tell(page: &Page, missed: &mut Vec<u32>) {
    missed.sort_unstable();
    missed.dedup();
    let this = page.info().number;
    for &number in missed.iter() {
        let message = format!(
            "what stands at its edge proved to be a running head or foot on page {this}; this page was handed on \
             before and keeps it as text"
        );
        log::report(&Diagnostic::new(Severity::Note, "running-head-kept", message).on_page(number));
    }
}

/// Blocks that may be heads or feet, with their index.
fn candidates(page: &Page, edge: f64) -> Vec<(usize, Head)> {
    let at_edge = |(index, span)| Some((index, span, Place::of(page, span, edge)?));
    let mut found: Vec<(usize, &Span, Place)> = page.spans().iter().enumerate().filter_map(at_edge).collect();
    found.retain(|(_, span, _)| may_be_head(page, span));
    // From each edge inwards.
    found.sort_by(|(.., a), (.., b)| a.distance.total_cmp(&b.distance));
    let mut at_edge = [0; 2];
    found.retain(|(.., place)| {
        let count = &mut at_edge[usize::from(place.edge == Edge::Bottom)];
        *count += 1;
        *count <= MOST_BLOCKS
    });
    found.sort_by_key(|(index, ..)| *index);
    let head = |(index, span, place)| (index, Head::new(page, span, place));
    found.into_iter().map(head).collect()
}

fn may_be_head(page: &Page, span: &Span) -> bool {
    let kind = matches!(
        span.kind,
        BlockKind::Title
            | BlockKind::Heading
            | BlockKind::Paragraph
            | BlockKind::Other
            | BlockKind::Header
            | BlockKind::Footer
            | BlockKind::PageNumber
    );
    let is_short = |text: &str| {
        // No text has more characters than bytes.
        let fits = text.len() <= LONGEST || text.chars().count() <= LONGEST;
        !text.is_empty() && fits && text.lines().count() <= MOST_LINES
    };
    kind && is_short(span.text(page).trim())
}

ocr_plugin::export_processor!(RunningHeads);

#[cfg(test)]
mod tests;
