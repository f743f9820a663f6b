# Members of libc++'s classes at gdb's prompt, without a call of the guest: `p numbers[2]`, `p *it`, `p ages["ada"]`, `p name.size()`,
# `break f if name == "ada"`. They work where the program has no such function, in optimized code and in core files.

import itertools

import gdb.xmethod


def string_parts(value):
    """Where a string's or view's characters are, and how many. The first is an array within a short string."""
    type_ = value.type.strip_typedefs()
    if is_of_library(type_, "basic_string_view"):
        return field_path(value, "__data_", "__data"), int(field_path(value, "__size_", "__size"))
    return LibcxxString(value).parts()


def python_text(value):
    """The text of a string, view, array or pointer of characters."""
    type_ = value.type.strip_typedefs()
    if is_text_class(type_):
        data, size = string_parts(value)
        if data.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
            data = as_pointer(data, data.type.strip_typedefs().target().strip_typedefs())
        return data.string(errors="replace", length=size) if size else ""
    return value.string(errors="replace")


def is_of_library(type_, *names):
    return re.match(r"^std::(?:__\w+::)?(?:%s)<" % "|".join(names), type_.name or "") is not None


def is_text_class(type_):
    return type_.code == gdb.TYPE_CODE_STRUCT and is_of_library(type_, "basic_string", "basic_string_view")


def is_text(type_):
    type_ = type_.strip_typedefs()
    if type_.code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_PTR):
        target = type_.target().strip_typedefs()
        return target.sizeof == 1 and target.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_CHAR)
    return is_text_class(type_)


def referent(value):
    type_ = value.type.strip_typedefs()
    is_reference = type_.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF)
    return value.referenced_value() if is_reference else value


def same(left, right):
    """Whether two keys are equal, as far as that can be told without the program's own functions."""
    left, right = referent(left), referent(right)
    if is_text(left.type) and is_text(right.type):
        return python_text(left) == python_text(right)
    return bool(left == right)


def element(value, index):
    """The element of a container at a place."""
    index, length = int(index), size(value)
    if not 0 <= index < length:
        raise gdb.GdbError("There is no element %d: there are %d." % (index, length))
    type_ = value.type.strip_typedefs()
    if is_text_class(type_):
        return string_parts(value)[0][index]
    if is_of_library(type_, "bitset"):
        return gdb.Value(any(name == "[%d]" % index for name, _ in LibcxxBitset(value).children()))
    printer = printer_of(value, LIBCXX)
    if isinstance(printer, Sequence):
        return printer.element(index)
    _, found = next(itertools.islice(printer.children(), index, None))
    return found if isinstance(found, gdb.Value) else gdb.Value(found)


def size(value):
    type_ = value.type.strip_typedefs()
    if is_text_class(type_):
        return string_parts(value)[1]
    if is_of_library(type_, "bitset"):
        return int(type_.template_argument(0))
    if is_of_library(type_, "stack", "queue", "priority_queue"):
        return size(value["c"])
    if is_of_library(type_, "forward_list"):
        return sum(1 for _ in LibcxxForwardList(value).nodes())
    return printer_of(value, LIBCXX).size()


def entry_with(value, key):
    """What a map has for a key, or a set of it; None if there is nothing."""
    printer = printer_of(value, LIBCXX)
    for entry in printer.entries():
        if same(entry["first"] if printer.kind().endswith("map") else entry, key):
            return entry
    return None


def mapped(value, key):
    return found_entry(value, key)["second"]


def count(value, key):
    printer = printer_of(value, LIBCXX)
    entries = (entry["first"] if printer.kind().endswith("map") else entry for entry in printer.entries())
    return sum(same(entry, key) for entry in entries)


def first_character(value):
    data = string_parts(value)[0]
    is_array = data.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY
    return data[0].address if is_array else data


def first_place(value):
    if is_text_class(value.type.strip_typedefs()):
        return first_character(value)
    if is_of_library(value.type.strip_typedefs(), "array"):
        return value["__elems_"][0].address
    return field_path(value, "__begin_", "__data_", "__data")


def front(value):
    if is_of_library(value.type.strip_typedefs(), "queue", "priority_queue"):
        return front(value["c"])
    return element(value, 0)


def back(value):
    if is_of_library(value.type.strip_typedefs(), "stack", "queue"):
        return back(value["c"])
    return element(value, size(value) - 1)


def behind_last(value):
    return first_place(value) + size(value)


def first_entry(value):
    """A pointer to what the first node of a list, map or set holds, in the place of an iterator."""
    kind = value.type.strip_typedefs()
    entries = printer_of(value, LIBCXX)
    entries = entries.entries() if is_of_library(kind, ASSOCIATIVE) else (child for _, child in entries.children())
    for entry in entries:
        return entry.address
    raise gdb.GdbError("There are no elements.")


def found_entry(value, key):
    entry = entry_with(value, key)
    if entry is None:
        raise gdb.GdbError("There is no element with this key.")
    return entry.address


def stored_type(type_):
    """What the nodes of a container hold, by its allocator, the last of its template arguments."""
    allocator, index = None, 0
    while True:
        try:
            allocator = type_.template_argument(index).strip_typedefs()
        except (gdb.error, RuntimeError):
            return allocator.template_argument(0).strip_typedefs()
        index += 1


def use_count(value):
    control = value["__cntrl_"]
    if not int(control):
        return 0
    if not has_field(control.type.target().strip_typedefs(), "__shared_owners_"):
        raise gdb.GdbError("The debug info does not tell what the counts are.")
    # libc++ counts from 0.
    return int(control["__shared_owners_"]) + 1


def variant_index(value):
    index = LibcxxVariant(value).index()
    return (1 << 32) - 1 if index is None else index


def own_pointer(value):
    """The pointer of a unique or shared one."""
    return compressed(value["__ptr_"])


def owned(value):
    pointer = own_pointer(value)
    if not int(pointer):
        raise gdb.GdbError("The pointer is null.")
    return pointed(pointer)


def contained(value):
    if not LibcxxOptional(value).engaged():
        raise gdb.GdbError("The optional has no value.")
    return value["__val_"]


def iterator_node(type_):
    """The type of the nodes that an iterator of a list, tree or table leads to."""
    name = re.match(r"^std::(?:__\w+::)?(\w+)<", type_.name)[1]
    if "tree" in name:
        return type_.template_argument(1).strip_typedefs().target().strip_typedefs()
    if name.startswith(("__hash", "__forward_list")):
        return type_.template_argument(0).strip_typedefs().target().strip_typedefs()
    return gdb.lookup_type(re.sub(r"__list_(?:const_)?iterator<", "__list_node<", type_.name, count=1))


def step_target(value, at):
    """What an iterator leads to. `at` gives the pointer in it; one to nothing is enough for the type."""
    type_ = value.type.strip_typedefs()
    if is_of_library(type_, "__map_(?:const_)?iterator", "__hash_map_(?:const_)?iterator"):
        return step_target(value["__i_"], at)
    if is_of_library(type_, "reverse_iterator"):
        inner = value["current"]
        if inner.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
            return pointed(at(inner, inner.type.strip_typedefs().target()) - 1)
        pointer = field_path(inner, "__i_", "__i", "__ptr_")
        return pointed(at(pointer, pointer.type.strip_typedefs().target()) - 1)
    if is_of_library(type_, "__wrap_iter", "__bounded_iter", "__deque_iterator"):
        pointer = field_path(value, "__i_", "__i", "__current_", "__ptr_")
        return pointed(at(pointer, pointer.type.strip_typedefs().target()))
    pointer = field_path(value, "__ptr_", "__node_")
    return map_entry(at(pointer, iterator_node(type_))["__value_"])


def led_to(value):
    return step_target(value, as_pointer)


ITERATORS = [
    "__wrap_iter",
    "__bounded_iter",
    "__deque_iterator",
    "reverse_iterator",
    r"__(?:hash_)?map_(?:const_)?iterator",
    r"__(?:tree|list|forward_list|hash)_(?:const_)?(?:local_)?iterator",
]
ASSOCIATIVE = "(?:unordered_)?(?:multi)?(?:map|set)"
CONTIGUOUS = ["vector(?!<bool, )", "array", "span", "initializer_list", "basic_string", "basic_string_view"]
SEQUENCES = ["vector", "deque", "array", "span", "basic_string", "basic_string_view", "bitset"]
SIZED = SEQUENCES + ["initializer_list", "list", "forward_list", ASSOCIATIVE, "stack", "queue", "priority_queue"]


def number_type():
    return gdb.lookup_type("unsigned long")


def truth_type():
    return gdb.lookup_type("bool")


def first_argument(type_):
    """A container's elements."""
    if is_of_library(type_, "bitset"):
        return truth_type()
    return type_.template_argument(0).strip_typedefs()


def key_types(type_):
    """What a key may be given as. The library's own function takes it by reference; gdb would prefer that to one by value, which
    what is not in memory needs."""
    key = first_argument(type_)
    return text_types(key) if is_text_class(key) else [[key.const().reference()], [key]]


def text_types(type_):
    """What a text may be given as: a string, a view, or characters."""
    forms = [type_.const().reference(), gdb.lookup_type("char").pointer()]
    view = re.sub(r"^(std::(?:__\w+::)?basic_string)<(.*?>),.*$", r"\1_view<\2 >", type_.name)
    if view != type_.name:
        try:
            forms.append(gdb.lookup_type(view))
        except gdb.error:
            # No view in the program.
            pass
    return [[form] for form in forms]


def is_array_owner(type_):
    return (type_.template_argument(0)).strip_typedefs().code == gdb.TYPE_CODE_ARRAY


def owned_type(type_):
    target = type_.template_argument(0).strip_typedefs()
    return target.target() if target.code == gdb.TYPE_CODE_ARRAY else target


def nothing(_type):
    return [[]]


def at_index(_type):
    return [[number_type()]]


class Member:
    """A member of some classes: what it takes (a list for each form), what it gives, and how."""

    def __init__(self, classes, names, takes, gives, read):
        self.pattern = re.compile(r"^std::(?:__\w+::)?(?:%s)<" % "|".join(classes))
        self.names, self.takes, self.gives, self.read = names, takes, gives, read


LIBRARY = [
    Member(SEQUENCES, ["operator[]", "at"], at_index, first_argument, element),
    Member(SIZED, ["size", "length"], nothing, lambda _: number_type(), size),
    Member(SIZED, ["empty"], nothing, lambda _: truth_type(), lambda value: size(value) == 0),
    Member(SEQUENCES + ["list", "forward_list", "queue"], ["front"], nothing, first_argument, front),
    Member(SEQUENCES + ["list", "queue"], ["back"], nothing, first_argument, back),
    Member(CONTIGUOUS, ["begin", "data", "c_str"], nothing, lambda type_: first_argument(type_).pointer(), first_place),
    Member(CONTIGUOUS, ["end"], nothing, lambda type_: first_argument(type_).pointer(), behind_last),
    Member([ASSOCIATIVE, "list", "forward_list", "deque"], ["begin"], nothing, lambda type_: stored_type(type_).pointer(), first_entry),
    Member([ASSOCIATIVE], ["find"], key_types, lambda type_: stored_type(type_).pointer(), found_entry),
    Member(["variant"], ["index"], nothing, lambda _: number_type(), variant_index),
    Member(["shared_ptr", "weak_ptr"], ["use_count"], nothing, lambda _: number_type(), use_count),
    Member(["weak_ptr"], ["expired"], nothing, lambda _: truth_type(), lambda value: use_count(value) == 0),
    Member(["stack"], ["top"], nothing, first_argument, back),
    Member(["priority_queue"], ["top"], nothing, first_argument, front),
    Member(
        ["(?:unordered_)?map"], ["operator[]", "at"], key_types, lambda type_: type_.template_argument(1).strip_typedefs(), mapped
    ),
    Member([ASSOCIATIVE], ["count"], key_types, lambda _: number_type(), count),
    Member(
        [ASSOCIATIVE],
        ["contains"],
        key_types,
        lambda _: truth_type(),
        lambda value, key: entry_with(value, key) is not None,
    ),
    Member(["basic_string", "basic_string_view"], ["operator=="], text_types, lambda _: truth_type(), same),
    Member(
        ["basic_string", "basic_string_view"],
        ["operator!="],
        text_types,
        lambda _: truth_type(),
        lambda value, other: not same(value, other),
    ),
    Member(["(?:unique|shared)_ptr"], ["get", "operator->"], nothing, lambda type_: owned_type(type_).pointer(), own_pointer),
    Member(["(?:unique|shared)_ptr"], ["operator*"], nothing, owned_type, owned),
    Member(
        ["(?:unique|shared)_ptr"],
        ["operator[]"],
        lambda type_: at_index(type_) if is_array_owner(type_) else [],
        owned_type,
        lambda value, index: pointed(own_pointer(value) + int(index)),
    ),
    Member(["optional"], ["operator*", "value"], nothing, first_argument, contained),
    Member(["optional"], ["operator->"], nothing, lambda type_: first_argument(type_).pointer(), lambda it: contained(it).address),
    Member(["optional"], ["has_value"], nothing, lambda _: truth_type(), lambda value: LibcxxOptional(value).engaged()),
    Member(ITERATORS, ["operator*"], nothing, None, led_to),
    Member(ITERATORS, ["operator->"], nothing, None, lambda value: led_to(value).address),
]


class LibraryWorker(gdb.xmethod.XMethodWorker):
    """Reads one member."""

    def __init__(self, member, name, class_, arguments, path):
        self.member, self.name, self.class_, self.arguments, self.path = member, name, class_, arguments, path

    def get_arg_types(self):
        return self.arguments

    def get_result_type(self, this, *_):
        if self.member.gives is not None:
            return self.member.gives(self.class_)
        nowhere = lambda _, type_: gdb.Value(0).cast(type_.pointer())
        target = step_target(self.part(this), nowhere).type
        return target.pointer() if self.name == "operator->" else target

    def part(self, this):
        """The object itself, or a pointer to it, of a class that may be derived from the library's."""
        part = this.dereference() if this.type.strip_typedefs().code == gdb.TYPE_CODE_PTR else this
        for field in self.path:
            part = part[field]
        return part

    def __call__(self, this, *arguments):
        try:
            found = self.member.read(self.part(this), *arguments)
        except gdb.MemoryError as error:
            raise gdb.GdbError(str(error))
        if isinstance(found, gdb.Value):
            return found
        return gdb.Value(found).cast(self.member.gives(self.class_))


def library_members(class_, name, path):
    """The forms of a member of the library's class; none if it has no such member."""
    for member in LIBRARY:
        if name in member.names and member.pattern.match(class_.name or ""):
            return [LibraryWorker(member, name, class_, arguments, path) for arguments in member.takes(class_)]
    return []
