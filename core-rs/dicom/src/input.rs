//! An input from its first byte on: File Meta Information, then the data set in whatever encoding it has.

use crate::deflate::Inflater;
use crate::element::Window;
use crate::meta::{MetaReader, Parsed};
use crate::syntax::{self, Encoding, TransferSyntax};
use crate::walk::{Outcome, Sink, Walker};
use crate::{DicomError, FileMeta};

/// How far the reading of an input is, between two windows.
#[derive(Debug)]
pub(crate) struct Input {
    state: State,
    transfer_syntax_uid: String,
    sop_class_uid_of_meta: String,
    data_set_offset: u64,
}

#[derive(Debug)]
enum State {
    /// Before the data set of a file.
    File(Box<MetaReader>),
    /// A data set without meta information: its first element tells the encoding.
    Guess,
    /// Within the data set.
    Plain(Walker),
    /// Within a deflated data set.
    Deflated(Walker, Box<Inflater>),
}

impl Input {
    /// A Part 10 file, with or without preamble and meta information.
    pub fn file() -> Self {
        Input {
            state: State::File(Box::default()),
            transfer_syntax_uid: String::new(),
            sop_class_uid_of_meta: String::new(),
            data_set_offset: 0,
        }
    }

    /// A bare data set.
    pub fn data_set(transfer_syntax_uid: &str) -> Self {
        let mut input = Input::file();
        input.begin(transfer_syntax_uid, 0);
        input
    }

    /// Goes on until the window or the data set is at its end, or the sink has enough. The window holds all from
    /// [`Input::position`] on that is there.
    pub fn run<S: Sink>(
        &mut self,
        window: Window<'_>,
        sink: &mut S,
    ) -> Result<Outcome, DicomError> {
        loop {
            match &mut self.state {
                State::File(meta) => match meta.run(window)? {
                    Parsed::NeedMore(at_least) => return Ok(Outcome::NeedMore(at_least)),
                    Parsed::Absent => self.state = State::Guess,
                    Parsed::Meta(meta) => self.begin_after_meta(meta),
                },
                State::Guess => {
                    let at = self.data_set_offset;
                    match window.from(at).get(..8) {
                        Some(first) => self.begin(syntax::guess(first, at > 0)?, at),
                        // File Meta Information alone, as a whole file is read too.
                        None if window.complete && at > 0 && window.end() == at => {
                            self.begin(syntax::IMPLICIT_VR_LITTLE_ENDIAN, at);
                        }
                        None if window.complete => return Err(ends_early(window, at)),
                        None => return Ok(Outcome::NeedMore(at + 8)),
                    }
                }
                State::Plain(walker) => return walker.run(window, sink),
                State::Deflated(walker, inflater) => return inflater.run(walker, window, sink),
            }
        }
    }

    /// Nothing before this byte of the input is needed again.
    pub fn position(&self) -> u64 {
        match &self.state {
            State::File(meta) => meta.position(),
            State::Guess => self.data_set_offset,
            State::Plain(walker) => walker.position(),
            State::Deflated(_, inflater) => inflater.position(),
        }
    }

    fn begin_after_meta(&mut self, meta: FileMeta) {
        self.sop_class_uid_of_meta = meta.media_storage_sop_class_uid;
        if meta.transfer_syntax_uid.is_empty() {
            self.data_set_offset = meta.data_set_offset;
            self.state = State::Guess;
        } else {
            self.begin(&meta.transfer_syntax_uid, meta.data_set_offset);
        }
    }

    fn begin(&mut self, transfer_syntax_uid: &str, offset: u64) {
        let syntax = TransferSyntax::from_uid(transfer_syntax_uid);
        transfer_syntax_uid.clone_into(&mut self.transfer_syntax_uid);
        self.data_set_offset = offset;
        self.state = if syntax.deflated {
            // Offsets of a deflated data set count from its own first byte.
            State::Deflated(
                Walker::new(0, syntax.encoding),
                Box::new(Inflater::new(offset)),
            )
        } else {
            State::Plain(Walker::new(offset, syntax.encoding))
        };
    }

    /// As the File Meta Information says, else as the first element shows; empty before either is read.
    pub fn transfer_syntax_uid(&self) -> &str {
        &self.transfer_syntax_uid
    }

    /// (0002,0002), empty if absent.
    pub fn sop_class_uid_of_meta(&self) -> &str {
        &self.sop_class_uid_of_meta
    }

    /// Where the data set begins.
    pub fn data_set_offset(&self) -> u64 {
        self.data_set_offset
    }

    /// Whether offsets of elements count in the inflated data set rather than in the input.
    pub fn is_deflated(&self) -> bool {
        matches!(self.state, State::Deflated(..))
    }

    /// How the elements are encoded; `None` before the data set.
    pub fn encoding(&self) -> Option<Encoding> {
        match &self.state {
            State::File(_) | State::Guess => None,
            State::Plain(walker) | State::Deflated(walker, _) => Some(walker.encoding()),
        }
    }
}

fn ends_early(window: Window<'_>, offset: u64) -> DicomError {
    if window.end() == 0 {
        return DicomError::NotDicom {
            found: "an empty input",
        };
    }
    crate::element::truncated("data set", offset, 8, window)
}
