//! Holds a frame table against the machine code it describes.
//!
//! What a row must say can be computed from the code alone. With E the stack pointer when a function
//! is entered, before any of its instructions, the caller's frame is fixed by four facts:
//!
//! ```text
//! CFA                           = E + 8
//! return address                = the value at E on entry
//! caller's rbx, rbp, r12 .. r15 = their values on entry
//! ```
//!
//! [`check`] follows the code of each function by abstract interpretation. It keeps, at every
//! instruction, for each register and each eight-byte slot of the stack, one of: the value that
//! register r had on entry; the return address; E + k; something else. Where paths meet, what differs
//! becomes "something else". Each row is then evaluated in that state, and must give the four facts
//! with certainty.
//!
//! A row that fails this is a [disagreement](Report::disagreements) if the state knows better, that is
//! if it has the value that the row should give, in another place. If it does not have the value at
//! all, the row is [undecided](Report::undecided), and so is what cannot be followed: jumps whose
//! targets are computed in an unknown way, CFAs that are expressions. A table of this crate for code
//! it was made for has neither ([`Report::is_exact`]). Other compilers do more with the stack than is
//! followed here (realigned stacks, tables of jumps in other sections); there, only the disagreements
//! speak against the table.
//!
//! Code that is moved out of a function (`f.cold`) is, in [foreign](Checked::foreign) code, followed as a
//! part of the function that branches to it. It is told from functions that are called by its first
//! row, whose CFA is not rsp+8. If nothing that is followed branches to it (a landing pad), its first row
//! is believed and the others are held against that one. Calls that never return are recognized by
//! their other side: where a path from behind a call meets another with another stack pointer, the
//! former does not exist.
//!
//! Assumed of the code, not checked: a store through a pointer that does not come from the stack
//! pointer does not hit a frame's own bookkeeping; a callee preserves the callee-saved registers and
//! pops the argument bytes that its caller then takes again; what lies less than 128 bytes below the stack pointer keeps
//! its value, except across a call (the red zone, System V ABI 3.2.2). All these are held at run time
//! by the stepper.
//!
//! Rows are read with gimli and code with iced-x86. Nothing is shared with the generator.
#![forbid(unsafe_code)]

mod machine;
mod rows;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// Code and tables to be checked. x86-64 only.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The text section, relocations applied.
    pub text: &'a [u8],
    /// Its address.
    pub text_address: u64,
    /// Address ranges of the functions in it, ascending: from symbols.
    pub functions: &'a [Range<u64>],
    /// The `.eh_frame` section.
    pub eh_frame: &'a [u8],
    /// Its address.
    pub eh_frame_address: u64,
    /// The `.eh_frame_hdr` section and its address, if there is one.
    pub eh_frame_hdr: Option<(&'a [u8], u64)>,
    /// The code is another compiler's. Callees leave the stack pointer to their callers; functions may be
    /// in parts: what a function branches to without leaving its frame is followed as a part of it, and
    /// is not judged as a function that is called.
    pub foreign: bool,
}

/// What was looked at and what was found wrong.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Functions followed.
    pub functions: usize,
    /// Of these, parts that nothing which is followed branches to: landing pads. What the first row says is
    /// taken for what holds there. Only in [foreign](Checked::foreign) code.
    pub parts: usize,
    /// Instructions whose rows were held against the code.
    pub instructions: usize,
    /// Every fact that a row gets wrong.
    pub disagreements: Vec<Disagreement>,
    /// Every fact of which the code does not tell whether the row has it right.
    pub undecided: Vec<Disagreement>,
}

impl Report {
    /// Whether every row is right for certain.
    pub fn is_exact(&self) -> bool {
        self.disagreements.is_empty() && self.undecided.is_empty()
    }

    /// What there is against the table, disagreements first.
    pub fn findings(&self) -> impl Iterator<Item = &Disagreement> {
        self.disagreements.iter().chain(&self.undecided)
    }
}

/// One fact at one instruction (or of one table entry) that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Start of the function.
    pub function: u64,
    /// Address of the instruction.
    pub address: u64,
    /// What the row is wrong about.
    pub subject: Subject,
    /// What the code says; for what is undecided, why it does not tell.
    pub expected: String,
    /// What the table says.
    pub found: String,
}

/// What a [`Disagreement`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// There is no row, or more than one, or an entry covers what it should not.
    Coverage,
    /// The canonical frame address.
    Cfa,
    /// The place of the return address.
    ReturnAddress,
    /// The place of the caller's value of this register (DWARF number).
    Register(u16),
    /// The code itself cannot be followed, so nothing is known about its rows.
    Code,
    /// The header's search table.
    Header,
}

impl Disagreement {
    /// Whether it is that there is no row at all.
    pub fn is_without_row(&self) -> bool {
        self.subject == Subject::Coverage && self.found == "none"
    }

    /// What it is about, without addresses: for counting those of one kind.
    pub fn reason(&self) -> String {
        match self.subject {
            Subject::Code => self.found.clone(),
            Subject::Coverage if self.is_without_row() => "no row".to_owned(),
            Subject::Coverage => format!("coverage: {}", self.found),
            Subject::Cfa if self.found.starts_with("an ") => format!("the CFA is {}", self.found),
            Subject::Cfa => "the CFA: no register holds a known distance from it".to_owned(),
            Subject::ReturnAddress if self.found == "undefined" => "the frame is marked as the outermost".to_owned(),
            Subject::ReturnAddress => "the return address: in no place that is followed".to_owned(),
            Subject::Register(register) => {
                format!("the caller's {}: in no place that is followed", rows::register_name(register))
            }
            Subject::Header => "the search table".to_owned(),
        }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} (+{:#x}): ", self.address, self.address.wrapping_sub(self.function))?;
        match self.subject {
            Subject::Coverage => f.write_str("coverage")?,
            Subject::Cfa => f.write_str("CFA")?,
            Subject::ReturnAddress => f.write_str("return address")?,
            Subject::Register(register) => f.write_str(rows::register_name(register))?,
            Subject::Code => f.write_str("code")?,
            Subject::Header => f.write_str("header")?,
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

/// Checks every row at every instruction that can be reached in the given functions.
///
/// A table that cannot be read at all is reported as disagreements too: the functions it should
/// describe are then not covered.
pub fn check(checked: &Checked<'_>) -> Report {
    let mut report = Report::default();
    let table = rows::Table::read(checked, &mut report.disagreements);
    let code = machine::Code::new(checked);
    let mut judged = Judged { table: &table, code: &code, verdicts: Vec::new(), parts: BTreeSet::new() };
    let mut starting_within: Vec<&Range<u64>> = Vec::new();
    for function in checked.functions {
        if checked.foreign && table.starts_within_a_frame(function.start, &code).is_some() {
            starting_within.push(function);
        } else {
            judged.judge(function, machine::Start { address: function.start, state: machine::State::on_entry() });
        }
    }
    let undecided = |function: &Range<u64>, found: &str| Disagreement {
        function: function.start,
        address: function.start,
        subject: Subject::Code,
        expected: "a function that is called".to_owned(),
        found: found.to_owned(),
    };
    for function in starting_within {
        // As a part of what branches to it, it has been judged already.
        if judged.parts.contains(&function.start) {
            continue;
        }
        match table.starts_within_a_frame(function.start, &code).and_then(|part| part.start()) {
            Some(start) => {
                report.parts += 1;
                judged.judge(function, start);
            }
            None => {
                report.undecided.push(undecided(function, "starts within a frame, whose row is an expression"));
            }
        }
    }
    for Judgement { function, instructions, mut verdict } in judged.verdicts {
        if judged.parts.contains(&function.start) && !verdict.wrong.is_empty() {
            let found = "other functions branch into it, and its rows are not those of a function that is called";
            report.undecided.push(undecided(&function, found));
            continue;
        }
        report.functions += 1;
        report.instructions += instructions;
        report.disagreements.append(&mut verdict.wrong);
        report.undecided.append(&mut verdict.undecided);
    }
    report
}

/// What was found in a function, and how many of its instructions were looked at.
struct Judgement {
    function: Range<u64>,
    instructions: usize,
    verdict: rows::Verdict,
}

struct Judged<'t, 'a> {
    table: &'t rows::Table,
    code: &'t machine::Code<'a>,
    verdicts: Vec<Judgement>,
    /// Starts of functions that others continue in.
    parts: BTreeSet<u64>,
}

impl Judged<'_, '_> {
    fn judge(&mut self, function: &Range<u64>, start: machine::Start) {
        let mut instructions = 0;
        let mut verdict = rows::Verdict::default();
        let mut lost = Vec::new();
        self.code.follow(
            function,
            start,
            |address, state| {
                instructions += 1;
                self.table.judge(function.start, address, state, &mut verdict);
            },
            |address, reason| {
                lost.push(Disagreement {
                    function: function.start,
                    address,
                    subject: Subject::Code,
                    expected: "code that can be followed".to_owned(),
                    found: reason,
                });
            },
            &mut self.parts,
        );
        verdict.undecided.append(&mut lost);
        self.verdicts.push(Judgement { function: function.clone(), instructions, verdict });
    }
}
