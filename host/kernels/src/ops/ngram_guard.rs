//! The no-repeat n-gram rule: which tokens would complete an n-gram that the output already holds.

/// Tokens that the rule bans after `history`: the last `size - 1` tokens are compared with every earlier stretch that
/// starts within the last `window` (`None`: anywhere); what followed an equal one is banned unless allowed. Ascending.
pub fn banned(history: &[u32], size: usize, window: Option<usize>, allowed: &[Option<u32>]) -> Vec<u32> {
    let first = window.map_or(0, |window| history.len().saturating_sub(window));
    let Some(last) = (history.len() + 1).checked_sub(size) else {
        return Vec::new();
    };
    let tail = &history[last..];
    let mut banned: Vec<u32> = (first..last)
        .filter(|start| history[*start..].starts_with(tail))
        .map(|start| history[start + size - 1])
        .filter(|id| !allowed.contains(&Some(*id)))
        .collect();
    banned.sort_unstable();
    banned.dedup();
    banned
}

#[cfg(feature = "cuda")]
pub(crate) use cuda::BAN_PITCH;

#[cfg(feature = "cuda")]
mod cuda {
    use crate::error::Result;
    use crate::ffi::{Shape, arguments};
    use crate::options::NgramGuard;
    use crate::step::Step;

    /// Tokens that a row may be banned (`cuda/ngram_guard.cu`); what doesn't fit is counted in `overflows`.
    pub(crate) const BAN_PITCH: usize = 128;

    impl Step {
        /// `ban_counts` and `ban_ids` of the decoding rows from their history.
        pub(crate) fn guard(&self, tokens: usize, guard: &NgramGuard) -> Result<()> {
            let allowed = guard.allowed.map(|id| id.map_or(-1, |id| id as i32));
            let rows = &self.rows;
            let arguments = arguments![
                rows.history.address,
                rows.history_lengths.address,
                self.options.history_tokens as i32,
                guard.size as i32,
                guard.window.unwrap_or(0) as i32,
                allowed[0],
                allowed[1],
                rows.ban_counts.address,
                rows.ban_ids.address,
                rows.overflows.address,
            ];
            // SAFETY: there are as many rows of history as the widest batch has.
            unsafe {
                self.gpu
                    .launch("ngram_guard", Shape::new([tokens as u32, 1, 1], 256), arguments)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_is_banned() {
        // After .. 1 2, with 1 2 3 and 1 2 4 before.
        let history = [1, 2, 3, 1, 2, 4, 1, 2];
        assert_eq!(banned(&history, 3, None, &[None, None]), [3, 4]);
        assert_eq!(banned(&history, 3, None, &[Some(4), None]), [3]);
        assert_eq!(banned(&history, 3, Some(5), &[None, None]), [4]);
        assert_eq!(banned(&history, 3, Some(4), &[None, None]), [0_u32; 0]);
    }

    #[test]
    fn short_histories_ban_nothing() {
        assert!(banned(&[], 2, None, &[]).is_empty());
        assert!(banned(&[7, 7], 4, None, &[]).is_empty());
        assert_eq!(banned(&[7, 7], 2, None, &[]), [7]);
    }
}
