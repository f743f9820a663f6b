// Runs into the trap that its argument names, two inlined calls deep in an optimized build.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int zero = 0;
static volatile int *volatile wild = (volatile int *)0xfffffff0u;
static volatile double huge = 1e300;

static inline __attribute__((always_inline)) int divide(int value) {
    return value / zero;
}

static inline __attribute__((always_inline)) int average(int total) {
    int scaled = total * 2;
    return divide(scaled);
}

__attribute__((noinline)) static int out_of_bounds(void) {
    return *wild;
}

__attribute__((noinline)) static int overflow(int depth) {
    volatile char buffer[256];
    buffer[depth & 255] = (char)depth;
    return overflow(depth + 1) + buffer[0];
}

__attribute__((noinline, target("bulk-memory"))) static int clear(size_t length) {
    memset((void *)wild, 0, length);
    return 0;
}

__attribute__((noinline)) static int trap(const char *kind) {
    if (strcmp(kind, "divide") == 0)
        return average(21);
    if (strcmp(kind, "memory") == 0)
        return out_of_bounds();
    if (strcmp(kind, "fill") == 0)
        return clear(strlen(kind) * 1000);
    if (strcmp(kind, "stack") == 0)
        return overflow(zero);
    if (strcmp(kind, "convert") == 0)
        return __builtin_wasm_trunc_s_i32_f64(huge);
    if (strcmp(kind, "signature") == 0) {
        int (*volatile wrong)(void) = (int (*)(void))(uintptr_t)&puts;
        return wrong();
    }
    if (strcmp(kind, "table") == 0) {
        int (*missing)(void) = (int (*)(void))(uintptr_t)(100000 + zero);
        return missing();
    }
    if (strcmp(kind, "null") == 0) {
        int (*missing)(void) = (int (*)(void))(uintptr_t)zero;
        return missing();
    }
    __builtin_trap();
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "none") != 0)
        return trap(argv[1]);
    puts("no trap");
    return argc == 3 ? atoi(argv[2]) : 0;
}
