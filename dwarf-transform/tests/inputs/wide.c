// A module with 64-bit memory: pointers of 8 bytes, objects in memory and in locals.
struct node {
    struct node *next;
    long value;
};
static struct node nodes[3] = { { &nodes[1], 1 }, { &nodes[2], 2 }, { 0, 3 } };

__attribute__((export_name("sum"))) long sum(struct node *from)
{
    long total = 0;
    for (struct node *it = from ? from : nodes; it; it = it->next)
        total += it->value;
    return total;
}
