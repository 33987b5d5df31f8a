// Which experts a batch of up to 8 tokens chose, from the router's list in shared memory.
#pragma once
#include "stream_tile.cuh"

// One bit an expert. Called by whole warps.
__device__ __forceinline__ u64 chosen_experts(const int* chosen, int tokens, int lane) {
    u64 bits = 0;
    for (int i = lane; i < tokens * TOP_K; i += 32) bits |= 1ull << chosen[i];
    return (u64)__reduce_or_sync(FULL_WARP, (u32)(bits >> 32)) << 32 | __reduce_or_sync(FULL_WARP, (u32)bits);
}

// The n-th chosen expert in ascending order, or -1.
__device__ __forceinline__ int nth_expert(u64 bits, int n) {
    for (; n > 0; n--) bits &= bits - 1;
    return __ffsll(bits) - 1;
}

// The slot in which `token` chose `expert`, or -1.
__device__ __forceinline__ int slot_of(const int* chosen, int expert, int token, int tokens) {
    int slot = -1;
    if (token < tokens) {
#pragma unroll
        for (int k = 0; k < TOP_K; k++)
            if (chosen[token * TOP_K + k] == expert) slot = k;
    }
    return slot;
}
