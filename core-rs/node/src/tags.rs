//! The tags of a stored instance as JSON.

use vna_dicom::{TagsOptions, TagsStream};
use vna_index::Located;
use vna_store::{BlobReader, StoreError};

use crate::error::ArchiveError;

/// The longest header of a data element, in bytes (PS3.5 §7.1.2).
const ELEMENT_HEADER_BYTES: u64 = 12;

/// Bytes that are read at once: few heads are longer, and stepping over a value costs no more than this.
const READ_BYTES: u64 = 64 << 10;

/// The tags of a stored file. Reads no further than the pixel data, unless all is asked for, and steps over long values;
/// memory does not grow with the file, but with the elements and short values of it.
///
/// # Errors
///
/// What the store says, or the scanner of what is stored; `budget.tags` if there is more to give than
/// [`vna_dicom::MAX_TAGS_BYTES`].
pub fn stored_tags_json(
    located: &Located,
    reader: &BlobReader,
    options: &TagsOptions<'_>,
) -> Result<Vec<u8>, ArchiveError> {
    let read = |buffer: &mut [u8], at| reader.read_at(buffer, at).map(Some);
    // Nothing but a read that does not wait is given up.
    Ok(read_tags(located, options, read)?.unwrap_or_default())
}

/// The same if it need not wait for the disk; `None` if it would have to.
///
/// # Errors
///
/// As [`stored_tags_json`].
pub fn cached_tags_json(
    located: &Located,
    reader: &BlobReader,
    options: &TagsOptions<'_>,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    read_tags(located, options, |buffer, at| {
        reader.read_cached_at(buffer, at)
    })
}

fn read_tags(
    located: &Located,
    options: &TagsOptions<'_>,
    mut read: impl FnMut(&mut [u8], u64) -> Result<Option<usize>, StoreError>,
) -> Result<Option<Vec<u8>>, ArchiveError> {
    let end = located.file_size;
    let head = located
        .pixel_data_offset
        .filter(|_| !options.whole)
        .map_or(end, |offset| end.min(offset + ELEMENT_HEADER_BYTES));
    let mut buffer = vec![0; usize::try_from(head.min(READ_BYTES)).unwrap_or(usize::MAX)];
    let mut stream = TagsStream::new(options);
    let mut at = 0;
    while at < end && !stream.is_done() {
        let Some(read) = read(&mut buffer, at)? else {
            return Ok(None);
        };
        if read == 0 {
            break;
        }
        stream.push(&buffer[..read])?;
        at = stream.skip(end);
    }
    Ok(Some(stream.finish()?))
}
