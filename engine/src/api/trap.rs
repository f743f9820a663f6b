//! Why and where the guest stopped.

use crate::api::{AsContext, Module};
use crate::runtime::backtrace::{self, RawBacktrace, RawFrame};
use crate::runtime::store::StoreOpaque;
use crate::symbolize::FrameSymbol;
use artifact::FunctionKind;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Why the guest trapped; the cause of the [`Error`](crate::Error) that a call returns.
pub use artifact::TrapCode as Trap;

/// The guest's call stack at a point in time, innermost frame first.
///
/// Names and source positions are looked up when they are first asked for.
///
/// ```
/// use wasmscope::{Engine, Instance, Module, Store, Trap, WasmBacktrace};
///
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module
///     (func $inner unreachable)
///     (func $outer (export "f") call $inner))"#)?;
/// let mut store = Store::new(&engine, ());
/// let f = Instance::new(&mut store, &module, &[])?.get_typed_func::<(), ()>(&mut store, "f")?;
/// let error = f.call(&mut store, ()).unwrap_err();
/// assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached));
/// let backtrace = error.downcast_ref::<WasmBacktrace>().unwrap();
/// let names: Vec<_> = backtrace.frames().iter().map(|frame| frame.func_name.as_deref().unwrap()).collect();
/// assert_eq!(names, ["inner", "outer"]);
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone)]
pub struct WasmBacktrace(Arc<Captured>);

struct Captured {
    raw: RawBacktrace,
    /// The modules of the frames; they keep what the frames are looked up in.
    modules: Vec<Module>,
    frames: OnceLock<Vec<FrameInfo>>,
}

/// One frame of a [`WasmBacktrace`].
#[derive(Clone, Debug)]
pub struct FrameInfo {
    /// The function's index.
    pub func_index: u32,
    /// The function's name from the name section.
    pub func_name: Option<String>,
    /// The module's name.
    pub module_name: Option<String>,
    /// The operator's offset in the wasm file, if known.
    pub module_offset: Option<u32>,
    /// The operator's offset from the start of the function's body, if known.
    pub func_offset: Option<u32>,
    /// The native pc: the trapping instruction or the return address.
    pub native_pc: usize,
    /// Source positions from the guest's DWARF, innermost inlined function first.
    pub symbols: Vec<FrameSymbol>,
}

impl WasmBacktrace {
    /// The guest's stack as it is now, seen from a host function. Empty when no guest of the store runs.
    pub fn capture(store: impl AsContext) -> WasmBacktrace {
        WasmBacktrace::new(backtrace::capture_of(&store.as_context().0.opaque), &store.as_context().0.opaque)
    }

    pub(crate) fn new(raw: RawBacktrace, store: &StoreOpaque) -> WasmBacktrace {
        let on_stack =
            |module: &&Module| raw.frames.iter().any(|frame| module.code().text_offset(frame.lookup_pc()).is_some());
        let modules = store.modules().iter().filter(on_stack).cloned().collect();
        WasmBacktrace(Arc::new(Captured { raw, modules, frames: OnceLock::new() }))
    }

    /// The frames, innermost first. Of a very deep stack, only the innermost ones.
    #[must_use]
    pub fn frames(&self) -> &[FrameInfo] {
        self.0.frames.get_or_init(|| {
            let look_up = |frame| self.0.modules.iter().find_map(|module| describe(module, frame));
            self.0.raw.frames.iter().filter_map(look_up).collect()
        })
    }

    /// How many outer frames [`frames`](WasmBacktrace::frames) leaves out.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.0.raw.omitted
    }
}

/// What is known of a frame, if it is one of the module's functions.
fn describe(module: &Module, frame: &RawFrame) -> Option<FrameInfo> {
    let code = module.code();
    let location = code.artifact().lookup(code.text_offset(frame.lookup_pc())?)?;
    let FunctionKind::Guest(func_index) = location.function.kind else { return None };
    let offset = location.wasm.map(|offset| offset.0);
    Some(FrameInfo {
        func_index,
        func_name: module.func_name(func_index).map(str::to_owned),
        module_name: module.name().map(str::to_owned),
        module_offset: offset.map(|offset| offset.wrapping_add(module.code_section_start())),
        func_offset: offset.and_then(|offset| offset.checked_sub(location.function.body.0)),
        native_pc: frame.pc,
        symbols: offset.map(|offset| module.symbolizer().lookup(offset)).unwrap_or_default(),
    })
}

impl std::error::Error for WasmBacktrace {}

impl fmt::Debug for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

/// One frame a line, with the source positions below it.
impl fmt::Display for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A runaway recursion shows its two ends.
        const SHOWN: usize = 40;
        f.write_str("wasm backtrace:")?;
        let frames = self.frames();
        for (number, frame) in frames.iter().enumerate().take(SHOWN) {
            write!(f, "\n{number:5}: ")?;
            if let Some(offset) = frame.module_offset {
                write!(f, "{offset:#8x} - ")?;
            }
            write!(f, "{}!", frame.module_name.as_deref().unwrap_or("<unknown>"))?;
            match &frame.func_name {
                Some(name) => write!(f, "{}", crate::symbolize::demangle(name))?,
                None => write!(f, "<wasm function {}>", frame.func_index)?,
            }
            for (depth, symbol) in frame.symbols.iter().enumerate() {
                let inlined = depth + 1 < frame.symbols.len();
                if inlined && let Some(name) = &symbol.name {
                    write!(f, "\n              inlined {name}")?;
                }
                if let Some(file) = &symbol.file {
                    write!(f, "\n              at {file}")?;
                    if let Some(line) = symbol.line {
                        write!(f, ":{line}")?;
                        if let Some(column) = symbol.column {
                            write!(f, ":{column}")?;
                        }
                    }
                }
            }
        }
        match frames.len().saturating_sub(SHOWN) + self.omitted() {
            0 => Ok(()),
            more => write!(f, "\n       ... and {more} more"),
        }
    }
}
