//! Reading a connection: into one buffer that is reused, or past it straight to where a data set belongs.

use super::stream::Stream;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::ops::Range;
use std::time::Duration;
use tokio::time::timeout;
use vna_ul::Association;
use vna_ul::pdata::FragmentHeaders;

/// Bytes of the read buffer. A request of a small object comes in one read; larger ones are read past it.
const BUFFER_BYTES: usize = 64 << 10;

/// From this many bytes on that are known to belong to the data set, only [`LOOKAHEAD_BYTES`] are read behind them:
/// what lands in the buffer must be copied, which soon costs more than another call for the next PDU.
const LARGE_DIRECT_BYTES: usize = 32 << 10;

/// Enough for the headers of the next PDU, and for a short last one.
const LOOKAHEAD_BYTES: usize = 4 << 10;

/// Fragments of a data set that are sent in one call. A peer with the usual 16 KiB gets 4 MiB so; one that wants tiny
/// fragments must not make the list of them long.
const FRAGMENTS_AT_ONCE: usize = 256;

/// A connection and what was read ahead from it.
pub(super) struct Socket {
    stream: Stream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    received: u64,
    /// Something was sent in part only.
    sending: bool,
}

/// What a read brought.
pub(super) enum Read {
    /// So many bytes went to the caller's place; what followed is in the buffer.
    Direct(usize),
    /// Nothing is there now.
    Empty,
    /// The peer has closed the connection, or it broke.
    Closed,
}

/// Why something could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteError {
    /// The peer has closed the connection, or it broke.
    Closed,
    /// The peer takes nothing.
    TimedOut,
}

impl Socket {
    pub fn new(stream: Stream) -> Socket {
        Socket {
            stream,
            buffer: vec![0; BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            received: 0,
            sending: false,
        }
    }

    /// What was read and not consumed.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// Bytes received since the connection was opened.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Reads what is there: first to `direct`, then to the buffer, which must have been consumed.
    pub fn try_read(&mut self, direct: &mut [u8]) -> Read {
        let read = if direct.is_empty() {
            self.stream
                .try_read_vectored(&mut [IoSliceMut::new(&mut self.buffer)])
        } else {
            let ahead = if direct.len() >= LARGE_DIRECT_BYTES {
                LOOKAHEAD_BYTES
            } else {
                BUFFER_BYTES
            };
            let mut slices = [
                IoSliceMut::new(direct),
                IoSliceMut::new(&mut self.buffer[..ahead]),
            ];
            self.stream.try_read_vectored(&mut slices)
        };
        match read {
            Ok(0) => Read::Closed,
            Ok(count) => {
                let taken = count.min(direct.len());
                (self.start, self.end) = (0, count - taken);
                self.received += count as u64;
                Read::Direct(taken)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Read::Empty
            }
            Err(_) => Read::Closed,
        }
    }

    /// Waits until there is something to read, or the connection is closed.
    pub async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// Acknowledges what has come without the usual delay. The system leaves this mode by itself, so it is asked for
    /// before each wait.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn acknowledge(&self) {
        self.stream.acknowledge();
    }

    /// Other systems have no such option.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn acknowledge(&self) {}

    /// What broke TLS, if that was it.
    pub fn fault(&self) -> Option<&str> {
        self.stream.fault()
    }

    /// Whether what was sent ends between two PDUs, so that another one can be sent.
    pub fn between_pdus(&self) -> bool {
        !self.sending
    }

    /// Sends all output of the association, usually in one call.
    pub async fn send_output(
        &mut self,
        association: &mut Association,
        patience: Duration,
    ) -> Result<(), WriteError> {
        let count = association.output().len();
        if count > 0 {
            self.send_all(&mut [IoSlice::new(association.output())], patience)
                .await?;
            association.output_sent(count);
        }
        Ok(())
    }

    /// Sends the output of the association and behind it `fragments` of a data set, from where its bytes are.
    pub async fn send_fragments(
        &mut self,
        association: &mut Association,
        fragments: impl Iterator<Item = (FragmentHeaders, Range<usize>)>,
        bytes: &[u8],
        patience: Duration,
    ) -> Result<(), WriteError> {
        let mut fragments = fragments.peekable();
        while fragments.peek().is_some() {
            let some: Vec<_> = fragments.by_ref().take(FRAGMENTS_AT_ONCE).collect();
            let output = association.output().len();
            let mut slices = Vec::with_capacity(1 + 2 * some.len());
            slices.push(IoSlice::new(association.output()));
            for (headers, range) in &some {
                slices.push(IoSlice::new(headers));
                slices.push(IoSlice::new(&bytes[range.clone()]));
            }
            self.send_all(&mut slices, patience).await?;
            association.output_sent(output);
        }
        Ok(())
    }

    /// Sends all of `slices`. The peer may take its time, as long as it takes something within `patience`.
    async fn send_all(
        &mut self,
        mut slices: &mut [IoSlice<'_>],
        patience: Duration,
    ) -> Result<(), WriteError> {
        self.sending = true;
        IoSlice::advance_slices(&mut slices, 0); // empty ones at the front go
        loop {
            let done = if slices.is_empty() {
                self.stream.try_flush().map(|()| None)
            } else {
                self.stream.try_write_vectored(slices).map(Some)
            };
            match done {
                Ok(None) => break,
                Ok(Some(count)) => IoSlice::advance_slices(&mut slices, count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    match timeout(patience, self.stream.writable()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return Err(WriteError::Closed),
                        Err(_) => return Err(WriteError::TimedOut),
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(WriteError::Closed),
            }
        }
        self.sending = false;
        Ok(())
    }

    /// Sends what fits of the association's output, without waiting: the last word of who leaves.
    pub fn send_parting(&mut self, association: &mut Association) {
        if self.between_pdus() {
            let output = IoSlice::new(association.output());
            let _ = self.stream.try_write_vectored(&[output]);
        }
    }
}
