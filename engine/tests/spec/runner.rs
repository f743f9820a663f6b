//! Runs one script.

use crate::frames;
use crate::outcome::Outcome;
use crate::values;
use std::collections::HashMap;
use wasmparser::{Validator, WasmFeatures};
use wasmscope::{
    DebugInfo, Engine, Extern, Func, FuncType, Global, GlobalType, Instance, Linker, Memory, MemoryType, Module,
    RefType, SharedMemory, Store, StoreLimitsBuilder, Table, TableType, Trap, Val, ValType, wat_source,
};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, Wat};

/// What a directive came to.
enum Step {
    Passed,
    Nothing,
    Superseded,
    Skipped,
    Refused(String),
}

type StepResult = Result<Step, String>;

/// Runs one file with a store of its own.
pub struct FileRunner<'e> {
    engine: &'e Engine,
    /// The reason for which the file is listed as refused.
    listed: Option<&'e str>,
    /// Lines whose assertion a later version of the specification took back.
    superseded: Vec<usize>,
    store: Store<()>,
    linker: Linker<()>,
    instances: HashMap<String, Option<Instance>>,
    definitions: HashMap<String, Vec<u8>>,
    last_definition: Option<Vec<u8>>,
    current: Option<Instance>,
    /// Memories that the thread which started this one shares, by module.
    shared: HashMap<String, Vec<(String, SharedMemory)>>,
    suite: &'e str,
    features: WasmFeatures,
    /// Of all modules compiled so far.
    frames: frames::Frames,
    /// What is wrong with a frame table.
    wrong_frames: Option<String>,
}

impl<'e> FileRunner<'e> {
    pub fn new(engine: &'e Engine, suite: &'e str, listed: Option<&'e str>, superseded: Vec<usize>) -> Self {
        let mut store = Store::new(engine, ());
        store.set_limits(StoreLimitsBuilder::new().table_elements(20_000_000).build());
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        let mut this = FileRunner {
            engine,
            listed,
            superseded,
            store,
            linker,
            instances: HashMap::new(),
            definitions: HashMap::new(),
            last_definition: None,
            current: None,
            shared: HashMap::new(),
            suite,
            features: match suite {
                "v1" => WasmFeatures::WASM1 | WasmFeatures::MUTABLE_GLOBAL,
                "v3" => WasmFeatures::all(),
                "threads" => WasmFeatures::WASM1 | WasmFeatures::MUTABLE_GLOBAL | WasmFeatures::THREADS,
                _ => WasmFeatures::WASM2,
            },
            frames: frames::Frames::default(),
            wrong_frames: None,
        };
        this.define_spectest();
        this
    }

    /// The module `spectest` that the scripts import from.
    fn define_spectest(&mut self) {
        let (linker, store) = (&mut self.linker, &mut self.store);
        let print = |params: &[ValType]| FuncType::new(params.iter().copied(), []);
        use ValType::{F32, F64, I32, I64};
        for (name, params) in [
            ("print", &[][..]),
            ("print_i32", &[I32]),
            ("print_i64", &[I64]),
            ("print_f32", &[F32]),
            ("print_f64", &[F64]),
            ("print_i32_f32", &[I32, F32]),
            ("print_f64_f64", &[F64, F64]),
        ] {
            linker.func_new("spectest", name, print(params), |_, _, _| Ok(())).expect("defined once");
        }
        for (name, content, value) in [
            ("global_i32", I32, Val::I32(666)),
            ("global_i64", I64, Val::I64(666)),
            ("global_f32", F32, Val::F32(666.6f32.to_bits())),
            ("global_f64", F64, Val::F64(666.6f64.to_bits())),
        ] {
            let global = Global::new(&mut *store, GlobalType { content, mutable: false }, value).expect("a global");
            linker.define(&*store, "spectest", name, global).expect("defined once");
        }
        let table = TableType { element: RefType::FUNCREF, minimum: 10, maximum: Some(20), table64: false };
        let table = Table::new(&mut *store, table, Val::FuncRef(None::<Func>)).expect("a table");
        linker.define(&*store, "spectest", "table", table).expect("defined once");
        let memory = MemoryType { minimum: 1, maximum: Some(2), shared: false, memory64: false, page_size_log2: 16 };
        let memory = Memory::new(&mut *store, memory).expect("a memory");
        linker.define(&*store, "spectest", "memory", memory).expect("defined once");
        let shared = MemoryType { minimum: 1, maximum: Some(2), shared: true, memory64: false, page_size_log2: 16 };
        let shared = SharedMemory::new(self.engine, shared).expect("a shared memory");
        linker.define(&*store, "spectest", "shared_memory", Extern::SharedMemory(shared)).expect("defined once");
    }

    pub fn run(self, source: &str) -> Outcome {
        let mut lexer = Lexer::new(source);
        lexer.allow_confusing_unicode(true);
        let buffer = ParseBuffer::new_with_lexer(lexer).expect("the suites can be lexed");
        let script = parser::parse::<Wast<'_>>(&buffer).expect("the suites can be parsed");
        self.run_all(script.directives, source)
    }

    /// Runs directives in order; those of a thread on one of its own.
    fn run_all(mut self, directives: Vec<WastDirective<'_>>, source: &str) -> Outcome {
        let mut outcome = Outcome::default();
        std::thread::scope(|scope| {
            let mut threads = HashMap::new();
            for directive in directives {
                let line = directive.span().linecol_in(source).0 + 1;
                let result = match directive {
                    WastDirective::Thread(thread) => {
                        let runner = self.of_thread(thread.shared_module);
                        let run = move || runner.run_all(thread.directives, source);
                        threads.insert(thread.name.name(), scope.spawn(run));
                        Ok(Step::Nothing)
                    }
                    WastDirective::Wait { thread, .. } => match threads.remove(thread.name()) {
                        Some(thread) => {
                            outcome.add(thread.join().expect("failures are outcomes"));
                            Ok(Step::Nothing)
                        }
                        None => Err(format!("there is no thread {}", thread.name())),
                    },
                    directive => self.step(directive),
                };
                match result {
                    Ok(Step::Passed) => outcome.passed += 1,
                    Ok(Step::Nothing) => {}
                    Ok(Step::Superseded) => outcome.superseded += 1,
                    Ok(Step::Skipped) => outcome.skipped += 1,
                    Ok(Step::Refused(reason)) => {
                        outcome.refused.get_or_insert(reason);
                    }
                    Err(_) if self.superseded.contains(&line) => outcome.superseded += 1,
                    Err(failure) => outcome.failures.push(format!("{line}: {failure}")),
                }
                outcome.failures.extend(self.wrong_frames.take().map(|wrong| format!("{line}: {wrong}")));
            }
            for (_, thread) in threads {
                outcome.add(thread.join().expect("failures are outcomes"));
            }
        });
        outcome.frames += self.frames;
        outcome
    }

    /// Compiles a module and checks the frame table of what it becomes. With debug info its text is the source, so that there is
    /// something to show of each of its functions.
    fn compile(&mut self, bytes: &[u8]) -> wasmscope::Result<Module> {
        let with_text = match self.engine.tunables().debug_info {
            DebugInfo::Full => wat_source::wat_source(bytes, ".", "module.wat").ok().flatten(),
            _ => None,
        };
        let module = Module::new(self.engine, with_text.as_ref().map_or(bytes, |source| &source.wasm))?;
        match frames::check(&module) {
            Ok(frames) => self.frames += frames,
            Err(wrong) => self.wrong_frames = Some(wrong),
        }
        Ok(module)
    }

    /// What runs a thread's directives: a store of its own that sees the shared memories of one module.
    fn of_thread(&mut self, module: Option<Id<'_>>) -> FileRunner<'e> {
        let mut runner = FileRunner::new(self.engine, self.suite, self.listed, self.superseded.clone());
        if let Some((name, instance)) =
            module.and_then(|name| Some((name.name().to_owned(), (*self.instances.get(name.name())?)?)))
        {
            let memories = instance.exports(&mut self.store).into_iter();
            let memories = memories.filter_map(|export| Some((export.name, export.item.into_shared_memory()?)));
            runner.shared.insert(name, memories.collect());
        }
        runner
    }

    fn step(&mut self, directive: WastDirective<'_>) -> StepResult {
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name();
                let bytes = match encode(&mut module) {
                    Ok(bytes) => bytes,
                    Err(error) => return Err(format!("the module cannot be encoded: {error}")),
                };
                self.instantiate_as(name, &bytes)
            }
            WastDirective::ModuleDefinition(mut module) => {
                let name = module.name();
                let bytes = encode(&mut module)?;
                if let Some(name) = name {
                    self.definitions.insert(name.name().to_owned(), bytes.clone());
                }
                let checked = self.compile(&bytes);
                self.last_definition = Some(bytes);
                match checked {
                    Ok(_) => Ok(Step::Nothing),
                    Err(error) => self.refusal(&error),
                }
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let bytes = match module {
                    Some(name) => self.definitions.get(name.name()).cloned(),
                    None => self.last_definition.clone(),
                };
                let bytes = bytes.ok_or("no such module definition")?;
                self.instantiate_as(instance, &bytes)
            }
            WastDirective::Register { name, module: Some(module), .. } if self.shared.contains_key(module.name()) => {
                for (field, memory) in &self.shared[module.name()] {
                    let memory = Extern::SharedMemory(memory.clone());
                    self.linker.define(&self.store, name, field, memory).map_err(|error| error.to_string())?;
                }
                Ok(Step::Nothing)
            }
            WastDirective::Register { name, module, .. } => match self.instance(module)? {
                Some(instance) => {
                    self.linker.instance(&mut self.store, name, instance).map_err(|error| error.to_string())?;
                    Ok(Step::Nothing)
                }
                None => Ok(Step::Skipped),
            },
            WastDirective::Invoke(invoke) => match self.invoke(&invoke)? {
                Some(Ok(_)) => Ok(Step::Nothing),
                Some(Err(error)) => Err(format!("unexpected error: {error:#}")),
                None => Ok(Step::Skipped),
            },
            WastDirective::AssertReturn { exec, results, .. } => match self.execute(exec)? {
                Some(Ok(values)) => {
                    let same = values.len() == results.len()
                        && results.iter().zip(&values).all(|(expected, actual)| values::matches(expected, actual));
                    if same { Ok(Step::Passed) } else { Err(format!("expected {results:?}, got {values:?}")) }
                }
                Some(Err(error)) => Err(format!("expected {results:?}, got error {error:#}")),
                None => Ok(Step::Skipped),
            },
            WastDirective::AssertTrap { exec, message, .. } => match self.execute(exec)? {
                Some(result) => expect_trap(result, message),
                None => Ok(Step::Skipped),
            },
            WastDirective::AssertExhaustion { call, message, .. } => match self.invoke(&call)? {
                Some(result) => expect_trap(result, message),
                None => Ok(Step::Skipped),
            },
            WastDirective::AssertInvalid { module, message, .. }
            | WastDirective::AssertMalformed { module, message, .. } => self.expect_refused(module, message),
            WastDirective::AssertInvalidCustom { .. } | WastDirective::AssertMalformedCustom { .. } => {
                // Custom sections never make a module invalid for an engine.
                Ok(Step::Skipped)
            }
            WastDirective::AssertUnlinkable { mut module, message, .. } => {
                let bytes = module.encode().map_err(|error| error.to_string())?;
                match self.compile(&bytes) {
                    Err(error) => self.refusal(&error),
                    Ok(module) => match self.linker.instantiate(&mut self.store, &module) {
                        Ok(_) => Err(format!("linked, expected {message:?}")),
                        Err(error) if error.is::<Trap>() => Err(format!("trapped instead: {error:#}")),
                        Err(_) => Ok(Step::Passed),
                    },
                }
            }
            WastDirective::AssertException { .. } | WastDirective::AssertSuspension { .. } => {
                if self.current.is_none() { Ok(Step::Skipped) } else { Err("exceptions are not supported".into()) }
            }
            WastDirective::Thread(_) | WastDirective::Wait { .. } => unreachable!("`run_all` takes these"),
        }
    }

    fn instantiate_as(&mut self, name: Option<Id<'_>>, bytes: &[u8]) -> StepResult {
        self.current = None;
        let result = match self.compile(bytes) {
            Err(error) => self.refusal(&error),
            Ok(module) => match self.linker.instantiate(&mut self.store, &module) {
                Ok(instance) => {
                    self.current = Some(instance);
                    Ok(Step::Nothing)
                }
                // It may import from a module that was refused.
                Err(error) if self.instances.values().any(Option::is_none) => {
                    let _ = error;
                    Ok(Step::Skipped)
                }
                Err(error) => Err(format!("cannot instantiate: {error:#}")),
            },
        };
        let key = name.map_or_else(|| "\0".to_owned(), |name| name.name().to_owned());
        if self.current.is_none() || name.is_some() {
            self.instances.insert(key, self.current);
        }
        result
    }

    fn instance(&self, name: Option<Id<'_>>) -> Result<Option<Instance>, String> {
        match name {
            None => Ok(self.current),
            Some(name) => self.instances.get(name.name()).copied().ok_or_else(|| format!("no module {}", name.name())),
        }
    }

    fn execute(&mut self, exec: WastExecute<'_>) -> Result<Option<wasmscope::Result<Vec<Val>>>, String> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(mut module) => {
                let Wat::Module(_) = &module else { return Err("a component".into()) };
                let bytes = module.encode().map_err(|error| error.to_string())?;
                Ok(match self.compile(&bytes) {
                    Err(_) => None,
                    Ok(module) => Some(self.linker.instantiate(&mut self.store, &module).map(|_| Vec::new())),
                })
            }
            WastExecute::Get { module, global, .. } => {
                let Some(instance) = self.instance(module)? else { return Ok(None) };
                let found = instance.get_global(&mut self.store, global).ok_or("no such global")?;
                Ok(Some(Ok(vec![found.get(&mut self.store)])))
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Option<wasmscope::Result<Vec<Val>>>, String> {
        let Some(instance) = self.instance(invoke.module)? else { return Ok(None) };
        let func = instance
            .get_func(&mut self.store, invoke.name)
            .ok_or_else(|| format!("no exported function {:?}", invoke.name))?;
        let args = invoke.args.iter().map(values::argument).collect::<Option<Vec<_>>>().ok_or("unknown argument")?;
        let ty = func.ty(&self.store);
        let mut results: Vec<Val> = ty.results.iter().map(|ty| Val::default_for(*ty)).collect();
        Ok(Some(func.call(&mut self.store, &args, &mut results).map(|()| results)))
    }

    /// A module that was refused for a feature is no failure, and neither is one that is listed; for anything else it is.
    fn refusal(&self, error: &wasmscope::Error) -> StepResult {
        let text = format!("{error:#}");
        let feature = ["unsupported wasm feature", "not enabled"].iter().any(|phrase| text.contains(phrase));
        let listed = self.listed.is_some_and(|reasons| reasons.split(" | ").any(|reason| text.contains(reason)));
        if feature || listed { Ok(Step::Refused(text)) } else { Err(format!("the module is refused: {text}")) }
    }

    fn expect_refused(&mut self, mut module: QuoteWat<'_>, message: &str) -> StepResult {
        let Ok(bytes) = encode(&mut module) else { return Ok(Step::Passed) };
        if Module::new(self.engine, &bytes).is_err() {
            return Ok(Step::Passed);
        }
        // A later version of the specification may allow what this suite's own version forbids.
        if Validator::new_with_features(self.features).validate_all(&bytes).is_err() {
            return Ok(Step::Superseded);
        }
        Err(format!("accepted, expected {message:?}"))
    }
}

fn encode(module: &mut QuoteWat<'_>) -> Result<Vec<u8>, String> {
    module.encode().map_err(|error| error.to_string())
}

fn expect_trap(result: wasmscope::Result<Vec<Val>>, message: &str) -> StepResult {
    match result {
        Ok(values) => Err(format!("expected trap {message:?}, got {values:?}")),
        Err(error) => {
            let Some(trap) = error.downcast_ref::<Trap>() else {
                return Err(format!("expected trap {message:?}, got error {error:#}"));
            };
            let text = trap.to_string();
            let same = text.contains(message)
                || message.contains(&text)
                || matches!(
                    (trap, message),
                    (Trap::UnreachableCodeReached, "unreachable")
                        | (Trap::NullReference, "null function reference" | "null reference" | "null i31 reference")
                        | (Trap::IndirectCallToNull, "uninitialized element" | "null function reference")
                        | (Trap::StackOverflow, "stack overflow")
                        | (Trap::AtomicWaitNonSharedMemory, "expected shared memory")
                )
                || message.starts_with("uninitialized element") && *trap == Trap::IndirectCallToNull;
            if same { Ok(Step::Passed) } else { Err(format!("expected trap {message:?}, got {text:?}")) }
        }
    }
}
