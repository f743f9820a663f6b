# The layouts of libc++'s strings, for both debuggers.


def string_form(size, flag, begins_with_data):
    """Is a string's text elsewhere, and the length of one that is not: by the short form's size, by the flag, which is None
    where the size holds it, and by whether the long form begins with its data."""
    if flag is not None:
        return bool(flag), size
    # Up to LLVM 14 one byte has both: in this layout the flag is its highest bit, in the other the lowest.
    if begins_with_data:
        return bool(size & 0x80), size
    return bool(size & 1), size >> 1
