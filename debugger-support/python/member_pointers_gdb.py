# Pointers to members, which the debug information makes structures: gdb would read the host's widths, and a guest marks
# virtual functions elsewhere.


def member_at(class_, offset):
    """The name of the data member at an offset, bases included; None where none begins there."""
    for field in class_.fields():
        if not hasattr(field, "bitpos") or field.artificial or (field.name or "").startswith("_vptr"):
            continue
        start = field.bitpos // 8
        type_ = field.type.strip_typedefs()
        if field.is_base_class:
            if start <= offset < start + type_.sizeof:
                found = member_at(type_, offset - start)
                if found:
                    return found
        elif start == offset:
            return "%s::%s" % (class_.name, field.name)
    return None


class MemberPointer:
    def __init__(self, value):
        self.value = value
        self.class_name = class_of_member_pointer(value.type.strip_typedefs().name)

    def to_string(self):
        return data_member_text(int(self.value["__member_offset"]), self.class_name, self.member_at)

    def member_at(self, offset):
        try:
            return member_at(gdb.lookup_type(self.class_name).strip_typedefs(), offset)
        except gdb.error:
            return None


class MethodPointer(MemberPointer):
    def to_string(self):
        function, adjustment = int(self.value["__member_function"]), int(self.value["__this_adjustment"])
        return member_function_text(function, adjustment, self.virtual_function, lambda index: symbol_at(index)[0])

    def virtual_function(self, place, adjustment):
        """What the class itself has at a place of its virtual table, of which the last base's functions are no part."""
        try:
            table = int(gdb.parse_and_eval("(unsigned long) &'vtable for %s'" % self.class_name))
            if adjustment == 0:
                name, offset = symbol_at(guest_word(table + 8 + place))
                if name and not offset:
                    return name
        except (gdb.error, gdb.MemoryError):
            pass
        return "function %d of %s" % (place // 4, self.class_name)


def find_member_pointer(value):
    type_ = value.type.strip_typedefs()
    if type_.code == gdb.TYPE_CODE_STRUCT and "::*" in (type_.name or ""):
        if has_field(type_, "__member_offset"):
            return Guarded(MemberPointer(value))
        if has_field(type_, "__member_function"):
            return Guarded(MethodPointer(value))
    return None


find_member_pointer.name = "wasmscope member pointers"
gdb.pretty_printers.append(find_member_pointer)
