// The kernels of long prompts against plain loops, on a CPU: `./run.sh prompt_check`.
#include "emulated.h"
#include "gemm_tile.cuh"
#include "stream_tile.cuh"
#include "chosen_experts.cuh"
#include "expert_rows.cuh"
#include "residual_splits.cuh"
namespace attention {
#include "prompt_attention.cu"
}
namespace qkv {
#include "qkv_rope.cu"
}
namespace o {
#include "o_proj.cu"
}
namespace up {
#include "expert_gate_up.cu"
}
namespace down {
#include "expert_down.cu"
}
#include "check.h"

constexpr int PAGE = 32, PAGES = 24;

struct Sequence { int start, count; };

int main() {
    // Three prompts: one from its beginning, one that goes on, a short one.
    const std::vector<Sequence> sequences = {{0, 133}, {50, 21}, {0, 3}};
    std::vector<int> table, lengths, slots, table_of;
    std::vector<attention::PromptItem> items;
    int rows = 0, next_page = 5;
    for (const auto& s : sequences) {
        table_of.push_back(table.size());
        for (int p = 0; p * PAGE < s.start + s.count; p++) table.push_back(next_page = (next_page + 7) % PAGES);
        for (int first = 0; first < s.count; first += 64) items.push_back({rows + first, std::min(64, s.count - first), s.start + first, table_of.back()});
        for (int i = 0; i < s.count; i++) {
            const int position = s.start + i;
            lengths.push_back(position + 1);
            slots.push_back(table[table_of.back() + position / PAGE] * PAGE + position % PAGE);
        }
        rows += s.count;
    }
    const CacheLayout cache = {PAGE * HIDDEN, HIDDEN, HEAD_DIM, 5, 0};
    auto keys = random_bf16(PAGES * PAGE * HIDDEN, 1.f), values = random_bf16(PAGES * PAGE * HIDDEN, 1.f), q = random_bf16(rows * HIDDEN, 1.f);
    // What was not written is not a number.
    std::vector<bool> written(PAGES * PAGE);
    for (size_t s = 0; s < sequences.size(); s++)
        for (int t = 0; t < sequences[s].start + sequences[s].count; t++) written[table[table_of[s] + t / PAGE] * PAGE + t % PAGE] = true;
    for (int t = 0; t < PAGES * PAGE; t++)
        if (!written[t])
            for (int d = 0; d < HIDDEN; d++) keys[t * HIDDEN + d] = values[t * HIDDEN + d] = 0xffff;

    std::vector<bf16> out;
    for (int way = 0; way < 4; way++) {
        emulated::late_copies = way & 1, emulated::backwards = way & 2;
        std::vector<bf16> result(rows * HIDDEN, 0xffff);
        emulated::launch({(int)items.size(), HEADS, 1}, 128, 65536, [&] {
            attention::prompt_attention(q.data(), keys.data(), values.data(), table.data(), cache, items.data(), result.data(),
                                        0.08838834764f * 1.4426950408889634f);
        });
        if (way && result != out) fail("prompt_attention depends on the order of its threads or copies");
        out = result;
    }
    Comparison attended("prompt_attention");
    for (size_t s = 0, row = 0; s < sequences.size(); s++)
        for (int i = 0; i < sequences[s].count; i++, row++)
            for (int h = 0; h < HEADS; h += 3) {
                auto at = [&](const std::vector<bf16>& cache, int t) { return &cache[(table[table_of[s] + t / PAGE] * PAGE + t % PAGE) * HIDDEN + h * HEAD_DIM]; };
                std::vector<double> scores;
                double total = 0;
                for (int t = 0; t <= sequences[s].start + i; t++) {
                    double dot = 0;
                    for (int d = 0; d < HEAD_DIM; d++) dot += (double)to_f32(q[row * HIDDEN + h * HEAD_DIM + d]) * to_f32(at(keys, t)[d]);
                    scores.push_back(std::exp(dot * 0.08838834764));
                    total += scores.back();
                }
                for (int d = 0; d < HEAD_DIM; d++) {
                    double want = 0;
                    for (size_t t = 0; t < scores.size(); t++) want += scores[t] / total * to_f32(at(values, t)[d]);
                    attended.add(to_f32(out[row * HIDDEN + h * HEAD_DIM + d]), want);
                }
            }
    attended.show(6e-3);
    emulated::late_copies = true, emulated::backwards = false;
    // A prompt cut elsewhere gives the same bits.
    {
        std::vector<attention::PromptItem> cut;
        for (const auto& item : items)
            for (int first = 0; first < item.count; first += 37) cut.push_back({item.row + first, std::min(37, item.count - first), item.position + first, item.table});
        std::vector<bf16> result(rows * HIDDEN, 0xffff);
        emulated::launch({(int)cut.size(), HEADS, 1}, 128, 65536, [&] {
            attention::prompt_attention(q.data(), keys.data(), values.data(), table.data(), cache, cut.data(), result.data(),
                                        0.08838834764f * 1.4426950408889634f);
        });
        if (result != out) fail("prompt_attention depends on how a prompt is cut");
    }

    // Projections.
    auto normed = random_bf16(rows * HIDDEN, 1.f), weight = random_bf16(3 * HIDDEN * HIDDEN, 0.03f);
    std::vector<float2> turns(256 * 64);
    for (int p = 0; p < 256; p++)
        for (int i = 0; i < 64; i++) turns[p * 64 + i] = {(float)std::cos(p * std::pow(10000., -i / 64.)), (float)std::sin(p * std::pow(10000., -i / 64.))};
    std::vector<bf16> got_q(rows * HIDDEN, 0xffff), got_k(PAGES * PAGE * HIDDEN, 0xffff), got_v(PAGES * PAGE * HIDDEN, 0xffff);
    const qkv::PromptRows prompt = {turns.data(), lengths.data(), slots.data(), got_q.data(), got_k.data(), got_v.data()};
    emulated::launch({30, (rows + 127) / 128, 1}, 256, 98304, [&] { qkv::qkv_rope_prompt(normed.data(), weight.data(), rows, prompt); });
    Comparison projected("qkv_rope_prompt");
    for (int row = 0; row < rows; row += 5)
        for (int matrix = 0; matrix < 3; matrix++)
            for (int h = 1; h < HEADS; h += 4)
                for (int d = 0; d < 64; d++) {
                    const double first = dot(&normed[row * HIDDEN], &weight[((matrix * HEADS + h) * HEAD_DIM + d) * HIDDEN], HIDDEN);
                    const double second = dot(&normed[row * HIDDEN], &weight[((matrix * HEADS + h) * HEAD_DIM + d + 64) * HIDDEN], HIDDEN);
                    const float2 turn = matrix < 2 ? turns[(lengths[row] - 1) * 64 + d] : float2{1, 0};
                    const bf16* to = matrix == 0 ? &got_q[row * HIDDEN] : matrix == 1 ? &got_k[slots[row] * HIDDEN] : &got_v[slots[row] * HIDDEN];
                    projected.add(to_f32(to[h * HEAD_DIM + d]), first * turn.x - second * turn.y);
                    projected.add(to_f32(to[h * HEAD_DIM + d + 64]), second * turn.x + first * turn.y);
                }
    projected.show(6e-3);
    {
        auto q = got_q, k = got_k, v = got_v;
        const qkv::PromptRows small = {turns.data(), lengths.data(), slots.data(), q.data(), k.data(), v.data()};
        for (auto* values : {&q, &k, &v}) std::fill(values->begin(), values->end(), 0xffff);
        emulated::launch({60, (rows + 63) / 64, 1}, 128, 81920, [&] { qkv::qkv_rope_prompt_s(normed.data(), weight.data(), rows, small); });
        if (q != got_q || k != got_k || v != got_v) fail("qkv_rope_prompt_s differs from qkv_rope_prompt");
    }
    int others = 0;
    for (int t = 0; t < PAGES * PAGE; t++)
        others += std::find(slots.begin(), slots.end(), t) == slots.end() && (got_k[t * HIDDEN + 7] != 0xffff || got_v[t * HIDDEN + 7] != 0xffff);
    if (others) fail("qkv_rope_prompt wrote to places of others");

    auto x = random_bf16(rows * HIDDEN, 1.f), o_weight = random_bf16(HIDDEN * HIDDEN, 0.03f);
    const auto before = x;
    emulated::launch({10, (rows + 127) / 128, 1}, 256, 98304, [&] { o::o_proj_prompt(normed.data(), o_weight.data(), x.data(), rows); });
    Comparison added("o_proj_prompt");
    for (int row = 0; row < rows; row += 3)
        for (int i = row % 7; i < HIDDEN; i += 7) added.add(to_f32(x[row * HIDDEN + i]), to_f32(before[row * HIDDEN + i]) + dot(&normed[row * HIDDEN], &o_weight[i * HIDDEN], HIDDEN));
    added.show(6e-3);
    {
        auto small = before;
        emulated::launch({20, (rows + 63) / 64, 1}, 128, 81920, [&] { o::o_proj_prompt_s(normed.data(), o_weight.data(), small.data(), rows); });
        if (small != x) fail("o_proj_prompt_s differs from o_proj_prompt");
    }

    // Experts: four of 64 are there; one takes nearly all rows, so that every width of tile is met.
    std::vector<int> counts(EXPERTS), buckets(EXPERTS * rows, -1);
    std::vector<std::vector<int>> chosen(rows);
    const int there[4] = {3, 4, 17, 63};
    for (int row = 0; row < rows; row++)
        for (int k = 0; k < 4; k++) {
            const int expert = there[k];
            if ((expert == 4 && row % 3) || (expert == 17 && row % 9)) continue;
            buckets[expert * rows + counts[expert]++] = row * SLOTS + (int)chosen[row].size();
            chosen[row].push_back(expert);
        }
    std::vector<bf16> routed_up((size_t)EXPERTS * 2 * EXPERT_INTER * HIDDEN, 0xffff), routed_down((size_t)EXPERTS * HIDDEN * EXPERT_INTER, 0xffff);
    for (int expert : there) {
        auto one = random_bf16(2 * EXPERT_INTER * HIDDEN, 0.03f), two = random_bf16(HIDDEN * EXPERT_INTER, 0.03f);
        std::copy(one.begin(), one.end(), routed_up.begin() + (size_t)expert * one.size());
        std::copy(two.begin(), two.end(), routed_down.begin() + (size_t)expert * two.size());
    }
    auto shared_up = random_bf16(2 * SHARED_INTER * HIDDEN, 0.03f), shared_down = random_bf16(HIDDEN * SHARED_INTER, 0.03f);
    std::vector<bf16> inter((size_t)rows * SLOTS * EXPERT_INTER, 0xffff);
    std::vector<float> slots_out((size_t)rows * SLOTS * HIDDEN, NAN);
    const int tiles = 2 * ((rows + 127) / 128) + rows * TOP_K / 128 + EXPERTS;
    emulated::launch({14, tiles, 1}, 256, 98304, [&] {
        up::expert_gate_up_prompt(normed.data(), routed_up.data(), shared_up.data(), counts.data(), buckets.data(), rows, inter.data(), rows);
    });
    emulated::launch({10, tiles, 1}, 256, 98304, [&] {
        down::expert_down_prompt(inter.data(), routed_down.data(), shared_down.data(), counts.data(), buckets.data(), rows, slots_out.data(), rows);
    });
    Comparison gated("expert_gate_up_prompt"), lowered("expert_down_prompt");
    for (int row = 0; row < rows; row++)
        for (int slot = 0; slot < SLOTS; slot++) {
            if (slot < TOP_K && slot >= (int)chosen[row].size()) continue;
            const bf16 *gate, *upper, *lower;
            int pitch = EXPERT_INTER;
            if (slot < TOP_K) {
                gate = &routed_up[(size_t)chosen[row][slot] * 2 * EXPERT_INTER * HIDDEN], upper = gate + EXPERT_INTER * HIDDEN;
                lower = &routed_down[(size_t)chosen[row][slot] * HIDDEN * EXPERT_INTER];
            } else {
                gate = &shared_up[(size_t)(slot - TOP_K) * EXPERT_INTER * HIDDEN], upper = gate + SHARED_INTER * HIDDEN;
                lower = &shared_down[(slot - TOP_K) * EXPERT_INTER], pitch = SHARED_INTER;
            }
            const bf16* own = &inter[((size_t)row * SLOTS + slot) * EXPERT_INTER];
            for (int i = (row * 5 + slot) % 53; i < EXPERT_INTER; i += 53) {
                const double g = dot(&normed[row * HIDDEN], gate + i * HIDDEN, HIDDEN);
                gated.add(to_f32(own[i]), g / (1 + std::exp(-g)) * dot(&normed[row * HIDDEN], upper + i * HIDDEN, HIDDEN));
            }
            for (int i = (row * 3 + slot) % 61; i < HIDDEN; i += 61)
                lowered.add(slots_out[((size_t)row * SLOTS + slot) * HIDDEN + i], dot(own, lower + (size_t)i * pitch, EXPERT_INTER));
        }
    gated.show(6e-3);
    lowered.show(1e-5);
    return failures;
}
