# Guest pointers into the lowest pages.
#
# Linux lets no process map addresses below vm.mmap_min_addr, so the identity map has a hole there, and compilers like to
# put their string constants right into it. gdb offers no way to serve memory from Python. It reads and writes the memory
# of a process through /proc/<pid>/mem, by pread64 and pwrite64; so this gives gdb's own two references to these functions
# a detour: a few instructions that let every other access pass, and for an offset in the hole of such a file a Python
# function that adds the base of linear memory. Where anything is not as expected, nothing is touched, and only pointers
# into the hole stay unreadable.

import ctypes
import mmap
import os
import platform
import struct


class LowMemory:
    """The detour; made once for a gdb process."""

    # Null pointers shall stay unreadable. Linkers leave these bytes free for that reason.
    NULL_BYTES = 1024

    def __init__(self):
        with open("/proc/sys/vm/mmap_min_addr") as file:
            self.limit = int(file.read())
        if platform.machine() != "x86_64" or self.limit <= self.NULL_BYTES or self.limit >= 1 << 31:
            raise OSError("no hole, or not this machine's")
        self.bases = {}
        self.kept = []
        library = ctypes.CDLL(None, use_errno=True)
        library.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for name in ("pread64", "pwrite64"):
            function = library[name]
            function.restype = ctypes.c_ssize_t
            function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
            real = ctypes.cast(function, ctypes.c_void_p).value
            slots = references(name)
            if not slots:
                raise OSError("gdb does not call %s by reference" % name)
            thunk = self.thunk(real, function)
            for slot in slots:
                page = slot & ~(mmap.PAGESIZE - 1)
                if library.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) == 0:
                    ctypes.c_uint64.from_address(slot).value = thunk

    def thunk(self, real, function):
        """Code that goes on to the real function unless the offset (in rcx) lies in the hole."""
        kind = ctypes.CFUNCTYPE(
            ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
        )

        def detour(file, buffer, size, offset):
            return function(file, buffer, size, self.translated(file, offset))

        callback = kind(detour)
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(
            b"\x48\x81\xf9" + struct.pack("<i", self.limit)  # cmp rcx, limit
            + b"\x72\x0c"  # jb over the next two
            + b"\x48\xb8" + struct.pack("<Q", real) + b"\xff\xe0"  # mov rax, real; jmp rax
            + b"\x48\xb8" + struct.pack("<Q", ctypes.cast(callback, ctypes.c_void_p).value) + b"\xff\xe0"
        )
        self.kept += [callback, code]
        return ctypes.addressof(ctypes.c_char.from_buffer(code))

    def translated(self, file, offset):
        """Where the bytes lie that the guest has at `offset`."""
        try:
            match = re.match(r"^/proc/(\d+)(?:/task/\d+)?/mem$", os.readlink("/proc/self/fd/%d" % file))
            if match and self.NULL_BYTES <= offset < self.limit:
                return offset + self.base(int(match[1]))
        except OSError:
            pass
        return offset

    def base(self, pid):
        """The host address of wasm address 0 in a process, or 0."""
        with open("/proc/%d/stat" % pid) as file:
            process = (pid, file.read().rsplit(")", 1)[1].split()[19])  # its start time: numbers are used again
        if process not in self.bases:
            mapping = reservation(linear_memory(pid))
            if mapping is None:
                return 0
            self.bases[process] = mapping.start
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
