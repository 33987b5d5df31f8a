// Down projections of the routed and shared experts, weighted and added to the residual.
//
// Weights: routed [64, 1280, 896], shared [1280, 1792] (its halves serve slots 6 and 7).
//
// expert_down_stream   1 to 8 tokens: grid (80, S) x 256 threads. The S blocks of a 16-row tile share out the
//                      quarters of all chosen experts warp by warp; each warp keeps its weighted sum in registers.
//                      On sm_90 the S blocks are a cluster, at most 8, that adds the sums up (residual_splits.cuh).
// expert_down_mA       16 tokens and more: grid (1280 / A, shared chunks + 64). Results go to the token's slots
//                      in f32; `rms_norm` applies the router weights and adds them up.
// expert_down_prompt   many rows of prompts: grid (10, tiles) with the tiles of `expert_gate_up_prompt`; slots as above.
// ..._q                the same with weights of 8 bits and a scale for each of their rows.
// Memory               2.29 MB an expert, once, or half of it.
// Reached              H200, 2026-11-24: 8.1, 29.7, 37.5, 39.2, 41.4, 45.9 us at 1, 8, 32, 64, 128, 256 tokens with 6, 34,
//                      61, 64, 64, 64 experts chosen: 2,279, 2,781, 3,858, 3,859, 3,657, 3,298 GB/s. S = 2 is best:
//                      1 and 4 cost 13 us a step more at 1 token.
#include "gemm_tile.cuh"
#include "stream_tile.cuh"
#include "chosen_experts.cuh"
#include "expert_rows.cuh"
#include "residual_splits.cuh"

template <class Weight>
__device__ __forceinline__ void down_stream(
    const bf16* inter, const Weight* routed, const Weight* shared_weight, typename ScalesOf<Weight>::Type routed_scales,
    typename ScalesOf<Weight>::Type shared_scales, const int* top_experts, const float* top_weights, bf16* x, float* partials, int* counters,
    int tokens) {
    __shared__ float4 partial[STREAM_WARPS][32];
    __shared__ int chosen[STREAM_TOKENS * TOP_K];
    __shared__ float weights[STREAM_TOKENS * TOP_K];
    constexpr int STEPS = 7, PART = STEPS * K_STEP, PARTS = EXPERT_INTER / PART;
    static_assert(PARTS * PART == EXPERT_INTER, "a warp loads a quarter of an expert's K at once");
    const Lane at;
    announce_block();
    // Written two kernels ago, so complete: the previous kernel waited for it before letting this one start.
    if (threadIdx.x < tokens * TOP_K) {
        chosen[threadIdx.x] = __ldcg(top_experts + threadIdx.x);
        weights[threadIdx.x] = __ldcg(top_weights + threadIdx.x);
    }
    __syncthreads();
    const Residual residual(x, tokens, at);  // o_proj's, also complete
    const u64 experts = chosen_experts(chosen, tokens, at.lane);
    const int units = PARTS * (2 + __popcll(experts)), stride = STREAM_WARPS * gridDim.y;
    const int row = blockIdx.x * 16 + at.row;
    bool waited = false;
    float sum[4] = {};
    for (int unit = blockIdx.y * STREAM_WARPS + at.warp; unit < units; unit += stride) {
        const int item = unit / PARTS, k0 = unit % PARTS * PART;
        const Weight* rows;
        typename ScalesOf<Weight>::Type scales = shared_scales + row;
        int pitch, slot;
        if (item < 2) {
            pitch = SHARED_INTER;
            rows = shared_weight + (long long)row * pitch + item * EXPERT_INTER + k0 + at.part * 8;
            slot = at.row < tokens ? TOP_K + item : -1;
        } else {
            const int expert = nth_expert(experts, item - 2);
            pitch = EXPERT_INTER;
            rows = routed + ((long long)expert * HIDDEN + row) * pitch + k0 + at.part * 8;
            scales = routed_scales + (expert * HIDDEN + row);
            slot = slot_of(chosen, expert, at.row, tokens);
        }
        float c[4] = {};
        typename StreamOf<Weight>::template Rows<STEPS> w;
        w.load(rows, rows + 8 * pitch);
        if (!waited) { wait_for_previous_kernel(); let_next_kernel_start(); waited = true; }
        uint4 token[STEPS];
#pragma unroll
        for (int i = 0; i < STEPS; i++)
            token[i] = slot >= 0 ? StreamOf<Weight>::tokens(inter + at.row * INTER_PITCH + slot * EXPERT_INTER + k0 + i * K_STEP, at.part) : make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int i = 0; i < STEPS; i++) w.multiply(c, i, token[i]);
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int n = at.part * 2 + j, n_slot = __shfl_sync(FULL_WARP, slot, n * 4);
            const float by = n_slot < 0 ? 0.f : n_slot < TOP_K ? weights[n * TOP_K + n_slot] : 1.f;
            sum[j] += by * (c[j] * scales[0]);
            sum[2 + j] += by * (c[2 + j] * scales[8]);
        }
    }
    if (!waited) { wait_for_previous_kernel(); let_next_kernel_start(); }
    sum_over_warps(sum, partial, at);
    add_splits(sum, residual, partials, counters, at);
}

extern "C" __global__ void __launch_bounds__(STREAM_THREADS, 2) expert_down_stream(
    const bf16* inter, const bf16* routed, const bf16* shared_weight, const int* top_experts, const float* top_weights, bf16* x,
    float* partials, int* counters, int tokens) {
    down_stream<bf16>(inter, routed, shared_weight, {}, {}, top_experts, top_weights, x, partials, counters, tokens);
}
extern "C" __global__ void __launch_bounds__(STREAM_THREADS, 2) expert_down_stream_q(
    const bf16* inter, const Byte* routed, const Byte* shared_weight, const float* routed_scales, const float* shared_scales,
    const int* top_experts, const float* top_weights, bf16* x, float* partials, int* counters, int tokens) {
    down_stream<Byte>(inter, routed, shared_weight, routed_scales, shared_scales, top_experts, top_weights, x, partials, counters, tokens);
}

template <class S, class Scales, class RowOf>
__device__ __forceinline__ void down_tile(
    const bf16* inter, const typename S::Weight* rows, Scales scales, int pitch, int count, RowOf row_of, float* slots) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int row0 = blockIdx.x * S::BM;
    Copies<S> copies;
    copies.from_weights(rows + row0 * pitch, [&](int r) { return r * pitch; });
    for (int first = 0; first < count; first += S::BN) {
        if (first) __syncthreads();
        copies.from_tokens(inter, [&](int n) { return first + n < count ? row_of(first + n) * EXPERT_INTER : Copies<S>::ABSENT; });
        float acc[S::MI][S::NI][4];
        multiply_tile<S>(acc, shared_address(shared), copies, EXPERT_INTER / BK, true);
        for_each_result<S>(acc, [&](int row, int column, const float (&c)[4]) {
#pragma unroll
            for (int j = 0; j < 2; j++)
                if (first + column + j < count) {
                    float* to = slots + (long long)row_of(first + column + j) * HIDDEN + row0 + row;
                    to[0] = c[j] * scales[row0 + row];
                    to[8] = c[2 + j] * scales[row0 + row + 8];
                }
        });
    }
}

template <int BM, int STAGES, class Weight, class Scales, class RowOf>
__device__ __forceinline__ void down_rows(
    const bf16* inter, const Weight* rows, Scales scales, int pitch, int count, int widest, RowOf row_of, float* slots) {
    constexpr int WM = BM / 16;
    if (count <= 16) down_tile<Tile<BM, 16, WM, 1, STAGES, Weight>>(inter, rows, scales, pitch, count, row_of, slots);
    else if (count <= 32 || widest == 32) down_tile<Tile<BM, 32, WM, 1, STAGES, Weight>>(inter, rows, scales, pitch, count, row_of, slots);
    else down_tile<Tile<BM, 64, WM, 1, STAGES, Weight>>(inter, rows, scales, pitch, count, row_of, slots);
}

template <int BM, int STAGES, class Weight, class Scales>
__device__ __forceinline__ void down_item(
    const bf16* inter, const Weight* routed, const Weight* shared_weight, Scales routed_scales, Scales shared_scales, const int* expert_counts, const int* expert_tokens,
    int bucket_pitch, float* slots, int tokens, int widest) {
    const int shared_items = 2 * ((tokens + widest - 1) / widest);
    if (blockIdx.y < shared_items) {
        const int half = blockIdx.y & 1, first = (blockIdx.y >> 1) * widest;
        down_rows<BM, STAGES>(inter, shared_weight + half * EXPERT_INTER, shared_scales, SHARED_INTER, min(widest, tokens - first), widest, SharedRows{first, half}, slots);
    } else {
        const int expert = blockIdx.y - shared_items, count = __ldcg(expert_counts + expert);  // the router, two kernels ago, is complete
        if (count == 0) {
            wait_for_previous_kernel();
            return;
        }
        down_rows<BM, STAGES>(inter, routed + (long long)expert * HIDDEN * EXPERT_INTER, routed_scales + expert * HIDDEN, EXPERT_INTER, count, widest,
                              BucketRows{expert_tokens + expert * bucket_pitch}, slots);
    }
}

// `widest`: the widest token tile the launch has shared memory for, 16, 32 or 64.
#define EXPERT_DOWN(NAME, BM, STAGES)                                                                                 \
    extern "C" __global__ void __launch_bounds__(BM * 2, 256 / BM)                                                           \
        NAME(const bf16* inter, const bf16* routed, const bf16* shared_weight, const int* expert_counts,              \
             const int* expert_tokens, int bucket_pitch, float* slots, int tokens, int widest) {                      \
        down_item<BM, STAGES>(inter, routed, shared_weight, Unscaled(), Unscaled(), expert_counts, expert_tokens,     \
                              bucket_pitch, slots, tokens, widest);                                                   \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(BM * 2, 256 / BM)                                                           \
        NAME##_q(const bf16* inter, const Byte* routed, const Byte* shared_weight, const float* routed_scales,        \
                 const float* shared_scales, const int* expert_counts, const int* expert_tokens, int bucket_pitch,    \
                 float* slots, int tokens, int widest) {                                                              \
        down_item<BM, STAGES>(inter, routed, shared_weight, routed_scales, shared_scales, expert_counts,              \
                              expert_tokens, bucket_pitch, slots, tokens, widest);                                    \
    }
EXPERT_DOWN(expert_down_m64, 64, 4)
EXPERT_DOWN(expert_down_m128, 128, 4)

template <class Weight, class Scales, class RowOf>
__device__ __forceinline__ void down_prompt_rows(
    const bf16* inter, const Weight* rows, Scales scales, int pitch, int count, RowOf row_of, float* slots) {
    if (count <= 32) down_tile<Tile<128, 32, 8, 1, 4, Weight>>(inter, rows, scales, pitch, count, row_of, slots);
    else if (count <= 64) down_tile<Tile<128, 64, 4, 2, 4, Weight>>(inter, rows, scales, pitch, count, row_of, slots);
    else down_tile<Tile<128, 128, 4, 2, 3, Weight>>(inter, rows, scales, pitch, count, row_of, slots);
}

template <class Weight, class Scales>
__device__ __forceinline__ void down_prompt(
    const bf16* inter, const Weight* routed, const Weight* shared_weight, Scales routed_scales, Scales shared_scales, const int* expert_counts,
    const int* expert_tokens, int bucket_pitch, float* slots, int tokens) {
    const int shared_tiles = 2 * ((tokens + PROMPT_TILE - 1) / PROMPT_TILE);
    if (blockIdx.y < shared_tiles) {
        const int half = blockIdx.y & 1, first = (blockIdx.y >> 1) * PROMPT_TILE;
        down_prompt_rows(inter, shared_weight + half * EXPERT_INTER, shared_scales, SHARED_INTER, min(PROMPT_TILE, tokens - first), SharedRows{first, half}, slots);
        return;
    }
    const PromptTile tile = prompt_tile(expert_counts, blockIdx.y - shared_tiles);  // the router, two kernels ago, is complete
    if (tile.expert < 0) {
        wait_for_previous_kernel();
        return;
    }
    down_prompt_rows(inter, routed + (long long)tile.expert * HIDDEN * EXPERT_INTER, routed_scales + tile.expert * HIDDEN, EXPERT_INTER, tile.count,
                     BucketRows{expert_tokens + (long long)tile.expert * bucket_pitch + tile.first}, slots);
}

extern "C" __global__ void __launch_bounds__(256, 2) expert_down_prompt(
    const bf16* inter, const bf16* routed, const bf16* shared_weight, const int* expert_counts, const int* expert_tokens,
    int bucket_pitch, float* slots, int tokens) {
    down_prompt(inter, routed, shared_weight, Unscaled(), Unscaled(), expert_counts, expert_tokens, bucket_pitch, slots, tokens);
}
extern "C" __global__ void __launch_bounds__(256, 2) expert_down_prompt_q(
    const bf16* inter, const Byte* routed, const Byte* shared_weight, const float* routed_scales, const float* shared_scales,
    const int* expert_counts, const int* expert_tokens, int bucket_pitch, float* slots, int tokens) {
    down_prompt(inter, routed, shared_weight, routed_scales, shared_scales, expert_counts, expert_tokens, bucket_pitch, slots, tokens);
}
