// Variables that change: what the compiler loses where control flow joins, and what it does not say.
#include <stdio.h>

static int data[16];

// Whoever stops here finds what `value` is in the caller's variable.
__attribute__((noinline)) static void note(int value) {
    static volatile int last;
    last = value;
}

__attribute__((noinline)) static int sum(int count) {
    int total = 27;
    for (int i = 0; i < count; i++) {
        if (data[i] & 1)
            total += data[i];
        note(total); // total
    }
    return total;
}

__attribute__((noinline)) static int words(const char *text) {
    int count = 0, length = 0;
    for (; *text; text++) {
        if (*text == ' ') {
            length = 0;
        } else {
            if (!length)
                count++;
            length++;
        }
        note(count); // count
    }
    note(length); // length
    return count;
}

// Each round has its own `offset`, and the first one is known.
__attribute__((noinline)) static int rounds(int count, int stride) {
    int first = 1;
    for (int i = 0;;) {
        int offset = i * stride;
        if (!first)
            note(-1);
        first = 0;
        note(offset); // offset
        if (++i == count)
            break;
    }
    return first;
}

// Calls of themselves that the compiler makes loops of.
#define REST(left) down((left)-1, marks + 1)
__attribute__((noinline)) static int down(int left, int marks) {
    if (!left)
        return marks;
    note(left); // left
    return REST(left);
}

struct tree {
    int key;
    struct tree *next;
};

static int again(const struct tree *it, int depth);
__attribute__((noinline)) static int walk(const struct tree *it, int depth) {
    if (!it)
        return depth;
    note(depth); // depth
    return again(it, depth);
}
static int again(const struct tree *it, int depth) { return walk(it->next, depth + 2); }

// Assignments that are not spelled like most.
#define INCREASE(x) (++(x))
__attribute__((noinline)) static int spelled(int number) {
    for (int i = 0; i < 4; i++) {
        INCREASE(number);
        ((number)) += data[i] & 1;
        note(number); // number
    }
    return number;
}

int main(int argc, char **argv) {
    (void)argv;
    for (int i = 0; i < 16; i++)
        data[i] = (i * 7 + argc) % 11;
    struct tree trees[] = {{1, &trees[1]}, {2, &trees[2]}, {3, NULL}};
    int result = sum(16) + words("to be  or not") + rounds(4, 2) + down(4, 0) + walk(trees, 1) + spelled(100);
    printf("%d\n", result);
    return 0;
}
