//! Code between the guest's calling convention and the host's.

use crate::environ::builtins::Builtin;
use crate::environ::vmoffsets;
use crate::translate::guest_signature;
use crate::types::FuncType;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, MemFlags, Signature, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// Enters the guest:
/// `extern "C" fn(callee vmctx, caller vmctx, wasm_call: *const u8, values: *mut ValRaw)`.
///
/// Parameters are loaded from `values`, one slot each; results go back to the same slots.
pub(super) fn array_to_wasm(isa: &dyn TargetIsa, ty: &FuncType, context: &mut FunctionBuilderContext) -> ir::Function {
    let guest = guest_signature(ty);
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([AbiParam::new(types::I64); 4]);
    let mut func = ir::Function::with_name_signature(ir::UserFuncName::default(), signature);
    let mut builder = FunctionBuilder::new(&mut func, context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let &[callee, caller, code, values] = builder.block_params(block) else { unreachable!("four parameters") };
    let flags = MemFlags::trusted();
    let mut args = vec![callee, caller];
    for (index, param) in guest.params[2..].iter().enumerate() {
        args.push(builder.ins().load(param.value_type, flags, values, slot(index)));
    }
    let guest = builder.import_signature(guest);
    let call = builder.ins().call_indirect(guest, code, &args);
    for (index, result) in builder.inst_results(call).to_vec().into_iter().enumerate() {
        builder.ins().store(flags, result, values, slot(index));
    }
    builder.ins().return_(&[]);
    builder.finalize();
    func
}

/// Leaves the guest for a host function whose `VMHostFuncContext` is the callee's context.
///
/// Notes where the guest was left, spills the parameters to an array, calls the host, and either loads the results or
/// raises the error that the host has stored.
pub(super) fn wasm_to_array(isa: &dyn TargetIsa, ty: &FuncType, context: &mut FunctionBuilderContext) -> ir::Function {
    let signature = guest_signature(ty);
    let results: Vec<ir::Type> = signature.returns.iter().map(|result| result.value_type).collect();
    let mut func = ir::Function::with_name_signature(ir::UserFuncName::default(), signature);
    let mut builder = FunctionBuilder::new(&mut func, context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_block(block);
    let params = builder.block_params(block).to_vec();
    let (callee, caller) = (params[0], params[1]);
    let flags = MemFlags::trusted();

    let limits = builder.ins().load(types::I64, flags, caller, vmoffsets::VMCTX_LIMITS as i32);
    let frame = builder.ins().get_frame_pointer(types::I64);
    let guest_frame = builder.ins().load(types::I64, flags, frame, 0);
    let return_address = builder.ins().get_return_address(types::I64);
    builder.ins().store(flags, guest_frame, limits, vmoffsets::limits::LAST_WASM_EXIT_FP as i32);
    builder.ins().store(flags, return_address, limits, vmoffsets::limits::LAST_WASM_EXIT_PC as i32);

    let slots = ty.params.len().max(ty.results.len());
    let values = builder.create_sized_stack_slot(ir::StackSlotData::new(
        ir::StackSlotKind::ExplicitSlot,
        slots as u32 * vmoffsets::VALRAW_SIZE,
        4,
    ));
    let values = builder.ins().stack_addr(types::I64, values, 0);
    for (index, &param) in params[2..].iter().enumerate() {
        builder.ins().store(flags, param, values, slot(index));
    }
    let mut host = Signature::new(isa.default_call_conv());
    host.params.extend([AbiParam::new(types::I64); 3]);
    host.returns.push(AbiParam::new(types::I8));
    let host = builder.import_signature(host);
    let code = builder.ins().load(types::I64, flags, callee, vmoffsets::HOSTFUNC_HOST_CALL as i32);
    let call = builder.ins().call_indirect(host, code, &[callee, caller, values]);
    let failed = builder.inst_results(call)[0];

    let (raise, ok) = (builder.create_block(), builder.create_block());
    builder.set_cold_block(raise);
    builder.ins().brif(failed, raise, &[], ok, &[]);
    builder.switch_to_block(raise);
    builder.seal_block(raise);
    let table = builder.ins().load(types::I64, flags, caller, vmoffsets::VMCTX_BUILTINS as i32);
    let code = builder.ins().load(types::I64, flags, table, (Builtin::raise as u32 * 8) as i32);
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.push(AbiParam::new(types::I64));
    let signature = builder.import_signature(signature);
    builder.ins().call_indirect(signature, code, &[caller]);
    builder.ins().trap(ir::TrapCode::UnreachableCodeReached);

    builder.switch_to_block(ok);
    builder.seal_block(ok);
    let results: Vec<_> =
        results.into_iter().enumerate().map(|(index, ty)| builder.ins().load(ty, flags, values, slot(index))).collect();
    builder.ins().return_(&results);
    builder.finalize();
    func
}

fn slot(index: usize) -> i32 {
    (index as u32 * vmoffsets::VALRAW_SIZE) as i32
}
