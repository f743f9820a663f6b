//! Gives each function one place from which it returns.
//!
//! An epilogue loads up to five registers (40 bytes of code) and takes eight bytes of the frame table; a jump takes
//! five.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{self, InstBuilder, Opcode};

/// Makes all returns but one into jumps to it.
pub(super) fn merge(func: &mut ir::Function) {
    let is_return = |inst: &ir::Inst| func.dfg.insts[*inst].opcode() == Opcode::Return;
    let ends = func.layout.blocks().filter_map(|block| func.layout.last_inst(block));
    let returns: Vec<ir::Inst> = ends.filter(is_return).collect();
    let &[.., last] = &*returns else { return };
    if returns.len() == 1 {
        return;
    }
    let exit = func.dfg.make_block();
    let types: Vec<ir::Type> = func.signature.returns.iter().map(|result| result.value_type).collect();
    let results: Vec<ir::Value> = types.into_iter().map(|ty| func.dfg.append_block_param(exit, ty)).collect();
    let srcloc = func.srcloc(last);
    let mut cursor = FuncCursor::new(func).with_srcloc(srcloc);
    cursor.insert_block(exit);
    cursor.ins().return_(&results);
    for inst in returns {
        let arguments = func.dfg.inst_args(inst).to_vec();
        func.dfg.replace(inst).jump(exit, &arguments);
    }
}
