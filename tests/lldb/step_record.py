"""../gdb/step_record.py for lldb: the same recording, of stops and of what a script finds at them.

Load it with `command script import`; the environment variables are the same. Values are read as any script would read
them, by their types, children, summaries and values, and nothing here knows of WebAssembly.
"""

import json
import os
import re

import lldb

SOURCES = os.environ["RECORD_SOURCES"].split(":")
LIMIT = int(os.environ.get("RECORD_LIMIT", "5000"))
MAX_DEPTH = 4
MAX_ELEMENTS = 24
MAX_LEAVES = 200
# Of another type in each ABI, and so left open.
ARGUMENT_LISTS = ("va_list", "__gnuc_va_list", "__builtin_va_list")
CHARACTERS = (lldb.eBasicTypeChar, lldb.eBasicTypeSignedChar, lldb.eBasicTypeUnsignedChar)

def own(frame):
    entry = frame.GetLineEntry()
    path = str(entry.GetFileSpec())
    return entry.IsValid() and entry.GetLine() and any(path == it or path.endswith("/" + it) for it in SOURCES)


def canonical(text):
    """A name or summary without what differs between builds of one library."""
    text = re.sub(r"\bstd::__\w+::", "std::", re.sub(r"::h[0-9a-f]{16}$", "", text)).strip()
    text = re.sub(r"St3__\d", "St", text)  # lldb cannot demangle each name
    text = re.sub(r"\bunsigned long\b(?! long)|\bunsigned int\b", "size", text)
    return re.sub(r"\b(\d+)(?:UL|U|ul|u)\b", r"\1u", text)


def flatten(leaves, path, value, depth, union=False):
    """Collects the scalars of one variable."""
    if len(leaves) >= MAX_LEAVES:
        return
    if value.GetError().Fail():
        # In a union it may be of a member that is not the one in use, and is left open.
        leaves[path] = None if union else "<unreadable>"
        return
    if value.GetType().GetName() in ARGUMENT_LISTS:
        leaves[path] = None
        return
    type_ = value.GetType().GetCanonicalType()
    if type_.IsReferenceType():
        value = value.Dereference()
        type_ = value.GetType().GetCanonicalType()
    if type_.GetTypeClass() == lldb.eTypeClassMemberPointer or re.search(r"::\*(?:$|\))", type_.GetName() or ""):
        leaves[path] = member_pointer(value)
    elif re.match(r"^(?:const )?std::(?:__\w+::)?function<", type_.GetName() or ""):
        leaves[path] = "<function object>"
    elif type_.IsPointerType():
        pointer(leaves, path, value, type_.GetPointeeType().GetCanonicalType().GetUnqualifiedType(), depth, union)
    else:
        record(leaves, path, value, depth, union)


def member_pointer(value):
    """A member function by its name; the place of a data member."""
    text = value.GetSummary() or ""
    name = re.search(r"(?:`|&)((?!virtual)[^(]*)\(", text)
    return "&" + canonical(name[1]) if name else text or str(value.GetValueAsSigned())


def leave_open_beside_pointers(leaves, begin):
    """Where a union holds a pointer, its other members are read from an address, of which some bits are the same in each run."""
    # Small numbers are addresses of memory in a guest; which members to ask for is the native build's to say.
    if os.environ.get("RECORD_GUEST") == "1":
        return
    members = list(leaves)[begin:]
    if any(leaves[path] == "<pointer>" for path in members):
        leaves.update((path, None) for path in members if leaves[path] != "<pointer>")


def record(leaves, path, value, depth, union=False):
    summary = value.GetSummary()
    if summary is not None and not re.search(r"0x[0-9a-f]{5,}", summary):
        # What a text that cannot be read is shown as.
        broken = "<memory read failed" in summary or summary.startswith("error: ")
        leaves[path] = "<unreadable>" if broken else canonical(summary)
        if summary.startswith('"'):
            return
    children(leaves, path, value, depth, union)


def pointer(leaves, path, value, pointee, depth, union):
    address = value.GetValueAsUnsigned()
    if address == 0:
        leaves[path] = "null"
    elif union:  # perhaps another member's bytes
        error = lldb.SBError()
        value.GetProcess().ReadMemory(address, 1, error)
        leaves[path] = "<pointer>" if error.Success() else None
    elif pointee.GetBasicType() in CHARACTERS:
        if value.GetFrame().GuessLanguage() == lldb.eLanguageTypeRust:
            # Texts end by their length, and what lies behind them differs between builds.
            error = lldb.SBError()
            byte = value.GetProcess().ReadMemory(address, 1, error)
            leaves[path] = "-> %r" % byte if error.Success() else "<unreadable>"
        else:
            leaves[path] = "-> %s" % value.GetSummary()
    elif pointee.IsFunctionType():
        place = value.GetTarget().ResolveLoadAddress(address)
        # A place by itself finds no symbol that has no type.
        symbol = value.GetTarget().ResolveSymbolContextForAddress(place, lldb.eSymbolContextEverything).GetSymbol()
        name = place.GetFunction().GetName() or symbol.GetName() or "?"
        leaves[path] = "function " + canonical(name.split("(")[0])
    elif depth >= MAX_DEPTH or pointee.GetByteSize() == 0:
        leaves[path] = "<pointer>"
    elif value.GetNumChildren() == 1 and (value.GetChildAtIndex(0).GetName() or "").startswith("*"):
        # As lldb shows what a pointer to anything but a structure leads to.
        flatten(leaves, path + "->", value.GetChildAtIndex(0), depth + 1)
    elif pointee.GetTypeClass() in (lldb.eTypeClassStruct, lldb.eTypeClassClass, lldb.eTypeClassUnion):
        record(leaves, path + "->", value, depth + 1)
    else:
        flatten(leaves, path + "->", value.Dereference(), depth + 1)


def children(leaves, path, value, depth, union):
    count = value.GetNumChildren()
    is_union = value.GetType().GetCanonicalType().GetTypeClass() == lldb.eTypeClassUnion
    union = union or is_union
    before = len(leaves)
    if count == 0:
        leaves.setdefault(path, value.GetValue() or "{}")
    for index in range(min(count, MAX_ELEMENTS)):
        child = value.GetChildAtIndex(index)
        name = child.GetName() or "#%d" % index
        if name == "__value_" and "unique_ptr<" in (value.GetType().GetCanonicalType().GetName() or ""):
            name = "pointer"  # as `v` shows it
        if name == "vtable" or name.startswith("_vptr"):  # an array of code addresses
            continue
        flatten(leaves, "%s.%s" % (path, canonical(name)), child, depth, union)
    if is_union:
        leave_open_beside_pointers(leaves, before)


def stop_record(thread):
    frame = thread.GetFrameAtIndex(0)
    line = frame.GetLineEntry().GetLine()
    variables, names = [], {}
    for value in reversed(list(frame.GetVariables(True, True, False, True))):
        # What has no line, such as the references behind a structured binding, does not tell when it is there.
        declared = value.GetDeclaration().GetLine()
        if value.GetValueType() == lldb.eValueTypeVariableLocal and (declared == 0 or declared >= line):
            continue
        leaves = {}
        flatten(leaves, "", value, 0)
        name = value.GetName()
        count = names[name] = names.get(name, 0) + 1
        variables.append([name if count == 1 else "%s (shadowed %d)" % (name, count - 1), leaves])
    return {
        "function": canonical(frame.GetFunctionName().split("(")[0]),
        "file": frame.GetLineEntry().GetFileSpec().GetFilename(),
        "line": line,
        "depth": sum(1 for it in thread if own(it)),
        "variables": variables,
    }


def record_program(debugger):
    target = debugger.GetSelectedTarget()
    main = target.BreakpointCreateByName(os.environ.get("RECORD_MAIN", "main"))
    info = target.GetLaunchInfo()
    if os.environ.get("RECORD_ASLR") == "1":
        info.SetLaunchFlags(info.GetLaunchFlags() & ~lldb.eLaunchFlagDisableASLR)
    info.SetWorkingDirectory(os.getcwd())
    info.SetEnvironmentEntries(["LD_BIND_NOW=1"], True)
    info.AddOpenFileAction(1, "/dev/null", False, True)
    error = lldb.SBError()
    process = target.Launch(info, error)
    stops, note = [], "ended"
    thread = process.GetThreadAtIndex(0)
    for _ in range(LIMIT * 4):
        if process.GetState() != lldb.eStateStopped:
            break
        thread = process.GetSelectedThread()
        if not any(own(frame) for frame in thread):
            if stops:
                break
            process.Continue()
            continue
        main.SetEnabled(False)
        line = stops[-1]["line"] if stops else 0
        frame = thread.GetFrameAtIndex(0)
        if not own(frame):
            thread.StepOut()
            frame = thread.GetFrameAtIndex(0)
            if process.GetState() == lldb.eStateStopped and own(frame):
                entry = frame.GetLineEntry()
                if entry.GetStartAddress().GetLoadAddress(target) != frame.GetPC() or entry.GetLine() == line:
                    thread.StepInto()
            continue
        stops.append(stop_record(thread))
        if len(stops) >= LIMIT:
            note = "limit"
            break
        thread.StepInto()
    with open(os.environ["RECORD_OUT"], "w") as out:
        json.dump({"note": note, "stops": stops}, out, separators=(",", ":"))
    print("recorded %d stops (%s)" % (len(stops), note))
    process.Kill()


def __lldb_init_module(debugger, _):
    debugger.SetAsync(False)
    debugger.HandleCommand("settings set target.process.thread.step-avoid-regexp ''")
    debugger.HandleCommand("settings set plugin.process.gdb-remote.packet-timeout 120")
    if os.environ.get("RECORD_ASLR") == "1":
        debugger.HandleCommand("settings set target.disable-aslr false")
    record_program(debugger)
