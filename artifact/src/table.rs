//! Tables of fixed-width little-endian rows that are read where they lie.

use std::marker::PhantomData;

/// A row of a [`Table`].
pub trait Row: Copy {
    /// Its size in bytes.
    const SIZE: usize;

    /// Reads it from `bytes`, which is [`SIZE`](Self::SIZE) long.
    fn decode(bytes: &[u8]) -> Self;
}

/// A table of rows in the bytes of a file.
///
/// Rows are decoded when they are asked for; nothing is allocated, so that lookups can be made in a signal handler.
pub struct Table<'a, R> {
    bytes: &'a [u8],
    row: PhantomData<fn() -> R>,
}

impl<R> Clone for Table<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Table<'_, R> {}

impl<R: Row + std::fmt::Debug> std::fmt::Debug for Table<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, R: Row> Table<'a, R> {
    /// A table over `bytes`; a rest shorter than a row is not part of it.
    pub fn new(bytes: &'a [u8]) -> Self {
        let len = bytes.len() / R::SIZE * R::SIZE;
        Table { bytes: &bytes[..len], row: PhantomData }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.bytes.len() / R::SIZE
    }

    /// Has it no rows?
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The row with this number.
    pub fn get(&self, index: usize) -> Option<R> {
        let start = index.checked_mul(R::SIZE)?;
        self.bytes.get(start..start.checked_add(R::SIZE)?).map(R::decode)
    }

    /// All rows in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = R> + ExactSizeIterator + use<'a, R> {
        self.bytes.chunks_exact(R::SIZE).map(R::decode)
    }

    /// The rows `start..start + len`, cut to those that exist.
    pub fn slice(&self, start: usize, len: usize) -> Table<'a, R> {
        let start = start.min(self.len());
        let end = start.saturating_add(len).min(self.len());
        Table { bytes: &self.bytes[start * R::SIZE..end * R::SIZE], row: PhantomData }
    }

    /// How many rows at the beginning satisfy `before`, which must hold for a prefix of the table.
    pub fn partition_point(&self, mut before: impl FnMut(R) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(row) if before(row) => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

impl Row for u32 {
    const SIZE: usize = 4;

    fn decode(bytes: &[u8]) -> u32 {
        u32_at(bytes, 0)
    }
}

/// The little-endian word at `offset`, or zero beyond the end: rows are always as long as their fields.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    match bytes.get(offset..offset + 4) {
        Some(word) => u32::from_le_bytes([word[0], word[1], word[2], word[3]]),
        None => 0,
    }
}
