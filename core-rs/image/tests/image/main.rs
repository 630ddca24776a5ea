//! Pictures, rule by rule, and against what a slow oracle in the test makes of the same header.

mod common;
mod formats;
mod grayscale;
mod headers;
mod hostile;
mod overlays;
mod palettes;
mod presentation;
mod sizes;
