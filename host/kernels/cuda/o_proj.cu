// Output projection of the attention.
//
// o_proj_stream   1 to 8 tokens: grid 80 x 256 threads, 16 rows a block, warps share out K; adds to the residual.
// o_proj_mAnB     16 tokens and more: grid (1280 / A, tokens / B, K splits). Each split of K leaves f32 sums in
//                 a slot of its own; `rms_norm` or `router_top6` adds them to the residual.
// o_proj_prompt   many rows of prompts: grid (10, rows / 128); adds to the residual.
// o_proj_prompt_s few rows of prompts: grid (20, rows / 64).
// Memory          3.28 MB of weights.
// Reached         H200, 2026-11-24: 2.7, 3.5, 2.5, 3.5, 4.3, 6.8 us at 1, 8, 32, 64, 128, 256 tokens: mostly start and end.
#include "gemm_tile.cuh"
#include "stream_tile.cuh"

extern "C" __global__ void __launch_bounds__(STREAM_THREADS) o_proj_stream(const bf16* attended, const bf16* weight, bf16* x, int tokens) {
    __shared__ float4 partial[STREAM_WARPS][32];
    constexpr int STEPS = HIDDEN / K_STEP / STREAM_WARPS;
    const Lane at;
    const int row = blockIdx.x * 16 + at.row, k0 = at.warp * STEPS * K_STEP + at.part * 8;
    WeightRows<STEPS> w;
    w.load(weight + row * HIDDEN + k0, weight + (row + 8) * HIDDEN + k0);
    wait_for_previous_kernel();
    let_next_kernel_start();

    uint4 token[STEPS];
#pragma unroll
    for (int i = 0; i < STEPS; i++)
        token[i] = at.row < tokens ? load_activations(attended + at.row * HIDDEN + k0 + i * K_STEP) : make_uint4(0, 0, 0, 0);
    float c[4] = {};
#pragma unroll
    for (int i = 0; i < STEPS; i++) w.multiply(c, i, token[i]);
    sum_over_warps(c, partial, at);
    if (at.warp) return;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const int n = at.part * 2 + (j & 1);
        bf16* to = x + n * HIDDEN + row + (j >> 1) * 8;
        if (n < tokens) *to = to_bf16(to_f32(__ldcg(to)) + c[j]);
    }
}

template <class S>
__device__ __forceinline__ void o_proj_tile(const bf16* attended, const bf16* weight, float* slots, int tokens) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int row0 = blockIdx.x * S::BM, token0 = blockIdx.y * S::BN, split = blockIdx.z;
    const int k0 = HIDDEN / BK * split / gridDim.z * BK, steps = HIDDEN / BK * (split + 1) / gridDim.z - k0 / BK;
    Copies<S> copies;
    copies.from_weights(weight + row0 * HIDDEN + k0, [&](int r) { return r * HIDDEN; });
    copies.from_tokens(attended + k0, [&](int n) { return token0 + n < tokens ? (token0 + n) * HIDDEN : Copies<S>::ABSENT; });
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

#define O_PROJ(NAME, ...)                                                             \
    extern "C" __global__ void __launch_bounds__(Tile<__VA_ARGS__>::THREADS)          \
        NAME(const bf16* attended, const bf16* weight, float* slots, int tokens) {    \
        o_proj_tile<Tile<__VA_ARGS__>>(attended, weight, slots, tokens);              \
    }
O_PROJ(o_proj_m32n16, 32, 16, 2, 1, 6)
O_PROJ(o_proj_m32n32, 32, 32, 2, 2, 6)
O_PROJ(o_proj_m32n64, 32, 64, 2, 2, 6)
O_PROJ(o_proj_m64n64, 64, 64, 2, 2, 5)

template <class S>
__device__ __forceinline__ void o_proj_rows(const bf16* attended, const bf16* weight, bf16* x, int tokens) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int row0 = blockIdx.x * S::BM, token0 = blockIdx.y * S::BN;
    Copies<S> copies;
    copies.from_weights(weight + row0 * HIDDEN, [&](int r) { return r * HIDDEN; });
    copies.from_tokens(attended, [&](int n) { return token0 + n < tokens ? (token0 + n) * HIDDEN : Copies<S>::ABSENT; });
    float acc[S::MI][S::NI][4];
    multiply_tile<S>(acc, shared_address(shared), copies, HIDDEN / BK, true);
    for_each_result<S>(acc, [&](int row, int column, const float (&c)[4]) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int n = token0 + column + (j & 1);
            bf16* to = x + n * HIDDEN + row0 + row + (j >> 1) * 8;
            if (n < tokens) *to = to_bf16(to_f32(__ldcg(to)) + c[j]);
        }
    });
}

extern "C" __global__ void __launch_bounds__(256, 2) o_proj_prompt(const bf16* attended, const bf16* weight, bf16* x, int tokens) {
    o_proj_rows<Tile<128, 128, 4, 2, 3>>(attended, weight, x, tokens);
}
extern "C" __global__ void __launch_bounds__(128) o_proj_prompt_s(const bf16* attended, const bf16* weight, bf16* x, int tokens) {
    o_proj_rows<Tile<64, 64, 2, 2, 5>>(attended, weight, x, tokens);
}
