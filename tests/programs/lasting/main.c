// What becomes of parameters that the optimizer has no use for any more, and of those that are assigned.
#include <stdio.h>

struct text {
    const char *bytes;
    int at;
    int errors;
};

static volatile int rounds;

// Neither parameter is assigned, and their locals are given to other values.
__attribute__((noinline)) int number(struct text *text, int base) {
    if (text->bytes[text->at] < '0') {
        text->errors++;
        return -base;
    }
    int value = 0;
    char c = text->bytes[text->at];
    while (c >= '0' && c <= '9') {
        value = value * 10 + (c - '0');
        c = text->bytes[++text->at];
        rounds++; // in number
    }
    return value;
}

// The parameter is assigned.
__attribute__((noinline)) int steps(unsigned n) {
    int count = 0;
    while (n != 1) {
        n = n % 2 ? 3 * n + 1 : n / 2;
        rounds++; // in steps
        count++;
    }
    return count;
}

struct list {
    struct list *next;
    int value;
};

// Made a loop, in which the parameter is another one each time, though nothing assigns it.
__attribute__((noinline)) int sum(struct list *list) {
    if (!list)
        return 0;
    rounds++; // in sum
    return sum(list->next) + list->value;
}

int main(void) {
    struct text text = {"1207+", 0, 0};
    int value = number(&text, 10);
    struct list third = {0, 3}, second = {&third, 2}, first = {&second, 1};
    int count = steps(6), total = sum(&first);
    printf("%d %d %d %d\n", value, text.at, count, total);
    return rounds == 0;
}
