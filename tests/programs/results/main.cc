// Results that come through memory, of every kind that a debugger would look for elsewhere.

struct One {
    int only;
};

struct Pair {
    int a, b;
};

struct Floats {
    float x, y;
};

struct Big {
    int a, b, c;
    double d;
};

union Word {
    unsigned number;
    char bytes[4];
};

struct Base {
    int of_base = 5;
};

// Not to be copied byte by byte.
struct Text : Base {
    const char *begin;
    int length;
    explicit Text(const char *text) : begin(text), length(0) {
        while (text[length])
            length++;
    }
    Text(const Text &other) : Base(other), begin(other.begin), length(other.length) {}
    ~Text() { length = 0; }
    bool empty() const { return length == 0; }
};

using Name = const Text;

template <typename T> struct Maybe {
    bool is_there;
    T value;
};

struct Shape {
    int sides;
    Pair corner(int index) const { return {index, sides}; }
};

One one(int n) { return {n}; }
Pair pair(int n) { return {n, n + 1}; }
Floats floats(float n) { return {n, 2 * n}; }
Big big(int n) { return {n, 2 * n, 3 * n, n / 2.0}; }
Word word(unsigned n) {
    Word word;
    word.number = n;
    return word;
}
Name text(const char *text) { return Text(text); }
Maybe<short> maybe(int n) {
    if (n < 0)
        return {false, 0};
    return {true, static_cast<short>(n)};
}
Pair through(Pair (*function)(int), int n) {
    Pair result = function(n);
    result.a = -result.a;
    return result;
}

static int by_reference(const Shape *&slot, int **&deep, Pair (*&function)(int), const char *&text) {
    return slot->sides + **deep + function(1).a + text[0];
}

extern "C" int run() {
    Shape shape{3};
    One first = one(1);
    Pair second = pair(2);
    Floats third = floats(3);
    Big fourth = big(4);
    Word fifth = word(5);
    Name sixth = text("sixth");
    Maybe<short> seventh = maybe(7);
    Pair eighth = shape.corner(9);
    Pair ninth = through(pair, 10);
    const Shape *slot = &shape;
    int number = 11;
    int *pointer = &number;
    int **deep = &pointer;
    Pair (*function)(int) = pair;
    const char *characters = "characters";
    const Shape *&alias = slot;
    int more = by_reference(alias, deep, function, characters);
    return more + first.only + second.b + static_cast<int>(third.y) + fourth.c + static_cast<int>(fifth.number) + sixth.length + seventh.value +
           eighth.b + ninth.a;
}
