//! Pointers to members.
//!
//! A pointer to a data member is an offset of 4 bytes, where both debuggers read 8, whatever its size says. One to a member
//! function is an index of table 0 and twice the adjustment of `this`, whose lowest bit marks a virtual function; then the first
//! word is the function's place in the virtual table ("ARM's variant" of the Itanium C++ ABI, 2.3). On x86-64 the mark is in
//! the first word, so that debuggers take an odd index for a virtual function.
//!
//! So both become structures that say what is there. A variable of the first kind keeps its type, of 8 bytes, and its location
//! computes the value.

use super::UnitFiller;
use crate::pointers::PointerKind;
use crate::tables::{EntryId, Value};
use gimli::constants as c;

/// The members of the structures. The helpers of both debuggers know them by these names.
const OFFSET: &str = "__member_offset";
const FUNCTION: &str = "__member_function";
const ADJUSTMENT: &str = "__this_adjustment";

impl UnitFiller<'_, '_, '_> {
    /// The kind of a pointer to a member that becomes a structure.
    pub(super) fn member_pointer(&self, position: usize) -> Option<PointerKind> {
        let is_function = match self.fill.plan.units[self.position].entries[position].tag {
            c::DW_TAG_ptr_to_member_type => self.is_to_function(self.position, position)?,
            _ => return None,
        };
        match is_function {
            true => Some(PointerKind::Method),
            false => (!self.fill.input.guest.memory64).then_some(PointerKind::DataMember),
        }
    }

    pub(super) fn is_to_function(&self, unit: usize, position: usize) -> Option<bool> {
        let to = self.target(unit, self.attribute_of(unit, position, c::DW_AT_type)?)?;
        Some(self.fill.plan.units[to.0].entries[to.1].tag == c::DW_TAG_subroutine_type)
    }

    /// Makes the entry `id` the structure that stands for the pointer to a member at `position`.
    pub(super) fn member_pointer_structure(&mut self, position: usize, id: EntryId, kind: PointerKind) {
        let word: u64 = if self.fill.input.guest.memory64 { 8 } else { 4 };
        let name = self.type_name(self.position, position, 0);
        let words = if kind == PointerKind::Method { 2 } else { 1 };
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(name.into_bytes()));
        entry.set(c::DW_AT_byte_size, Value::Udata(words * word));
        let number = self.signed_word(word);
        if kind == PointerKind::Method {
            let function = self.table_index(position, word);
            self.structure_member(id, FUNCTION, function, 0);
            self.structure_member(id, ADJUSTMENT, number, word);
        } else {
            self.structure_member(id, OFFSET, number, 0);
        }
    }

    fn signed_word(&mut self, size: u64) -> EntryId {
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_base_type);
        let mut base = self.output.get_mut(id);
        base.set(c::DW_AT_name, Value::String(b"__wasm_offset".to_vec()));
        base.set(c::DW_AT_encoding, Value::Udata(c::DW_ATE_signed.0.into()));
        base.set(c::DW_AT_byte_size, Value::Udata(size));
        id
    }

    /// The type of a table index: a pointer to the function, but for lldb, which would read the host's width.
    fn table_index(&mut self, position: usize, size: u64) -> EntryId {
        let pointee = self.pointee((self.position, position)).filter(|_| !self.narrow_pointers());
        let root = self.output.root();
        let Some(pointee) = pointee else { return self.signed_word(size) };
        let id = self.output.add(root, c::DW_TAG_pointer_type);
        let mut pointer = self.output.get_mut(id);
        pointer.set(c::DW_AT_byte_size, Value::Udata(size));
        pointer.set(c::DW_AT_type, pointee);
        id
    }

    fn structure_member(&mut self, structure: EntryId, name: &str, type_: EntryId, offset: u64) {
        let member = self.output.add(structure, c::DW_TAG_member);
        let mut entry = self.output.get_mut(member);
        entry.set(c::DW_AT_name, Value::String(name.as_bytes().to_vec()));
        entry.set(c::DW_AT_type, Value::UnitRef(type_));
        entry.set(c::DW_AT_data_member_location, Value::Udata(offset));
    }
}
