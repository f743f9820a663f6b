//! References to host values.
//!
//! ```text
//! VMExternRef ──▶ | count: usize | drop fn | any fn | value ... |     one allocation
//! ```
//! A raw pointer that the guest holds does not own a count. What keeps the value alive meanwhile is the store's
//! [`Activations`]: it owns one count of every value that was passed into the guest, until the store is dropped or
//! [collects](Activations::retain).

use std::any::Any;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// A counted pointer to a host value, one word wide.
pub struct VMExternRef(NonNull<Header>);

/// What precedes the value. Debuggers read `count`; compiled code may.
#[repr(C)]
struct Header {
    count: AtomicUsize,
    drop: unsafe fn(NonNull<Header>),
    any: unsafe fn(NonNull<Header>) -> NonNull<dyn Any + Send + Sync>,
}

#[repr(C)]
struct Allocation<T> {
    header: Header,
    value: T,
}

// SAFETY: the value is `Send + Sync`, the count atomic.
unsafe impl Send for VMExternRef {}
// SAFETY: as above.
unsafe impl Sync for VMExternRef {}

impl VMExternRef {
    /// A reference to a new value.
    pub fn new<T: Any + Send + Sync>(value: T) -> VMExternRef {
        unsafe fn drop_allocation<T>(header: NonNull<Header>) {
            // SAFETY: called once, when the count has become zero, with what `Box::into_raw` gave.
            drop(unsafe { Box::from_raw(header.cast::<Allocation<T>>().as_ptr()) });
        }
        unsafe fn value_of<T: Any + Send + Sync>(header: NonNull<Header>) -> NonNull<dyn Any + Send + Sync> {
            // SAFETY: the header is that of a live `Allocation<T>`.
            let value: &(dyn Any + Send + Sync) = unsafe { &header.cast::<Allocation<T>>().as_ref().value };
            NonNull::from(value)
        }
        let header = Header { count: AtomicUsize::new(1), drop: drop_allocation::<T>, any: value_of::<T> };
        let allocation = Box::into_raw(Box::new(Allocation { header, value }));
        VMExternRef(NonNull::new(allocation.cast()).expect("a box is not null"))
    }

    fn header(&self) -> &Header {
        // SAFETY: alive as long as there is a reference, and `self` is one.
        unsafe { self.0.as_ref() }
    }

    /// The value.
    pub fn value(&self) -> &(dyn Any + Send + Sync) {
        // SAFETY: the header is alive, and the value with it for as long as `self` is borrowed.
        unsafe { (self.header().any)(self.0).as_ref() }
    }

    /// How many references own the value, the store's own included.
    pub fn strong_count(&self) -> usize {
        self.header().count.load(Ordering::Relaxed)
    }

    /// The address of the header: the pointer that compiled code holds, which owns nothing.
    pub fn as_raw(&self) -> NonNull<u8> {
        self.0.cast()
    }

    /// A further reference from the pointer that compiled code holds.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`VMExternRef::as_raw`], and the value must be alive.
    pub unsafe fn clone_from_raw(raw: NonNull<u8>) -> VMExternRef {
        let borrowed = std::mem::ManuallyDrop::new(VMExternRef(raw.cast()));
        VMExternRef::clone(&borrowed)
    }
}

impl VMExternRef {
    /// Drops a value whose last count is gone already.
    ///
    /// # Safety
    ///
    /// `raw` must come from [`VMExternRef::as_raw`], the count must be zero and the value not dropped yet.
    pub unsafe fn drop_uncounted(raw: NonNull<u8>) {
        let header: NonNull<Header> = raw.cast();
        fence(Ordering::Acquire);
        // SAFETY: the caller's promise.
        unsafe {
            debug_assert_eq!(header.as_ref().count.load(Ordering::Relaxed), 0);
            (header.as_ref().drop)(header);
        }
    }
}

impl Clone for VMExternRef {
    fn clone(&self) -> VMExternRef {
        // Relaxed as in `Arc`: whoever clones has a reference already. Overflow would take 2^63 leaked references.
        self.header().count.fetch_add(1, Ordering::Relaxed);
        VMExternRef(self.0)
    }
}

impl Drop for VMExternRef {
    fn drop(&mut self) {
        // As in `Arc`: uses of the value through other references happen before it is dropped.
        if self.header().count.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let drop = self.header().drop;
            // SAFETY: this was the last reference.
            unsafe { drop(self.0) };
        }
    }
}

impl std::fmt::Debug for VMExternRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("VMExternRef").field(&self.0).finish()
    }
}

/// What a context's `activations` points to: the bump chunk that compiled code may fill.
#[repr(C)]
#[derive(Debug)]
pub struct VMExternRefActivations {
    /// Where the next reference goes.
    pub next: *mut usize,
    /// Where the chunk ends; equal to `next` when it is full.
    pub end: *mut usize,
}

/// The values that a store's guest may refer to.
#[derive(Debug)]
pub struct Activations {
    /// Compiled code knows its address. Without a chunk: always full.
    vm: Box<VMExternRefActivations>,
    held: HashMap<NonNull<u8>, VMExternRef>,
}

// SAFETY: the bump pointers are null; the rest is `Send`.
unsafe impl Send for Activations {}
// SAFETY: as above.
unsafe impl Sync for Activations {}

impl Activations {
    pub fn new() -> Activations {
        let vm = VMExternRefActivations { next: std::ptr::null_mut(), end: std::ptr::null_mut() };
        Activations { vm: Box::new(vm), held: HashMap::new() }
    }

    /// The address for contexts.
    pub fn vm(&self) -> *const VMExternRefActivations {
        &raw const *self.vm
    }

    /// Passes a reference into the guest: keeps it alive, gives the pointer.
    pub fn insert(&mut self, reference: VMExternRef) -> NonNull<u8> {
        let raw = reference.as_raw();
        self.held.entry(raw).or_insert(reference);
        raw
    }

    /// Keeps alive what `raw` points to.
    ///
    /// # Safety
    ///
    /// As [`VMExternRef::clone_from_raw`].
    pub unsafe fn insert_raw(&mut self, raw: NonNull<u8>) {
        // SAFETY: the caller's promise.
        self.held.entry(raw).or_insert_with(|| unsafe { VMExternRef::clone_from_raw(raw) });
    }

    /// Takes out the values for which `live` is false; the caller drops them when it is ready for their drop handlers.
    ///
    /// # Safety
    ///
    /// Nothing of the guest (frames, tables, globals) may refer to those.
    pub unsafe fn retain(&mut self, mut live: impl FnMut(NonNull<u8>) -> bool) -> Vec<VMExternRef> {
        self.held.extract_if(|raw, _| !live(*raw)).map(|(_, reference)| reference).collect()
    }

    /// Is this the pointer to a value that is held?
    pub fn contains(&self, raw: NonNull<u8>) -> bool {
        self.held.contains_key(&raw)
    }

    /// How many values are held.
    pub fn len(&self) -> usize {
        self.held.len()
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
        assert!(b.value().downcast_ref::<Arc<()>>().is_some());
        drop(b);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_reference_is_one_word_and_survives_the_round_trip() {
        assert_eq!(size_of::<Option<VMExternRef>>(), 8);
        let a = VMExternRef::new(5u128);
        // SAFETY: alive.
        let b = unsafe { VMExternRef::clone_from_raw(a.as_raw()) };
        assert_eq!(b.value().downcast_ref::<u128>(), Some(&5));
        assert_eq!(a.strong_count(), 2);
    }

    #[test]
    fn what_the_guest_was_given_lives_until_it_is_let_go() {
        let value = Arc::new(());
        let mut activations = Activations::new();
        let raw = activations.insert(VMExternRef::new(Arc::clone(&value)));
        // SAFETY: held by the table.
        activations.insert(unsafe { VMExternRef::clone_from_raw(raw) });
        assert_eq!((activations.len(), Arc::strong_count(&value)), (1, 2));
        // SAFETY: nothing refers to it.
        let dead = unsafe { activations.retain(|_| false) };
        assert_eq!((dead.len(), activations.len()), (1, 0));
        drop(dead);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
