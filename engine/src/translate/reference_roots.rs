//! Which values are counted references and must be found by a collection at a safepoint.
//!
//! They begin as parameters of the function, results of calls, and loads from tables and globals, and are followed through
//! block parameters and `select` until nothing is added.

use super::spill::spill;
use crate::types::{FuncType, ValType};
use cranelift_codegen::ir::{self, Opcode};
use std::collections::{BTreeSet, HashMap};

/// Where a function's counted references begin.
#[derive(Default)]
pub(super) struct ReferenceRoots {
    params: Vec<bool>,
    /// For each signature that is called: which results are counted.
    signatures: HashMap<ir::SigRef, Vec<bool>>,
    loaded: Vec<ir::Value>,
}

impl ReferenceRoots {
    /// Starts with the parameters of a function of this type.
    pub(super) fn new(ty: &FuncType) -> ReferenceRoots {
        ReferenceRoots { params: ty.params.iter().map(|ty| ty.is_extern_ref()).collect(), ..Default::default() }
    }

    /// Notes the results of calls with this signature.
    pub(super) fn declare_signature(&mut self, signature: ir::SigRef, ty: &FuncType) {
        self.signatures.insert(signature, ty.results.iter().map(|ty: &ValType| ty.is_extern_ref()).collect());
    }

    /// Notes a reference that was loaded from a table or global.
    pub(super) fn declare(&mut self, reference: ir::Value) {
        self.loaded.push(reference);
    }

    /// Spills the references of the finished function, whose first wasm parameter is number `first_param`.
    pub(super) fn spill(&self, func: &mut ir::Function, first_param: usize) -> Result<(), String> {
        let references = self.follow(func, first_param);
        spill(func, &references)
    }

    /// Where the references begin.
    fn begin(&self, func: &ir::Function, first_param: usize) -> BTreeSet<ir::Value> {
        let dfg = &func.dfg;
        let mut known: BTreeSet<ir::Value> = self.loaded.iter().map(|value| dfg.resolve_aliases(*value)).collect();
        let params = func.layout.entry_block().map_or(&[][..], |entry| dfg.block_params(entry));
        let wasm_params = params.iter().skip(first_param).zip(&self.params);
        known.extend(wasm_params.filter(|(_, counted)| **counted).map(|(param, _)| *param));
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                let Some(counted) = dfg.call_signature(inst).and_then(|found| self.signatures.get(&found)) else {
                    continue;
                };
                let results = dfg.inst_results(inst).iter().zip(counted);
                known.extend(results.filter(|(_, counted)| **counted).map(|(result, _)| *result));
            }
        }
        known
    }

    /// All references.
    fn follow(&self, func: &ir::Function, first_param: usize) -> BTreeSet<ir::Value> {
        let mut known = self.begin(func, first_param);
        // Without references there is nothing to follow.
        let mut before = 0;
        while known.len() > before {
            before = known.len();
            for block in func.layout.blocks() {
                for inst in func.layout.block_insts(block) {
                    follow_inst(func, inst, &mut known);
                }
            }
        }
        known
    }
}

/// Adds the references that an instruction makes or passes on.
fn follow_inst(func: &ir::Function, inst: ir::Inst, known: &mut BTreeSet<ir::Value>) {
    let dfg = &func.dfg;
    let is_known = |known: &BTreeSet<ir::Value>, value: &ir::Value| known.contains(&dfg.resolve_aliases(*value));
    if dfg.insts[inst].opcode() == Opcode::Select && dfg.inst_args(inst)[1..].iter().any(|arg| is_known(known, arg)) {
        known.insert(dfg.first_result(inst));
    }
    for call in dfg.insts[inst].branch_destination(&dfg.jump_tables) {
        let params = dfg.block_params(call.block(&dfg.value_lists));
        for (arg, &param) in call.args_slice(&dfg.value_lists).iter().zip(params) {
            if is_known(known, arg) {
                known.insert(param);
            }
        }
    }
}
