// Exercises what C++ debug information can say: the standard containers, smart pointers, virtual functions,
// inheritance, references, templates, lambdas, member pointers, namespaces, operators.
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace geometry {

struct Named {
    std::string name;
    explicit Named(std::string name) : name(std::move(name)) {}
    virtual ~Named() = default;
};

class Shape : public Named {
public:
    enum class Kind : unsigned char { Round, Cornered };

    Shape(std::string name, Kind kind) : Named(std::move(name)), kind_(kind) { ++count; }
    virtual double area() const = 0;
    Kind kind() const { return kind_; }

    static int count;

protected:
    Kind kind_;
};

int Shape::count = 0;

class Circle final : public Shape {
public:
    explicit Circle(double radius) : Shape("circle", Kind::Round), radius_(radius) {}
    double area() const override {
        double square = radius_ * radius_;
        return 3.0 * square;
    }

private:
    double radius_;
};

class Box final : public Shape {
public:
    Box(int width, int height) : Shape("box with a rather long name", Kind::Cornered), width_(width), height_(height) {}
    double area() const override {
        int product = width_ * height_;
        return product;
    }

private:
    int width_, height_;
};

} // namespace geometry

template <typename T, int Limit> struct Stack {
    T items[Limit];
    int size = 0;

    bool push(const T &item) {
        if (size == Limit)
            return false;
        items[size++] = item;
        return true;
    }
};

template <typename T> T largest(const std::vector<T> &values) {
    T best = values[0];
    for (const T &value : values) {
        if (value > best)
            best = value;
    }
    return best;
}

struct Complex {
    double re, im;
    Complex operator+(const Complex &other) const {
        Complex sum{re + other.re, im + other.im};
        return sum;
    }
};

static void swap_by_reference(int &left, int &right) {
    int kept = left;
    left = right;
    right = kept;
}

static int apply(const std::function<int(int)> &function, int argument) {
    int result = function(argument);
    return result;
}

int main() {
    std::string greeting = "hello";
    std::string long_text = "a string that is too long to be stored inline";
    greeting += ", shapes";

    std::vector<int> numbers = {3, 1, 4, 1, 5};
    numbers.push_back(9);
    int top = largest(numbers);

    std::map<std::string, int> ages;
    ages["ada"] = 36;
    ages["grace"] = 85;
    int sum = 0;
    for (const auto &entry : ages) {
        sum += entry.second;
    }

    std::unordered_map<int, std::string> names;
    names[7] = "seven";

    std::vector<std::unique_ptr<geometry::Shape>> shapes;
    shapes.push_back(std::make_unique<geometry::Circle>(2.0));
    shapes.push_back(std::make_unique<geometry::Box>(3, 4));
    double total = 0;
    for (const std::unique_ptr<geometry::Shape> &shape : shapes) {
        const geometry::Shape &it = *shape;
        total += it.area();
    }

    std::shared_ptr<Complex> shared = std::make_shared<Complex>(Complex{1.5, -2.5});
    Complex doubled = *shared + *shared;

    Stack<short, 2> stack;
    bool first = stack.push(10);
    stack.push(20);
    bool third = stack.push(30);

    int left = 1, right = 2;
    swap_by_reference(left, right);

    int offset = 100;
    auto shift = [&offset, top](int value) {
        int shifted = value + offset;
        return shifted + top;
    };
    int shifted = shift(5);
    int applied = apply([](int value) { return value * value; }, 12);

    std::optional<int> some = 42, none;
    std::pair<int, char> pair(7, 'x');
    int Complex::*unused = nullptr;
    double Complex::*member = &Complex::im;
    double im = doubled.*member;
    int &alias = offset;
    alias += left;

    std::printf("%s %zu %d %d %s %.1f %.1f %d%d %d %d %d %d %d %c %d %d\n", greeting.c_str(), long_text.size(), top, sum,
                names[7].c_str(), total, im, first, third, left, right, shifted, applied, *some, pair.second,
                none.has_value(), geometry::Shape::count);
    (void)unused;
    return offset == 102 ? 0 : 1;
}
