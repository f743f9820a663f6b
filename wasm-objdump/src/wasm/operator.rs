//! Wasm operators as text.

use std::fmt::Write as _;

use wasmparser::{
    BlockType, BrTable, Catch, Handle, HeapType, Ieee32, Ieee64, MemArg, MemArgTarget, Ordering, RefType, ResumeTable,
    TryTable, V128, ValType, VisitOperator, VisitSimdOperator,
};

use super::Module;

/// Prints operators, one after the other, into `text`, and keeps count of the blocks they open and close.
///
/// The spelling is that of the text format; immediates follow in the order of the binary format, with names in angle
/// brackets, as wabt prints them.
pub struct OperatorPrinter<'m, 'a> {
    module: &'m Module<'a>,
    function: u32,
    /// The type of an indirect call, until its table is printed.
    type_index: Option<u32>,
    /// The operator that was visited last.
    pub text: String,
    /// How many blocks are open after it.
    pub depth: usize,
    /// The depth the operator itself is printed at.
    pub own_depth: usize,
}

impl<'m, 'a> OperatorPrinter<'m, 'a> {
    /// A printer for the body of one function; names come from the module.
    pub fn new(module: &'m Module<'a>, function: u32) -> Self {
        OperatorPrinter { module, function, type_index: None, text: String::new(), depth: 0, own_depth: 0 }
    }

    /// Starts with an operator: its mnemonic from the name of its visitor.
    fn mnemonic(&mut self, visitor: &'static str) {
        self.text.clear();
        self.own_depth = self.depth;
        let name = visitor.strip_prefix("visit_").unwrap_or(visitor);
        match name {
            "block" | "loop" | "if" | "try" | "try_table" => self.depth += 1,
            "else" | "catch" | "catch_all" => self.own_depth = self.depth.saturating_sub(1),
            "end" | "delegate" => {
                self.depth = self.depth.saturating_sub(1);
                self.own_depth = self.depth;
            }
            _ => {}
        }
        spell(name, &mut self.text);
    }

    fn name_of(&self, role: &str, index: u32) -> Option<&str> {
        let names = &self.module.names;
        match role {
            "function_index" => names.functions.get(&index).map(String::as_str),
            "global_index" => names.globals.get(&index).map(String::as_str),
            "local_index" => names.locals.get(&(self.function, index)).copied(),
            "table_index" | "table" | "dst_table" | "src_table" => names.tables.get(&index).copied(),
            "mem" | "dst_mem" | "src_mem" => names.memories.get(&index).copied(),
            "data_index" | "array_data_index" => names.data.get(&index).copied(),
            "elem_index" | "array_elem_index" => names.elements.get(&index).copied(),
            "tag_index" => names.tags.get(&index).copied(),
            "type_index" | "struct_type_index" | "array_type_index" | "cont_type_index" => {
                names.types.get(&index).copied()
            }
            _ => None,
        }
    }
}

/// `i32_load8_s` is `i32.load8_s`: the first word is a type or a kind of thing, or it is not.
fn spell(name: &str, text: &mut String) {
    match name {
        "typed_select" | "typed_select_multi" => return text.push_str("select"),
        "ref_test_non_null" | "ref_test_nullable" => return text.push_str("ref.test"),
        "ref_cast_non_null" | "ref_cast_nullable" => return text.push_str("ref.cast"),
        "ref_cast_desc_eq_non_null" | "ref_cast_desc_eq_nullable" => return text.push_str("ref.cast_desc_eq"),
        _ => {}
    }
    let Some((first, rest)) = name.split_once('_') else { return text.push_str(name) };
    let is_prefix = matches!(
        first,
        "i32"
            | "i64"
            | "f32"
            | "f64"
            | "v128"
            | "i8x16"
            | "i16x8"
            | "i32x4"
            | "i64x2"
            | "f32x4"
            | "f64x2"
            | "i31"
            | "local"
            | "global"
            | "memory"
            | "table"
            | "elem"
            | "data"
            | "ref"
            | "struct"
            | "array"
            | "any"
            | "extern"
            | "atomic"
            | "cont"
    );
    text.push_str(first);
    if !is_prefix {
        text.push('_');
        return text.push_str(rest);
    }
    text.push('.');
    let Some(rest) = rest.strip_prefix("atomic_") else { return text.push_str(rest) };
    text.push_str("atomic.");
    // `i32.atomic.rmw8.add_u`, but `i32.atomic.load8_u`.
    match rest.split_once('_') {
        Some((width, operation)) if width.starts_with("rmw") => {
            text.push_str(width);
            text.push('.');
            text.push_str(operation);
        }
        _ => text.push_str(rest),
    }
}

/// An immediate.
trait Immediate {
    fn print(&self, role: &'static str, printer: &mut OperatorPrinter<'_, '_>);
}

macro_rules! displayed {
    ($($ty:ty),*) => {$(
        impl Immediate for $ty {
            fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
                let _ = write!(printer.text, " {self}");
            }
        }
    )*};
}
displayed!(u8, i32, i64, bool, ValType, RefType);

impl Immediate for u32 {
    fn print(&self, role: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        // `call_indirect <table> (type <n>)`: the binary format has them the other way round.
        let is_indirect_call = matches!(printer.text.as_str(), "call_indirect" | "return_call_indirect");
        if role == "type_index" && is_indirect_call {
            printer.type_index = Some(*self);
            return;
        }
        push_number(&mut printer.text, *self);
        // Copied, since the name may live in the module behind the printer.
        if let Some(name) = printer.name_of(role, *self).map(str::to_owned) {
            printer.text.push_str(" <");
            push_printable(&mut printer.text, &name);
            printer.text.push('>');
        }
        if role == "table_index"
            && let Some(ty) = printer.type_index.take()
        {
            printer.text.push_str(" (type");
            ty.print("type_index", printer);
            printer.text.push(')');
        }
    }
}

/// ` 123`, without the machinery of `format!`: most operators have one such immediate.
fn push_number(text: &mut String, number: u32) {
    let mut digits = [0; 10];
    let mut rest = number;
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.push(' ');
    text.extend(digits[start..].iter().map(|&digit| char::from(digit)));
}

/// Names come from the file: control characters must not reach a terminal.
pub fn push_printable(text: &mut String, name: &str) {
    if name.bytes().all(|byte| byte >= 0x20 && byte != 0x7f) {
        text.push_str(name);
    } else {
        text.extend(name.chars().flat_map(|c| {
            let escaped: Box<dyn Iterator<Item = char>> =
                if c.is_control() { Box::new(c.escape_default()) } else { Box::new(std::iter::once(c)) };
            escaped
        }));
    }
}

macro_rules! float {
    ($($bits:ty, $float:ty);*) => {$(
        impl Immediate for $bits {
            fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
                let value = <$float>::from_bits(self.bits());
                let is_short = value == 0.0 || value.is_infinite() || (1e-4..1e16).contains(&value.abs());
                let _ = match (value.is_nan(), is_short) {
                    (true, _) => write!(printer.text, " nan:{:#x}", self.bits()),
                    (_, true) => write!(printer.text, " {value}"),
                    (_, false) => write!(printer.text, " {value:e}"),
                };
            }
        }
    )*};
}
float!(Ieee32, f32; Ieee64, f64);

impl Immediate for V128 {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        for word in self.bytes().chunks_exact(4) {
            let _ = write!(printer.text, " {:#010x}", u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
    }
}

impl Immediate for [u8; 16] {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        for lane in self {
            let _ = write!(printer.text, " {lane}");
        }
    }
}

impl Immediate for MemArg {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        match self.target {
            MemArgTarget::Memory(0) => {}
            MemArgTarget::Memory(memory) => {
                let _ = write!(printer.text, " (memory {memory})");
            }
            MemArgTarget::Array(ty) => {
                let _ = write!(printer.text, " (array {ty})");
            }
        }
        push_number(&mut printer.text, self.align.into());
        match u32::try_from(self.offset) {
            Ok(offset) => push_number(&mut printer.text, offset),
            Err(_) => {
                let _ = write!(printer.text, " {}", self.offset);
            }
        }
        if let Some(ordering) = self.ordering {
            let _ = write!(printer.text, " {ordering:?}");
        }
    }
}

impl Immediate for BlockType {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        let _ = match self {
            BlockType::Empty => Ok(()),
            BlockType::Type(ty) => write!(printer.text, " {ty}"),
            BlockType::FuncType(ty) => write!(printer.text, " type[{ty}]"),
        };
    }
}

impl Immediate for BrTable<'_> {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        for target in self.targets() {
            match target {
                Ok(depth) => push_number(&mut printer.text, depth),
                Err(_) => return printer.text.push_str(" (damaged)"),
            }
        }
        push_number(&mut printer.text, self.default());
    }
}

impl Immediate for HeapType {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        match *self {
            HeapType::Abstract { shared, ty } => {
                let name = format!("{ty:?}").to_lowercase();
                let _ = write!(printer.text, " {}{name}", if shared { "shared " } else { "" });
            }
            HeapType::Concrete(index) => {
                let _ = write!(printer.text, " {}", index.as_module_index().unwrap_or(u32::MAX));
            }
            HeapType::Exact(index) => {
                let _ = write!(printer.text, " (exact {})", index.as_module_index().unwrap_or(u32::MAX));
            }
        }
    }
}

impl Immediate for Ordering {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        // The only one of the threads proposal goes without saying.
        if *self != Ordering::SeqCst {
            let _ = write!(printer.text, " {}", format!("{self:?}").to_lowercase());
        }
    }
}

impl Immediate for Vec<ValType> {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        for ty in self {
            let _ = write!(printer.text, " {ty}");
        }
    }
}

impl Immediate for TryTable {
    fn print(&self, role: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        self.ty.print(role, printer);
        for catch in &self.catches {
            let _ = match catch {
                Catch::One { tag, label } => write!(printer.text, " (catch {tag} {label})"),
                Catch::OneRef { tag, label } => write!(printer.text, " (catch_ref {tag} {label})"),
                Catch::All { label } => write!(printer.text, " (catch_all {label})"),
                Catch::AllRef { label } => write!(printer.text, " (catch_all_ref {label})"),
            };
        }
    }
}

impl Immediate for ResumeTable {
    fn print(&self, _: &'static str, printer: &mut OperatorPrinter<'_, '_>) {
        for handler in &self.handlers {
            let _ = match handler {
                Handle::OnLabel { tag, label } => write!(printer.text, " (on {tag} {label})"),
                Handle::OnSwitch { tag } => write!(printer.text, " (on {tag} switch)"),
            };
        }
    }
}

macro_rules! visit {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(fn $visit(&mut self $($(, $arg: $argty)*)?) {
            self.mnemonic(stringify!($visit));
            $($(Immediate::print(&$arg, stringify!($arg), self);)*)?
        })*
    };
}

impl<'a> VisitOperator<'a> for OperatorPrinter<'_, '_> {
    type Output = ();

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = ()>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(visit);
}

impl VisitSimdOperator<'_> for OperatorPrinter<'_, '_> {
    wasmparser::for_each_visit_simd_operator!(visit);
}

#[cfg(test)]
mod tests {
    use super::spell;

    #[test]
    fn mnemonics_are_those_of_the_text_format() {
        for (visitor, expected) in [
            ("i32_load8_s", "i32.load8_s"),
            ("br_if", "br_if"),
            ("call_indirect", "call_indirect"),
            ("return_call", "return_call"),
            ("memory_atomic_wait32", "memory.atomic.wait32"),
            ("atomic_fence", "atomic.fence"),
            ("i64_atomic_rmw16_cmpxchg_u", "i64.atomic.rmw16.cmpxchg_u"),
            ("i32_atomic_rmw_add", "i32.atomic.rmw.add"),
            ("i32_atomic_store8", "i32.atomic.store8"),
            ("i8x16_extract_lane_s", "i8x16.extract_lane_s"),
            ("typed_select", "select"),
            ("i32_trunc_sat_f64_u", "i32.trunc_sat_f64_u"),
            ("ref_is_null", "ref.is_null"),
            ("nop", "nop"),
        ] {
            let mut text = String::new();
            spell(visitor, &mut text);
            assert_eq!(text, expected);
        }
    }
}
