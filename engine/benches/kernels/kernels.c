/* Eight kernels, picked by the first argument; each prints a number that depends on all its work.
 *
 *   clang-19 --target=wasm32-wasi --sysroot=/usr -O2 -msimd128 -Wl,-s kernels.c -o kernels.wasm
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls. */
static uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

/* Bytes of memory. */
static int sieve(void) {
    int n = 20000000, count = 0;
    char *composite = calloc(n, 1);
    for (int round = 0; round < 3; round++) {
        memset(composite, 0, n);
        count = 0;
        for (int i = 2; i < n; i++)
            if (!composite[i]) {
                count++;
                for (long long j = (long long)i * i; j < n; j += i) composite[j] = 1;
            }
    }
    return count;
}

/* Floats. */
static double nbody(void) {
    double x[5] = {0, 4.8, 8.3, 12.8, 15.3}, y[5] = {0, -1.1, 4.1, -15.1, -25.9};
    double vx[5] = {0, .6, -1.0, 1.08, .97}, vy[5] = {0, 2.8, 1.8, .86, .59}, m[5] = {39, .03, .01, .0017, .002};
    for (int t = 0; t < 6000000; t++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                double dx = x[i] - x[j], dy = y[i] - y[j], d = dx * dx + dy * dy + .01, g = .001 / (d * sqrt(d));
                vx[i] -= dx * m[j] * g;
                vy[i] -= dy * m[j] * g;
                vx[j] += dx * m[i] * g;
                vy[j] += dy * m[i] * g;
            }
        for (int i = 0; i < 5; i++) {
            x[i] += .001 * vx[i];
            y[i] += .001 * vy[i];
        }
    }
    return x[0];
}

/* Vectors: the inner loop is vectorized. */
static double matmul(void) {
    int n = 400;
    double *a = malloc(n * n * 8), *b = malloc(n * n * 8), *c = calloc(n * n, 8);
    for (int i = 0; i < n * n; i++) {
        a[i] = i % 7;
        b[i] = i % 5;
    }
    for (int round = 0; round < 8; round++)
        for (int i = 0; i < n; i++)
            for (int k = 0; k < n; k++) {
                double v = a[i * n + k];
                for (int j = 0; j < n; j++) c[i * n + j] += v * b[k * n + j];
            }
    return c[n + 3];
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorting, with indirect calls that go to one function. */
static uint32_t sort(void) {
    int n = 3000000;
    uint32_t *a = malloc(n * 4), s = 1;
    for (int i = 0; i < n; i++) {
        s = s * 1664525 + 1013904223;
        a[i] = s;
    }
    qsort(a, n, 4, compare);
    return a[n / 2];
}

/* 64-bit integers. */
static uint64_t hash(void) {
    uint64_t h = 1469598103934665603ull;
    int n = 1 << 20;
    unsigned char *bytes = malloc(n);
    for (int i = 0; i < n; i++) bytes[i] = i * 7;
    for (int round = 0; round < 300; round++)
        for (int i = 0; i < n; i++) {
            h ^= bytes[i];
            h *= 1099511628211ull;
        }
    return h;
}

static uint32_t add(uint32_t a, uint32_t b) { return a + b; }
static uint32_t xor(uint32_t a, uint32_t b) { return a ^ b; }
static uint32_t mul(uint32_t a, uint32_t b) { return a * (b | 1); }
static uint32_t rotate(uint32_t a, uint32_t b) { return a << (b & 31) | a >> (-b & 31); }
static uint32_t (*volatile operations[4])(uint32_t, uint32_t) = {add, xor, mul, rotate};

/* Indirect calls that go to four functions in turn. */
static uint32_t indirect(void) {
    uint32_t v = 1;
    for (uint32_t i = 0; i < 150000000; i++) v = operations[i & 3](v, i);
    return v;
}

/* Short copies. */
static uint32_t copies(void) {
    int n = 1 << 16;
    char *a = calloc(n, 1), *b = calloc(n, 1);
    uint32_t s = 0;
    for (int round = 0; round < 3000000; round++) {
        memcpy(b + (round & 1023), a + (round * 7 & 1023), round * 37 & 255);
        s += b[round & 1023];
        a[round & 1023] = round;
    }
    return s;
}

int main(int argc, char **argv) {
    const char *kernel = argc > 1 ? argv[1] : "";
    if (!strcmp(kernel, "fib")) printf("%u\n", fib(39));
    if (!strcmp(kernel, "sieve")) printf("%d\n", sieve());
    if (!strcmp(kernel, "nbody")) printf("%f\n", nbody());
    if (!strcmp(kernel, "matmul")) printf("%f\n", matmul());
    if (!strcmp(kernel, "sort")) printf("%u\n", sort());
    if (!strcmp(kernel, "hash")) printf("%llx\n", (unsigned long long)hash());
    if (!strcmp(kernel, "indirect")) printf("%u\n", indirect());
    if (!strcmp(kernel, "memcpy")) printf("%u\n", copies());
    return 0;
}
