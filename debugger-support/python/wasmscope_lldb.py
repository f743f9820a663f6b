"""wasmscope's commands for lldb: what lldb itself cannot know of a WebAssembly program.

    wasm-memory     where linear memory lies and which part of it pointers can be followed into
"""

import re

import lldb


def linear_memory(pid):
    """(start, end, offset) of the mappings of the files that the engine backs linear memory with."""
    pattern = re.compile(
        r"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+ +/memfd:wasm\S*", re.MULTILINE
    )
    with open("/proc/%d/maps" % pid) as maps:
        return [tuple(int(text, 16) for text in m.groups()) for m in pattern.finditer(maps.read())]


def wasm_memory(debugger, command, context, result, _):
    """Show where linear memory lies, and which part of it is also mapped at its own wasm addresses."""
    process = context.process
    if not process or not process.IsValid() or process.GetProcessID() == 0:
        result.SetError("The program is not being run.")
        return
    mappings = linear_memory(process.GetProcessID())
    if not mappings:
        result.AppendMessage("No linear memory is mapped (yet), or the program does not run in full debug mode.")
        return
    for start, end, offset in mappings:
        if start == offset:
            result.AppendMessage("identity map: wasm addresses 0x%x to 0x%x" % (start, end))
        else:
            result.AppendMessage("memory: %d KiB at 0x%x" % ((end - start) // 1024, start))


def __lldb_init_module(debugger, _):
    debugger.HandleCommand("command script add -o -f %s.wasm_memory wasm-memory" % __name__)
