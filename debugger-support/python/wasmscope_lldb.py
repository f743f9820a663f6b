"""wasmscope's formatters and commands for lldb: what lldb itself cannot know of a WebAssembly program.

A guest pointer that lies in memory has 4 bytes, and lldb reads 8 for every pointer. The debug information therefore
calls it a structure with one member, `__address`; what follows makes that structure look and work like a pointer:
`v it->next->name`, `v *it->next`, and the text of a `char *`.

    wasm-memory     where linear memory lies and which part of it pointers can be followed into
"""

import re

import lldb

MEMBER = "__address"
CHARACTERS = (lldb.eBasicTypeChar, lldb.eBasicTypeSignedChar, lldb.eBasicTypeUnsignedChar)
MAX_TEXT = 256


def linear_memory(pid):
    """(start, end, offset) of the mappings of the files that the engine backs linear memory with."""
    pattern = re.compile(
        r"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+ +/memfd:wasm\S*", re.MULTILINE
    )
    with open("/proc/%d/maps" % pid) as maps:
        return [tuple(int(text, 16) for text in m.groups()) for m in pattern.finditer(maps.read())]


BASES = {}


def memory_base(process):
    """The host address of wasm address 0, or 0 where only the identity map is known."""
    key = (process.GetProcessID(), process.GetUniqueID())
    if key not in BASES:
        try:
            mappings = [(end - start, start) for start, end, offset in linear_memory(key[0]) if offset == 0 and start]
        except OSError:
            return 0
        if not mappings:
            return 0
        BASES[key] = max(mappings)[1]
    return BASES[key]


def is_guest_pointer(type_, _=None):
    """Does the type stand for a guest pointer?

    lldb remembers the answer by the type's name, and a variable's pointer of 8 bytes has the same name as a member's
    structure: both must get the same answer.
    """
    type_ = type_.GetCanonicalType()
    if type_.IsPointerType():
        # Images of the JIT interface are called so; a type that lldb made itself has no module.
        module = type_.GetModule()
        return not module.IsValid() or (module.GetFileSpec().GetFilename() or "").startswith("JIT(")
    return type_.GetByteSize() == 4 and type_.GetNumberOfFields() == 1 and type_.GetFieldAtIndex(0).GetName() == MEMBER


def pointee(type_):
    """What a guest pointer points to: of a structure, what its `operator->` does."""
    type_ = type_.GetCanonicalType()
    if type_.IsPointerType():
        return type_.GetPointeeType()
    for index in range(type_.GetNumberOfMemberFunctions()):
        function = type_.GetMemberFunctionAtIndex(index)
        if function.GetName() in ("operator->", "operator*"):
            result = function.GetReturnType()
            return result.GetDereferencedType() if result.IsReferenceType() else result.GetPointeeType()
    return lldb.SBType()


def address_of(value):
    value = value.GetNonSyntheticValue()
    if value.GetType().GetCanonicalType().IsPointerType():
        return value.GetValueAsUnsigned()
    return value.GetChildMemberWithName(MEMBER).GetValueAsUnsigned()


def host_address(address, process):
    """Where the bytes of a wasm address lie; an address of the host stays as it is."""
    return address + memory_base(process) if address < 1 << 32 else address


class GuestPointer:
    """The synthetic children of a guest pointer: none to be shown, but one to be followed."""

    def __init__(self, value, _):
        self.value = value
        self.target = None

    def update(self):
        self.target = None
        address = address_of(self.value)
        type_ = pointee(self.value.GetType())
        if address and type_.IsValid() and type_.GetByteSize():
            address = host_address(address, self.value.GetProcess())
            self.target = self.value.CreateValueFromAddress("*" + (self.value.GetName() or ""), address, type_)
        return False

    def has_children(self):
        return False

    def num_children(self):
        return 0

    def get_child_index(self, name):
        return 0 if name == "$$dereference$$" else -1

    def get_child_at_index(self, index):
        return self.target


def pointer_summary(value, _):
    address = address_of(value)
    text = "0x%08x" % address
    type_ = pointee(value.GetType()).GetCanonicalType().GetUnqualifiedType()
    if address and type_.GetBasicType() in CHARACTERS:
        error = lldb.SBError()
        process = value.GetProcess()
        found = process.ReadCStringFromMemory(host_address(address, process), MAX_TEXT, error)
        if error.Success():
            text += ' "%s"' % found.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return text


def wasm_memory(debugger, command, context, result, _):
    """Show where linear memory lies, and which part of it is also mapped at its own wasm addresses."""
    process = context.process
    if not process or not process.IsValid() or process.GetProcessID() == 0:
        result.SetError("The program is not being run.")
        return
    mappings = linear_memory(process.GetProcessID())
    if not mappings:
        result.AppendMessage("No linear memory is mapped (yet), or the program does not run in full debug mode.")
        return
    for start, end, offset in mappings:
        if start == offset:
            result.AppendMessage("identity map: wasm addresses 0x%x to 0x%x" % (start, end))
        else:
            result.AppendMessage("memory: %d KiB at 0x%x" % ((end - start) // 1024, start))


def __lldb_init_module(debugger, _):
    for command in (
        "command script add -o -f {0}.wasm_memory wasm-memory",
        "type category define wasmscope",
        "type synthetic add -w wasmscope -l {0}.GuestPointer --recognizer-function {0}.is_guest_pointer",
        "type summary add -w wasmscope -e -v -F {0}.pointer_summary --recognizer-function {0}.is_guest_pointer",
        "type category enable wasmscope",
        # A guest variable has two addresses (its memory's and the identity map's): what is written at one must be
        # read at the other.
        "settings set target.process.disable-memory-cache true",
    ):
        debugger.HandleCommand(command.format(__name__))
