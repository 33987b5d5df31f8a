// Which rows a batched expert block works on: entry i of its list, as token * 8 + slot.
#pragma once
#include "common.cuh"

// A stretch of the batch, for one half of the shared experts.
struct SharedRows {
    int first_token, half;
    __device__ __forceinline__ int operator()(int i) const { return (first_token + i) * SLOTS + TOP_K + half; }
};

// The tokens that chose an expert, from the router's bucket.
struct BucketRows {
    const int* bucket;
    __device__ __forceinline__ int operator()(int i) const { return __ldcg(bucket + i); }
};

// ---- long batches: prompts --------------------------------------------------------------------------

// Rows of a tile of a long batch.
constexpr int PROMPT_TILE = 128;

// Which rows of which expert a block has. Tiles of the shared experts come first, then each expert's in turn.
struct PromptTile {
    int expert;  // -1: the shared ones; -2: none
    int first, count;
};

// Called by whole warps. `tile` counts the routed experts' tiles.
__device__ __forceinline__ PromptTile prompt_tile(const int* expert_counts, int tile) {
    const int lane = threadIdx.x & 31;
    const int count[2] = {__ldcg(expert_counts + 2 * lane), __ldcg(expert_counts + 2 * lane + 1)};
    const int tiles[2] = {(count[0] + PROMPT_TILE - 1) / PROMPT_TILE, (count[1] + PROMPT_TILE - 1) / PROMPT_TILE};
    int end = tiles[0] + tiles[1];
#pragma unroll
    for (int distance = 1; distance < 32; distance <<= 1) {
        const int before = __shfl_up_sync(FULL_WARP, end, distance);
        if (lane >= distance) end += before;
    }
    const int start = end - tiles[0] - tiles[1];
    const u32 found = __ballot_sync(FULL_WARP, tile >= start && tile < end);
    if (!found) return {-2, 0, 0};
    const bool second = tile >= start + tiles[0];
    const int first = (tile - start - (second ? tiles[0] : 0)) * PROMPT_TILE;
    const int owner = __ffs(found) - 1;
    PromptTile own = {2 * lane + second, first, min(PROMPT_TILE, count[second] - first)};
    own.expert = __shfl_sync(FULL_WARP, own.expert, owner);
    own.first = __shfl_sync(FULL_WARP, own.first, owner);
    own.count = __shfl_sync(FULL_WARP, own.count, owner);
    return own;
}
