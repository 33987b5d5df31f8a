// Adding a split product to the residual. The S blocks of a 16-row tile (grid (80, S)) each hold a partial tile in warp 0.
//
// sm_90: the S blocks are one cluster (launch attribute (1, S, 1)) and meet in the first one's shared memory.
// Below: partial tiles go through memory, and the last block to arrive adds them up.
// Both add in the order of the splits, so results do not depend on timing.
#pragma once
#include "stream_tile.cuh"

constexpr int MOST_SPLITS = 8;

// The residual values a lane of warp 0 will add to. They may be read before the previous kernel has ended.
struct Residual {
    bf16* to[4];
    float value[4];
    __device__ __forceinline__ Residual(bf16* x, int tokens, const Lane& at) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int n = at.part * 2 + (j & 1);
            to[j] = at.warp == 0 && n < tokens ? x + n * HIDDEN + blockIdx.x * 16 + at.row + (j >> 1) * 8 : nullptr;
            value[j] = to[j] ? to_f32(__ldcg(to[j])) : 0.f;
        }
    }
    __device__ __forceinline__ void add(const float (&sum)[4]) const {
#pragma unroll
        for (int j = 0; j < 4; j++)
            if (to[j]) *to[j] = to_bf16(value[j] + sum[j]);
    }
};

// At the start of the kernel: says that this block runs, so that others may write to its shared memory.
__device__ __forceinline__ void announce_block() {
#if __CUDA_ARCH__ >= 900
    if (gridDim.y > 1) asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}

// Called by all threads. `partials` is [tile][split][32 lanes] float4; `counters` return to zero.
__device__ __forceinline__ void add_splits(float (&sum)[4], const Residual& residual, float* partials, int* counters, const Lane& at) {
    const int splits = gridDim.y;
#if __CUDA_ARCH__ >= 900
    __shared__ float4 gathered[MOST_SPLITS][32];
    if (splits > 1) {
        asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");  // every block of the cluster is running
        if (at.warp == 0 && blockIdx.y > 0) {
            const u32 own = (u32)__cvta_generic_to_shared(&gathered[blockIdx.y][at.lane]);
            u32 first;
            asm volatile("mapa.shared::cluster.u32 %0, %1, 0;" : "=r"(first) : "r"(own));
            asm volatile("st.shared::cluster.v4.f32 [%0], {%1,%2,%3,%4};" ::"r"(first), "f"(sum[0]), "f"(sum[1]), "f"(sum[2]), "f"(sum[3]) : "memory");
        }
        asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
        if (blockIdx.y > 0) return;  // the first block waits; a block may leave once it has arrived
        asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
        if (at.warp) return;
        for (int s = 1; s < splits; s++) {
            const float4 part = gathered[s][at.lane];
            sum[0] += part.x; sum[1] += part.y; sum[2] += part.z; sum[3] += part.w;
        }
    }
    if (at.warp) return;
#else
    if (at.warp) return;
    if (splits > 1) {
        const int tile = blockIdx.x;
        float4* mine = reinterpret_cast<float4*>(partials) + tile * splits * 32 + at.lane;
        __stcg(mine + blockIdx.y * 32, make_float4(sum[0], sum[1], sum[2], sum[3]));
        __threadfence();
        __syncwarp();
        int arrived = 0;
        if (at.lane == 0) arrived = atomicAdd(counters + tile, 1);
        arrived = __shfl_sync(FULL_WARP, arrived, 0);
        if (arrived != splits - 1) return;
        if (at.lane == 0) counters[tile] = 0;
        __threadfence();
        sum[0] = sum[1] = sum[2] = sum[3] = 0.f;
        for (int s = 0; s < splits; s++) {
            const float4 part = __ldcg(mine + s * 32);
            sum[0] += part.x; sum[1] += part.y; sum[2] += part.z; sum[3] += part.w;
        }
    }
#endif
    residual.add(sum);
}
