// A library, made into several instances by engine/examples/processes.rs.

struct step {
    int amount;
    const char *name;
    struct step *before;
};

int counter = 0;
static struct step *last = 0;

__attribute__((import_module("host"), import_name("call"))) int host(int amount);

static int add(struct step *step) {
    counter += step->amount;
    return counter;
}

__attribute__((export_name("bump"))) int bump(int amount) {
    struct step here = {amount, amount < 1000 ? "small" : "large", last};
    last = &here;
    int inside = host(amount);
    int result = add(&here);
    last = here.before;
    return result + inside;
}
