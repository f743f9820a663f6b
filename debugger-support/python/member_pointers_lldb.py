# Pointers to members, which the debug information makes structures: lldb would read the host's widths.


def matches_member_pointer(type_, _):
    type_ = type_.GetCanonicalType()
    return "::*" in (type_.GetName() or "") and type_.GetNumberOfFields() > 0 and type_.GetFieldAtIndex(0).GetName() in (
        "__member_offset",
        "__member_function",
    )


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
    target = value.GetTarget()
    if offset.IsValid():
        class_ = target.FindFirstType(class_name)
        return data_member_text(
            offset.GetValueAsSigned(), class_name, lambda at: member_at(class_, at) if class_.IsValid() else None
        )
    function = value.GetChildMemberWithName("__member_function").GetValueAsUnsigned()
    adjustment = value.GetChildMemberWithName("__this_adjustment").GetValueAsSigned()
    return member_function_text(
        function,
        adjustment,
        lambda place, adjustment: virtual_function(value, class_name, place, adjustment),
        lambda index: symbol_of(target, index).GetName(),
    )


def virtual_function(value, class_name, place, adjustment):
    """What the class itself has at a place of its virtual table, of which the last base's functions are no part."""
    target, process = value.GetTarget(), value.GetProcess()
    for context in target.FindSymbols("vtable of " + class_name):
        table = context.GetSymbol().GetStartAddress().GetLoadAddress(target)
        index = word(process, table + 8 + place)
        symbol = symbol_of(target, index)
        if adjustment == 0 and index and symbol.GetName() and symbol.GetStartAddress().GetLoadAddress(target) == index:
            return symbol.GetName()
    return "function %d of %s" % (place // 4, class_name)
