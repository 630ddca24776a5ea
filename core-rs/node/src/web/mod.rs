//! DICOMweb (PS3.18): what moves bytes.

mod query;

pub use query::{SearchAnswer, SearchOptions, SearchTarget, WebSearch, search};
