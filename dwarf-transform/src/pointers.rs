//! Pointers for lldb, which reads 8 bytes for every pointer type whatever its size says.
//!
//! - A variable, parameter or result of pointer or reference type keeps such a type, of 8 bytes; its location computes
//!   the zero-extended value, of a reference the address in this process.
//! - A pointer in memory (a member, an element, what a pointer points to) becomes a structure with one member of 4 bytes,
//!   named much as the pointer type would be, with the operators `->`, `*`, a conversion, and an assignment. The first
//!   three are one function in the image, [`POINTER_OPERATOR_SYMBOL`]: it widens the address. With the identity map that
//!   is the address in this process. The last is [`POINTER_ASSIGNMENT_SYMBOL`].

use gimli::constants as c;

/// The function behind all operators of the structures that stand for pointers. The image must have it as a symbol.
pub const POINTER_OPERATOR_SYMBOL: &str = "__wasm_pointer_operator";

/// Its code on x86-64: `mov eax, [rdi]; ret`.
pub const POINTER_OPERATOR_CODE: [u8; 3] = [0x8b, 0x07, 0xc3];

/// The function behind the assignment of a pointer to such a structure. The image must have it as a symbol.
pub const POINTER_ASSIGNMENT_SYMBOL: &str = "__wasm_pointer_assignment";

/// Its code on x86-64: `mov [rdi], esi; mov eax, esi; ret`. It returns the pointer that was assigned.
pub const POINTER_ASSIGNMENT_CODE: [u8; 5] = [0x89, 0x37, 0x89, 0xf0, 0xc3];

/// The name of the one member of a structure that stands for a pointer.
pub const POINTER_MEMBER: &str = "__address";

/// What a type is at its core, after type definitions and qualifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointerKind {
    Pointer,
    Reference,
    /// A pointer to a data member.
    DataMember,
    /// A pointer to a member function.
    Method,
}

/// The kind of pointer that a tag stands for.
pub(crate) fn pointer_kind(tag: gimli::DwTag) -> Option<PointerKind> {
    match tag {
        c::DW_TAG_pointer_type => Some(PointerKind::Pointer),
        c::DW_TAG_reference_type | c::DW_TAG_rvalue_reference_type => Some(PointerKind::Reference),
        _ => None,
    }
}

/// Tags through which a type is looked for.
pub(crate) fn is_transparent(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        c::DW_TAG_typedef
            | c::DW_TAG_const_type
            | c::DW_TAG_volatile_type
            | c::DW_TAG_restrict_type
            | c::DW_TAG_atomic_type
            | c::DW_TAG_immutable_type
    )
}

/// Entries that hold values of their type in a place of their own, not in an object.
pub(crate) fn holds_value(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        c::DW_TAG_variable
            | c::DW_TAG_formal_parameter
            | c::DW_TAG_subprogram
            | c::DW_TAG_subroutine_type
            | c::DW_TAG_template_type_parameter
            | c::DW_TAG_template_value_parameter
            | c::DW_TAG_GNU_template_parameter_pack
    )
}
