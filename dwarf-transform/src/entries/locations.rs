//! Expressions, location lists and range lists.

use super::{LocalPlaces, UnitFiller};
use crate::address::WasmOffset;
use crate::address_map::TextRange;
use crate::by_reference::is_passed_by_reference;
use crate::bytecode::Bytecode;
use crate::expression::{Context, Failure, FrameBase, GuestExpression, Role};
use crate::guest_dwarf::Slice;
use crate::lasting::{Continued, ContinuedValue, at_entry, sole_local, value_of};
use crate::loss::LossKind;
use crate::options::PointerFlavour;
use crate::scan::LocalUse;
use crate::scope::Entry;
use crate::tables::{Expression, ExpressionId, Location, Value};
use gimli::{AttributeValue, Operation, constants as c};
use std::collections::HashMap;
use std::ops::Range;

impl<'a> UnitFiller<'_, '_, 'a> {
    pub(super) fn context<'c>(&'c self, function: u32, frame_base: Option<&'c FrameBase<'a>>) -> Context<'c, 'a> {
        Context {
            dwarf: self.fill.input.dwarf,
            unit: self.unit,
            native: self.fill.input.native,
            function: self.fill.input.native.functions.get(function as usize),
            begin: self.begin,
            size: None,
            one_scalar: false,
            frame_base,
            lookup: self,
            guest: self.fill.input.guest,
            whole: self.fill.options.flavour == PointerFlavour::Lldb,
            encoding: self.fill.encoding,
        }
    }

    /// The location of the virtual table of a Rust trait object, as a plain address in the identity map: gdb finds the
    /// object's type by the address that the object holds, and only among symbols with such a location.
    pub(super) fn vtable_address(
        &self,
        entry: &Entry<'a>,
        name: gimli::DwAt,
        expression: GuestExpression<'a>,
    ) -> Option<Expression> {
        let options = self.fill.options;
        if name != c::DW_AT_location || options.flavour != PointerFlavour::Gdb || !options.identity_map {
            return None;
        }
        let title =
            self.fill.input.dwarf.sections(self.unit).attr_string(self.unit, entry.attr_value(c::DW_AT_name)?).ok()?;
        if !title.slice().ends_with(b"::{vtable}") {
            return None;
        }
        let mut operations = expression.operations(self.unit.encoding());
        match (operations.next().ok()??, operations.next().ok()?) {
            (gimli::Operation::Address { address }, None) if address != 0 && address < u64::from(u32::MAX) - 1 => {
                let mut plain = Bytecode::new(self.fill.encoding);
                plain.op_address(address);
                Some(plain.finish())
            }
            _ => None,
        }
    }

    /// The size of an object of which an expression describes pieces.
    fn size_of_pieces(&self, entry: &Entry<'a>, name: gimli::DwAt, expression: GuestExpression<'a>) -> Option<u64> {
        // Only a guess; the operations are read where the size is used.
        let may_have_pieces =
            expression.0.slice().iter().any(|byte| matches!(gimli::DwOp(*byte), c::DW_OP_piece | c::DW_OP_bit_piece));
        if name == c::DW_AT_location && may_have_pieces { self.size_of(entry) } else { None }
    }

    pub(super) fn failed(&mut self, failure: Failure, entry: &Entry<'_>, name: gimli::DwAt) {
        match failure {
            Failure::Dropped => {}
            Failure::Loss(kind) => self.lose(kind, entry, name),
            Failure::NoFrame(_) => self.lose(LossKind::NoFrame, entry, name),
            Failure::Operation(opcode) => {
                let place = self.unit.entry_place(entry);
                self.losses.count_detail(LossKind::UntranslatableExpression, opcode, || format!("{place}: {name}"));
            }
        }
    }

    pub(super) fn range_list(&mut self, ranges: &[TextRange]) -> Value {
        self.needs_base = true;
        Value::RangeList(self.output.add_ranges(ranges))
    }

    pub(super) fn exprloc(&mut self, expression: &Expression) -> Value {
        Value::Exprloc(self.output.add_expression(expression))
    }

    pub(super) fn expression(
        &mut self,
        entry: &Entry<'a>,
        name: gimli::DwAt,
        expression: GuestExpression<'a>,
        function: u32,
        base: Option<&FrameBase<'a>>,
        role: Role,
    ) -> Option<Value> {
        if expression.0.is_empty() {
            return Some(self.exprloc(&Expression::default()));
        }
        // A slot's number, which debuggers recognize by its operation.
        if name == c::DW_AT_vtable_elem_location && is_constant(expression, self.unit.encoding()) {
            let slot = Expression { bytes: expression.0.slice().to_vec(), operands: Vec::new() };
            return Some(self.exprloc(&slot));
        }
        let size = self.size_of_pieces(entry, name, expression);
        let one_scalar = self.is_unmarked_scalar(entry);
        match (Context { size, one_scalar, ..self.context(function, base) }).translate(expression, role) {
            Ok(expression) => Some(self.exprloc(&expression)),
            // Nothing will be read from there.
            Err(Failure::NoFrame(offset)) if base.is_some_and(|base| base.native) && self.is_empty_object(entry) => {
                let mut bytecode = Bytecode::new(self.fill.encoding);
                bytecode.op_fbreg(i64::try_from(offset).unwrap_or(0));
                Some(self.exprloc(&bytecode.finish()))
            }
            // gdb looks for a symbol of a global object without a location, and reports that there is none.
            Err(Failure::Dropped)
                if name == c::DW_AT_location
                    && (entry.attr(c::DW_AT_external).is_some() || entry.attr(c::DW_AT_specification).is_some()) =>
            {
                Some(self.exprloc(&Expression::default()))
            }
            Err(failure) => {
                self.failed(failure, entry, name);
                None
            }
        }
    }

    /// The parts of `range`, which lies in the function at `position`, in which the locals that a location names hold what it
    /// means; `None` for all of it.
    ///
    /// LLVM gives one wasm local to several values, one after the other, and does not end the locations of the earlier
    /// ones. A value of the variable's own that is assigned begins a new entry of its list.
    fn until_overwritten(
        &self,
        entry: &Entry<'_>,
        position: usize,
        location: GuestExpression<'a>,
        range: Range<u64>,
    ) -> Option<Vec<Range<u64>>> {
        let overwritten = &self.fill.input.native.functions[position].overwritten;
        let body = &self.fill.input.guest.functions[position].body;
        let variable = u32::try_from(entry.offset().0).ok()?;
        let is_constant =
            overwritten.is_empty() && self.fill.input.native.functions[position].stack_value_ends.is_empty();
        if is_constant || range.is_empty() {
            return None;
        }
        let mut taken: Vec<Range<u64>> = Vec::new();
        let mut operations = location.operations(self.unit.encoding());
        while let Ok(Some(operation)) = operations.next() {
            let index = match operation {
                Operation::WasmLocal { index } => index,
                Operation::UnsignedConstant { .. } | Operation::SignedConstant { .. } => LocalUse::CONSTANT,
                Operation::WasmStack { index } => {
                    taken.extend(self.gone_from_stack(position, index, &range));
                    continue;
                }
                _ => continue,
            };
            let location = LocalUse {
                local: index,
                begin: WasmOffset(u32::try_from(range.start).unwrap_or(u32::MAX)),
                end: WasmOffset(u32::try_from(range.end).unwrap_or(u32::MAX)).min(body.end),
                variable: Some(variable),
            };
            let from = overwritten.partition_point(|it| it.location < location);
            let here = overwritten[from..].iter().take_while(|it| it.location == location);
            taken.extend(here.map(|it| u64::from(it.begin.0)..u64::from(it.end.0)));
        }
        if taken.is_empty() {
            return None;
        }
        taken.sort_unstable_by_key(|taken| taken.start);
        let mut parts = Vec::new();
        let mut from = range.start;
        for taken in taken {
            if taken.start > from {
                parts.push(from..taken.start.min(range.end));
            }
            from = from.max(taken.end);
            if from >= range.end {
                return Some(parts);
            }
        }
        parts.push(from..range.end);
        Some(parts).filter(|parts| *parts != [range])
    }

    /// The part of a location on the operand stack in which the entry is no longer there.
    fn gone_from_stack(&self, position: usize, depth: u32, location: &Range<u64>) -> Option<Range<u64>> {
        let ends = &self.fill.input.native.functions[position].stack_value_ends;
        let begin = WasmOffset(u32::try_from(location.start).ok()?);
        let at = ends.partition_point(|it| (it.0, it.1) < (begin, depth));
        let &(_, _, end) = ends.get(at).filter(|it| (it.0, it.1) == (begin, depth))?;
        (u64::from(end.0) < location.end).then_some(u64::from(end.0)..location.end)
    }

    /// A variable that is said to be in a wasm local wherever its scope is, but is not after another value has taken the
    /// local.
    pub(super) fn overwritten(
        &mut self,
        entry: &Entry<'a>,
        location: GuestExpression<'a>,
        function: u32,
        base: Option<&FrameBase<'a>>,
        role: Role,
    ) -> Option<Value> {
        let position = function as usize;
        let body = &self.fill.input.guest.functions.get(position)?.body;
        let range = u64::from(self.begin.unwrap_or(body.start).0)..u64::from(body.end.0);
        let parts = self.until_overwritten(entry, position, location, range)?;
        self.lose(LossKind::OverwrittenLocal, entry, c::DW_AT_location);
        let size = self.size_of_pieces(entry, c::DW_AT_location, location);
        let one_scalar = self.is_unmarked_scalar(entry);
        let context = Context { size, one_scalar, ..self.context(function, base) };
        let expression = context.translate(location, role).ok()?;
        let map = self.fill.input.maps.get(position);
        let mut ranges = Vec::new();
        for part in parts {
            if map.ranges(part.start, part.end, &mut self.range_budget, &mut ranges).is_err() {
                self.lose(LossKind::TooManyRanges, entry, c::DW_AT_location);
                break;
            }
        }
        let expression = self.output.add_expression(&expression);
        let pieces = ranges.into_iter().map(|range| Location { range, expression }).collect();
        Some(self.add_location_list(pieces))
    }

    pub(super) fn location_list(
        &mut self,
        entry: &Entry<'a>,
        name: gimli::DwAt,
        value: AttributeValue<Slice<'a>>,
        function: u32,
        base: Option<&FrameBase<'a>>,
        role: Role,
    ) -> Option<Value> {
        let input = self.fill.input;
        let Ok(Some(mut list)) = input.dwarf.sections(self.unit).attr_locations(self.unit, value) else {
            self.lose(LossKind::MalformedList, entry, name);
            return None;
        };
        let mut pieces: Vec<Location> = Vec::new();
        let mut failures: HashMap<u8, Failure> = HashMap::new();
        let mut live = false;
        let mut overwritten = false;
        let one_scalar = self.is_unmarked_scalar(entry);
        let mut ranges: Vec<TextRange> = Vec::new();
        let mut is_first = true;
        loop {
            let may_be_only = std::mem::take(&mut is_first);
            let mut continued: &[Continued] = &[];
            let item = match list.next() {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(_) => {
                    self.lose(LossKind::MalformedList, entry, name);
                    break;
                }
            };
            if self.range_budget.spend(1).is_err() {
                self.lose(LossKind::TooManyRanges, entry, name);
                break;
            }
            ranges.clear();
            if item.range.begin == 0 && item.range.end == u64::MAX {
                match input.native.functions.get(function as usize) {
                    Some(native) => ranges.push((native.prologue_end.0, native.text.end.0)),
                    None => continue,
                }
            } else {
                let Some(position) = input.index.find(item.range.begin) else {
                    continue;
                };
                let function = &input.guest.functions[position];
                let throughout = may_be_only && is_passed_by_reference(input.dwarf, self.unit, function, entry, value);
                let end = if throughout { u64::from(function.body.end.0) } else { item.range.end };
                let range = item.range.begin..end;
                let parts = self.until_overwritten(entry, position, item.data, range.clone());
                overwritten |= parts.is_some();
                let map = input.maps.get(position);
                let mut map = |part: &Range<u64>| map.ranges(part.start, part.end, &mut self.range_budget, &mut ranges);
                let mapped = match &parts {
                    Some(parts) => parts.iter().try_for_each(&mut map),
                    None => map(&range),
                };
                continued = input.native.functions[position].continued(entry, item.range.begin);
                let mut here = continued.iter().filter(|it| it.value == ContinuedValue::Listed);
                let mapped = mapped.and_then(|()| here.try_for_each(|it| map(&it.operators())));
                if mapped.is_err() {
                    self.lose(LossKind::TooManyRanges, entry, name);
                    break;
                }
            }
            live = true;
            for it in continued {
                let value = match it.value {
                    ContinuedValue::Listed => continue,
                    ContinuedValue::AtEntry => at_entry(item.data),
                    ContinuedValue::Local(local) => value_of(local),
                };
                let mut ranges: Vec<TextRange> = Vec::new();
                let range = it.operators();
                let map = input.maps.get(function as usize);
                let mapped = map.ranges(range.start, range.end, &mut self.range_budget, &mut ranges);
                if mapped.is_ok()
                    && let Some(value) = value
                    && let Ok(expression) = self.context(function, base).translate(value, role)
                {
                    let expression = self.output.add_expression(&expression);
                    pieces.extend(ranges.into_iter().map(|range| Location { range, expression }));
                }
            }
            if ranges.is_empty() || item.data.0.is_empty() {
                continue;
            }
            // The default location holds in the whole scope.
            let listed = u32::try_from(item.range.begin).ok().filter(|_| item.range.end != u64::MAX);
            let begin = listed.map(WasmOffset).or(self.begin);
            let translated = match sole_local(item.data).filter(|_| LocalPlaces::ROLES.contains(&role)) {
                Some(local) => self.local_place(local, function, item.data, role),
                None => {
                    let size = self.size_of_pieces(entry, name, item.data);
                    let context = Context { begin, size, one_scalar, ..self.context(function, base) };
                    context.translate(item.data, role).map(|expression| self.output.add_expression(&expression))
                }
            };
            match translated {
                Ok(expression) => pieces.extend(ranges.iter().map(|&range| Location { range, expression })),
                Err(failure) => {
                    let key = match failure {
                        Failure::Loss(kind) => kind as u8,
                        Failure::Dropped => u8::MAX,
                        Failure::NoFrame(_) => LossKind::NoFrame as u8,
                        Failure::Operation(_) => LossKind::UntranslatableExpression as u8,
                    };
                    failures.entry(key).or_insert(failure);
                }
            }
        }
        if overwritten {
            self.lose(LossKind::OverwrittenLocal, entry, name);
        }
        let mut failures: Vec<(u8, Failure)> = failures.into_iter().collect();
        failures.sort_by_key(|failure| failure.0);
        let failed = !failures.is_empty();
        for (_, failure) in failures {
            self.failed(failure, entry, name);
        }
        if pieces.is_empty() {
            if live && !failed {
                self.lose(LossKind::OptimizedAway, entry, name);
            }
            return None;
        }
        Some(self.add_location_list(pieces))
    }

    /// The place of a variable that is in a wasm local of its function and nowhere else, as `location` says.
    fn local_place(
        &mut self,
        local: u32,
        function: u32,
        location: GuestExpression<'a>,
        role: Role,
    ) -> Result<ExpressionId, Failure> {
        if self.local_places.function != function {
            self.local_places.function = function;
            self.local_places.places.clear();
        }
        if let Some(place) = self.local_places.places.get(&(local, role)) {
            return *place;
        }
        let translated = self.context(function, None).translate(location, role);
        let place = translated.map(|expression| self.output.add_expression(&expression));
        self.local_places.places.insert((local, role), place);
        place
    }

    pub(super) fn add_location_list(&mut self, mut pieces: Vec<Location>) -> Value {
        pieces.sort_by_key(|piece| piece.range);
        pieces.dedup_by(|next, last| {
            let joined = last.range.1 == next.range.0 && last.expression == next.expression;
            if joined {
                last.range.1 = next.range.1;
            }
            joined
        });
        self.needs_base = true;
        Value::LocationList(self.output.add_locations(&pieces))
    }
}

fn is_constant(expression: GuestExpression<'_>, encoding: gimli::Encoding) -> bool {
    let mut operations = expression.operations(encoding);
    let first = operations.next();
    matches!(first, Ok(Some(Operation::UnsignedConstant { .. } | Operation::SignedConstant { .. })))
        && matches!(operations.next(), Ok(None))
}
