# gdb's own `$_memeq` makes a pointer type of the host's width, and has the program allocate memory for a text of the expression.


class MemoryEquality(gdb.Function):
    """$_memeq (A, B, N): are the N bytes at A and at B the same? Each is a pointer or an array."""

    def __init__(self):
        gdb.Function.__init__(self, "_memeq")

    def invoke(self, first, second, length):
        if length < 0:
            raise ValueError("length must be non-negative")
        count = int(length)
        return count == 0 or bytes_at(first, count) == bytes_at(second, count)


def bytes_at(value, count):
    """So many bytes of what a pointer points to, or an array begins with."""
    type_ = value.type.strip_typedefs()
    # Of the array itself, gdb would give the address of a copy that the program makes.
    place = value if type_.code != gdb.TYPE_CODE_ARRAY else value[0].address
    if place is None:
        # A text of the expression's.
        size = type_.target().sizeof
        wanted = min(-(-count // size), type_.range()[1] + 1)
        found = b"".join((int(value[at]) & (1 << 8 * size) - 1).to_bytes(size, "little") for at in range(wanted))
        return found[:count]
    return bytes(gdb.selected_inferior().read_memory(int(place), count))


MemoryEquality()
