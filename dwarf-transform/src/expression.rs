//! Guest expressions to native ones.
//!
//! The guest's stack machine works on guest addresses and 32-bit values; the native one on host addresses and 64-bit
//! values. The translation therefore follows the kind of every stack entry:
//!
//! - `Guest`: a value or guest address of the guest's width. Used as an address it becomes
//!   `memory base + value`; used by an operation that looks at the sign or the upper half, it is extended first.
//! - `Host`: an address in this process. Only sums with guest values keep it one.
//! - `Wide`: a value of 64 bits.
//!
//! A wasm local is read from its home in the frame, a wasm global and the memory base through the vmctx.

use crate::address::{ValType, WasmOffset};
use crate::bytecode::{Bytecode, Reference};
use crate::guest::{GuestModule, ThreadLocals};
use crate::guest_dwarf::{GuestDwarf, Slice, Unit};
use crate::loss::LossKind;
use crate::native::{ENTRY_VALUE_HOME, Home, NativeFunction, NativeModule, OPERAND_STACK_HOME};
use crate::tables::{EntryId, EntryReference, Expression};
use gimli::{DieReference, Encoding, Operation, UnitOffset, constants};

/// A guest expression.
pub(crate) type GuestExpression<'a> = gimli::Expression<Slice<'a>>;
pub(crate) type GuestOperation<'a> = Operation<Slice<'a>>;

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Where an object is: an address, a value, or pieces of these.
    Location,
    /// Where a pointer is. The result is its value, zero-extended to 8 bytes.
    Pointer,
    /// Where a reference is. The result is the host address of what it refers to, as a value.
    Referent,
    /// Where a pointer to a data member is. The result is its value, sign-extended to 8 bytes.
    DataMember,
    /// `DW_AT_frame_base`: its value is a guest address, and the result the host address.
    FrameBase,
    /// A value (`DW_AT_call_value`, a bound).
    Value,
    /// Begins with the address of an object on the stack, and ends with that of a part of it
    /// (`DW_AT_data_member_location`).
    Member,
}

/// Why an expression has no translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something is lost.
    Loss(LossKind),
    /// The object was dropped by the guest's linker; there is nothing to lose.
    Dropped,
    /// An operation has no native meaning.
    Operation(gimli::DwOp),
    /// The object is at this offset in a frame that the guest's compiler has left out, since nothing uses it. LLVM then
    /// leaves out the base of the location.
    NoFrame(u64),
}

impl From<LossKind> for Failure {
    fn from(kind: LossKind) -> Failure {
        Failure::Loss(kind)
    }
}

impl From<gimli::Error> for Failure {
    fn from(error: gimli::Error) -> Failure {
        match error {
            gimli::Error::InvalidExpression(opcode) => Failure::Operation(opcode),
            _ => Failure::Loss(LossKind::MalformedExpression),
        }
    }
}

/// The frame base of the function around an expression.
#[derive(Debug, Clone, Default)]
pub(crate) struct FrameBase<'a> {
    /// The native function has a frame base, the host address of what the guest's frame base points to.
    pub(crate) native: bool,
    /// The guest's own expression, where it is one and not a list.
    pub(crate) guest: Option<GuestExpression<'a>>,
}

/// How references to entries are answered.
pub(crate) trait EntryLookup<'a> {
    /// The output entry of a base type in the current unit, if operations can name it.
    fn base_type(&self, offset: UnitOffset) -> Option<EntryId>;
    /// Any output entry.
    fn entry(&self, reference: DieReference<usize>) -> Option<EntryReference>;
    /// The expression in the `DW_AT_location` of an entry, for `DW_OP_call2` and its like.
    fn location(&self, reference: DieReference<usize>) -> Option<GuestExpression<'a>>;
}

/// What an expression is translated with.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c, 'a> {
    pub(crate) dwarf: &'c GuestDwarf<'a>,
    pub(crate) unit: &'c Unit<'a>,
    pub(crate) native: &'c NativeModule,
    /// The function around it.
    pub(crate) function: Option<&'c NativeFunction>,
    /// Where the expression begins to hold: its entry in a location list, else the scope around it.
    pub(crate) begin: Option<WasmOffset>,
    /// Bytes of the object, where the expression ends with a piece of it.
    pub(crate) size: Option<u64>,
    /// The object is one scalar. Told where the unit's version cannot mark values.
    pub(crate) one_scalar: bool,
    pub(crate) frame_base: Option<&'c FrameBase<'a>>,
    pub(crate) lookup: &'c dyn EntryLookup<'a>,
    pub(crate) guest: &'c GuestModule<'a>,
    /// An object of which only parts are described is not to be shown.
    pub(crate) whole: bool,
    /// That of the output.
    pub(crate) encoding: Encoding,
}

/// What is known of a stack entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A value of the guest's address width, zero-extended.
    Guest,
    /// The same, with anything in the upper half.
    GuestDirty,
    /// An address of the host.
    Host,
    /// A value of 64 bits.
    Wide,
    /// A value of a base type.
    Typed,
}

/// What the linker writes for a global that the module does without: `__tls_base` of a module with one thread, whose
/// thread-local objects have ordinary addresses.
const NO_GLOBAL: u32 = u32::MAX;
/// Depth to which `DW_OP_call2` and its like are followed.
const MAX_CALL_DEPTH: u32 = 8;
/// Operations that one expression may have in the output.
const MAX_OPERATIONS: usize = 4096;

/// The host address of a home: `CFA + offset`.
fn push_home_address(out: &mut Bytecode, cfa_offset: i32) {
    out.op(constants::DW_OP_call_frame_cfa);
    out.op_consts(i64::from(cfa_offset));
    out.op(constants::DW_OP_plus);
}

impl<'c, 'a> Context<'c, 'a> {
    /// Translates `expression`.
    pub(crate) fn translate(&self, expression: GuestExpression<'a>, role: Role) -> Result<Expression, Failure> {
        self.translate_to(Bytecode::new(self.encoding), expression, role).map(Bytecode::finish)
    }

    fn translate_to(&self, out: Bytecode, expression: GuestExpression<'a>, role: Role) -> Result<Bytecode, Failure> {
        let mut translator = Translator::new(self, out);
        match role {
            Role::Pointer | Role::Referent | Role::DataMember if !self.guest.memory64 => {
                if !translator.pointer(expression, role)? {
                    let out = Bytecode::new(self.encoding);
                    return self.translate_to(out, expression, Role::Location);
                }
            }
            Role::Member => {
                translator.stack.push(Kind::Host);
                translator.run(expression, role)?;
            }
            _ => translator.run(expression, role)?,
        }
        Ok(translator.out)
    }

    /// The value of a local that a home holds.
    pub(crate) fn local_value(&self, local: u32) -> Result<Expression, Failure> {
        let home = self.home(local)?;
        let mut out = Bytecode::new(self.encoding);
        push_home_address(&mut out, home.cfa_offset);
        out.op_load(home.size);
        out.op(constants::DW_OP_stack_value);
        Ok(out.finish())
    }

    /// The location of a variable that is nothing but `place`: a wasm local, a wasm global or an entry of the operand
    /// stack.
    pub(crate) fn wasm_location(&self, place: GuestOperation<'a>) -> Result<Expression, Failure> {
        let mut translator = Translator::new(self, Bytecode::new(self.encoding));
        if translator.simple_location(&[place, Operation::StackValue], Role::Location)? == 0 {
            translator.operation(place, 0)?;
            translator.out.op(constants::DW_OP_stack_value);
        }
        Ok(translator.out.finish())
    }

    /// The home of an entry of the operand stack.
    fn stack_home(&self, depth: u32) -> Result<Home, Failure> {
        let lost = || {
            let value = (self.begin?, depth);
            Some(self.function?.lost_stack_values.binary_search(&value).is_ok())
        };
        OPERAND_STACK_HOME
            .checked_add(depth)
            .filter(|_| lost() == Some(false))
            .and_then(|local| self.home(local).ok())
            .ok_or(Failure::Loss(LossKind::OperandStackLocation))
    }

    fn home(&self, local: u32) -> Result<Home, Failure> {
        let homes = &self.function.ok_or(LossKind::LocalWithoutHome)?.homes;
        let position = homes.binary_search_by_key(&local, |home| home.local).map_err(|_| LossKind::LocalWithoutHome)?;
        Ok(homes[position])
    }
}

struct Translator<'t, 'c, 'a> {
    context: &'t Context<'c, 'a>,
    out: Bytecode,
    stack: Vec<Kind>,
    operations: usize,
    /// Inside of `DW_OP_entry_value`: locals have the values that they had on entry to the function.
    at_entry: bool,
    /// Bits of the pieces so far.
    described: u64,
    /// Nothing is known of some of these pieces.
    has_gap: bool,
}

impl<'t, 'c, 'a> Translator<'t, 'c, 'a> {
    fn new(context: &'t Context<'c, 'a>, out: Bytecode) -> Translator<'t, 'c, 'a> {
        Translator { context, out, stack: Vec::new(), operations: 0, at_entry: false, described: 0, has_gap: false }
    }

    /// Translates the location of a pointer or reference to its value; `false` if it has to be treated as any other.
    fn pointer(&mut self, expression: GuestExpression<'a>, role: Role) -> Result<bool, Failure> {
        let (operations, _) = self.decode(expression)?;
        let mut is_value = false;
        for operation in operations {
            match operation {
                Operation::StackValue => is_value = true,
                Operation::ImplicitPointer { .. } | Operation::ImplicitValue { .. } if role == Role::Pointer => {
                    return Ok(false);
                }
                Operation::Piece { size_in_bits: 32, bit_offset: None | Some(0) } => {}
                _ if is_value => return Err(LossKind::UntranslatableExpression.into()),
                operation => self.operation(operation, 0)?,
            }
        }
        if !is_value {
            self.make_host()?;
            self.pop()?;
            self.load(4);
            self.push(Kind::Guest);
        }
        self.guest_value()?;
        match role {
            Role::Referent => {
                self.make_host()?;
                self.out.op(constants::DW_OP_stack_value);
            }
            Role::DataMember => {
                self.sign_extend(0)?;
                self.out.op(constants::DW_OP_stack_value);
            }
            _ => {
                // Whatever a 64-bit home or a negative constant has above the pointer does not belong to it.
                if is_value || self.top()? == Kind::Wide {
                    *self.stack.last_mut().ok_or(LossKind::MalformedExpression)? = Kind::GuestDirty;
                }
                self.clean(0)?;
                self.out.op(constants::DW_OP_stack_value);
            }
        }
        Ok(true)
    }

    fn run(&mut self, expression: GuestExpression<'a>, role: Role) -> Result<(), Failure> {
        let (operations, offsets) = self.decode(expression)?;
        // Most expressions are one simple location, which needs none of what follows.
        let is_whole = !operations.iter().any(|operation| matches!(operation, Operation::Piece { .. }));
        if is_whole && self.simple_location(&operations, role)? > 0 {
            return Ok(());
        }
        let mut branches: Vec<(usize, usize)> = Vec::new();
        let mut starts: Vec<usize> = Vec::with_capacity(operations.len() + 1);
        let mut saved: Vec<Option<Vec<Kind>>> = vec![None; operations.len() + 1];
        let mut position = 0;
        // Whether the current piece already is a complete location description.
        let mut complete = false;
        while position < operations.len() {
            if let Some(stack) = saved[position].take() {
                self.stack = stack;
            }
            while starts.len() <= position {
                starts.push(self.out.next_index());
            }
            if self.out.len() > MAX_OPERATIONS {
                return Err(LossKind::UntranslatableExpression.into());
            }
            let rest = &operations[position..];
            let taken = self.simple_location(rest, role);
            match taken {
                Ok(0) => {}
                Ok(count) => {
                    position += count;
                    complete = true;
                    continue;
                }
                // Only this piece is lost.
                Err(_)
                    if rest.iter().skip(1).any(|op| matches!(op, Operation::Piece { .. }))
                        && role == Role::Location =>
                {
                    let piece = rest.iter().position(|op| matches!(op, Operation::Piece { .. })).unwrap_or(0);
                    position += piece;
                    complete = true;
                    self.has_gap = true;
                    continue;
                }
                Err(failure) => return Err(failure),
            }
            match operations[position] {
                Operation::StackValue => {
                    match role {
                        Role::FrameBase => {}
                        _ => {
                            self.guest_value()?;
                            self.out.op(constants::DW_OP_stack_value);
                            complete = true;
                        }
                    }
                    if complete {
                        self.stack.pop();
                    }
                }
                Operation::Piece { size_in_bits, bit_offset } => {
                    if !complete {
                        if self.stack.is_empty() {
                            self.has_gap = true;
                        } else {
                            self.make_host()?;
                            self.stack.pop();
                        }
                    }
                    complete = false;
                    self.described = self.described.saturating_add(size_in_bits);
                    match bit_offset {
                        None if size_in_bits % 8 == 0 => self.out.op_piece(size_in_bits / 8),
                        offset => self.out.op_bit_piece(size_in_bits, offset.unwrap_or(0)),
                    }
                    if position + 1 == operations.len() {
                        self.leave_rest_open();
                        if self.has_gap && self.context.whole && role == Role::Location {
                            return Err(LossKind::PartialObject.into());
                        }
                        return self.patch(&branches, &starts, operations.len());
                    }
                }
                Operation::ImplicitValue { data } => {
                    self.out.op_implicit_value(data.slice());
                    complete = true;
                }
                Operation::ImplicitPointer { value, byte_offset } => {
                    let entry = self
                        .context
                        .lookup
                        .entry(DieReference::DebugInfoRef(value))
                        .ok_or(LossKind::DanglingReference)?;
                    self.out.reference(Reference::ImplicitPointer { entry, byte_offset });
                    complete = true;
                }
                Operation::Bra { target } | Operation::Skip { target } => {
                    let conditional = matches!(operations[position], Operation::Bra { .. });
                    let end = offsets[position + 1];
                    let wanted = i64::try_from(end).unwrap_or(i64::MAX).saturating_add(i64::from(target));
                    let goal = offsets
                        .iter()
                        .position(|offset| i64::try_from(*offset) == Ok(wanted))
                        .ok_or(LossKind::MalformedExpression)?;
                    let index = if conditional {
                        self.clean(0)?;
                        self.pop()?;
                        self.out.op_branch(true)
                    } else {
                        self.out.op_branch(false)
                    };
                    branches.push((index, goal));
                    if goal > position {
                        saved[goal] = Some(self.stack.clone());
                    }
                }
                operation => self.operation(operation, 0)?,
            }
            position += 1;
        }
        while starts.len() <= operations.len() {
            starts.push(self.out.next_index());
        }
        if !complete && !self.stack.is_empty() {
            match role {
                Role::Value => self.guest_value()?,
                _ => self.make_host()?,
            }
        }
        self.patch(&branches, &starts, operations.len())
    }

    /// Says that the rest of the object is nowhere: debuggers show zeros for what no piece describes.
    fn leave_rest_open(&mut self) {
        let bits = self.context.size.and_then(|size| size.checked_mul(8)).unwrap_or(0);
        let rest = bits.saturating_sub(self.described);
        self.has_gap |= rest > 0;
        match rest {
            0 => {}
            _ if rest.is_multiple_of(8) => self.out.op_piece(rest / 8),
            _ => self.out.op_bit_piece(rest, 0),
        }
    }

    /// Branches know their targets only now.
    fn patch(&mut self, branches: &[(usize, usize)], starts: &[usize], count: usize) -> Result<(), Failure> {
        let end = self.out.next_index();
        for &(index, goal) in branches {
            let target = starts.get(goal).copied().unwrap_or(end);
            if goal > count || target > end {
                return Err(LossKind::MalformedExpression.into());
            }
            if !self.out.set_target(index, target) {
                return Err(LossKind::UntranslatableExpression.into());
            }
        }
        Ok(())
    }

    /// The operations and, for each and the end, its byte offset.
    fn decode(&self, expression: GuestExpression<'a>) -> Result<(Vec<GuestOperation<'a>>, Vec<usize>), Failure> {
        let encoding = self.context.unit.encoding();
        let length = expression.0.len();
        // Each takes a byte or more; most expressions have two.
        let mut operations = Vec::with_capacity(length.min(4));
        let mut offsets = Vec::with_capacity(length.min(4) + 1);
        offsets.push(0);
        let mut reader = expression.0;
        while !reader.is_empty() {
            operations.push(Operation::parse(&mut reader, encoding)?);
            offsets.push(length - reader.len());
        }
        if encoding.version < 4 {
            self.mark_values(&mut operations, &mut offsets);
        }
        Ok((operations, offsets))
    }

    /// Before DWARF 4 nothing marks a value. LLVM leaves the mark out, so that a number, a wasm local, a global or an entry
    /// of the operand stack is the value of a scalar or of a piece; of other objects it is the address.
    fn mark_values(&self, operations: &mut Vec<GuestOperation<'a>>, offsets: &mut Vec<usize>) {
        let is_value = |operation: Option<&GuestOperation<'a>>| {
            matches!(
                operation,
                Some(
                    Operation::WasmLocal { .. }
                        | Operation::WasmGlobal { .. }
                        | Operation::WasmStack { .. }
                        | Operation::UnsignedConstant { .. }
                        | Operation::SignedConstant { .. }
                )
            )
        };
        let is_other = |operation: &GuestOperation<'a>| {
            matches!(
                operation,
                Operation::StackValue
                    | Operation::Piece { .. }
                    | Operation::Deref { .. }
                    | Operation::Bra { .. }
                    | Operation::Skip { .. }
            )
        };
        if self.context.one_scalar && is_value(operations.first()) && !operations.iter().any(is_other) {
            operations.push(Operation::StackValue);
            offsets.push(offsets[offsets.len() - 1]);
            return;
        }
        for at in (1..operations.len()).rev() {
            let begins = at == 1 || matches!(operations[at - 2], Operation::Piece { .. });
            if matches!(operations[at], Operation::Piece { .. }) && begins && is_value(operations.get(at - 1)) {
                operations.insert(at, Operation::StackValue);
                offsets.insert(at, offsets[at]);
            }
        }
    }

    /// Whole location descriptions that have a shorter or better form than the general one: how many operations were
    /// taken, 0 for none.
    fn simple_location(&mut self, rest: &[GuestOperation<'a>], role: Role) -> Result<usize, Failure> {
        if role != Role::Location || !self.stack.is_empty() {
            return Ok(0);
        }
        let ends = |position: usize| matches!(rest.get(position), None | Some(Operation::Piece { .. }));
        match rest {
            // A variable that lives in a wasm local.
            [Operation::WasmLocal { index }, Operation::StackValue, ..] if ends(2) => {
                let home = self.context.home(*index)?;
                push_home_address(&mut self.out, home.cfa_offset);
                if home.size == 16 {
                    // Too wide for a value on the stack.
                    return Ok(2);
                }
                if !home.writable {
                    self.load(home.size);
                    self.out.op(constants::DW_OP_stack_value);
                }
                Ok(2)
            }
            // A variable that lives in a wasm global.
            [Operation::WasmGlobal { index }, Operation::StackValue, ..] if ends(2) => {
                if self.push_global_address(*index)? == ValType::Ref {
                    // An assignment would not be counted.
                    self.load(8);
                    self.out.op(constants::DW_OP_stack_value);
                }
                Ok(2)
            }
            [Operation::FrameOffset { offset }, ..] if ends(1) && self.has_native_frame_base() => {
                self.out.op_fbreg(*offset);
                Ok(1)
            }
            [Operation::FrameOffset { offset }, Operation::PlusConstant { value }, ..]
                if ends(2) && self.has_native_frame_base() && *value < 1 << 31 =>
            {
                self.out.op_fbreg(offset.wrapping_add(*value as i64));
                Ok(2)
            }
            [Operation::Address { .. } | Operation::AddressIndex { .. }, ..] if ends(1) => {
                let address = self.guest_address(&rest[0])?;
                self.push_memory_base(true)?;
                self.out.op_plus_uconst(address);
                Ok(1)
            }
            // The same of a thread-local one.
            [Operation::UnsignedConstant { value }, Operation::TLS, ..]
                if ends(2) && self.context.guest.thread_locals == ThreadLocals::Absolute =>
            {
                self.check_address(*value)?;
                self.push_memory_base(true)?;
                self.out.op_plus_uconst(*value);
                Ok(2)
            }
            _ => Ok(0),
        }
    }

    fn has_native_frame_base(&self) -> bool {
        self.context.frame_base.is_some_and(|base| base.native)
    }

    /// The operand of `DW_OP_addr` or `DW_OP_addrx`, if it is an address of something that still exists.
    fn guest_address(&self, operation: &GuestOperation<'a>) -> Result<u64, Failure> {
        let address = match operation {
            Operation::Address { address } => *address,
            Operation::AddressIndex { index } | Operation::ConstantIndex { index } => self.address_at(*index)?,
            _ => return Err(LossKind::UntranslatableExpression.into()),
        };
        self.check_address(address)?;
        Ok(address)
    }

    /// An entry of the guest's table of addresses.
    fn address_at(&self, index: gimli::DebugAddrIndex) -> Result<u64, Failure> {
        let Context { dwarf, unit, .. } = *self.context;
        Ok(dwarf.sections(unit).address(unit, index)?)
    }

    /// Linkers write 0, -1 or -2 for what they dropped.
    fn check_address(&self, address: u64) -> Result<(), Failure> {
        let top = if self.context.guest.memory64 { u64::MAX } else { u64::from(u32::MAX) };
        if address == 0 || address >= top - 1 { Err(Failure::Dropped) } else { Ok(()) }
    }

    fn push(&mut self, kind: Kind) {
        self.stack.push(kind);
    }

    fn pop(&mut self) -> Result<Kind, Failure> {
        self.stack.pop().ok_or(Failure::Loss(LossKind::MalformedExpression))
    }

    fn top(&self) -> Result<Kind, Failure> {
        self.stack.last().copied().ok_or(Failure::Loss(LossKind::MalformedExpression))
    }

    fn load(&mut self, size: u8) {
        self.out.op_load(size);
    }

    /// Pushes the vmctx pointer. `anywhere`: prefer the one that needs no frame.
    fn push_vmctx(&mut self, anywhere: bool) -> Result<(), Failure> {
        let home = self.context.function.and_then(|function| function.vmctx_home_cfa_offset);
        let cell = self.context.native.instance_cell;
        match home {
            Some(offset) if !(anywhere && cell) => {
                push_home_address(&mut self.out, offset);
                self.out.op_load(8);
            }
            _ if cell => {
                self.out.op_cell();
                self.out.op_load(8);
            }
            _ => return Err(LossKind::UntranslatableExpression.into()),
        }
        Ok(())
    }

    /// Pushes the host address of linear memory 0.
    fn push_memory_base(&mut self, anywhere: bool) -> Result<(), Failure> {
        let memory = *self.context.native.memories.first().ok_or(LossKind::UntranslatableExpression)?;
        self.push_vmctx(anywhere)?;
        self.out.op_plus_uconst(u64::from(memory.vmctx_offset));
        self.out.op_load(8);
        if memory.indirect {
            self.out.op_load(8);
        }
        Ok(())
    }

    fn push_global_address(&mut self, index: u32) -> Result<ValType, Failure> {
        let global = usize::try_from(index)
            .ok()
            .and_then(|index| self.context.native.globals.get(index))
            .copied()
            .ok_or(LossKind::UnknownGlobal)?;
        self.push_vmctx(false)?;
        self.out.op_plus_uconst(u64::from(global.vmctx_offset));
        if global.indirect {
            self.out.op_load(8);
        }
        Ok(global.ty)
    }

    /// The kind of a freshly loaded value of `size` bytes.
    fn loaded(size: u8) -> Kind {
        if size == 8 { Kind::Wide } else { Kind::Guest }
    }

    /// Zero-extends the entry on top (`below` = 0) or the one below it.
    fn clean(&mut self, below: usize) -> Result<(), Failure> {
        let position = self.stack.len().checked_sub(below + 1).ok_or(LossKind::MalformedExpression)?;
        if self.stack[position] == Kind::GuestDirty && !self.context.guest.memory64 {
            self.swap_around(below, |this| {
                this.out.op_constu(0xffff_ffff);
                this.out.op(constants::DW_OP_and);
            });
            self.stack[position] = Kind::Guest;
        }
        Ok(())
    }

    /// Sign-extends the entry on top (`below` = 0) or the one below it.
    fn sign_extend(&mut self, below: usize) -> Result<(), Failure> {
        let position = self.stack.len().checked_sub(below + 1).ok_or(LossKind::MalformedExpression)?;
        if matches!(self.stack[position], Kind::Guest | Kind::GuestDirty) && !self.context.guest.memory64 {
            self.swap_around(below, |this| {
                this.out.op_constu(32);
                this.out.op(constants::DW_OP_shl);
                this.out.op_constu(32);
                this.out.op(constants::DW_OP_shra);
            });
            self.stack[position] = Kind::GuestDirty;
        }
        Ok(())
    }

    fn swap_around(&mut self, below: usize, emit: impl FnOnce(&mut Self)) {
        if below == 1 {
            self.out.op(constants::DW_OP_swap);
        }
        emit(self);
        if below == 1 {
            self.out.op(constants::DW_OP_swap);
        }
    }

    /// Makes the guest address on top a host address.
    fn make_host(&mut self) -> Result<(), Failure> {
        match self.top()? {
            Kind::Host => {}
            Kind::Typed => return Err(LossKind::UntranslatableExpression.into()),
            Kind::Guest | Kind::GuestDirty | Kind::Wide => {
                self.clean(0)?;
                let frameless = self.context.function.is_none();
                self.push_memory_base(frameless)?;
                self.out.op(constants::DW_OP_plus);
                *self.stack.last_mut().ok_or(LossKind::MalformedExpression)? = Kind::Host;
            }
        }
        Ok(())
    }

    /// Makes the entry on top a value of the guest's.
    fn guest_value(&mut self) -> Result<(), Failure> {
        if self.top()? == Kind::Host {
            let frameless = self.context.function.is_none();
            self.push_memory_base(frameless)?;
            self.out.op(constants::DW_OP_minus);
            *self.stack.last_mut().ok_or(LossKind::MalformedExpression)? = Kind::Guest;
        }
        Ok(())
    }

    /// The kind of a sum, difference or any other result of the two entries that were popped.
    fn combine(left: Kind, right: Kind) -> Kind {
        match (left, right) {
            (Kind::Typed, _) | (_, Kind::Typed) => Kind::Typed,
            (Kind::Wide, _) | (_, Kind::Wide) => Kind::Wide,
            _ => Kind::GuestDirty,
        }
    }

    fn binary(&mut self, opcode: gimli::DwOp, signed: bool, unsigned: bool) -> Result<(), Failure> {
        if signed {
            self.sign_extend(0)?;
            self.sign_extend(1)?;
        } else if unsigned {
            self.clean(0)?;
            self.clean(1)?;
        }
        let right = self.pop()?;
        let left = self.pop()?;
        self.out.op(opcode);
        self.push(Self::combine(left, right));
        Ok(())
    }

    /// Pushes the guest's frame base as a value of the guest.
    fn push_frame_base_value(&mut self, depth: u32) -> Result<(), Failure> {
        let base = self.context.frame_base.ok_or(LossKind::UntranslatableExpression)?;
        if let Some(expression) = base.guest {
            let (operations, _) = self.decode(expression)?;
            let before = self.stack.len();
            for operation in operations {
                match operation {
                    Operation::StackValue => break,
                    Operation::FrameOffset { .. } | Operation::Bra { .. } | Operation::Skip { .. } => {
                        return Err(LossKind::UntranslatableExpression.into());
                    }
                    operation => self.operation(operation, depth + 1)?,
                }
            }
            if self.stack.len() != before + 1 {
                return Err(LossKind::UntranslatableExpression.into());
            }
            return self.guest_value();
        }
        if !base.native {
            return Err(LossKind::UntranslatableExpression.into());
        }
        self.out.op_fbreg(0);
        self.push(Kind::Host);
        self.guest_value()
    }

    /// Translates an operation that works on the stack alone.
    fn operation(&mut self, operation: GuestOperation<'a>, depth: u32) -> Result<(), Failure> {
        self.operations += 1;
        if depth > MAX_CALL_DEPTH || self.operations > MAX_OPERATIONS {
            return Err(LossKind::UntranslatableExpression.into());
        }
        let pointer_size = if self.context.guest.memory64 { 8 } else { 4 };
        let lost = |kind: LossKind| Err(Failure::Loss(kind));
        let unsupported = |opcode: gimli::DwOp| Err(Failure::Operation(opcode));
        match operation {
            Operation::Nop | Operation::Uninitialized => {}
            Operation::Address { .. } | Operation::AddressIndex { .. } | Operation::ConstantIndex { .. } => {
                // What is added to the base of the thread's objects is an offset, which may be 0.
                let is_offset = !self.stack.is_empty() && self.context.guest.thread_locals != ThreadLocals::Absolute;
                let value = match operation {
                    Operation::ConstantIndex { index } => self.address_at(index)?,
                    Operation::AddressIndex { index } if is_offset => self.address_at(index)?,
                    Operation::Address { address } if is_offset => address,
                    _ => self.guest_address(&operation)?,
                };
                self.out.op_constu(value);
                self.push(Kind::Guest);
            }
            Operation::UnsignedConstant { value } => {
                self.out.op_constu(value);
                self.push(if value >> 32 == 0 { Kind::Guest } else { Kind::Wide });
            }
            Operation::SignedConstant { value } => {
                self.out.op_consts(value);
                self.push(if i32::try_from(value).is_ok() { Kind::GuestDirty } else { Kind::Wide });
            }
            Operation::WasmLocal { index } => {
                let home = if self.at_entry {
                    let home = ENTRY_VALUE_HOME.checked_add(index).and_then(|local| self.context.home(local).ok());
                    home.ok_or(LossKind::EntryValue)?
                } else {
                    self.context.home(index)?
                };
                if home.size > 8 {
                    return lost(LossKind::UntranslatableExpression);
                }
                push_home_address(&mut self.out, home.cfa_offset);
                self.load(home.size);
                self.push(Self::loaded(home.size));
            }
            Operation::WasmGlobal { index } => {
                if index == NO_GLOBAL {
                    self.out.op_constu(0);
                    self.push(Kind::Guest);
                    return Ok(());
                }
                let size = self.push_global_address(index)?.size();
                if size > 8 {
                    return lost(LossKind::UntranslatableExpression);
                }
                self.load(size);
                self.push(Self::loaded(size));
            }
            Operation::WasmStack { index } => {
                let home = self.context.stack_home(index)?;
                push_home_address(&mut self.out, home.cfa_offset);
                self.load(home.size);
                // Of what type the entry is, is not known.
                self.push(Kind::Wide);
            }
            Operation::FrameOffset { offset } => {
                self.push_frame_base_value(depth)?;
                if offset != 0 {
                    self.out.op_consts(offset);
                    self.out.op(constants::DW_OP_plus);
                }
            }
            Operation::PushObjectAddress => {
                self.out.op(constants::DW_OP_push_object_address);
                self.push(Kind::Host);
            }
            Operation::Deref { base_type, size, space } => {
                if space {
                    return unsupported(constants::DW_OP_xderef);
                }
                self.make_host()?;
                self.pop()?;
                // A plain dereference reads a pointer of the guest's.
                let size = if size == self.context.unit.encoding().address_size { pointer_size } else { size };
                if base_type == UnitOffset(0) {
                    if size > 8 {
                        return lost(LossKind::UntranslatableExpression);
                    }
                    self.load(size);
                    self.push(Self::loaded(size));
                } else {
                    let base = self.context.lookup.base_type(base_type).ok_or(LossKind::DanglingReference)?;
                    self.out.reference(Reference::DerefType { size, base });
                    self.push(Kind::Typed);
                }
            }
            Operation::PlusConstant { value } if self.stack.is_empty() => return Err(Failure::NoFrame(value)),
            Operation::PlusConstant { value } => {
                let kind = self.pop()?;
                self.out.op_plus_uconst(value);
                self.push(match kind {
                    Kind::Guest if value >= 1 << 31 => Kind::GuestDirty,
                    kind => kind,
                });
            }
            Operation::Plus => match (self.pop()?, self.pop()?) {
                // An offset that is added to an address of the host may be negative.
                (Kind::Guest | Kind::GuestDirty, Kind::Host) => {
                    self.stack.extend([Kind::Host, Kind::GuestDirty]);
                    self.sign_extend(0)?;
                    self.stack.truncate(self.stack.len() - 2);
                    self.out.op(constants::DW_OP_plus);
                    self.push(Kind::Host);
                }
                (Kind::Host, Kind::Guest | Kind::GuestDirty) => {
                    self.stack.extend([Kind::GuestDirty, Kind::Host]);
                    self.sign_extend(1)?;
                    self.stack.truncate(self.stack.len() - 2);
                    self.out.op(constants::DW_OP_plus);
                    self.push(Kind::Host);
                }
                (Kind::Wide, Kind::Host) | (Kind::Host, Kind::Wide) => {
                    self.out.op(constants::DW_OP_plus);
                    self.push(Kind::Host);
                }
                (right, left) => {
                    self.out.op(constants::DW_OP_plus);
                    self.push(Self::combine(left, right));
                }
            },
            Operation::Minus => match (self.pop()?, self.pop()?) {
                (Kind::Guest | Kind::GuestDirty | Kind::Wide, Kind::Host) => {
                    self.out.op(constants::DW_OP_minus);
                    self.push(Kind::Host);
                }
                (Kind::Host, Kind::Host) => {
                    self.out.op(constants::DW_OP_minus);
                    self.push(Kind::GuestDirty);
                }
                (right, left) => {
                    self.out.op(constants::DW_OP_minus);
                    self.push(Self::combine(left, right));
                }
            },
            Operation::And => self.binary(constants::DW_OP_and, false, false)?,
            Operation::Or => self.binary(constants::DW_OP_or, false, false)?,
            Operation::Xor => self.binary(constants::DW_OP_xor, false, false)?,
            Operation::Mul => self.binary(constants::DW_OP_mul, false, false)?,
            Operation::Shl => self.binary(constants::DW_OP_shl, false, true)?,
            Operation::Shr => self.binary(constants::DW_OP_shr, false, true)?,
            Operation::Mod => self.binary(constants::DW_OP_mod, false, true)?,
            Operation::Div => self.binary(constants::DW_OP_div, true, false)?,
            Operation::Shra => self.binary(constants::DW_OP_shra, true, false)?,
            Operation::Eq => self.compare(constants::DW_OP_eq)?,
            Operation::Ne => self.compare(constants::DW_OP_ne)?,
            Operation::Lt => self.compare(constants::DW_OP_lt)?,
            Operation::Le => self.compare(constants::DW_OP_le)?,
            Operation::Gt => self.compare(constants::DW_OP_gt)?,
            Operation::Ge => self.compare(constants::DW_OP_ge)?,
            Operation::Abs => {
                self.sign_extend(0)?;
                self.unary(constants::DW_OP_abs)?;
            }
            Operation::Neg => self.unary(constants::DW_OP_neg)?,
            Operation::Not => self.unary(constants::DW_OP_not)?,
            Operation::Drop => {
                self.pop()?;
                self.out.op(constants::DW_OP_drop);
            }
            Operation::Pick { index } => {
                let position = self.stack.len().checked_sub(usize::from(index) + 1);
                let kind = position.map(|position| self.stack[position]).ok_or(LossKind::MalformedExpression)?;
                self.out.op_pick(index);
                self.push(kind);
            }
            Operation::Swap => {
                let (top, below) = (self.pop()?, self.pop()?);
                self.stack.extend([top, below]);
                self.out.op(constants::DW_OP_swap);
            }
            Operation::Rot => {
                let (first, second, third) = (self.pop()?, self.pop()?, self.pop()?);
                self.stack.extend([first, third, second]);
                self.out.op(constants::DW_OP_rot);
            }
            Operation::TypedLiteral { base_type, value } => {
                let base = self.context.lookup.base_type(base_type).ok_or(LossKind::DanglingReference)?;
                self.out.reference(Reference::ConstType { base, value: value.slice().into() });
                self.push(Kind::Typed);
            }
            Operation::Convert { base_type } => {
                self.guest_value()?;
                self.pop()?;
                if base_type == UnitOffset(0) {
                    self.out.op_to_generic(constants::DW_OP_convert);
                    self.push(Kind::Wide);
                } else {
                    let base = self.context.lookup.base_type(base_type).ok_or(LossKind::DanglingReference)?;
                    self.out.reference(Reference::Convert(base));
                    self.push(Kind::Typed);
                }
            }
            Operation::Reinterpret { base_type } => {
                self.guest_value()?;
                self.pop()?;
                if base_type == UnitOffset(0) {
                    self.out.op_to_generic(constants::DW_OP_reinterpret);
                    self.push(Kind::Wide);
                } else {
                    let base = self.context.lookup.base_type(base_type).ok_or(LossKind::DanglingReference)?;
                    self.out.reference(Reference::Reinterpret(base));
                    self.push(Kind::Typed);
                }
            }
            Operation::Call { offset } => {
                let expression = self.context.lookup.location(offset).ok_or(LossKind::DanglingReference)?;
                let (operations, _) = self.decode(expression)?;
                for operation in operations {
                    self.operation(operation, depth + 1)?;
                }
            }
            Operation::VariableValue { offset } => {
                let entry =
                    self.context.lookup.entry(DieReference::DebugInfoRef(offset)).ok_or(LossKind::DanglingReference)?;
                self.out.reference(Reference::VariableValue(entry));
                self.push(Kind::Typed);
            }
            Operation::EntryValue { expression } => self.entry_value(expression, depth)?,
            Operation::ParameterRef { .. } => return lost(LossKind::EntryValue),
            Operation::TLS => match self.context.guest.thread_locals {
                ThreadLocals::Absolute => {}
                ThreadLocals::RelativeTo(global) => {
                    self.operation(Operation::WasmGlobal { index: global }, depth + 1)?;
                    self.operation(Operation::Plus, depth + 1)?;
                }
                ThreadLocals::Unknown => return lost(LossKind::ThreadLocal),
            },
            // Registers do not exist in wasm, and the rest cannot stand where a value is wanted.
            Operation::Register { .. } => return unsupported(constants::DW_OP_regx),
            Operation::RegisterOffset { base_type: UnitOffset(0), .. } => return unsupported(constants::DW_OP_bregx),
            Operation::RegisterOffset { .. } => return unsupported(constants::DW_OP_regval_type),
            Operation::CallFrameCFA => return unsupported(constants::DW_OP_call_frame_cfa),
            Operation::Bra { .. } => return unsupported(constants::DW_OP_bra),
            Operation::Skip { .. } => return unsupported(constants::DW_OP_skip),
            Operation::Piece { bit_offset: None, .. } => return unsupported(constants::DW_OP_piece),
            Operation::Piece { .. } => return unsupported(constants::DW_OP_bit_piece),
            Operation::ImplicitValue { .. } => return unsupported(constants::DW_OP_implicit_value),
            Operation::ImplicitPointer { .. } => return unsupported(constants::DW_OP_implicit_pointer),
            Operation::StackValue => return unsupported(constants::DW_OP_stack_value),
        }
        Ok(())
    }

    /// The value that an expression had on entry to the function. Of a local there is a copy; what memory and globals held
    /// then is not known.
    fn entry_value(&mut self, expression: Slice<'a>, depth: u32) -> Result<(), Failure> {
        let (operations, _) = self.decode(gimli::Expression(expression))?;
        let before = self.stack.len();
        for operation in operations {
            match operation {
                Operation::StackValue => break,
                Operation::WasmGlobal { .. }
                | Operation::WasmStack { .. }
                | Operation::Deref { .. }
                | Operation::FrameOffset { .. }
                | Operation::Call { .. }
                | Operation::EntryValue { .. } => return Err(LossKind::EntryValue.into()),
                operation => {
                    self.at_entry = true;
                    let result = self.operation(operation, depth + 1);
                    self.at_entry = false;
                    result?;
                }
            }
        }
        if self.stack.len() == before + 1 { Ok(()) } else { Err(LossKind::MalformedExpression.into()) }
    }

    fn compare(&mut self, opcode: gimli::DwOp) -> Result<(), Failure> {
        self.binary(opcode, true, false)?;
        self.pop()?;
        self.push(Kind::Guest);
        Ok(())
    }

    fn unary(&mut self, opcode: gimli::DwOp) -> Result<(), Failure> {
        let kind = self.pop()?;
        self.out.op(opcode);
        self.push(if kind == Kind::Guest { Kind::GuestDirty } else { kind });
        Ok(())
    }
}
