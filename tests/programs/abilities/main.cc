// What the table of abilities is asked of, in C++. Functions are kept out of line and their variables in memory, so that
// the optimized build can be asked the same questions.
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#define KEEP __attribute__((noinline))

template <typename T> KEEP void keep(T &variable) { __asm__ volatile("" : : "r"(&variable) : "memory"); }

int counter = 3;
volatile int waiting;
volatile int failing;

namespace geometry {

enum class Kind { Round, Cornered = 4 };

struct Shape {
    std::string name;
    explicit Shape(std::string name) : name(std::move(name)) {}
    virtual ~Shape() = default;
    virtual int area() const = 0;
    virtual Kind kind() const { return Kind::Round; }
};

struct Circle : Shape {
    int radius;
    explicit Circle(int radius) : Shape("circle"), radius(radius) {}
    KEEP int area() const override {
        int square = radius * radius;
        keep(square);
        counter++;
        return 3 * square;
    }
};

struct Box : Shape {
    int sides[2];
    Box(int width, int height) : Shape("box with a name that is long"), sides{width, height} {}
    KEEP int area() const override {
        counter += 2;
        return sides[0] * sides[1];
    }
    Kind kind() const override { return Kind::Cornered; }
};

} // namespace geometry

using Operation = int (*)(int, int);

struct Node {
    const char *name;
    int value;
    geometry::Kind kind;
    Operation apply;
    Node *next;
};

KEEP static int add(int left, int right) { return left + right; }

KEEP static int multiply(int left, int right) { return left * right; }

template <typename T> KEEP T largest(const std::vector<T> &values) {
    T best = values[0];
    keep(best);
    for (const T &value : values)
        if (value > best)
            best = value;
    return best;
}

KEEP static int measure(geometry::Shape *it, int factor) {
    int part = it->area() * factor;
    keep(part);
    return part;
}

KEEP static int visit(const std::vector<std::unique_ptr<geometry::Shape>> &shapes, int bonus) {
    int sum = bonus;
    keep(sum);
    for (const auto &shape : shapes) {
        sum += measure(shape.get(), 1);
        keep(sum);
    }
    return sum;
}

KEEP static void score(Node *it, int &total) {
    total += it->apply(it->value, 2);
    keep(total);
}

KEEP static int walk(Node *list, int &total) {
    int steps = 0;
    keep(steps);
    for (Node *it = list; it; it = it->next) {
        score(it, total);
        steps++;
        keep(steps);
    }
    return steps;
}

using Shapes = std::vector<std::unique_ptr<geometry::Shape>>;

KEEP static void inspect(const std::string &greeting, const std::vector<int> &numbers,
                         const std::map<std::string, int> &ages, const Shapes &shapes) {
    keep(greeting);
    keep(numbers);
    keep(ages);
    keep(shapes);
}

KEEP static unsigned descend(unsigned depth) {
    unsigned below = depth;
    keep(below);
    if (depth > 1)
        below += descend(depth - 1);
    keep(below);
    return below;
}

KEEP static int fail(int *wild) {
    int found = *wild;
    return found;
}

int main(int argc, char **argv) {
    waiting = argc > 1 && !std::strcmp(argv[1], "wait");
    while (waiting)
        ;
    std::string greeting = "hello";
    std::vector<int> numbers = {3, 1, 4, 1, 5};
    std::map<std::string, int> ages;
    ages["ada"] = 36;
    ages["grace"] = 85;
    Shapes shapes;
    shapes.push_back(std::make_unique<geometry::Circle>(2));
    shapes.push_back(std::make_unique<geometry::Box>(3, 4));
    inspect(greeting, numbers, ages, shapes);
    Node second{"second", 22, geometry::Kind::Cornered, multiply, nullptr};
    Node first{"first", 1, geometry::Kind::Round, add, &second};
    int total = visit(shapes, 10);
    keep(total);
    int steps = walk(&first, total);
    int top = largest(numbers);
    unsigned depth = descend(4);
    std::printf("total %d, steps %d, top %d, depth %u, counter %d\n", total, steps, top, depth, counter);
    if (failing)
        return fail((int *)0xfffffff0);
    return 0;
}
