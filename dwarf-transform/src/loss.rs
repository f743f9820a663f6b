//! What could not be said natively: counted by kind, never dropped in silence.

use std::collections::BTreeMap;
use std::fmt;

/// A kind of debug information that could not be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LossKind {
    /// A unit that could not be read: all that it describes is lost.
    MalformedUnit,
    /// A unit's line number program, or the rest of it, could not be read.
    MalformedLines,
    /// An attribute's value could not be read or names something that does not exist.
    MalformedAttribute,
    /// A location or range list that could not be read to its end.
    MalformedList,
    /// A scope or location list after those before it in its unit have named far more native code than a unit of its size does.
    TooManyRanges,
    /// A reference to an entry that does not exist or was dropped.
    DanglingReference,
    /// An operation of an expression that has no native meaning.
    UntranslatableExpression,
    /// An expression that could not be decoded.
    MalformedExpression,
    /// A location names a wasm local that has no home in the frame.
    LocalWithoutHome,
    /// A location names a wasm local for longer than its value is there.
    OverwrittenLocal,
    /// A location names an entry of the wasm operand stack.
    OperandStackLocation,
    /// A location names a wasm global that the module does not have.
    UnknownGlobal,
    /// The value that something had on entry to the function.
    EntryValue,
    /// The object is in a frame that the guest's compiler left out, so that it has no address and no value.
    NoFrame,
    /// Only parts of the object are described, and lldb would show zeros for the others.
    PartialObject,
    /// The location is in thread-local storage.
    ThreadLocal,
    /// A scope (block, inlined subroutine, variable range) of which no native instruction is left.
    OptimizedAway,
    /// A call site whose native call is not known.
    CallSite,
    /// A skeleton unit whose split unit was not found.
    MissingSplitUnit,
    /// An entry of a macro unit that could not be carried over.
    Macros,
    /// A macro unit, or the rest of it, could not be read.
    MalformedMacros,
    /// An attribute form or class that has no place in the output.
    UnsupportedAttribute,
    /// Code addresses of the guest that belong to no function.
    UnknownAddress,
}

impl fmt::Display for LossKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LossKind::MalformedUnit => "malformed unit",
            LossKind::MalformedLines => "malformed line number program",
            LossKind::MalformedAttribute => "malformed attribute",
            LossKind::MalformedList => "malformed location or range list",
            LossKind::TooManyRanges => "scope or list beyond the limit for native ranges",
            LossKind::DanglingReference => "reference to a missing entry",
            LossKind::UntranslatableExpression => "expression without native meaning",
            LossKind::MalformedExpression => "malformed expression",
            LossKind::LocalWithoutHome => "wasm local without a home",
            LossKind::OverwrittenLocal => "wasm local that holds something else by then",
            LossKind::OperandStackLocation => "location on the wasm operand stack",
            LossKind::UnknownGlobal => "unknown wasm global",
            LossKind::EntryValue => "value at function entry",
            LossKind::NoFrame => "location in a frame that the guest does not have",
            LossKind::PartialObject => "object of which only parts are known",
            LossKind::ThreadLocal => "thread-local location",
            LossKind::OptimizedAway => "scope without native code",
            LossKind::CallSite => "call site without a known native call",
            LossKind::MissingSplitUnit => "missing split unit",
            LossKind::Macros => "macro entry",
            LossKind::MalformedMacros => "malformed macro unit",
            LossKind::UnsupportedAttribute => "unsupported attribute",
            LossKind::UnknownAddress => "code address outside every function",
        })
    }
}

/// How often each [`LossKind`] occurred, with the first few places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    counts: BTreeMap<LossKind, u64>,
    examples: BTreeMap<LossKind, Vec<String>>,
    /// How often what was the reason: names of operations and attributes.
    details: BTreeMap<(LossKind, String), u64>,
    dead_functions: u64,
}

/// Examples that are kept of each kind.
const EXAMPLES: usize = 3;

impl Losses {
    /// Counts one more of `kind`; `place` is only asked for the first few.
    pub fn count(&mut self, kind: LossKind, place: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_default() += 1;
        let examples = self.examples.entry(kind).or_default();
        if examples.len() < EXAMPLES {
            examples.push(place());
        }
    }

    /// As [`Losses::count`], and counts `detail` (the name of an operation or attribute) among the reasons.
    pub fn count_detail(&mut self, kind: LossKind, detail: impl fmt::Display, place: impl FnOnce() -> String) {
        self.count(kind, place);
        *self.details.entry((kind, detail.to_string())).or_default() += 1;
    }

    /// `(name of an operation or attribute, count)` of a kind, in the order of the names.
    pub fn details(&self, kind: LossKind) -> impl Iterator<Item = (&str, u64)> {
        self.details.iter().filter(move |detail| detail.0.0 == kind).map(|(key, count)| (key.1.as_str(), *count))
    }

    /// Counts a function that the guest's linker removed. That is no loss, but worth telling apart from one.
    pub fn count_dead_function(&mut self) {
        self.dead_functions += 1;
    }

    /// Functions of the guest's DWARF that have no code in the module.
    #[must_use]
    pub fn dead_functions(&self) -> u64 {
        self.dead_functions
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: Losses) {
        for (kind, count) in other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        for (kind, places) in other.examples {
            let examples = self.examples.entry(kind).or_default();
            examples.extend(places);
            examples.truncate(EXAMPLES);
        }
        for (key, count) in other.details {
            *self.details.entry(key).or_default() += count;
        }
        self.dead_functions += other.dead_functions;
    }

    /// Adds the kinds of `other` that do not occur here: of what both stages read, each counts what is broken.
    pub fn merge_other_kinds(&mut self, mut other: Losses) {
        other.counts.retain(|kind, _| !self.counts.contains_key(kind));
        other.examples.retain(|kind, _| other.counts.contains_key(kind));
        other.details.retain(|(kind, _), _| other.counts.contains_key(kind));
        other.dead_functions = 0;
        self.merge(other);
    }

    /// How often `kind` occurred.
    #[must_use]
    pub fn get(&self, kind: LossKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// `(kind, count, first places)`, in the order of the kinds.
    pub fn iter(&self) -> impl Iterator<Item = (LossKind, u64, &[String])> {
        self.counts.iter().map(|(kind, count)| {
            let places = self.examples.get(kind).map_or(&[][..], Vec::as_slice);
            (*kind, *count, places)
        })
    }
}

impl fmt::Display for Losses {
    /// One line a kind: `3 x expression without native meaning: DW_OP_regx 2, DW_OP_xderef 1 (first: unit 0x0 ...)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count, places) in self.iter() {
            write!(f, "{count} x {kind}")?;
            for (position, (detail, count)) in self.details(kind).enumerate() {
                write!(f, "{} {detail} {count}", if position == 0 { ":" } else { "," })?;
            }
            if let Some(first) = places.first() {
                write!(f, " (first: {first})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
