//! The first walk, which writes nothing: is the data set whole, how long will it be, what does it say of its pixels?

use super::inflating::DataSetBytes;
use super::rewriter::Reencoder;
use super::{ReadAt, Rewriting};
use crate::ambiguous::Pixels;

/// What is known of a data set before it is written in another encoding.
#[derive(Debug)]
pub(super) struct Survey {
    /// Bytes that it will have.
    pub length: u64,
    /// Whether all of it is encoded as it shall be.
    pub uniform: bool,
    /// What it says of its pixels.
    pub pixels: Pixels,
    /// (0008,0016), empty if absent.
    pub sop_class_uid: Vec<u8>,
    /// (0008,0018), empty if absent.
    pub sop_instance_uid: Vec<u8>,
}

/// Walks through a data set.
pub(super) fn survey<S: ReadAt>(
    source: &S,
    mut bytes: DataSetBytes,
    rewriting: &Rewriting,
) -> Result<Survey, S::Error> {
    let begin = bytes.start();
    let mut reencoder = Reencoder::new(begin, rewriting, Pixels::default());
    while !reencoder.is_done() {
        reencoder.go_on(source, &mut bytes)?;
        reencoder.take_parts();
    }
    let rewriter = reencoder.into_rewriter();
    // A few bytes that are no element say nothing.
    let uniform = rewriter.uniform && rewriter.length > 0;
    let length = if uniform {
        bytes.find_end(source)? - begin
    } else {
        rewriter.length
    };
    Ok(Survey {
        length,
        uniform,
        pixels: rewriter.pixels(),
        sop_class_uid: rewriter.sop_class_uid,
        sop_instance_uid: rewriter.sop_instance_uid,
    })
}
