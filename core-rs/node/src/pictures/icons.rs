//! Pictures of what is no image.

use serde::Deserialize;

use super::problem::PictureProblem;
use super::request::PictureForm;
use crate::error::ArchiveError;

/// Which icon is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IconRequest {
    /// What is on it.
    pub word: String,
    /// Columns and rows.
    pub side: u32,
    /// The file format.
    pub form: PictureForm,
    /// Of a JPEG file, 1 to 100.
    pub quality: u8,
}

/// The file of an icon, see [`vna_image::icon`].
///
/// # Errors
///
/// [`ArchiveError::Picture`] if the word is too long.
pub fn icon(request: &IconRequest) -> Result<Vec<u8>, ArchiveError> {
    let make = || {
        let picture = vna_image::icon(&request.word, request.side)?;
        match request.form {
            PictureForm::Png => picture.to_png(None),
            PictureForm::Jpeg => picture.to_jpeg(request.quality, None),
            PictureForm::Jp2 => picture.to_jp2(None),
            PictureForm::Gif => picture.to_gif(),
            PictureForm::Pam => Ok(picture.to_pam()),
        }
    };
    Ok(make().map_err(PictureProblem::from)?)
}
