// Debug info in other files than the module's: a list, file-scope variables, macros. Without a library.
#define CAPACITY 4
#define DOUBLE(x) ((x) + (x))

struct item {
    const char *name;
    long long price;
    struct item *next;
};

static struct item items[CAPACITY];
int used = 0;
const char *shop = "corner";

static struct item *add(struct item *list, const char *name, long long price) {
    struct item *it = &items[used++];
    it->name = name;
    it->price = price;
    it->next = list;
    return it;
}

static long long total(const struct item *list) {
    long long sum = 0;
    for (const struct item *it = list; it; it = it->next) {
        sum += it->price;
    }
    return sum;
}

__attribute__((export_name("run"))) long long run(int count) {
    struct item *list = 0;
    list = add(list, "bread", 3);
    list = add(list, "salt", -1);
    list = add(list, "saffron", 5000000000);
    return total(list) + DOUBLE(count) + shop[0];
}
