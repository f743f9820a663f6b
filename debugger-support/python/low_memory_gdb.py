# Guest pointers into the lowest pages, and watchpoints through guest pointers.
#
# Linux lets no process map addresses below vm.mmap_min_addr, so the identity map has a hole there, and compilers like to
# put their string constants right into it. gdb offers no way to serve memory from Python. It reads and writes the memory
# of a process through /proc/<pid>/mem, by pread64 and pwrite64; so this gives gdb's own two references to these functions
# a detour: a few instructions that let every other access pass, and for an offset in the hole of such a file a Python
# function that adds the base of linear memory. Where anything is not as expected, nothing is touched, and only pointers
# into the hole stay unreadable.
#
# A hardware watchpoint compares addresses, and the guest's code writes through the reservation, not through the identity
# map: `watch it->value` would wait forever. gdb sets the debug registers by ptrace, which gets the same detour: on the way
# in, a wasm address becomes the reservation's, on the way out the other way round.

import ctypes
import mmap
import os
import platform
import struct


class LowMemory:
    """The detour; made once for a gdb process."""

    # Null pointers shall stay unreadable. Linkers leave these bytes free for that reason.
    NULL_BYTES = 1024
    DEBUG_REGISTERS = 848  # offsetof(struct user, u_debugreg)

    def __init__(self):
        with open("/proc/sys/vm/mmap_min_addr") as file:
            self.hole = int(file.read())
        if platform.machine() != "x86_64" or self.hole >= 1 << 32:
            raise OSError("not this machine's")
        # Offsets below take the detour; the code reads it.
        self.limit = ctypes.c_uint64(self.hole)
        # The host address of wasm address 0 in the memory that pointers are followed into, if it is not memory 0.
        self.chosen = 0
        self.bases = {}
        self.watched = {}
        self.kept = []
        library = ctypes.CDLL(None, use_errno=True)
        library.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for name in ("pread64", "pwrite64"):
            function = library[name]
            function.restype = ctypes.c_ssize_t
            function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)

            def transfer(file, buffer, size, offset, function=function):
                return function(file, buffer, size, self.translated(file, offset))

            # mov rax, &limit; cmp rcx (the offset), [rax]
            limit = struct.pack("<Q", ctypes.addressof(self.limit))
            self.redirect(library, name, function, transfer, b"\x48\xb8" + limit + b"\x48\x3b\x08")
        ptrace = library.ptrace
        ptrace.restype = ctypes.c_long
        ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64)
        self.ptrace = ptrace
        # lea rax, [rdx - 848]; cmp rax, 32: is the address one of the four debug registers?
        self.redirect(
            library,
            "ptrace",
            ptrace,
            self.registers,
            b"\x48\x8d\x82" + struct.pack("<i", -self.DEBUG_REGISTERS) + b"\x48\x83\xf8\x20",
        )

    def redirect(self, library, name, function, detour, comparison):
        """Lets gdb's calls of a function go to `detour` where `comparison` finds "below"."""
        slots = references(name)
        if not slots:
            raise OSError("gdb does not call %s by reference" % name)
        callback = ctypes.CFUNCTYPE(function.restype, *function.argtypes, use_errno=True)(detour)
        real = ctypes.cast(function, ctypes.c_void_p).value
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(
            comparison
            + b"\x72\x0c"  # jb over the next two
            + b"\x48\xb8" + struct.pack("<Q", real) + b"\xff\xe0"  # mov rax, real; jmp rax
            + b"\x48\xb8" + struct.pack("<Q", ctypes.cast(callback, ctypes.c_void_p).value) + b"\xff\xe0"
        )
        self.kept += [callback, code]
        thunk = ctypes.addressof(ctypes.c_char.from_buffer(code))
        for slot in slots:
            page = slot & ~(mmap.PAGESIZE - 1)
            if library.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) == 0:
                ctypes.c_uint64.from_address(slot).value = thunk

    def registers(self, request, thread, address, value):
        """ptrace for the debug registers: PEEKUSER (3) and POKEUSER (6) at their place in `struct user`."""
        key = (thread, address)
        if request == 6:
            self.watched.pop(key, None)
            try:
                base = self.base(thread) if self.NULL_BYTES <= value < 1 << 32 else 0
            except OSError:
                base = 0
            if base:
                self.watched[key] = (value, base + value)
                value += base
        found = self.ptrace(request, thread, address, value)
        if request == 3 and key in self.watched:
            wanted, real = self.watched[key]
            return wanted if found & ((1 << 64) - 1) == real else found
        return found

    def translated(self, file, offset):
        """Where the bytes lie that the guest has at `offset`."""
        try:
            match = re.match(r"^/proc/(\d+)(?:/task/\d+)?/mem$", os.readlink("/proc/self/fd/%d" % file))
            if match and self.NULL_BYTES <= offset < 1 << 32:
                return offset + (self.chosen or self.base(int(match[1])))
        except OSError:
            pass
        return offset

    def choose(self, base):
        """Follows pointers into the memory at `base`; 0: into memory 0."""
        self.chosen = base
        self.limit.value = 1 << 32 if base else self.hole

    def base(self, pid):
        """The host address of wasm address 0 in a process, or 0."""
        with open("/proc/%d/stat" % pid) as file:
            process = (pid, file.read().rsplit(")", 1)[1].split()[19])  # its start time: numbers are used again
        if process not in self.bases:
            base = LinearMemories(mappings_of_process(pid)).base()
            if base is None:
                return 0
            self.bases[process] = base
        return self.bases[process]


def references(name):
    """Addresses of the words through which gdb's program calls a function of a shared library."""
    with open("/proc/self/exe", "rb") as file:
        image = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    exe = os.readlink("/proc/self/exe")
    with open("/proc/self/maps") as maps:
        load = min(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith(exe))
    (kind,) = struct.unpack_from("<H", image, 16)
    if kind != 3:  # ET_DYN; others are at their own addresses
        load = 0
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, table + index * size) for index in range(count)]
    found = []
    for section in sections:
        if section[1] != 4:  # SHT_RELA
            continue
        symbols = sections[section[6]]
        strings = sections[symbols[6]]
        for at in range(section[4], section[4] + section[5], 24):
            offset, info = struct.unpack_from("<QQ", image, at)
            if info & 0xFFFFFFFF not in (6, 7):  # R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT
                continue
            (text,) = struct.unpack_from("<I", image, symbols[4] + (info >> 32) * 24)
            start = strings[4] + text
            if image[start : image.find(b"\0", start)].decode() == name:
                found.append(load + offset)
    return found


if not hasattr(gdb, "wasmscope_low_memory"):
    try:
        gdb.wasmscope_low_memory = LowMemory()
    except (OSError, ValueError, KeyError, AttributeError, struct.error) as error:
        gdb.wasmscope_low_memory = None
