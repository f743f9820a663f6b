// Classes with virtual bases, and objects that are more than what they are looked at as.
struct Base {
    int id = 1;
    virtual int value() { return id; }
};
struct Left : virtual Base {
    int left = 2;
    int value() override { return left + id; }
};
struct Right : virtual Base {
    int right = 3;
};
struct Bottom final : Left, Right {
    int bottom = 4;
    int value() override { return left + right + bottom + id; }
};
struct Plain : Right {
    long long plain = 5;
};
int look(Base &base, Left *left, Right *right, const Right &reference) {
    int sum = base.value() + left->value() + right->right + reference.id;
    return sum;
}
int main() {
    Bottom bottom;
    Plain plain;
    bottom.id = 11;
    plain.id = 12;
    int sum = look(bottom, &bottom, &bottom, plain);
    Left left;
    return sum - left.value();
}
