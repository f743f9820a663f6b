# Casts to pointers to C's own types.
#
# gdb makes `int *` from a type of its own, which no debug info can change, and gives it the host's 8 bytes: `(int *) p` of a
# guest pointer in memory then reads 8 bytes, and `(int *) &x` is an "Invalid cast". Once a guest with 4-byte pointers is
# there, this sets the size of these few pointer types to 4, in gdb's own memory. It does so only where each step proves to
# be what is expected. Type descriptions lie behind the first word of a `gdb.Type` object after its header.

import ctypes


class GuestCasts:
    TYPES = [
        sign + name
        for name in ("char", "short", "int", "long", "long long")
        for sign in ("", "unsigned ")
    ] + ["signed char", "float", "double", "bool"]
    HEADER = 16  # of a Python object: reference count and type
    LENGTH = 40  # of a type's length in gdb's `struct type`

    def __init__(self):
        gdb.events.stop.connect(self.at_stop)

    def at_stop(self, event):
        try:
            if gdb.lookup_type("void", gdb.selected_frame().block()).pointer().sizeof != 4:
                return
        except (gdb.error, RuntimeError):
            return
        gdb.events.stop.disconnect(self.at_stop)
        language = gdb.parameter("language")
        gdb.execute("set language c++", to_string=True)
        try:
            for name in self.TYPES:
                type_ = gdb.lookup_type(name)
                for it in (type_, type_.const()):
                    if not self.narrow(it.pointer()):
                        return
        except gdb.error:
            pass
        finally:
            gdb.execute("set language " + language, to_string=True)

    def narrow(self, pointer):
        """Sets a pointer type's size to 4; False if that is not possible here."""
        if pointer.code != gdb.TYPE_CODE_PTR or pointer.sizeof != 8:
            return pointer.sizeof == 4
        described = ctypes.c_uint64.from_address(id(pointer) + self.HEADER).value
        length = ctypes.c_uint64.from_address(described + self.LENGTH)
        if length.value != 8:
            return False
        length.value = 4
        if pointer.sizeof != 4:
            length.value = 8
            return False
        return True


if not hasattr(gdb, "wasmscope_casts") and platform.machine() == "x86_64" and gdb.VERSION.startswith("13."):
    gdb.wasmscope_casts = GuestCasts()
