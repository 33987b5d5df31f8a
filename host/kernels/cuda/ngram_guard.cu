// No-repeat n-gram rule: which tokens would complete an n-gram that the sequence already contains.
//
// The last n - 1 tokens are compared with every earlier stretch that starts in the last `window` tokens
// (window 0: the whole history); the token that followed an equal stretch is banned unless whitelisted.
// Launch    one block of 256 threads a sequence, before lm_head.
// Memory    the window, 4 B a token: latency only.
// Reached   H200, 2026-11-24: with it a whole step takes 3 us more at 1 sequence, 14 us more at 256.
// Limit     BAN_PITCH different tokens a sequence; `overflows` counts what did not fit, so it is never silent.
#include "common.cuh"

constexpr int BAN_PITCH = 128, CANDIDATES = 1024;

extern "C" __global__ void __launch_bounds__(256) ngram_guard(
    const int* history, const int* history_lengths, int history_pitch, int n, int window, int allowed_first, int allowed_second,
    int* ban_counts, int* ban_ids, int* overflows) {
    __shared__ int candidates[CANDIDATES], found, kept;
    wait_for_previous_kernel();
    let_next_kernel_start();
    const int sequence = blockIdx.x, length = min(__ldcg(history_lengths + sequence), history_pitch);
    const int* tokens = history + (long long)sequence * history_pitch;
    if (threadIdx.x == 0) found = kept = 0;
    __syncthreads();
    const int first = window ? max(0, length - window) : 0;
    for (int start = first + threadIdx.x; start <= length - n; start += 256) {
        int equal = 0;
        while (equal < n - 1 && __ldcg(tokens + start + equal) == __ldcg(tokens + length - n + 1 + equal)) equal++;
        const int banned = __ldcg(tokens + start + n - 1);
        if (equal < n - 1 || banned == allowed_first || banned == allowed_second) continue;
        const int place = atomicAdd(&found, 1);
        if (place < CANDIDATES) candidates[place] = banned;
        else atomicAdd(overflows, 1);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < min(found, CANDIDATES); i += 256) {
        bool is_new = true;
        for (int j = 0; j < i && is_new; j++) is_new = candidates[j] != candidates[i];
        if (!is_new) continue;
        const int place = atomicAdd(&kept, 1);
        if (place < BAN_PITCH) ban_ids[sequence * BAN_PITCH + place] = candidates[i];
        else atomicAdd(overflows, 1);
    }
    __syncthreads();
    if (threadIdx.x == 0) ban_counts[sequence] = min(kept, BAN_PITCH);
}
