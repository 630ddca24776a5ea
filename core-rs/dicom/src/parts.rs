//! A file that comes in parts, walked for one purpose: what the streams of this crate have in common.

use crate::DicomError;
use crate::element::Window;
use crate::input::Input;
use crate::stream::{Fed, Unread};
use crate::walk::{Outcome, Sink};

/// A walk between two parts of a file. After an error it is spent.
#[derive(Debug)]
pub(crate) struct Parts<S> {
    pub input: Input,
    /// What the elements are for.
    pub sink: S,
    unread: Unread,
    done: bool,
}

impl<S: Sink> Parts<S> {
    /// For a Part 10 file, with or without preamble and meta information.
    pub fn of_file(sink: S) -> Self {
        Parts {
            input: Input::file(),
            sink,
            unread: Unread::default(),
            done: false,
        }
    }

    /// Takes the next part, which begins where [`Parts::skip`] said.
    pub fn push(&mut self, part: &[u8]) -> Result<(), DicomError> {
        if self.done {
            self.unread.pass(part);
            return Ok(());
        }
        let (input, sink) = (&mut self.input, &mut self.sink);
        let done = self
            .unread
            .feed(part, |window| advance(input, sink, window))?;
        self.done = done.is_some();
        Ok(())
    }

    /// Whether nothing more is needed of the file.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Steps over what is not needed, and returns the offset in the file that the next part begins at. `file_bytes` is
    /// how long the file is.
    pub fn skip(&mut self, file_bytes: u64) -> u64 {
        self.unread.skip(file_bytes)
    }

    /// All parts were given.
    pub fn finish(&mut self) -> Result<(), DicomError> {
        if !self.done {
            advance(&mut self.input, &mut self.sink, self.unread.last())?;
            self.done = true;
        }
        Ok(())
    }
}

fn advance<S: Sink>(
    input: &mut Input,
    sink: &mut S,
    window: Window<'_>,
) -> Result<Fed<()>, DicomError> {
    Ok(match input.run(window, sink)? {
        Outcome::NeedMore(to) => Fed::NeedMore {
            from: input.position(),
            to,
        },
        Outcome::End | Outcome::Stopped => Fed::Done(()),
    })
}
