//! What debuggers are shown of modules, and when: read from the list that they read, in a process of its own.

use object::{Object as _, ObjectSection as _};
use wasmscope::{Config, DebugInfo, Engine, Instance, Module, Store, Tunables};

/// `struct jit_code_entry` and `struct jit_descriptor` of gdb's manual.
#[repr(C)]
struct Entry {
    next: *const Entry,
    previous: *const Entry,
    image: *const u8,
    size: u64,
}

#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *const Entry,
    first: *const Entry,
}

unsafe extern "C" {
    static __jit_debug_descriptor: Descriptor;
}

/// For each object, the sizes of its text sections.
fn shown() -> Vec<Vec<u64>> {
    let mut objects = Vec::new();
    // SAFETY: nobody else changes the list meanwhile: this process has one test.
    let mut entry = unsafe { __jit_debug_descriptor.first };
    // SAFETY: entries and images in the list are alive.
    while let Some(Entry { next, image, size, .. }) = unsafe { entry.as_ref() } {
        // SAFETY: as above.
        let image = unsafe { std::slice::from_raw_parts(*image, *size as usize) };
        let file = object::File::parse(image).expect("an ELF file");
        let texts = file.sections().filter(|section| section.name() == Ok(".text"));
        objects.push(texts.map(|section| section.size()).collect());
        entry = *next;
    }
    objects
}

fn texts() -> Vec<usize> {
    shown().iter().map(Vec::len).collect()
}

#[test]
fn modules_are_shown_together_before_the_first_instance_and_leave_when_they_are_dropped() {
    for debug_info in [DebugInfo::Full, DebugInfo::Lines] {
        let engine = Engine::new(Config::new().tunables(Tunables { debug_info, ..Tunables::default() })).unwrap();
        let module = |n| Module::new(&engine, format!("(module (func (export \"f\") (result i32) (i32.const {n})))"));
        let mut modules: Vec<Module> = (0..5).map(|n| module(n).unwrap()).collect();
        drop(module(5).unwrap());
        assert_eq!(texts(), [0; 0], "nothing can run yet");

        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &modules[4], &[]).unwrap();
        assert_eq!(texts(), [5]);
        let other = module(6).unwrap();
        Instance::new(&mut store, &modules[0], &[]).unwrap();
        assert_eq!(texts(), [5], "nothing can run that is not shown");
        let mut second = Store::new(&engine, ());
        Instance::new(&mut second, &other, &[]).unwrap();
        assert_eq!(texts(), [1, 5], "the newest first");
        drop((second, other));
        assert_eq!(texts(), [5]);

        // An object cannot lose a part: it is replaced when half of its modules are gone.
        modules.truncate(3);
        assert_eq!(texts(), [5], "the store keeps one of the two");
        modules.truncate(1);
        assert_eq!(texts(), [2], "the one that is left, and the store's");
        let f = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
        assert_eq!(f.call(&mut store, ()).unwrap(), 4);
        drop(store);
        assert_eq!(texts(), [1]);
        drop(modules);
        assert_eq!(texts(), [0; 0]);
    }

    // Without debug info nothing is shown.
    let engine = Engine::default();
    let module = Module::new(&engine, "(module)").unwrap();
    Instance::new(Store::new(&engine, ()), &module, &[]).unwrap();
    assert_eq!(texts(), [0; 0]);

    threads_may_load_show_and_drop_at_once();
}

fn threads_may_load_show_and_drop_at_once() {
    let engine = Engine::new(Config::new().tunables(Tunables { debug_info: DebugInfo::Full, ..Tunables::default() }));
    let engine = engine.unwrap();
    let wat = "(module (func (export \"f\") (result i32) (i32.const 7)))";
    let artifact = Module::new(&engine, wat).unwrap().serialize().to_vec();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut kept = Vec::new();
                for _ in 0..40 {
                    // SAFETY: it comes from `serialize`.
                    let module = unsafe { Module::deserialize(&engine, artifact.clone()) }.unwrap();
                    let mut store = Store::new(&engine, ());
                    let instance = Instance::new(&mut store, &module, &[]).unwrap();
                    let f = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
                    assert_eq!(f.call(&mut store, ()).unwrap(), 7);
                    kept.push(store);
                    if kept.len() > 5 {
                        kept.remove(0);
                    }
                }
            });
        }
    });
    assert_eq!(texts(), [0; 0]);
}
