//! Results that come through memory: where they lie is said to debuggers.
//!
//! A source function whose result takes more than one wasm value is a wasm function without results, whose first parameter is the
//! address at which the result is to be written. Natively the function returns that address, and debuggers read the result there.
//! So it is made to do so: as another result, which no caller looks at.

use super::func_env::{FIRST_WASM_PARAM, FuncEnv};
use crate::environ::Module;
use crate::types::{FuncType, ValType};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, MemFlags, Opcode, types};

/// Is a function of this type, if its source has a result, given a place for it?
pub(crate) fn takes_result_place(module: &Module, ty: &FuncType) -> bool {
    let address = module.memories.first().map(|memory| if memory.memory64 { ValType::I64 } else { ValType::I32 });
    ty.results.is_empty() && address.is_some() && ty.params.first().copied() == address
}

impl FuncEnv<'_> {
    /// Lets a function return the host's address of what its first parameter points to. The function has one `return`; where it
    /// has none, or ends in tail calls, too, whose results are its own, nothing is done, and the answer is no.
    pub(crate) fn return_result_place(&mut self, func: &mut ir::Function) -> bool {
        let instructions = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
        let mut exit = None;
        for inst in instructions {
            match func.dfg.insts[inst].opcode() {
                Opcode::Return => exit = Some(inst),
                Opcode::ReturnCall | Opcode::ReturnCallIndirect => return false,
                _ => {}
            }
        }
        let (Some(exit), Some(entry)) = (exit, func.layout.entry_block()) else { return false };
        let pointer = func.dfg.block_params(entry)[FIRST_WASM_PARAM];
        let is_narrow = func.dfg.value_type(pointer) == types::I32;
        let srcloc = func.srcloc(exit);
        let mut cursor = FuncCursor::new(func).at_inst(exit).with_srcloc(srcloc);
        let memory = self.offsets.memory(self.module, 0);
        let base = self.field_value(&mut cursor, memory, 0, types::I64, MemFlags::trusted());
        let offset = if is_narrow { cursor.ins().uextend(types::I64, pointer) } else { pointer };
        let place = cursor.ins().iadd(base, offset);
        func.dfg.replace(exit).return_(&[place]);
        func.signature.returns.push(AbiParam::new(types::I64));
        true
    }
}
