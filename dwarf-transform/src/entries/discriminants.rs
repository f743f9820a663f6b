//! Where the discriminants of enums with data lie, for lldb.
//!
//! lldb 19 reads the member that `DW_AT_discr` refers to at the start of the enum, whatever its location says; rustc places it
//! anywhere. A type definition, by its name, tells the helpers of a place other than the start.

use super::UnitFiller;
use crate::options::PointerFlavour;
use crate::scope::Entry;
use crate::tables::{EntryId, Value};
use gimli::constants as c;

/// What the name of the type of a discriminant begins with; the offset in the enum follows.
const DISCRIMINANT_AT: &str = "__wasm_discriminant_at_";

impl UnitFiller<'_, '_, '_> {
    /// Names the place of the discriminant if that is what `entry` is, a child of the entry at `parent`.
    pub(super) fn discriminant(&mut self, entry: &Entry<'_>, parent: u32, id: EntryId) {
        let plan = &self.fill.plan.units[self.position];
        if self.fill.options.flavour != PointerFlavour::Lldb
            || entry.tag() != c::DW_TAG_member
            || plan.entries.get(parent as usize).is_none_or(|parent| parent.tag != c::DW_TAG_variant_part)
        {
            return;
        }
        let location = entry.attr_value(c::DW_AT_data_member_location);
        let Some(offset) = location.and_then(|value| value.udata_value()) else { return };
        let Some(ty) = self.output.value(id, c::DW_AT_type).filter(|_| offset != 0) else { return };
        let root = self.output.root();
        let place = self.output.add(root, c::DW_TAG_typedef);
        let mut definition = self.output.get_mut(place);
        definition.set(c::DW_AT_name, Value::String(format!("{DISCRIMINANT_AT}{offset}").into_bytes()));
        definition.set(c::DW_AT_type, ty);
        self.output.get_mut(id).set(c::DW_AT_type, Value::UnitRef(place));
    }
}
