//! The data set that is being received: spooled while it is small, handed to the sink in parts when it is not.

use super::sink::{InstanceSink, InstanceStream, ReceivedDataSet, ReceivedHeader};
use super::spool::{Spool, SpoolPool};
use std::sync::Arc;

/// Bytes of the parts that a large object is handed on in: large enough that a call costs nothing beside them, small
/// enough that many associations can have one.
const PART_BYTES: usize = 1 << 20;

/// Room for the first object of an association, in bytes; later ones begin with the room that the last one took.
const FIRST_GUESS_BYTES: usize = 64 << 10;

/// What happens to the data set that the peer sends.
enum State<S: InstanceSink> {
    /// None is expected.
    Nothing,
    /// It is collected.
    Spooling {
        header: ReceivedHeader,
        spool: Spool,
    },
    /// It is handed on; the part may be missing between two writes.
    Streaming {
        stream: S::Stream,
        part: Option<Spool>,
    },
    /// It is collected for a service; longer than `most_bytes` it is answered with `too_long`.
    Collecting {
        spool: Spool,
        most_bytes: usize,
        too_long: u16,
    },
    /// It is thrown away, to be answered with this status.
    Dropping { status: u16 },
}

/// Receives the data sets of one association, one after the other.
pub(super) struct Incoming<S: InstanceSink> {
    sink: Arc<S>,
    pool: SpoolPool,
    /// Objects above this many bytes are handed on in parts.
    spool_most_bytes: usize,
    state: State<S>,
    /// How large the objects of this association are.
    guess_bytes: usize,
    /// Bytes of the present data set.
    received: u64,
    streamed: bool,
}

/// What became of a data set.
pub(super) struct Finished {
    pub status: u16,
    pub bytes: u64,
    pub streamed: bool,
    /// The data set, if it was collected; the status then means nothing.
    pub collected: Option<Spool>,
}

impl<S: InstanceSink> Incoming<S> {
    pub fn new(sink: Arc<S>, pool: SpoolPool, spool_most_bytes: usize) -> Incoming<S> {
        Incoming {
            sink,
            pool,
            spool_most_bytes,
            state: State::Nothing,
            guess_bytes: FIRST_GUESS_BYTES,
            received: 0,
            streamed: false,
        }
    }

    /// Begins a data set for the sink. Waits until the budget has room for it; nothing is read meanwhile.
    pub async fn begin(&mut self, header: ReceivedHeader) {
        (self.received, self.streamed) = (0, false);
        let mut prefix = Vec::new();
        self.sink.prefix(&header, &mut prefix);
        let room = self
            .guess_bytes
            .min(self.spool_most_bytes)
            .max(prefix.len());
        let mut spool = self.pool.take(room).await;
        spool.append(&prefix);
        spool.end_prefix();
        self.state = State::Spooling { header, spool };
    }

    /// Begins a data set that is to be collected, up to `most_bytes`. Waits until the budget has room for it.
    pub async fn collect(&mut self, most_bytes: usize, too_long: u16) {
        (self.received, self.streamed) = (0, false);
        let spool = self.pool.take(1).await;
        self.state = State::Collecting {
            spool,
            most_bytes,
            too_long,
        };
    }

    /// Begins a data set that nobody wants.
    pub fn drop_next(&mut self, status: u16) {
        (self.received, self.streamed) = (0, false);
        self.state = State::Dropping { status };
    }

    /// Gives the present data set up.
    pub fn give_up(&mut self) {
        self.state = State::Nothing;
    }

    /// Whether a data set is expected or being received.
    pub fn expects(&self) -> bool {
        !matches!(self.state, State::Nothing)
    }

    /// Where up to `most` of the next bytes can be put; empty if there is no room, or they are not wanted. Takes
    /// nothing from the budget, for it is not known whether bytes will come: [`Incoming::append`] does.
    pub fn room(&mut self, most: usize) -> &mut [u8] {
        let room = match &mut self.state {
            State::Spooling { spool, .. }
            | State::Collecting { spool, .. }
            | State::Streaming {
                part: Some(spool), ..
            } => spool.room(),
            _ => &mut [],
        };
        let most = most.min(room.len());
        &mut room[..most]
    }

    /// So many bytes were put there.
    pub fn fill(&mut self, count: usize) {
        self.received += count as u64;
        if let State::Spooling { spool, .. }
        | State::Collecting { spool, .. }
        | State::Streaming {
            part: Some(spool), ..
        } = &mut self.state
        {
            spool.fill(count);
        }
    }

    /// Takes bytes that were read elsewhere.
    pub async fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.make_room().await;
            let room = self.room(bytes.len());
            let count = if room.is_empty() {
                bytes.len()
            } else {
                room.len()
            };
            let (now, later) = bytes.split_at(count);
            if !room.is_empty() {
                room.copy_from_slice(now);
            }
            self.fill(count);
            bytes = later;
        }
    }

    /// The data set is complete: hands it over and returns the status to answer with.
    pub async fn finish(&mut self) -> Finished {
        let state = std::mem::replace(&mut self.state, State::Nothing);
        let mut collected = None;
        let status = match state {
            State::Collecting {
                spool,
                most_bytes,
                too_long,
            } => {
                // Room is doubled, so that there may be more of it than was allowed.
                collected = Some(spool).filter(|spool| spool.len() <= most_bytes);
                too_long
            }
            State::Nothing => super::sink::status::CANNOT_UNDERSTAND,
            State::Dropping { status } => status,
            State::Spooling { header, spool } => {
                // Grows at once; shrinks by halves, so that a small object among large ones costs nothing.
                self.guess_bytes = spool.len().max(self.guess_bytes / 2);
                self.sink.store(ReceivedDataSet { header, spool }).await
            }
            State::Streaming { mut stream, part } => {
                let written = match part.filter(|part| !part.is_empty()) {
                    Some(part) => stream.write(part).await,
                    None => Ok(()),
                };
                match written {
                    Ok(()) => stream.finish().await,
                    Err(status) => status,
                }
            }
        };
        Finished {
            status,
            bytes: self.received,
            streamed: self.streamed,
            collected,
        }
    }

    /// Hands on what is held, if others wait for the budget. For a peer that stalls.
    pub async fn yield_budget(&mut self) {
        if !self.pool.contended() {
            return;
        }
        match &self.state {
            State::Spooling { .. } => self.spill().await,
            State::Streaming {
                part: Some(part), ..
            } if !part.is_empty() => self.write_part().await,
            _ => {}
        }
    }

    /// Makes sure that there is room for one byte at least, unless the data set is not wanted.
    async fn make_room(&mut self) {
        if let State::Collecting {
            spool,
            most_bytes,
            too_long,
        } = &mut self.state
        {
            if spool.room().is_empty() && !spool.try_grow(most_bytes.next_power_of_two()) {
                // Too long, or the budget is taken: services whose requests are as long can be asked again.
                let status = *too_long;
                self.state = State::Dropping { status };
            }
            return;
        }
        if let State::Spooling { spool, .. } = &mut self.state {
            if !spool.room().is_empty() || spool.try_grow(self.spool_most_bytes) {
                return;
            }
            self.spill().await;
        }
        if let State::Streaming {
            part: Some(part), ..
        } = &mut self.state
        {
            if !part.room().is_empty() {
                return;
            }
            self.write_part().await;
        }
        if let State::Streaming {
            part: part @ None, ..
        } = &mut self.state
        {
            *part = Some(self.pool.take(PART_BYTES.min(self.spool_most_bytes)).await);
        }
    }

    /// Hands on what was spooled as the first part of a stream.
    async fn spill(&mut self) {
        let State::Spooling { header, spool } = std::mem::replace(&mut self.state, State::Nothing)
        else {
            return;
        };
        self.streamed = true;
        self.state = match self.sink.open_stream(header).await {
            Ok(stream) => State::Streaming {
                stream,
                part: Some(spool),
            },
            Err(status) => State::Dropping { status },
        };
        self.write_part().await;
    }

    async fn write_part(&mut self) {
        if let State::Streaming { stream, part } = &mut self.state {
            if let Some(part) = part.take() {
                if let Err(status) = stream.write(part).await {
                    self.state = State::Dropping { status };
                }
            }
        }
    }
}
