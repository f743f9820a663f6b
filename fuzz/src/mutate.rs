//! Pseudo-random bytes and mutations that are the same everywhere.

use wasmscope::debug_files::DebugFiles;

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

/// Changes a few places of a source text: lines, words that mean something, bytes.
pub fn mutate_text(text: &[u8], random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 44] = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ";",
        ",",
        "\"",
        "'",
        "/*",
        "*/",
        "//",
        "\\\n",
        "\n",
        "\r\n",
        "\t",
        "é",
        "&&",
        "||",
        "!",
        "=",
        "++",
        "=>",
        "->",
        "?",
        ":",
        "<",
        "r#\"",
        "#define X {\n",
        "#if 0\n",
        "#endif\n",
        "if (x) ",
        "else ",
        "for (;;) ",
        "while (x) ",
        "do ",
        "switch (x) {",
        "case 1: ",
        "goto x; ",
        "return; ",
        "if let ",
        "match x {",
        "let mut ",
    ];
    let mut out = text.to_vec();
    for _ in 0..=random.below(6) {
        let lines: Vec<usize> =
            std::iter::once(0).chain((0..out.len()).filter(|&at| out[at] == b'\n').map(|at| at + 1)).collect();
        let line = |number: usize| lines[number]..lines.get(number + 1).copied().unwrap_or(out.len());
        let (one, other) = (line(random.below(lines.len())), line(random.below(lines.len())));
        match random.below(8) {
            0 => drop(out.drain(one)),
            1 => {
                let copied = out[one].to_vec();
                out.splice(other.start..other.start, copied);
            }
            2 => {
                let copied = out[one].to_vec();
                out.splice(other, copied);
            }
            3..=6 => {
                let at = random.below(out.len() + 1);
                let end = if random.below(2) == 0 { at } else { (at + random.below(4)).min(out.len()) };
                out.splice(at..end, WORDS[random.below(WORDS.len())].bytes());
            }
            _ => out = mutate(&out, random),
        }
    }
    out
}

/// Changes the sources of a program, or now and then its bytes from `debug_info` on instead, where its debug info lies.
pub fn mutate_program(wasm: &[u8], files: &DebugFiles, random: &mut Random) -> (Vec<u8>, DebugFiles) {
    let (mut wasm, mut files) = (wasm.to_vec(), files.clone());
    if random.below(4) == 0 {
        let name = b".debug_info";
        let begin = wasm.windows(name.len()).position(|window| window == name).unwrap_or(0);
        let changed = mutate(&wasm[begin..], random);
        wasm.splice(begin.., changed);
    }
    if random.below(4) != 0 && !files.sources.is_empty() {
        let source = random.below(files.sources.len());
        files.sources[source].text = mutate_text(&files.sources[source].text, random);
    }
    (wasm, files)
}
