//! Why a module is refused.

use thiserror::Error;

/// Why a wasm module cannot be translated. Offsets are bytes from the start of the wasm file.
#[derive(Debug, Error)]
pub enum TranslateError {
    /// The bytes are no valid module, or one that needs a feature the translator lacks.
    #[error("invalid or unsupported wasm at offset {offset:#x}: {reason}")]
    Invalid {
        /// Where.
        offset: usize,
        /// What is wrong.
        reason: String,
    },
    /// The file is a component, not a core module.
    #[error("the file is a wasm component (at offset {offset:#x}); only core modules can be run")]
    Component {
        /// Where its header says so.
        offset: usize,
    },
    /// A feature that the code generator cannot translate.
    #[error("unsupported wasm feature at offset {offset:#x}: {feature}")]
    Unsupported {
        /// Where it is used.
        offset: usize,
        /// Its name.
        feature: String,
    },
    /// The code generator gave up on a function.
    #[error("function {function} at offset {offset:#x} cannot be compiled: {reason}")]
    Function {
        /// Its index.
        function: u32,
        /// Where its body starts.
        offset: usize,
        /// What the code generator says.
        reason: String,
    },
}

impl From<wasmparser::BinaryReaderError> for TranslateError {
    fn from(error: wasmparser::BinaryReaderError) -> TranslateError {
        TranslateError::Invalid { offset: error.offset(), reason: error.message().to_owned() }
    }
}
