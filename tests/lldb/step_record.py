"""../gdb/step_record.py for lldb: the same recording, of stops and of what `frame variable` would show.

Load it with `command script import`; the environment variables are the same. Values are raw members with pointers
followed; the containers of C++ and Rust have no printers here, so only C is compared value by value in earnest.
"""

import json
import os

import lldb

SOURCES = os.environ["RECORD_SOURCES"].split(":")
LIMIT = int(os.environ.get("RECORD_LIMIT", "5000"))
MAX_DEPTH = 4
MAX_ELEMENTS = 24
MAX_TEXT = 64
MAX_LEAVES = 200
CHARACTERS = (lldb.eBasicTypeChar, lldb.eBasicTypeSignedChar, lldb.eBasicTypeUnsignedChar)

try:
    import wasmscope_lldb as guest
except ImportError:
    guest = None


def own(frame):
    entry = frame.GetLineEntry()
    path = str(entry.GetFileSpec())
    return entry.IsValid() and entry.GetLine() and any(path == it or path.endswith("/" + it) for it in SOURCES)


def target_of(value, type_):
    """(is a pointer, address, what it points to or None)"""
    if type_.IsPointerType() or type_.IsReferenceType():
        address = value.GetValueAsUnsigned()
        pointee = type_.GetPointeeType() if type_.IsPointerType() else type_.GetDereferencedType()
    elif guest is not None and guest.is_guest_pointer(type_):
        address, pointee = guest.address_of(value), guest.pointee(type_)
    else:
        return False, 0, None
    if guest is not None and address:
        address = guest.host_address(address, value.GetProcess())
    return True, address, pointee


def flatten(leaves, path, value, depth):
    if len(leaves) >= MAX_LEAVES:
        return
    value = value.GetNonSyntheticValue()
    if value.GetError().Fail():
        leaves[path] = "<unreadable>"
        return
    type_ = value.GetType().GetCanonicalType()
    pointer, address, pointee = target_of(value, type_)
    if pointer:
        core = pointee.GetCanonicalType().GetUnqualifiedType() if pointee.IsValid() else pointee
        if address == 0:
            leaves[path] = "null"
        elif core.GetBasicType() in CHARACTERS:
            error = lldb.SBError()
            raw = value.GetProcess().ReadMemory(address, MAX_TEXT, error)
            text = (raw or b"").split(b"\0")[0].decode("latin-1")
            leaves[path] = "-> " + json.dumps(text) if error.Success() else "<unreadable>"
        elif core.IsFunctionType():
            leaves[path] = "function"
        elif depth >= MAX_DEPTH or not core.IsValid() or core.GetByteSize() == 0:
            leaves[path] = "<pointer>"
        else:
            flatten(leaves, path + "->", value.CreateValueFromAddress("it", address, pointee), depth + 1)
        return
    count = value.GetNumChildren()
    if count == 0:
        leaves[path] = value.GetValue() or "{}"
        return
    for index in range(min(count, MAX_ELEMENTS)):
        child = value.GetChildAtIndex(index)
        flatten(leaves, "%s.%s" % (path, child.GetName() or "#%d" % index), child, depth)


def stop_record(thread):
    frame = thread.GetFrameAtIndex(0)
    line = frame.GetLineEntry().GetLine()
    variables, names = [], {}
    for value in reversed(list(frame.GetVariables(True, True, False, True))):
        if value.GetValueType() == lldb.eValueTypeVariableLocal and value.GetDeclaration().GetLine() >= line:
            continue
        leaves = {}
        flatten(leaves, "", value, 0)
        name = value.GetName()
        count = names[name] = names.get(name, 0) + 1
        variables.append([name if count == 1 else "%s (shadowed %d)" % (name, count - 1), leaves])
    return {
        "function": frame.GetFunctionName().split("(")[0],
        "file": frame.GetLineEntry().GetFileSpec().GetFilename(),
        "line": line,
        "depth": sum(1 for it in thread if own(it)),
        "variables": variables,
    }


def record(debugger):
    target = debugger.GetSelectedTarget()
    main = target.BreakpointCreateByName(os.environ.get("RECORD_MAIN", "main"))
    info = target.GetLaunchInfo()
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
    record(debugger)
