// Runs into the trap of an atomic operation that its argument names.
static int words[4];

__attribute__((noinline)) static int wait32(int *at) {
    return __builtin_wasm_memory_atomic_wait32(at, 1, 0);
}

__attribute__((noinline)) static int wait64(long long *at) {
    return __builtin_wasm_memory_atomic_wait64(at, 1, 0);
}

__attribute__((noinline)) static int notify(int *at) {
    return __builtin_wasm_memory_atomic_notify(at, 1);
}

__attribute__((noinline)) static int load(int *at) {
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

int run(int which) {
    char *inside = (char *)words;
    int *outside = (int *)0xfffff000;
    switch (which) {
    case 0:
        return wait32((int *)(inside + 2));
    case 1:
        return wait32(outside);
    case 2:
        return wait64((long long *)(inside + 4));
    case 3:
        return notify((int *)(inside + 1));
    case 4:
        return notify(outside);
    case 5:
        return load((int *)(inside + 1));
    case 6:
        return load(outside);
    case 7:
        return notify(words);
    default:
        return wait32(words);
    }
}
