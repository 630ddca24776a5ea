//! The data dictionary: that of PS3.6, and the private elements of the configuration.

use pyo3::prelude::*;
use vna_dicom::{PrivateElement, Tag, Vr};
use vna_node::ArchiveError;

use crate::archive::level_of;
use crate::errors::BoundaryError;

/// Adds the functions to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(keyword, m)?)?;
    m.add_function(wrap_pyfunction!(module_tags, m)?)?;
    m.add_function(wrap_pyfunction!(set_private_dictionary, m)?)?;
    m.add_function(wrap_pyfunction!(tag_for_keyword, m)?)?;
    m.add_function(wrap_pyfunction!(vr_for_tag, m)?)
}

/// The keyword of a standard data element (PS3.6), or the configured name of one in a block of `creator`.
#[pyfunction]
#[pyo3(signature = (tag, /, *, creator = None))]
fn keyword(tag: u32, creator: Option<&str>) -> Option<&'static str> {
    let tag = Tag::from_u32(tag);
    match creator {
        Some(creator) => vna_dicom::private_entry(tag, creator).map(|entry| entry.keyword),
        None => vna_dicom::keyword(tag),
    }
}

/// The tags of the module that describes a level: see [`vna_dicom::module_tags`].
#[pyfunction]
#[pyo3(signature = (level, /))]
fn module_tags(level: &str) -> Result<Vec<u32>, BoundaryError> {
    let tags = vna_dicom::module_tags(level_of(level)?);
    Ok(tags.iter().map(|tag| tag.to_u32()).collect())
}

/// Makes these the private elements that this process knows by VR and name.
#[pyfunction]
#[pyo3(signature = (elements, /))]
fn set_private_dictionary(
    elements: Vec<(u32, String, String, String)>,
) -> Result<(), BoundaryError> {
    let elements = elements
        .iter()
        .map(|(tag, vr, name, creator)| PrivateElement {
            tag: Tag::from_u32(*tag),
            // What is not two letters is no VR, which is refused as such.
            vr: Vr(vr.as_bytes().try_into().unwrap_or_default()),
            name,
            creator,
        });
    let set = vna_dicom::set_private_dictionary(elements);
    Ok(set.map_err(ArchiveError::Dictionary)?)
}

/// The tag of a keyword (PS3.6).
#[pyfunction]
#[pyo3(signature = (keyword, /))]
fn tag_for_keyword(keyword: &str) -> Option<u32> {
    vna_dicom::tag_for_keyword(keyword).map(Tag::to_u32)
}

/// The VR of a standard data element (PS3.6), of several the one most used; UN if it is not known.
#[pyfunction]
#[pyo3(signature = (tag, /))]
fn vr_for_tag(tag: u32) -> String {
    vna_dicom::dictionary_vr(Tag::from_u32(tag)).to_string()
}
