//! Where a variable that is assigned once still is, although the guest's debug info has lost it.
//!
//! LLVM ends each location with its basic block. The value of a variable that keeps it is followed on, forwards through the
//! structured control flow: as long as the scope is not left, the local is not assigned, and all ways to a place bring the same
//! location. Through the head of a loop it goes if the loop does nothing to it.

use super::bits::Bits;
use super::body_scan::{Assignment, BodyScan, Effect};
use std::ops::Range;

/// A variable and its locations, all as file offsets.
#[derive(Debug)]
pub(crate) struct FollowedVariable<'a> {
    /// The code of its scope, sorted; `None` where that is the whole function.
    pub(crate) scope: Option<Vec<Range<u32>>>,
    pub(crate) places: &'a [Place],
}

/// A location of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) begin: u32,
    pub(crate) end: u32,
    /// What it says is the same as at the place of this number; `None` where it is nothing that could hold on.
    pub(crate) same: Option<u32>,
    /// The local that it is made of.
    pub(crate) local: Option<u32>,
}

/// A place that holds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Continued {
    /// The position of the variable, and of its place.
    pub(crate) variable: usize,
    pub(crate) place: usize,
    pub(crate) operators: Range<u32>,
}

/// How many states of variables may be looked at, so that a module cannot make this take long.
const MAX_WORK: usize = 1 << 26;

/// Where places hold on: of each variable disjoint, and in the order of the operators. Nothing where the body makes no sense, or too
/// much would have to be looked at.
pub(crate) fn continued(body: &BodyScan, variables: &[FollowedVariable<'_>]) -> Vec<Continued> {
    let places: usize = variables.iter().map(|variable| variable.places.len()).sum();
    let scopes: usize = variables.iter().flat_map(|variable| &variable.scope).map(Vec::len).sum();
    let steps = body.effects.len() + body.labels.len() + 2 * (places + scopes);
    if places == 0 || steps.saturating_mul(places.div_ceil(64)) > MAX_WORK {
        return Vec::new();
    }
    let mut flow = Flow::new(body, variables);
    match flow.pass() {
        Some(()) => flow.found,
        None => Vec::new(),
    }
}

/// What begins or ends before an operator. Ends come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    PlaceEnds(usize),
    ScopeEnds(usize),
    ScopeBegins(usize),
    PlaceBegins(usize),
}

/// An open block: what branches bring to its end, and what comes to its `else`.
#[derive(Default)]
struct Block {
    is_loop: bool,
    label: Option<Bits>,
    alternative: Option<Option<Bits>>,
}

/// Places are numbered over all variables.
struct Flow<'a> {
    body: &'a BodyScan,
    variables: &'a [FollowedVariable<'a>],
    /// The variable of each place.
    owners: Vec<usize>,
    /// The numbers of each variable's places.
    numbers: Vec<Range<usize>>,
    assignments: Vec<Assignment>,
    /// Sorted; the place's number or the variable's position.
    events: Vec<(u32, Event)>,
    /// The places that hold; `None` where control does not come.
    state: Option<Bits>,
    /// Those that hold because the guest says so, and all of their variables.
    active: Bits,
    blocked: Bits,
    /// Those whose variables' scope is here.
    in_scope: Bits,
    /// Where each place that holds on began to.
    begun: Vec<Option<u32>>,
    shown: Bits,
    found: Vec<Continued>,
    /// How many places and ranges may still be looked at where loops begin.
    budget: usize,
}

impl<'a> Flow<'a> {
    fn new(body: &'a BodyScan, variables: &'a [FollowedVariable<'a>]) -> Flow<'a> {
        let (mut owners, mut numbers, mut events, mut locals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (position, variable) in variables.iter().enumerate() {
            let first = owners.len();
            for (number, place) in (first..).zip(variable.places) {
                owners.push(position);
                locals.extend(place.local);
                if place.begin < place.end {
                    events.push((place.begin, Event::PlaceBegins(number)));
                    events.push((place.end, Event::PlaceEnds(number)));
                }
            }
            numbers.push(first..owners.len());
            for range in variable.scope.iter().flatten() {
                events.push((range.start, Event::ScopeBegins(position)));
                events.push((range.end, Event::ScopeEnds(position)));
            }
        }
        events.sort_unstable();
        locals.sort_unstable();
        locals.dedup();
        let size = owners.len();
        let mut in_scope = Bits::new(size);
        for (variable, numbers) in variables.iter().zip(&numbers).filter(|(variable, _)| variable.scope.is_none()) {
            debug_assert_eq!(variable.places.len(), numbers.len());
            numbers.clone().for_each(|number| in_scope.add(number));
        }
        Flow {
            body,
            variables,
            assignments: body.assignments(&locals),
            events,
            state: Some(Bits::new(size)),
            active: Bits::new(size),
            blocked: Bits::new(size),
            in_scope,
            begun: vec![None; size],
            shown: Bits::new(size),
            found: Vec::new(),
            budget: MAX_WORK,
            owners,
            numbers,
        }
    }

    fn place(&self, number: usize) -> &'a Place {
        let owner = self.owners[number];
        &self.variables[owner].places[number - self.numbers[owner].start]
    }

    /// The assignments of a local by operators in this range.
    fn is_assigned(&self, local: u32, operators: Range<u32>) -> bool {
        let first = self.assignments.partition_point(|it| (it.local, it.behind) <= (local, operators.start));
        let next = self.assignments.get(first).filter(|it| it.local == local);
        next.is_some_and(|it| self.body.offsets[it.operator as usize] < operators.end)
    }

    fn pass(&mut self) -> Option<()> {
        let mut open = vec![Block::default()];
        let mut loops = self.body.loops().into_iter();
        let mut next_event = 0;
        for &(number, effect) in &self.body.effects {
            self.go_to(self.body.offsets[number as usize], &mut next_event);
            match effect {
                Effect::None | Effect::Silent | Effect::Operand => {}
                Effect::Set(local) => self.assign(local),
                Effect::Block => open.push(Block::default()),
                Effect::Loop => {
                    open.push(Block { is_loop: true, ..Block::default() });
                    self.enter_loop(loops.next()?);
                }
                Effect::If => open.push(Block { alternative: Some(self.state.clone()), ..Block::default() }),
                Effect::Else => {
                    let block = open.last_mut()?;
                    let alternative = block.alternative.take()?;
                    bring(&mut block.label, self.state.as_ref());
                    self.state = alternative;
                }
                Effect::End(_) => {
                    let block = open.pop()?;
                    for brought in [block.label, block.alternative.flatten()].into_iter().flatten() {
                        match &mut self.state {
                            Some(state) => state.retain_all(&brought),
                            None => self.state = Some(brought),
                        }
                    }
                }
                Effect::Br(depth) => {
                    self.branch(&mut open, depth)?;
                    self.state = None;
                }
                Effect::BrIf(depth) => self.branch(&mut open, depth)?,
                Effect::BrTable { first, count } => {
                    for &depth in self.body.labels(first, count) {
                        self.branch(&mut open, depth)?;
                    }
                    self.state = None;
                }
                Effect::Leave => self.state = None,
            }
            self.settle(self.body.behind(number));
        }
        self.go_to(self.body.end, &mut next_event);
        self.state = None;
        self.settle(self.body.end);
        Some(())
    }

    fn branch(&self, open: &mut [Block], depth: u32) -> Option<()> {
        let at = open.len().checked_sub(depth as usize + 1)?;
        if !open[at].is_loop {
            bring(&mut open[at].label, self.state.as_ref());
        }
        Some(())
    }

    /// What happens between operators up to the one at `offset`.
    fn go_to(&mut self, offset: u32, next: &mut usize) {
        while let Some(&(at, _)) = self.events.get(*next).filter(|event| event.0 <= offset) {
            while let Some(&(_, event)) = self.events.get(*next).filter(|event| event.0 == at) {
                self.happen(event);
                *next += 1;
            }
            self.settle(at);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::PlaceEnds(number) => {
                self.active.remove(number);
                self.numbers[self.owners[number]].clone().for_each(|other| self.blocked.remove(other));
                if !self.holds_on(self.place(number))
                    && let Some(state) = &mut self.state
                {
                    state.remove(number);
                }
            }
            Event::ScopeEnds(variable) => {
                self.numbers[variable].clone().for_each(|number| self.in_scope.remove(number));
            }
            Event::ScopeBegins(variable) => {
                self.numbers[variable].clone().for_each(|number| self.in_scope.add(number));
            }
            Event::PlaceBegins(number) => {
                let numbers = self.numbers[self.owners[number]].clone();
                // Of several at one place, none is followed.
                numbers.clone().for_each(|other| self.active.remove(other));
                numbers.for_each(|other| self.blocked.add(other));
                self.active.add(number);
            }
        }
    }

    /// Does the value stay where the guest's list ends: with a basic block, and not with a change of the variable?
    fn holds_on(&self, place: &Place) -> bool {
        let Ok(next) = self.body.offsets.binary_search(&place.end) else { return false };
        let ends_block = |number: usize| {
            let effect = self.body.effect(number as u32);
            matches!(effect, Effect::Br(_) | Effect::BrIf(_) | Effect::BrTable { .. } | Effect::Leave | Effect::If)
        };
        let begins_block = || matches!(self.body.effect(next as u32), Effect::End(_) | Effect::Else | Effect::Loop);
        place.same.is_some()
            && (next.checked_sub(1).is_some_and(ends_block) || begins_block())
            && place.local.is_none_or(|local| !self.is_assigned(local, place.begin..place.end))
    }

    fn assign(&mut self, local: u32) {
        let Some(state) = &self.state else { return };
        let made_of: Vec<usize> = state.members().filter(|number| self.place(*number).local == Some(local)).collect();
        if let Some(state) = &mut self.state {
            made_of.into_iter().for_each(|number| state.remove(number));
        }
    }

    /// What the loop may do something to does not go through its head.
    fn enter_loop(&mut self, range: Range<u32>) {
        let Some(state) = &self.state else { return };
        let members: Vec<usize> = state.members().collect();
        let work = |number: &usize| {
            let variable = &self.variables[self.owners[*number]];
            variable.places.len() + variable.scope.as_ref().map_or(0, Vec::len)
        };
        self.budget = self.budget.saturating_sub(members.iter().map(work).sum());
        let is_known = self.budget > 0;
        let changed: Vec<usize> =
            members.into_iter().filter(|number| !is_known || self.is_changed(*number, &range)).collect();
        if let Some(state) = &mut self.state {
            changed.into_iter().for_each(|number| state.remove(number));
        }
    }

    fn is_changed(&self, number: usize, range: &Range<u32>) -> bool {
        let place = self.place(number);
        let variable = &self.variables[self.owners[number]];
        let is_outside = variable
            .scope
            .as_ref()
            .is_some_and(|scope| !scope.iter().any(|scope| scope.start <= range.start && range.end <= scope.end));
        let is_other = |other: &Place| {
            other.begin < range.end && range.start < other.end && (other.same != place.same || !self.holds_on(other))
        };
        is_outside
            || place.local.is_some_and(|local| self.is_assigned(local, range.clone()))
            || variable.places.iter().any(is_other)
    }

    /// What holds before the operator at `offset`.
    fn settle(&mut self, offset: u32) {
        let mut shown = Bits::new(self.owners.len());
        if let Some(state) = &mut self.state {
            state.remove_all(&self.blocked);
            state.retain_all(&self.in_scope);
            shown = state.clone();
            state.add_all(&self.active);
        }
        if shown == self.shown {
            return;
        }
        let changed: Vec<usize> = shown.different(&self.shown).collect();
        for number in changed {
            match self.begun[number].take() {
                None => self.begun[number] = Some(offset),
                Some(begin) => {
                    if begin < offset {
                        let variable = self.owners[number];
                        let place = number - self.numbers[variable].start;
                        self.found.push(Continued { variable, place, operators: begin..offset });
                    }
                }
            }
        }
        self.shown = shown;
    }
}

/// Leaves at a label only what a further way brings, too.
fn bring(label: &mut Option<Bits>, state: Option<&Bits>) {
    let Some(state) = state else { return };
    match label {
        Some(label) => label.retain_all(state),
        None => *label = Some(state.clone()),
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "scopes are lists of ranges")]
mod tests {
    use super::*;

    const FUNCTION_END: Effect = Effect::End(BodyScan::FUNCTION);

    /// Where the places of a variable hold on in a body of one byte an operator.
    fn follow(effects: &[Effect], scope: Option<Vec<Range<u32>>>, places: &[Place]) -> Vec<(usize, Range<u32>)> {
        let body = BodyScan::of_bytes(effects, &[]);
        let found = continued(&body, &[FollowedVariable { scope, places }]);
        found.into_iter().map(|it| (it.place, it.operators)).collect()
    }

    /// A place in local 0.
    fn place(operators: Range<u32>) -> Place {
        Place { begin: operators.start, end: operators.end, same: Some(0), local: Some(0) }
    }

    #[test]
    fn a_value_holds_on_where_its_block_ends() {
        use Effect::{Block, BrIf, End, None as Plain, Set};
        let effects = [Block, Set(0), Plain, BrIf(0), Plain, Plain, End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, None, &[place(2..4)]), [(0, 4..9)]);
        // The variable got another value there.
        assert_eq!(follow(&effects, None, &[place(2..3)]), []);
        // The local gets one.
        let effects = [Block, Set(0), Plain, BrIf(0), Plain, Set(0), End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, None, &[place(2..4)]), [(0, 4..6)]);
        let effects = [Block, Set(0), Plain, BrIf(0), Plain, Set(1), End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, None, &[place(2..4)]), [(0, 4..9)]);
        // Not all ways lead through it.
        let effects = [Block, BrIf(0), Set(0), Plain, BrIf(0), Plain, End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, None, &[place(3..5)]), [(0, 5..7)]);
        // It is what the operand stack had, or in memory.
        let stack = Place { same: None, ..place(3..5) };
        assert_eq!(follow(&effects, None, &[stack]), []);
    }

    #[test]
    fn a_value_does_not_leave_its_scope() {
        use Effect::{Block, Br, BrIf, End, None as Plain, Set};
        let effects = [Block, Set(0), BrIf(0), Plain, Plain, End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, Some(vec![1..4]), &[place(2..3)]), [(0, 3..4)]);
        assert_eq!(follow(&effects, Some(vec![1..4, 5..8]), &[place(2..3)]), [(0, 3..4)]);
        // A way may pass what lies between.
        let effects = [Block, Set(0), Br(0), Plain, Plain, End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, Some(vec![1..3, 5..8]), &[place(2..3)]), [(0, 6..8)]);
    }

    #[test]
    fn a_value_goes_into_loops_that_leave_it_alone() {
        use Effect::{BrIf, End, Loop, None as Plain, Set};
        let effects = [Set(0), Plain, Loop, Plain, BrIf(0), End(2), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, None, &[place(1..2)]), [(0, 2..8)]);
        // The loop is what the scope is in, not the other way round.
        assert_eq!(follow(&effects, Some(vec![1..4]), &[place(1..2)]), [(0, 2..3)]);
        let assigns = [Set(0), Plain, Loop, Set(0), BrIf(0), End(2), Plain, FUNCTION_END];
        assert_eq!(follow(&assigns, None, &[place(1..2)]), [(0, 2..3)]);
        // There is another value in the loop, or the variable is lost there.
        let other = Place { same: Some(1), local: None, ..place(3..5) };
        assert_eq!(follow(&effects, None, &[place(1..2), other]), [(0, 2..3), (1, 5..8)]);
        let effects = [Set(0), Plain, Loop, Plain, Plain, BrIf(0), End(2), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, None, &[place(1..2), place(3..4)]), [(0, 2..3)]);
    }
}
