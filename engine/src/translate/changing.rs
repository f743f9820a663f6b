//! Where a variable is that is assigned more than once, at places that are known.
//!
//! LLVM loses a variable where control flow joins if the local was not assigned in the same basic block, and leaves a constant in the list
//! behind a loop that changes the variable. What is known of a variable is followed through the structured control flow: it is what a
//! location of the guest's list says, from where that begins; it is also in a local that gets what it is (a constant at the begin of a loop,
//! a copy); no more, where code of an assignment comes or the local gets something else. Where ways join, it is what all of them bring.

use super::bits::Bits;
use super::body_scan::{BodyScan, Code, Effect};
use std::ops::Range;

/// A variable and its locations, all as file offsets.
#[derive(Debug)]
pub(crate) struct ChangingVariable {
    /// The code of its scope, sorted; `None` where that is the whole function.
    pub(crate) scope: Option<Vec<Range<u32>>>,
    pub(crate) places: Vec<ChangingPlace>,
    /// The code of its assignments.
    pub(crate) assigned: Vec<Assigning>,
    /// Whether that is all of them. Else it is told of the variable only where it is stale.
    pub(crate) is_known: bool,
    /// Where a loop begins, it is still the same variable.
    pub(crate) enters_loops: bool,
    /// It may get another value, too, where a loop begins, that is in another local.
    pub(crate) changes_in_loops: bool,
}

/// The code of a statement, or a part of it, that assigns the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assigning {
    pub(crate) code: Range<u32>,
    /// The new value is made of the one before, and nothing else is assigned.
    pub(crate) is_update: bool,
}

/// A location of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangingPlace {
    pub(crate) operators: (u32, u32),
    /// `None` where it is nothing that could be followed.
    pub(crate) value: Option<PlaceValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaceValue {
    /// The number of the variable's first place that says the same.
    pub(crate) same: usize,
    pub(crate) kind: ValueKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Constant(i64),
    /// The local's value.
    Local(u32),
    /// Something that is made of a local, if of any.
    MadeOf(Option<u32>),
}

impl ValueKind {
    fn local(self) -> Option<u32> {
        match self {
            ValueKind::Local(local) => Some(local),
            ValueKind::MadeOf(local) => local,
            ValueKind::Constant(_) => None,
        }
    }
}

/// What is found of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundPlace {
    /// The positions of the variable and of its place.
    pub(crate) variable: usize,
    pub(crate) place: usize,
    /// It is in this local, and not what the place says.
    pub(crate) local: Option<u32>,
    pub(crate) operators: Range<u32>,
}

/// Where variables are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangingPlaces {
    /// They are what a place says, and the list says nothing there: of each variable disjoint.
    pub(crate) continued: Vec<FoundPlace>,
    /// They are not known to be the constant that the list says.
    pub(crate) stale: Vec<FoundPlace>,
}

/// How many words of sets may be looked at, so that a module cannot make this take long.
const MAX_WORK: usize = 1 << 26;

/// Where variables are that change. Nothing where the body makes no sense, or too much would have to be looked at.
pub(crate) fn changing(body: &BodyScan, code: Code<'_>, variables: &[ChangingVariable]) -> ChangingPlaces {
    if variables.is_empty() {
        return ChangingPlaces::default();
    }
    let mut flow = Flow::new(body, code, variables);
    match flow.find() {
        Some(()) => flow.found,
        None => ChangingPlaces::default(),
    }
}

/// Something that is known of a variable: its value is what a place says, or in another local.
#[derive(Clone, Copy, Debug)]
struct Fact {
    variable: usize,
    place: Option<usize>,
    kind: ValueKind,
}

/// The code that makes a variable's new value of the one before, in the same local.
#[derive(Clone, Copy, Debug)]
struct Update {
    variable: usize,
    local: u32,
    /// The operator that assigns it.
    number: u32,
}

/// What happens before an operator. Ends come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    PlaceEnds {
        variable: usize,
        place: usize,
    },
    ScopeEnds(usize),
    ScopeBegins(usize),
    /// By its number.
    UpdateBegins(usize),
    Assigned(usize),
    PlaceBegins {
        variable: usize,
        place: usize,
    },
}

/// An open block.
#[derive(Default)]
struct Block {
    /// Which of [`Flow::heads`], if it is a loop.
    head: Option<usize>,
    /// What branches bring to its end, if any does.
    label: Option<Bits>,
    /// What comes to its `else`.
    alternative: Option<Option<Bits>>,
}

struct Flow<'a> {
    body: &'a BodyScan,
    code: Code<'a>,
    variables: &'a [ChangingVariable],
    /// Of each variable together.
    facts: Vec<Fact>,
    /// The numbers of each variable's facts.
    numbers: Vec<Range<usize>>,
    /// The facts about a local, sorted by it.
    by_local: Vec<(u32, usize)>,
    /// Those that do not go into loops.
    outside_loops: Bits,
    updates: Vec<Update>,
    /// Those whose variable was in their local when they began: the operator, and the fact.
    updating: Vec<(u32, usize)>,
    /// Sorted.
    events: Vec<(u32, Event)>,
    /// What branches bring to the head of each loop; `None` as long as none did.
    heads: Vec<Option<Bits>>,
    /// What is known; `None` where control does not come.
    state: Option<Bits>,
    in_scope: Vec<bool>,
    /// The place that the list has each variable at.
    listed: Vec<Option<usize>>,
    reports: bool,
    /// Something may be known, or listed, that was not when it was told last.
    is_changed: bool,
    /// Of each variable: what is told of it, and from where on.
    begun: Vec<Option<(u32, Told)>>,
    found: ChangingPlaces,
    budget: usize,
}

impl<'a> Flow<'a> {
    fn new(body: &'a BodyScan, code: Code<'a>, variables: &'a [ChangingVariable]) -> Flow<'a> {
        let (mut facts, mut numbers, mut events) = (Vec::new(), Vec::new(), Vec::new());
        let mut updates = Vec::new();
        let others = other_locals(body, code, variables);
        for (variable, it) in variables.iter().enumerate() {
            let first = facts.len();
            for (place, of_place) in it.places.iter().enumerate() {
                let (begin, end) = of_place.operators;
                if begin < end {
                    events.push((begin, Event::PlaceBegins { variable, place }));
                    events.push((end, Event::PlaceEnds { variable, place }));
                }
                if let Some(PlaceValue { kind, .. }) = of_place.value.filter(|value| value.same == place) {
                    facts.push(Fact { variable, place: Some(place), kind });
                }
            }
            let own = others.iter().filter(|other| other.0 == variable).map(|other| other.1);
            facts.extend(own.map(|local| Fact { variable, place: None, kind: ValueKind::Local(local) }));
            numbers.push(first..facts.len());
            for range in it.scope.iter().flatten() {
                events.push((range.start, Event::ScopeBegins(variable)));
                events.push((range.end, Event::ScopeEnds(variable)));
            }
            for Assigning { code: range, is_update } in &it.assigned {
                events.extend(behind_first(body, range).map(|behind| (behind, Event::Assigned(variable))));
                if let Some((number, local)) = is_update.then(|| assigns_last(body, code, range)).flatten() {
                    events.push((range.start, Event::UpdateBegins(updates.len())));
                    updates.push(Update { variable, local, number });
                }
            }
        }
        events.sort_unstable();
        let mut outside_loops = Bits::new(facts.len());
        for (number, fact) in facts.iter().enumerate() {
            let variable = &variables[fact.variable];
            if !variable.enters_loops || variable.changes_in_loops && fact.kind.local().is_none() {
                outside_loops.add(number);
            }
        }
        let of_local = |(number, fact): (usize, &Fact)| Some((fact.kind.local()?, number));
        let mut by_local: Vec<(u32, usize)> = facts.iter().enumerate().filter_map(of_local).collect();
        by_local.sort_unstable();
        let loops = body.effects.iter().filter(|effect| effect.1 == Effect::Loop).count();
        Flow {
            body,
            code,
            variables,
            numbers,
            by_local,
            outside_loops,
            updates,
            updating: Vec::new(),
            events,
            heads: vec![None; loops],
            state: None,
            in_scope: Vec::new(),
            listed: Vec::new(),
            reports: false,
            is_changed: true,
            begun: vec![None; variables.len()],
            found: ChangingPlaces::default(),
            budget: MAX_WORK,
            facts,
        }
    }

    fn find(&mut self) -> Option<()> {
        // What is known at the heads of loops becomes less with each pass.
        while self.pass()? {}
        self.reports = true;
        self.pass()?;
        Some(())
    }

    /// Goes through the body once: whether less is brought to the head of a loop than before.
    fn pass(&mut self) -> Option<bool> {
        let words = self.facts.len().div_ceil(64);
        let steps = self.body.effects.len() + self.body.labels.len() + self.events.len();
        self.budget = self.budget.checked_sub(steps.saturating_mul(words))?;
        self.state = Some(Bits::new(self.facts.len()));
        self.in_scope = self.variables.iter().map(|variable| variable.scope.is_none()).collect();
        self.listed = vec![None; self.variables.len()];
        self.updating.clear();
        let mut open = vec![Block::default()];
        let (mut next_event, mut next_head) = (0, 0);
        let mut comes_back = false;
        for &(number, effect) in &self.body.effects {
            let at = self.body.offsets[number as usize];
            self.go_to(at, &mut next_event)?;
            self.happen_at(at, &mut next_event, |event| event < Event::ScopeBegins(0));
            // What begins where ways join comes behind that.
            match effect {
                Effect::Loop => {
                    open.push(Block { head: Some(next_head), ..Block::default() });
                    if let (Some(state), Some(head)) = (&mut self.state, self.heads.get(next_head)?) {
                        state.retain_all(head);
                    }
                    if let Some(state) = &mut self.state {
                        state.remove_all(&self.outside_loops);
                    }
                    next_head += 1;
                }
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
                _ => {}
            }
            self.is_changed |= matches!(effect, Effect::Loop | Effect::Else | Effect::End(_));
            self.happen_at(at, &mut next_event, |_| true);
            self.settle(at)?;
            match effect {
                Effect::Set(local) => self.assign(local, number),
                Effect::Block => open.push(Block::default()),
                Effect::If => open.push(Block { alternative: Some(self.state.clone()), ..Block::default() }),
                Effect::Br(depth) => {
                    comes_back |= self.branch(&mut open, depth)?;
                    self.state = None;
                }
                Effect::BrIf(depth) => comes_back |= self.branch(&mut open, depth)?,
                Effect::BrTable { first, count } => {
                    for &depth in self.body.labels(first, count) {
                        comes_back |= self.branch(&mut open, depth)?;
                    }
                    self.state = None;
                }
                Effect::Leave => self.state = None,
                Effect::None | Effect::Silent | Effect::Operand | Effect::Loop | Effect::Else | Effect::End(_) => {}
            }
            self.is_changed |= matches!(effect, Effect::Br(_) | Effect::BrTable { .. } | Effect::Leave);
            self.settle(self.body.behind(number))?;
        }
        self.go_to(self.body.end, &mut next_event)?;
        self.state = None;
        self.is_changed = true;
        self.settle(self.body.end)?;
        Some(comes_back)
    }

    /// Whether less is brought to a loop's head.
    fn branch(&mut self, open: &mut [Block], depth: u32) -> Option<bool> {
        let at = open.len().checked_sub(depth as usize + 1)?;
        let Some(head) = open[at].head else {
            bring(&mut open[at].label, self.state.as_ref());
            return Some(false);
        };
        let Some(state) = &self.state else { return Some(false) };
        let before = self.heads[head].clone();
        bring(&mut self.heads[head], Some(state));
        Some(self.heads[head] != before)
    }

    /// What happens between operators before the one at `offset`.
    fn go_to(&mut self, offset: u32, next: &mut usize) -> Option<()> {
        while let Some(&(at, _)) = self.events.get(*next).filter(|event| event.0 < offset) {
            self.happen_at(at, next, |_| true);
            self.settle(at)?;
        }
        Some(())
    }

    /// The next events, as long as they are at this offset and of these.
    fn happen_at(&mut self, at: u32, next: &mut usize, is_meant: impl Fn(Event) -> bool) {
        while let Some(&(_, event)) = self.events.get(*next).filter(|event| event.0 == at && is_meant(event.1)) {
            self.happen(event, at);
            self.is_changed = true;
            *next += 1;
        }
    }

    fn happen(&mut self, event: Event, at: u32) {
        match event {
            Event::PlaceEnds { variable, place } => {
                if self.listed[variable] == Some(place) {
                    self.listed[variable] = None;
                }
                // Else the list ends because of something that happens to the variable.
                if !self.ends_block(at) {
                    self.forget(variable);
                }
            }
            Event::ScopeEnds(variable) => {
                self.in_scope[variable] = false;
                self.forget(variable);
            }
            Event::ScopeBegins(variable) => {
                self.in_scope[variable] = true;
                self.forget(variable);
            }
            Event::UpdateBegins(number) => {
                let Update { variable, local, number } = self.updates[number];
                let is_it = |fact: &usize| self.facts[*fact].kind == ValueKind::Local(local);
                let fact = self.numbers[variable].clone().find(is_it);
                let holds = |fact: &usize| self.state.as_ref().is_some_and(|state| state.contains(*fact));
                self.updating.extend(fact.filter(holds).map(|fact| (number, fact)));
            }
            Event::Assigned(variable) => self.forget(variable),
            Event::PlaceBegins { variable, place } => {
                self.listed[variable] = Some(place);
                self.forget(variable);
                let value = self.variables[variable].places[place].value.filter(|_| self.in_scope[variable]);
                let facts = &self.facts[self.numbers[variable].clone()];
                let fact = value.and_then(|value| facts.iter().position(|fact| fact.place == Some(value.same)));
                if let (Some(fact), Some(state)) = (fact, &mut self.state) {
                    state.add(self.numbers[variable].start + fact);
                }
            }
        }
    }

    /// Does a basic block end here, but for the copies that LLVM puts at its end for what the next one begins with?
    fn ends_block(&self, at: u32) -> bool {
        let first = self.body.offsets.partition_point(|offset| *offset < at);
        let is_copy = |number: &usize| {
            let pushes = || self.code.pushed(self.body.offsets[*number]).is_some();
            matches!(self.body.effect(*number as u32), Effect::Set(_)) || pushes()
        };
        let numbers = first..self.body.offsets.len().min(first + MAX_COPIES);
        let behind = numbers.clone().find(|number| !is_copy(number)).unwrap_or(numbers.end);
        (first..=behind).any(|number| self.body.offsets.get(number).is_some_and(|at| self.body.is_between_blocks(*at)))
    }

    fn forget(&mut self, variable: usize) {
        if let Some(state) = &mut self.state {
            self.numbers[variable].clone().for_each(|number| state.remove(number));
        }
    }

    /// The facts about a local.
    fn about(&self, local: u32) -> Range<usize> {
        self.by_local.partition_point(|it| it.0 < local)..self.by_local.partition_point(|it| it.0 <= local)
    }

    /// The local gets a value, by the operator `number`.
    fn assign(&mut self, local: u32, number: u32) {
        let about = self.about(local);
        if about.is_empty() || self.state.is_none() {
            return;
        }
        self.is_changed = true;
        let before = number.checked_sub(1).map(|before| self.body.offsets[before as usize]);
        let gets = before.and_then(|before| self.code.pushed(before));
        let is_it = |state: &Bits, variable: usize| {
            let mut known = self.numbers[variable].clone().filter(|other| state.contains(*other));
            known.any(|other| gets.is_some_and(|gets| gets.is(self.facts[other].kind)))
        };
        let Some(state) = &self.state else { return };
        let holds = |number: &usize| {
            let Fact { variable, kind, .. } = self.facts[*number];
            kind == ValueKind::Local(local) && is_it(state, variable)
        };
        let about: Vec<usize> = self.by_local[about].iter().map(|it| it.1).collect();
        let (now, gone): (Vec<usize>, Vec<usize>) = about.into_iter().partition(holds);
        let updating = std::mem::take(&mut self.updating);
        let (updated, updating): (Vec<_>, Vec<_>) = updating.into_iter().partition(|it| it.0 == number);
        self.updating = updating;
        if let Some(state) = &mut self.state {
            gone.into_iter().for_each(|number| state.remove(number));
            now.into_iter().chain(updated.into_iter().map(|it| it.1)).for_each(|number| state.add(number));
        }
    }

    /// What holds before the operator at `offset`.
    fn settle(&mut self, offset: u32) -> Option<()> {
        if !self.reports || !std::mem::take(&mut self.is_changed) {
            return Some(());
        }
        self.budget = self.budget.checked_sub(self.variables.len())?;
        for variable in 0..self.variables.len() {
            let now = self.told(variable);
            if self.begun[variable].map(|(_, told)| told) == now {
                continue;
            }
            if let Some((begin, told)) = self.begun[variable].take()
                && begin < offset
            {
                let list = if told.is_stale { &mut self.found.stale } else { &mut self.found.continued };
                list.push(FoundPlace { variable, place: told.place, local: told.local, operators: begin..offset });
            }
            self.begun[variable] = now.map(|told| (offset, told));
        }
        Some(())
    }

    /// What is told of a variable other than what the list says.
    fn told(&self, variable: usize) -> Option<Told> {
        let state = self.state.as_ref().filter(|_| self.in_scope[variable])?;
        let of_variable = &self.variables[variable];
        let mut known = self.numbers[variable].clone().filter(|number| state.contains(*number));
        match self.listed[variable] {
            None if of_variable.is_known => known.next().map(|number| match self.facts[number] {
                Fact { place: Some(place), .. } => Told { place, local: None, is_stale: false },
                Fact { kind, .. } => Told { place: 0, local: kind.local(), is_stale: false },
            }),
            None => None,
            Some(place) => {
                let value = of_variable.places[place].value;
                let value = value.filter(|value| matches!(value.kind, ValueKind::Constant(_)))?;
                let holds = known.any(|number| self.facts[number].place == Some(value.same));
                (!holds).then_some(Told { place, local: None, is_stale: true })
            }
        }
    }
}

/// What is told of a variable: the place and, if it is in another one, the local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    place: usize,
    local: Option<u32>,
    is_stale: bool,
}

/// The locals, other than those of their places, that get what variables are at the time; the variable comes first.
fn other_locals(body: &BodyScan, code: Code<'_>, variables: &[ChangingVariable]) -> Vec<(usize, u32)> {
    // Where each place holds, and the values.
    let mut places: Vec<(u32, u32, usize, ValueKind)> = Vec::new();
    for (variable, it) in variables.iter().enumerate().filter(|(_, it)| it.is_known) {
        let followed = it.places.iter().filter_map(|place| Some((place.operators, place.value?.kind)));
        places.extend(followed.map(|((begin, end), kind)| (begin, end, variable, kind)));
    }
    places.sort_unstable_by_key(|place| (place.0, place.1, place.2));
    let mut found: Vec<(usize, u32)> = Vec::new();
    let mut budget = MAX_WORK;
    let mut longest = 0;
    let ends: Vec<u32> = places
        .iter()
        .map(|place| {
            longest = longest.max(place.1);
            longest
        })
        .collect();
    for &(number, effect) in &body.effects {
        let Effect::Set(local) = effect else { continue };
        let Some(gets) = number.checked_sub(1).and_then(|before| code.pushed(body.offsets[before as usize])) else {
            continue;
        };
        let at = body.offsets[number as usize];
        let behind = places.partition_point(|place| place.0 <= at);
        for (&(_, end, variable, kind), longest) in places[..behind].iter().zip(&ends).rev() {
            let Some(rest) = budget.checked_sub(1) else { return found };
            budget = rest;
            // Copies for the next block come behind the end of the list's entry.
            if longest + MAX_COPIES as u32 <= at {
                break;
            }
            if end + MAX_COPIES as u32 > at && gets.is(kind) && local < MAX_LOCAL {
                found.push((variable, local));
            }
        }
    }
    found.retain(|(variable, local)| {
        let mut listed = variables[*variable].places.iter().filter_map(|place| place.value);
        !listed.any(|value| value.kind == ValueKind::Local(*local))
    });
    found.sort_unstable();
    found.dedup();
    let mut counted = (usize::MAX, 0);
    found.retain(|(variable, _)| {
        counted = if counted.0 == *variable { (*variable, counted.1 + 1) } else { (*variable, 1) };
        counted.1 <= MAX_OTHERS
    });
    found
}

/// How many other locals a variable may be followed in, and up to which one.
const MAX_OTHERS: usize = 4;
const MAX_LOCAL: u32 = 0x80;

/// The last operator of some code that assigns a local, and the local, if it is read before.
fn assigns_last(body: &BodyScan, code: Code<'_>, range: &Range<u32>) -> Option<(u32, u32)> {
    let number = |offset: u32| body.offsets.partition_point(|at| *at < offset);
    let (first, behind) = (number(range.start), number(range.end));
    // The operator behind may take the value from the operand stack.
    let mut numbers = (first..=behind).rev().take(MAX_COPIES);
    let (number, local) = numbers.find_map(|number| match body.effect(number as u32) {
        Effect::Set(local) => Some((number, local)),
        _ => None,
    })?;
    let mut before = (first.saturating_sub(MAX_OPERANDS)..number).map(|number| code.pushed(body.offsets[number]));
    before.any(|pushed| pushed == Some(Pushed::Local(local))).then_some((number as u32, local))
}

/// How many operators before the code of a statement may be its operands.
const MAX_OPERANDS: usize = 8;

/// Behind the first operator of some code that is more than a part of the control flow.
fn behind_first(body: &BodyScan, code: &Range<u32>) -> Option<u32> {
    let first = body.offsets.partition_point(|offset| *offset < code.start);
    let numbers = (first..body.offsets.len()).take_while(|number| body.offsets[*number] < code.end);
    let is_plain = |number: &usize| {
        matches!(body.effect(*number as u32), Effect::None | Effect::Silent | Effect::Operand | Effect::Set(_))
    };
    numbers.take(MAX_CONTROL).find(is_plain).map(|number| body.behind(number as u32))
}

/// How many operators that copy values are looked at.
const MAX_COPIES: usize = 64;

/// How many operators of the control flow are looked at.
const MAX_CONTROL: usize = 64;

/// Leaves at a label only what a further way brings, too.
fn bring(label: &mut Option<Bits>, state: Option<&Bits>) {
    let Some(state) = state else { return };
    match label {
        Some(label) => label.retain_all(state),
        None => *label = Some(state.clone()),
    }
}

/// What an operator puts on the operand stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    I32(i32),
    I64(i64),
    /// The local's value.
    Local(u32),
}

impl Pushed {
    fn is(self, value: ValueKind) -> bool {
        match (value, self) {
            (ValueKind::Constant(value), Pushed::I32(pushed)) => value as i32 == pushed,
            (ValueKind::Constant(value), Pushed::I64(pushed)) => value == pushed,
            (ValueKind::Local(local), Pushed::Local(pushed)) => local == pushed,
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "lists of ranges are what is compared")]
mod tests {
    use super::*;
    use Effect::{Block, Br, BrIf, Else, End, If, Loop, None as Plain, Set};

    const FUNCTION_END: Effect = Effect::End(BodyScan::FUNCTION);

    /// A place, or in its stead a local, and the operators.
    type Followed = (usize, Option<u32>, Range<u32>);

    /// Where a variable is, in a body of one byte an operator: the places that are continued (and, by itself, another local) and the stale
    /// ones. `code` has the bytes of what operators push.
    fn follow(effects: &[Effect], code: &[u8], variable: &ChangingVariable) -> (Vec<Followed>, Vec<Range<u32>>) {
        let body = BodyScan::of_bytes(effects, &[]);
        let found = changing(&body, Code::of_bytes(code), std::slice::from_ref(variable));
        let continued = found.continued.into_iter().map(|it| (it.place, it.local, it.operators));
        (continued.collect(), found.stale.into_iter().map(|it| it.operators).collect())
    }

    fn variable(places: &[(Range<u32>, ValueKind)], assigned: &[Range<u32>]) -> ChangingVariable {
        let place = |(operators, kind): &(Range<u32>, ValueKind)| {
            let same = places.iter().position(|other| other.1 == *kind).expect("it is one of them");
            ChangingPlace { operators: (operators.start, operators.end), value: Some(PlaceValue { same, kind: *kind }) }
        };
        ChangingVariable {
            scope: None,
            places: places.iter().map(place).collect(),
            assigned: assigned.iter().map(|code| Assigning { code: code.clone(), is_update: false }).collect(),
            is_known: true,
            enters_loops: true,
            changes_in_loops: false,
        }
    }

    const IN_LOCAL: ValueKind = ValueKind::Local(0);

    #[test]
    fn a_value_holds_on_where_its_block_ends() {
        let effects = [Block, Set(0), Plain, BrIf(0), Plain, Plain, End(0), Plain, FUNCTION_END];
        let of = |place: Range<u32>| variable(&[(place, IN_LOCAL)], &[]);
        assert_eq!(follow(&effects, &[], &of(2..4)).0, [(0, None, 4..9)]);
        // The variable got another value there, or has one behind an assignment.
        assert_eq!(follow(&effects, &[], &of(2..3)).0, []);
        assert_eq!(follow(&effects, &[], &variable(&[(2..4, IN_LOCAL)], &[4..5])).0, [(0, None, 4..5)]);
        // The local gets one.
        let effects = [Block, Set(0), Plain, BrIf(0), Plain, Set(0), End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, &[], &of(2..4)).0, [(0, None, 4..6)]);
        // Not all ways lead through it.
        let effects = [Block, BrIf(0), Set(0), Plain, BrIf(0), Plain, End(0), Plain, FUNCTION_END];
        assert_eq!(follow(&effects, &[], &of(3..5)).0, [(0, None, 5..6)]);
        let effects = [If, Set(0), Plain, Else, Set(0), Plain, End(0), Plain, FUNCTION_END];
        let both = variable(&[(2..3, IN_LOCAL), (5..6, IN_LOCAL)], &[]);
        assert_eq!(follow(&effects, &[], &both).0, [(0, None, 6..9)]);
    }

    #[test]
    fn what_is_told_of_assignments_that_are_not_known_is_only_what_is_stale() {
        let effects = [Block, Set(0), Plain, BrIf(0), Plain, Plain, End(0), Plain, FUNCTION_END];
        let hidden = ChangingVariable { is_known: false, ..variable(&[(2..4, IN_LOCAL)], &[]) };
        assert_eq!(follow(&effects, &[], &hidden).0, []);
        let constant = variable(&[(1..8, ValueKind::Constant(5))], &[4..5]);
        assert_eq!(follow(&effects, &[], &ChangingVariable { is_known: false, ..constant }).1, [5..8]);
    }

    #[test]
    fn a_constant_does_not_outlive_a_round_that_changes_the_variable() {
        let effects = [Plain, Loop, Plain, Plain, BrIf(0), End(1), Plain, FUNCTION_END];
        let places = [(0..7, ValueKind::Constant(27))];
        assert_eq!(follow(&effects, &[], &variable(&places, &[3..4])).1, [1..7]);
        assert_eq!(follow(&effects, &[], &variable(&places, &[])).1, []);
    }

    #[test]
    fn a_variable_is_in_the_local_that_gets_what_it_is() {
        // `i32.const 27; local.set 0; loop; ..; local.set 0; br_if; end`: the list says 27 before, and local 0 at the end of a round.
        let effects = [Plain, Plain, Set(0), Loop, Plain, Set(0), BrIf(0), End(3), Plain, FUNCTION_END];
        let places = [(1..3, ValueKind::Constant(27)), (6..7, IN_LOCAL)];
        let pushes = |number| [0, 0x41, number, 0, 0, 0, 0, 0, 0, 0];
        let changes = variable(&places, &[4..6]);
        assert_eq!(follow(&effects, &pushes(27), &changes).0, [(1, None, 3..5), (1, None, 7..10)]);
        assert_eq!(follow(&effects, &pushes(26), &changes).0, [(1, None, 7..10)]);
        // Each round has a variable of its own.
        let renewed = ChangingVariable { enters_loops: false, ..changes };
        assert_eq!(follow(&effects, &pushes(27), &renewed).0, [(1, None, 7..10)]);
    }

    #[test]
    fn an_update_leaves_a_variable_in_its_local() {
        // `i32.const 0; local.set 0; loop; local.get 0; ..; local.set 0; br_if; end`: the list has nothing but the constant.
        let effects = [Plain, Set(0), Loop, Plain, Plain, Set(0), BrIf(0), End(2), Plain, FUNCTION_END];
        let code = [0x41, 0, 0, 0x20, 0, 0, 0, 0, 0, 0];
        let mut changes = variable(&[(0..2, ValueKind::Constant(0))], &[4..6]);
        assert_eq!(follow(&effects, &code, &changes).0, []);
        changes.assigned[0].is_update = true;
        assert_eq!(follow(&effects, &code, &changes).0, [(0, Some(0), 2..5), (0, Some(0), 6..10)]);
    }

    #[test]
    fn a_value_does_not_leave_its_scope() {
        let effects = [Block, Set(0), BrIf(0), Plain, Plain, End(0), Plain, FUNCTION_END];
        let scoped = |scope| ChangingVariable { scope: Some(scope), ..variable(&[(2..3, IN_LOCAL)], &[]) };
        assert_eq!(follow(&effects, &[], &scoped(vec![1..4])).0, [(0, None, 3..4)]);
        assert_eq!(follow(&effects, &[], &scoped(vec![1..4, 5..8])).0, [(0, None, 3..4)]);
    }

    #[test]
    fn a_body_with_labels_out_of_reach_has_no_answer() {
        let effects = [Set(0), Br(7), FUNCTION_END];
        assert_eq!(follow(&effects, &[], &variable(&[(1..2, IN_LOCAL)], &[])), (vec![], vec![]));
        let effects = [Set(0), Else, FUNCTION_END];
        assert_eq!(follow(&effects, &[], &variable(&[(1..2, IN_LOCAL)], &[])), (vec![], vec![]));
    }
}
