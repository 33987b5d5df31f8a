//! The cache's blocks: who has which.
//!
//! Invariants, checked by the property test below: every block is either free or owned by exactly one sequence; the
//! free and the owned ones together are always all of them; a block that comes back can be given out again.

/// Number of a block of the cache.
pub type BlockId = u32;

/// All blocks of a cache.
#[derive(Debug)]
pub struct Blocks {
    free: Vec<BlockId>,
    all: usize,
    block_tokens: usize,
}

impl Blocks {
    /// `count` free blocks of `block_tokens` tokens each.
    pub fn new(count: usize, block_tokens: usize) -> Self {
        assert!(block_tokens > 0, "a block holds tokens");
        Self {
            // The lowest numbers are given out first.
            free: (0..count as BlockId).rev().collect(),
            all: count,
            block_tokens,
        }
    }

    /// Blocks that nobody has.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// All blocks.
    pub fn all(&self) -> usize {
        self.all
    }

    /// Blocks that so many tokens take.
    pub fn for_tokens(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.block_tokens)
    }

    /// Adds blocks to `owned` until it holds `tokens` tokens; takes none where there are too few.
    pub fn extend(&mut self, owned: &mut Vec<BlockId>, tokens: usize) -> bool {
        let more = self.for_tokens(tokens).saturating_sub(owned.len());
        if more > self.free.len() {
            return false;
        }
        owned.extend(self.free.drain(self.free.len() - more..).rev());
        true
    }

    /// Takes all of `owned` back.
    pub fn release(&mut self, owned: &mut Vec<BlockId>) {
        self.free.append(owned);
        assert!(self.free.len() <= self.all, "a block came back twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_never_lost_nor_shared() {
        let mut blocks = Blocks::new(40, 32);
        let mut owners: Vec<Vec<BlockId>> = vec![Vec::new(); 7];
        let mut random = 12345u64;
        let mut refused = 0;
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let owner = (random >> 33) as usize % owners.len();
            match (random >> 40) % 3 {
                0 => blocks.release(&mut owners[owner]),
                _ => {
                    let before = owners[owner].len();
                    let tokens = (random >> 45) as usize % 400;
                    if blocks.extend(&mut owners[owner], tokens) {
                        assert!(owners[owner].len() * 32 >= tokens);
                    } else {
                        assert_eq!(owners[owner].len(), before);
                        refused += 1;
                    }
                }
            }
            let mut seen: Vec<BlockId> = owners.iter().flatten().chain(&blocks.free).copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..40).collect::<Vec<_>>());
        }
        assert!(refused > 100, "the test never ran out of blocks");
    }
}
