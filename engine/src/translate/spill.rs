//! Puts the references that are live across a safepoint into the frame, and says where in the safepoint's stack map.
//!
//! A safepoint is a call. Values do not move, so a spilled reference is stored and never loaded back: code goes on with the
//! value that it has. One whose safepoints all lie on cold paths is stored there, before the call; any other where it is
//! defined. Two references share a slot if neither is defined while the other is live.
//!
//! The frontend's own pass is not used: it overlooks uses through aliases, and gives one slot to two references of a loop
//! if one is live around it and the other is defined in it.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{self, InstBuilder, types};
use std::collections::{BTreeSet, HashMap};

/// A set of references, by their numbers.
#[derive(Clone, Default, PartialEq)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Bits {
        Bits(vec![0; len.div_ceil(64)])
    }

    fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    fn remove(&mut self, number: usize) {
        self.0[number / 64] &= !(1 << (number % 64));
    }

    fn contains(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 != 0
    }

    fn add_all(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }

    fn keep(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, kept)| *word &= kept);
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors(Some(word).filter(|word| *word != 0), |word| {
                Some(word & (word - 1)).filter(|word| *word != 0)
            })
            .map(move |word| index * 64 + word.trailing_zeros() as usize)
        })
    }
}

/// More bits of liveness than this are refused: 256 MiB.
const MAX_BITS: usize = 1 << 31;

/// Spills `references`, which are all of the function's.
///
/// # Errors
///
/// If there are so many that it takes too much memory to follow them.
pub(super) fn spill(func: &mut ir::Function, references: &BTreeSet<ir::Value>) -> Result<(), String> {
    if references.is_empty() {
        return Ok(());
    }
    let blocks = func.layout.blocks().count();
    if references.len().saturating_mul(blocks) > MAX_BITS {
        return Err(format!("{} references in {blocks} basic blocks are too many", references.len()));
    }
    let liveness = Liveness::new(func, references);
    let safepoints = liveness.safepoints(func);
    let mut spilled = Bits::new(references.len());
    safepoints.iter().for_each(|safepoint| spilled.add_all(&safepoint.live));
    let slots = liveness.assign_slots(func, &spilled);
    let hot = {
        let mut hot = Bits::new(references.len());
        safepoints.iter().filter(|safepoint| !safepoint.cold).for_each(|safepoint| hot.add_all(&safepoint.live));
        hot
    };
    for safepoint in &safepoints {
        for number in safepoint.live.iter() {
            let slot = slots[&number];
            if !hot.contains(number) {
                let mut pos = FuncCursor::new(func).at_inst(safepoint.inst);
                pos.set_srcloc(pos.func.srcloc(safepoint.inst));
                pos.ins().stack_store(liveness.values[number], slot, 0);
            }
            let entry = ir::UserStackMapEntry { ty: types::I64, slot, offset: 0 };
            func.dfg.append_user_stack_map_entry(safepoint.inst, entry);
        }
    }
    for number in hot.iter() {
        let value = liveness.values[number];
        let mut pos = FuncCursor::new(func);
        match pos.func.dfg.value_def(value) {
            ir::ValueDef::Result(inst, _) => {
                pos = pos.after_inst(inst);
                pos.set_srcloc(pos.func.srcloc(inst));
            }
            ir::ValueDef::Param(block, _) => pos = pos.at_first_insertion_point(block),
            ir::ValueDef::Union(..) => unreachable!("made by the optimizer only"),
        }
        pos.ins().stack_store(value, slots[&number], 0);
    }
    Ok(())
}

/// A call, and what is live across it.
struct Safepoint {
    inst: ir::Inst,
    cold: bool,
    live: Bits,
}

struct Liveness {
    values: Vec<ir::Value>,
    numbers: HashMap<ir::Value, usize>,
    live_out: HashMap<ir::Block, Bits>,
}

/// What a walk backwards through a block comes by.
enum Event<'a> {
    /// A reference is defined; these are live behind it.
    Definition(usize, &'a Bits),
    /// A call; these are live across it.
    Safepoint(ir::Inst, &'a Bits),
}

impl Liveness {
    fn new(func: &ir::Function, references: &BTreeSet<ir::Value>) -> Liveness {
        let values: Vec<_> = references.iter().copied().collect();
        let numbers = values.iter().enumerate().map(|(number, &value)| (value, number)).collect();
        let mut this = Liveness { values, numbers, live_out: HashMap::new() };
        let mut live_in: HashMap<ir::Block, Bits> = HashMap::new();
        let none = Bits::new(this.values.len());
        // Backwards, so that a function without loops needs one round.
        let blocks: Vec<_> = func.layout.blocks().collect();
        let mut changed = true;
        while changed {
            changed = false;
            for &block in blocks.iter().rev() {
                let mut live = none.clone();
                for successor in func.block_successors(block) {
                    live_in.get(&successor).into_iter().for_each(|more| live.add_all(more));
                }
                this.live_out.insert(block, live.clone());
                this.walk(func, block, &mut live, |_| ());
                let known = live_in.entry(block).or_insert_with(|| none.clone());
                if *known != live {
                    *known = live;
                    changed = true;
                }
            }
        }
        this
    }

    /// Goes backwards from what is live at the end of a block to what is live at its start.
    fn walk(&self, func: &ir::Function, block: ir::Block, live: &mut Bits, mut visit: impl FnMut(Event<'_>)) {
        let number = |value: ir::Value| self.numbers.get(&func.dfg.resolve_aliases(value)).copied();
        for inst in func.layout.block_insts(block).rev() {
            for defined in func.dfg.inst_results(inst).iter().filter_map(|value| number(*value)) {
                visit(Event::Definition(defined, live));
            }
            func.dfg.inst_results(inst).iter().filter_map(|value| number(*value)).for_each(|at| live.remove(at));
            if func.dfg.insts[inst].opcode().is_safepoint() {
                visit(Event::Safepoint(inst, live));
            }
            func.dfg.inst_values(inst).filter_map(number).for_each(|at| live.insert(at));
        }
        for defined in func.dfg.block_params(block).iter().filter_map(|value| number(*value)) {
            visit(Event::Definition(defined, live));
        }
        func.dfg.block_params(block).iter().filter_map(|value| number(*value)).for_each(|at| live.remove(at));
    }

    /// All calls in the order of the code, with what is live across them.
    fn safepoints(&self, func: &ir::Function) -> Vec<Safepoint> {
        let mut safepoints = Vec::new();
        for block in func.layout.blocks() {
            let (cold, first) = (func.layout.is_cold(block), safepoints.len());
            let mut live = self.live_out[&block].clone();
            self.walk(func, block, &mut live, |event| {
                if let Event::Safepoint(inst, live) = event {
                    safepoints.push(Safepoint { inst, cold, live: live.clone() });
                }
            });
            safepoints[first..].reverse();
        }
        safepoints
    }

    /// A slot for each of the spilled references.
    fn assign_slots(&self, func: &mut ir::Function, spilled: &Bits) -> HashMap<usize, ir::StackSlot> {
        let mut conflicts: HashMap<usize, Bits> =
            spilled.iter().map(|number| (number, Bits::new(self.values.len()))).collect();
        for block in func.layout.blocks() {
            let mut live = self.live_out[&block].clone();
            // Parameters of a block are defined together, and all are live behind their definitions if they are used.
            self.walk(func, block, &mut live, |event| {
                if let Event::Definition(defined, live) = event
                    && spilled.contains(defined)
                {
                    let mut others = live.clone();
                    others.keep(spilled);
                    others.remove(defined);
                    for other in others.iter() {
                        conflicts.get_mut(&other).expect("spilled").insert(defined);
                    }
                    conflicts.get_mut(&defined).expect("spilled").add_all(&others);
                }
            });
        }
        let mut slots: Vec<ir::StackSlot> = Vec::new();
        let mut assigned: HashMap<usize, usize> = HashMap::new();
        for number in spilled.iter() {
            let taken: BTreeSet<usize> =
                conflicts[&number].iter().filter_map(|other| assigned.get(&other).copied()).collect();
            let free = (0..).find(|slot| !taken.contains(slot)).expect("there are not more slots than references");
            if free == slots.len() {
                let data = ir::StackSlotData::new(ir::StackSlotKind::ExplicitSlot, 8, 3);
                slots.push(func.create_sized_stack_slot(data));
            }
            assigned.insert(number, free);
        }
        assigned.into_iter().map(|(number, slot)| (number, slots[slot])).collect()
    }
}
