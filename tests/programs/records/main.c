// Exercises what C debug information can say: a linked list, structs, unions, bit-fields, enums, arrays, strings,
// file-scope variables, function pointers, recursion, lexical blocks, every loop and a switch.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum color { RED, GREEN = 5, BLUE };

typedef struct point {
    int x;
    int y;
} point;

struct flags {
    unsigned ready : 1;
    unsigned mode : 3;
    int balance : 5;
    unsigned wide : 23;
};

union value {
    int32_t integer;
    float real;
    unsigned char bytes[4];
};

struct node {
    const char *name;
    int value;
    enum color color;
    struct flags flags;
    union value payload;
    point corners[2];
    struct node *next;
};

typedef int (*operation)(int, int);

int counter = 3;
static const char *greeting = "hello, wasm";
static double ratios[4] = {0.5, 1.25, -2.0, 1e10};
static struct node *head;
static int64_t big = INT64_MIN;

static int add(int left, int right) {
    int sum = left + right;
    counter++;
    return sum;
}

static int multiply(int left, int right) {
    int product = left * right;
    return product;
}

static const operation operations[2] = {add, multiply};

static struct node *push(struct node *list, const char *name, int value, enum color color) {
    struct node *it = malloc(sizeof *it);
    it->name = name;
    it->value = value;
    it->color = color;
    it->flags.ready = value & 1;
    it->flags.mode = value % 8;
    it->flags.balance = -value;
    it->flags.wide = (unsigned)value * 1000u;
    it->payload.real = (float)value * 0.5f;
    for (int i = 0; i < 2; i++) {
        it->corners[i].x = value + i;
        it->corners[i].y = value - i;
    }
    it->next = list;
    return it;
}

static int list_sum(const struct node *list) {
    int sum = 0;
    for (const struct node *it = list; it; it = it->next) {
        sum += it->value;
    }
    return sum;
}

static unsigned factorial(unsigned n) {
    if (n <= 1)
        return 1;
    unsigned rest = factorial(n - 1);
    return n * rest;
}

static point midpoint(point a, point b) {
    point middle;
    middle.x = (a.x + b.x) / 2;
    middle.y = (a.y + b.y) / 2;
    return middle;
}

static const char *color_name(enum color color) {
    switch (color) {
    case RED:
        return "red";
    case GREEN:
        return "green";
    case BLUE:
        return "blue";
    }
    return "unknown";
}

static int collatz(uint64_t start) {
    int steps = 0;
    uint64_t n = start;
    while (n != 1) {
        if (n % 2 == 0) {
            n /= 2;
        } else {
            uint64_t triple = n * 3;
            n = triple + 1;
        }
        steps++;
        if (steps > 6)
            break;
    }
    return steps;
}

static void reverse(char *text) {
    size_t length = strlen(text);
    for (size_t i = 0; i < length / 2; i++) {
        char swapped = text[i];
        text[i] = text[length - 1 - i];
        text[length - 1 - i] = swapped;
    }
}

static double mean(const double *values, int count) {
    double total = 0;
    int i = 0;
    do {
        total += values[i];
        i++;
    } while (i < count);
    return total / count;
}

int main(int argc, char **argv) {
    int grid[2][3] = {{1, 2, 3}, {4, 5, 6}};
    char text[16] = "stressed";
    unsigned char small = 200;
    signed char negative = -100;
    uint16_t port = 54321;
    float ratio = 0.125f;
    _Bool happy = argc > 0;

    head = push(head, "first", 1, RED);
    head = push(head, "second", 22, GREEN);
    head = push(head, "third", 333, BLUE);
    int total = list_sum(head);

    int results[2];
    for (int i = 0; i < 2; i++) {
        results[i] = operations[i](total, grid[1][i]);
    }

    unsigned product = factorial(4);
    point origin = {0, 0}, corner = {10, -6};
    point middle = midpoint(origin, corner);
    point *follow = &middle;
    follow->x += small;

    const char *name = color_name(head->next->color);
    int steps = collatz(27);
    reverse(text);
    double average = mean(ratios, 3);
    big += port;
    {
        int total = negative;
        counter += total;
    }

    printf("%s: %d %d %u (%d,%d) %s %d %s %.3f %lld %d %d\n", greeting, results[0], results[1], product, middle.x,
           middle.y, name, steps, text, average, (long long)big, counter, (int)(ratio * 8) + happy);
    (void)argv;
    return total == 356 ? 0 : 1;
}
