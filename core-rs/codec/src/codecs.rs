//! Where codecs run, and how much memory they get.

use crate::{
    CodecError, Colour, DEFAULT_MAX_FRAME_BYTES, EncodeOptions, FrameFormat, codec, native,
    pixel_syntax,
};

/// Bounds of the codecs, and where they run.
#[derive(Clone, Debug)]
pub struct CodecSettings {
    /// The command that starts a process for codecs; it gets the number of its socket as one more argument. Without one,
    /// codecs run in this process.
    pub helper_command: Option<Vec<String>>,
    /// How many frames are worked on at once; at most as many helpers run.
    pub parallel: usize,
    /// Most bytes of one frame, encoded or decoded.
    pub max_frame_bytes: u64,
    /// How long one frame may take, in seconds, before its helper is ended.
    pub frame_timeout_s: u32,
}

impl Default for CodecSettings {
    fn default() -> Self {
        CodecSettings {
            helper_command: None,
            parallel: std::thread::available_parallelism().map_or(1, usize::from),
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
            frame_timeout_s: 60,
        }
    }
}

/// All codecs, with bounded memory. Shared by everything in the process that decodes.
#[derive(Debug)]
pub struct Codecs {
    settings: CodecSettings,
}

/// A place to decode or encode frames one after the other: dropped, it is free for the next. Calls block; a lease is
/// used on a thread that may wait.
#[derive(Debug)]
pub struct Lease<'a> {
    codecs: &'a Codecs,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// A decoded frame, in memory that the lease owns.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Interleaved samples, little endian.
    pub samples: &'a [u8],
    /// What they are.
    pub format: FrameFormat,
}

impl Codecs {
    /// Codecs with these bounds. Nothing is started before the first frame.
    #[must_use]
    pub fn new(settings: CodecSettings) -> Self {
        Codecs { settings }
    }

    /// The bounds.
    #[must_use]
    pub fn settings(&self) -> &CodecSettings {
        &self.settings
    }

    /// Waits for a free place.
    ///
    /// # Errors
    ///
    /// [`CodecError::Helper`] if no helper can be started.
    pub fn lease(&self) -> Result<Lease<'_>, CodecError> {
        Ok(Lease {
            codecs: self,
            input: Vec::new(),
            output: Vec::new(),
        })
    }
}

impl Lease<'_> {
    /// Room for `length` bytes of input, which the caller fills: a codestream, or samples.
    ///
    /// # Errors
    ///
    /// [`CodecError::Limit`] if it is more than a frame may have.
    pub fn input(&mut self, length: u64) -> Result<&mut [u8], CodecError> {
        let length = self.checked(length)?;
        self.input.resize(length, 0);
        Ok(&mut self.input)
    }

    /// Decodes what [`Lease::input`] was filled with, in `transfer_syntax_uid`: a codestream, or a native frame.
    ///
    /// # Errors
    ///
    /// As [`crate::FrameCodec::decode`]; [`CodecError::Limit`], [`CodecError::Helper`].
    pub fn decode(
        &mut self,
        transfer_syntax_uid: &str,
        format: &FrameFormat,
        colour: Colour,
    ) -> Result<Decoded<'_>, CodecError> {
        let length = self.checked(format.frame_bytes()?)?;
        self.output.resize(length, 0);
        let format = match codec(transfer_syntax_uid) {
            Some(codec) => codec.decode(&self.input, format, colour, &mut self.output)?,
            None if pixel_syntax(transfer_syntax_uid)
                .is_some_and(|syntax| syntax.compression == crate::Compression::None) =>
            {
                let big_endian = native::is_big_endian(transfer_syntax_uid);
                native::decode(&self.input, format, colour, big_endian, &mut self.output)?
            }
            None => return Err(unsupported(transfer_syntax_uid)),
        };
        Ok(Decoded {
            samples: &self.output,
            format,
        })
    }

    /// Encodes the samples that [`Lease::input`] was filled with; gives the codestream and its format.
    ///
    /// # Errors
    ///
    /// As [`crate::FrameCodec::encode`]; [`CodecError::Limit`], [`CodecError::Helper`].
    pub fn encode(
        &mut self,
        transfer_syntax_uid: &str,
        format: &FrameFormat,
        options: &EncodeOptions,
    ) -> Result<(&[u8], FrameFormat), CodecError> {
        let codec = codec(transfer_syntax_uid).ok_or_else(|| unsupported(transfer_syntax_uid))?;
        let room = codec.max_encoded_bytes(format);
        let room = usize::try_from(room).map_err(|_| CodecError::Limit {
            what: "bytes of a codestream",
            found: room,
            limit: self.codecs.settings.max_frame_bytes,
        })?;
        self.output.resize(room, 0);
        let (length, format) = codec.encode(&self.input, format, options, &mut self.output)?;
        Ok((&self.output[..length], format))
    }

    fn checked(&self, length: u64) -> Result<usize, CodecError> {
        let limit = self.codecs.settings.max_frame_bytes;
        usize::try_from(length)
            .ok()
            .filter(|_| length <= limit)
            .ok_or(CodecError::Limit {
                what: "bytes of a frame",
                found: length,
                limit,
            })
    }
}

fn unsupported(transfer_syntax_uid: &str) -> CodecError {
    CodecError::Unsupported {
        what: format!("transfer syntax {transfer_syntax_uid}"),
    }
}
