# Room for guest functions that are called at a stop, for both debuggers.
#
# The guest's compiler keeps variables whose address is taken, in unoptimized code all, on a stack in linear memory. A function that
# calls none leaves the stack pointer where it is, above its own variables: a function that a debugger called would take their place.


# More than what a function keeps there beside its variables.
RED_ZONE = 512
# Variables that are further away are not of the function at which the program stopped.
MOST_BYTES = 1 << 24


def stack_pointer_place(cell):
    """Where the context of an instance has the stack pointer, and its size, as the words of the instance cell say; None where the
    guest has none."""
    context, place = struct.unpack_from("<QQ", cell) if len(cell) >= 16 else (0, 0)
    return (context + (place & 0xFFFF_FFFF), place >> 32) if context and place else None


def with_room(pointer, variables, base):
    """The stack pointer for a call, at a stop in a function with variables at these addresses, where wasm address 0 is at `base`."""
    own = [it - base if it >= 1 << 32 else it for it in variables]
    lowest = min([it for it in own if pointer - MOST_BYTES < it < pointer], default=pointer)
    return max(lowest - RED_ZONE, 0) & ~15 or pointer
