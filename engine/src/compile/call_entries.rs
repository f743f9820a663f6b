//! Code by which lldb's expressions call member functions of C++.
//!
//! ```text
//! head:   movabs rax, 0           the debugger's helpers put the address of their code here: it adds the hidden arguments
//!         jmp rax
//! entry:  lea r11, function       one for each function
//!         mov r10d, shape         what that code has to know of it
//!         jmp head
//! ```

use super::LinkedFunction;
use crate::environ::{DebugInfo, PointerFlavour};
use crate::translate::ModuleTranslation;
use crate::types::{FuncType, ValType};

/// The symbol of all of it.
pub(super) const SYMBOL: &str = "__wasm_calls";

const HEAD: [u8; 12] = [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0];
const LEA: [u8; 3] = [0x4c, 0x8d, 0x1d];
const MOV: [u8; 2] = [0x41, 0xba];
const JMP: u8 = 0xe9;

const ENTRY: usize = 18;
/// Where in an entry the instructions end whose operands are relative, and where the shape is.
const LEA_END: usize = 7;
const SHAPE: usize = 9;

/// What registers hold beside the hidden arguments.
const WORDS: usize = 4;
const FRACTIONS: usize = 8;

/// The entries of a module.
#[derive(Debug, Default)]
pub(super) struct CallEntries {
    /// Where the head begins in the text.
    start: u32,
    /// The functions, by their positions among the defined ones.
    functions: Vec<u32>,
}

impl CallEntries {
    /// Those of the functions that can have one, all without a place yet.
    pub(super) fn new(translation: &ModuleTranslation<'_>, has_helpers: bool) -> CallEntries {
        let tunables = &translation.tunables;
        if !has_helpers || tunables.debug_info != DebugInfo::Full || tunables.pointer_flavour != PointerFlavour::Lldb {
            return CallEntries::default();
        }
        let functions = translation.functions.iter().enumerate().filter(|(_, input)| {
            // As linkers write the names of functions of C++.
            let name = translation.names.symbol(input.index);
            let is_rust = name.starts_with("_R") || name.contains("17h");
            (name.contains('(') || name.starts_with("_Z"))
                && !is_rust
                && is_in_registers(translation.module.func_type(input.index))
        });
        CallEntries { start: 0, functions: functions.map(|(position, _)| position as u32).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// Code of the right size.
    pub(super) fn placeholder(&self) -> Vec<u8> {
        let mut code = HEAD.to_vec();
        for _ in &self.functions {
            code.extend(LEA);
            code.extend([0; 4]);
            code.extend(MOV);
            code.extend([0; 4]);
            code.push(JMP);
            code.extend([0; 4]);
        }
        code
    }

    /// Fills in the operands, after all code has its place.
    pub(super) fn place(&mut self, start: u32, text: &mut [u8], functions: &[LinkedFunction]) {
        self.start = start;
        let relative = |target: u32, from: usize| (i64::from(target) - from as i64) as i32;
        for (index, &function) in self.functions.iter().enumerate() {
            let at = self.entry(index);
            // Guest functions come first.
            let target = functions[function as usize].1;
            let (lea, jmp) = (relative(target, at + LEA_END), relative(start, at + ENTRY));
            text[at + LEA.len()..at + LEA_END].copy_from_slice(&lea.to_le_bytes());
            text[at + ENTRY - 4..at + ENTRY].copy_from_slice(&jmp.to_le_bytes());
        }
    }

    fn entry(&self, index: usize) -> usize {
        self.start as usize + HEAD.len() + index * ENTRY
    }

    pub(super) fn has(&self, function: usize) -> bool {
        self.functions.binary_search(&(function as u32)).is_ok()
    }

    /// Lets the entry of a function know of its shape, and gives the symbol for it.
    pub(super) fn finish(
        &self,
        text: &mut [u8],
        (function, linkage_name, shape): (usize, String, dwarf_transform::CallShape),
    ) -> Option<artifact::Symbol> {
        let at = self.entry(self.functions.binary_search(&(function as u32)).ok()?);
        text[at + SHAPE..at + SHAPE + 4].copy_from_slice(&shape.0.to_le_bytes());
        let name = dwarf_transform::CALL_ENTRY_PREFIX.to_owned() + &linkage_name;
        Some(artifact::Symbol { name, text: artifact::TextOffset(at as u32), size: ENTRY as u32 })
    }
}

fn is_in_registers(ty: &FuncType) -> bool {
    let count = |wanted: fn(&ValType) -> bool| ty.params.iter().filter(|ty| wanted(ty)).count();
    let words = count(|ty| matches!(ty, ValType::I32 | ValType::I64));
    let fractions = count(|ty| matches!(ty, ValType::F32 | ValType::F64));
    words + fractions == ty.params.len() && words <= WORDS && fractions <= FRACTIONS && ty.results.len() <= 1
}
