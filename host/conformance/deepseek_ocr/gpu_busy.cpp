// How busy a GPU is while a program runs, and with which kernels, by CUPTI:
//
//   g++ -std=c++17 -O2 -shared -fPIC -I$CUDA_HOME/include gpu_busy.cpp -o libgpu_busy.so -lcupti
//   CUDA_INJECTION64_PATH=$PWD/libgpu_busy.so GPU_BUSY=busy.json program...
//
// Work is split where the GPU does nothing for half a second (page_bench pauses longer between its parts when PAUSE is
// set). Of each stretch: its length, the share of it in which some kernel or copy ran, and the kernels that took most.
#include <cupti.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {
constexpr size_t BUFFER = 8 << 20;
constexpr unsigned long long PAUSE_NS = 500'000'000;

struct Record { unsigned long long start, end; int name; };
std::vector<Record> records;
std::map<std::string, int> names;
std::mutex lock;

void note(const char* name, unsigned long long start, unsigned long long end) {
    if (end <= start) return;
    records.push_back({start, end, names.emplace(name ? name : "?", (int)names.size()).first->second});
}

void CUPTIAPI wanted(uint8_t** buffer, size_t* size, size_t* most) {
    *buffer = static_cast<uint8_t*>(aligned_alloc(8, BUFFER));
    *size = BUFFER;
    *most = 0;
}

void CUPTIAPI filled(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
    std::lock_guard<std::mutex> guard(lock);
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
        if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
            auto* kernel = reinterpret_cast<CUpti_ActivityKernel10*>(record);
            note(kernel->name, kernel->start, kernel->end);
        } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
            auto* copy = reinterpret_cast<CUpti_ActivityMemcpy6*>(record);
            note(copy->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_HTOD ? "copy to the device" : copy->copyKind == CUPTI_ACTIVITY_MEMCPY_KIND_DTOH ? "copy to the host" : "copy on the device", copy->start, copy->end);
        } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
            auto* set = reinterpret_cast<CUpti_ActivityMemset4*>(record);
            note("memset", set->start, set->end);
        }
    }
    free(buffer);
}

void write_down() {
    cuptiActivityFlushAll(1);
    std::lock_guard<std::mutex> guard(lock);
    const char* path = getenv("GPU_BUSY");
    FILE* out = path ? fopen(path, "w") : stderr;
    if (!out) return;
    std::vector<std::string> by_number(names.size());
    for (const auto& [name, number] : names) by_number[number] = name;
    std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.start < b.start; });
    fprintf(out, "[");
    for (size_t first = 0; first < records.size();) {
        unsigned long long until = records[first].end, busy = 0, open = records[first].start;
        std::map<int, std::pair<unsigned long long, long>> by_name;
        size_t at = first;
        for (; at < records.size() && records[at].start < until + PAUSE_NS; at++) {
            const Record& r = records[at];
            if (r.start > until) busy += until - open, open = r.start;
            until = std::max(until, r.end);
            by_name[r.name].first += r.end - r.start;
            by_name[r.name].second++;
        }
        busy += until - open;
        const double length = (until - records[first].start) * 1e-6;
        std::vector<std::pair<int, std::pair<unsigned long long, long>>> most(by_name.begin(), by_name.end());
        std::sort(most.begin(), most.end(), [](auto& a, auto& b) { return a.second.first > b.second.first; });
        fprintf(out, "%s\n{\"ms\": %.3f, \"busy\": %.4f, \"records\": %zu, \"most\": [", first ? "," : "", length, busy * 1e-6 / length, at - first);
        for (size_t i = 0; i < most.size() && i < 40; i++) {
            std::string name = by_number[most[i].first].substr(0, 70);
            std::replace(name.begin(), name.end(), '"', '\'');
            std::replace(name.begin(), name.end(), '\\', '/');
            fprintf(out, "%s\n  [\"%s\", %ld, %.3f]", i ? "," : "", name.c_str(), most[i].second.second, most[i].second.first * 1e-6);
        }
        fprintf(out, "]}");
        first = at;
    }
    fprintf(out, "]\n");
    if (path) fclose(out);
}
}  // namespace

extern "C" int InitializeInjection() {
    if (cuptiActivityRegisterCallbacks(wanted, filled) != CUPTI_SUCCESS) return 0;
    for (auto kind : {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET})
        if (cuptiActivityEnable(kind) != CUPTI_SUCCESS) fprintf(stderr, "CUPTI refuses a kind of activity\n");
    atexit(write_down);
    return 1;
}
