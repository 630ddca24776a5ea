//! Names of levels as requests spell them.

use vna_dicom::Level;

/// The level of that name.
pub fn level_named(name: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| level.as_str() == name || level.plural() == name)
}
