//! Which values are counted references and must be found by a collection at a safepoint.
//!
//! cranelift-wasm declares parameters, locals and block parameters of blocks with a wasm type. Three kinds of values
//! escape it: results of calls that never were in a local, parameters of loop headers that stand for a local, and
//! results of `select`. They are found by following the references through the finished function until nothing is added.

use crate::environ::Module;
use crate::types::{FuncType, ValType};
use cranelift_codegen::ir::{self, Opcode};
use cranelift_frontend::FunctionBuilder;
use std::collections::{HashMap, HashSet};
use wasmparser::Operator;

/// The counted references of one function.
#[derive(Default)]
pub(super) struct ReferenceRoots {
    params: Vec<bool>,
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

    /// Is wasm parameter `index` a counted reference?
    pub(super) fn param_needs_stack_map(&self, index: usize) -> bool {
        self.params.get(index).copied().unwrap_or(false)
    }

    /// Is result `index` of a call with this signature a counted reference?
    pub(super) fn result_needs_stack_map(&self, signature: ir::SigRef, index: usize) -> bool {
        self.signatures.get(&signature).and_then(|results| results.get(index)).copied().unwrap_or(false)
    }

    /// Notes the reference that the operator just translated has loaded.
    pub(super) fn note(&mut self, op: &Operator<'_>, builder: &mut FunctionBuilder<'_>, module: &Module) {
        let loads = match op {
            Operator::TableGet { table } => module.tables[*table as usize].element.heap.is_extern(),
            Operator::GlobalGet { global_index } => module.globals[*global_index as usize].content.is_extern_ref(),
            _ => false,
        };
        if loads
            && let Some(block) = builder.current_block()
            && let Some(inst) = builder.func.layout.last_inst(block)
            && let Some(&value) = builder.func.dfg.inst_results(inst).first()
        {
            builder.declare_value_needs_stack_map(value);
            self.loaded.push(value);
        }
    }

    /// Follows the references through `select` and block parameters.
    pub(super) fn close(&self, builder: &mut FunctionBuilder<'_>) {
        let mut known: HashSet<ir::Value> = self.loaded.iter().copied().collect();
        let func = &*builder.func;
        if let Some(entry) = func.layout.entry_block() {
            let params = func.dfg.block_params(entry);
            for (index, needed) in self.params.iter().enumerate() {
                if *needed && let Some(&param) = params.get(index + 2) {
                    known.insert(param);
                }
            }
        }
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if let Some(signature) = func.dfg.call_signature(inst) {
                    for (index, &result) in func.dfg.inst_results(inst).iter().enumerate() {
                        if self.result_needs_stack_map(signature, index) {
                            known.insert(result);
                        }
                    }
                }
            }
        }
        if known.is_empty() {
            return;
        }
        for &value in &known {
            builder.declare_value_needs_stack_map(value);
        }
        loop {
            let mut found = Vec::new();
            let func = &*builder.func;
            let is_known = |value: &ir::Value| known.contains(&func.dfg.resolve_aliases(*value));
            for block in func.layout.blocks() {
                for inst in func.layout.block_insts(block) {
                    if func.dfg.insts[inst].opcode() == Opcode::Select
                        && func.dfg.inst_args(inst)[1..].iter().any(is_known)
                    {
                        found.push(func.dfg.first_result(inst));
                    }
                    for call in func.dfg.insts[inst].branch_destination(&func.dfg.jump_tables) {
                        let target = call.block(&func.dfg.value_lists);
                        let params = func.dfg.block_params(target);
                        for (arg, &param) in call.args_slice(&func.dfg.value_lists).iter().zip(params) {
                            if is_known(arg) {
                                found.push(param);
                            }
                        }
                    }
                }
            }
            found.retain(|value| !known.contains(value));
            if found.is_empty() {
                return;
            }
            for value in found {
                if known.insert(value) {
                    builder.declare_value_needs_stack_map(value);
                }
            }
        }
    }
}
