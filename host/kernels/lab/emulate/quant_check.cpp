// The experts' kernels with weights of 8 bits against plain loops over what the bytes stand for: `./run.sh quant_check`.
#include "emulated.h"
#include "gemm_tile.cuh"
#include "stream_tile.cuh"
#include "chosen_experts.cuh"
#include "expert_rows.cuh"
#include "residual_splits.cuh"
namespace up {
#include "expert_gate_up.cu"
}
namespace down {
#include "expert_down.cu"
}
#include "check.h"

// Rows of bytes in the order that the kernels read, their scales, and what they stand for.
struct Bytes {
    std::vector<Byte> values;
    std::vector<float> scales, meant;
    Bytes(size_t rows, size_t columns) : values(rows * columns, 77), scales(rows, NAN), meant(rows * columns, NAN), columns(columns) {}
    size_t columns;
    void fill(size_t first, size_t count) {
        static const int order[16] = {0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15};
        auto random = random_bf16(count * columns, 0.03f);
        for (size_t row = 0; row < count; row++) {
            float most = 0;
            for (size_t c = 0; c < columns; c++) most = std::max(most, std::fabs(to_f32(random[row * columns + c])));
            const float scale = scales[first + row] = most / 127;
            for (size_t c = 0; c < columns; c++) {
                const size_t from = c / 16 * 16 + order[c % 16];
                const Byte value = (Byte)std::lround(to_f32(random[row * columns + from]) / scale);
                values[(first + row) * columns + c] = value;
                meant[(first + row) * columns + from] = value * scale;
            }
        }
    }
};

static double dot(const bf16* a, const float* b, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)to_f32(a[i]) * b[i];
    return sum;
}

int main() {
    const int there[4] = {3, 4, 17, 63};
    Bytes routed_up((size_t)EXPERTS * 2 * EXPERT_INTER, HIDDEN), routed_down((size_t)EXPERTS * HIDDEN, EXPERT_INTER);
    Bytes shared_up(2 * SHARED_INTER, HIDDEN), shared_down(HIDDEN, SHARED_INTER);
    for (int expert : there) routed_up.fill((size_t)expert * 2 * EXPERT_INTER, 2 * EXPERT_INTER), routed_down.fill((size_t)expert * HIDDEN, HIDDEN);
    shared_up.fill(0, 2 * SHARED_INTER), shared_down.fill(0, HIDDEN);

    for (int rows : {5, 20, 70, 157}) {
        std::vector<int> counts(EXPERTS), buckets(EXPERTS * rows, -1), top(rows * TOP_K);
        std::vector<float> weights(rows * TOP_K);
        for (int row = 0; row < rows; row++)
            for (int k = 0; k < TOP_K; k++) {
                // Six slots over four experts: the kernels take an expert twice in none of them, so two slots stay empty.
                const int expert = there[(row + k) % 4];
                top[row * TOP_K + k] = k < 4 ? expert : 40;
                weights[row * TOP_K + k] = k < 4 ? 0.1f + 0.05f * k : 0.f;
                if (k < 4) buckets[expert * rows + counts[expert]++] = row * SLOTS + k;
            }
        if (rows <= 8) std::fill(routed_up.scales.begin() + 40 * 2 * EXPERT_INTER, routed_up.scales.begin() + 41 * 2 * EXPERT_INTER, 0.f),
            std::fill(routed_down.scales.begin() + 40 * HIDDEN, routed_down.scales.begin() + 41 * HIDDEN, 0.f);
        auto normed = random_bf16(rows * HIDDEN, 1.f), x = random_bf16(rows * HIDDEN, 0.05f);
        const auto before = x;
        std::vector<bf16> inter((size_t)rows * SLOTS * EXPERT_INTER, 0xffff);
        std::vector<float> slots((size_t)rows * SLOTS * HIDDEN, NAN), partials(80 * 16 * 128);
        std::vector<int> counters(80);
        const Byte *u = routed_up.values.data(), *su = shared_up.values.data(), *d = routed_down.values.data(), *sd = shared_down.values.data();
        const float *us = routed_up.scales.data(), *sus = shared_up.scales.data(), *ds = routed_down.scales.data(), *sds = shared_down.scales.data();
        if (rows <= 8) {
            emulated::launch({264, 1, 1}, 256, 0, [&] { up::expert_gate_up_stream_q(normed.data(), u, su, us, sus, top.data(), inter.data(), rows); });
            emulated::launch({80, 1, 1}, 256, 0, [&] { down::expert_down_stream_q(inter.data(), d, sd, ds, sds, top.data(), weights.data(), x.data(), partials.data(), counters.data(), rows); });
        } else if (rows <= 100) {
            const int bm = rows <= 32 ? 64 : 128, widest = rows <= 32 ? 32 : 64, items = 2 * ((rows + widest - 1) / widest) + EXPERTS;
            emulated::launch({1792 / bm, items, 1}, bm * 2, 4 * (bm + widest) * 128, [&] {
                (bm == 64 ? up::expert_gate_up_m64_q : up::expert_gate_up_m128_q)(normed.data(), u, su, us, sus, counts.data(), buckets.data(), rows, inter.data(), rows, widest);
            });
            emulated::launch({1280 / bm, items, 1}, bm * 2, 4 * (bm + widest) * 128, [&] {
                (bm == 64 ? down::expert_down_m64_q : down::expert_down_m128_q)(inter.data(), d, sd, ds, sds, counts.data(), buckets.data(), rows, slots.data(), rows, widest);
            });
        } else {
            const int tiles = 2 * ((rows + 127) / 128) + rows * TOP_K / 128 + EXPERTS;
            emulated::launch({14, tiles, 1}, 256, 98304, [&] { up::expert_gate_up_prompt_q(normed.data(), u, su, us, sus, counts.data(), buckets.data(), rows, inter.data(), rows); });
            emulated::launch({10, tiles, 1}, 256, 98304, [&] { down::expert_down_prompt_q(inter.data(), d, sd, ds, sds, counts.data(), buckets.data(), rows, slots.data(), rows); });
        }
        printf("%d rows\n", rows);
        Comparison gated("expert_gate_up, bytes"), lowered("expert_down, bytes");
        for (int row = 0; row < rows; row++) {
            std::vector<double> sum(HIDDEN);
            for (int slot = 0; slot < SLOTS; slot++) {
                if (slot >= 4 && slot < TOP_K) continue;
                const bool shared = slot >= TOP_K;
                const size_t expert = shared ? 0 : top[row * TOP_K + slot];
                const float* gate = shared ? &shared_up.meant[(size_t)(slot - TOP_K) * EXPERT_INTER * HIDDEN] : &routed_up.meant[expert * 2 * EXPERT_INTER * HIDDEN];
                const float* upper = gate + (size_t)(shared ? SHARED_INTER : EXPERT_INTER) * HIDDEN;
                const float* lower = shared ? &shared_down.meant[(slot - TOP_K) * EXPERT_INTER] : &routed_down.meant[expert * HIDDEN * EXPERT_INTER];
                const int pitch = shared ? SHARED_INTER : EXPERT_INTER;
                const bf16* own = &inter[((size_t)row * SLOTS + slot) * EXPERT_INTER];
                for (int i = (row * 5 + slot) % 53; i < EXPERT_INTER; i += 53) {
                    const double g = dot(&normed[row * HIDDEN], gate + (size_t)i * HIDDEN, HIDDEN);
                    gated.add(to_f32(own[i]), g / (1 + std::exp(-g)) * dot(&normed[row * HIDDEN], upper + (size_t)i * HIDDEN, HIDDEN));
                }
                for (int i = row % 61; i < HIDDEN; i += 61) {
                    const double product = dot(own, lower + (size_t)i * pitch, EXPERT_INTER);
                    if (rows > 8) lowered.add(slots[((size_t)row * SLOTS + slot) * HIDDEN + i], product);
                    sum[i] += (shared ? 1.f : weights[row * TOP_K + slot]) * product;
                }
            }
            for (int i = row % 61; i < HIDDEN && rows <= 8; i += 61) lowered.add(to_f32(x[row * HIDDEN + i]), to_f32(before[row * HIDDEN + i]) + sum[i]);
        }
        gated.show(6e-3);
        lowered.show(rows > 8 ? 1e-5 : 6e-3);
    }
    return failures;
}
