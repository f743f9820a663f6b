//! Pointer types of the guest's width, for the debugger that the output is made for.

use super::results::is_record;
use super::{MAX_TYPE_CHAIN, UnitFiller};
use crate::guest_dwarf::Slice;
use crate::options::PointerFlavour;
use crate::pointers::{
    POINTER_ASSIGNMENT_SYMBOL, POINTER_BASE, POINTER_CASTS, POINTER_MEMBER, POINTER_OPERATOR_SYMBOL, PointerKind,
    REFERENCE_ASSIGNMENTS, REFERENCE_COPY_SYMBOL, is_transparent, pointer_kind,
};
use crate::scope::Entry;
use crate::tables::{EntryId, Value};
use gimli::{AttributeValue, constants as c};

/// What a reference refers to, as far as its operators differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Referent {
    /// Of so many bytes, and not constant.
    Scalar(u64),
    Record,
    Pointer,
    Function,
}

impl<'a> UnitFiller<'_, '_, 'a> {
    /// lldb's flavour, with pointers that are narrower than lldb's.
    pub(super) fn narrow_pointers(&self) -> bool {
        self.fill.options.flavour == PointerFlavour::Lldb && !self.fill.input.guest.memory64
    }

    pub(super) fn is_pointer_structure(&self, tag: gimli::DwTag) -> bool {
        self.narrow_pointers() && pointer_kind(tag).is_some()
    }

    /// The type of a value outside of objects: a wide pointer or reference.
    pub(super) fn wide_type(&mut self, value: AttributeValue<Slice<'a>>) -> Option<Value> {
        let wanted = self.narrow_pointers() || self.fill.plan.has_member_pointers;
        if !wanted || self.fill.input.guest.memory64 {
            return None;
        }
        let (found, kind) = self.pointer_type(self.position, value)?;
        if kind == PointerKind::Method || !self.narrow_pointers() && kind != PointerKind::DataMember {
            return None;
        }
        if found.0 != self.position {
            return None;
        }
        Some(Value::UnitRef(self.wide_pointer(found.1)))
    }

    /// A pointer (or reference) type of lldb's width to what the guest's one at `position` points to.
    fn wide_pointer(&mut self, position: usize) -> EntryId {
        if let Some(id) = self.wide_pointers.get(&position) {
            return *id;
        }
        let root = self.output.root();
        let id = self.output.add(root, self.fill.plan.units[self.position].entries[position].tag);
        self.wide_pointers.insert(position, id);
        self.output.get_mut(id).set(c::DW_AT_byte_size, Value::Udata(8));
        if let Some(pointee) = self.pointee((self.position, position)) {
            self.output.get_mut(id).set(c::DW_AT_type, pointee);
        }
        // Of a pointer to a member.
        if let Some(class) = self.attribute_of(self.position, position, c::DW_AT_containing_type)
            && let Some(class) = self.target(self.position, class).filter(|class| class.0 == self.position)
            && let Some(class) = self.fill.plan.units[class.0].entries[class.1].id
        {
            self.output.get_mut(id).set(c::DW_AT_containing_type, Value::UnitRef(class));
        }
        id
    }

    /// Makes the entry `id` the structure that stands for the pointer type at `position` in memory.
    pub(super) fn pointer_structure(&mut self, position: usize, id: EntryId) {
        let plan = &self.fill.plan.units[self.position];
        let kind = pointer_kind(plan.entries[position].tag);
        let identity = self.unit.place_in_file(plan.entries[position].offset);
        // Not quite the name of the real pointer type: lldb keeps formatters by name, and these need others.
        let name = self.type_name(self.position, position, 0);
        let name = match name.rsplit_once(' ') {
            Some((pointee, mark)) if ["*", "&", "&&"].contains(&mark) => pointee.to_owned() + mark,
            _ => name,
        };
        let root = self.output.root();
        let address_type = match self.address_type {
            Some(id) => id,
            None => {
                let id = self.output.add(root, c::DW_TAG_base_type);
                let mut base = self.output.get_mut(id);
                base.set(c::DW_AT_name, Value::String(b"__wasm_address".to_vec()));
                base.set(c::DW_AT_encoding, Value::Udata(c::DW_ATE_unsigned.0.into()));
                base.set(c::DW_AT_byte_size, Value::Udata(4));
                self.address_type = Some(id);
                id
            }
        };
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(name.into_bytes()));
        entry.set(c::DW_AT_byte_size, Value::Udata(4));
        // lldb takes structures of one name, size and declaration for one type. But a name does not tell what a pointer leads to:
        // `Node *` of two classes, functions, structures without a name.
        entry.set(c::DW_AT_decl_line, Value::Udata(identity));
        let member = self.output.add(id, c::DW_TAG_member);
        let mut entry = self.output.get_mut(member);
        entry.set(c::DW_AT_name, Value::String(POINTER_MEMBER.as_bytes().to_vec()));
        entry.set(c::DW_AT_type, Value::UnitRef(address_type));
        entry.set(c::DW_AT_data_member_location, Value::Udata(0));
        let constant = self.output.add(root, c::DW_TAG_const_type);
        self.output.get_mut(constant).set(c::DW_AT_type, Value::UnitRef(id));
        let this = self.pointer_to(c::DW_TAG_pointer_type, Some(Value::UnitRef(constant)));

        if kind == Some(PointerKind::Reference) {
            self.reference_operators(position, id, this);
            return;
        }
        let base = self.pointer_base();
        let inheritance = self.output.add(id, c::DW_TAG_inheritance);
        let mut entry = self.output.get_mut(inheritance);
        entry.set(c::DW_AT_type, Value::UnitRef(base));
        entry.set(c::DW_AT_data_member_location, Value::Udata(0));
        let wide = self.wide_pointer(position);
        self.pointer_operator(id, this, "operator ".to_owned() + &self.pointer_name(position), wide);
        self.pointer_assignment(id, wide);
        if let Some(pointee) = self.pointee((self.position, position)) {
            self.pointer_operator(id, this, "operator->".to_owned(), wide);
            let reference = self.pointer_to(c::DW_TAG_reference_type, Some(pointee));
            self.pointer_operator(id, this, "operator*".to_owned(), reference);
        }
    }

    /// The base of the structures that stand for pointers, with what any pointer can be cast to.
    fn pointer_base(&mut self) -> EntryId {
        if let Some(id) = self.pointer_base {
            return id;
        }
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_structure_type);
        self.pointer_base = Some(id);
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(POINTER_BASE.as_bytes().to_vec()));
        // As that of a class without members.
        entry.set(c::DW_AT_byte_size, Value::Udata(1));
        let constant = self.output.add(root, c::DW_TAG_const_type);
        self.output.get_mut(constant).set(c::DW_AT_type, Value::UnitRef(id));
        let this = self.pointer_to(c::DW_TAG_pointer_type, Some(Value::UnitRef(constant)));
        for cast in POINTER_CASTS {
            let pointee = cast.strip_suffix(" *");
            let name = pointee.unwrap_or(cast);
            let unqualified = name.strip_prefix("const ").unwrap_or(name);
            let mut ty = self.host_number(unqualified);
            if unqualified != name {
                let constant = self.output.add(root, c::DW_TAG_const_type);
                self.output.get_mut(constant).set(c::DW_AT_type, Value::UnitRef(ty));
                ty = constant;
            }
            if pointee.is_some() {
                ty = self.pointer_to(c::DW_TAG_pointer_type, Some(Value::UnitRef(ty)));
            }
            let operator = self.member_function(id, this, "operator ".to_owned() + cast, POINTER_OPERATOR_SYMBOL);
            let mut entry = self.output.get_mut(operator);
            entry.set(c::DW_AT_type, Value::UnitRef(ty));
            entry.set(c::DW_AT_explicit, Value::FlagPresent);
        }
        id
    }

    /// A whole number as the host has it, by its name in C.
    fn host_number(&mut self, name: &str) -> EntryId {
        let (encoding, size) = match name {
            "char" => (c::DW_ATE_signed_char, 1),
            "unsigned char" => (c::DW_ATE_unsigned_char, 1),
            "int" => (c::DW_ATE_signed, 4),
            "unsigned int" => (c::DW_ATE_unsigned, 4),
            name if name.starts_with("unsigned") => (c::DW_ATE_unsigned, 8),
            _ => (c::DW_ATE_signed, 8),
        };
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_base_type);
        let mut base = self.output.get_mut(id);
        base.set(c::DW_AT_name, Value::String(name.as_bytes().to_vec()));
        base.set(c::DW_AT_encoding, Value::Udata(encoding.0.into()));
        base.set(c::DW_AT_byte_size, Value::Udata(size));
        id
    }

    /// The operators of the structure that stands for a reference: it converts to what is referred to, `&` takes its address, and
    /// scalars can be assigned. There is no operator for the dot, but lldb tries `->` in its place where that exists.
    fn reference_operators(&mut self, position: usize, id: EntryId, this: EntryId) {
        let Some(pointee) = self.pointee((self.position, position)) else { return };
        let referent = self.referent(position);
        let reference = self.pointer_to(c::DW_TAG_reference_type, Some(pointee.clone()));
        let pointer = self.pointer_to(c::DW_TAG_pointer_type, Some(pointee.clone()));
        // A function would be called through it, at an address that is an index.
        if referent != Some(Referent::Function) {
            self.pointer_operator(id, this, "operator ".to_owned() + &self.reference_name(position), reference);
        }
        self.pointer_operator(id, this, "operator&".to_owned(), pointer);
        match referent {
            Some(Referent::Record) => self.pointer_operator(id, this, "operator->".to_owned(), pointer),
            // The structure of the pointer has the operator that goes on.
            Some(Referent::Pointer) => self.pointer_operator(id, this, "operator->".to_owned(), reference),
            Some(Referent::Scalar(size)) => {
                if let Some(assignment) = REFERENCE_ASSIGNMENTS.iter().find(|it| it.size == size) {
                    let root = self.output.root();
                    let constant = self.output.add(root, c::DW_TAG_const_type);
                    self.output.get_mut(constant).set(c::DW_AT_type, pointee);
                    let value = self.pointer_to(c::DW_TAG_reference_type, Some(Value::UnitRef(constant)));
                    self.assignment(id, value, reference, assignment.symbol);
                }
            }
            _ => {}
        }
        // Else it would be made to refer to something else.
        let same = self.pointer_to(c::DW_TAG_reference_type, Some(Value::UnitRef(id)));
        self.assignment(id, same, reference, REFERENCE_COPY_SYMBOL);
    }

    /// What a reference refers to.
    fn referent(&self, position: usize) -> Option<Referent> {
        let (mut unit, mut entry) = (self.position, position);
        let mut is_constant = false;
        for _ in 0..MAX_TYPE_CHAIN {
            (unit, entry) = self.target(unit, self.attribute_of(unit, entry, c::DW_AT_type)?)?;
            match self.fill.plan.units[unit].entries[entry].tag {
                c::DW_TAG_base_type | c::DW_TAG_enumeration_type if is_constant => return None,
                c::DW_TAG_base_type | c::DW_TAG_enumeration_type => {
                    return Some(Referent::Scalar(self.attribute_of(unit, entry, c::DW_AT_byte_size)?.udata_value()?));
                }
                c::DW_TAG_subroutine_type => return Some(Referent::Function),
                tag if pointer_kind(tag).is_some() => return Some(Referent::Pointer),
                tag if is_record(tag) => return Some(Referent::Record),
                tag if is_transparent(tag) => is_constant |= tag == c::DW_TAG_const_type,
                _ => return None,
            }
        }
        None
    }

    /// An operator of the pointer structure that takes nothing but the object, which `this` points to.
    fn pointer_operator(&mut self, structure: EntryId, this: EntryId, name: String, result: EntryId) {
        let operator = self.member_function(structure, this, name, POINTER_OPERATOR_SYMBOL);
        self.output.get_mut(operator).set(c::DW_AT_type, Value::UnitRef(result));
    }

    /// `T *operator=(T *)`.
    fn pointer_assignment(&mut self, structure: EntryId, wide: EntryId) {
        self.assignment(structure, wide, wide, POINTER_ASSIGNMENT_SYMBOL);
    }

    fn assignment(&mut self, structure: EntryId, value: EntryId, result: EntryId, symbol: &str) {
        let this = self.pointer_to(c::DW_TAG_pointer_type, Some(Value::UnitRef(structure)));
        let operator = self.member_function(structure, this, "operator=".to_owned(), symbol);
        self.output.get_mut(operator).set(c::DW_AT_type, Value::UnitRef(result));
        let parameter = self.output.add(operator, c::DW_TAG_formal_parameter);
        self.output.get_mut(parameter).set(c::DW_AT_type, Value::UnitRef(value));
    }

    fn member_function(&mut self, structure: EntryId, this: EntryId, name: String, symbol: &str) -> EntryId {
        let function = self.output.add(structure, c::DW_TAG_subprogram);
        let object = self.output.add(function, c::DW_TAG_formal_parameter);
        let mut entry = self.output.get_mut(object);
        entry.set(c::DW_AT_type, Value::UnitRef(this));
        entry.set(c::DW_AT_artificial, Value::FlagPresent);
        let mut entry = self.output.get_mut(function);
        entry.set(c::DW_AT_name, Value::String(name.into_bytes()));
        entry.set(c::DW_AT_linkage_name, Value::String(symbol.as_bytes().to_vec()));
        entry.set(c::DW_AT_declaration, Value::FlagPresent);
        entry.set(c::DW_AT_external, Value::FlagPresent);
        entry.set(c::DW_AT_object_pointer, Value::UnitRef(object));
        function
    }

    pub(super) fn pointer_to(&mut self, tag: gimli::DwTag, pointee: Option<Value>) -> EntryId {
        let root = self.output.root();
        let id = self.output.add(root, tag);
        self.output.get_mut(id).set(c::DW_AT_byte_size, Value::Udata(8));
        if let Some(pointee) = pointee {
            self.output.get_mut(id).set(c::DW_AT_type, pointee);
        }
        id
    }

    /// `T *` for the pointer type at `position`.
    fn pointer_name(&self, position: usize) -> String {
        self.pointee_name(position) + " *"
    }

    /// `T &` for the reference type at `position`.
    fn reference_name(&self, position: usize) -> String {
        self.pointee_name(position) + " &"
    }

    fn pointee_name(&self, position: usize) -> String {
        match self.attribute_of(self.position, position, c::DW_AT_type).and_then(|ty| self.target(self.position, ty)) {
            Some((unit, entry)) => self.type_name(unit, entry, 1),
            None => "void".to_owned(),
        }
    }

    /// Keeps the member of a closure that captures `this` a real pointer, of 4 bytes by way of a bit field: in such functions lldb
    /// looks for the class of an expression behind the member's type, and finds none behind a structure.
    pub(super) fn captured_this(&mut self, entry: &Entry<'a>, class: usize, id: EntryId) {
        if !self.narrow_pointers() || entry.tag() != c::DW_TAG_member || !self.is_closure(class) {
            return;
        }
        let name = entry.attr_value(c::DW_AT_name);
        let name = name.and_then(|name| self.fill.input.dwarf.sections(self.unit).attr_string(self.unit, name).ok());
        if name.is_none_or(|name| name.slice() != b"this") {
            return;
        }
        let place = entry.attr_value(c::DW_AT_data_member_location).map_or(Some(0), |place| place.udata_value());
        if let Some(place) = place
            && let Some(wide) = entry.attr_value(c::DW_AT_type).and_then(|ty| self.wide_type(ty))
        {
            let mut member = self.output.get_mut(id);
            member.set(c::DW_AT_type, wide);
            member.set(c::DW_AT_bit_size, Value::Udata(32));
            member.set(c::DW_AT_data_bit_offset, Value::Udata(8 * place));
        }
    }

    /// Is the entry a class without a name, as clang describes those of lambda expressions?
    fn is_closure(&self, class: usize) -> bool {
        self.fill.plan.units[self.position].entries[class].tag == c::DW_TAG_class_type
            && self.attribute_of(self.position, class, c::DW_AT_name).is_none()
    }

    /// Pointers without a size would have that of the host's.
    pub(super) fn pointer_size(&mut self, id: EntryId, tag: gimli::DwTag) {
        let pointer = matches!(
            tag,
            c::DW_TAG_pointer_type
                | c::DW_TAG_reference_type
                | c::DW_TAG_rvalue_reference_type
                | c::DW_TAG_ptr_to_member_type
        );
        if pointer && !self.output.has(id, c::DW_AT_byte_size) {
            let size = if self.fill.input.guest.memory64 { 8 } else { 4 };
            self.output.get_mut(id).set(c::DW_AT_byte_size, Value::Udata(size));
        }
    }
}
