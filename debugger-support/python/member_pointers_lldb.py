# Pointers to members, which the debug information makes structures: lldb would read the host's widths.


def matches_member_pointer(type_, _):
    type_ = type_.GetCanonicalType()
    return "::*" in (type_.GetName() or "") and type_.GetNumberOfFields() > 0 and type_.GetFieldAtIndex(0).GetName() in (
        "__member_offset",
        "__member_function",
    )


def class_of_member_pointer(name):
    """`Class` of `int (Class::*)` and of `int (Class::*)(int)`."""
    end = name.rfind("::*")
    depth, at = 0, end
    while at > 0:
        character = name[at - 1]
        depth += (character in ">)") - (character in "<(")
        if depth < 0 or depth == 0 and character == " ":
            break
        at -= 1
    return name[at:end]


def member_at(class_, offset):
    """The name of the data member at an offset, bases included; None where none begins there."""
    class_ = class_.GetCanonicalType()
    for base in class_.get_bases_array():
        start = base.GetOffsetInBytes()
        if start <= offset < start + base.GetType().GetByteSize():
            found = member_at(base.GetType(), offset - start)
            if found:
                return found
    for it in class_.get_fields_array():
        if it.GetOffsetInBytes() == offset and it.GetName() and not it.GetName().startswith("_vptr"):
            return "%s::%s" % (class_.GetName(), it.GetName())
    return None


def member_pointer_summary(value, _):
    value = raw(value)
    class_name = class_of_member_pointer(value.GetType().GetCanonicalType().GetName())
    offset = value.GetChildMemberWithName("__member_offset")
    if offset.IsValid():
        offset = offset.GetValueAsSigned()
        if offset == -1:
            return "NULL"
        class_ = value.GetTarget().FindFirstType(class_name)
        member = member_at(class_, offset) if class_.IsValid() else None
        return "&" + member if member else "offset %d in %s" % (offset, class_name)
    function = value.GetChildMemberWithName("__member_function").GetValueAsUnsigned()
    adjustment = value.GetChildMemberWithName("__this_adjustment").GetValueAsSigned()
    virtual, adjustment = adjustment & 1, adjustment >> 1
    if virtual:
        text = "&virtual " + virtual_function(value, class_name, function, adjustment)
    elif function == 0:
        return "NULL"
    else:
        text = "&" + (value.GetTarget().ResolveLoadAddress(function).GetSymbol().GetName() or "function %d" % function)
    return "%s, this adjustment %d" % (text, adjustment) if adjustment else text


def virtual_function(value, class_name, place, adjustment):
    """What the class itself has at a place of its virtual table, of which the last base's functions are no part."""
    target, process = value.GetTarget(), value.GetProcess()
    for context in target.FindSymbols("vtable of " + class_name):
        table = context.GetSymbol().GetStartAddress().GetLoadAddress(target)
        index = word(process, table + 8 + place)
        symbol = target.ResolveLoadAddress(index).GetSymbol()
        if adjustment == 0 and index and symbol.GetName() and symbol.GetStartAddress().GetLoadAddress(target) == index:
            return symbol.GetName()
    return "function %d of %s" % (place // 4, class_name)
