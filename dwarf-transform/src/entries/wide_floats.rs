//! Floating-point types of 16 bytes, for gdb.
//!
//! They are IEEE 754's binary128 in wasm. gdb reads a `long double` of 16 bytes as its target's, on x86-64 the 80-bit format of
//! the x87, but those whose base type has one of a few other names as binary128. So the guest's type becomes a type
//! definition of its name for a base type with such a name.

use super::{Here, UnitFiller};
use crate::options::PointerFlavour;
use crate::plan::NONE;
use crate::scope::Entry;
use crate::tables::{EntryId, Value};
use gimli::{AttributeValue, DwAt, constants as c};

/// A type of binary128.
#[derive(Clone, Copy)]
pub(super) enum WideFloat {
    Real,
    /// A real and an imaginary part.
    Complex,
}

impl WideFloat {
    /// What a base type with these attributes is, in gdb's flavour.
    fn of<R: gimli::Reader>(attribute: impl Fn(DwAt) -> Option<AttributeValue<R>>) -> Option<WideFloat> {
        let number = |name| attribute(name).and_then(|value| value.udata_value());
        let encoding = match attribute(c::DW_AT_encoding)? {
            AttributeValue::Encoding(encoding) => encoding,
            value => gimli::DwAte(u8::try_from(value.udata_value()?).ok()?),
        };
        match (encoding, number(c::DW_AT_byte_size)?) {
            (c::DW_ATE_float, 16) => Some(WideFloat::Real),
            (c::DW_ATE_complex_float, 32) => Some(WideFloat::Complex),
            _ => None,
        }
    }

    /// The name by which gdb 13 knows the format.
    fn name(self) -> &'static str {
        match self {
            WideFloat::Real => "_Float128",
            WideFloat::Complex => "complex _Float128",
        }
    }
}

impl<'a> UnitFiller<'_, '_, 'a> {
    /// What the base type `entry` is, if gdb would take it for another.
    pub(super) fn wide_float(&self, entry: &Entry<'a>) -> Option<WideFloat> {
        if entry.tag() != c::DW_TAG_base_type || self.fill.options.flavour != PointerFlavour::Gdb {
            return None;
        }
        WideFloat::of(|name| entry.attr_value(name))
    }

    /// The same of the entry at a position of the unit.
    pub(super) fn wide_float_at(&self, position: usize) -> Option<WideFloat> {
        if self.fill.options.flavour != PointerFlavour::Gdb {
            return None;
        }
        WideFloat::of(|name| self.attribute_of(self.position, position, name))
    }

    /// Makes the entry `id` a type definition, with the name that the guest's base type has.
    pub(super) fn define_wide_float(&mut self, entry: &Entry<'a>, id: EntryId, float: WideFloat) {
        let root = self.output.root();
        let base = self.output.add(root, c::DW_TAG_base_type);
        let (encoding, size) = match float {
            WideFloat::Real => (c::DW_ATE_float, 16),
            WideFloat::Complex => (c::DW_ATE_complex_float, 32),
        };
        let mut ty = self.output.get_mut(base);
        ty.set(c::DW_AT_name, Value::String(float.name().into()));
        ty.set(c::DW_AT_encoding, Value::Udata(encoding.0.into()));
        ty.set(c::DW_AT_byte_size, Value::Udata(size));
        self.output.get_mut(id).set(c::DW_AT_type, Value::UnitRef(base));
        if let Some(name) = entry.attr(c::DW_AT_name) {
            let tag = c::DW_TAG_typedef;
            let here = Here { id, tag, function: NONE, base: None, codeless: false, pointer: None };
            self.attribute(entry, here, name);
        }
    }
}
