# Steps into what a std::function calls. lldb's own way reads the object's table of functions, where it expects addresses and
# a guest has indices; so its `step` passes over the call, as over all that is in namespace std.

import os

AVOIDED = "target.process.thread.step-avoid-regexp"

# A function of namespace std, by its mangled name: what is before `St` are its qualifiers.
IN_STD = re.compile(r"^_ZN?[KVrRO]*St")

# std::function takes a dozen, std::vector that grows 300. What takes more, a sort, is stepped over from there on.
MOST_STEPS = 1000


def wasm_step(debugger, command, context, result, _):
    """Step into the function that is called, through functions of C++'s namespace std: what a std::function holds, a predicate
    of std::sort. Where nothing else is called, like `next`."""
    process, thread = context.process, context.thread
    if not thread or not thread.IsValid():
        result.SetError("The program is not being run.")
        return
    interpreter = debugger.GetCommandInterpreter()
    asynchronous = debugger.GetAsync()
    avoided = [value for value in debugger.GetInternalVariableValue(AVOIDED, debugger.GetInstanceName())]
    debugger.SetAsync(False)
    interpreter.HandleCommand('settings set %s ""' % AVOIDED, lldb.SBCommandReturnObject())
    try:
        step_through(process, thread)
    finally:
        restored = "settings set %s %s" if avoided else "settings clear %s%s"
        interpreter.HandleCommand(restored % (AVOIDED, "".join(avoided)), lldb.SBCommandReturnObject())
        debugger.SetAsync(asynchronous)
    answer = lldb.SBCommandReturnObject()
    interpreter.HandleCommand("process status", answer)
    result.AppendMessage((answer.GetOutput() or "").rstrip())


def step_through(process, thread):
    def stopped():
        return process.GetState() == lldb.eStateStopped and thread.GetStopReason() == lldb.eStopReasonPlanComplete

    frame = thread.GetFrameAtIndex(0)
    # Stacks grow down: frames that are called begin below.
    start, line, with_sources = frame.GetCFA(), frame.GetLineEntry().GetLine(), has_source(frame)
    for _ in range(MOST_STEPS):
        thread.StepInto()
        frame = thread.GetFrameAtIndex(0)
        if not stopped() or frame.GetCFA() > start:
            return
        if frame.GetCFA() == start:
            # A call has returned into the line, which goes on.
            if frame.GetLineEntry().GetLine() == line:
                continue
            return
        if not IN_STD.match(frame.GetFunction().GetMangledName() or ""):
            # Below namespace std is more of the library, `operator new` or `memmove`; its sources are hardly there.
            if has_source(frame) or not with_sources:
                return
            thread.StepOut()
    while stopped() and thread.GetFrameAtIndex(0).GetCFA() < start:
        thread.StepOut()
    if stopped():
        thread.StepOver()


def has_source(frame):
    return os.path.exists(frame.GetLineEntry().GetFileSpec().fullpath or "")
