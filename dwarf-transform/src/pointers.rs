//! Pointers for lldb, which reads 8 bytes for every pointer type whatever its size says.
//!
//! - A variable, parameter or result of pointer or reference type keeps such a type, of 8 bytes; its location computes
//!   the zero-extended value, of a reference the address in this process.
//! - A pointer in memory (a member, an element, what a pointer points to) becomes a structure with one member of 4 bytes,
//!   named much as the pointer type would be, with the operators `->`, `*`, a conversion, and an assignment. The first
//!   three are one function in the image, [`POINTER_OPERATOR_SYMBOL`]: it widens the address. With the identity map that
//!   is the address in this process. The last is [`POINTER_ASSIGNMENT_SYMBOL`].
//! - A reference in memory becomes such a structure, too, which converts to what it refers to, with the operators `&` and, for
//!   scalars, an assignment to that, one of [`REFERENCE_ASSIGNMENTS`].

use gimli::constants as c;

/// The function behind all operators of the structures that stand for pointers. The image must have it as a symbol.
pub const POINTER_OPERATOR_SYMBOL: &str = "__wasm_pointer_operator";

/// Its code on x86-64: `mov eax, [rdi]; ret`.
pub const POINTER_OPERATOR_CODE: [u8; 3] = [0x8b, 0x07, 0xc3];

/// The function behind the assignment of a pointer to such a structure. The image must have it as a symbol.
pub const POINTER_ASSIGNMENT_SYMBOL: &str = "__wasm_pointer_assignment";

/// Its code on x86-64: `mov [rdi], esi; mov eax, esi; ret`. It returns the pointer that was assigned.
pub const POINTER_ASSIGNMENT_CODE: [u8; 5] = [0x89, 0x37, 0x89, 0xf0, 0xc3];

/// The function behind the assignment of a scalar to what such a structure refers to.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceAssignment {
    /// Bytes of the scalar.
    pub size: u64,
    /// The function's name. The image must have it as a symbol.
    pub symbol: &'static str,
    /// Its code on x86-64: `mov eax, [rdi]`, loads the scalar from `[rsi]`, stores it to `[rax]`, `ret`. It returns the reference.
    pub code: &'static [u8],
}

/// Scalars come by reference, so that whole numbers and fractions of one size are assigned alike.
pub const REFERENCE_ASSIGNMENTS: [ReferenceAssignment; 4] = [
    ReferenceAssignment {
        size: 1,
        symbol: "__wasm_reference_assignment_1",
        code: &[0x8b, 0x07, 0x8a, 0x0e, 0x88, 0x08, 0xc3],
    },
    ReferenceAssignment {
        size: 2,
        symbol: "__wasm_reference_assignment_2",
        code: &[0x8b, 0x07, 0x66, 0x8b, 0x0e, 0x66, 0x89, 0x08, 0xc3],
    },
    ReferenceAssignment {
        size: 4,
        symbol: "__wasm_reference_assignment_4",
        code: &[0x8b, 0x07, 0x8b, 0x0e, 0x89, 0x08, 0xc3],
    },
    ReferenceAssignment {
        size: 8,
        symbol: "__wasm_reference_assignment_8",
        code: &[0x8b, 0x07, 0x48, 0x8b, 0x0e, 0x48, 0x89, 0x08, 0xc3],
    },
];

/// The assignment of one such structure to another, which no image has: lldb says so.
pub(crate) const REFERENCE_COPY_SYMBOL: &str = "__wasm_assignment_of_a_reference_to_another";

/// What such a structure converts to beside a pointer to what it points to, by a cast only: they are operators of a base that all of
/// them have. A name with `*` is that of a pointer to the type before it.
pub(crate) const POINTER_CASTS: [&str; 11] = [
    "int",
    "unsigned int",
    "long",
    "unsigned long",
    "long long",
    "unsigned long long",
    "char *",
    "const char *",
    "unsigned char *",
    "int *",
    "unsigned int *",
];

/// The name of that base.
pub(crate) const POINTER_BASE: &str = "__wasm_pointer";

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
