// Pointers to members, pointers whose classes have one name, and objects under construction. No library of C++ but its
// type descriptions.

struct Machine {
    int a, b;
    int fast(int input) { return input * 2; }
    virtual int slow(int input) { return input + a; }
    virtual int third(int input) { return input + b; }
};

// Each pointer to a member has other bytes behind it.
struct Holder {
    int Machine::*first;
    unsigned mark;
    int (Machine::*method)(int);
    unsigned after, more;
    int Machine::*none;
    int (Machine::*nothing)(int);
    unsigned end;
};

struct Numbers {
    struct Node {
        int value;
        Node *next;
    };
    Node *head;
};

struct Letters {
    struct Node {
        const char *value;
        Node *next;
    };
    Node *head;
};

struct Named {
    virtual ~Named() {}
    const char *name = "named";
};

struct Right : virtual Named {
    Right() {
        right = 20;
    }
    long long right;
};

struct Both : Right {
    int both = 30;
};

static int pointers() {
    Numbers::Node last{7, nullptr};
    Numbers numbers{&last};
    Letters::Node letter{"letter", nullptr};
    Letters letters{&letter};
    int (*binary)(int, int) = nullptr;
    int (*unary)(int) = nullptr;
    struct {
        int (*binary)(int, int);
        int (*unary)(int);
    } both{binary, unary};
    return numbers.head->value + (letters.head->value != nullptr) + (both.unary == nullptr);
}

static int construct() {
    static Both object;
    return object.both + static_cast<int>(object.right);
}

static int members() {
    Holder plain{&Machine::b, 0xAAAAAAAA, &Machine::fast, 0xBBBBBBBB, 0xCCCCCCCC, nullptr, nullptr, 0xDDDDDDDD};
    Holder virtuals{&Machine::a, 1, &Machine::third, 2, 3, nullptr, nullptr, 4};
    int Machine::*local = &Machine::b;
    int (Machine::*function)(int) = &Machine::fast;
    Machine machine;
    machine.a = 1;
    machine.*local = 3;
    return (machine.*function)(machine.*plain.first) + static_cast<int>(virtuals.mark);
}

extern "C" void __cxa_atexit() {}
extern "C" int __cxa_guard_acquire(char *guard) { return !*guard; }
extern "C" void __cxa_guard_release(char *guard) { *guard = 1; }

extern "C" int run() { return pointers() + construct() + members(); }
