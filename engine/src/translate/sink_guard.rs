//! Keeps the code generator from changing the size of a load.
//!
//! On x86-64 the lowering of `f64.copysign` and of `f64x2.splat` may merge an 8-byte load into an instruction that
//! reads 16 bytes. A valid load of a memory's last 8 bytes then faults (CVE-2026-24116, CVE-2026-34944). A load is
//! merged only into its one user, so one more use, a store to a scratch slot between the two, forbids it.
//!
//! The other way round, widening the low half of a vector merges a 16-byte load into an instruction that reads 8 bytes, and
//! a load that reaches beyond the memory with its upper half only does not trap. The same store keeps the whole load.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{self, InstBuilder, Opcode, types};
use cranelift_frontend::FunctionBuilder;
use wasmparser::Operator;

/// Notes whether a function has such operators and guards them when it is done.
#[derive(Default)]
pub(super) struct SinkGuard {
    needed: bool,
}

impl SinkGuard {
    pub(super) fn note(&mut self, op: &Operator<'_>) {
        self.needed |= matches!(
            op,
            Operator::F64Copysign
                | Operator::F64x2Splat
                | Operator::F32Copysign
                | Operator::I16x8ExtendLowI8x16S
                | Operator::I16x8ExtendLowI8x16U
                | Operator::I32x4ExtendLowI16x8S
                | Operator::I32x4ExtendLowI16x8U
                | Operator::I64x2ExtendLowI32x4S
                | Operator::I64x2ExtendLowI32x4U
                | Operator::I16x8ExtMulLowI8x16S
                | Operator::I16x8ExtMulLowI8x16U
                | Operator::I32x4ExtMulLowI16x8S
                | Operator::I32x4ExtMulLowI16x8U
                | Operator::I64x2ExtMulLowI32x4S
                | Operator::I64x2ExtMulLowI32x4U
        );
    }

    /// Puts a store before each instruction that might take a load in.
    pub(super) fn apply(&self, builder: &mut FunctionBuilder<'_>) {
        if !self.needed {
            return;
        }
        let mut at_risk = Vec::new();
        for block in builder.func.layout.blocks() {
            for inst in builder.func.layout.block_insts(block) {
                let dfg = &builder.func.dfg;
                let widens = matches!(dfg.insts[inst].opcode(), Opcode::SwidenLow | Opcode::UwidenLow);
                if !widens && !matches!(dfg.insts[inst].opcode(), Opcode::Fcopysign | Opcode::Splat) {
                    continue;
                }
                for &arg in dfg.inst_args(inst) {
                    // The load may hide behind a change of the vector's type, which costs no instruction.
                    let mut arg = dfg.resolve_aliases(arg);
                    while let ir::ValueDef::Result(def, _) = dfg.value_def(arg)
                        && dfg.insts[def].opcode() == Opcode::Bitcast
                    {
                        arg = dfg.resolve_aliases(dfg.inst_args(def)[0]);
                    }
                    if (widens || matches!(dfg.value_type(arg), types::F64 | types::F32))
                        && let ir::ValueDef::Result(def, _) = dfg.value_def(arg)
                        && dfg.insts[def].opcode().can_load()
                    {
                        at_risk.push((inst, arg));
                    }
                }
            }
        }
        if at_risk.is_empty() {
            return;
        }
        let slot = builder.create_sized_stack_slot(ir::StackSlotData::new(ir::StackSlotKind::ExplicitSlot, 16, 4));
        for (inst, value) in at_risk {
            let location = builder.func.srcloc(inst);
            let mut cursor = FuncCursor::new(builder.func).at_inst(inst).with_srcloc(location);
            cursor.ins().stack_store(value, slot, 0);
        }
    }
}
