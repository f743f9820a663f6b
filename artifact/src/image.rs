//! The in-memory ELF file that a debugger is given for loaded code.

use object::elf;

use crate::builder::{LoadableContents, TEXT_SECTION, instance_symbol, loadable_sections};
use crate::elf::{Contents, ElfImage, ImageSection, ImageSymbol};
use crate::{Artifact, ArtifactError, LinkLayout, RelocationTarget};

/// The ELF file for `__jit_debug_register_code` of an artifact whose text was loaded at `text_address` and whose instance
/// cell lies at `cell_address`.
///
/// - `.text` is NOBITS at its real address: the debugger reads the code from the process.
/// - Every address in the debug sections is rebased.
/// - `.eh_frame` and `.eh_frame_hdr` keep their link-time distance from the text, so that their pc-relative pointers stay
///   right. They are not ALLOC sections here: a debugger reads them from this image, whether or not the loader also
///   mapped them at that distance.
/// - Symbols have their real addresses. The engine's own sections are left out.
/// - `.wasm` is NOBITS over the addresses that the guest's symbols have, so that a debugger finds a name for what a guest
///   pointer holds. It is no code: breakpoints by name must not go there.
pub fn registered_image(
    artifact: &Artifact<'_>,
    text_address: u64,
    cell_address: u64,
) -> Result<Vec<u8>, ArtifactError> {
    let linked = artifact.layout();
    let text_delta = text_address.wrapping_sub(linked.text);
    let cell_delta = cell_address.wrapping_sub(linked.instance_cell);
    let loaded = LinkLayout {
        text: text_address,
        eh_frame: linked.eh_frame.wrapping_add(text_delta),
        eh_frame_hdr: linked.eh_frame_hdr.wrapping_add(text_delta),
        instance_cell: cell_address,
    };

    let debug_sections = rebase_debug_sections(artifact, text_delta, cell_delta)?;
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

    let guest_symbols: Vec<_> = artifact
        .guest_symbols()
        .filter(|&(_, address, size, _)| address.checked_add(size).is_some_and(|end| end <= GUEST_ADDRESSES))
        .collect();
    let start = guest_symbols.iter().map(|&(_, address, ..)| address).min();
    let end = guest_symbols.iter().map(|&(_, address, size, _)| address + size).max();
    if let (Some(start), Some(end)) = (start, end) {
        sections.push(ImageSection {
            name: ".wasm",
            kind: elf::SHT_NOBITS,
            flags: elf::SHF_ALLOC | elf::SHF_WRITE,
            address: start,
            align: 1,
            contents: Contents::Nothing(end - start),
        });
    }
    let guest_section = sections.len() as u32;

    // The writer wants local symbols first; the file has them in that order already.
    let code = artifact.text_symbols().map(|(name, offset, size, is_global)| ImageSymbol {
        name,
        section: TEXT_SECTION,
        kind: elf::STT_FUNC,
        bind: if is_global { elf::STB_GLOBAL } else { elf::STB_LOCAL },
        address: text_address.wrapping_add(u64::from(offset.0)),
        size,
    });
    let mut symbols: Vec<ImageSymbol<'_>> =
        code.chain([instance_symbol(cell_address, artifact.instance_cell_size())]).collect();
    symbols.extend(guest_symbols.into_iter().map(|(name, address, size, _)| ImageSymbol {
        name,
        section: guest_section,
        kind: elf::STT_OBJECT,
        bind: elf::STB_LOCAL,
        address,
        size,
    }));
    symbols.sort_by_key(|symbol| symbol.bind != elf::STB_LOCAL);

    ElfImage { machine: artifact.machine(), sections, symbols }
        .write()
        .map_err(|source| ArtifactError::Image { machine: artifact.machine(), source })
}

/// Addresses of the guest lie below; all others are the host's.
const GUEST_ADDRESSES: u64 = 1 << 32;

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
