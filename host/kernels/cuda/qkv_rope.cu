// Query, key and value projections with rotary embedding, written straight to the query buffer and the paged cache.
//
// qkv_rope_stream    1 to 8 tokens: grid 240 x 256 threads. A block owns 16 rows (8 rotary pairs d, d + 64 of
//                    one head), its warps share out K; the input norm is recomputed by every block.
// qkv_rope_mAnB      16 tokens and more: grid (3840 / A, tokens / B). Input already normalised.
// qkv_rope_prompt    many rows of prompts: grid (30, rows / 128). A row has a place in the cache of its own (`PromptRows`).
// qkv_rope_prompt_s  the same for few rows, which would not fill the GPU so: grid (60, rows / 64).
// Memory             9.83 MB of weights; tokens come from L2.
// Reached            H200, 2026-11-24: 3.6, 4.2, 6.0, 8.2, 10.3, 13.8 us at 1, 8, 32, 64, 128, 256 tokens (2,761 GB/s of
//                    weights at 1; from 64 on, reading the tokens from L2 for every row tile is the larger part).
// Weight             [3840, 1280]: q_proj, k_proj, v_proj stacked. Cache addresses: CacheLayout, in elements.
#include "gemm_tile.cuh"
#include "stream_tile.cuh"

struct Rotary {
    const float2* cos_sin;  // [position, 64]
    const int* sequence_lengths;
    const int* block_table;
    bf16 *q, *k_cache, *v_cache;
    CacheLayout cache;

    // Where one pair (dims `d` and `d + 64`) of a token goes, and its rotation.
    struct Place {
        bf16* to;  // null: a row without a sequence
        float2 turn;
        __device__ __forceinline__ void store(float first, float second) const {
            if (!to) return;
            to[0] = to_bf16(first * turn.x - second * turn.y);
            to[64] = to_bf16(second * turn.x + first * turn.y);
        }
    };

    // `matrix` is 0, 1, 2 for q, k, v. Lengths and tables are older than the previous kernel.
    __device__ __forceinline__ bf16* row(int matrix, int head, int token, int position) const {
        if (matrix == 0) return q + token * HIDDEN + head * HEAD_DIM;
        const int page = __ldg(block_table + token * cache.table_pitch + (position >> cache.page_shift));
        return (matrix == 1 ? k_cache : v_cache) + page * cache.page_stride +
               (position & ((1 << cache.page_shift) - 1)) * cache.token_stride + head * cache.head_stride;
    }
    __device__ __forceinline__ float2 turn(int matrix, int d, int position) const {
        return matrix < 2 ? __ldg(cos_sin + position * 64 + d) : float2{1.f, 0.f};
    }
    __device__ __forceinline__ Place place(int matrix, int head, int d, int token) const {
        const int position = __ldcg(sequence_lengths + token) - 1;
        if (position < 0) return {nullptr, {1.f, 0.f}};
        return {row(matrix, head, token, position) + d, turn(matrix, d, position)};
    }
};

extern "C" __global__ void __launch_bounds__(STREAM_THREADS) qkv_rope_stream(
    const bf16* x, const bf16* norm_weight, const bf16* weight, int tokens, Rotary rotary) {
    __shared__ __align__(16) bf16 normed[STREAM_TOKENS * NORMED_PITCH];
    __shared__ float4 partial[STREAM_WARPS][32];
    constexpr int STEPS = HIDDEN / K_STEP / STREAM_WARPS;
    const Lane at;
    const int head_row = blockIdx.x >> 3, d0 = (blockIdx.x & 7) * 8;  // 30 heads of q, k and v
    const int k0 = at.warp * STEPS * K_STEP;
    const bf16* rows = weight + (long long)(head_row * HEAD_DIM + d0 + at.row) * HIDDEN + k0 + at.part * 8;
    WeightRows<STEPS> w;
    w.load(rows, rows + 64 * HIDDEN);
    Rotary::Place place[2] = {};
    if (at.warp == 0) {
#pragma unroll
        for (int j = 0; j < 2; j++)
            if (at.part * 2 + j < tokens) place[j] = rotary.place(head_row / HEADS, head_row % HEADS, d0 + at.row, at.part * 2 + j);
    }
    wait_for_previous_kernel();
    let_next_kernel_start();

    norm_tokens(normed, x, norm_weight, tokens, at);
    __syncthreads();
    float c[4] = {};
#pragma unroll
    for (int i = 0; i < STEPS; i++) w.multiply(c, i, normed_tokens(normed, k0 + i * K_STEP, at));
    sum_over_warps(c, partial, at);
    if (at.warp) return;
#pragma unroll
    for (int j = 0; j < 2; j++) place[j].store(c[j], c[2 + j]);
}

// The same for prompts: each row's key and value go to token `slots[row]` of the cache, counted over all pages.
struct PromptRows {
    const float2* cos_sin;
    const int* sequence_lengths;  // the row's position, plus one
    const int* slots;
    bf16 *q, *k_cache, *v_cache;

    __device__ __forceinline__ bf16* row(int matrix, int head, int token, int) const {
        if (matrix == 0) return q + (long long)token * HIDDEN + head * HEAD_DIM;
        return (matrix == 1 ? k_cache : v_cache) + (long long)__ldg(slots + token) * HIDDEN + head * HEAD_DIM;
    }
    __device__ __forceinline__ float2 turn(int matrix, int d, int position) const {
        return matrix < 2 ? __ldg(cos_sin + position * 64 + d) : float2{1.f, 0.f};
    }
};

// Rows of the tile: each 16 are 8 dims d and their partners d + 64 of one head.
template <class S, class Rows>
__device__ __forceinline__ void qkv_rope_tile(const bf16* normed, const bf16* weight, int tokens, const Rows& rotary) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int pair0 = blockIdx.x * (S::BM / 2), head_row = pair0 / 64, d0 = pair0 % 64, token0 = blockIdx.y * S::BN;
    const int matrix = head_row / HEADS;
    __shared__ int positions[S::BN];
    __shared__ bf16* destinations[S::BN];
    for (int n = threadIdx.x; n < S::BN; n += S::THREADS) {  // where each token's row of this head goes
        const int token = token0 + n;
        positions[n] = token < tokens ? __ldcg(rotary.sequence_lengths + token) - 1 : -1;
        destinations[n] = positions[n] < 0 ? nullptr : rotary.row(matrix, head_row % HEADS, token, positions[n]);
    }
    Copies<S> copies;
    copies.from_weights(weight + (head_row * HEAD_DIM + d0) * HIDDEN, [&](int r) { return ((r >> 4) * 8 + (r & 7) + ((r >> 3) & 1) * 64) * HIDDEN; });
    copies.from_tokens(normed, [&](int n) { return token0 + n < tokens ? (token0 + n) * HIDDEN : Copies<S>::ABSENT; });
    float acc[S::MI][S::NI][4];
    multiply_tile<S>(acc, shared_address(shared), copies, HIDDEN / BK, true);
    for_each_result<S>(acc, [&](int row, int column, const float (&c)[4]) {
        const int d = d0 + (row >> 4) * 8 + (row & 7);
#pragma unroll
        for (int j = 0; j < 2; j++)
            Rotary::Place{destinations[column + j] ? destinations[column + j] + d : nullptr, rotary.turn(matrix, d, max(positions[column + j], 0))}.store(c[j], c[2 + j]);
    });
}

#define QKV_ROPE(NAME, ...)                                                              \
    extern "C" __global__ void __launch_bounds__(Tile<__VA_ARGS__>::THREADS)             \
        NAME(const bf16* normed, const bf16* weight, int tokens, Rotary rotary) {        \
        qkv_rope_tile<Tile<__VA_ARGS__>>(normed, weight, tokens, rotary);                \
    }
QKV_ROPE(qkv_rope_m32n16, 32, 16, 2, 1, 6)
QKV_ROPE(qkv_rope_m32n32, 32, 32, 2, 2, 6)
QKV_ROPE(qkv_rope_m32n64, 32, 64, 2, 2, 6)
QKV_ROPE(qkv_rope_m64n64, 64, 64, 2, 2, 5)
QKV_ROPE(qkv_rope_m128n64, 128, 64, 4, 2, 6)

extern "C" __global__ void __launch_bounds__(256, 2) qkv_rope_prompt(const bf16* normed, const bf16* weight, int tokens, PromptRows rows) {
    qkv_rope_tile<Tile<128, 128, 4, 2, 3>>(normed, weight, tokens, rows);
}
extern "C" __global__ void __launch_bounds__(128) qkv_rope_prompt_s(const bf16* normed, const bf16* weight, int tokens, PromptRows rows) {
    qkv_rope_tile<Tile<64, 64, 2, 2, 5>>(normed, weight, tokens, rows);
}
