//! Names of levels as requests spell them.

use vna_dicom::Level;

/// The level of that name, as singular or plural, in any case.
pub fn level_named(name: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| {
        level.as_str().eq_ignore_ascii_case(name) || level.plural().eq_ignore_ascii_case(name)
    })
}
