// Changes to the rows of a batch between steps: a few integers that travel inside the launch itself.
//
// No copy from host memory is involved, so nothing waits for the stream and the host's values may go as soon as the
// launch has been made. Launched without the programmatic attribute: what came before is finished.
//
// write_words  1 x 256 threads: up to 1,000 integers to consecutive places (a page table's row, lengths, history).
// set_row      1 x 1 thread: a row's next token, its length with that token (0: no sequence), its history's length.
#include "common.cuh"

constexpr int WORDS = 1000;  // with the pointer and the count inside the 4 KB that a launch may carry
struct Words { int values[WORDS]; };

extern "C" __global__ void __launch_bounds__(256) write_words(int* to, int count, Words words) {
    for (int i = threadIdx.x; i < count; i += 256) to[i] = words.values[i];
}

extern "C" __global__ void __launch_bounds__(1) set_row(
    int* token_ids, int* sequence_lengths, int* history_lengths, int row, int token, int length, int history_length) {
    token_ids[row] = token;
    sequence_lengths[row] = length;
    history_lengths[row] = history_length;
}
