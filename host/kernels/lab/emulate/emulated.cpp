#include "emulated.h"

namespace emulated {
Dim thread_index, block_index, block_size, grid_size;
Thread* current;
unsigned char* shared;
bool late_copies = true, backwards = false;

static std::vector<Thread> threads;
static std::vector<unsigned char*> stacks;
static void* host_stack_pointer;
static const std::function<void()>* work;
static unsigned char slots[32][32][64];
struct Barrier { int come = 0; long round = 0; };
static Barrier block_barrier, warp_barriers[32];
static int alive, warp_alive[32];

// Saves the registers that a call keeps, and goes on with another stack.
extern "C" void emulated_switch(void** save, void* to);
asm(R"(
.globl emulated_switch
emulated_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
)");

int lane() { return current->id & 31; }
void* lane_slot(int lane) { return slots[current->id >> 5][lane]; }

static void go_on(Thread& thread) {
    current = &thread;
    thread_index.x = thread.id, thread_index.y = thread_index.z = 0;
    emulated_switch(&host_stack_pointer, thread.stack_pointer);
}
void yield() {
    Thread* own = current;
    emulated_switch(&own->stack_pointer, host_stack_pointer);
}
static void meet(Barrier& barrier, int& needed) {
    const long round = barrier.round;
    if (++barrier.come >= needed) {
        barrier.come = 0;
        barrier.round++;
        return;
    }
    while (barrier.round == round) yield();
}
void meet_block() { meet(block_barrier, alive); }
void meet_warp() { meet(warp_barriers[current->id >> 5], warp_alive[current->id >> 5]); }

static void release(Barrier& barrier, int needed) {
    if (needed > 0 && barrier.come >= needed) {
        barrier.come = 0;
        barrier.round++;
    }
}
static void body() {
    (*work)();
    current->ended = true;
    alive--;
    int& in_warp = warp_alive[current->id >> 5];
    in_warp--;
    release(block_barrier, alive);
    release(warp_barriers[current->id >> 5], in_warp);
    for (;;) yield();
}

void launch(Dim grid, int count, size_t shared_bytes, const std::function<void()>& kernel) {
    work = &kernel;
    grid_size = grid;
    block_size.x = count, block_size.y = block_size.z = 1;
    std::vector<unsigned char> memory(shared_bytes + 256, 0xff);
    shared = (unsigned char*)(((uintptr_t)memory.data() + 127) / 128 * 128);
    while ((int)stacks.size() < count) stacks.push_back((unsigned char*)aligned_alloc(64, STACK));
    for (int z = 0; z < grid.z; z++)
        for (int y = 0; y < grid.y; y++)
            for (int x = 0; x < grid.x; x++) {
                block_index = {x, y, z};
                memset(shared, 0xff, shared_bytes);  // not a number, as bf16 and as f32
                threads.assign(count, Thread());
                alive = count;
                block_barrier = {};
                for (auto& barrier : warp_barriers) barrier = {};
                for (int w = 0; w < 32; w++) warp_alive[w] = std::max(0, std::min(32, count - w * 32));
                for (int t = 0; t < count; t++) {
                    threads[t].id = t;
                    void** top = (void**)(stacks[t] + STACK - 64);
                    top[-1] = nullptr;
                    top[-2] = (void*)body;
                    threads[t].stack_pointer = top - 8;
                }
                long idle = 0;
                while (alive) {
                    const int before = alive;
                    const long rounds = block_barrier.round;
                    long warps = 0;
                    for (auto& barrier : warp_barriers) warps += barrier.round;
                    for (int i = 0; i < count; i++) {
                        Thread& thread = threads[backwards ? count - 1 - i : i];
                        if (!thread.ended) go_on(thread);
                    }
                    long now = 0;
                    for (auto& barrier : warp_barriers) now += barrier.round;
                    idle = alive == before && block_barrier.round == rounds && now == warps ? idle + 1 : 0;
                    if (idle > 4) {
                        fprintf(stderr, "block %d %d %d: threads wait for each other for ever\n", x, y, z);
                        abort();
                    }
                }
            }
}
}  // namespace emulated
