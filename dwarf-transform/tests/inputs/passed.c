// What a caller passes by reference. LLVM 14 gives it a location list that ends with the function's first block.
struct record {
    int number;
    double weight[3];
    const char *name;
};

int count(struct record record, int limit) {
    int sum = 0;
    for (int i = 0; i < limit; i++)
        sum += record.number;
    return sum;
}

int run(int limit) {
    struct record record = {limit, {1, 2, 3}, "name"};
    return count(record, 3);
}
