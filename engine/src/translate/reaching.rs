//! Where the values of assignments can be: reaching definitions, followed forwards through the structured control flow.

use super::body_scan::{BodyScan, Effect};
use std::ops::Range;

/// What may have assigned some locals, operator by operator.
#[derive(Debug)]
pub(crate) struct Reaching {
    /// The local, the file offset behind the operator, and the operator's number: sorted.
    assignments: Vec<(u32, u32, usize)>,
    /// Which of them (by bit) may have given their locals their values, from the operator at that file offset on: sorted.
    changes: Vec<(u32, Bits)>,
}

impl Reaching {
    /// Follows the assignments of `locals` (sorted). `None` where there is none, or where the body makes no sense.
    pub(crate) fn of(body: &BodyScan, locals: &[u32]) -> Option<Reaching> {
        let behind = |number: usize| body.offsets.get(number + 1).copied().unwrap_or(body.end);
        let mut assignments: Vec<(u32, u32, usize)> = Vec::new();
        for (number, effect) in body.effects.iter().enumerate() {
            if let Effect::Set(local) = *effect
                && locals.binary_search(&local).is_ok()
            {
                assignments.push((local, behind(number), number));
            }
        }
        assignments.sort_unstable();
        if assignments.is_empty() || body.offsets.len().saturating_mul(assignments.len()) > MAX_WORK {
            return None;
        }
        let mut flow = Flow::new(body, &assignments);
        let mut changes = Vec::new();
        // What comes back to the heads of loops is known once a pass adds nothing to it.
        while flow.pass(&mut changes)? {}
        Some(Reaching { assignments, changes })
    }

    /// The parts of `operators` before which `local` may hold a value that it cannot hold before their first one, other than
    /// those of the assignments for which `is_own`, which is given the offset behind the operator.
    pub(crate) fn foreign(&self, local: u32, operators: Range<u32>, is_own: impl Fn(u32) -> bool) -> Vec<Range<u32>> {
        let of_local =
            self.assignments.partition_point(|it| it.0 < local)..self.assignments.partition_point(|it| it.0 <= local);
        if of_local.is_empty() {
            return Vec::new();
        }
        let first = self.changes.partition_point(|change| change.0 <= operators.start);
        let mut allowed = match first.checked_sub(1) {
            Some(before) => self.changes[before].1.clone(),
            None => Bits::new(self.assignments.len()),
        };
        for number in of_local.clone() {
            if is_own(self.assignments[number].1) {
                allowed.add(number);
            }
        }
        let mut found: Vec<Range<u32>> = Vec::new();
        for (at, (begin, state)) in self.changes.iter().enumerate().skip(first) {
            if *begin >= operators.end {
                break;
            }
            if state.is_within(&allowed, &of_local) {
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

/// What operators times assignments may be, so that a module cannot make this take long.
const MAX_WORK: usize = 1 << 31;

struct Flow<'a> {
    body: &'a BodyScan,
    /// In the order of the operators: which assignment it is, and which are of the same local.
    assigned: Vec<(usize, usize, Range<usize>)>,
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
    fn new(body: &'a BodyScan, assignments: &[(u32, u32, usize)]) -> Flow<'a> {
        let size = assignments.len();
        let mut assigned = Vec::with_capacity(size);
        let mut start = 0;
        for of_local in assignments.chunk_by(|one, other| one.0 == other.0) {
            let range = start..start + of_local.len();
            assigned.extend(of_local.iter().zip(range.clone()).map(|(it, number)| (it.2, number, range.clone())));
            start = range.end;
        }
        assigned.sort_unstable_by_key(|it| it.0);
        let loops = body.effects.iter().filter(|effect| **effect == Effect::Loop).count();
        Flow { body, assigned, heads: vec![Bits::new(size); loops], size }
    }

    /// Goes through the body once: whether anything new comes to the head of a loop; `None` where the body makes no sense.
    fn pass(&mut self, changes: &mut Vec<(u32, Bits)>) -> Option<bool> {
        changes.clear();
        let size = self.size;
        let mut state = Bits::new(size);
        // The state may be another one than that of the last of the changes.
        let mut stale = false;
        let mut next_assignment = 0;
        let mut open = vec![Block { head: None, label: Bits::new(size), alternative: None }];
        let mut next_head = 0;
        let mut changed = false;
        for (number, effect) in self.body.effects.iter().enumerate() {
            if stale {
                stale = false;
                let is_known = changes.last().map_or(state.is_empty(), |(_, last)| *last == state);
                if !is_known {
                    changes.push((self.body.offsets[number], state.clone()));
                }
            }
            match *effect {
                Effect::None => continue,
                Effect::Set(_) => {
                    let Some((_, own, of_local)) = self.assigned.get(next_assignment).filter(|it| it.0 == number)
                    else {
                        continue;
                    };
                    of_local.clone().for_each(|other| state.remove(other));
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
            stale = true;
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

/// A set of assignments. Most locals have few.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits {
    first: u64,
    rest: Vec<u64>,
}

impl Bits {
    fn new(len: usize) -> Bits {
        Bits { first: 0, rest: vec![0; len.div_ceil(64).saturating_sub(1)] }
    }

    fn add(&mut self, at: usize) {
        match (at / 64).checked_sub(1) {
            None => self.first |= 1 << at,
            Some(word) => self.rest[word] |= 1 << (at % 64),
        }
    }

    fn remove(&mut self, at: usize) {
        match (at / 64).checked_sub(1) {
            None => self.first &= !(1 << at),
            Some(word) => self.rest[word] &= !(1 << (at % 64)),
        }
    }

    fn is_empty(&self) -> bool {
        self.first == 0 && self.rest.iter().all(|word| *word == 0)
    }

    fn clear(&mut self) {
        self.first = 0;
        self.rest.fill(0);
    }

    /// Whether that adds anything.
    fn add_all(&mut self, other: &Bits) -> bool {
        let mut added = other.first & !self.first;
        self.first |= other.first;
        for (word, other) in self.rest.iter_mut().zip(&other.rest) {
            added |= *other & !*word;
            *word |= other;
        }
        added != 0
    }

    /// Are all members that lie in `range` also in the other set?
    fn is_within(&self, other: &Bits, range: &Range<usize>) -> bool {
        let word = |bits: &Bits, word: usize| word.checked_sub(1).map_or(bits.first, |word| bits.rest[word]);
        (range.start / 64..=(range.end - 1) / 64).all(|at| {
            let below = |end: usize| if end >= 64 { u64::MAX } else { (1 << end) - 1 };
            let mask = below(range.end - at * 64) & !below(range.start.saturating_sub(at * 64));
            word(self, at) & !word(other, at) & mask == 0
        })
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are what is compared")]
mod tests {
    use super::*;

    /// Where the value of each assignment of local 0 may be, in a body of one byte an operator.
    fn reach(effects: &[Effect], labels: &[u32]) -> Vec<Vec<Range<u32>>> {
        let body = body(effects, labels);
        let Some(reaching) = Reaching::of(&body, &[0, 1]) else { return Vec::new() };
        let of_local = reaching.assignments.iter().filter(|it| it.0 == 0);
        of_local.map(|one| reaching.foreign(0, 0..body.end, |behind| behind != one.1)).collect()
    }

    fn body(effects: &[Effect], labels: &[u32]) -> BodyScan {
        let offsets = (0..effects.len() as u32).collect();
        BodyScan { offsets, effects: effects.to_vec(), end: effects.len() as u32, labels: labels.to_vec() }
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
        let body = body(&[Set(0), Loop, None, None, Set(0), BrIf(0), End(1), None, FUNCTION_END], &[]);
        let reaching = Reaching::of(&body, &[0]).expect("it is assigned");
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
