// Macros: with parameters, redefined, from an included file.
#define SQUARE(x) ((x) * (x))
#define LIMIT 10
#include "macros.h"
#undef LIMIT
#define LIMIT TWICE(20)

__attribute__((export_name("limited"))) int limited(int n)
{
    return SQUARE(n) < LIMIT ? n : LIMIT;
}
