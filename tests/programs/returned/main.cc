// Results that come in registers, of kinds that a debugger does not look for there; and member functions to be called at a prompt.
#include <memory>

struct Array {
    int only[1];
};

struct Pointer {
    const int *place;
};

struct Base {
    int of_base;
};

struct Derived : Base {};

struct Holder {
    std::unique_ptr<int> owned;
};

enum class Letter : char { First = 'a', Last = 'z' };
enum Number { zero, one, two };
typedef Number Count;

Array array(int n) { return {{n}}; }
Pointer pointer(const int *place) { return {place}; }
Derived derived(int n) {
    Derived result;
    result.of_base = n;
    return result;
}
std::unique_ptr<int> owned(int n) { return std::make_unique<int>(n); }
Holder holder(int n) { return {std::make_unique<int>(n)}; }
Letter letter(int n) { return n ? Letter::Last : Letter::First; }
Number number(int n) { return n ? two : zero; }
Count count(int n) { return n ? one : zero; }

namespace plane {
struct Limits {
    int low, high;
};

struct Point {
    int x, y;
    Point operator+(const Point &other) const { return {x + other.x, y + other.y}; }
    bool operator==(const Point &other) const { return x == other.x && y == other.y; }
    int times(int factor) const { return factor * (x + y); }
    void move(int by) { x += by; }
    double scaled(double factor) const { return factor * x; }
    const Point *self() const { return this; }
    bool within(Limits limits) const { return limits.low <= x && x < limits.high; }
    static int twice(int n) { return 2 * n; }
};

template <typename T, int N> struct Row {
    T items[N];
    T &operator[](int index) { return items[index]; }
    int size() const { return N; }
};

struct Shape {
    virtual int sides() const { return 0; }
    int corners() const { return sides(); }
};

struct Square : Shape {
    int sides() const override { return 4; }
};
} // namespace plane

int look(plane::Point left, plane::Point right, plane::Row<plane::Point, 2> &row, const plane::Shape &shape) {
    auto closure = [&](int n) { return n + left.x; };
    plane::Limits limits{0, 2};
    int result = closure(1) + row[0].x + row.size() + shape.corners() + (left == right) + (left + right).times(2);
    left.move(1);
    return result + left.within(limits) + (int)right.scaled(0.5) + left.self()->y + plane::Point::twice(2);
}

extern "C" int run() {
    static int some = 7;
    array(6);
    pointer(&some);
    derived(5);
    owned(8);
    holder(3);
    letter(1);
    number(1);
    count(1);
    plane::Row<plane::Point, 2> row{{{8, 9}, {10, 11}}};
    return look({1, 2}, {3, 4}, row, plane::Square());
}
