// What every kernel needs of the machine's own instructions. `lab/emulate` has the same functions for a CPU, so that a
// kernel's logic can be run where there is no GPU.
#pragma once
#include "common.cuh"

__device__ __forceinline__ u32 to_bf16_pair(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

// Four signed bytes as bf16 pairs: bytes 0 and 1, bytes 2 and 3. A byte is its low seven bits less 128 if the eighth is set;
// 128 + low bits and 128 or 256 are bf16 values whose bits need no arithmetic, and their difference is exact.
__device__ __forceinline__ u32 bytes_less(u32 spread) {
    u32 result;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(result) : "r"((spread & 0x00800080u) | 0x43004300u), "r"(0xbf80bf80u), "r"((spread & 0x007f007fu) | 0x43004300u));
    return result;
}
__device__ __forceinline__ void bytes_to_bf16(u32 bytes, u32& first, u32& second) {
    first = bytes_less(__byte_perm(bytes, 0, 0x4140));
    second = bytes_less(__byte_perm(bytes, 0, 0x4342));
}

// ---- loads ------------------------------------------------------------------------------------------

// Weights: read once a step, never written, so they skip L1. `volatile` keeps the loads where they are
// written, ahead of the wait for the previous kernel.
__device__ __forceinline__ uint4 load_weights(const bf16* address) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(address));
    return v;
}

// The same for bytes, 8 at a time.
__device__ __forceinline__ uint2 load_weights(const signed char* address) {
    uint2 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(address));
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
__device__ __forceinline__ void copy_16(u32 to, const signed char* from, bool present) { copy_16(to, reinterpret_cast<const bf16*>(from), present); }
__device__ __forceinline__ u32 load_shared_word(u32 address) {
    u32 word;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(address) : "memory");
    return word;
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
__device__ __forceinline__ void wait_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory"); }

// ---- tensor cores -----------------------------------------------------------------------------------

// c += a (16x16, row) * b (16x8, column), bf16 operands, f32 accumulators. `volatile` keeps a group of loads
// ahead of the products that use them; without it the compiler trades loads in flight for registers.
__device__ __forceinline__ void mma(float (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Activations, 8 bytes.
__device__ __forceinline__ uint2 load_half_activations(const bf16* address) {
    uint2 v;
    asm volatile("ld.global.cg.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(address) : "memory");
    return v;
}

// Four 8x8 matrices of bf16 from shared memory, as fragments.
__device__ __forceinline__ void load_matrices(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

// The same, each matrix transposed.
__device__ __forceinline__ void load_transposed(u32 (&r)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

__device__ __forceinline__ float power_of_2(float value) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(value));
    return power;
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
