// Objects with several virtual tables, in whose memory zeros follow the pointers to them, and strings as libc++ had them up to
// LLVM 14: one byte for the length and whether the characters are elsewhere.

struct Named {
    virtual ~Named() {}
    virtual int name() const { return 1; }
    int zero = 0;
};

struct Counted {
    virtual ~Counted() {}
    virtual int count() const { return 2; }
    int zero = 0;
    int total = 7;
};

struct Both : Named, Counted {
    int own = 3;
    int count() const override { return 4; }
};

struct Measured : Counted {
    double length = 1.5;
};

struct Padded {
    virtual ~Padded() {}
    double width = 2.5;
};

// Virtual bases, which lie elsewhere in each whole object.
struct Root {
    virtual ~Root() {}
    int zero = 0;
    int root = 1;
};

struct Plain {
    int zero = 0;
    int plain = 5;
};

struct Left : virtual Root {
    int zero_left = 0;
    int left = 2;
    int sum() const { return left + root; }
};

struct Right : virtual Root {
    int zero_right = 0;
    int right = 3;
};

struct Diamond : Left, Right {
    int zero_own = 0;
    int own = 4;
};

namespace {
struct Deep : Diamond, virtual Plain {
    int zero_deep = 0;
    int deep = 6;
};
} // namespace

// No virtual functions: the virtual table has but the base's place.
struct Only : virtual Plain {
    int zero_only = 0;
    int only = 8;
};

struct More : Only {
    int many[4] = {0, 0, 0, 9};
};

namespace std {

// The flag is the lowest bit, or, in the other layout, the highest.
namespace __low {
template <typename Char> class basic_string {
    struct __long {
        unsigned __cap_;
        unsigned __size_;
        Char *__data_;
    };
    struct __short {
        union {
            unsigned char __size_;
            Char __lx;
        };
        Char __data_[11];
    };
    struct __rep {
        union {
            __long __l;
            __short __s;
        };
    };
    __rep __r_;

  public:
    basic_string(const Char *text, unsigned size) {
        __r_.__s.__size_ = size << 1;
        for (unsigned i = 0; i < size; i++)
            __r_.__s.__data_[i] = text[i];
    }
    basic_string(Char *text, unsigned size, unsigned room) {
        __r_.__l.__cap_ = room | 1;
        __r_.__l.__size_ = size;
        __r_.__l.__data_ = text;
    }
};
} // namespace __low

namespace __high {
template <typename Char> class basic_string {
    struct __long {
        Char *__data_;
        unsigned __size_;
        unsigned __cap_;
    };
    struct __short {
        Char __data_[11];
        struct {
            unsigned char __size_;
        };
    };
    struct __rep {
        union {
            __long __l;
            __short __s;
        };
    };
    __rep __r_;

  public:
    basic_string(const Char *text, unsigned size) {
        __r_.__s.__size_ = size;
        for (unsigned i = 0; i < size; i++)
            __r_.__s.__data_[i] = text[i];
    }
    basic_string(Char *text, unsigned size, unsigned room) {
        __r_.__l.__cap_ = room | 0x80000000;
        __r_.__l.__size_ = size;
        __r_.__l.__data_ = text;
    }
};
} // namespace __high

} // namespace std

static char elsewhere[] = "a text that is too long to be kept in the string";

static int look(const Named *named, const Counted *counted, const Counted *longer, const Padded *wide) {
    std::__low::basic_string<char> low("short", 5), low_long(elsewhere, 48, 64);
    std::__high::basic_string<char> high("short", 5), high_long(elsewhere, 48, 64);
    int sum = named->name() + counted->count() + longer->count();
    return sum + (int)wide->width;
}

static int look_at_parts(const Left *left, const Right *right, const Diamond *diamond, const Only *only, const Left &part) {
    const Left &named = *left;
    int sum = left->root + right->root + diamond->root + only->plain + part.left;
    return sum + named.sum();
}

extern "C" int run() {
    Both both;
    Measured measured;
    Padded padded;
    Left alone;
    Diamond diamond;
    Deep deep;
    More more;
    int parts = look_at_parts(&alone, &diamond, &deep, &more, deep);
    return look(&both, &both, &measured, &padded) + parts + look_at_parts(&deep, &deep, &diamond, &more, alone);
}
