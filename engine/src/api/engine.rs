//! What modules and stores share.

use crate::api::{Config, Result};
use std::sync::Arc;

/// Compiles modules; holds what they share. A cheap handle: clones are the same engine.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<EngineInner>);

pub(crate) struct EngineInner {
    pub(crate) config: Config,
}

impl Engine {
    /// An engine with these settings.
    ///
    /// # Errors
    ///
    /// If the settings contradict each other or the host cannot satisfy them.
    pub fn new(_config: &Config) -> Result<Engine> {
        todo!()
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

impl Default for Engine {
    fn default() -> Engine {
        Engine::new(&Config::new()).expect("the default settings are valid")
    }
}
