// What a second unit, the linker, templates and pointers to functions do to a program.
#include "units.h"

void operator delete(void *, unsigned long) noexcept {
}

int unused_number = 42;

struct Money {
    int cents;
    static int made;
};
int Money::made = 7;

struct Node {
    const char *name;
    int (*twist)(int);
};

struct Only {
    int numbers[1];
};

struct Base {
    int b = 1;
    virtual int which() {
        return b;
    }
};
struct Left : virtual Base {
    int left = 2;
};
struct Right : virtual Base {
    int right = 3;
    int which() override {
        return right;
    }
};
struct Most : Left, Right {
    int most = 4;
};

template <class T>
__attribute__((noinline)) T biggest(T a, T b) {
    return a > b ? a : b;
}

struct Box {
    int value;
    template <class T>
    __attribute__((noinline)) T as() const {
        return T(value) / 2;
    }
};

__attribute__((noinline)) int overload(int x) {
    return x + 1;
}
__attribute__((noinline)) double overload(double x) {
    return x + 0.5;
}

int twice(int x) {
    return 2 * x;
}
int thrice(int x) {
    return 3 * x;
}

__attribute__((noinline)) Only only(int value) {
    return Only{{value}};
}

int total(const Shape *shape) {
    return shape->area();
}

int look(const Money &money, const char *const &name, volatile int &counter, const Node *nodes, Base *part) {
    counter += money.cents + name[0];
    return counter + nodes[0].twist(1) + part->which();
}

extern "C" int run() {
    Circle circle;
    Money money{5};
    const char *name = "lamp";
    volatile int counter = 0;
    Node nodes[2] = {{"first", twice}, {"second", thrice}};
    Most most;
    Box box{9};
    int sum = total(&circle) + look(money, name, counter, nodes, &most);
    sum += biggest(1, 2) + int(box.as<double>()) + overload(1) + int(overload(2.25)) + only(8).numbers[0];
    return sum + nodes[1].twist(2);
}
