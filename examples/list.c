// A linked list, for the demonstration in scripts/demo.sh. Built with
//
//     clang-19 --target=wasm32-wasi -g -O0 -fdebug-compilation-dir=. -Wl,--global-base=65536 examples/list.c \
//         -o examples/list.wasm
//
// (--global-base keeps the data above the lowest address that Linux lets a process map, see "Pointers" in README.md.)
#include <stdio.h>
#include <stdlib.h>

struct item {
    const char *name;
    int price;
    struct item *next;
};

static int checked = 0;

static struct item *push(struct item *list, const char *name, int price) {
    struct item *it = malloc(sizeof *it);
    it->name = name;
    it->price = price;
    it->next = list;
    return it;
}

static int total(const struct item *list, int discount) {
    int sum = 0;
    for (const struct item *it = list; it; it = it->next) {
        checked++;
        sum += it->price;
    }
    return sum - discount;
}

int main(void) {
    struct item *list = NULL;
    list = push(list, "apple", 3);
    list = push(list, "banana", 10);
    list = push(list, "cherry", 25);
    int to_pay = total(list, 8);
    printf("%d items, to pay: %d\n", checked, to_pay);
    return 0;
}
