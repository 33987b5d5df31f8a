//! The decoder as its caller sees it: rows that decode together, and prompts that are prefilled together.
//!
//! All memory is taken when it is made, and one CUDA graph is recorded for each batch size. A step takes every row from
//! its token to the next one without the host: tokens, lengths and histories live on the device. So a caller may put a
//! step on the stream before it has read the last one's tokens, and look at these while it runs.
//!
//! Invariants, which every launch leans on and every method keeps: a row's length never passes its pages nor
//! `max_context` when a step starts; every entry of a block table is a page of the cache; entries past a row's pages are
//! the spare page; tokens are ids of the vocabulary.

use crate::dimensions::{HIDDEN, VOCAB};
use crate::error::{KernelError, Result};
use crate::graph::Graph;
use crate::ops::lm_head::Source;
use crate::options::StepOptions;
use crate::prompt::Stretch;
use crate::readback::Readback;
use crate::step::Step;
use crate::weights::{DecoderWeights, check};
use candle_core::{DType, Device, Tensor};
use half::bf16;

/// A sequence as it enters a row.
#[derive(Debug, Clone, Copy)]
pub struct RowState<'a> {
    /// The token that the next step reads: the newest one.
    pub token: u32,
    /// Tokens of the sequence, counting that one. The cache holds the others' keys and values.
    pub length: usize,
    /// Pages of the cache, in their order.
    pub pages: &'a [i32],
    /// Output tokens so far, counting `token`, for the n-gram rule. The last `history_tokens` of them are kept.
    pub history: &'a [u32],
}

/// Tokens of one sequence that are prefilled: the embeddings of parts lie one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct PromptPart<'a> {
    /// Tokens of the sequence that are in the cache already.
    pub start: usize,
    /// How many follow.
    pub count: usize,
    /// Pages of the cache, in their order, for all of them.
    pub pages: &'a [i32],
    /// Whether the greedy token behind the last of them is wanted; it is waited for.
    pub wants_token: bool,
}

/// A point of the decoder at which its activations can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The residual stream after this layer.
    Layer(usize),
    /// After the final norm.
    Norm,
}

/// A row that has a sequence.
#[derive(Debug, Clone, Copy)]
struct Occupied {
    /// Tokens, counting the next step's.
    length: usize,
    /// Tokens that its pages hold.
    room: usize,
}

/// The decoder on one GPU. Made and used by one thread at a time; it may move between threads.
pub struct StepDecoder {
    /// By batch size, ascending. Dropped before the buffers they point at.
    graphs: Vec<(usize, Graph)>,
    readback: Readback,
    step: Step,
    rows: Vec<Option<Occupied>>,
}

impl StepDecoder {
    /// Checks the weights, takes all memory, loads the kernels and records the graphs. `device` must come from
    /// [`open`](crate::open).
    pub fn new(device: &Device, weights: DecoderWeights, options: StepOptions) -> Result<Self> {
        let step = Step::new(device, weights, options)?;
        // SAFETY: it has one length.
        unsafe { step.write_words(step.last.lengths.address, &[1]) }?;
        let widest = step.options.widest_batch();
        let stream = step.gpu.stream().clone();
        let mut graphs = Vec::new();
        let mut batch = 1;
        while batch <= widest {
            // The driver loads a kernel at its first launch, which a recording must not be. All rows are empty, so nothing
            // is decoded.
            step.decode(batch)?;
            graphs.push((batch, Graph::record(&stream, || step.decode(batch))?));
            batch *= 2;
        }
        let rows = vec![None; step.options.max_rows];
        Ok(Self {
            graphs,
            readback: Readback::new(&stream, widest)?,
            step,
            rows,
        })
    }

    /// Device memory that `new` takes besides the weights, for a decoder of that many layers.
    pub fn bytes(layers: usize, options: &StepOptions) -> usize {
        Step::bytes(layers, options)
    }

    /// Bytes of one page in all layers.
    pub fn page_bytes(layers: usize, page_tokens: usize) -> usize {
        2 * layers * page_tokens * HIDDEN * size_of::<bf16>()
    }

    /// What it was made with.
    pub fn options(&self) -> &StepOptions {
        &self.step.options
    }

    /// A layer's keys and values [pages + 1, page, 10, 128]: the cache itself, not a copy. The last page is spare.
    pub fn cache(&self, layer: usize) -> (&Tensor, &Tensor) {
        (&self.step.keys[layer].tensor, &self.step.values[layer].tensor)
    }

    /// Puts a sequence into a row, whatever was there before.
    pub fn set_row(&mut self, row: usize, state: RowState<'_>) -> Result<()> {
        self.check_row(row)?;
        if state.token as usize >= VOCAB {
            let text = format!("row {row}: token {} is not one of the {VOCAB}", state.token);
            return Err(KernelError::argument(text));
        }
        let room = self.room(state.pages)?;
        if state.length == 0 || state.length > room {
            let text = format!(
                "row {row}: a sequence of {} tokens does not fit its {} pages; the next token counts as well",
                state.length,
                state.pages.len()
            );
            return Err(KernelError::argument(text));
        }
        self.write_table(row, state.pages)?;
        let kept = self.step.options.history_tokens.min(state.history.len());
        let history: Vec<i32> = state.history[state.history.len() - kept..]
            .iter()
            .map(|&id| id as i32)
            .collect();
        let at = self
            .step
            .rows
            .history
            .address
            .at::<i32>(row * self.step.options.history_tokens);
        // SAFETY: a row of `history_tokens`, of which at most all are written.
        unsafe { self.step.write_words(at, &history) }?;
        self.step.set_row(row, state.token, state.length, kept)?;
        self.rows[row] = Some(Occupied {
            length: state.length,
            room,
        });
        Ok(())
    }

    /// Gives a row's sequence other pages, usually one more than it had. Those it has keep their contents.
    pub fn set_pages(&mut self, row: usize, pages: &[i32]) -> Result<()> {
        self.check_row(row)?;
        let room = self.room(pages)?;
        let Some(occupied) = self.rows[row] else {
            return Err(KernelError::argument(format!(
                "row {row} has no sequence to give pages to"
            )));
        };
        // Those of its tokens that are in the cache already.
        if room + 1 < occupied.length {
            let text = format!(
                "row {row}: {} pages do not hold its {} tokens",
                pages.len(),
                occupied.length
            );
            return Err(KernelError::argument(text));
        }
        self.write_table(row, pages)?;
        self.rows[row] = Some(Occupied { room, ..occupied });
        Ok(())
    }

    /// Takes a row's sequence away: further steps leave the row alone. Steps on the stream are not affected.
    pub fn clear_row(&mut self, row: usize) -> Result<()> {
        self.check_row(row)?;
        self.step.set_row(row, 0, 0, 0)?;
        self.rows[row] = None;
        Ok(())
    }

    /// Tokens of a row's sequence, counting the one that the next step reads; `None`: the row is empty.
    pub fn length(&self, row: usize) -> Option<usize> {
        self.rows
            .get(row)
            .copied()
            .flatten()
            .map(|occupied| occupied.length)
    }

    /// Puts a step of the first `rows` rows on the stream; rows from there on must be empty. Does not wait for it.
    ///
    /// Fails, before anything is done, when a row's next token has no page left or four steps' tokens are unread.
    pub fn step(&mut self, rows: usize) -> Result<()> {
        if rows == 0 || rows > self.rows.len() {
            let text = format!(
                "a step of {rows} rows was asked for, there are {}",
                self.rows.len()
            );
            return Err(KernelError::argument(text));
        }
        if let Some(row) = self.rows[rows..].iter().position(Option::is_some) {
            let text = format!(
                "row {} has a sequence and is not among the step's {rows}",
                rows + row
            );
            return Err(KernelError::argument(text));
        }
        for (row, occupied) in self.rows.iter().enumerate() {
            if let Some(Occupied { length, room }) = occupied
                && length > room
            {
                let text = format!(
                    "row {row}: its pages hold {room} tokens and it has {length}; give it another page"
                );
                return Err(KernelError::argument(text));
            }
        }
        self.readback.check_room()?;
        let graph = self.graphs.iter_mut().find(|(batch, _)| *batch >= rows);
        let (_, graph) = graph.expect("the widest batch holds all rows");
        graph.launch()?;
        for occupied in self.rows.iter_mut().flatten() {
            occupied.length += 1;
        }
        self.readback.enqueue(self.step.rows.tokens.address, rows)
    }

    /// Waits for the oldest step whose tokens are unread and writes each row's new token to `out`; empty rows' mean
    /// nothing. Says how many rows that step had.
    pub fn tokens(&mut self, out: &mut [u32]) -> Result<usize> {
        self.readback.read(out)
    }

    /// N-gram bans that found no room (more than 128 a row) since the decoder was made. Waits for the stream.
    pub fn lost_bans(&self) -> Result<u32> {
        Ok(self.step.rows.overflows.tensor.to_vec1::<i32>()?[0] as u32)
    }

    /// Runs the embeddings of all parts, bf16 [n, 1280], through the decoder, and leaves their keys and values in the parts'
    /// pages. Does not touch any row. Says the token behind each part that wants one, in the parts' order; waits only for
    /// those.
    pub fn prefill(&mut self, embeds: &Tensor, parts: &[PromptPart<'_>]) -> Result<Vec<Option<u32>>> {
        self.check_parts(embeds, parts)?;
        let mut tokens = vec![None; parts.len()];
        let (most, mut first) = (self.step.prompt_rows(), 0);
        let mut launch = Vec::new();
        let mut rows = 0;
        for (number, part) in parts.iter().enumerate() {
            let mut done = 0;
            while done < part.count {
                let count = (most - rows).min(part.count - done);
                let stretch = Stretch {
                    start: part.start + done,
                    count,
                    pages: part.pages,
                };
                (done, rows) = (done + count, rows + count);
                launch.push((number, stretch, done == part.count));
                if rows == most {
                    self.launch(embeds, first, &launch, parts, &mut tokens)?;
                    first += rows;
                    (launch, rows) = (Vec::new(), 0);
                }
            }
        }
        if rows > 0 {
            self.launch(embeds, first, &launch, parts, &mut tokens)?;
        }
        Ok(tokens)
    }

    /// One launch, from row `first` of `embeds` on: (part, its stretch, whether the part ends with it).
    fn launch(
        &self,
        embeds: &Tensor,
        first: usize,
        launch: &[(usize, Stretch<'_>, bool)],
        parts: &[PromptPart<'_>],
        tokens: &mut [Option<u32>],
    ) -> Result<()> {
        let stretches: Vec<Stretch<'_>> = launch.iter().map(|(_, stretch, _)| *stretch).collect();
        let rows = stretches.iter().map(|stretch| stretch.count).sum();
        let embeds = embeds.narrow(0, first, rows)?;
        self.step.run_prompts(&embeds, &stretches, &mut |_, _| Ok(()))?;
        let mut row = 0;
        for &(number, stretch, ends) in launch {
            row += stretch.count;
            if ends && parts[number].wants_token {
                tokens[number] = Some(self.token_after(row - 1)?);
            }
        }
        Ok(())
    }

    /// Prefills one sequence from its first token on and shows the activations of every launch (bf16 [rows, 1280], a copy):
    /// after each layer, then after the final norm. Returns the last row's logits, f32 [129280].
    pub fn prefill_with_taps(
        &mut self,
        embeds: &Tensor,
        pages: &[i32],
        tap: &mut dyn FnMut(Stage, Tensor),
    ) -> Result<Tensor> {
        let count = embeds.dim(0)?;
        let part = PromptPart {
            start: 0,
            count,
            pages,
            wants_token: false,
        };
        self.check_parts(embeds, &[part])?;
        let most = self.step.prompt_rows();
        let mut last = 0;
        for start in (0..count).step_by(most) {
            let stretch = Stretch {
                start,
                count: most.min(count - start),
                pages,
            };
            let step = &self.step;
            step.run_prompts(
                &embeds.narrow(0, start, stretch.count)?,
                &[stretch],
                &mut |layer, rows| {
                    tap(Stage::Layer(layer), step.prompt.x.rows(rows)?);
                    Ok(())
                },
            )?;
            step.prompt_final_norm(stretch.count)?;
            tap(Stage::Norm, step.prompt.normed.rows(stretch.count)?);
            last = stretch.count - 1;
        }
        self.logits(last)
    }

    fn check_parts(&self, embeds: &Tensor, parts: &[PromptPart<'_>]) -> Result<()> {
        let rows = parts.iter().map(|part| part.count).sum::<usize>();
        check(
            "embeds",
            embeds,
            &[rows.max(1), HIDDEN],
            self.step.weights.norm.device(),
        )?;
        for part in parts {
            let (end, room) = (part.start + part.count, self.room(part.pages)?);
            if part.count == 0 || end > room {
                let text = format!(
                    "a prompt of {end} tokens, {} of them new, does not fit its {} pages",
                    part.count,
                    part.pages.len()
                );
                return Err(KernelError::argument(text));
            }
        }
        Ok(())
    }

    /// The greedy token after row `last` of the last launch.
    fn token_after(&self, last: usize) -> Result<u32> {
        let step = &self.step;
        // One row of the head's streaming kernel, which norms it for itself. `end` takes it for a row with a sequence, as its
        // length is above 0; its history has no room (pitch 0).
        step.head(1, Source::Residual(step.prompt_row(last)), &step.last, false)?;
        step.end(1, &step.last, 0)?;
        let token = step.last.tokens.rows(1)?.to_vec1::<i32>()?[0];
        Ok(token as u32)
    }

    /// The logits of row `last` of the prompts' `normed`, in f32 from bf16 operands; a share of the vocabulary at a time,
    /// because its f32 copy would take 660 MB.
    fn logits(&self, last: usize) -> Result<Tensor> {
        const SHARES: usize = 16;
        let row = self
            .step
            .prompt
            .normed
            .rows(last + 1)?
            .narrow(0, last, 1)?
            .to_dtype(DType::F32)?;
        let row = row.contiguous()?;
        let size = VOCAB / SHARES;
        let share = |n: usize| -> Result<Tensor> {
            let weights = self
                .step
                .weights
                .lm_head
                .narrow(0, n * size, size)?
                .to_dtype(DType::F32)?;
            Ok(row.matmul(&weights.t()?)?)
        };
        let shares = (0..SHARES).map(share).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&shares, 1)?.flatten_all()?)
    }

    fn check_row(&self, row: usize) -> Result<()> {
        if row >= self.rows.len() {
            return Err(KernelError::argument(format!(
                "there is no row {row}, there are {}",
                self.rows.len()
            )));
        }
        Ok(())
    }

    /// Tokens that these pages hold, each of which must be one of the cache's.
    fn room(&self, pages: &[i32]) -> Result<usize> {
        let options = &self.step.options;
        if pages.len() > options.pages_a_row() {
            let text = format!(
                "{} pages were given, a sequence has at most {}",
                pages.len(),
                options.pages_a_row()
            );
            return Err(KernelError::argument(text));
        }
        let exists = |page: &i32| usize::try_from(*page).is_ok_and(|page| page < options.pages);
        if let Some(page) = pages.iter().find(|page| !exists(page)) {
            return Err(KernelError::argument(format!(
                "there is no page {page}, there are {}",
                options.pages
            )));
        }
        Ok((pages.len() * options.page_tokens).min(options.max_context))
    }

    /// A whole row of the block table: the pages, then the spare one, which belongs to nobody.
    fn padded(&self, pages: &[i32]) -> Vec<i32> {
        let mut row = pages.to_vec();
        row.resize(self.step.options.pages_a_row(), self.step.options.pages as i32);
        row
    }

    fn write_table(&self, row: usize, pages: &[i32]) -> Result<()> {
        let at = self
            .step
            .rows
            .table
            .address
            .at::<i32>(row * self.step.options.pages_a_row());
        // SAFETY: the table has a row of `pages_a_row` entries for every row, and that many are written.
        unsafe { self.step.write_words(at, &self.padded(pages)) }
    }
}

impl Drop for StepDecoder {
    fn drop(&mut self) {
        // Buffers and graphs may go when no step uses them any more. If this fails the context is lost, and they with it.
        let _ = self.step.gpu.stream().synchronize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_may_move_between_threads() {
        fn moves<T: Send>() {}
        moves::<StepDecoder>();
    }

    #[test]
    fn the_estimate_counts_every_page_in_every_layer() {
        let few = StepOptions {
            pages: 100,
            ..StepOptions::default()
        };
        let many = StepOptions {
            pages: 101,
            ..few.clone()
        };
        let page = StepDecoder::page_bytes(12, few.page_tokens);
        assert_eq!(StepDecoder::bytes(12, &many) - StepDecoder::bytes(12, &few), page);
        assert_eq!(page, 32 * 61_440);
    }
}
