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
