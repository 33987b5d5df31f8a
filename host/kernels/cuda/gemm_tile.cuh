// Matrix products for batches of 16 to 256: a block computes BM weight rows x BN tokens over a range of K.
//
// Weights and tokens pass through shared memory in a ring of STAGES tiles of 64 k, filled with cp.async and
// read with ldmatrix (rows of 128 bytes, 16-byte chunks XOR-swizzled by row: no bank conflicts). Warps lie
// WM x WN over the tile. Row and token addresses come from the caller, so a tile can gather an expert's
// tokens, interleave gate rows with up rows, or pair rotary partners: within each 16 rows, `acc[..][0..1]`
// is row r and `acc[..][2..3]` row r + 8, tokens 2 (lane % 4) and + 1.
//
// Weights may be signed bytes (`Byte`), which become bf16 in registers; each 16 of a row then lie as 0 1 8 9 2 3 10 11 4 5 12 13
// 6 7 14 15, so that a lane's four are neighbours. Their row's scale is the caller's to apply.
#pragma once
#include "common.cuh"

constexpr int BK = 64;

typedef signed char Byte;

template <int BM_, int BN_, int WM_, int WN_, int STAGES_, class Weight_ = bf16>
struct Tile {
    using Weight = Weight_;
    static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr bool BYTES = sizeof(Weight) == 1;
    static constexpr int A_ROW = BK * sizeof(Weight), A_PIECES = A_ROW / 16;  // bytes of a row of the tile, 16 at a time
    static constexpr int THREADS = 32 * WM * WN;
    static constexpr int MI = BM / (16 * WM), NI = BN / (8 * WN);
    static constexpr int A_COPIES = BM * A_PIECES / THREADS;
    static constexpr int B_COPIES = (BN * 8 + THREADS - 1) / THREADS;
    static constexpr int A_BYTES = BM * A_ROW, STAGE_BYTES = A_BYTES + BN * 128;
    static_assert(NI % 2 == 0, "tokens are read from shared memory 16 at a time");
};

// Where a tile's copies start: offsets from two base pointers, in elements, for each 16 bytes this thread moves.
template <class S>
struct Copies {
    static constexpr int ABSENT = -1;
    const typename S::Weight* weights;
    const bf16* tokens;
    int a_from[S::A_COPIES], b_from[S::B_COPIES];

    static __device__ __forceinline__ u32 swizzled(int row, int chunk) { return row * 128 + ((chunk ^ (row & 7)) << 4); }
    static __device__ __forceinline__ int row_of(int i) { return (threadIdx.x + i * S::THREADS) >> 3; }
    static __device__ __forceinline__ int chunk_of(int i) { return (threadIdx.x + i * S::THREADS) & 7; }

    static __device__ __forceinline__ int a_row(int i) { return (threadIdx.x + i * S::THREADS) / S::A_PIECES; }
    static __device__ __forceinline__ int a_piece(int i) { return (threadIdx.x + i * S::THREADS) % S::A_PIECES; }
    // Of bytes two rows share the 32 banks.
    static __device__ __forceinline__ u32 a_place(int row, int piece) {
        return S::BYTES ? row * 64 + ((piece ^ ((row >> 1) & 3)) << 4) : swizzled(row, piece);
    }

    // `offset_of(row)` of the tile, from `base`.
    template <class OffsetOf>
    __device__ __forceinline__ void from_weights(const typename S::Weight* base, OffsetOf offset_of) {
        weights = base;
#pragma unroll
        for (int i = 0; i < S::A_COPIES; i++) a_from[i] = offset_of(a_row(i)) + a_piece(i) * (16 / (int)sizeof(typename S::Weight));
    }
    // `offset_of(column)` is ABSENT past the last token: zeros are written there.
    template <class OffsetOf>
    __device__ __forceinline__ void from_tokens(const bf16* base, OffsetOf offset_of) {
        tokens = base;
#pragma unroll
        for (int i = 0; i < S::B_COPIES; i++) {
            const int offset = row_of(i) < S::BN ? offset_of(row_of(i)) : ABSENT;
            b_from[i] = offset == ABSENT ? ABSENT : offset + chunk_of(i) * 8;
        }
    }
    __device__ __forceinline__ void copy_weights(u32 stage, int step) const {
#pragma unroll
        for (int i = 0; i < S::A_COPIES; i++) copy_16(stage + a_place(a_row(i), a_piece(i)), weights + a_from[i] + step * BK, true);
    }
    __device__ __forceinline__ void copy_tokens(u32 stage, int step) const {
#pragma unroll
        for (int i = 0; i < S::B_COPIES; i++)
            if (row_of(i) < S::BN)
                copy_16(stage + S::A_BYTES + swizzled(row_of(i), chunk_of(i)), tokens + (b_from[i] == ABSENT ? 0 : b_from[i] + step * BK), b_from[i] != ABSENT);
    }
};

// acc = weights * tokens over `steps` tiles of 64 k. `waits`: the weights are copied ahead of the previous
// kernel's end and the tokens after it (both pointers must already be known).
template <class S>
__device__ __forceinline__ void multiply_tile(float (&acc)[S::MI][S::NI][4], u32 shared, const Copies<S>& copies, int steps, bool waits) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int row0 = (warp % S::WM) * S::MI * 16, column0 = (warp / S::WM) * S::NI * 8;
#pragma unroll
    for (int m = 0; m < S::MI; m++)
#pragma unroll
        for (int n = 0; n < S::NI; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) acc[m][n][i] = 0.f;

#pragma unroll
    for (int s = 0; s < S::STAGES - 1; s++)
        if (s < steps) copies.copy_weights(shared + s * S::STAGE_BYTES, s);
    if (waits) {
        wait_for_previous_kernel();
        let_next_kernel_start();
    }
#pragma unroll
    for (int s = 0; s < S::STAGES - 1; s++) {
        if (s < steps) copies.copy_tokens(shared + s * S::STAGE_BYTES, s);
        commit_copies();
    }

    int reading = 0, filling = S::STAGES - 1;
    for (int step = 0; step < steps; step++) {
        wait_copies<S::STAGES - 2>();
        __syncthreads();
        if (step + S::STAGES - 1 < steps) {
            copies.copy_weights(shared + filling * S::STAGE_BYTES, step + S::STAGES - 1);
            copies.copy_tokens(shared + filling * S::STAGE_BYTES, step + S::STAGES - 1);
        }
        commit_copies();
        const u32 a_tile = shared + reading * S::STAGE_BYTES, b_tile = a_tile + S::A_BYTES;
#pragma unroll
        for (int k16 = 0; k16 < 4; k16++) {
            u32 a[S::MI][4], b[S::NI / 2][4];
#pragma unroll
            for (int m = 0; m < S::MI; m++) {
                if (S::BYTES) {
                    const int row = row0 + m * 16 + (lane >> 2);
                    bytes_to_bf16(load_shared_word(a_tile + Copies<S>::a_place(row, k16) + (lane & 3) * 4), a[m][0], a[m][2]);
                    bytes_to_bf16(load_shared_word(a_tile + Copies<S>::a_place(row + 8, k16) + (lane & 3) * 4), a[m][1], a[m][3]);
                } else {
                    load_matrices(a[m], a_tile + Copies<S>::swizzled(row0 + m * 16 + (lane & 15), k16 * 2 + (lane >> 4)));
                }
            }
#pragma unroll
            for (int n = 0; n < S::NI / 2; n++)
                load_matrices(b[n], b_tile + Copies<S>::swizzled(column0 + n * 16 + (lane & 7) + ((lane >> 4) << 3), k16 * 2 + ((lane >> 3) & 1)));
#pragma unroll
            for (int m = 0; m < S::MI; m++)
#pragma unroll
                for (int n = 0; n < S::NI; n++)
                    mma(acc[m][n], a[m][0], a[m][1], a[m][2], a[m][3], b[n / 2][(n & 1) * 2], b[n / 2][(n & 1) * 2 + 1]);
        }
        reading = reading + 1 == S::STAGES ? 0 : reading + 1;
        filling = filling + 1 == S::STAGES ? 0 : filling + 1;
    }
    wait_copies<0>();
}

// What a row of weights is multiplied by: 1, or its scale where it is bytes.
struct Unscaled {
    __device__ __forceinline__ float operator[](int) const { return 1.f; }
    __device__ __forceinline__ Unscaled operator+(long long) const { return {}; }
};
template <class Weight> struct ScalesOf { using Type = Unscaled; };
template <> struct ScalesOf<Byte> { using Type = const float*; };

// Calls `store(row, column, upper pair, lower pair)` for each accumulator of this thread: rows `row` and
// `row + 8` of the tile, tokens `column` and `column + 1`.
template <class S, class Store>
__device__ __forceinline__ void for_each_result(const float (&acc)[S::MI][S::NI][4], Store store) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll
    for (int m = 0; m < S::MI; m++)
#pragma unroll
        for (int n = 0; n < S::NI; n++)
            store((warp % S::WM) * S::MI * 16 + m * 16 + (lane >> 2), (warp / S::WM) * S::NI * 8 + n * 8 + (lane & 3) * 2, acc[m][n]);
}
