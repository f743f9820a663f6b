# References to host values and to functions: externref and funcref.


def host_value(address, process):
    """(references, those of the owner, the owner, whether the owner's activations table has it); None where no header is.

    The header is that of dwarf-transform/src/host_reference.rs: the references of one store, the owner, are counted apart,
    and one of the others stands for all of them."""
    error = lldb.SBError()
    memory = process.ReadMemory(address, 32, error)
    if not error.Success():
        return None
    count, owner, owned, listed = (int.from_bytes(memory[at : at + 8], "little") for at in (0, 8, 16, 24))
    if (owner == 0) != (owned == 0) or listed not in (0, owner) or not 0 < count < 1 << 62:
        return None
    return count + owned - (owned > 0), owned, owner, listed != 0


def references(number):
    return "1 reference" if number == 1 else "%d references" % number


def externref_summary(value, _):
    address = value.GetValueAsUnsigned()
    if address == 0:
        return "null"
    found = host_value(address, value.GetProcess())
    # Without a header: the frame does not use it any more, and it was dropped.
    return "0x%x, %s" % (address, references(found[0]) if found else "dropped")


def funcref_summary(value, _):
    address = value.GetValueAsUnsigned()
    if address == 0:
        return "null"
    code = value.GetChildMemberWithName("code").GetValueAsUnsigned()
    name = value.GetTarget().ResolveLoadAddress(code).GetSymbol().GetName() if code else None
    return "0x%x <%s>" % (address, name) if name else "0x%x" % address


def wasm_externref(debugger, command, context, result, _):
    """Show the host value that a reference leads to: wasm-externref EXPRESSION

    The expression is the reference as compiled code holds it: a variable of type externref, or a 64-bit word in a register,
    a frame, a table or a global."""
    frame, process = context.frame, context.process
    if not command.strip():
        result.SetError("An expression is missing.")
        return
    if not process or not process.IsValid() or process.GetProcessID() == 0:
        result.SetError("The program is not being run.")
        return
    value = frame.GetValueForVariablePath(command.strip()) if frame and frame.IsValid() else lldb.SBValue()
    if not value.IsValid() or not value.GetError().Success():
        value = frame.EvaluateExpression(command) if frame and frame.IsValid() else context.target.EvaluateExpression(command)
    if not value.GetError().Success():
        result.SetError(value.GetError().GetCString())
        return
    address = value.GetValueAsUnsigned()
    if address == 0:
        result.AppendMessage("null")
        return
    found = host_value(address, process)
    if not found:
        result.SetError("0x%x is no reference to a host value." % address)
        return
    number, owned, owner, listed = found
    result.AppendMessage("externref 0x%x: %s" % (address, references(number)))
    if owner:
        listed = ", its activations table included" if listed else ""
        result.AppendMessage("%d of them are of the store 0x%x%s" % (owned, owner, listed))
