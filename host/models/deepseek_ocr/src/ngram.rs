//! The n-gram guard: bans a token that would repeat an n-gram.
//!
//! Upstream has two rules. `infer` uses transformers': no n-gram of prompt and output may come twice. Its vLLM scripts
//! let n-grams that start further back than a window pass, look at the output only and exempt some ids. Both are the
//! same look-up: which ids have followed the last n - 1 ids, and where they last did. The guard keeps that as a table
//! that grows by one entry a token, so that a step costs a look-up and not a scan.

use std::collections::HashMap;

/// Which n-grams may not repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NgramRule {
    /// Length of the n-grams, tokens; 0 turns the guard off.
    pub size: usize,
    /// Output tokens, counted from the last, in which an n-gram must start to count; `None`: anywhere in prompt and
    /// output.
    pub window: Option<usize>,
    /// Ids that are never banned: `<td>` and `</td>`, which tables repeat by nature.
    pub allowed: Vec<u32>,
}

impl Default for NgramRule {
    fn default() -> Self {
        Self {
            size: 20,
            window: Some(90),
            allowed: vec![128_821, 128_822],
        }
    }
}

/// What a rule bans after the tokens of one sequence.
#[derive(Debug, Clone)]
pub struct NgramGuard {
    rule: NgramRule,
    /// The tokens that count, in order.
    ids: Vec<u32>,
    /// For each n - 1 ids that had a successor: their successors, each with the latest start of that n-gram in `ids`.
    successors: HashMap<Box<[u32]>, Vec<(u32, usize)>>,
}

impl NgramGuard {
    /// A guard before the first output token; `prompt` counts where the rule has no window.
    pub fn new(rule: NgramRule, prompt: &[u32]) -> Self {
        let counts_prompt = rule.window.is_none();
        let mut guard = Self {
            rule,
            ids: Vec::new(),
            successors: HashMap::new(),
        };
        if counts_prompt {
            prompt.iter().for_each(|&id| guard.push(id));
        }
        guard
    }

    /// Takes the next output token.
    pub fn push(&mut self, id: u32) {
        if let Some(context) = context(self.rule.size, &self.ids) {
            let start = self.ids.len() - context.len();
            // A look-up first: the key is copied only when it is new.
            match self.successors.get_mut(context) {
                Some(known) => match known.iter_mut().find(|(successor, _)| *successor == id) {
                    Some((_, latest)) => *latest = start,
                    None => known.push((id, start)),
                },
                None => {
                    self.successors.insert(context.into(), vec![(id, start)]);
                }
            }
        }
        if self.rule.size > 0 {
            self.ids.push(id);
        }
    }

    /// Calls `ban` with each id that must not come next, in no order.
    pub fn for_each_banned(&self, mut ban: impl FnMut(u32)) {
        let Some(known) = context(self.rule.size, &self.ids).and_then(|context| self.successors.get(context))
        else {
            return;
        };
        let first = self
            .rule
            .window
            .map_or(0, |window| self.ids.len().saturating_sub(window));
        for &(id, latest) in known {
            if latest >= first && !self.rule.allowed.contains(&id) {
                ban(id);
            }
        }
    }

    /// The ids that must not come next, ascending.
    pub fn banned(&self) -> Vec<u32> {
        let mut ids = Vec::new();
        self.for_each_banned(|id| ids.push(id));
        ids.sort_unstable();
        ids
    }
}

/// The last n - 1 of `ids`, once there are so many; never for size 0.
fn context(size: usize, ids: &[u32]) -> Option<&[u32]> {
    let length = size.checked_sub(1)?;
    ids.len().checked_sub(length).map(|start| &ids[start..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        prompt: Vec<u32>,
        output: Vec<u32>,
        size: usize,
        window: usize,
        allow: Vec<u32>,
        banned_all: Vec<u32>,
        banned_window: Vec<u32>,
    }

    fn banned(rule: NgramRule, prompt: &[u32], output: &[u32]) -> Vec<u32> {
        let mut guard = NgramGuard::new(rule, prompt);
        output.iter().for_each(|&id| guard.push(id));
        guard.banned()
    }

    #[test]
    fn both_rules_ban_what_upstreams_ban() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../tests/data/ngram.json")).unwrap();
        assert_eq!(cases.len(), 60);
        for (number, case) in cases.iter().enumerate() {
            let all = NgramRule {
                size: case.size,
                window: None,
                allowed: Vec::new(),
            };
            let windowed = NgramRule {
                size: case.size,
                window: Some(case.window),
                allowed: case.allow.clone(),
            };
            assert_eq!(
                banned(all, &case.prompt, &case.output),
                case.banned_all,
                "case {number}, all"
            );
            assert_eq!(
                banned(windowed, &case.prompt, &case.output),
                case.banned_window,
                "case {number}, window"
            );
        }
    }

    /// Against the rule as it reads, over sequences long enough that n-grams leave the window.
    #[test]
    fn table_agrees_with_a_scan_at_every_step() {
        for (size, window) in [(1, 4), (2, 7), (3, 30), (5, 90)] {
            let rule = NgramRule {
                size,
                window: Some(window),
                allowed: vec![2],
            };
            let mut guard = NgramGuard::new(rule, &[0, 1, 2]);
            let (mut ids, mut state) = (Vec::<u32>::new(), 1_u64);
            for _ in 0..400 {
                let mut scanned = Vec::new();
                for start in ids.len().saturating_sub(window)..(ids.len() + 1).saturating_sub(size) {
                    let (ngram, tail) = (&ids[start..start + size], &ids[ids.len() + 1 - size..]);
                    if ngram[..size - 1] == *tail && ngram[size - 1] != 2 {
                        scanned.push(ngram[size - 1]);
                    }
                }
                scanned.sort_unstable();
                scanned.dedup();
                assert_eq!(guard.banned(), scanned);
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let id = (state >> 33) as u32 % 4;
                ids.push(id);
                guard.push(id);
            }
        }
    }

    #[test]
    fn size_nought_bans_nothing_and_keeps_nothing() {
        let rule = NgramRule {
            size: 0,
            window: None,
            allowed: Vec::new(),
        };
        let mut guard = NgramGuard::new(rule, &[1, 1, 1]);
        guard.push(1);
        assert!(guard.banned().is_empty() && guard.ids.is_empty());
    }
}
