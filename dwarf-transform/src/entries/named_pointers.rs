//! Pointer types that the guest's debug info does not have, for casts at the prompt.
//!
//! gdb makes the type `T *` of a cast, or of `&x`, itself unless it has read a pointer type to `T`, and gives it the width of the host's
//! pointers. So each unit gets a pointer type to each type that can be named or that an object can have, where it lacks one,
//! `char` and `void` included; in C and C++ a pointer to that, too (`(T **) p`), and one to the constant type (`(const T *) p`). gdb reads
//! them because they are the types of the members of a structure without a name.
//!
//! The types that C spells by keywords (`int *`, `unsigned *`) are out of reach: gdb takes its own for the host, whatever
//! the debug info has.

use super::UnitFiller;
use crate::guest_dwarf::Slice;
use crate::options::PointerFlavour;
use crate::tables::{EntryId, Value};
use gimli::{AttributeValue, constants as c};
use std::collections::HashSet;

/// The types of a unit.
#[derive(Default)]
struct Types {
    /// Those that a cast can name, by more than a pointer to something else.
    named: Vec<EntryId>,
    /// Of these, what the program itself defines and no template makes.
    defined: Vec<EntryId>,
    /// Others that objects can have.
    others: Vec<EntryId>,
    has_char: bool,
    /// Those that have a pointer type.
    pointed: HashSet<EntryId>,
    /// Those that have a constant type; `None` is `void`.
    constant: HashSet<Option<EntryId>>,
}

impl<'a> UnitFiller<'_, '_, 'a> {
    /// Adds what the unit lacks.
    pub(super) fn named_pointers(&mut self) {
        let options = self.fill.options;
        if !options.named_pointers
            || options.lines_only
            || options.flavour != PointerFlavour::Gdb
            || self.fill.input.guest.memory64
            || self.fill.plan.units[self.position].functions.is_empty()
        {
            return;
        }
        let Types { mut named, defined, others, has_char, mut pointed, constant } = self.types();
        let root = self.output.root();
        let is_c_family = self.is_c_family();
        if is_c_family && !has_char {
            named.push(self.character());
        }
        let holder = self.output.add(root, c::DW_TAG_structure_type);
        self.output.get_mut(holder).set(c::DW_AT_byte_size, Value::Udata(4));
        if is_c_family {
            self.void();
            // What has no type leads to the `void` that gdb has for all of the object, as `void` at the prompt is, whatever an entry for it says.
            let pointer = self.guest_pointer(None);
            let last = self.guest_pointer(Some(pointer));
            self.hold(holder, last);
            // gdb would make the constant type of a cast, and the pointer to it, itself. Constant types of the unit are among `others`.
            for target in std::iter::once(None).chain(defined.into_iter().map(Some)) {
                if !constant.contains(&target) {
                    let constant = self.constant(target);
                    let pointer = self.guest_pointer(Some(constant));
                    self.hold(holder, pointer);
                }
            }
        }
        let named = named.into_iter().map(|target| (target, is_c_family));
        for (target, twice) in named.chain(others.into_iter().map(|target| (target, false))) {
            if pointed.insert(target) {
                let pointer = self.guest_pointer(Some(target));
                let last = if twice { self.guest_pointer(Some(pointer)) } else { pointer };
                self.hold(holder, last);
            }
        }
    }

    /// Lets gdb read a type: that of a member.
    fn hold(&mut self, holder: EntryId, ty: EntryId) {
        let member = self.output.add(holder, c::DW_TAG_member);
        self.output.get_mut(member).set(c::DW_AT_type, Value::UnitRef(ty));
    }

    fn types(&self) -> Types {
        let plan = &self.fill.plan.units[self.position];
        let mut types = Types::default();
        for (index, entry) in plan.entries.iter().enumerate() {
            let Some(id) = entry.id else { continue };
            let attribute = |name| self.attribute_of(self.position, index, name);
            match entry.tag {
                c::DW_TAG_base_type => {
                    types.named.push(id);
                    if let Some(name) = attribute(c::DW_AT_name)
                        && let Ok(name) = self.fill.input.dwarf.sections(self.unit).attr_string(self.unit, name)
                    {
                        types.has_char |= name.slice() == b"char";
                    }
                }
                c::DW_TAG_array_type | c::DW_TAG_volatile_type => types.others.push(id),
                c::DW_TAG_const_type => {
                    types.others.push(id);
                    match attribute(c::DW_AT_type) {
                        None => types.constant.extend([None]),
                        Some(ty) => types.constant.extend(self.entry_of_unit(ty).map(Some)),
                    }
                }
                // The members of classes that are type definitions are many, and hardly ever cast to.
                c::DW_TAG_typedef if is_class(plan.entries[entry.parent as usize].tag) => {}
                c::DW_TAG_structure_type
                | c::DW_TAG_class_type
                | c::DW_TAG_union_type
                | c::DW_TAG_enumeration_type
                | c::DW_TAG_typedef
                    if attribute(c::DW_AT_declaration).is_none() =>
                {
                    match attribute(c::DW_AT_name) {
                        None => types.others.push(id),
                        Some(name) => {
                            types.named.push(id);
                            let name = self.fill.input.dwarf.sections(self.unit).attr_string(self.unit, name);
                            if name.is_ok_and(|name| !name.slice().contains(&b'<')) {
                                types.defined.push(id);
                            }
                        }
                    }
                }
                c::DW_TAG_pointer_type => {
                    types.others.push(id);
                    let target = attribute(c::DW_AT_type).and_then(|ty| self.target(self.position, ty));
                    if let Some((unit, target)) = target
                        && unit == self.position
                        && !self.has_part(target)
                    {
                        types.pointed.extend(plan.entries[target].id);
                    }
                }
                _ => {}
            }
        }
        types
    }

    /// The entry of this unit that an attribute refers to.
    fn entry_of_unit(&self, ty: AttributeValue<Slice<'a>>) -> Option<EntryId> {
        let (unit, target) = self.target(self.position, ty)?;
        if unit == self.position { self.fill.plan.units[unit].entries[target].id } else { None }
    }

    fn is_c_family(&self) -> bool {
        let Some(AttributeValue::Language(language)) = self.attribute_of(self.position, 0, c::DW_AT_language) else {
            return false;
        };
        matches!(
            language,
            c::DW_LANG_C
                | c::DW_LANG_C89
                | c::DW_LANG_C99
                | c::DW_LANG_C11
                | c::DW_LANG_C17
                | c::DW_LANG_C_plus_plus
                | c::DW_LANG_C_plus_plus_03
                | c::DW_LANG_C_plus_plus_11
                | c::DW_LANG_C_plus_plus_14
                | c::DW_LANG_C_plus_plus_17
                | c::DW_LANG_C_plus_plus_20
        )
    }

    fn character(&mut self) -> EntryId {
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_base_type);
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(b"char".to_vec()));
        entry.set(c::DW_AT_encoding, Value::Udata(c::DW_ATE_signed_char.0.into()));
        entry.set(c::DW_AT_byte_size, Value::Udata(1));
        id
    }

    fn void(&mut self) {
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_unspecified_type);
        self.output.get_mut(id).set(c::DW_AT_name, Value::String(b"void".to_vec()));
    }

    /// The constant type of a type; of `void` without one.
    fn constant(&mut self, target: Option<EntryId>) -> EntryId {
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_const_type);
        if let Some(target) = target {
            self.output.get_mut(id).set(c::DW_AT_type, Value::UnitRef(target));
        }
        id
    }

    /// A pointer to a type; to `void` without one.
    fn guest_pointer(&mut self, target: Option<EntryId>) -> EntryId {
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_pointer_type);
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_byte_size, Value::Udata(4));
        if let Some(target) = target {
            entry.set(c::DW_AT_type, Value::UnitRef(target));
        }
        id
    }
}

fn is_class(tag: gimli::DwTag) -> bool {
    matches!(tag, c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type)
}
