//! From which assignment of a local its value may come: the operators as a graph, searched from each assignment.

use std::collections::HashMap;

use anyhow::Result;
use wasmparser::{FuncValidatorAllocations, Operator, OperatorsReader, Parser, ValidPayload, Validator, WasmFeatures};

use super::Function;
use super::module::broken;

/// A function's operators by number, with what may come after each.
pub struct Flow {
    /// Where each lies in the file.
    pub offsets: Vec<u64>,
    next: Vec<Vec<u32>>,
    /// The local that it assigns.
    assigns: Vec<Option<u32>>,
    /// By the number of an assignment: the operators before which its value may be in the local.
    reached: HashMap<usize, Vec<bool>>,
}

/// For each function, by its index, and each operator: the least height of the operand stack while it executes. Entries
/// above are taken off. Ends at the first function that is not valid.
pub fn stack_floors(bytes: &[u8]) -> HashMap<u32, Vec<u32>> {
    let mut found = HashMap::new();
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        let Ok(payload) = validator.payload(&payload) else { break };
        let ValidPayload::Func(function, body) = payload else { continue };
        let mut validator = function.into_validator(FuncValidatorAllocations::default());
        let mut floors = Vec::new();
        let mut read = || {
            validator.read_locals(&mut body.get_binary_reader()).ok()?;
            let mut reader = body.get_operators_reader().ok()?;
            while !reader.eof() {
                let offset = reader.original_position();
                let operator = reader.read().ok()?;
                let height = validator.operand_stack_height();
                let pops = operator.operator_arity(&validator).map_or(0, |arity| arity.0);
                validator.op(offset, &operator).ok()?;
                floors.push(height.saturating_sub(pops));
            }
            Some(())
        };
        if read().is_none() {
            break;
        }
        found.insert(validator.index(), floors);
    }
    found
}

struct Open {
    opener: usize,
    is_loop: bool,
    /// Operators that go to the end.
    to_end: Vec<usize>,
}

impl Flow {
    pub fn read(function: &Function<'_>) -> Result<Flow> {
        let mut flow = Flow { offsets: Vec::new(), next: Vec::new(), assigns: Vec::new(), reached: HashMap::new() };
        let mut reader = OperatorsReader::new(function.body.get_binary_reader_for_operators().map_err(broken)?);
        let mut open = vec![Open { opener: usize::MAX, is_loop: false, to_end: Vec::new() }];
        while !reader.eof() {
            let number = flow.offsets.len();
            flow.offsets.push(reader.original_position());
            let operator = reader.read().map_err(broken)?;
            flow.next.push(Vec::new());
            flow.assigns.push(match operator {
                Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => Some(local_index),
                _ => None,
            });
            let labels: Vec<u32> = match &operator {
                Operator::Br { relative_depth }
                | Operator::BrIf { relative_depth }
                | Operator::BrOnNull { relative_depth }
                | Operator::BrOnNonNull { relative_depth } => vec![*relative_depth],
                Operator::BrTable { targets } => {
                    targets.targets().map_while(Result::ok).chain([targets.default()]).collect()
                }
                _ => Vec::new(),
            };
            for label in labels {
                let Some(position) = open.len().checked_sub(label as usize + 1) else { continue };
                match &mut open[position] {
                    block if block.is_loop => flow.next[number].push(block.opener as u32),
                    block => block.to_end.push(number),
                }
            }
            match operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    let is_loop = matches!(operator, Operator::Loop { .. });
                    // Where there is no `else`, the condition leads to the end.
                    let to_end = if matches!(operator, Operator::If { .. }) { vec![number] } else { Vec::new() };
                    open.push(Open { opener: number, is_loop, to_end });
                }
                Operator::Else => {
                    if let Some(block) = open.last_mut() {
                        block.to_end.retain(|operator| *operator != block.opener);
                        if let Some(next) = flow.next.get_mut(block.opener) {
                            next.push(number as u32 + 1);
                        }
                        block.to_end.push(number);
                    }
                    continue;
                }
                Operator::End => {
                    for before in open.pop().into_iter().flat_map(|block| block.to_end) {
                        flow.next[before].push(number as u32);
                    }
                }
                _ => {}
            }
            let leaves = matches!(
                operator,
                Operator::Br { .. }
                    | Operator::BrTable { .. }
                    | Operator::Return
                    | Operator::Unreachable
                    | Operator::ReturnCall { .. }
                    | Operator::ReturnCallIndirect { .. }
                    | Operator::ReturnCallRef { .. }
            );
            if !leaves {
                flow.next[number].push(number as u32 + 1);
            }
        }
        Ok(flow)
    }

    /// May `local` hold, before `operator`, a value that was assigned at one of `assignments`?
    pub fn holds_one_of(&mut self, local: u32, assignments: &[usize], operator: usize) -> bool {
        assignments.iter().any(|&assignment| self.reaches(local, assignment, operator))
    }

    fn reaches(&mut self, local: u32, assignment: usize, operator: usize) -> bool {
        if !self.reached.contains_key(&assignment) {
            let found = self.search(local, assignment);
            self.reached.insert(assignment, found);
        }
        self.reached[&assignment][operator]
    }

    /// The assignments of `local` whose values it cannot have before the operator `begin`, without those that are over at
    /// one of the offsets `own`.
    pub fn foreign(&mut self, local: u32, begin: usize, own: &[u64]) -> Vec<usize> {
        let is_own =
            |flow: &Flow, number: usize| flow.offsets.get(number + 1).is_some_and(|offset| own.contains(offset));
        let numbers: Vec<usize> =
            (0..self.offsets.len()).filter(|number| self.assigns[*number] == Some(local)).collect();
        numbers.into_iter().filter(|&it| !is_own(self, it) && !self.reaches(local, it, begin)).collect()
    }

    fn search(&self, local: u32, assignment: usize) -> Vec<bool> {
        let mut found = vec![false; self.offsets.len()];
        let mut work: Vec<u32> = self.next[assignment].clone();
        while let Some(operator) = work.pop() {
            let Some(seen) = found.get_mut(operator as usize) else { continue };
            if !std::mem::replace(seen, true) && self.assigns[operator as usize] != Some(local) {
                work.extend(&self.next[operator as usize]);
            }
        }
        found
    }
}
