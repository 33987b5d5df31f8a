// Adding a split product to the residual: the last block of a 16-row tile to arrive adds all splits in order.
#pragma once
#include "stream_tile.cuh"

// `sum` is warp 0's tile. `partials` holds [tile][split][32 lanes] float4; counters return to zero.
__device__ __forceinline__ void add_to_residual(float (&sum)[4], bf16* x, float* partials, int* counters, int tokens, const Lane& at) {
    if (at.warp) return;
    const int tile = blockIdx.x, splits = gridDim.y;
    if (splits > 1) {
        float4* mine = reinterpret_cast<float4*>(partials) + (tile * splits) * 32 + at.lane;
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
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const int n = at.part * 2 + (j & 1);
        bf16* to = x + n * HIDDEN + tile * 16 + at.row + (j >> 1) * 8;
        if (n < tokens) *to = to_bf16(to_f32(__ldcg(to)) + sum[j]);
    }
}
