// What stands between the vision towers' matrix products, each as one pass over memory.
//
// finish_rows   out = act(x + bias) + residual, element by element; bias and residual may be null.
// cut_windows   a grid [batch, side, side, columns] into windows of `window` x `window`, zeros where they stick out.
// join_windows  the way back, with bias and residual as in finish_rows (no activation).
//
// Launch    a thread for 8 elements: (groups / 256, rounded up) x 256 threads; groups = rows * columns / 8 of the output.
// Memory    every tensor once, 16 bytes a thread; arithmetic in f32, rounded once.
// Reached   H100, 2026-11-25: a Gundam page's towers and prefill 39.5 ms with these, 75.8 with candle's operations.
#include "common.cuh"

constexpr int NONE = 0, GELU = 1, QUICK_GELU = 2;

__device__ __forceinline__ float activated(float x, int act) {
    if (act == GELU) return 0.5f * x * (1.f + erff(x * 0.70710678118654752f));
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

extern "C" __global__ void __launch_bounds__(256) cut_windows(const bf16* grid, bf16* out, int groups, Windows windows) {
    const int group = blockIdx.x * 256 + threadIdx.x;
    if (group >= groups) return;
    const int parts = windows.columns / 8, area = windows.window * windows.window;
    int row = group / parts;
    const int column = group % parts * 8, inside = row % area;
    row /= area;
    const int wx = row % windows.across, wy = row / windows.across % windows.across, image = row / windows.across / windows.across;
    const int y = wy * windows.window + inside / windows.window, x = wx * windows.window + inside % windows.window;
    uint4 value = make_uint4(0, 0, 0, 0);
    if (y < windows.side && x < windows.side)
        value = *reinterpret_cast<const uint4*>(grid + ((long long)(image * windows.side + y) * windows.side + x) * windows.columns + column);
    *reinterpret_cast<uint4*>(out + (long long)group * 8) = value;
}

extern "C" __global__ void __launch_bounds__(256) join_windows(
    const bf16* cut, const bf16* bias, const bf16* residual, bf16* out, int groups, Windows windows) {
    const int group = blockIdx.x * 256 + threadIdx.x;
    if (group >= groups) return;
    const int parts = windows.columns / 8;
    const int row = group / parts, column = group % parts * 8;
    const int x = row % windows.side, y = row / windows.side % windows.side, image = row / windows.side / windows.side;
    const uint4 value = *reinterpret_cast<const uint4*>(cut + windows.row(image, y, x) * windows.columns + column);
    const long long at = (long long)group * 8;
    *reinterpret_cast<uint4*>(out + at) = finished(value, bias ? bias + column : nullptr, residual ? residual + at : nullptr, NONE);
}
