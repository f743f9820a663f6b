//! The activations table of a store: an over-approximation of the host values that guest frames refer to.
//!
//! ```text
//! VMExternRefActivations | next | end |          compiled code and the host's fast path push at `next`
//!                            ▼      ▼
//! chunk  | a | b | c | d |      |      | spare |     values that this store owns, each once: `listed` says so
//! foreign { x, y }                                   values that another store owns
//! ```
//! The table has a reference of each value in it, so the guest's frames only borrow: neither `local.get`, `local.set` nor a
//! call counts anything. What is no longer on the stack leaves the table with the next collection, which marks the values
//! that it finds in frames ([`ActivationsTable::mark`]) and gives up the rest ([`ActivationsTable::sweep`]): the precise
//! set, marks in the chunk and a set of the foreign ones, becomes the new table.

use super::externref::{Doomed, Owner, VMExternRef};
use std::collections::HashSet;
use std::ptr::NonNull;

/// What a context's `activations` points to; its address is the store's [`Owner`].
#[repr(C, align(16))]
#[derive(Debug)]
pub struct VMExternRefActivations {
    /// Where the next reference goes.
    pub next: *mut NonNull<u8>,
    /// Where the chunk counts as full; equal to `next` when it is.
    pub end: *mut NonNull<u8>,
}

/// See the module.
#[derive(Debug)]
pub struct ActivationsTable {
    /// From `Box::into_raw`: compiled code writes it.
    vm: NonNull<VMExternRefActivations>,
    /// From a `Vec` of this capacity.
    chunk: NonNull<NonNull<u8>>,
    capacity: usize,
    foreign: HashSet<NonNull<u8>>,
    /// The foreign values that were found in frames.
    precise: HashSet<NonNull<u8>>,
}

// SAFETY: the pointers lead to what the table owns, and to values that are `Send + Sync`.
unsafe impl Send for ActivationsTable {}
// SAFETY: a shared table gives read access only.
unsafe impl Sync for ActivationsTable {}

/// So many values at least are listed between two collections.
const LEAST: usize = 1 << 10;

fn allocate(capacity: usize) -> NonNull<NonNull<u8>> {
    let mut chunk = std::mem::ManuallyDrop::new(Vec::with_capacity(capacity));
    NonNull::new(chunk.as_mut_ptr()).expect("a vector's pointer is not null")
}

impl ActivationsTable {
    pub fn new() -> ActivationsTable {
        let chunk = allocate(LEAST);
        // SAFETY: the end of the allocation.
        let end = unsafe { chunk.as_ptr().add(LEAST) };
        let vm = Box::into_raw(Box::new(VMExternRefActivations { next: chunk.as_ptr(), end }));
        ActivationsTable {
            vm: NonNull::new(vm).expect("a box is not null"),
            chunk,
            capacity: LEAST,
            foreign: HashSet::new(),
            precise: HashSet::new(),
        }
    }

    /// The address for contexts.
    pub fn vm(&self) -> *mut VMExternRefActivations {
        self.vm.as_ptr()
    }

    /// The store, as the owner of counts.
    #[inline]
    pub fn owner(&self) -> Owner {
        Owner(self.vm.as_ptr() as usize)
    }

    #[inline]
    fn next(&self) -> *mut NonNull<u8> {
        // SAFETY: the table owns it; compiled code does not run meanwhile.
        unsafe { (*self.vm.as_ptr()).next }
    }

    /// Is it time for a collection?
    #[inline]
    pub fn is_full(&self) -> bool {
        // SAFETY: as for `next`.
        unsafe { (*self.vm.as_ptr()).next >= (*self.vm.as_ptr()).end }
    }

    fn chunk_len(&self) -> usize {
        // SAFETY: `next` points into the chunk or to its end.
        unsafe { self.next().offset_from_unsigned(self.chunk.as_ptr()) }
    }

    /// How many values are listed.
    pub fn len(&self) -> usize {
        self.chunk_len() + self.foreign.len()
    }

    /// Passes a reference into the guest: the table has it from now on, and the guest borrows it.
    ///
    /// Never collects: references that were passed just before may be in no frame yet.
    #[inline]
    pub fn insert(&mut self, reference: VMExternRef) -> NonNull<u8> {
        let owner = self.owner();
        // SAFETY: alive, as `reference` shows.
        if unsafe { owner.is_listed(reference.as_raw()) } {
            return owner.give_back_listed(reference);
        }
        self.insert_new(reference)
    }

    #[inline(never)]
    fn insert_new(&mut self, reference: VMExternRef) -> NonNull<u8> {
        let raw = self.owner().adopt(reference);
        // SAFETY: alive, as the store has a reference now, which becomes the table's.
        unsafe { self.list_owned(raw) }
        raw
    }

    /// Lists what `raw` leads to, if it is not listed.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value.
    pub unsafe fn insert_raw(&mut self, raw: NonNull<u8>) {
        let owner = self.owner();
        // SAFETY: the caller's promise.
        unsafe {
            if !owner.is_listed(raw) && !self.foreign.contains(&raw) {
                owner.acquire(raw);
                self.list_owned(raw);
            }
        }
    }

    /// Lists a value of which the store has a reference for the table.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value that is not in the chunk.
    unsafe fn list_owned(&mut self, raw: NonNull<u8>) {
        // SAFETY: the caller's promise.
        if unsafe { self.owner().list(raw) } {
            // A value that was foreign when it was listed, and has become this store's since, is listed twice, with a
            // reference each.
            self.push(raw);
        } else if !self.foreign.insert(raw) {
            // SAFETY: the set has a reference of its own.
            let last = unsafe { self.owner().release(raw) };
            debug_assert!(last.is_none(), "the set has a reference");
        }
    }

    #[inline]
    fn push(&mut self, raw: NonNull<u8>) {
        if self.chunk_len() == self.capacity {
            self.set_capacity(self.capacity * 2);
        }
        let next = self.next();
        // SAFETY: there is room, as just seen. Beyond `end` there may be, too: the table stays full until it is collected.
        unsafe {
            next.write(raw);
            (*self.vm.as_ptr()).next = next.add(1);
        }
    }

    /// Moves the chunk. Keeps the distance between its start and the end that counts as full.
    fn set_capacity(&mut self, capacity: usize) {
        let len = self.chunk_len();
        debug_assert!(capacity >= len);
        let new = allocate(capacity);
        // SAFETY: both have room for `len` items; the old one is an allocation of its capacity.
        unsafe {
            let vm = self.vm.as_ptr();
            let full = (*vm).end.offset_from_unsigned(self.chunk.as_ptr());
            new.as_ptr().copy_from_nonoverlapping(self.chunk.as_ptr(), len);
            (*vm).next = new.as_ptr().add(len);
            (*vm).end = new.as_ptr().add(full.min(capacity));
            drop(Vec::from_raw_parts(self.chunk.as_ptr(), 0, self.capacity));
        }
        self.chunk = new;
        self.capacity = capacity;
    }

    /// Is this the pointer to a value that is listed? Looks at all of them: for the oracle.
    pub fn contains(&self, raw: NonNull<u8>) -> bool {
        self.foreign.contains(&raw) || self.chunk().contains(&raw)
    }

    /// Is a reference that the guest shows one that it may have?
    ///
    /// # Safety
    ///
    /// `raw` must lead to a value that is alive or buried.
    pub unsafe fn is_known(&self, raw: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.owner().is_listed(raw) || self.foreign.contains(&raw) }
    }

    /// The values in the chunk.
    pub fn chunk(&self) -> &[NonNull<u8>] {
        // SAFETY: so many items were pushed; compiled code does not run meanwhile.
        unsafe { std::slice::from_raw_parts(self.chunk.as_ptr(), self.chunk_len()) }
    }

    /// The listed values that another store owns.
    pub fn foreign(&self) -> &HashSet<NonNull<u8>> {
        &self.foreign
    }

    /// Notes that a frame refers to this value. What the table does not have is not its business: the host that passed it
    /// keeps it.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value; a [`sweep`](ActivationsTable::sweep) must follow.
    #[inline]
    pub unsafe fn mark(&mut self, raw: NonNull<u8>) {
        // SAFETY: the caller's promise.
        let listed = unsafe { self.owner().mark(raw) };
        // A value that was foreign once may be in both.
        if !self.foreign.is_empty() && self.foreign.contains(&raw) && !listed {
            self.precise.insert(raw);
        }
    }

    /// Was it marked?
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value.
    pub unsafe fn is_marked(&self, raw: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise.
        self.precise.contains(&raw) || unsafe { self.owner().is_marked(raw) }
    }

    /// Gives up every value that was not marked, and takes the marks away. The values whose last reference that was go to
    /// `doomed`. `frames` were walked for the marks: the next collection comes the later the longer that took.
    pub fn sweep(&mut self, frames: usize, doomed: &mut Vec<Doomed>) {
        let owner = self.owner();
        let mut kept = self.chunk.as_ptr();
        for at in 0..self.chunk_len() {
            // SAFETY: an item of the chunk; the table's reference keeps the value alive until it is given up here. `kept`
            // is never ahead of the item that is read.
            unsafe {
                let raw = self.chunk.as_ptr().add(at).read();
                if owner.unmark(raw) {
                    kept.write(raw);
                    kept = kept.add(1);
                } else {
                    doomed.extend(owner.release(raw));
                }
            }
        }
        if !self.foreign.is_empty() {
            let precise = std::mem::take(&mut self.precise);
            for raw in std::mem::replace(&mut self.foreign, precise) {
                if !self.foreign.contains(&raw) {
                    // SAFETY: the set had a reference.
                    doomed.extend(unsafe { owner.release(raw) });
                }
            }
        }
        // SAFETY: `kept` points into the chunk.
        unsafe { (*self.vm.as_ptr()).next = kept };
        // Half of the next round's work is new values, so that collections cost a constant share.
        self.set_end(self.chunk_len() * 2 + frames);
    }

    /// Sets how many values make the table full.
    fn set_end(&mut self, wanted: usize) {
        let wanted = wanted.max(LEAST).next_power_of_two();
        if wanted > self.capacity || wanted <= self.capacity / 8 {
            self.set_capacity(wanted);
        }
        // SAFETY: inside the chunk or its end.
        unsafe { (*self.vm.as_ptr()).end = self.chunk.as_ptr().add(wanted) };
    }
}

impl Drop for ActivationsTable {
    fn drop(&mut self) {
        debug_assert_eq!(self.len(), 0, "the store gives up its references before");
        // SAFETY: from `Box::into_raw` and from a vector of this capacity; no code that knows them runs any more.
        unsafe {
            drop(Box::from_raw(self.vm.as_ptr()));
            drop(Vec::from_raw_parts(self.chunk.as_ptr(), 0, self.capacity));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn values(value: &Arc<()>, count: usize) -> Vec<VMExternRef> {
        (0..count).map(|_| VMExternRef::new(Arc::clone(value))).collect()
    }

    #[test]
    fn what_the_guest_was_given_lives_until_it_is_let_go() {
        let value = Arc::new(());
        let mut table = ActivationsTable::new();
        let reference = VMExternRef::new(Arc::clone(&value));
        let raw = table.insert(reference.clone());
        assert_eq!(table.insert(reference.clone()), raw);
        // SAFETY: alive.
        unsafe { table.insert_raw(raw) };
        assert_eq!((table.len(), reference.strong_count()), (1, 2));
        drop(reference);
        let mut doomed = Vec::new();
        // SAFETY: alive, as the table has it; a sweep follows.
        unsafe { table.mark(raw) };
        table.sweep(0, &mut doomed);
        assert_eq!((doomed.len(), table.len()), (0, 1));
        table.sweep(0, &mut doomed);
        assert_eq!((doomed.len(), table.len(), Arc::strong_count(&value)), (1, 0, 2));
        drop(doomed);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn the_chunk_grows_for_the_host_and_shrinks_after_a_collection() {
        let value = Arc::new(());
        let mut table = ActivationsTable::new();
        let all = values(&value, 10 * LEAST);
        let raws: Vec<_> = all.into_iter().map(|reference| table.insert(reference)).collect();
        assert!(table.is_full() && table.len() == raws.len());
        for &raw in &raws[..3 * LEAST] {
            // SAFETY: alive, as the table has it; a sweep follows.
            unsafe { table.mark(raw) };
        }
        let mut doomed = Vec::new();
        table.sweep(0, &mut doomed);
        assert!(!table.is_full() && table.len() == 3 * LEAST && table.capacity >= 6 * LEAST);
        assert_eq!(table.chunk(), &raws[..3 * LEAST]);
        table.sweep(0, &mut doomed);
        assert_eq!((table.len(), table.capacity), (0, LEAST));
        drop(doomed);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_value_of_another_store_is_listed_in_both() {
        let value = Arc::new(());
        let (mut first, mut second) = (ActivationsTable::new(), ActivationsTable::new());
        let reference = VMExternRef::new(Arc::clone(&value));
        let raw = first.insert(reference.clone());
        second.insert(reference.clone());
        second.insert(reference.clone());
        // SAFETY: alive.
        unsafe { second.insert_raw(raw) };
        assert_eq!((first.len(), second.len(), second.foreign.len(), reference.strong_count()), (1, 1, 1, 3));
        let mut doomed = Vec::new();
        // SAFETY: alive; a sweep follows.
        unsafe { second.mark(raw) };
        second.sweep(0, &mut doomed);
        assert_eq!(second.len(), 1);
        // The owner lets go; what was foreign becomes the other's, and is then listed once more.
        first.sweep(0, &mut doomed);
        second.insert(reference.clone());
        assert_eq!((second.len(), reference.strong_count()), (2, 3));
        // SAFETY: alive; a sweep follows.
        unsafe { second.mark(raw) };
        second.sweep(0, &mut doomed);
        assert_eq!((second.len(), second.foreign.len(), reference.strong_count()), (1, 0, 2));
        second.sweep(0, &mut doomed);
        assert_eq!((second.len(), reference.strong_count(), doomed.len()), (0, 1, 0));
        drop(reference);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
