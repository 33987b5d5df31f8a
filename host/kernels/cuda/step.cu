// The two ends of a decode step: embedding gather with the attention plan, and taking the chosen tokens.
//
// step_begin  grid (tokens + 1) x 256 threads. Blocks 0..tokens-1 copy one embedding row each and normalise it for layer
//             0; the last block shares the sequences' contexts out into attention items, of `fixed_chunk` tokens or, where
//             that is 0, of what is quickest. `item_capacity` is what `items` holds; chunks of 512 tokens must fit in it.
// step_end    one block of 256 threads: decodes the packed argmax, appends the token to its sequence.
// Memory      2.5 KB read and 5 KB written a token: latency, not bandwidth.
// Reached     H200, 2026-11-24: step_begin 3.8, 3.2, 6.0 us at 1, 32, 256 tokens.
#include "common.cuh"

// Chunks of 64, 96, .. 512 tokens: shorter ones are mostly start-up, longer ones end unevenly.
constexpr int SHORTEST_CHUNK = 64, CHUNK_STEP = 32, CHUNK_CHOICES = 15;
constexpr int ITEM_OVERHEAD = 32;  // what starting and merging an item costs, in tokens' worth of time

__device__ void plan_attention(
    const int* sequence_lengths, int sequences, int attention_rows, AttentionItem* items, int item_capacity, int fixed_chunk,
    int* plan) {
    __shared__ int lengths[256], prefix[256], cheapest;
    const int s = threadIdx.x;
    const int length = s < sequences ? sequence_lengths[s] : 0;
    lengths[s] = length;
    if (s == 0) cheapest = 0x7fffffff;
    __syncthreads();
    // Cost of a choice: rounds that a row of blocks walks, times the length of one. A warp tries two choices.
    for (int choice = s >> 5; choice < CHUNK_CHOICES; choice += 8) {
        const int tried = SHORTEST_CHUNK + choice * CHUNK_STEP;
        int count = 0;
        for (int at = s & 31; at < sequences; at += 32) count += (lengths[at] + tried - 1) / tried;
        count = __reduce_add_sync(FULL_WARP, count);
        const int rounds = (count + attention_rows - 1) / attention_rows;
        const int cost = count > item_capacity ? 0x3fffff : rounds * (tried + ITEM_OVERHEAD);
        if ((s & 31) == 0) atomicMin(&cheapest, min(cost, 0x3fffff) << 9 | (tried - 1));
    }
    __syncthreads();
    const int chunk = fixed_chunk ? fixed_chunk : (cheapest & 511) + 1;

    const int chunks = (length + chunk - 1) / chunk;
    prefix[s] = chunks;
    __syncthreads();
    for (int distance = 1; distance < sequences; distance <<= 1) {
        int before = s >= distance ? prefix[s - distance] : 0;
        __syncthreads();
        prefix[s] += before;
        __syncthreads();
    }
    for (int c = 0, at = prefix[s] - chunks; c < chunks; c++, at++)
        items[at] = {s, c * chunk, min(length, (c + 1) * chunk), chunks};
    if (s == sequences - 1) { plan[PLAN_ITEMS] = prefix[s]; plan[PLAN_CHUNK] = chunk; }
}

// `sequence_lengths` counts the token of this step; 0 marks a row of the batch without a sequence.
extern "C" __global__ void __launch_bounds__(256) step_begin(
    const int* token_ids, const int* sequence_lengths, const bf16* embed_tokens, const bf16* norm_weight, bf16* x, bf16* normed,
    int tokens, int attention_rows, AttentionItem* items, int* plan, int* expert_counts, int expert_count_entries,
    int item_capacity, int fixed_chunk) {
    wait_for_previous_kernel();
    let_next_kernel_start();
    const int token = blockIdx.x, i = threadIdx.x;
    if (token == tokens) {
        for (int at = i; at < expert_count_entries; at += 256) expert_counts[at] = 0;
        plan_attention(sequence_lengths, tokens, attention_rows, items, item_capacity, fixed_chunk, plan);
        return;
    }
    __shared__ float squares[8];
    uint4 value = make_uint4(0, 0, 0, 0);
    if (i < HIDDEN / 8)
        value = load_weights(embed_tokens + (long long)token_ids[token] * HIDDEN + i * 8);
    u32* pair = &value.x;
    float square = 0.f;
#pragma unroll
    for (int j = 0; j < 4; j++) square += low_f32(pair[j]) * low_f32(pair[j]) + high_f32(pair[j]) * high_f32(pair[j]);
    square = warp_sum(square);
    if ((i & 31) == 0) squares[i >> 5] = square;
    __syncthreads();
    if (i >= HIDDEN / 8) return;
    square = squares[0] + squares[1] + squares[2] + squares[3] + squares[4];
    float scale = rsqrtf(square / HIDDEN + NORM_EPS);
    *reinterpret_cast<uint4*>(x + token * HIDDEN + i * 8) = value;
    uint4 weight = *reinterpret_cast<const uint4*>(norm_weight + i * 8);
    u32* by = &weight.x;
#pragma unroll
    for (int j = 0; j < 4; j++)
        pair[j] = to_bf16_pair(round_bf16(low_f32(pair[j]) * scale) * low_f32(by[j]), round_bf16(high_f32(pair[j]) * scale) * high_f32(by[j]));
    *reinterpret_cast<uint4*>(normed + token * HIDDEN + i * 8) = value;
}

// `best` holds (ordered logit, ~token) as lm_head leaves it and is cleared for the next step.
extern "C" __global__ void __launch_bounds__(256) step_end(
    u64* best, int* token_ids, int* sequence_lengths, int* history, int* history_lengths, int history_pitch, int tokens) {
    wait_for_previous_kernel();
    let_next_kernel_start();
    const int s = threadIdx.x;
    if (s >= tokens) return;
    const u64 key = __ldcg(best + s);
    best[s] = 0;
    if (sequence_lengths[s] == 0) return;
    const int token = (int)(0xffffffffu - (u32)key);
    const int at = history_lengths[s];
    token_ids[s] = token;
    sequence_lengths[s] += 1;
    if (at < history_pitch) {
        history[(long long)s * history_pitch + at] = token;
        history_lengths[s] = at + 1;
    }
}
