//! The compiled artifact: one ELF file with code, unwind tables, DWARF and the engine's own sections.
