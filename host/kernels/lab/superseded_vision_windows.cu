// Superseded 2026-11-28: windows cut and joined by passes of their own, now part of `norm_rows` (cuda/vision_rows.cu), which
// norms and adds on the way. With these a Gundam page's towers and prefill took 39.5 ms on an H100 (75.8 with candle's
// operations); what replaced them is in README.md. `finished` is vision_rows.cu's.
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
