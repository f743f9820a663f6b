# The types of Rust's standard library, and its enums, whose variants lldb shows all at once.


def thin_pointer(value):
    """The pointer within Unique, NonNull and whatever else wraps one."""
    while value.IsValid() and not is_pointer(value.GetType()):
        value = raw(value.GetChildAtIndex(0))
    return value


def plain_number(value):
    """The number within Cell, UnsafeCell, Cap and whatever else wraps one."""
    while value.GetNumChildren():
        value = raw(value.GetChildAtIndex(0))
    return number(value)


def unwrapped(value):
    """What is in MaybeUninit, ManuallyDrop and what they consist of."""
    while re.match(r"^core::mem::(?:\w+::)?(?:MaybeUninit|ManuallyDrop|MaybeDangling)<", bare_name(value.GetType())):
        inner = field(value, "value", "__0")
        if not inner.IsValid():
            break
        value = inner
    return value


class RustElements(Container):
    """Elements of a type that a template argument names: of a pointer it is the debugger's own, wider one."""

    def narrow(self, pointer):
        return is_pointer_structure(pointer.GetType().GetCanonicalType())

    def stride(self, pointer, type_):
        return 4 if type_.IsPointerType() and self.narrow(pointer) else type_.GetByteSize()

    def placed(self, name, pointer, address, type_):
        if not (type_.IsPointerType() and self.narrow(pointer)):
            return at(self.raw, name, address, type_)
        error = lldb.SBError()
        process = self.raw.GetProcess()
        target = process.ReadUnsignedFromMemory(host_address(address, process), 4, error)
        data = lldb.SBData.CreateDataFromUInt64Array(lldb.eByteOrderLittle, 8, [target])
        return self.raw.CreateValueFromData(name, data, type_)


class RustVec(RustElements):
    def parts(self):
        """(pointer to the first element, its type)"""
        return thin_pointer(field(self.raw, "buf")), template_argument(self.raw.GetType(), 0)

    def size(self):
        return number(field(self.raw, "len"))

    def place(self, index):
        return index

    def element(self, index):
        pointer, type_ = self.parts()
        address = address_of(pointer) + self.place(index) * self.stride(pointer, type_)
        return self.placed("[%d]" % index, pointer, address, type_)


class RustVecDeque(RustVec):
    def capacity(self):
        return plain_number(field(self.raw, "buf.inner.cap", "buf.cap"))

    def size(self):
        length = field(self.raw, "len")
        if length.IsValid():
            return number(length)
        return (number(field(self.raw, "head")) - number(field(self.raw, "tail"))) % max(self.capacity(), 1)

    def place(self, index):
        first = field(self.raw, "head") if field(self.raw, "len").IsValid() else field(self.raw, "tail")
        return (number(first) + index) % max(self.capacity(), 1)


class RustSlice(RustElements):
    def size(self):
        return number(field(self.raw, "length"))

    def element(self, index):
        pointer = field(self.raw, "data_ptr")
        type_ = pointee(pointer.GetType())
        return at(self.raw, "[%d]" % index, address_of(pointer) + index * type_.GetByteSize(), type_)


class RustHashMap(Linked):
    """hashbrown's table: the elements lie below the control bytes, the first one next to them."""

    def table(self):
        table = field(self.raw, "base")
        for name in ("map", "table"):
            inner = field(table, name)
            table = inner if inner.IsValid() else table
        return table

    def size(self):
        return number(field(self.table(), "table.items"))

    def walked(self):
        table = self.table()
        entry = template_argument(table.GetType(), 0)
        inner = field(table, "table")
        control = address_of(thin_pointer(field(inner, "ctrl")))
        buckets = number(field(inner, "bucket_mask")) + 1
        process = self.raw.GetProcess()
        error = lldb.SBError()
        states = process.ReadMemory(host_address(control, process), min(buckets, 1 << 20), error)
        for index, state in enumerate(states or b""):
            if state & 0x80 == 0:
                yield self.object("entry", control - (index + 1) * entry.GetByteSize(), entry)

    def element(self, index):
        node = self.node(index)
        return self.named(node, "[%d]" % index) if node.IsValid() else None


class RustHashSet(RustHashMap):
    def element(self, index):
        node = self.node(index)
        return self.named(field(node, "__0"), "[%d]" % index) if node.IsValid() else None


class RustBTreeMap(Linked):
    """A B-tree: `height` levels of inner nodes, whose first part is a leaf node."""

    def size(self):
        return number(field(self.raw, "length"))

    def walked(self):
        root = field(active_variant(field(self.raw, "root"))[1], "__0")
        pointer = thin_pointer(field(root, "node"))
        leaf = pointee(pointer.GetType())
        name = leaf.GetCanonicalType().GetName().replace("::LeafNode<", "::InternalNode<", 1)
        inner = self.raw.GetTarget().FindFirstType(name)
        yield from self.visited(address_of(pointer), number(field(root, "height")), leaf, inner)

    def visited(self, address, height, leaf, inner):
        node = self.object("node", address, leaf)
        keys, values = field(node, "keys"), field(node, "vals")
        length = number(field(node, "len"))
        edges = field(self.object("node", address, inner), "edges") if height and inner.IsValid() else None
        for index in range(min(length, 11) + 1):
            if edges is not None:
                edge = thin_pointer(raw(edges.GetChildAtIndex(index)))
                yield from self.visited(address_of(edge), height - 1, leaf, inner)
            if index < length:
                value = unwrapped(raw(values.GetChildAtIndex(index)))
                if not value.IsValid():
                    # Values of no size at the node's end: lldb drops the array.
                    value = self.object("value", address, template_argument(self.raw.GetType(), 1))
                yield unwrapped(raw(keys.GetChildAtIndex(index))), value

    def node(self, index):
        if self.walk is None:
            self.walk = self.walked()
        while len(self.nodes) <= index:
            found = next(self.walk, None)
            if found is None:
                return None
            self.nodes.append(found)
        return self.nodes[index]

    def num_children(self, limit=MAX_CHILDREN):
        return min(2 * self.count, limit)

    def element(self, index):
        parts = self.node(index // 2)
        return self.named(parts[index % 2], "[%d]" % index) if parts else None


class RustBTreeSet(RustBTreeMap):
    def __init__(self, value, _=None):
        super().__init__(value)
        self.raw = field(self.raw, "map")

    def update(self):
        super().update()
        self.raw = field(object_of(self.value), "map")
        self.count = self.size()
        return False

    def num_children(self, limit=MAX_CHILDREN):
        return min(self.count, limit)

    def element(self, index):
        parts = self.node(index)
        return self.named(parts[0], "[%d]" % index) if parts else None


class RustRc(Container):
    NAMES = ("value", "strong", "weak")

    def box(self):
        pointer = thin_pointer(field(self.raw, "ptr"))
        return self.object("box", address_of(pointer), pointee(pointer.GetType()))

    def size(self):
        return 3

    def summary(self):
        box = self.box()
        # All strong references together hold one weak one.
        return "strong=%d, weak=%d" % (plain_number(field(box, "strong")), plain_number(field(box, "weak")) - 1)

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return 0
        return self.NAMES.index(name) if name in self.NAMES else -1

    def element(self, index):
        box = self.box()
        name = self.NAMES[index]
        if index == 0:
            return self.named(field(box, "value", "data"), "value")
        value = field(box, name)
        while value.GetNumChildren():
            value = raw(value.GetChildAtIndex(0))
        return self.named(value, name)


class RustCell(Container):
    """Cell, RefCell, UnsafeCell: what is in it."""

    def size(self):
        return 1

    def summary(self):
        borrow = field(self.raw, "borrow")
        return "borrow=%d" % plain_signed(borrow) if borrow.IsValid() else ""

    def get_child_index(self, name):
        return 0 if name in ("value", "$$dereference$$") else -1

    def element(self, _):
        value = field(self.raw, "value")
        inner = field(value, "value")
        return self.named(inner if inner.IsValid() else value, "value")


def plain_signed(value):
    while value.GetNumChildren():
        value = raw(value.GetChildAtIndex(0))
    return value.GetValueAsSigned()


def placed_discriminant(enum, discriminant):
    """The discriminant where it lies: lldb 19 reads it at the start of the enum, and its type's name tells another place."""
    type_ = discriminant.GetType()
    place = re.match(r"^__wasm_discriminant_at_(\d+)$", type_.GetName() or "")
    return raw(enum.CreateChildAtOffset("$discr$", int(place[1]), type_)) if place else discriminant


def active_variant(value):
    """(name, fields) of the variant that an enum's value has."""
    union = raw(value.GetChildAtIndex(0))
    found = lldb.SBValue()
    for index in range(union.GetNumChildren()):
        variant = raw(union.GetChildAtIndex(index))
        discriminant = placed_discriminant(value, field(variant, "$discr$"))
        wanted = variant.GetName()[len("$variant$") :]
        if not discriminant.IsValid() or not wanted:
            found = variant if not found.IsValid() else found
            continue
        mask = (1 << discriminant.GetType().GetByteSize() * 8) - 1
        if int(wanted) & mask == number(discriminant) & mask:
            found = variant
            break
    fields = field(found, "value")
    type_name = fields.GetType().GetCanonicalType().GetName() or "?"
    own = (value.GetType().GetCanonicalType().GetName() or "") + "::"
    name = re.match(r"^\w*", type_name[len(own) :] if type_name.startswith(own) else type_name.rsplit("::", 1)[-1])
    return name[0], fields


class RustEnum(Container):
    """An enum with data: the fields of its variant."""

    def update(self):
        self.raw = object_of(self.value)
        self.name, self.fields = active_variant(self.raw)
        self.count = self.fields.GetNumChildren()
        self.elements = {}
        return False

    def tuple(self):
        return self.count and (self.fields.GetChildAtIndex(0).GetName() or "").startswith("__")

    def summary(self):
        self.update()
        if not self.count:
            return self.name
        texts = []
        for index in range(self.count):
            child = self.get_child_at_index(index)
            child.SetPreferSyntheticValue(True)
            text = child.GetSummary() or child.GetValue() or "{...}"
            texts.append(text if self.tuple() else "%s:%s" % (child.GetName(), text))
        return self.name + ("(%s)" if self.tuple() else "{%s}") % ", ".join(texts)

    def get_child_index(self, name):
        for index in range(self.count):
            if self.fields.GetChildAtIndex(index).GetName() in (name, "__" + name):
                return index
        return self.count if name == "$variants$" else -1

    def element(self, index):
        if index == self.count:
            return raw(self.raw.GetChildAtIndex(0))
        child = raw(self.fields.GetChildAtIndex(index))
        return self.named(child, re.sub(r"^__(\d+)$", r"\1", child.GetName()))


def rust_string_text(value):
    vec = field(object_of(value), "vec")
    return read_text(value, address_of(thin_pointer(field(vec, "buf"))), number(field(vec, "len")), "utf-8")


def rust_str_text(value):
    value = object_of(value)
    return read_text(value, address_of(field(value, "data_ptr")), number(field(value, "length")), "utf-8")


RUST = [
    (re.compile(pattern), provider)
    for pattern, provider in [
        (r"^alloc::vec::Vec<", RustVec),
        (r"^alloc::collections::vec_deque::VecDeque<", RustVecDeque),
        (r"^&(?:mut )?\[.*\]$|^alloc::boxed::Box<\[", RustSlice),
        (r"^std::collections::hash::map::HashMap<", RustHashMap),
        (r"^std::collections::hash::set::HashSet<", RustHashSet),
        (r"^alloc::collections::btree::map::BTreeMap<", RustBTreeMap),
        (r"^alloc::collections::btree::set::BTreeSet<", RustBTreeSet),
        (r"^alloc::(?:rc::Rc|sync::Arc)<(?!str|\[|dyn )", RustRc),
        (r"^core::cell::(?:Ref|Unsafe|Once)?Cell<", RustCell),
    ]
]
TEXTS += [
    (re.compile(r"^alloc::string::String$"), rust_string_text),
    (re.compile(r"^&(?:mut )?str$|^alloc::boxed::Box<str"), rust_str_text),
]


def bare_name(type_):
    return type_.GetCanonicalType().GetUnqualifiedType().GetName() or ""


def is_native(type_):
    """Does the type belong to a program on disk? lldb's own formatters serve the C++ containers of those."""
    module = type_.GetModule()
    return module.IsValid() and not (module.GetFileSpec().GetFilename() or "").startswith("JIT(")


def is_enum(type_):
    fields = type_.GetNumberOfFields()
    return fields > 0 and type_.GetFieldAtIndex(0).GetName() == "$variants$"


def container_class(type_):
    type_ = type_.GetCanonicalType()
    name = bare_name(type_)
    if name.startswith("std::") and not is_native(type_):
        for pattern, provider in LIBCXX:
            if pattern.match(name):
                return provider
    for pattern, provider in RUST:
        if pattern.match(name):
            return provider
    return RustEnum if is_enum(type_) else None


def matches_container(type_, _):
    return container_class(type_) is not None


def container(value, _):
    return container_class(object_of(value).GetType())(value)


def container_summary(value, _):
    provider = container_class(object_of(value).GetType())(raw(value))
    return provider.summary()


def text_of(type_):
    name = bare_name(type_)
    if name.startswith("std::") and is_native(type_):
        return None
    return next((text for pattern, text in TEXTS if pattern.match(name)), None)


def matches_text(type_, _):
    return text_of(type_) is not None


def text_summary(value, _):
    return text_of(object_of(value).GetType())(raw(value))
