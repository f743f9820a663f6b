# References to host values and to functions: externref and funcref.


class HostValue:
    """The header of a host value, see dwarf-transform/src/host_reference.rs: the references of one store, the owner, are
    counted apart, and one of the others stands for all of them."""

    def __init__(self, address):
        self.address = address
        try:
            memory = gdb.selected_inferior().read_memory(address, 32).tobytes()
        except gdb.MemoryError:
            raise gdb.GdbError("0x%x is no reference to a host value." % address)
        words = (int.from_bytes(memory[at : at + 8], "little") for at in (0, 8, 16, 24))
        self.count, self.owner, self.owned, self.listed = words
        if (self.owner == 0) != (self.owned == 0) or self.listed not in (0, self.owner) or not 0 < self.count < 1 << 62:
            raise gdb.GdbError("0x%x is no reference to a host value." % address)

    def references(self):
        number = self.count + self.owned - (self.owned > 0)
        return "1 reference" if number == 1 else "%d references" % number


class WasmExternref(gdb.Command):
    """Show the host value that a reference leads to: wasm externref EXPRESSION

The expression is the reference as compiled code holds it: a variable of type externref, or a 64-bit word in a register, a
frame, a table or a global."""

    def __init__(self):
        super().__init__("wasm externref", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("An expression is missing.")
        address = int(gdb.parse_and_eval(argument)) & (1 << 64) - 1
        if address == 0:
            print("null")
            return
        value = HostValue(address)
        print("externref 0x%x: %s" % (address, value.references()))
        if value.owner:
            listed = ", its activations table included" if value.listed else ""
            print("%d of them are of the store 0x%x%s" % (value.owned, value.owner, listed))


class ExternrefPrinter:
    def __init__(self, value):
        self.address = int(value)

    def to_string(self):
        if self.address == 0:
            return "null"
        try:
            return "0x%x, %s" % (self.address, HostValue(self.address).references())
        except gdb.GdbError:
            # The frame does not use it any more, and it was dropped.
            return "0x%x, dropped" % self.address


class FuncrefPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        if int(self.value) == 0:
            return "null"
        try:
            code = str(self.value.dereference()["code"])
        except gdb.error:
            code = ""
        return " ".join(["0x%x" % int(self.value)] + re.findall("<.*>", code))


def find_reference(value):
    type_ = value.type.strip_typedefs()
    if type_.code != gdb.TYPE_CODE_PTR:
        return None
    name = type_.target().strip_typedefs().name
    printer = {"VMExternRef": ExternrefPrinter, "VMFuncRef": FuncrefPrinter}.get(name)
    return printer and printer(value)


find_reference.name = "wasmscope references"
gdb.pretty_printers.append(find_reference)
WasmExternref()
