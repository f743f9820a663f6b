//! Pseudo-random bytes and mutations that are the same everywhere.

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// That many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number() as u8).collect()
    }
}

/// Changes a few bytes, cuts, or repeats a part.
pub fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    const TELLING: [u8; 10] = [0, 1, 0x0b, 0x40, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff];
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if out.is_empty() {
            return out;
        }
        let at = random.below(out.len());
        match random.below(8) {
            0 => out.truncate(at),
            1 => {
                out.remove(at);
            }
            2 => out.insert(at, random.number() as u8),
            3 => {
                let end = (at + random.below(16)).min(out.len());
                let part = out[at..end].to_vec();
                let to = random.below(out.len());
                out.splice(to..to, part);
            }
            4 => out[at] = TELLING[random.below(TELLING.len())],
            5 => out[at] = out[at].wrapping_add(1),
            6 => out[at] ^= 1 << random.below(8),
            _ => out[at] = random.number() as u8,
        }
    }
    out
}
