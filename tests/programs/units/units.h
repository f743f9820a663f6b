// A class whose virtual table, and so whose description, is in another unit than most of its uses.
struct Shape {
    int layer = 3;
    const int id = 7;
    virtual int area() const;
    virtual ~Shape();
};

struct Circle : Shape {
    int radius = 2;
    int area() const override;
};

int total(const Shape *shape);
