//! Location expressions as text.

use std::fmt::Write as _;

use gimli::{Encoding, Expression, Operation, UnitOffset};

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

fn push_operation(text: &mut String, operation: &Operation<Reader<'_>>, encoding: Encoding, names: RegisterNames<'_>) {
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

/// A location in few words, for people: `[cfa-20]`, `rax`, `u32[[cfa-48]+0xe0]`; the operations where it is more than
/// can be said so.
///
/// `frame_base` is what `fb` stands for in the text: `cfa` where the function's frame base is `DW_OP_call_frame_cfa`.
pub fn describe_location(
    expression: Expression<Reader<'_>>,
    encoding: Encoding,
    names: RegisterNames<'_>,
    frame_base: &str,
) -> String {
    if expression.0.is_empty() {
        return "optimized out".to_owned();
    }
    symbolic(expression, encoding, names, frame_base).unwrap_or_else(|| expression_text(expression, encoding, names))
}

/// A value on the stack of an expression: a term and a constant that is added to it.
#[derive(Clone)]
struct Term {
    text: String,
    constant: i64,
}

impl Term {
    fn new(text: String) -> Term {
        Term { text, constant: 0 }
    }

    fn show(&self) -> String {
        match (self.text.as_str(), self.constant) {
            ("", constant) => format!("{constant:#x}"),
            (text, 0) => text.to_owned(),
            (text, constant) if constant.unsigned_abs() < 10_000 => format!("{text}{constant:+}"),
            (text, constant) if constant < 0 => format!("{text}-{:#x}", constant.unsigned_abs()),
            (text, constant) => format!("{text}+{constant:#x}"),
        }
    }

    fn binary(self, operator: &str, right: Term) -> Term {
        Term::new(format!("({} {operator} {})", self.show(), right.show()))
    }
}

/// Evaluates an expression in words. `None` where it branches, or has parts that are not values.
fn symbolic(
    expression: Expression<Reader<'_>>,
    encoding: Encoding,
    names: RegisterNames<'_>,
    frame_base: &str,
) -> Option<String> {
    let mut stack: Vec<Term> = Vec::new();
    let mut operations = expression.operations(encoding);
    let mut count = 0;
    while let Some(operation) = operations.next().ok()? {
        count += 1;
        // Terms grow with `DW_OP_dup`; what is longer than this is not a help to anyone.
        if count > 64 || stack.iter().any(|term| term.text.len() > 200) {
            return None;
        }
        match operation {
            Operation::Register { register } if count == 1 => {
                return operations.next().ok()?.is_none().then(|| names(register).into_owned());
            }
            Operation::FrameOffset { offset } => {
                stack.push(Term { text: frame_base.to_owned(), constant: offset });
            }
            Operation::CallFrameCFA => stack.push(Term::new("cfa".to_owned())),
            Operation::RegisterOffset { register, offset, base_type: UnitOffset(0) } => {
                stack.push(Term { text: names(register).into_owned(), constant: offset });
            }
            Operation::Address { address } => stack.push(Term { text: String::new(), constant: address as i64 }),
            Operation::UnsignedConstant { value } => stack.push(Term { text: String::new(), constant: value as i64 }),
            Operation::SignedConstant { value } => stack.push(Term { text: String::new(), constant: value }),
            Operation::PlusConstant { value } => {
                let top = stack.last_mut()?;
                top.constant = top.constant.wrapping_add(value as i64);
            }
            Operation::Deref { base_type: UnitOffset(0), size, space: false } => {
                let address = stack.pop()?.show();
                stack.push(Term::new(match size == encoding.address_size {
                    true => format!("[{address}]"),
                    false => format!("u{}[{address}]", u32::from(size) * 8),
                }));
            }
            Operation::Plus => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                let constant = left.constant.wrapping_add(right.constant);
                let separator = if left.text.is_empty() || right.text.is_empty() { "" } else { "+" };
                stack.push(Term { text: format!("{}{separator}{}", left.text, right.text), constant });
            }
            Operation::And => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.push(left.binary("&", right));
            }
            Operation::Shl => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.push(left.binary("<<", right));
            }
            Operation::Shr => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.push(left.binary(">>", right));
            }
            Operation::Mul => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.push(left.binary("*", right));
            }
            Operation::Minus => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.push(left.binary("-", right));
            }
            Operation::Swap => {
                let last = stack.len().checked_sub(2)?;
                stack.swap(last, last + 1);
            }
            Operation::Pick { index } => {
                let at = stack.len().checked_sub(usize::from(index) + 1)?;
                let term = stack[at].clone();
                stack.push(term);
            }
            Operation::Drop => {
                stack.pop()?;
            }
            Operation::Nop => {}
            Operation::StackValue => {
                // A value that a debugger can show and not assign.
                let value = stack.pop()?.show();
                return operations.next().ok()?.is_none().then(|| format!("={value}"));
            }
            Operation::WasmLocal { index } => stack.push(Term::new(format!("local{index}"))),
            Operation::WasmGlobal { index } => stack.push(Term::new(format!("global{index}"))),
            _ => return None,
        }
    }
    Some(format!("[{}]", stack.pop()?.show()))
}

/// The value of a frame base in words.
pub fn describe_frame_base(expression: Expression<Reader<'_>>, encoding: Encoding, names: RegisterNames<'_>) -> String {
    match symbolic(expression, encoding, names, "fb") {
        // A frame base is the value itself, not what lies there.
        Some(location) => match location.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(value) => value.to_owned(),
            None => location.trim_start_matches('=').to_owned(),
        },
        None => expression_text(expression, encoding, names),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use gimli::{Encoding, Expression, Format, RunTimeEndian};

    use super::{describe_frame_base, describe_location};
    use crate::native::Reader;

    fn describe(bytes: &[u8], frame_base: Option<&str>) -> String {
        let encoding = Encoding { format: Format::Dwarf32, version: 5, address_size: 8 };
        let expression = Expression(Reader::new(bytes, RunTimeEndian::Little));
        let names = |register| Cow::Borrowed(gimli::X86_64::register_name(register).unwrap());
        match frame_base {
            Some(base) => describe_location(expression, encoding, &names, base),
            None => describe_frame_base(expression, encoding, &names),
        }
    }

    #[test]
    fn locations_read_like_operands() {
        assert_eq!(describe(&[], Some("cfa")), "optimized out");
        assert_eq!(describe(&[0x91, 0x6c], Some("cfa")), "[cfa-20]");
        assert_eq!(describe(&[0x50], Some("cfa")), "rax");
        assert_eq!(
            describe(&[0x9c, 0x11, 0x50, 0x22, 0x06, 0x23, 0x08, 0x94, 0x04, 0x9f], Some("fb")),
            "=u32[[cfa-48]+8]"
        );
        // 2 * 3 as a location of memory
        assert_eq!(describe(&[0x32, 0x33, 0x1e], Some("fb")), "[(0x2 * 0x3)]");
        // a piece is not a value
        assert_eq!(describe(&[0x50, 0x93, 0x04], Some("fb")), "DW_OP_reg0 rax, DW_OP_piece 4");
        // an empty stack
        assert_eq!(describe(&[0x22], Some("fb")), "DW_OP_plus");
    }

    #[test]
    fn a_frame_base_is_a_value() {
        assert_eq!(describe(&[0x9c], None), "cfa");
        assert_eq!(describe(&[0x9c, 0x11, 0x50, 0x22, 0x06], None), "[cfa-48]");
        assert_eq!(describe(&[0x56], None), "rbp");
    }
}
