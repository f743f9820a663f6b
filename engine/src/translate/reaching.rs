//! Where the values of assignments can be: reaching definitions, followed forwards through the structured control flow.

use super::bits::{Bits, words};
use super::body_scan::{Assignment, BodyScan, Effect};
use std::ops::Range;

/// What may have assigned some locals, operator by operator.
#[derive(Debug)]
pub(crate) struct Reaching {
    /// Sorted.
    assignments: Vec<Assignment>,
    changes: Changes,
    /// How many assignments and changes may still be looked at, so that a module cannot make this take long.
    budget: usize,
}

/// Which assignments (by bit) may have given their locals their values, from one operator on.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// File offset of the operator.
    from: u32,
    /// The local that it is about; [`Change::ALL`] after a join.
    local: u32,
    /// The number of the first of its words of the set, and where they are in [`Changes::words`].
    first: u32,
    at: u32,
}

impl Change {
    const ALL: u32 = u32::MAX;

    fn is_about(&self, local: u32) -> bool {
        self.local == local || self.local == Change::ALL
    }
}

/// All changes, sorted by their operators.
#[derive(Debug, Default)]
struct Changes {
    list: Vec<Change>,
    words: Vec<u64>,
}

impl Changes {
    fn clear(&mut self) {
        self.list.clear();
        self.words.clear();
    }

    /// Adds the words `numbers` of a set.
    fn push(&mut self, from: u32, local: u32, state: &Bits, numbers: Range<usize>) {
        let (first, at) = (numbers.start as u32, self.words.len() as u32);
        self.list.push(Change { from, local, first, at });
        self.words.extend(numbers.map(|number| state.word(number)));
    }

    /// A word of the set after a change that is about it.
    fn word(&self, change: &Change, number: usize) -> u64 {
        self.words[change.at as usize + number - change.first as usize]
    }
}

impl Reaching {
    /// Follows assignments (sorted). `None` where there is none, where the body makes no sense, or would take too long.
    pub(crate) fn of(body: &BodyScan, assignments: Vec<Assignment>) -> Option<Reaching> {
        let sets = (body.effects.len() + body.labels.len()).saturating_mul(assignments.len().div_ceil(64));
        if assignments.is_empty() || sets > MAX_WORK {
            return None;
        }
        let mut flow = Flow::new(body, &assignments);
        let mut changes = Changes::default();
        // What comes back to the heads of loops is known once a pass adds nothing to it; the first one hardly ever is the last.
        if !flow.heads.is_empty() {
            flow.pass(None)?;
        }
        while flow.pass(Some(&mut changes))? {}
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
        let changes = &self.changes;
        let first = changes.list.partition_point(|change| change.from <= operators.start);
        let before = changes.list[..first].iter().rposition(|change| change.is_about(local));
        self.budget = self.budget.saturating_sub(first - before.unwrap_or(0));
        // The words of the set with assignments of the local, and which of them are not allowed.
        let mut forbidden: Vec<(usize, u64)> = words(of_local.clone()).collect();
        for (number, mask) in &mut forbidden {
            if let Some(before) = before {
                *mask &= !changes.word(&changes.list[before], *number);
            }
        }
        let first_word = of_local.start / 64;
        for number in of_local {
            if is_own(self.assignments[number].behind) {
                forbidden[number / 64 - first_word].1 &= !(1 << (number % 64));
            }
        }
        let mut found: Vec<Range<u32>> = Vec::new();
        let mut is_foreign = false;
        for change in &changes.list[first..] {
            if change.from >= operators.end || self.budget == 0 {
                break;
            }
            self.budget -= 1;
            if !change.is_about(local) {
                continue;
            }
            let now = forbidden.iter().any(|&(number, mask)| changes.word(change, number) & mask != 0);
            match found.last_mut().filter(|_| is_foreign) {
                Some(last) if !now => last.end = change.from,
                None if now => found.push(change.from..operators.end),
                _ => {}
            }
            is_foreign = now;
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
    /// What branches bring to its end, if any does.
    label: Option<Bits>,
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
    fn pass(&mut self, mut changes: Option<&mut Changes>) -> Option<bool> {
        if let Some(changes) = &mut changes {
            changes.clear();
        }
        let size = self.size;
        let mut state = Bits::new(size);
        let mut next_assignment = 0;
        let mut open = vec![Block { head: None, label: None, alternative: None }];
        let mut next_head = 0;
        let mut comes_back = false;
        for &(number, effect) in &self.body.effects {
            let is_new = match effect {
                Effect::None | Effect::Silent | Effect::Operand => false,
                Effect::Set(local) => {
                    let Some((_, own, of_local)) = self.assigned.get(next_assignment).filter(|it| it.0 == number)
                    else {
                        continue;
                    };
                    next_assignment += 1;
                    if state.replace_range(of_local.clone(), *own)
                        && let Some(changes) = &mut changes
                    {
                        let numbers = of_local.start / 64..of_local.end.div_ceil(64);
                        changes.push(self.body.behind(number), local, &state, numbers);
                    }
                    continue;
                }
                Effect::Block => {
                    open.push(Block { head: None, label: None, alternative: None });
                    continue;
                }
                Effect::Loop => {
                    open.push(Block { head: Some(next_head), label: None, alternative: None });
                    next_head += 1;
                    state.add_all(self.heads.get(next_head - 1)?)
                }
                Effect::If => {
                    open.push(Block { head: None, label: None, alternative: Some(state.clone()) });
                    continue;
                }
                Effect::Else => {
                    let block = open.last_mut()?;
                    let alternative = block.alternative.take()?;
                    bring(&mut block.label, &state);
                    let is_new = state != alternative;
                    state = alternative;
                    is_new
                }
                Effect::End(_) => {
                    let block = open.pop()?;
                    let brought = [&block.label, &block.alternative].into_iter().flatten();
                    brought.fold(false, |is_new, brought| state.add_all(brought) | is_new)
                }
                Effect::Br(depth) => {
                    comes_back |= self.branch(&mut open, depth, &state)?;
                    state.clear()
                }
                Effect::BrIf(depth) => {
                    comes_back |= self.branch(&mut open, depth, &state)?;
                    continue;
                }
                Effect::BrTable { first, count } => {
                    for &depth in self.body.labels(first, count) {
                        comes_back |= self.branch(&mut open, depth, &state)?;
                    }
                    state.clear()
                }
                Effect::Leave => state.clear(),
            };
            if is_new && let Some(changes) = &mut changes {
                changes.push(self.body.behind(number), Change::ALL, &state, 0..size.div_ceil(64));
            }
        }
        Some(comes_back)
    }

    fn branch(&mut self, open: &mut [Block], depth: u32, state: &Bits) -> Option<bool> {
        let at = open.len().checked_sub(depth as usize + 1)?;
        match open[at].head {
            Some(head) => Some(self.heads[head].add_all(state)),
            None => {
                bring(&mut open[at].label, state);
                Some(false)
            }
        }
    }
}

/// Adds to what branches bring to a label.
fn bring(label: &mut Option<Bits>, state: &Bits) {
    match label {
        Some(label) => {
            label.add_all(state);
        }
        None => *label = Some(state.clone()),
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
