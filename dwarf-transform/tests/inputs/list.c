// Pointers, structures, unions, enumerations, bit-fields, static and file-scope variables, loops and blocks.
struct node {
    const char *name;
    int value;
    struct node *next;
};
union number {
    int whole;
    float real;
};
enum color { RED, GREEN = 5, BLUE };
struct bits {
    unsigned low : 3;
    unsigned high : 5;
    int sign : 7;
};

static struct node pool[4];
static int used;
struct node *head;

static struct node *push(const char *name, int value) {
    struct node *n = &pool[used++];
    n->name = name;
    n->value = value;
    n->next = head;
    head = n;
    return n;
}

// Nothing calls it and nothing exports it: the linker drops it.
int dropped(int x) {
    int y = x * 2;
    return y;
}

int sum(const struct node *it) {
    static int calls;
    int total = 0;
    calls++;
    for (; it; it = it->next) {
        int before = total;
        total += it->value;
        if (total < before)
            return -1;
    }
    return total;
}

int (*never_used)(int);

__attribute__((export_name("run"))) int run(int count) {
    union number n;
    enum color c = GREEN;
    struct bits b = {1, 2, -3};
    long long big = 1234567890123LL;
    char text[8] = "hello";
    n.real = 2.5f;
    push("one", 1);
    push("two", 2);
    for (int i = 0; i < count; i++)
        b.sign += i;
    return sum(head) + c + b.sign + n.whole + (int)big + text[0];
}
