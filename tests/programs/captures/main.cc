// References that are members, and what lambda expressions capture.
#include <string>
#include <vector>

struct Point {
    int x, y;
};

struct References {
    int &number;
    Point &point;
    std::vector<int> &numbers;
    int (&array)[3];
    Point *&pointer;
    std::string &text;
    double &fraction;
    const short &constant;
};

static int look(References &all) {
    return all.number + all.point.x + all.array[1] + all.pointer->y + static_cast<int>(all.fraction) + all.constant;
}

struct Counter {
    int n = 1;
    int run(int k) {
        auto add = [this, k](int z) {
            return n + k + z;
        };
        return add(2);
    }
};

extern "C" int run() {
    int number = 1;
    Point point{2, 3};
    std::vector<int> numbers{4, 5, 6};
    int array[3] = {7, 8, 9};
    Point *pointer = &point;
    std::string text = "text";
    double fraction = 1.5;
    short constant = 10;
    References all{number, point, numbers, array, pointer, text, fraction, constant};
    int sum = look(all);
    auto add = [&](int z) {
        return number + z + point.x + static_cast<int>(numbers.size());
    };
    Counter counter;
    return sum + add(1) + counter.run(3);
}
