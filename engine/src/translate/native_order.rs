//! The order in which rustc lays out the basic blocks of an unoptimized function in native code, found by those of the wasm.
//!
//! rustc translates the blocks of its MIR in reverse postorder, and makes a block of LLVM's where the first one names it: there it
//! stays. LLVM's wasm backend moves blocks so that they nest, but those that do not join others keep their order. A block's successors are
//! in MIR's order: what a condition leads to where it is false, then where it is true; the values of a `match`, then what is left, which LLVM
//! has made first. rustc makes a comparison with a constant a `match` of one value (`SimplifyComparisonIntegral`), and the panic of
//! a check right behind the block that goes on.

use super::FunctionInput;
use super::body_scan::{BodyScan, Code, Effect, compares_with_constant, is_call};
use std::ops::Range;

/// Where an operator comes from: file, line (0 if it has none) and column.
pub(crate) type Origin = (u32, u32, u32);

/// A basic block.
#[derive(Debug)]
pub(crate) struct NativeBlock {
    /// What joins branches before it, and its operators, by their numbers.
    pub(crate) begin: u32,
    /// Its own operators, by their numbers.
    pub(crate) operators: Range<u32>,
    pub(crate) exit: Exit,
    /// The blocks that control goes to, by their numbers in the wasm.
    pub(crate) successors: Vec<u32>,
    /// Those that it comes from.
    pub(crate) predecessors: Vec<u32>,
}

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Next,
    Goto,
    /// To the first successor or to the one behind the block.
    If,
    /// To the first successor or to the second one.
    IfElse,
    /// To one of the successors. The last one is for what is left.
    Switch,
    Return,
    Trap,
    /// It is a part of the `switch` before.
    Joined,
}

/// The blocks of a function in the wasm's order, and their numbers in the native one. `None` if there is something that rustc does not make.
/// `origin` is asked for operators by their numbers, and `begins_row` whether a row begins at one.
pub(crate) fn native_order(
    body: &BodyScan,
    input: &FunctionInput<'_>,
    origin: &dyn Fn(u32) -> Option<Origin>,
    begins_row: &dyn Fn(u32) -> bool,
) -> Option<(Vec<NativeBlock>, Vec<u32>)> {
    let mut graph = Graph { body, code: Code::of(input), origin, blocks: blocks(body, input, begins_row)? };
    graph.find_predecessors();
    graph.join_comparisons();
    graph.find_predecessors();
    let order = graph.order();
    Some((graph.blocks, order))
}

/// Splits a function into blocks.
fn blocks(body: &BodyScan, input: &FunctionInput<'_>, begins_row: &dyn Fn(u32) -> bool) -> Option<Vec<NativeBlock>> {
    let code = Code::of(input);
    let count = body.offsets.len() as u32;
    let mut end_of = vec![count.checked_sub(1)?; count as usize];
    for &(number, effect) in &body.effects {
        match effect {
            Effect::End(opener) if opener != BodyScan::FUNCTION => *end_of.get_mut(opener as usize)? = number,
            Effect::If | Effect::Else => return None,
            _ => {}
        }
    }
    // Where each branch leads, and what is led to.
    let mut targets: Vec<(u32, Range<usize>)> = Vec::new();
    let mut labels: Vec<u32> = Vec::new();
    let mut is_target = vec![false; count as usize];
    let mut open: Vec<(u32, bool)> = Vec::new();
    for &(number, effect) in &body.effects {
        let first = labels.len();
        let mut lead = |depth: u32| {
            let opener = open.len().checked_sub(depth as usize + 1).map(|at| open[at]);
            let target = opener.map_or(count - 1, |(opener, is_loop)| match is_loop {
                true => opener,
                false => end_of[opener as usize],
            });
            is_target[target as usize] = true;
            labels.push(target);
        };
        match effect {
            Effect::Block => open.push((number, false)),
            Effect::Loop => {
                is_target[number as usize] = true;
                open.push((number, true));
            }
            Effect::End(_) => drop(open.pop()),
            Effect::Br(depth) | Effect::BrIf(depth) => lead(depth),
            Effect::BrTable { first, count } => {
                let (default, others) = body.labels(first, count).split_first()?;
                others.iter().chain([default]).for_each(|depth| lead(*depth));
            }
            _ => {}
        }
        if labels.len() > first {
            targets.push((number, first..labels.len()));
        }
    }
    // Successors are labels until all blocks are known.
    let new = |at: u32| NativeBlock {
        begin: at,
        operators: at..at,
        exit: Exit::Next,
        successors: Vec::new(),
        predecessors: Vec::new(),
    };
    let mut blocks = vec![new(0)];
    let mut block_at = vec![0u32; count as usize];
    let mut targets = targets.into_iter().peekable();
    let mut effects = body.effects.iter().copied().peekable();
    for number in 0..count {
        let effect = effects.next_if(|effect| effect.0 == number).map_or(Effect::None, |effect| effect.1);
        let led_to = targets.next_if(|target| target.0 == number).map_or(0..0, |target| target.1);
        if is_target[number as usize] {
            let is_begun = blocks.last().is_some_and(|last| !last.operators.is_empty() || last.exit != Exit::Next);
            if is_begun {
                blocks.push(new(number));
            }
            block_at[number as usize] = blocks.len() as u32 - 1;
        }
        if matches!(effect, Effect::Block | Effect::Loop | Effect::End(_)) {
            if number + 1 == count && blocks.last()?.exit == Exit::Next {
                blocks.last_mut()?.exit = Exit::Return;
            }
            continue;
        }
        let mut last = blocks.last_mut()?;
        if last.exit != Exit::Next {
            let is_else = last.exit == Exit::If && last.operators.end == number && !begins_row(number);
            if is_else && matches!(effect, Effect::Br(_)) {
                last.exit = Exit::IfElse;
                last.operators.end = number + 1;
                last.successors.extend_from_slice(&labels[led_to]);
                continue;
            }
            blocks.push(new(number));
            last = blocks.last_mut()?;
        }
        if last.operators.is_empty() {
            last.operators.start = number;
        }
        last.operators.end = number + 1;
        last.successors.extend_from_slice(&labels[led_to]);
        last.exit = match effect {
            Effect::Br(_) => Exit::Goto,
            Effect::BrIf(_) => Exit::If,
            Effect::BrTable { .. } => Exit::Switch,
            Effect::Leave => match code.operator(body.offsets[number as usize])? {
                0x00 => Exit::Trap,
                0x0f => Exit::Return,
                _ => return None,
            },
            _ => Exit::Next,
        };
    }
    let count = blocks.len() as u32;
    for (number, block) in (0..).zip(&mut blocks) {
        block.successors.iter_mut().for_each(|label| *label = block_at[*label as usize]);
        let next = number + 1;
        if matches!(block.exit, Exit::Next | Exit::If) && next < count {
            block.successors.push(next);
        }
    }
    Some(blocks)
}

struct Graph<'a> {
    body: &'a BodyScan,
    code: Code<'a>,
    origin: &'a dyn Fn(u32) -> Option<Origin>,
    blocks: Vec<NativeBlock>,
}

impl Graph<'_> {
    fn find_predecessors(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.predecessors.clear());
        for number in 0..self.blocks.len() {
            if self.blocks[number].exit == Exit::Joined {
                continue;
            }
            let successors = std::mem::take(&mut self.blocks[number].successors);
            successors.iter().for_each(|to| self.blocks[*to as usize].predecessors.push(number as u32));
            self.blocks[number].successors = successors;
        }
    }

    fn operator(&self, number: u32) -> u8 {
        self.code.operator(self.body.offsets[number as usize]).unwrap_or(0)
    }

    /// Is it the call of a panic?
    fn panics(&self, block: u32) -> bool {
        let block = &self.blocks[block as usize];
        block.exit == Exit::Trap && block.operators.clone().any(|number| is_call(&[self.operator(number)]))
    }

    /// The origin of its first operator, and that of its last.
    fn first_origin(&self, block: u32) -> Option<Origin> {
        let operators = &self.blocks[block as usize].operators;
        (!operators.is_empty()).then(|| (self.origin)(operators.start)).flatten()
    }

    fn last_origin(&self, block: u32) -> Option<Origin> {
        let operators = &self.blocks[block as usize].operators;
        (!operators.is_empty()).then(|| (self.origin)(operators.end - 1)).flatten()
    }

    /// Does the block branch, and go on if not, by whether a number is a constant?
    fn compares(&self, block: u32) -> bool {
        let block = &self.blocks[block as usize];
        let branch = block.operators.end.checked_sub(1);
        block.exit == Exit::If
            && block.successors.len() == 2
            && branch.is_some_and(|branch| compares_with_constant(self.code, &self.body.offsets, branch as usize))
    }

    /// Does a block that compares go on if the number is the constant?
    fn leads_on_where_equal(&self, block: u32) -> bool {
        let before = self.blocks[block as usize].operators.end.checked_sub(2);
        before.is_some_and(|before| self.operator(before) == EQZ)
    }

    /// LLVM makes a `switch` of few values a chain of comparisons, which are at one place and in blocks of their own.
    fn join_comparisons(&mut self) {
        // Those of joined ones come in the reverse order.
        for number in (0..self.blocks.len().saturating_sub(1)).rev() {
            let (this, next) = (number as u32, number as u32 + 1);
            let (block, behind) = (&self.blocks[number], &self.blocks[number + 1]);
            let is_chain = behind.exit == Exit::Switch && self.operator(behind.operators.end - 1) != BR_TABLE;
            // What is left may come right behind.
            let is_last = behind.exit == Exit::IfElse || self.compares(this) && self.compares(next);
            let (Some(place), true) = (self.last_origin(this), is_chain || is_last) else { continue };
            if block.exit != Exit::If || behind.predecessors != [this] || block.successors.len() != 2 {
                continue;
            }
            let own = match is_chain {
                // What follows was looked at before, and is at the same place.
                true => self.own_operators(behind),
                false => behind.operators.clone(),
            };
            let is_elsewhere =
                |number: u32| (self.origin)(number).is_some_and(|origin| origin.1 != 0 && origin != place);
            let does_more = |number: u32| matches!(self.operator(number), 0x10 | 0x11 | 0x28..=0x3e);
            let compares = |number: u32| matches!(self.operator(number), 0x46 | 0x47 | 0x51 | 0x52);
            let other = block.successors.iter().copied().find(|successor| *successor != next);
            let Some(other) = other.filter(|other| {
                !own.clone().any(|number| is_elsewhere(number) || does_more(number))
                    && own.clone().any(compares)
                    && self.last_origin(next) == Some(place)
                    && !self.panics(*other)
                    && (is_chain || !behind.successors.iter().any(|to| self.panics(*to)))
            }) else {
                continue;
            };
            // The default is the last one, and the values before it are turned about until all are there.
            let end = behind.operators.end;
            let is_turned = !is_chain && behind.exit == Exit::If && self.leads_on_where_equal(next);
            let behind = &mut self.blocks[number + 1];
            behind.exit = Exit::Joined;
            let mut successors = std::mem::take(&mut behind.successors);
            if let (false, [value, default]) = (is_chain, &successors[..]) {
                let (value, default) = if is_turned { (default, value) } else { (value, default) };
                successors = if value == default { vec![*default] } else { vec![*default, *value] };
            }
            successors.push(other);
            let block = &mut self.blocks[number];
            (block.exit, block.operators.end, block.successors) = (Exit::Switch, end, successors);
        }
        for number in 0..self.blocks.len() {
            let block = &self.blocks[number];
            if block.exit == Exit::Switch && self.operator(block.operators.end - 1) != BR_TABLE {
                self.blocks[number].successors.reverse();
            }
        }
    }

    /// The operators of a `switch` up to the first branch.
    fn own_operators(&self, block: &NativeBlock) -> Range<u32> {
        let mut operators = block.operators.clone();
        let end = operators.find(|number| self.operator(*number) == BR_IF).map_or(block.operators.end, |last| last + 1);
        block.operators.start..end
    }

    /// The successors of a block in MIR's order, and whether LLVM makes the last one first.
    fn in_order(&self, number: u32, seen: &mut [u32]) -> (Vec<u32>, bool) {
        let block = &self.blocks[number as usize];
        match (block.exit, &block.successors[..]) {
            (Exit::If | Exit::IfElse, &[to, behind]) => {
                let operators = block.operators.clone();
                let branch = operators.clone().rev().find(|number| self.operator(*number) == BR_IF);
                let branch = branch.unwrap_or(operators.end - 1);
                let is_negated = branch > operators.start && self.operator(branch - 1) == EQZ;
                let (no, yes) = if is_negated { (to, behind) } else { (behind, to) };
                let line = self.last_origin(number).map(|origin| origin.1);
                let is_check = |block: u32| {
                    line.is_some() && self.panics(block) && self.first_origin(block).map(|origin| origin.1) == line
                };
                let is_only = |block: u32| self.blocks[block as usize].predecessors.len() == 1;
                if is_check(yes) {
                    (vec![no, yes], false)
                } else if is_check(no) {
                    (vec![yes, no], false)
                } else if is_only(no) && is_only(yes) {
                    (vec![no.min(yes), no.max(yes)], false)
                } else if compares_with_constant(self.code, &self.body.offsets, branch as usize) {
                    (vec![yes, no], false)
                } else {
                    (vec![no, yes], false)
                }
            }
            (Exit::Switch, [values @ .., default]) => {
                // Each once.
                let mut once: Vec<u32> = Vec::with_capacity(values.len());
                seen[*default as usize] = number;
                for value in values {
                    if std::mem::replace(&mut seen[*value as usize], number) != number {
                        once.push(*value);
                    }
                }
                // What nothing else leads to has kept its order.
                let is_own = |to: u32| self.blocks[to as usize].predecessors.iter().all(|from| *from == number);
                let mut own: Vec<u32> = once.iter().copied().filter(|to| is_own(*to)).collect();
                own.sort_unstable();
                let mut own = own.into_iter();
                let mut all: Vec<u32> =
                    once.into_iter().map(|to| if is_own(to) { own.next().unwrap_or(to) } else { to }).collect();
                all.push(*default);
                (all, true)
            }
            (_, successors) => (successors.to_vec(), false),
        }
    }

    /// The numbers of all blocks that can be reached in the native order.
    fn order(&self) -> Vec<u32> {
        let count = self.blocks.len();
        let mut seen = vec![u32::MAX; count];
        let successors: Vec<(Vec<u32>, bool)> =
            (0..count as u32).map(|number| self.in_order(number, &mut seen)).collect();
        let mut postorder: Vec<u32> = Vec::with_capacity(count);
        let mut is_visited = vec![false; count];
        is_visited[0] = true;
        // The block, and how many of its successors are still to be visited: the last one is the first.
        let mut open = vec![(0u32, successors[0].0.len())];
        while let Some((block, rest)) = open.last_mut() {
            let block = *block as usize;
            match rest.checked_sub(1) {
                Some(next) => {
                    *rest = next;
                    let next = successors[block].0[next];
                    if !std::mem::replace(&mut is_visited[next as usize], true) {
                        open.push((next, successors[next as usize].0.len()));
                    }
                }
                None => {
                    postorder.push(block as u32);
                    open.pop();
                }
            }
        }
        let mut order: Vec<u32> = Vec::with_capacity(count);
        let mut is_made = vec![false; count];
        let mut make = |block: u32| {
            if !std::mem::replace(&mut is_made[block as usize], true) {
                order.push(block);
            }
        };
        for block in postorder.into_iter().rev() {
            make(block);
            let (successors, is_switch) = &successors[block as usize];
            if let (true, Some(default)) = (*is_switch, successors.last()) {
                make(*default);
            }
            successors.iter().for_each(|to| make(*to));
        }
        order
    }
}

const BR_IF: u8 = 0x0d;
const BR_TABLE: u8 = 0x0e;
const EQZ: u8 = 0x45;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environ::Tunables;
    use crate::translate::ModuleTranslation;

    /// The lines of the first operators of the blocks in the native order. Each line's operators are given as text.
    fn order(lines: &[(u32, &str)]) -> Option<Vec<u32>> {
        let text: String = lines.iter().map(|line| format!("{} ", line.1)).collect();
        let wasm = format!("(module (func (param i32 i32) {text}) (func $panic))");
        let wasm = wat::parse_str(wasm).expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let input = &translation.functions[0];
        let is_operator = |word: &&str| word.starts_with(|first: char| first.is_ascii_alphabetic());
        let line_of: Vec<u32> =
            lines.iter().flat_map(|line| line.1.split_whitespace().filter(is_operator).map(|_| line.0)).collect();
        let origin = |number: u32| line_of.get(number as usize).map(|line| (1, *line, 1));
        let begins_row = |number: u32| number > 0 && origin(number) != origin(number - 1);
        let (blocks, order) = native_order(&BodyScan::read(input), input, &origin, &begins_row)?;
        let first = |block: &u32| origin(blocks[*block as usize].operators.start).map_or(0, |origin| origin.1);
        Some(order.iter().map(first).collect())
    }

    #[test]
    fn what_is_false_is_made_first() {
        let conditions = [
            (2, "nop"),
            (3, "loop block local.get 0 i32.eqz br_if 0"),
            (4, "local.get 1 i32.eqz br_if 0"),
            (5, "nop br 1"),
            (6, "end return end"),
        ];
        assert_eq!(
            order(&conditions),
            Some(vec![2, 3, 6, 4, 5]),
            "what comes behind the loop is made by the first condition"
        );
        let one = [(2, "block local.get 0 i32.eqz br_if 0"), (3, "nop"), (4, "end return")];
        assert_eq!(order(&one), Some(vec![2, 4, 3]));
        let equal = [(2, "block local.get 0 i32.const 1 i32.eq i32.eqz br_if 0"), (3, "nop"), (4, "end return")];
        assert_eq!(order(&equal), Some(vec![2, 3, 4]), "it is a `match` of one value");
    }

    #[test]
    fn panics_of_checks_are_made_behind_what_goes_on() {
        let check =
            |line: u32| order(&[(2, "block local.get 0 br_if 0"), (line, "call 1 unreachable"), (4, "end nop return")]);
        assert_eq!(check(2), Some(vec![2, 4, 2]));
        assert_eq!(check(3), Some(vec![2, 3, 4]), "it is a block of another line");
    }

    #[test]
    fn what_is_left_of_a_match_is_made_first() {
        let arms = [(3, "end nop br 1"), (4, "end nop"), (5, "end return")];
        let table = [&[(2, "block block block local.get 0 br_table 0 1 2")][..], &arms].concat();
        assert_eq!(order(&table), Some(vec![2, 5, 3, 4]));
        let chain =
            "block block block local.get 0 i32.const 1 i32.eq br_if 0 local.get 0 i32.const 2 i32.eq br_if 1 br 2";
        assert_eq!(
            order(&[&[(2, chain)][..], &arms].concat()),
            Some(vec![2, 5, 3, 4]),
            "few values are compared one by one"
        );
        let compare = |value: u32, to: u32| format!("local.get 0 i32.const {value} i32.eq br_if {to} ");
        let chain = format!("block block block {}{}", compare(1, 0), compare(2, 1));
        let early = [&[(2, &*chain), (6, "nop br 2")][..], &arms].concat();
        assert_eq!(order(&early), Some(vec![2, 6, 3, 4, 5]), "what is left comes right behind");
    }

    #[test]
    fn what_llvm_does_not_make_has_no_order() {
        assert_eq!(order(&[(2, "local.get 0 if nop end return")]), None);
        assert_eq!(order(&[(2, "")]), Some(vec![0]));
    }
}
