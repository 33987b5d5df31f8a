//! Prompts of several sequences through the decoder at once: the buffers and the order of the launches.
//!
//! The rows are tokens of one or several sequences. Each has a place of its own in every buffer and in the cache, so rows
//! never write to one place; all keys of a layer are written before its attention reads any, and a row reads those up to its
//! own: the causal mask. A row's results do not depend on the rows beside it: sums are taken in the same order wherever a
//! row lies. Before their wait kernels read weights and what is older than their predecessor, as in a step (`README.md`).

use crate::buffer::{Buffer, address};
use crate::dimensions::{DENSE_INTER, EXPERT_INTER, EXPERTS, HEAD_DIM, HEADS, HIDDEN, SLOTS, TOP_K};
use crate::error::Result;
use crate::ffi::{Address, PromptRows, Shape, arguments};
use crate::step::{Dense, Experts, Mlp, Step};
use crate::tiles::{
    DENSE_DOWN_SPLITS, PROMPT_ATTENTION_SHARED, PROMPT_QUERIES, PROMPT_SMALL_SHARED, PROMPT_SMALL_TILE,
    PROMPT_TILE, PROMPT_TILE_SHARED,
};
use candle_core::{DType, Device, Tensor};
use half::bf16;

/// Up to so many rows take small tiles in the products of attention. A sum is the same in both.
const FEW_ROWS: usize = 640;

/// Tokens `start .. start + count` of a sequence whose first `start` are in the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch<'a> {
    pub(crate) start: usize,
    pub(crate) count: usize,
    /// Pages of the cache, in their order.
    pub(crate) pages: &'a [i32],
}

/// What a launch passes from kernel to kernel.
pub(crate) struct PromptScratch {
    rows: usize,
    /// bf16 [rows, 1280], all four.
    pub(crate) x: Buffer,
    pub(crate) normed: Buffer,
    q: Buffer,
    attended: Buffer,
    /// bf16 [rows, 8, 896].
    inter: Buffer,
    /// f32 [rows, 8, 1280].
    slots: Buffer,
    /// i32 and f32 [rows, 6].
    top_experts: Buffer,
    top_weights: Buffer,
    /// i32 [layers, 64], and of one layer [64, rows]: which rows chose an expert.
    expert_counts: Buffer,
    expert_tokens: Buffer,
}

impl PromptScratch {
    pub(crate) fn new(layers: usize, rows: usize, device: &Device) -> Result<Self> {
        let zeros = |shape: &[usize], dtype| Buffer::zeros(shape, dtype, device);
        let wide = || zeros(&[rows, HIDDEN], DType::BF16);
        Ok(Self {
            rows,
            x: wide()?,
            normed: wide()?,
            q: wide()?,
            attended: wide()?,
            inter: zeros(&[rows, SLOTS, EXPERT_INTER], DType::BF16)?,
            slots: zeros(&[rows, SLOTS, HIDDEN], DType::F32)?,
            top_experts: zeros(&[rows, TOP_K], DType::I32)?,
            top_weights: zeros(&[rows, TOP_K], DType::F32)?,
            expert_counts: zeros(&[layers, EXPERTS], DType::I32)?,
            expert_tokens: zeros(&[EXPERTS, rows], DType::I32)?,
        })
    }

    /// What `new` takes, bytes.
    pub(crate) fn bytes(layers: usize, rows: usize) -> usize {
        let row = 4 * HIDDEN * 2 + SLOTS * EXPERT_INTER * 2 + SLOTS * HIDDEN * 4 + TOP_K * 8 + EXPERTS * 4;
        rows * row + layers * EXPERTS * 4
    }
}

/// What the kernels are told of the rows, on the device.
struct Told {
    /// Kept while launches may read it.
    _words: Tensor,
    /// Blocks of attention along the rows.
    items: usize,
    item: Address,
    lengths: Address,
    slots: Address,
    table: Address,
}

/// The words that a launch is told, and where their parts begin: items of four, lengths, slots, the table.
#[derive(Debug, PartialEq, Eq)]
struct Words {
    words: Vec<i32>,
    items: usize,
    lengths: usize,
    slots: usize,
    table: usize,
}

impl Words {
    fn new(stretches: &[Stretch<'_>], page_tokens: usize) -> Self {
        let (mut items, mut lengths, mut slots, mut table) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut row = 0;
        for stretch in stretches {
            for first in (0..stretch.count).step_by(PROMPT_QUERIES) {
                let count = PROMPT_QUERIES.min(stretch.count - first);
                items
                    .extend([row + first, count, stretch.start + first, table.len()].map(|word| word as i32));
            }
            for position in stretch.start..stretch.start + stretch.count {
                lengths.push(position as i32 + 1);
                let page = stretch.pages[position / page_tokens];
                slots.push(page * page_tokens as i32 + (position % page_tokens) as i32);
            }
            let pages = (stretch.start + stretch.count).div_ceil(page_tokens);
            table.extend_from_slice(&stretch.pages[..pages]);
            row += stretch.count;
        }
        let (items_end, lengths_end) = (items.len(), items.len() + lengths.len());
        Self {
            items: items_end / 4,
            lengths: items_end,
            slots: lengths_end,
            table: lengths_end + slots.len(),
            words: [items, lengths, slots, table].concat(),
        }
    }
}

impl Step {
    /// Rows that one launch takes.
    pub(crate) fn prompt_rows(&self) -> usize {
        self.prompt.rows
    }

    /// Runs the stretches, whose embeddings lie in `embeds` one behind the other, bf16 [rows, 1280]; their keys and values
    /// go to their pages, and the last residual stream stays in `prompt.x`. `tap` is called behind each layer.
    ///
    /// The stretches' rows are as many as `embeds` has and no more than `prompt_rows`; their pages are pages of the cache
    /// and hold them.
    pub(crate) fn run_prompts(
        &self,
        embeds: &Tensor,
        stretches: &[Stretch<'_>],
        tap: &mut dyn FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        let rows = embeds.dim(0)?;
        assert!((1..=self.prompt.rows).contains(&rows), "{rows} rows");
        assert_eq!(rows, stretches.iter().map(|stretch| stretch.count).sum::<usize>());
        let told = self.told(stretches)?;
        let p = &self.prompt;
        p.x.tensor.slice_set(embeds, 0, 0)?;
        // SAFETY: the counts of all layers.
        unsafe { self.write_words(p.expert_counts.address, &vec![0; self.layers.len() * EXPERTS]) }?;
        self.prompt_norm(rows, 0, Address::NULL, self.layers[0].input_norm, true)?;
        for number in 0..self.layers.len() {
            self.prompt_layer(rows, number, &told)?;
            tap(number, rows)?;
        }
        Ok(())
    }

    fn told(&self, stretches: &[Stretch<'_>]) -> Result<Told> {
        let words = Words::new(stretches, self.options.page_tokens);
        let count = words.words.len();
        let tensor = Tensor::from_vec(words.words, count, self.weights.norm.device())?;
        let at = address("a prompt's words", &tensor)?;
        Ok(Told {
            items: words.items,
            item: at,
            lengths: at.at::<i32>(words.lengths),
            slots: at.at::<i32>(words.slots),
            table: at.at::<i32>(words.table),
            _words: tensor,
        })
    }

    fn prompt_layer(&self, rows: usize, number: usize, told: &Told) -> Result<()> {
        let (layer, p) = (&self.layers[number], &self.prompt);
        let next_norm = self
            .layers
            .get(number + 1)
            .map_or(self.norm, |next| next.input_norm);
        let place = PromptRows {
            cos_sin: self.cos_sin.address,
            sequence_lengths: told.lengths,
            slots: told.slots,
            q: p.q.address,
            k_cache: self.keys[number].address,
            v_cache: self.values[number].address,
        };
        let arguments = arguments![p.normed.address, layer.qkv, rows as i32, place];
        // SAFETY: here and below: scratch has `rows` rows; positions lie below `max_context`, for which there are angles;
        // slots and pages are places of the cache (`run_prompts`).
        unsafe {
            match rows <= FEW_ROWS {
                true => (self.gpu).launch("qkv_rope_prompt_s", small_product(3 * HIDDEN, rows), arguments),
                false => (self.gpu).launch("qkv_rope_prompt", product(3 * HIDDEN, rows), arguments),
            }
        }?;
        let scale_log2 = (HEAD_DIM as f32).powf(-0.5) * std::f32::consts::LOG2_E;
        let arguments = arguments![
            p.q.address,
            self.keys[number].address,
            self.values[number].address,
            told.table,
            self.cache_layout(0),
            told.item,
            p.attended.address,
            scale_log2,
        ];
        let shape = Shape::new([told.items as u32, HEADS as u32, 1], 128).shared(PROMPT_ATTENTION_SHARED);
        // SAFETY: as above.
        unsafe { self.gpu.launch("prompt_attention", shape, arguments) }?;
        let arguments = arguments![p.attended.address, layer.o, p.x.address, rows as i32];
        // SAFETY: as above.
        unsafe {
            match rows <= FEW_ROWS {
                true => (self.gpu).launch("o_proj_prompt_s", small_product(HIDDEN, rows), arguments),
                false => (self.gpu).launch("o_proj_prompt", product(HIDDEN, rows), arguments),
            }
        }?;
        let weights = match &layer.mlp {
            Mlp::Dense(weights) => {
                self.prompt_norm(rows, 0, Address::NULL, layer.post_norm, false)?;
                self.prompt_dense(rows, weights)?;
                Address::NULL
            }
            Mlp::Experts(weights) => {
                self.prompt_experts(rows, number, weights, told)?;
                p.top_weights.address
            }
        };
        self.prompt_norm(rows, SLOTS, weights, next_norm, false)
    }

    /// The final norm of the rows.
    pub(crate) fn prompt_final_norm(&self, rows: usize) -> Result<()> {
        self.prompt_norm(rows, 0, Address::NULL, self.norm, false)
    }

    /// Adds slots to `x`, and norms it. `waits`: for what is no kernel.
    fn prompt_norm(
        &self,
        rows: usize,
        slots: usize,
        slot_weights: Address,
        norm: Address,
        waits: bool,
    ) -> Result<()> {
        let p = &self.prompt;
        let arguments = arguments![
            p.x.address,
            p.slots.address,
            slot_weights,
            slots as i32,
            norm,
            p.normed.address
        ];
        let shape = Shape::new([rows as u32, 1, 1], 160);
        let shape = if waits { shape.waiting() } else { shape };
        // SAFETY: as above.
        unsafe { self.gpu.launch("rms_norm", shape, arguments) }
    }

    fn prompt_dense(&self, rows: usize, weights: &Dense) -> Result<()> {
        let p = &self.prompt;
        let arguments = arguments![p.normed.address, weights.gate_up, p.inter.address, rows as i32];
        // SAFETY: as above.
        unsafe {
            self.gpu.launch(
                "dense_gate_up_m128n128",
                product(2 * DENSE_INTER, rows),
                arguments,
            )
        }?;
        let grid = [
            (HIDDEN / PROMPT_TILE) as u32,
            rows.div_ceil(PROMPT_TILE) as u32,
            DENSE_DOWN_SPLITS,
        ];
        let shape = Shape::new(grid, 256).shared(PROMPT_TILE_SHARED);
        let arguments = arguments![p.inter.address, weights.down, p.slots.address, rows as i32];
        // SAFETY: as above, with 8 slots a row.
        unsafe { self.gpu.launch("dense_down_m128n128", shape, arguments) }
    }

    fn prompt_experts(&self, rows: usize, number: usize, weights: &Experts, told: &Told) -> Result<()> {
        let p = &self.prompt;
        let counts = p.expert_counts.address.at::<i32>(number * EXPERTS);
        let arguments = arguments![
            p.x.address,
            p.slots.address,
            0i32,
            self.layers[number].post_norm,
            weights.gate,
            p.normed.address,
            p.top_experts.address,
            p.top_weights.address,
            counts,
            p.expert_tokens.address,
            p.rows as i32,
            told.lengths,
            rows as i32,
            i32::from(self.options.round_router_logits),
        ];
        let shape = Shape::new([self.gpu.processors().min(rows as u32), 1, 1], 1024);
        // SAFETY: as above; a bucket has room for every row.
        unsafe { self.gpu.launch("router_top6", shape, arguments) }?;
        // Every expert may end with a tile that is not full.
        let tiles = 2 * rows.div_ceil(PROMPT_TILE) + rows * TOP_K / PROMPT_TILE + EXPERTS;
        let shape = |of: usize| {
            Shape::new([(of / PROMPT_TILE) as u32, tiles as u32, 1], 256).shared(PROMPT_TILE_SHARED)
        };
        let rest = arguments![
            counts,
            p.expert_tokens.address,
            p.rows as i32,
            p.inter.address,
            rows as i32,
        ];
        let (name, arguments) = weights.up("expert_gate_up_prompt", p.normed.address.into(), rest);
        // SAFETY: as above; the router filled the buckets.
        unsafe { (self.gpu).launch(name, shape(2 * EXPERT_INTER), &arguments) }?;
        let rest = arguments![
            counts,
            p.expert_tokens.address,
            p.rows as i32,
            p.slots.address,
            rows as i32,
        ];
        let (name, arguments) = weights.down("expert_down_prompt", p.inter.address.into(), rest);
        // SAFETY: as above.
        unsafe { self.gpu.launch(name, shape(HIDDEN), &arguments) }
    }

    /// Where a row of the residual stream of the last launch lies.
    pub(crate) fn prompt_row(&self, row: usize) -> Address {
        assert!(row < self.prompt.rows, "row {row}");
        self.prompt.x.address.at::<bf16>(row * HIDDEN)
    }
}

/// A product of so many weight rows with so many rows of prompts.
fn product(of: usize, rows: usize) -> Shape {
    let grid = [(of / PROMPT_TILE) as u32, rows.div_ceil(PROMPT_TILE) as u32, 1];
    Shape::new(grid, 256).shared(PROMPT_TILE_SHARED)
}

/// The same in small tiles.
fn small_product(of: usize, rows: usize) -> Shape {
    let grid = [
        (of / PROMPT_SMALL_TILE) as u32,
        rows.div_ceil(PROMPT_SMALL_TILE) as u32,
        1,
    ];
    Shape::new(grid, 128).shared(PROMPT_SMALL_SHARED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_where_they_lie() {
        let stretches = [
            Stretch {
                start: 30,
                count: 70,
                pages: &[7, 3, 9, 1],
            },
            Stretch {
                start: 0,
                count: 2,
                pages: &[4, 8],
            },
        ];
        let told = Words::new(&stretches, 32);
        assert_eq!(told.items, 3);
        assert_eq!(told.words[..12], [0, 64, 30, 0, 64, 6, 94, 0, 70, 2, 0, 4]);
        let (lengths, slots) = (
            &told.words[told.lengths..told.slots],
            &told.words[told.slots..told.table],
        );
        assert_eq!((lengths.len(), slots.len()), (72, 72));
        assert_eq!((lengths[0], lengths[69], lengths[71]), (31, 100, 2));
        assert_eq!(
            (slots[0], slots[2], slots[69], slots[71]),
            (7 * 32 + 30, 3 * 32, 32 + 3, 4 * 32 + 1)
        );
        // Pages behind a sequence's end are not its rows' business.
        assert_eq!(told.words[told.table..], [7, 3, 9, 1, 4]);
    }
}
