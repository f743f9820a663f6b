"""wasmscope's formatters and commands for lldb: what lldb itself cannot know of a WebAssembly program.

A guest pointer that lies in memory has 4 bytes, and lldb reads 8 for every pointer. The debug information therefore
calls it a structure with one member, `__address`. Here the members and elements of that kind become real pointers
again, with a pointer type, a value, children, and the text of a `char *`; scripts find nothing unusual in them.

    wasm-memory     where linear memory lies and which part of it pointers can be followed into
    wasm-call       calls a guest function, by name or through a pointer: wasm-call add(1, 2)
    wasm-trap       which trap of WebAssembly the signal that stopped the program stands for
    wasm-step       steps into what a std::function calls
    wasm-externref  the host value that a reference leads to, and how many references there are
"""

import re

import lldb

MEMBER = "__address"
# The members of a structure in which lldb finds a result.
REGISTER, RESULT = "__register", "__value"
RECORDS = (lldb.eTypeClassStruct, lldb.eTypeClassClass, lldb.eTypeClassUnion)
CHARACTERS = (lldb.eBasicTypeChar, lldb.eBasicTypeSignedChar, lldb.eBasicTypeUnsignedChar)
MAX_CHILDREN = 10_000
# As many children are asked for by who asks for all.
PRINTED = 0x7FFFFFFF


def mappings(process):
    """The mappings of the process, or of the one that left the core file."""
    # Old versions do not say.
    core = process.GetCoreFile() if hasattr(process, "GetCoreFile") else lldb.SBFileSpec()
    return mappings_of_core(core.fullpath) if core.IsValid() else mappings_of_process(process.GetProcessID())


BASES = {}


def memory_base(process):
    """The host address through which the guest reaches wasm address 0; None where there is no memory."""
    key = (process.GetProcessID(), process.GetUniqueID())
    if key not in BASES:
        try:
            base = LinearMemories(mappings(process)).base()
        except OSError:
            return None
        if base is None:
            return None
        BASES[key] = base
    return BASES[key]


def host_address(address, process):
    """Where the guest reaches the bytes of a wasm address; an address of the host stays as it is.

    A memory and its identity map have the same bytes, but lldb keeps what it has read by address: what is written at one
    would not be seen at the other. Nor would a watchpoint at one see accesses through the other.
    """
    base = memory_base(process)
    return address if base is None or address >= 1 << 32 else base + address


class MemoryCache:
    """Lets lldb keep what it reads of the process's memory until it goes on, all of it if each guest variable has one address.

    If the guest does not use the identity map, its variables have a second address there, where pointers lead, and what is
    written at one must be read at the other. But lldb 19 takes the answer to a read of a single byte that is `+` or `-` for an
    acknowledgement, and waits for another one. So it keeps lines of two bytes then: what is larger it does not keep.
    """

    LINE = "settings set target.process.memory-cache-line-size %d"

    def __init__(self, debugger):
        self.debugger = debugger
        self.process = None

    def stopped(self, context, _stream):
        process = context.GetProcess()
        if process.GetUniqueID() != self.process:
            base = memory_base(process)
            if base is not None:
                self.process = process.GetUniqueID()
                # In force from when the process goes on.
                self.debugger.HandleCommand(self.LINE % (2 if base else 512))
                self.debugger.HandleCommand("settings set target.process.disable-memory-cache false")
                if base:
                    # A `char *` may lead below the identity map, where lldb finds no text and shows an empty one.
                    self.debugger.HandleCommand(
                        "type summary add -w wasmscope -F {0}.pointer_summary --recognizer-function "
                        "{0}.matches_text_pointer".format(__name__)
                    )


def say(context, sentence):
    """Says something at a stop. What a hook writes to its own stream, editors do not see."""
    output = context.GetTarget().GetDebugger().GetOutputFile()
    output.Write((sentence + "\n").encode())
    output.Flush()


class OtherInstance:
    """Says that pointers are not followed into the memory of the instance that runs."""

    # How many frames are looked at for a variable that tells the memory.
    MOST_FRAMES = 30

    def __init__(self):
        self.announced = None

    def stopped(self, context, _stream):
        thread = context.GetThread()
        try:
            memories = LinearMemories(mappings(context.GetProcess()))
        except OSError:
            return
        if not memories.others or not thread.IsValid():
            return
        own = None
        for index in range(min(thread.GetNumFrames(), self.MOST_FRAMES)):
            variables = thread.GetFrameAtIndex(index).GetVariables(True, True, False, True)
            own = memories.memory_of(
                raw(variable).GetLoadAddress()
                for variable in variables
                # A pointer is a computed value, which lldb gives for its address.
                if not variable.GetType().GetCanonicalType().IsPointerType() and not variable.GetType().IsReferenceType()
            )
            if own is not None:
                break
        if own and self.announced != (thread.GetThreadID(), own):
            say(
                context,
                "note: the instance that runs has its memory at 0x%x, without an identity map: its variables are right, its "
                "pointers lead into memory 0" % own,
            )
        self.announced = (thread.GetThreadID(), own)


def trap_kind(thread):
    """The trap that the thread's signal stands for, as a sentence, or None where it is no trap."""
    if thread.GetStopReason() != lldb.eStopReasonSignal or thread.GetStopReasonDataAtIndex(0) not in (4, 8, 11):
        return None
    process, frame = thread.GetProcess(), thread.GetFrameAtIndex(0)

    def read(address, size):
        error = lldb.SBError()
        memory = process.ReadMemory(address, size, error) if size else b""
        if error.Fail():
            raise ValueError(error.GetCString())
        return memory

    site = None
    for found in process.GetTarget().FindSymbols("__jit_debug_descriptor", lldb.eSymbolTypeData):
        try:
            site = trap_at(read, found.GetSymbol().GetStartAddress().GetLoadAddress(process.GetTarget()), frame.GetPC())
        except (struct.error, ValueError, IndexError):
            pass
    # Old versions do not tell what the signal says.
    info = thread.GetSiginfo() if hasattr(thread, "GetSiginfo") else lldb.SBValue()
    address = info.GetValueForExpressionPath("._sifields._sigfault.si_addr").GetValueAsUnsigned()
    try:
        return trap_sentence(site, thread.GetStopReasonDataAtIndex(0), address, frame.GetSP(), mappings(process))
    except OSError:
        return None


class Traps:
    """Says which trap it is that the program stopped at."""

    def stopped(self, context, _stream):
        kind = trap_kind(context.GetThread())
        if kind:
            say(context, "wasm trap: %s" % kind)


def wasm_trap(_debugger, _command, context, result, _dict):
    """Say which trap of WebAssembly the signal that stopped the program stands for."""
    if not context.GetProcess().IsValid():
        result.SetError("The program is not being run.")
        return
    kind = trap_kind(context.GetThread())
    result.AppendMessage("wasm trap: %s" % kind if kind else "The program did not stop at a trap.")


class Stops:
    """What is done at each stop, as one hook: lldb announces each where there are several."""

    def __init__(self, target, _arguments, _dict):
        debugger = target.GetDebugger()
        self.parts = [MemoryCache(debugger), OtherInstance(), Traps(), GuestCalls(debugger), CallEntries(), LibrariesWithoutSources(debugger)]

    def handle_stop(self, context, stream):
        for part in self.parts:
            part.stopped(context, stream)
        return True


def is_pointer_structure(type_):
    """Does the type stand for a guest pointer in memory?"""
    return type_.GetByteSize() == 4 and type_.GetNumberOfFields() == 1 and type_.GetFieldAtIndex(0).GetName() == MEMBER


def is_result_structure(type_):
    """Does the type stand for a result that comes in a register?"""
    count = type_.GetNumberOfFields()
    return count > 1 and type_.GetFieldAtIndex(count - 1).GetName() == RESULT and type_.GetFieldAtIndex(0).GetName() == REGISTER


def result_type(type_):
    """The type of a function's result, as the program has it."""
    if not is_result_structure(type_):
        return type_
    return type_.GetFieldAtIndex(type_.GetNumberOfFields() - 1).GetType().GetArrayElementType()


def is_reference_structure(type_):
    """Does the type stand for a guest reference in memory?"""
    return is_pointer_structure(type_) and type_.GetName().endswith("&")


def is_captured_this(member):
    """Is a member that of a closure that captured `this`? lldb has to see a real pointer there: it is a bit field."""
    return member.GetName() == "this" and member.IsBitfield() and member.GetType().IsPointerType()


def is_pointer(type_):
    type_ = type_.GetCanonicalType()
    return type_.IsPointerType() or is_pointer_structure(type_)


def pointee(type_):
    """What a pointer points to: of a structure, what its operators return. Invalid for `void`."""
    type_ = type_.GetCanonicalType()
    if type_.IsPointerType() or type_.IsReferenceType():
        return type_.GetPointeeType() if type_.IsPointerType() else type_.GetDereferencedType()
    for index in range(type_.GetNumberOfMemberFunctions()):
        function = type_.GetMemberFunctionAtIndex(index)
        if function.GetName() in ("operator->", "operator*", "operator&"):
            result = function.GetReturnType()
            return result.GetDereferencedType() if result.IsReferenceType() else result.GetPointeeType()
    # `operator T *` alone: what cannot be dereferenced, `void` or a function.
    for index in range(type_.GetNumberOfMemberFunctions()):
        result = type_.GetMemberFunctionAtIndex(index).GetReturnType()
        if result.IsPointerType() and result.GetPointeeType().IsFunctionType():
            return result.GetPointeeType()
    return lldb.SBType()


def raw(value):
    return value.GetNonSyntheticValue()


def address_of(value):
    """The address that a pointer of either kind holds."""
    value = raw(value)
    if value.GetType().GetCanonicalType().IsPointerType():
        return value.GetValueAsUnsigned()
    return value.GetChildMemberWithName(MEMBER).GetValueAsUnsigned()


def symbol_of(target, address):
    """The symbol at an address. `SBAddress` by itself finds none that has no type."""
    place = target.ResolveLoadAddress(address)
    return target.ResolveSymbolContextForAddress(place, lldb.eSymbolContextEverything).GetSymbol()


def real_pointer(value, name=None):
    """A pointer of lldb's own width for a structure that stands for one."""
    type_ = pointee(value.GetType())
    if not type_.IsValid():
        type_ = value.GetTarget().GetBasicType(lldb.eBasicTypeVoid)
    address = address_of(value)
    if address and type_.GetByteSize():
        address = host_address(address, value.GetProcess())
    is_reference = is_reference_structure(value.GetType().GetCanonicalType())
    return wide_pointer(value, name, address, type_.GetReferenceType() if is_reference else type_.GetPointerType())


def wide_pointer(value, name, address, type_):
    """A pointer or reference of lldb's own width in the place of a value, which is called like it unless there is a name.

    What lldb says of a value that it did not read itself is its name for an expression, which means nothing of a member.
    That of a part of something is the expression for the whole, if that is an array, with its name behind: so an array in lldb's own memory
    is called what precedes the name in the value's expression, and the pointer is its part.
    """
    data = lldb.SBData.CreateDataFromUInt64Array(lldb.eByteOrderLittle, 8, [address])
    own, path = value.GetName() or "", expression_path(value)
    name = name or own
    if name == own and name and path != name and path.endswith(name):
        word = value.GetTarget().GetBasicType(lldb.eBasicTypeUnsignedLongLong)
        whole = value.CreateValueFromData(path[: -len(name)], data, word.GetArrayType(1))
        found = whole.CreateChildAtOffset(name, 0, type_)
        if found.IsValid():
            return found
    found = value.CreateValueFromData(name, data, type_)
    return found if path == name else computed(found)


def expression_path(value):
    """The expression that stands for a value, as far as lldb knows one."""
    stream = lldb.SBStream()
    value.GetExpressionPath(stream)
    return stream.GetData() or ""


def computed(value):
    """A value whose name is none of the program's: the expression for it then goes by its type and address."""
    # Before lldb makes a value with synthetic children of it, which takes that over.
    raw(value).SetSyntheticChildrenGenerated(True)
    return value


def native(value, name=None):
    """The value as a native build would have it: with a real pointer in place of a structure that stands for one."""
    value = raw(value)
    if is_pointer_structure(value.GetType().GetCanonicalType()):
        return real_pointer(value, name)
    return value


def at(value, name, address, type_):
    """The object of this type at a guest address."""
    return native(computed(value.CreateValueFromAddress(name, host_address(address, value.GetProcess()), type_)))


def object_of(value):
    """The object itself where a formatter is asked for a pointer or reference to it."""
    value = raw(value)
    for _ in range(3):
        type_ = value.GetType().GetCanonicalType()
        if not (type_.IsPointerType() or type_.IsReferenceType()):
            break
        value = raw(value.Dereference())
    return value


class Provider:
    """Synthetic children with a list of names; those after `count` are found by name but not shown."""

    count = 0

    def __init__(self, value, _=None):
        self.value = value

    def has_children(self):
        return True

    def num_children(self, limit=MAX_CHILDREN):
        return min(self.count, limit)

    def get_child_index(self, name):
        match = re.match(r"^\[(\d+)\]$", name)
        return int(match[1]) if match else -1


class GuestPointer(Provider):
    """The structure that stands for a pointer, or a reference to one."""

    def update(self):
        value = raw(self.value)
        self.is_reference = value.GetType().GetCanonicalType().IsReferenceType()
        if self.is_reference:
            # As lldb shows a reference to a pointer of its own: with the pointer as its only child.
            self.pointer = self.target = real_pointer(raw(value.Dereference()), "&" + (value.GetName() or ""))
            self.count = 1
            return False
        self.pointer = real_pointer(value)
        self.target = None
        type_ = pointee(value.GetType())
        if type_.IsValid() and type_.GetByteSize() and address_of(value):
            self.target = at(value, "*" + (value.GetName() or ""), address_of(value), type_)
        self.count = self.pointer.GetNumChildren() if self.target else 0
        return False

    def num_children(self, limit=MAX_CHILDREN):
        # What a pointer points to is not shown with it: who prints the value asks with a limit, a script has none.
        return 0 if limit < PRINTED and not self.is_reference else self.count

    def get_value(self):
        return None if self.is_reference else self.pointer

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return self.count
        if self.is_reference:
            return 0 if name == self.pointer.GetName() else -1
        return self.pointer.GetIndexOfChildWithName(name)

    def get_child_at_index(self, index):
        return self.target if index >= self.count or self.is_reference else self.pointer.GetChildAtIndex(index)


class GuestReference(Provider):
    """The structure that stands for a reference: with the parts of the object, as lldb shows a reference of its own."""

    def update(self):
        value = raw(self.value)
        self.reference = real_pointer(value)
        self.object = referent(value)
        self.target = raw(self.object) if self.object else None
        type_ = self.target.GetType().GetCanonicalType() if self.target else None
        # What an expression returns would natively be the object.
        self.is_result = not value.GetName() or value.GetName().startswith("$")
        self.has_parts = bool(type_) and (type_.GetTypeClass() in RECORDS or self.is_result)
        self.is_pointer = bool(type_) and type_.IsPointerType()
        self.count = 0 if not type_ else self.object.GetNumChildren() if self.has_parts else 1
        return False

    def num_children(self, limit=MAX_CHILDREN):
        # What a pointer points to is not shown with it.
        return 0 if self.has_parts and self.is_pointer and limit < PRINTED else min(self.count, limit)

    def has_children(self):
        return self.num_children() > 0

    def get_value(self):
        if self.is_result and self.target:
            return self.target if self.target.GetValue() else None
        return None if self.has_parts and self.object.GetSummary() else self.reference

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return self.count if self.target else -1
        if self.has_parts:
            return self.object.GetIndexOfChildWithName(name)
        return 0 if self.target and name == self.target.GetName() else -1

    def get_child_at_index(self, index):
        return self.object.GetChildAtIndex(index) if self.has_parts and index < self.count else self.target


def referent(value):
    """What the structure that stands for a reference refers to; None where that cannot be read."""
    type_ = pointee(value.GetType())
    if not (type_.IsValid() and type_.GetByteSize() and address_of(value)):
        return None
    found = at(value, "&" + (value.GetName() or ""), address_of(value), type_)
    found.SetPreferSyntheticValue(True)
    return found


def reference_summary(value, _):
    """That of the object."""
    found = referent(raw(value))
    return found and found.GetSummary() or ""


class Record(Provider):
    """A structure, class or union, or a pointer to one, whose pointers are real ones."""

    def update(self):
        value = raw(self.value)
        self.raw = dynamic(value)
        self.is_dynamic = self.raw is not value
        self.count = self.raw.GetNumChildren()
        self.hidden = []
        self.bases = {}
        type_ = self.raw.GetType().GetCanonicalType()
        self.type = pointee(type_) if type_.IsPointerType() or type_.IsReferenceType() else type_
        self.virtual = virtual_bases(self.raw.GetTarget(), self.type)
        self.count += len(self.virtual)
        return False

    def get_type_name(self):
        # Asked before the first update. That of a typedef stays.
        self.update()
        if not self.is_dynamic:
            return self.raw.GetDisplayTypeName()
        name = self.raw.GetTypeName()
        return name.rstrip(" *") + " &" if raw(self.value).GetType().GetCanonicalType().IsReferenceType() else name

    def get_value(self):
        # The whole object may begin before the part that the pointer leads to.
        return self.raw if self.is_dynamic and self.raw.GetType().IsPointerType() else None

    def get_child_index(self, name):
        if name == "$$dereference$$":
            return -1
        for index, base in enumerate(self.virtual):
            if base.GetName() == name:
                return index
        index = self.raw.GetIndexOfChildWithName(name)
        if index < self.raw.GetNumChildren():
            return index + len(self.virtual)
        # A member of a base class or of an unnamed union.
        found = self.inherited(name) or self.raw.GetChildMemberWithName(name)
        if not found.IsValid():
            return -1
        self.hidden.append(found)
        return self.count + len(self.hidden) - 1

    def inherited(self, name):
        """A member of a base, by way of the bases' own places; None where lldb knows these itself."""
        for index in range(len(self.virtual) + self.type.GetNumberOfDirectBaseClasses()):
            base = self.get_child_at_index(index)
            if base:
                record = Record(base)
                record.update()
                found = record.get_child_index(name)
                if found >= 0:
                    return record.get_child_at_index(found)
        return None

    def get_child_at_index(self, index):
        if index >= self.count:
            return native(self.hidden[index - self.count])
        if index < len(self.virtual):
            if index not in self.bases:
                self.bases[index] = self.virtual_base(self.virtual[index])
            return self.bases[index]
        found = self.raw.GetChildAtIndex(index - len(self.virtual))
        if found.GetName() == "this" and any(is_captured_this(it) for it in self.type.get_fields_array()):
            address = host_address(found.GetValueAsUnsigned() & 0xFFFFFFFF, found.GetProcess())
            return wide_pointer(found, "this", address, found.GetType())
        if found.GetName() != found.GetTypeName():
            # The parts of a computed value count as computed, too, but an expression can name those that are no bases.
            raw(found).SetSyntheticChildrenGenerated(False)
        return native(found)

    def virtual_base(self, base):
        """The object of a virtual base; None where the virtual table does not tell."""
        through = self.raw.GetType().GetCanonicalType()
        through = through.IsPointerType() or through.IsReferenceType()
        address = self.raw.GetValueAsUnsigned() if through else self.raw.GetLoadAddress()
        process = self.raw.GetProcess()
        place = place_of_base(self.raw.GetTarget(), process, self.type, base)
        vtable = word(process, address)
        if place is None or not vtable:
            return None
        address += signed(word(process, vtable + place))
        return computed(self.raw.CreateValueFromAddress(base.GetName(), address, base))


VIRTUAL_BASES = {}


def virtual_bases(target, type_):
    """The types of a class's virtual bases, which the debug information has as type definitions: lldb would look for them by
    8-byte words in the virtual table."""
    type_ = type_.GetCanonicalType().GetUnqualifiedType()
    key = (target.GetProcess().GetUniqueID(), type_.GetName())
    if key not in VIRTUAL_BASES:
        if type_.GetTypeClass() not in (lldb.eTypeClassStruct, lldb.eTypeClassClass) or not may_be_polymorphic(type_):
            VIRTUAL_BASES[key] = []
            return []
        found, number = [], 0
        # The names count the bases of both kinds.
        while number <= type_.GetNumberOfDirectBaseClasses() + len(found):
            base = target.FindFirstType("%s::__virtual_base_%d" % (type_.GetName(), number))
            if base.IsValid():
                found.append(base.GetCanonicalType())
            number += 1
        VIRTUAL_BASES[key] = found
    return VIRTUAL_BASES[key]


def place_of_base(target, process, derived, base):
    """Where the offset of a virtual base lies from the address point of the virtual tables of `derived`, by the description of
    the class (`__vmi_class_type_info`); None where the base is none."""
    prefix = "typeinfo for "
    for context in target.FindSymbols(prefix + derived.GetUnqualifiedType().GetName()):
        description = context.GetSymbol().GetStartAddress().GetLoadAddress(target)
        for index in range(min(word(process, description + 12), 64)):
            entry = description + 16 + 8 * index
            symbol = target.ResolveLoadAddress(word(process, entry)).GetSymbol().GetName()
            flags = signed(word(process, entry + 4))
            if symbol == prefix + base.GetCanonicalType().GetUnqualifiedType().GetName():
                return flags >> 8 if flags & 1 else None
    return None


def word(process, address):
    """The 4 bytes at a guest address; 0 where there are none."""
    if address < 0:
        return 0
    error = lldb.SBError()
    found = process.ReadUnsignedFromMemory(host_address(address, process), 4, error)
    return found if error.Success() else 0


def signed(word):
    return word - ((word & 0x80000000) << 1)


class PointerArray(Provider):
    """An array of pointers."""

    def update(self):
        self.raw = raw(self.value)
        self.count = self.raw.GetNumChildren()
        return False

    def get_child_at_index(self, index):
        return native(self.raw.GetChildAtIndex(index))


class PointerToPointer(Provider):
    """A real pointer to a pointer in memory."""

    count = 1

    def update(self):
        self.raw = raw(self.value)
        return False

    def get_child_index(self, name):
        return 0 if name.startswith("*") else -1

    def get_child_at_index(self, index):
        return native(self.raw.Dereference(), "*" + (self.value.GetName() or ""))


def dynamic(value):
    """A pointer or reference to an object of a derived class as what the object's vtable says that it is, where the setting
    `target.prefer-dynamic-value` wants that: the helpers do not see what a command's option says."""
    if not prefers_dynamic(value.GetTarget().GetDebugger()):
        return value
    type_ = value.GetType().GetCanonicalType()
    through = type_.IsPointerType() or type_.IsReferenceType()
    # An object is looked at as a whole only where a pointer to it is followed: it may be a part of the whole.
    if not through and not (value.GetName() or "").startswith(("*", "&")):
        return value
    base = pointee(type_) if through else type_
    if not may_be_polymorphic(base):
        return value
    address = value.GetValueAsUnsigned() if through else value.GetLoadAddress()
    found = dynamic_type(value, address) if address else None
    if found is None or found[0].GetUnqualifiedType().GetName() == base.GetCanonicalType().GetUnqualifiedType().GetName():
        return value
    derived, offset = found
    # While a constructor or destructor of a base runs, the virtual table is that of the base.
    if not is_derived(value.GetTarget(), derived, base):
        return value
    if not through:
        return raw(computed(value.CreateValueFromAddress(value.GetName(), address + offset, derived)))
    data = lldb.SBData.CreateDataFromUInt64Array(lldb.eByteOrderLittle, 8, [address + offset])
    return raw(computed(value.CreateValueFromData(value.GetName() or "", data, derived.GetPointerType())))


def prefers_dynamic(debugger):
    setting = debugger.GetInternalVariableValue("target.prefer-dynamic-value", debugger.GetInstanceName())
    return not setting.GetSize() or setting.GetStringAtIndex(0) != "no-dynamic-values"


def is_derived(target, type_, base, depth=0):
    name = base.GetCanonicalType().GetUnqualifiedType().GetName()
    bases = [it.GetType().GetCanonicalType() for it in type_.GetCanonicalType().get_bases_array()] + virtual_bases(target, type_)
    return depth < 32 and any(it.GetUnqualifiedType().GetName() == name or is_derived(target, it, base, depth + 1) for it in bases)


def dynamic_type(value, address):
    """(type, offset to the whole object) by the object's virtual table; None where there is none."""
    process = value.GetProcess()
    vtable = word(process, address)
    if not vtable:
        return None
    # The image has symbols for virtual tables and type descriptions, at the addresses that the guest has them at. A table's
    # first words are the place of the whole object and the description of its class.
    target = value.GetTarget()
    symbols = [target.ResolveLoadAddress(it).GetSymbol().GetName() or "" for it in (vtable, word(process, vtable - 4))]
    if not symbols[0].startswith("vtable of ") or not symbols[1].startswith("typeinfo for "):
        return None
    offset = signed(word(process, vtable - 8))
    derived = target.FindFirstType(symbols[1][len("typeinfo for ") :])
    return (derived, offset) if derived.IsValid() else None


def pointer_summary(value, _):
    """The text of a `char *`, the name of a function."""
    type_ = pointee(value.GetType())
    address = address_of(value)
    if address and type_.IsValid() and type_.IsFunctionType():
        return function_text(value.GetTarget(), address)
    if address and type_.IsValid() and is_character(type_):
        error = lldb.SBError()
        process = value.GetProcess()
        # One more than is shown tells that there is more, and one is the end.
        most = most_characters(value)
        found = process.ReadCStringFromMemory(host_address(address, process), most + 2, error)
        if error.Success():
            return quoted(found, most)
    return ""


def function_text(target, address):
    """The function that a pointer leads to, as lldb has it of a pointer to code."""
    place, name = target.ResolveLoadAddress(address), symbol_of(target, address).GetName()
    if not name:
        return ""
    # One of the guest's is an index.
    function = place.GetFunction() if address >> 32 else pointed_function(target, address)
    line = function.GetStartAddress().GetLineEntry() if function else lldb.SBLineEntry()
    source = " at %s:%d" % (line.GetFileSpec().GetFilename(), line.GetLine()) if line.IsValid() else ""
    return "(%s`%s%s)" % (place.GetModule().GetFileSpec().GetFilename(), name, source)


def most_characters(value):
    """How long texts are shown at most."""
    debugger = value.GetTarget().GetDebugger()
    setting = debugger.GetInternalVariableValue("target.max-string-summary-length", debugger.GetInstanceName())
    try:
        return int(setting.GetStringAtIndex(0))
    except (TypeError, ValueError):
        return 1024


def quoted(text, most=None):
    if most is not None and len(text) > most:
        return quoted(text[:most]) + "..."
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"), ("\0", "\\0")):
        text = text.replace(character, escape)
    return '"%s"' % text


def binary128(data):
    """The number that 16 bytes of IEEE 754's format stand for, as near as 8 bytes come to it."""
    bits = int.from_bytes(data, "little")
    exponent, fraction = bits >> 112 & 0x7FFF, bits & (1 << 112) - 1
    sign = -1.0 if bits >> 127 else 1.0
    if exponent == 0x7FFF:
        return float("nan") if fraction else sign * float("inf")
    significand = fraction | (1 << 112 if exponent else 0)
    try:
        # Python rounds a quotient of integers, and a conversion of one, once.
        shift = max(exponent, 1) - 16383 - 112
        number = float(significand << shift) if shift >= 0 else significand / (1 << -shift)
    except OverflowError:
        number = float("inf")
    return sign * number


class Result(Provider):
    """The structure in which lldb finds a function's result in a register."""

    def update(self):
        self.result = result_value(raw(self.value))
        self.count = self.result.GetNumChildren()
        return False

    def get_type_name(self):
        return result_value(raw(self.value)).GetDisplayTypeName()

    def get_value(self):
        return self.result if self.result.GetValue() else None

    def get_child_index(self, name):
        return self.result.GetIndexOfChildWithName(name)

    def get_child_at_index(self, index):
        return self.result.GetChildAtIndex(index)


def result_value(value):
    result = value.GetChildMemberWithName(RESULT).GetChildAtIndex(0)
    result.SetPreferSyntheticValue(True)
    return result


def result_summary(value, _):
    """All of the result. What `finish` finds, lldb shows without the values and children that formatters give."""
    return str(result_value(raw(value))).partition(" = ")[2].rstrip()


class LongDouble(Provider):
    """A `long double` of the guest, which lldb reads as the host's, in the format of the x87."""

    def update(self):
        self.number = None
        value = raw(self.value)
        data, error = value.GetData(), lldb.SBError()
        found = data.ReadRawData(error, 0, 16)
        if error.Success() and len(found) == 16 and is_guest_code(value.GetFrame()):
            number = lldb.SBData.CreateDataFromDoubleArray(lldb.eByteOrderLittle, 8, [binary128(found)])
            double = value.GetTarget().GetBasicType(lldb.eBasicTypeDouble)
            self.number = value.CreateValueFromData(value.GetName() or "", number, double)
        return False

    def has_children(self):
        return False

    def get_value(self):
        return self.number


def is_registered(module):
    """Was it registered by the engine, and not loaded from a file?"""
    return (module.GetFileSpec().GetFilename() or "").startswith("JIT(")


def is_guest_code(frame):
    """Does the frame belong to a module that was registered by the engine, not to one that was loaded from a file?"""
    return frame.IsValid() and is_registered(frame.GetModule())


def guest_modules(target):
    """The modules that the engine has registered. lldb keeps those of a run that has ended, too, but nowhere in memory."""
    is_loaded = lambda it: any(section.GetLoadAddress(target) != lldb.LLDB_INVALID_ADDRESS for section in it.section_iter())
    return [it for it in target.module_iter() if is_registered(it) and is_loaded(it)]


# lldb asks these once for each type's name, and also what a pointer points to and what a typedef stands for.


def matches_pointer_structure(type_, _):
    type_ = type_.GetCanonicalType()
    return is_pointer_structure(type_) and not is_reference_structure(type_)


def matches_reference_structure(type_, _):
    return is_reference_structure(type_.GetCanonicalType())


def matches_reference_to_container(type_, _):
    type_ = type_.GetCanonicalType()
    return is_reference_structure(type_) and container_class(pointee(type_)) is not None


def matches_referred_container(type_, _):
    return not type_.GetCanonicalType().IsPointerType() and matches_container(type_, _)


def matches_reference_to_text(type_, _):
    type_ = type_.GetCanonicalType()
    referred = pointee(type_) if is_reference_structure(type_) else lldb.SBType()
    return referred.IsValid() and text_of(referred) is not None


def matches_function_pointer(type_, _):
    type_ = type_.GetCanonicalType()
    return type_.IsPointerType() and type_.GetPointeeType().IsFunctionType()


def matches_text_pointer(type_, _):
    type_ = type_.GetCanonicalType()
    return type_.IsPointerType() and is_character(type_.GetPointeeType())


def is_character(type_):
    return type_.GetCanonicalType().GetUnqualifiedType().GetBasicType() in CHARACTERS


def matches_record(type_, _):
    type_ = type_.GetCanonicalType()
    if type_.GetTypeClass() not in RECORDS:
        return False
    if is_pointer_structure(type_):
        return False
    fields = type_.get_fields_array()
    if any(is_pointer_structure(it.GetType().GetCanonicalType()) or is_captured_this(it) for it in fields):
        return True
    return may_be_polymorphic(type_)


def may_be_polymorphic(type_):
    """The debug information for lldb does not say which member functions are virtual; objects are looked at instead."""
    type_ = type_.GetCanonicalType()
    if type_.GetByteSize() < 4:
        return False
    # The pointer to the virtual table is an object's first word, or that of its first base. lldb leaves it out.
    if any(it.GetOffsetInBytes() == 0 for it in type_.get_fields_array()):
        return False
    first = [it.GetType() for it in type_.get_bases_array() if it.GetOffsetInBytes() == 0]
    return all(it.GetByteSize() <= 1 for it in first) or any(map(may_be_polymorphic, first))


def matches_result(type_, _):
    return is_result_structure(type_.GetCanonicalType())


def matches_long_double(type_, _):
    return type_.GetCanonicalType().GetUnqualifiedType().GetBasicType() == lldb.eBasicTypeLongDouble


def matches_pointer_array(type_, _):
    type_ = type_.GetCanonicalType()
    return type_.IsArrayType() and is_pointer_structure(type_.GetArrayElementType().GetCanonicalType())


def matches_pointer_to_pointer(type_, _):
    type_ = type_.GetCanonicalType()
    return type_.IsPointerType() and is_pointer_structure(type_.GetPointeeType().GetCanonicalType())


def wasm_memory(debugger, command, context, result, _):
    """Show where linear memory lies, and which part of it is also mapped at its own wasm addresses."""
    process = context.process
    if not process or not process.IsValid() or process.GetProcessID() == 0:
        result.SetError("The program is not being run.")
        return
    for sentence in LinearMemories(mappings(process)).sentences():
        result.AppendMessage(sentence)


def has_recognizers(debugger):
    """Whether formatters can be chosen by looking at a type: lldb 14 chooses them by its name."""
    answer = lldb.SBCommandReturnObject()
    debugger.GetCommandInterpreter().HandleCommand("help type synthetic add", answer)
    return "recognizer" in (answer.GetOutput() or "")


def recognize_by_name(command):
    """A command that chooses by the name of a type what `command` chooses by a function. None where a name does not tell."""
    recognizer = re.search(r" --recognizer-function \{0\}\.(\w+)$", command)
    if recognizer is None:
        return command
    patterns = {
        "matches_long_double": [r"^long double$"],
        # The structures are called like pointers, without the space.
        "matches_pointer_structure": [r"[^ ]\*$"],
        "matches_reference_structure": [r"[^ ]&$"],
        "matches_pointer_array": [r"[^ ]\* ?\[[0-9]+\]$"],
        "matches_pointer_to_pointer": [r"[^ ]\* \*$"],
        "matches_text_pointer": [r"^(const )?((un)?signed )?char \*$"],
        "matches_container": [pattern.pattern for pattern, _ in LIBCXX + RUST],
        "matches_text": [pattern.pattern for pattern, _ in TEXTS],
    }.get(recognizer[1])
    if patterns is None:
        return None
    # lldb's expressions are those of POSIX. Braces are for the module's name.
    names = " ".join('"%s"' % re.sub(r"\\w", "[A-Za-z0-9_]", pattern.replace("(?:", "(")) for pattern in patterns)
    return command[: recognizer.start()] + " -x " + names.replace("\\", "\\\\")


def __lldb_init_module(debugger, _):
    commands = [
        "command script add -o -f {0}.wasm_memory wasm-memory",
        "command script add -o -f {0}.wasm_call wasm-call",
        "command script add -o -f {0}.wasm_trap wasm-trap",
        "command script add -o -f {0}.wasm_step wasm-step",
        "command script add -o -f {0}.wasm_externref wasm-externref",
        "type category define wasmscope",
        "type synthetic add -w wasmscope -l {0}.Record --recognizer-function {0}.matches_record",
        "type synthetic add -w wasmscope -l {0}.Result --recognizer-function {0}.matches_result",
        "type summary add -v -w wasmscope -F {0}.result_summary --recognizer-function {0}.matches_result",
        "type synthetic add -p -w wasmscope -l {0}.LongDouble --recognizer-function {0}.matches_long_double",
        "type synthetic add -w wasmscope -l {0}.PointerArray --recognizer-function {0}.matches_pointer_array",
        "type synthetic add -w wasmscope -l {0}.PointerToPointer --recognizer-function {0}.matches_pointer_to_pointer",
        "type synthetic add -p -w wasmscope -l {0}.GuestPointer --recognizer-function {0}.matches_pointer_structure",
        "type summary add -p -r -w wasmscope -F {0}.pointer_summary --recognizer-function {0}.matches_pointer_structure",
        "type summary add -w wasmscope -F {0}.pointer_summary --recognizer-function {0}.matches_function_pointer",
        "type synthetic add -w wasmscope -l {0}.GuestReference --recognizer-function {0}.matches_reference_structure",
        "type summary add -e -w wasmscope -F {0}.reference_summary --recognizer-function {0}.matches_reference_to_container",
        "type summary add -w wasmscope -F {0}.reference_summary --recognizer-function {0}.matches_reference_to_text",
        "type synthetic add -w wasmscope -l {0}.container --recognizer-function {0}.matches_container",
        "type synthetic add -w wasmscope -l {0}.RustBTreeEntry --recognizer-function {0}.matches_tree_entry",
        # A pointer to a container is shown with its value, a reference without, and so are both to texts.
        "type summary add -e -w wasmscope -F {0}.container_summary --recognizer-function {0}.matches_container",
        "type summary add -e -p -v -w wasmscope -F {0}.container_summary --recognizer-function {0}.matches_referred_container",
        "type summary add -v -w wasmscope -F {0}.text_summary --recognizer-function {0}.matches_text",
        "type summary add -w wasmscope -F {0}.member_pointer_summary --recognizer-function {0}.matches_member_pointer",
        "type summary add -v -w wasmscope -F {0}.externref_summary 'VMExternRef *'",
        "type summary add -v -w wasmscope -F {0}.funcref_summary 'VMFuncRef *'",
        "type category enable wasmscope",
        # Until `MemoryCache` knows better.
        MemoryCache.LINE % 2,
        "settings set target.process.disable-memory-cache true",
        "target stop-hook add -P {0}.Stops",
    ]
    # A pointer in memory has a pointer's type only as the address of what it points to.
    for alias, options in (("parray", "--element-count %1"), ("poarray", "--object-description --element-count %1")):
        answer = lldb.SBCommandReturnObject()
        debugger.GetCommandInterpreter().HandleCommand("command unalias " + alias, answer)
        if answer.Succeeded():
            commands.append("command alias %s expression %s -- &*" % (alias, options))
    by_name = not has_recognizers(debugger)
    for command in commands:
        command = recognize_by_name(command) if by_name else command
        if command:
            debugger.HandleCommand(command.format(__name__))
