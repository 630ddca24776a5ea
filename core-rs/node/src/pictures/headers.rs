//! Headers of images whose pictures were asked for last, a bounded number of bytes of them: whoever goes through the
//! frames of an image has its header read once.
//!
//! What a blob gives never changes in one form, so what is kept of it is true as long as it is kept.

use std::sync::Arc;

use vna_dicom::FrameTable;
use vna_image::ImageDescription;
use vna_store::{BlobKey, BlobRef, Encoding};

use crate::kept::Kept;
use crate::stored_image::ImageHeader;

/// A header takes about so much more memory than bytes of the file: each element is on its own.
const PARSED_FACTOR: u64 = 6;

/// What a header takes at least, and a frame or fragment of a table.
const LEAST_BYTES: u64 = 2 << 10;
const PLACE_BYTES: u64 = 32;

/// What is known of an image without reading it.
#[derive(Clone)]
pub(super) struct Known {
    pub header: Arc<ImageHeader>,
    pub description: Arc<ImageDescription>,
}

/// See the module.
pub(super) type Headers = Kept<FormOfBlob, Known>;

/// What never changes.
pub(crate) type FormOfBlob = (BlobKey, Encoding);

pub(crate) fn form_of(blob: &BlobRef) -> FormOfBlob {
    (blob.key, blob.encoding)
}

/// Bytes that a header takes, roughly and rather too many.
pub(crate) fn cost(header: &ImageHeader) -> u64 {
    let places = match &header.frames {
        FrameTable::Native { .. } => 0,
        FrameTable::Encapsulated { fragments, .. } => header.frames.len() + fragments.len(),
    };
    let parsed = header.pixel_data.value_offset.saturating_mul(PARSED_FACTOR);
    parsed.saturating_add(LEAST_BYTES + PLACE_BYTES * places as u64)
}
