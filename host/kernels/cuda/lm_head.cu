// Final norm, lm_head and argmax in one pass; the 129,280 logits of a token never reach memory.
//
// lm_head_stream   1 to 8 tokens: grid 1010 x 256 threads. A warp multiplies 16 rows over the whole of K; every
//                  block normalises the tokens for itself.
// lm_head_mAnB     16 tokens and more: grid (tokens / B, 129280 / A); input already normalised. Token blocks lie
//                  along x so that those sharing weight rows run together.
// Result           best[token] = max over rows of (ordered logit << 32 | ~row): equal logits go to the lower row.
//                  Must be zero before; `step_end` decodes and clears it.
// Bans             optional: rows listed in ban_ids[token][0 .. ban_counts[token]] cannot win (`ngram_guard`).
// Memory           331 MB of weights.
// Reached          H200, 2026-11-24: 74.8, 76.0, 84.3, 97.5, 145, 277 us at 1, 8, 32, 64, 128, 256 tokens; 4,426 GB/s at 1,
//                  306 TFLOP/s at 256, where L2 is the limit.
#include "gemm_tile.cuh"
#include "stream_tile.cuh"

constexpr int BAN_PITCH = 128;

struct Bans {
    const int *counts, *ids;  // counts null: none at all
    __device__ __forceinline__ int count(int token) const { return counts ? __ldcg(counts + token) : 0; }
    __device__ __forceinline__ bool has(int token, int count, int row) const {
        for (int i = 0; i < count; i++)
            if (__ldcg(ids + token * BAN_PITCH + i) == row) return true;
        return false;
    }
};

__device__ __forceinline__ u64 packed(float logit, int row) { return (u64)ordered_bits(logit) << 32 | (0xffffffffu - (u32)row); }

// The best key over the 8 lanes that hold the same tokens.
__device__ __forceinline__ u64 best_over_rows(u64 key) {
#pragma unroll
    for (int distance = 4; distance < 32; distance <<= 1) {
        const u64 other = __shfl_xor_sync(FULL_WARP, key, distance);
        key = other > key ? other : key;
    }
    return key;
}

extern "C" __global__ void __launch_bounds__(STREAM_THREADS) lm_head_stream(
    const bf16* x, const bf16* norm_weight, const bf16* weight, u64* best, Bans bans, int tokens) {
    __shared__ __align__(16) bf16 normed[STREAM_TOKENS * NORMED_PITCH];
    __shared__ u64 keys[STREAM_TOKENS];
    constexpr int STEPS = 5, TURNS = HIDDEN / K_STEP / STEPS;
    const Lane at;
    const int row = (blockIdx.x * STREAM_WARPS + at.warp) * 16 + at.row;
    const bf16* rows = weight + (long long)row * HIDDEN + at.part * 8;
    WeightRows<STEPS> w[2];
    w[0].load(rows, rows + 8 * HIDDEN);
    if (threadIdx.x < STREAM_TOKENS) keys[threadIdx.x] = 0;
    wait_for_previous_kernel();
    let_next_kernel_start();
    norm_tokens(normed, x, norm_weight, tokens, at);
    __syncthreads();
    float c[4] = {};
#pragma unroll
    for (int turn = 0; turn < TURNS; turn++) {
        if (turn + 1 < TURNS) w[(turn + 1) & 1].load(rows + (turn + 1) * STEPS * K_STEP, rows + 8 * HIDDEN + (turn + 1) * STEPS * K_STEP);
#pragma unroll
        for (int i = 0; i < STEPS; i++) w[turn & 1].multiply(c, i, normed_tokens(normed, (turn * STEPS + i) * K_STEP, at));
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
        const int token = at.part * 2 + j;
        u64 key = 0;
        if (token < tokens) {
            const int count = bans.count(token);
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const u64 own = packed(c[2 * half + j], row + half * 8);
                if (own > key && !(count && bans.has(token, count, row + half * 8))) key = own;
            }
        }
        key = best_over_rows(key);
        if (at.row == 0 && token < tokens) atomicMax(keys + token, key);
    }
    __syncthreads();
    if (threadIdx.x < tokens) atomicMax(best + threadIdx.x, keys[threadIdx.x]);
}

template <class S>
__device__ __forceinline__ void lm_head_tile(const bf16* normed, const bf16* weight, u64* best, const Bans& bans, int tokens) {
    extern __shared__ __align__(128) unsigned char shared[];
    __shared__ u64 keys[S::BN];
    const int row0 = blockIdx.y * S::BM, token0 = blockIdx.x * S::BN;
    for (int i = threadIdx.x; i < S::BN; i += S::THREADS) keys[i] = 0;
    Copies<S> copies;
    copies.from_weights(weight + (long long)row0 * HIDDEN, [&](int r) { return r * HIDDEN; });
    copies.from_tokens(normed, [&](int n) { return token0 + n < tokens ? (token0 + n) * HIDDEN : Copies<S>::ABSENT; });
    float acc[S::MI][S::NI][4];
    multiply_tile<S>(acc, shared_address(shared), copies, HIDDEN / BK, true);

    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int row = row0 + (warp % S::WM) * S::MI * 16 + (lane >> 2), column = (warp / S::WM) * S::NI * 8 + (lane & 3) * 2;
#pragma unroll
    for (int n = 0; n < S::NI; n++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int token = token0 + column + n * 8 + j;
            u64 key = 0;
            if (token < tokens) {
                const int count = bans.count(token);
#pragma unroll
                for (int m = 0; m < S::MI; m++)
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        const u64 own = packed(acc[m][n][2 * half + j], row + m * 16 + half * 8);
                        if (own > key && !(count && bans.has(token, count, row + m * 16 + half * 8))) key = own;
                    }
            }
            key = best_over_rows(key);
            if (lane < 4 && token < tokens) atomicMax(keys + column + n * 8 + j, key);
        }
    __syncthreads();
    for (int i = threadIdx.x; i < S::BN && token0 + i < tokens; i += S::THREADS) atomicMax(best + token0 + i, keys[i]);
}

#define LM_HEAD(NAME, ...)                                                                         \
    extern "C" __global__ void __launch_bounds__(Tile<__VA_ARGS__>::THREADS)                       \
        NAME(const bf16* normed, const bf16* weight, u64* best, Bans bans, int tokens) {           \
        lm_head_tile<Tile<__VA_ARGS__>>(normed, weight, best, bans, tokens);                       \
    }
LM_HEAD(lm_head_m128n16, 128, 16, 8, 1, 4)
LM_HEAD(lm_head_m128n32, 128, 32, 4, 2, 4)
LM_HEAD(lm_head_m128n64, 128, 64, 4, 2, 4)
LM_HEAD(lm_head_m128n128, 128, 128, 4, 2, 3)
