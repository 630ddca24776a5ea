//! Receiving DIMSE messages whose data sets nobody looks at: they are counted and thrown away.

use crate::pdu::AssociationError;
use std::io::{self, BufReader, Read};
use std::net::TcpStream;

/// Bytes read at once: data sets of half a megabyte come in few calls.
const BUFFER_BYTES: usize = 256 << 10;
/// The most of a data set that is kept, for who looks at identifiers.
const KEPT_BYTES: usize = 64 << 10;
/// More would be no command set.
const LARGEST_COMMAND_BYTES: usize = 64 << 10;

/// A message, or what else a peer may send.
pub enum Received {
    /// A DIMSE message.
    Message(Message),
    /// A-RELEASE-RQ.
    Release,
    /// A-RELEASE-RP.
    Released,
}

/// One DIMSE message.
pub struct Message {
    pub context_id: u8,
    pub command: Vec<u8>,
    /// The beginning of its data set.
    pub data_set: Vec<u8>,
    /// All of it, in bytes.
    pub data_set_bytes: u64,
}

impl Message {
    /// The US element (0000,`element`).
    pub fn us(&self, element: u16) -> Option<u16> {
        let value = self.value(element)?;
        Some(u16::from_le_bytes(value.try_into().ok()?))
    }

    /// The bytes of (0000,`element`).
    pub fn value(&self, element: u16) -> Option<&[u8]> {
        let mut left = self.command.as_slice();
        while let [0, 0, e0, e1, a, b, c, d, rest @ ..] = left {
            let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            let value = rest.get(..length)?;
            if u16::from_le_bytes([*e0, *e1]) == element {
                return Some(value);
            }
            left = &rest[length..];
        }
        None
    }

    /// Whether a data set follows the command (PS3.7 §E.1, Command Data Set Type).
    fn has_data_set(&self) -> bool {
        self.us(0x0800) != Some(0x0101)
    }
}

/// The receiving half of a connection.
pub struct Receiver {
    stream: BufReader<TcpStream>,
    /// Of the present P-DATA-TF PDU, in bytes.
    left: usize,
    scratch: Vec<u8>,
}

impl Receiver {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
            left: 0,
            scratch: vec![0; BUFFER_BYTES],
        }
    }

    /// Type and body of a PDU that is no P-DATA-TF, of at most `most` bytes.
    pub fn pdu(&mut self, most: usize) -> Result<(u8, Vec<u8>), AssociationError> {
        let (kind, length) = self.header()?;
        if length > most {
            return Err(unexpected(format!(
                "PDU of type {kind} with {length} bytes"
            )));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }

    /// The next message, or the end of the association.
    pub fn next(&mut self) -> Result<Received, AssociationError> {
        let mut message = Message {
            context_id: 0,
            command: Vec::new(),
            data_set: Vec::new(),
            data_set_bytes: 0,
        };
        let mut in_data_set = false;
        loop {
            if self.left == 0 {
                match self.header()? {
                    (4, length) => self.left = length,
                    (5, length) => return self.skip(length).map(|()| Received::Release),
                    (6, length) => return self.skip(length).map(|()| Received::Released),
                    (7, 4) => {
                        let mut body = [0; 4];
                        self.stream.read_exact(&mut body)?;
                        return Err(AssociationError::Aborted(body[2], body[3]));
                    }
                    (kind, _) => return Err(unexpected(format!("PDU of type {kind}"))),
                }
            }
            let mut header = [0; 6];
            self.stream.read_exact(&mut header)?;
            let [a, b, c, d, context_id, control] = header;
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if length < 2 || length + 4 > self.left {
                return Err(unexpected("PDV that is longer than its PDU".into()));
            }
            self.left -= length + 4;
            message.context_id = context_id;
            let (is_command, is_last) = (control & 1 != 0, control & 2 != 0);
            if is_command == in_data_set {
                return Err(unexpected("command and data set out of order".into()));
            }
            if is_command {
                self.take_command(length - 2, &mut message)?;
            } else {
                self.take_data(length - 2, &mut message)?;
            }
            if is_last && (in_data_set || !message.has_data_set()) {
                return Ok(Received::Message(message));
            }
            in_data_set |= is_last;
        }
    }

    fn take_command(&mut self, count: usize, to: &mut Message) -> Result<(), AssociationError> {
        if to.command.len() + count > LARGEST_COMMAND_BYTES {
            return Err(unexpected("command set without end".into()));
        }
        let start = to.command.len();
        to.command.resize(start + count, 0);
        self.stream.read_exact(&mut to.command[start..])?;
        Ok(())
    }

    fn take_data(&mut self, count: usize, to: &mut Message) -> Result<(), AssociationError> {
        to.data_set_bytes += count as u64;
        let kept = count.min(KEPT_BYTES.saturating_sub(to.data_set.len()));
        let start = to.data_set.len();
        to.data_set.resize(start + kept, 0);
        self.stream.read_exact(&mut to.data_set[start..])?;
        self.skip(count - kept)
    }

    fn skip(&mut self, mut count: usize) -> Result<(), AssociationError> {
        while count > 0 {
            let now = count.min(self.scratch.len());
            self.stream.read_exact(&mut self.scratch[..now])?;
            count -= now;
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(u8, usize), AssociationError> {
        let mut header = [0; 6];
        self.stream.read_exact(&mut header).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                io::Error::new(error.kind(), "closed by the peer")
            } else {
                error
            }
        })?;
        let [kind, _, a, b, c, d] = header;
        Ok((kind, u32::from_be_bytes([a, b, c, d]) as usize))
    }
}

fn unexpected(text: String) -> AssociationError {
    AssociationError::Unexpected(text)
}
