"""wasmscope's commands for gdb: what gdb itself cannot know of a WebAssembly program.

Variables, lines and stacks need nothing from this file; they come with the module's own debug information.

    wasm memory     where linear memories lie and which part of them pointers can be followed into
    wasm memory use follow the pointers of another instance
    wasm trap       which trap of WebAssembly the signal that stopped the program stands for
    wasm externref  the host value that a reference leads to, and how many references there are
"""

import re

import gdb


def mappings():
    """The mappings of the process, or of the one that left the core file."""
    inferior = gdb.selected_inferior()
    if inferior.pid == 0:
        raise gdb.GdbError("The program is not being run.")
    # A core file has the number of a process that is gone, and may be that of another by now.
    if is_core(inferior):
        match = re.search(r"Local core dump file:\s*`(.*)', file type", gdb.execute("info files", to_string=True))
        if not match:
            raise gdb.GdbError("gdb does not say where the core file is.")
        return mappings_of_core(match[1])
    return mappings_of_process(inferior.pid)


def is_core(inferior):
    return inferior.connection is not None and inferior.connection.type == "core"


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
        memories = LinearMemories(mappings())
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
        memories = LinearMemories(mappings())
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
        address = int(info["_sifields"]["_sigfault"]["si_addr"]) & (1 << 64) - 1
        stack = int(gdb.parse_and_eval("$sp")) & (1 << 64) - 1
    except gdb.error:
        return None
    if signal not in (4, 8, 11):  # SIGILL, SIGFPE, SIGSEGV
        return None
    return trap_sentence(trap_of_instruction(), signal, address, stack, mappings())


def trap_of_instruction():
    """The number of the trap that the instruction stands for at which the program stopped; None if it is not known."""
    inferior = gdb.selected_inferior()
    found = re.search(r" (0x[0-9a-f]+)", gdb.execute("info address __jit_debug_descriptor", to_string=True))
    try:
        read = lambda address, size: inferior.read_memory(address, size).tobytes()
        return trap_at(read, int(found[1], 16), gdb.newest_frame().pc()) if found else None
    except (gdb.error, struct.error, ValueError, IndexError):
        return None


class WasmTrap(gdb.Command):
    """Say which trap of WebAssembly the signal that stopped the program stands for."""

    def __init__(self):
        super().__init__("wasm trap", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        mappings()
        kind = trap_kind()
        print("wasm trap: %s" % kind if kind else "The program did not stop at a trap.")


def announce_trap(event):
    if isinstance(event, gdb.SignalEvent) and event.stop_signal in ("SIGILL", "SIGSEGV", "SIGFPE"):
        kind = trap_kind()
        if kind:
            print("wasm trap: %s" % kind)


# How many frames are looked at for a variable that tells the memory of their instance.
MOST_FRAMES = 30

ANNOUNCED = {}


def addresses_of_variables(frame, of_frame_alone=False):
    """The addresses of what the frame knows in memory; `of_frame_alone`: without what is there once for all calls."""
    try:
        block = frame.block()
    except RuntimeError:
        return
    while block is not None and not block.is_global and not block.is_static:
        for symbol in block:
            if not (symbol.is_variable or symbol.is_argument) or of_frame_alone and not symbol.needs_frame:
                continue
            try:
                # The guest's pointers are too narrow for `address`. gdb's own references are not, and are printed as `@0x1234`.
                text = symbol.value(frame).const_value().reference_value().format_string(deref_refs=False)
            except (gdb.error, RuntimeError):
                continue
            match = re.search(r"@(0x[0-9a-f]+)$", text)
            if match:
                yield int(match[1], 16)
        block = None if block.function else block.superblock


def announce_instance(event):
    """Says at a stop that pointers are not followed into the memory of the instance that runs."""
    inferior = gdb.selected_inferior()
    if inferior.pid == 0 or inferior.connection is None or inferior.connection.type == "remote":
        return
    own = None
    try:
        memories = LinearMemories(mappings())
        frame = gdb.newest_frame() if memories.others else None
        for _ in range(MOST_FRAMES):
            if frame is None or own is not None:
                break
            own = memories.memory_of(addresses_of_variables(frame))
            frame = frame.older()
    except (OSError, gdb.error):
        # A process that is not this machine's, or a stack that ends in nothing.
        pass
    followed = gdb.wasmscope_low_memory.chosen if gdb.wasmscope_low_memory else 0
    state = (gdb.selected_thread().ptid, own, followed)
    if own is not None and own != followed and ANNOUNCED.get(inferior.num) != state:
        if own:
            print(
                "note: the instance that runs has its memory at 0x%x; pointers lead into %s (`wasm memory use 0x%x` follows its)"
                % (own, "the memory at 0x%x" % followed if followed else "memory 0", own)
            )
        else:
            print("note: the instance that runs has memory 0; pointers lead into the memory at 0x%x (`wasm memory use`)" % followed)
    ANNOUNCED[inferior.num] = state


Wasm()
WasmMemory()
WasmMemoryUse()
WasmTrap()
gdb.events.stop.connect(announce_trap)
gdb.events.stop.connect(announce_instance)

# A variable of the guest has two addresses: where its memory lies, and its wasm address in the identity map. gdb must not
# remember what it read at one of them when the other is written.
gdb.execute("set stack-cache off")
gdb.execute("set code-cache off")
