//! The n-gram guard: bans a token that would repeat an n-gram.

/// Which n-grams may not repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NgramRule {
    /// Length of the n-grams, tokens; 0 turns the guard off.
    pub size: usize,
    /// Output tokens, counted from the last, in which an n-gram must start to count; `None`: anywhere.
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
