//! Location expressions as text.

use std::fmt::Write as _;

use gimli::{Encoding, Expression, Operation};

use super::RegisterNames;
use crate::native::Reader;

/// Operations separated by commas, named as the standard names them.
pub fn expression_text(expression: Expression<Reader<'_>>, encoding: Encoding, names: RegisterNames<'_>) -> String {
    let mut text = String::new();
    let mut operations = expression.operations(encoding);
    let mut first = true;
    loop {
        match operations.next() {
            Ok(None) => return text,
            Ok(Some(operation)) => {
                if !first {
                    text.push_str(", ");
                }
                first = false;
                push_operation(&mut text, &operation, encoding, names);
            }
            Err(error) => {
                let _ = write!(text, " (damaged: {error})");
                return text;
            }
        }
    }
}

fn push_operation(
    text: &mut String,
    operation: &Operation<Reader<'_>>,
    encoding: Encoding,
    names: RegisterNames<'_>,
) {
    let _ = match operation {
        Operation::Deref { base_type, size, space } => match (base_type.0, *space) {
            (0, false) if *size == encoding.address_size => write!(text, "DW_OP_deref"),
            (0, false) => write!(text, "DW_OP_deref_size {size}"),
            (0, true) => write!(text, "DW_OP_xderef {size}"),
            (base, _) => write!(text, "DW_OP_deref_type {size} {base:#x}"),
        },
        Operation::Drop => write!(text, "DW_OP_drop"),
        Operation::Pick { index: 0 } => write!(text, "DW_OP_dup"),
        Operation::Pick { index: 1 } => write!(text, "DW_OP_over"),
        Operation::Pick { index } => write!(text, "DW_OP_pick {index}"),
        Operation::Swap => write!(text, "DW_OP_swap"),
        Operation::Rot => write!(text, "DW_OP_rot"),
        Operation::Abs => write!(text, "DW_OP_abs"),
        Operation::And => write!(text, "DW_OP_and"),
        Operation::Div => write!(text, "DW_OP_div"),
        Operation::Minus => write!(text, "DW_OP_minus"),
        Operation::Mod => write!(text, "DW_OP_mod"),
        Operation::Mul => write!(text, "DW_OP_mul"),
        Operation::Neg => write!(text, "DW_OP_neg"),
        Operation::Not => write!(text, "DW_OP_not"),
        Operation::Or => write!(text, "DW_OP_or"),
        Operation::Plus => write!(text, "DW_OP_plus"),
        Operation::PlusConstant { value } => write!(text, "DW_OP_plus_uconst {value:#x}"),
        Operation::Shl => write!(text, "DW_OP_shl"),
        Operation::Shr => write!(text, "DW_OP_shr"),
        Operation::Shra => write!(text, "DW_OP_shra"),
        Operation::Xor => write!(text, "DW_OP_xor"),
        Operation::Bra { target } => write!(text, "DW_OP_bra {target}"),
        Operation::Eq => write!(text, "DW_OP_eq"),
        Operation::Ge => write!(text, "DW_OP_ge"),
        Operation::Gt => write!(text, "DW_OP_gt"),
        Operation::Le => write!(text, "DW_OP_le"),
        Operation::Lt => write!(text, "DW_OP_lt"),
        Operation::Ne => write!(text, "DW_OP_ne"),
        Operation::Skip { target } => write!(text, "DW_OP_skip {target}"),
        Operation::UnsignedConstant { value } => write!(text, "DW_OP_constu {value:#x}"),
        Operation::SignedConstant { value } => write!(text, "DW_OP_consts {value}"),
        Operation::Register { register } => write!(text, "DW_OP_reg{} {}", register.0, names(*register)),
        Operation::RegisterOffset { register, offset, base_type } => match base_type.0 {
            0 => write!(text, "DW_OP_breg{} {}{offset:+}", register.0, names(*register)),
            base => write!(text, "DW_OP_regval_type {} {base:#x}", names(*register)),
        },
        Operation::FrameOffset { offset } => write!(text, "DW_OP_fbreg {offset}"),
        Operation::Nop => write!(text, "DW_OP_nop"),
        Operation::PushObjectAddress => write!(text, "DW_OP_push_object_address"),
        Operation::Call { offset } => write!(text, "DW_OP_call {offset:x?}"),
        Operation::VariableValue { offset } => write!(text, "DW_OP_GNU_variable_value {:#x}", offset.0),
        Operation::TLS => write!(text, "DW_OP_form_tls_address"),
        Operation::CallFrameCFA => write!(text, "DW_OP_call_frame_cfa"),
        Operation::Piece { size_in_bits, bit_offset: None } if size_in_bits % 8 == 0 => {
            write!(text, "DW_OP_piece {}", size_in_bits / 8)
        }
        Operation::Piece { size_in_bits, bit_offset } => {
            write!(text, "DW_OP_bit_piece {size_in_bits} {}", bit_offset.unwrap_or(0))
        }
        Operation::ImplicitValue { data } => {
            write!(text, "DW_OP_implicit_value {}", crate::output::hex(data.slice()))
        }
        Operation::StackValue => write!(text, "DW_OP_stack_value"),
        Operation::ImplicitPointer { value, byte_offset } => {
            write!(text, "DW_OP_implicit_pointer {:#x} {byte_offset:+}", value.0)
        }
        Operation::EntryValue { expression } => {
            let inner = entry_value_text(*expression, encoding, names);
            write!(text, "DW_OP_entry_value ({inner})")
        }
        Operation::ParameterRef { offset } => write!(text, "DW_OP_GNU_parameter_ref {:#x}", offset.0),
        Operation::Address { address } => write!(text, "DW_OP_addr {address:#x}"),
        Operation::AddressIndex { index } => write!(text, "DW_OP_addrx {:#x}", index.0),
        Operation::ConstantIndex { index } => write!(text, "DW_OP_constx {:#x}", index.0),
        Operation::TypedLiteral { base_type, value } => {
            write!(text, "DW_OP_const_type {:#x} {}", base_type.0, crate::output::hex(value.slice()))
        }
        Operation::Convert { base_type } => write!(text, "DW_OP_convert {:#x}", base_type.0),
        Operation::Reinterpret { base_type } => write!(text, "DW_OP_reinterpret {:#x}", base_type.0),
        Operation::Uninitialized => write!(text, "DW_OP_GNU_uninit"),
        Operation::WasmLocal { index } => write!(text, "DW_OP_WASM_location local {index}"),
        Operation::WasmGlobal { index } => write!(text, "DW_OP_WASM_location global {index}"),
        Operation::WasmStack { index } => write!(text, "DW_OP_WASM_location stack {index}"),
    };
}

/// Entry values nest; a hostile file could nest them as deep as it is long.
fn entry_value_text(inner: Reader<'_>, encoding: Encoding, names: RegisterNames<'_>) -> String {
    let expression = Expression(inner);
    let mut operations = expression.operations(encoding);
    match operations.next() {
        Ok(Some(Operation::EntryValue { .. })) => "nested DW_OP_entry_value".to_owned(),
        Ok(Some(Operation::Register { register })) => names(register).into_owned(),
        _ => format!("{} bytes", inner.len()),
    }
}

/// A location in few words, for people: `[cfa-20]`, `rax`, `[0x12000]`; the operations where it is more than that.
///
/// `frame_base_is_cfa`: the function's frame base is `DW_OP_call_frame_cfa`.
pub fn describe_location(
    expression: Expression<Reader<'_>>,
    encoding: Encoding,
    names: RegisterNames<'_>,
    frame_base_is_cfa: bool,
) -> String {
    let mut operations = expression.operations(encoding);
    let mut list = Vec::new();
    while let Ok(Some(operation)) = operations.next() {
        list.push(operation);
        if list.len() > 3 {
            break;
        }
    }
    let base = if frame_base_is_cfa { "cfa" } else { "fb" };
    match list.as_slice() {
        [] => "optimized out".to_owned(),
        [Operation::FrameOffset { offset }] => format!("[{base}{offset:+}]"),
        [Operation::RegisterOffset { register, offset, .. }] => format!("[{}{offset:+}]", names(*register)),
        [Operation::Register { register }] => names(*register).into_owned(),
        [Operation::Address { address }] => format!("[{address:#x}]"),
        [Operation::FrameOffset { offset }, Operation::Deref { .. }] => format!("[[{base}{offset:+}]]"),
        [Operation::FrameOffset { offset }, Operation::Deref { .. }, Operation::StackValue] => {
            format!("copy of [{base}{offset:+}]")
        }
        [Operation::UnsignedConstant { value }, Operation::StackValue] => format!("= {value}"),
        [Operation::SignedConstant { value }, Operation::StackValue] => format!("= {value}"),
        [Operation::WasmLocal { index }] => format!("wasm local {index}"),
        _ => expression_text(expression, encoding, names),
    }
}
