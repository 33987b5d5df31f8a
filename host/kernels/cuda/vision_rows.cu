// What stands between the vision towers' matrix products, each as one pass over memory.
//
// finish_rows    out = act(x + bias) + residual, element by element; bias and residual may be null.
// norm_rows      sum = x + product + bias, out = layer norm of it; a warp a row. `product` may lie in windows, and `out` may be
//                cut into windows, zeros where they stick out of the grid. Without a product the norm alone.
// patches_3x3    what a 3 x 3 convolution with a border of one multiplies: [batch, side, side, columns] to rows of 9 * columns.
// pixel_patches  pixels [batch, side, side, 3] of 8 bits to patches [batch, side / 16, side / 16, 3 * 16 * 16], by a table.
//
// Launch    norm_rows: (rows / 8, rounded up) x 256 threads; the others a thread for 8 elements of the output.
// Memory    every tensor once, 16 bytes a thread; arithmetic in f32, rounded once.
// Emulated  on a CPU against plain loops: `lab/emulate/vision_check.cpp`.
#include "common.cuh"

constexpr int NONE = 0, GELU = 1, QUICK_GELU = 2;

// erf to 5e-7 (Abramowitz and Stegun 7.1.26): the library's takes twice the instructions, and this pass is bound by them.
__device__ __forceinline__ float error_function(float x) {
    const float size = fabsf(x), t = __fdividef(1.f, 1.f + 0.3275911f * size);
    const float sum = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    return copysignf(1.f - sum * __expf(-size * size), x);
}

__device__ __forceinline__ float activated(float x, int act) {
    if (act == GELU) return 0.5f * x * (1.f + error_function(x * 0.70710678118654752f));
    if (act == QUICK_GELU) return x / (1.f + __expf(-1.702f * x));
    return x;
}

__device__ __forceinline__ uint4 finished(uint4 value, const bf16* bias, const bf16* residual, int act) {
    uint4 b = make_uint4(0, 0, 0, 0), r = make_uint4(0, 0, 0, 0);
    if (bias) b = *reinterpret_cast<const uint4*>(bias);
    if (residual) r = *reinterpret_cast<const uint4*>(residual);
    u32 *v = &value.x, *add = &b.x, *rest = &r.x;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float low = activated(low_f32(v[j]) + low_f32(add[j]), act) + low_f32(rest[j]);
        float high = activated(high_f32(v[j]) + high_f32(add[j]), act) + high_f32(rest[j]);
        v[j] = to_bf16_pair(low, high);
    }
    return value;
}

extern "C" __global__ void __launch_bounds__(256) finish_rows(
    const bf16* x, const bf16* bias, const bf16* residual, bf16* out, int groups, int columns, int act) {
    const int group = blockIdx.x * 256 + threadIdx.x;
    if (group >= groups) return;
    const long long at = (long long)group * 8;
    const int column = group % (columns / 8) * 8;
    const uint4 value = *reinterpret_cast<const uint4*>(x + at);
    *reinterpret_cast<uint4*>(out + at) = finished(value, bias ? bias + column : nullptr, residual ? residual + at : nullptr, act);
}

// Where the row of a window lies in its grid.
struct Windows {
    int side, window, across, columns;
    // The row of the windows' tensor for a place of the grid.
    __device__ __forceinline__ long long row(int image, int y, int x) const {
        const int wy = y / window, wx = x / window;
        return ((long long)(image * across + wy) * across + wx) * window * window + (y - wy * window) * window + (x - wx * window);
    }
};

constexpr int MOST_GROUPS = 4;  // of 8 columns, for each lane: 1,024 columns

// `rows`: of the output. `x_rows`: of x, which is repeated where it has fewer. A window of 0: rows as they lie in the grid.
struct NormLayout { int rows, x_rows, columns, side, product_window, out_window; float epsilon; };

extern "C" __global__ void __launch_bounds__(256) norm_rows(
    const bf16* x, const bf16* product, const bf16* bias, const bf16* weight, const bf16* beta, bf16* sum, bf16* out, NormLayout layout) {
    const int row = blockIdx.x * 8 + (threadIdx.x >> 5), lane = threadIdx.x & 31, columns = layout.columns, side = layout.side;
    if (row >= layout.rows) return;
    int at = row;  // in the grid
    if (layout.out_window) {
        const int window = layout.out_window, across = (side + window - 1) / window, area = window * window;
        const int inside = row % area, cell = row / area;
        const int y = cell / across % across * window + inside / window, x = cell % across * window + inside % window;
        if (y >= side || x >= side) {
            for (int group = lane; group < columns / 8; group += 32)
                *reinterpret_cast<uint4*>(out + (long long)row * columns + group * 8) = make_uint4(0, 0, 0, 0);
            return;
        }
        at = (cell / across / across * side + y) * side + x;
    }
    long long from = at;  // the product's row
    if (layout.product_window) {
        const int window = layout.product_window;
        from = Windows{side, window, (side + window - 1) / window, columns}.row(at / side / side, at / side % side, at % side);
    }
    float value[MOST_GROUPS][8], total = 0.f;
#pragma unroll
    for (int i = 0; i < MOST_GROUPS; i++) {
        const int column = (lane + i * 32) * 8;
        if (column >= columns) continue;
        uint4 own = *reinterpret_cast<const uint4*>(x + (long long)(at % layout.x_rows) * columns + column);
        if (product) {
            own = finished(*reinterpret_cast<const uint4*>(product + from * columns + column), bias ? bias + column : nullptr,
                           x + (long long)(at % layout.x_rows) * columns + column, NONE);
            *reinterpret_cast<uint4*>(sum + (long long)at * columns + column) = own;
        }
        const u32* pair = &own.x;
#pragma unroll
        for (int j = 0; j < 4; j++) {
            value[i][2 * j] = low_f32(pair[j]), value[i][2 * j + 1] = high_f32(pair[j]);
            total += value[i][2 * j] + value[i][2 * j + 1];
        }
    }
    const float mean = warp_sum(total) / columns;
    float square = 0.f;
#pragma unroll
    for (int i = 0; i < MOST_GROUPS; i++) {
        if ((lane + i * 32) * 8 >= columns) continue;
#pragma unroll
        for (int j = 0; j < 8; j++) square += (value[i][j] - mean) * (value[i][j] - mean);
    }
    const float scale = rsqrtf(warp_sum(square) / columns + layout.epsilon);
#pragma unroll
    for (int i = 0; i < MOST_GROUPS; i++) {
        const int column = (lane + i * 32) * 8;
        if (column >= columns) continue;
        const uint4 w = *reinterpret_cast<const uint4*>(weight + column), b = *reinterpret_cast<const uint4*>(beta + column);
        const u32 *by = &w.x, *plus = &b.x;
        uint4 result;
        u32* to = &result.x;
#pragma unroll
        for (int j = 0; j < 4; j++)
            to[j] = to_bf16_pair((value[i][2 * j] - mean) * scale * low_f32(by[j]) + low_f32(plus[j]),
                                 (value[i][2 * j + 1] - mean) * scale * high_f32(by[j]) + high_f32(plus[j]));
        *reinterpret_cast<uint4*>(out + (long long)row * columns + column) = result;
    }
}

extern "C" __global__ void __launch_bounds__(256) patches_3x3(const bf16* x, bf16* out, int groups, int side, int out_side, int columns, int stride) {
    const int group = blockIdx.x * 256 + threadIdx.x;
    if (group >= groups) return;
    const int parts = columns / 8, part = group % parts, place = group / parts % 9, row = group / parts / 9;
    const int y = row / out_side % out_side * stride + place / 3 - 1, at = row % out_side * stride + place % 3 - 1;
    uint4 value = make_uint4(0, 0, 0, 0);
    if (y >= 0 && y < side && at >= 0 && at < side)
        value = *reinterpret_cast<const uint4*>(x + (((long long)(row / out_side / out_side) * side + y) * side + at) * columns + part * 8);
    *reinterpret_cast<uint4*>(out + (long long)group * 8) = value;
}

// `levels`: what each of the 256 values becomes.
extern "C" __global__ void __launch_bounds__(256) pixel_patches(const unsigned char* pixels, const bf16* levels, bf16* out, int groups, int side) {
    constexpr int PATCH = 16;
    const int group = blockIdx.x * 256 + threadIdx.x;
    if (group >= groups) return;
    const int across = side / PATCH, half = group % 2, line = group / 2 % PATCH, channel = group / 2 / PATCH % 3, patch = group / 2 / PATCH / 3;
    const int y = patch / across % across * PATCH + line, x = patch % across * PATCH + half * 8;
    const unsigned char* from = pixels + (((long long)(patch / across / across) * side + y) * side + x) * 3 + channel;
    uint4 value;
    u32* to = &value.x;
#pragma unroll
    for (int j = 0; j < 4; j++) to[j] = levels[from[6 * j]] | (u32)levels[from[6 * j + 3]] << 16;
    *reinterpret_cast<uint4*>(out + (long long)group * 8) = value;
}
