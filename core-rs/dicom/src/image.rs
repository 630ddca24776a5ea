//! A file with pixel data: its header in memory, its frames by their positions (PS3.3 §C.7.6.3).

use crate::element::{Window, is_pixel_data};
use crate::frames::find_frames;
use crate::reencode::{Opened, PIECE_BYTES, open};
use crate::scan::{Extent, scan_data_set};
use crate::stream::{Fed, Unread};
use crate::syntax::{Encoding, TransferSyntax};
use crate::walk::{Outcome, Sink, Step, Walker};
use crate::{
    Budget, DataSet, DicomError, Element, FrameProblem, FrameTable, MAX_HEADER_BYTES, PixelData,
    ReadAt,
};

/// The header of an image and where its frames are. Of the pixel data nothing is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageFile {
    /// As the File Meta Information says, else as the first element shows.
    pub transfer_syntax_uid: String,
    /// Where the data set begins.
    pub data_set_offset: u64,
    /// The elements before the pixel data.
    pub header: DataSet,
    /// The pixel data element.
    pub pixel_data: PixelData,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Its frames.
    pub frames: FrameTable,
}

impl ImageFile {
    /// Reads the header of a Part 10 file and finds the frames behind it.
    ///
    /// # Errors
    ///
    /// - [`DicomError::Frames`] if there is no pixel data, if the frames cannot be told apart, or if the data set is
    ///   deflated as a whole: positions in it are none in the file.
    /// - [`DicomError::Truncated`] if the pixel data is cut off.
    /// - [`DicomError::Budget`] if the header is longer than [`MAX_HEADER_BYTES`].
    /// - What [`crate::scan`] says of the data set before the pixel data; what `source` says.
    pub fn read<S: ReadAt>(source: &S) -> Result<Self, S::Error> {
        let opened = open(source)?;
        let syntax = TransferSyntax::from_uid(&opened.transfer_syntax_uid);
        if syntax.deflated {
            return Err(none(FrameProblem::Deflated, opened.data_set_offset).into());
        }
        let (pixel_data, encoding) =
            find_pixel_data(source, opened.data_set_offset, syntax.encoding)?;
        let header = read_header(source, &opened, &pixel_data)?;
        let uid = &opened.transfer_syntax_uid;
        let frames = find_frames(source, &header, &pixel_data, encoding, uid)?;
        Ok(ImageFile {
            transfer_syntax_uid: opened.transfer_syntax_uid,
            data_set_offset: opened.data_set_offset,
            header,
            pixel_data,
            encoding,
            frames,
        })
    }
}

fn read_header<S: ReadAt>(
    source: &S,
    opened: &Opened,
    pixel_data: &PixelData,
) -> Result<DataSet, S::Error> {
    let end = pixel_data.element_offset;
    let length = usize::try_from(end).ok();
    let Some(length) = length.filter(|length| *length <= MAX_HEADER_BYTES) else {
        let budget = Budget::Header;
        let offset = opened.data_set_offset;
        return Err(DicomError::Budget { budget, offset }.into());
    };
    let mut bytes = vec![0; length];
    let count = source.read_at(&mut bytes, 0)?;
    let (uid, offset) = (&opened.transfer_syntax_uid, opened.data_set_offset);
    let scan = scan_data_set(&bytes[..count], uid, offset, Extent::All)?;
    Ok(scan.to_data_set())
}

fn none(problem: FrameProblem, offset: u64) -> DicomError {
    DicomError::Frames { problem, offset }
}

/// Stops at the pixel data.
#[derive(Default)]
struct Finder(Option<PixelData>);

impl Sink for Finder {
    fn visit(&mut self, element: &Element, _: Window<'_>) -> Result<Step, DicomError> {
        if element.depth == 0 && is_pixel_data(element.tag) {
            self.0 = Some(PixelData::of(element));
            return Ok(Step::Stop);
        }
        Ok(Step::Over)
    }
}

fn find_pixel_data<S: ReadAt>(
    source: &S,
    data_set_offset: u64,
    encoding: Encoding,
) -> Result<(PixelData, Encoding), S::Error> {
    let mut walker = Walker::new(data_set_offset, encoding);
    let mut unread = Unread::from_offset(data_set_offset);
    let mut finder = Finder::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let at = unread.skip(source.size());
        piece.resize(PIECE_BYTES, 0);
        let count = source.read_at(&mut piece, at)?;
        piece.truncate(count);
        let mut walk = |window: Window<'_>| -> Result<Fed<()>, DicomError> {
            Ok(match walker.run(window, &mut finder)? {
                Outcome::NeedMore(to) => Fed::NeedMore {
                    from: walker.position(),
                    to,
                },
                Outcome::End | Outcome::Stopped => Fed::Done(()),
            })
        };
        let done = if piece.is_empty() {
            walk(unread.last())?;
            true
        } else {
            unread.feed(&piece, walk)?.is_some()
        };
        if done {
            let no_pixel_data = none(FrameProblem::NoPixelData, source.size());
            let found = finder.0.ok_or(no_pixel_data)?;
            return Ok((found, walker.encoding()));
        }
    }
}
