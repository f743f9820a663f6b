#include "units.h"

int Shape::area() const {
    return 0;
}

Shape::~Shape() {
}

int Circle::area() const {
    return 3 * radius * radius;
}
