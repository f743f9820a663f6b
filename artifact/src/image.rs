//! The in-memory ELF file that a debugger is given for loaded code.

use std::ops::Range;

use object::elf;

use crate::builder::{INSTANCE_SECTION, LoadableContents, TEXT_SECTION, instance_symbol, loadable_sections};
use crate::elf::{Contents, ElfImage, ImageSection, ImageSymbol};
use crate::{Artifact, ArtifactError, GuestSymbolKind, LinkLayout, Machine, RelocationTarget, TrapCode, section};

/// What is there to trap and does nothing else, on x86-64.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// A module whose code has been loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadedModule<'a> {
    /// What was loaded.
    pub artifact: &'a Artifact<'a>,
    /// Where its text is.
    pub text_address: u64,
    /// Where its instance cell is.
    pub cell_address: u64,
}

impl LoadedModule<'_> {
    fn text_delta(&self) -> u64 {
        self.text_address.wrapping_sub(self.artifact.layout().text)
    }

    fn cell_delta(&self) -> u64 {
        self.cell_address.wrapping_sub(self.artifact.layout().instance_cell)
    }

    /// Where the frame table is, or would be: at its link-time distance from the text.
    pub(crate) fn eh_frame_address(&self) -> u64 {
        self.artifact.layout().eh_frame.wrapping_add(self.text_delta())
    }

    /// The debug sections, with every address in them as it is now.
    pub(crate) fn debug_sections(&self) -> Result<Vec<(&str, Vec<u8>)>, ArtifactError> {
        rebase_debug_sections(self.artifact, self.text_delta(), self.cell_delta())
    }

    /// The traps that only the instruction tells, of each its address (8 bytes) and its [`TrapCode`] (1 byte).
    ///
    /// A memory access that goes out of bounds is not among them: the address that it faults at tells.
    pub(crate) fn append_trap_sites(&self, out: &mut Vec<u8>) {
        let text = self.artifact.text();
        for trap in self.artifact.traps().iter() {
            let code = text.get(trap.text.0 as usize..).unwrap_or_default();
            let is_explicit = self.artifact.machine() != Machine::X86_64 || code.starts_with(&UD2);
            if is_explicit || trap.trap_code() != Some(TrapCode::MemoryOutOfBounds) {
                out.extend(self.text_address.wrapping_add(u64::from(trap.text.0)).to_le_bytes());
                out.push(trap.code);
            }
        }
    }

    /// The symbols, for a text of the section number `text`, and the cell of the section number `cell`.
    pub(crate) fn symbols(&self, text: u32, cell: u32) -> impl Iterator<Item = ImageSymbol<'_>> {
        let code = self.artifact.text_symbols().map(move |(name, offset, size, is_global)| ImageSymbol {
            name,
            section: text,
            kind: elf::STT_FUNC,
            bind: if is_global { elf::STB_GLOBAL } else { elf::STB_LOCAL },
            address: self.text_address.wrapping_add(u64::from(offset.0)),
            size,
        });
        let instance = instance_symbol(self.cell_address, self.artifact.instance_cell_size());
        code.chain([ImageSymbol { section: cell, ..instance }])
    }
}

/// The ELF file for `__jit_debug_register_code` of a module that has been loaded.
///
/// - `.text` is NOBITS at its real address: the debugger reads the code from the process.
/// - Every address in the debug sections is rebased.
/// - `.eh_frame` and `.eh_frame_hdr` keep their link-time distance from the text, so that their pc-relative pointers stay
///   right. They are not ALLOC sections here: a debugger reads them from this image, whether or not the loader also
///   mapped them at that distance.
/// - Symbols have their real addresses. The engine's own sections are left out, but for one: `.wasmscope.trapsites` has the
///   address (8 bytes) and the [`TrapCode`] (1 byte) of each instruction that traps for a reason that the signal does not
///   tell.
pub fn registered_image(module: LoadedModule<'_>) -> Result<Vec<u8>, ArtifactError> {
    let artifact = module.artifact;
    let linked = artifact.layout();
    let loaded = LinkLayout {
        text: module.text_address,
        eh_frame: module.eh_frame_address(),
        eh_frame_hdr: linked.eh_frame_hdr.wrapping_add(module.text_delta()),
        instance_cell: module.cell_address,
    };
    let debug_sections = module.debug_sections()?;
    let mut sections = loadable_sections(
        &loaded,
        LoadableContents {
            text: Contents::Nothing(artifact.text().len() as u64),
            eh_frame: artifact.eh_frame(),
            eh_frame_hdr: artifact.eh_frame_hdr(),
            instance_cell_size: artifact.instance_cell_size(),
            eh_frame_is_loaded: false,
        },
    );
    sections.extend(debug_sections.iter().map(|(name, bytes)| ImageSection::debug(name, bytes)));
    let mut trap_sites = Vec::new();
    module.append_trap_sites(&mut trap_sites);
    sections.push(ImageSection::private(section::TRAP_SITES, &trap_sites));
    let symbols = module.symbols(TEXT_SECTION, INSTANCE_SECTION).collect();
    write(artifact.machine(), sections, symbols)
}

/// The ELF file with the names of a module's own addresses: what the guest's function pointers and pointers to virtual
/// tables hold. `None` if there are none.
///
/// Its sections, all of the name `.wasm`, are NOBITS over these addresses but for the gaps, so that a debugger finds a name for
/// what a guest pointer holds. They are no code: breakpoints by name must not go there. A symbol that reaches over a gap is
/// there once for each section, since gdb takes for an address only symbols of the section that the address is in. One such
/// image at a time is enough: these addresses mean something else in each instance, and gdb takes very long to sort sections
/// that begin at the same address.
pub fn guest_symbols_image(artifact: &Artifact<'_>) -> Result<Option<Vec<u8>>, ArtifactError> {
    let (gaps, names): (Vec<_>, Vec<_>) = artifact
        .guest_symbols()
        .filter(|&(_, address, size, _)| address.checked_add(size).is_some_and(|end| end <= GUEST_ADDRESSES))
        .map(|(name, address, size, kind)| (name, address..address + size, kind))
        .partition(|&(_, _, kind)| kind == GuestSymbolKind::Gap);
    let start = names.iter().map(|(_, range, _)| range.start).min();
    let end = names.iter().map(|(_, range, _)| range.end).max();
    let (Some(start), Some(end)) = (start, end) else { return Ok(None) };
    let mut gaps: Vec<_> = gaps.into_iter().map(|(_, range, _)| range).collect();
    gaps.sort_unstable_by_key(|gap| gap.start);
    let parts = between(&gaps, start..end);
    let sections = parts.iter().map(|part| ImageSection {
        name: ".wasm",
        kind: elf::SHT_NOBITS,
        flags: elf::SHF_ALLOC | elf::SHF_WRITE,
        address: part.start,
        align: 1,
        contents: Contents::Nothing(part.end - part.start),
    });
    let symbols = names.iter().flat_map(|(name, range, kind)| {
        let first = parts.partition_point(|part| part.end <= range.start);
        let covered = parts[first..].iter().take_while(|part| part.start < range.end).count();
        (first..first + covered).map(move |part| ImageSymbol {
            name,
            section: part as u32 + 1,
            // An object of the function's name would be ambiguous with it in lldb's expressions.
            kind: if *kind == GuestSymbolKind::Function { elf::STT_NOTYPE } else { elf::STT_OBJECT },
            bind: elf::STB_LOCAL,
            address: range.start,
            size: range.end - range.start,
        })
    });
    let mut symbols: Vec<_> = symbols.collect();
    // lldb 19 leaves out a table of symbols all of which have no type. This one lies behind them.
    if symbols.iter().all(|symbol| symbol.kind == elf::STT_NOTYPE) {
        let last = ImageSymbol { name: b"__wasm_end", kind: elf::STT_OBJECT, address: end, size: 0, ..symbols[0] };
        symbols.push(last);
    }
    write(artifact.machine(), sections.collect(), symbols).map(Some)
}

/// What is left of a range without these, by address.
fn between(gaps: &[Range<u64>], range: Range<u64>) -> Vec<Range<u64>> {
    let mut parts = Vec::with_capacity(gaps.len() + 1);
    let mut start = range.start;
    for gap in gaps {
        let end = gap.start.min(range.end);
        if start < end {
            parts.push(start..end);
        }
        start = start.max(gap.end);
    }
    if start < range.end {
        parts.push(start..range.end);
    }
    parts
}

/// Addresses of the guest lie below; all others are the host's.
const GUEST_ADDRESSES: u64 = 1 << 32;

/// The writer wants local symbols first; the others keep their order.
pub(crate) fn write(
    machine: Machine,
    sections: Vec<ImageSection<'_>>,
    mut symbols: Vec<ImageSymbol<'_>>,
) -> Result<Vec<u8>, ArtifactError> {
    symbols.sort_by_key(|symbol| symbol.bind != elf::STB_LOCAL);
    ElfImage { machine, sections, symbols }.write().map_err(|source| ArtifactError::Image { machine, source })
}

fn rebase_debug_sections<'a>(
    artifact: &Artifact<'a>,
    text_delta: u64,
    cell_delta: u64,
) -> Result<Vec<(&'a str, Vec<u8>)>, ArtifactError> {
    let relocations = artifact.relocations();
    let mut sections = Vec::new();
    for &(number, name, bytes) in artifact.numbered_debug_sections() {
        let mut bytes = bytes.to_vec();
        let start = relocations.partition_point(|row| row.section < number);
        let end = relocations.partition_point(|row| row.section <= number);
        for row in relocations.slice(start, end - start).iter() {
            let delta = match row.target {
                RelocationTarget::Text => text_delta,
                RelocationTarget::InstanceCell => cell_delta,
            };
            let size = usize::from(row.size);
            let Some(word) = bytes.get_mut(row.offset as usize..).and_then(|rest| rest.get_mut(..size)) else {
                continue; // Opening the artifact checked that this cannot be.
            };
            let mut linked = [0; 8];
            linked[..size].copy_from_slice(word);
            let value = u64::from_le_bytes(linked).wrapping_add(delta);
            if size == 4 && value > u64::from(u32::MAX) {
                return Err(ArtifactError::RelocationOverflow {
                    section: name.to_owned(),
                    offset: row.offset,
                    value,
                    size: row.size,
                });
            }
            word.copy_from_slice(&value.to_le_bytes()[..size]);
        }
        sections.push((name, bytes));
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_cut_a_range() {
        let parts = |gaps: &[(u64, u64)]| {
            let gaps: Vec<_> = gaps.iter().map(|&(start, end)| start..end).collect();
            between(&gaps, 2..12).iter().map(|part| (part.start, part.end)).collect::<Vec<_>>()
        };
        assert_eq!(parts(&[(4, 5), (5, 6), (9, 10)]), [(2, 4), (6, 9), (10, 12)]);
        assert_eq!(parts(&[(0, 1), (2, 3), (11, 13)]), [(3, 11)]);
        assert_eq!(parts(&[]), [(2, 12)]);
        assert_eq!(parts(&[(0, 20)]), []);
    }
}
