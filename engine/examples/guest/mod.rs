//! A WASI program that an example runs in its own process.

use wasmscope::wasi::{SystemInterface, Wasi, add_to_linker};
use wasmscope::{Config, DebugInfo, Engine, Instance, Linker, Module, OptLevel, PointerFlavour, Result, Store};

/// For a debugger, at optimization level 0 or else 2.
pub fn config(level: Option<&str>) -> Config {
    let mut config = Config::new();
    config.debug_info(DebugInfo::Full).pointer_flavour(PointerFlavour::detected());
    config.opt_level(if level == Some("0") { OptLevel::None } else { OptLevel::Speed });
    config
}

/// An instance with a store of its own.
pub struct Guest {
    store: Store<Wasi>,
    instance: Instance,
}

impl Guest {
    /// Instantiates the program; the first argument is its name.
    pub fn new(engine: &Engine, module: &Module, arguments: &[&str]) -> Result<Guest> {
        let mut linker = Linker::<Wasi>::new(engine);
        let mut wasi = Wasi::builder();
        wasi.inherit_stdio();
        for argument in arguments {
            wasi.arg(argument)?;
        }
        let wasi = wasi.build();
        add_to_linker(&mut linker, wasi.functions(), |wasi| wasi)?;
        let mut store = Store::new(engine, wasi);
        let instance = linker.instantiate(&mut store, module)?;
        Ok(Guest { store, instance })
    }

    /// Runs its `_start`.
    pub fn run(&mut self) -> Result<()> {
        let start = self.instance.get_func(&mut self.store, "_start").expect("a program");
        start.call(&mut self.store, &[], &mut [])
    }
}
