// Functions whose results the optimizer removes: nobody uses them, or they are known.
volatile int sink;

typedef struct {
    char one;
} single;

__attribute__((noinline)) static int unused(int x) {
    sink += x;
    return x * 2;
}

__attribute__((noinline)) static int known(int x) {
    sink += x;
    return 7;
}

__attribute__((noinline)) static single known_structure(int x) {
    sink += x;
    return (single){14};
}

__attribute__((noinline)) static float unused_fraction(int x) {
    sink += x;
    return x * 0.5f;
}

__attribute__((noinline)) static int kept(int x) {
    sink += x;
    return x + sink;
}

int run(void) {
    unused(3);
    unused_fraction(17);
    return known(6) + known_structure(5).one + kept(4) + kept(sink);
}
