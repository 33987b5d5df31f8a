//! Logits and their argmax; the kernel keeps no logits.

use crate::math::multiply;
use half::bf16;

#[cfg(feature = "cuda")]
pub(crate) use cuda::Source;

/// The logits of one normed row.
pub fn logits(normed: &[f32], lm_head: &[bf16]) -> Vec<f32> {
    multiply(lm_head, normed)
}

/// The highest logit that is not banned; of equal ones the lower id.
pub fn argmax(logits: &[f32], banned: &[u32]) -> Option<u32> {
    let free = |id: &usize| !banned.contains(&(*id as u32));
    let best = (0..logits.len())
        .filter(free)
        .reduce(|best, id| if logits[id] > logits[best] { id } else { best });
    best.map(|id| id as u32)
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::VOCAB;
    use crate::error::Result;
    use crate::ffi::{Address, Bans, Shape, arguments};
    use crate::step::{RowBuffers, Step};
    use crate::tiles::{STREAM_TOKENS, VOCABULARY, choose};

    /// What the head reads.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Source {
        /// Up to 8 rows of a residual stream that lie here, normed on the way.
        Residual(Address),
        /// `normed`, as the last norm left it; 9 rows and more.
        Normed,
    }

    impl Step {
        /// Each row's best token to `rows.best`, which `end` must have cleared.
        pub(crate) fn head(
            &self,
            tokens: usize,
            source: Source,
            rows: &RowBuffers,
            bans: bool,
        ) -> Result<()> {
            let bans = match bans {
                true => Bans {
                    counts: rows.ban_counts.address,
                    ids: rows.ban_ids.address,
                },
                false => Bans {
                    counts: Address::NULL,
                    ids: Address::NULL,
                },
            };
            let s = &self.scratch;
            match source {
                Source::Residual(x) => {
                    assert!(tokens <= STREAM_TOKENS, "{tokens} rows");
                    let arguments =
                        arguments![x, self.norm, self.lm_head, rows.best.address, bans, tokens as i32];
                    let shape = Shape::new([VOCAB as u32 / 128, 1, 1], 256);
                    // SAFETY: the caller's rows lie there, and have a place in `best`.
                    unsafe { self.gpu.launch("lm_head_stream", shape, arguments) }
                }
                Source::Normed => {
                    let tile = choose(&VOCABULARY, tokens, self.gpu.most_shared());
                    let grid = [tile.columns_for(tokens), VOCAB as u32 / tile.rows, 1];
                    let shape = Shape::new(grid, tile.threads()).shared(tile.shared_bytes());
                    let arguments = arguments![
                        s.normed.address,
                        self.lm_head,
                        rows.best.address,
                        bans,
                        tokens as i32
                    ];
                    // SAFETY: as above.
                    unsafe { self.gpu.launch(tile.name, shape, arguments) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_equal_logits_wins_unless_banned() {
        let logits = [1.0, 3.0, 3.0, -1.0];
        assert_eq!(argmax(&logits, &[]), Some(1));
        assert_eq!(argmax(&logits, &[1]), Some(2));
        assert_eq!(argmax(&logits, &[0, 1, 2, 3]), None);
    }

    #[test]
    fn logits_by_hand() {
        let head = [1.0, 2.0, -1.0, 0.5].map(bf16::from_f32);
        assert_eq!(logits(&[2.0, 4.0], &head), [10.0, 0.0]);
    }
}
