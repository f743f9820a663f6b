# Member functions and operators of C++ at gdb's prompt: `p vector[2]`, `p *it`, `p tree.depth()`.
#
# The code of a guest function takes two hidden arguments before the guest's own, the context of the instance twice. gdb calls
# functions without these, which gives any value. It asks for member functions in Python first, though.

import collections
import itertools

import gdb.xmethod

MOST_VIRTUAL_FUNCTIONS = 100


def instance_context():
    """The context of the newest instance, which the image has a cell for."""
    cell = gdb.parse_and_eval("(unsigned long) &__wasmscope_instance")
    memory = gdb.selected_inferior().read_memory(int(cell), 8)
    return int.from_bytes(bytes(memory), "little")


def is_word(type_):
    """Is a value of the type passed in a register for whole numbers?"""
    type_ = type_.strip_typedefs()
    words = (
        gdb.TYPE_CODE_INT,
        gdb.TYPE_CODE_CHAR,
        gdb.TYPE_CODE_BOOL,
        gdb.TYPE_CODE_ENUM,
        gdb.TYPE_CODE_PTR,
        gdb.TYPE_CODE_REF,
        gdb.TYPE_CODE_RVALUE_REF,
    )
    return type_.code in words and type_.sizeof <= 8


def is_float(type_):
    type_ = type_.strip_typedefs()
    return type_.code == gdb.TYPE_CODE_FLT and type_.sizeof in (4, 8)


class GuestMethodWorker(gdb.xmethod.XMethodWorker):
    """Calls one member function."""

    def __init__(self, name, function, path):
        self.name, self.function, self.path = name, function, path
        type_ = function.type
        self.parameters = [field.type for field in type_.fields()[1:]]
        self.result = type_.target()

    def get_arg_types(self):
        return self.parameters

    def get_result_type(self, *_):
        return self.result

    def __call__(self, this, *arguments):
        # The object itself, or a pointer to it.
        this = this if this.type.strip_typedefs().code == gdb.TYPE_CODE_PTR else this.address
        self.refuse(this)
        this = self.base(this)
        context = instance_context()
        if not context:
            raise gdb.GdbError("No instance of a module is running.")
        address, this = self.target(this)
        words = [context, context, this] + [self.word(*it) for it in zip(arguments, self.parameters)]
        passed = ", ".join("%dul" % (word & 0xFFFF_FFFF_FFFF_FFFF) for word in words)
        returned = str(self.result.strip_typedefs()) if is_float(self.result) else "unsigned long"
        try:
            answer = gdb.parse_and_eval("((%s (*)()) %dul)(%s)" % (returned, address, passed))
        except gdb.error as error:
            raise gdb.GdbError(str(error))
        return answer.cast(self.result) if is_float(self.result) else self.value(int(answer))

    def refuse(self, this):
        """Says why the function cannot be called: gdb itself would show any value."""
        if this is None:
            raise gdb.GdbError("A member function of a value that is not in memory cannot be called.")
        if not all(is_word(it) for it in self.parameters):
            raise gdb.GdbError("Numbers with a fraction and structures cannot be passed to guest functions.")
        if not is_word(self.result) and not is_float(self.result) and self.result.code != gdb.TYPE_CODE_VOID:
            raise gdb.GdbError("Guest functions that return structures cannot be called.")

    def base(self, this):
        """A pointer to the part of the object that the function's class is."""
        part = this.dereference()
        for field in self.path:
            part = part[field]
        return part.address

    def target(self, this):
        """The address of the function that is meant and of its object: of a virtual one the object's own."""
        address = int(self.function.address)
        whole = dynamic_object(this.dereference())
        if whole is None or bare(whole.type) == bare(this.type.strip_typedefs().target()):
            return address, int(this)
        own = function_of(bare(whole.type), self.name)
        if own is None or int(own.address) == address or not self.is_virtual(guest_word(int(this))):
            return address, int(this)
        return int(own.address), int(whole.address)

    def is_virtual(self, table):
        """Is one of the functions of a virtual table of this one's name?"""
        names = (symbol_at(guest_word(table + 4 * index))[0] for index in range(MOST_VIRTUAL_FUNCTIONS))
        return any("::%s(" % self.name in name for name in itertools.takewhile(lambda it: it and "(" in it, names))

    def word(self, value, type_):
        if type_.strip_typedefs().code not in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            return int(value)
        if value.address is None:
            raise gdb.GdbError("A value that is not in memory cannot be passed by reference.")
        return int(value.address)

    def value(self, answer):
        result = self.result.strip_typedefs()
        if result.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            target = self.result.strip_typedefs().target()
            return gdb.Value(answer & 0xFFFF_FFFF).cast(target.pointer()).dereference().reference_value()
        if result.code == gdb.TYPE_CODE_VOID:
            return None
        size = result.sizeof
        return gdb.Value((answer & (1 << 8 * size) - 1).to_bytes(size, "little"), self.result)


class GuestMethods(gdb.xmethod.XMethodMatcher):
    """Finds the member functions of the guest's classes. Of several with one name gdb names one."""

    def __init__(self):
        gdb.xmethod.XMethodMatcher.__init__(self, "wasmscope")
        # Asked for a class, gdb asks for each of its bases next, and may choose what it gets there.
        self.asked, self.covered = None, collections.Counter()

    def match(self, class_type, name):
        try:
            # gdb would not go from the object to the base whose function it is, so that is done here.
            class_ = class_type.strip_typedefs().unqualified()
            if self.asked == name and self.covered[class_.name] > 0:
                self.covered[class_.name] -= 1
                return None
            self.asked, self.covered = name, collections.Counter(bases_of(class_))
            found = find_method(class_, name)
            return GuestMethodWorker(name, *found) if found else None
        except (gdb.error, RuntimeError, TypeError):
            return None


def bases_of(class_):
    """The names of all bases, each as often as there are ways to it."""
    for field in class_.fields():
        if field.is_base_class:
            base = field.type.strip_typedefs().unqualified()
            yield base.name
            yield from bases_of(base)


def is_guest_function(address):
    symbol = gdb.block_for_pc(address).function
    return symbol is not None and symbol.symtab.objfile.filename.startswith("<in-memory@")


def takes_a(type_, class_name):
    """Is it a member function of this class, and no static one?"""
    if not type_.fields():
        return False
    this = type_.fields()[0].type.strip_typedefs()
    return this.code == gdb.TYPE_CODE_PTR and bare(this.target()) == class_name


def find_method(class_, name, path=()):
    """A member function, and the bases that lead to the class that has it."""
    function = function_of(class_.name, name)
    if function is not None:
        return function, path
    for field in class_.fields():
        if field.is_base_class:
            found = find_method(field.type.strip_typedefs().unqualified(), name, path + (field,))
            if found:
                return found
    return None


def function_of(class_name, name):
    """A class's own member function in the guest; None where it has none."""
    try:
        function = gdb.parse_and_eval("'%s::%s'" % (class_name, name))
        # What a class inherits is found by its name, too.
        own = takes_a(function.type, class_name)
        return function if own and is_guest_function(int(function.address)) else None
    except (gdb.error, TypeError):
        return None


gdb.xmethod.register_xmethod_matcher(None, GuestMethods(), replace=True)
