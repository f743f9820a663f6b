// A structure that the optimizer takes apart. At the first call of `look` only one member has a value.
#include <stdio.h>

struct span { int begin, end, step; };

__attribute__((noinline)) int look(int value) {
    __asm__ volatile("");
    return value + 1;
}

int main(int argc, char **argv) {
    struct span span;
    span.begin = argc + 41;
    int seen = look(span.begin);
    span.end = look(seen);
    span.step = look(span.end);
    printf("%d %d %d\n", span.begin, span.end, span.step);
    return 0;
}
