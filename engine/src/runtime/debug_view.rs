//! What debuggers are shown of modules, and when.
//!
//! A debugger's work for one more object grows with the objects it knows. So a module is not shown when it is loaded, but
//! when the first instance is made of it, before any of its code can run, and then together with all modules of the engine
//! that wait for it: those are one object. In a program that loads its modules before it makes instances they all are.

use super::code::LoadedCode;
use crate::environ::{self, DebugInfo, VMOffsets};
use crate::runtime::vm::VMContext;
use crate::translate::Names;
use crate::types::ValType;
use artifact::{ArtifactError, LoadedModule};
use debugger_support::{Registration, Tracer};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// An object has at most so many modules ...
const GROUP_MODULES: usize = 1000;
/// ... and is made of artifacts of at most so many bytes, unless it has a single one.
const GROUP_BYTES: usize = 256 << 20;

/// A module, as debuggers see it.
#[derive(Debug)]
pub struct DebugView {
    code: Arc<LoadedCode>,
    /// Where DWARF finds the module's globals: its first word is the address of the context of the instance that the host
    /// entered last, until that is left; before the first call that of the newest. The second says where a context has the
    /// guest's stack pointer ([`stack_pointer`]); the third is for debuggers to write.
    instance_cell: Box<[AtomicU64]>,
    /// The contexts of all instances, oldest first.
    instances: Mutex<Vec<u64>>,
    /// What the instance cell names while there is no instance.
    no_instance: NoInstance,
    /// The number of its group; 0 as long as debuggers have not been told.
    group: AtomicU64,
    /// The module is gone; only its group keeps the code.
    gone: AtomicBool,
}

impl DebugView {
    /// What there will be to see of a module.
    pub fn new(
        code: &Arc<LoadedCode>,
        (env, names): (&environ::Module, &Names),
        offsets: &VMOffsets,
        debug_info: DebugInfo,
    ) -> DebugView {
        let words = code.artifact().instance_cell_size().div_ceil(8).clamp(1, 1 << 12);
        let instance_cell: Box<[AtomicU64]> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let no_instance = NoInstance::new(env, offsets, debug_info);
        instance_cell[0].store(no_instance.address(), Ordering::Relaxed);
        if let Some(word) = instance_cell.get(1) {
            word.store(stack_pointer(env, names, offsets), Ordering::Relaxed);
        }
        let (group, gone) = (AtomicU64::new(0), AtomicBool::new(false));
        let instances = Mutex::default();
        DebugView { code: Arc::clone(code), instance_cell, instances, no_instance, group, gone }
    }

    /// A new instance; its globals are shown.
    pub fn add_instance(&self, vmctx: NonNull<VMContext>) {
        let context = vmctx.as_ptr() as u64;
        self.instances().push(context);
        self.instance_cell[0].store(context, Ordering::Release);
    }

    /// Takes an instance that goes away out of the debugger's sight.
    pub fn remove_instance(&self, vmctx: NonNull<VMContext>) {
        let context = vmctx.as_ptr() as u64;
        let mut instances = self.instances();
        instances.retain(|&other| other != context);
        let next = instances.last().copied().unwrap_or(self.no_instance.address());
        // Fails if another one is shown, which then stays.
        let _ = self.instance_cell[0].compare_exchange(context, next, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Shows the globals of an instance that the host enters; what was shown before, for [`Self::leave`].
    pub fn enter(&self, vmctx: *mut VMContext) -> u64 {
        self.instance_cell[0].swap(vmctx as u64, Ordering::AcqRel)
    }

    /// Shows what was shown before [`Self::enter`], if that is still there.
    pub fn leave(&self, vmctx: *mut VMContext, before: u64) {
        if before != vmctx as u64 {
            // The list must not change between the look and the store.
            let instances = self.instances();
            if instances.contains(&before) {
                self.instance_cell[0].store(before, Ordering::Release);
            }
        }
    }

    fn instances(&self) -> MutexGuard<'_, Vec<u64>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> LoadedModule<'_> {
        LoadedModule {
            artifact: self.code.artifact(),
            text_address: self.code.text_address() as u64,
            cell_address: self.instance_cell.as_ptr() as u64,
        }
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Where a context has the global in which the guest's compiler keeps its stack pointer: the offset, and in the upper half the
/// size in bytes. 0 if there is none.
fn stack_pointer(env: &environ::Module, names: &Names, offsets: &VMOffsets) -> u64 {
    let named = names.globals.iter().find(|(_, name)| *name == "__stack_pointer");
    let place = named.and_then(|(&index, _)| {
        let global = env.globals.get(index as usize).filter(|global| global.mutable)?;
        let size = match global.content {
            ValType::I32 => 4,
            ValType::I64 => 8,
            _ => return None,
        };
        Some(size << 32 | u64::from(offsets.defined_global(env.defined_global(index)?)))
    });
    place.unwrap_or(0)
}

/// The views of an engine's modules.
#[derive(Debug, Default)]
pub struct DebugViews(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Modules that debuggers have not been told of.
    waiting: Vec<Weak<DebugView>>,
    groups: HashMap<u64, Group>,
    /// The number of the newest group.
    newest: u64,
}

/// Modules that are one object for debuggers.
///
/// An object cannot lose a part. So the code of a module that is gone stays as long as most of its group is there; then
/// those that are left become a new object. While a debugger is attached it stays as long as any of the group: gdb 13 ends
/// with a fatal error if the object goes that a watched variable is in, and disables breakpoints whose place goes.
#[derive(Debug)]
struct Group {
    /// Declared, and dropped, before the code that it describes.
    _registration: Registration,
    members: Vec<Arc<DebugView>>,
    /// How many of the members are not gone.
    left: usize,
}

impl DebugViews {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change leaves the lists sound at whatever point it might panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Will show a module as soon as it can run.
    pub fn add(&self, view: &Arc<DebugView>) {
        let waiting = &mut self.lock().waiting;
        if waiting.len() == waiting.capacity() {
            waiting.retain(|view| view.strong_count() > 0);
        }
        waiting.push(Arc::downgrade(view));
    }

    /// Shows a module, and all that wait; does nothing if debuggers see it already.
    pub fn show(&self, view: &DebugView) -> Result<(), ArtifactError> {
        if view.group.load(Ordering::Acquire) != 0 {
            return Ok(());
        }
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        let views = waiting.iter().filter_map(Weak::upgrade).filter(|view| !view.is_gone()).collect();
        state.show_all(views)
    }

    /// Takes a module out of the debuggers' sight.
    pub fn remove(&self, view: &DebugView) {
        let mut state = self.lock();
        view.gone.store(true, Ordering::Relaxed);
        let number = view.group.load(Ordering::Relaxed);
        let Some(group) = state.groups.get_mut(&number) else { return };
        group.left -= 1;
        if group.left > 0 {
            if group.left * 2 > group.members.len() || debugger_support::tracer() != Tracer::None {
                return;
            }
            let left = group.members.iter().filter(|member| !member.is_gone()).cloned().collect();
            // Nobody can be told of an error here, and showing was possible before.
            let _ = state.show_all(left);
        }
        drop(state.groups.remove(&number));
    }
}

impl State {
    fn show_all(&mut self, views: Vec<Arc<DebugView>>) -> Result<(), ArtifactError> {
        let mut rest = views.into_iter().peekable();
        while rest.peek().is_some() {
            let mut members = Vec::new();
            let mut bytes = 0;
            while let Some(view) = rest.next_if(|view| {
                bytes += view.code.bytes().len();
                members.is_empty() || (members.len() < GROUP_MODULES && bytes <= GROUP_BYTES)
            }) {
                members.push(view);
            }
            self.show_group(members)?;
        }
        Ok(())
    }

    /// Shows modules as one object or, where that is not possible, each as its own.
    fn show_group(&mut self, members: Vec<Arc<DebugView>>) -> Result<(), ArtifactError> {
        let loaded: Vec<_> = members.iter().map(|view| view.loaded()).collect();
        let image = match *loaded {
            [module] => artifact::registered_image(module)?,
            _ => match artifact::joint_image(&loaded) {
                Ok(image) => image,
                Err(_) => return members.into_iter().try_for_each(|view| self.show_group(vec![view])),
            },
        };
        let registration = debugger_support::register(image);
        self.newest += 1;
        members.iter().for_each(|view| view.group.store(self.newest, Ordering::Release));
        let group = Group { left: members.len(), _registration: registration, members };
        self.groups.insert(self.newest, group);
        Ok(())
    }
}

/// The names of a module's own addresses, as long as debuggers are shown them.
///
/// Function pointers and pointers to virtual tables mean something else in each instance, but debuggers know one meaning
/// of an address only. Like the identity map, which goes to the same instance, the names are one for the process.
#[derive(Debug)]
pub struct GuestSymbols {
    /// Dropped before the place is given back.
    _registration: Registration,
    _place: Place,
}

#[derive(Debug)]
struct Place;

static TAKEN: AtomicBool = AtomicBool::new(false);

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

impl GuestSymbols {
    /// Shows a module's names, if it has any and nobody else's are shown.
    pub fn show(code: &LoadedCode) -> Result<Option<GuestSymbols>, ArtifactError> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let place = Place;
        let image = artifact::guest_symbols_image(code.artifact())?;
        Ok(image.map(|image| GuestSymbols { _registration: debugger_support::register(image), _place: place }))
    }
}

/// A context for debuggers to look at while a module has no instance: all memories lie at 0.
///
/// Locations of variables go through the context. Where it cannot be read, gdb 13 gives up with an internal error if there
/// is a watchpoint; with this, a variable merely cannot be read.
#[derive(Debug)]
struct NoInstance {
    /// The context and, at the end, what its pointers point to.
    words: Box<[u64]>,
}

impl NoInstance {
    fn new(env: &environ::Module, offsets: &VMOffsets, debug_info: DebugInfo) -> NoInstance {
        if debug_info != DebugInfo::Full {
            return NoInstance { words: Box::default() };
        }
        let memories = (0..env.memories.len() as u32).map(|index| offsets.memory(env, index));
        let globals = (0..env.globals.len() as u32).map(|index| offsets.global(index));
        let places: Vec<_> = memories.chain(globals).collect();
        let end = places.iter().map(|place| place.offset as usize / 8 + 2).max().unwrap_or(0);
        let mut words = vec![0; end + 2].into_boxed_slice();
        let zeros = words[end..].as_ptr() as u64;
        for place in places.iter().filter(|place| place.indirect) {
            words[place.offset as usize / 8] = zeros;
        }
        NoInstance { words }
    }

    fn address(&self) -> u64 {
        if self.words.is_empty() { 0 } else { self.words.as_ptr() as u64 }
    }
}
