// Numbers of 16 bytes: IEEE 754's format in wasm, another one on the host.
struct pair {
    long double first;
    char letter;
    long double others[2];
};

static long double shared = -0.5L;

__attribute__((noinline)) static void look(struct pair *pair, long double passed)
{
    shared = passed;
    pair->letter++;
}

__attribute__((export_name("run"))) int run(void)
{
    struct pair pair = { 1.25L, 'a', { 1e30L, -3.0L } };
    _Complex long double both = { 1.5L, -2.0L };
    long double *at = &pair.others[1];
    look(&pair, 0.1L);
    *at = __real__ both;
    return pair.letter;
}
