"""Steps a program from its `main` to its end and records what a person would see at every stop.

Run inside gdb (`gdb -batch -x step_record.py --args program ...`), told by environment variables:

    RECORD_OUT       where to write the recording, a JSON file
    RECORD_SOURCES   the program's own source files, separated by `:`, as the ends of their paths
    RECORD_MAIN      the function to begin at (default `main`)
    RECORD_LIMIT     how many stops at most (default 5000)
    RECORD_GUEST     1: the program is a guest
    RECORD_ASLR      1: the program lies elsewhere at each run, and so does what its addresses are read as

A stop is {"function", "line", "depth", "variables": [[name, {path: value}], ...]}: `depth` counts the frames that
belong to the program's own files. Functions of other files are left by `finish` as soon as `step` enters one.

Values are written so that a 32-bit and a 64-bit build of a program can be compared: addresses never appear, pointers
are followed, but in unions, where they may be other members' bytes, containers are shown by the printers that are
loaded. A value is flat, one entry for each scalar in it, so that single bytes that the program never wrote can be left
out of a comparison.
"""

import functools
import json
import os
import re
import signal

import gdb

SOURCES = os.environ["RECORD_SOURCES"].split(":")
LIMIT = int(os.environ.get("RECORD_LIMIT", "5000"))
# Of another type in each ABI, and so left open.
ARGUMENT_LISTS = ("va_list", "__gnuc_va_list", "__builtin_va_list")
MAX_DEPTH = 4
MAX_ELEMENTS = 24
MAX_TEXT = 64
MAX_LEAVES = 200


def canonical(name):
    """A type's or function's name without what differs between builds of one library."""
    if name is None:
        return None
    name = re.sub(r"\bstd::__\w+::", "std::", name)
    name = re.sub(r"\bunsigned long\b(?! long)|\bunsigned int\b", "size", name)
    name = re.sub(r"(?<!long )\blong\b(?! long| double| int)", "int", name)
    return re.sub(r"\b(\d+)(?:ul|u)\b", r"\1u", name)


@functools.lru_cache(maxsize=None)
def own_name(name, full_name):
    return any(name == it or name.endswith("/" + it) or full_name == os.path.realpath(it) for it in SOURCES)


def own_file(symtab):
    return symtab is not None and own_name(symtab.filename, symtab.fullname())


def own(frame):
    return frame is not None and own_file(frame.find_sal().symtab)


def readable(address):
    try:
        return bool(gdb.selected_inferior().read_memory(address, 1))
    except gdb.MemoryError:
        return False


def leave_open_beside_pointers(leaves, begin):
    """Where a union holds a pointer, its other members are read from an address, of which some bits are the same in each run."""
    # Small numbers are addresses of memory in a guest; which members to ask for is the native build's to say.
    if os.environ.get("RECORD_GUEST") == "1":
        return
    members = list(leaves)[begin:]
    if any(leaves[path] == "<pointer>" for path in members):
        leaves.update((path, None) for path in members if leaves[path] != "<pointer>")


class Flat:
    """Collects the scalars of one variable."""

    def __init__(self):
        self.leaves = {}
        self.unions = 0

    def put(self, path, text):
        if len(self.leaves) < MAX_LEAVES:
            self.leaves[path] = text

    def full(self):
        return len(self.leaves) >= MAX_LEAVES

    def add(self, path, value, depth=0):
        if self.full():
            return
        try:
            self.any(path, value, depth)
        except gdb.MemoryError:
            # In a union it may be of a member that is not the one in use, and is left open.
            self.put(path, None if self.unions else "<unreadable>")
        except (gdb.error, RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            self.put(path, "<error: %s>" % re.sub(r"0x[0-9a-f]+", "0x?", str(error)))

    def any(self, path, value, depth):
        if not isinstance(value, gdb.Value):
            self.put(path, repr(value) if not isinstance(value, str) else json.dumps(value))
            return
        if value.is_optimized_out:
            self.put(path, "<optimized out>")
            return
        if value.type.name in ARGUMENT_LISTS:
            self.put(path, None)
            return
        # gdb 13 aborts when it reads a base of a lazy value that has pieces.
        value.fetch_lazy()
        type_ = value.type.strip_typedefs()
        if type_.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            value = value.referenced_value()
            type_ = value.type.strip_typedefs()
        if (type_.name or "").startswith("std::") and re.match(r"^std::(?:__\w+::)?function<", type_.name):
            self.put(path, "<function object>")
            return
        printer = gdb.default_visualizer(value)
        if printer is not None:
            self.printed(path, printer, depth)
        elif type_.code == gdb.TYPE_CODE_PTR:
            self.pointer(path, value, type_, depth)
        elif type_.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            self.fields(path, value, type_, depth)
        elif type_.code == gdb.TYPE_CODE_ARRAY:
            self.array(path, value, type_, depth)
        elif type_.code in (gdb.TYPE_CODE_FLT,):
            self.put(path, repr(float(value)))
        elif type_.code == gdb.TYPE_CODE_MEMBERPTR:
            self.put(path, value.format_string(symbols=True))
        elif type_.code == gdb.TYPE_CODE_METHODPTR:
            self.put(path, re.sub(r"^.*0x[0-9a-f]+ <(.*)>", r"&\1", value.format_string(symbols=True)))
        elif type_.code in (gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_BOOL):
            self.put(path, value.format_string())
        elif type_.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR):
            # Python's numbers of gdb 13 end at 8 bytes, its own printing does not.
            self.put(path, str(int(value)) if type_.sizeof <= 8 else value.format_string())
        else:
            self.put(path, re.sub(r"0x[0-9a-f]+", "0x?", value.format_string(max_elements=MAX_ELEMENTS)))

    def printed(self, path, printer, depth):
        text = printer.to_string() if hasattr(printer, "to_string") else None
        if isinstance(text, gdb.Value) and text.type.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            self.add(path, text, depth + 1)
        elif text is not None:
            if hasattr(text, "value") and hasattr(text, "length"):  # a lazy string
                text = self.text(text.value(), text.length)
            elif isinstance(text, str) and getattr(printer, "display_hint", str)() == "string":
                text = json.dumps(text[:MAX_TEXT]) + " of %d" % len(text)
            text = canonical(str(text))
            self.put(path, "<unreadable>" if text.startswith("<Cannot access memory") else text)
        if depth < MAX_DEPTH and hasattr(printer, "children"):
            for index, (name, child) in enumerate(printer.children()):
                if index >= MAX_ELEMENTS or self.full():
                    break
                self.add(path + "." + name, child, depth + 1)

    def text(self, value, length):
        pointer = value if value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR else value.address
        if length is None or length < 0:
            return json.dumps(pointer.string("latin-1", length=MAX_TEXT))
        raw = gdb.selected_inferior().read_memory(int(pointer), min(length, MAX_TEXT)) if length else b""
        return json.dumps(bytes(raw).decode("latin-1")) + " of %d" % length

    def pointer(self, path, value, type_, depth):
        address = int(value)
        if address == 0:
            self.put(path, "null")
            return
        target = type_.target().strip_typedefs()
        if self.unions:  # perhaps another member's bytes
            self.put(path, "<pointer>" if readable(address) else None)
        elif target.code == gdb.TYPE_CODE_FUNC:
            name = re.search(r"<([^>+]+)", value.format_string(symbols=True, raw=True))
            self.put(path, "function " + (name[1] if name else "?"))
        elif target.code == gdb.TYPE_CODE_VOID or target.sizeof == 0:
            self.put(path, "<pointer>")
        elif target.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR) and target.sizeof == 1:
            raw = bytearray()
            try:
                while len(raw) < MAX_TEXT:
                    byte = bytes(gdb.selected_inferior().read_memory(address + len(raw), 1))
                    if byte == b"\0":
                        break
                    raw += byte
                    # Rust's texts end by their length, and what lies behind them differs between builds.
                    if target.name in ("u8", "i8"):
                        break
            except gdb.MemoryError:
                if not raw:
                    raise
            self.put(path, "-> " + json.dumps(raw.decode("latin-1")))
        elif depth >= MAX_DEPTH:
            self.put(path, "<pointer>")
        else:
            self.add(path + "->", value.dereference(), depth + 1)

    def fields(self, path, value, type_, depth):
        union = type_.code == gdb.TYPE_CODE_UNION
        self.unions += union
        before = len(self.leaves)
        self.each_field(path, value, type_, depth)
        self.unions -= union
        if union:
            leave_open_beside_pointers(self.leaves, before)

    def each_field(self, path, value, type_, depth):
        empty = True
        for index, field in enumerate(type_.fields()):
            if not hasattr(field, "bitpos") or (field.name or "").startswith("_vptr"):
                continue
            if field.artificial and field.name is None:
                continue
            if field.name == "vtable":  # of a Rust trait object: an array of code addresses
                self.put(path + ".vtable", "<vtable>")
                continue
            empty = False
            name = canonical(field.name) if field.name else "#%d" % index
            if type_.code == gdb.TYPE_CODE_UNION or not field.is_base_class:
                self.add("%s.%s" % (path, name), value[field], depth)
            else:
                self.add("%s<%s>" % (path, name), value[field], depth)
        if empty:
            self.put(path, "{}")

    def array(self, path, value, type_, depth):
        first, last = type_.range()
        element = type_.target().strip_typedefs()
        if element.sizeof == 1 and element.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR):
            for index in range(first, min(last + 1, first + MAX_TEXT)):
                self.put("%s[%d]" % (path, index), str(int(value[index])))
            return
        for index in range(first, min(last + 1, first + MAX_ELEMENTS)):
            # A Rust enum's variant must be found at each element's own address.
            item = value[index]
            if item.address is not None and element.code in (gdb.TYPE_CODE_STRUCT,):
                item = item.address.dereference()
            self.add("%s[%d]" % (path, index), item, depth)


def variables(frame, line):
    """Every variable in scope whose declaration the program has passed, innermost scope first."""
    found = []
    try:
        block = frame.block()
    except RuntimeError:
        return found
    names = {}
    while block is not None and not block.is_static:
        for symbol in block:
            if not (symbol.is_variable or symbol.is_argument) or not symbol.name:
                continue
            # What has no line, such as the references behind a structured binding, does not tell when it is there.
            if symbol.is_variable and (symbol.line == 0 or symbol.line >= line):
                continue
            flat = Flat()
            try:
                flat.add("", symbol.value(frame))
            except (gdb.error, RuntimeError) as error:
                flat.put("", "<error: %s>" % re.sub(r"0x[0-9a-f]+", "0x?", str(error)))
            count = names[symbol.name] = names.get(symbol.name, 0) + 1
            found.append([symbol.name if count == 1 else "%s (shadowed %d)" % (symbol.name, count - 1), flat.leaves])
        if block.function is not None:
            break
        block = block.superblock
    return found


def stop_record(frame):
    sal = frame.find_sal()
    depth, it = 0, frame
    while it is not None:
        depth += own(it)
        it = it.older()
    return {
        "function": canonical(frame.name()),
        "file": os.path.basename(sal.symtab.filename),
        "line": sal.line,
        "depth": depth,
        "variables": variables(frame, sal.line),
    }


def alive():
    return gdb.selected_inferior().pid != 0


def inside_program():
    frame = gdb.newest_frame()
    while frame is not None:
        if own(frame):
            return True
        frame = frame.older()
    return False


def at_stop(line):
    """Steps out of functions of other files and on to the next line of the program's own; False at the end.

    The place in the middle of a line to which `finish` returns is no stop of its own; the start of another line than
    `line`, where the last stop was, is.
    """
    for _ in range(500):
        if not alive() or not inside_program():
            return False
        frame = gdb.newest_frame()
        sal = frame.find_sal()
        if own(frame) and sal.line != 0:
            return True
        gdb.execute("finish", to_string=True)
        if alive() and own(gdb.newest_frame()):
            frame = gdb.newest_frame()
            sal = frame.find_sal()
            if sal.pc != frame.pc() or sal.line == line:
                gdb.execute("step", to_string=True)
    raise gdb.error("no way back to the program's own files")


def run():
    stops, note = [], "ended"
    for setting in (
        "confirm off",
        "pagination off",
        "width 0",
        "height 0",
        "print elements 64",
        "print finish off",
        "print frame-arguments none",
        "debuginfod enabled off",
    ):
        gdb.execute("set " + setting)
    gdb.execute("set breakpoint pending on")
    gdb.execute("set startup-with-shell off")
    if os.environ.get("RECORD_ASLR") == "1":
        gdb.execute("set disable-randomization off")
    # gdb 13 loses its step in the dynamic linker when a function of another library is resolved at its first call.
    gdb.execute("set environment LD_BIND_NOW 1")
    gdb.execute("tbreak " + os.environ.get("RECORD_MAIN", "main"))
    gdb.execute("run", to_string=True)
    try:
        while alive():
            if not at_stop(stops[-1]["line"] if stops else 0):
                break
            stops.append(stop_record(gdb.newest_frame()))
            if len(stops) >= LIMIT:
                note = "limit"
                break
            gdb.execute("step", to_string=True)
    except gdb.error as error:
        note = str(error)
    with open(os.environ["RECORD_OUT"], "w") as out:
        json.dump({"note": note, "stops": stops}, out, indent=None, separators=(",", ":"))
    print("recorded %d stops (%s)" % (len(stops), note))
    if alive():
        gdb.execute("kill")


run()
