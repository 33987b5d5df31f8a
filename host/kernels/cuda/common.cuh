// What every kernel of the decode step shares: the decoder's dimensions, bf16 conversion, cached and
// uncached loads, warp reductions, the tensor-core instruction, and programmatic dependent launch.
//
// No header is included, so the files compile under nvcc and under NVRTC alike.
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

__device__ __forceinline__ u32 to_bf16_pair(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
__device__ __forceinline__ bf16 to_bf16(float value) { return (bf16)to_bf16_pair(value, 0.f); }
__device__ __forceinline__ float round_bf16(float value) { return to_f32(to_bf16(value)); }

// ---- loads ------------------------------------------------------------------------------------------

// Weights: read once a step, never written, so they skip L1. `volatile` keeps the loads where they are
// written, ahead of the wait for the previous kernel.
__device__ __forceinline__ uint4 load_weights(const bf16* address) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(address));
    return v;
}

// Activations: written by an earlier kernel that may still have been running when this one started,
// so they are read from L2, where its writes are.
__device__ __forceinline__ uint4 load_activations(const bf16* address) {
    uint4 v;
    asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(address) : "memory");
    return v;
}

// ---- copies into shared memory, past L1 and registers ---------------------------------------------------

__device__ __forceinline__ u32 shared_address(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }
// Zeros are written where nothing is present.
__device__ __forceinline__ void copy_16(u32 to, const bf16* from, bool present) {
    int bytes = present ? 16 : 0;
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
__device__ __forceinline__ void wait_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory"); }

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

// ---- tensor cores -----------------------------------------------------------------------------------

// c += a (16x16, row) * b (16x8, column), bf16 operands, f32 accumulators. `volatile` keeps a group of loads
// ahead of the products that use them; without it the compiler trades loads in flight for registers.
__device__ __forceinline__ void mma(float (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// ---- programmatic dependent launch ------------------------------------------------------------------

// Waits until every kernel this one follows has finished and its writes are visible. A kernel may only
// read weights before it. No-ops below sm_90, and when the launch carries no programmatic attribute.
__device__ __forceinline__ void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel's blocks start as soon as there is room for them. Always called after the wait:
// a kernel that has started then knows that everything before its predecessor is complete.
__device__ __forceinline__ void let_next_kernel_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
