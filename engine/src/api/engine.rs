//! What modules and stores share.

use crate::api::{Config, Context, Result};
use crate::environ::DebugInfo;
use crate::runtime::debug_view::DebugViews;
use crate::runtime::signals;
use crate::runtime::type_registry::TypeRegistry;
use debugger_support::Profiler;
use std::sync::{Arc, Mutex, PoisonError};

/// Compiles modules; holds what they share. A cheap handle: clones are the same engine.
///
/// Modules are compiled on the threads of the rayon pool that the caller is in. Modules, linkers and stores that are used
/// together must be of the same engine.
///
/// ```
/// use wasmscope::{Config, Engine, Module, OptLevel};
///
/// let engine = Engine::new(Config::new().opt_level(OptLevel::None))?;
/// let elsewhere = engine.clone();
/// let module = std::thread::spawn(move || Module::new(&elsewhere, "(module)")).join().unwrap()?;
/// assert!(Engine::same(module.engine(), &engine));
/// # Ok::<(), wasmscope::Error>(())
/// ```
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<EngineInner>);

pub(crate) struct EngineInner {
    config: Config,
    types: TypeRegistry,
    profiler: Option<Mutex<Profiler>>,
    debug_views: DebugViews,
}

impl Engine {
    /// An engine with these settings. The first engine of a process installs its signal handlers.
    ///
    /// # Errors
    ///
    /// If the settings contradict each other, this machine cannot satisfy them, or the profiler's file cannot be created.
    pub fn new(config: &Config) -> Result<Engine> {
        config.check()?;
        signals::install();
        let profiler = match &config.profile {
            None => None,
            Some(profile) => {
                Some(Mutex::new(Profiler::create(profile).context("the profiler's file cannot be created")?))
            }
        };
        Ok(Engine(Arc::new(EngineInner {
            config: config.clone(),
            types: TypeRegistry::default(),
            profiler,
            debug_views: DebugViews::default(),
        })))
    }

    pub(crate) fn types(&self) -> &TypeRegistry {
        &self.0.types
    }

    pub(crate) fn debug_views(&self) -> &DebugViews {
        &self.0.debug_views
    }

    /// Does something with the profiler, if there is one.
    pub(crate) fn with_profiler(&self, act: impl FnOnce(&mut Profiler) -> Result<()>) -> Result<()> {
        match &self.0.profiler {
            None => Ok(()),
            Some(profiler) => act(&mut profiler.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    pub(crate) fn wants_identity_map(&self) -> bool {
        let config = self.config();
        config.identity_map.unwrap_or(config.tunables.debug_info == DebugInfo::Full)
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The settings that shape code.
    #[must_use]
    pub fn tunables(&self) -> &crate::environ::Tunables {
        &self.0.config.tunables
    }

    /// Are the two handles of the same engine?
    #[must_use]
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.0, &b.0)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", self.config()).finish_non_exhaustive()
    }
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new(&Config::new()).expect("the default settings are valid")
    }
}
