# Printers for the containers of libc++ and of Rust's standard library.
#
# Everything is found by the names of fields and by template arguments, never by offsets: the same printers serve
# 32-bit guests and 64-bit programs, and all layouts of libc++'s strings.


def has_field(type_, name):
    return any(field.name == name for field in type_.fields())


def has_member(type_, name):
    """Like has_field, also of unnamed members' fields."""
    return any(
        field.name == name or (not field.name and has_member(field.type.strip_typedefs(), name)) for field in type_.fields()
    )


def compressed(pair):
    """The first element of libc++'s __compressed_pair, or the value itself where libc++ stores it plainly."""
    if not re.match(r"^std::.*__compressed_pair<", pair.type.strip_typedefs().name or ""):
        return pair
    base = pair.type.strip_typedefs().fields()[0]
    element = pair[base]
    return element["__value_"] if has_field(element.type.strip_typedefs(), "__value_") else element


def node_type(pair):
    """The type of a container's nodes, from its node allocator, the second element of a __compressed_pair."""
    allocator = pair.type.strip_typedefs().template_argument(1).strip_typedefs()
    return allocator.template_argument(0).strip_typedefs()


def map_entry(value):
    """What a node of an associative container holds: a pair for maps, the key itself for sets."""
    for name in ("__cc_", "__cc"):
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT and has_field(value.type.strip_typedefs(), name):
            return value[name]
    return value


def numbered(values):
    return (("[%d]" % index, value) for index, value in enumerate(values))


def keyed(entries):
    for index, (key, value) in enumerate(entries):
        yield "[%d]" % (2 * index), key
        yield "[%d]" % (2 * index + 1), value


def pointed(value):
    """`*value`, but readable: the element's dynamic parts are resolved at its own address."""
    return value.dereference()


def as_pointer(value, type_):
    """A pointer of another type to the same place.

    gdb's own cast would read a guest pointer again at the width of the new type, which may be the host's.
    """
    address = int(value)
    # What was never written may be no address, and gdb takes no Python number above its `long long`.
    return gdb.Value(address - (address >> 63 << 64)).cast(type_.pointer())


class Printer:
    def __init__(self, value):
        self.value = value


def lazy_text(pointer, length):
    """Characters that gdb reads itself. It divides by the size of their type, and ends if that is a definition that it has not
    looked through yet, of size 0."""
    character = pointer.type.strip_typedefs().target().strip_typedefs()
    return as_pointer(pointer, character).lazy_string(length=length)


class Sequence(Printer):
    """Elements that are found by their index."""

    def children(self):
        return numbered(self.element(index) for index in range(self.size()))

    def display_hint(self):
        return "array"


class LibcxxString(Printer):
    def parts(self):
        """Where the characters are, and how many. Those of a short string are an array within the string itself."""
        rep = compressed(self.value["__r_"]) if has_field(self.value.type.strip_typedefs(), "__r_") else self.value["__rep_"]
        short, long_ = rep["__s"], rep["__l"]
        flag = int(short["__is_long_"]) if has_member(short.type.strip_typedefs(), "__is_long_") else None
        begins_with_data = long_.type.strip_typedefs().fields()[0].name == "__data_"
        is_long, size = string_form(int(short["__size_"]), flag, begins_with_data)
        return (long_["__data_"], int(long_["__size_"])) if is_long else (short["__data_"], size)

    def to_string(self):
        data, size = self.parts()
        if data.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
            # The string's own address may not fit into a guest pointer.
            if data.type.target().sizeof == 1:
                return data.string(errors="replace", length=size)
            character = data.type.strip_typedefs().target().strip_typedefs()
            texts = [int(data[index]) for index in range(size)] + [0]
            # gdb leaves the last zero out.
            texts = b"".join((it & (1 << 8 * character.sizeof) - 1).to_bytes(character.sizeof, "little") for it in texts)
            return gdb.Value(texts, character.array(size))
        return lazy_text(data, size)

    def display_hint(self):
        return "string"


class LibcxxStringView(Printer):
    def to_string(self):
        size = self.value["__size_" if has_field(self.value.type.strip_typedefs(), "__size_") else "__size"]
        data = self.value["__data_" if has_field(self.value.type.strip_typedefs(), "__data_") else "__data"]
        return lazy_text(data, int(size))

    def display_hint(self):
        return "string"


class LibcxxVector(Sequence):
    def size(self):
        return int(self.value["__end_"] - self.value["__begin_"])

    def element(self, index):
        return pointed(self.value["__begin_"] + index)

    def to_string(self):
        return "std::vector of length %d" % self.size()


class LibcxxVectorBool(Sequence):
    def size(self):
        return int(self.value["__size_"])

    def element(self, index):
        words = self.value["__begin_"]
        bits = words.type.target().sizeof * 8
        return gdb.Value(bool(int(words[index // bits]) >> (index % bits) & 1))

    def to_string(self):
        return "std::vector<bool> of length %d" % self.size()


class LibcxxTree(Printer):
    """std::map, std::set and their multi variants: a red-black tree whose end node lies in the container."""

    def size(self):
        tree = self.value["__tree_"]
        return int(tree["__size_"]) if has_field(tree.type.strip_typedefs(), "__size_") else int(compressed(tree["__pair3_"]))

    def entries(self):
        tree = self.value["__tree_"]
        node = node_type(tree["__pair1_"])
        current = as_pointer(tree["__begin_node_"], node)
        for index in range(self.size()):
            yield map_entry(current["__value_"])
            if index + 1 < self.size():
                current = self.next(current, node)

    # No tree that fits into 4 GiB is deeper. What was never written may lead in circles.
    DEEPEST = 64

    def next(self, current, node):
        if int(current["__right_"]):
            current = as_pointer(current["__right_"], node)
            for _ in range(self.DEEPEST):
                if not int(current["__left_"]):
                    break
                current = as_pointer(current["__left_"], node)
            return current
        for _ in range(self.DEEPEST):
            parent = as_pointer(current["__parent_"], node)
            if int(parent["__left_"]) == int(current):
                return parent
            current = parent
        return current

    def kind(self):
        return re.match(r"^std::(?:__\w+::)?(\w+)<", self.value.type.strip_typedefs().name)[1]

    def to_string(self):
        return "std::%s with %d element%s" % (self.kind(), self.size(), "" if self.size() == 1 else "s")

    def children(self):
        if self.kind().endswith("map"):
            return keyed((entry["first"], entry["second"]) for entry in self.entries())
        return numbered(self.entries())

    def display_hint(self):
        return "map" if self.kind().endswith("map") else "array"


class LibcxxHash(LibcxxTree):
    """The unordered containers: one linked list through all buckets."""

    def size(self):
        table = self.value["__table_"]
        return int(table["__size_"]) if has_field(table.type.strip_typedefs(), "__size_") else int(compressed(table["__p2_"]))

    def entries(self):
        first = self.value["__table_"]["__p1_"]
        node = node_type(first)
        current = compressed(first)["__next_"]
        for _ in range(self.size()):
            here = as_pointer(current, node)
            yield map_entry(here["__value_"])
            current = here["__next_"]


class LibcxxList(Printer):
    def size(self):
        return int(compressed(self.value["__size_alloc_"]))

    def to_string(self):
        return "std::list with %d element%s" % (self.size(), "" if self.size() == 1 else "s")

    def children(self):
        node = node_type(self.value["__size_alloc_"])
        current = self.value["__end_"]["__next_"]
        for index in range(self.size()):
            here = as_pointer(current, node)
            yield "[%d]" % index, here["__value_"]
            current = here["__next_"]

    def display_hint(self):
        return "array"


class LibcxxUniquePointer(Printer):
    def to_string(self):
        return "std::unique_ptr"

    def children(self):
        return [("get()", compressed(self.value["__ptr_"]))]


class LibcxxSharedPointer(Printer):
    def to_string(self):
        name = re.match(r"^std::(?:__\w+::)?(\w+)", self.value.type.strip_typedefs().name)[1]
        control = self.value["__cntrl_"]
        if not int(control):
            return "std::%s (empty)" % name
        # The control block's members are unknown to programs built without the library's own debug information.
        if not has_field(control.type.target().strip_typedefs(), "__shared_weak_owners_"):
            return "std::%s" % name
        # libc++ counts from 0.
        return "std::%s (use count %d, weak count %d)" % (
            name,
            int(control["__shared_owners_"]) + 1,
            int(control["__shared_weak_owners_"]),
        )

    def children(self):
        return [("get()", self.value["__ptr_"])]


class LibcxxOptional(Printer):
    def engaged(self):
        return bool(self.value["__engaged_"])

    def to_string(self):
        return "std::optional" if self.engaged() else "std::optional (no value)"

    def children(self):
        return [("value", self.value["__val_"])] if self.engaged() else []


class LibcxxDeque(Sequence):
    def size(self):
        return int(compressed(self.value["__size_"]))

    def to_string(self):
        return "std::deque with %s" % elements(self.size())

    def element(self, index):
        blocks, place = self.value["__map_"]["__begin_"], int(self.value["__start_"]) + index
        size = blocks.type.strip_typedefs().target().strip_typedefs().target().strip_typedefs().sizeof
        capacity = 4096 // size if size < 256 else 16
        return pointed(blocks[place // capacity] + place % capacity)


class LibcxxForwardList(Printer):
    def nodes(self):
        type_ = node_type(self.value["__before_begin_"])
        current = compressed(self.value["__before_begin_"])["__next_"]
        while int(current):
            node = as_pointer(current, type_)
            yield node["__value_"]
            current = node["__next_"]

    def to_string(self):
        return "std::forward_list" if any(True for _ in self.nodes()) else "std::forward_list (empty)"

    def children(self):
        return numbered(self.nodes())

    def display_hint(self):
        return "array"


class LibcxxVariant(Printer):
    def index(self):
        """The place of the member that is in use; None where none is."""
        implementation = self.value["__impl_"]
        index = field_path(implementation, "__index", "__index_")
        return None if int(index) == (1 << 8 * index.type.sizeof) - 1 or int(index) == -1 else int(index)

    def to_string(self):
        index = self.index()
        return "std::variant [no contained value]" if index is None else "std::variant [index %d]" % index

    def children(self):
        index = self.index()
        if index is None:
            return []
        union = field_path(self.value["__impl_"], "__data", "__data_")
        for _ in range(index):
            union = union["__tail"]
        return [("value", union["__head"]["__value"])]


class LibcxxTuple(Printer):
    def to_string(self):
        return "std::tuple"

    def children(self):
        base = self.value["__base_" if has_field(self.value.type.strip_typedefs(), "__base_") else "base_"]
        leaves = [field for field in base.type.strip_typedefs().fields() if field.is_base_class]
        for index, leaf in enumerate(leaves):
            leaf = base[leaf]
            # An element without a size is the base of its leaf.
            yield "[%d]" % index, leaf["__value_"] if has_field(leaf.type.strip_typedefs(), "__value_") else leaf


class LibcxxArray(Sequence):
    def size(self):
        # One without elements has bytes in their place.
        type_ = self.value["__elems_"].type.strip_typedefs()
        is_empty = re.search(r", 0(?:u?l*)?>$", self.value.type.strip_typedefs().name)
        return type_.range()[1] + 1 if type_.code == gdb.TYPE_CODE_ARRAY and not is_empty else 0

    def element(self, index):
        return self.value["__elems_"][index]

    def to_string(self):
        return "std::array"


class LibcxxBitset(Printer):
    def to_string(self):
        return "std::bitset"

    def children(self):
        size = int(self.value.type.strip_typedefs().template_argument(0))
        words = self.value["__first_"]
        is_array = words.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY
        word = words.type.strip_typedefs().target() if is_array else words.type
        bits = 8 * word.sizeof
        found = lambda index: int(words[index // bits] if is_array else words) >> index % bits & 1
        return (("[%d]" % index, 1) for index in range(size) if found(index))


class LibcxxSpan(Sequence):
    """std::span, std::initializer_list."""

    def size(self):
        type_ = self.value.type.strip_typedefs()
        for name in ("__size_", "__size"):
            if has_field(type_, name):
                return int(self.value[name])
        return int(type_.template_argument(1))

    def element(self, index):
        return pointed(field_path(self.value, "__begin_", "__data_", "__data") + index)

    def to_string(self):
        name = re.match(r"^std::(?:__\w+::)?(\w+)", self.value.type.strip_typedefs().name)[1]
        return "std::%s of length %d" % (name, self.size())


class LibcxxAdapter(Printer):
    """std::stack, std::queue, std::priority_queue."""

    def to_string(self):
        name = re.match(r"^std::(?:__\w+::)?(\w+)", self.value.type.strip_typedefs().name)[1]
        inner = gdb.default_visualizer(self.value["c"])
        return "std::%s wrapping: %s" % (name, inner.to_string() if inner else self.value["c"].type.name)

    def children(self):
        inner = gdb.default_visualizer(self.value["c"])
        return inner.children() if inner else []

    def display_hint(self):
        return "array"


def elements(number):
    return "1 element" if number == 1 else "%d elements" % number


LIBCXX = [
    (re.compile(r"^std::(?:__\w+::)?" + name), printer)
    for name, printer in [
        ("basic_string<", LibcxxString),
        ("basic_string_view<", LibcxxStringView),
        ("vector<bool, ", LibcxxVectorBool),
        ("vector<", LibcxxVector),
        ("(?:multi)?(?:map|set)<", LibcxxTree),
        ("unordered_(?:multi)?(?:map|set)<", LibcxxHash),
        ("list<", LibcxxList),
        ("unique_ptr<", LibcxxUniquePointer),
        ("shared_ptr<", LibcxxSharedPointer),
        ("weak_ptr<", LibcxxSharedPointer),
        ("optional<", LibcxxOptional),
        ("deque<", LibcxxDeque),
        ("forward_list<", LibcxxForwardList),
        ("variant<", LibcxxVariant),
        ("tuple<", LibcxxTuple),
        ("array<", LibcxxArray),
        ("bitset<", LibcxxBitset),
        ("(?:span|initializer_list)<", LibcxxSpan),
        ("(?:stack|queue|priority_queue)<", LibcxxAdapter),
    ]
]


def thin_pointer(value):
    """The pointer within Unique, NonNull and whatever else wraps one."""
    while value.type.strip_typedefs().code != gdb.TYPE_CODE_PTR:
        value = value[value.type.strip_typedefs().fields()[0]]
    return value


def first_field(value):
    return value[value.type.strip_typedefs().fields()[0]]


def field_path(value, *paths):
    """The first of these paths of members, joined by dots, that there is."""
    for path in paths:
        found = value
        try:
            for name in path.split("."):
                found = found[name]
        except gdb.error:
            continue
        return found
    raise gdb.error("There is no member named %s." % paths[0])


def plain_number(value):
    """The number within Cell, UnsafeCell, Cap, NonZero and whatever else wraps one."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        value = first_field(value)
    return int(value)


def initialized(value):
    """What is in MaybeUninit, ManuallyDrop and what they consist of."""
    while re.match(r"^core::mem::(?:\w+::)?(?:MaybeUninit|ManuallyDrop|MaybeDangling)<", value.type.strip_typedefs().name or ""):
        name = next((it for it in ("value", "__0") if has_field(value.type.strip_typedefs(), it)), None)
        if name is None:
            break
        value = value[name]
    return value


def rust_elements(pointer, type_, length):
    pointer = as_pointer(pointer, type_)
    return (pointed(pointer + index) for index in range(length))


def rust_text(pointer, length):
    if length == 0:
        return ""
    # That to a Path or OsStr leads to no bytes, by its type.
    return as_pointer(pointer, byte_type()).lazy_string(encoding="utf-8", length=length)


def byte_type():
    try:
        return gdb.lookup_type("u8")
    except gdb.error:
        return gdb.lookup_type("unsigned char")


class RustVec(Printer):
    def pointer(self):
        return thin_pointer(self.value["buf"])

    def to_string(self):
        return "Vec(size=%d)" % int(self.value["len"])

    def children(self):
        element = self.value.type.strip_typedefs().template_argument(0)
        return numbered(rust_elements(self.pointer(), element, int(self.value["len"])))

    def display_hint(self):
        return "array"


class RustVecDeque(RustVec):
    def capacity(self):
        return max(plain_number(field_path(self.value["buf"], "inner.cap", "cap")), 1)

    def first_and_length(self):
        if has_field(self.value.type.strip_typedefs(), "len"):
            return int(self.value["head"]), int(self.value["len"])
        first = int(self.value["tail"])
        return first, (int(self.value["head"]) - first) % self.capacity()

    def to_string(self):
        return "VecDeque(size=%d)" % self.first_and_length()[1]

    def children(self):
        first, length = self.first_and_length()
        elements = as_pointer(self.pointer(), self.value.type.strip_typedefs().template_argument(0))
        capacity = self.capacity()
        return numbered(pointed(elements + (first + index) % capacity) for index in range(length))


class RustBinaryHeap(RustVec):
    """The elements as they lie, the greatest one first."""

    def __init__(self, value):
        super().__init__(value["data"])

    def to_string(self):
        return "BinaryHeap(size=%d)" % int(self.value["len"])


class RustLinkedList(Printer):
    def to_string(self):
        return "LinkedList(size=%d)" % int(self.value["len"])

    def elements(self):
        place = self.value["head"]
        for _ in range(int(self.value["len"])):
            node = thin_pointer(first_field(active_variant(place)))
            yield node["element"]
            place = node["next"]

    def children(self):
        return numbered(self.elements())

    def display_hint(self):
        return "array"


class RustString(Printer):
    def to_string(self):
        vec = self.value["vec"]
        return rust_text(thin_pointer(vec["buf"]), int(vec["len"]))

    def display_hint(self):
        return "string"


class RustStr(Printer):
    def to_string(self):
        return rust_text(self.value["data_ptr"], int(self.value["length"]))

    def display_hint(self):
        return "string"


class RustOsString(RustString):
    """OsString and PathBuf."""

    def __init__(self, value):
        while not has_field(value.type.strip_typedefs(), "len"):
            value = first_field(value)
        super().__init__({"vec": value})


class RustSlice(Printer):
    def to_string(self):
        return "%s (size=%d)" % (self.value.type.name, int(self.value["length"]))

    def children(self):
        pointer = self.value["data_ptr"]
        return numbered(rust_elements(pointer, pointer.type.target(), int(self.value["length"])))

    def display_hint(self):
        return "array"


class RustHashMap(Printer):
    """hashbrown's table: the elements lie below the control bytes, the first one next to them."""

    def table(self):
        table = self.value["base"]
        for name in ("map", "table"):
            if has_field(table.type.strip_typedefs(), name):
                table = table[name]
        return table if re.match(r"^hashbrown::raw::.*RawTable<", table.type.name) else table["table"]

    def entries(self):
        table = self.table()
        entry = table.type.strip_typedefs().template_argument(0)
        inner = table["table"]
        control = thin_pointer(inner["ctrl"])
        elements = as_pointer(control, entry)
        for index in range(int(inner["bucket_mask"]) + 1):
            if int(control[index]) & 0x80 == 0:
                yield pointed(elements - index - 1)

    def size(self):
        return int(self.table()["table"]["items"])

    def to_string(self):
        return "HashMap(size=%d)" % self.size()

    def children(self):
        if self.size() == 0:
            return []
        return keyed((entry["__0"], entry["__1"]) for entry in self.entries())

    def display_hint(self):
        return "map"


class RustHashSet(RustHashMap):
    def to_string(self):
        return "HashSet(size=%d)" % self.size()

    def children(self):
        return numbered(entry["__0"] for entry in self.entries()) if self.size() else []

    def display_hint(self):
        return "array"


class RustBTreeMap(Printer):
    """A B-tree: `height` levels of inner nodes, whose first part is a leaf node."""

    def size(self):
        return int(self.value["length"])

    # What is read of each entry.
    PARTS = ("keys", "vals")

    def entries(self, node, height):
        leaf_type = node.type.target()
        inner_type = None
        if height:
            name = leaf_type.name.replace("::LeafNode<", "::InternalNode<", 1)
            inner_type = gdb.lookup_type(name)
        for index in range(int(node["len"]) + 1):
            if height:
                edge = as_pointer(node, inner_type)["edges"][index]["value"]
                yield from self.entries(as_pointer(thin_pointer(edge), leaf_type), height - 1)
            if index < int(node["len"]):
                yield tuple(initialized(node[name][index]) for name in self.PARTS)

    def to_string(self):
        return "BTreeMap(size=%d)" % self.size()

    def all_entries(self):
        if self.size() == 0:
            return []
        root = active_variant(self.value["root"])["__0"]
        return self.entries(thin_pointer(root["node"]), int(root["height"]))

    def children(self):
        return keyed(self.all_entries())

    def display_hint(self):
        return "map"


class RustBTreeSet(RustBTreeMap):
    PARTS = ("keys",)

    def __init__(self, value):
        super().__init__(value["map"])

    def to_string(self):
        return "BTreeSet(size=%d)" % self.size()

    def children(self):
        return numbered(entry[0] for entry in self.all_entries())

    def display_hint(self):
        return "array"


class RustRc(Printer):
    """Rc and Arc, also of slices, texts and trait objects."""

    def box(self):
        return thin_pointer(self.value["ptr"])

    def fat_pointer(self):
        """The structure of a pointer to a slice, a text or a trait object; None where it is thin."""
        value = self.value["ptr"]
        while value.type.strip_typedefs().code != gdb.TYPE_CODE_PTR:
            if any(has_field(value.type.strip_typedefs(), name) for name in ("length", "vtable")):
                return value
            value = first_field(value)
        return None

    def count(self, name):
        count = self.box()[name]
        while count.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
            count = count[count.type.strip_typedefs().fields()[0]]
        return int(count)

    def to_string(self):
        strong = self.count("strong")
        # All strong references together hold one weak one.
        return "%s(strong=%d, weak=%d)" % (self.name(), strong, self.count("weak") - (strong > 0))

    def name(self):
        return re.match(r"^alloc::(?:rc|sync)::(\w+)", self.value.type.strip_typedefs().name)[1]

    def children(self):
        box = self.box()
        value = box["value" if has_field(box.type.target().strip_typedefs(), "value") else "data"]
        fat = self.fat_pointer()
        if fat is None:
            return [("value", value)]
        if has_field(fat.type.strip_typedefs(), "vtable"):
            type_ = trait_object_type(fat["vtable"])
            return [("value", as_pointer(value.address, type_).dereference())] if type_ else []
        # Of a text each byte is an element to gdb.
        length = int(fat["length"])
        if re.search(r"<str\b", self.value.type.strip_typedefs().name):
            return [("value", rust_text(value.address, length))]
        return [("value", value.cast(value.type.array(length - 1)) if length else "[]")]


class RustWeak(RustRc):
    """What it refers to may refer back, so that it is not shown with it."""

    children = None

    def to_string(self):
        pointer = self.box()
        if int(pointer) in ((1 << 8 * pointer.type.sizeof) - 1, (1 << 64) - 1):
            return "%s(dangling)" % self.name()
        return super().to_string()


class RustCell(Printer):
    """Cell, RefCell, UnsafeCell, OnceCell: what is in it."""

    def to_string(self):
        name = re.match(r"^core::cell::(?:\w+::)*(\w+)", self.value.type.strip_typedefs().name)[1]
        if has_field(self.value.type.strip_typedefs(), "borrow"):
            return "%s(borrow=%d)" % (name, plain_number(self.value["borrow"]))
        return name

    def children(self):
        value = self.value["inner" if has_field(self.value.type.strip_typedefs(), "inner") else "value"]
        while re.match(r"^core::cell::UnsafeCell<", value.type.strip_typedefs().name or ""):
            value = value["value"]
        return [("value", value)]


class RustBorrow(Printer):
    """Ref and RefMut: what they lead to."""

    def to_string(self):
        return re.match(r"^core::cell::(\w+)", self.value.type.strip_typedefs().name)[1]

    def children(self):
        return [("value", pointed(thin_pointer(self.value["value"])))]


class RustNonZero(Printer):
    def to_string(self):
        return str(plain_number(self.value))


class RustEnums(Printer):
    """An array of enums with data: gdb 13 ends with an internal error when it is asked to print one itself."""

    def elements(self):
        first, last = self.value.type.strip_typedefs().range()
        element = self.value.type.strip_typedefs().target()
        start = as_pointer(self.value.address, element)
        return (pointed(start + index) for index in range(last - first + 1))

    def to_string(self):
        return None

    def children(self):
        return numbered(self.elements())

    def display_hint(self):
        return "array"


def trait_object_type(vtable):
    """The type of the object that has this virtual table, by the table's symbol; None without one."""
    found = re.search(r"<<(.*) as .*>::\{vtable(?:_type)?\}(?:\+\d+)?>", vtable.format_string(symbols=True, raw=True))
    try:
        return gdb.lookup_type(found[1]) if found else None
    except gdb.error:
        return None


def active_variant(value):
    """The struct of the variant that an enum's value has: gdb leaves only its field, after the discriminant."""
    fields = [field for field in value.type.fields() if not field.artificial]
    return value[fields[-1]]


RUST = [
    (re.compile(pattern), printer)
    for pattern, printer in [
        (r"^alloc::vec::Vec<", RustVec),
        (r"^alloc::string::String$", RustString),
        (r"^alloc::collections::vec_deque::VecDeque<", RustVecDeque),
        (r"^alloc::collections::binary_heap::BinaryHeap<", RustBinaryHeap),
        (r"^alloc::collections::linked_list::LinkedList<", RustLinkedList),
        (r"^&(?:mut )?(?:str|std::path::Path|std::ffi::os_str::OsStr)$|^alloc::boxed::Box<str\b", RustStr),
        (r"^std::(?:path::PathBuf|ffi::os_str::OsString)$", RustOsString),
        (r"^&(?:mut )?\[.*\]$|^alloc::boxed::Box<\[", RustSlice),
        (r"^std::collections::hash::map::HashMap<", RustHashMap),
        (r"^std::collections::hash::set::HashSet<", RustHashSet),
        (r"^alloc::collections::btree::map::BTreeMap<", RustBTreeMap),
        (r"^alloc::collections::btree::set::BTreeSet<", RustBTreeSet),
        (r"^alloc::(?:rc::Rc|sync::Arc)<", RustRc),
        (r"^alloc::(?:rc|sync)::Weak<", RustWeak),
        (r"^core::cell::(?:once::)?(?:Ref|Unsafe|Once)?Cell<", RustCell),
        (r"^core::cell::Ref(?:Mut)?<", RustBorrow),
        (r"^core::num::nonzero::NonZero", RustNonZero),
    ]
]


class Guarded:
    """A printer whose failure is text: what it is asked to print may never have been initialized."""

    def __init__(self, printer):
        self.printer = printer
        self.text, self.failed = None, False
        for name in ("children", "display_hint"):
            if getattr(printer, name, None):
                setattr(self, name, getattr(self, "guarded_" + name))

    def to_string(self):
        if self.text is None:
            try:
                self.text = self.printer.to_string()
            except (gdb.error, RuntimeError, ValueError, OverflowError) as error:
                self.failed = True
                optimized_out = str(error) == "value has been optimized out"
                self.text = "<optimized out>" if optimized_out else "<%s>" % error
        return self.text

    def guarded_display_hint(self):
        # gdb asks for it first, and puts into quotes what is said to be a string.
        hint = self.printer.display_hint()
        if hint == "string":
            self.to_string()
        return None if self.failed else hint

    def guarded_children(self):
        try:
            for name, child in self.printer.children():
                if isinstance(child, gdb.Value) and child.is_lazy:
                    child.fetch_lazy()
                yield name, child
        except (gdb.error, RuntimeError, ValueError, OverflowError):
            return


def find_container(value):
    type_ = value.type.strip_typedefs()
    if is_array_of_enums(type_) and value.address is not None:
        return Guarded(RustEnums(value))
    if type_.code != gdb.TYPE_CODE_STRUCT or type_.name is None:
        return None
    printer = printer_of(value, LIBCXX + RUST)
    return Guarded(printer) if printer else None


def printer_of(value, printers):
    for pattern, printer in printers:
        if pattern.match(value.type.strip_typedefs().name):
            return printer(value)
    return None


def is_array_of_enums(type_):
    """Is it an array, of however many dimensions, whose elements have variants?"""
    if type_.code != gdb.TYPE_CODE_ARRAY:
        return False
    while type_.code == gdb.TYPE_CODE_ARRAY:
        type_ = type_.target().strip_typedefs()
    # The discriminant, which has no name, comes first in what gdb makes of a variant part.
    fields = type_.fields() if type_.code == gdb.TYPE_CODE_STRUCT else []
    return bool(fields) and (type_.dynamic or fields[0].artificial and fields[0].name is None)


find_container.name = "wasmscope"
gdb.pretty_printers.append(find_container)
