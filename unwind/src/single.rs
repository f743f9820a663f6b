//! Frame tables of single functions, cut out of a module's.
#![forbid(unsafe_code)]

use crate::{Error, SectionAddresses, eh_frame_hdr_of};

/// A function's FDE and its CIE within an `.eh_frame` of this crate.
#[derive(Debug, Clone, Copy)]
pub struct FrameEntry<'a> {
    /// The address of the function's first instruction.
    pub start: u64,
    cie: &'a [u8],
    fde: &'a [u8],
}

/// The entries of an `.eh_frame` of this crate, which lies at its address in `at`, by start.
pub fn frame_entries(section: &[u8], at: SectionAddresses) -> Result<Vec<FrameEntry<'_>>, Error> {
    let mut entries = Vec::new();
    let mut offset = 0;
    loop {
        let malformed = |reason| Error::Malformed { section: ".eh_frame", offset: offset as u64, reason };
        let length = word(section, offset).ok_or(malformed("no terminator"))? as usize;
        if length == 0 {
            break;
        }
        let entry = section.get(offset..offset + 4 + length).ok_or(malformed("an entry longer than the section"))?;
        let id = word(entry, 4).ok_or(malformed("an entry without a CIE pointer"))? as usize;
        if id != 0 {
            let start = word(entry, 8).ok_or(malformed("an FDE without a start"))?.cast_signed();
            let cie = (offset + 4)
                .checked_sub(id)
                .and_then(|cie| section.get(cie..cie + 4 + word(section, cie)? as usize))
                .ok_or(malformed("an FDE without a CIE"))?;
            let start = at.eh_frame.wrapping_add(offset as u64 + 8).wrapping_add_signed(start.into());
            entries.push(FrameEntry { start, cie, fde: entry });
        }
        offset += 4 + length;
    }
    entries.sort_by_key(|entry| entry.start);
    Ok(entries)
}

impl FrameEntry<'_> {
    /// `.eh_frame` and `.eh_frame_hdr` for this function alone: its code at `text`, the table at `eh_frame`, and the search
    /// table right behind it.
    pub fn alone(&self, text: u64, eh_frame: u64) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let fde = self.cie.len();
        let mut section = [self.cie, self.fde, &[0; 4]].concat();
        let start = text.wrapping_sub(eh_frame.wrapping_add(fde as u64 + 8)).cast_signed();
        let start = i32::try_from(start).map_err(|_| Error::OutOfReach { address: text, from: eh_frame })?;
        section[fde + 4..fde + 8].copy_from_slice(&(fde as u32 + 4).to_le_bytes());
        section[fde + 8..fde + 12].copy_from_slice(&start.to_le_bytes());
        let header = eh_frame + section.len() as u64;
        let search = eh_frame_hdr_of(&section, SectionAddresses { text, eh_frame, eh_frame_hdr: header })?;
        Ok((section, search))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
