# The containers of libc++, shown as lldb's own formatters show them in a native program: those look for real pointers.
#
# Everything is found by the names of fields and by template arguments, never by offsets: the same code serves guests and
# native programs, and both layouts of libc++'s pairs.


def member(value, name):
    """A member by name, also of a base class or an unnamed union."""
    found = raw(value.GetChildMemberWithName(name))
    # For a member of an unnamed union lldb 19 forgets that base classes come first, and finds another one.
    if found.IsValid() and found.GetName() == name:
        return found
    for index in range(value.GetNumChildren()):
        child = raw(value.GetChildAtIndex(index))
        if child.GetName() in (None, "", child.GetType().GetName()) and not is_pointer(child.GetType()):
            found = member(child, name)
            if found.IsValid():
                return found
    return lldb.SBValue()


def field(value, *names):
    """The first of these members that there is, or a path of members joined by dots."""
    for path in names:
        found = value
        for name in path.split("."):
            found = member(found, name)
        if found.IsValid():
            return found
    return lldb.SBValue()


def number(value):
    return value.GetValueAsUnsigned()


def compressed(pair, index=0):
    """An element of libc++'s __compressed_pair, or the value itself where libc++ stores it plainly."""
    if "__compressed_pair<" not in (pair.GetType().GetCanonicalType().GetName() or ""):
        return pair
    for position in range(pair.GetNumChildren()):
        element = raw(pair.GetChildAtIndex(position))
        if re.search(r"__compressed_pair_elem<.*, %d, (?:true|false)>$" % index, element.GetType().GetCanonicalType().GetName()):
            value = field(element, "__value_")
            return value if value.IsValid() else element
    return lldb.SBValue()


def template_argument(type_, index):
    return type_.GetCanonicalType().GetTemplateArgumentType(index)


def node_type(pair):
    """The type of a container's nodes, from its node allocator, the second element of a __compressed_pair."""
    return template_argument(template_argument(pair.GetType(), 1), 0).GetCanonicalType()


def node_entry(node):
    """What a node of an associative container holds: a pair for maps, the key itself for sets."""
    value = field(node, "__value_")
    inner = field(value, "__cc_", "__cc")
    return inner if inner.IsValid() else value


class Container(Provider):
    def __init__(self, value, _=None):
        self.value = value
        self.raw = object_of(value)
        self.elements = {}

    def update(self):
        self.raw = object_of(self.value)
        self.elements = {}
        self.count = 0
        if self.raw.IsValid():
            self.count = self.size()
        return False

    def size(self):
        return 0

    def summary(self):
        return "size=%d" % self.size()

    def get_child_at_index(self, index):
        if index not in self.elements:
            self.elements[index] = self.element(index)
        return self.elements[index]

    def named(self, value, name):
        """The same object under another name."""
        value = raw(value)
        if is_pointer_structure(value.GetType().GetCanonicalType()):
            return real_pointer(value, name)
        address = value.GetLoadAddress()
        if address == lldb.LLDB_INVALID_ADDRESS:
            return computed(value.CreateValueFromData(name, value.GetData(), value.GetType()))
        return computed(value.CreateValueFromAddress(name, address, value.GetType()))

    def object(self, name, address, type_):
        return raw(self.raw.CreateValueFromAddress(name, host_address(address, self.raw.GetProcess()), type_))


class Sequence(Container):
    """Elements that lie one after the other."""

    start = None

    def update(self):
        self.start = None
        return super().update()

    def bounds(self):
        """(pointer to the first, how many)"""
        begin = field(self.raw, "__begin_")
        size = pointee(begin.GetType()).GetByteSize()
        first, last = address_of(begin), address_of(field(self.raw, "__end_"))
        return begin, (last - first) // size if size and last >= first else 0

    def size(self):
        return self.bounds()[1]

    def element(self, index):
        if self.start is None:
            begin = self.bounds()[0]
            type_ = pointee(begin.GetType())
            self.start = address_of(begin), type_, type_.GetByteSize()
        address, type_, size = self.start
        return at(self.raw, "[%d]" % index, address + index * size, type_)


class InitializerList(Sequence):
    def bounds(self):
        return field(self.raw, "__begin_"), number(field(self.raw, "__size_"))


class Span(Sequence):
    def bounds(self):
        size = field(self.raw, "__size_")
        if not size.IsValid():
            return field(self.raw, "__data_", "__data"), int(self.raw.GetType().GetCanonicalType().GetTemplateArgumentValue(self.raw.GetTarget(), 1).GetValueAsUnsigned())
        return field(self.raw, "__data_", "__data"), number(size)


class VectorBool(Container):
    def size(self):
        return number(field(self.raw, "__size_"))

    def element(self, index):
        begin = field(self.raw, "__begin_")
        word = pointee(begin.GetType())
        bits = word.GetByteSize() * 8
        found = self.object("word", address_of(begin) + index // bits * word.GetByteSize(), word)
        bit = number(found) >> index % bits & 1
        data = lldb.SBData.CreateDataFromUInt32Array(lldb.eByteOrderLittle, 8, [bit])
        return computed(self.raw.CreateValueFromData("[%d]" % index, data, self.raw.GetTarget().GetBasicType(lldb.eBasicTypeBool)))


class Deque(Container):
    def size(self):
        return number(compressed(field(self.raw, "__size_")))

    def element(self, index):
        blocks = field(self.raw, "__map_.__begin_")
        block = pointee(blocks.GetType())
        type_ = pointee(block)
        size = type_.GetByteSize()
        capacity = 4096 // size if size < 256 else 16
        place = number(field(self.raw, "__start_")) + index
        pointer = self.object("block", address_of(blocks) + place // capacity * block.GetByteSize(), block)
        return at(self.raw, "[%d]" % index, address_of(pointer) + place % capacity * size, type_)


class Linked(Container):
    """A container whose nodes are found one after the other."""

    def __init__(self, value, _=None):
        super().__init__(value)
        self.nodes = []
        self.walk = None

    def update(self):
        self.nodes = []
        self.walk = None
        return super().update()

    def node(self, index):
        if self.walk is None:
            self.walk = self.walked()
        while len(self.nodes) <= index:
            found = next(self.walk, None)
            if found is None:
                return lldb.SBValue()
            self.nodes.append(found)
        return self.nodes[index]

    def element(self, index):
        node = self.node(index)
        return self.named(node_entry(node), "[%d]" % index) if node.IsValid() else None


class Nodes(Linked):
    """One whose nodes are known by their addresses: only what is shown of them becomes a value. Where the members of a node lie is
    looked up once."""

    def __init__(self, value, _=None):
        super().__init__(value)
        self.places = {}
        self.content = None

    def update(self):
        self.places = {}
        self.content = None
        return super().update()

    def linked(self, address, name):
        """The address that a node's member of this name holds."""
        if name not in self.places:
            node = self.object("node", address, self.node_type())
            found = field(node, name)
            self.places[name] = found.GetLoadAddress() - node.GetLoadAddress(), found.GetType().GetByteSize()
        offset, size = self.places[name]
        process = self.raw.GetProcess()
        error = lldb.SBError()
        found = process.ReadUnsignedFromMemory(host_address(address + offset, process), size, error)
        return found if error.Success() else 0

    def element(self, index):
        address = self.node(index)
        if not isinstance(address, int):
            return None
        if self.content is None:
            node = self.object("node", address, self.node_type())
            entry = node_entry(node)
            self.content = entry.GetLoadAddress() - node.GetLoadAddress(), entry.GetType()
        offset, type_ = self.content
        return at(self.raw, "[%d]" % index, address + offset, type_)


class List(Nodes):
    def size(self):
        return number(compressed(field(self.raw, "__size_alloc_", "__size_")))

    def node_type(self):
        return node_type(field(self.raw, "__size_alloc_"))

    def walked(self):
        current = address_of(field(self.raw, "__end_.__next_"))
        for _ in range(self.count):
            yield current
            current = self.linked(current, "__next_")


class ForwardList(Nodes):
    def first(self):
        return field(compressed(field(self.raw, "__before_begin_")), "__next_")

    def size(self):
        return sum(1 for _ in self.walked())

    def node_type(self):
        return node_type(field(self.raw, "__before_begin_"))

    def walked(self):
        current = address_of(self.first())
        for _ in range(MAX_CHILDREN):
            if not current:
                return
            yield current
            current = self.linked(current, "__next_")


class Tree(Nodes):
    """std::map, std::set and their multi variants: a red-black tree whose end node lies in the container."""

    def size(self):
        tree = field(self.raw, "__tree_")
        plain = field(tree, "__size_")
        return number(plain if plain.IsValid() else compressed(field(tree, "__pair3_")))

    def node_type(self):
        return node_type(field(self.raw, "__tree_.__pair1_"))

    def walked(self):
        current = address_of(field(self.raw, "__tree_.__begin_node_"))
        for index in range(self.count):
            yield current
            if index + 1 < self.count:
                current = self.next(current)

    def next(self, node):
        """The node that follows."""
        # No tree that fits into 4 GiB is deeper. What was never written may lead in circles.
        deepest = 64
        right = self.linked(node, "__right_")
        if right:
            node = right
            for _ in range(deepest):
                left = self.linked(node, "__left_")
                if not left:
                    break
                node = left
            return node
        for _ in range(deepest):
            parent = self.linked(node, "__parent_")
            if self.linked(parent, "__left_") == node:
                return parent
            node = parent
        return node


class Hash(Nodes):
    """The unordered containers: one linked list through all buckets."""

    def size(self):
        table = field(self.raw, "__table_")
        plain = field(table, "__size_")
        return number(plain if plain.IsValid() else compressed(field(table, "__p2_")))

    def node_type(self):
        return node_type(field(self.raw, "__table_.__p1_"))

    def walked(self):
        current = address_of(field(compressed(field(self.raw, "__table_.__p1_")), "__next_"))
        for _ in range(self.count):
            if not current:
                return
            yield current
            current = self.linked(current, "__next_")


class SmartPointer(Container):
    """std::unique_ptr, std::shared_ptr and std::weak_ptr: the pointer, which can also be followed."""

    child = "__ptr_"

    def pointer(self):
        return field(self.raw, "__ptr_")

    def size(self):
        return 1

    def summary(self):
        pointer = self.pointer()
        address = address_of(pointer)
        if not address:
            return "nullptr" + self.owners()
        type_ = pointee(pointer.GetType())
        if not type_.IsValid() or not type_.GetByteSize():
            return "ptr = 0x%x" % address + self.owners()
        target = at(self.raw, "it", address, type_)
        target.SetPreferSyntheticValue(True)
        text = target.GetSummary() or target.GetValue() or "%s @ 0x%x" % (type_.GetName(), address)
        return text + self.owners()

    def owners(self):
        control = field(self.raw, "__cntrl_")
        if not control.IsValid() or not address_of(control):
            return ""
        type_ = pointee(control.GetType())
        block = self.object("owners", address_of(control), type_)
        shared, weak = field(block, "__shared_owners_"), field(block, "__shared_weak_owners_")
        if not (shared.IsValid() and weak.IsValid()):
            return ""
        # libc++ counts from 0.
        return " strong=%d weak=%d" % (shared.GetValueAsSigned() + 1, weak.GetValueAsSigned() + 1)

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return 1
        return 0 if name in (self.child, "pointer", "__ptr_", "__value_", "ptr") else -1

    def element(self, index):
        pointer = self.pointer()
        if index == 0:
            return native(pointer, self.child)
        type_ = pointee(pointer.GetType())
        address = address_of(pointer)
        if not address or not type_.IsValid() or not type_.GetByteSize():
            return None
        return at(self.raw, "*" + (self.value.GetName() or ""), address, type_)


class UniquePointer(SmartPointer):
    child = "pointer"

    def pointer(self):
        return compressed(field(self.raw, "__ptr_"))


class Optional(Container):
    def size(self):
        return 1 if number(field(self.raw, "__engaged_")) else 0

    def summary(self):
        return " Has Value=%s " % ("true" if self.size() else "false")

    def get_child_index(self, name):
        return {"Value": 0, "$$dereference$$": 0}.get(name, -1)

    def element(self, _):
        return self.named(field(self.raw, "__val_"), "Value")


class Variant(Container):
    def index(self):
        index = field(self.raw, "__impl_.__index", "__impl_.__index_")
        value, bits = number(index), index.GetType().GetByteSize() * 8
        return None if value == (1 << bits) - 1 else value

    def size(self):
        return 0 if self.index() is None else 1

    def summary(self):
        if self.index() is None:
            return " No Value"
        return " Active Type = %s " % self.get_child_at_index(0).GetDisplayTypeName()

    def get_child_index(self, name):
        return 0 if name == "Value" else -1

    def element(self, _):
        union = field(self.raw, "__impl_.__data", "__impl_.__data_")
        for _ in range(self.index() or 0):
            union = field(union, "__tail")
        value = field(union, "__head.__value")
        return self.named(value.Cast(value.GetType().GetCanonicalType()), "Value")


class Tuple(Container):
    def leaves(self):
        base = field(self.raw, "__base_")
        if not base.IsValid():
            base = raw(self.raw.GetChildAtIndex(0))
        return [raw(base.GetChildAtIndex(index)) for index in range(base.GetNumChildren())]

    def size(self):
        return len(self.leaves())

    def element(self, index):
        leaf = self.leaves()[index]
        value = field(leaf, "__value_")
        return self.named(value if value.IsValid() else leaf, "[%d]" % index)


class PlainIterator(Container):
    """An iterator that is a pointer."""

    def size(self):
        return 1

    def summary(self):
        return ""

    def get_child_index(self, name):
        return {"item": 0, "$$dereference$$": 0}.get(name, -1)

    def element(self, _):
        pointer = field(self.raw, "__i_", "__i")
        if not address_of(pointer):
            return None
        return at(self.raw, "item", address_of(pointer), pointee(pointer.GetType()))


class NodeIterator(Container):
    """An iterator that points to the node of a tree, a hash table or a list."""

    PARTS = ("first", "second")

    def entry(self):
        inner = field(self.raw, "__i_")
        inner = inner if inner.IsValid() and not is_pointer(inner.GetType()) else self.raw
        pointer = field(inner, "__ptr_", "__node_")
        type_ = template_argument(inner.GetType(), 1)
        if type_.IsValid() and is_pointer(type_) and "__node_base" not in pointee(type_).GetName():
            type_ = pointee(type_)
        else:
            type_ = template_argument(inner.GetType(), 0)
            type_ = pointee(type_) if is_pointer(type_) else pointee(pointer.GetType())
        if not address_of(pointer) or not type_.IsValid():
            return lldb.SBValue()
        return node_entry(self.object("node", address_of(pointer), type_.GetCanonicalType()))

    def size(self):
        return 2 if field(self.entry(), "first").IsValid() else 1 if self.entry().IsValid() else 0

    def summary(self):
        return ""

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return 2
        return self.PARTS.index(name) if name in self.PARTS else -1

    def element(self, index):
        entry = self.entry()
        if index == 2:
            return self.named(entry, "item")
        if self.count == 1:
            return self.named(entry, "item")
        return self.named(field(entry, self.PARTS[index]), self.PARTS[index])


def read_text(value, address, length, encoding):
    if not length:
        return quoted("")
    error = lldb.SBError()
    process = value.GetProcess()
    # No character has more bytes.
    most = most_characters(value)
    found = process.ReadMemory(host_address(address, process), min(length, 4 * (most + 1)), error)
    if error.Fail():
        return "<%s>" % error.GetCString()
    return quoted(found.decode(encoding, "replace"), most)


ENCODINGS = {1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}
PREFIXES = {"wchar_t": "L", "char16_t": "u", "char32_t": "U", "char8_t": "u8"}


def prefix(character):
    """What texts of a character type begin with in C++."""
    return PREFIXES.get(character.GetCanonicalType().GetUnqualifiedType().GetName(), "")


def cxx_string_text(value):
    value = object_of(value)
    rep = field(value, "__rep_")
    rep = rep if rep.IsValid() else compressed(field(value, "__r_"))
    short, long_ = field(rep, "__s"), field(rep, "__l")
    flag = field(short, "__is_long_")
    flag = number(flag) if flag.IsValid() else None
    begins_with_data = long_.GetChildAtIndex(0).GetName() == "__data_"
    is_long, length = string_form(number(field(short, "__size_")), flag, begins_with_data)
    if is_long:
        pointer, length = field(long_, "__data_"), number(field(long_, "__size_"))
        character = pointee(pointer.GetType())
        unit = character.GetByteSize() or 1
        return prefix(character) + read_text(value, address_of(pointer), length * unit, ENCODINGS[unit])
    data = field(short, "__data_")
    character = data.GetType().GetArrayElementType()
    unit = character.GetByteSize() or 1
    content = data.GetData()
    length = min(length * unit, content.GetByteSize())
    if not length:
        return prefix(character) + quoted("")
    error = lldb.SBError()
    found = content.ReadRawData(error, 0, length).decode(ENCODINGS[unit], "replace")
    return prefix(character) + quoted(found, most_characters(value))


def cxx_view_text(value):
    value = object_of(value)
    pointer, length = field(value, "__data_", "__data"), number(field(value, "__size_", "__size"))
    character = pointee(pointer.GetType())
    unit = character.GetByteSize() or 1
    return prefix(character) + read_text(value, address_of(pointer), length * unit, ENCODINGS[unit])


LIBCXX = [
    (re.compile(r"^std::(?:__\w+::)?" + name), provider)
    for name, provider in [
        ("vector<bool, ", VectorBool),
        ("vector<", Sequence),
        ("initializer_list<", InitializerList),
        ("span<", Span),
        ("deque<", Deque),
        ("list<", List),
        ("forward_list<", ForwardList),
        ("(?:multi)?(?:map|set)<", Tree),
        ("unordered_(?:multi)?(?:map|set)<", Hash),
        ("unique_ptr<", UniquePointer),
        ("(?:shared|weak)_ptr<", SmartPointer),
        ("optional<", Optional),
        ("variant<", Variant),
        ("tuple<", Tuple),
        ("__wrap_iter<", PlainIterator),
        ("__(?:map|tree|list|hash|hash_map)_(?:const_)?iterator<", NodeIterator),
    ]
]
TEXTS = [
    (re.compile(r"^std::(?:__\w+::)?basic_string<"), cxx_string_text),
    (re.compile(r"^std::(?:__\w+::)?basic_string_view<"), cxx_view_text),
]
