# Which trap of WebAssembly a signal stands for: for both debuggers.


# What the engine calls them.
TRAPS = {
    1: "wasm `unreachable` instruction executed",
    2: "out of bounds memory access",
    3: "unaligned atomic",
    4: "undefined element: out of bounds table access",
    6: "uninitialized element",
    7: "indirect call type mismatch",
    8: "integer overflow",
    9: "integer divide by zero",
    10: "invalid conversion to integer",
    11: "call stack exhausted",
    12: "null reference",
    13: "interrupted",
    64: "atomic wait on non-shared memory",
}

# Where memories begin, code reaches so far behind.
REACH = 1 << 34
# More objects than a debugger can be given in a reasonable time.
MOST_IMAGES = 1 << 16


def section(read, image, name):
    """The contents of a section of an ELF file in the process's memory; None if it has none of that name."""
    table, size, count, names = struct.unpack("<Q10xHHH", read(image + 40, 24))
    headers = [struct.unpack_from("<II16xQQ", read(table + image, size * count), size * at) for at in range(count)]
    _, _, start, length = headers[names]
    names = read(image + start, length)
    for at, _, start, length in headers:
        if names[at : names.index(b"\0", at)] == name:
            return read(image + start, length)
    return None


def trap_at(read, descriptor, pc):
    """The number of the trap that the instruction stands for, as the objects say that debuggers were given.

    `read(address, size)` reads the process's memory, where `descriptor` is what `__jit_debug_descriptor` lies at.
    """
    (entry,) = struct.unpack("<Q", read(descriptor + 16, 8))
    for _ in range(MOST_IMAGES):
        if entry == 0:
            break
        entry, _, image = struct.unpack("<QQQ", read(entry, 24))
        sites = section(read, image, b".wasmscope.trapsites") or b""
        for address, trap in struct.iter_unpack("<QB", sites[: len(sites) // 9 * 9]):
            if address == pc:
                return trap
    return None


def trap_sentence(site, signal, address, stack, lines):
    """What the trap is that a signal stands for, or None where it is no trap.

    `site` is what `trap_at` says, `address` the one that the signal tells, `stack` the stack pointer, `lines` the mappings.
    """
    if site in TRAPS:
        return TRAPS[site]
    if signal == 8:  # SIGFPE
        return "integer division trap"
    if signal == 4:  # SIGILL
        return "unreachable or a failed check"
    if signal != 11:  # SIGSEGV
        return None
    if abs(address - stack) < 0x10000:
        return TRAPS[11]
    memories = LinearMemories(lines)
    sizes = {base: end - base for base, end in memories.others}
    if memories.reservation:
        start, end = memories.reservation
        # Code uses a shared memory there although its identity map begins at 0.
        sizes[memories.base()] = sizes[start] = end - start
    for base in sorted(sizes, reverse=True):
        if base <= address < base + REACH:
            return "%s at wasm address 0x%x (memory ends at 0x%x)" % (TRAPS[2], address - base, sizes[base])
    return None
