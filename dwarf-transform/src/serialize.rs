//! Third stage: section bytes and relocations.

use crate::output::{Error, Generated, Relocation, RelocationTarget, Section};
use gimli::write::{Address, EndianVec, Error as WriteError, Result as WriteResult, Sections, Writer};
use gimli::{LittleEndian, SectionId};

/// The symbol index that stands for the start of `.text` in an [`Address::Symbol`].
pub(crate) const TEXT_SYMBOL: usize = 0;
/// The symbol index that stands for the instance cell.
pub(crate) const CELL_SYMBOL: usize = 1;

/// Bytes of one section and the fields in it that need an address.
///
/// Offsets into other debug sections are final when they are written, since each section is written once.
#[derive(Debug, Clone)]
struct SectionWriter {
    bytes: EndianVec<LittleEndian>,
    relocations: Vec<Relocation>,
}

impl Writer for SectionWriter {
    type Endian = LittleEndian;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn write(&mut self, bytes: &[u8]) -> WriteResult<()> {
        self.bytes.write(bytes)
    }

    fn write_at(&mut self, offset: usize, bytes: &[u8]) -> WriteResult<()> {
        self.bytes.write_at(offset, bytes)
    }

    fn write_address(&mut self, address: Address, size: u8) -> WriteResult<()> {
        match address {
            Address::Constant(value) => self.write_udata(value, size),
            Address::Symbol { symbol, addend } => {
                let target = match symbol {
                    TEXT_SYMBOL => RelocationTarget::Text,
                    CELL_SYMBOL => RelocationTarget::InstanceCell,
                    _ => return Err(WriteError::InvalidAddress),
                };
                let offset = u32::try_from(self.len()).map_err(|_| WriteError::OffsetOutOfBounds)?;
                self.relocations.push(Relocation { offset, size, target, addend });
                self.write_udata(0, size)
            }
        }
    }
}

/// Writes the tables.
///
/// # Errors
///
/// [`Error::Write`] where a table cannot be encoded: a section of more than 4 GiB.
pub fn serialize(mut generated: Generated) -> Result<Vec<Section>, Error> {
    let mut sections = Sections::new(SectionWriter { bytes: EndianVec::new(LittleEndian), relocations: Vec::new() });
    generated.dwarf.write(&mut sections)?;
    let mut output = Vec::new();
    sections.for_each_mut(|id: SectionId, writer| -> Result<(), Error> {
        let bytes = writer.bytes.take();
        if bytes.is_empty() {
            return Ok(());
        }
        let mut relocations = std::mem::take(&mut writer.relocations);
        relocations.sort_by_key(|relocation| relocation.offset);
        output.push(Section { name: id.name(), bytes, relocations });
        Ok(())
    })?;
    Ok(output)
}

/// The address of an offset in `.text`.
pub(crate) fn text_address(offset: crate::TextOffset) -> Address {
    Address::Symbol { symbol: TEXT_SYMBOL, addend: i64::from(offset.0) }
}
