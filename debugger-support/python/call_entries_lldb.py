# Member functions of C++ in expressions: `p shape.area()`, `p a + b`, `p numbers[2]`.
#
# Their declarations have the names of entries in the image, which load the address of the function and what is to be known of it, and
# jump to code that is put into the process here. It adds the hidden arguments, gives the function room on the guest's stack, and
# brings a result in memory to where the expression wants it. An object of the expression's own is none for the guest: it traps.

CALL_ENTRY = "__wasm_call_"
CALL_ENTRIES = "__wasm_calls"
# Where the code that all entries jump to begins, the operand of an instruction has the address at which they go on.
HEAD_OPERAND = 2

# r11 is the function, r10d its shape: bytes of a result in memory, whose place is in rdi then; from bit 16 on, which of rdi, rsi, rdx
# and rcx are addresses; bit 30, that the result is one; bit 31, that it is a reference.
CALL_CODE = (
    "55"  # push rbp
    "4889e5"  # mov rbp,rsp
    "53"  # push rbx
    "4154"  # push r12
    "4155"  # push r13
    "4156"  # push r14
    "4157"  # push r15
    "4883ec28"  # sub rsp,0x28
    "48897dd0"  # mov [rbp-0x30],rdi
    "4c8955c8"  # mov [rbp-0x38],r10
    # The context of the instance, where its stack pointer is, and a place below what the stopped function keeps: that of the last stop,
    # or further down where the stack has grown since, as at the condition of a breakpoint.
    "48b8{cell}"  # movabs rax,cell
    "488b18"  # mov rbx,[rax]
    "448b6008"  # mov r12d,[rax+0x8]
    "4901dc"  # add r12,rbx
    "4c8965c0"  # mov [rbp-0x40],r12
    "448b7010"  # mov r14d,[rax+0x10]
    "458b2c24"  # mov r13d,[r12]
    "4c896db8"  # mov [rbp-0x48],r13
    "418d8500f0ffff"  # lea eax,[r13-0x1000]
    "4439f0"  # cmp eax,r14d
    "440f42f0"  # cmovb r14d,eax
    # Are the addresses the guest's?
    "41bd{high}"  # mov r13d,high
    "410fbae210"  # bt r10d,0x10
    "7312"  # jae next
    "4889f8"  # mov rax,rdi
    "48c1e820"  # shr rax,0x20
    "7409"  # je next
    "4439e8"  # cmp eax,r13d
    "0f85c3000000"  # jne trap
    "410fbae211"  # next: bt r10d,0x11
    "7312"  # jae next
    "4889f0"  # mov rax,rsi
    "48c1e820"  # shr rax,0x20
    "7409"  # je next
    "4439e8"  # cmp eax,r13d
    "0f85aa000000"  # jne trap
    "410fbae212"  # next: bt r10d,0x12
    "7312"  # jae next
    "4889d0"  # mov rax,rdx
    "48c1e820"  # shr rax,0x20
    "7409"  # je next
    "4439e8"  # cmp eax,r13d
    "0f8591000000"  # jne trap
    "410fbae213"  # next: bt r10d,0x13
    "730e"  # jae last
    "4889c8"  # mov rax,rcx
    "48c1e820"  # shr rax,0x20
    "7405"  # je last
    "4439e8"  # cmp eax,r13d
    "757c"  # jne trap
    # Room for the result.
    "410fb7c2"  # last: movzx eax,r10w
    "85c0"  # test eax,eax
    "740a"  # je ready
    "4129c6"  # sub r14d,eax
    "4183e6f0"  # and r14d,0xfffffff0
    "4489f7"  # mov edi,r14d
    # The hidden arguments come first.
    "45893424"  # ready: mov [r12],r14d
    "4989c9"  # mov r9,rcx
    "4989d0"  # mov r8,rdx
    "4889f1"  # mov rcx,rsi
    "4889fa"  # mov rdx,rdi
    "4889df"  # mov rdi,rbx
    "4889de"  # mov rsi,rbx
    "41ffd3"  # call r11
    # The stack pointer as it was, and the result.
    "4c8b65c0"  # mov r12,[rbp-0x40]
    "8b4db8"  # mov ecx,[rbp-0x48]
    "41890c24"  # mov [r12],ecx
    "4c8b55c8"  # mov r10,[rbp-0x38]
    "410fb7ca"  # movzx ecx,r10w
    "85c9"  # test ecx,ecx
    "740e"  # je number
    "4889c6"  # mov rsi,rax
    "488b7dd0"  # mov rdi,[rbp-0x30]
    "4889f8"  # mov rax,rdi
    "f3a4"  # rep movs b
    "eb1d"  # jmp done
    "410fbae21e"  # number: bt r10d,0x1e
    "7316"  # jae done
    "89c0"  # mov eax,eax
    "410fbae21f"  # bt r10d,0x1f
    "730d"  # jae done
    "48b9{base}"  # movabs rcx,base
    "4801c8"  # add rax,rcx
    "488d65d8"  # done: lea rsp,[rbp-0x28]
    "415f"  # pop r15
    "415e"  # pop r14
    "415d"  # pop r13
    "415c"  # pop r12
    "5b"  # pop rbx
    "5d"  # pop rbp
    "c3"  # ret
    "0f0b"  # trap: ud2
)


def call_code(cell, base):
    """The code for the instance whose cell this is, with wasm address 0 at `base`."""
    operands = {"cell": cell.to_bytes(8, "little"), "high": (base >> 32).to_bytes(4, "little"), "base": base.to_bytes(8, "little")}
    return bytes.fromhex(CALL_CODE.format(**{name: operand.hex() for name, operand in operands.items()}))


class CallEntries:
    """Lets the entries call."""

    def __init__(self):
        self.process = None

    def stopped(self, context, _stream):
        target, process = context.GetTarget(), context.GetProcess()
        if process.GetUniqueID() == self.process:
            return
        heads = [found.GetSymbol().GetStartAddress().GetLoadAddress(target) for found in target.FindSymbols(CALL_ENTRIES)]
        heads = [head for head in heads if head != lldb.LLDB_INVALID_ADDRESS]
        cell = instance_cell(target)
        # Of several modules each would need its own instance.
        if len(heads) != 1 or stack_pointer(process, cell) is None:
            return
        self.process = process.GetUniqueID()
        code, error = call_code(cell, memory_base(process) or 0), lldb.SBError()
        rights = lldb.ePermissionsReadable | lldb.ePermissionsWritable | lldb.ePermissionsExecutable
        place = process.AllocateMemory(len(code), rights, error)
        if error.Success():
            process.WriteMemory(place, code, error)
        if error.Success():
            process.WriteMemory(heads[0] + HEAD_OPERAND, place.to_bytes(8, "little"), error)


def functions_with_entries(module):
    """Where the functions begin that expressions can call by their names."""
    starts, named = {}, []
    for symbol in module.get_symbols_array():
        name = symbol.GetName() or ""
        if name.startswith(CALL_ENTRY):
            named.append(name[len(CALL_ENTRY) :])
        elif symbol.GetMangledName():
            starts[symbol.GetMangledName()] = symbol.GetStartAddress().GetFileAddress()
    return {starts[name] for name in named if name in starts}
