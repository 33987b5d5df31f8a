// CUDA C++ on one core of a CPU: enough of it to run this crate's kernels where there is no GPU.
//
// A block runs at a time, each of its threads on a stack of its own; a thread goes on until it has to meet others
// (a barrier, a shuffle, a tensor-core instruction). Copies into shared memory can be made as late as the kernel allows
// or at once, and threads can run in either order, so that a wait or a barrier that is missing shows.
// What it can't show: races between blocks, memory ordering, speed.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define OCR_EMULATED
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static

using std::max;
using std::min;
struct Dim { int x = 1, y = 1, z = 1; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct int4 { int x, y, z, w; };
struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float __uint_as_float(unsigned bits) { float f; memcpy(&f, &bits, 4); return f; }
inline unsigned __float_as_uint(float f) { unsigned bits; memcpy(&bits, &f, 4); return bits; }
inline float rsqrtf(float x) { return 1.f / std::sqrt(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __expf(float x) { return std::exp(x); }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldg(const T* p) { return *p; }
template <class T> void __stcg(T* p, T v) { *p = v; }
inline void __threadfence() {}
template <class T> T atomicAdd(T* p, T v) { T old = *p; *p += v; return old; }
template <class T> T atomicMax(T* p, T v) { T old = *p; *p = std::max(old, v); return old; }
inline int __ffs(unsigned v) { return __builtin_ffs((int)v); }
inline int __ffsll(unsigned long long v) { return __builtin_ffsll((long long)v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }

namespace emulated {
constexpr size_t STACK = 128 << 10;

struct Copy { void* to; const void* from; bool present; };
struct Thread {
    void* stack_pointer = nullptr;
    int id = 0;
    bool ended = false;
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
};
extern Dim thread_index, block_index, block_size, grid_size;
extern Thread* current;
extern unsigned char* shared;
extern bool late_copies, backwards;

void yield();
// Waits until all threads of the block (or the warp) have come here. A thread that has ended counts as come.
void meet_block();
void meet_warp();
// A place for each lane of the warp to leave 64 bytes for the others.
void* lane_slot(int lane);
int lane();
void launch(Dim grid, int threads, size_t shared_bytes, const std::function<void()>& kernel);

template <class T>
T shuffle(T value, int from) {
    static_assert(sizeof(T) <= 64);
    memcpy(lane_slot(lane()), &value, sizeof(T));
    meet_warp();
    T got;
    memcpy(&got, lane_slot(from & 31), sizeof(T));
    meet_warp();
    return got;
}
template <class T, class F>
T reduce(T value, F f) {
    memcpy(lane_slot(lane()), &value, sizeof(T));
    meet_warp();
    T all;
    memcpy(&all, lane_slot(0), sizeof(T));
    for (int l = 1; l < 32; l++) {
        T other;
        memcpy(&other, lane_slot(l), sizeof(T));
        all = f(all, other);
    }
    meet_warp();
    return all;
}
}  // namespace emulated

#define threadIdx emulated::thread_index
#define blockIdx emulated::block_index
#define blockDim emulated::block_size
#define gridDim emulated::grid_size

inline void __syncthreads() { emulated::meet_block(); }
inline void __syncwarp() { emulated::meet_warp(); }
template <class T> T __shfl_xor_sync(unsigned, T v, int d) { return emulated::shuffle(v, emulated::lane() ^ d); }
template <class T> T __shfl_sync(unsigned, T v, int l) { return emulated::shuffle(v, l); }
template <class T> T __shfl_up_sync(unsigned, T v, int d) { return emulated::shuffle(v, emulated::lane() >= d ? emulated::lane() - d : emulated::lane()); }
inline bool __any_sync(unsigned, bool v) { return emulated::reduce<int>(v, [](int a, int b) { return a | b; }); }
inline unsigned __ballot_sync(unsigned, bool v) { return emulated::reduce<unsigned>(v ? 1u << emulated::lane() : 0u, [](unsigned a, unsigned b) { return a | b; }); }
inline unsigned __reduce_max_sync(unsigned, unsigned v) { return emulated::reduce<unsigned>(v, [](unsigned a, unsigned b) { return std::max(a, b); }); }
inline unsigned __reduce_or_sync(unsigned, unsigned v) { return emulated::reduce<unsigned>(v, [](unsigned a, unsigned b) { return a | b; }); }
inline int __reduce_add_sync(unsigned, int v) { return emulated::reduce<int>(v, [](int a, int b) { return a + b; }); }
