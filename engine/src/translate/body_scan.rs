//! What must be known of a function's operators before they are translated, read in one pass.

use super::FunctionInput;
use super::changing::Pushed;
use std::collections::HashSet;
use std::ops::Range;
use wasmparser::{BinaryReader, BrTable, Operator, VisitOperator};

/// A function's operators in order.
#[derive(Debug, Default)]
pub(crate) struct BodyScan {
    /// File offset of each operator.
    pub(crate) offsets: Vec<u32>,
    /// The numbers of those that do something to the flow of control or to locals, and what.
    pub(crate) effects: Vec<(u32, Effect)>,
    /// What each operator makes.
    pub(crate) makes: Vec<Makes>,
    /// File offset of the body's end.
    pub(crate) end: u32,
    /// Labels of all `br_table` operators.
    pub(crate) labels: Vec<u32>,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callee {
    /// The function of this index.
    Function(u32),
    /// A function in a table, of the type of this index.
    OfType(u32),
}

/// What an operator makes of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Makes {
    /// No code: begins of blocks, constants, what reads a local.
    Nothing,
    /// A number, and it cannot trap.
    Operand,
    /// Anything else.
    Effect,
}

/// What an operator does to the flow of control and to locals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// Nothing, and it makes no code.
    Silent,
    /// Nothing but a number.
    Operand,
    /// `local.set` and `local.tee`.
    Set(u32),
    Block,
    Loop,
    If,
    Else,
    /// The end of what the operator of this number opened; [`BodyScan::FUNCTION`] where that is the function.
    End(u32),
    /// Goes to the label, always.
    Br(u32),
    /// Goes to the label or on.
    BrIf(u32),
    /// Goes to one of the labels (see [`BodyScan::labels`]).
    BrTable {
        first: u32,
        count: u32,
    },
    /// Leaves the function or traps.
    Leave,
}

impl Effect {
    fn makes(self) -> Makes {
        match self {
            Effect::Silent | Effect::Block | Effect::Loop => Makes::Nothing,
            Effect::Operand => Makes::Operand,
            _ => Makes::Effect,
        }
    }

    /// Does it leave locals and the flow of control alone?
    fn does_nothing(self) -> bool {
        matches!(self, Effect::None | Effect::Silent | Effect::Operand)
    }
}

/// Ends of blocks and loops, with no other operators between them, or the begin of a loop behind a conditional branch. All are file
/// offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndsOfBlocks {
    /// The operator before them.
    pub(crate) before: u32,
    /// Right behind it: the first `end`, or what begins.
    pub(crate) begin: u32,
    /// Each `end`, and whether it ends a loop.
    pub(crate) ends: Vec<(u32, bool)>,
    /// The conditional branch to the first `end` that comes last, if control goes on to the `end` from the operator before.
    pub(crate) guard: Option<u32>,
    /// The operator before is a call, or drops the result of one; told where there is a guard.
    pub(crate) calls: bool,
    /// The branch compares an integer with a constant, and is the only one to the first `end`; told where there is a guard.
    pub(crate) equals: bool,
    /// Where the last loop began or block ended before.
    pub(crate) joined: u32,
    /// The operator before is a call whose result is nothing, or does not go on.
    pub(crate) ends_with_call: bool,
    /// The next operator that is not the begin of a block or loop.
    pub(crate) after: u32,
}

/// An operator that assigns a local.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Assignment {
    pub(crate) local: u32,
    /// File offset behind the operator.
    pub(crate) behind: u32,
    /// The operator's number.
    pub(crate) operator: u32,
}

/// A loop that an inlined function begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LoopAtEntry {
    /// The number of the `loop`, and its file offset.
    pub(crate) head: u32,
    pub(crate) head_at: u32,
    /// File offset at which the function begins; of several, the innermost.
    pub(crate) entry: u32,
    /// File offset of a branch of the function back to the loop.
    pub(crate) branch: u32,
}

impl BodyScan {
    /// "Opened" by no operator.
    pub(crate) const FUNCTION: u32 = u32::MAX;

    /// Reads the operators. What comes after a malformed one is left out; the translator will refuse the function.
    pub(crate) fn read(input: &FunctionInput<'_>) -> BodyScan {
        let range = input.body.range();
        let mut scan = BodyScan { end: range.end as u32, ..BodyScan::default() };
        // Most operators take one byte or two.
        scan.offsets.reserve(range.len() / 2);
        scan.makes.reserve(range.len() / 2);
        scan.effects.reserve(range.len() / 8);
        let mut open = vec![BodyScan::FUNCTION];
        let mut labels = Vec::new();
        each_operator(input, &mut labels, |offset, effect| {
            let number = scan.offsets.len() as u32;
            let effect = match effect {
                Effect::Block | Effect::Loop | Effect::If => {
                    open.push(number);
                    effect
                }
                Effect::End(_) => Effect::End(open.pop().unwrap_or(BodyScan::FUNCTION)),
                _ => effect,
            };
            scan.offsets.push(offset);
            scan.makes.push(effect.makes());
            if !effect.does_nothing() {
                scan.effects.push((number, effect));
            }
        });
        scan.labels = labels;
        scan
    }

    /// File offset behind the operator `number`.
    pub(crate) fn behind(&self, number: u32) -> u32 {
        self.offsets.get(number as usize + 1).copied().unwrap_or(self.end)
    }

    /// Is there a loop?
    pub(crate) fn has_loops(&self) -> bool {
        self.effects.iter().any(|effect| effect.1 == Effect::Loop)
    }

    /// For each branch back to a loop: the number of the `loop` and that of the branch; sorted.
    fn branches_back(&self) -> Vec<(u32, u32)> {
        // The numbers of what opened the blocks around the operator.
        let mut open: Vec<u32> = Vec::new();
        let mut found = Vec::new();
        let mut branch = |open: &[u32], depth: u32, number| {
            let opener = open.len().checked_sub(depth as usize + 1).map(|at| open[at]);
            found.extend(opener.filter(|opener| self.effect(*opener) == Effect::Loop).map(|opener| (opener, number)));
        };
        for &(number, effect) in &self.effects {
            match effect {
                Effect::Block | Effect::Loop | Effect::If => open.push(number),
                Effect::End(_) => {
                    open.pop();
                }
                Effect::Br(depth) | Effect::BrIf(depth) => branch(&open, depth, number),
                Effect::BrTable { first, count } => {
                    self.labels(first, count).iter().for_each(|&depth| branch(&open, depth, number));
                }
                Effect::None | Effect::Silent | Effect::Operand | Effect::Set(_) | Effect::Else | Effect::Leave => {}
            }
        }
        found.sort_unstable();
        found
    }

    /// The loops that an inlined function begins with, sorted. `inlined` is the code of such functions (sorted), as file
    /// offsets: where it begins, and each of its ranges.
    ///
    /// Debuggers take a stop at the first address of an inlined function for one at its call. A loop comes back there.
    pub(crate) fn loops_at_entries(&self, inlined: &[(u32, Range<u32>)]) -> Vec<LoopAtEntry> {
        if inlined.is_empty() {
            return Vec::new();
        }
        let branches = self.branches_back();
        let mut found: Vec<LoopAtEntry> = Vec::new();
        for code in inlined.chunk_by(|one, other| one.0 == other.0) {
            let entry = code[0].0;
            let Ok(number) = self.offsets.binary_search(&entry) else { continue };
            for head in self.loops_around(number as u32) {
                let first = branches.partition_point(|branch| branch.0 < head);
                let back = branches[first..].iter().take_while(|branch| branch.0 == head).take(MAX_BRANCHES);
                let mut back = back.map(|&(_, branch)| self.offsets[branch as usize]);
                let comes_back = |branch: &u32| code.iter().take(MAX_BRANCHES).any(|(_, range)| range.contains(branch));
                found.extend(back.find(comes_back).map(|branch| LoopAtEntry {
                    head,
                    head_at: self.offsets[head as usize],
                    entry,
                    branch,
                }));
            }
        }
        found.sort_unstable();
        // Of the functions that begin with one loop, the innermost begins last.
        found.dedup_by(|next, last| {
            let same = next.head == last.head;
            if same {
                *last = *next;
            }
            same
        });
        found
    }

    /// The loops from which operator `number` is separated by nothing that makes code.
    fn loops_around(&self, number: u32) -> impl Iterator<Item = u32> {
        let makes_none = |number: u32| self.makes.get(number as usize) == Some(&Makes::Nothing);
        let code = (number..).take(MAX_CODELESS).find(|number| !makes_none(*number)).unwrap_or(number);
        let before = (0..code).rev().take(MAX_CODELESS).take_while(move |number| makes_none(*number));
        before.filter(|number| self.effect(*number) == Effect::Loop)
    }

    /// The assignments of `locals` (sorted, without duplicates), sorted.
    pub(crate) fn assignments(&self, locals: &[u32]) -> Vec<Assignment> {
        let assigns = |&(operator, effect): &(u32, Effect)| match effect {
            Effect::Set(local) => Some((locals.binary_search(&local).ok()?, local, operator)),
            _ => None,
        };
        let found: Vec<(usize, u32, u32)> = self.effects.iter().filter_map(assigns).collect();
        // They are in the order of the operators; where those of each local go is counted.
        let mut places = vec![0; locals.len() + 1];
        for &(position, ..) in &found {
            places[position + 1] += 1;
        }
        for position in 1..places.len() {
            places[position] += places[position - 1];
        }
        let mut sorted = vec![Assignment { local: 0, behind: 0, operator: 0 }; found.len()];
        for (position, local, operator) in found {
            sorted[places[position]] = Assignment { local, behind: self.behind(operator), operator };
            places[position] += 1;
        }
        sorted
    }

    /// The numbers of the operators that begin in `code`.
    pub(crate) fn numbers(&self, code: Range<u32>) -> Range<usize> {
        let number = |offset: u32| self.offsets.partition_point(|at| *at < offset);
        number(code.start)..number(code.end)
    }

    /// What the operator `number` does.
    pub(crate) fn effect(&self, number: u32) -> Effect {
        let found = self.effects.binary_search_by_key(&number, |effect| effect.0);
        found.map_or(Effect::None, |at| self.effects[at].1)
    }

    /// Does one basic block end and another begin between the operators before and at this file offset?
    pub(super) fn is_between_blocks(&self, offset: u32) -> bool {
        let Ok(next) = self.offsets.binary_search(&offset) else { return offset == self.end };
        let ends_block = |number: usize| {
            let effect = self.effect(number as u32);
            matches!(effect, Effect::Br(_) | Effect::BrIf(_) | Effect::BrTable { .. } | Effect::Leave | Effect::If)
        };
        let begins_block = || matches!(self.effect(next as u32), Effect::End(_) | Effect::Else | Effect::Loop);
        next.checked_sub(1).is_some_and(ends_block) || begins_block()
    }

    /// The labels of a `br_table`, its default first.
    pub(crate) fn labels(&self, first: u32, count: u32) -> &[u32] {
        &self.labels[first as usize..(first + count) as usize]
    }

    /// Can control come to the statement that begins at `offset` from elsewhere than the operator before? Its anchor
    /// belongs to the first operator that is more than `block`, `loop`, `else` or `end`, so those in between count.
    pub(crate) fn is_reached_from_elsewhere(&self, offset: u32) -> bool {
        let Ok(number) = self.offsets.binary_search(&offset) else { return false };
        let joins = |effect: Effect| matches!(effect, Effect::Loop | Effect::Else | Effect::End(_));
        let is_structure = |effect: &Effect| joins(*effect) || matches!(effect, Effect::Block);
        let number = number as u32;
        let next = self.effects.partition_point(|effect| effect.0 < number);
        let before = next.checked_sub(1).map(|before| self.effects[before]);
        before.is_some_and(|(at, effect)| at + 1 == number && joins(effect))
            || (number..)
                .zip(&self.effects[next..])
                .map_while(|(number, &(at, effect))| (number == at).then_some(effect))
                .take_while(is_structure)
                .any(joins)
    }

    /// Does the basic block that begins at `code.start`, as far as it lies in `code`, read a local that it has not assigned, other than
    /// these (sorted)?
    pub(crate) fn reads_from_elsewhere(&self, input: &FunctionInput<'_>, code: Range<u32>, except: &[u32]) -> bool {
        let Ok(first) = self.offsets.binary_search(&code.start) else { return false };
        let next = self.effects.partition_point(|effect| (effect.0 as usize) < first);
        let mut effects = self.effects[next..].iter().copied().peekable();
        let mut assigned = HashSet::new();
        let mut begun = false;
        for (number, &offset) in self.offsets.iter().enumerate().skip(first).take_while(|it| *it.1 < code.end) {
            match effects.next_if(|effect| effect.0 as usize == number).map(|effect| effect.1) {
                None => {
                    let local = local_read(bytes_from(input, offset));
                    if local.is_some_and(|local| !assigned.contains(&local) && except.binary_search(&local).is_err()) {
                        return true;
                    }
                    begun = true;
                }
                Some(Effect::Set(local)) => {
                    assigned.insert(local);
                    begun = true;
                }
                Some(Effect::Block) => {}
                // What comes before the block's first operator that does something.
                Some(Effect::Loop | Effect::Else | Effect::End(_)) if !begun => {}
                Some(_) => return false,
            }
        }
        false
    }

    /// The file offset of a call that comes right before the operator at `offset`; its result may be dropped between them.
    pub(crate) fn call_before(&self, input: &FunctionInput<'_>, offset: u32) -> Option<u32> {
        let number = self.offsets.binary_search(&offset).ok()?;
        let mut before = self.offsets[..number].iter().rev().take(2).map(|at| (*at, bytes_from(input, *at)));
        match before.next()? {
            (at, code) if is_call(code) => Some(at),
            (_, [DROP, ..]) => before.next().filter(|it| is_call(it.1)).map(|it| it.0),
            _ => None,
        }
    }

    /// The file offset of a call that comes right before at least two ends of blocks, behind which the statement that begins at `offset` is.
    pub(crate) fn call_before_joins(&self, input: &FunctionInput<'_>, offset: u32) -> Option<u32> {
        let number = self.offsets.binary_search(&offset).ok()?;
        let ends_block = |number: &usize| match self.effect(*number as u32) {
            Effect::End(opener) => opener != BodyScan::FUNCTION && self.effect(opener) == Effect::Block,
            _ => false,
        };
        let before = (0..number).rev().take_while(ends_block).count();
        let behind = (number..self.offsets.len()).take_while(ends_block).count();
        (before + behind > 1).then(|| self.call_before(input, self.offsets[number - before]))?
    }

    /// The file offset of a call with nothing between it and the operator at `offset` but operands of what comes later and begins and ends
    /// of blocks, and whether there are numbers computed among them. That a result is compared with zero for a branch can be at the branch
    /// alone.
    pub(crate) fn call_and_operands_before(&self, input: &FunctionInput<'_>, offset: u32) -> Option<(u32, bool)> {
        let number = self.offsets.binary_search(&offset).ok()?;
        let code = |number: usize| self.offsets.get(number).map_or(&[][..], |at| bytes_from(input, *at));
        let result = number.checked_sub(1).map(|number| self.effect(number as u32));
        let is_tested = local_read(code(number)).is_some_and(|local| result == Some(Effect::Set(local)))
            && (number + 1..number + 3).any(|number| code(number).first() == Some(&BR_IF));
        let mut computes = is_tested;
        for number in (number.saturating_sub(FARTHEST_CALL)..number).rev() {
            let code = bytes_from(input, self.offsets[number]);
            if is_call(code) {
                return Some((self.offsets[number], computes));
            }
            match (self.makes[number], self.effect(number as u32)) {
                (Makes::Nothing, _) | (_, Effect::Set(_) | Effect::End(_)) => {}
                (Makes::Operand, _) => computes = true,
                _ if code.first() == Some(&DROP) => {}
                _ => return None,
            }
        }
        None
    }

    /// Of each local, up to the last that is assigned: whether it holds nothing but constants and sums of constants and the locals in
    /// `bases` (sorted).
    pub(crate) fn made_anew(&self, input: &FunctionInput<'_>, bases: &[u32]) -> Vec<bool> {
        let code = Code::of(input);
        let sets = self.effects.iter().filter_map(|&(number, effect)| match effect {
            Effect::Set(local) => Some((number as usize, local as usize)),
            _ => None,
        });
        let locals = sets.clone().map(|(_, local)| local + 1).max().unwrap_or(0);
        let (mut made_anew, mut others) = (vec![false; locals], vec![false; locals]);
        for (number, local) in sets {
            let before = |distance: usize| number.checked_sub(distance).map(|number| code.at(self.offsets[number]));
            let is_constant = |code: &[u8]| matches!(code.first(), Some(0x41 | 0x42));
            let is_at_hand = |code: &[u8]| {
                let is_made_anew =
                    |it: u32| made_anew.get(it as usize) == Some(&true) || bases.binary_search(&it).is_ok();
                is_constant(code) || local_read(code).is_some_and(is_made_anew)
            };
            let is_sum = || before(2).is_some_and(is_at_hand) && before(3).is_some_and(is_at_hand);
            let is_made_anew = before(1).is_some_and(|code| match code.first() {
                Some(0x6a) => is_sum(),
                _ => is_at_hand(code),
            });
            (if is_made_anew { &mut made_anew } else { &mut others })[local] = true;
        }
        made_anew.iter_mut().zip(others).for_each(|(made_anew, other)| *made_anew &= !other);
        made_anew
    }

    /// File offset of the first call from `offset` on, or the body's end.
    pub(crate) fn next_call(&self, input: &FunctionInput<'_>, offset: u32) -> u32 {
        let from = self.offsets.partition_point(|at| *at < offset);
        let call = self.offsets[from..].iter().find(|at| is_call(bytes_from(input, **at)));
        call.copied().unwrap_or(self.end)
    }

    /// How the basic block of the operator at `offset` ends, and the file offset of its last operator.
    pub(crate) fn end_of_block(&self, offset: u32) -> Option<(u32, Effect)> {
        let first = self.offsets.partition_point(|at| *at < offset);
        let next = self.effects.partition_point(|effect| (effect.0 as usize) < first);
        let goes_on = |effect: Effect| matches!(effect, Effect::Set(_) | Effect::Block) || effect.does_nothing();
        let last = self.effects[next..].iter().find(|effect| !goes_on(effect.1));
        last.map(|&(number, effect)| (self.offsets[number as usize], effect))
    }

    /// Is what lies in `code` nothing but operands, of the call that comes behind it, and is none of them an address of static data?
    pub(crate) fn are_arguments(&self, input: &FunctionInput<'_>, code: Range<u32>) -> bool {
        let numbers = self.numbers(code);
        let is_operand = |number: usize| match self.makes[number] {
            Makes::Nothing => !is_address(bytes_from(input, self.offsets[number])),
            Makes::Operand => true,
            Makes::Effect => matches!(self.effect(number as u32), Effect::Set(_)),
        };
        !numbers.is_empty() && numbers.end < self.offsets.len() && numbers.into_iter().all(is_operand)
    }

    /// Is memory written in a basic block that ends with `return`? LLVM puts a result of several numbers there, for which a type of wasm
    /// has no room. What the source has made a place for was written before.
    pub(crate) fn stores_before_return(&self, input: &FunctionInput<'_>) -> bool {
        let code = Code::of(input);
        let returns = self.effects.iter().filter(|effect| effect.1 == Effect::Leave).map(|effect| effect.0 as usize);
        let mut returns = returns.filter(|number| code.operator(self.offsets[*number]) == Some(RETURN));
        returns.any(|number| {
            let before = self.effects.partition_point(|effect| (effect.0 as usize) < number);
            let goes_on = |effect: Effect| matches!(effect, Effect::Set(_) | Effect::Block) || effect.does_nothing();
            let begin = self.effects[..before].iter().rev().find(|effect| !goes_on(effect.1));
            // In the first block there are other stores.
            let begin = begin.map_or(number, |begin| begin.0 as usize + 1);
            (begin..number).any(|number| code.is_store(self.offsets[number]))
        })
    }

    /// Is there nothing from `begin` to `end` but operands, of what comes later?
    pub(crate) fn are_operands(&self, begin: u32, end: u32) -> bool {
        let (Ok(from), Ok(to)) = (self.offsets.binary_search(&begin), self.offsets.binary_search(&end)) else {
            return false;
        };
        let mut effects = self.effects[self.effects.partition_point(|effect| (effect.0 as usize) < from)..].iter();
        from < to
            && self.makes[from..to].iter().all(|makes| *makes != Makes::Effect)
            // Begins of blocks are no operands.
            && effects.next().is_none_or(|effect| effect.0 as usize >= to)
    }

    /// Is there nothing from `begin` to `end` but constants and locals that go into others, at ends and begins of blocks?
    pub(crate) fn are_moves(&self, begin: u32, end: u32) -> bool {
        let numbers = self.numbers(begin..end);
        let is_move = |number: usize| match self.makes[number] {
            Makes::Nothing => true,
            Makes::Operand => false,
            Makes::Effect => matches!(self.effect(number as u32), Effect::Set(_) | Effect::End(_)),
        };
        !numbers.is_empty() && numbers.into_iter().all(is_move)
    }

    /// Is there nothing from `begin` to `end` but one `local.set` or `local.tee`, which makes no code of its own?
    pub(crate) fn is_one_set(&self, begin: u32, end: u32) -> bool {
        self.offsets.binary_search(&begin).is_ok_and(|number| {
            matches!(self.effect(number as u32), Effect::Set(_)) && end <= self.behind(number as u32)
        })
    }
}

/// Calls `what` for each operator with its file offset and what it does; the openers of `end`s are not known. What comes after a
/// malformed one is left out. `labels` gets those of all `br_table` operators.
fn each_operator(input: &FunctionInput<'_>, labels: &mut Vec<u32>, mut what: impl FnMut(u32, Effect)) {
    let range = input.body.range();
    let Ok(begin) = input.body.get_operators_reader().map(|reader| reader.original_position()) else { return };
    let Ok(bytes) = input.body.get_binary_reader().read_bytes(range.len()) else { return };
    let mut rest = &bytes[begin - range.start..];
    while !rest.is_empty() {
        let at = range.end - rest.len();
        let effect = match common(rest) {
            Some((effect, behind)) => {
                rest = behind;
                effect
            }
            None => {
                let mut reader = BinaryReader::new(rest, at);
                let Ok(effect) = reader.visit_operator(&mut Effects { labels }) else { break };
                rest = &rest[reader.original_position() - at..];
                effect
            }
        };
        what(at as u32, effect);
    }
}

/// The bytes of a body.
#[derive(Clone, Copy)]
pub(crate) struct Code<'a> {
    bytes: &'a [u8],
    begin: u32,
}

impl<'a> Code<'a> {
    pub(crate) fn of(input: &FunctionInput<'a>) -> Code<'a> {
        let range = input.body.range();
        let bytes = input.body.get_binary_reader().read_bytes(range.len()).unwrap_or_default();
        Code { bytes, begin: range.start as u32 }
    }

    /// From this file offset on.
    fn at(self, offset: u32) -> &'a [u8] {
        offset.checked_sub(self.begin).and_then(|at| self.bytes.get(at as usize..)).unwrap_or_default()
    }

    /// The first byte of the operator at this file offset.
    pub(crate) fn operator(self, offset: u32) -> Option<u8> {
        self.at(offset).first().copied()
    }

    /// The local of the `local.set` or `local.tee` at this file offset.
    fn local_set(self, offset: u32) -> Option<u32> {
        let (0x21 | 0x22, rest) = self.at(offset).split_first()? else { return None };
        number(rest).map(|(local, _)| local)
    }

    /// Does a store begin at this file offset?
    pub(crate) fn is_store(self, offset: u32) -> bool {
        matches!(self.operator(offset), Some(0x36..=0x3e))
    }

    /// Does a call begin at this file offset?
    pub(crate) fn is_call(self, offset: u32) -> bool {
        is_call(self.at(offset))
    }

    /// The number or the local's value that the operator at this file offset pushes.
    pub(super) fn pushed(self, offset: u32) -> Option<Pushed> {
        let mut reader = BinaryReader::new(self.at(offset), 0);
        match reader.read_u8().ok()? {
            0x20 | 0x22 => reader.read_var_u32().ok().map(Pushed::Local),
            0x41 => reader.read_var_i32().ok().map(Pushed::I32),
            0x42 => reader.read_var_i64().ok().map(Pushed::I64),
            _ => None,
        }
    }

    /// The constant of 32 bits that the operator at this file offset pushes.
    pub(crate) fn constant(self, offset: u32) -> Option<i32> {
        match self.pushed(offset) {
            Some(Pushed::I32(value)) => Some(value),
            _ => None,
        }
    }

    /// What the call at this file offset calls, but for `call_ref`.
    pub(crate) fn callee(self, offset: u32) -> Option<Callee> {
        let (&operator, rest) = self.at(offset).split_first()?;
        let (index, _) = number(rest)?;
        match operator {
            0x10 => Some(Callee::Function(index)),
            0x11 => Some(Callee::OfType(index)),
            _ => None,
        }
    }

    /// The local of the `local.get` at this file offset.
    pub(crate) fn local_read(self, offset: u32) -> Option<u32> {
        local_read(self.at(offset))
    }
}

/// The bytes of a body from this file offset on.
fn bytes_from<'a>(input: &FunctionInput<'a>, offset: u32) -> &'a [u8] {
    Code::of(input).at(offset)
}

/// The local of the `local.get` that `code` begins with.
fn local_read(code: &[u8]) -> Option<u32> {
    let (0x20, rest) = code.split_first()? else { return None };
    number(rest).map(|(local, _)| local)
}

const RETURN: u8 = 0x0f;
const DROP: u8 = 0x1a;
const BR_IF: u8 = 0x0d;

/// How many operators back a call is looked for.
const FARTHEST_CALL: usize = 16;

/// Does `code` begin with `call`, `call_indirect` or `call_ref`?
pub(super) fn is_call(code: &[u8]) -> bool {
    matches!(code.first(), Some(0x10 | 0x11 | 0x14))
}

/// Where linkers put the first static data, unless the stack comes before it.
const FIRST_DATA: u32 = 1024;

/// Does `code` begin with an `i32.const` that may be an address of static data?
fn is_address(code: &[u8]) -> bool {
    match code {
        [0x41, rest @ ..] => number(rest).is_none_or(|(value, _)| value >= FIRST_DATA),
        _ => false,
    }
}

/// How far away an operator may be that takes what a call has given.
const FARTHEST_USE: usize = 64;

/// The file offset of the operator with which a native build goes on behind the call at `offset`.
///
/// It does nothing where a result is dropped, nor where the result stays in its register until it is used: until then, no other
/// value may be computed. That is the call itself where the result of a call of C is negated for a branch (`if (!f())`): natively it is
/// compared with zero, which belongs to the call.
pub(crate) fn operator_behind(input: &FunctionInput<'_>, offset: u32) -> u32 {
    let mut reader = BinaryReader::new(bytes_from(input, offset), offset as usize);
    let _call = reader.read_operator();
    let mut behind = reader.original_position() as u32;
    let mut result = None;
    for _ in 0..FARTHEST_USE {
        match reader.read_operator() {
            Ok(Operator::Drop) if result.is_none() => behind = reader.original_position() as u32,
            Ok(Operator::LocalSet { local_index }) if result.is_none() => {
                result = Some((local_index, reader.original_position() as u32));
            }
            Ok(Operator::LocalGet { local_index })
                if let Some((result, behind)) = result
                    && result == local_index =>
            {
                let is_negated = matches!(reader.read_operator(), Ok(Operator::BrIf { .. }));
                return if is_negated { offset } else { behind };
            }
            Ok(
                Operator::LocalGet { .. }
                | Operator::LocalSet { .. }
                | Operator::I32Const { .. }
                | Operator::I64Const { .. }
                | Operator::Block { .. },
            ) if result.is_some() => {}
            _ => break,
        }
    }
    behind
}

/// Where blocks and loops end, one right after the other, with other operators before and behind, and where loops begin behind
/// conditional branches.
pub(crate) fn ends_of_blocks(input: &FunctionInput<'_>) -> Vec<EndsOfBlocks> {
    let mut found: Vec<EndsOfBlocks> = Vec::new();
    // What is not ended yet, of a function, an `if`, nothing; the last conditional branch to its end, and whether that is the only one.
    let mut open: Vec<(Option<bool>, Option<u32>, bool)> = vec![(None, None, false)];
    let guards = |open: &mut Vec<(Option<bool>, Option<u32>, bool)>, label: u32, branch: u32| {
        let to = open.iter_mut().nth_back(label as usize);
        to.into_iter().for_each(|to| (to.1, to.2) = (Some(branch), to.1.is_none()));
    };
    let code = Code::of(input);
    let mut offsets: Vec<u32> = Vec::new();
    // Where branches have joined last.
    let mut joined = 0;
    let mut before: Option<(u32, Effect)> = None;
    // The ends that the current operator may follow, and whether blocks and loops have begun since.
    let mut run: Option<(EndsOfBlocks, bool, bool)> = None;
    each_operator(input, &mut Vec::new(), |offset, effect| {
        let (ended, guard, is_only) = match effect {
            Effect::End(_) => open.pop().unwrap_or_default(),
            _ => (None, None, false),
        };
        let begins = matches!(effect, Effect::Block | Effect::Loop);
        match (&mut run, ended) {
            (Some((ends, false, _)), Some(is_loop)) => ends.ends.push((offset, is_loop)),
            (Some((_, begun, begun_loop)), None) if begins => {
                *begun = true;
                *begun_loop |= effect == Effect::Loop;
            }
            _ => {
                // Behind an `else` comes what control does not come to from here.
                let is_one = |(ends, _, begun_loop): &(EndsOfBlocks, _, bool)| !ends.ends.is_empty() || *begun_loop;
                let ends = run.take().filter(|_| effect != Effect::Else).filter(is_one);
                found.extend(ends.map(|(ends, ..)| EndsOfBlocks { after: offset, ..ends }));
                if let Some((before, branch)) = before
                    && (ended.is_some() || (begins && matches!(branch, Effect::BrIf(_))))
                {
                    let ends = ended.map(|is_loop| (offset, is_loop)).into_iter().collect();
                    let goes_on = branch.does_nothing() || matches!(branch, Effect::Set(_));
                    let guard = guard.filter(|_| goes_on);
                    let calls = guard.is_some() && {
                        let code = bytes_from(input, before);
                        code.first() == Some(&DROP) || is_call(code)
                    };
                    let branch = guard.and_then(|guard| offsets.binary_search(&guard).ok());
                    let equals = is_only && branch.is_some_and(|branch| compares_with_constant(code, &offsets, branch));
                    let last = code.operator(before);
                    let ends_with_call = matches!(last, Some(UNREACHABLE)) || code.is_call(before);
                    let (begin, after) = (offset, offset);
                    let ends =
                        EndsOfBlocks { before, begin, ends, guard, calls, equals, joined, ends_with_call, after };
                    run = Some((ends, begins, effect == Effect::Loop));
                }
            }
        }
        match effect {
            Effect::Block => open.push((Some(false), None, false)),
            Effect::Loop => open.push((Some(true), None, false)),
            Effect::If => open.push((None, None, false)),
            Effect::BrIf(label) => guards(&mut open, label, offset),
            // The other way of the branch before.
            Effect::Br(label) => {
                if let Some((branch, Effect::BrIf(_))) = before {
                    guards(&mut open, label, branch);
                }
            }
            _ => {}
        }
        if matches!(effect, Effect::Loop | Effect::Else | Effect::End(_)) {
            joined = offset;
        }
        before = Some((offset, effect));
        offsets.push(offset);
    });
    found
}

/// What comes behind the operator at `offset` if that makes no code: it gets or sets a local, is a constant, or begins a block.
pub(crate) fn behind_silent(input: &FunctionInput<'_>, offset: u32) -> Option<u32> {
    let code = bytes_from(input, offset);
    let (effect, rest) = common(code)?;
    let is_silent = matches!(effect, Effect::Silent | Effect::Set(_) | Effect::Block | Effect::Loop);
    is_silent.then(|| offset + (code.len() - rest.len()) as u32)
}

/// Does the `br_if` of this number go where an integer equals a constant, or where it does not? `offsets` are those of the operators. The
/// condition is what was computed right before, and constants go into locals not long before they are used.
pub(crate) fn compares_with_constant(code: Code<'_>, offsets: &[u32], branch: usize) -> bool {
    let operator = |number: usize| code.operator(offsets[number]);
    let is_constant = |number: usize| match operator(number) {
        Some(CONST | CONST_64) => true,
        _ => code.local_read(offsets[number]).is_some_and(|local| {
            let before = offsets[..number].iter().rev().take(FARTHEST_CONSTANT);
            let set = before.clone().position(|at| code.local_set(*at) == Some(local));
            let value = set.and_then(|set| before.clone().nth(set + 1));
            value.is_some_and(|at| matches!(code.operator(*at), Some(CONST | CONST_64)))
        }),
    };
    let mut is_masked = false;
    for number in (branch.saturating_sub(FARTHEST_COMPARISON)..branch).rev() {
        match operator(number) {
            // `block`, `local.get`, `local.set`, `local.tee`.
            Some(0x02 | 0x20..=0x22 | CONST | CONST_64) => {}
            Some(AND) if !is_masked => is_masked = true,
            Some(EQZ | EQZ_64) if is_masked => return true,
            // It goes where the condition does not hold.
            Some(EQZ) => {}
            Some(EQ | EQ_64) => return number.checked_sub(2).is_some_and(|first| (first..number).any(is_constant)),
            _ => return false,
        }
    }
    false
}

/// How many operators before a branch its comparison may be, and before that a constant.
const FARTHEST_COMPARISON: usize = 24;
const FARTHEST_CONSTANT: usize = 64;

const UNREACHABLE: u8 = 0x00;
const CONST: u8 = 0x41;
const CONST_64: u8 = 0x42;
const EQZ: u8 = 0x45;
const EQ: u8 = 0x46;
const EQZ_64: u8 = 0x50;
const EQ_64: u8 = 0x51;
const AND: u8 = 0x71;

/// What the operator at the begin of `code` does, and what comes behind it, if it is one of those that bodies are full of.
fn common(code: &[u8]) -> Option<(Effect, &[u8])> {
    let (&byte, rest) = code.split_first()?;
    Some(match byte {
        // `local.get`, `i32.const`, `i64.const`.
        0x20 | 0x41 | 0x42 => (Effect::Silent, number(rest)?.1),
        // `local.set`, `local.tee`.
        0x21 | 0x22 => {
            let (local, rest) = number(rest)?;
            (Effect::Set(local), rest)
        }
        // Loads and stores of the first memory.
        0x28..=0x3e => {
            let (&alignment, rest) = rest.split_first()?;
            if alignment >= 0x20 {
                return None;
            }
            (Effect::None, number(rest)?.1)
        }
        // `block` and `loop` without a type, or of one number.
        0x02 | 0x03 => {
            let (&ty, rest) = rest.split_first()?;
            let effect = if byte == 0x02 { Effect::Block } else { Effect::Loop };
            matches!(ty, 0x40 | 0x7c..=0x7f).then_some((effect, rest))?
        }
        0x0b => (Effect::End(BodyScan::FUNCTION), rest),
        0x0c | 0x0d => {
            let (label, rest) = number(rest)?;
            (if byte == 0x0c { Effect::Br(label) } else { Effect::BrIf(label) }, rest)
        }
        // `call`.
        0x10 => (Effect::None, number(rest)?.1),
        // Tests, comparisons, and arithmetic of integers that cannot trap.
        0x45..=0x6c | 0x71..=0x7e | 0x83..=0x8a => (Effect::Operand, rest),
        _ => return None,
    })
}

/// An unsigned LEB128 number of at most 4 bytes, and what comes behind it.
fn number(code: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, rest) = code.split_first()?;
    if first < 0x80 {
        return Some((u32::from(first), rest));
    }
    let length = code.iter().take(4).position(|byte| *byte < 0x80)? + 1;
    let bits = code[..length].iter().rev().fold(0, |bits, byte| bits << 7 | u32::from(byte & 0x7f));
    Some((bits, &code[length..]))
}

/// How many operators that make no code, and how many branches of a loop and ranges of a function, are looked at: enough for
/// any compiler's code.
const MAX_CODELESS: usize = 16;
const MAX_BRANCHES: usize = 64;

/// Finds what each operator does. The opener of an `end` is not known here.
struct Effects<'s> {
    labels: &'s mut Vec<u32>,
}

impl Effects<'_> {
    fn table(&mut self, targets: &BrTable<'_>) -> Effect {
        let first = self.labels.len();
        self.labels.push(targets.default());
        self.labels.extend(targets.targets().map_while(Result::ok));
        Effect::BrTable { first: first as u32, count: (self.labels.len() - first) as u32 }
    }
}

macro_rules! effect {
    (LocalSet, $visitor:ident, $local:ident) => {
        Effect::Set($local)
    };
    (LocalTee, $visitor:ident, $local:ident) => {
        Effect::Set($local)
    };
    (LocalGet, $visitor:ident, $local:ident) => {
        Effect::Silent
    };
    (I32Const, $visitor:ident, $value:ident) => {
        Effect::Silent
    };
    (I64Const, $visitor:ident, $value:ident) => {
        Effect::Silent
    };
    (F32Const, $visitor:ident, $value:ident) => {
        Effect::Silent
    };
    (F64Const, $visitor:ident, $value:ident) => {
        Effect::Silent
    };
    (Block, $visitor:ident, $ty:ident) => {
        Effect::Block
    };
    (Loop, $visitor:ident, $ty:ident) => {
        Effect::Loop
    };
    (If, $visitor:ident, $ty:ident) => {
        Effect::If
    };
    (Else, $visitor:ident) => {
        Effect::Else
    };
    (End, $visitor:ident) => {
        Effect::End(BodyScan::FUNCTION)
    };
    (Br, $visitor:ident, $depth:ident) => {
        Effect::Br($depth)
    };
    (BrIf, $visitor:ident, $depth:ident) => {
        Effect::BrIf($depth)
    };
    (BrOnNull, $visitor:ident, $depth:ident) => {
        Effect::BrIf($depth)
    };
    (BrOnNonNull, $visitor:ident, $depth:ident) => {
        Effect::BrIf($depth)
    };
    (BrTable, $visitor:ident, $targets:ident) => {
        $visitor.table(&$targets)
    };
    (Return, $visitor:ident) => {
        Effect::Leave
    };
    (Unreachable, $visitor:ident) => {
        Effect::Leave
    };
    (ReturnCall, $visitor:ident $(, $argument:ident)*) => {
        Effect::Leave
    };
    (ReturnCallIndirect, $visitor:ident $(, $argument:ident)*) => {
        Effect::Leave
    };
    (ReturnCallRef, $visitor:ident $(, $argument:ident)*) => {
        Effect::Leave
    };
    ($operator:ident, $visitor:ident $(, $argument:ident)*) => {
        const { if is_plain_arithmetic(stringify!($operator)) { Effect::Operand } else { Effect::None } }
    };
}

/// Operators on numbers are called after their type. Not those that access memory or may trap.
const fn is_plain_arithmetic(operator: &str) -> bool {
    const OTHERS: [&str; 6] = ["Load", "Store", "Atomic", "Div", "Rem", "TruncF"];
    let name = operator.as_bytes();
    if !(begins(name, 0, b"I32") || begins(name, 0, b"I64") || begins(name, 0, b"F32") || begins(name, 0, b"F64")) {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        let mut other = 0;
        while other < OTHERS.len() {
            if begins(name, at, OTHERS[other].as_bytes()) {
                return false;
            }
            other += 1;
        }
        at += 1;
    }
    // Vectors of four floats: `F32x4`.
    name[3] != b'x'
}

/// Does `word` stand at `at`?
const fn begins(name: &[u8], at: usize, word: &[u8]) -> bool {
    let mut place = 0;
    while place < word.len() {
        if at + place >= name.len() || name[at + place] != word[place] {
            return false;
        }
        place += 1;
    }
    true
}

macro_rules! visit_effects {
    ($(@$proposal:ident $operator:ident $({ $($argument:ident: $ty:ty),* })? => $visit:ident)*) => {
        $(
            #[allow(unused_variables, reason = "the operands of most operators do not matter")]
            fn $visit(&mut self $($(, $argument: $ty)*)?) -> Effect {
                let visitor = self;
                effect!($operator, visitor $($(, $argument)*)?)
            }
        )*
    };
}

impl<'a> VisitOperator<'a> for Effects<'_> {
    type Output = Effect;

    wasmparser::for_each_operator!(visit_effects);
}

#[cfg(test)]
impl<'a> Code<'a> {
    /// A body at file offset 0.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Code<'a> {
        Code { bytes, begin: 0 }
    }
}

#[cfg(test)]
impl BodyScan {
    /// A body of one byte an operator.
    pub(crate) fn of_bytes(effects: &[Effect], labels: &[u32]) -> BodyScan {
        let end = effects.len() as u32;
        let makes = effects.iter().map(|effect| effect.makes()).collect();
        let effects = (0..end).zip(effects.iter().copied()).filter(|effect| !effect.1.does_nothing()).collect();
        BodyScan { offsets: (0..end).collect(), effects, makes, end, labels: labels.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environ::Tunables;
    use crate::translate::ModuleTranslation;

    #[test]
    fn loops_that_inlined_functions_begin_with_are_found() {
        use Effect::{Block, Br, BrIf, End, Loop, None, Silent};
        let loops = |effects: &[Effect], inlined: &[(u32, Range<u32>)]| {
            let found = BodyScan::of_bytes(effects, &[]).loops_at_entries(inlined);
            found.iter().map(|it| (it.head, it.entry, it.branch)).collect::<Vec<_>>()
        };
        let body = [None, Block, Loop, None, BrIf(1), None, Br(0), End(2), End(1), None, End(BodyScan::FUNCTION)];
        assert_eq!(loops(&body, &[(2, 2..8)]), [(2, 2, 6)]);
        assert_eq!(loops(&body, &[(1, 1..9)]), [(2, 1, 6)]);
        // The inner one of two.
        assert_eq!(loops(&body, &[(1, 1..9), (3, 3..7)]), [(2, 3, 6)]);
        // In two parts.
        assert_eq!(loops(&body, &[(3, 3..5), (3, 6..7)]), [(2, 3, 6)]);
        // Another function is what comes back.
        assert!(loops(&body, &[(3, 3..6)]).is_empty());
        // What comes between makes no code.
        let silent = [Block, Loop, Silent, Silent, None, BrIf(0), End(1), End(0), None];
        assert_eq!(loops(&silent, &[(4, 4..6)]), [(1, 4, 5)]);
        // Code comes first, there or here.
        assert!(loops(&body, &[(0, 0..9)]).is_empty());
        assert!(loops(&body, &[(5, 5..7)]).is_empty());
        // It is left, not repeated.
        let body = [Block, Loop, None, BrIf(1), None, End(1), End(0), End(BodyScan::FUNCTION)];
        assert!(loops(&body, &[(1, 1..6)]).is_empty());
    }

    #[test]
    fn ends_of_blocks_are_found_with_what_is_around() {
        let wasm = wat::parse_str(
            "(module (func (param i32)
                block loop local.get 0 br_if 1 br 0 end end
                block block local.get 0 br_if 0 end block end end
                local.get 0 if nop end
                local.get 0 if block nop end else nop end
                block local.get 0 br_if 0 block loop nop end end local.get 0 br_if 0 block nop end end))",
        );
        let wasm = wasm.expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let begin = translation.functions[0].body.get_operators_reader().expect("it has operators").original_position();
        let found = ends_of_blocks(&translation.functions[0]);
        let relative = |offset: u32| offset - begin as u32;
        let found = found.iter().map(|run| {
            let ends: Vec<(u32, bool)> = run.ends.iter().map(|&(end, is_loop)| (relative(end), is_loop)).collect();
            (relative(run.before), relative(run.begin), ends, relative(run.after))
        });
        let expected = [
            (8, 10, vec![(10, true), (11, false)], 16),
            // The second block is empty.
            (18, 20, vec![(20, false)], 23),
            (21, 23, vec![(23, false), (24, false)], 25),
            // A loop behind a branch; the block behind another one has none.
            (46, 48, vec![], 52),
            (52, 53, vec![(53, true), (54, false)], 55),
            (61, 62, vec![(62, false), (63, false)], 64),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn blocks_read_what_others_assigned() {
        let wasm = wat::parse_str(
            "(module (func (param i32) (local i32 i32)
                block local.get 0 br_if 0 unreachable end
                i32.const 1 local.set 1 local.get 1 local.set 2 local.get 0 br_if 0
                block local.get 2 br_if 0 end
                block end local.get 0 local.set 1))",
        );
        let wasm = wasm.expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let input = &translation.functions[0];
        let begin = input.body.get_operators_reader().expect("it has operators").original_position() as u32;
        // The function's begin; behind the first `end`; in a block of one's own; before an empty one.
        let begins = [0, 8, 22, 27].map(|offset| begin + offset);
        let scan = BodyScan::read(input);
        let read = |except: &[u32]| {
            let found = begins.into_iter().filter(|offset| scan.reads_from_elsewhere(input, *offset..u32::MAX, except));
            found.map(|offset| offset - begin).collect::<Vec<_>>()
        };
        assert_eq!(read(&[]), [0, 8, 22, 27]);
        assert_eq!(read(&[0]), [22], "what is at hand, and what a block assigned itself, come from nowhere else");
    }

    #[test]
    fn calls_before_blocks_that_join_twice_are_known() {
        let before = |text: &str| {
            let wasm =
                wat::parse_str(format!("(module (func $f (result i32) {text} i32.const 0))")).expect("it is right");
            let tunables = Tunables::default();
            let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
            let input = &translation.functions[0];
            let scan = BodyScan::read(input);
            let constant = scan.offsets.len() - 2;
            let at = |number: usize| scan.call_before_joins(input, scan.offsets[number]).is_some();
            (at(constant), at(constant - 1))
        };
        assert_eq!(before("block block call $f drop end end"), (true, true), "its row may begin at an end");
        assert_eq!(before("block block call $f drop end nop end"), (false, false));
        assert_eq!(before("block call $f drop end"), (false, false));
        assert_eq!(before("loop block call $f drop end end"), (false, false), "nothing joins at the end of a loop");
    }

    #[test]
    fn what_lies_around_calls_is_known() {
        let wasm = wat::parse_str(
            "(module (func $f (param i32) (result i32) (local i32)
                local.get 0 call $f drop
                i32.const 16 local.get 0 i32.add local.tee 1 call $f local.set 1
                i32.const 70000 call $f i32.load local.set 1
                block local.get 1 br_table 0 0 end
                local.get 1 return)
             (memory 1))",
        );
        let wasm = wasm.expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let input = &translation.functions[0];
        let scan = BodyScan::read(input);
        let at = |number: usize| scan.offsets[number];
        let before = |number: usize| scan.call_before(input, at(number)).map(|call| scan.offsets.binary_search(&call));
        assert_eq!([2, 3, 9].map(before), [Some(Ok(1)), Some(Ok(1)), None], "what is set is not dropped");
        assert_eq!(before(4), None);
        assert_eq!(scan.next_call(input, at(2)), at(7));
        assert_eq!(scan.next_call(input, at(12)), scan.end);
        assert!(scan.are_arguments(input, at(3)..at(7)));
        assert!(!scan.are_arguments(input, at(9)..at(10)), "it may be an address of static data");
        assert!(!scan.are_arguments(input, at(11)..at(15)), "memory is read");
        assert!(!scan.are_arguments(input, at(3)..at(3)), "nothing is passed");
        let end = scan.end_of_block(at(0)).expect("it has an end");
        assert_eq!((scan.offsets.binary_search(&end.0), end.1), (Ok(15), Effect::BrTable { first: 0, count: 2 }));
        assert_eq!(scan.end_of_block(at(17)).map(|end| end.1), Some(Effect::Leave));
    }

    #[test]
    fn ends_know_the_branch_that_guards_them() {
        let wasm = wat::parse_str(
            "(module (func $f (param i32)
                block local.get 0 br_if 0 nop end
                block local.get 0 br_if 0 call $g drop end
                block block local.get 0 br_if 0 br 1 end nop end
                block local.get 0 br_if 0 return end)
             (func $g (result i32) i32.const 0))",
        );
        let wasm = wasm.expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let scan = BodyScan::read(&translation.functions[0]);
        let number = |offset: u32| scan.offsets.binary_search(&offset).ok();
        let found = ends_of_blocks(&translation.functions[0]);
        let found = found.iter().map(|it| (number(it.guard.unwrap_or(0)), it.calls, number(it.joined)));
        let expected = [
            (Some(2), false, None),
            (Some(7), true, Some(4)),
            (None, false, Some(10)),
            (Some(14), false, Some(16)),
            (None, false, Some(18)),
        ];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn comparisons_of_guards_with_constants_are_known() {
        let equals = |condition: &str| {
            let text =
                format!("(module (func (param i32 i32) (local i32) block {condition} br_if 0 nop end) (memory 1))");
            let wasm = wat::parse_str(text).expect("the text is right");
            let tunables = Tunables::default();
            let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
            let found = ends_of_blocks(&translation.functions[0]);
            found.iter().map(|it| it.equals).collect::<Vec<_>>()
        };
        assert_eq!(equals("local.get 0 i32.const 7 i32.eq i32.eqz"), [true]);
        assert_eq!(
            equals("i32.const 7 local.set 2 local.get 0 local.get 2 i32.eq i32.const 1 i32.and i32.eqz"),
            [true]
        );
        assert_eq!(equals("local.get 0 i32.eqz i32.const 1 i32.and"), [true], "with zero");
        assert_eq!(equals("local.get 0 i32.eqz"), [false], "it is false");
        assert_eq!(equals("local.get 0 local.get 1 i32.eq"), [false]);
        assert_eq!(equals("local.get 0 i32.const 7 i32.ne i32.const 1 i32.and"), [false]);
        assert_eq!(equals("local.get 1 br_if 0 local.get 0 i32.const 7 i32.eq"), [false], "it is one of several");
    }

    #[test]
    fn results_that_llvm_writes_are_told_from_those_of_the_source() {
        let stores = |text: &str| {
            let text = format!("(module (func (param i32 i32) {text}) (memory 1))");
            let wasm = wat::parse_str(text).expect("the text is right");
            let tunables = Tunables::default();
            let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
            let input = &translation.functions[0];
            BodyScan::read(input).stores_before_return(input)
        };
        let store = "local.get 0 local.get 1 i32.store offset=4";
        assert!(stores(&format!("block local.get 1 br_if 0 end {store} return")));
        assert!(!stores(&format!("block {store} local.get 1 br_if 0 nop end return")));
        assert!(!stores(&format!("block local.get 1 br_if 0 return end {store} unreachable")));
        assert!(!stores(&format!("{store} return")), "it is the only block");
    }

    #[test]
    fn code_goes_on_behind_a_call_where_its_result_is_at_hand() {
        // How many bytes behind the call, which has 2.
        let behind = |text: &str| {
            let wasm = format!("(module (func $f (result i32) call $f {text}) (memory 1))");
            let wasm = wat::parse_str(wasm.replace("call $f", "(local i32 i32) call $f")).expect("the text is right");
            let tunables = Tunables::default();
            let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
            let input = &translation.functions[0];
            let call = input.body.get_operators_reader().expect("it has operators").original_position() as u32;
            i64::from(operator_behind(input, call)) - i64::from(call) - 2
        };
        assert_eq!(behind("i32.const 1 i32.add"), 0);
        assert_eq!(behind("drop i32.const 1"), 1);
        assert_eq!(behind("local.set 0 block local.get 0 i32.eqz br_if 0 end i32.const 1"), 2);
        assert_eq!(behind("local.set 0 block local.get 0 br_if 0 end i32.const 1"), -2, "it is compared for the call");
        assert_eq!(behind("local.set 0 i32.const 8 local.set 1 local.get 1 local.get 0 i32.store i32.const 1"), 2);
        assert_eq!(behind("local.set 0 local.get 1 i32.load local.get 0 i32.add"), 0, "another value comes first");
        assert_eq!(behind("local.set 0 i32.const 1"), 0, "it is not used");
    }

    #[test]
    fn common_operators_do_what_the_reader_of_all_says() {
        // Each byte with small operands, with long ones, and with some that are cut off or too long.
        let operands: [&[u8]; 8] =
            [&[], &[1], &[2, 3], &[0x82, 0x01, 0x7f], &[0x02, 0xff, 0xff, 0x03], &[0x40, 0], &[0x80; 4], &[0xff; 6]];
        let mut known = 0;
        for byte in 0..=0xff {
            for operands in operands {
                let code = [&[byte], operands, &[0x0b; 8]].concat();
                let Some((effect, rest)) = common(&code) else { continue };
                let mut labels = Vec::new();
                let mut reader = BinaryReader::new(&code, 0);
                let expected = reader.visit_operator(&mut Effects { labels: &mut labels });
                let expected = expected.expect("what is common can be read");
                assert_eq!((effect, rest.len()), (expected, code.len() - reader.original_position()), "{code:x?}");
                known += 1;
            }
        }
        assert!(known > 100 * operands.len() / 2);
        assert_eq!(common(&[0x20]), None);
        assert_eq!(common(&[0x28, 2, 0x80]), None);
    }

    #[test]
    fn operands_are_told_from_statements() {
        use Effect::{Block, None, Operand, Set, Silent};
        let scan = BodyScan::of_bytes(&[Silent, Operand, Silent, None, Silent, Set(0), Block, Silent, None], &[]);
        assert!(scan.are_operands(0, 3) && scan.are_operands(2, 3) && scan.are_operands(4, 5));
        assert!(!scan.are_operands(0, 4) && !scan.are_operands(4, 6) && !scan.are_operands(6, 8));
        assert!(scan.are_moves(4, 8) && !scan.are_moves(3, 8) && !scan.are_moves(0, 2) && !scan.are_moves(5, 5));
        let plain = ["I32Add", "F64Sqrt", "I32WrapI64", "I64TruncSatF64S", "I32Eqz"];
        assert!(plain.into_iter().all(is_plain_arithmetic));
        let others =
            ["I32Load8U", "I64Store", "I32DivS", "I64RemU", "I32TruncF64S", "F32x4Add", "Call", "I32AtomicLoad"];
        assert!(!others.into_iter().any(is_plain_arithmetic));
    }

    #[test]
    fn statements_at_loops_and_joins_are_reached_from_elsewhere() {
        use Effect::{Block, BrIf, End, Loop, None};
        let effects = [None, Block, Loop, None, BrIf(0), End(2), End(1), None, Block, None];
        let scan = BodyScan { offsets: (0..10).map(|n| n * 2).collect(), ..BodyScan::of_bytes(&effects, &[]) };
        let reached: Vec<_> = (0..10).filter(|n| scan.is_reached_from_elsewhere(n * 2)).collect();
        assert_eq!(reached, [1, 2, 3, 5, 6, 7]);
        assert!(!scan.is_reached_from_elsewhere(3), "between operators");
    }
}
