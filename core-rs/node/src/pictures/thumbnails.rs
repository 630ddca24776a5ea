//! Small pictures that stand for resources, kept on the disk once made.

use std::sync::Arc;

use serde::Deserialize;
use vna_dicom::Tag;
use vna_store::{BlobKey, Digest};

use super::cache::ThumbnailKey;
use super::render::{Frame, PictureSource};
use super::request::{PictureForm, PictureRequest};
use super::{Pictures, blocking};
use crate::error::ArchiveError;
use crate::reencode::StoredBlob;

/// Changes when pictures come out otherwise than before, so that those that are kept are not given any more.
const VERSION: &str = "1";

/// Good enough for a small picture.
const QUALITY: u8 = 85;

/// Representative Frame Number (0028,6010).
const REPRESENTATIVE_FRAME_NUMBER: Tag = Tag(0x0028, 0x6010);

/// Which thumbnail of an instance is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThumbnailRequest {
    /// Most columns and rows.
    pub size: u32,
    /// PNG or JPEG.
    pub form: PictureForm,
}

impl Pictures {
    /// A small picture of an instance: of its representative frame, or the one in the middle.
    ///
    /// # Errors
    ///
    /// As [`Pictures::picture`].
    pub async fn thumbnail(
        self: &Arc<Self>,
        source: PictureSource,
        request: ThumbnailRequest,
    ) -> Result<Vec<u8>, ArchiveError> {
        let key = ThumbnailKey {
            blob: BlobKey(source.located.blob.key),
            made: Digest::of_parts(&[
                VERSION.as_bytes(),
                &source.located.blob.digest,
                &request.size.to_be_bytes(),
                format!("{:?}", request.form).as_bytes(),
            ]),
        };
        let pictures = Arc::clone(self);
        if let Some(kept) = blocking(move || Ok(pictures.thumbnails.get(&key))).await? {
            return Ok(kept);
        }
        let file = self.picture_of(move || thumbnail_frame(&source, request));
        let bytes = Arc::new(file.await?.into_bytes());
        let (pictures, kept) = (Arc::clone(self), Arc::clone(&bytes));
        blocking(move || {
            pictures.thumbnails.put(&key, &kept);
            Ok(())
        })
        .await?;
        Ok(Arc::unwrap_or_clone(bytes))
    }
}

fn thumbnail_frame(
    source: &PictureSource,
    request: ThumbnailRequest,
) -> Result<Frame<StoredBlob>, ArchiveError> {
    let mut frame = Frame::open(source, PictureRequest::default())?;
    let opened = frame.opened();
    let frames = opened.frames();
    let named = opened.image.data_set.get(REPRESENTATIVE_FRAME_NUMBER);
    let named = named.and_then(number).filter(|n| (1..=frames).contains(n));
    let chosen = named.map_or(frames / 2, |number| number - 1);
    let format = &opened.image.format;
    // Small images stay as they are.
    let size = request.size.min(format.columns.max(format.rows));
    frame.change(PictureRequest {
        frame: chosen,
        own_values: true,
        width: size,
        height: size,
        form: request.form,
        quality: QUALITY,
        ..PictureRequest::default()
    })?;
    Ok(frame)
}

fn number(element: &vna_dicom::DataElement) -> Option<u64> {
    match &element.value {
        vna_dicom::Value::Bytes(bytes) => {
            let bytes = bytes.first_chunk::<2>()?;
            Some(u16::from_le_bytes(*bytes).into())
        }
        _ => None,
    }
}
