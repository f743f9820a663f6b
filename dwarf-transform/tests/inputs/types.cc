// Type units, classes with virtual functions and bases, references, pointers to members, templates, namespaces.
namespace shapes {
struct Shape {
    int id;
    explicit Shape(int id) : id(id) {}
    virtual double area() const = 0;
};
struct Square : virtual Shape {
    double side;
    Square(int id, double side) : Shape(id), side(side) {}
    double area() const override { return side * side; }
};
} // namespace shapes
template <typename T, int N> struct Array {
    T items[N];
    T &at(int i) { return items[i]; }
};
enum class Mode : unsigned char { Off, On = 3 };
typedef int (*Function)(int, int);

extern "C" void __cxa_pure_virtual() {}

static int add(int a, int b) { return a + b; }

extern "C" __attribute__((export_name("run"))) double run(int x) {
    shapes::Square square(1, 2.5);
    shapes::Shape &alias = square;
    Array<int, 3> array = {{1, 2, 3}};
    Mode mode = Mode::On;
    Function function = add;
    int shapes::Shape::*member = &shapes::Shape::id;
    double (shapes::Shape::*method)() const = &shapes::Shape::area;
    int &&temporary = x + 1;
    array.at(1) = function(array.at(0), temporary);
    return alias.area() + alias.*member + (alias.*method)() + (mode == Mode::On);
}
