//! A set of small numbers.

use std::ops::Range;

/// A set of numbers below a size that it is made for. Up to 64 members it needs no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    first: u64,
    rest: Vec<u64>,
}

impl Bits {
    pub(super) fn new(size: usize) -> Bits {
        Bits { first: 0, rest: vec![0; size.div_ceil(64).saturating_sub(1)] }
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        self.word(at / 64) >> (at % 64) & 1 != 0
    }

    pub(super) fn add(&mut self, at: usize) {
        *self.word_mut(at / 64) |= 1 << (at % 64);
    }

    pub(super) fn remove(&mut self, at: usize) {
        *self.word_mut(at / 64) &= !(1 << (at % 64));
    }

    /// Whether that removes anything.
    pub(super) fn clear(&mut self) -> bool {
        let removed = std::mem::take(&mut self.first);
        self.rest.iter_mut().fold(removed, |removed, word| removed | std::mem::take(word)) != 0
    }

    pub(super) fn remove_all(&mut self, other: &Bits) {
        self.first &= !other.first;
        self.rest.iter_mut().zip(&other.rest).for_each(|(word, other)| *word &= !other);
    }

    pub(super) fn retain_all(&mut self, other: &Bits) {
        self.first &= other.first;
        self.rest.iter_mut().zip(&other.rest).for_each(|(word, other)| *word &= other);
    }

    /// Whether that adds anything.
    pub(super) fn add_all(&mut self, other: &Bits) -> bool {
        let mut added = other.first & !self.first;
        self.first |= other.first;
        for (word, other) in self.rest.iter_mut().zip(&other.rest) {
            added |= *other & !*word;
            *word |= other;
        }
        added != 0
    }

    /// Puts `own`, which lies in `range`, in the place of all members that do: whether that changes anything.
    pub(super) fn replace_range(&mut self, range: Range<usize>, own: usize) -> bool {
        let mut changed = 0;
        for (at, mask) in words(range) {
            let word = self.word_mut(at);
            let new = *word & !mask | if at == own / 64 { 1 << (own % 64) } else { 0 };
            changed |= *word ^ new;
            *word = new;
        }
        changed != 0
    }

    /// The members from 64 times `at` on, as bits.
    pub(super) fn word(&self, at: usize) -> u64 {
        at.checked_sub(1).map_or(self.first, |at| self.rest[at])
    }

    fn word_mut(&mut self, at: usize) -> &mut u64 {
        match at.checked_sub(1) {
            None => &mut self.first,
            Some(at) => &mut self.rest[at],
        }
    }
}

/// The words that a range touches, each with the bits that lie in it.
pub(super) fn words(range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    (range.start / 64..range.end.div_ceil(64)).map(move |at| {
        let below = |end: usize| if end >= 64 { u64::MAX } else { (1 << end) - 1 };
        (at, below(range.end - at * 64) & !below(range.start.saturating_sub(at * 64)))
    })
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is what is tried")]
mod tests {
    use super::*;

    #[test]
    fn one_member_takes_the_place_of_a_range_across_words() {
        let size = 200;
        for range in [0..1, 3..64, 63..65, 64..128, 10..200, 127..129] {
            let mut bits = Bits::new(size);
            (0..size).for_each(|at| bits.add(at));
            let own = range.end - 1;
            assert_eq!(bits.replace_range(range.clone(), own), range.len() > 1, "{range:?}");
            for at in 0..size {
                assert_eq!(bits.contains(at), !range.contains(&at) || at == own, "{at} of {range:?}");
            }
            assert!(!bits.replace_range(range.clone(), own), "{range:?} again");
            let masks = words(range.clone()).map(|(at, mask)| (bits.word(at) & mask).count_ones()).sum::<u32>();
            assert_eq!(masks, 1, "{range:?}");
        }
    }
}
