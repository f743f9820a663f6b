//! References to host values.
//!
//! ```text
//! VMExternRef ──▶ | count | owner | owned | listed | vtable | value ... |     one allocation
//! ```
//! A reference is a pointer to the header, one word wide. Its count is biased: the first store that counts a value owns
//! it, and counts its own references (elements of tables, globals, element segments, the activations table) in `owned`,
//! with plain loads and stores that compiled code makes inline. All other references, those of the host and of other
//! stores, are counted in `count`, atomically; as long as `owned` is not zero, one of `count` stands for all of `owned`:
//!
//! ```text
//! references = count + owned - (owned > 0)
//! owner != 0 <=> owned > 0
//! listed == owner <=> the owner's activations table has the value
//! ```
//! A store's references are alike: one that was counted in `count`, because another store owned the value then, may be
//! given up in `owned` later, and the other way round. The value goes when `count` becomes zero.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A counted pointer to a host value, one word wide. Clone counts one more, drop one less; borrows and moves touch
/// nothing. Equal are references to the same value.
pub struct VMExternRef(NonNull<Header>);

/// What precedes the value. Compiled code and debuggers know the first four words
/// ([`environ::vmoffsets::externref`](crate::environ::vmoffsets::externref)).
#[repr(C)]
struct Header {
    count: AtomicUsize,
    /// The [`Owner`], or 0.
    owner: AtomicUsize,
    owned: AtomicUsize,
    listed: AtomicUsize,
    vtable: &'static VTable,
}

struct VTable {
    /// Drops the value where it lies.
    drop_value: unsafe fn(NonNull<Header>),
    /// Frees the allocation of a dropped value.
    free: unsafe fn(NonNull<Header>),
    any: unsafe fn(NonNull<Header>) -> NonNull<dyn Any + Send + Sync>,
}

#[repr(C)]
struct Allocation<T> {
    header: Header,
    value: ManuallyDrop<T>,
}

const _: () = {
    use crate::environ::vmoffsets::externref;
    use std::mem::offset_of;
    assert!(offset_of!(Header, count) == externref::COUNT as usize);
    assert!(offset_of!(Header, owner) == externref::OWNER as usize);
    assert!(offset_of!(Header, owned) == externref::OWNED as usize);
    assert!(offset_of!(Header, listed) == externref::LISTED as usize);
};

// SAFETY: the value is `Send + Sync`. `count` and `owner` are atomic; `owned` and `listed` are written by the owning store
// only, which one thread uses at a time.
unsafe impl Send for VMExternRef {}
// SAFETY: as above.
unsafe impl Sync for VMExternRef {}

/// The mark of a live value in `listed`, added to the owner while a collection runs.
const MARK: usize = 1;
/// The owner of a value whose count became zero and whose memory was kept for the oracle.
const DEAD: usize = usize::MAX;

impl VMExternRef {
    /// A reference to a new value.
    pub fn new<T: Any + Send + Sync>(value: T) -> VMExternRef {
        unsafe fn drop_value<T>(header: NonNull<Header>) {
            // SAFETY: called once, when the count has become zero, with the header of an `Allocation<T>`.
            unsafe { ManuallyDrop::drop(&mut header.cast::<Allocation<T>>().as_mut().value) };
        }
        unsafe fn free<T>(header: NonNull<Header>) {
            // SAFETY: called once, after the value was dropped, with what `Box::into_raw` gave.
            drop(unsafe { Box::from_raw(header.cast::<Allocation<T>>().as_ptr()) });
        }
        unsafe fn any<T: Any + Send + Sync>(header: NonNull<Header>) -> NonNull<dyn Any + Send + Sync> {
            // SAFETY: the header is that of a live `Allocation<T>`.
            let value: &(dyn Any + Send + Sync) = unsafe { &*header.cast::<Allocation<T>>().as_ref().value };
            NonNull::from(value)
        }
        struct Table<T>(T);
        impl<T: Any + Send + Sync> Table<T> {
            const VTABLE: &'static VTable = &VTable { drop_value: drop_value::<T>, free: free::<T>, any: any::<T> };
        }
        let header = Header {
            count: AtomicUsize::new(1),
            owner: AtomicUsize::new(0),
            owned: AtomicUsize::new(0),
            listed: AtomicUsize::new(0),
            vtable: Table::<T>::VTABLE,
        };
        let allocation = Box::into_raw(Box::new(Allocation { header, value: ManuallyDrop::new(value) }));
        VMExternRef(NonNull::new(allocation.cast()).expect("a box is not null"))
    }

    fn header(&self) -> &Header {
        // SAFETY: alive as long as there is a reference, and `self` is one.
        unsafe { self.0.as_ref() }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &(dyn Any + Send + Sync) {
        // SAFETY: the header is alive, and the value with it for as long as `self` is borrowed.
        unsafe { (self.header().vtable.any)(self.0).as_ref() }
    }

    /// The value, if it is of type `T`.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.value().downcast_ref()
    }

    /// How many references own the value, those of stores included. Exact while no other thread uses the value.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        let header = self.header();
        let owned = header.owned.load(Ordering::Relaxed);
        header.count.load(Ordering::Relaxed) + owned - usize::from(owned > 0)
    }

    /// The address of the header: the pointer that compiled code holds, which owns nothing.
    #[must_use]
    pub fn as_raw(&self) -> NonNull<u8> {
        self.0.cast()
    }

    /// Turns the reference into the pointer that compiled code holds. The count stays: give it back with
    /// [`from_raw`](VMExternRef::from_raw).
    #[must_use]
    pub fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).0.cast()
    }

    /// The reference that [`into_raw`](VMExternRef::into_raw) gave up.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`into_raw`](VMExternRef::into_raw), and each such pointer may be turned back once.
    #[must_use]
    pub unsafe fn from_raw(raw: NonNull<u8>) -> VMExternRef {
        VMExternRef(raw.cast())
    }

    /// A further reference from the pointer that compiled code holds.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`as_raw`](VMExternRef::as_raw) or [`into_raw`](VMExternRef::into_raw), and the value must be
    /// alive.
    #[must_use]
    pub unsafe fn clone_from_raw(raw: NonNull<u8>) -> VMExternRef {
        let borrowed = ManuallyDrop::new(VMExternRef(raw.cast()));
        assert_alive(borrowed.header());
        VMExternRef::clone(&borrowed)
    }
}

impl Clone for VMExternRef {
    #[inline]
    fn clone(&self) -> VMExternRef {
        // Relaxed as in `Arc`: whoever clones has a reference already. Overflow would take 2^63 leaked references.
        self.header().count.fetch_add(1, Ordering::Relaxed);
        VMExternRef(self.0)
    }
}

impl Drop for VMExternRef {
    #[inline]
    fn drop(&mut self) {
        drop(release_shared(self.header(), self.0));
    }
}

impl PartialEq for VMExternRef {
    fn eq(&self, other: &VMExternRef) -> bool {
        self.0 == other.0
    }
}

impl Eq for VMExternRef {}

impl Hash for VMExternRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl std::fmt::Debug for VMExternRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("VMExternRef").field(&self.0).finish()
    }
}

/// A value without references. Dropping this runs the value's drop handler, so it must happen where host code may run.
#[must_use = "its drop handler runs when it is dropped"]
#[derive(Debug)]
pub struct Doomed(NonNull<Header>);

// SAFETY: the value is `Send`, and nothing else refers to it.
unsafe impl Send for Doomed {}
// SAFETY: it gives no access.
unsafe impl Sync for Doomed {}

impl Drop for Doomed {
    fn drop(&mut self) {
        /// Frees even if the drop handler panics.
        struct Free(NonNull<Header>);
        impl Drop for Free {
            fn drop(&mut self) {
                // SAFETY: the value has been dropped, and nothing refers to it.
                unsafe { (self.0.as_ref().vtable.free)(self.0) };
            }
        }
        let free = Free(self.0);
        // SAFETY: nothing refers to the value, and it is dropped here only.
        unsafe { (free.0.as_ref().vtable.drop_value)(free.0) };
    }
}

/// A value that was dropped, but whose header is kept, so that a use of it is noticed.
#[derive(Debug)]
pub struct Corpse(NonNull<Header>);

// SAFETY: only its memory is left.
unsafe impl Send for Corpse {}
// SAFETY: as above.
unsafe impl Sync for Corpse {}

impl Doomed {
    /// Runs the drop handler now and keeps the header.
    pub fn bury(self) -> Corpse {
        let corpse = Corpse(ManuallyDrop::new(self).0);
        // SAFETY: as for `drop`; the allocation stays until the corpse is dropped.
        unsafe {
            let header = corpse.0.as_ref();
            header.owner.store(DEAD, Ordering::Relaxed);
            (header.vtable.drop_value)(corpse.0);
        }
        corpse
    }
}

impl Drop for Corpse {
    fn drop(&mut self) {
        // SAFETY: the value was dropped by `bury`.
        unsafe { (self.0.as_ref().vtable.free)(self.0) };
    }
}

/// Panics if the value was buried.
#[inline]
fn assert_alive(header: &Header) {
    // Nothing is ever buried but under stress; one load of a line that is needed anyway.
    if header.owner.load(Ordering::Relaxed) == DEAD {
        dropped_too_early(header);
    }
}

#[cold]
#[inline(never)]
fn dropped_too_early(header: &Header) -> ! {
    panic!("the host value at {header:p} was dropped while the guest still referred to it");
}

/// Gives up a reference that `count` counts.
#[inline]
fn release_shared(header: &Header, raw: NonNull<Header>) -> Option<Doomed> {
    // As in `Arc`: uses of the value through other references happen before it is dropped.
    if header.count.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        return Some(Doomed(raw));
    }
    None
}

/// A store as the owner of counts: the address of its activations table's head, which compiled code knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub(super) usize);

/// The header that a raw pointer leads to.
///
/// # Safety
///
/// `raw` must come from a [`VMExternRef`] whose value is alive for `'a`.
#[inline]
unsafe fn header<'a>(raw: NonNull<u8>) -> &'a Header {
    // SAFETY: the caller's promise.
    unsafe { raw.cast::<Header>().as_ref() }
}

impl Owner {
    /// Does this store own the value's count? Only it can make that true or false, so the answer holds.
    #[inline]
    fn owns(self, header: &Header) -> bool {
        header.owner.load(Ordering::Relaxed) == self.0
    }

    /// Becomes the owner of a value that has none. The caller has, or makes, the one reference in `count` that stands for
    /// all of `owned`.
    fn claim(self, header: &Header) -> bool {
        // Acquire: what the last owner wrote happens before, see `release`.
        let claimed = header.owner.compare_exchange(0, self.0, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if claimed {
            debug_assert_eq!(header.owned.load(Ordering::Relaxed), 0);
            header.owned.store(1, Ordering::Relaxed);
        } else {
            assert_alive(header);
        }
        claimed
    }

    fn add(self, header: &Header, more: usize) {
        header.owned.store(header.owned.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    /// The store takes a further reference.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value. This store's thread must be the caller's (true of all that follow).
    #[inline]
    pub unsafe fn acquire(self, raw: NonNull<u8>) {
        // SAFETY: the caller's promise.
        let header = unsafe { header(raw) };
        if self.owns(header) {
            self.add(header, 1);
        } else {
            self.claim(header);
            // The store's first own reference, or the one more that a foreign value gets.
            header.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The store takes over the host's reference.
    #[inline]
    pub fn adopt(self, reference: VMExternRef) -> NonNull<u8> {
        let reference = ManuallyDrop::new(reference);
        let header = reference.header();
        if self.owns(header) {
            self.add(header, 1);
            self.give_back(header);
        } else {
            // Claimed or not: the reference stays in `count`.
            self.claim(header);
        }
        reference.as_raw()
    }

    /// Gives up one of several references in `count`.
    #[inline]
    fn give_back(self, header: &Header) {
        let old = header.count.fetch_sub(1, Ordering::Release);
        debug_assert!(old > 1, "one stands for those that the store owns");
    }

    /// The store gives up a reference.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value of which the store has a reference that it uses no more.
    #[inline]
    pub unsafe fn release(self, raw: NonNull<u8>) -> Option<Doomed> {
        // SAFETY: the caller's promise.
        let header = unsafe { header(raw) };
        if self.owns(header) {
            let owned = header.owned.load(Ordering::Relaxed) - 1;
            if owned == 0 && header.listed.load(Ordering::Relaxed) != 0 {
                // The table's own reference must stay in `owned`. This one was taken when another store owned the value.
                self.give_back(header);
                return None;
            }
            header.owned.store(owned, Ordering::Relaxed);
            if owned > 0 {
                return None;
            }
            if header.count.load(Ordering::Acquire) == 1 {
                // Nobody else has a reference from which a further one could be made.
                return Some(Doomed(raw.cast()));
            }
            // Release: the next owner sees what this one wrote.
            header.owner.store(0, Ordering::Release);
        } else {
            assert_alive(header);
        }
        release_shared(header, raw.cast())
    }

    /// Is the value in this store's activations table, as far as its header knows? (Of a foreign value it does not.)
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value.
    #[inline]
    pub unsafe fn is_listed(self, raw: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise. `MARK` is only there during a collection.
        unsafe { header(raw) }.listed.load(Ordering::Relaxed) & !MARK == self.0
    }

    /// Notes that the value is in this store's activations table; false if another store owns it, so that it cannot be
    /// noted.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value.
    #[inline]
    pub unsafe fn list(self, raw: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise.
        let header = unsafe { header(raw) };
        let owns = self.owns(header);
        if owns {
            header.listed.store(self.0, Ordering::Relaxed);
        }
        owns
    }

    /// Marks a value that is listed; false if it is not.
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value.
    #[inline]
    pub unsafe fn mark(self, raw: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise.
        let listed = unsafe { self.is_listed(raw) };
        if listed {
            // SAFETY: as above.
            unsafe { header(raw) }.listed.store(self.0 | MARK, Ordering::Relaxed);
        }
        listed
    }

    /// Was the value marked?
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value.
    pub unsafe fn is_marked(self, raw: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise.
        unsafe { header(raw) }.listed.load(Ordering::Relaxed) == self.0 | MARK
    }

    /// Takes the mark of a listed value away; without one, the value is no longer listed. Was it marked?
    ///
    /// # Safety
    ///
    /// `raw` must lead to a live value that is listed.
    #[inline]
    pub unsafe fn unmark(self, raw: NonNull<u8>) -> bool {
        // SAFETY: the caller's promise.
        let listed = &unsafe { header(raw) }.listed;
        let marked = listed.load(Ordering::Relaxed) & MARK != 0;
        listed.store(if marked { self.0 } else { 0 }, Ordering::Relaxed);
        marked
    }

    /// Gives up the unit of a value that the host just passed again: it is listed already.
    #[inline]
    pub(super) fn give_back_listed(self, reference: VMExternRef) -> NonNull<u8> {
        let reference = ManuallyDrop::new(reference);
        self.give_back(reference.header());
        reference.as_raw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_last_reference_drops_the_value_once() {
        let value = Arc::new(());
        let a = VMExternRef::new(Arc::clone(&value));
        let b = a.clone();
        assert_eq!((a.strong_count(), Arc::strong_count(&value)), (2, 2));
        drop(a);
        assert_eq!(Arc::strong_count(&value), 2);
        assert!(b.downcast_ref::<Arc<()>>().is_some());
        drop(b);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_reference_is_one_word_and_survives_the_round_trip() {
        assert_eq!(size_of::<Option<VMExternRef>>(), 8);
        let a = VMExternRef::new(5u128);
        // SAFETY: alive.
        let b = unsafe { VMExternRef::clone_from_raw(a.as_raw()) };
        assert_eq!(b.downcast_ref::<u128>(), Some(&5));
        assert_eq!((a.strong_count(), &a), (2, &b));
        // SAFETY: from `into_raw`.
        let b = unsafe { VMExternRef::from_raw(b.into_raw()) };
        assert_eq!(a.strong_count(), 2);
        drop(b);
        assert_eq!(a.strong_count(), 1);
    }

    #[test]
    fn values_are_aligned_as_they_need() {
        #[repr(align(64))]
        struct Wide(u8);
        let a = VMExternRef::new(Wide(3));
        let wide: &Wide = a.downcast_ref().unwrap();
        assert_eq!((std::ptr::from_ref(wide) as usize % 64, wide.0), (0, 3));
    }

    #[test]
    fn owners_count_and_others_count_beside_them() {
        let value = Arc::new(());
        let reference = VMExternRef::new(Arc::clone(&value));
        let raw = reference.as_raw();
        let (first, second) = (Owner(0x10), Owner(0x20));
        // SAFETY: `reference` keeps the value alive until the end.
        unsafe {
            first.acquire(raw);
            second.acquire(raw);
            first.acquire(raw);
            assert_eq!(reference.strong_count(), 4);
            assert_eq!(first.adopt(reference.clone()), raw);
            assert_eq!(second.adopt(reference.clone()), raw);
            assert_eq!(reference.strong_count(), 6);
            // The owner leaves; the other becomes owner with its next reference, and gives all of them up.
            assert!((0..3).all(|_| first.release(raw).is_none()));
            second.acquire(raw);
            assert!(second.list(raw) && !first.list(raw));
            assert!(second.is_listed(raw) && second.mark(raw) && second.is_marked(raw) && second.unmark(raw));
            assert_eq!(reference.strong_count(), 4);
            // As long as it lists the value, it stays the owner.
            assert!((0..2).all(|_| second.release(raw).is_none()));
            assert!(second.is_listed(raw) && second.owns(header(raw)));
            assert!(!second.unmark(raw) && second.release(raw).is_none());
            assert_eq!(reference.strong_count(), 1);
            first.acquire(raw);
            drop(reference);
            assert_eq!(Arc::strong_count(&value), 2);
            drop(first.release(raw).expect("the last reference"));
        }
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn references_may_be_used_on_several_threads_while_a_store_counts() {
        let value = Arc::new(());
        let reference = VMExternRef::new(Arc::clone(&value));
        let raw = reference.as_raw();
        std::thread::scope(|scope| {
            for number in 1..4 {
                let reference = reference.clone();
                scope.spawn(move || {
                    let owner = Owner(number << 8);
                    for _ in 0..2000 {
                        // SAFETY: `reference` keeps the value alive.
                        unsafe {
                            owner.acquire(reference.as_raw());
                            owner.adopt(reference.clone());
                            assert!(owner.release(reference.as_raw()).is_none());
                            assert!(owner.release(reference.as_raw()).is_none());
                        }
                    }
                });
            }
        });
        assert_eq!((reference.strong_count(), raw), (1, reference.as_raw()));
        drop(reference);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
