//! Bodies of answers: at hand, read from the store as the client takes it, or written by the application.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::ArchiveError;
use crate::stored_file::StoredFile;
use crate::web::Answer;

/// One read of a stored file. Several fit the second-level cache, so that a piece is still there when it is written to
/// the socket.
const PIECE_BYTES: usize = 256 << 10;

/// Buffers that are kept for the next answer.
const IDLE_BUFFERS: usize = 8;

/// A piece of a body that the application writes.
pub(super) enum Written {
    Piece(Bytes),
    End,
}

/// The body of an answer.
pub(crate) enum Content {
    /// At hand.
    Whole(Option<Bytes>),
    /// In the store.
    Stored(StoredContent),
    /// An answer of DICOMweb, made as the client takes it.
    Made(Made),
    /// Written by the application.
    Written(mpsc::Receiver<Written>),
}

impl Content {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stored(stored) => stored.poll_frame(context),
            Content::Made(made) => made.poll_frame(context),
            Content::Written(written) => Poll::Ready(match ready!(written.poll_recv(context)) {
                Some(Written::Piece(piece)) => Some(Ok(Frame::data(piece))),
                Some(Written::End) => None,
                None => Some(Err(io::Error::other("the answer was broken off"))),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Stored(stored) => stored.at == stored.end,
            Content::Made(_) | Content::Written(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Content::Stored(stored) => SizeHint::with_exact(stored.end - stored.at),
            Content::Made(_) | Content::Written(_) => SizeHint::default(),
        }
    }
}

type MadeNext = (Answer, Result<Option<Bytes>, ArchiveError>);

/// An answer of which nothing but a piece is held, so that a client who takes nothing holds nothing up.
pub(crate) struct Made {
    /// `None` once it is over.
    next: Option<Pin<Box<dyn Future<Output = MadeNext> + Send>>>,
}

impl Made {
    pub(super) fn new(answer: Answer) -> Self {
        Self {
            next: Some(next_of(answer)),
        }
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(None);
        };
        let (answer, piece) = ready!(next.as_mut().poll(context));
        self.next = None;
        Poll::Ready(match piece {
            Ok(Some(piece)) => {
                self.next = Some(next_of(answer));
                Some(Ok(Frame::data(piece)))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(error = %error, "an answer of DICOMweb was broken off");
                Some(Err(io::Error::other(error)))
            }
        })
    }
}

fn next_of(mut answer: Answer) -> Pin<Box<dyn Future<Output = MadeNext> + Send>> {
    Box::pin(async move {
        let piece = answer.next().await;
        (answer, piece)
    })
}

type Read = (Buffer, Result<(), ArchiveError>);

/// The bytes of a blob from one position to another.
pub(crate) struct StoredContent {
    reader: Arc<StoredFile>,
    buffers: Arc<Buffers>,
    at: u64,
    end: u64,
    /// A read that waits for the disk.
    reading: Option<JoinHandle<Read>>,
}

impl StoredContent {
    /// The whole blob.
    pub(super) fn whole(reader: StoredFile, buffers: &Arc<Buffers>) -> Self {
        Self {
            at: 0,
            end: reader.size(),
            reader: Arc::new(reader),
            buffers: Arc::clone(buffers),
            reading: None,
        }
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let (buffer, read) = if let Some(reading) = &mut self.reading {
            let read = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            match read {
                Ok(read) => read,
                Err(failed) => return Poll::Ready(Some(Err(io::Error::other(failed)))),
            }
        } else if self.at == self.end {
            return Poll::Ready(None);
        } else {
            let mut buffer = self.buffers.take(self.end - self.at);
            match self.reader.read_cached_at(buffer.bytes_mut(), self.at) {
                Ok(Some(_)) => (buffer, Ok(())),
                Ok(None) => {
                    let (reader, at) = (Arc::clone(&self.reader), self.at);
                    self.reading = Some(tokio::task::spawn_blocking(move || {
                        let read = reader.read_at(buffer.bytes_mut(), at).map(drop);
                        (buffer, read)
                    }));
                    return self.poll_frame(context);
                }
                Err(error) => (buffer, Err(error)),
            }
        };
        Poll::Ready(Some(match read {
            Ok(()) => {
                self.at += buffer.length as u64;
                Ok(Frame::data(Bytes::from_owner(buffer)))
            }
            Err(error) => {
                tracing::error!(error = %error, "a stored file cannot be read");
                Err(io::Error::other(error))
            }
        }))
    }
}

/// Buffers that go from answer to answer: fresh memory costs more than what is done with it.
#[derive(Default)]
pub(crate) struct Buffers {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    fn take(self: &Arc<Self>, wanted: u64) -> Buffer {
        let bytes = self.idle.lock().pop();
        Buffer {
            bytes: bytes.unwrap_or_else(|| vec![0; PIECE_BYTES]),
            length: usize::try_from(wanted).map_or(PIECE_BYTES, |wanted| wanted.min(PIECE_BYTES)),
            home: Arc::clone(self),
        }
    }
}

/// A buffer with bytes of a file.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.idle.lock();
        if idle.len() < IDLE_BUFFERS {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// The next frame of a body.
pub(super) async fn next_frame<B: Body + Unpin>(
    body: &mut B,
) -> Option<Result<Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}
