//! Handles: a pointer to what a store owns, and which store that is.

use crate::runtime::store::{StoreId, StoreOpaque};
use std::ptr::NonNull;

/// A pointer that is valid with the store of this id.
pub struct Handle<I> {
    store: StoreId,
    item: NonNull<I>,
}

impl<I> Clone for Handle<I> {
    fn clone(&self) -> Handle<I> {
        *self
    }
}

impl<I> Copy for Handle<I> {}

impl<I> std::fmt::Debug for Handle<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.item)
    }
}

// SAFETY: the pointer is only followed with a borrow of the store, by `item` and `item_mut`.
unsafe impl<I> Send for Handle<I> {}
// SAFETY: as above.
unsafe impl<I> Sync for Handle<I> {}

impl<I> Handle<I> {
    /// A handle for something that the store with this id owns until it is dropped.
    pub fn new(store: StoreId, item: NonNull<I>) -> Handle<I> {
        Handle { store, item }
    }

    /// Is this the store?
    pub fn belongs_to(&self, store: &StoreOpaque) -> bool {
        self.store == store.id()
    }

    /// The pointer, checked.
    ///
    /// # Panics
    ///
    /// If this is another store.
    #[track_caller]
    pub fn pointer(&self, store: &StoreOpaque) -> NonNull<I> {
        assert!(self.belongs_to(store), "a handle was used with another store than its own");
        self.item
    }

    /// What it stands for.
    #[track_caller]
    pub fn item<'a>(&self, store: &'a StoreOpaque) -> &'a I {
        // SAFETY: the store owns it and is borrowed.
        unsafe { &*self.pointer(store).as_ptr() }
    }

    /// What it stands for.
    #[track_caller]
    pub fn item_mut<'a>(&self, store: &'a mut StoreOpaque) -> &'a mut I {
        // SAFETY: the store owns it and is borrowed mutably; one call gives one borrow.
        unsafe { &mut *self.pointer(store).as_ptr() }
    }
}
