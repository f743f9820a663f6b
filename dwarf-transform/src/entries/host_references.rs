//! The types of references to host values and functions, and variables that have them.

use super::UnitFiller;
use crate::expression::Failure;
use crate::guest_dwarf::Slice;
use crate::host_reference::{ExternRefField, FuncRefField, HostReference, misplaced_local};
use crate::scope::Entry;
use crate::tables::{EntryId, Expression, Value};
use gimli::{AttributeValue, constants as c};

impl<'a> UnitFiller<'_, '_, 'a> {
    /// Makes the entry `id` a pointer to the structure of the host's that a reference leads to.
    pub(super) fn host_reference(&mut self, reference: HostReference, id: EntryId) {
        let root = self.output.root();
        let structure = self.output.add(root, c::DW_TAG_structure_type);
        match reference {
            HostReference::Extern => {
                self.named(structure, "VMExternRef", 32);
                let number = self.output.add(root, c::DW_TAG_base_type);
                self.named(number, "unsigned long", 8);
                self.output.get_mut(number).set(c::DW_AT_encoding, Value::Udata(c::DW_ATE_unsigned.0.into()));
                let store = self.pointer_to(c::DW_TAG_pointer_type, None);
                for field in ExternRefField::ALL {
                    let ty = match field {
                        ExternRefField::Count | ExternRefField::Owned => number,
                        ExternRefField::Owner | ExternRefField::Listed => store,
                    };
                    self.host_field(structure, field.name(), field.offset(), ty);
                }
            }
            HostReference::Func => {
                self.named(structure, "VMFuncRef", 16);
                let function = self.output.add(root, c::DW_TAG_subroutine_type);
                let code = self.pointer_to(c::DW_TAG_pointer_type, Some(Value::UnitRef(function)));
                let context = self.pointer_to(c::DW_TAG_pointer_type, None);
                for field in FuncRefField::ALL {
                    let ty = match field {
                        FuncRefField::Code => code,
                        FuncRefField::Context => context,
                    };
                    self.host_field(structure, field.name(), field.offset(), ty);
                }
            }
        }
        let mut pointer = self.output.get_mut(id);
        pointer.set(c::DW_AT_byte_size, Value::Udata(8));
        pointer.set(c::DW_AT_type, Value::UnitRef(structure));
    }

    fn named(&mut self, id: EntryId, name: &str, size: u64) {
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(name.into()));
        entry.set(c::DW_AT_byte_size, Value::Udata(size));
    }

    fn host_field(&mut self, structure: EntryId, name: &str, offset: u32, ty: EntryId) {
        let field = self.output.add(structure, c::DW_TAG_member);
        let mut entry = self.output.get_mut(field);
        entry.set(c::DW_AT_name, Value::String(name.into()));
        entry.set(c::DW_AT_type, Value::UnitRef(ty));
        entry.set(c::DW_AT_data_member_location, Value::Udata(u64::from(offset)));
    }

    /// The location of a reference that the guest's compiler has described as if it were in memory.
    pub(super) fn misplaced_reference(
        &self,
        variable: &Entry<'a>,
        function: u32,
        location: AttributeValue<Slice<'a>>,
    ) -> Option<Result<Expression, Failure>> {
        let AttributeValue::Exprloc(location) = location else { return None };
        let input = self.fill.input;
        let guest = input.guest.functions.get(function as usize)?;
        if !input.index.has_references(function as usize) {
            return None;
        }
        let local = misplaced_local(input.dwarf, self.unit, guest, variable, location)?;
        Some(self.context(function, None).local_value(local))
    }
}
