// The dense SwiGLU of layer 0 (intermediate 6848): gate and up with SiLU, then down.
//
// Weights: gate_up [2 x 6848, 1280], gate rows first; down [1280, 6848]. Intermediates share the experts'
// buffer, 6848 of its 7168 values a token.
//
// dense_gate_up_stream  1 to 8 tokens: grid 856 x 256 threads, 8 gate rows and their up rows a block.
// dense_down_stream     1 to 8 tokens: grid (80, S) x 256 threads; 8 S warps share out K's 214 steps
//                       (residual_splits.cuh adds them to the residual).
// dense_gate_up_mAnB    16 and more: grid (13696 / A, tokens / B). Takes its norm's output.
// dense_down_mAnB       grid (1280 / A, tokens / B, 8 splits of K), f32 slots for `rms_norm`.
// Memory                35.1 MB and 17.5 MB, once a step.
// Reached               H200, 2026-11-24: gate_up 10.9, 12.6, 11.1, 13.7, 25.4, 33.4 us and down 7.2, 7.4, 7.2, 9.8, 15.7,
//                       23.2 us at 1, 8, 32, 64, 128, 256 tokens.
#include "gemm_tile.cuh"
#include "stream_tile.cuh"
#include "residual_splits.cuh"

extern "C" __global__ void __launch_bounds__(STREAM_THREADS) dense_gate_up_stream(
    const bf16* x, const bf16* norm_weight, const bf16* weight, bf16* inter, int tokens) {
    __shared__ __align__(16) bf16 normed[STREAM_TOKENS * NORMED_PITCH];
    __shared__ float4 partial[STREAM_WARPS][32];
    constexpr int STEPS = HIDDEN / K_STEP / STREAM_WARPS;
    const Lane at;
    const int row = blockIdx.x * 8 + at.row, k0 = at.warp * STEPS * K_STEP;
    const bf16* gate = weight + (long long)row * HIDDEN + k0 + at.part * 8;
    WeightRows<STEPS> w;
    w.load(gate, gate + DENSE_INTER * HIDDEN);
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
    for (int j = 0; j < 2; j++) {
        const int n = at.part * 2 + j;
        if (n < tokens) inter[n * INTER_PITCH + row] = to_bf16(silu(c[j]) * c[2 + j]);
    }
}

extern "C" __global__ void __launch_bounds__(STREAM_THREADS) dense_down_stream(
    const bf16* inter, const bf16* weight, bf16* x, float* partials, int* counters, int tokens) {
    __shared__ float4 partial[STREAM_WARPS][32];
    constexpr int STEPS = 7, TOTAL = DENSE_INTER / K_STEP;
    const Lane at;
    announce_block();
    const int share = blockIdx.y * STREAM_WARPS + at.warp, shares = gridDim.y * STREAM_WARPS;
    const int last = TOTAL * (share + 1) / shares;
    const bf16* rows = weight + (long long)(blockIdx.x * 16 + at.row) * DENSE_INTER + at.part * 8;
    wait_for_previous_kernel();
    let_next_kernel_start();
    float c[4] = {};
    for (int step = TOTAL * share / shares; step < last; step += STEPS) {
        const int from = min(step, last - STEPS), k = from * K_STEP;  // the last turn reads some steps again, times zero
        WeightRows<STEPS> w;
        w.load(rows + k, rows + 8 * DENSE_INTER + k);
        uint4 token[STEPS];
#pragma unroll
        for (int i = 0; i < STEPS; i++) token[i] = load_activations(inter + min(at.row, tokens - 1) * INTER_PITCH + k + i * K_STEP + at.part * 8);
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            const bool counts = from + i >= step && at.row < tokens;
            w.multiply(c, i, counts ? token[i] : make_uint4(0, 0, 0, 0));
        }
    }
    sum_over_warps(c, partial, at);
    add_splits(c, Residual(x, tokens, at), partials, counters, at);
}

template <class S>
__device__ __forceinline__ void dense_gate_up_tile(const bf16* normed, const bf16* weight, bf16* inter, int tokens) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int row0 = blockIdx.x * (S::BM / 2), token0 = blockIdx.y * S::BN;
    Copies<S> copies;
    copies.from_weights(weight + row0 * HIDDEN, [&](int r) { return ((r >> 4) * 8 + (r & 7) + ((r & 8) ? DENSE_INTER : 0)) * HIDDEN; });
    copies.from_tokens(normed, [&](int n) { return token0 + n < tokens ? (token0 + n) * HIDDEN : Copies<S>::ABSENT; });
    float acc[S::MI][S::NI][4];
    multiply_tile<S>(acc, shared_address(shared), copies, HIDDEN / BK, true);
    for_each_result<S>(acc, [&](int row, int column, const float (&c)[4]) {
#pragma unroll
        for (int j = 0; j < 2; j++)
            if (token0 + column + j < tokens)
                inter[(long long)(token0 + column + j) * INTER_PITCH + row0 + (row >> 4) * 8 + (row & 7)] = to_bf16(silu(c[j]) * c[2 + j]);
    });
}

template <class S>
__device__ __forceinline__ void dense_down_tile(const bf16* inter, const bf16* weight, float* slots, int tokens) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int row0 = blockIdx.x * S::BM, token0 = blockIdx.y * S::BN, split = blockIdx.z;
    const int step0 = DENSE_INTER / BK * split / gridDim.z, steps = DENSE_INTER / BK * (split + 1) / gridDim.z - step0;
    Copies<S> copies;
    copies.from_weights(weight + row0 * DENSE_INTER + step0 * BK, [&](int r) { return r * DENSE_INTER; });
    copies.from_tokens(inter + step0 * BK, [&](int n) { return token0 + n < tokens ? (token0 + n) * INTER_PITCH : Copies<S>::ABSENT; });
    float acc[S::MI][S::NI][4];
    multiply_tile<S>(acc, shared_address(shared), copies, steps, true);
    for_each_result<S>(acc, [&](int row, int column, const float (&c)[4]) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int n = token0 + column + (j & 1);
            if (n < tokens) slots[((long long)n * SLOTS + split) * HIDDEN + row0 + row + (j >> 1) * 8] = c[j];
        }
    });
}

#define DENSE_MLP(SUFFIX, ...)                                                                   \
    extern "C" __global__ void __launch_bounds__(Tile<__VA_ARGS__>::THREADS)                     \
        dense_gate_up_##SUFFIX(const bf16* normed, const bf16* weight, bf16* inter, int tokens) { \
        dense_gate_up_tile<Tile<__VA_ARGS__>>(normed, weight, inter, tokens);                    \
    }                                                                                            \
    extern "C" __global__ void __launch_bounds__(Tile<__VA_ARGS__>::THREADS)                     \
        dense_down_##SUFFIX(const bf16* inter, const bf16* weight, float* slots, int tokens) {   \
        dense_down_tile<Tile<__VA_ARGS__>>(inter, weight, slots, tokens);                        \
    }
DENSE_MLP(m64n16, 64, 16, 4, 1, 5)
DENSE_MLP(m64n32, 64, 32, 4, 1, 5)
DENSE_MLP(m64n64, 64, 64, 2, 2, 5)
DENSE_MLP(m128n128, 128, 128, 4, 2, 3)
