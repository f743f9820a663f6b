"""Asks gdb for the caller at every single step through jitted code and holds the answer against a shadow stack.

gdb -nx -q -batch-silent -x callers.py --args wasmscope run -g PROGRAM.wasm

CALLERS_STEPS   how many instructions are stepped (20000 unless set)
CALLERS_SKIP    how many entries into the guest are let pass first (0 unless set)

The shadow stack knows, from the moment a function is entered, what the caller's frame is: the return address, the stack
pointer just above it, and the callee-saved registers. Before each instruction gdb's second frame must have the same.
Host code runs at full speed. The last line written is `callers: N steps, M wrong, ...`; the status is 0 if M is.
"""

import os

import gdb

SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
MASK = (1 << 64) - 1
SHOWN = 20


def register(frame, name):
    return int(frame.read_register(name)) & MASK


def memory(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def word(address):
    return int.from_bytes(memory(address, 8), "little")


def code_ranges():
    """Anonymous executable memory: what was jitted."""
    ranges = []
    with open("/proc/%d/maps" % gdb.selected_inferior().pid) as maps:
        for line in maps:
            fields = line.split()
            if fields[1].startswith("r-x") and len(fields) == 5:
                ranges.append(tuple(int(bound, 16) for bound in fields[0].split("-")))
    return ranges


def kind(pc):
    """How the instruction at pc goes on, and its length if it is a call."""
    code = memory(pc, 4)
    length = 0
    if 0x40 <= code[0] <= 0x4F:
        length, code = 1, code[1:]
    if code[0] == 0xE8:
        return "call", length + 5
    if code[0] == 0xFF and code[1] >> 3 & 7 == 2:
        mode, rm = code[1] >> 6, code[1] & 7
        sib = mode != 3 and rm == 4
        return "call", length + 2 + sib + {0: 4 if rm == 5 else 0, 1: 1, 2: 4, 3: 0}[mode]
    if code[0] in (0xC3, 0xC2):
        return "return", 0
    if code[0] in (0xE9, 0xEB) or code[0] == 0xFF and code[1] >> 3 & 7 == 4:
        return "jump", 0
    return "next", 0


class Frame:
    """What was true when a function was entered."""

    def __init__(self, frame):
        self.entry = register(frame, "rsp")
        self.return_address = word(self.entry)
        self.saved = [register(frame, name) for name in SAVED]

    def complaints(self):
        frame = gdb.newest_frame()
        while frame.type() == gdb.INLINE_FRAME:
            frame = frame.older()
        caller = frame.older()
        if caller is None or not caller.is_valid():
            return ["no caller"]
        found = []
        if caller.pc() != self.return_address:
            found.append("pc %#x, is %#x" % (caller.pc(), self.return_address))
        if register(caller, "rsp") != self.entry + 8:
            found.append("CFA %#x, is %#x" % (register(caller, "rsp"), self.entry + 8))
        for name, truth in zip(SAVED, self.saved):
            value = register(caller, name)
            if value != truth:
                found.append("%s %#x, is %#x" % (name, value, truth))
        return found


class Callers:
    def __init__(self):
        self.steps = self.wrong = self.entered = self.tail_calls = self.host_calls = self.deepest = 0
        self.limit = int(os.environ.get("CALLERS_STEPS", "20000"))
        self.skip = int(os.environ.get("CALLERS_SKIP", "0"))
        self.stack = []
        self.ranges = []
        self.entries = {}
        self.found = []

    def inside(self, pc):
        return any(start <= pc < end for start, end in self.ranges)

    def is_start(self, pc):
        """Does a function start here?"""
        answer = gdb.execute("info symbol %#x" % pc, to_string=True)
        return " in section" in answer and " + " not in answer.split(" in section")[0]

    def break_at_entries(self):
        """Breakpoints at the trampolines through which the host enters the guest."""
        self.ranges = code_ranges()
        for line in gdb.execute("info functions __wasmscope_enter_guest_", to_string=True).splitlines():
            fields = line.split()
            if len(fields) == 2 and fields[0].startswith("0x") and fields[1].startswith("__wasmscope_enter"):
                address = int(fields[0], 16)
                if address not in self.entries:
                    self.entries[address] = gdb.Breakpoint("*%#x" % address, internal=True)

    def say(self, line):
        if len(self.found) < SHOWN:
            self.found.append(line)

    def push(self):
        self.stack.append(Frame(gdb.newest_frame()))
        self.entered += 1
        self.deepest = max(self.deepest, len(self.stack))

    def go(self):
        registered = gdb.Breakpoint("__jit_debug_register_code", internal=True)
        gdb.execute("run", to_string=True)
        while gdb.selected_inferior().pid and self.steps < self.limit:
            pc = register(gdb.newest_frame(), "rip")
            if pc in self.entries and self.skip > 0:
                self.skip -= 1
            elif pc in self.entries:
                self.drop_left_frames()
                self.push()
                self.step_guest()
                continue
            elif self.stack and self.inside(pc):
                # Back from the host.
                self.drop_left_frames()
                self.step_guest()
                continue
            else:
                self.break_at_entries()
            gdb.execute("continue", to_string=True)
        registered.delete()

    def drop_left_frames(self):
        """Frames that a trap gave up lie below the stack pointer."""
        pointer = register(gdb.newest_frame(), "rsp")
        while self.stack and self.stack[-1].entry <= pointer:
            self.stack.pop()

    def step_guest(self):
        """Steps until the guest is left for the host; ends with the process stopped."""
        while self.stack and self.steps < self.limit:
            pc = register(gdb.newest_frame(), "rip")
            self.steps += 1
            complaints = self.stack[-1].complaints()
            if complaints:
                self.wrong += 1
                place = gdb.execute("info symbol %#x" % pc, to_string=True).split(" in section")[0]
                self.say("%#x %s: %s" % (pc, place, "; ".join(complaints)))
            how, length = kind(pc)
            gdb.execute("stepi", to_string=True)
            if not gdb.selected_inferior().pid:
                return
            now = register(gdb.newest_frame(), "rip")
            inside = self.inside(now)
            if how == "call" and inside:
                self.push()
            elif how == "call":
                self.host_calls += 1
                gdb.Breakpoint("*%#x" % (pc + length), internal=True, temporary=True)
            elif how == "return":
                frame = self.stack.pop()
                if frame.return_address != now:
                    self.wrong += 1
                    self.say("%#x: returned to %#x, not to %#x" % (pc, now, frame.return_address))
            elif how == "jump" and (not inside or self.is_start(now)):
                self.tail_calls += 1
                self.stack.pop()
                if inside:
                    self.push()
            if not inside:
                break
        if gdb.selected_inferior().pid and self.steps < self.limit:
            gdb.execute("continue", to_string=True)


for setting in (
    "confirm off",
    "pagination off",
    "width 0",
    "debuginfod enabled off",
    "breakpoint pending on",
    "startup-with-shell off",
    "backtrace past-main on",
):
    gdb.execute("set " + setting)
gdb.execute("handle all nostop noprint pass", to_string=True)
gdb.execute("handle SIGTRAP stop", to_string=True)
callers = Callers()
callers.go()
callers.found.append(
    "callers: %d steps, %d wrong, %d functions entered, %d tail calls, %d host calls, %d frames deep"
    % (
        callers.steps,
        callers.wrong,
        callers.entered,
        callers.tail_calls,
        callers.host_calls,
        callers.deepest,
    )
)
# Past gdb, which was told to be silent: it writes where it is after each step.
os.write(1, ("\n".join(callers.found) + "\n").encode())
if gdb.selected_inferior().pid:
    gdb.execute("kill")
gdb.execute("quit %d" % (callers.wrong != 0 or callers.steps == 0))
