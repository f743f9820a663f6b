# Casts to pointers to the types that C and Rust have by themselves.
#
# gdb makes `int *` from a type of its own, which no debug info can change, and gives it the host's 8 bytes: `(int *) p` of a
# guest pointer in memory then reads 8 bytes, and `(int *) &x` is an "Invalid cast". Once a guest with 4-byte pointers is
# there, this sets the size of these few pointer types, and of pointers to them, to 4, in gdb's own memory. It does so only where each step proves to
# be what is expected. Type descriptions lie behind the first word of a `gdb.Type` object after its header.

import ctypes


class GuestCasts:
    C = [
        sign + name
        for name in ("char", "short", "int", "long", "long long")
        for sign in ("", "unsigned ")
    ] + ["signed char", "float", "double", "bool"]
    RUST = ["bool", "char", "f32", "f64"] + [
        sign + size for size in ("8", "16", "32", "64", "128", "size") for sign in ("i", "u")
    ]
    LEVELS = 3
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
        try:
            for other, names in (("c++", self.C), ("rust", self.RUST)):
                gdb.execute("set language " + other, to_string=True)
                for name in names:
                    if not self.narrow_all(name):
                        return
        finally:
            gdb.execute("set language " + language, to_string=True)

    def narrow_all(self, name):
        """Narrows the pointers to a type, and to these; False if that is not possible here."""
        try:
            type_ = gdb.lookup_type(name)
        except gdb.error:
            # Not each version knows all of them.
            return True
        for it in (type_, type_.const(), type_.volatile()):
            for _ in range(self.LEVELS):
                it = it.pointer()
                if not self.narrow(it):
                    return False
        return True

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
