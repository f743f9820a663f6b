//! The frame table, row by row.

use std::borrow::Cow;

use anyhow::{Context as _, Result, bail};
use gimli::{BaseAddresses, CfaRule, DebugFrame, EhFrame, RegisterRule, UnwindContext, UnwindSection};
use serde::Serialize;

use super::{Native, Reader};
use crate::dwarf::expression_text;

/// All FDEs of `.eh_frame` or, where there is none, of `.debug_frame`.
#[derive(Default)]
pub struct FrameTable {
    pub section: &'static str,
    /// By address.
    pub functions: Vec<FrameFunction>,
}

/// One FDE.
#[derive(Clone, Debug, Serialize)]
pub struct FrameFunction {
    pub start: u64,
    pub end: u64,
    /// The offset of the FDE in its section.
    pub fde: u64,
    pub rows: Vec<FrameRow>,
}

/// How to find the caller's registers from `start` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FrameRow {
    pub start: u64,
    pub end: u64,
    pub cfa: String,
    /// Register and rule: `("rbp", "[cfa-16]")`.
    pub registers: Vec<(Cow<'static, str>, String)>,
}

impl FrameRow {
    /// `cfa=rsp+8 rip=[cfa-8]`
    pub fn summary(&self) -> String {
        let mut text = format!("cfa={}", self.cfa);
        for (register, rule) in &self.registers {
            text.push_str(&format!(" {register}={rule}"));
        }
        text
    }
}

impl FrameTable {
    pub fn read(native: &Native<'_>) -> Result<FrameTable> {
        if let Some((address, bytes)) = native.section(".eh_frame").filter(|(_, bytes)| !bytes.is_empty()) {
            let mut section = EhFrame::from(Reader::new(bytes, native.endian));
            section.set_address_size(native.address_size);
            let text = native.code.first().map_or(0, |code| code.address);
            let bases = BaseAddresses::default().set_eh_frame(address).set_text(text);
            return Ok(FrameTable {
                section: ".eh_frame",
                functions: read_section(native, &section, bytes.len(), &bases)?,
            });
        }
        if let Some((_, bytes)) = native.section(".debug_frame").filter(|(_, bytes)| !bytes.is_empty()) {
            let mut section = DebugFrame::from(Reader::new(bytes, native.endian));
            section.set_address_size(native.address_size);
            let functions = read_section(native, &section, bytes.len(), &BaseAddresses::default())?;
            return Ok(FrameTable { section: ".debug_frame", functions });
        }
        Ok(FrameTable::default())
    }

    /// The row that holds at this address.
    pub fn row_at(&self, address: u64) -> Option<&FrameRow> {
        let index = self.functions.partition_point(|function| function.start <= address);
        let function = self.functions.get(index.checked_sub(1)?)?;
        let row = function.rows.partition_point(|row| row.start <= address);
        function.rows.get(row.checked_sub(1)?).filter(|row| address < row.end)
    }
}

fn read_section<'n, S>(
    native: &'n Native<'_>,
    section: &S,
    len: usize,
    bases: &BaseAddresses,
) -> Result<Vec<FrameFunction>>
where
    S: UnwindSection<Reader<'n>>,
    S::Offset: gimli::UnwindOffset<usize>,
{
    let names = |register| native.register_name(register);
    // A row can carry over every rule of the row before in one byte: what a hostile table unfolds to has a limit, far
    // beyond what compilers write.
    let most_rules = len.saturating_mul(4).saturating_add(10_000);
    let mut rules = 0;
    let mut functions = Vec::new();
    let mut context = UnwindContext::new();
    let mut entries = section.entries(bases);
    while let Some(entry) = entries.next().context("the frame table is damaged")? {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial
            .parse(|section, bases, offset| section.cie_from_offset(bases, offset))
            .context("an FDE is damaged")?;
        let at = fde.offset();
        let mut rows: Vec<FrameRow> = Vec::new();
        let mut table = fde.rows(section, bases, &mut context).with_context(|| format!("the FDE at offset {at:#x}"))?;
        while let Some(row) = table.next_row().with_context(|| format!("the rows of the FDE at offset {at:#x}"))? {
            let cfa = match row.cfa() {
                CfaRule::RegisterAndOffset { register, offset } => {
                    format!("{}{offset:+}", native.register_name(*register))
                }
                CfaRule::Expression(expression) => match expression.get(section) {
                    Ok(expression) => format!("({})", expression_text(expression, fde.cie().encoding(), &names)),
                    Err(error) => format!("(damaged: {error})"),
                },
            };
            let mut registers: Vec<_> = row.registers().collect();
            registers.sort_by_key(|(register, _)| register.0);
            let registers: Vec<_> = registers
                .into_iter()
                .map(|(register, rule)| {
                    let rule = match rule {
                        RegisterRule::Undefined => "undefined".to_owned(),
                        RegisterRule::SameValue => "same".to_owned(),
                        RegisterRule::Offset(offset) => format!("[cfa{offset:+}]"),
                        RegisterRule::ValOffset(offset) => format!("cfa{offset:+}"),
                        RegisterRule::Register(other) => native.register_name(*other).into_owned(),
                        RegisterRule::Expression(expression) => match expression.get(section) {
                            Ok(text) => format!("[{}]", expression_text(text, fde.cie().encoding(), &names)),
                            Err(error) => format!("(damaged: {error})"),
                        },
                        RegisterRule::ValExpression(expression) => match expression.get(section) {
                            Ok(text) => format!("({})", expression_text(text, fde.cie().encoding(), &names)),
                            Err(error) => format!("(damaged: {error})"),
                        },
                        RegisterRule::Architectural => "architectural".to_owned(),
                        RegisterRule::Constant(value) => format!("{value:#x}"),
                    };
                    (native.register_name(*register), rule)
                })
                .collect();
            rules += registers.len();
            if rules > most_rules {
                bail!(
                    "the frame table has more rules than its size can account for, from the FDE at offset {at:#x} on"
                );
            }
            let row = FrameRow { start: row.start_address(), end: row.end_address(), cfa, registers };
            match rows.last_mut() {
                // Rows that say the same are one row.
                Some(last) if last.cfa == row.cfa && last.registers == row.registers && last.end == row.start => {
                    last.end = row.end;
                }
                _ if row.start == row.end => {}
                _ => rows.push(row),
            }
        }
        functions.push(FrameFunction { start: fde.initial_address(), end: fde.end_address(), fde: at as u64, rows });
    }
    functions.sort_by_key(|function| function.start);
    Ok(functions)
}
