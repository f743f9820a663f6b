/* Functions that are inlined without optimization, among calls and loops. */
#include <stdio.h>

#define INLINE static inline __attribute__((always_inline))

static unsigned read(const unsigned char *at) {
    return at[0] | at[1] << 8;
}

INLINE unsigned scale(unsigned value, int wide) {
    if (wide)
        return value * 40503u >> 4;
    return value * 97u;
}

INLINE unsigned slot(const unsigned char *at, int wide) {
    return scale(read(at), wide) & 15;
}

INLINE int repeats(const unsigned char *text, int length, int *table, int wide) {
    int found = 0;
    const unsigned char *at = text;
    while (1) {
        int where = 0;
        do {
            unsigned const here = slot(at, wide);
            where = table[here] - 1;
            table[here] = (int)(at - text) + 1;
            if (++at - text >= length - 1)
                goto end;
            if (where >= 0 && text[where] == at[-1]) {
                if (wide)
                    found += 10;
                break;
            }
        } while (1);
        int same = 1;
        if (text[where + 1] == at[0]) {
            same = 2;
        }
        while (at + same < text + length) {
            unsigned difference = read(text + where + same) ^ read(at - 1 + same);
            if (!difference) {
                same++;
                continue;
            }
            break;
        }
        found += same;
    }
end:
    return found % 1000;
}

int main(void) {
    static const unsigned char text[] = "abcabcabd";
    int sum = 0;
    for (int wide = 0; wide < 2; wide++) {
        int table[16] = {0};
        sum = sum * 100 + repeats(text, 9, table, wide);
    }
    printf("%d\n", sum);
    return 0;
}
