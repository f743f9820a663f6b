//! Variables of the types `externref` and `funcref`, whose values are pointers of the host's.
//!
//! DWARF has no types for them. clang declares a structure `externref_t`, in no file, that is never defined; a structure
//! `funcref_t` of that form stands for `funcref` here. In the output each is a pointer to a structure of the host's, which
//! debuggers follow as any other of 8 bytes.

use crate::address::ValType;
use crate::expression::GuestExpression;
use crate::guest::GuestFunction;
use crate::guest_dwarf::{GuestDwarf, Unit};
use crate::pointers::is_transparent;
use crate::scope::Entry;
use gimli::{AttributeValue, Operation, constants as c};

/// The name of the undefined structure that stands for `externref` in the guest's DWARF, as clang has it.
pub const EXTERNREF_STRUCTURE: &str = "externref_t";
/// The same for `funcref`.
pub const FUNCREF_STRUCTURE: &str = "funcref_t";

/// The words at the head of a host value, which an `externref` points to.
///
/// The value has `count + owned - (owned > 0)` references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternRefField {
    /// References that no store owns, and one for all that `Owned` counts.
    Count,
    /// The store that counts in `Owned`, or 0.
    Owner,
    /// References of that store.
    Owned,
    /// The owner, if its activations table has the value, or 0.
    Listed,
}

impl ExternRefField {
    /// All, in their order.
    pub const ALL: [ExternRefField; 4] =
        [ExternRefField::Count, ExternRefField::Owner, ExternRefField::Owned, ExternRefField::Listed];

    /// Its name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ExternRefField::Count => "count",
            ExternRefField::Owner => "owner",
            ExternRefField::Owned => "owned",
            ExternRefField::Listed => "listed",
        }
    }

    /// Bytes before it.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self as u32 * 8
    }
}

/// The first words of what a `funcref` points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FuncRefField {
    /// The function's code.
    Code,
    /// The instance (or the host function) that it belongs to.
    Context,
}

impl FuncRefField {
    /// All, in their order.
    pub const ALL: [FuncRefField; 2] = [FuncRefField::Code, FuncRefField::Context];

    /// Its name in the output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            FuncRefField::Code => "code",
            FuncRefField::Context => "context",
        }
    }

    /// Bytes before it.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self as u32 * 8
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostReference {
    Extern,
    Func,
}

impl HostReference {
    /// The type that an entry stands for, if it is one of the structures without a definition.
    ///
    /// A structure of the guest's own by that name is declared somewhere, and so has a file.
    pub(crate) fn declared<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<HostReference> {
        if entry.tag() != c::DW_TAG_structure_type
            || entry.attr(c::DW_AT_declaration).is_none()
            || entry.attr(c::DW_AT_decl_file).is_some()
        {
            return None;
        }
        let name = dwarf.sections(unit).attr_string(unit, entry.attr_value(c::DW_AT_name)?).ok()?;
        match name.slice() {
            name if name == EXTERNREF_STRUCTURE.as_bytes() => Some(HostReference::Extern),
            name if name == FUNCREF_STRUCTURE.as_bytes() => Some(HostReference::Func),
            _ => None,
        }
    }

    /// The same for the type of a variable.
    fn of_variable<'a>(dwarf: &GuestDwarf<'a>, unit: &Unit<'a>, variable: &Entry<'a>) -> Option<HostReference> {
        let mut entry = variable.clone();
        for _ in 0..MAX_CHAIN {
            let next = entry.attr_value(c::DW_AT_type).or_else(|| entry.attr_value(c::DW_AT_abstract_origin))?;
            let AttributeValue::UnitRef(offset) = next else { return None };
            entry = unit.entry(offset).ok()?;
            if entry.tag() == c::DW_TAG_structure_type {
                return HostReference::declared(dwarf, unit, &entry);
            }
            if !is_transparent(entry.tag()) && entry.attr(c::DW_AT_type).is_none() {
                return None;
            }
        }
        None
    }
}

/// Type definitions, qualifiers and origins that are followed in a row.
const MAX_CHAIN: usize = 32;
/// Frames of the guest's are multiples of this.
const FRAME_ALIGNMENT: u64 = 16;

/// The local in which a variable of type `externref` is that the guest's debug info says to be on the stack.
///
/// Without optimization, LLVM gives such a variable a wasm local for its place, puts that local's index where other
/// variables have the offset in the frame, and then describes all alike (LLVM 19): `DW_OP_fbreg` frame size + local, or
/// `DW_OP_plus_uconst` local where there is no frame. The first locals after the parameters are used for this, so it is
/// the first that holds a reference and fits.
pub(crate) fn misplaced_local<'a>(
    dwarf: &GuestDwarf<'a>,
    unit: &Unit<'a>,
    function: &GuestFunction,
    variable: &Entry<'a>,
    location: GuestExpression<'a>,
) -> Option<u32> {
    let mut operations = location.operations(unit.encoding());
    let (offset, step) = match (operations.next().ok()??, operations.next().ok()?) {
        (Operation::FrameOffset { offset }, None) => (u64::try_from(offset).ok()?, FRAME_ALIGNMENT),
        (Operation::PlusConstant { value }, None) => (value, u64::MAX),
        _ => return None,
    };
    if HostReference::of_variable(dwarf, unit, variable) != Some(HostReference::Extern) {
        return None;
    }
    let fits = |local: &u64| *local <= offset && (offset - local).is_multiple_of(step);
    let mut locals = function.locals.iter().zip(0..).filter(|(ty, _)| **ty == ValType::Ref).map(|(_, local)| local);
    locals.find(fits).and_then(|local| u32::try_from(local).ok())
}
