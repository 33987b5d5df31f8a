// What every kernel of the decode step shares: the decoder's dimensions, bf16 values, warp reductions, and what
// `instructions.cuh` has of loads, tensor cores and programmatic dependent launch.
//
// No header of CUDA's is included, so the files compile under nvcc and under NVRTC alike.
#pragma once

typedef unsigned short bf16;  // raw bits; arithmetic happens in f32
typedef unsigned int u32;
typedef unsigned long long u64;

// DeepSeek-OCR v1's decoder (config.json: hidden_size, num_attention_heads, ...).
constexpr int HIDDEN = 1280;
constexpr int HEADS = 10;
constexpr int HEAD_DIM = 128;
constexpr int EXPERTS = 64;
constexpr int TOP_K = 6;
constexpr int EXPERT_INTER = 896;
constexpr int SHARED_INTER = 2 * EXPERT_INTER;
constexpr int DENSE_INTER = 6848;
constexpr int VOCAB = 129280;
constexpr float NORM_EPS = 1e-6f;

// A token's intermediate activations and MLP outputs live in eight slots: six routed experts, then the
// two halves of the shared experts. Layer 0 uses the same eight for its split of K = 6848.
constexpr int SLOTS = TOP_K + 2;
constexpr int INTER_PITCH = SLOTS * EXPERT_INTER;

constexpr u32 FULL_WARP = 0xffffffffu;

// ---- paged cache and attention plan -----------------------------------------------------------------

// Where a token's key or value lies, in elements. A page holds 2^page_shift tokens.
struct CacheLayout { long long page_stride; int token_stride, head_stride, page_shift, table_pitch; };

// One stretch of one sequence's context: tokens [start, end) of `sequence`, which has `chunks` of them.
struct AttentionItem { int sequence, start, end, chunks; };
constexpr int PLAN_ITEMS = 0, PLAN_CHUNK = 1;  // plan[0]: number of items; plan[1]: tokens in a chunk

// ---- bf16 -------------------------------------------------------------------------------------------

__device__ __forceinline__ float low_f32(u32 pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_f32(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
__device__ __forceinline__ float to_f32(bf16 value) { return __uint_as_float((u32)value << 16); }

__device__ __forceinline__ u32 to_bf16_pair(float low, float high);
__device__ __forceinline__ bf16 to_bf16(float value) { return (bf16)to_bf16_pair(value, 0.f); }
__device__ __forceinline__ float round_bf16(float value) { return to_f32(to_bf16(value)); }

// ---- reductions -------------------------------------------------------------------------------------

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int distance = 16; distance; distance >>= 1) value += __shfl_xor_sync(FULL_WARP, value, distance);
    return value;
}

// A float's bits as an unsigned integer of the same order.
__device__ __forceinline__ u32 ordered_bits(float value) {
    u32 bits = __float_as_uint(value);
    return bits ^ ((bits & 0x80000000u) ? 0xffffffffu : 0x80000000u);
}

__device__ __forceinline__ float silu(float value) { return value / (1.f + __expf(-value)); }

#ifdef OCR_EMULATED
#include "emulated_instructions.h"
#else
#include "instructions.cuh"
#endif
