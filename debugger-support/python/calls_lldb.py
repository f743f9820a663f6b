# Calls of guest functions. Their code takes two hidden arguments before the guest's own, the context of the instance
# twice, so that lldb's own call syntax would pass the arguments in the wrong places.


# lldb's UserExpression::kNoResult.
NO_RESULT = 0x1001


def instance_context(target):
    """The context of the newest instance, which the image has a cell for; 0 where there is none."""
    for found in target.FindSymbols("__wasmscope_instance"):
        error = lldb.SBError()
        address = found.GetSymbol().GetStartAddress().GetLoadAddress(target)
        context = target.GetProcess().ReadUnsignedFromMemory(address, 8, error)
        if error.Success() and context:
            return context
    return 0


def guest_function(target, frame, callee):
    """The guest's function that a name or an expression of function pointer type stands for."""
    if re.match(r"^[\w:~<>, ]+$", callee):
        for found in target.FindFunctions(callee):
            if found.GetFunction().IsValid():
                return found.GetFunction()
    value = frame.EvaluateExpression(callee)
    if value.GetError().Fail():
        return None
    # A function pointer of the guest's is an index of its table, where the image has a symbol of the function's name.
    name = target.ResolveLoadAddress(address_of(value)).GetSymbol().GetName() or ""
    for found in target.FindFunctions(name.split("(")[0].split("::")[-1], lldb.eFunctionNameTypeAny):
        if found.GetFunction().IsValid() and found.GetFunction().GetName() == name:
            return found.GetFunction()
    return None


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


def wasm_call(debugger, command, context, result, _):
    """Call a guest function, by name or through a pointer: wasm-call add(1, 2), wasm-call it->apply(3, it->value).

    Arguments are expressions. Structures cannot be passed or returned by value."""
    target, frame = context.target, context.frame
    call = split_call(command.strip())
    if call is None:
        result.SetError("What is called? For example: wasm-call add(1, 2)")
        return
    if not frame or not frame.IsValid():
        result.SetError("The program is not being run.")
        return
    callee, arguments = call
    function = guest_function(target, frame, callee)
    if function is None:
        result.SetError("There is no guest function `%s`." % callee)
        return
    hidden = instance_context(target)
    if not hidden:
        result.SetError("No instance of a module is running.")
        return
    type_ = function.GetType()
    returned = type_.GetFunctionReturnType()
    parameters = [spelled(it) for it in type_.GetFunctionArgumentTypes()]
    cast = "%s (*)(%s)" % (spelled(returned), ", ".join(["void *", "void *"] + parameters))
    address = function.GetStartAddress().GetLoadAddress(target)
    passed = "(void *)%d, (void *)%d" % (hidden, hidden) + (", " + arguments if arguments else "")
    value = frame.EvaluateExpression("((%s)%d)(%s)" % (cast, address, passed))
    if returned.GetBasicType() == lldb.eBasicTypeVoid:
        # That there is no value is an error, too, of its own number.
        if value.GetError().Fail() and value.GetError().GetError() != NO_RESULT:
            result.SetError(value.GetError().GetCString())
        return
    if value.GetError().Fail():
        result.SetError(value.GetError().GetCString())
        return
    if returned.IsPointerType() or returned.GetTypeClass() == lldb.eTypeClassEnumeration:
        value = value.Cast(returned)
    result.AppendMessage(str(value))
