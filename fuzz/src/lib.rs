//! What the fuzz targets check, and how bytes become modules.

pub mod checks;
pub mod generate;
pub mod mutate;
