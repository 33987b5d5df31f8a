// Matrix-vector work for batches of 1 to 8: weights stream from memory straight into tensor-core fragments.
//
// One warp multiplies 16 weight rows with 8 token columns. Each lane loads 16 bytes (8 values of k) of a
// row and feeds them to two m16n8k16 instructions as they lie: which k a fragment element stands for does
// not matter as long as weights and tokens agree, so no shuffle and no shared memory is needed. Lane
// (row = lane / 4, part = lane % 4) owns rows `row` and `row + 8`, token column `row`, and k = 32 i + 8 part
// + 0..7. Results: c[0], c[1] are row `row`, tokens 2 part and 2 part + 1; c[2], c[3] are row `row + 8`.
//
// The two row halves come from separate pointers, so a kernel can pair the rows that meet in its epilogue:
// rotary partners (d, d + 64), or a gate row with its up row.
#pragma once
#include "common.cuh"

constexpr int STREAM_TOKENS = 8;      // columns of the tensor-core tile
constexpr int STREAM_WARPS = 8;       // warps of a block share out K or the work items
constexpr int STREAM_THREADS = 32 * STREAM_WARPS;
constexpr int K_STEP = 32;            // k covered by one 16-byte load of four lanes
constexpr int NORMED_PITCH = HIDDEN + 32;  // 64 bytes past a multiple of 128: conflict-free 16-byte reads

struct Lane {
    int warp, lane, row, part;
    __device__ Lane() {
        warp = threadIdx.x >> 5;
        lane = threadIdx.x & 31;
        row = lane >> 2;
        part = lane & 3;
    }
};

template <int STEPS>
struct WeightRows {
    uint4 upper[STEPS], lower[STEPS];

    // Both pointers stand at this lane's first 16 bytes.
    __device__ __forceinline__ void load(const bf16* upper_row, const bf16* lower_row) {
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            upper[i] = load_weights(upper_row + i * K_STEP);
            lower[i] = load_weights(lower_row + i * K_STEP);
        }
    }

    __device__ __forceinline__ void multiply(float (&c)[4], int i, uint4 tokens) const {
        mma(c, upper[i].x, lower[i].x, upper[i].y, lower[i].y, tokens.x, tokens.y);
        mma(c, upper[i].z, lower[i].z, upper[i].w, lower[i].w, tokens.z, tokens.w);
    }
};

// The same of signed bytes in the order of `gemm_tile.cuh`: a lane has half of a stretch of 16, and its tokens' k are
// 16 (part / 2) + 4 (part % 2) + 0..3 and those eight further on.
template <int STEPS>
struct ByteRows {
    uint2 upper[STEPS], lower[STEPS];

    // Both pointers stand at this lane's first 8 bytes.
    __device__ __forceinline__ void load(const signed char* upper_row, const signed char* lower_row) {
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            upper[i] = load_weights(upper_row + i * K_STEP);
            lower[i] = load_weights(lower_row + i * K_STEP);
        }
    }

    __device__ __forceinline__ void multiply(float (&c)[4], int i, uint4 tokens) const {
        u32 a[4];
        bytes_to_bf16(upper[i].x, a[0], a[2]);
        bytes_to_bf16(lower[i].x, a[1], a[3]);
        mma(c, a[0], a[1], a[2], a[3], tokens.x, tokens.z);
        bytes_to_bf16(upper[i].y, a[0], a[2]);
        bytes_to_bf16(lower[i].y, a[1], a[3]);
        mma(c, a[0], a[1], a[2], a[3], tokens.y, tokens.w);
    }
};

// What a lane loads of tokens that lie at `row` for a step of 32 k, by the kind of weights.
template <class Weight> struct StreamOf;
template <> struct StreamOf<bf16> {
    template <int STEPS> using Rows = WeightRows<STEPS>;
    static __device__ __forceinline__ uint4 tokens(const bf16* row, int part) { return load_activations(row + part * 8); }
};
template <> struct StreamOf<signed char> {
    template <int STEPS> using Rows = ByteRows<STEPS>;
    static __device__ __forceinline__ uint4 tokens(const bf16* row, int part) {
        const bf16* from = row + (part >> 1) * 16 + (part & 1) * 4;
        const uint2 first = load_half_activations(from), second = load_half_activations(from + 8);
        return make_uint4(first.x, first.y, second.x, second.y);
    }
};

// Sums the warps' partial tiles; the result is valid in warp 0.
__device__ __forceinline__ void sum_over_warps(float (&c)[4], float4 (*scratch)[32], const Lane& at) {
    if (at.warp) scratch[at.warp][at.lane] = make_float4(c[0], c[1], c[2], c[3]);
    __syncthreads();
    if (at.warp) return;
#pragma unroll
    for (int w = 1; w < STREAM_WARPS; w++) {
        float4 other = scratch[w][at.lane];
        c[0] += other.x; c[1] += other.y; c[2] += other.z; c[3] += other.w;
    }
}

// RMSNorm of up to 8 tokens into shared memory, one warp a token, zeros past the last. As in the reference,
// the normalised value is rounded to bf16 before it is multiplied by the weight.
__device__ __forceinline__ void norm_tokens(bf16* normed, const bf16* x, const bf16* norm_weight, int tokens, const Lane& at) {
    uint4* out = reinterpret_cast<uint4*>(normed + at.warp * NORMED_PITCH);
    if (at.warp >= tokens) {
#pragma unroll
        for (int i = 0; i < 5; i++) out[at.lane + 32 * i] = make_uint4(0, 0, 0, 0);
        return;
    }
    uint4 value[5], weight[5];
    float square = 0.f;
#pragma unroll
    for (int i = 0; i < 5; i++) {
        value[i] = load_activations(x + at.warp * HIDDEN + (at.lane + 32 * i) * 8);
        weight[i] = *reinterpret_cast<const uint4*>(norm_weight + (at.lane + 32 * i) * 8);
    }
#pragma unroll
    for (int i = 0; i < 5; i++) {
        const u32* pair = &value[i].x;
#pragma unroll
        for (int j = 0; j < 4; j++) square += low_f32(pair[j]) * low_f32(pair[j]) + high_f32(pair[j]) * high_f32(pair[j]);
    }
    float scale = rsqrtf(warp_sum(square) / HIDDEN + NORM_EPS);
#pragma unroll
    for (int i = 0; i < 5; i++) {
        u32 *pair = &value[i].x, *by = &weight[i].x;
#pragma unroll
        for (int j = 0; j < 4; j++)
            pair[j] = to_bf16_pair(round_bf16(low_f32(pair[j]) * scale) * low_f32(by[j]),
                                   round_bf16(high_f32(pair[j]) * scale) * high_f32(by[j]));
        out[at.lane + 32 * i] = value[i];
    }
}

__device__ __forceinline__ uint4 normed_tokens(const bf16* normed, int k, const Lane& at) {
    return *reinterpret_cast<const uint4*>(normed + at.row * NORMED_PITCH + k + at.part * 8);
}
