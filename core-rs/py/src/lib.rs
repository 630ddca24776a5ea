//! `vna._core`: converts types, detaches, maps errors.

mod archive;
mod archives;
mod cfind;
mod codec;
mod completions;
mod data_set;
mod dicom;
mod dictionary;
mod dimse;
mod dump;
mod edit;
mod errors;
mod find;
mod forms;
mod http;
mod index_tags;
mod keep;
mod labels;
mod leaving;
mod log;
mod model;
mod notes;
mod peer;
mod pictures;
mod rewrite;
mod sending;
mod source_image;
mod transcode;
mod upkeep;
mod upload;
mod verify;
mod web;
mod web_retrieve;

use pyo3::prelude::*;

/// The core of the archive. `vna/_core.pyi` describes it.
#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("DEBUG", cfg!(debug_assertions))?;
    m.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    dicom::register(m)?;
    dictionary::register(m)?;
    dump::register(m)?;
    model::register(m)?;
    notes::register(m)?;
    data_set::register(m)?;
    edit::register(m)?;
    transcode::register(m)?;
    codec::register(m)?;
    archive::register(m)?;
    archives::register(m)?;
    http::register(m)?;
    dimse::register(m)?;
    index_tags::register(m)?;
    upkeep::register(m)?;
    peer::register(m)?;
    pictures::register(m)?;
    rewrite::register(m)?;
    sending::register(m)?;
    source_image::register(m)?;
    upload::register(m)?;
    web_retrieve::register(m)
}
