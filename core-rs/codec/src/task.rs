//! One frame's work, as it is done in this process or in a helper.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{CodecError, Colour, EncodeOptions, FrameCodec, FrameFormat};

/// Which way.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Action {
    /// From a codestream to samples.
    Decode(Colour),
    /// From samples to a codestream.
    Encode(EncodeOptions),
}

/// What is to be done with one frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Task {
    /// Which way.
    pub action: Action,
    /// What the samples are, or should be.
    pub format: FrameFormat,
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// Bytes written.
    pub length: u64,
    /// What the samples, or the codestream, are.
    pub format: FrameFormat,
}

impl Task {
    /// Does it.
    ///
    /// # Errors
    ///
    /// What the codec says; [`CodecError::Corrupt`] if it panics.
    pub fn run(
        &self,
        codec: &dyn FrameCodec,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Done, CodecError> {
        // `output` is undefined after an error, so a panic in the middle of it leaves nothing half done.
        let done = catch_unwind(AssertUnwindSafe(|| match &self.action {
            Action::Decode(colour) => {
                let format = codec.decode(input, &self.format, *colour, output)?;
                let length = format.frame_bytes()?;
                Ok(Done { length, format })
            }
            Action::Encode(options) => {
                let (length, format) = codec.encode(input, &self.format, options, output)?;
                let length = length as u64;
                Ok(Done { length, format })
            }
        }));
        let done = done.unwrap_or_else(|_| {
            Err(CodecError::Corrupt {
                codec: codec.name(),
                reason: "the codec gave up on it".to_owned(),
            })
        })?;
        self.check(&done, output.len())?;
        Ok(done)
    }

    /// Whether an answer may be believed: the frame that was asked for, within the room there was.
    ///
    /// # Errors
    ///
    /// [`CodecError::Mismatch`] names what is not so.
    pub fn check(&self, done: &Done, room: usize) -> Result<(), CodecError> {
        let (asked, given) = (&self.format, &done.format);
        let mut pairs = vec![
            ("rows", asked.rows.into(), given.rows.into()),
            ("columns", asked.columns.into(), given.columns.into()),
            (
                "samples per pixel",
                u64::from(asked.samples_per_pixel),
                u64::from(given.samples_per_pixel),
            ),
        ];
        if done.length > room as u64 {
            pairs.push(("bytes of a frame", room as u64, done.length));
        }
        if matches!(self.action, Action::Decode(_)) {
            pairs.push(("bytes of a frame", given.frame_bytes()?, done.length));
        }
        match pairs
            .into_iter()
            .find(|(_, expected, found)| expected != found)
        {
            None => Ok(()),
            Some((what, expected, found)) => Err(CodecError::Mismatch {
                what,
                expected,
                found,
            }),
        }
    }
}
