//! The wasm-level view: artificial variables for what the wasm itself has.

use super::UnitFiller;
use crate::address::{ValType, WasmOffset};
use crate::address_map::RangeBudget;
use crate::expression::{Context, Failure, GuestOperation};
use crate::guest::{StackEntry, WasmVariables};
use crate::plan::NONE;
use crate::tables::{EntryId, Expression, Location, Value};
use gimli::{Operation, constants as c};
use std::collections::{BTreeMap, HashMap};

/// The types of these variables, one of each in a unit.
type Types = HashMap<ValType, EntryId>;

impl<'a> UnitFiller<'_, '_, 'a> {
    /// Adds the variables to the functions of the unit, and the globals to the unit itself if it has any.
    pub(super) fn wasm_variables(&mut self) {
        let input = self.fill.input;
        let Some(variables) = input.guest.wasm_variables.as_ref().filter(|_| !input.lines_only) else {
            return;
        };
        let plan = &self.fill.plan.units[self.position];
        let mut types = Types::new();
        let mut has_code = false;
        for (at, planned) in plan.entries.iter().enumerate() {
            let is_function = planned.tag == c::DW_TAG_subprogram && planned.function != NONE && !plan.codeless(at);
            if let Some(id) = planned.id.filter(|_| is_function) {
                has_code = true;
                self.wasm_locals(id, planned.function, &mut types);
                self.wasm_operand_stack(id, planned.function, variables, &mut types);
            }
        }
        if has_code {
            self.wasm_globals(&mut types);
        }
    }

    fn wasm_locals(&mut self, parent: EntryId, function: u32, types: &mut Types) {
        let guest = self.fill.input.guest;
        for (index, ty) in (0..).zip(&guest.functions[function as usize].locals) {
            if let Ok(location) = self.wasm_place(function, None, Operation::WasmLocal { index }) {
                let name = format!("__wasm_local{index}");
                let location = self.exprloc(&location);
                self.wasm_variable(parent, name, *ty, location, types);
            }
        }
    }

    fn wasm_globals(&mut self, types: &mut Types) {
        let root = self.output.root();
        for (index, ty) in (0..).zip(&self.fill.input.guest.globals) {
            if let Ok(location) = self.wasm_place(NONE, None, Operation::WasmGlobal { index }) {
                let location = self.exprloc(&location);
                self.wasm_variable(root, format!("__wasm_global{index}"), *ty, location, types);
            }
        }
    }

    fn wasm_operand_stack(&mut self, parent: EntryId, function: u32, variables: &WasmVariables, types: &mut Types) {
        let mut places: BTreeMap<(u32, &str), (ValType, Vec<StackEntry>)> = BTreeMap::new();
        for entry in variables.operand_stacks.get(function as usize).into_iter().flatten() {
            let place = places.entry((entry.depth, type_name(entry.ty)));
            place.or_insert((entry.ty, Vec::new())).1.push(*entry);
        }
        let depths: Vec<u32> = places.keys().map(|place| place.0).collect();
        for ((depth, type_name), (ty, entries)) in places {
            let mut pieces = Vec::new();
            for StackEntry { begin, end, .. } in entries {
                if let Ok(location) = self.wasm_place(function, Some(begin), Operation::WasmStack { index: depth }) {
                    let map = self.fill.input.maps.get(function as usize);
                    let (begin, end) = (u64::from(begin.0), u64::from(end.0));
                    let mut ranges = Vec::new();
                    if map.ranges(begin, end, &mut RangeBudget::unlimited(), &mut ranges).is_err() {
                        continue;
                    }
                    let expression = self.output.add_expression(&location);
                    pieces.extend(ranges.into_iter().map(|range| Location { range, expression }));
                }
            }
            if pieces.is_empty() {
                continue;
            }
            let location = self.add_location_list(pieces);
            let alone = depths.iter().filter(|other| **other == depth).count() == 1;
            let suffix = if alone { String::new() } else { format!("_{type_name}") };
            self.wasm_variable(parent, format!("__wasm_stack{depth}{suffix}"), ty, location, types);
        }
    }

    fn wasm_place(
        &self,
        function: u32,
        begin: Option<WasmOffset>,
        place: GuestOperation<'a>,
    ) -> Result<Expression, Failure> {
        Context { begin, ..self.context(function, None) }.wasm_location(place)
    }

    fn wasm_variable(&mut self, parent: EntryId, name: String, ty: ValType, location: Value, types: &mut Types) {
        let ty = *types.entry(ty).or_insert_with(|| self.wasm_type(ty));
        let id = self.output.add(parent, c::DW_TAG_variable);
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(name.into_bytes()));
        entry.set(c::DW_AT_type, Value::UnitRef(ty));
        entry.set(c::DW_AT_artificial, Value::FlagPresent);
        entry.set(c::DW_AT_location, location);
    }

    fn wasm_type(&mut self, ty: ValType) -> EntryId {
        let encoding = match ty {
            ValType::I32 | ValType::I64 => c::DW_ATE_signed,
            ValType::F32 | ValType::F64 => c::DW_ATE_float,
            ValType::V128 => c::DW_ATE_unsigned_char,
            // The address of something of the host's.
            ValType::Ref => return self.pointer_to(c::DW_TAG_pointer_type, None),
        };
        let root = self.output.root();
        let id = self.output.add(root, c::DW_TAG_base_type);
        let is_vector = ty == ValType::V128;
        let (name, size) = if is_vector { ("u8", 1) } else { (type_name(ty), ty.size()) };
        let mut entry = self.output.get_mut(id);
        entry.set(c::DW_AT_name, Value::String(format!("__wasm_{name}").into_bytes()));
        entry.set(c::DW_AT_byte_size, Value::Udata(u64::from(size)));
        entry.set(c::DW_AT_encoding, Value::Udata(encoding.0.into()));
        if !is_vector {
            return id;
        }
        let array = self.output.add(root, c::DW_TAG_array_type);
        self.output.get_mut(array).set(c::DW_AT_type, Value::UnitRef(id));
        self.output.get_mut(array).set(c::DW_AT_GNU_vector, Value::FlagPresent);
        let bounds = self.output.add(array, c::DW_TAG_subrange_type);
        self.output.get_mut(bounds).set(c::DW_AT_count, Value::Udata(u64::from(ValType::V128.size())));
        array
    }
}

fn type_name(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 => "v128",
        ValType::Ref => "ref",
    }
}
