// Causal attention of prompts: many query tokens of several sequences at once, keys and values from the paged cache.
//
// Launch    grid (items, 10 heads) x 128 threads. An item is up to 64 consecutive tokens of one sequence; a warp has 16 of
//           them. All warps share tiles of 64 keys, which pass through shared memory in two stages.
// Input     q [rows, 1280]; the keys of the items' own tokens are in the cache already. `table` holds each sequence's pages
//           from the item's `table` entry on; a page holds 2^page_shift tokens.
// Order     tiles begin at multiples of 64 tokens of the sequence and are taken in their order, so a token's result does
//           not depend on which item or launch it is in.
// Memory    a block reads 512 B a token of context and head, from L2; 277 tokens are 5 blocks a head.
// Emulated  on a CPU against plain attention: `lab/emulate/prompt_check.cpp`.
#include "common.cuh"

constexpr int QUERIES = 64, KEYS = 64, WARPS = QUERIES / 16, THREADS = WARPS * 32, STAGES = 2;
constexpr int ROW_BYTES = HEAD_DIM * 2, PIECES = ROW_BYTES / 16, TILE_BYTES = KEYS * ROW_BYTES, STAGE_BYTES = 2 * TILE_BYTES;
constexpr float LOWEST = -1e30f;

// `row`: its first token's row of q. `position`: that token's place in its sequence. `table`: where its pages are listed.
struct PromptItem { int row, count, position, table; };

// 16 bytes of a row of 256, so that neither ldmatrix nor the copies meet in a bank.
__device__ __forceinline__ u32 place(int key, int piece) { return key * ROW_BYTES + ((piece ^ (key & 7)) << 4); }

struct PromptCache {
    const bf16 *keys, *values;
    const int* pages;
    CacheLayout layout;

    // One tile from token `first` on; zeros from `end` on, where nothing has been written.
    __device__ __forceinline__ void copy(u32 stage, int first, int end) const {
#pragma unroll
        for (int i = 0; i < KEYS * PIECES / THREADS; i++) {
            const int at = threadIdx.x + i * THREADS, key = at / PIECES, piece = at % PIECES, token = first + key;
            const bool present = token < end;
            long long from = piece * 8;
            if (present)
                from += __ldg(pages + (token >> layout.page_shift)) * layout.page_stride +
                        (long long)(token & ((1 << layout.page_shift) - 1)) * layout.token_stride;
            copy_16(stage + place(key, piece), keys + from, present);
            copy_16(stage + TILE_BYTES + place(key, piece), values + from, present);
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS) prompt_attention(
    const bf16* q, const bf16* k_cache, const bf16* v_cache, const int* table, CacheLayout cache, const PromptItem* items, bf16* out,
    float scale_log2) {
    extern __shared__ __align__(128) unsigned char shared[];
    const int head = blockIdx.y, warp = threadIdx.x >> 5, lane = threadIdx.x & 31, row = lane >> 2, part = lane & 3;
    const int4 words = __ldg(reinterpret_cast<const int4*>(items + blockIdx.x));
    const PromptItem item = {words.x, words.y, words.z, words.w};
    const PromptCache rows = {k_cache + head * cache.head_stride, v_cache + head * cache.head_stride, table + item.table, cache};
    const int end = item.position + item.count, tiles = (end + KEYS - 1) / KEYS;
    const u32 ring = shared_address(shared);
    wait_for_previous_kernel();
    let_next_kernel_start();
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < tiles) rows.copy(ring + s * STAGE_BYTES, s * KEYS, end);
        commit_copies();
    }

    // This warp's 16 queries as fragments; past the last one: the last one again, not stored.
    const int first_query = warp * 16, own[2] = {min(first_query + row, item.count - 1), min(first_query + row + 8, item.count - 1)};
    u32 query[HEAD_DIM / 16][4];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const u32* from = reinterpret_cast<const u32*>(q + (long long)(item.row + own[half]) * HIDDEN + head * HEAD_DIM);
#pragma unroll
        for (int k = 0; k < HEAD_DIM / 16; k++) {
            query[k][half] = __ldcg(from + k * 8 + part);
            query[k][2 + half] = __ldcg(from + k * 8 + 4 + part);
        }
    }
    // A warp is through with the tile of its last query.
    const int last_position = item.position + min(first_query + 15, item.count - 1);
    const bool has_queries = first_query < item.count;

    float sum[HEAD_DIM / 8][4] = {}, weight[2] = {}, maximum[2] = {LOWEST, LOWEST};
    for (int tile = 0; tile < tiles; tile++) {
        wait_copies<STAGES - 2>();
        __syncthreads();
        const int filling = tile + STAGES - 1;
        if (filling < tiles) rows.copy(ring + filling % STAGES * STAGE_BYTES, filling * KEYS, end);
        commit_copies();
        const int first_key = tile * KEYS;
        if (!has_queries || first_key > last_position) continue;
        const u32 key_tile = ring + tile % STAGES * STAGE_BYTES, value_tile = key_tile + TILE_BYTES;

        float score[KEYS / 8][4] = {};
#pragma unroll
        for (int k = 0; k < HEAD_DIM / 16; k++)
#pragma unroll
            for (int n = 0; n < KEYS / 16; n++) {
                u32 b[4];
                load_matrices(b, key_tile + place(n * 16 + (lane & 7) + ((lane >> 4) << 3), k * 2 + ((lane >> 3) & 1)));
                mma(score[2 * n], query[k][0], query[k][1], query[k][2], query[k][3], b[0], b[1]);
                mma(score[2 * n + 1], query[k][0], query[k][1], query[k][2], query[k][3], b[2], b[3]);
            }
        if (first_key + KEYS - 1 > item.position + first_query) {  // some key comes after some query
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (first_key + n * 8 + part * 2 + (j & 1) > item.position + own[j >> 1]) score[n][j] = LOWEST;
        }

#pragma unroll
        for (int half = 0; half < 2; half++) {
            float highest = maximum[half];
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) highest = fmaxf(highest, fmaxf(score[n][2 * half], score[n][2 * half + 1]));
            highest = fmaxf(highest, __shfl_xor_sync(FULL_WARP, highest, 1));
            highest = fmaxf(highest, __shfl_xor_sync(FULL_WARP, highest, 2));
            const float shrink = power_of_2((maximum[half] - highest) * scale_log2), offset = highest * scale_log2;
            maximum[half] = highest;
            weight[half] *= shrink;
#pragma unroll
            for (int d = 0; d < HEAD_DIM / 8; d++) sum[d][2 * half] *= shrink, sum[d][2 * half + 1] *= shrink;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int j = 2 * half; j < 2 * half + 2; j++) {
                    score[n][j] = power_of_2(score[n][j] * scale_log2 - offset);
                    weight[half] += score[n][j];
                }
        }

#pragma unroll
        for (int k = 0; k < KEYS / 16; k++) {
            const u32 p0 = to_bf16_pair(score[2 * k][0], score[2 * k][1]), p1 = to_bf16_pair(score[2 * k][2], score[2 * k][3]);
            const u32 p2 = to_bf16_pair(score[2 * k + 1][0], score[2 * k + 1][1]), p3 = to_bf16_pair(score[2 * k + 1][2], score[2 * k + 1][3]);
#pragma unroll
            for (int d = 0; d < HEAD_DIM / 16; d++) {
                u32 v[4];
                load_transposed(v, value_tile + place(k * 16 + (lane & 15), d * 2 + (lane >> 4)));
                mma(sum[2 * d], p0, p1, p2, p3, v[0], v[1]);
                mma(sum[2 * d + 1], p0, p1, p2, p3, v[2], v[3]);
            }
        }
    }
    wait_copies<0>();

#pragma unroll
    for (int half = 0; half < 2; half++) {
        weight[half] += __shfl_xor_sync(FULL_WARP, weight[half], 1);
        weight[half] += __shfl_xor_sync(FULL_WARP, weight[half], 2);
        const int at = first_query + row + half * 8;
        if (at >= item.count) continue;
        bf16* to = out + (long long)(item.row + at) * HIDDEN + head * HEAD_DIM + part * 2;
        const float by = 1.f / weight[half];
#pragma unroll
        for (int d = 0; d < HEAD_DIM / 8; d++) *reinterpret_cast<u32*>(to + d * 8) = to_bf16_pair(sum[d][2 * half] * by, sum[d][2 * half + 1] * by);
    }
}
