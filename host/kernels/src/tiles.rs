//! Which tile, split and grid an operation has for how many tokens, as measured on an H200 (`README.md`).
//!
//! Up to 8 tokens weights stream past the tensor cores and there is nothing to choose. From 9 on a batch is one of five
//! sizes: up to 16, 32, 64, 128 and 256 tokens.

/// The most tokens that the streaming kernels take.
pub(crate) const STREAM_TOKENS: usize = 8;

/// A tiled product: `rows` of the weights times `columns` tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) name: &'static str,
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    warps: u32,
    stages: u32,
}

impl Tile {
    /// Tiles of 64 k, 2 bytes each, in a ring.
    pub(crate) const fn shared_bytes(&self) -> u32 {
        self.stages * (self.rows + self.columns) * 128
    }

    pub(crate) const fn threads(&self) -> u32 {
        self.warps * 32
    }

    /// Tiles along the tokens.
    pub(crate) fn columns_for(&self, tokens: usize) -> u32 {
        (tokens as u32).div_ceil(self.columns)
    }
}

const fn tile(name: &'static str, rows: u32, columns: u32, warps: u32, stages: u32) -> Tile {
    Tile {
        name,
        rows,
        columns,
        warps,
        stages,
    }
}

/// `qkv_rope`, by batch.
pub(crate) const QKV: [Tile; 5] = [
    tile("qkv_rope_m32n16", 32, 16, 2, 6),
    tile("qkv_rope_m32n32", 32, 32, 4, 6),
    tile("qkv_rope_m32n64", 32, 64, 4, 6),
    tile("qkv_rope_m64n64", 64, 64, 4, 5),
    tile("qkv_rope_m128n64", 128, 64, 8, 6),
];
/// `o_proj`, by batch.
pub(crate) const O_PROJ: [Tile; 5] = [
    tile("o_proj_m32n16", 32, 16, 2, 6),
    tile("o_proj_m32n32", 32, 32, 4, 6),
    tile("o_proj_m32n64", 32, 64, 4, 6),
    tile("o_proj_m64n64", 64, 64, 4, 5),
    tile("o_proj_m64n64", 64, 64, 4, 5),
];
/// `dense_gate_up`, by batch.
pub(crate) const DENSE_UP: [Tile; 5] = [
    tile("dense_gate_up_m64n16", 64, 16, 4, 5),
    tile("dense_gate_up_m64n32", 64, 32, 4, 5),
    tile("dense_gate_up_m64n64", 64, 64, 4, 5),
    tile("dense_gate_up_m64n64", 64, 64, 4, 5),
    tile("dense_gate_up_m128n128", 128, 128, 8, 3),
];
/// `dense_down`, by batch.
pub(crate) const DENSE_DOWN: [Tile; 5] = [
    tile("dense_down_m64n16", 64, 16, 4, 5),
    tile("dense_down_m64n32", 64, 32, 4, 5),
    tile("dense_down_m64n64", 64, 64, 4, 5),
    tile("dense_down_m64n64", 64, 64, 4, 5),
    tile("dense_down_m128n128", 128, 128, 8, 3),
];
/// `lm_head`, by batch.
pub(crate) const VOCABULARY: [Tile; 5] = [
    tile("lm_head_m128n16", 128, 16, 8, 4),
    tile("lm_head_m128n32", 128, 32, 8, 4),
    tile("lm_head_m128n64", 128, 64, 8, 4),
    tile("lm_head_m128n128", 128, 128, 8, 3),
    tile("lm_head_m128n128", 128, 128, 8, 3),
];

/// Which of the five sizes `tokens` (9 ..= 256) belong to.
fn batch(tokens: usize) -> usize {
    [16, 32, 64, 128, 256]
        .iter()
        .position(|&most| tokens <= most)
        .expect("a batch has at most 256 rows")
}

/// The tile for this many tokens, or the widest below it that fits into the GPU's shared memory: `qkv_rope_m128n64`
/// takes 144 KiB, sm_89 has 99.
pub(crate) fn choose(tiles: &'static [Tile; 5], tokens: usize, most_shared: u32) -> &'static Tile {
    tiles[..=batch(tokens)]
        .iter()
        .rev()
        .find(|tile| tile.shared_bytes() <= most_shared)
        .unwrap_or(&tiles[0])
}

/// Splits of the output projection's K; with `always_alike` the same for every batch, as sums depend on them.
pub(crate) fn o_splits(tokens: usize, always_alike: bool) -> u32 {
    match always_alike {
        true => 4,
        false => [4, 4, 4, 4, 2][batch(tokens)],
    }
}
/// Splits of the dense layer's down projection from 9 tokens on.
pub(crate) const DENSE_DOWN_SPLITS: u32 = 8;
/// Blocks of a cluster that share a row tile of a down projection up to 8 tokens.
pub(crate) const DOWN_CLUSTER: u32 = 2;

/// Dynamic shared memory of `paged_attention`: 4 stages of 128 threads' 8 pieces of 16 bytes.
pub(crate) const ATTENTION_SHARED: u32 = 4 * 128 * 8 * 16;

/// Blocks a head of `paged_attention`: 13, 26 and 39 fill an H200's 132 multiprocessors with one, two and three each.
pub(crate) fn attention_rows(tokens: usize) -> u32 {
    if tokens <= STREAM_TOKENS {
        26
    } else {
        [39, 78, 39, 78, 156][batch(tokens)]
    }
}

/// Weight rows of a tile of the experts' products, and the kernels' names.
pub(crate) const EXPERT_TILES: [(u32, &str, &str); 2] = [
    (64, "expert_gate_up_m64", "expert_down_m64"),
    (128, "expert_gate_up_m128", "expert_down_m128"),
];

/// Rows and name of the gate and up projection's tile.
pub(crate) fn expert_gate_up(tokens: usize) -> (u32, &'static str) {
    let (rows, name, _) = EXPERT_TILES[[0, 0, 0, 1, 1][batch(tokens)]];
    (rows, name)
}

/// Rows and name of the down projection's tile.
pub(crate) fn expert_down(tokens: usize) -> (u32, &'static str) {
    let (rows, _, name) = EXPERT_TILES[[0, 1, 1, 1, 1][batch(tokens)]];
    (rows, name)
}

/// The widest stretch of tokens that one expert's block multiplies at once.
pub(crate) fn expert_widest(tokens: usize) -> u32 {
    [16, 32, 64, 64, 64][batch(tokens)]
}

/// Shared memory of an expert's tile: 4 stages.
pub(crate) const fn expert_shared(rows: u32, widest: u32) -> u32 {
    4 * (rows + widest) * 128
}

/// Rows and columns of a prompt's tiles; the kernels take narrower ones for what is left of an expert.
pub(crate) const PROMPT_TILE: usize = 128;
/// Shared memory of such a tile: 3 stages, or 4 of 128 x 64.
pub(crate) const PROMPT_TILE_SHARED: u32 = 3 * 2 * 128 * 128;
/// Tokens of a prompt in one block of `prompt_attention`.
pub(crate) const PROMPT_QUERIES: usize = 64;
/// Its two stages of 64 keys and values of 256 bytes.
pub(crate) const PROMPT_ATTENTION_SHARED: u32 = 2 * 2 * 64 * 256;
/// A tile where there are few rows, and its shared memory: 5 stages.
pub(crate) const PROMPT_SMALL_TILE: usize = 64;
pub(crate) const PROMPT_SMALL_SHARED: u32 = 5 * 2 * 64 * 128;
