// The vision towers' kernels against plain loops, on a CPU: `./run.sh vision_check`.
#include "emulated.h"
#include "common.cuh"
namespace attention {
#include "vision_attention.cu"
}
namespace rows {
#include "vision_rows.cu"
}
#include "check.h"

// batch, side (with a bias) or tokens (without), heads, warps, which kernel.
static void attend(int batch, int tokens, int side, int heads, int warps, bool with_bias) {
    const int width = 3 * heads * 64;
    auto qkv = random_bf16((size_t)batch * tokens * width, 1.f), added = random_bf16(width, 0.7f);
    auto height = random_bf16((2 * side + 1) * 64, 0.3f), across = random_bf16((2 * side + 1) * 64, 0.3f);
    std::vector<bf16> out((size_t)batch * tokens * heads * 64, 0xffff);
    const attention::VisionLayout layout = {(long long)tokens * width, width, width / 3, 64, tokens, heads, side};
    const bf16* bias = with_bias ? added.data() : nullptr;
    emulated::launch({(tokens + warps * 16 - 1) / (warps * 16), heads, batch}, warps * 32, 3 * 64 * 256 + (side ? warps * 16 * (side + 1) * 4 : 0), [&] {
        if (side == 64) attention::vision_attention_r64(qkv.data(), bias, height.data(), across.data(), out.data(), layout);
        else if (side == 40) attention::vision_attention_r40(qkv.data(), bias, height.data(), across.data(), out.data(), layout);
        else if (side) attention::vision_attention_t64(qkv.data(), bias, height.data(), across.data(), out.data(), layout);
        else attention::vision_attention(qkv.data(), bias, nullptr, nullptr, out.data(), layout);
    });
    Comparison comparison(with_bias ? "vision_attention, qkv bias" : "vision_attention");
    for (int b = 0; b < batch; b++)
        for (int h = 0; h < heads; h++)
            for (int t = 0; t < tokens; t += tokens > 1000 ? 37 : 5) {
                auto at = [&](int token, int matrix, int d) { return to_f32(qkv[((size_t)b * tokens + token) * width + (matrix * heads + h) * 64 + d]) + (with_bias ? to_f32(added[(matrix * heads + h) * 64 + d]) : 0.); };
                std::vector<double> share(tokens);
                double total = 0;
                for (int k = 0; k < tokens; k++) {
                    double score = 0;
                    for (int d = 0; d < 64; d++) {
                        score += at(t, 0, d) * at(k, 1, d) / 8;
                        if (side) score += at(t, 0, d) * (to_f32(height[(t / side - k / side + side - 1) * 64 + d]) + to_f32(across[(t % side - k % side + side - 1) * 64 + d]));
                    }
                    total += share[k] = std::exp(score);
                }
                for (int d = 0; d < 64; d++) {
                    double want = 0;
                    for (int k = 0; k < tokens; k++) want += share[k] / total * at(k, 2, d);
                    comparison.add(to_f32(out[((size_t)b * tokens + t) * heads * 64 + h * 64 + d]), want);
                }
            }
    comparison.show(8e-3);
}

static void norm(int batch, int side, int columns, int product_window, int out_window, bool repeated, bool has_product) {
    auto padded = [&](int window) { return window ? (side + window - 1) / window * ((side + window - 1) / window) * window * window : side * side; };
    auto place = [&](int b, int y, int x, int window) -> size_t {
        if (!window) return ((size_t)b * side + y) * side + x;
        const int across = (side + window - 1) / window;
        return (((size_t)b * across + y / window) * across + x / window) * window * window + y % window * window + x % window;
    };
    const int grid = batch * side * side, x_rows = repeated ? side * side : grid, out_rows = batch * padded(out_window);
    auto x = random_bf16((size_t)x_rows * columns, 1.f), product = random_bf16((size_t)batch * padded(product_window) * columns, 1.f);
    auto bias = random_bf16(columns, 1.f), weight = random_bf16(columns, 1.f), beta = random_bf16(columns, 1.f);
    std::vector<bf16> sum((size_t)grid * columns, 0xffff), out((size_t)out_rows * columns, 0xffff);
    emulated::launch({(out_rows + 7) / 8, 1, 1}, 256, 0, [&] {
        rows::norm_rows(x.data(), has_product ? product.data() : nullptr, bias.data(), weight.data(), beta.data(), sum.data(), out.data(),
                        {out_rows, x_rows, columns, side, product_window, out_window, 1e-5f});
    });
    Comparison summed("norm_rows sum"), normed("norm_rows");
    std::vector<bool> met(out_rows);
    for (int b = 0; b < batch; b++)
        for (int y = 0; y < side; y++)
            for (int at = 0; at < side; at++) {
                const size_t row = place(b, y, at, 0), to = place(b, y, at, out_window), from = place(b, y, at, product_window);
                met[to] = true;
                std::vector<double> value(columns);
                double mean = 0, square = 0;
                for (int c = 0; c < columns; c++) {
                    const double exact = to_f32(x[row % x_rows * columns + c]) + (has_product ? to_f32(product[from * columns + c]) + to_f32(bias[c]) : 0.);
                    value[c] = has_product ? to_f32(sum[row * columns + c]) : exact;
                    if (has_product) summed.add(value[c], exact);
                    mean += value[c] / columns;
                }
                for (int c = 0; c < columns; c++) square += (value[c] - mean) * (value[c] - mean) / columns;
                for (int c = 0; c < columns; c++)
                    normed.add(to_f32(out[to * columns + c]), (value[c] - mean) / std::sqrt(square + 1e-5) * to_f32(weight[c]) + to_f32(beta[c]));
            }
    for (int row = 0; row < out_rows; row++)
        for (int c = 0; c < columns && !met[row]; c++)
            if (out[(size_t)row * columns + c]) { fail("norm_rows leaves something in the padding"); return; }
    if (has_product) summed.show(4e-3);
    normed.show(4e-3);
}

int main() {
    for (int way = 0; way < 4; way++) {
        emulated::late_copies = way & 1, emulated::backwards = way & 2;
        attend(1, 196, 14, 2, 13, way & 1);
    }
    attend(1, 1024, 32, 1, 8, true);
    attend(1, 1600, 40, 2, 8, true);
    attend(1, 4096, 64, 1, 8, true);
    attend(2, 101, 0, 2, 7, true);
    attend(1, 257, 0, 2, 4, false);
    norm(2, 20, 768, 14, 0, false, true);
    norm(2, 20, 768, 0, 14, false, true);
    norm(3, 9, 1024, 0, 0, true, true);
    norm(1, 7, 256, 0, 0, false, false);
    norm(2, 16, 768, 0, 14, false, false);

    {
        const int groups = 2000, columns = 80;
        auto x = random_bf16(groups * 8, 2.f), bias = random_bf16(columns, 1.f), residual = random_bf16(groups * 8, 1.f);
        for (int act : {0, 1, 2}) {
            std::vector<bf16> out(groups * 8, 0xffff);
            emulated::launch({(groups + 255) / 256, 1, 1}, 256, 0, [&] { rows::finish_rows(x.data(), bias.data(), residual.data(), out.data(), groups, columns, act); });
            Comparison finished("finish_rows");
            for (size_t i = 0; i < out.size(); i++) {
                const double v = to_f32(x[i]) + to_f32(bias[i % columns]);
                const double a = act == 1 ? 0.5 * v * (1 + std::erf(v / std::sqrt(2.))) : act == 2 ? v / (1 + std::exp(-1.702 * v)) : v;
                finished.add(to_f32(out[i]), a + to_f32(residual[i]));
            }
            finished.show(2e-3);
        }
        double worst = 0;
        for (float v = -5; v < 5; v += 1e-3f) worst = std::max(worst, std::fabs(rows::error_function(v) - std::erf((double)v)));
        printf("error function %.1e\n", worst);
        if (!(worst < 6e-7)) fail("error_function");
    }
    for (int stride : {1, 2}) {
        const int batch = 2, side = 8, columns = 24, out_side = (side - 1) / stride + 1;
        auto x = random_bf16(batch * side * side * columns, 1.f);
        std::vector<bf16> out((size_t)batch * out_side * out_side * 9 * columns, 0xffff);
        const int groups = out.size() / 8;
        emulated::launch({(groups + 255) / 256, 1, 1}, 256, 0, [&] { rows::patches_3x3(x.data(), out.data(), groups, side, out_side, columns, stride); });
        for (size_t i = 0; i < out.size(); i++) {
            const int c = i % columns, place = i / columns % 9, row = i / columns / 9, b = row / out_side / out_side;
            const int y = row / out_side % out_side * stride + place / 3 - 1, at = row % out_side * stride + place % 3 - 1;
            const bf16 want = y < 0 || y >= side || at < 0 || at >= side ? 0 : x[((b * side + y) * side + at) * columns + c];
            if (out[i] != want) { fail("patches_3x3"); break; }
        }
    }
    {
        const int batch = 2, side = 32, across = side / 16;
        std::vector<unsigned char> pixels(batch * side * side * 3);
        for (size_t i = 0; i < pixels.size(); i++) pixels[i] = i * 7919 >> 3;
        auto levels = random_bf16(256, 1.f);
        std::vector<bf16> out(pixels.size(), 0xffff);
        const int groups = out.size() / 8;
        emulated::launch({(groups + 255) / 256, 1, 1}, 256, 0, [&] { rows::pixel_patches(pixels.data(), levels.data(), out.data(), groups, side); });
        for (int b = 0; b < batch; b++)
            for (int y = 0; y < side; y++)
                for (int x = 0; x < side; x++)
                    for (int c = 0; c < 3; c++)
                        if (out[(((size_t)b * across + y / 16) * across + x / 16) * 768 + c * 256 + y % 16 * 16 + x % 16] != levels[pixels[((b * side + y) * side + x) * 3 + c]]) {
                            fail("pixel_patches");
                            return 1;
                        }
    }
    printf(failures ? "" : "all hold\n");
    return failures;
}
