//! The checks: each takes an input and panics if something is wrong with what the engine does with it.
//!
//! Execution is compared with wasmi's, an interpreter that shares no code with this engine but the validator's ancestry.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use wasmscope::compile::Compilation;
use wasmscope::debug_files::DebugFiles;
use wasmscope::{
    Config, DebugInfo, Engine, Extern, Instance, Linker, Module, OptLevel, PointerFlavour, Store, Trap, Tunables, V128,
    Val, wat_source,
};

/// Settings whose code differs.
fn settings() -> [(&'static str, Tunables); 5] {
    let base = Tunables { memory_reservation: 1 << 32, ..Tunables::default() };
    [
        ("opt-level 2", base.clone()),
        ("opt-level 0", Tunables { opt_level: OptLevel::None, ..base.clone() }),
        ("opt-level s", Tunables { opt_level: OptLevel::SpeedAndSize, memory_reservation: 0, ..base.clone() }),
        (
            "opt-level 2 -g",
            Tunables { debug_info: DebugInfo::Full, wasm_variables: true, interruptible: true, ..base.clone() },
        ),
        (
            "opt-level 0 -g",
            Tunables { opt_level: OptLevel::None, debug_info: DebugInfo::Full, memory_guard_size: 0, ..base },
        ),
    ]
}

fn engine(tunables: Tunables) -> Engine {
    Engine::new(Config::new().tunables(tunables).identity_map(false)).expect("these settings are fine")
}

/// With debug info, a module that has none gets its own text as source, so that there is something to show of its functions.
fn with_debug_info<'a>(wasm: &'a [u8], tunables: &Tunables) -> Cow<'a, [u8]> {
    let source = match tunables.debug_info {
        DebugInfo::Full => wat_source::wat_source(wasm, ".", "module.wat").ok().flatten(),
        _ => None,
    };
    source.map_or(Cow::Borrowed(wasm), |source| Cow::Owned(source.wasm))
}

/// Any bytes compile or are refused; what compiles can be loaded.
pub fn compile_bytes(bytes: &[u8]) {
    for (name, tunables) in settings() {
        if let Ok(artifact) = wasmscope::compile::compile(&with_debug_info(bytes, &tunables), &tunables) {
            // SAFETY: just compiled.
            let loaded = unsafe { Module::deserialize(&engine(tunables), artifact) };
            if let Err(error) = loaded {
                panic!("{name}: the artifact does not load: {error:#}");
            }
        }
    }
}

/// Any bytes load or are refused. What loads is never run.
pub fn load_artifact(bytes: &[u8]) {
    let [(_, tunables), ..] = settings();
    // SAFETY: none of its code is run.
    if let Ok(module) = unsafe { Module::deserialize(&engine(tunables), bytes) } {
        let _ = module.exports().count();
        let _ = module.imports().count();
    }
}

/// A program and the files of its debug info, its sources among them.
pub struct Program {
    pub path: PathBuf,
    pub wasm: Vec<u8>,
    pub files: DebugFiles,
}

/// The programs in the folders within `folder` whose sources lie beside them. Large ones take too long to be compiled again and again.
pub fn programs(folder: &Path) -> Vec<Program> {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries(folder).flat_map(|folder| entries(&folder)).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    paths.sort();
    let program = |path: PathBuf| {
        let wasm = std::fs::read(&path).ok().filter(|wasm| wasm.len() < 1 << 20)?;
        let mut files = DebugFiles::find(&path, &wasm, DebugInfo::Full);
        // What is changed is the original, too.
        files.sources.iter_mut().for_each(|source| source.md5 = None);
        (!files.sources.is_empty()).then_some(Program { path, wasm, files })
    };
    paths.into_iter().filter_map(program).collect()
}

/// Whatever debug info and sources say, a program is refused or compiles with what of them can be said, and can be loaded.
pub fn compile_program(wasm: &[u8], files: &DebugFiles) {
    for (opt_level, pointer_flavour) in [
        (OptLevel::None, PointerFlavour::Gdb),
        (OptLevel::Speed, PointerFlavour::Gdb),
        (OptLevel::Speed, PointerFlavour::Lldb),
    ] {
        let tunables = Tunables { debug_info: DebugInfo::Full, opt_level, pointer_flavour, ..Tunables::default() };
        if let Ok(compilation) = Compilation::with_debug_files(wasm, files.clone(), &tunables) {
            let internal = compilation.report().warnings.iter().find(|warning| warning.contains("internal error"));
            assert_eq!(internal, None, "{opt_level:?} {pointer_flavour:?}");
            // SAFETY: just compiled.
            let loaded = unsafe { Module::deserialize(&engine(tunables), compilation.artifact()) };
            if let Err(error) = loaded {
                panic!("{opt_level:?} {pointer_flavour:?}: the artifact does not load: {error:#}");
            }
        }
    }
}

/// How a call ended.
#[derive(Clone, PartialEq)]
enum Ending {
    Returned(Vec<Value>),
    Trapped(Trap),
}

/// A value that means the same to both engines.
#[derive(Clone, PartialEq)]
enum Value {
    Bits(u128),
    Null,
    NotNull,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bits(bits) => write!(f, "{bits:#x}"),
            Value::Null => write!(f, "null"),
            Value::NotNull => write!(f, "a reference"),
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Returned(values) => write!(f, "returned {values:?}"),
            Ending::Trapped(trap) => write!(f, "trapped: {trap}"),
        }
    }
}

/// What a module did: each exported function is called once, in the order of names, with zeros; then what it left behind.
#[derive(PartialEq, Debug, Default)]
struct Observed {
    instantiated: Option<Trap>,
    calls: Vec<(String, Ending)>,
    globals: Vec<(String, Value)>,
    /// Lengths and hashes.
    memories: Vec<(String, usize, u64)>,
    tables: Vec<(String, u64)>,
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The two engines cannot be compared: one has run out of stack, which they have different amounts of, or out of memory.
struct Incomparable;

/// A valid module without imports runs equally everywhere. Says whether it could be compared.
pub fn agree_with_oracle(wasm: &[u8]) -> bool {
    let Ok(expected) = observe_oracle(wasm) else { return false };
    let mut comparable = true;
    for (name, tunables) in settings() {
        match (observe(&engine(tunables), wasm), &expected) {
            // What the code generator lacks is refused by name.
            (Err(Failure::Refused(error)), Some(_)) if error.contains("unsupported wasm feature") => comparable = false,
            (Err(Failure::Refused(error)), Some(_)) => panic!("{name}: a valid module is refused: {error}"),
            (Err(Failure::Refused(_)), None) => {}
            (Err(Failure::Incomparable), _) => comparable = false,
            // The oracle supports less.
            (Ok(_), None) => comparable = false,
            (Ok(found), Some(expected)) => {
                assert_eq!(found.calls, expected.calls, "{name}: calls (left: wasmscope, right: wasmi)");
                assert!(found == *expected, "{name}: wasmscope\n{found:?}\nwasmi\n{expected:?}");
            }
        }
    }
    comparable
}

enum Failure {
    Refused(String),
    Incomparable,
}

fn trap_of(error: &wasmscope::Error) -> Result<Trap, Failure> {
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Err(Failure::Incomparable),
        Some(trap) => Ok(*trap),
        None => Err(Failure::Refused(format!("{error:#}"))),
    }
}

/// All NaNs are one: which an operator gives is left open.
fn float32(bits: u32) -> Value {
    Value::Bits(u128::from(if f32::from_bits(bits).is_nan() { f32::NAN.to_bits() } else { bits }))
}

fn float64(bits: u64) -> Value {
    Value::Bits(u128::from(if f64::from_bits(bits).is_nan() { f64::NAN.to_bits() } else { bits }))
}

fn value(value: &Val) -> Value {
    match value {
        Val::I32(value) => Value::Bits(u128::from(*value as u32)),
        Val::I64(value) => Value::Bits(u128::from(*value as u64)),
        Val::F32(bits) => float32(*bits),
        Val::F64(bits) => float64(*bits),
        Val::V128(V128(bits)) => Value::Bits(*bits),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::I31Ref(None) => Value::Null,
        Val::FuncRef(Some(_)) | Val::ExternRef(Some(_)) | Val::I31Ref(Some(_)) => Value::NotNull,
    }
}

fn observe(engine: &Engine, wasm: &[u8]) -> Result<Observed, Failure> {
    let wasm = with_debug_info(wasm, engine.tunables());
    let module = Module::new(engine, &*wasm).map_err(|error| Failure::Refused(format!("{error:#}")))?;
    let mut store = Store::new(engine, ());
    let mut observed = Observed::default();
    let instance: Instance = match Linker::new(engine).instantiate(&mut store, &module) {
        Ok(instance) => instance,
        Err(error) => {
            observed.instantiated = Some(trap_of(&error)?);
            return Ok(observed);
        }
    };
    let mut names: Vec<String> = module.exports().map(|export| export.name.to_owned()).collect();
    names.sort();
    for name in &names {
        if let Some(func) = instance.get_func(&mut store, name) {
            let ty = func.ty(&store);
            let params: Vec<Val> = ty.params.iter().map(|ty| Val::default_for(*ty)).collect();
            let mut results: Vec<Val> = ty.results.iter().map(|ty| Val::default_for(*ty)).collect();
            let ending = match func.call(&mut store, &params, &mut results) {
                Ok(()) => Ending::Returned(results.iter().map(value).collect()),
                Err(error) => Ending::Trapped(trap_of(&error)?),
            };
            observed.calls.push((name.clone(), ending));
        }
    }
    for name in names {
        match instance.get_export(&mut store, &name) {
            Some(Extern::Global(global)) => observed.globals.push((name, value(&global.get(&mut store)))),
            Some(Extern::Memory(memory)) => {
                let bytes = memory.data(&store);
                observed.memories.push((name, bytes.len(), hash(bytes)));
            }
            Some(Extern::Table(table)) => observed.tables.push((name, table.size(&store))),
            _ => {}
        }
    }
    Ok(observed)
}

fn oracle_trap(error: &wasmi::Error) -> Result<Trap, Incomparable> {
    use wasmi::TrapCode;
    Ok(match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => Trap::UnreachableCodeReached,
        Some(TrapCode::MemoryOutOfBounds) => Trap::MemoryOutOfBounds,
        Some(TrapCode::TableOutOfBounds) => Trap::TableOutOfBounds,
        Some(TrapCode::IndirectCallToNull) => Trap::IndirectCallToNull,
        Some(TrapCode::IntegerDivisionByZero) => Trap::IntegerDivisionByZero,
        Some(TrapCode::IntegerOverflow) => Trap::IntegerOverflow,
        Some(TrapCode::BadConversionToInteger) => Trap::BadConversionToInteger,
        Some(TrapCode::BadSignature) => Trap::BadSignature,
        _ => return Err(Incomparable),
    })
}

fn oracle_value(value: &wasmi::Val) -> Value {
    match value {
        wasmi::Val::I32(value) => Value::Bits(u128::from(*value as u32)),
        wasmi::Val::I64(value) => Value::Bits(u128::from(*value as u64)),
        wasmi::Val::F32(value) => float32(value.to_bits()),
        wasmi::Val::F64(value) => float64(value.to_bits()),
        wasmi::Val::V128(value) => Value::Bits(value.as_u128()),
        wasmi::Val::FuncRef(reference) if reference.is_null() => Value::Null,
        wasmi::Val::ExternRef(reference) if reference.is_null() => Value::Null,
        wasmi::Val::FuncRef(_) | wasmi::Val::ExternRef(_) => Value::NotNull,
    }
}

/// `None`: the module is invalid, or needs what wasmi lacks.
fn observe_oracle(wasm: &[u8]) -> Result<Option<Observed>, Incomparable> {
    let mut config = wasmi::Config::default();
    config.wasm_multi_memory(true).wasm_memory64(true).wasm_tail_call(true).wasm_extended_const(true).wasm_simd(true);
    config.consume_fuel(true);
    let engine = wasmi::Engine::new(&config);
    let Ok(module) = wasmi::Module::new(&engine, wasm) else { return Ok(None) };
    let mut store = wasmi::Store::new(&engine, ());
    // Programs that do not end cannot be compared.
    store.set_fuel(10_000_000).expect("fuel is consumed");
    let mut observed = Observed::default();
    let instance = match wasmi::Linker::new(&engine).instantiate_and_start(&mut store, &module) {
        Ok(instance) => instance,
        Err(error) => {
            observed.instantiated = Some(match error.kind() {
                wasmi::errors::ErrorKind::Instantiation(_) => return Err(Incomparable),
                _ => oracle_trap(&error)?,
            });
            return Ok(Some(observed));
        }
    };
    let mut names: Vec<String> = module.exports().map(|export| export.name().to_owned()).collect();
    names.sort();
    for name in &names {
        if let Some(func) = instance.get_func(&store, name) {
            let ty = func.ty(&store);
            let params: Vec<wasmi::Val> = ty.params().iter().map(|ty| wasmi::Val::default_for_ty(*ty)).collect();
            let mut results: Vec<wasmi::Val> = ty.results().iter().map(|ty| wasmi::Val::default_for_ty(*ty)).collect();
            let ending = match func.call(&mut store, &params, &mut results) {
                Ok(()) => Ending::Returned(results.iter().map(oracle_value).collect()),
                Err(error) => Ending::Trapped(oracle_trap(&error)?),
            };
            observed.calls.push((name.clone(), ending));
        }
    }
    for name in names {
        match instance.get_export(&store, &name) {
            Some(wasmi::Extern::Global(global)) => observed.globals.push((name, oracle_value(&global.get(&store)))),
            Some(wasmi::Extern::Memory(memory)) => {
                let bytes = memory.data(&store);
                observed.memories.push((name, bytes.len(), hash(bytes)));
            }
            Some(wasmi::Extern::Table(table)) => observed.tables.push((name, table.size(&store))),
            _ => {}
        }
    }
    Ok(Some(observed))
}
