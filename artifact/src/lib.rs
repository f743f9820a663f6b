//! The compiled artifact: one real ELF64 file that holds everything a compiled wasm module needs.
//!
//! **In:** an [`ArtifactBuilder`] filled with plain data: code, unwind tables, translated DWARF, and, for each function,
//! its address map, traps, stack maps and variable homes. **Out:** the bytes of an ELF shared object that `readelf`,
//! `llvm-dwarfdump`, `llvm-objdump` and gdb open as they open any other. The same bytes are read back, in place and
//! without decoding, by [`Artifact::parse`]; [`registered_image`] makes from them the in-memory ELF file a debugger is
//! given when the code has been loaded, [`joint_image`] one for many modules.
//!
//! **The caller provides** the placement-independent facts only. Offsets are relative to the function ([`CodeOffset`]);
//! the builder turns them into offsets in the module's text ([`TextOffset`]). Guest positions are [`WasmOffset`]s,
//! relative to the contents of the code section, as in guest DWARF. `.eh_frame` and `.eh_frame_hdr` are written by the
//! caller for the addresses that [`LinkLayout`] names.
//!
//! **It never** executes, maps or protects memory, never names a code generator, and never trusts its input: tables are
//! checked once when a file is opened (bounds, order), after which every accessor is total. An artifact contains machine
//! code, so that a file from a stranger is as dangerous as any other program; the checks protect the process that
//! *reads* it, not the one that runs it.
//!
//! # The file
//!
//! | section | contents |
//! |---|---|
//! | `.text` | all code of the module, linked at [`TEXT_ADDRESS`] |
//! | `.eh_frame`, `.eh_frame_hdr` | the frame table, on the first page after the text |
//! | `.wasmscope.instance` | NOBITS: the *instance cell*, through which DWARF reaches the running instance; with it, where its stack pointer is |
//! | `.debug_*` | translated DWARF, resolved for the link addresses |
//! | `.wasmscope.meta` | magic, format version, content hash, then bytes of the engine's own |
//! | `.wasmscope.module` | the wasm module |
//! | `.wasmscope.functions` | a [`FunctionRow`] for each function, and an index by [`FunctionKind`] |
//! | `.wasmscope.addrmap` | [`AddressMapRow`]s: native code to wasm operators |
//! | `.wasmscope.traps` | [`TrapRow`]s: which instruction traps, and why |
//! | `.wasmscope.stackmaps` | at which return addresses which words of the frame hold references |
//! | `.wasmscope.homes` | [`HomeRow`]s: wasm locals that live in the frame |
//! | `.wasmscope.relocs` | [`RelocationRow`]s: which words of the debug sections hold addresses |
//! | `.wasmscope.losses` | [`Loss`]es: debug info that could not be translated; absent if there is none |
//! | `.symtab`, `.strtab` | one FUNC symbol a function, by linkage name; absolute symbols for the guest's own addresses |
//!
//! ```
//! use artifact::{Artifact, ArtifactBuilder, Function, FunctionKind, Machine, TextOffset};
//!
//! let mut builder = ArtifactBuilder::new(Machine::X86_64);
//! builder.text = vec![0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3];
//! builder.functions.push(Function::new(FunctionKind::Guest(0), "answer", TextOffset(0), 6));
//! let bytes = builder.finish()?;
//!
//! let artifact = Artifact::parse(&bytes)?;
//! let (_, function) = artifact.function_at(TextOffset(3)).unwrap();
//! assert_eq!(artifact.function_name(&function), Some("answer"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod builder;
mod elf;
mod error;
mod file;
mod image;
mod joint_image;
mod layout;
mod losses;
mod read;
mod rows;
mod table;
mod trap;

pub use builder::{
    AddressMap, AddressMapEntry, ArtifactBuilder, DebugRelocation, DebugSection, Function, GuestSymbol,
    GuestSymbolKind, LocalHome, StackMap, Symbol, Trap,
};
pub use error::{ArtifactError, BuildError};
pub use file::{FILE_START, read_file};
pub use image::{LoadedModule, guest_symbols_image, registered_image};
pub use joint_image::joint_image;
pub use layout::{CodeOffset, LinkLayout, Machine, TEXT_ADDRESS, TextOffset, WasmOffset, section};
pub use losses::Loss;
pub use read::{Artifact, Location};
pub use rows::{
    AddressMapRow, FunctionKind, FunctionRow, HomeRow, RelocationRow, RelocationTarget, StackMapRow, TrapRow,
};
pub use table::{Row, Table};
pub use trap::TrapCode;

/// The version of the format; a file with another version is refused.
pub const FORMAT_VERSION: u32 = 2;

/// The name of the symbol that marks the instance cell.
pub const INSTANCE_SYMBOL: &str = "__wasmscope_instance";
