//! What must be known of a function's operators before they are translated, read in one pass.

use super::FunctionInput;
use wasmparser::{BrTable, VisitOperator};

/// A function's operators in order.
#[derive(Debug, Default)]
pub(crate) struct BodyScan {
    /// File offset of each operator.
    pub(crate) offsets: Vec<u32>,
    /// The numbers of those that do something to the flow of control or to locals, and what.
    pub(crate) effects: Vec<(u32, Effect)>,
    /// File offset of the body's end.
    pub(crate) end: u32,
    /// Labels of all `br_table` operators.
    pub(crate) labels: Vec<u32>,
}

/// What an operator does to the flow of control and to locals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
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

/// An operator that assigns a local.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Assignment {
    pub(crate) local: u32,
    /// File offset behind the operator.
    pub(crate) behind: u32,
    /// The operator's number.
    pub(crate) operator: u32,
}

impl BodyScan {
    /// "Opened" by no operator.
    pub(crate) const FUNCTION: u32 = u32::MAX;

    /// Reads the operators. What comes after a malformed one is left out; the translator will refuse the function.
    pub(crate) fn read(input: &FunctionInput<'_>) -> BodyScan {
        let range = input.body.range();
        let mut scan = BodyScan { end: range.end as u32, ..BodyScan::default() };
        let Ok(mut reader) = input.body.get_operators_reader() else { return scan };
        // Most operators take one byte or two.
        scan.offsets.reserve(range.len() / 2);
        scan.effects.reserve(range.len() / 8);
        let mut open = vec![BodyScan::FUNCTION];
        while !reader.eof() {
            let offset = reader.original_position() as u32;
            let Ok(effect) = reader.visit_operator(&mut Effects { labels: &mut scan.labels }) else { break };
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
            if effect != Effect::None {
                scan.effects.push((number, effect));
            }
        }
        scan
    }

    /// File offset behind the operator `number`.
    pub(crate) fn behind(&self, number: u32) -> u32 {
        self.offsets.get(number as usize + 1).copied().unwrap_or(self.end)
    }

    /// The assignments of `locals` (sorted), sorted.
    pub(crate) fn assignments(&self, locals: &[u32]) -> Vec<Assignment> {
        let assigns = |&(operator, effect): &(u32, Effect)| match effect {
            Effect::Set(local) if locals.binary_search(&local).is_ok() => {
                Some(Assignment { local, behind: self.behind(operator), operator })
            }
            _ => None,
        };
        let mut found: Vec<Assignment> = self.effects.iter().filter_map(assigns).collect();
        found.sort_unstable();
        found
    }

    /// What the operator `number` does.
    pub(crate) fn effect(&self, number: u32) -> Effect {
        let found = self.effects.binary_search_by_key(&number, |effect| effect.0);
        found.map_or(Effect::None, |at| self.effects[at].1)
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

    /// Is there nothing from `begin` to `end` but one `local.set` or `local.tee`, which makes no code of its own?
    pub(crate) fn is_one_set(&self, begin: u32, end: u32) -> bool {
        self.offsets.binary_search(&begin).is_ok_and(|number| {
            matches!(self.effect(number as u32), Effect::Set(_)) && end <= self.behind(number as u32)
        })
    }
}

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
        Effect::None
    };
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
impl BodyScan {
    /// A body of one byte an operator.
    pub(super) fn of_bytes(effects: &[Effect], labels: &[u32]) -> BodyScan {
        let end = effects.len() as u32;
        let effects = (0..end).zip(effects.iter().copied()).filter(|effect| effect.1 != Effect::None).collect();
        BodyScan { offsets: (0..end).collect(), effects, end, labels: labels.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
