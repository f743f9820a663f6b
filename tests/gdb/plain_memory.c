// Linked into the native twins. glibc chooses these functions at load time (ifunc), and gdb 13 can lose its step in
// the call of such a function; these are plain.
//
// What is read behind the end of an allocation, of a text without an end for example or through the end of an iterator, is
// no value of the program's either. Allocations get bytes behind them that MEMORY_BEHIND chooses for each run.
#include <stddef.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

enum { BEHIND = 32 };

static void *fenced(char *object, size_t size) {
    const char *factor = getenv("MEMORY_BEHIND");
    for (size_t i = 0; object && factor && i < BEHIND; i++)
        object[size + i] = (char)((i + 1) * (*factor - '0'));
    return object;
}

void *malloc(size_t size) { return size + BEHIND < size ? NULL : fenced(__libc_malloc(size + BEHIND), size); }

void *calloc(size_t count, size_t size) {
    size_t all;
    if (__builtin_mul_overflow(count, size, &all) || all + BEHIND < all)
        return NULL;
    return fenced(__libc_calloc(1, all + BEHIND), all);
}

void *realloc(void *old, size_t size) {
    if (old && size == 0)
        return __libc_realloc(old, 0);
    return size + BEHIND < size ? NULL : fenced(__libc_realloc(old, size + BEHIND), size);
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    if (to < from)
        return memcpy(to, from, size);
    while (size--)
        ((char *)to)[size] = ((const char *)from)[size];
    return to;
}

void *memset(void *to, int byte, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = (char)byte;
    return to;
}

int memcmp(const void *left, const void *right, size_t size) {
    const unsigned char *a = left, *b = right;
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i])
            return a[i] - b[i];
    return 0;
}

int bcmp(const void *left, const void *right, size_t size) { return memcmp(left, right, size); }

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}
