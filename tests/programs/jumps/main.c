/* Blocks that end with a statement that branches: what natively is a jump of its own. */
#include <stdio.h>

#define EVEN(n) ((n) % 2 == 0)
#define COUNT(n)                                                                                                       \
    do {                                                                                                               \
        calls += (n);                                                                                                  \
    } while (0)

static int calls;

static int loops(int limit) {
    int sum = 0;
    for (int i = 0; i < limit; i++) {
        int square = i * i;
        if (EVEN(square)) {
            sum += square;
        }
    }
    for (int i = 0; i < limit; i++) {
        for (int j = 0; j < i; j++) {
            if (j == 2)
                continue;
            sum += j;
        }
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            if (i == j)
                sum++;
    for (int i = 1; i < limit; i++) {
        if (i == 1)
            continue;
        while (sum % i) {
            sum--;
        }
    }
    int rounds = 0;
    do {
        int half = sum / 2;
        if (half > 20) {
            sum = half;
        }
    } while (++rounds < 3);
    return sum;
}

static int kind(int code) {
    int result = 0;
    switch (code) {
    case 0:
        break;
    case 1:
    case 2:
        result = 1;
        if (code == 2) {
            result = 2;
        }
        break;
    case 3: {
        for (int i = 0; i < 2; i++) {
            result += i;
        }
    } break;
    case 4:
    default:
        break;
    }
    return result;
}

static const char *word(const char *text, int *length) {
    while (1) {
        if (*text == ' ') {
            text++;
        } else if (*text == '"') {
            text++; /* A brace in a comment: } */
            if (*text == '\'') {
                text++;
            }
        } else {
            break;
        }
    }
    for (*length = 0;; ++*length) {
#if defined(__wasm__) || defined(__i386__)
        if (text[*length] == '}') {
            break;
        }
#else
        if (text[*length] == '{') {
            break; }
#endif
        if (text[*length] == 0) {
            return text;
        } else if (text[*length] > 'x') {
            calls++;
        }
    }
    return text;
}

static void nothing(int n) {
    if (n) {
        for (int i = 0; i < n; i++) {
            if (i > 1) {
                if (i > 2) {
                    COUNT(2);
                    calls++;
                }
            }
        }
    }
}

static int turns(int n) {
    int left = n;
    while (left > 2) {
        for (;;) {
            if (left % 3 == 0)
                break;
            left--;
        }
        left -= 2;
    }
    for (int i = 0; i < n; i++) {
        if (i == 1)
            continue;
        else
            left += i;
    }
    if (n > 3) {
        do {
            left--;
        } while (left > 10);
    }
    return left;
}

// The body begins on a line of its own, some blocks end with others, and what is never left has no end.
static int scan(const char *text, int quote)
{
    int seen = 0;
    if (quote) {
        for (int at = 0; text[at]; at++) {
            if (text[at] == quote)
                seen++;
        }
    }
    for (;;) {
        switch (*text++) {
        case '"':
            if (quote == '"')
                break;
            switch (seen) {
            case 0:
                return -1;
            case 1:
                return -2;
            default:
                goto out;
            }
        default:
            if (!text[-1])
                goto out;
            break;
        }
        seen++;
    }
out:
    return seen;
}

int main(void) {
    int sum = loops(6) + turns(7);
    sum += scan("a\"b\"c", '"') + scan("a\"bc", 'b') + scan("xyx", 'x') + scan("a\"a\"a", 'a') + scan("", 0);
    for (int code = 0; code < 6; code++) {
        sum += kind(code);
        switch (code) {
        case 2:
            COUNT(3);
            break;
        default:
            if (code) {
                sum++;
            }
        }
    }
    int length = 0;
    const char *found = word("  \"' fuzzy}", &length);
    nothing(4);
    if (length > 3) {
        if (found[0] == 'f') {
            calls += 10;
        }
    }
    printf("%d %d %d %s\n", sum, calls, length, found);
    return 0;
}
