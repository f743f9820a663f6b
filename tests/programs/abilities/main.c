// What the table of abilities is asked of, in C. Functions are kept out of line and their variables in memory, so that
// the optimized build can be asked the same questions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP __attribute__((noinline))

enum color { RED, GREEN = 5, BLUE };

typedef int (*operation)(int, int);

union number {
    int integer;
    float real;
};

struct node {
    const char *name;
    int value;
    enum color color;
    union number number;
    operation apply;
    short scores[4];
    struct node *next;
};

int counter = 3;
struct node *head;
volatile int waiting;
volatile int failing;

KEEP static void keep(void *variable) { __asm__ volatile("" : : "r"(variable) : "memory"); }

KEEP static int add(int left, int right) {
    counter++;
    return left + right;
}

KEEP static int multiply(int left, int right) {
    counter += 2;
    return left * right;
}

KEEP static struct node *push(struct node *list, const char *name, int value, enum color color, operation apply) {
    struct node *it = malloc(sizeof *it);
    it->name = name;
    it->value = value;
    it->color = color;
    it->number.real = 1.5f;
    it->apply = apply;
    for (int i = 0; i < 4; i++)
        it->scores[i] = (short)(value - i);
    it->next = list;
    return it;
}

KEEP static int score(struct node *it, int bonus) {
    int part = it->apply(it->value, bonus);
    keep(&part);
    return part;
}

KEEP static int visit(struct node *list, int bonus) {
    int sum = bonus;
    keep(&sum);
    for (struct node *it = list; it; it = it->next) {
        int part = score(it, bonus);
        sum += part;
        keep(&sum);
    }
    return sum;
}

KEEP static unsigned descend(unsigned depth) {
    unsigned below = depth;
    keep(&below);
    if (depth > 1)
        below += descend(depth - 1);
    keep(&below);
    return below;
}

KEEP static int fail(int *wild) {
    int found = *wild;
    return found;
}

int main(int argc, char **argv) {
    waiting = argc > 1 && !strcmp(argv[1], "wait");
    while (waiting)
        ;
    head = push(head, "first", 1, RED, add);
    head = push(head, "second", 22, GREEN, multiply);
    head = push(head, "third", 333, BLUE, add);
    int total = visit(head, 10);
    keep(&total);
    unsigned depth = descend(4);
    printf("total %d, depth %u, counter %d\n", total, depth, counter);
    if (failing)
        return fail((int *)0xfffffff0);
    return 0;
}
