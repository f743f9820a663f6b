// Memory that grows, with pointers into what is new; as a 32-bit, a shared and a 64-bit memory.

struct node {
    int value;
    const char *name;
    struct node *next;
};

static struct node first = {1, "first", 0};

static __attribute__((noinline)) int look(struct node *node) {
    return node->value + node->next->value;
}

__attribute__((export_name("run"))) int run(void) {
    int before = look(&(struct node){2, "before", &first});
    unsigned long end = __builtin_wasm_memory_grow(0, 3) * 65536;
    struct node *grown = (struct node *)(end + 0x20000);
    grown->value = 3;
    grown->name = "grown";
    grown->next = &first;
    return before + look(grown);
}
