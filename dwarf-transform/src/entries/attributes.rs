//! One attribute of an entry: what becomes of its value.

use super::{Here, UnitFiller};
use crate::address::TextOffset;
use crate::expression::{FrameBase, Role};
use crate::guest_dwarf::Slice;
use crate::loss::LossKind;
use crate::macros::Source;
use crate::plan::NONE;
use crate::pointers::{PointerKind, holds_value, pointer_kind};
use crate::scan::is_expression;
use crate::scope::Entry;
use crate::tables::Value;
use gimli::{AttributeValue, DieReference, constants as c};

impl<'a> UnitFiller<'_, '_, 'a> {
    pub(super) fn attribute(&mut self, entry: &Entry<'a>, here: Here<'_, 'a>, attr: &gimli::Attribute<Slice<'a>>) {
        let Here { id, tag, function, base, codeless, pointer } = here;
        let name = attr.name();
        if is_dropped(name) {
            return;
        }
        let function = if codeless { NONE } else { function };
        if is_callee_location(tag, name) {
            if entry.attr(c::DW_AT_call_parameter).is_none() {
                self.lose(LossKind::EntryValue, entry, name);
            }
            return;
        }
        // Where a thing was in code that is gone.
        if codeless && role_of(name) == Role::Location {
            return;
        }
        if self.fill.options.lines_only && is_detail(name) {
            return;
        }
        if is_code_address(name) {
            if let Some(value) = self.code_address(tag, function, name, attr.value()) {
                self.output.get_mut(id).set(name, value);
            }
            return;
        }
        let is_linkage_name = matches!(name, c::DW_AT_linkage_name | c::DW_AT_MIPS_linkage_name);
        if tag == c::DW_TAG_subprogram && is_linkage_name && self.is_main_alias(attr.value()) {
            return;
        }
        if tag == c::DW_TAG_subprogram && is_linkage_name && self.call_entry(entry, id, (name, attr.value())) {
            return;
        }
        if is_call_flag(name)
            && self.fill.input.native.functions.get(function as usize).is_some_and(|f| f.calls.is_empty())
        {
            return;
        }
        if name == c::DW_AT_type
            && holds_value(tag)
            && let Some(value) = self.wide_type(attr.value())
        {
            self.output.get_mut(id).set(name, value);
            return;
        }
        // That of a result in memory.
        if name == c::DW_AT_type && tag == c::DW_TAG_subprogram && self.output.has(id, name) {
            return;
        }
        if name == c::DW_AT_type
            && pointer_kind(tag).is_some()
            && let Some(part) = self.part(attr.value())
        {
            self.output.get_mut(id).set(name, part);
            return;
        }
        // Debuggers take pointers to virtual tables for wider ones. lldb would make room for them, and move the members behind; gdb
        // would read one wherever zeros follow, and find other objects by it.
        if matches!(name, c::DW_AT_virtuality | c::DW_AT_vtable_elem_location)
            && tag == c::DW_TAG_subprogram
            && !self.fill.input.guest.memory64
        {
            return;
        }
        if name == c::DW_AT_location
            && let Some(location) = self.misplaced_reference(entry, function, attr.value())
        {
            match location {
                Ok(location) => {
                    let location = self.exprloc(&location);
                    self.output.get_mut(id).set(name, location);
                }
                Err(failure) => self.failed(failure, entry, name),
            }
            return;
        }
        let role = match pointer {
            Some(PointerKind::Pointer) if name == c::DW_AT_location => Role::Pointer,
            Some(PointerKind::Reference) if name == c::DW_AT_location => Role::Referent,
            Some(PointerKind::DataMember) if name == c::DW_AT_location => Role::DataMember,
            _ => role_of(name),
        };
        if let Some(value) = self.value(entry, name, attr.value(), function, base, role) {
            self.output.get_mut(id).set(name, value);
        }
    }

    /// The names under which wasm's toolchains hide `main` from the linker.
    fn is_main_alias(&self, value: AttributeValue<Slice<'a>>) -> bool {
        self.fill
            .input
            .dwarf
            .sections(self.unit)
            .attr_string(self.unit, value)
            .is_ok_and(|name| matches!(name.slice(), b"__main_argc_argv" | b"__main_void" | b"__original_main"))
    }

    /// Code addresses of labels and call sites. Those of functions and scopes are set with their ranges.
    fn code_address(
        &mut self,
        tag: gimli::DwTag,
        function: u32,
        name: gimli::DwAt,
        value: AttributeValue<Slice<'a>>,
    ) -> Option<Value> {
        let call = matches!(tag, c::DW_TAG_call_site | c::DW_TAG_GNU_call_site);
        let wanted = match tag {
            c::DW_TAG_label => name == c::DW_AT_low_pc,
            c::DW_TAG_call_site => matches!(name, c::DW_AT_call_return_pc | c::DW_AT_low_pc),
            c::DW_TAG_GNU_call_site => name == c::DW_AT_low_pc,
            _ => false,
        };
        if !wanted {
            return None;
        }
        let address = self.fill.input.dwarf.sections(self.unit).attr_address(self.unit, value).ok()??;
        let native = self.fill.input.native.functions.get(function as usize)?;
        let text = if call {
            // The guest's return address follows its call operator, which takes at most 11 bytes.
            native
                .calls
                .iter()
                .filter(|call| u64::from(call.wasm.0) < address && address - u64::from(call.wasm.0) <= 11)
                .max_by_key(|call| call.wasm)?
                .return_address
        } else {
            TextOffset(self.fill.input.maps.get(function as usize).address(address)?)
        };
        Some(Value::Address(text))
    }

    fn reference(&mut self, target: Option<(usize, usize)>, entry: &Entry<'a>, name: gimli::DwAt) -> Option<Value> {
        let found = target.and_then(|target| {
            let id = self.fill.plan.units[target.0].entries[target.1].id?;
            if target.0 == self.position {
                Some(Value::UnitRef(id))
            } else {
                Some(Value::DebugInfoRef(self.entry_reference(target)?))
            }
        });
        if found.is_none() {
            self.lose(LossKind::DanglingReference, entry, name);
        }
        found
    }

    fn string(&mut self, value: AttributeValue<Slice<'a>>, entry: &Entry<'a>, name: gimli::DwAt) -> Option<Value> {
        let sections = self.fill.input.dwarf.sections(self.unit);
        let offset = match value {
            AttributeValue::DebugStrRef(offset) => Some(offset),
            AttributeValue::DebugStrOffsetsIndex(index) => sections.string_offset(self.unit, index).ok(),
            _ => None,
        };
        if let Some(id) = offset.and_then(|offset| self.fill.strings.get(self.unit.container, offset.0)) {
            return Some(Value::StringRef(id));
        }
        match sections.attr_string(self.unit, value) {
            Ok(string) => {
                let bytes = string.slice().split(|byte| *byte == 0).next().unwrap_or_default();
                Some(Value::String(bytes.to_vec()))
            }
            Err(_) => {
                self.lose(LossKind::MalformedAttribute, entry, name);
                None
            }
        }
    }

    /// Counts an attribute that the output has no place for.
    fn unsupported(&mut self, entry: &Entry<'a>, name: gimli::DwAt) -> Option<Value> {
        let place = self.unit.entry_place(entry);
        self.losses.count_detail(LossKind::UnsupportedAttribute, name, || place);
        None
    }

    fn value(
        &mut self,
        entry: &Entry<'a>,
        name: gimli::DwAt,
        value: AttributeValue<Slice<'a>>,
        function: u32,
        base: Option<&FrameBase<'a>>,
        role: Role,
    ) -> Option<Value> {
        let plan = self.fill.plan;
        let dwarf = self.fill.input.dwarf;
        Some(match value {
            AttributeValue::Block(block) if is_expression(name) => {
                return self.expression(entry, name, gimli::Expression(block), function, base, role);
            }
            AttributeValue::Block(block) => Value::Block(block.slice().to_vec()),
            AttributeValue::Exprloc(expression) => {
                if let Some(address) = self.vtable_address(entry, name, expression) {
                    return Some(self.exprloc(&address));
                }
                if name == c::DW_AT_location
                    && let Some(value) = self.overwritten(entry, expression, function, base, role)
                {
                    return Some(value);
                }
                return self.expression(entry, name, expression, function, base, role);
            }
            AttributeValue::Data1(value) => Value::Data1(value),
            AttributeValue::Data2(value) => Value::Data2(value),
            AttributeValue::Data4(value) => Value::Data4(value),
            AttributeValue::Data8(value) => Value::Data8(value),
            // A block in DWARF 4, which would be taken for an expression.
            AttributeValue::Data16(_) if is_expression(name) => return self.unsupported(entry, name),
            AttributeValue::Data16(value) => Value::Data16(value),
            AttributeValue::Sdata(value) => Value::Sdata(value),
            AttributeValue::Udata(value) => Value::Udata(value),
            AttributeValue::Flag(true) => Value::FlagPresent,
            AttributeValue::Flag(false) => Value::Flag(false),
            AttributeValue::UnitRef(offset) => {
                let target = plan.find(dwarf, self.position, DieReference::UnitRef(offset));
                return self.reference(target, entry, name);
            }
            AttributeValue::DebugInfoRef(offset) => {
                let target = plan.find_global(dwarf, self.position, offset.0);
                return self.reference(target, entry, name);
            }
            AttributeValue::DebugTypesRef(signature) => {
                let target = plan.find_signature(signature.0);
                return self.reference(target, entry, name);
            }
            value @ (AttributeValue::LocationListsRef(_) | AttributeValue::DebugLocListsIndex(_)) => {
                return self.location_list(entry, name, value, function, base, role);
            }
            value @ (AttributeValue::String(_)
            | AttributeValue::DebugStrRef(_)
            | AttributeValue::DebugStrOffsetsIndex(_)
            | AttributeValue::DebugLineStrRef(_)) => return self.string(value, entry, name),
            AttributeValue::Encoding(value) => Value::Udata(value.0.into()),
            AttributeValue::DecimalSign(value) => Value::Udata(value.0.into()),
            AttributeValue::Endianity(value) => Value::Udata(value.0.into()),
            AttributeValue::Accessibility(value) => Value::Udata(value.0.into()),
            AttributeValue::Visibility(value) => Value::Udata(value.0.into()),
            AttributeValue::Virtuality(value) => Value::Udata(value.0.into()),
            AttributeValue::Language(value) => Value::Udata(value.0.into()),
            AttributeValue::AddressClass(value) => Value::Udata(value.0),
            AttributeValue::IdentifierCase(value) => Value::Udata(value.0.into()),
            AttributeValue::CallingConvention(value) => Value::Udata(value.0.into()),
            AttributeValue::Inline(value) => Value::Udata(value.0.into()),
            AttributeValue::Ordering(value) => Value::Udata(value.0.into()),
            AttributeValue::FileIndex(index) => match self.files.number(index) {
                Some(file) => {
                    self.names_files = true;
                    Value::Udata(u64::from(file))
                }
                None => {
                    if index != 0 {
                        self.lose(LossKind::MalformedAttribute, entry, name);
                    }
                    return None;
                }
            },
            // The address of an object, as the value of a constant.
            value @ (AttributeValue::Addr(_) | AttributeValue::DebugAddrIndex(_)) => {
                match dwarf.sections(self.unit).attr_address(self.unit, value) {
                    Ok(Some(address)) if name == c::DW_AT_const_value => Value::Udata(address),
                    _ => return self.unsupported(entry, name),
                }
            }
            // The attribute is set when the section is laid out.
            AttributeValue::DebugMacinfoRef(offset) => {
                self.macros = Some(Source::Macinfo(offset.0));
                return None;
            }
            AttributeValue::DebugMacroRef(offset) => {
                self.macros = Some(Source::Macro(offset.0));
                return None;
            }
            AttributeValue::SecOffset(offset) if name == c::DW_AT_GNU_macros => {
                self.macros = Some(Source::Macro(offset));
                return None;
            }
            AttributeValue::SecOffset(_)
            | AttributeValue::DebugAddrBase(_)
            | AttributeValue::DebugInfoRefSup(_)
            | AttributeValue::DebugLineRef(_)
            | AttributeValue::DebugLocListsBase(_)
            | AttributeValue::RangeListsRef(_)
            | AttributeValue::DebugRngListsBase(_)
            | AttributeValue::DebugRngListsIndex(_)
            | AttributeValue::DebugStrRefSup(_)
            | AttributeValue::DebugStrOffsetsBase(_)
            | AttributeValue::DwoId(_) => return self.unsupported(entry, name),
        })
    }
}

/// What an expression in this attribute is for.
fn role_of(name: gimli::DwAt) -> Role {
    match name {
        c::DW_AT_data_member_location | c::DW_AT_use_location | c::DW_AT_vtable_elem_location => Role::Member,
        c::DW_AT_frame_base => Role::FrameBase,
        c::DW_AT_location
        | c::DW_AT_return_addr
        | c::DW_AT_static_link
        | c::DW_AT_string_length
        | c::DW_AT_data_location
        | c::DW_AT_call_data_location
        | c::DW_AT_segment => Role::Location,
        _ => Role::Value,
    }
}

/// Attributes that the output writes itself, or that only make sense for the guest's own sections.
fn is_dropped(name: gimli::DwAt) -> bool {
    matches!(
        name,
        c::DW_AT_sibling
            | c::DW_AT_stmt_list
            | c::DW_AT_frame_base
            | c::DW_AT_high_pc
            | c::DW_AT_ranges
            | c::DW_AT_entry_pc
            | c::DW_AT_str_offsets_base
            | c::DW_AT_addr_base
            | c::DW_AT_rnglists_base
            | c::DW_AT_loclists_base
            | c::DW_AT_dwo_name
            | c::DW_AT_GNU_dwo_name
            | c::DW_AT_GNU_dwo_id
            | c::DW_AT_GNU_addr_base
            | c::DW_AT_GNU_ranges_base
            | c::DW_AT_GNU_pubnames
            | c::DW_AT_GNU_pubtypes
    )
}

fn is_code_address(name: gimli::DwAt) -> bool {
    matches!(name, c::DW_AT_low_pc | c::DW_AT_call_return_pc | c::DW_AT_call_pc)
}

/// Where the callee finds a parameter: in a local of its own, which is no place in the caller's frame. Values on entry are
/// read from copies that the callee has, so that nothing needs it.
pub(crate) fn is_callee_location(tag: gimli::DwTag, name: gimli::DwAt) -> bool {
    matches!(tag, c::DW_TAG_call_site_parameter | c::DW_TAG_GNU_call_site_parameter) && name == c::DW_AT_location
}

/// Attributes that say more than what code is called and where it comes from.
fn is_detail(name: gimli::DwAt) -> bool {
    matches!(
        name,
        c::DW_AT_type
            | c::DW_AT_location
            | c::DW_AT_const_value
            | c::DW_AT_containing_type
            | c::DW_AT_object_pointer
            | c::DW_AT_vtable_elem_location
            | c::DW_AT_import
            | c::DW_AT_default_value
            | c::DW_AT_macros
            | c::DW_AT_macro_info
            | c::DW_AT_GNU_macros
    )
}

/// "All calls are described", which holds only with call sites.
fn is_call_flag(name: gimli::DwAt) -> bool {
    matches!(
        name,
        c::DW_AT_call_all_calls
            | c::DW_AT_call_all_source_calls
            | c::DW_AT_call_all_tail_calls
            | c::DW_AT_GNU_all_call_sites
            | c::DW_AT_GNU_all_source_call_sites
            | c::DW_AT_GNU_all_tail_call_sites
    )
}
