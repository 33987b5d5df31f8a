//! The two ends of a step, and changes to its rows between steps.

/// A stretch `start .. end` of one row's context, of which there are `chunks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Row of the batch.
    pub row: usize,
    /// First token.
    pub start: usize,
    /// One past the last token.
    pub end: usize,
    /// Stretches that the row has.
    pub chunks: usize,
}

/// How attention's work is shared out: contexts are cut into chunks of 64, 96, .. 512 tokens, of the length whose rounds of
/// `attention_rows` items cost least; an item's start and end cost as much as 32 tokens. Lengths that make more than
/// `capacity` items don't compete. Returns the length and the items.
pub fn plan_attention(lengths: &[usize], attention_rows: usize, capacity: usize) -> (usize, Vec<Item>) {
    let items_of = |chunk: usize| lengths.iter().map(|length| length.div_ceil(chunk)).sum::<usize>();
    let cost = |chunk: usize| match items_of(chunk) {
        count if count > capacity => 0x3f_ffff,
        count => (count.div_ceil(attention_rows) * (chunk + 32)).min(0x3f_ffff),
    };
    let chunk = (0..15)
        .map(|choice| 64 + 32 * choice)
        .min_by_key(|&chunk| cost(chunk))
        .expect("15 choices");
    let items = lengths.iter().enumerate().flat_map(|(row, &length)| {
        let chunks = length.div_ceil(chunk);
        (0..chunks).map(move |c| Item {
            row,
            start: c * chunk,
            end: length.min((c + 1) * chunk),
            chunks,
        })
    });
    (chunk, items.collect())
}

#[cfg(feature = "cuda")]
mod cuda {
    use crate::dimensions::{EXPERTS, MAX_ROWS};
    use crate::error::Result;
    use crate::ffi::{Address, Shape, WORDS, Words, arguments};
    use crate::step::{FIXED_CHUNK, ITEMS, RowBuffers, Rows, Step};
    use crate::tiles::attention_rows;

    impl Step {
        /// `x`, `normed` for layer 0, and the plan of attention; clears the experts' counts.
        pub(crate) fn begin(&self, tokens: usize, token_ids: Address, rows: &Rows) -> Result<()> {
            assert!((1..=MAX_ROWS).contains(&tokens), "{tokens} rows");
            let s = &self.scratch;
            let fixed_chunk = if self.options.deterministic {
                FIXED_CHUNK
            } else {
                0
            };
            let arguments = arguments![
                token_ids,
                rows.lengths,
                self.embed_tokens,
                self.layers[0].input_norm,
                s.x.address,
                s.normed.address,
                tokens as i32,
                attention_rows(tokens) as i32,
                s.items.address,
                s.plan.address,
                s.expert_counts.address,
                (self.layers.len() * EXPERTS) as i32,
                ITEMS as i32,
                fixed_chunk as i32,
            ];
            // SAFETY: scratch has room for 256 rows; ids were checked when they were set or come from the head; ITEMS
            // suffices for every batch (`step.rs`).
            unsafe {
                self.gpu.launch(
                    "step_begin",
                    Shape::new([tokens as u32 + 1, 1, 1], 256),
                    arguments,
                )
            }
        }

        /// Takes the tokens that the head chose: they become the rows' next ones, lengths grow, history is written.
        pub(crate) fn end(&self, tokens: usize, rows: &RowBuffers, history_pitch: usize) -> Result<()> {
            let arguments = arguments![
                rows.best.address,
                rows.tokens.address,
                rows.lengths.address,
                rows.history.address,
                rows.history_lengths.address,
                history_pitch as i32,
                tokens as i32,
            ];
            // SAFETY: `rows` has at least `tokens` rows and a history of that pitch.
            unsafe { self.gpu.launch("step_end", Shape::new([1, 1, 1], 256), arguments) }
        }

        /// Integers to consecutive places.
        ///
        /// # Safety
        /// `to` has room for them.
        pub(crate) unsafe fn write_words(&self, to: Address, values: &[i32]) -> Result<()> {
            for (chunk, values) in values.chunks(WORDS).enumerate() {
                let mut words = Words([0; WORDS]);
                words.0[..values.len()].copy_from_slice(values);
                let arguments = arguments![to.at::<i32>(chunk * WORDS), values.len() as i32, &words];
                let shape = Shape::new([1, 1, 1], 256).waiting();
                // SAFETY: the caller's promise; the words travel inside the launch.
                unsafe { self.gpu.launch("write_words", shape, arguments) }?;
            }
            Ok(())
        }

        /// A decoding row's next token, its length with it, and the length of its history.
        pub(crate) fn set_row(
            &self,
            row: usize,
            token: u32,
            length: usize,
            history_length: usize,
        ) -> Result<()> {
            assert!(row < self.options.widest_batch(), "row {row}");
            let arguments = arguments![
                self.rows.tokens.address,
                self.rows.lengths.address,
                self.rows.history_lengths.address,
                row as i32,
                token as i32,
                length as i32,
                history_length as i32,
            ];
            // SAFETY: the row exists.
            unsafe {
                self.gpu
                    .launch("set_row", Shape::new([1, 1, 1], 1).waiting(), arguments)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_covers_every_context_once() {
        let lengths = [1301, 1, 32, 0, 64, 65, 500, 31];
        let (chunk, items) = plan_attention(&lengths, 26, 8192);
        for (row, &length) in lengths.iter().enumerate() {
            let own: Vec<&Item> = items.iter().filter(|item| item.row == row).collect();
            assert_eq!(own.len(), length.div_ceil(chunk));
            assert!(own.iter().all(|item| item.chunks == own.len()));
            assert_eq!(
                own.iter().map(|item| item.end - item.start).sum::<usize>(),
                length
            );
            assert!(own.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }

    #[test]
    fn one_short_context_is_cut_small_and_many_long_ones_coarsely() {
        // 278 tokens on 26 rows of blocks: one round whatever the length, so the shortest.
        assert_eq!(plan_attention(&[278], 26, 8192).0, 64);
        // Work for many rounds: an item's overhead counts, so the longest.
        assert_eq!(plan_attention(&[8192; 256], 156, 8192).0, 512);
    }

    #[test]
    fn a_plan_never_passes_its_capacity_while_chunks_of_512_fit() {
        for length in [300, 900, 2000, 4000, 8192] {
            let lengths = [length; 256];
            let (_, items) = plan_attention(&lengths, 156, 8192);
            assert!(items.len() <= 8192, "{} items at {length}", items.len());
        }
        let (chunk, items) = plan_attention(&[512; 4], 1, 4);
        assert_eq!((chunk, items.len()), (512, 4));
    }
}
