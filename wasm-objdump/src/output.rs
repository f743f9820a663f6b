//! Text or JSON from the same rows.

use std::io::{self, Write};

use serde::Serialize;

/// Where views go.
///
/// A view is a list of rows. Each row is given once, as a value for JSON and as a closure that prints it for people.
/// JSON is one object a file: `{"file": ..., "format": ..., "<view>": [rows]}`.
pub struct Output<'w> {
    writer: &'w mut dyn Write,
    json: bool,
    /// Colours for text.
    pub palette: Palette,
    is_first_row: bool,
    is_first_view: bool,
}

impl<'w> Output<'w> {
    pub fn new(writer: &'w mut dyn Write, json: bool, colour: bool) -> Self {
        let palette = if colour && !json { Palette::COLOUR } else { Palette::PLAIN };
        Output { writer, json, palette, is_first_row: true, is_first_view: true }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The writer itself, for views that are text only and large.
    pub fn text(&mut self) -> &mut dyn Write {
        self.writer
    }

    pub fn begin_file(&mut self, name: &str, format: &str) -> io::Result<()> {
        self.is_first_view = true;
        if self.json {
            write!(self.writer, "{{\"file\": ")?;
            serde_json::to_writer(&mut *self.writer, name)?;
            write!(self.writer, ", \"format\": ")?;
            Ok(serde_json::to_writer(&mut *self.writer, format)?)
        } else {
            let Palette { title, reset, .. } = self.palette;
            writeln!(self.writer, "\n{title}{name}:\tfile format {format}{reset}")
        }
    }

    pub fn end_file(&mut self) -> io::Result<()> {
        if self.json { writeln!(self.writer, "}}") } else { Ok(()) }
    }

    pub fn begin_view(&mut self, key: &str, title: &str) -> io::Result<()> {
        self.is_first_row = true;
        if self.json {
            write!(self.writer, ",\n {key:?}: [")
        } else {
            let Palette { title: colour, reset, .. } = self.palette;
            writeln!(self.writer, "\n{colour}{title}:{reset}\n")
        }
    }

    pub fn end_view(&mut self) -> io::Result<()> {
        if self.json { write!(self.writer, "]") } else { Ok(()) }
    }

    /// One row: `value` for JSON, `print` for text.
    pub fn row<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        print: impl FnOnce(&mut dyn Write, Palette) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.json {
            return print(self.writer, self.palette);
        }
        self.writer.write_all(if self.is_first_row { b"\n  " } else { b",\n  " })?;
        self.is_first_row = false;
        Ok(serde_json::to_writer(&mut *self.writer, value)?)
    }

    /// A line that is for people only.
    pub fn note(&mut self, line: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(self.writer, "{line}") }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Escape sequences, or empty strings.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    pub title: &'static str,
    pub address: &'static str,
    pub name: &'static str,
    pub source: &'static str,
    pub wasm: &'static str,
    pub frame: &'static str,
    pub variable: &'static str,
    pub error: &'static str,
    pub reset: &'static str,
}

impl Palette {
    const PLAIN: Palette = Palette {
        title: "",
        address: "",
        name: "",
        source: "",
        wasm: "",
        frame: "",
        variable: "",
        error: "",
        reset: "",
    };
    const COLOUR: Palette = Palette {
        title: "\x1b[1m",
        address: "\x1b[2m",
        name: "\x1b[33m",
        source: "\x1b[32m",
        wasm: "\x1b[36m",
        frame: "\x1b[35m",
        variable: "\x1b[34m",
        error: "\x1b[31m",
        reset: "\x1b[0m",
    };
}

/// Two lower-case digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        push_hex_byte(&mut text, *byte);
    }
    text
}

fn push_hex_byte(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push(DIGITS[usize::from(byte >> 4)].into());
    text.push(DIGITS[usize::from(byte & 15)].into());
}

/// Rows of sixteen bytes: offset, pairs of bytes, characters.
pub fn hex_dump(out: &mut dyn Write, bytes: &[u8], start: u64, indent: &str) -> io::Result<()> {
    let mut line = String::new();
    for (index, row) in bytes.chunks(16).enumerate() {
        line.clear();
        for position in 0..16 {
            match row.get(position) {
                Some(&byte) => push_hex_byte(&mut line, byte),
                None => line.push_str("  "),
            }
            if position % 2 == 1 {
                line.push(' ');
            }
        }
        line.push(' ');
        line.extend(row.iter().map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '.' }));
        writeln!(out, "{indent}{:07x}: {line}", start + index as u64 * 16)?;
    }
    Ok(())
}
