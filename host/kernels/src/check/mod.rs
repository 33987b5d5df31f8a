//! Holds every kernel against its twin on the CPU, on a GPU. Used by this crate's tests and by `examples/step_check.rs`.
//!
//! Each operation gets fresh random inputs and is compared alone: the twin reads what the kernel read. Layer 0 is dense,
//! layer 1 has experts. From 13 rows on, row 11 has no sequence.

mod host;
mod synthetic;
mod vision;

pub use synthetic::{normal, walk, walk_weights};
pub use vision::{vision, vision_rows};

use crate::buffer::Buffer;
use crate::dimensions::{EXPERT_INTER, HEAD_DIM, HIDDEN, MAX_ROWS, SLOTS, TOP_K, VOCAB};
use crate::error::Result;
use crate::ops::experts::ExpertWeights;
use crate::ops::lm_head::Source;
use crate::ops::{attention, dense_mlp, experts, lm_head, ngram_guard, norm, o_proj, qkv_rope, router, step};
use crate::options::{NgramGuard, StepOptions};
use crate::step::{Dense, Experts, ITEMS, Mlp, Rows, Step};
use crate::tiles::{STREAM_TOKENS, attention_rows};
use candle_core::{DType, Device, Tensor};
use half::bf16;
use host::{HostWeights, in_parallel, ints, matrix, relative_error, wide};

/// What bf16 results may differ by, relative: they keep 8 bits, and a norm's are rounded twice.
const BF16_LIMIT: f32 = 6e-3;
/// What softmax values in f32 may differ by.
const F32_LIMIT: f32 = 1e-3;
/// How far below the best logit the chosen one may lie, relative: sums of 1,280 products in another order.
const LOGIT_LIMIT: f32 = 2e-3;
/// Rows of the head that are compared; its twin takes 165 million products a row.
const HEAD_ROWS: usize = 24;

/// One comparison.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The operation, and which of its results.
    pub what: &'static str,
    /// Rows of the batch.
    pub rows: usize,
    /// Relative error; infinite where something exact differs.
    pub error: f32,
    /// What it may be.
    pub limit: f32,
}

impl Comparison {
    /// Whether the error is within its limit; not a number is not.
    pub fn holds(&self) -> bool {
        self.error <= self.limit
    }
}

/// Compares every operation at each of these batch sizes and shows each comparison as it is made.
pub fn operations(device: &Device, sizes: &[usize], show: &mut dyn FnMut(&Comparison)) -> Result<()> {
    let weights = synthetic::telling_weights(2, device)?;
    let options = StepOptions {
        max_rows: MAX_ROWS,
        pages: 5000,
        max_context: 1312,
        history_tokens: 256,
        ngram: Some(NgramGuard {
            size: 4,
            window: Some(40),
            allowed: [Some(2), None],
        }),
        ..StepOptions::default()
    };
    let host = HostWeights::new(&weights)?;
    let step = Step::new(device, weights, options)?;
    for cache in step.keys.iter().chain(&step.values) {
        cache
            .tensor
            .slice_set(&normal(cache.tensor.dims(), 0.0, 1.0, device)?, 0, 0)?;
    }
    for &rows in sizes {
        Bench::new(&step, &host, device, rows, show)?.all()?;
    }
    Ok(())
}

/// One batch.
struct Bench<'a> {
    step: &'a Step,
    host: &'a HostWeights,
    device: &'a Device,
    rows: usize,
    lengths: Vec<usize>,
    tokens: Vec<u32>,
    pages: Vec<Vec<i32>>,
    view: Rows,
    show: &'a mut dyn FnMut(&Comparison),
}

impl<'a> Bench<'a> {
    fn new(
        step: &'a Step,
        host: &'a HostWeights,
        device: &'a Device,
        rows: usize,
        show: &'a mut dyn FnMut(&Comparison),
    ) -> Result<Self> {
        const TELLING: [usize; 8] = [1301, 1, 32, 33, 64, 65, 500, 31];
        let length = |row: usize| match row {
            11 if rows > 12 => 0,
            row if row < TELLING.len() => TELLING[row],
            row => 1 + row * 7919 % 400,
        };
        let lengths: Vec<usize> = (0..rows).map(length).collect();
        // Pages in no order: 5,000 is no multiple of 1,237, so the numbers do not repeat.
        let mut next = 0;
        let mut page = || {
            next += 1;
            next * 1237 % 5000
        };
        let pages = lengths
            .iter()
            .map(|length| (0..length.div_ceil(32)).map(|_| page()).collect())
            .collect();
        let tokens = (0..rows).map(|row| (row * 104_729 % VOCAB) as u32).collect();
        let view = step.decoding_rows();
        Ok(Self {
            step,
            host,
            device,
            rows,
            lengths,
            tokens,
            pages,
            view,
            show,
        })
    }

    fn all(&mut self) -> Result<()> {
        self.put_rows()?;
        self.begin()?;
        for layer in 0..2 {
            self.qkv_and_attention(layer)?;
        }
        self.dense()?;
        self.experts()?;
        self.head()?;
        self.guard()?;
        self.end()
    }

    fn put_rows(&self) -> Result<()> {
        let (step, pitch) = (self.step, self.step.options.pages_a_row());
        for row in 0..self.rows {
            let mut pages = self.pages[row].clone();
            pages.resize(pitch, step.options.pages as i32);
            // SAFETY: a row of the table has `pitch` entries.
            unsafe { step.write_words(self.view.table.at::<i32>(row * pitch), &pages) }?;
            step.set_row(row, self.tokens[row], self.lengths[row], 0)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let (step, rows) = (self.step, self.rows);
        step.begin(rows, step.rows.tokens.address, &self.view)?;
        let embedding = |row: &u32| &self.host.embed_tokens[*row as usize * HIDDEN..][..HIDDEN];
        let want: Vec<f32> = self
            .tokens
            .iter()
            .flat_map(embedding)
            .map(|v| v.to_f32())
            .collect();
        let x = wide(&step.scratch.x, rows)?;
        self.exact("step_begin x", x == want);
        let input_norm = &self.host.layers[0].input_norm;
        let normed: Vec<f32> = x
            .chunks(HIDDEN)
            .flat_map(|x| norm::rms_norm(x, input_norm))
            .collect();
        self.close(
            "step_begin normed",
            &wide(&step.scratch.normed, rows)?,
            &normed,
            BF16_LIMIT,
        );

        let (chunk, items) = step::plan_attention(&self.lengths, attention_rows(rows) as usize, ITEMS);
        let plan = ints(&step.scratch.plan, 2)?;
        let got = ints(&step.scratch.items, items.len())?;
        let want = items
            .iter()
            .flat_map(|item| [item.row, item.start, item.end, item.chunks]);
        let same = plan == [items.len() as i32, chunk as i32] && want.eq(got.iter().map(|v| *v as usize));
        self.exact("step_begin plan", same);
        self.exact(
            "step_begin counts",
            ints(&step.scratch.expert_counts, 2)?
                .iter()
                .all(|count| *count == 0),
        );

        Ok(())
    }

    fn qkv_and_attention(&mut self, layer: usize) -> Result<()> {
        let (step, host, rows) = (self.step, self.host, self.rows);
        let weights = &host.layers[layer];
        self.fill(&step.scratch.x, 0.0, 3.0)?;
        let normed = self.put_normed(&weights.input_norm)?;
        step.qkv_rope(rows, layer, &self.view)?;
        let want = in_parallel(rows, |row| {
            let position = self.lengths[row].saturating_sub(1);
            let turns = &host.turns[position * HEAD_DIM / 2..][..HEAD_DIM / 2];
            qkv_rope::qkv_rope(&normed[row * HIDDEN..][..HIDDEN], &weights.qkv, turns)
        });
        let (keys, values) = (
            matrix(&step.keys[layer].tensor)?,
            matrix(&step.values[layer].tensor)?,
        );
        let live: Vec<usize> = (0..rows).filter(|row| self.lengths[*row] > 0).collect();
        let newest =
            |cache: &[bf16], row: usize| host::cached(cache, &self.pages[row], self.lengths[row] - 1);
        let got_q = wide(&step.scratch.q, rows)?;
        let q = |row: usize| got_q[row * HIDDEN..][..HIDDEN].to_vec();
        let errors = [
            self.error(&live, q, |row| want[row].q.clone()),
            self.error(&live, |row| newest(&keys, row), |row| want[row].k.clone()),
            self.error(&live, |row| newest(&values, row), |row| want[row].v.clone()),
        ];
        for (what, error) in ["qkv_rope q", "qkv_rope k", "qkv_rope v"].into_iter().zip(errors) {
            self.note(what, error, BF16_LIMIT);
        }

        self.fill(&step.scratch.q, 0.0, 2.0)?;
        let q = wide(&step.scratch.q, rows)?;
        step.attention(rows, layer, &self.view)?;
        let want = in_parallel(rows, |row| {
            let context = |cache| host::context(cache, &self.pages[row], self.lengths[row]);
            attention::attention(
                &q[row * HIDDEN..][..HIDDEN],
                &context(&keys),
                &context(&values),
                HEAD_DIM,
            )
        });
        let got = wide(&step.scratch.attended, rows)?;
        let error = self.error(
            &live,
            |row| got[row * HIDDEN..][..HIDDEN].to_vec(),
            |row| want[row].clone(),
        );
        self.note("paged_attention", error, BF16_LIMIT);
        let counters = ints(&step.scratch.attention_counters, MAX_ROWS)?;
        self.exact(
            "paged_attention counters",
            counters.iter().all(|counter| *counter == 0),
        );
        Ok(())
    }

    /// `x` after the output projection of `layer`, as the twin has it; a small residual, so that the product shows.
    fn project(&mut self, layer: usize) -> Result<Vec<f32>> {
        let (step, host) = (self.step, self.host);
        self.fill(&step.scratch.attended, 0.0, 1.0)?;
        self.fill(&step.scratch.x, 0.0, 0.05)?;
        let (x, attended) = (
            wide(&step.scratch.x, self.rows)?,
            wide(&step.scratch.attended, self.rows)?,
        );
        step.o_proj(self.rows, &step.layers[layer])?;
        Ok(self.each(|row| {
            let at = row * HIDDEN..(row + 1) * HIDDEN;
            o_proj::o_proj(&x[at.clone()], &host.layers[layer].o, &attended[at])
        }))
    }

    fn dense(&mut self) -> Result<()> {
        let (step, rows) = (self.step, self.rows);
        let weights = &self.host.layers[0];
        let Mlp::Dense(dense) = step.layers[0].mlp else {
            unreachable!("layer 0 is dense")
        };
        let want = self.project(0)?;
        if rows > STREAM_TOKENS {
            step.add_projection(rows, step.layers[0].post_norm)?;
        }
        let x = wide(&step.scratch.x, rows)?;
        self.close("o_proj", &x, &want, BF16_LIMIT);
        let normed = self.each(|row| norm::rms_norm(&x[row * HIDDEN..][..HIDDEN], &weights.post_norm));
        if rows > STREAM_TOKENS {
            self.close(
                "rms_norm",
                &wide(&step.scratch.normed, rows)?,
                &normed,
                BF16_LIMIT,
            );
        }
        self.dense_mlp(&x, &normed, &dense)
    }

    fn dense_mlp(&mut self, x: &[f32], normed: &[f32], dense: &Dense) -> Result<()> {
        let (step, rows) = (self.step, self.rows);
        let (gate_up, down) = self.host.layers[0].dense();
        step.dense_gate_up(rows, step.layers[0].post_norm, dense)?;
        let inter = wide(&step.scratch.inter, rows)?;
        let got: Vec<f32> = inter
            .chunks(SLOTS * EXPERT_INTER)
            .flat_map(|row| &row[..gate_up.len() / HIDDEN / 2])
            .copied()
            .collect();
        let want = self.each(|row| dense_mlp::swiglu(&normed[row * HIDDEN..][..HIDDEN], gate_up));
        self.close("dense_gate_up", &got, &want, BF16_LIMIT);
        step.dense_down(rows, dense)?;
        if rows > STREAM_TOKENS {
            step.add_slots(rows, false, step.layers[1].input_norm)?;
        }
        let want = self.each(|row| {
            let at = row * HIDDEN..(row + 1) * HIDDEN;
            dense_mlp::dense_mlp(&x[at.clone()], &normed[at], gate_up, down)
        });
        self.close("dense_down", &wide(&step.scratch.x, rows)?, &want, BF16_LIMIT);
        Ok(())
    }

    fn experts(&mut self) -> Result<()> {
        let (step, host, rows) = (self.step, self.host, self.rows);
        let weights = &host.layers[1];
        let Mlp::Experts(addresses) = step.layers[1].mlp else {
            unreachable!("layer 1 has experts")
        };
        let want = self.project(1)?;
        step.router(rows, 1, &addresses, &self.view)?;
        let x = wide(&step.scratch.x, rows)?;
        self.close("router x", &x, &want, BF16_LIMIT);
        let want = self.each(|row| norm::rms_norm(&x[row * HIDDEN..][..HIDDEN], &weights.post_norm));
        let normed = wide(&step.scratch.normed, rows)?;
        self.close("router normed", &normed, &want, BF16_LIMIT);

        // Experts whose softmax values are closer than the sums' order can tell may stand in another order.
        let (gate, all) = weights.experts();
        let wanted = in_parallel(rows, |row| {
            router::router(&normed[row * HIDDEN..][..HIDDEN], gate, false)
        });
        let top_weights = step
            .scratch
            .top_weights
            .rows(rows)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let want: Vec<f32> = wanted.iter().flatten().map(|(_, weight)| *weight).collect();
        self.close("router weights", &top_weights, &want, F32_LIMIT);
        let chosen: Vec<usize> = ints(&step.scratch.top_experts, rows)?
            .iter()
            .map(|v| *v as usize)
            .collect();
        let same = wanted
            .iter()
            .flatten()
            .zip(&chosen)
            .filter(|((expert, _), got)| expert == *got)
            .count();
        self.note(
            "router experts elsewhere",
            1.0 - same as f32 / chosen.len() as f32,
            0.01,
        );
        if rows > STREAM_TOKENS {
            self.buckets(&chosen)?;
        }
        self.expert_mlp(&x, &normed, &chosen, &top_weights, &addresses, &all)
    }

    fn buckets(&mut self, chosen: &[usize]) -> Result<()> {
        let counts = ints(&self.step.scratch.expert_counts, 2)?;
        let buckets = ints(&self.step.scratch.expert_tokens, 2)?;
        let experts = counts.len() / 2;
        let same = (0..experts).all(|expert| {
            let bucket = &buckets[(experts + expert) * MAX_ROWS..];
            let mut got = bucket[..counts[experts + expert] as usize].to_vec();
            got.sort_unstable();
            let takes = |at: &usize| chosen[*at] == expert && self.lengths[at / TOP_K] > 0;
            let want = (0..chosen.len())
                .filter(takes)
                .map(|at| (at / TOP_K * SLOTS + at % TOP_K) as i32);
            want.eq(got)
        });
        self.exact("router buckets", same);
        Ok(())
    }

    fn expert_mlp(
        &mut self,
        x: &[f32],
        normed: &[f32],
        chosen: &[usize],
        top_weights: &[f32],
        addresses: &Experts,
        weights: &ExpertWeights<'_>,
    ) -> Result<()> {
        let (step, rows) = (self.step, self.rows);
        let live: Vec<usize> = (0..rows).filter(|row| self.lengths[*row] > 0).collect();
        let own = |row: usize| &chosen[row * TOP_K..][..TOP_K];
        step.expert_gate_up(rows, 1, addresses)?;
        let got = wide(&step.scratch.inter, rows)?;
        let inter = |row: usize| &got[row * SLOTS * EXPERT_INTER..][..SLOTS * EXPERT_INTER];
        let want = in_parallel(rows, |row| {
            experts::gate_up(&normed[row * HIDDEN..][..HIDDEN], weights, own(row))
        });
        let error = self.error(&live, |row| inter(row).to_vec(), |row| want[row].concat());
        self.note("expert_gate_up", error, BF16_LIMIT);

        step.expert_down(rows, 1, addresses)?;
        if rows > STREAM_TOKENS {
            step.add_slots(rows, true, step.norm)?;
        }
        let want = in_parallel(rows, |row| {
            let inter: Vec<Vec<f32>> = inter(row).chunks(EXPERT_INTER).map(<[f32]>::to_vec).collect();
            let slots = experts::down(&inter, weights, own(row), HIDDEN);
            let weight = |slot: usize| {
                if slot < TOP_K {
                    top_weights[row * TOP_K + slot]
                } else {
                    1.0
                }
            };
            let weighted = slots
                .iter()
                .enumerate()
                .map(|(slot, values)| (weight(slot), values.as_slice()));
            norm::add_slots(&x[row * HIDDEN..][..HIDDEN], weighted)
        });
        let got = wide(&step.scratch.x, rows)?;
        let error = self.error(
            &live,
            |row| got[row * HIDDEN..][..HIDDEN].to_vec(),
            |row| want[row].clone(),
        );
        self.note("expert_down", error, BF16_LIMIT);
        Ok(())
    }

    /// The head alone, then with its choice and one more token banned.
    fn head(&mut self) -> Result<()> {
        let (step, host, rows) = (self.step, self.host, self.rows);
        self.fill(&step.scratch.x, 0.0, 0.5)?;
        let normed = self.put_normed(&host.norm)?;
        let compared: Vec<usize> = (0..rows)
            .filter(|row| *row < HEAD_ROWS / 2 || row + HEAD_ROWS / 2 >= rows)
            .collect();
        let logits = in_parallel(compared.len(), |at| {
            lm_head::logits(&normed[compared[at] * HIDDEN..][..HIDDEN], &host.lm_head)
        });
        let source = if rows <= STREAM_TOKENS {
            Source::Residual(step.scratch.x.address)
        } else {
            Source::Normed
        };
        let mut banned: Vec<Vec<u32>> = vec![Vec::new(); rows];
        for what in ["lm_head", "lm_head banned"] {
            step.head(rows, source, &step.rows, what == "lm_head banned")?;
            let best = step.rows.best.rows(rows)?.to_vec1::<i64>()?;
            // `step_end` would clear it.
            step.rows
                .best
                .tensor
                .slice_set(&Tensor::zeros(rows, DType::I64, self.device)?, 0, 0)?;
            let got: Vec<u32> = best.iter().map(|key| u32::MAX - *key as u32).collect();
            let gaps = compared.iter().zip(&logits).map(|(row, logits)| {
                let want = lm_head::argmax(logits, &banned[*row]).expect("not all are banned");
                let (want_logit, got_logit) = (logits[want as usize], logits[got[*row] as usize]);
                let gap = (want_logit - got_logit) / want_logit.abs();
                if banned[*row].contains(&got[*row]) {
                    f32::INFINITY
                } else {
                    gap.abs()
                }
            });
            let worst = gaps.fold(0.0, f32::max);
            self.note(what, worst, LOGIT_LIMIT);
            banned = got.iter().map(|token| vec![5, *token]).collect();
            let ids: Vec<i32> = banned.iter().flatten().map(|id| *id as i32).collect();
            for (row, ids) in ids.chunks(2).enumerate() {
                // SAFETY: a row of bans has room for 128.
                unsafe {
                    step.write_words(
                        step.rows.ban_ids.address.at::<i32>(row * ngram_guard::BAN_PITCH),
                        ids,
                    )
                }?;
            }
            // SAFETY: one count a row.
            unsafe { step.write_words(step.rows.ban_counts.address, &vec![2; rows]) }?;
        }
        Ok(())
    }

    fn guard(&mut self) -> Result<()> {
        let (step, rows) = (self.step, self.rows);
        let guard = step.options.ngram.expect("the check's options have a guard");
        let pitch = step.options.history_tokens;
        let history = |row: usize| -> Vec<u32> {
            (0..row * 37 % 120)
                .map(|at| ((row + 1) * (at + 3) * (at + 11) / 7 % 3) as u32)
                .collect()
        };
        for row in 0..rows {
            let words: Vec<i32> = history(row).iter().map(|id| *id as i32).collect();
            // SAFETY: fewer than 120 of a history's 256 places.
            unsafe { step.write_words(step.rows.history.address.at::<i32>(row * pitch), &words) }?;
            step.set_row(row, self.tokens[row], self.lengths[row], words.len())?;
        }
        step.guard(rows, &guard)?;
        let counts = ints(&step.rows.ban_counts, rows)?;
        let ids = ints(&step.rows.ban_ids, rows)?;
        let same = (0..rows).all(|row| {
            let own = &ids[row * ngram_guard::BAN_PITCH..][..counts[row] as usize];
            let mut got: Vec<u32> = own.iter().map(|id| *id as u32).collect();
            got.sort_unstable();
            got == ngram_guard::banned(&history(row), guard.size, guard.window, &guard.allowed)
        });
        self.exact("ngram_guard", same && ints(&step.rows.overflows, 1)? == [0]);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let (step, rows) = (self.step, self.rows);
        let chosen: Vec<u32> = (0..rows).map(|row| (row * 7919 % VOCAB) as u32).collect();
        let keys: Vec<i64> = chosen
            .iter()
            .map(|token| (1 << 40) + i64::from(u32::MAX - token))
            .collect();
        step.rows
            .best
            .tensor
            .slice_set(&Tensor::from_vec(keys, rows, self.device)?, 0, 0)?;
        for row in 0..rows {
            step.set_row(row, self.tokens[row], self.lengths[row], 3)?;
        }
        step.end(rows, &step.rows, step.options.history_tokens)?;
        let (tokens, lengths) = (ints(&step.rows.tokens, rows)?, ints(&step.rows.lengths, rows)?);
        let history = ints(&step.rows.history, rows)?;
        let best = step.rows.best.rows(rows)?.to_vec1::<i64>()?;
        let same = (0..rows).all(|row| {
            let live = self.lengths[row] > 0;
            let token = if live { chosen[row] } else { self.tokens[row] };
            let written = history[row * step.options.history_tokens + 3] == chosen[row] as i32;
            let length = self.lengths[row] + usize::from(live);
            tokens[row] == token as i32
                && lengths[row] == length as i32
                && (written || !live)
                && best[row] == 0
        });
        self.exact("step_end", same);
        // Leaves the rows empty for the next batch.
        (0..rows).try_for_each(|row| step.set_row(row, 0, 0, 0))
    }

    // What the comparisons share -------------------------------------------------------------------------------------

    /// Normally distributed values in the first rows.
    fn fill(&self, buffer: &Buffer, mean: f32, deviation: f32) -> Result<()> {
        buffer
            .tensor
            .slice_set(&normal(&[self.rows, HIDDEN], mean, deviation, self.device)?, 0, 0)?;
        Ok(())
    }

    /// The norm of `x` by the twin, put where the tiled kernels read it.
    fn put_normed(&self, weight: &[bf16]) -> Result<Vec<f32>> {
        let x = wide(&self.step.scratch.x, self.rows)?;
        let normed = self.each(|row| norm::rms_norm(&x[row * HIDDEN..][..HIDDEN], weight));
        let tensor =
            Tensor::from_vec(normed.clone(), (self.rows, HIDDEN), self.device)?.to_dtype(DType::BF16)?;
        self.step.scratch.normed.tensor.slice_set(&tensor, 0, 0)?;
        Ok(normed)
    }

    /// A twin's rows one behind the other.
    fn each(&self, twin: impl Fn(usize) -> Vec<f32> + Sync) -> Vec<f32> {
        in_parallel(self.rows, twin).concat()
    }

    /// The relative error over these rows.
    fn error(
        &self,
        rows: &[usize],
        got: impl Fn(usize) -> Vec<f32>,
        want: impl Fn(usize) -> Vec<f32>,
    ) -> f32 {
        let got: Vec<f32> = rows.iter().flat_map(|row| got(*row)).collect();
        let want: Vec<f32> = rows.iter().flat_map(|row| want(*row)).collect();
        relative_error(&got, &want)
    }

    fn close(&mut self, what: &'static str, got: &[f32], want: &[f32], limit: f32) {
        self.note(what, relative_error(got, want), limit);
    }

    fn exact(&mut self, what: &'static str, same: bool) {
        self.note(what, if same { 0.0 } else { f32::INFINITY }, 0.0);
    }

    fn note(&mut self, what: &'static str, error: f32, limit: f32) {
        (self.show)(&Comparison {
            what,
            rows: self.rows,
            error,
            limit,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Comparison;
    use candle_core::Device;

    /// Runs a check where there is a GPU.
    fn holds(check: impl FnOnce(&Device, &mut dyn FnMut(&Comparison))) {
        if crate::devices().is_empty() {
            eprintln!("skipped: this machine has no CUDA device");
            return;
        }
        let mut failed = Vec::new();
        check(&crate::open(0).unwrap(), &mut |comparison| {
            if !comparison.holds() {
                failed.push(comparison.clone());
            }
        });
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn kernels_are_their_twins() {
        let sizes = [1, 3, 8, 9, 16, 29, 64, 100, 200];
        holds(|device, show| super::operations(device, &sizes, show).unwrap());
    }

    #[test]
    fn vision_attention_is_its_twin() {
        holds(|device, show| super::vision(device, show).unwrap());
    }
}
