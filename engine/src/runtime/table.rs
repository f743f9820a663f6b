//! Tables.
//!
//! A table of host values has a reference of each of its elements. Words that are passed in are borrowed; what a table
//! gives up is returned, to be dropped when nobody borrows the table any more: drop handlers may use it.

use super::externref::{Doomed, Owner};
use super::vm::VMTableDefinition;
use crate::types::{HeapType, TableType};
use artifact::TrapCode;
use std::ptr::NonNull;

/// A table cannot be made or grown.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Larger than any table can be, or than a limit.
    #[error("table size of {elements} elements exceeds the limit of {limit}")]
    TooLarge {
        /// The elements.
        elements: u64,
        /// The bound.
        limit: u64,
    },
    /// The minimum is above the maximum.
    #[error("table minimum of {minimum} elements exceeds its maximum of {maximum}")]
    MinimumAboveMaximum {
        /// The minimum.
        minimum: u32,
        /// The maximum.
        maximum: u32,
    },
    /// The system has not enough memory.
    #[error("no memory for {elements} table elements")]
    OutOfMemory {
        /// The elements.
        elements: u64,
    },
    /// Growth beyond the maximum or a limit.
    #[error("table cannot grow by {delta} elements")]
    Grow {
        /// The elements.
        delta: u64,
    },
}

/// No table has more elements, whatever its type and the store's limits say: half a GiB of them.
pub const ABSOLUTE_LIMIT: u64 = 1 << 26;

/// A table. Its elements are the raw pointers that compiled code holds.
#[derive(Debug)]
pub struct TableInstance {
    ty: TableType,
    /// The store, if the elements are counted.
    owner: Option<Owner>,
    elements: Vec<u64>,
    /// In a `VMContext`, or `own`.
    definition: NonNull<VMTableDefinition>,
    _own: Option<Box<VMTableDefinition>>,
}

impl TableInstance {
    /// A table of `owner`'s store, of the minimal size, all elements `init`. Compiled code reads its definition at
    /// `definition`; without it the table has its own.
    ///
    /// # Safety
    ///
    /// `definition` must be valid for writes as long as the table lives. `init`, and every word that is stored later, must
    /// be a value of the element type: null, or a pointer to what lives.
    pub unsafe fn new(
        ty: TableType,
        init: u64,
        owner: Owner,
        definition: Option<NonNull<VMTableDefinition>>,
    ) -> Result<TableInstance, TableError> {
        let limit = ABSOLUTE_LIMIT;
        let minimum = u64::from(ty.minimum);
        if minimum > limit {
            return Err(TableError::TooLarge { elements: minimum, limit });
        }
        if let Some(maximum) = ty.maximum.filter(|&maximum| maximum < ty.minimum) {
            return Err(TableError::MinimumAboveMaximum { minimum: ty.minimum, maximum });
        }
        let mut elements = Vec::new();
        if init == 0 {
            elements = vec![0; minimum as usize]; // Zeroed pages of the system's, untouched.
        } else {
            let out_of_memory = |_| TableError::OutOfMemory { elements: minimum };
            elements.try_reserve_exact(minimum as usize).map_err(out_of_memory)?;
            elements.resize(minimum as usize, init);
        }
        let mut own = None;
        let definition = definition.unwrap_or_else(|| {
            let new = VMTableDefinition { base: std::ptr::null_mut(), elements: 0 };
            NonNull::from(&mut **own.insert(Box::new(new)))
        });
        let owner = (ty.element.heap == HeapType::Extern).then_some(owner);
        let mut this = TableInstance { ty, owner, elements, definition, _own: own };
        this.acquire(init, minimum as usize);
        this.update_definition();
        Ok(this)
    }

    fn update_definition(&mut self) {
        let definition = VMTableDefinition { base: self.elements.as_mut_ptr(), elements: self.elements.len() as u64 };
        // SAFETY: the constructor's caller promised it; no reference to a definition is ever kept.
        unsafe { self.definition.write(definition) };
    }

    /// The definition that compiled code reads.
    pub fn definition(&self) -> NonNull<VMTableDefinition> {
        self.definition
    }

    /// Its declared type; `minimum` is the declared one.
    pub fn ty(&self) -> TableType {
        self.ty
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.elements.len() as u64
    }

    /// An element.
    pub fn get(&self, index: u64) -> Option<u64> {
        // Compiled code writes elements through the base pointer, never while this borrow lasts.
        self.elements.get(usize::try_from(index).ok()?).copied()
    }

    /// Takes `count` references of a word.
    fn acquire(&self, word: u64, count: usize) {
        if let (Some(owner), Some(raw)) = (self.owner, NonNull::new(word as *mut u8)) {
            // SAFETY: a word of this table's type, which the constructor's caller promised to be alive.
            (0..count).for_each(|_| unsafe { owner.acquire(raw) });
        }
    }

    /// Gives up the references of words that were elements.
    fn release(&self, words: impl IntoIterator<Item = u64>) -> Vec<Doomed> {
        let Some(owner) = self.owner else { return Vec::new() };
        let raws = words.into_iter().filter_map(|word| NonNull::new(word as *mut u8));
        // SAFETY: an element had a reference, and is none any more.
        raws.filter_map(|raw| unsafe { owner.release(raw) }).collect()
    }

    /// The elements in a range, if they have references to give up.
    fn counted(&self, range: std::ops::Range<usize>) -> Vec<u64> {
        self.owner.map_or_else(Vec::new, |_| self.elements[range].to_vec())
    }

    /// Assigns an element; `None` if there is no such.
    pub fn set(&mut self, index: u64, value: u64) -> Option<Vec<Doomed>> {
        let index = usize::try_from(index).ok().filter(|&index| index < self.elements.len())?;
        self.acquire(value, 1);
        let old = std::mem::replace(&mut self.elements[index], value);
        Some(self.release([old]))
    }

    /// Grows by `delta` elements; the old size.
    pub fn grow(&mut self, delta: u64, init: u64) -> Result<u64, TableError> {
        let old = self.len();
        let maximum = self.ty.maximum.map_or(u64::from(u32::MAX), u64::from).min(ABSOLUTE_LIMIT);
        let refused = || TableError::Grow { delta };
        let new = old.checked_add(delta).filter(|&new| new <= maximum).ok_or_else(refused)?;
        self.elements.try_reserve(delta as usize).map_err(|_| TableError::OutOfMemory { elements: new })?;
        self.acquire(init, delta as usize);
        self.elements.resize(new as usize, init);
        self.update_definition();
        Ok(old)
    }

    /// `table.fill`.
    pub fn fill(&mut self, start: u64, len: u64, value: u64) -> Result<Vec<Doomed>, TrapCode> {
        let range = range(start, len, self.len())?;
        self.acquire(value, range.len());
        let old = self.counted(range.clone());
        self.elements[range].fill(value);
        Ok(self.release(old))
    }

    /// `table.init`: copies `items[from..from + len]` to `start`.
    pub fn init(&mut self, start: u64, items: &[u64], from: u64, len: u64) -> Result<Vec<Doomed>, TrapCode> {
        let from = range(from, len, items.len() as u64)?;
        let to = range(start, len, self.len())?;
        let items = &items[from];
        items.iter().for_each(|&item| self.acquire(item, 1));
        let old = self.counted(to.clone());
        self.elements[to].copy_from_slice(items);
        Ok(self.release(old))
    }

    /// `table.copy` within one table.
    pub fn copy_within(&mut self, to: u64, from: u64, len: u64) -> Result<Vec<Doomed>, TrapCode> {
        let from = range(from, len, self.len())?;
        let to = range(to, len, self.len())?;
        self.elements[from.clone()].iter().for_each(|&item| self.acquire(item, 1));
        let old = self.counted(to.clone());
        self.elements.copy_within(from, to.start);
        Ok(self.release(old))
    }

    /// `table.copy` from another table.
    pub fn copy_from(&mut self, to: u64, source: &TableInstance, from: u64, len: u64) -> Result<Vec<Doomed>, TrapCode> {
        self.init(to, &source.elements, from, len)
    }

    /// Gives up all references; the elements are null then.
    pub fn clear(&mut self) -> Vec<Doomed> {
        let old = self.counted(0..self.elements.len());
        self.elements.fill(0);
        self.release(old)
    }
}

fn range(start: u64, len: u64, size: u64) -> Result<std::ops::Range<usize>, TrapCode> {
    match start.checked_add(len) {
        Some(end) if end <= size => Ok(start as usize..end as usize),
        _ => Err(TrapCode::TableOutOfBounds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::externref::VMExternRef;
    use crate::types::RefType;

    const OWNER: Owner = Owner(0x40);

    fn table(minimum: u32, maximum: Option<u32>) -> TableInstance {
        let ty = TableType { element: RefType::FUNCREF, minimum, maximum, table64: false };
        // SAFETY: the table has its own definition.
        unsafe { TableInstance::new(ty, 0, OWNER, None) }.unwrap()
    }

    #[test]
    fn growth_stops_at_the_maximum() {
        let mut table = table(2, Some(10));
        assert_eq!(table.grow(3, 7).unwrap(), 2);
        assert_eq!(table.elements, [0, 0, 7, 7, 7]);
        assert!(table.grow(6, 0).is_err());
        assert_eq!(table.grow(0, 0).unwrap(), 5);
        assert!(table.grow(u64::MAX, 0).is_err());
    }

    #[test]
    fn absurd_sizes_are_refused_before_anything_is_allocated() {
        let ty = TableType { element: RefType::FUNCREF, minimum: 4_000_000_000, maximum: None, table64: false };
        // SAFETY: the table has its own definition.
        assert!(matches!(unsafe { TableInstance::new(ty, 0, OWNER, None) }, Err(TableError::TooLarge { .. })));
    }

    #[test]
    fn bulk_operators_check_before_they_write() {
        let mut table = table(4, None);
        assert!(matches!(table.fill(2, 3, 1), Err(TrapCode::TableOutOfBounds)));
        assert_eq!(table.elements, [0; 4]);
        drop(table.init(1, &[5, 6, 7], 1, 2).unwrap());
        assert_eq!(table.elements, [0, 6, 7, 0]);
        assert!(matches!(table.init(0, &[5], 0, 2), Err(TrapCode::TableOutOfBounds)));
        drop(table.copy_within(0, 1, 3).unwrap());
        assert_eq!(table.elements, [6, 7, 0, 0]);
        assert!(table.copy_within(4, 4, 0).is_ok());
        assert!(matches!(table.copy_within(5, 0, 0), Err(TrapCode::TableOutOfBounds)));
    }

    #[test]
    fn every_operation_counts_exactly() {
        let references: Vec<_> = (0..3u32).map(VMExternRef::new).collect();
        let word = |index: usize| references[index].as_raw().as_ptr() as u64;
        let counts = || references.iter().map(|reference| reference.strong_count() - 1).collect::<Vec<_>>();
        let ty = TableType { element: RefType::EXTERNREF, minimum: 3, maximum: None, table64: false };
        // SAFETY: the table has its own definition; the words are of references that live longer.
        let new = || unsafe { TableInstance::new(ty, word(0), OWNER, None) }.unwrap();
        let (mut table, mut other) = (new(), new());
        assert_eq!(counts(), [6, 0, 0]);
        assert!(table.set(1, word(1)).unwrap().is_empty() && table.set(2, word(2)).unwrap().is_empty());
        assert_eq!(counts(), [4, 1, 1]);
        assert!(table.set(2, word(2)).unwrap().is_empty() && table.set(3, word(2)).is_none());
        assert!(table.copy_within(0, 1, 2).unwrap().is_empty());
        assert_eq!((counts(), &table.elements), (vec![3, 1, 2], &vec![word(1), word(2), word(2)]));
        assert!(table.copy_within(1, 0, 2).unwrap().is_empty());
        assert_eq!((counts(), &table.elements), (vec![3, 2, 1], &vec![word(1), word(1), word(2)]));
        table.grow(2, word(2)).unwrap();
        assert!(other.copy_from(0, &table, 2, 3).unwrap().is_empty());
        assert_eq!(counts(), [0, 2, 6]);
        assert!(other.fill(1, 2, 0).unwrap().is_empty());
        assert!(other.init(0, &[0, word(1), 0], 1, 2).unwrap().is_empty());
        assert_eq!(counts(), [0, 3, 3]);
        drop(references);
        assert_eq!((table.clear().len(), other.clear().len(), table.clear().len()), (1, 1, 0));
    }
}
