// What `cuda/instructions.cuh` has in PTX, for a CPU. Fragments as the PTX manual lays them out.
#pragma once

inline u32 to_bf16_pair(float low, float high) {
    auto round = [](float f) -> u32 {
        u32 bits = __float_as_uint(f);
        if (f != f) return 0x7fff;
        return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    };
    return round(low) | round(high) << 16;
}
inline uint4 load_weights(const bf16* address) {
    if ((uintptr_t)address % 16) abort();
    uint4 v;
    memcpy(&v, address, 16);
    return v;
}
inline void bytes_to_bf16(u32 bytes, u32& first, u32& second) {
    auto value = [&](int i) { return (float)(signed char)(bytes >> 8 * i); };
    first = to_bf16_pair(value(0), value(1)), second = to_bf16_pair(value(2), value(3));
}
inline uint2 load_weights(const signed char* address) {
    if ((uintptr_t)address % 8) abort();
    uint2 v;
    memcpy(&v, address, 8);
    return v;
}
inline uint2 load_half_activations(const bf16* address) { return load_weights((const signed char*)address); }
inline uint4 load_activations(const bf16* address) { return load_weights(address); }

inline u32 shared_address(const void* pointer) { return (u32)((const unsigned char*)pointer - emulated::shared); }
inline void copy_16(u32 to, const bf16* from, bool present) {
    if (to % 16 || (uintptr_t)from % 16) abort();
    emulated::Copy copy{emulated::shared + to, from, present};
    if (emulated::late_copies) {
        emulated::current->open.push_back(copy);
    } else if (present) {
        memcpy(copy.to, from, 16);
    } else {
        memset(copy.to, 0, 16);
    }
}
inline void copy_16(u32 to, const signed char* from, bool present) { copy_16(to, (const bf16*)from, present); }
inline u32 load_shared_word(u32 address) {
    if (address % 4) abort();
    u32 word;
    memcpy(&word, emulated::shared + address, 4);
    return word;
}
inline void commit_copies() {
    emulated::current->groups.push_back(std::move(emulated::current->open));
    emulated::current->open.clear();
}
template <int PENDING>
inline void wait_copies() {
    auto& groups = emulated::current->groups;
    while ((int)groups.size() > PENDING) {
        for (const auto& copy : groups.front()) {
            if (copy.present) memcpy(copy.to, copy.from, 16);
            else memset(copy.to, 0, 16);
        }
        groups.erase(groups.begin());
    }
}

inline void mma(float (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    struct Operands { u32 a[4], b[2]; } own = {{a0, a1, a2, a3}, {b0, b1}};
    const int lane = emulated::lane(), row = lane >> 2, part = lane & 3;
    memcpy(emulated::lane_slot(lane), &own, sizeof own);
    emulated::meet_warp();
    auto of = [](int l) { return (const Operands*)emulated::lane_slot(l); };
    auto half = [](u32 pair, int i) { return i ? high_f32(pair) : low_f32(pair); };
    for (int i = 0; i < 4; i++) {
        const int m = row + (i >> 1) * 8, n = part * 2 + (i & 1);
        float sum = 0.f;
        for (int k = 0; k < 16; k++) {
            const u32 a = of((m & 7) * 4 + (k % 8) / 2)->a[(m >> 3) + (k >> 3) * 2];
            const u32 b = of(n * 4 + (k % 8) / 2)->b[k >> 3];
            sum += half(a, k & 1) * half(b, k & 1);
        }
        c[i] += sum;
    }
    emulated::meet_warp();
}

inline void matrices(u32 (&r)[4], u32 address, bool transposed) {
    const int lane = emulated::lane();
    if (address % 16) abort();
    memcpy(emulated::lane_slot(lane), &address, 4);
    emulated::meet_warp();
    for (int m = 0; m < 4; m++) {
        auto element = [&](int row, int column) {
            u32 from;
            memcpy(&from, emulated::lane_slot(m * 8 + row), 4);
            bf16 value;
            memcpy(&value, emulated::shared + from + column * 2, 2);
            return value;
        };
        const int row = lane >> 2, column = (lane & 3) * 2;
        const bf16 low = transposed ? element(column, row) : element(row, column);
        const bf16 high = transposed ? element(column + 1, row) : element(row, column + 1);
        r[m] = low | (u32)high << 16;
    }
    emulated::meet_warp();
}
inline void load_matrices(u32 (&r)[4], u32 address) { matrices(r, address, false); }
inline void load_transposed(u32 (&r)[4], u32 address) { matrices(r, address, true); }
inline float power_of_2(float value) { return std::exp2(value); }
inline void wait_for_previous_kernel() {}
inline void let_next_kernel_start() {}
