//! Which assignments of locals a debugger can see.
//!
//! The guest's compiler uses a wasm local for many things, and its debug info names it only here and there. An
//! assignment needs a store to the local's home only if the value can still be there at an operator where the local is
//! named. That is the liveness of data flow analysis, with the named ranges as uses, followed backwards through the
//! structured control flow. A loop's head is taken to need whatever is named in the loop or needed after it.

use super::body_scan::{BodyScan, Effect};
use std::collections::BinaryHeap;
use std::ops::Range;

/// Where a local is named, as file offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedRange {
    pub(crate) local: u32,
    pub(crate) operators: Range<u32>,
}

/// The assignments that need a store.
#[derive(Debug, Default)]
pub(crate) struct NeededStores {
    /// By the number of the operator.
    operators: Vec<bool>,
    /// Locals whose first value (a parameter, or zero) needs one: sorted.
    entry: Vec<u32>,
}

impl NeededStores {
    pub(crate) fn at_operator(&self, number: usize) -> bool {
        self.operators.get(number).copied().unwrap_or(true)
    }

    pub(crate) fn at_entry(&self, local: u32) -> bool {
        self.entry.binary_search(&local).is_ok()
    }
}

/// Finds the assignments that need a store; `None` where the body makes no sense.
pub(crate) fn needed_stores(body: &BodyScan, named: &[NamedRange]) -> Option<NeededStores> {
    let mut locals: Vec<u32> = named.iter().map(|named| named.local).collect();
    locals.sort_unstable();
    locals.dedup();
    let mut analysis = Analysis::new(&locals, named);
    let mut needed = NeededStores { operators: vec![false; body.offsets.len()], entry: Vec::new() };
    let mut open: Vec<Block> = Vec::new();
    for (number, &effect) in body.effects.iter().enumerate().rev() {
        match effect {
            Effect::None => {}
            Effect::Set(local) => {
                if let Ok(position) = locals.binary_search(&local) {
                    needed.operators[number] = analysis.live.contains(position);
                    analysis.live.remove(position);
                }
            }
            Effect::End(opener) => {
                let mut label = analysis.live.clone();
                if body.effects.get(opener as usize) == Some(&Effect::Loop) {
                    let end = body.offsets[number];
                    label.add_all(&analysis.named_in(body.offsets[opener as usize]..end));
                    open.iter().for_each(|block| label.add_all(&block.label));
                }
                open.push(Block { label, alternative: None });
            }
            Effect::Else => {
                let block = open.last_mut()?;
                block.alternative = Some(std::mem::replace(&mut analysis.live, block.label.clone()));
            }
            Effect::If => {
                let block = open.pop()?;
                analysis.live.add_all(&block.alternative.unwrap_or(block.label));
            }
            Effect::Block | Effect::Loop => {
                open.pop()?;
            }
            Effect::Br(depth) => analysis.live = label(&open, depth)?.clone(),
            Effect::BrIf(depth) => analysis.live.add_all(label(&open, depth)?),
            Effect::BrTable { first, count } => {
                analysis.live.clear();
                for &depth in body.labels(first, count) {
                    analysis.live.add_all(label(&open, depth)?);
                }
            }
            Effect::Leave => analysis.live.clear(),
        }
        analysis.go_to(body.offsets[number]);
    }
    needed.entry = locals.iter().enumerate().filter(|(at, _)| analysis.live.contains(*at)).map(|(_, l)| *l).collect();
    Some(needed)
}

/// An open block, seen from its end.
struct Block {
    /// What is needed where its label leads.
    label: Bits,
    /// What is needed at the beginning of `else`.
    alternative: Option<Bits>,
}

fn label(open: &[Block], depth: u32) -> Option<&Bits> {
    let at = open.len().checked_sub(depth as usize + 1)?;
    Some(&open[at].label)
}

/// The state before one operator, going backwards.
struct Analysis<'a> {
    named: &'a [NamedRange],
    /// For each range, the position of its local.
    positions: Vec<usize>,
    /// What is needed here, [`Analysis::around`] included.
    live: Bits,
    /// Ranges that end before the current place, the last one first.
    before: Vec<(u32, usize)>,
    /// Begin and local of the ranges around the current place, the one that begins last first.
    around: BinaryHeap<(u32, usize)>,
    /// For each local, how many of those ranges there are.
    counts: Vec<u32>,
    /// The locals that have any.
    named_here: Bits,
}

impl<'a> Analysis<'a> {
    fn new(locals: &[u32], named: &'a [NamedRange]) -> Analysis<'a> {
        let position = |named: &NamedRange| locals.binary_search(&named.local).expect("it is the local of a range");
        let mut before: Vec<(u32, usize)> =
            named.iter().enumerate().map(|(index, named)| (named.operators.end, index)).collect();
        before.sort_unstable();
        Analysis {
            named,
            positions: named.iter().map(position).collect(),
            live: Bits::new(locals.len()),
            before,
            around: BinaryHeap::new(),
            counts: vec![0; locals.len()],
            named_here: Bits::new(locals.len()),
        }
    }

    /// Goes back to the operator at `offset` and adds what is named there.
    fn go_to(&mut self, offset: u32) {
        while let Some(&(begin, position)) = self.around.peek()
            && begin > offset
        {
            self.around.pop();
            self.counts[position] -= 1;
            if self.counts[position] == 0 {
                self.named_here.remove(position);
            }
        }
        while let Some(&(end, range)) = self.before.last()
            && end > offset
        {
            self.before.pop();
            let begin = self.named[range].operators.start;
            if begin <= offset {
                let position = self.positions[range];
                self.around.push((begin, position));
                self.counts[position] += 1;
                self.named_here.add(position);
            }
        }
        self.live.add_all(&self.named_here);
    }

    fn named_in(&self, operators: Range<u32>) -> Bits {
        let mut bits = Bits::new(self.counts.len());
        for (range, named) in self.named.iter().enumerate() {
            if named.operators.start < operators.end && operators.start < named.operators.end {
                bits.add(self.positions[range]);
            }
        }
        bits
    }
}

/// A set of locals, by their position.
#[derive(Clone, Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Bits {
        Bits(vec![0; len.div_ceil(64)])
    }

    fn contains(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 != 0
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn remove(&mut self, at: usize) {
        self.0[at / 64] &= !(1 << (at % 64));
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }

    fn add_all(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of one byte an operator.
    fn body(effects: &[Effect]) -> BodyScan {
        let offsets = (0..effects.len() as u32).collect();
        BodyScan { offsets, effects: effects.to_vec(), end: effects.len() as u32, ..BodyScan::default() }
    }

    fn stores(effects: &[Effect], named: &[(u32, Range<u32>)]) -> (Vec<usize>, Vec<u32>) {
        let named: Vec<_> =
            named.iter().map(|(local, range)| NamedRange { local: *local, operators: range.clone() }).collect();
        let needed = needed_stores(&body(effects), &named).expect("the body makes sense");
        ((0..effects.len()).filter(|number| needed.operators[*number]).collect(), needed.entry)
    }

    const FUNCTION_END: Effect = Effect::End(BodyScan::FUNCTION);

    #[test]
    fn an_assignment_is_stored_where_its_value_is_named_later() {
        use Effect::{None, Set};
        // Overwritten before it is named; named; after the last name.
        let effects = [Set(3), None, Set(3), None, None, Set(3), FUNCTION_END];
        assert_eq!(stores(&effects, &[(3, 4..5)]), (vec![2], vec![]));
        assert_eq!(stores(&effects, &[(3, 3..6)]), (vec![2], vec![]));
        assert_eq!(stores(&effects, &[(3, 3..7)]), (vec![2, 5], vec![]));
    }

    #[test]
    fn a_parameter_is_stored_where_it_is_named_before_it_is_assigned() {
        use Effect::{None, Set};
        let effects = [None, Set(0), None, FUNCTION_END];
        assert_eq!(stores(&effects, &[(0, 0..1)]), (vec![], vec![0]));
        assert_eq!(stores(&effects, &[(0, 2..4)]), (vec![1], vec![]));
        assert_eq!(stores(&effects, &[(0, 0..4)]), (vec![1], vec![0]));
    }

    #[test]
    fn a_value_is_followed_through_branches() {
        use Effect::{Block, Br, BrIf, Else, End, If, None, Set};
        // Set in `then`, named after `else`, which sets it too.
        let effects = [If, Set(1), Else, Set(1), End(0), None, FUNCTION_END];
        assert_eq!(stores(&effects, &[(1, 5..6)]), (vec![1, 3], vec![]));
        // Without `else`, the value from before the `if` may get there.
        let effects = [Set(1), If, Set(1), End(1), None, FUNCTION_END];
        assert_eq!(stores(&effects, &[(1, 4..5)]), (vec![0, 2], vec![]));
        // The branch jumps over the other assignment, into the middle of the range.
        let effects = [Set(1), Block, BrIf(0), Set(1), Br(1), End(1), None, FUNCTION_END];
        assert_eq!(stores(&effects, &[(1, 6..7)]), (vec![0], vec![]));
        let effects = [Block, Set(1), Br(0), End(0), Set(1), FUNCTION_END];
        assert_eq!(stores(&effects, &[(1, 5..6)]), (vec![4], vec![]));
    }

    #[test]
    fn a_value_is_followed_around_a_loop() {
        use Effect::{BrIf, End, Loop, None, Set};
        // Named at the head, set at the end of the round before.
        let effects = [Loop, None, Set(2), BrIf(0), End(0), FUNCTION_END];
        assert_eq!(stores(&effects, &[(2, 1..2)]), (vec![2], vec![2]));
        assert_eq!(stores(&effects, &[(2, 5..6)]), (vec![2], vec![]));
    }

    #[test]
    fn a_table_of_branches_needs_what_any_target_needs() {
        use Effect::{Block, BrTable, End, None, Set};
        let effects =
            [Set(0), Block, Block, BrTable { first: 0, count: 2 }, End(2), Set(0), None, End(1), None, FUNCTION_END];
        let mut body = body(&effects);
        body.labels = vec![0, 1];
        let named = [NamedRange { local: 0, operators: 8..9 }];
        let needed = needed_stores(&body, &named).expect("the body makes sense");
        assert!(needed.at_operator(0) && needed.at_operator(5) && !needed.at_entry(0));
        body.labels = vec![0, 0];
        let needed = needed_stores(&body, &named).expect("the body makes sense");
        assert!(!needed.at_operator(0) && needed.at_operator(5));
    }

    #[test]
    fn a_body_with_labels_out_of_reach_has_no_answer() {
        assert!(needed_stores(&body(&[Effect::Br(1), FUNCTION_END]), &[]).is_none());
        assert!(needed_stores(&body(&[Effect::Else]), &[]).is_none());
    }
}
