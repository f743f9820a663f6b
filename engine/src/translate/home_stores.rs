//! Which assignments of locals a debugger can see.
//!
//! The guest's compiler uses a wasm local for many things, and its debug info names it only here and there. An
//! assignment needs a store to the local's home only if the value can still be there at an operator where the local is
//! named. That is the liveness of data flow analysis, with the named ranges as uses, followed backwards through the
//! structured control flow. A loop's head is taken to need whatever is named in the loop or needed after it.

use super::bits::Bits;
use super::body_scan::{BodyScan, Effect};
use std::collections::BinaryHeap;
use std::ops::Range;

/// Where a local is named, as file offsets; not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedRange {
    pub(crate) local: u32,
    pub(crate) operators: Range<u32>,
}

/// The assignments that need a store.
#[derive(Debug, Default)]
pub(crate) struct NeededStores {
    /// The numbers of the operators: sorted.
    operators: Vec<u32>,
    /// Locals whose first value (a parameter, or zero) needs one: sorted.
    entry: Vec<u32>,
}

impl NeededStores {
    pub(crate) fn at_operator(&self, number: usize) -> bool {
        u32::try_from(number).is_ok_and(|number| self.operators.binary_search(&number).is_ok())
    }

    pub(crate) fn at_entry(&self, local: u32) -> bool {
        self.entry.binary_search(&local).is_ok()
    }
}

/// How much may be looked at, so that a module cannot make this take long.
const MAX_WORK: usize = 1 << 28;

/// The locals for which it pays to look for each one's ranges.
const FEW: usize = 4;

/// Finds the assignments that need a store; `None` where the body makes no sense, or would take too long.
pub(crate) fn needed_stores(body: &BodyScan, named: &[NamedRange]) -> Option<NeededStores> {
    let mut locals: Vec<u32> = named.iter().map(|named| named.local).collect();
    locals.sort_unstable();
    locals.dedup();
    if locals.len() <= FEW
        && let Some(needed) = assigned_in_a_line(body, &locals, named)
    {
        return Some(needed);
    }
    let loops = body.effects.iter().filter(|effect| effect.1 == Effect::Loop).count();
    let sets = (body.effects.len() + body.labels.len()).saturating_mul(locals.len().div_ceil(64));
    if loops.saturating_mul(named.len()).saturating_add(sets) > MAX_WORK {
        return None;
    }
    let mut analysis = Analysis::new(&locals, named);
    let mut needed = NeededStores::default();
    let mut open: Vec<Block> = Vec::new();
    for &(number, effect) in body.effects.iter().rev() {
        analysis.go_to(body.behind(number));
        match effect {
            Effect::None | Effect::Silent | Effect::Operand => {}
            Effect::Set(local) => {
                if let Ok(position) = locals.binary_search(&local) {
                    if analysis.live.contains(position) {
                        needed.operators.push(number);
                    }
                    analysis.live.remove(position);
                }
            }
            Effect::End(opener) => {
                let mut label = analysis.live.clone();
                let mut around = open.last().map_or_else(|| Bits::new(locals.len()), |block| block.around.clone());
                if body.effect(opener) == Effect::Loop {
                    label.add_all(&analysis.named_in(body.offsets[opener as usize]..body.offsets[number as usize]));
                    label.add_all(&around);
                }
                around.add_all(&label);
                open.push(Block { label, around, alternative: None });
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
            Effect::BrIf(depth) => {
                analysis.live.add_all(label(&open, depth)?);
            }
            Effect::BrTable { first, count } => {
                analysis.live.clear();
                for &depth in body.labels(first, count) {
                    analysis.live.add_all(label(&open, depth)?);
                }
            }
            Effect::Leave => {
                analysis.live.clear();
            }
        }
        analysis.go_to(body.offsets[number as usize]);
    }
    analysis.go_to(body.offsets.first().copied()?);
    needed.operators.reverse();
    needed.entry = locals.iter().enumerate().filter(|(at, _)| analysis.live.contains(*at)).map(|(_, l)| *l).collect();
    Some(needed)
}

/// The same (or more, in code that is never reached) where locals are assigned at most once, and in no block: code without
/// optimization keeps nothing but its frame pointer in a local that is named.
fn assigned_in_a_line(body: &BodyScan, locals: &[u32], named: &[NamedRange]) -> Option<NeededStores> {
    // The offset of the operator that assigns each local.
    let mut assigned: Vec<Option<u32>> = vec![None; locals.len()];
    let mut needed = NeededStores::default();
    let mut depth = 0_usize;
    for &(number, effect) in &body.effects {
        match effect {
            Effect::Block | Effect::Loop | Effect::If => depth += 1,
            Effect::End(_) => depth = depth.saturating_sub(1),
            Effect::Set(local) => {
                let Ok(position) = locals.binary_search(&local) else { continue };
                let at = body.offsets[number as usize];
                if depth > 0 || assigned[position].replace(at).is_some() {
                    return None;
                }
                let behind = body.behind(number);
                let is_behind = |named: &NamedRange| {
                    named.local == local && !named.operators.is_empty() && named.operators.end > behind
                };
                if named.iter().any(is_behind) {
                    needed.operators.push(number);
                }
            }
            _ => {}
        }
    }
    for (&local, assigned) in locals.iter().zip(assigned) {
        let is_before = |named: &NamedRange| assigned.is_none_or(|at| named.operators.start <= at);
        let mut of_local = named.iter().filter(|named| named.local == local);
        if of_local.any(is_before) {
            needed.entry.push(local);
        }
    }
    Some(needed)
}

/// An open block, seen from its end.
struct Block {
    /// What is needed where its label leads.
    label: Bits,
    /// What is needed where any label leads that is in reach.
    around: Bits,
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

    /// Goes back to the operator at `offset` and adds what is named from there on.
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
            } else {
                self.live.add(self.positions[range]);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stores(effects: &[Effect], named: &[(u32, Range<u32>)]) -> (Vec<u32>, Vec<u32>) {
        let named: Vec<_> =
            named.iter().map(|(local, range)| NamedRange { local: *local, operators: range.clone() }).collect();
        let needed = needed_stores(&BodyScan::of_bytes(effects, &[]), &named).expect("the body makes sense");
        (needed.operators, needed.entry)
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
    fn few_locals_that_are_assigned_once_have_the_same_stores_as_by_the_analysis() {
        use Effect::{Block, BrIf, End, Loop, None, Set};
        let bodies: [&[Effect]; 3] = [
            &[Set(0), None, Set(1), Loop, BrIf(0), End(3), None, FUNCTION_END],
            &[None, Set(0), Block, BrIf(0), End(2), None, Set(1), FUNCTION_END],
            &[Set(1), Block, None, End(1), Set(0), None, None, FUNCTION_END],
        ];
        for effects in bodies {
            for (begin, end) in (0..8).flat_map(|begin| (begin + 1..=8).map(move |end| (begin, end))) {
                let few = [(0, begin..end), (1, 3..4), (2, begin..end)];
                // Enough locals for the analysis.
                let many: Vec<_> = few.iter().cloned().chain((3..8).map(|local| (local, 0..1))).collect();
                let (operators, mut entry) = stores(effects, &many);
                entry.retain(|local| *local < 3);
                assert_eq!(stores(effects, &few), (operators, entry), "{effects:?}, {begin}..{end}");
            }
        }
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
        let mut body = BodyScan::of_bytes(&effects, &[]);
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
        let named: Vec<_> = (0..8).map(|local| NamedRange { local, operators: 0..1 }).collect();
        assert!(needed_stores(&BodyScan::of_bytes(&[Effect::Br(1), FUNCTION_END], &[]), &named).is_none());
        assert!(needed_stores(&BodyScan::of_bytes(&[Effect::Else], &[]), &named).is_none());
    }
}
