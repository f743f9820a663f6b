//! Statements of unoptimized Rust that natively begin by loading something.
//!
//! What LLVM loads for an instruction, and addresses that it computes, have no line, and debuggers count them to the line before: gdb where a
//! branch leads there, lldb where a call returns. Instructions of ours stand for them ([`AnchorRange::reloads`]).
//!
//! [`AnchorRange::reloads`]: crate::translate::AnchorRange::reloads

use crate::environ::{Module, PointerFlavour};
use crate::translate::{BodyScan, Callee, Code, Effect, FunctionInput, Makes, takes_result_place};
use dwarf_transform::{FunctionUses, Spot};

/// File offsets of the statements of a function that begin so: sorted. `has_result_place` says that the function gives back where its
/// result lies.
pub(super) fn find(
    uses: &FunctionUses,
    (body, input): (&BodyScan, &FunctionInput<'_>),
    base: usize,
    (flavour, has_result_place): (PointerFlavour, bool),
) -> Vec<u32> {
    let statements = uses.statements.iter().filter(|it| it.new_line && it.spot == Spot::Operator);
    let starts = statements.map(|statement| super::file_offset(statement.offset, base));
    match flavour {
        PointerFlavour::Gdb => where_branches_lead(starts, uses, (body, input), has_result_place),
        PointerFlavour::Lldb if uses.calls_end_blocks => Vec::new(),
        PointerFlavour::Lldb => where_calls_return(starts, uses, (body, input), has_result_place),
    }
}

/// The statements at the begin of a block that uses what other blocks computed, or that gives back the place of the result. The frame's
/// base, and what else is a variable's place, is always at hand.
fn where_branches_lead(
    starts: impl Iterator<Item = u32>,
    uses: &FunctionUses,
    (body, input): (&BodyScan, &FunctionInput<'_>),
    has_result_place: bool,
) -> Vec<u32> {
    let begins: Vec<u32> = starts.filter(|start| body.is_reached_from_elsewhere(*start)).collect();
    let ends = begins.iter().skip(1).copied().chain([u32::MAX]);
    let blocks = begins.iter().zip(ends).map(|(begin, end)| *begin..end);
    let returns = |begin: u32| {
        let end = body.end_of_block(begin).map(|(_, effect)| effect);
        matches!(end, Some(Effect::Leave | Effect::End(BodyScan::FUNCTION))) && body.next_call(input, begin) == body.end
    };
    let reading = blocks.filter(|block| {
        body.reads_from_elsewhere(input, block.clone(), &uses.locals)
            || has_result_place && block.end == u32::MAX && returns(block.start)
    });
    reading.map(|block| block.start).collect()
}

/// The statements right behind calls, before whose first instruction something is loaded.
fn where_calls_return(
    starts: impl Iterator<Item = u32>,
    uses: &FunctionUses,
    (body, input): (&BodyScan, &FunctionInput<'_>),
    has_result_place: bool,
) -> Vec<u32> {
    // How the block ends is looked for once in each.
    let mut end_of_block: Option<(u32, Effect)> = None;
    starts
        .filter(|start| body.call_before(input, *start).is_some())
        .filter(|&start| {
            if end_of_block.is_none_or(|(end, _)| end < start) {
                end_of_block = body.end_of_block(start);
            }
            let code = start..body.next_call(input, start);
            let is_last = code.end == body.end;
            body.reads_from_elsewhere(input, code.clone(), &uses.locals)
                || match end_of_block.map(|(_, effect)| effect) {
                    // LLVM selects the instructions of all that comes before a `switch` at once, and then addresses of variables that
                    // are passed on have no line.
                    Some(Effect::BrTable { .. }) => {
                        !body.is_reached_from_elsewhere(start) && body.are_arguments(input, code)
                    }
                    Some(Effect::Leave | Effect::End(BodyScan::FUNCTION)) => has_result_place && is_last,
                    _ => false,
                }
        })
        .collect()
}

/// The calls of unoptimized code that natively have an instruction behind them which counts to the call: file offsets, sorted.
///
/// LLVM has nothing in registers across a call. Right behind it comes what was computed before it and is used before the next one,
/// and the result goes to the frame if it is used later than that. Constants and addresses in the frame are made anew. In 32-bit C and
/// C++ callers take the place of a result off the stack; `module` and `returned_to` say which functions have one.
pub(super) fn behind_calls(
    uses: &FunctionUses,
    (body, input): (&BodyScan, &FunctionInput<'_>),
    (module, returned_to): (&Module, &[bool]),
) -> Vec<u32> {
    let code = Code::of(input);
    let made_anew = body.made_anew(input, &uses.locals);
    let is_kept =
        |local: u32| made_anew.get(local as usize) != Some(&true) && uses.locals.binary_search(&local).is_err();
    let mut found = Vec::new();
    // Of each local that is assigned, behind which of the calls that was the last time: counted from 1.
    let mut assigned = vec![0u32; made_anew.len()];
    let mut calls = 0;
    let mut call = Behind::default();
    let mut effects = body.effects.iter().copied().peekable();
    let mut takes_result = false;
    // The local that the operator before has read.
    let mut read_before = None;
    for (number, &offset) in body.offsets.iter().enumerate() {
        let effect = effects.next_if(|effect| effect.0 as usize == number).map(|effect| effect.1);
        let is_result = std::mem::take(&mut takes_result);
        let copied = std::mem::take(&mut read_before);
        match effect {
            None | Some(Effect::None) if body.makes[number] == Makes::Effect => {
                if !code.is_call(offset) {
                    continue;
                }
                found.extend(call.end());
                let takes_back = uses.is_c
                    && match code.callee(offset) {
                        Some(Callee::Function(index)) => module
                            .defined_function(index)
                            .and_then(|position| returned_to.get(position as usize))
                            .is_some_and(|has_place| *has_place),
                        // `this` is no address in the frame, or the function would be called by its name.
                        Some(Callee::OfType(ty)) => module.types.get(ty as usize).is_some_and(|ty| {
                            let first = number.checked_sub(ty.params.len() + 1);
                            let first = first.and_then(|number| code.local_read(body.offsets[number]));
                            takes_result_place(module, ty)
                                && first.is_some_and(|local| made_anew.get(local as usize) == Some(&true))
                        }),
                        None => false,
                    };
                call = Behind { offset: Some(offset), loads: takes_back, ..Behind::default() };
                calls += 1;
                takes_result = true;
            }
            None | Some(Effect::Silent | Effect::Operand | Effect::None) => {
                if body.makes[number] == Makes::Nothing
                    && let Some(local) = code.local_read(offset)
                {
                    read_before = Some(local);
                    call.result = call.result.filter(|result| *result != local);
                    let is_new = || assigned.get(local as usize) == Some(&calls);
                    call.loads |= call.offset.is_some() && !call.loads && !is_new() && is_kept(local);
                }
            }
            Some(Effect::Set(local)) => {
                assigned[local as usize] = calls;
                if is_result || copied.is_some() && copied == call.last_result {
                    (call.result, call.last_result) = (Some(local), Some(local));
                }
            }
            Some(Effect::Block) => {}
            // Where a block ends, so does what is in registers.
            Some(_) => found.extend(std::mem::take(&mut call).end()),
        }
    }
    found
}

/// What comes behind a call in its block.
#[derive(Default)]
struct Behind {
    offset: Option<u32>,
    /// The local that the result is in, until it is read for something else than a copy.
    result: Option<u32>,
    /// The same, whether it was read or not.
    last_result: Option<u32>,
    loads: bool,
}

impl Behind {
    /// The call, if there is an instruction behind it.
    fn end(self) -> Option<u32> {
        self.offset.filter(|_| self.loads || self.result.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environ::Tunables;
    use crate::translate::ModuleTranslation;

    #[test]
    fn calls_are_followed_by_loads_and_by_what_keeps_their_results() {
        // Whether each call has something of its own behind it. Local 0 is the frame's base.
        let behind = |text: &str| {
            let wasm = format!(
                "(module (type $place (func (param i32 i32))) (table 1 funcref) (memory 1)
                   (func $run (param i32) (local i32 i32 i32 i32) {text})
                   (func $f (param i32) (result i32) unreachable)
                   (func $place (type $place)))"
            );
            let wasm = wat::parse_str(wasm).expect("the text is right");
            let tunables = Tunables::default();
            let translation = ModuleTranslation::parse(&wasm, &tunables).expect("the module is valid");
            let uses = FunctionUses { locals: vec![0], unoptimized: true, is_c: true, ..FunctionUses::default() };
            let input = &translation.functions[0];
            let body = BodyScan::read(input);
            let found = behind_calls(&uses, (&body, input), (&translation.module, &[false, false, true]));
            let calls = body.offsets.iter().filter(|offset| Code::of(input).is_call(**offset));
            calls.map(|offset| found.contains(offset)).collect::<Vec<_>>()
        };
        let call = "local.get 0 i32.load call $f local.set 1";
        assert_eq!(behind(&format!("{call} local.get 0 local.get 1 i32.store")), [false], "it is used at once");
        let pending = format!("local.get 0 i32.load local.set 2 {call} local.get 2 local.get 1 i32.add drop");
        assert_eq!(behind(&pending), [true], "what was loaded before is used behind it");
        let constant = format!("i32.const 8 local.set 2 {call} local.get 2 local.get 1 i32.add drop");
        assert_eq!(behind(&constant), [false], "constants are made anew");
        let address = format!("local.get 0 i32.const 8 i32.add local.set 2 {call} local.get 2 local.get 1 i32.store");
        assert_eq!(behind(&address), [false], "addresses in the frame, too");
        let kept = format!("{call} local.get 0 i32.load call $f local.get 1 i32.add drop");
        assert_eq!(behind(&kept), [true, true], "the first result is kept across the second call");
        let joined = format!("block {call} local.get 1 local.set 2 br 0 end local.get 2 drop");
        assert_eq!(behind(&joined), [true], "its result goes to another block");
        assert_eq!(behind("local.get 0 i32.const 1 call $place"), [true], "the place of the result is taken back");
        let method = |first: &str| {
            behind(&format!(
                "local.get 0 i32.const 8 i32.add local.set 1 local.get 0 i32.load local.set 2
                 local.get {first} local.get 2 i32.const 0 call_indirect (type $place)"
            ))
        };
        assert_eq!(
            (method("1"), method("2")),
            (vec![true], vec![false]),
            "of a virtual function, an address in the frame tells"
        );
    }
}
