// Post-attention norm and router: residual + K splits of the output projection, RMSNorm, 64 gate logits,
// softmax, the six best experts. Nothing is read back to the host.
//
// router_top6_stream   1 to 8 tokens: one block of 512 threads a token, four experts a warp, the gate in registers
//                      before the token arrives. The residual is complete (o_proj_stream adds it).
// router_top6          16 tokens and more: min(tokens, 132) blocks x 1024 threads; a block keeps the gate in
//                      registers (two experts a warp), walks its tokens, adds the K splits of o_proj, and fills
//                      each expert's bucket: `expert_tokens[expert][i]` = token * 8 + slot.
// Memory    164 KB of weights a block (L2 after the first), 2.5 KB + 5 KB a slot a token.
// Reached   H200, 2026-11-24: router_top6_stream 3.3 us at 1, 3.4 at 8 tokens.
// Routing   weights are softmax values over all 64, not renormalised; equal logits go to the lower expert.
//           `round_logits` rounds the logits to bf16 first, as a bf16 gate GEMM does.
#include "common.cuh"

constexpr int WARPS = 32, EXPERTS_A_WARP = EXPERTS / WARPS, LOADS = HIDDEN / 8 / 32;

// One warp: the six highest of 64 logits by softmax. Lane l looks after experts l and l + 32; lane k < 6 calls
// `take(k, expert, weight)`.
template <class Take>
__device__ __forceinline__ void take_top6(const float* logits, int lane, Take take) {
    const float low = logits[lane], high = logits[lane + 32];
    u32 low_key = ordered_bits(low), high_key = ordered_bits(high);  // 0 once taken
    int expert = 0;
    float highest = 0.f, own = 0.f;
#pragma unroll
    for (int k = 0; k < TOP_K; k++) {
        const u32 best = __reduce_max_sync(FULL_WARP, max(low_key, high_key));
        const u32 among_low = __ballot_sync(FULL_WARP, low_key == best), among_high = __ballot_sync(FULL_WARP, high_key == best);
        const int winner = among_low ? __ffs(among_low) - 1 : __ffs(among_high) + 31;
        if (winner == lane) low_key = 0;
        if (winner == lane + 32) high_key = 0;
        const float logit = __uint_as_float(best ^ ((best & 0x80000000u) ? 0x80000000u : 0xffffffffu));
        if (k == 0) highest = logit;
        if (lane == k) { expert = winner; own = logit; }
    }
    const float total = warp_sum(__expf(low - highest) + __expf(high - highest));
    if (lane < TOP_K) take(lane, expert, __expf(own - highest) / total);
}

extern "C" __global__ void __launch_bounds__(512) router_top6_stream(
    const bf16* x, const bf16* norm_weight, const bf16* gate_weight, bf16* normed, int* top_experts, float* top_weights, int round_logits) {
    constexpr int EXPERTS_A_WARP = 4;
    __shared__ uint4 norm[HIDDEN / 8];
    __shared__ float logits[EXPERTS];
    const int token = blockIdx.x, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    uint4 gate[EXPERTS_A_WARP][LOADS], value[LOADS];
#pragma unroll
    for (int e = 0; e < EXPERTS_A_WARP; e++)
#pragma unroll
        for (int j = 0; j < LOADS; j++) gate[e][j] = load_weights(gate_weight + (warp * EXPERTS_A_WARP + e) * HIDDEN + (j * 32 + lane) * 8);
    if (threadIdx.x < HIDDEN / 8) norm[threadIdx.x] = load_weights(norm_weight + threadIdx.x * 8);
    __syncthreads();
    wait_for_previous_kernel();
    let_next_kernel_start();

    // Every warp normalises the whole token for itself: cheaper than meeting the other warps.
#pragma unroll
    for (int j = 0; j < LOADS; j++) value[j] = load_activations(x + token * HIDDEN + (j * 32 + lane) * 8);
    float square = 0.f;
#pragma unroll
    for (int j = 0; j < LOADS; j++) {
        const u32* pair = &value[j].x;
#pragma unroll
        for (int p = 0; p < 4; p++) square += low_f32(pair[p]) * low_f32(pair[p]) + high_f32(pair[p]) * high_f32(pair[p]);
    }
    const float scale = rsqrtf(warp_sum(square) / HIDDEN + NORM_EPS);
    float dot[EXPERTS_A_WARP] = {};
#pragma unroll
    for (int j = 0; j < LOADS; j++) {
        u32* pair = &value[j].x;
        const uint4 weight = norm[j * 32 + lane];
        const u32* by = &weight.x;
#pragma unroll
        for (int p = 0; p < 4; p++) {
            pair[p] = to_bf16_pair(round_bf16(low_f32(pair[p]) * scale) * low_f32(by[p]), round_bf16(high_f32(pair[p]) * scale) * high_f32(by[p]));
#pragma unroll
            for (int e = 0; e < EXPERTS_A_WARP; e++) {
                const u32 g = (&gate[e][j].x)[p];
                dot[e] += low_f32(pair[p]) * low_f32(g) + high_f32(pair[p]) * high_f32(g);
            }
        }
        if (warp == j) *reinterpret_cast<uint4*>(normed + token * HIDDEN + (j * 32 + lane) * 8) = value[j];
    }
#pragma unroll
    for (int e = 0; e < EXPERTS_A_WARP; e++) {
        const float logit = warp_sum(dot[e]);
        if (lane == 0) logits[warp * EXPERTS_A_WARP + e] = round_logits ? round_bf16(logit) : logit;
    }
    __syncthreads();
    if (warp) return;
    take_top6(logits, lane, [&](int k, int expert, float weight) {
        top_experts[token * TOP_K + k] = expert;
        top_weights[token * TOP_K + k] = weight;
    });
}

extern "C" __global__ void __launch_bounds__(1024) router_top6(
    bf16* x, const float* slots, int slot_count, const bf16* norm_weight, const bf16* gate_weight, bf16* normed, int* top_experts,
    float* top_weights, int* expert_counts, int* expert_tokens, int bucket_pitch, const int* sequence_lengths, int tokens, int round_logits) {
    __shared__ __align__(16) bf16 hidden[HIDDEN];
    __shared__ float squares[WARPS], logits[EXPERTS];
    const int i = threadIdx.x, warp = i >> 5, lane = i & 31;
    uint4 gate[EXPERTS_A_WARP][LOADS];
#pragma unroll
    for (int e = 0; e < EXPERTS_A_WARP; e++)
#pragma unroll
        for (int j = 0; j < LOADS; j++) gate[e][j] = load_weights(gate_weight + (warp * EXPERTS_A_WARP + e) * HIDDEN + (j * 32 + lane) * 8);
    u32 by = 0;
    if (i < HIDDEN / 2) by = *reinterpret_cast<const u32*>(norm_weight + i * 2);
    wait_for_previous_kernel();
    let_next_kernel_start();

    for (int token = blockIdx.x; token < tokens; token += gridDim.x) {
        float first = 0.f, second = 0.f;
        if (i < HIDDEN / 2) {  // two values a thread
            u32* at = reinterpret_cast<u32*>(x + token * HIDDEN + i * 2);
            const u32 pair = __ldcg(at);
            first = low_f32(pair), second = high_f32(pair);
            if (slot_count) {
                float2 added = make_float2(0.f, 0.f);
                for (int s = 0; s < slot_count; s++) {
                    const float2 part = __ldcg(reinterpret_cast<const float2*>(slots + ((long long)token * SLOTS + s) * HIDDEN + i * 2));
                    added.x += part.x, added.y += part.y;
                }
                const u32 sum = to_bf16_pair(first + added.x, second + added.y);
                first = low_f32(sum), second = high_f32(sum);
                *at = sum;
            }
        }
        float square = warp_sum(first * first + second * second);
        if (lane == 0) squares[warp] = square;
        __syncthreads();
        square = warp_sum(squares[lane]);
        const float scale = rsqrtf(square / HIDDEN + NORM_EPS);
        if (i < HIDDEN / 2) {
            const u32 pair = to_bf16_pair(round_bf16(first * scale) * low_f32(by), round_bf16(second * scale) * high_f32(by));
            *reinterpret_cast<u32*>(hidden + i * 2) = pair;
            *reinterpret_cast<u32*>(normed + token * HIDDEN + i * 2) = pair;
        }
        __syncthreads();

        float dot[EXPERTS_A_WARP] = {};
#pragma unroll
        for (int j = 0; j < LOADS; j++) {
            const uint4 value = *reinterpret_cast<const uint4*>(hidden + (j * 32 + lane) * 8);
            const u32* h = &value.x;
#pragma unroll
            for (int e = 0; e < EXPERTS_A_WARP; e++) {
                const u32* g = &gate[e][j].x;
#pragma unroll
                for (int p = 0; p < 4; p++) dot[e] += low_f32(h[p]) * low_f32(g[p]) + high_f32(h[p]) * high_f32(g[p]);
            }
        }
#pragma unroll
        for (int e = 0; e < EXPERTS_A_WARP; e++) {
            const float logit = warp_sum(dot[e]);
            if (lane == 0) logits[warp * EXPERTS_A_WARP + e] = round_logits ? round_bf16(logit) : logit;
        }
        __syncthreads();
        if (warp) continue;

        const bool active = __ldcg(sequence_lengths + token) > 0;
        take_top6(logits, lane, [&](int k, int expert, float weight) {
            top_experts[token * TOP_K + k] = expert;
            top_weights[token * TOP_K + k] = weight;
            if (!active) return;
            const int place = atomicAdd(expert_counts + expert, 1);
            expert_tokens[expert * bucket_pitch + place] = token * SLOTS + k;
        });
    }
}
