//! `--dwarf`: debugging information entries and line tables.

use std::borrow::Cow;

use anyhow::{Result, bail};

use crate::Arguments;
use crate::dwarf::{dump_lines, dump_units, load};
use crate::input::Input;
use crate::native::Reader;
use crate::output::Output;

pub fn run(input: &Input<'_>, arguments: &Arguments, out: &mut Output<'_>) -> Result<()> {
    match input {
        Input::Wasm(module) => {
            let dwarf = load(gimli::RunTimeEndian::Little, |name| module.custom_data(name));
            show(&dwarf, &|register| Cow::Owned(format!("r{}", register.0)), arguments, out)
        }
        Input::Native(native) => show(&native.dwarf(), &|register| native.register_name(register), arguments, out),
    }
}

fn show(
    dwarf: &gimli::Dwarf<Reader<'_>>,
    names: crate::dwarf::RegisterNames<'_>,
    arguments: &Arguments,
    out: &mut Output<'_>,
) -> Result<()> {
    use gimli::Section as _;
    if dwarf.debug_info.reader().is_empty() && dwarf.debug_types.reader().is_empty() {
        bail!("the file has no DWARF (.debug_info)");
    }
    if arguments.wants_section(".debug_info") {
        out.begin_view("dwarf", "Debugging information entries")?;
        dump_units(dwarf, names, out)?;
        out.end_view()?;
    }
    if arguments.wants_section(".debug_line") {
        out.begin_view("lines", "Line tables")?;
        dump_lines(dwarf, out)?;
        out.end_view()?;
    }
    Ok(())
}
