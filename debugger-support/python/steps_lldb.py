# Steps into what a std::function calls. lldb's own way reads the object's table of functions, where it expects addresses and
# a guest has indices; so its `step` passes over the call, as over all that is in namespace std.

import os

AVOIDED = "target.process.thread.step-avoid-regexp"

# A function of namespace std, by its mangled name: what is before `St` are its qualifiers.
IN_STD = re.compile(r"^_ZN?[KVrRO]*St")

# std::function takes a dozen, std::vector that grows 300. What takes more, a sort, is stepped over from there on.
MOST_STEPS = 1000


class LibrariesWithoutSources:
    """Has `step` pass over the functions of wasi-libc and of libc++ whose sources are not on this machine, as it does natively, where
    these libraries have no debug information.

    lldb can only be told their names. They are left out where the program has another function of the same name.
    """

    FOLDER = re.compile(r"(?:^|/)(?:dlmalloc|emmalloc|libc-top-half|libc-bottom-half|libcxx/src|libcxxabi/src)/")
    DEFAULT = "^std::"

    def __init__(self, debugger):
        self.debugger = debugger
        self.modules = None
        self.setting = self.DEFAULT

    def stopped(self, context, _stream):
        modules = guest_modules(context.GetTarget())
        known = [(it.GetFileSpec().GetFilename(), it.GetUUIDString()) for it in modules]
        if known == self.modules:
            return
        self.modules = known
        found = self.debugger.GetInternalVariableValue(AVOIDED, self.debugger.GetInstanceName())
        if found.GetStringAtIndex(0) != self.setting:
            return  # The user's own.
        of_libraries, others = set(), set()
        for module in modules:
            units = (module.GetCompileUnitAtIndex(index) for index in range(module.GetNumCompileUnits()))
            missing = {path for path in (it.GetFileSpec().fullpath or "" for it in units) if self.is_missing(path)}
            for symbol in module.get_symbols_array() if missing else []:
                if symbol.GetType() == lldb.eSymbolTypeCode:
                    start = symbol.GetStartAddress()
                    path = start.GetCompileUnit().GetFileSpec().fullpath
                    # Debug information of lines alone has names of C++ without what is before them.
                    names = {symbol.GetName() or "", start.GetFunction().GetName() or ""}
                    (of_libraries if path in missing else others).update(names)
        plain = re.compile(r"^(?:operator (?:new|delete)(?:\[\])?|(?:::)?~?[A-Za-z_]\w*)(?=$|\()")
        of_libraries, others = ({it[0] for it in map(plain.match, names) if it} for names in (of_libraries, others))
        # Of names without anything before them lldb leaves the parentheses.
        names = sorted(re.sub(r"[\[\] ]", ".", it) + "(..)?" * it.startswith("::") for it in of_libraries - others)
        self.setting = self.DEFAULT + ("|^(%s)$" % "|".join(names) if names else "")
        self.debugger.HandleCommand("settings set %s %s" % (AVOIDED, self.setting))

    def is_missing(self, path):
        return bool(self.FOLDER.search(path)) and not os.path.exists(path)


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
