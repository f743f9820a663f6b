//! `--wat`: the text format.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::Arguments;
use crate::input::Input;
use crate::output::Output;

#[derive(Serialize)]
struct Text {
    text: String,
}

pub fn run(input: &Input<'_>, _: &Arguments, out: &mut Output<'_>) -> Result<()> {
    let bytes = match input {
        Input::Wasm(module) => module.bytes,
        Input::Native(native) => match &native.artifact {
            Some(artifact) => artifact.module(),
            None => bail!("an ELF file without a wasm module has no text format"),
        },
    };
    out.begin_view("wat", "Text format")?;
    if out.is_json() {
        let text = wasmprinter::print_bytes(bytes).context("the module cannot be printed")?;
        out.row(&Text { text }, |_, _| Ok(()))?;
    } else {
        // The printer wants a sized writer.
        let mut text: Box<dyn Write + '_> = Box::new(out.text());
        let mut printed = wasmprinter::PrintIoWrite(&mut text);
        wasmprinter::Config::new().print(bytes, &mut printed).context("the module cannot be printed")?;
    }
    out.end_view()?;
    Ok(())
}
