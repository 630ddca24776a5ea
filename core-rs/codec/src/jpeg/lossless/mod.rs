//! Lossless JPEG (ISO/IEC 10918-1 Annex H) by our own code: what libjpeg-turbo does at a fraction of the speed.

mod codes;
mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::Lossless;

/// Differences have 0 to 16 bits.
const CATEGORIES: usize = 17;

/// What is predicted for a sample from its neighbours to the left, above, and above to the left (Table H.1).
#[inline(always)]
fn with_predictor(selection: u8, use_it: impl UsePredictor) {
    match selection {
        1 => use_it.with(|left, _, _| left),
        2 => use_it.with(|_, above, _| above),
        3 => use_it.with(|_, _, corner| corner),
        4 => use_it.with(|left, above, corner| left + above - corner),
        5 => use_it.with(|left, above, corner| left + ((above - corner) >> 1)),
        6 => use_it.with(|left, above, corner| above + ((left - corner) >> 1)),
        _ => use_it.with(|left, above, _| (left + above) >> 1),
    }
}

/// A loop that is compiled for each predictor.
trait UsePredictor {
    fn with(self, predict: impl Fn(i32, i32, i32) -> i32);
}
