# The types of Rust's standard library, and its enums, whose variants lldb shows all at once.


def thin_pointer(value):
    """The pointer within Unique, NonNull and whatever else wraps one."""
    while value.IsValid() and not is_pointer(value.GetType()):
        value = raw(value.GetChildAtIndex(0))
    return value


def fat_pointer(value):
    """The structure of a pointer to a slice, a text or a trait object within Unique, NonNull and whatever else wraps it;
    invalid where the pointer is thin."""
    while value.IsValid() and not is_pointer(value.GetType()):
        if any(field(value, name).IsValid() for name in ("length", "vtable")):
            return value
        value = raw(value.GetChildAtIndex(0))
    return lldb.SBValue()


def innermost(value):
    """The scalar within Cell, UnsafeCell, Cap and whatever else wraps one."""
    while value.GetNumChildren():
        value = raw(value.GetChildAtIndex(0))
    return value


def plain_number(value):
    return number(innermost(value))


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
        return computed(self.raw.CreateValueFromData(name, data, type_))


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


class RustBinaryHeap(RustVec):
    """The elements as they lie, the greatest one first."""

    def update(self):
        super().update()
        self.raw = field(self.raw, "data")
        self.count = self.size() if self.raw.IsValid() else 0
        return False

    def size(self):
        vec = field(self.raw, "data")
        return number(field(vec if vec.IsValid() else self.raw, "len"))


class RustLinkedList(Linked):
    def size(self):
        return number(field(self.raw, "len"))

    def walked(self):
        place = field(self.raw, "head")
        for _ in range(self.size()):
            pointer = thin_pointer(field(active_variant(place)[1], "__0"))
            if not pointer.IsValid() or not address_of(pointer):
                return
            node = self.object("node", address_of(pointer), pointee(pointer.GetType()))
            yield field(node, "element")
            place = field(node, "next")

    def element(self, index):
        node = self.node(index)
        return self.named(node, "[%d]" % index) if node.IsValid() else None


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
        self.pointer = pointer.GetType()
        yield from self.visited(address_of(pointer), number(field(root, "height")), pointee(self.pointer))

    def visited(self, address, height, leaf):
        node = self.object("node", address, leaf)
        length = number(field(node, "len"))
        # lldb spells the numbers in a type's name otherwise than the compiler, so that it does not find InternalNode by
        # LeafNode's name. But this is `repr(C)`: the leaf, and behind it pointers to the nodes between the keys.
        size = self.pointer.GetByteSize()
        for index in range(min(length, 11) + 1):
            if height:
                edge = self.object("edge", address + leaf.GetByteSize() + index * size, self.pointer)
                yield from self.visited(address_of(edge), height - 1, leaf)
            if index < length:
                yield node, index

    def node(self, index):
        if self.walk is None:
            self.walk = self.walked()
        while len(self.nodes) <= index:
            found = next(self.walk, None)
            if found is None:
                return None
            self.nodes.append(found)
        return self.nodes[index]

    def element(self, index):
        found = self.node(index)
        if found is None:
            return None
        node, position = found
        # There is no type of a pair. This one tells where the entry is.
        type_ = node.GetType().GetArrayType(position + 1)
        return self.raw.CreateValueFromAddress("[%d]" % index, node.GetLoadAddress(), type_)


class RustBTreeEntry(Container):
    """The last entry of those that an array of nodes stands for: see `RustBTreeMap.element`."""

    NAMES = ("__0", "__1")

    def size(self):
        return 2

    def get_type_name(self):
        names = [template_argument(self.raw.GetType().GetArrayElementType(), index).GetName() or "?" for index in (0, 1)]
        return "(%s, %s)" % tuple(names)

    def get_child_index(self, name):
        return self.NAMES.index(name) if name in self.NAMES else -1

    def element(self, index):
        type_ = self.raw.GetType().GetCanonicalType()
        leaf = type_.GetArrayElementType()
        position = type_.GetByteSize() // leaf.GetByteSize() - 1
        found = entry_part(self.object("node", self.raw.GetLoadAddress(), leaf), position, index)
        return self.named(found, self.NAMES[index])


def entry_part(node, position, index):
    """The key, or for the index 1 the value, of an entry of a node."""
    found = unwrapped(raw(field(node, ("keys", "vals")[index]).GetChildAtIndex(position)))
    if not found.IsValid():
        # Values of no size at the node's end: lldb drops the array.
        found = raw(node.CreateValueFromAddress("value", node.GetLoadAddress(), template_argument(node.GetType(), index)))
    return found


def matches_tree_entry(type_, _):
    type_ = type_.GetCanonicalType()
    leaf = "alloc::collections::btree::node::LeafNode<"
    return type_.IsArrayType() and bare_name(type_.GetArrayElementType()).startswith(leaf)


class RustBTreeSet(RustBTreeMap):
    def __init__(self, value, _=None):
        super().__init__(value)
        self.raw = field(self.raw, "map")

    def update(self):
        super().update()
        self.raw = field(object_of(self.value), "map")
        self.count = self.size()
        return False

    def element(self, index):
        found = self.node(index)
        return self.named(entry_part(*found, 0), "[%d]" % index) if found else None


class RustRc(Container):
    """Rc and Arc, also of slices, texts and trait objects."""

    NAMES = ("value", "strong", "weak")

    def pointers(self):
        """(the fat pointer, invalid where it is thin; that to the counts and the value)"""
        pointer = field(self.raw, "ptr")
        return fat_pointer(pointer), thin_pointer(pointer)

    def box(self):
        pointer = self.pointers()[1]
        return self.object("box", address_of(pointer), pointee(pointer.GetType()))

    def size(self):
        return 3

    def counts(self):
        """(strong, weak): all strong references together hold one weak one."""
        box = self.box()
        strong, weak = (plain_number(field(box, name)) for name in ("strong", "weak"))
        return strong, weak - (strong > 0)

    def summary(self):
        counts = "strong=%d, weak=%d" % self.counts()
        text = self.text()
        return counts if text is None else "%s %s" % (text, counts)

    def text(self):
        """What an Rc<str> holds, of what type the object of an Rc<dyn ...> is."""
        fat = self.pointers()[0]
        vtable = field(fat, "vtable") if fat.IsValid() else lldb.SBValue()
        if vtable.IsValid():
            return trait_object(self.raw, vtable)[0]
        if not fat.IsValid() or not re.search(r"[<:]str>*$", fat.GetType().GetName() or ""):
            return None
        return read_text(self.raw, self.place(), number(field(fat, "length")), "utf-8")

    def place(self):
        return field(self.box(), "value", "data").GetLoadAddress()

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return 0
        return self.NAMES.index(name) if name in self.NAMES else -1

    def element(self, index):
        box = self.box()
        name = self.NAMES[index]
        if index == 0:
            return self.held(box)
        return self.named(innermost(field(box, name)), name)

    def held(self, box):
        fat = self.pointers()[0]
        value = field(box, "value", "data")
        length = field(fat, "length") if fat.IsValid() else lldb.SBValue()
        if length.IsValid():
            return at(self.raw, "value", self.place(), value.GetType().GetArrayType(number(length)))
        type_ = trait_object(self.raw, field(fat, "vtable"))[1] if fat.IsValid() else lldb.SBType()
        return at(self.raw, "value", self.place(), type_) if type_.IsValid() else self.named(value, "value")


class RustWeak(RustRc):
    """What it refers to is found by name, but not shown: that may refer back."""

    def dangling(self):
        pointer = self.pointers()[1]
        size = pointer.GetType().GetByteSize()
        return address_of(pointer) in ((1 << 8 * size) - 1, (1 << 64) - 1)

    def size(self):
        return 0

    def has_children(self):
        return False

    def summary(self):
        return "dangling" if self.dangling() else super().summary()

    def text(self):
        return None

    def get_child_index(self, name):
        return -1 if self.dangling() else super().get_child_index(name)


def trait_object(value, vtable):
    """(name, type) of the object that has this virtual table, by the table's symbol; (None, invalid) without one."""
    target = value.GetTarget()
    symbol = target.ResolveLoadAddress(address_of(vtable)).GetSymbol().GetName() or ""
    name = re.match(r"^<(.*) as .*>::\{vtable(?:_type)?\}$", symbol)
    return (name[1], target.FindFirstType(name[1])) if name else (None, lldb.SBType())


class RustTraitObject(Container):
    """A pointer and a virtual table; beside them the object, if the table's symbol names its type."""

    NAMES = ("pointer", "vtable", "object")

    def type(self):
        return trait_object(self.raw, field(self.raw, "vtable"))

    def size(self):
        return 3 if self.type()[1].IsValid() else 2

    def summary(self):
        return self.type()[0] or ""

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return 2 if self.count == 3 else -1
        return self.NAMES.index(name) if name in self.NAMES[: self.count] else -1

    def element(self, index):
        name = self.NAMES[index]
        if index == 2:
            return at(self.raw, name, address_of(field(self.raw, "pointer")), self.type()[1])
        return self.named(field(self.raw, name), name)


class RustBorrow(Container):
    """Ref and RefMut: what they lead to."""

    def size(self):
        return 1

    def summary(self):
        return ""

    def get_child_index(self, name):
        return 0 if name in ("value", "$$dereference$$") else -1

    def element(self, _):
        pointer = thin_pointer(field(self.raw, "value"))
        return at(self.raw, "value", address_of(pointer), pointee(pointer.GetType()))


class RustNonZero(Container):
    """A number that is not zero."""

    def size(self):
        return 0

    def has_children(self):
        return False

    def summary(self):
        value = innermost(self.raw)
        return str(value.GetValueAsSigned() if is_signed(value.GetType()) else value.GetValueAsUnsigned())


def is_signed(type_):
    return type_.GetBasicType() in (
        lldb.eBasicTypeSignedChar,
        lldb.eBasicTypeChar,
        lldb.eBasicTypeShort,
        lldb.eBasicTypeInt,
        lldb.eBasicTypeLong,
        lldb.eBasicTypeLongLong,
    )


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
    return innermost(value).GetValueAsSigned()


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
        # Of a field without a size, the `()` of `Ok(())`, lldb has no value.
        self.empty = not raw(self.fields.GetChildAtIndex(0)).GetName()
        self.count = 0 if self.empty else self.fields.GetNumChildren()
        self.elements = {}
        return False

    def tuple(self):
        return self.count and (self.fields.GetChildAtIndex(0).GetName() or "").startswith("__")

    def summary(self):
        self.update()
        if not self.count:
            return self.name + ("(())" if self.empty and self.fields.GetNumChildren() else "")
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


def rust_os_string_text(value):
    vec = field(object_of(value), "inner.inner.inner", "inner.inner", "inner")
    while vec.IsValid() and not field(vec, "len").IsValid():
        vec = field(vec, "inner")
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
        (r"^alloc::collections::binary_heap::BinaryHeap<", RustBinaryHeap),
        (r"^alloc::collections::linked_list::LinkedList<", RustLinkedList),
        (r"^alloc::(?:rc::Rc|sync::Arc)<", RustRc),
        (r"^alloc::(?:rc|sync)::Weak<", RustWeak),
        (r"^(?:&(?:mut )?|\*(?:const|mut) |alloc::boxed::Box<)dyn ", RustTraitObject),
        (r"^core::cell::(?:Ref|Unsafe|Once)?Cell<", RustCell),
        (r"^core::cell::Ref(?:Mut)?<", RustBorrow),
        (r"^core::num::nonzero::NonZero", RustNonZero),
    ]
]
TEXTS += [
    (re.compile(r"^alloc::string::String$"), rust_string_text),
    (re.compile(r"^&(?:mut )?(?:str|std::path::Path|std::ffi::os_str::OsStr)$|^alloc::boxed::Box<str"), rust_str_text),
    (re.compile(r"^std::(?:path::PathBuf|ffi::os_str::OsString)$"), rust_os_string_text),
]


def bare_name(type_):
    return type_.GetCanonicalType().GetUnqualifiedType().GetName() or ""


def is_native(type_):
    """Does the type belong to a program on disk? lldb's own formatters serve the C++ containers of those."""
    module = type_.GetModule()
    return module.IsValid() and not is_registered(module)


def is_enum(type_):
    fields = type_.GetNumberOfFields()
    return fields > 0 and type_.GetFieldAtIndex(0).GetName() == "$variants$"


def is_record(type_):
    """Is it a structure, or a pointer or reference to one? Arrays, functions and pointers to them begin with the same name, and so
    do the structures that stand for pointers in memory."""
    type_ = type_.GetCanonicalType()
    while type_.IsPointerType() or type_.IsReferenceType():
        type_ = (type_.GetPointeeType() if type_.IsPointerType() else type_.GetDereferencedType()).GetCanonicalType()
    return type_.GetTypeClass() in RECORDS and not is_pointer_structure(type_)


def container_class(type_):
    type_ = type_.GetCanonicalType()
    if not is_record(type_):
        return None
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
    # A name alone does not tell whose type it is.
    return (container_class(object_of(value).GetType()) or Record)(value)


def container_summary(value, _):
    provider = container_class(object_of(value).GetType())
    return provider(raw(value)).summary() if provider else ""


def text_of(type_):
    name = bare_name(type_)
    if name.startswith("std::") and is_native(type_) or not is_record(type_):
        return None
    return next((text for pattern, text in TEXTS if pattern.match(name)), None)


def matches_text(type_, _):
    return text_of(type_) is not None


def text_summary(value, _):
    # A name alone does not tell whose type it is.
    text = text_of(object_of(value).GetType())
    return text(raw(value)) if text else ""
