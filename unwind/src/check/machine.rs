//! Abstract interpretation of x86-64 code, as far as frames depend on it.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use super::Checked;

/// rsp and rbp as the machine numbers them.
const RSP: usize = 4;
const RBP: usize = 5;
/// What a callee keeps: rbx, rbp, r12 to r15.
pub(super) const CALLEE_SAVED: [usize; 6] = [3, RBP, 12, 13, 14, 15];
const WORD: i64 = 8;

/// What is known of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Unknown,
    /// What this register (by machine number) held on entry.
    Entry(u8),
    ReturnAddress,
    /// The stack pointer on entry, plus this.
    Stack(i64),
    Constant(u64),
    /// Not more than this: an index that has been clamped.
    AtMost(u64),
    /// An offset read from the jump table at `base`, which has so many entries (if known).
    TableEntry {
        base: u64,
        entries: Option<u64>,
    },
    /// The address that such an offset leads to.
    TableTarget {
        base: u64,
        entries: Option<u64>,
    },
}

/// What is known before an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    registers: [Value; 16],
    /// Slots by their distance from the stack pointer on entry, ascending; what is not here is
    /// unknown.
    stack: Vec<(i64, Value)>,
    /// The flags come from a comparison with this.
    compared: Option<u64>,
    /// The flags come from the comparison of these registers by the instruction before.
    just_compared: Option<(usize, usize)>,
}

impl State {
    /// Before the first instruction of a function that is called.
    pub(super) fn on_entry() -> State {
        let mut registers = [Value::Unknown; 16];
        for (number, value) in registers.iter_mut().enumerate() {
            *value = Value::Entry(number as u8);
        }
        registers[RSP] = Value::Stack(0);
        State { registers, stack: vec![(0, Value::ReturnAddress)], compared: None, just_compared: None }
    }

    /// Nothing is known but what is then said with [`State::set_register`] and [`State::store`].
    pub(super) fn unknown() -> State {
        State { registers: [Value::Unknown; 16], stack: Vec::new(), compared: None, just_compared: None }
    }

    pub(super) fn set_register(&mut self, number: usize, value: Value) {
        self.registers[number] = value;
    }

    pub(super) fn register(&self, number: usize) -> Value {
        self.registers.get(number).copied().unwrap_or(Value::Unknown)
    }

    /// The slot at the entry's stack pointer plus `at`.
    pub(super) fn slot(&self, at: i64) -> Value {
        match self.stack.binary_search_by_key(&at, |slot| slot.0) {
            Ok(index) => self.stack[index].1,
            Err(_) => Value::Unknown,
        }
    }

    /// The stack pointer, relative to what it was on entry.
    pub(super) fn stack_pointer(&self) -> Option<i64> {
        match self.registers[RSP] {
            Value::Stack(at) => Some(at),
            _ => None,
        }
    }

    /// All places that hold `value` now, for a message.
    pub(super) fn places(&self, value: Value) -> Option<String> {
        let registers = (0..16)
            .filter(|&number| self.registers[number] == value)
            .map(|number| super::rows::machine_register_name(number).to_owned());
        let slots = self.stack.iter().filter(|slot| slot.1 == value).map(|slot| format!("[CFA{:+}]", slot.0 - WORD));
        let places: Vec<_> = registers.chain(slots).collect();
        (!places.is_empty()).then(|| places.join(" or "))
    }

    fn forget_bytes(&mut self, at: i64, size: i64) {
        self.stack.retain(|slot| slot.0 + WORD <= at || at.saturating_add(size) <= slot.0);
    }

    pub(super) fn store(&mut self, at: i64, value: Value) {
        self.forget_bytes(at, WORD);
        if value != Value::Unknown {
            let index = self.stack.partition_point(|slot| slot.0 < at);
            self.stack.insert(index, (at, value));
        }
    }

    /// Keeps what both states know. Tells whether that is less than before.
    fn meet(&mut self, other: &State) -> bool {
        let mut changed = false;
        for (mine, theirs) in self.registers.iter_mut().zip(other.registers) {
            if *mine != theirs && *mine != Value::Unknown {
                *mine = Value::Unknown;
                changed = true;
            }
        }
        let before = self.stack.len();
        self.stack.retain(|&(at, value)| other.slot(at) == value);
        changed |= self.stack.len() != before;
        if self.compared.is_some() && self.compared != other.compared {
            self.compared = None;
            changed = true;
        }
        if self.just_compared.is_some() && self.just_compared != other.just_compared {
            self.just_compared = None;
            changed = true;
        }
        changed
    }

    /// Two registers hold the same after all. `false` if they cannot.
    fn are_equal(&mut self, (left, right): (usize, usize)) -> bool {
        match (self.registers[left], self.registers[right]) {
            (Value::Unknown, known) => self.registers[left] = known,
            (known, Value::Unknown) => self.registers[right] = known,
            (Value::Stack(left), Value::Stack(right)) => return left == right,
            _ => {}
        }
        true
    }
}

/// Where a function is followed from.
pub(super) struct Start {
    pub(super) address: u64,
    pub(super) state: State,
}

/// Where control goes after an instruction.
enum Next {
    Fall,
    Stop,
    Branch(u64),
    Jump(u64),
    Table(Vec<u64>),
}

/// The text section.
pub(super) struct Code<'a> {
    text: &'a [u8],
    address: u64,
    /// Ascending; those that others may continue in.
    functions: &'a [Range<u64>],
    /// Callees pop their stack arguments.
    callees_pop: bool,
}

impl<'a> Code<'a> {
    pub(super) fn new(checked: &Checked<'a>) -> Code<'a> {
        Code {
            text: checked.text,
            address: checked.text_address,
            functions: if checked.foreign { checked.functions } else { &[] },
            callees_pop: !checked.foreign,
        }
    }

    /// The function that the address lies in.
    fn function_at(&self, address: u64) -> Option<&'a Range<u64>> {
        let index = self.functions.partition_point(|function| function.start <= address).checked_sub(1)?;
        self.functions.get(index).filter(|function| function.contains(&address))
    }

    fn bytes(&self, range: Range<u64>) -> &'a [u8] {
        let offset = |address: u64| {
            let offset = address.checked_sub(self.address)?;
            usize::try_from(offset).ok()
        };
        offset(range.start)
            .zip(offset(range.end))
            .and_then(|(start, end)| self.text.get(start..end.min(self.text.len())))
            .unwrap_or_default()
    }

    fn decoder(&self, range: Range<u64>) -> Decoder<'a> {
        Decoder::with_ip(64, self.bytes(range.clone()), range.start, DecoderOptions::NONE)
    }

    /// Whether there are only instructions without effect here.
    pub(super) fn is_without_effect(&self, range: Range<u64>) -> bool {
        let end = range.end;
        let mut decoder = self.decoder(range);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if !matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Endbr64) {
                return false;
            }
        }
        decoder.ip() == end
    }

    /// Calls `visit` with each instruction of the function that can be reached from `start`, and what is known before it,
    /// and `lost` where the code cannot be followed. Adds to `parts` the functions that this one
    /// continues in.
    pub(super) fn follow(
        &self,
        function: &Range<u64>,
        start: Start,
        mut visit: impl FnMut(u64, &State),
        mut lost: impl FnMut(u64, String),
        parts: &mut BTreeSet<u64>,
    ) {
        // Where paths can meet. Targets of direct branches are found by decoding straight through
        // (what that finds in data between does no harm); those of jump tables only on the way.
        let mut leaders = self.branch_targets(function);
        leaders.insert(start.address);
        let mut follower = Follower {
            code: self,
            regions: vec![function.clone()],
            no_return: BTreeSet::new(),
            details: InstructionInfoFactory::new(),
        };
        let states = loop {
            let known = (leaders.len(), follower.regions.len(), follower.no_return.len());
            let states = follower.fixpoint(&start, &mut leaders);
            for region in &follower.regions[known.1..] {
                leaders.extend(self.branch_targets(region));
            }
            if (leaders.len(), follower.regions.len(), follower.no_return.len()) == known {
                break states;
            }
        };
        for (&start, (state, _)) in &states {
            let mut state = state.clone();
            follower.walk(start, &mut state, &leaders, &mut |event| match event {
                Event::Before(address, state) => visit(address, state),
                Event::Edge(..) => {}
                Event::Lost(address, reason) => lost(address, reason),
            });
        }
        parts
            .extend(follower.regions[1..].iter().map(|region| region.start).filter(|start| states.contains_key(start)));
    }

    fn branch_targets(&self, function: &Range<u64>) -> BTreeSet<u64> {
        let mut targets = BTreeSet::from([function.start]);
        let mut decoder = self.decoder(function.clone());
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            if matches!(instruction.flow_control(), FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch) {
                targets.insert(instruction.near_branch_target());
            }
        }
        targets
    }
}

/// What happens on a walk along a block.
enum Event<'s> {
    Before(u64, &'s State),
    /// The last is the address of the call that the path comes directly from behind.
    Edge(u64, &'s State, Option<u64>),
    Lost(u64, String),
}

/// States at the starts of blocks, each with the address of the call that all paths to it come from
/// behind, if that is so.
type States = BTreeMap<u64, (State, Option<u64>)>;

struct Follower<'c, 'a> {
    code: &'c Code<'a>,
    /// The function, and others that it continues in.
    regions: Vec<Range<u64>>,
    /// Calls that are known not to return.
    no_return: BTreeSet<u64>,
    details: InstructionInfoFactory,
}

impl Follower<'_, '_> {
    /// The state at the start of each reachable block. Adds to `leaders` what it finds.
    fn fixpoint(&mut self, start: &Start, leaders: &mut BTreeSet<u64>) -> States {
        let mut states: States = BTreeMap::from([(start.address, (start.state.clone(), None))]);
        let mut work = vec![start.address];
        // What is concluded from the return of these is to be forgotten: the caller starts again.
        let mut no_return = BTreeSet::new();
        while let Some(at) = work.pop() {
            let mut state = states[&at].0.clone();
            let mut found = Vec::new();
            self.walk(at, &mut state, leaders, &mut |event| {
                let Event::Edge(target, state, call) = event else { return };
                found.push(target);
                let Some((known, known_call)) = states.get_mut(&target) else {
                    states.insert(target, (state.clone(), call));
                    work.push(target);
                    return;
                };
                let depths = (known.stack_pointer(), state.stack_pointer());
                if matches!(depths, (Some(one), Some(other)) if one != other) && call.is_some() != known_call.is_some()
                {
                    no_return.extend(call.or(*known_call));
                    return;
                }
                if call.is_none() {
                    *known_call = None;
                }
                if known.meet(state) {
                    work.push(target);
                }
            });
            leaders.extend(found);
        }
        self.no_return.append(&mut no_return);
        states
    }

    fn contains(&self, address: u64) -> bool {
        self.regions.iter().any(|region| region.contains(&address))
    }

    /// Where the function, or the part of it that lies here, ends.
    fn end_of(&self, address: u64) -> u64 {
        self.regions.iter().find(|region| region.contains(&address)).map_or(address, |region| region.end)
    }

    /// Follows the code from `at` to the end of its block.
    fn walk(&mut self, at: u64, state: &mut State, leaders: &BTreeSet<u64>, tell: &mut dyn FnMut(Event<'_>)) {
        let end = self.end_of(at);
        let mut decoder = self.code.decoder(at..end);
        let mut instruction = Instruction::default();
        let mut call = None;
        loop {
            let address = decoder.ip();
            if !decoder.can_decode() {
                return tell(Event::Lost(address, "runs past the end".to_owned()));
            }
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                return tell(Event::Lost(address, "no instruction".to_owned()));
            }
            tell(Event::Before(address, state));
            match self.step(state, &instruction) {
                Err(reason) => return tell(Event::Lost(address, reason)),
                Ok(Next::Fall) => {}
                Ok(Next::Stop) => return,
                Ok(Next::Jump(target)) => return tell(Event::Edge(target, state, None)),
                Ok(Next::Branch(target)) => {
                    tell(Event::Edge(target, state, None));
                    // A probe of a large frame lowers the stack pointer until it equals a limit.
                    if let Some(equal) = state.just_compared.take()
                        && instruction.mnemonic() == Mnemonic::Jne
                        && !state.are_equal(equal)
                    {
                        return;
                    }
                }
                Ok(Next::Table(targets)) => {
                    for target in targets {
                        tell(Event::Edge(target, state, None));
                    }
                    return;
                }
            }
            let next = instruction.next_ip();
            if is_call(&instruction) {
                // A call that ends the function does not return.
                if next >= end || self.no_return.contains(&address) {
                    return;
                }
                call = Some(address);
            } else if instruction.mnemonic() != Mnemonic::Nop {
                call = None;
            }
            if leaders.contains(&next) {
                return tell(Event::Edge(next, state, call));
            }
        }
    }

    /// The address that the memory operand means, if it is in terms of the stack pointer on entry.
    fn address(&self, state: &State, instruction: &Instruction) -> Value {
        let displacement = instruction.memory_displacement64();
        if instruction.is_ip_rel_memory_operand() {
            return Value::Constant(displacement);
        }
        let base = instruction.memory_base();
        if instruction.memory_index() != Register::None || !base.is_gpr64() {
            return Value::Unknown;
        }
        match state.register(base.number()) {
            Value::Stack(at) => Value::Stack(at.wrapping_add(displacement.cast_signed())),
            _ => Value::Unknown,
        }
    }

    fn step(&mut self, state: &mut State, instruction: &Instruction) -> Result<Next, String> {
        match instruction.flow_control() {
            // Nothing that is to go on halts the machine.
            FlowControl::Next if instruction.mnemonic() == Mnemonic::Hlt => Ok(Next::Stop),
            FlowControl::Next | FlowControl::Interrupt => {
                self.compute(state, instruction);
                Ok(Next::Fall)
            }
            FlowControl::Exception => Ok(Next::Stop),
            FlowControl::Return => {
                self.leaves(state)?;
                Ok(Next::Stop)
            }
            FlowControl::ConditionalBranch => {
                let target = instruction.near_branch_target();
                if self.contains(target) {
                    return Ok(Next::Branch(target));
                }
                match self.branch_out(state, target)? {
                    Next::Stop => Ok(Next::Fall),
                    _ => Ok(Next::Branch(target)),
                }
            }
            FlowControl::UnconditionalBranch => {
                let target = instruction.near_branch_target();
                // A jump to the own start is a tail call too: there is no frame there yet.
                if self.contains(target) && target != self.regions[0].start {
                    return Ok(Next::Jump(target));
                }
                self.branch_out(state, target)
            }
            FlowControl::IndirectBranch => self.indirect_jump(state, instruction),
            FlowControl::Call | FlowControl::IndirectCall => {
                self.call(state, instruction);
                Ok(Next::Fall)
            }
            FlowControl::XbeginXabortXend => Err("transactions are not followed".to_owned()),
        }
    }

    /// A branch to another function is a tail call, if there is no frame left here. Else what it leads
    /// to is a part of this function.
    fn branch_out(&mut self, state: &State, target: u64) -> Result<Next, String> {
        /// More than any compiler makes of one function.
        const PARTS: usize = 16;
        let part = self.code.function_at(target).filter(|_| self.regions.len() <= PARTS);
        // Where other functions are not known, the target may start one.
        let is_start = part.is_none_or(|part| part.start == target);
        match (self.leaves(state), part) {
            (Ok(()), _) if is_start => Ok(Next::Stop),
            (_, Some(part)) if target != self.regions[0].start => {
                self.regions.push(part.clone());
                Ok(Next::Jump(target))
            }
            (Err(reason), _) => Err(reason),
            (Ok(()), _) => Err("branches into the middle of itself".to_owned()),
        }
    }

    /// Before a return or a tail jump the return address is on top of the stack.
    fn leaves(&self, state: &State) -> Result<(), String> {
        match state.stack_pointer().map(|at| state.slot(at)) {
            Some(Value::ReturnAddress) => Ok(()),
            _ => Err("leaves the function, but not with the return address on top".to_owned()),
        }
    }

    fn indirect_jump(&self, state: &State, instruction: &Instruction) -> Result<Next, String> {
        let target = match instruction.op0_kind() {
            OpKind::Register => state.register(instruction.op0_register().number()),
            _ => Value::Unknown,
        };
        let Value::TableTarget { base, entries } = target else {
            self.leaves(state)?;
            return Ok(Next::Stop);
        };
        // Entries are offsets from the table's start. If their number is not known, the table ends
        // where the first of the blocks it leads to starts.
        let Some(region) = self.regions.iter().find(|region| region.contains(&base)) else {
            return Err("jumps by a table outside the function".to_owned());
        };
        let mut limit = region.end;
        let mut targets = Vec::new();
        for index in 0..entries.unwrap_or(u64::MAX) {
            let place = base.saturating_add(4 * index);
            if place.saturating_add(4) > limit {
                if entries.is_some() {
                    return Err("a jump table that overlaps code".to_owned());
                }
                break;
            }
            let bytes = self.code.bytes(place..place + 4);
            let Ok(bytes) = bytes.try_into() else {
                return Err("a jump table outside the text".to_owned());
            };
            let target = base.wrapping_add_signed(i32::from_le_bytes(bytes).into());
            if !self.contains(target) {
                return Err("a jump table that leads out of the function".to_owned());
            }
            if target > base && entries.is_none() {
                limit = limit.min(target);
            }
            targets.push(target);
        }
        targets.sort_unstable();
        targets.dedup();
        Ok(Next::Table(targets))
    }

    fn call(&self, state: &mut State, instruction: &Instruction) {
        // A callee pops its stack arguments, and the caller then takes as many bytes again: that
        // tells how many they were.
        let next = instruction.next_ip();
        let mut decoder = self.code.decoder(next..self.end_of(next));
        let popped = decoder.can_decode().then(|| decoder.decode()).and_then(|next| {
            let is_sub_rsp = next.mnemonic() == Mnemonic::Sub
                && next.op0_kind() == OpKind::Register
                && next.op0_register() == Register::RSP;
            immediate(&next).filter(|_| is_sub_rsp && self.code.callees_pop)
        });
        if let Some(at) = state.stack_pointer() {
            state.stack.retain(|slot| slot.0 >= at);
            state.registers[RSP] = Value::Stack(at.wrapping_add(popped.unwrap_or(0)));
        }
        for number in (0..16).filter(|number| *number != RSP && !CALLEE_SAVED.contains(number)) {
            state.registers[number] = Value::Unknown;
        }
        state.compared = None;
        state.just_compared = None;
    }

    /// The effect of an instruction that goes on to the next.
    fn compute(&mut self, state: &mut State, instruction: &Instruction) {
        let compared = state.compared;
        state.just_compared = None;
        if instruction.rflags_modified() != 0 {
            state.compared = None;
        }
        let is_register64 =
            |operand| instruction.op_kind(operand) == OpKind::Register && instruction.op_register(operand).is_gpr64();
        let number = |operand| instruction.op_register(operand).number();
        let is_memory = |operand| instruction.op_kind(operand) == OpKind::Memory;

        match instruction.mnemonic() {
            Mnemonic::Push if instruction.stack_pointer_increment() == -8 => {
                let value = match is_register64(0) {
                    true => state.register(number(0)),
                    false => Value::Unknown,
                };
                match state.stack_pointer() {
                    Some(at) => {
                        let at = at.wrapping_sub(WORD);
                        state.registers[RSP] = Value::Stack(at);
                        state.store(at, value);
                    }
                    None => state.registers[RSP] = Value::Unknown,
                }
            }
            Mnemonic::Pop if is_register64(0) => {
                let value = match state.stack_pointer() {
                    Some(at) => {
                        state.registers[RSP] = Value::Stack(at.wrapping_add(WORD));
                        state.slot(at)
                    }
                    None => Value::Unknown,
                };
                state.registers[number(0)] = value;
            }
            Mnemonic::Leave => {
                let (stack_pointer, frame_pointer) = match state.registers[RBP] {
                    Value::Stack(at) => (Value::Stack(at.wrapping_add(WORD)), state.slot(at)),
                    _ => (Value::Unknown, Value::Unknown),
                };
                state.registers[RSP] = stack_pointer;
                state.registers[RBP] = frame_pointer;
            }
            Mnemonic::Mov if is_register64(0) && is_register64(1) => {
                state.registers[number(0)] = state.register(number(1));
            }
            Mnemonic::Mov if is_register64(0) && is_memory(1) => {
                state.registers[number(0)] = match self.address(state, instruction) {
                    Value::Stack(at) => state.slot(at),
                    _ => Value::Unknown,
                };
            }
            Mnemonic::Mov if is_memory(0) && is_register64(1) => {
                if let Value::Stack(at) = self.address(state, instruction) {
                    state.store(at, state.register(number(1)));
                }
            }
            // A write to 32 bits clears the rest.
            Mnemonic::Mov
                if instruction.op0_kind() == OpKind::Register
                    && (instruction.op0_register().is_gpr64() || instruction.op0_register().is_gpr32())
                    && is_immediate(instruction, 1) =>
            {
                let value = match instruction.op0_register().is_gpr64() {
                    true => instruction.immediate(1),
                    false => instruction.immediate(1) & 0xffff_ffff,
                };
                state.registers[number(0)] = Value::Constant(value);
            }
            Mnemonic::Mov
                if instruction.op0_kind() == OpKind::Register
                    && instruction.op1_kind() == OpKind::Register
                    && instruction.op0_register().is_gpr32() =>
            {
                state.registers[number(0)] = match state.register(number(1)) {
                    Value::Constant(value) => Value::Constant(value & 0xffff_ffff),
                    Value::AtMost(value) if value <= 0xffff_ffff => Value::AtMost(value),
                    _ => Value::Unknown,
                };
            }
            Mnemonic::Lea if is_register64(0) => {
                state.registers[number(0)] = self.address(state, instruction);
            }
            Mnemonic::Add | Mnemonic::Sub if is_register64(0) && immediate(instruction).is_some() => {
                let amount = immediate(instruction).unwrap_or_default();
                let register = number(0);
                state.registers[register] = match state.register(register) {
                    Value::Stack(at) if instruction.mnemonic() == Mnemonic::Add => {
                        Value::Stack(at.wrapping_add(amount))
                    }
                    Value::Stack(at) => Value::Stack(at.wrapping_sub(amount)),
                    _ => Value::Unknown,
                };
            }
            // The four instructions of a jump table: clamp the index, get the table's address, load
            // an offset, add.
            Mnemonic::Cmp
                if instruction.op0_kind() == OpKind::Register
                    && instruction.op1_kind() == OpKind::Register
                    && (instruction.op1_register().is_gpr32() || instruction.op1_register().is_gpr64()) =>
            {
                state.compared = match state.register(number(1)) {
                    Value::Constant(value) => Some(value),
                    _ => None,
                };
                if is_register64(0) && is_register64(1) {
                    state.just_compared = Some((number(0), number(1)));
                }
            }
            Mnemonic::Cmovb
                if compared.is_some() && state.register(number(0)) == Value::Constant(compared.unwrap_or_default()) =>
            {
                state.registers[number(0)] = Value::AtMost(compared.unwrap_or_default());
            }
            Mnemonic::Movsxd if is_register64(0) && is_memory(1) && instruction.memory_index_scale() == 4 => {
                let register = |register: Register| match register.is_gpr64() {
                    true => state.register(register.number()),
                    false => Value::Unknown,
                };
                let base = register(instruction.memory_base());
                let index = register(instruction.memory_index());
                state.registers[number(0)] = match base {
                    Value::Constant(base) if instruction.memory_displacement64() == 0 => Value::TableEntry {
                        base,
                        entries: match index {
                            Value::AtMost(last) => last.checked_add(1),
                            _ => None,
                        },
                    },
                    _ => Value::Unknown,
                };
            }
            Mnemonic::Add if is_register64(0) && is_register64(1) => {
                let sum = match (state.register(number(0)), state.register(number(1))) {
                    (Value::Constant(address), Value::TableEntry { base, entries })
                    | (Value::TableEntry { base, entries }, Value::Constant(address))
                        if address == base =>
                    {
                        Value::TableTarget { base, entries }
                    }
                    _ => Value::Unknown,
                };
                state.registers[number(0)] = sum;
            }
            _ => self.forget_what_is_written(state, instruction),
        }
    }

    /// An instruction of no interest: what it writes is unknown from then on.
    fn forget_what_is_written(&mut self, state: &mut State, instruction: &Instruction) {
        let details = self.details.info(instruction);
        let writes = |access| {
            matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
        };
        let mut forgotten = [false; 16];
        for used in details.used_registers() {
            if writes(used.access()) && used.register().is_gpr() {
                forgotten[used.register().full_register().number()] = true;
            }
        }
        for used in details.used_memory() {
            if writes(used.access())
                && used.index() == Register::None
                && used.base().is_gpr64()
                && let Value::Stack(base) = state.registers[used.base().number()]
            {
                let at = base.wrapping_add(used.displacement().cast_signed());
                let size = used.memory_size().size() as i64;
                state.forget_bytes(at, size.max(1));
            }
        }
        for (value, _) in state.registers.iter_mut().zip(forgotten).filter(|pair| pair.1) {
            *value = Value::Unknown;
        }
    }
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
}

fn is_immediate(instruction: &Instruction, operand: u32) -> bool {
    instruction.try_immediate(operand).is_ok()
}

/// The second operand, if it is an immediate.
fn immediate(instruction: &Instruction) -> Option<i64> {
    (instruction.op_count() == 2).then(|| instruction.try_immediate(1).ok()).flatten().map(u64::cast_signed)
}
