//! Where the values of assignments can be: reaching definitions, followed forwards through the structured control flow.

use super::bits::Bits;
use super::body_scan::{Assignment, BodyScan, Effect};
use std::ops::Range;

/// What may have assigned some locals, operator by operator.
#[derive(Debug)]
pub(crate) struct Reaching {
    /// Sorted.
    assignments: Vec<Assignment>,
    /// Which of them (by bit) may have given their locals their values, from the operator at that file offset on: sorted.
    changes: Vec<(u32, Bits)>,
    /// How many assignments and changes may still be looked at, so that a module cannot make this take long.
    budget: usize,
}

impl Reaching {
    /// Follows assignments (sorted). `None` where there is none, where the body makes no sense, or would take too long.
    pub(crate) fn of(body: &BodyScan, assignments: Vec<Assignment>) -> Option<Reaching> {
        let sets = (body.effects.len() + body.labels.len()).saturating_mul(assignments.len().div_ceil(64));
        if assignments.is_empty() || sets > MAX_WORK {
            return None;
        }
        let mut flow = Flow::new(body, &assignments);
        let mut changes = Vec::new();
        // What comes back to the heads of loops is known once a pass adds nothing to it.
        while flow.pass(&mut changes)? {}
        Some(Reaching { assignments, changes, budget: 1 << 28 })
    }

    /// The parts of `operators` before which `local` may hold a value that it cannot hold before their first one, other than
    /// those of the assignments for which `is_own`, which is given the offset behind the operator. None once too many were
    /// asked for.
    pub(crate) fn foreign(
        &mut self,
        local: u32,
        operators: Range<u32>,
        is_own: impl Fn(u32) -> bool,
    ) -> Vec<Range<u32>> {
        let of_local = self.assignments.partition_point(|it| it.local < local)
            ..self.assignments.partition_point(|it| it.local <= local);
        if of_local.is_empty() || self.budget < of_local.len() {
            return Vec::new();
        }
        self.budget -= of_local.len();
        let first = self.changes.partition_point(|change| change.0 <= operators.start);
        let mut allowed = match first.checked_sub(1) {
            Some(before) => self.changes[before].1.clone(),
            None => Bits::new(self.assignments.len()),
        };
        for number in of_local.clone() {
            if is_own(self.assignments[number].behind) {
                allowed.add(number);
            }
        }
        let mut found: Vec<Range<u32>> = Vec::new();
        for (at, (begin, state)) in self.changes.iter().enumerate().skip(first) {
            if *begin >= operators.end || self.budget == 0 {
                break;
            }
            self.budget -= 1;
            if state.is_within(&allowed, of_local.clone()) {
                continue;
            }
            let end = self.changes.get(at + 1).map_or(operators.end, |next| next.0.min(operators.end));
            match found.last_mut().filter(|last| last.end == *begin) {
                Some(last) => last.end = end,
                None => found.push(*begin..end),
            }
        }
        found
    }
}

/// How many words of sets one pass may look at, so that a module cannot make this take long.
const MAX_WORK: usize = 1 << 25;

struct Flow<'a> {
    body: &'a BodyScan,
    /// In the order of the operators: which assignment it is, and which are of the same local.
    assigned: Vec<(u32, usize, Range<usize>)>,
    /// What branches bring to the head of each loop.
    heads: Vec<Bits>,
    /// How many assignments there are.
    size: usize,
}

/// An open block.
struct Block {
    /// Which of [`Flow::heads`], if it is a loop.
    head: Option<usize>,
    /// What branches bring to its end.
    label: Bits,
    /// What comes to its `else`.
    alternative: Option<Bits>,
}

impl<'a> Flow<'a> {
    fn new(body: &'a BodyScan, assignments: &[Assignment]) -> Flow<'a> {
        let size = assignments.len();
        let mut assigned = Vec::with_capacity(size);
        let mut start = 0;
        for of_local in assignments.chunk_by(|one, other| one.local == other.local) {
            let range = start..start + of_local.len();
            assigned
                .extend(of_local.iter().zip(range.clone()).map(|(it, number)| (it.operator, number, range.clone())));
            start = range.end;
        }
        assigned.sort_unstable_by_key(|it| it.0);
        let loops = body.effects.iter().filter(|effect| effect.1 == Effect::Loop).count();
        Flow { body, assigned, heads: vec![Bits::new(size); loops], size }
    }

    /// Goes through the body once: whether anything new comes to the head of a loop; `None` where the body makes no sense.
    fn pass(&mut self, changes: &mut Vec<(u32, Bits)>) -> Option<bool> {
        changes.clear();
        let size = self.size;
        let mut state = Bits::new(size);
        let mut next_assignment = 0;
        let mut open = vec![Block { head: None, label: Bits::new(size), alternative: None }];
        let mut next_head = 0;
        let mut changed = false;
        for &(number, effect) in &self.body.effects {
            match effect {
                Effect::None | Effect::Silent | Effect::Operand => continue,
                Effect::Set(_) => {
                    let Some((_, own, of_local)) = self.assigned.get(next_assignment).filter(|it| it.0 == number)
                    else {
                        continue;
                    };
                    state.remove_range(of_local.clone());
                    state.add(*own);
                    next_assignment += 1;
                }
                Effect::Block => {
                    open.push(Block { head: None, label: Bits::new(size), alternative: None });
                    continue;
                }
                Effect::Loop => {
                    state.add_all(self.heads.get(next_head)?);
                    open.push(Block { head: Some(next_head), label: Bits::new(size), alternative: None });
                    next_head += 1;
                }
                Effect::If => {
                    open.push(Block { head: None, label: Bits::new(size), alternative: Some(state.clone()) });
                    continue;
                }
                Effect::Else => {
                    let block = open.last_mut()?;
                    block.label.add_all(&state);
                    state = block.alternative.take()?;
                }
                Effect::End(_) => {
                    let block = open.pop()?;
                    state.add_all(&block.label);
                    if let Some(alternative) = &block.alternative {
                        state.add_all(alternative);
                    }
                }
                Effect::Br(depth) => {
                    changed |= self.branch(&mut open, depth, &state)?;
                    state.clear();
                }
                Effect::BrIf(depth) => {
                    changed |= self.branch(&mut open, depth, &state)?;
                    continue;
                }
                Effect::BrTable { first, count } => {
                    for &depth in self.body.labels(first, count) {
                        changed |= self.branch(&mut open, depth, &state)?;
                    }
                    state.clear();
                }
                Effect::Leave => state.clear(),
            }
            let is_known = changes.last().map_or(state.is_empty(), |(_, last)| *last == state);
            if !is_known {
                changes.push((self.body.behind(number), state.clone()));
            }
        }
        Some(changed)
    }

    fn branch(&mut self, open: &mut [Block], depth: u32, state: &Bits) -> Option<bool> {
        let at = open.len().checked_sub(depth as usize + 1)?;
        match open[at].head {
            Some(head) => Some(self.heads[head].add_all(state)),
            None => {
                open[at].label.add_all(state);
                Some(false)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are what is compared")]
mod tests {
    use super::*;

    /// Where the value of each assignment of local 0 may be, in a body of one byte an operator.
    fn reach(effects: &[Effect], labels: &[u32]) -> Vec<Vec<Range<u32>>> {
        let body = BodyScan::of_bytes(effects, labels);
        let Some(mut reaching) = Reaching::of(&body, body.assignments(&[0, 1])) else { return Vec::new() };
        let of_local: Vec<_> = reaching.assignments.iter().filter(|it| it.local == 0).copied().collect();
        of_local.iter().map(|one| reaching.foreign(0, 0..body.end, |behind| behind != one.behind)).collect()
    }

    const FUNCTION_END: Effect = Effect::End(BodyScan::FUNCTION);

    #[test]
    fn a_value_stays_until_the_next_assignment_of_the_local() {
        use Effect::{None, Set};
        let effects = [Set(0), None, Set(1), Set(0), None, FUNCTION_END];
        assert_eq!(reach(&effects, &[]), [vec![1..4], vec![4..6]]);
    }

    #[test]
    fn a_value_of_one_arm_is_not_in_the_other() {
        use Effect::{Else, End, If, Leave, None, Set};
        let effects = [If, Set(0), None, Else, None, End(0), None, FUNCTION_END];
        assert_eq!(reach(&effects, &[]), [vec![2..4, 6..8]]);
        // The arm does not come to its end.
        let effects = [If, Set(0), Leave, Else, None, End(0), None, FUNCTION_END];
        assert_eq!(reach(&effects, &[]), [vec![2..3]]);
        let effects = [If, Set(0), End(0), None, FUNCTION_END];
        assert_eq!(reach(&effects, &[]), [vec![2..5]]);
    }

    #[test]
    fn a_value_follows_branches() {
        use Effect::{Block, Br, BrIf, BrTable, End, Loop, None, Set};
        let effects = [Block, Block, Set(0), BrIf(1), Set(0), End(1), None, End(0), None, FUNCTION_END];
        assert_eq!(reach(&effects, &[]), [vec![3..5, 8..10], vec![5..10]]);
        let effects = [Block, Set(0), BrTable { first: 0, count: 1 }, None, End(0), None, FUNCTION_END];
        assert_eq!(reach(&effects, &[0]), [vec![2..3, 5..7]]);
        // Around the loop, to its head; not before it.
        let effects = [None, Loop, None, Set(0), BrIf(0), End(1), FUNCTION_END];
        assert_eq!(reach(&effects, &[]), [vec![2..7]]);
        let effects = [Loop, None, Loop, None, Set(0), BrIf(0), End(2), Br(0), End(0), FUNCTION_END];
        assert_eq!(reach(&effects, &[]), [vec![1..8]]);
    }

    #[test]
    fn what_a_local_holds_where_a_location_begins_is_not_foreign() {
        use Effect::{BrIf, End, Loop, None, Set};
        // Named from the loop's head on: what is assigned at its end comes back there.
        let body = BodyScan::of_bytes(&[Set(0), Loop, None, None, Set(0), BrIf(0), End(1), None, FUNCTION_END], &[]);
        let mut reaching = Reaching::of(&body, body.assignments(&[0])).expect("it is assigned");
        assert!(reaching.foreign(0, 2..9, |_| false).is_empty());
        // Named from before the loop on.
        assert_eq!(reaching.foreign(0, 1..4, |_| false), [2..4]);
        assert!(reaching.foreign(0, 1..4, |behind| behind == 5).is_empty());
    }

    #[test]
    fn a_body_with_labels_out_of_reach_has_no_answer() {
        assert!(reach(&[Effect::Set(0), Effect::Br(7), FUNCTION_END], &[]).is_empty());
        assert!(reach(&[Effect::Set(0), Effect::Else, FUNCTION_END], &[]).is_empty());
    }
}
