# Calls of guest functions. Their code takes two hidden arguments before the guest's own, the context of the instance
# twice, so that lldb's own call syntax would pass the arguments in the wrong places.

import os

# lldb's UserExpression::kNoResult.
NO_RESULT = 0x1001


# Where in the instance cell the stack pointer for calls is kept.
ROOM = 16


def make_room(target, thread):
    """Notes in the instance cell which stack pointer a function called at this stop is to have."""
    cell, process = instance_cell(target), target.GetProcess()
    place = stack_pointer(process, cell)
    if place is None:
        return
    pointer = process.ReadUnsignedFromMemory(*place, lldb.SBError())
    room = with_room(pointer, variables_of_newest_function(thread), memory_base(process) or 0)
    process.WriteMemory(cell + ROOM, room.to_bytes(8, "little"), lldb.SBError())


def stack_pointer(process, cell):
    """Where the guest's stack pointer is, and its size; None where there is none."""
    return stack_pointer_place(process.ReadMemory(cell, 16, lldb.SBError()) or b"") if cell else None


def variables_of_newest_function(thread):
    """The addresses of the variables of the newest frame, and of those that it is inlined into."""
    for index in range(thread.GetNumFrames() if thread.IsValid() else 0):
        frame = thread.GetFrameAtIndex(index)
        for variable in frame.GetVariables(True, True, False, False):
            type_ = variable.GetType()
            # A pointer is a computed value, which lldb gives for its address.
            if not type_.GetCanonicalType().IsPointerType() and not type_.IsReferenceType():
                yield raw(variable).GetLoadAddress()
        if not frame.IsInlined():
            break


def in_room(target, cell, call, result):
    """A call in an expression, with the stack pointer moved for it to where there is room. `result` is its type; None for `void`."""
    place = stack_pointer(target.GetProcess(), cell)
    if place is None:
        return call
    word = "unsigned long long" if place[1] == 8 else "unsigned"
    # Another instance's context may be there by the time of the call.
    pointer = "(volatile %s *)(*(char **)%d + %d)" % (word, cell, place[0] - instance_context(target))
    keep, given = ("%s __wasmscope_result = " % result, "__wasmscope_result") if result else ("", "(void)0")
    return (
        "({ volatile %s *__wasmscope_sp = %s; %s __wasmscope_old = *__wasmscope_sp; *__wasmscope_sp = *(volatile %s *)%d; "
        "%s%s; *__wasmscope_sp = __wasmscope_old; %s; })" % (word, pointer, word, word, cell + ROOM, keep, call, given)
    )


class RoomOnTheStack:
    """Moves the guest's stack pointer to where there is room, for a while."""

    def __init__(self, target):
        self.process = target.GetProcess()
        self.cell = instance_cell(target)

    def __enter__(self):
        self.place = stack_pointer(self.process, self.cell)
        if self.place is not None:
            self.before = self.process.ReadMemory(*self.place, lldb.SBError())
            room = self.process.ReadMemory(self.cell + ROOM, self.place[1], lldb.SBError())
            self.process.WriteMemory(self.place[0], room, lldb.SBError())

    def __exit__(self, *_):
        if self.place is not None:
            self.process.WriteMemory(self.place[0], self.before, lldb.SBError())


def instance_context(target):
    """The context of the newest instance, which the image has a cell for; 0 where there is none."""
    cell = instance_cell(target)
    return target.GetProcess().ReadUnsignedFromMemory(cell, 8, lldb.SBError()) if cell else 0


def named_function(target, name, arguments=None):
    """The guest's function of a name. Of several it is the first that takes arguments of such types, which `arguments` finds."""
    functions = [it.GetFunction() for it in target.FindFunctions(name) if is_there(target, it.GetFunction())]
    functions = of_guest(functions)
    if len({it.GetStartAddress().GetFileAddress() for it in functions}) > 1 and arguments:
        given = [kind(it) for it in arguments()]
        functions = [it for it in functions if [kind(type_) for type_ in parameters_of(it)] == given] or functions
    return functions[0] if functions else None


def is_there(target, function):
    """Is there such a function, and is it not one of a run that has ended? lldb keeps those."""
    return function.IsValid() and function.GetStartAddress().GetLoadAddress(target) != lldb.LLDB_INVALID_ADDRESS


def of_guest(functions):
    """Those in code of guests, if there are any: a host that has symbols may have functions of the same names."""
    return [it for it in functions if is_registered(it.GetStartAddress().GetModule())] or functions


def parameters_of(function):
    types = function.GetType().GetFunctionArgumentTypes()
    return [types.GetTypeAtIndex(index) for index in range(types.GetSize())]


def kind(type_):
    """What tells the parameters of overloaded functions apart."""
    type_ = type_.GetCanonicalType()
    if is_pointer(type_) or type_.IsArrayType() or type_.IsReferenceType():
        return "pointer"
    flags = type_.GetTypeFlags()
    return (bool(flags & lldb.eTypeIsFloat), bool(flags & lldb.eTypeIsSigned), type_.GetByteSize())


def guest_function(target, frame, callee, arguments):
    """The guest's function that a name or an expression of function pointer type stands for. Of overloaded ones the
    texts of the arguments tell which."""
    if re.match(r"^[\w:~<>, ]+$", callee):
        # Only the compiler looks at them here.
        types = lambda: [
            frame.EvaluateExpression("(__typeof__(%s) *)0" % it).GetType().GetPointeeType() for it in split_at_commas(arguments)
        ]
        function = named_function(target, callee, types)
        if function is not None:
            return function
    value = frame.EvaluateExpression(callee)
    if value.GetError().Fail():
        return None
    return pointed_function(target, address_of(value))


def pointed_function(target, index):
    """The guest's function that a pointer holds: an index of its table, where the image has a symbol of the function's name."""
    name = symbol_of(target, index).GetName() or ""
    found = target.FindFunctions(name.split("(")[0].split("::")[-1], lldb.eFunctionNameTypeAny)
    functions = [it.GetFunction() for it in found if it.GetFunction().GetName() == name]
    functions = of_guest([it for it in functions if is_there(target, it)])
    return functions[0] if functions else None


def split_call(text):
    """`callee` and `arguments` of `callee(arguments)`; None for anything else."""
    if not text.endswith(")"):
        return None
    depth = 0
    for position in range(len(text) - 1, -1, -1):
        depth += (text[position] == ")") - (text[position] == "(")
        if depth == 0:
            return text[:position].strip(), text[position + 1 : -1].strip()
    return None


def spelled(type_):
    """A type in which an argument or result is passed alike, and whose name is unique."""
    type_ = type_.GetCanonicalType().GetUnqualifiedType()
    if type_.IsPointerType() or type_.IsReferenceType():
        return "const volatile void *"
    return "int" if type_.GetTypeClass() == lldb.eTypeClassEnumeration else type_.GetName()


class GuestCalls:
    """Has `expr`, `p` and scripts call guest functions right, or refuse to: they would show any value.

    lldb compiles an expression behind the text of a file, if one is set: there each function's name is a macro with
    arguments, which adds the hidden ones where the function is the only one of its name, has no other name before it, and
    takes and returns scalars. Names without a call are not replaced, so that functions can still be printed and compared.
    """

    # What the compiler says is unknown.
    REFUSAL = "guest_functions_are_called_by_wasm_call"
    # Of these, names that a guest's function may have: of other languages, or with a path before it.
    KEYWORDS = frozenset(
        "alignas alignof asm auto bool break case catch char class concept const consteval constexpr constinit const_cast "
        "continue decltype default delete do double dynamic_cast else enum explicit export extern false float for friend goto "
        "if inline int long mutable namespace new noexcept nullptr operator private protected public register "
        "reinterpret_cast requires return short signed sizeof static static_assert static_cast struct switch template this "
        "thread_local throw true try typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while "
        "id in out inout bycopy byref oneway self super defined".split()
    )

    def __init__(self, debugger):
        self.debugger = debugger
        self.modules = None
        self.memory = None
        self.file = None

    def stopped(self, context, _stream):
        target = context.GetTarget()
        make_room(target, context.GetThread())
        modules = guest_modules(target)
        # Another run may have its instance elsewhere.
        known = [target.GetProcess().GetUniqueID()] + [(it.GetFileSpec().GetFilename(), it.GetUUIDString()) for it in modules]
        if known == self.modules:
            return
        self.modules = known
        setting = self.debugger.GetInternalVariableValue("target.expr-prefix", self.debugger.GetInstanceName())
        if setting.GetSize() and setting.GetStringAtIndex(0).strip('"') not in ("", self.file):
            return  # The user's own.
        functions, members = {}, set()
        for module in modules:
            with_entries = functions_with_entries(module)
            for name, symbol, path in named_functions(module):
                if symbol.GetStartAddress().GetFileAddress() in with_entries:
                    members.add(name)
                elif path[0] == "std" and len(path) > 1:
                    # The library has functions of the same names as its classes' members, which are called more.
                    functions.setdefault(name, ())
                else:
                    functions[name] = symbol if len(path) == 1 and name not in functions else None
        for name in [name for name, symbol in functions.items() if symbol == () and name in members]:
            del functions[name]
        cell = instance_cell(target)
        types = {}
        lines = [GUEST_POINTER % (memory_base(target.GetProcess()) or 0)]
        for name, symbol in sorted(functions.items()):
            if name not in self.KEYWORDS:
                call = symbol and cell and direct_call(target, symbol, cell, types)
                lines.append("#define %s" % (name + call if call else "%s(...) %s" % (name, self.REFUSAL)))
        try:
            self.write("\n".join(lines) + "\n")
        except OSError:
            return
        self.debugger.HandleCommand('settings set target.expr-prefix "%s"' % self.file)

    def write(self, text):
        """Puts the text where lldb reads it as a file: in memory of its own, since nothing is told to Python when lldb ends, so that
        files would stay behind."""
        if self.memory is None:
            self.memory = os.memfd_create("wasmscope")
            self.file = "/proc/self/fd/%d" % self.memory
        os.ftruncate(self.memory, 0)
        os.pwrite(self.memory, text.encode(), 0)


# A pointer of the debugger's own, such as that of a text in the expression, is none for the guest. Addresses in linear
# memory keep their meaning without their upper half. clang knows how elements of arrays are converted only once they are variables.
GUEST_POINTER = """#define __wasmscope_pointer(pointer) ({ \\
    __extension__ auto __wasmscope_given = (pointer); \\
    const volatile void *__wasmscope_it = (const volatile void *)__wasmscope_given; \\
    unsigned long long __wasmscope_at = (unsigned long long)__wasmscope_it; \\
    if (__wasmscope_at >> 32 && (__wasmscope_at - %dull) >> 32) __builtin_trap(); \\
    __wasmscope_it; })"""


TAGS = {lldb.eTypeClassStruct: "struct ", lldb.eTypeClassClass: "class ", lldb.eTypeClassUnion: "union "}


def direct_call(target, symbol, cell, types):
    """The rest of a macro that calls a function: parameters and text; None where that is not possible. `types` keeps what was
    found of names."""
    function = symbol.GetStartAddress().GetFunction()
    type_ = function.GetType()
    if not function.IsValid() or not type_.IsValid():
        return None
    returned, parameters = result_type(type_.GetFunctionReturnType()), list(type_.GetFunctionArgumentTypes())
    if why_not_called(returned, parameters) or any(it.IsReferenceType() for it in parameters + [returned]):
        return None
    names = ["__wasmscope_%d" % index for index in range(len(parameters))]
    passed = ["*(void **)%d" % cell] * 2 + [
        "__wasmscope_pointer(%s)" % name if is_pointer(it) else name for name, it in zip(names, parameters)
    ]
    call = "%s(%s)" % (code_pointer(target, function), ", ".join(passed))
    call = in_room(target, cell, call, spelled(returned) if returned.GetBasicType() != lldb.eBasicTypeVoid else None)
    pointee = returned.GetPointeeType().GetUnqualifiedType().GetName() if returned.IsPointerType() else ""
    if re.match(r"^[A-Za-z_]\w*$", pointee or "") and pointee not in types:
        types[pointee] = is_type_name(target, pointee)
    if types.get(pointee):
        # Something of the host may have the plain name.
        tag = TAGS.get(returned.GetPointeeType().GetTypeClass(), "")
        call = "((%s%s *)%s)" % (tag, pointee, call)
    if returned.GetTypeClass() == lldb.eTypeClassEnumeration and is_type_name(target, returned.GetName()):
        call = "((%s)%s)" % (returned.GetName(), call)
    return "(%s) %s" % (", ".join(names), call)


def why_not_called(returned, parameters):
    """Why a function with these types cannot be called as one of the host; None if it can."""
    classes = (lldb.eTypeClassBuiltin, lldb.eTypeClassEnumeration, lldb.eTypeClassPointer, lldb.eTypeClassReference)
    values = parameters + [returned] * (returned.GetBasicType() != lldb.eBasicTypeVoid)
    for type_ in (it.GetCanonicalType() for it in values):
        if type_.GetTypeClass() not in classes or not 0 < type_.GetByteSize() <= 8:
            return "it takes or returns a value of type `%s`" % type_.GetName()
    # Guest functions take the arguments that lie on the stack away themselves.
    floats = (lldb.eBasicTypeFloat, lldb.eBasicTypeDouble)
    in_float_registers = sum(it.GetCanonicalType().GetBasicType() in floats for it in parameters)
    if in_float_registers > 8 or len(parameters) - in_float_registers > 4:
        return "it takes more arguments than registers hold"
    return None


def why_not_by_name(target, function):
    """The same of a function; its type lacks the object of a member function."""
    for variable in function.GetBlock().GetVariables(target, True, False, False):
        if variable.GetName() == "this":
            return "it is a member function"
        break
    type_ = function.GetType()
    return why_not_called(result_type(type_.GetFunctionReturnType()), list(type_.GetFunctionArgumentTypes()))


def is_type_name(target, name):
    """Does the name alone stand for one type in an expression?"""
    found = target.FindTypes(name)
    return found.GetSize() == 1 or target.FindFirstType(name).GetBasicType() != lldb.eBasicTypeInvalid


def instance_cell(target):
    """The address of the word that holds the context of the newest instance; 0 where there is none."""
    for found in target.FindSymbols("__wasmscope_instance"):
        error = lldb.SBError()
        address = found.GetSymbol().GetStartAddress().GetLoadAddress(target)
        if address == lldb.LLDB_INVALID_ADDRESS:
            continue  # Of a run that has ended.
        if target.GetProcess().ReadUnsignedFromMemory(address, 8, error) and error.Success():
            return address
    return 0


def named_functions(module):
    """The functions of a module: the name without what is before and behind, the symbol, the name with what is before it. Not
    constructors, whose names types have."""
    seen = set()
    for symbol in module.get_symbols_array():
        # Functions of C++ have one more symbol, by which the linker knows them.
        start = symbol.GetStartAddress().GetFileAddress()
        if symbol.GetType() != lldb.eSymbolTypeCode or start in seen:
            continue
        name = symbol.GetName() or ""
        if name.startswith(CALL_ENTRY):
            continue
        seen.add(start)
        if "<" in name:
            name = without_arguments(name)
        path = re.sub(r"::h[0-9a-f]{16}$|\[abi:\w+\]", "", name.split("(")[0]).split("::")
        if re.match(r"^[A-Za-z_]\w*$", path[-1]) and path[-1] not in path[:-1]:
            yield path[-1], symbol, path


def without_arguments(name):
    """A name without what is in angle brackets."""
    depth, kept = 0, []
    for letter in name:
        depth += letter == "<"
        if depth == 0:
            kept.append(letter)
        depth -= letter == ">"
    return "".join(kept)


def code_pointer(target, function):
    """The function in an expression, as a pointer of a type with the hidden parameters."""
    type_ = function.GetType()
    parameters = [spelled(it) for it in type_.GetFunctionArgumentTypes()]
    cast = "%s (*)(%s)" % (spelled(result_type(type_.GetFunctionReturnType())), ", ".join(["void *", "void *"] + parameters))
    return "((%s)%d)" % (cast, function.GetStartAddress().GetLoadAddress(target))


def callable_text(target, function, hidden):
    """What a call of the function begins with in an expression, with the hidden arguments."""
    return "%s((void *)%d, (void *)%d" % (code_pointer(target, function), hidden, hidden)


# A name that is called: not a member's. What follows tells whether there are arguments.
CALL = re.compile(r"(?<![\w.>:])([A-Za-z_](?:\w|::)*)\s*\(\s*(?=(\)?))")


def with_calls(target, hidden, text):
    """An expression in which the calls of guest functions by name pass the hidden arguments."""

    def call(match):
        function = named_function(target, match[1])
        if function is None or why_not_by_name(target, function):
            return match[0]
        return callable_text(target, function, hidden) + ("" if match[2] else ", ")

    return CALL.sub(call, text)


def wasm_call(debugger, command, context, result, _):
    """Call guest functions, by name or through a pointer: wasm-call add(1, 2), wasm-call it->apply(3, add(1, 2)).

    By name they can also be called within an expression: wasm-call add(1, 2) * 10. Structures cannot be passed or returned
    by value."""
    target, frame = context.target, context.frame
    if not frame or not frame.IsValid():
        result.SetError("The program is not being run.")
        return
    hidden = instance_context(target)
    if not hidden:
        result.SetError("No instance of a module is running.")
        return
    call = split_call(command.strip())
    function = guest_function(target, frame, *call) if call else None
    if function is None:
        expression = with_calls(target, hidden, command)
        if expression == command:
            result.SetError(
                "There is no guest function `%s`." % call[0] if call else "What is called? For example: wasm-call add(1, 2)"
            )
            return
        returned = lldb.SBType()
    else:
        reason = why_not_by_name(target, function)
        if reason:
            result.SetError("`%s` cannot be called: %s." % (function.GetDisplayName(), reason))
            return
        arguments = with_calls(target, hidden, call[1])
        expression = callable_text(target, function, hidden) + (", " + arguments if arguments else "") + ")"
        returned = result_type(function.GetType().GetFunctionReturnType())
    with RoomOnTheStack(target):
        value = frame.EvaluateExpression(expression)
    # That there is no value is an error, too, of its own number.
    if value.GetError().Fail() and (value.GetError().GetError() != NO_RESULT or returned.GetBasicType() != lldb.eBasicTypeVoid):
        result.SetError(value.GetError().GetCString())
        return
    if returned.GetBasicType() == lldb.eBasicTypeVoid:
        return
    if returned.IsPointerType() or returned.GetTypeClass() == lldb.eTypeClassEnumeration:
        value = value.Cast(returned)
    result.AppendMessage(str(value))
