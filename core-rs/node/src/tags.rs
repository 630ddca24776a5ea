//! The tags of a stored instance as JSON.

use vna_dicom::{TagsOptions, tags_json};
use vna_index::Located;
use vna_store::BlobReader;

use crate::error::ArchiveError;

/// The longest header of a data element, in bytes (PS3.5 §7.1.2).
const ELEMENT_HEADER_BYTES: u64 = 12;

/// The tags of a stored file. Reads no further than the pixel data, unless all is asked for.
///
/// # Errors
///
/// What the store says, or the scanner of what is stored.
pub fn stored_tags_json(
    located: &Located,
    reader: &BlobReader,
    options: &TagsOptions<'_>,
) -> Result<Vec<u8>, ArchiveError> {
    let head = located
        .pixel_data_offset
        .filter(|_| !options.whole)
        .map_or(located.file_size, |offset| offset + ELEMENT_HEADER_BYTES);
    let length = usize::try_from(head.min(located.file_size)).unwrap_or(usize::MAX);
    let mut file = vec![0; length];
    let read = reader.read_at(&mut file, 0)?;
    file.truncate(read);
    Ok(tags_json(&file, options)?)
}
