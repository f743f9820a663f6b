//! Tables of neighbours, registered together.
//!
//! A region's modules lie one behind another, and the sections of a run of them are one object for
//! libgcc: a group. As in a binary counter, a new module is a group of its own, and while the last
//! group but one is no larger than the last, both become one. So there are at most about log2(n)
//! groups, and each module was in about as many. A dropped module stays in its group until half of the
//! group is dropped; then the rest is registered anew.
//!
//! ```text
//! addresses  ──────────────────────────────────────────────▶
//! modules    a  b  c  d  e  f  g  h  i  j  k
//! groups     [ 8                   ] [ 2 ] [1]
//! ```
//!
//! An object's range, for libgcc, is from its lowest function to its highest, and libgcc before 13
//! asks only the object with the highest start at or below a pc. Groups of one region do not overlap,
//! and nobody else's code lies within it.
//!
//! A thread may be unwinding at any time, so the new object is registered before the old ones are
//! taken back, the lower of two first: if it went last, it would be asked for the pcs of the other.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How the process's unwinder was told about a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionStatistics {
    /// Objects that the unwinder knows now.
    pub objects: usize,
    /// Sections in them that belong to modules.
    pub live: usize,
    /// Sections in them whose modules were dropped.
    pub dropped: usize,
    /// Sections in all objects that were registered so far: one that was in three objects counts thrice.
    pub registered: usize,
}

/// Tables of modules that lie in one range of addresses, where no code of others is.
///
/// `T` is what keeps a table's memory. It is dropped when the process's unwinder has been told to
/// forget the table, which can be later than [`Region::remove`]. At any time fewer than half of the
/// tables (by number) are of modules that were removed.
pub struct Region<T> {
    groups: Mutex<Groups<T>>,
}

struct Groups<T> {
    /// In the order of their addresses.
    groups: Vec<Group<T>>,
    /// Whether neighbours are registered together; otherwise each group has one member.
    joined: bool,
    statistics: RegionStatistics,
}

struct Group<T> {
    members: Vec<Member<T>>,
    live: usize,
    /// What is registered. `None`: not yet, or the group is empty.
    object: Option<Object>,
}

struct Member<T> {
    begin: *const u8,
    live: bool,
    /// Kept as long as the section may be read.
    _memory: T,
}

enum Object {
    Section(*const u8),
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    Array(Box<[*const u8]>),
}

// SAFETY: the pointers are names of sections, which are read by the process's unwinder alone.
unsafe impl<T: Send> Send for Groups<T> {}

impl<T> fmt::Debug for Region<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({:?})", self.statistics())
    }
}

impl<T> Default for Region<T> {
    fn default() -> Self {
        Region::new()
    }
}

impl<T> Region<T> {
    /// A region without modules. Neighbours are registered together if the process's unwinder is one
    /// that gains by it: libgcc before version 13.
    pub fn new() -> Region<T> {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        let joined = super::libgcc::keeps_lists();
        #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
        let joined = false;
        Region { groups: Mutex::new(Groups { groups: Vec::new(), joined, statistics: RegionStatistics::default() }) }
    }

    /// Registers an `.eh_frame` section that lies where it was written for, until it is removed, or the
    /// region dropped. An empty section is accepted, and not registered; `memory` is dropped.
    ///
    /// # Panics
    ///
    /// If the section lies below one that was added before.
    ///
    /// # Safety
    ///
    /// The section is one that this crate wrote, for the address it has in memory and for the address
    /// of the text it describes. It stays what it is until `memory` is dropped, the text until the
    /// section is removed; from then on nobody runs it, and no other code comes to lie there while
    /// `memory` exists. The modules' texts are in the order of their sections. Nobody else registers
    /// code between them.
    pub unsafe fn add(&self, eh_frame: *const [u8], memory: T) {
        let begin = eh_frame.cast::<u8>();
        // SAFETY: the section can be read.
        if eh_frame.len() < 4 || unsafe { begin.cast::<u32>().read_unaligned() } == 0 {
            return;
        }
        let mut groups = self.lock();
        let last = groups.groups.last().and_then(|group| group.members.last());
        assert!(last.is_none_or(|last| last.begin < begin), "sections are added in the order of their addresses");
        let mut group = Group { members: vec![Member { begin, live: true, _memory: memory }], live: 1, object: None };
        let mut old = Vec::new();
        let mut forgotten = Vec::new();
        while groups.joined && groups.groups.last().is_some_and(|lower| lower.live <= group.live) {
            let lower = groups.groups.pop().expect("there is a last group");
            groups.forget(&lower.members);
            old.extend(lower.object);
            let (live, dropped): (Vec<_>, Vec<_>) = lower.members.into_iter().partition(|member| member.live);
            forgotten.extend(dropped);
            group.live += live.len();
            group.members.splice(0..0, live);
        }
        // SAFETY: the caller vouches for the section, and did for the others.
        unsafe { groups.register(&mut group) };
        groups.groups.push(group);
        for object in old.into_iter().rev() {
            // SAFETY: registered, once; its sections are still there.
            unsafe { object.deregister() };
        }
        drop(groups);
        drop(forgotten);
    }

    /// Takes the section back that begins here. Does nothing if there is none.
    pub fn remove(&self, begin: *const u8) {
        let mut groups = self.lock();
        let Some(index) = groups.groups.partition_point(|group| group.members[0].begin <= begin).checked_sub(1) else {
            return;
        };
        let group = &mut groups.groups[index];
        let Ok(member) = group.members.binary_search_by_key(&begin, |member| member.begin) else { return };
        if !std::mem::replace(&mut group.members[member].live, false) {
            return;
        }
        group.live -= 1;
        let keeps = group.live > group.members.len() / 2;
        groups.statistics.live -= 1;
        groups.statistics.dropped += 1;
        if keeps {
            return;
        }
        let group = groups.groups.remove(index);
        groups.forget(&group.members);
        let (live, forgotten): (Vec<_>, Vec<_>) = group.members.into_iter().partition(|member| member.live);
        if !live.is_empty() {
            let mut rest = Group { live: live.len(), members: live, object: None };
            // SAFETY: as when they were added.
            unsafe { groups.register(&mut rest) };
            groups.groups.insert(index, rest);
        }
        if let Some(object) = group.object {
            // SAFETY: registered, once; its sections are still there.
            unsafe { object.deregister() };
        }
        drop(groups);
        drop(forgotten);
    }

    /// Whether neighbours are registered together.
    pub fn joins(&self) -> bool {
        self.lock().joined
    }

    /// What the process's unwinder knows of the region.
    pub fn statistics(&self) -> RegionStatistics {
        let groups = self.lock();
        RegionStatistics { objects: groups.groups.len(), ..groups.statistics }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Groups<T>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Groups<T> {
    /// # Safety
    ///
    /// The members' sections are as [`Region::add`] asks.
    unsafe fn register(&mut self, group: &mut Group<T>) {
        // SAFETY: the caller's promise.
        group.object = Some(unsafe { Object::register(&group.members) });
        self.statistics.registered += group.members.len();
        self.statistics.live += group.members.len();
    }

    /// Counts without these, which are about to be taken back, alone or to be registered anew.
    fn forget(&mut self, members: &[Member<T>]) {
        let live = members.iter().filter(|member| member.live).count();
        self.statistics.live -= live;
        self.statistics.dropped -= members.len() - live;
    }
}

impl<T> Drop for Groups<T> {
    fn drop(&mut self) {
        for object in self.groups.iter_mut().filter_map(|group| group.object.take()) {
            // SAFETY: registered, once; its sections are still there.
            unsafe { object.deregister() };
        }
    }
}

impl Object {
    /// # Safety
    ///
    /// The members' sections are as [`Region::add`] asks.
    unsafe fn register<T>(members: &[Member<T>]) -> Object {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        if members.len() > 1 {
            let mut sections: Vec<_> = members.iter().map(|member| member.begin).collect();
            // libgcc takes an array for empty, when it is given back, if the low 32 bits of its first
            // word are 0, as it does with a section. The order is free.
            if sections[0] as u32 == 0 {
                sections.swap(0, 1);
            }
            sections.push(std::ptr::null());
            let sections = sections.into_boxed_slice();
            // SAFETY: the caller vouches for the sections; the array is kept until it is given back.
            unsafe { super::libgcc::__register_frame_table(sections.as_ptr()) };
            return Object::Array(sections);
        }
        let begin = members[0].begin;
        // SAFETY: the caller vouches for the section.
        super::each_registered(begin, |entry| unsafe { super::__register_frame(entry) });
        Object::Section(begin)
    }

    /// # Safety
    ///
    /// The object's sections have not been changed since it was registered.
    unsafe fn deregister(self) {
        match self {
            Object::Section(begin) => {
                // SAFETY: registered by `register`, once.
                super::each_registered(begin, |entry| unsafe { super::__deregister_frame(entry) });
            }
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            Object::Array(sections) => {
                // SAFETY: the array is the object's name.
                unsafe { super::__deregister_frame(sections.as_ptr().cast()) };
            }
        }
    }
}
