//! Which operators push the operand stack entries that debug info names.
//!
//! Optimized guest code keeps variables on the operand stack, and its debug info says "entry `depth` from this operator
//! on". An entry is copied to a home when it is pushed, and stays valid there as long as it is on the stack. The
//! translator's own stack is out of reach, so the operators are followed by their heights, as the validator sees them.

use super::heights::{Entry, Heights};
use super::{BodyScan, FunctionInput};
use crate::environ::Module;
use crate::types::{HeapType, RefType, ValType};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use wasmparser::{AbstractHeapType, BlockType, FuncValidator, FuncValidatorAllocations, Operator};

/// What is to be copied where.
#[derive(Debug, Default)]
pub(crate) struct StackCopies {
    /// What is to be copied after an operator, by its number: sorted.
    by_operator: Vec<(usize, StackCopy)>,
    /// How many of them come after operators that are done.
    done: usize,
    /// Depths of which some entry is copied, with the type of a home that holds each.
    pub(crate) depths: BTreeMap<u32, ValType>,
    /// What debug info names and cannot be copied: file offset of an operator, and depth.
    pub(crate) lost: BTreeSet<(u32, u32)>,
    /// Of what it names: file offset of an operator, depth, and the first operator before which the entry is gone.
    pub(crate) ends: Vec<(u32, u32, u32)>,
}

/// An entry that is copied when it is pushed.
#[derive(Debug)]
pub(crate) struct StackCopy {
    pub(crate) depth: u32,
    pub(crate) ty: ValType,
    /// Where debug info names it.
    named_at: Vec<u32>,
}

impl StackCopies {
    /// What is to be copied after operator `number`. Operators are asked for in their order.
    pub(crate) fn after(&mut self, number: usize) -> Option<&StackCopy> {
        while self.by_operator.get(self.done).is_some_and(|copy| copy.0 < number) {
            self.done += 1;
        }
        self.by_operator.get(self.done).filter(|copy| copy.0 == number).map(|copy| &copy.1)
    }

    /// The copy after operator `number` could not be made.
    pub(crate) fn lose(&mut self, number: usize) {
        if let Ok(at) = self.by_operator.binary_search_by_key(&number, |copy| copy.0) {
            let copy = &self.by_operator[at].1;
            self.lost.extend(copy.named_at.iter().map(|&offset| (offset, copy.depth)));
        }
    }
}

/// A function whose operand stack is followed.
pub(crate) struct Followed<'a> {
    pub(crate) input: &'a FunctionInput<'a>,
    pub(crate) module: &'a Module,
    pub(crate) body: &'a BodyScan,
    /// The types of its locals, parameters first.
    pub(crate) locals: &'a [ValType],
}

impl Followed<'_> {
    /// Calls `before` with the offset of each operator, the stack before it, and the depth below which the operator before
    /// has left it as it was. Stops when told to, and at the first operator that is invalid.
    ///
    /// What `before` makes of it begins as `S::default()`, and begins anew where an operator is met that only the validator
    /// knows.
    fn follow<S: Default>(&self, before: impl Fn(&mut S, u32, &[Entry], usize) -> ControlFlow<()>) -> S {
        if let Some(state) = self.follow_heights(&before) {
            return state;
        }
        let mut state = S::default();
        if let Some(tracker) = Tracker::new(self.input, self.module) {
            tracker.follow(self.input, |offset, stack, renewed| before(&mut state, offset, stack, renewed));
        }
        state
    }

    fn follow_heights<S: Default>(
        &self,
        before: impl Fn(&mut S, u32, &[Entry], usize) -> ControlFlow<()>,
    ) -> Option<S> {
        let mut heights = Heights::new(self.input, self.body, self.module, self.locals)?;
        let mut state = S::default();
        for number in 0..self.body.offsets.len() {
            let (offset, stack, renewed) = heights.before(number);
            if before(&mut state, offset, stack, renewed).is_break() {
                break;
            }
            if !heights.step(number) {
                return None;
            }
        }
        Some(state)
    }
}

/// How far the search for the entries that are named has come.
#[derive(Default)]
struct Search {
    /// Which operator has pushed what is named, and where that is.
    found: Vec<(usize, ValType, u32, u32)>,
    /// What is not found on the stack: also what is named at an offset that is no operator.
    lost: Vec<(u32, u32)>,
    ends: Vec<(u32, u32, u32)>,
    /// Entries that are named and still there: where they are named, and how deep.
    there: Vec<(u32, u32)>,
    /// All of them are below it.
    height: usize,
    /// The next one that is wanted.
    next: usize,
}

/// Plans the copies for the entries `wanted`: file offset of an operator, and the depth that is named there.
pub(crate) fn plan(function: &Followed<'_>, wanted: &[(u32, u32)]) -> StackCopies {
    let mut copies = StackCopies::default();
    let Some(&(last, _)) = wanted.last() else { return copies };
    // A body that is invalid is refused when it is translated; here it only has nothing to copy.
    let mut search = function.follow(|search: &mut Search, offset, stack, renewed| {
        if renewed < search.height {
            search.there.retain(|&(named, depth)| {
                let stays = (depth as usize) < renewed;
                if !stays {
                    search.ends.push((named, depth, offset));
                }
                stays
            });
            search.height = search.there.iter().map(|(_, depth)| *depth as usize + 1).max().unwrap_or(0);
        }
        while let Some(&(at, depth)) = wanted.get(search.next)
            && at <= offset
        {
            search.next += 1;
            match stack.get(depth as usize).and_then(|entry| entry.pusher()).filter(|_| at == offset) {
                Some((operator, ty)) => {
                    search.found.push((operator, ty, depth, at));
                    search.there.push((at, depth));
                    search.height = search.height.max(depth as usize + 1);
                }
                None => search.lost.push((at, depth)),
            }
        }
        if offset < last || search.height > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    copies.lost.extend(search.lost);
    copies.lost.extend(&wanted[search.next..]);
    search.found.sort_unstable_by_key(|found| (found.0, found.3));
    for pushed in search.found.chunk_by(|one, other| one.0 == other.0) {
        let (operator, ty, depth, _) = pushed[0];
        let named_at = pushed.iter().map(|found| found.3).collect();
        copies.by_operator.push((operator, StackCopy { depth, ty, named_at }));
        let home = if ty.byte_size() == 4 { ValType::I32 } else { ValType::I64 };
        let widest = copies.depths.entry(depth).or_insert(home);
        if home == ValType::I64 {
            *widest = home;
        }
    }
    search.ends.sort_unstable();
    copies.ends = search.ends;
    copies
}

/// An entry of the operand stack that one operator has pushed, and how long it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StackSpan {
    /// Entries below it.
    pub(crate) depth: u32,
    pub(crate) ty: ValType,
    /// File offsets of the first operator before which it is there, and of the first before which it is not.
    pub(crate) operators: Range<u32>,
}

/// Entries of the operand stack beyond this depth are not shown.
const SHOWN_DEPTHS: usize = 16;

/// All entries of a function's operand stack that a debugger shows: those of one word that one operator has pushed.
pub(crate) fn spans(input: &FunctionInput<'_>, module: &Module) -> Vec<StackSpan> {
    let mut spans = Vec::new();
    // Who pushed the entry, its type, and from where on it is there.
    let mut open: Vec<(Option<(usize, ValType)>, u32)> = Vec::new();
    let mut step = |at: u32, stack: &[Entry]| {
        let same = open.iter().zip(stack).take_while(|((entry, _), now)| *entry == now.pusher()).count();
        for (depth, (entry, begin)) in (same as u32..).zip(open.drain(same..)) {
            if let Some((_, ty)) = entry
                && begin < at
            {
                spans.push(StackSpan { depth, ty, operators: begin..at });
            }
        }
        open.extend(stack[same..].iter().map(|entry| (entry.pusher(), at)));
    };
    if let Some(tracker) = Tracker::new(input, module) {
        tracker.follow(input, |offset, stack, _| {
            step(offset, &stack[..stack.len().min(SHOWN_DEPTHS)]);
            ControlFlow::Continue(())
        });
    }
    step(input.body.range().end as u32, &[]);
    spans
}

struct Tracker<'a> {
    validator: FuncValidator<&'a wasmparser::ValidatorResources>,
    module: &'a Module,
    stack: Vec<Entry>,
    /// Height of the stack below the parameters of each open block.
    blocks: Vec<usize>,
    /// The last operator has left the entries below this depth as they were.
    renewed: usize,
}

impl<'a> Tracker<'a> {
    fn new(input: &'a FunctionInput<'_>, module: &'a Module) -> Option<Tracker<'a>> {
        let mut validator = input.new_validator(FuncValidatorAllocations::default())?;
        validator.read_locals(&mut input.body.get_binary_reader()).ok()?;
        Some(Tracker { validator, module, stack: Vec::new(), blocks: vec![0], renewed: usize::MAX })
    }

    /// Calls `before` with the offset of each operator, the stack before it, and the depth below which the operator before
    /// has left it as it was. Stops when told to, and at the first operator that is invalid.
    fn follow(mut self, input: &FunctionInput<'_>, mut before: impl FnMut(u32, &[Entry], usize) -> ControlFlow<()>) {
        let Ok(mut reader) = input.body.get_operators_reader() else { return };
        let mut number = 0;
        while !reader.eof() {
            let Ok((op, offset)) = reader.read_with_offset() else { return };
            if before(offset as u32, &self.stack, self.renewed).is_break() {
                return;
            }
            if self.validator.op(offset, &op).is_err() {
                return;
            }
            self.renewed = usize::MAX;
            self.step(number, &op);
            number += 1;
        }
    }

    fn step(&mut self, number: usize, op: &Operator<'_>) {
        let height = self.validator.operand_stack_height() as usize;
        match op {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                let params = self.params(*blockty);
                self.blocks.push(height.saturating_sub(params));
                self.renew(height.saturating_sub(params), height);
            }
            Operator::Else => {
                let base = self.blocks.last().copied().unwrap_or(0);
                self.renew(base, height);
            }
            Operator::End => {
                let base = self.blocks.pop().unwrap_or(0);
                self.renew(base, height);
            }
            Operator::Call { function_index } => {
                let results = self.module.func_type(*function_index).results.len();
                self.results(number, height, results);
            }
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                let results = self.module.types[*type_index as usize].results.len();
                self.results(number, height, results);
            }
            _ => self.results(number, height, usize::from(pushes(op))),
        }
    }

    fn params(&self, ty: BlockType) -> usize {
        match ty {
            BlockType::FuncType(index) => self.module.types.get(index as usize).map_or(0, |ty| ty.params.len()),
            _ => 0,
        }
    }

    /// The entries from `base` on are new and come from several places.
    fn renew(&mut self, base: usize, height: usize) {
        self.renewed = self.renewed.min(base);
        self.stack.truncate(base);
        self.stack.resize(height, Entry::unknown(None));
    }

    /// The last `count` entries are results of operator `number`.
    fn results(&mut self, number: usize, height: usize, count: usize) {
        self.renew(height.saturating_sub(count).min(self.stack.len()), height);
        if count == 1
            && let Some(ty) = self.validator.get_operand_type(0).and_then(of_one_word)
            && let Some(top) = self.stack.last_mut()
        {
            *top = Entry::result(number, ty);
        }
    }
}

/// The type of an entry that fits a home of 8 bytes.
fn of_one_word(ty: Option<wasmparser::ValType>) -> Option<ValType> {
    match ty? {
        wasmparser::ValType::I32 => Some(ValType::I32),
        wasmparser::ValType::I64 => Some(ValType::I64),
        wasmparser::ValType::F32 => Some(ValType::F32),
        wasmparser::ValType::F64 => Some(ValType::F64),
        wasmparser::ValType::Ref(ty) => {
            // The validator numbers types in its own way, and the compiler needs no more than the kind.
            let heap = match ty.heap_type() {
                wasmparser::HeapType::Abstract {
                    ty: AbstractHeapType::Extern | AbstractHeapType::NoExtern, ..
                } => HeapType::Extern,
                wasmparser::HeapType::Abstract { ty: AbstractHeapType::I31, .. } => HeapType::I31,
                _ => HeapType::Func,
            };
            Some(ValType::Ref(RefType { nullable: ty.is_nullable(), heap }))
        }
        wasmparser::ValType::V128 => None,
    }
}

/// Does the operator push a result? Every operator that is neither control nor a call pushes one or none.
fn pushes(op: &Operator<'_>) -> bool {
    !matches!(
        op,
        Operator::Nop
            | Operator::Unreachable
            | Operator::Drop
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::Return
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::LocalSet { .. }
            | Operator::GlobalSet { .. }
            | Operator::I32Store { .. }
            | Operator::I64Store { .. }
            | Operator::F32Store { .. }
            | Operator::F64Store { .. }
            | Operator::I32Store8 { .. }
            | Operator::I32Store16 { .. }
            | Operator::I64Store8 { .. }
            | Operator::I64Store16 { .. }
            | Operator::I64Store32 { .. }
            | Operator::V128Store { .. }
            | Operator::V128Store8Lane { .. }
            | Operator::V128Store16Lane { .. }
            | Operator::V128Store32Lane { .. }
            | Operator::V128Store64Lane { .. }
            | Operator::I32AtomicStore { .. }
            | Operator::I64AtomicStore { .. }
            | Operator::I32AtomicStore8 { .. }
            | Operator::I32AtomicStore16 { .. }
            | Operator::I64AtomicStore8 { .. }
            | Operator::I64AtomicStore16 { .. }
            | Operator::I64AtomicStore32 { .. }
            | Operator::AtomicFence
            | Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. }
            | Operator::DataDrop { .. }
            | Operator::TableSet { .. }
            | Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableInit { .. }
            | Operator::ElemDrop { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environ::Tunables;
    use crate::translate::ModuleTranslation;

    /// The stack before each operator of each function, as [`Heights`] and as the validator see it; the number of functions that
    /// are left to the validator.
    fn compare(wasm: &[u8]) -> usize {
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(wasm, &tunables).expect("it is valid");
        let mut left = 0;
        for input in &translation.functions {
            let body = BodyScan::read(input);
            let locals = crate::compile::local_types(&translation.module, input);
            let mut heights = Heights::new(input, &body, &translation.module, &locals).expect("it can be read");
            let mut number = 0;
            let mut is_left = false;
            let tracker = Tracker::new(input, &translation.module).expect("it has a body");
            tracker.follow(input, |offset, stack, renewed| {
                let place = format!("before operator {number} of function {}", input.index);
                let found = heights.before(number);
                assert_eq!((offset, renewed), (found.0, found.2), "{place}");
                let pushers = |stack: &[Entry]| stack.iter().map(|entry| entry.pusher()).collect::<Vec<_>>();
                assert_eq!(pushers(stack), pushers(found.1), "{place}");
                is_left = !heights.step(number);
                number += 1;
                if is_left { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            left += usize::from(is_left);
            assert!(is_left || number == body.offsets.len(), "function {}", input.index);
        }
        left
    }

    #[test]
    fn heights_are_those_of_the_validator() {
        let module = r#"(module
            (memory 1) (table 4 funcref) (global $g (mut f64) (f64.const 0))
            (type $two (func (param i32 i64) (result f32 f64)))
            (func $two (type $two) f32.const 1 f64.const 2)
            (func (param i32 i64) (result i32) (local f32 f64)
                local.get 0 local.get 1 call $two drop drop
                i32.const 1 i64.const 2 (block (type $two) drop drop f32.const 1 f64.const 3) global.set $g local.tee 2 drop
                i32.const 7 i64.const 9 i32.const 0 call_indirect (type $two) drop drop
                (loop (param) local.get 0 br_if 0)
                local.get 0 (loop (param i32) (result i32) i32.const 1 i32.add local.get 0 br_if 0) drop
                local.get 0 (if (result i64) (then local.get 1) (else i64.const 3)) local.set 1
                (block (result i32) i32.const 1 (br_if 0 (local.get 0)))
                (block (result i32) i32.const 2 return)
                local.get 0 select
                (block (block (br_table 0 1 0 (i32.const 1))))
                local.get 0 i32.load local.get 0 f64.load f64.sqrt f64.const 2 f64.lt i32.xor
                global.get $g i32.trunc_sat_f64_s i32.add i32.extend8_s f32.convert_i32_u i64.trunc_sat_f32_u i32.wrap_i64
                i32.const 0 i32.const 0 i32.const 1 memory.fill
                local.get 0 local.get 1 i64.store32 offset=8 nop)
            (func (param i32) (result i32)
                (block (result i32)
                    unreachable drop select local.tee 0 i64.const 1 i32.wrap_i64 i32.add
                    (if (param) (result i32) (then i32.const 1) (else unreachable))
                    (block (result i32) i32.const 5 br 0 br_if 0 f32.const 1 f32.const 2 i32.const 3 select drop i32.add)
                    drop br 0))
            (func (param externref) (result externref) local.get 0)
            (func (result i32) memory.size))"#;
        assert_eq!(compare(&wat::parse_str(module).expect("it is well-formed")), 2);
        let kernels = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/kernels/kernels-debug.wasm"));
        compare(&kernels.expect("it is a file of the repository"));
    }
}
