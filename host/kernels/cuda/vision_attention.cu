// Attention of the vision towers: whole sequences at once, heads of 64, softmax on the fly (no score leaves the SM).
//
// vision_attention       no bias: CLIP. Any number of tokens.
// vision_attention_t64   with SAM's decomposed relative position, key tiles of 64: grids of 14 (windows), 32.
// vision_attention_t80   the same with key tiles of 80: a grid of 80.
// vision_attention_r64   the same where a tile is one row of the grid: 64.
// vision_attention_r40   and 40, in tiles of 48.
//
// Launch    grid (tokens / (16 warps), heads, batch) x 32 warps threads, 1 to 13 warps. A warp has 16 queries; all warps
//           share the key tiles, which pass through shared memory in a ring.
// Input     qkv [batch, token, 3, head, 64] bf16 by strides; output [batch, token, heads * 64] bf16. `qkv_bias`, [3, head, 64]
//           or null, is what the linear layer before would have added: queries get theirs here, outputs the values' (a
//           query's shares add up to one), and the keys' moves all scores of a query alike, so it is left out.
// Bias      (q . height[qy - ky + side - 1]) + (q . width[qx - kx + side - 1]), q unscaled, tables [2 side - 1, 64]. A
//           warp multiplies its queries with both tables once. A key tile holds whole rows of the grid, so a column's kx is
//           the same in every tile: those terms stay in registers, the others in shared memory. The side is even.
// Shared    STAGES key tiles of 256 B a key; with a bias another 4 B a query and grid row (and one for the banks).
// Memory    each block reads all keys and values of its head: 256 B a key, from L2.
// Fragments scores take q and k in 16-byte pieces as they lie (which k an element stands for need not be its own, see
//           stream_tile.cuh); values go through ldmatrix with a transpose.
// Reached   H100, 2026-11-25: 340 us for a 1024 view's grid (151 TFLOP/s), 446 for six tiles' grids, 233 for a view's windows.
#include "common.cuh"

constexpr int DIM = 64;
constexpr int KEY_BYTES = DIM * 2, PIECES = KEY_BYTES / 16;
constexpr int QUERIES = 16;                    // of a warp
constexpr float SCALE = 0.125f;                // 64^-0.5
constexpr float SCALE_LOG2 = SCALE * 1.4426950408889634f;
constexpr float LOWEST = -1e30f;
constexpr int TOGETHER = 4;

// Strides in elements.
struct VisionLayout { long long batch_stride; int token_stride, matrix_stride, head_stride, tokens, heads, side; };

// Where 16 bytes of a key or value lie in their tile. Keys are read 2 rows x 4 pieces at a time, values 8 rows x 1.
__device__ __forceinline__ u32 key_place(int key, int piece) { return key * KEY_BYTES + ((piece ^ ((key & 1) << 2)) << 4); }
__device__ __forceinline__ u32 value_place(int key, int piece) { return key * KEY_BYTES + ((piece ^ (key & 7)) << 4); }

// A warp's 16 queries as fragments: rows `row` and `row + 8`, values 32 i + 8 part + 0..7.
struct Queries {
    uint4 upper[2], lower[2];
    __device__ __forceinline__ void load(const bf16* upper_row, const bf16* lower_row, int part) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            upper[i] = *reinterpret_cast<const uint4*>(upper_row + i * 32 + part * 8);
            lower[i] = *reinterpret_cast<const uint4*>(lower_row + i * 32 + part * 8);
        }
    }
    __device__ __forceinline__ void add(const bf16* bias, int part) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint4 more = *reinterpret_cast<const uint4*>(bias + i * 32 + part * 8);
            const u32* by = &more.x;
            u32 *high = &upper[i].x, *low = &lower[i].x;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                high[j] = to_bf16_pair(low_f32(high[j]) + low_f32(by[j]), high_f32(high[j]) + high_f32(by[j]));
                low[j] = to_bf16_pair(low_f32(low[j]) + low_f32(by[j]), high_f32(low[j]) + high_f32(by[j]));
            }
        }
    }
    // c += queries x 8 rows, of which this lane has the pieces of row `lane / 4`; half of half `i`, and the other.
    __device__ __forceinline__ void multiply_first(float (&c)[4], int i, const uint4& rows) const {
        mma(c, upper[i].x, lower[i].x, upper[i].y, lower[i].y, rows.x, rows.y);
    }
    __device__ __forceinline__ void multiply_second(float (&c)[4], int i, const uint4& rows) const {
        mma(c, upper[i].z, lower[i].z, upper[i].w, lower[i].w, rows.z, rows.w);
    }
    __device__ __forceinline__ void multiply(float (&c)[4], const uint4 (&rows)[2]) const {
#pragma unroll
        for (int i = 0; i < 2; i++) multiply_first(c, i, rows[i]), multiply_second(c, i, rows[i]);
    }
};

// out[query][k] = q . table[at - k + side - 1] / SCALE for k < side, `at` being the query's own coordinate. `out` begins
// at the warp's first query.
__device__ __forceinline__ void relate(
    const Queries& queries, const bf16* table, int side, const int (&at)[2], float* out, int pitch, int row, int part) {
    for (int first = 0; first < 2 * side - 1; first += 8) {
        const bf16* from = table + min(first + row, 2 * side - 2) * DIM + part * 8;
        const uint4 rows[2] = {*reinterpret_cast<const uint4*>(from), *reinterpret_cast<const uint4*>(from + 32)};
        float c[4] = {};
        queries.multiply(c, rows);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int k = at[j >> 1] + side - 1 - (first + part * 2 + (j & 1));
            if (k >= 0 && k < side) out[(row + (j >> 1) * 8) * pitch + k] = c[j] * (1.f / SCALE);
        }
    }
}

// One tile of keys and values; zeros where there are none.
template <int TILE>
__device__ __forceinline__ void copy_tile(
    u32 stage, const bf16* keys, const bf16* values, int token_stride, int first, int count, int tokens) {
    for (int i = threadIdx.x; i < TILE * PIECES; i += blockDim.x) {
        const int key = i / PIECES, piece = i % PIECES;
        const bool present = key < count && first + key < tokens;
        const long long from = (long long)(present ? first + key : 0) * token_stride + piece * 8;
        copy_16(stage + key_place(key, piece), keys + from, present);
        copy_16(stage + TILE * KEY_BYTES + value_place(key, piece), values + from, present);
    }
}

// `ROW`: the grid's side, where a tile is one row of it; else 0.
template <int TILE, int STAGES, bool BIASED, int ROW = 0>
__device__ __forceinline__ void attend(const bf16* qkv, const bf16* qkv_bias, const bf16* height, const bf16* width, bf16* out, const VisionLayout& layout) {
    constexpr int STAGE_BYTES = 2 * TILE * KEY_BYTES, COLUMNS = TILE / 8, USED = ROW ? ROW / 8 : COLUMNS;
    extern __shared__ __align__(128) unsigned char shared[];
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, row = lane >> 2, part = lane & 3;
    const int first_query = blockIdx.x * (blockDim.x / 32 * QUERIES) + warp * QUERIES;
    const bf16* head = qkv + blockIdx.z * layout.batch_stride + blockIdx.y * layout.head_stride;
    const bf16 *keys = head + layout.matrix_stride, *values = keys + layout.matrix_stride;
    const int tokens = layout.tokens, side = ROW ? ROW : layout.side;
    const int lines = !BIASED ? 0 : ROW ? 1 : min(TILE / side, 4);  // rows of the grid in a tile; `line_of` counts to 4
    const int tile_keys = BIASED ? lines * side : TILE;
    const int tiles = (tokens + tile_keys - 1) / tile_keys;

    int query[2];  // past the last one: the last one again, not stored
    query[0] = min(first_query + row, tokens - 1), query[1] = min(first_query + row + 8, tokens - 1);
    Queries queries;
    queries.load(head + (long long)query[0] * layout.token_stride, head + (long long)query[1] * layout.token_stride, part);

    if (qkv_bias) queries.add(qkv_bias + blockIdx.y * DIM, part);

    // The bias: of kx per column in registers, of ky per query in shared memory behind the ring.
    float of_x[BIASED ? COLUMNS : 1][4];
    float* of_y = reinterpret_cast<float*>(shared + STAGES * STAGE_BYTES) + warp * QUERIES * (side + 1);
    u32 line_of = 0;  // two bits a column: its row of the grid within the tile
    if (BIASED) {
        const int y[2] = {query[0] / side, query[1] / side}, x[2] = {query[0] % side, query[1] % side};
        relate(queries, height, side, y, of_y, side + 1, row, part);
        float* staged = reinterpret_cast<float*>(shared) + warp * QUERIES * side;  // where keys will be
        relate(queries, width, side, x, staged, side, row, part);
        __syncwarp();
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
            const int column = n * 8 + part * 2, line = min(column / side, lines - 1), kx = column % side;
            line_of |= line << (2 * n);
#pragma unroll
            for (int j = 0; j < 4; j++) of_x[n][j] = staged[(row + (j >> 1) * 8) * side + kx + (j & 1)];
        }
        __syncthreads();
    }

    const u32 ring = shared_address(shared);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (s < tiles) copy_tile<TILE>(ring + s * STAGE_BYTES, keys, values, layout.token_stride, s * tile_keys, tile_keys, tokens);
        commit_copies();
    }

    float sum[DIM / 8][4] = {}, weight[2] = {}, maximum[2] = {LOWEST, LOWEST};
    int reading = 0, filling = STAGES - 1;
    for (int tile = 0; tile < tiles; tile++) {
        wait_copies<STAGES - 2>();
        __syncthreads();
        if (tile + STAGES - 1 < tiles)
            copy_tile<TILE>(ring + filling * STAGE_BYTES, keys, values, layout.token_stride, (tile + STAGES - 1) * tile_keys, tile_keys, tokens);
        commit_copies();
        const unsigned char* key_tile = shared + reading * STAGE_BYTES;
        const u32 value_tile = ring + reading * STAGE_BYTES + TILE * KEY_BYTES;
        reading = reading + 1 == STAGES ? 0 : reading + 1;
        filling = filling + 1 == STAGES ? 0 : filling + 1;

        // Scores, times 1 / SCALE. Products of TOGETHER columns take turns, as each waits for the one before it in its own.
        float score[COLUMNS][4];
        const float of_row[2] = {ROW ? of_y[row * (side + 1) + tile] : 0.f, ROW ? of_y[(row + 8) * (side + 1) + tile] : 0.f};
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
            if (n >= USED) {
                score[n][0] = score[n][1] = score[n][2] = score[n][3] = LOWEST;
            } else if (ROW) {
                score[n][0] = of_x[n][0] + of_row[0], score[n][1] = of_x[n][1] + of_row[0];
                score[n][2] = of_x[n][2] + of_row[1], score[n][3] = of_x[n][3] + of_row[1];
            } else if (BIASED) {
                const int ky = min(tile * lines + (int)(line_of >> (2 * n) & 3), side - 1);
                const float upper = of_y[row * (side + 1) + ky], lower = of_y[(row + 8) * (side + 1) + ky];
                score[n][0] = of_x[n][0] + upper, score[n][1] = of_x[n][1] + upper;
                score[n][2] = of_x[n][2] + lower, score[n][3] = of_x[n][3] + lower;
            } else {
                score[n][0] = score[n][1] = score[n][2] = score[n][3] = 0.f;
            }
        }
#pragma unroll
        for (int first = 0; first < USED; first += TOGETHER)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                uint4 rows[TOGETHER];
#pragma unroll
                for (int n = 0; n < TOGETHER; n++)
                    if (first + n < USED) rows[n] = *reinterpret_cast<const uint4*>(key_tile + key_place((first + n) * 8 + row, i * 4 + part));
#pragma unroll
                for (int n = 0; n < TOGETHER; n++)
                    if (first + n < USED) queries.multiply_first(score[first + n], i, rows[n]);
#pragma unroll
                for (int n = 0; n < TOGETHER; n++)
                    if (first + n < USED) queries.multiply_second(score[first + n], i, rows[n]);
            }
        const int present = min(tile_keys, tokens - tile * tile_keys);
        if (!ROW && present < TILE) {
#pragma unroll
            for (int n = 0; n < COLUMNS; n++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (n * 8 + part * 2 + (j & 1) >= present) score[n][j] = LOWEST;
        }

        // Running softmax.
        float highest[2] = {maximum[0], maximum[1]};
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
            highest[0] = fmaxf(highest[0], fmaxf(score[n][0], score[n][1]));
            highest[1] = fmaxf(highest[1], fmaxf(score[n][2], score[n][3]));
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            highest[half] = fmaxf(highest[half], __shfl_xor_sync(FULL_WARP, highest[half], 1));
            highest[half] = fmaxf(highest[half], __shfl_xor_sync(FULL_WARP, highest[half], 2));
        }
        if (__any_sync(FULL_WARP, highest[0] > maximum[0] || highest[1] > maximum[1])) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const float shrink = power_of_2((maximum[half] - highest[half]) * SCALE_LOG2);
                maximum[half] = highest[half];
                weight[half] *= shrink;
#pragma unroll
                for (int d = 0; d < DIM / 8; d++) sum[d][2 * half] *= shrink, sum[d][2 * half + 1] *= shrink;
            }
        }
        const float offset[2] = {maximum[0] * SCALE_LOG2, maximum[1] * SCALE_LOG2};
#pragma unroll
        for (int n = 0; n < COLUMNS; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                score[n][j] = power_of_2(score[n][j] * SCALE_LOG2 - offset[j >> 1]);
                weight[j >> 1] += score[n][j];
            }

        // Values, 16 keys at a time.
#pragma unroll
        for (int k = 0; k < TILE / 16; k++) {
            const u32 p0 = to_bf16_pair(score[2 * k][0], score[2 * k][1]), p1 = to_bf16_pair(score[2 * k][2], score[2 * k][3]);
            const u32 p2 = to_bf16_pair(score[2 * k + 1][0], score[2 * k + 1][1]), p3 = to_bf16_pair(score[2 * k + 1][2], score[2 * k + 1][3]);
#pragma unroll
            for (int d = 0; d < DIM / 16; d++) {
                u32 v[4];
                load_transposed(v, value_tile + value_place(k * 16 + (lane & 15), d * 2 + (lane >> 4)));
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
        if (at >= tokens) continue;
        bf16* to = out + (((long long)blockIdx.z * tokens + at) * layout.heads + blockIdx.y) * DIM + part * 2;
        const float by = 1.f / weight[half];
        const bf16* value_bias = qkv_bias ? qkv_bias + (2 * layout.heads + blockIdx.y) * DIM + part * 2 : nullptr;
#pragma unroll
        for (int d = 0; d < DIM / 8; d++) {
            const u32 more = value_bias ? *reinterpret_cast<const u32*>(value_bias + d * 8) : 0u;
            *reinterpret_cast<u32*>(to + d * 8) = to_bf16_pair(sum[d][2 * half] * by + low_f32(more), sum[d][2 * half + 1] * by + high_f32(more));
        }
    }
}

#define VISION_ATTENTION(NAME, BOUNDS, ...)                                                                      \
    extern "C" __global__ void __launch_bounds__ BOUNDS                                                          \
        NAME(const bf16* qkv, const bf16* qkv_bias, const bf16* height, const bf16* width, bf16* out, VisionLayout layout) { \
        attend<__VA_ARGS__>(qkv, qkv_bias, height, width, out, layout);                                          \
    }
VISION_ATTENTION(vision_attention, (416), 64, 3, false)
VISION_ATTENTION(vision_attention_t64, (416), 64, 3, true)
VISION_ATTENTION(vision_attention_r64, (256, 2), 64, 3, true, 64)
VISION_ATTENTION(vision_attention_r40, (256, 2), 48, 3, true, 40)
VISION_ATTENTION(vision_attention_t80, (256), 80, 2, true)
