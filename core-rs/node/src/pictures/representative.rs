//! The instance that stands for a resource above it.

use std::sync::Arc;

use vna_codec::{Compression, pixel_syntax};
use vna_dicom::{Level, PublicId, TransferSyntax, tags};
use vna_index::Query;

use super::problem::PictureProblem;
use super::slices::ordered_slices;
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::stored_image::StoredImage;

/// Modalities of series that are no images of the patient but say something of those (PS3.3 §C.7.3.1.1.1): the last to
/// stand for a study.
const ABOUT_IMAGES: [&str; 16] = [
    "SR", "PR", "KO", "DOC", "SEG", "RTSTRUCT", "RTPLAN", "RTRECORD", "RTDOSE", "REG", "FID",
    "RWV", "PLAN", "ANN", "AU", "ECG",
];

/// Instances of a series that are looked at for one with pixel data.
const MAX_TRIED: usize = 50;

/// Series of a study, and studies of a patient, that are looked at.
const MAX_SERIES: u64 = 200;

/// The instance whose picture stands for a resource: of a series the middle one of its order that is an image, of a study
/// that of its first series of images, of a patient that of his first study with images.
///
/// # Errors
///
/// [`ArchiveError::NotFound`] if there is no such resource, [`PictureProblem::NoImage`] if it has no images.
pub fn representative(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<PublicId, ArchiveError> {
    match level {
        Level::Instance => Ok(*id),
        Level::Series => of_series(archive, tenant, id)?.ok_or_else(none_here),
        Level::Patient | Level::Study => {
            for series in series_below(archive, tenant, level, id)? {
                match of_series(archive, tenant, &series) {
                    Ok(Some(instance)) => return Ok(instance),
                    Ok(None) | Err(ArchiveError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(none_here())
        }
    }
}

fn none_here() -> ArchiveError {
    PictureProblem::NoImage {
        what: "a resource in which nothing is an image",
        instead: "its instances tell what they are",
    }
    .into()
}

fn of_series(
    archive: &Archive,
    tenant: i64,
    series: &PublicId,
) -> Result<Option<PublicId>, ArchiveError> {
    let slices = ordered_slices(archive, tenant, series)?.slices;
    // The middle first, then outwards from it.
    let middle = slices.len() / 2;
    let (before, behind) = slices.split_at(middle);
    let mut before = before.iter().rev();
    let mut behind = behind.iter();
    let outwards = std::iter::from_fn(|| behind.next().or_else(|| before.next()));
    for slice in outwards.take(MAX_TRIED) {
        if is_image(archive, tenant, &slice.instance)? {
            return Ok(Some(slice.instance));
        }
    }
    Ok(None)
}

fn is_image(archive: &Archive, tenant: i64, instance: &PublicId) -> Result<bool, ArchiveError> {
    let Some(located) = archive.index().locate(tenant, instance)? else {
        return Ok(false);
    };
    let syntax = pixel_syntax(&located.transfer_syntax_uid);
    let has_frames = syntax.is_some_and(|syntax| syntax.compression != Compression::Video);
    if !has_frames || !TransferSyntax::from_uid(&located.transfer_syntax_uid).deflated {
        return Ok(has_frames && located.pixel_data_offset.is_some());
    }
    // What is deflated has its pixel data at no place that the index could know.
    let opened = archive.open_file(tenant, instance)?;
    Ok(opened.is_some_and(|(_, file)| StoredImage::open(Arc::new(file)).is_ok()))
}

/// The series below a resource: images before what is about images, then by their numbers.
fn series_below(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
) -> Result<Vec<PublicId>, ArchiveError> {
    let index = archive.index();
    let mut query = Query::all(tenant, Level::Series).page(0, MAX_SERIES);
    query.parents = vec![(level, *id)];
    let answer = index.query(&query)?;
    if answer.matches.is_empty() {
        return Err(ArchiveError::NotFound {
            level,
            public_id: *id,
        });
    }
    let mut found: Vec<_> = answer
        .matches
        .iter()
        .filter_map(|series| {
            let value = |tag| {
                let found = series.tags.iter().find(|(known, _)| *known == tag);
                found.map(|(_, value)| value.trim())
            };
            let modality = value(tags::MODALITY).unwrap_or_default();
            let number = value(tags::SERIES_NUMBER).and_then(|text| text.parse::<i64>().ok());
            let public_id = *series.ids.last()?;
            let is_last = ABOUT_IMAGES.contains(&modality);
            Some((is_last, number.unwrap_or(i64::MAX), public_id))
        })
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, _, series)| series).collect())
}
