# Calls of guest functions: `wasm call add(1, 2)`, and at gdb's prompt the member functions and operators of C++: `p vector[2]`,
# `p *it`, `p tree.depth()`.
#
# The code of a guest function takes two hidden arguments before the guest's own, the context of the instance twice. gdb calls
# functions without these, which gives any value or traps. It asks for member functions in Python first, though; all other
# calls it is not allowed while guest code is selected at a stop.

import collections
import itertools

import gdb.xmethod

MOST_VIRTUAL_FUNCTIONS = 100


def instance_cell():
    """The words of the cell that the image has for the newest instance: first its context."""
    cell = gdb.parse_and_eval("(unsigned long) &__wasmscope_instance")
    return bytes(gdb.selected_inferior().read_memory(int(cell), 16))


class RoomOnTheStack:
    """Moves the guest's stack pointer below the variables of the function at which the program stopped, for a while."""

    def __init__(self, cell):
        self.inferior = gdb.selected_inferior()
        self.place = stack_pointer_place(cell)

    def __enter__(self):
        if self.place is None:
            return
        address, size = self.place
        self.before = bytes(self.inferior.read_memory(address, size))
        pointer = int.from_bytes(self.before, "little")
        try:
            base = LinearMemories(mappings()).base() or 0
        except OSError:
            # A process that is not this machine's.
            base = 0
        room = with_room(pointer, variables_of_newest_function(), base)
        self.inferior.write_memory(address, room.to_bytes(size, "little"))

    def __exit__(self, *_):
        if self.place is not None:
            self.inferior.write_memory(self.place[0], self.before)


def variables_of_newest_function():
    """The addresses of the variables of the newest frame, and of those that it is inlined into."""
    frame = gdb.newest_frame()
    while frame is not None:
        yield from addresses_of_variables(frame, of_frame_alone=True)
        if frame.type() != gdb.INLINE_FRAME:
            break
        frame = frame.older()


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


def call_guest(address, result, words, types):
    """Calls code with the arguments of a guest function: their bits, and their types. The answer's bits, or a fraction."""
    spelled = ", ".join(["unsigned long"] * 2 + [spelled_in_c(it) for it in types])
    with Parameters(**{"language": "c", "may-call-functions": "on", "unwindonsignal": "on"}):
        try:
            cell = instance_cell()
            context = int.from_bytes(cell[:8], "little")
            if not context:
                raise gdb.GdbError("No instance of a module is running.")
            bits = ["%dul" % (it & 0xFFFF_FFFF_FFFF_FFFF) if isinstance(it, int) else repr(it) for it in [context] * 2 + words]
            call = "((%s (*)(%s)) %dul)(%s)" % (spelled_in_c(result), spelled, address, ", ".join(bits))
            with RoomOnTheStack(cell):
                return gdb.parse_and_eval(call)
        except gdb.error as error:
            raise gdb.GdbError(str(error))


def spelled_in_c(type_):
    """A type in which an argument or result is passed alike."""
    return {4: "float", 8: "double"}[type_.strip_typedefs().sizeof] if is_float(type_) else "unsigned long"


class Parameters:
    """Sets parameters of gdb for a while."""

    def __init__(self, **wanted):
        self.wanted = wanted

    def __enter__(self):
        self.before = {name: gdb.parameter(name) for name in self.wanted}
        for name, value in self.wanted.items():
            # Without the warning that it is not the frame's language.
            gdb.execute("set %s %s" % (name, value), to_string=True)

    def __exit__(self, *_):
        for name, value in self.before.items():
            gdb.execute("set %s %s" % (name, {True: "on", False: "off"}.get(value, value)), to_string=True)


def result_value(answer, type_):
    """The value of a function's result, of its bits."""
    if is_float(type_):
        return answer.cast(type_)
    result, bits = type_.strip_typedefs(), int(answer)
    if result.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        return gdb.Value(bits & 0xFFFF_FFFF).cast(result.target().pointer()).dereference().reference_value()
    if result.code == gdb.TYPE_CODE_VOID:
        return None
    return gdb.Value((bits & (1 << 8 * result.sizeof) - 1).to_bytes(result.sizeof, "little"), type_)


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
        address, this = self.target(this)
        words = [this] + [argument_bits(*it) for it in zip(arguments, self.parameters)]
        types = [self.function.type.fields()[0].type] + self.parameters
        return result_value(call_guest(address, self.result, words, types), self.result)

    def refuse(self, this):
        """Says why the function cannot be called: gdb itself would show any value."""
        if this is None:
            raise gdb.GdbError("A member function of a value that is not in memory cannot be called.")
        refuse_structures(self.parameters, self.result)

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
        class_name = self.overrider(guest_word(int(this)))
        own = class_name and function_of(class_name, self.name)
        part = own and part_of(whole, class_name)
        if not part or int(own.address) == address:
            return address, int(this)
        return int(own.address), int(part.address)

    def overrider(self, table):
        """The class whose function of this name a virtual table has; None where it has none."""
        names = (symbol_at(guest_word(table + 4 * index))[0] for index in range(MOST_VIRTUAL_FUNCTIONS))
        for name in itertools.takewhile(lambda it: it and "(" in it, names):
            match = re.match(r"(?:(?:non-)?virtual thunk to )?(.*)::%s\(" % re.escape(self.name), name)
            if match:
                return match[1]
        return None


def part_of(whole, class_name):
    """The object itself or the part of it that is of a class."""
    if bare(whole.type) == class_name:
        return whole
    bases = (whole[field] for field in whole.type.strip_typedefs().fields() if field.is_base_class)
    return next(filter(None, (part_of(base, class_name) for base in bases)), None)


def argument_bits(value, type_):
    if is_float(type_):
        return float(value)
    if type_.strip_typedefs().code not in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        return int(value)
    if value.address is None:
        raise gdb.GdbError("A value that is not in memory cannot be passed by reference.")
    return int(value.address)


def refuse_structures(parameters, result):
    if not all(is_word(it) or is_float(it) for it in parameters):
        raise gdb.GdbError("Structures cannot be passed to guest functions.")
    if not is_word(result) and not is_float(result) and result.strip_typedefs().code != gdb.TYPE_CODE_VOID:
        raise gdb.GdbError("Guest functions that return structures cannot be called.")


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
            return find_method(class_, name)
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
    """What reads or calls a member function: of the class itself, or of the base that has it, to which the path leads."""
    library = library_members(class_, name, path)
    if library:
        return library
    function = function_of(class_.name, name)
    if function is not None:
        return [GuestMethodWorker(name, function, path)]
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


def split_call(text):
    """`callee` and `arguments` of `callee(arguments)`; None for anything else."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            return (text[:at].strip(), text[at + 1 : -1]) if text.endswith(")") and at else None
    return None


def pointed_function(pointer):
    """The guest's function that a pointer leads to. It is a table index, where the image has a symbol of the function's name."""
    name, offset = symbol_at(int(pointer))
    if not name or offset:
        raise gdb.GdbError("No guest function has the index %d." % int(pointer))
    symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    return symbol.value() if symbol else gdb.parse_and_eval("'%s'" % name)


class WasmCall(gdb.Command):
    """Call a guest function, by name or through a pointer: wasm call add(1, 2), wasm call it->apply(3, it->value).

    Arguments are expressions. Structures cannot be passed or returned by value. Member functions of C++ are called by `print`."""

    def __init__(self):
        gdb.Command.__init__(self, "wasm call", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, text, _from_tty):
        try:
            self.call(split_call(text.strip()))
        except gdb.error as error:
            raise gdb.GdbError(str(error))

    def call(self, call):
        if call is None:
            raise gdb.GdbError("What is called? For example: wasm call add(1, 2)")
        function = self.function(call[0])
        type_ = function.type
        parameters, result = [field.type for field in type_.fields()], type_.target()
        arguments = [gdb.parse_and_eval(it) for it in split_at_commas(call[1])]
        if len(arguments) != len(parameters):
            raise gdb.GdbError("The function takes %d arguments, not %d." % (len(parameters), len(arguments)))
        refuse_structures(parameters, result)
        passed = [argument_bits(*it) for it in zip(arguments, parameters)]
        value = result_value(call_guest(int(function.address), result, passed, parameters), result)
        if value is not None:
            text = value.format_string()
            print("$%d = %s" % (gdb.add_history(value), text) if hasattr(gdb, "add_history") else text)

    def function(self, callee):
        """The guest's function that an expression stands for."""
        value = gdb.parse_and_eval(callee)
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
            value = pointed_function(value)
        if value.type.strip_typedefs().code != gdb.TYPE_CODE_FUNC or not is_guest_function(int(value.address)):
            raise gdb.GdbError("There is no guest function `%s`." % callee)
        return value


class CallPermission:
    """Forbids gdb's own calls while the program stands in guest code, unless the user says otherwise."""

    def __init__(self):
        self.forbidden = False
        gdb.events.stop.connect(self.stopped)
        # The condition of a breakpoint comes before its stop.
        gdb.events.new_objfile.connect(self.loaded)
        gdb.events.exited.connect(lambda _: self.forbid(False))

    def loaded(self, event):
        if (event.new_objfile.filename or "").startswith("<in-memory@"):
            self.forbid(True)

    def stopped(self, _event):
        try:
            where = gdb.execute("info symbol 0x%x" % gdb.newest_frame().pc(), to_string=True)
        except gdb.error:
            where = ""
        # The objects that a JIT interface has told of.
        self.forbid(" of <in-memory@" in where)

    def forbid(self, wanted):
        # What the user has set in between stays.
        if wanted != self.forbidden and gdb.parameter("may-call-functions") == (not self.forbidden):
            gdb.execute("set may-call-functions %s" % ("off" if wanted else "on"), to_string=True)
            self.forbidden = wanted


WasmCall()
CallPermission()
