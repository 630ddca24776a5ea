//! What of a file can become codestreams.

use vna_codec::Photometric;
use vna_dicom::{DicomFile, Encoding, Instance, TransferSyntax, is_uncompressed};
use vna_image::frame_format;

use super::samples::Layout;
use crate::error::ArchiveError;
use crate::replay::read_head_of;
use crate::stored_file::StoredFile;

/// Heads longer than this are not looked into: pixel data is not what makes such a file long.
const MAX_HEAD_BYTES: u64 = 64 << 20;

/// What there is to recompress.
pub enum Source {
    /// Frames of native pixel data; the rest is kept as it is.
    Frames {
        /// Where the first begins.
        offset: u64,
        count: u64,
        layout: Layout,
    },
    /// Nothing that a codec of images takes.
    Other,
    /// It is compressed.
    Compressed,
}

impl Source {
    /// Looks at a stored file.
    ///
    /// # Errors
    ///
    /// What the store says. A file whose pixel data is not described as the standard asks is [`Source::Other`].
    pub fn of(file: &StoredFile) -> Result<Source, ArchiveError> {
        let head = match read_head_of(file, file.size()) {
            Ok(head) => head,
            Err(ArchiveError::Dicom(_)) => return Ok(Source::Other),
            Err(error) => return Err(error),
        };
        let syntax = TransferSyntax::from_uid(&head.transfer_syntax_uid);
        if syntax.deflated {
            return Ok(Source::Compressed);
        }
        let Some(pixel_data) = &head.pixel_data else {
            return Ok(Source::Other);
        };
        let Some(length) = pixel_data.length else {
            return Ok(Source::Compressed);
        };
        if !is_uncompressed(&head.transfer_syntax_uid) || pixel_data.element_offset > MAX_HEAD_BYTES
        {
            return Ok(Source::Other);
        }
        let Some(layout) = layout(file, &head, pixel_data.element_offset)? else {
            return Ok(Source::Other);
        };
        let inside = length.min(file.size().saturating_sub(pixel_data.value_offset));
        let count = layout
            .frame_bytes()
            .and_then(|bytes| inside.checked_div(bytes))
            .map_or(0, |fit| fit.min(head.number_of_frames.into()));
        Ok(match count {
            0 => Source::Other,
            count => Source::Frames {
                offset: pixel_data.value_offset,
                count,
                layout,
            },
        })
    }
}

/// How the frames lie in the file, if a codec can take them.
fn layout(
    file: &StoredFile,
    head: &Instance,
    head_bytes: u64,
) -> Result<Option<Layout>, ArchiveError> {
    let mut bytes = vec![0; usize::try_from(head_bytes).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0)?;
    let Ok(parsed) = DicomFile::read(&bytes[..read]) else {
        return Ok(None);
    };
    let Ok(format) = frame_format(&parsed.data_set) else {
        return Ok(None);
    };
    let samples_per_pixel = match (format.samples_per_pixel, format.photometric) {
        (1, Photometric::Rgb | Photometric::YbrFull) => return Ok(None),
        (1, photometric) if !photometric.is_colour() => 1,
        (3, Photometric::Rgb | Photometric::YbrFull) => 3,
        _ => return Ok(None), // subsampled, or nothing that there is
    };
    let sample_bytes = match format.bits_allocated {
        8 => 1,
        16 => 2,
        _ => return Ok(None),
    };
    if format.rows == 0 || format.columns == 0 {
        return Ok(None);
    }
    let syntax = TransferSyntax::from_uid(&head.transfer_syntax_uid);
    Ok(Some(Layout {
        rows: format.rows,
        columns: format.columns,
        samples_per_pixel,
        sample_bytes,
        big_endian: syntax.encoding == Encoding::ExplicitBig,
        planar: format.planar && samples_per_pixel == 3,
        ybr: format.photometric == Photometric::YbrFull,
    }))
}
