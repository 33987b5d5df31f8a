// What the checks share: random values, dot products, and the relative error of a result.
#pragma once

static int failures = 0;
static void fail(const char* what) { printf("FAILED %s\n", what), failures++; }

static std::vector<bf16> random_bf16(size_t count, float size) {
    static uint64_t state = 88172645463325252ull;
    std::vector<bf16> values(count);
    for (auto& value : values) {
        float sum = 0;
        for (int i = 0; i < 3; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            sum += (float)(state >> 40) / (1 << 23) - 1.f;
        }
        value = to_bf16(sum * size);
    }
    return values;
}
static double dot(const bf16* a, const bf16* b, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)to_f32(a[i]) * to_f32(b[i]);
    return sum;
}
struct Comparison {
    const char* what;
    double difference = 0, size = 0;
    long count = 0;
    explicit Comparison(const char* what) : what(what) {}
    void add(double got, double want) { difference += (got - want) * (got - want), size += want * want, count++; }
    void show(double limit) {
        const double error = std::sqrt(difference / size);
        printf("%-28s %.1e over %ld values\n", what, error, count);
        if (!(error < limit)) fail(what);
    }
};
