"""wasmscope's commands for gdb: what gdb itself cannot know of a WebAssembly program.

Variables, lines and stacks need nothing from this file; they come with the module's own debug information.

    wasm memory     where linear memories lie and which part of them pointers can be followed into
    wasm memory use follow the pointers of another instance
    wasm trap       which trap of WebAssembly the signal that stopped the program stands for
    wasm externref  the host value that a reference leads to, and how many references there are
"""

import re

import gdb


class Mapping:
    """One line of /proc/<pid>/maps that belongs to linear memory."""

    def __init__(self, start, end, offset, name):
        self.start, self.end, self.offset, self.name = start, end, offset, name

    def is_identity(self):
        """The host address of each byte is its wasm address."""
        return self.start == self.offset


def linear_memory(pid):
    """The mappings of the files that the engine backs linear memory with."""
    pattern = re.compile(
        r"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+ +/memfd:(wasm\S*)", re.MULTILINE
    )
    with open("/proc/%d/maps" % pid) as maps:
        return [
            Mapping(int(m[1], 16), int(m[2], 16), int(m[3], 16), m[4])
            for m in pattern.finditer(maps.read())
        ]


def reservation(mappings):
    """The mapping through which the code itself accesses memory: the largest that is no identity map."""
    return max(
        (m for m in mappings if not m.is_identity() and m.offset == 0),
        key=lambda m: m.end - m.start,
        default=None,
    )


def process_id():
    pid = gdb.selected_inferior().pid
    if pid == 0:
        raise gdb.GdbError("The program is not being run.")
    return pid


class Wasm(gdb.Command):
    """What gdb itself cannot know of a WebAssembly program."""

    def __init__(self):
        super().__init__("wasm", gdb.COMMAND_STATUS, prefix=True)


class WasmMemory(gdb.Command):
    """Show where linear memories lie, and which part of memory 0 is also mapped at its own wasm addresses.

Guest pointers can be followed into that part by plain commands (print *p, x/s p). `wasm memory use` follows those of another
instance."""

    def __init__(self):
        super().__init__("wasm memory", gdb.COMMAND_STATUS, prefix=True)

    def invoke(self, argument, from_tty):
        pid = process_id()
        memories = LinearMemories(pid)
        print("\n".join(memories.sentences()))
        low = gdb.wasmscope_low_memory
        if low and low.chosen:
            print("pointers are followed into the memory at 0x%x (`wasm memory use` ends that)" % low.chosen)
        elif memories.others and low:
            print("`wasm memory use ADDRESS` follows pointers into the memory at that address instead")


class WasmMemoryUse(gdb.Command):
    """Follow guest pointers into the memory at an address that `wasm memory` names, until told otherwise.

Without an address pointers lead into memory 0 again. Meanwhile variables of that memory's instance may be shown wrong."""

    def __init__(self):
        super().__init__("wasm memory use", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        memories = LinearMemories(process_id())
        if not gdb.wasmscope_low_memory:
            raise gdb.GdbError("This gdb reads memory in a way that cannot be changed.")
        chosen = int(gdb.parse_and_eval(argument)) & (1 << 64) - 1 if argument else 0
        if chosen and chosen not in [base for base, _ in memories.others]:
            raise gdb.GdbError("There is no other instance's memory at 0x%x; see `wasm memory`." % chosen)
        gdb.wasmscope_low_memory.choose(chosen)


def trap_kind():
    """The trap that the last signal stands for, as a sentence, or None where it is no trap."""
    try:
        # By fields, not by an expression: whatever the language of the frame is.
        info = gdb.parse_and_eval("$_siginfo")
        signal = int(info["si_signo"])
    except gdb.error:
        return None
    if signal == 8:  # SIGFPE: a division of the guest; the code tells which
        return {1: "integer divide by zero", 2: "integer overflow"}.get(int(info["si_code"]), "integer division trap")
    if signal == 11:  # SIGSEGV
        address = int(info["_sifields"]["_sigfault"]["si_addr"]) & (1 << 64) - 1
        stack = int(gdb.parse_and_eval("$sp")) & (1 << 64) - 1
        if abs(address - stack) < 0x10000:
            return "call stack exhausted"
        mappings = linear_memory(process_id())
        # Where the identity map is whole, the code uses it, otherwise the reservation.
        whole = [m for m in mappings if m.start == 0 and m.offset == 0]
        base = max(whole, key=lambda m: m.end) if whole else reservation(mappings)
        if base is not None and base.start <= address < base.start + (1 << 34):
            return "out of bounds memory access at wasm address 0x%x (memory ends at 0x%x)" % (
                address - base.start,
                base.end - base.start,
            )
        return None
    if signal == 4:  # SIGILL: an explicit trap
        return "unreachable or a failed check"
    return None


class WasmTrap(gdb.Command):
    """Say which trap of WebAssembly the signal that stopped the program stands for."""

    def __init__(self):
        super().__init__("wasm trap", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        process_id()
        kind = trap_kind()
        print("wasm trap: %s" % kind if kind else "The program did not stop at a trap.")


def announce_trap(event):
    if isinstance(event, gdb.SignalEvent) and event.stop_signal in ("SIGILL", "SIGSEGV", "SIGFPE"):
        kind = trap_kind()
        if kind:
            print("wasm trap: %s" % kind)


Wasm()
WasmMemory()
WasmMemoryUse()
WasmTrap()
gdb.events.stop.connect(announce_trap)

# A variable of the guest has two addresses: where its memory lies, and its wasm address in the identity map. gdb must not
# remember what it read at one of them when the other is written.
gdb.execute("set stack-cache off")
gdb.execute("set code-cache off")
