//! Errors that carry their cause, context and a backtrace.

use crate::api::trap::WasmBacktrace;
use std::error::Error as StdError;
use std::fmt;

/// `Result` with [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error, with the context in which it happened and, if it passed through the guest, the guest's backtrace.
///
/// Every `std` error converts into it, so that host functions can use `?`. The cause is found again with
/// [`downcast_ref`](Error::downcast_ref): of type [`Trap`](crate::Trap) when the guest trapped, the host function's own
/// error when it failed. [`WasmBacktrace`] can be asked for the same way.
///
/// ```
/// use wasmscope::{Context, Engine, Func, Result, Store};
///
/// fn parse(text: &str) -> Result<i32> {
///     text.parse::<i32>().with_context(|| format!("cannot read {text:?}"))
/// }
/// let mut store = Store::new(&Engine::default(), ());
/// let func = Func::wrap(&mut store, || parse("x"));
/// let error = func.typed::<(), i32>(&store)?.call(&mut store, ()).unwrap_err();
/// assert!(error.is::<std::num::ParseIntError>());
/// assert_eq!(format!("{error:#}"), "cannot read \"x\": invalid digit found in string");
/// # Ok::<(), wasmscope::Error>(())
/// ```
///
/// `Error` does not implement [`std::error::Error`] itself (it could then not convert from every such error); it
/// converts into `Box<dyn std::error::Error + Send + Sync>` and into `anyhow::Error`.
pub struct Error(Box<Inner>);

struct Inner {
    cause: Box<dyn StdError + Send + Sync>,
    /// Outermost last.
    context: Vec<String>,
    backtrace: Option<WasmBacktrace>,
}

/// A cause that is text and nothing else.
#[derive(Debug)]
struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Message {}

impl Error {
    /// An error with this cause.
    pub fn new(cause: impl StdError + Send + Sync + 'static) -> Error {
        Error::from_boxed(Box::new(cause))
    }

    /// An error that is described by a text.
    pub fn msg(message: impl fmt::Display) -> Error {
        Error::new(Message(message.to_string()))
    }

    /// An error with this cause.
    pub fn from_boxed(cause: Box<dyn StdError + Send + Sync>) -> Error {
        Error(Box::new(Inner { cause, context: Vec::new(), backtrace: None }))
    }

    /// The same error, with what was tried when it happened.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Error {
        self.0.context.push(context.to_string());
        self
    }

    /// The cause or the backtrace if it is of type `E`.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        if let Some(found) = self.0.cause.downcast_ref::<E>() {
            return Some(found);
        }
        let backtrace: &(dyn StdError + 'static) = self.0.backtrace.as_ref()?;
        backtrace.downcast_ref::<E>()
    }

    /// The cause, if it is of type `E`; else the error as it was.
    ///
    /// # Errors
    ///
    /// The error itself, unchanged, if its cause is of another type.
    pub fn downcast<E: StdError + Send + Sync + 'static>(mut self) -> Result<E, Error> {
        match self.0.cause.downcast::<E>() {
            Ok(found) => Ok(*found),
            Err(cause) => {
                self.0.cause = cause;
                Err(self)
            }
        }
    }

    /// Is the cause (or the backtrace) of type `E`?
    #[must_use]
    pub fn is<E: StdError + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// Where in the guest the error happened.
    #[must_use]
    pub fn backtrace(&self) -> Option<&WasmBacktrace> {
        self.0.backtrace.as_ref()
    }

    /// Sets the backtrace unless an inner one, which is nearer to the cause, is there already.
    pub(crate) fn with_backtrace(mut self, backtrace: Option<WasmBacktrace>) -> Error {
        if self.0.backtrace.is_none() {
            self.0.backtrace = backtrace;
        }
        self
    }

    /// The cause without its context.
    #[must_use]
    pub fn cause(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0.cause
    }

    /// Context (outermost first), then the cause, then its sources.
    pub fn chain(&self) -> impl Iterator<Item = String> {
        let cause: &dyn StdError = &*self.0.cause;
        let sources = std::iter::successors(Some(cause), |&error| error.source());
        self.0.context.iter().rev().cloned().chain(sources.map(ToString::to_string))
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(cause: E) -> Error {
        Error::new(cause)
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        Box::new(AsStdError(error))
    }
}

impl From<Error> for anyhow::Error {
    fn from(error: Error) -> anyhow::Error {
        anyhow::Error::from(AsStdError(error))
    }
}

/// An [`Error`] that implements [`std::error::Error`].
struct AsStdError(Error);

impl fmt::Display for AsStdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for AsStdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for AsStdError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if self.0.0.context.is_empty() { self.0.0.cause.source() } else { Some(&*self.0.0.cause) }
    }
}

/// The outermost context or the cause; with `{:#}` the whole chain on one line.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chain = self.chain();
        f.write_str(&chain.next().unwrap_or_default())?;
        if f.alternate() {
            for cause in chain {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

/// The whole chain and the backtrace, for people.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chain = self.chain();
        f.write_str(&chain.next().unwrap_or_default())?;
        for (i, cause) in chain.enumerate() {
            if i == 0 {
                f.write_str("\n\nCaused by:")?;
            }
            write!(f, "\n    {i}: {cause}")?;
        }
        if let Some(backtrace) = &self.0.backtrace {
            write!(f, "\n\n{backtrace}")?;
        }
        Ok(())
    }
}

/// Adds context to the error of a `Result`.
pub trait Context<T> {
    /// The error as an [`Error`] with this context.
    ///
    /// # Errors
    ///
    /// When `self` is one.
    fn context(self, context: impl fmt::Display) -> Result<T>;

    /// Like [`context`](Context::context), with a text that is only made when it is needed.
    ///
    /// # Errors
    ///
    /// When `self` is one.
    fn with_context<D: fmt::Display>(self, context: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn context(self, context: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().context(context))
    }

    fn with_context<D: fmt::Display>(self, context: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().context(context()))
    }
}

/// A module cannot be linked with what it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nothing has the wanted name.
    #[error("unknown import: `{module}::{name}` has not been defined")]
    UnknownImport {
        /// The module name.
        module: String,
        /// The field name.
        name: String,
    },
    /// The thing that was given is of another kind or type.
    #[error("incompatible import type for `{module}::{name}`: expected {expected}, found {found}")]
    IncompatibleImport {
        /// The module name.
        module: String,
        /// The field name.
        name: String,
        /// What the module declares.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// The number of things that were given is not the number of imports.
    #[error("expected {expected} imports, found {found}")]
    ImportCount {
        /// How many the module declares.
        expected: usize,
        /// How many it was given.
        found: usize,
    },
    /// A name was defined before.
    #[error("import of `{module}::{name}` defined twice")]
    DefinedTwice {
        /// The module name.
        module: String,
        /// The field name.
        name: String,
    },
    /// Something of another store was given.
    #[error("`{0}` belongs to another store")]
    WrongStore(String),
}
