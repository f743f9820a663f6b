// What profilers are tried on: each function spends its time under one known chain of calls.
#define KEEP __attribute__((noinline))

static volatile unsigned sink;

KEEP static unsigned spin(unsigned rounds) {
    for (unsigned i = 0; i < rounds; i++)
        sink += i * i;
    return sink;
}

KEEP static unsigned left(unsigned rounds) { return spin(rounds) + 1; }

KEEP static unsigned right(unsigned depth, unsigned rounds) {
    if (depth > 0)
        return right(depth - 1, rounds) + 1;
    return spin(rounds) + 2;
}

int main(void) {
    unsigned total = 0;
    for (int i = 0; i < 60; i++)
        total += left(1000000) + right(3, 1000000);
    return total == 7;
}
