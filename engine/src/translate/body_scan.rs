//! What must be known of a function's operators before they are translated, read in one pass.

use super::FunctionInput;
use wasmparser::Operator;

/// A function's operators in order.
#[derive(Debug, Default)]
pub(crate) struct BodyScan {
    /// File offset of each operator.
    pub(crate) offsets: Vec<u32>,
    /// What each does to the flow of control and to locals.
    pub(crate) effects: Vec<Effect>,
    /// File offset of the body's end.
    pub(crate) end: u32,
    /// Labels of all `br_table` operators.
    pub(super) labels: Vec<u32>,
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

impl BodyScan {
    /// "Opened" by no operator.
    pub(crate) const FUNCTION: u32 = u32::MAX;

    /// Reads the operators. What comes after a malformed one is left out; the translator will refuse the function.
    pub(crate) fn read(input: &FunctionInput<'_>) -> BodyScan {
        let mut scan = BodyScan { end: input.body.range().end as u32, ..BodyScan::default() };
        let Ok(mut reader) = input.body.get_operators_reader() else { return scan };
        let mut open = vec![BodyScan::FUNCTION];
        while !reader.eof() {
            let Ok((op, offset)) = reader.read_with_offset() else { break };
            let number = scan.offsets.len() as u32;
            let effect = match op {
                Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => Effect::Set(local_index),
                Operator::Block { .. } => Effect::Block,
                Operator::Loop { .. } => Effect::Loop,
                Operator::If { .. } => Effect::If,
                Operator::Else => Effect::Else,
                Operator::End => Effect::End(open.pop().unwrap_or(BodyScan::FUNCTION)),
                Operator::Br { relative_depth } => Effect::Br(relative_depth),
                Operator::BrIf { relative_depth }
                | Operator::BrOnNull { relative_depth }
                | Operator::BrOnNonNull { relative_depth } => Effect::BrIf(relative_depth),
                Operator::BrTable { targets } => {
                    let first = scan.labels.len();
                    scan.labels.push(targets.default());
                    scan.labels.extend(targets.targets().map_while(Result::ok));
                    Effect::BrTable { first: first as u32, count: (scan.labels.len() - first) as u32 }
                }
                Operator::Return
                | Operator::Unreachable
                | Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::ReturnCallRef { .. } => Effect::Leave,
                _ => Effect::None,
            };
            if matches!(effect, Effect::Block | Effect::Loop | Effect::If) {
                open.push(number);
            }
            scan.offsets.push(offset as u32);
            scan.effects.push(effect);
        }
        scan
    }

    /// The labels of a `br_table`, its default first.
    pub(crate) fn labels(&self, first: u32, count: u32) -> &[u32] {
        &self.labels[first as usize..(first + count) as usize]
    }

    /// Can control come to the operator at `offset` from elsewhere than the one before?
    pub(crate) fn is_reached_from_elsewhere(&self, offset: u32) -> bool {
        let joins =
            |number: usize| matches!(self.effects.get(number), Some(Effect::Loop | Effect::Else | Effect::End(_)));
        self.offsets
            .binary_search(&offset)
            .is_ok_and(|number| joins(number) || number.checked_sub(1).is_some_and(joins))
    }

    /// Is there nothing from `begin` to `end` but one `local.set` or `local.tee`, which makes no code of its own?
    pub(crate) fn is_one_set(&self, begin: u32, end: u32) -> bool {
        self.offsets.binary_search(&begin).is_ok_and(|number| {
            matches!(self.effects[number], Effect::Set(_))
                && end <= self.offsets.get(number + 1).copied().unwrap_or(self.end)
        })
    }
}
