//! Statements of unoptimized C and C++ that are nothing but a load which a native build makes a part of the next instruction.
//!
//! LLVM's selector for x86 lets an instruction read memory itself where it comes right behind the load of its operand. The instruction has
//! its own place, and the load's is lost: where a function that is inlined ends with the load of its result, natively no code has the line
//! of its `}`.

use crate::translate::{AnchorRange, BodyScan, Code, Effect, Makes};
use dwarf_transform::{FunctionUses, Spot};
use std::ops::Range;

/// Removes the anchors of such statements.
pub(super) fn leave_out(
    anchors: &mut Vec<AnchorRange>,
    uses: &FunctionUses,
    (body, code): (&BodyScan, Code<'_>),
    base: usize,
) {
    let file_offset = |offset| super::file_offset(offset, base);
    let mut ends: Vec<u32> = uses.inlined.iter().map(|it| file_offset(it.end)).collect();
    ends.sort_unstable();
    // What comes next is of another line, or the line would be lost.
    let is_last_of_line = |offset: u32| {
        let next = uses.statements.partition_point(|statement| file_offset(statement.offset) < offset);
        uses.statements.get(next).is_some_and(|next| file_offset(next.offset) == offset && next.new_line)
    };
    anchors.retain(|anchor| {
        let is_folded = || {
            let is_result = ends.binary_search(&anchor.end).is_ok();
            is_folded(anchor.start..anchor.end, body, code, is_result)
        };
        !(anchor.spot == Spot::Operator && is_folded() && is_last_of_line(anchor.end))
    });
}

/// How many operators behind a load are looked at.
const FARTHEST: usize = 64;

/// Is there nothing in this code but the load of a number from a place that needs no code, and is it a part of the instruction behind it?
/// `is_result` says that an inlined function ends there. That a condition is compared with zero is not seen in wasm; it is at the place of the
/// condition, which is that of the load if it is a variable.
fn is_folded(statement: Range<u32>, body: &BodyScan, code: Code<'_>, is_result: bool) -> bool {
    let numbers = body.numbers(statement);
    let Some(load) = numbers.end.checked_sub(2).filter(|load| *load >= numbers.start) else { return false };
    let around = Around { body, code, load };
    let is_end = |number: usize| matches!(body.effect(number as u32), Effect::End(_));
    let (Some(kind), Some(loaded)) = (around.operator(load).and_then(Loaded::by), around.set(load + 1)) else {
        return false;
    };
    if !(numbers.start..load).all(|number| around.is_place(number) || is_end(number)) {
        return false;
    }
    let Some(user) = around.next(load + 1) else { return false };
    // What is used was read last, or before something that needs no code.
    let (is_last, is_first) = (around.read(user, 1) == Some(loaded), around.read(user, 2) == Some(loaded));
    let takes = match (kind, around.operator(user)) {
        // It is made longer.
        (Loaded::Narrow, Some(EXTEND_8 | EXTEND_16)) => is_last,
        (Loaded::Narrow, Some(AND)) => match around.constant(user, 1) {
            Some(0xff | 0xffff) => is_first,
            // A truth value that is tested.
            Some(1) => is_first && is_result && around.branches(user),
            _ => false,
        },
        (Loaded::Narrow, Some(SHL)) => {
            let is_back = around.next(user).and_then(|next| around.operator(next)) == Some(SHR);
            is_first && is_back && matches!(around.constant(user, 1), Some(16 | 24))
        }
        (Loaded::Number, Some(BR_IF)) => is_last && is_result,
        (Loaded::Number, Some(EQZ)) => is_last && is_result && !around.selects(user),
        // What a `?:` is made of compares registers.
        (Loaded::Number, Some(EQ..=GE_U)) => (is_last || is_first) && !around.selects(user),
        (Loaded::Number, Some(ADD | SUB | AND | OR | XOR | F32_CONVERT | F64_CONVERT)) => is_last,
        (Loaded::Float, Some(F32_SUB | F32_DIV | F64_SUB | F64_DIV)) => is_last,
        (Loaded::Number, Some(MUL)) | (Loaded::Float, Some(F32_ADD | F32_MUL | F64_ADD | F64_MUL)) => {
            is_last || is_first
        }
        _ => false,
    };
    takes && around.is_read_once(loaded, user) && around.is_selected_fast(user)
}

/// What is loaded.
#[derive(Clone, Copy)]
enum Loaded {
    Narrow,
    Number,
    Float,
}

impl Loaded {
    fn by(operator: u8) -> Option<Loaded> {
        match operator {
            0x2c..=0x2f => Some(Loaded::Narrow),
            0x28 => Some(Loaded::Number),
            0x2a | 0x2b => Some(Loaded::Float),
            _ => None,
        }
    }
}

/// The operators behind a load.
struct Around<'a> {
    body: &'a BodyScan,
    code: Code<'a>,
    load: usize,
}

impl Around<'_> {
    fn operator(&self, number: usize) -> Option<u8> {
        self.code.operator(*self.body.offsets.get(number)?)
    }

    /// The local that an operator sets.
    fn set(&self, number: usize) -> Option<u32> {
        match self.body.effect(u32::try_from(number).ok()?) {
            Effect::Set(local) => Some(local),
            _ => None,
        }
    }

    /// Is it a constant, or a local that is read or set? Those need no code.
    fn is_place(&self, number: usize) -> bool {
        self.body.makes[number] == Makes::Nothing || self.set(number).is_some()
    }

    fn behind(&self, number: usize) -> Range<usize> {
        number + 1..self.body.offsets.len().min(self.load + FARTHEST)
    }

    /// The first operator behind this one that is code.
    fn next(&self, number: usize) -> Option<usize> {
        self.behind(number).find(|it| !self.is_place(*it))
    }

    /// The local that is read so many operators before this one.
    fn read(&self, number: usize, distance: usize) -> Option<u32> {
        self.code.local_read(self.body.offsets[number.checked_sub(distance)?])
    }

    /// The constant in that local.
    fn constant(&self, number: usize, distance: usize) -> Option<i32> {
        let local = self.read(number, distance)?;
        let set = (self.load + 2..number).find(|it| self.set(*it) == Some(local))?;
        self.code.constant(self.body.offsets[set - 1])
    }

    /// The operator that uses the result of a comparison, of which no more than the lowest bit counts.
    fn user_of_condition(&self, number: usize) -> Option<u8> {
        let next = self.next(number)?;
        let next = if self.operator(next) == Some(AND) { self.next(next)? } else { next };
        let is_negated = self.operator(next) == Some(EQZ);
        self.operator(if is_negated { self.next(next)? } else { next })
    }

    fn branches(&self, number: usize) -> bool {
        self.user_of_condition(number) == Some(BR_IF)
    }

    fn selects(&self, number: usize) -> bool {
        self.user_of_condition(number) == Some(SELECT)
    }

    /// Is the local, and what is made of it, read only once? LLVM compares the value of a `switch` again and again.
    fn is_read_once(&self, local: u32, user: usize) -> bool {
        let count = |local: u32| self.behind(user).filter(|it| self.read(it + 1, 1) == Some(local)).count();
        count(local) == 0 && self.set(user + 1).is_none_or(|made| count(made) < 2)
    }

    /// Does LLVM select all up to the block's end in its fast way? It does not where there are numbers of 64 bits, which natively have two
    /// registers, a `switch`, or unsigned numbers are made fractions.
    fn is_selected_fast(&self, user: usize) -> bool {
        let number = |number: &usize| self.body.effect(*number as u32);
        let goes_on = |it: &usize| {
            matches!(number(it), Effect::None | Effect::Silent | Effect::Operand | Effect::Set(_) | Effect::Block)
        };
        let rest = (user..self.body.offsets.len()).take(FARTHEST);
        let end = rest.clone().find(|it| !goes_on(it));
        let is_slow = |it: usize| {
            let of_64_bits = matches!(
                self.operator(it),
                Some(
                    0x29
                    | 0x30..=0x35
                    | 0x37
                    | 0x3c..=0x3e
                    | 0x42
                    | 0x50..=0x5a
                    | 0x79..=0x8a
                    | 0xac..=0xb1
                    | 0xb4
                    | 0xb5
                    | 0xb9
                    | 0xba,
                )
            );
            of_64_bits || matches!(self.operator(it), Some(BR_TABLE | 0xb3 | 0xb8))
        };
        !rest.take_while(|it| end.is_none_or(|end| *it <= end)).any(is_slow)
    }
}

const BR_IF: u8 = 0x0d;
const BR_TABLE: u8 = 0x0e;
const SELECT: u8 = 0x1b;
const EQZ: u8 = 0x45;
const EQ: u8 = 0x46;
const GE_U: u8 = 0x4f;
const ADD: u8 = 0x6a;
const SUB: u8 = 0x6b;
const MUL: u8 = 0x6c;
const AND: u8 = 0x71;
const OR: u8 = 0x72;
const XOR: u8 = 0x73;
const SHL: u8 = 0x74;
/// Of a signed number.
const SHR: u8 = 0x75;
const F32_ADD: u8 = 0x92;
const F32_SUB: u8 = 0x93;
const F32_MUL: u8 = 0x94;
const F32_DIV: u8 = 0x95;
const F64_ADD: u8 = 0xa0;
const F64_SUB: u8 = 0xa1;
const F64_MUL: u8 = 0xa2;
const F64_DIV: u8 = 0xa3;
/// From a signed number.
const F32_CONVERT: u8 = 0xb2;
const F64_CONVERT: u8 = 0xb7;
const EXTEND_8: u8 = 0xc0;
const EXTEND_16: u8 = 0xc1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environ::Tunables;
    use crate::translate::ModuleTranslation;

    /// Is the load with which the text begins a part of what comes behind it? Local 0 is the frame's base, local 1 what is loaded.
    fn folds(load: &str, behind: &str, is_result: bool) -> bool {
        let float = if load.starts_with("f64") { "f64" } else { "i32" };
        let wasm = format!(
            "(module (memory 1) (func (param i32) (local {float}) (local i32 i32 i32 f64) block
               local.get 0 {load} offset=8 local.set 1 {behind} end))"
        );
        let wasm = wat::parse_str(wasm).expect("the text is right");
        let tunables = Tunables::default();
        let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
        let input = &translation.functions[0];
        let body = BodyScan::read(input);
        is_folded(body.offsets[1]..body.offsets[4], &body, Code::of(input), is_result)
    }

    #[test]
    fn what_is_made_longer_is_loaded_so() {
        let extended = |mask: u32| format!("i32.const {mask} local.set 2 local.get 1 local.get 2 i32.and");
        assert!(folds("i32.load8_u", &format!("{} drop", extended(255)), false));
        assert!(folds("i32.load16_u", &format!("{} drop", extended(65535)), false));
        assert!(!folds("i32.load8_u", &format!("{} drop", extended(127)), false));
        assert!(!folds("i32.load8_u", &format!("{} i64.extend_i32_u drop", extended(255)), false), "of two registers");
        assert!(folds("i32.load8_u", &format!("{} local.set 3 local.get 3 br_if 0", extended(1)), true));
        assert!(!folds("i32.load8_u", &format!("{} drop", extended(1)), true), "it is a number");
        let signed = |by: u32| {
            let by = format!("i32.const {by} local.set 2 local.get 1 local.get 2 i32.shl");
            format!("{by} local.set 3 local.get 3 local.get 2 i32.shr_s drop")
        };
        assert!(folds("i32.load8_u", &signed(24), false));
        assert!(!folds("i32.load8_u", &signed(8), false));
    }

    #[test]
    fn operands_that_are_loaded_last_are_read_from_memory() {
        assert!(folds("i32.load", "local.get 2 local.get 1 i32.sub drop", false));
        assert!(!folds("i32.load", "local.get 1 local.get 2 i32.sub drop", false));
        assert!(folds("i32.load", "local.get 1 local.get 2 i32.lt_s drop", false));
        assert!(folds("i32.load", "local.get 1 f64.convert_i32_s drop", false));
        assert!(folds("f64.load", "local.get 1 local.get 5 f64.add drop", false));
        assert!(
            !folds("i32.load", "local.get 0 i32.load local.get 1 i32.sub drop", false),
            "something is loaded between"
        );
        assert!(!folds("i32.load", "local.get 0 local.get 1 i32.store", false));
        let selected = "local.get 1 local.get 2 i32.lt_s local.set 3 local.get 2 local.get 4 local.get 3 select drop";
        assert!(!folds("i32.load", selected, false));
    }

    #[test]
    fn conditions_are_at_their_place() {
        assert!(folds("i32.load", "local.get 1 br_if 0", true));
        assert!(!folds("i32.load", "local.get 1 br_if 0", false), "it is a variable's");
        assert!(folds("i32.load", "local.get 1 i32.eqz br_if 0", true));
        assert!(!folds("i32.load", "local.get 1 br_if 0 local.get 1 i32.const 1 i32.eq br_if 0", true), "a `switch`");
    }

    #[test]
    fn code_that_ends_with_a_load_is_left_alone() {
        assert!(!folds("i32.load", "", true));
    }
}
