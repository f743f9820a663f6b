# Where the linear memories of a process lie, as its list of mappings tells: for both debuggers.


import struct


def mappings_of_process(pid):
    """The mappings of a process that runs: (start, end, rights, offset, name of the file)."""
    pattern = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)$", re.MULTILINE)
    with open("/proc/%d/maps" % pid) as maps:
        found = pattern.findall(maps.read())
    return [(int(start, 16), int(end, 16), rights, int(offset, 16), name) for start, end, rights, offset, name in found]


def mappings_of_core(path):
    """The same of a process that left a core file: of each segment, with what its note NT_FILE says of the files."""
    lines, files = [], {}
    with open(path, "rb") as core:
        header = core.read(64)
        table, size, count = struct.unpack("<Q", header[32:40]) + struct.unpack("<HH", header[54:58])
        core.seek(table)
        headers = core.read(size * count)
        for at in range(0, len(headers), size):
            kind, flags, offset, start, _, held, length = struct.unpack_from("<IIQQQQQ", headers, at)
            if kind == 1:  # PT_LOAD
                rights = "".join(letter if flags & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
                lines.append((start, start + length, rights))
            elif kind == 4:  # PT_NOTE
                core.seek(offset)
                files.update(files_of_notes(core.read(held)))
    return [(start, end, rights) + files.get(start, (0, "")) for start, end, rights in lines]


def files_of_notes(notes):
    """(start, (offset, name)) of each mapped file."""
    at = 0
    while at + 12 <= len(notes):
        name, length, kind = struct.unpack_from("<III", notes, at)
        body = at + 12 + (name + 3 & ~3)
        at = body + (length + 3 & ~3)
        if kind != 0x46494C45:  # NT_FILE
            continue
        count, unit = struct.unpack_from("<QQ", notes, body)
        names = notes[body + 16 + 24 * count : body + length].split(b"\0")
        for index in range(count):
            start, _, offset = struct.unpack_from("<QQQ", notes, body + 16 + 24 * index)
            yield start, (offset * unit, names[index].decode(errors="replace"))


class LinearMemories:
    """What a list of mappings says of the guest's memories, ranges as (start, end)."""

    def __init__(self, lines):
        ours = [line for line in lines if line[4].startswith("/memfd:wasm-memory")]
        self.identity = sorted((start, end) for start, end, _, offset, _ in ours if start == offset)
        # Where the host reads and writes it, and compiled code unless the identity map is whole.
        reservations = [(start, end) for start, end, _, offset, _ in ours if offset == 0 and start != 0]
        self.reservation = max(reservations, key=lambda it: it[1] - it[0], default=None)
        self.missing = self.holes(lines) if self.reservation else []
        # A page behind each memory without an identity map, mapped at the offset that is the page's wasm address.
        self.others = []
        for start, _, _, offset, name in lines:
            if name.startswith("/memfd:guest-memory"):
                base = start - offset
                used = [it for it in lines if it[2].startswith("rw") and it[1] > base and it[0] < start]
                self.others.append((base, max((min(it[1], start) for it in used), default=base)))

    def base(self):
        """The host address through which the guest reaches wasm address 0; None where there is no memory.

        That is 0 where the identity map begins there, else it is that of the memory itself.
        """
        if any(start == 0 for start, _ in self.identity):
            return 0
        return self.reservation[0] if self.reservation else None

    def memory_of(self, addresses):
        """The base of the memory that variables at these host addresses lie in, 0 for memory 0; None if none is in a memory."""
        found = None
        for address in addresses:
            for base, end in self.others:
                if base <= address < end:
                    return base
            if any(start <= address < end for start, end in self.identity + [self.reservation or (0, 0)]):
                found = 0
        return found

    def holes(self, lines):
        """The ranges that the identity map lacks, each with what is in the way."""
        size = self.reservation[1] - self.reservation[0]
        found, at = [], 0
        for start, end in self.identity + [(size, size)]:
            if at < start:
                taken = [name or "memory of the host" for first, last, _, _, name in lines if first < start and last > at]
                found.append((at, start, taken[0] if taken else None))
            at = max(at, end)
        return found

    def sentences(self):
        if not self.reservation:
            yield "No linear memory is mapped (yet), or the program does not run in full debug mode."
            return
        start, end = self.reservation
        yield "memory 0: %d KiB at 0x%x (wasm address 0 is host address 0x%x)" % ((end - start) // 1024, start, start)
        for first, last in self.identity:
            yield "identity map: wasm addresses 0x%x to 0x%x" % (first, last)
        if not self.identity:
            yield "identity map: none; pointers cannot be followed"
        for first, last, taken in self.missing:
            if taken:
                yield "not mapped: wasm addresses 0x%x to 0x%x (taken by %s)" % (first, last, taken)
            elif first == 0 and self.identity:
                yield (
                    "not mapped: wasm addresses 0 to 0x%x (vm.mmap_min_addr; link with --global-base=%d or more to keep data "
                    "out of it)" % (last, last)
                )
            else:
                yield "not mapped: wasm addresses 0x%x to 0x%x" % (first, last)
        for base, end in self.others:
            yield (
                "memory of another instance: %d KiB at 0x%x; it has no identity map: its variables are right, its pointers "
                "lead into memory 0" % ((end - base) // 1024, base)
            )
