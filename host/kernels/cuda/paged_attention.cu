// Decode attention over the paged cache: one query token a sequence, 10 heads of 128, split over the context.
//
// Launch    grid (10 heads, Y) x 128 threads, Y so that all blocks are resident (3 an SM: 39 on 132 SMs); the blocks
//           of a head walk the items that step_begin planned (stretches of 64 to 512 tokens), Y of them at a time.
//           A warp takes 8 tokens at once: 4 lanes share
//           a key or value row, 16 bytes at a time, so a score costs two shuffles.
// Memory    512 B a token, head and layer: read once. Stretches of one sequence leave their running softmax
//           in `partials`; the last one to finish merges them in order (counters return to zero by themselves).
// Reached   H200, 2026-11-24, 790 tokens a sequence: 5.0, 12.1, 36.0, 71.2, 135, 254 us at 1, 8, 32, 64, 128, 256
//           sequences; 4,078 GB/s at 256, where a copy moves 4,226.
// Pages     any power of two from 32 tokens on.
#include "common.cuh"

constexpr int WARPS = 4, TOKENS_A_TURN = 8 * WARPS, THREADS = 32 * WARPS;
constexpr int STAGES = 4;                    // turns on their way or being read
constexpr int STAGE_BYTES = THREADS * 8 * 16;  // a thread keeps 4 x 16 bytes of a key row and as much of a value row
constexpr int PARTIAL_PITCH = HEAD_DIM + 4;  // 128 sums, then maximum and weight
constexpr float LOWEST = -1e30f;

// One turn's keys and values, this lane's quarter of one row each.
struct Rows { uint4 k[4], v[4]; };

struct RunningSoftmax {
    float maximum = LOWEST, weight = 0.f, sum[32] = {};

    __device__ __forceinline__ void add(const Rows& rows, const float (&q)[32], bool present) {
        float s[4] = {};
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const u32* pair = &rows.k[j].x;
#pragma unroll
            for (int e = 0; e < 4; e++) {
                s[e] += q[j * 8 + 2 * e] * low_f32(pair[e]);
                s[e] += q[j * 8 + 2 * e + 1] * high_f32(pair[e]);
            }
        }
        float score = (s[0] + s[1]) + (s[2] + s[3]);
        score += __shfl_xor_sync(FULL_WARP, score, 1);
        score += __shfl_xor_sync(FULL_WARP, score, 2);
        if (!present) score = LOWEST;
        if (__any_sync(FULL_WARP, score > maximum)) {
            const float higher = fmaxf(maximum, score), shrink = exp2f(maximum - higher);
            maximum = higher;
            weight *= shrink;
#pragma unroll
            for (int d = 0; d < 32; d++) sum[d] *= shrink;
        }
        const float p = present ? exp2f(score - maximum) : 0.f;
        weight += p;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const u32* pair = &rows.v[j].x;
#pragma unroll
            for (int e = 0; e < 4; e++) {
                sum[j * 8 + 2 * e] += p * low_f32(pair[e]);
                sum[j * 8 + 2 * e + 1] += p * high_f32(pair[e]);
            }
        }
    }

    // Merges the warp's 8 token groups. Each lane ends with 4 of its 32 dims, from index `kept` on.
    __device__ __forceinline__ int merge_over_groups(int lane) {
        float highest = maximum;
#pragma unroll
        for (int distance = 4; distance < 32; distance <<= 1) highest = fmaxf(highest, __shfl_xor_sync(FULL_WARP, highest, distance));
        const float shrink = exp2f(maximum - highest);
        maximum = highest;
        weight *= shrink;
#pragma unroll
        for (int distance = 4; distance < 32; distance <<= 1) weight += __shfl_xor_sync(FULL_WARP, weight, distance);
#pragma unroll
        for (int d = 0; d < 32; d++) sum[d] *= shrink;
        return keep_half<16>(lane) + keep_half<8>(lane) + keep_half<4>(lane);
    }

    // Gives one half of 2 * HALF dims to the partner lane and adds the partner's to the other half.
    template <int HALF>
    __device__ __forceinline__ int keep_half(int lane) {
        const bool upper = lane & HALF;
#pragma unroll
        for (int d = 0; d < HALF; d++) {
            const float given = upper ? sum[d] : sum[d + HALF], own = upper ? sum[d + HALF] : sum[d];
            sum[d] = own + __shfl_xor_sync(FULL_WARP, given, HALF);
        }
        return upper ? HALF : 0;
    }
};

__device__ __forceinline__ int turns_of(const AttentionItem& item) { return (item.end - item.start + TOKENS_A_TURN - 1) / TOKENS_A_TURN; }

__device__ __forceinline__ AttentionItem read_item(const AttentionItem* items, int index) {
    const int4 words = __ldcg(reinterpret_cast<const int4*>(items + index));
    return {words.x, words.y, words.z, words.w};
}

// Walks the turns of this block's items ahead of the arithmetic and copies them into a ring in shared memory.
// A thread reads back only what it copied itself, so the ring needs no barrier.
struct Stream {
    const bf16 *k_cache, *v_cache;
    const int* block_table;
    const AttentionItem* items;
    CacheLayout cache;
    int item_count, chunk;
    int own, lane_offset;  // this lane's token of a turn, and its place within the token's row
    u32 ring;              // this thread's first 16 bytes
    int index, turn, turns, stage;
    AttentionItem item;

    __device__ __forceinline__ void open(int first) {
        index = first, turn = stage = 0;
        if (index < item_count) item = read_item(items, index), turns = turns_of(item);
    }
    __device__ __forceinline__ bool has_newest_token() const { return turn + 1 == turns && item.start / chunk + 1 == item.chunks; }

    // One turn, all of it in one page. Lanes past the item's end read its last token again.
    __device__ __forceinline__ void copy_turn() {
        if (index < item_count) {
            const int first = item.start + turn * TOKENS_A_TURN, token = min(first + own, item.end - 1);
            const int page = __ldg(block_table + item.sequence * cache.table_pitch + (first >> cache.page_shift));
            const long long at = page * cache.page_stride + (long long)(token & ((1 << cache.page_shift) - 1)) * cache.token_stride + lane_offset;
            const u32 to = ring + stage * STAGE_BYTES;
#pragma unroll
            for (int j = 0; j < 4; j++) copy_16(to + j * THREADS * 16, k_cache + at + j * 32, true);
#pragma unroll
            for (int j = 0; j < 4; j++) copy_16(to + (4 + j) * THREADS * 16, v_cache + at + j * 32, true);
            stage = stage + 1 == STAGES ? 0 : stage + 1;
            if (++turn == turns) {
                turn = 0;
                index += gridDim.y;
                if (index < item_count) item = read_item(items, index), turns = turns_of(item);
            }
        }
        commit_copies();
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 3) paged_attention(
    const bf16* q, const bf16* k_cache, const bf16* v_cache, const int* block_table, CacheLayout cache, const AttentionItem* items,
    const int* plan, float* partials, int* counters, bf16* out, float scale_log2) {
    extern __shared__ __align__(128) uint4 ring[];
    __shared__ float sums[WARPS][HEAD_DIM], maxima[WARPS], weights[WARPS];
    __shared__ bool is_last;
    const int head = blockIdx.x, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, part = lane & 3, own = warp * 8 + (lane >> 2);
    // The plan and all tokens but the newest are older than the previous kernel: their rows can be on their way.
    Stream stream = {k_cache, v_cache, block_table, items, cache, __ldcg(plan + PLAN_ITEMS), __ldcg(plan + PLAN_CHUNK), own,
                     head * cache.head_stride + part * 8, shared_address(ring + threadIdx.x)};
    const int item_count = stream.item_count, chunk = stream.chunk;
    stream.open(blockIdx.y);
    int copied = 0;
    for (; copied < STAGES - 1 && stream.index < item_count && !stream.has_newest_token(); copied++) stream.copy_turn();
    wait_for_previous_kernel();
    let_next_kernel_start();
    for (; copied < STAGES - 1; copied++) stream.copy_turn();

    int stage = 0;
    for (int own_index = blockIdx.y; own_index < item_count; own_index += gridDim.y) {
        const AttentionItem item = read_item(items, own_index);
        float query[32];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            uint4 value = load_activations(q + item.sequence * HIDDEN + head * HEAD_DIM + (j * 4 + part) * 8);
            const u32* pair = &value.x;
#pragma unroll
            for (int e = 0; e < 4; e++) {
                query[j * 8 + 2 * e] = low_f32(pair[e]) * scale_log2;
                query[j * 8 + 2 * e + 1] = high_f32(pair[e]) * scale_log2;
            }
        }
        RunningSoftmax state;
        const int turns = turns_of(item);
        for (int turn = 0; turn < turns; turn++) {
            wait_copies<STAGES - 2>();
            Rows rows;
            const uint4* from = ring + stage * (STAGE_BYTES / 16) + threadIdx.x;
#pragma unroll
            for (int j = 0; j < 4; j++) rows.k[j] = from[j * THREADS], rows.v[j] = from[(4 + j) * THREADS];
            stream.copy_turn();  // into the stage read one turn ago
            state.add(rows, query, item.start + turn * TOKENS_A_TURN + own < item.end);
            stage = stage + 1 == STAGES ? 0 : stage + 1;
        }
        const int kept = state.merge_over_groups(lane);
        const int dim = ((kept >> 3) * 4 + part) * 8 + (kept & 7);
        *reinterpret_cast<float4*>(&sums[warp][dim]) = make_float4(state.sum[0], state.sum[1], state.sum[2], state.sum[3]);
        if (lane == 0) { maxima[warp] = state.maximum; weights[warp] = state.weight; }
        __syncthreads();

        const int d = threadIdx.x;
        float highest = fmaxf(fmaxf(maxima[0], maxima[1]), fmaxf(maxima[2], maxima[3])), weight = 0.f, sum = 0.f;
#pragma unroll
        for (int w = 0; w < WARPS; w++) {
            const float shrink = exp2f(maxima[w] - highest);
            weight += weights[w] * shrink;
            sum += sums[w][d] * shrink;
        }
        bool writes = true;
        if (item.chunks > 1) {
            float* mine = partials + ((long long)own_index * HEADS + head) * PARTIAL_PITCH;
            mine[d] = sum;
            if (d == 0) { mine[HEAD_DIM] = highest; mine[HEAD_DIM + 1] = weight; }
            __threadfence();
            __syncthreads();
            if (d == 0) {
                int* counter = counters + item.sequence * HEADS + head;
                is_last = atomicAdd(counter, 1) == item.chunks - 1;
                if (is_last) *counter = 0;
            }
            __syncthreads();
            writes = is_last;
            if (writes) {
                __threadfence();
                const float* from = partials + ((long long)(own_index - item.start / chunk) * HEADS + head) * PARTIAL_PITCH;
                highest = LOWEST, weight = 0.f, sum = 0.f;
#pragma unroll 8
                for (int c = 0; c < item.chunks; c++, from += HEADS * PARTIAL_PITCH) {
                    const float chunk_sum = __ldcg(from + d);
                    const float2 at = __ldcg(reinterpret_cast<const float2*>(from + HEAD_DIM));
                    const float higher = fmaxf(highest, at.x), shrink = exp2f(highest - higher), grow = exp2f(at.x - higher);
                    sum = sum * shrink + chunk_sum * grow;
                    weight = weight * shrink + at.y * grow;
                    highest = higher;
                }
            }
        }
        if (writes) out[item.sequence * HIDDEN + head * HEAD_DIM + d] = to_bf16(sum / weight);
        __syncthreads();
    }
}
