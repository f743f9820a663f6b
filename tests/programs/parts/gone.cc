// Values of which nothing is left after optimization, of types that have printers.
#include <string_view>

struct Machine {
    int a;
    int fast(int n) { return n + a; }
};

__attribute__((noinline)) static int use(int n) {
    return n * 3;
}

extern "C" int run() {
    int (Machine::*method)(int) = &Machine::fast;
    std::string_view view("a text");
    Machine machine{4};
    return use((machine.*method)(static_cast<int>(view.size())));
}
