# Dynamic types of C++ objects, and virtual tables.
#
# gdb reads the pointer to a virtual table at the width of the host's pointers, so that `set print object on` and `info vtbl`
# do not work on guest objects by themselves. The registered symbols name the tables ("vtable for ..."); the rest is here.


def symbol_at(address):
    """The name that gdb has for an address, and the distance from it."""
    with Parameters(**{it: "on" for it in ("print demangle", "print asm-demangle") if not gdb.parameter(it)}):
        text = gdb.execute("info symbol 0x%x" % address, to_string=True)
    # With `set trace-commands on`, the command comes first.
    match = re.search(r"^(?!\+)(.*?)(?: \+ (\d+))? in section ", text, re.MULTILINE)
    return (match[1], int(match[2] or 0)) if match else (None, 0)


def guest_word(address):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, 4)), "little")


def is_guest_class(type_):
    """A class with virtual functions whose objects begin with a 4-byte pointer to the virtual table."""
    if type_.code != gdb.TYPE_CODE_STRUCT:
        return False
    for field in type_.fields():
        if (field.name or "").startswith("_vptr"):
            return field.type.strip_typedefs().sizeof == 4
        if field.is_base_class and is_guest_class(field.type.strip_typedefs()):
            return True
    return False


def table_name(table):
    """The symbol of the virtual table that objects point to at an address. The word before it is the table's, too, and no functions
    need to follow."""
    for word in (table, table - 4):
        name = symbol_of_word(word)
        if name is not None and name.startswith("vtable for "):
            return name
    return None


def symbol_of_word(address):
    """The first byte of some words is left without a symbol, so that gdb finds none where it looks for virtual tables."""
    return symbol_at(address + 1)[0]


def dynamic_object(value):
    """The whole object that a value is a part of, in its dynamic type; None where that is not known."""
    type_ = value.type.strip_typedefs()
    if value.address is None or not is_guest_class(type_):
        return None
    address = int(value.address)
    try:
        table = guest_word(address)
        name = table_name(table)
        if name is None:
            return None
        whole = gdb.lookup_type(name[len("vtable for ") :])
        top = int.from_bytes(bytes(gdb.selected_inferior().read_memory(table - 8, 4)), "little", signed=True)
        return gdb.Value(address + top).cast(whole.pointer()).dereference()
    except (gdb.error, gdb.MemoryError):
        return None


def bare(type_):
    return type_.strip_typedefs().unqualified().name


class Dynamic:
    """What is shown by its dynamic type: printed as a text, in the machine interface's variable objects by the members.

    gdb asks a printer for the text and then for the children; of what has children, variable objects ask for nothing else.
    """

    is_printed = False

    def __getattr__(self, name):
        if name == "children" and not self.is_printed:
            return lambda: members(self.whole)
        raise AttributeError(name)


def members(value, names=None):
    """The members of an object, those of its bases first: a base by itself would be shown as what it is a part of. Each has a name of
    its own."""
    names = set() if names is None else names
    type_ = value.type.strip_typedefs()
    # A virtual base is there once.
    place = (bare(type_), int(value.address))
    if place in names:
        return
    names.add(place)
    for field in type_.fields():
        try:
            found = value[field]
        except gdb.error as error:
            found = "<%s>" % error
        if field.is_base_class and isinstance(found, gdb.Value):
            yield from members(found, names)
            continue
        name = field.name or "<unnamed>"
        if name in names:
            name = "%s::%s" % (bare(type_), name)
        while name in names:
            name += "'"
        names.add(name)
        yield name, found


class DynamicObject(Dynamic):
    """An object in its dynamic type, printed as a whole."""

    def __init__(self, whole):
        self.whole = whole

    # The objects that are being printed, as address ranges: their bases are parts of them.
    printed = []

    def to_string(self):
        self.is_printed = True
        start = int(self.whole.address)
        self.printed.append(range(start, start + self.whole.type.sizeof))
        try:
            return "(%s) %s" % (bare(self.whole.type), self.whole.format_string())
        finally:
            self.printed.pop()


class DynamicPointer(Dynamic):
    """A pointer to an object of a derived class, printed as one to the whole object."""

    def __init__(self, value, whole):
        self.value, self.whole = value, whole

    def to_string(self):
        self.is_printed = True
        return "(%s *) 0x%x" % (bare(self.whole.type), int(self.whole.address))


def find_dynamic(value):
    """The printer of objects whose class the debug info does not tell, while `set print object` is on."""
    if not gdb.parameter("print object"):
        return None
    type_ = value.type.strip_typedefs()
    try:
        if type_.code == gdb.TYPE_CODE_PTR:
            target = type_.target().strip_typedefs()
            if type_.sizeof == 4 and int(value) and is_guest_class(target):
                whole = dynamic_object(value.dereference())
                if whole is not None and bare(whole.type) != bare(target):
                    return DynamicPointer(value, whole)
        elif type_.code == gdb.TYPE_CODE_STRUCT and value.address is not None:
            if any(int(value.address) in it for it in DynamicObject.printed):
                return None
            whole = dynamic_object(value)
            if whole is not None and not value.is_optimized_out:
                return DynamicObject(whole)
    except gdb.error:
        pass
    return None


find_dynamic.name = "wasmscope-dynamic"
gdb.pretty_printers.append(find_dynamic)


def is_unplaced(field):
    """Does the object itself tell where the field is? So it is for virtual bases."""
    return getattr(field, "bitpos", 0) is None


class LeftBehind:
    """An object in the value history whose program is gone.

    gdb 13 then copies the type, without telling bases from members, and ends at a virtual base, which has no fixed place.
    """

    def __init__(self, value):
        self.value = value

    def to_string(self):
        return None

    def children(self):
        for field in self.value.type.strip_typedefs().fields():
            if is_unplaced(field):
                yield "<%s>" % field.name, "<invalid address>"
            else:
                yield field.name, self.value[field]


def find_left_behind(value):
    type_ = value.type.strip_typedefs()
    if type_.code == gdb.TYPE_CODE_STRUCT and any(is_unplaced(it) and not it.is_base_class for it in type_.fields()):
        return LeftBehind(value)
    return None


find_left_behind.name = "wasmscope-left-behind"
gdb.pretty_printers.insert(0, find_left_behind)


class InfoVtbl(gdb.Command):
    """Show the virtual function table for a C++ object.
Usage: info vtbl EXPRESSION
Evaluate EXPRESSION and show the virtual function table for the resulting object, of the guest or of the host."""

    def __init__(self):
        super().__init__("info vtbl", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        try:
            value = gdb.parse_and_eval(argument)
            type_ = value.type.strip_typedefs()
            if type_.code in (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
                value = value.referenced_value()
                type_ = value.type.strip_typedefs()
            if value.address is None or not is_guest_class(type_):
                print("This object does not have a virtual function table")
                return
            whole = dynamic_object(value)
            shown = value if whole is None else whole
            parts = [shown, *bases_with_tables(shown)]
            tables = {}
            for part in parts:
                # The first base is where the object is, and has its table.
                tables.setdefault(guest_word(int(part.address)), part)
            starts = [table - 8 - 4 * len(virtual_bases(part.type)) for table, part in tables.items()]
            for number, (table, part) in enumerate(sorted(tables.items(), key=lambda it: int(it[1].address))):
                print("\n" * (number > 0) + "vtable for '%s' @ 0x%x (subobject @ 0x%x):" % (bare(part.type), table, int(part.address)))
                self.list(table, min((start for start in starts if start > table), default=1 << 32))
        except gdb.error as error:
            raise gdb.GdbError(str(error))

    @staticmethod
    def list(table, end):
        name = table_name(table)
        index = 0
        while name is not None and table + 4 * index < end:
            word = guest_word(table + 4 * index)
            function, offset = symbol_at(word)
            # A function's symbol covers its index alone. What lies before the functions of another table is no index, unless it is where a
            # virtual base is: there the table ends.
            if function is None or offset or word == 0 or function.startswith("vtable for "):
                break
            print("[%d]: 0x%x <%s>" % (index, word, function))
            index += 1
            if symbol_of_word(table + 4 * index) != name:
                break


def virtual_bases(type_):
    """The names of a class's virtual bases, those of its bases included: of each, the table has a word before what all tables have."""
    found = set()
    for field in type_.strip_typedefs().fields():
        if field.is_base_class:
            if is_unplaced(field):
                found.add(field.name)
            found |= virtual_bases(field.type)
    return found


def bases_with_tables(value):
    """The parts of an object that have a virtual table of their own, in the order of the classes."""
    for field in value.type.strip_typedefs().fields():
        if field.is_base_class and is_guest_class(field.type.strip_typedefs()):
            part = value[field]
            yield part
            yield from bases_with_tables(part)


InfoVtbl()
