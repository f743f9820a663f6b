//! Address spaces, and where each loadable section is linked.

/// An offset in bytes from the start of a function's code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeOffset(pub u32);

/// An offset in bytes from the start of the module's `.text`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextOffset(pub u32);

impl TextOffset {
    /// The address this offset has in the file, as every ELF tool shows it.
    pub fn link_address(self) -> u64 {
        TEXT_ADDRESS + u64::from(self.0)
    }
}

/// An offset in bytes from the start of the contents of the wasm code section: what guest DWARF calls an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WasmOffset(pub u32);

/// The link address of `.text`.
pub const TEXT_ADDRESS: u64 = 0x1_0000;

/// Names of the sections that are not standard ELF or DWARF ones.
pub mod section {
    /// The instance cell.
    pub const INSTANCE: &str = ".wasmscope.instance";
    /// Format version, content hash and the engine's own bytes.
    pub const META: &str = ".wasmscope.meta";
    /// The wasm module.
    pub const MODULE: &str = ".wasmscope.module";
    /// Functions, and their index by kind.
    pub const FUNCTIONS: &str = ".wasmscope.functions";
    /// Native code to wasm operators.
    pub const ADDRESS_MAP: &str = ".wasmscope.addrmap";
    /// Trapping instructions.
    pub const TRAPS: &str = ".wasmscope.traps";
    /// In what a debugger is given: the instructions that trap for a reason that the signal does not tell.
    pub const TRAP_SITES: &str = ".wasmscope.trapsites";
    /// References in frames at safepoints.
    pub const STACK_MAPS: &str = ".wasmscope.stackmaps";
    /// Wasm locals that live in the frame.
    pub const HOMES: &str = ".wasmscope.homes";
    /// Words of the debug sections that hold addresses.
    pub const RELOCATIONS: &str = ".wasmscope.relocs";
    /// Debug info that could not be translated.
    pub const LOSSES: &str = ".wasmscope.losses";
}

/// The machine an artifact was compiled for.
///
/// All are 64-bit and little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// AMD64, `EM_X86_64`.
    X86_64,
    /// A64, `EM_AARCH64`.
    Aarch64,
    /// RV64, `EM_RISCV`.
    Riscv64,
}

impl Machine {
    pub(crate) fn elf(self) -> object::elf::Machine {
        match self {
            Machine::X86_64 => object::elf::EM_X86_64,
            Machine::Aarch64 => object::elf::EM_AARCH64,
            Machine::Riscv64 => object::elf::EM_RISCV,
        }
    }

    pub(crate) fn from_elf(machine: object::elf::Machine) -> Option<Machine> {
        [Machine::X86_64, Machine::Aarch64, Machine::Riscv64].into_iter().find(|m| m.elf() == machine)
    }

    /// The largest page size a loader of this machine may use; loadable segments are aligned to it.
    pub fn page_size(self) -> u64 {
        match self {
            Machine::X86_64 | Machine::Riscv64 => 0x1000,
            Machine::Aarch64 => 0x1_0000,
        }
    }
}

/// The link addresses of the loadable sections.
///
/// ```text
/// TEXT_ADDRESS   .text                    R X
/// next page      .eh_frame                R
///                .eh_frame_hdr  (4-aligned)
/// next page      .wasmscope.instance      R W
/// ```
///
/// The address of `.eh_frame` depends on the size of the text alone, so that a frame table with pc-relative pointers can
/// be written before its own size is known. A loader that keeps these distances can use `.eh_frame` unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLayout {
    /// Address of `.text`: [`TEXT_ADDRESS`].
    pub text: u64,
    /// Address of `.eh_frame`.
    pub eh_frame: u64,
    /// Address of `.eh_frame_hdr`.
    pub eh_frame_hdr: u64,
    /// Address of the instance cell.
    pub instance_cell: u64,
}

impl LinkLayout {
    /// The address of `.eh_frame` after a text of `text_len` bytes.
    pub fn eh_frame_address(machine: Machine, text_len: usize) -> u64 {
        (TEXT_ADDRESS + text_len as u64).next_multiple_of(machine.page_size())
    }

    /// The address of `.eh_frame_hdr` after a text of `text_len` and an `.eh_frame` of `eh_frame_len` bytes.
    pub fn eh_frame_hdr_address(machine: Machine, text_len: usize, eh_frame_len: usize) -> u64 {
        (Self::eh_frame_address(machine, text_len) + eh_frame_len as u64).next_multiple_of(4)
    }

    /// The whole layout, for sections of these lengths in bytes.
    pub fn new(machine: Machine, text_len: usize, eh_frame_len: usize, eh_frame_hdr_len: usize) -> LinkLayout {
        let eh_frame_hdr = Self::eh_frame_hdr_address(machine, text_len, eh_frame_len);
        LinkLayout {
            text: TEXT_ADDRESS,
            eh_frame: Self::eh_frame_address(machine, text_len),
            eh_frame_hdr,
            instance_cell: (eh_frame_hdr + eh_frame_hdr_len as u64).next_multiple_of(machine.page_size()),
        }
    }
}
