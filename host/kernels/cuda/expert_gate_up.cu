// Gate and up projections with SiLU of the six routed experts a token chose and of the two shared ones.
//
// The shared experts (intermediate 1792) are two more experts of 896 that take every token; their output goes
// to slots 6 and 7. Weights: routed [64, 2 x 896, 1280] and shared [2 x 1792, 1280], gate rows before up rows.
//
// expert_gate_up_stream   1 to 8 tokens: grid 2 x SMs (at least 224) x 256 threads. A tile is 8 gate rows with their
//                         up rows of one expert, for all tokens; warps share out K. A block takes one tile of the
//                         shared experts, loaded before the route is known, then its even share of the chosen
//                         experts' tiles, the next one's weights always on their way.
// expert_gate_up_mA       16 tokens and more: grid (1792 / A, shared chunks + 64). A block computes A / 2 gate
//                         rows with their up rows for one expert, its tokens gathered 16, 32 or 64 at a time.
// expert_gate_up_prompt   many rows of prompts: grid (14, tiles), tiles of up to 128 rows of one expert: 2 * rows / 128 of
//                         the shared ones, then as many as the counts say (at most rows * 6 / 128 + 64; the others end).
// ..._q                   the same with weights of 8 bits and a scale for each of their rows.
// Memory                  4.59 MB an expert, once, or half of it; tokens from L2.
// Reached                 H200, 2026-11-24: 10.0, 40.4, 69.1, 74.0, 76.5, 83.5 us at 1, 8, 32, 64, 128, 256 tokens with
//                         6, 34, 61, 64, 64, 64 experts chosen: 3,673, 4,087, 4,184, 4,091, 3,958, 3,624 GB/s.
#include "gemm_tile.cuh"
#include "stream_tile.cuh"
#include "chosen_experts.cuh"
#include "expert_rows.cuh"

constexpr int TILES = EXPERT_INTER / 8;                // row tiles of an expert: 8 gate rows and their up rows
constexpr int SHARED_TILES = SHARED_INTER / 8;

template <class Weight>
__device__ __forceinline__ void gate_up_stream(
    const bf16* normed, const Weight* routed, const Weight* shared_weight, typename ScalesOf<Weight>::Type routed_scales,
    typename ScalesOf<Weight>::Type shared_scales, const int* top_experts, bf16* inter, int tokens) {
    using Rows = typename StreamOf<Weight>::template Rows<HIDDEN / K_STEP / STREAM_WARPS>;
    __shared__ float4 partial[2][STREAM_WARPS][32];
    __shared__ int chosen[STREAM_TOKENS * TOP_K], experts[EXPERTS];
    constexpr int STEPS = HIDDEN / K_STEP / STREAM_WARPS;
    const Lane at;
    const int block = blockIdx.x, blocks = gridDim.x;
    const bool has_shared = block < SHARED_TILES;
    const long long lane_offset = at.row * HIDDEN + at.warp * STEPS * K_STEP + at.part * 8;
    Rows even, odd;
    if (has_shared) {
        const Weight* gate = shared_weight + block * 8 * HIDDEN + lane_offset;
        even.load(gate, gate + SHARED_INTER * HIDDEN);
    }
    wait_for_previous_kernel();
    let_next_kernel_start();

    // All columns are computed; those of tokens that did not choose the expert are not stored.
    uint4 token[STEPS];
#pragma unroll
    for (int i = 0; i < STEPS; i++)
        token[i] = StreamOf<Weight>::tokens(normed + min(at.row, tokens - 1) * HIDDEN + (at.warp * STEPS + i) * K_STEP, at.part);
    if (threadIdx.x < tokens * TOP_K) chosen[threadIdx.x] = __ldcg(top_experts + threadIdx.x);
    __syncthreads();
    const u64 bits = chosen_experts(chosen, tokens, at.lane);
    if (threadIdx.x < EXPERTS && (bits >> threadIdx.x & 1)) experts[__popcll(bits & ((1ull << threadIdx.x) - 1))] = threadIdx.x;
    __syncthreads();

    // This block's tiles: its shared one, then routed tiles so that all blocks get the same number, or one less.
    const int total = SHARED_TILES + __popcll(bits) * TILES;
    const int first = total * block / blocks - min(block, SHARED_TILES);
    const int count = total * (block + 1) / blocks - total * block / blocks;
    auto load = [&](Rows& w, int i) {
        const int tile = first + i - has_shared;
        const Weight* gate = routed + ((long long)experts[tile / TILES] * 2 * EXPERT_INTER + tile % TILES * 8) * HIDDEN + lane_offset;
        w.load(gate, gate + EXPERT_INTER * HIDDEN);
    };
    auto finish = [&](const Rows& w, int i) {
        float c[4] = {};
#pragma unroll
        for (int step = 0; step < STEPS; step++) w.multiply(c, step, token[step]);
        partial[i & 1][at.warp][at.lane] = make_float4(c[0], c[1], c[2], c[3]);
        __syncthreads();
        if (at.warp != (i & 7)) return;  // each tile is finished by another warp
        c[0] = c[1] = c[2] = c[3] = 0.f;
#pragma unroll
        for (int other = 0; other < STREAM_WARPS; other++) {
            const float4 part = partial[i & 1][other][at.lane];
            c[0] += part.x; c[1] += part.y; c[2] += part.z; c[3] += part.w;
        }
        const bool is_shared = has_shared && i == 0;
        const int tile = first + i - has_shared, expert = is_shared ? -1 : experts[tile / TILES];
        const auto scales = is_shared ? shared_scales + block * 8 : routed_scales + (expert * 2 * EXPERT_INTER + tile % TILES * 8);
        const float of_gate = scales[at.row], of_up = scales[at.row + (is_shared ? SHARED_INTER : EXPERT_INTER)];
#pragma unroll
        for (int j = 0; j < 2; j++) {
            const int n = at.part * 2 + j;
            if (n >= tokens) continue;
            const int slot = is_shared ? TOP_K : slot_of(chosen, expert, n, tokens);
            const int row = (is_shared ? block : tile % TILES) * 8 + at.row;
            if (slot >= 0) inter[n * INTER_PITCH + slot * EXPERT_INTER + row] = to_bf16(silu(c[j] * of_gate) * (c[2 + j] * of_up));
        }
    };
    if (!has_shared && count > 0) load(even, 0);
    for (int i = 0; i < count; i += 2) {
        if (i + 1 < count) load(odd, i + 1);
        finish(even, i);
        if (i + 1 >= count) break;
        if (i + 2 < count) load(even, i + 2);
        finish(odd, i + 1);
    }
}

extern "C" __global__ void __launch_bounds__(STREAM_THREADS, 2) expert_gate_up_stream(
    const bf16* normed, const bf16* routed, const bf16* shared_weight, const int* top_experts, bf16* inter, int tokens) {
    gate_up_stream<bf16>(normed, routed, shared_weight, {}, {}, top_experts, inter, tokens);
}
extern "C" __global__ void __launch_bounds__(STREAM_THREADS, 2) expert_gate_up_stream_q(
    const bf16* normed, const Byte* routed, const Byte* shared_weight, const float* routed_scales, const float* shared_scales,
    const int* top_experts, bf16* inter, int tokens) {
    gate_up_stream<Byte>(normed, routed, shared_weight, routed_scales, shared_scales, top_experts, inter, tokens);
}

// One expert's tokens against BM interleaved rows; its up rows lie `up_row` rows after its gate rows. `row_of(i)` is the i-th entry of its bucket, token * 8 + slot.
template <class S, class Scales, class RowOf>
__device__ __forceinline__ void gate_up_tile(
    const bf16* normed, const typename S::Weight* gate, Scales scales, int up_row, int count, bool waits, RowOf row_of, bf16* inter) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int row0 = blockIdx.x * (S::BM / 2);
    Copies<S> copies;
    copies.from_weights(gate + row0 * HIDDEN, [&](int r) { return ((r >> 4) * 8 + (r & 7) + ((r & 8) ? up_row : 0)) * HIDDEN; });
    for (int first = 0; first < count; first += S::BN) {
        if (first) __syncthreads();
        copies.from_tokens(normed, [&](int n) { return first + n < count ? row_of(first + n) / SLOTS * HIDDEN : Copies<S>::ABSENT; });
        float acc[S::MI][S::NI][4];
        multiply_tile<S>(acc, shared_address(shared), copies, HIDDEN / BK, waits);
        for_each_result<S>(acc, [&](int row, int column, const float (&c)[4]) {
            const int own = row0 + (row >> 4) * 8 + (row & 7);
            const float of_gate = scales[own], of_up = scales[own + up_row];
#pragma unroll
            for (int j = 0; j < 2; j++)
                if (first + column + j < count)
                    inter[(long long)row_of(first + column + j) * EXPERT_INTER + own] = to_bf16(silu(c[j] * of_gate) * (c[2 + j] * of_up));
        });
    }
}

// The narrowest tile that holds the expert's tokens, up to `widest`.
template <int BM, int STAGES, class Weight, class Scales, class RowOf>
__device__ __forceinline__ void gate_up_rows(
    const bf16* normed, const Weight* gate, Scales scales, int up_row, int count, int widest, bool waits, RowOf row_of, bf16* inter) {
    constexpr int WM = BM / 16;
    if (count <= 16) gate_up_tile<Tile<BM, 16, WM, 1, STAGES, Weight>>(normed, gate, scales, up_row, count, waits, row_of, inter);
    else if (count <= 32 || widest == 32) gate_up_tile<Tile<BM, 32, WM, 1, STAGES, Weight>>(normed, gate, scales, up_row, count, waits, row_of, inter);
    else gate_up_tile<Tile<BM, 64, WM, 1, STAGES, Weight>>(normed, gate, scales, up_row, count, waits, row_of, inter);
}

template <int BM, int STAGES, class Weight, class Scales>
__device__ __forceinline__ void gate_up_item(
    const bf16* normed, const Weight* routed, const Weight* shared_weight, Scales routed_scales, Scales shared_scales, const int* expert_counts, const int* expert_tokens,
    int bucket_pitch, bf16* inter, int tokens, int widest) {
    const int shared_items = 2 * ((tokens + widest - 1) / widest);
    if (blockIdx.y < shared_items) {
        const int half = blockIdx.y & 1, first = (blockIdx.y >> 1) * widest;
        gate_up_rows<BM, STAGES>(normed, shared_weight + half * EXPERT_INTER * HIDDEN, shared_scales + half * EXPERT_INTER, SHARED_INTER,
                                 min(widest, tokens - first), widest, true, SharedRows{first, half}, inter);
    } else {
        wait_for_previous_kernel();  // which experts have work is the router's to say
        let_next_kernel_start();
        const int expert = blockIdx.y - shared_items;
        gate_up_rows<BM, STAGES>(normed, routed + (long long)expert * 2 * EXPERT_INTER * HIDDEN, routed_scales + expert * 2 * EXPERT_INTER,
                                 EXPERT_INTER, __ldcg(expert_counts + expert), widest, false, BucketRows{expert_tokens + expert * bucket_pitch}, inter);
    }
}

// `widest`: the widest token tile the launch has shared memory for, 16, 32 or 64.
#define EXPERT_GATE_UP(NAME, BM, STAGES)                                                                              \
    extern "C" __global__ void __launch_bounds__(BM * 2, 256 / BM)                                                           \
        NAME(const bf16* normed, const bf16* routed, const bf16* shared_weight, const int* expert_counts,             \
             const int* expert_tokens, int bucket_pitch, bf16* inter, int tokens, int widest) {                       \
        gate_up_item<BM, STAGES>(normed, routed, shared_weight, Unscaled(), Unscaled(), expert_counts, expert_tokens, \
                                 bucket_pitch, inter, tokens, widest);                                                \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(BM * 2, 256 / BM)                                                           \
        NAME##_q(const bf16* normed, const Byte* routed, const Byte* shared_weight, const float* routed_scales,       \
                 const float* shared_scales, const int* expert_counts, const int* expert_tokens, int bucket_pitch,    \
                 bf16* inter, int tokens, int widest) {                                                               \
        gate_up_item<BM, STAGES>(normed, routed, shared_weight, routed_scales, shared_scales, expert_counts,          \
                                 expert_tokens, bucket_pitch, inter, tokens, widest);                                 \
    }
EXPERT_GATE_UP(expert_gate_up_m64, 64, 4)
EXPERT_GATE_UP(expert_gate_up_m128, 128, 4)

// The narrowest tile that holds `count` rows, at most 128.
template <class Weight, class Scales, class RowOf>
__device__ __forceinline__ void gate_up_prompt_rows(
    const bf16* normed, const Weight* gate, Scales scales, int up_row, int count, bool waits, RowOf row_of, bf16* inter) {
    if (count <= 32) gate_up_tile<Tile<128, 32, 8, 1, 4, Weight>>(normed, gate, scales, up_row, count, waits, row_of, inter);
    else if (count <= 64) gate_up_tile<Tile<128, 64, 4, 2, 4, Weight>>(normed, gate, scales, up_row, count, waits, row_of, inter);
    else gate_up_tile<Tile<128, 128, 4, 2, 3, Weight>>(normed, gate, scales, up_row, count, waits, row_of, inter);
}

template <class Weight, class Scales>
__device__ __forceinline__ void gate_up_prompt(
    const bf16* normed, const Weight* routed, const Weight* shared_weight, Scales routed_scales, Scales shared_scales, const int* expert_counts,
    const int* expert_tokens, int bucket_pitch, bf16* inter, int tokens) {
    const int shared_tiles = 2 * ((tokens + PROMPT_TILE - 1) / PROMPT_TILE);
    if (blockIdx.y < shared_tiles) {
        const int half = blockIdx.y & 1, first = (blockIdx.y >> 1) * PROMPT_TILE;
        gate_up_prompt_rows(normed, shared_weight + half * EXPERT_INTER * HIDDEN, shared_scales + half * EXPERT_INTER, SHARED_INTER,
                            min(PROMPT_TILE, tokens - first), true, SharedRows{first, half}, inter);
        return;
    }
    wait_for_previous_kernel();
    let_next_kernel_start();
    const PromptTile tile = prompt_tile(expert_counts, blockIdx.y - shared_tiles);
    if (tile.expert < 0) return;
    gate_up_prompt_rows(normed, routed + (long long)tile.expert * 2 * EXPERT_INTER * HIDDEN, routed_scales + tile.expert * 2 * EXPERT_INTER,
                        EXPERT_INTER, tile.count, false, BucketRows{expert_tokens + (long long)tile.expert * bucket_pitch + tile.first}, inter);
}

extern "C" __global__ void __launch_bounds__(256, 2) expert_gate_up_prompt(
    const bf16* normed, const bf16* routed, const bf16* shared_weight, const int* expert_counts, const int* expert_tokens,
    int bucket_pitch, bf16* inter, int tokens) {
    gate_up_prompt(normed, routed, shared_weight, Unscaled(), Unscaled(), expert_counts, expert_tokens, bucket_pitch, inter, tokens);
}
extern "C" __global__ void __launch_bounds__(256, 2) expert_gate_up_prompt_q(
    const bf16* normed, const Byte* routed, const Byte* shared_weight, const float* routed_scales, const float* shared_scales,
    const int* expert_counts, const int* expert_tokens, int bucket_pitch, bf16* inter, int tokens) {
    gate_up_prompt(normed, routed, shared_weight, routed_scales, shared_scales, expert_counts, expert_tokens, bucket_pitch, inter, tokens);
}
