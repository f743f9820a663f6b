//! The rows of a table, and what they say in a given state.
#![forbid(unsafe_code)]

use std::ops::Range;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EhFrameHdr, LittleEndian, RegisterRule, UnwindContext, UnwindSection,
};

use super::machine::{CALLEE_SAVED, Code, Start, State, Value};
use super::{Checked, Disagreement, Subject};

/// Machine numbers (rax, rcx, rdx, rbx, rsp, ...) of the first DWARF registers (rax, rdx, rcx, ...).
const MACHINE: [usize; 16] = [0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
const NAMES: [&str; 16] =
    ["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
/// DWARF number of the stack pointer.
const RSP: u16 = 7;
/// The CFA is this far above the stack pointer on entry.
const CFA: i64 = 8;
const RED_ZONE: i64 = 128;

/// Name of a register by its DWARF number.
pub(super) fn register_name(dwarf: u16) -> &'static str {
    NAMES.get(usize::from(dwarf)).copied().unwrap_or("another register")
}

/// Name of a register by its machine number.
pub(super) fn machine_register_name(number: usize) -> &'static str {
    let dwarf = MACHINE.iter().position(|&machine| machine == number);
    NAMES[dwarf.unwrap_or_default()]
}

/// One row: what holds from `range.start` on.
struct Row {
    range: Range<u64>,
    cfa: CfaRule<usize>,
    registers: Vec<(u16, RegisterRule<usize>)>,
}

/// One FDE's.
struct Entry {
    range: Range<u64>,
    /// Offset in the section.
    offset: usize,
    return_address: u16,
    rows: Vec<Row>,
}

/// What there is to say about the rows of a function.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) wrong: Vec<Disagreement>,
    pub(super) undecided: Vec<Disagreement>,
}

/// A table as read.
pub(super) struct Table {
    /// By start.
    entries: Vec<Entry>,
}

impl Table {
    pub(super) fn read(checked: &Checked<'_>, wrong: &mut Vec<Disagreement>) -> Table {
        let mut table = Table { entries: Vec::new() };
        let section = EhFrame::new(checked.eh_frame, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(checked.eh_frame_address);
        let mut unreadable = |offset: usize, error: gimli::Error| {
            let address = checked.eh_frame_address.wrapping_add(offset as u64);
            wrong.push(Disagreement {
                function: address,
                address,
                subject: Subject::Coverage,
                expected: "a readable entry".to_owned(),
                found: error.to_string(),
            });
        };
        let mut context = UnwindContext::new();
        let mut entries = section.entries(&bases);
        loop {
            let partial = match entries.next() {
                Ok(Some(CieOrFde::Fde(partial))) => partial,
                Ok(Some(CieOrFde::Cie(_))) => continue,
                Ok(None) => break,
                Err(error) => {
                    unreadable(0, error);
                    break;
                }
            };
            let offset = partial.offset();
            let fde = match partial.parse(EhFrame::cie_from_offset) {
                Ok(fde) => fde,
                Err(error) => {
                    unreadable(offset, error);
                    continue;
                }
            };
            let mut rows = Vec::new();
            match fde.rows(&section, &bases, &mut context) {
                Ok(mut table) => loop {
                    match table.next_row() {
                        Ok(Some(row)) => rows.push(Row {
                            range: row.start_address()..row.end_address(),
                            cfa: row.cfa().clone(),
                            registers: row.registers().map(|(register, rule)| (register.0, rule.clone())).collect(),
                        }),
                        Ok(None) => break,
                        Err(error) => {
                            unreadable(offset, error);
                            break;
                        }
                    }
                },
                Err(error) => unreadable(offset, error),
            }
            table.entries.push(Entry {
                range: fde.initial_address()..fde.end_address(),
                offset,
                return_address: fde.cie().return_address_register().0,
                rows,
            });
        }
        table.entries.sort_by_key(|entry| entry.range.start);
        for pair in table.entries.windows(2) {
            if pair[0].range.end > pair[1].range.start {
                wrong.push(Disagreement {
                    function: pair[1].range.start,
                    address: pair[1].range.start,
                    subject: Subject::Coverage,
                    expected: "one entry".to_owned(),
                    found: "two that overlap".to_owned(),
                });
            }
        }
        if let Some((header, address)) = checked.eh_frame_hdr {
            table.judge_header(header, address, checked.eh_frame_address, wrong);
        }
        table
    }

    /// The header must list all entries, in order, with their places.
    fn judge_header(&self, header: &[u8], address: u64, eh_frame_address: u64, wrong: &mut Vec<Disagreement>) {
        let bases = BaseAddresses::default().set_eh_frame_hdr(address).set_eh_frame(eh_frame_address);
        let expected: Vec<_> =
            self.entries.iter().map(|entry| (entry.range.start, eh_frame_address + entry.offset as u64)).collect();
        let mut found = Vec::new();
        let read = (|| {
            let header = EhFrameHdr::new(header, LittleEndian).parse(&bases, 8)?;
            if header.eh_frame_ptr().direct()? != eh_frame_address {
                found.push((0, header.eh_frame_ptr().direct()?));
            }
            if let Some(table) = header.table() {
                let mut rows = table.iter(&bases);
                while let Some((start, fde)) = rows.next()? {
                    found.push((start.direct()?, fde.direct()?));
                }
            }
            Ok::<_, gimli::Error>(())
        })();
        let mut disagree = |function, expected: String, found: String| {
            wrong.push(Disagreement { function, address: function, subject: Subject::Header, expected, found });
        };
        if let Err(error) = read {
            disagree(address, "a readable table".to_owned(), error.to_string());
        }
        if expected.len() != found.len() {
            disagree(address, format!("{} functions", expected.len()), found.len().to_string());
        }
        for (expected, found) in expected.into_iter().zip(found) {
            if expected != found {
                disagree(
                    expected.0,
                    format!("{:#x} at {:#x}", expected.0, expected.1),
                    format!("{:#x} at {:#x}", found.0, found.1),
                );
            }
        }
    }

    /// What starts here and has a frame already: it is a part of a function, not one that is called. Its row may
    /// come after a `nop`, which keeps a landing pad from lying at the start.
    pub(super) fn starts_within_a_frame(&self, start: u64, code: &Code<'_>) -> Option<Part<'_>> {
        let index = self.entries.partition_point(|entry| entry.range.start < start);
        let entry = self.entries.get(index).filter(|entry| entry.range.start == start)?;
        let (first, second) = (entry.rows.first()?, entry.rows.get(1));
        let row = match second {
            _ if !is_of_entry(first) => first,
            Some(second) if !is_of_entry(second) && code.is_without_effect(first.range.clone()) => second,
            _ => return None,
        };
        Some(Part { entry, row })
    }

    /// Holds the row of the instruction at `address` against the state before it.
    pub(super) fn judge(&self, function: u64, address: u64, state: &State, verdict: &mut Verdict) {
        let index = self.entries.partition_point(|entry| entry.range.start <= address);
        let entry =
            index.checked_sub(1).map(|index| &self.entries[index]).filter(|entry| entry.range.contains(&address));
        let Some((entry, row)) = entry.and_then(|entry| {
            let index = entry.rows.partition_point(|row| row.range.start <= address);
            let row = entry.rows.get(index.checked_sub(1)?)?;
            row.range.contains(&address).then_some((entry, row))
        }) else {
            // Of a whole function without an entry, once.
            let is_known = verdict.wrong.last().is_some_and(|last| last.subject == Subject::Coverage);
            if !is_known {
                let expected = "a row".to_owned();
                verdict.wrong.push(Disagreement {
                    function,
                    address,
                    subject: Subject::Coverage,
                    expected,
                    found: "none".to_owned(),
                });
            }
            return;
        };

        let rule = |register: u16| row.registers.iter().find(|(number, _)| *number == register).map(|(_, rule)| rule);
        let return_address = rule(entry.return_address);
        // `expected`: the places of the right value. If there is none, nothing is known.
        let mut disagree = |subject, expected: Option<String>, found: String| {
            let (list, expected) = match expected {
                Some(places) => (&mut verdict.wrong, places),
                None => (&mut verdict.undecided, "a value that can be followed".to_owned()),
            };
            list.push(Disagreement { function, address, subject, expected, found });
        };
        if return_address == Some(&RegisterRule::Undefined) {
            // Said to be the outermost frame, whatever its registers hold.
            return disagree(Subject::ReturnAddress, None, describe(return_address));
        }
        match &row.cfa {
            CfaRule::RegisterAndOffset { register, offset } => {
                let number = MACHINE.get(usize::from(register.0));
                let value = number.map_or(Value::Unknown, |&number| state.register(number));
                let right = matches!(value, Value::Stack(at) if at.wrapping_add(*offset) == CFA);
                if !right {
                    let places: Vec<_> = [5, 4]
                        .into_iter()
                        .filter_map(|number| match state.register(number) {
                            Value::Stack(at) => Some(format!("{}{:+}", machine_register_name(number), CFA - at)),
                            _ => None,
                        })
                        .collect();
                    // Other registers may have been computed from the stack pointer in ways that are not followed.
                    let is_known = !places.is_empty() && (value != Value::Unknown || [6, RSP].contains(&register.0));
                    let found = format!("{}{offset:+}", register_name(register.0));
                    disagree(Subject::Cfa, is_known.then(|| places.join(" or ")), found);
                }
            }
            CfaRule::Expression(_) => disagree(Subject::Cfa, None, "an expression".to_owned()),
        }

        if entry.return_address != 16 || !yields(state, return_address, Value::Unknown, Value::ReturnAddress) {
            disagree(Subject::ReturnAddress, state.places(Value::ReturnAddress), describe(return_address));
        }
        // Registers that a call may change need no rule; if they have one, it must hold.
        let saved =
            CALLEE_SAVED.map(|number| MACHINE.iter().position(|&machine| machine == number).unwrap_or_default() as u16);
        let others = row
            .registers
            .iter()
            .map(|(register, _)| *register)
            .filter(|register| !saved.contains(register) && *register != entry.return_address);
        for register in saved.into_iter().chain(others) {
            let rule = rule(register);
            let right = match MACHINE.get(usize::from(register)) {
                Some(_) if register == RSP => {
                    matches!(rule, Some(RegisterRule::ValOffset(0)))
                }
                Some(&number) => {
                    let current = state.register(number);
                    yields(state, rule, current, Value::Entry(number as u8))
                        || (!saved.contains(&register) && rule == Some(&RegisterRule::Undefined))
                }
                None => false,
            };
            if !right {
                let expected = match MACHINE.get(usize::from(register)) {
                    Some(&number) => state.places(Value::Entry(number as u8)),
                    None => Some("no rule".to_owned()),
                };
                disagree(Subject::Register(register), expected, describe(rule));
            }
        }
    }
}

fn is_of_entry(row: &Row) -> bool {
    matches!(&row.cfa, CfaRule::RegisterAndOffset { register, offset } if (register.0, *offset) == (RSP, CFA))
}

/// Where a part of a function starts.
pub(super) struct Part<'t> {
    entry: &'t Entry,
    row: &'t Row,
}

impl Part<'_> {
    /// The state that the first row is right in; `None` if it is by an expression.
    pub(super) fn start(&self) -> Option<Start> {
        let CfaRule::RegisterAndOffset { register, offset } = self.row.cfa else { return None };
        let base = *MACHINE.get(usize::from(register.0))?;
        let mut state = State::unknown();
        let rule_of = |register: u16| self.row.registers.iter().find(|(number, _)| *number == register);
        let callee_saved = CALLEE_SAVED.map(|number| (Some(number), Value::Entry(number as u8)));
        for (number, value) in callee_saved.into_iter().chain([(None, Value::ReturnAddress)]) {
            let dwarf = match number {
                Some(number) => MACHINE.iter().position(|&machine| machine == number)? as u16,
                None => self.entry.return_address,
            };
            match (rule_of(dwarf).map(|(_, rule)| rule), number) {
                (None | Some(RegisterRule::SameValue), Some(number)) => state.set_register(number, value),
                (Some(RegisterRule::Offset(offset)), _) => state.store(CFA.checked_add(*offset)?, value),
                (Some(RegisterRule::Register(register)), _) => {
                    state.set_register(*MACHINE.get(usize::from(register.0))?, value);
                }
                _ => {}
            }
        }
        state.set_register(base, Value::Stack(CFA.checked_sub(offset)?));
        Some(Start { address: self.row.range.start, state })
    }
}

/// Whether `rule` gives `wanted`, for a register that now holds `current`.
fn yields(state: &State, rule: Option<&RegisterRule<usize>>, current: Value, wanted: Value) -> bool {
    match rule {
        None | Some(RegisterRule::SameValue) => current == wanted,
        Some(RegisterRule::Offset(offset)) => {
            let at = CFA.wrapping_add(*offset);
            // While the stack pointer is unknown, only frames above it are looked at.
            let kept = state.stack_pointer().is_none_or(|pointer| at >= pointer.saturating_sub(RED_ZONE));
            kept && state.slot(at) == wanted
        }
        Some(RegisterRule::ValOffset(offset)) => wanted == Value::Stack(CFA.wrapping_add(*offset)),
        Some(RegisterRule::Register(register)) => {
            MACHINE.get(usize::from(register.0)).is_some_and(|&number| state.register(number) == wanted)
        }
        Some(_) => false,
    }
}

fn describe(rule: Option<&RegisterRule<usize>>) -> String {
    match rule {
        None => "no rule".to_owned(),
        Some(RegisterRule::Undefined) => "undefined".to_owned(),
        Some(RegisterRule::SameValue) => "same value".to_owned(),
        Some(RegisterRule::Offset(offset)) => format!("[CFA{offset:+}]"),
        Some(RegisterRule::ValOffset(offset)) => format!("CFA{offset:+}"),
        Some(RegisterRule::Register(register)) => register_name(register.0).to_owned(),
        Some(_) => "an expression".to_owned(),
    }
}
