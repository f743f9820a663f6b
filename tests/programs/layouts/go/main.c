// What TinyGo makes of
//     package main
//     type point struct { x, y int32; label string }
//     func (p *point) move(dx int32) int32 { p.x += dx; return p.x }
//     func total(values []int32) int32 { sum := int32(0); for _, v := range values { sum += v }; return sum }
// is laid out like this. `names.sed` gives the functions and types their names, and the unit its language.
#include <stddef.h>
struct go_string { const unsigned char *ptr; size_t len; };
struct go_slice { int *ptr; size_t len, cap; };
struct main_point { int x, y; struct go_string label; };

__attribute__((noinline)) int main_point_move(struct main_point *p, int dx) {
    p->x += dx;
    return p->x;
}

__attribute__((noinline)) int main_total(int *values_ptr, size_t values_len, size_t values_cap) {
    struct go_slice values = {values_ptr, values_len, values_cap};
    int sum = 0;
    for (size_t i = 0; i < values.len; i++)
        sum += values.ptr[i];
    return sum;
}

static int numbers[] = {3, 4, 5};

__attribute__((export_name("_start"))) void main_main(void) {
    struct main_point p = {1, 2, {(const unsigned char *)"origin", 6}};
    int x = main_point_move(&p, 40);
    int sum = main_total(numbers, 3, 3);
    p.y = x + sum;
    main_point_move(&p, p.y);
}
