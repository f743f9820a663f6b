//! Moves written tables to other addresses.
#![forbid(unsafe_code)]

use crate::{Error, SectionAddresses};

/// Changes an `.eh_frame` of this crate, written for `from`, so that it is right at `to`.
///
/// Nothing needs to change while text and table keep their distance, and then nothing is read. Else
/// each FDE's start is moved, in one pass over the section. For little-endian targets.
pub fn rebase_eh_frame(section: &mut [u8], from: SectionAddresses, to: SectionAddresses) -> Result<(), Error> {
    let distance = |at: SectionAddresses| at.text.wrapping_sub(at.eh_frame);
    let delta = distance(to).wrapping_sub(distance(from)).cast_signed();
    if delta == 0 {
        return Ok(());
    }
    let malformed = |offset: usize, reason| Error::Malformed { section: ".eh_frame", offset: offset as u64, reason };
    let mut at = 0;
    loop {
        let word = |at: usize| {
            let bytes = section.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let length = word(at).ok_or_else(|| malformed(at, "no terminator"))?;
        if length == 0 {
            return Ok(());
        }
        let body = at + 4;
        let end = body + length as usize;
        if length >= 0xffff_fff0 || end > section.len() {
            return Err(malformed(at, "an entry that is longer than the section"));
        }
        let id = word(body).ok_or_else(|| malformed(body, "an entry without a CIE pointer"))?;
        if id == 0 {
            // The one encoding this crate writes; another would be moved wrongly.
            if !section[body + 4..end].starts_with(b"\x01zR\0") {
                return Err(malformed(body + 4, "a CIE of another kind"));
            }
        } else {
            let field = body + 4;
            if field + 4 > end {
                return Err(malformed(field, "an FDE without a start"));
            }
            let old = word(field).unwrap_or_default().cast_signed();
            let new = i32::try_from(i64::from(old).wrapping_add(delta))
                .map_err(|_| Error::OutOfReach { address: to.text, from: to.eh_frame })?;
            section[field..field + 4].copy_from_slice(&new.to_le_bytes());
        }
        at = end;
    }
}

/// The `.eh_frame_hdr` for an `.eh_frame` of this crate at its address in `at`.
///
/// For a loader that has the section and not the [`FrameTable`](crate::FrameTable).
pub fn eh_frame_hdr_of(section: &[u8], at: SectionAddresses) -> Result<Vec<u8>, Error> {
    let mut starts: Vec<(i32, i32)> = Vec::new();
    let reach = |address: u64, from: u64| {
        i32::try_from(address.wrapping_sub(from).cast_signed()).map_err(|_| Error::OutOfReach { address, from })
    };
    let mut offset = 0usize;
    loop {
        let word = |at: usize| {
            let bytes = section.get(at..at.checked_add(4)?)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let malformed = |reason| Error::Malformed { section: ".eh_frame", offset: offset as u64, reason };
        let length = word(offset).ok_or(malformed("no terminator"))? as usize;
        if length == 0 {
            break;
        }
        let end = offset + 4 + length;
        if end > section.len() || length < 4 {
            return Err(malformed("an entry that does not fit in the section"));
        }
        if word(offset + 4) != Some(0) {
            let relative =
                word(offset + 8).filter(|_| length >= 8).ok_or(malformed("an FDE without a start"))?.cast_signed();
            let address = at.eh_frame.wrapping_add(offset as u64 + 8).wrapping_add_signed(relative.into());
            let fde = at.eh_frame.wrapping_add(offset as u64);
            starts.push((reach(address, at.eh_frame_hdr)?, reach(fde, at.eh_frame_hdr)?));
        }
        offset = end;
    }
    starts.sort_unstable();
    let mut header = Vec::with_capacity(12 + 8 * starts.len());
    header.extend([1, 0x1b, 0x03, 0x3b]);
    header.extend(reach(at.eh_frame, at.eh_frame_hdr.wrapping_add(4))?.to_le_bytes());
    header.extend((starts.len() as u32).to_le_bytes());
    for (start, fde) in starts {
        header.extend(start.to_le_bytes());
        header.extend(fde.to_le_bytes());
    }
    Ok(header)
}
