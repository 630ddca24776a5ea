//! The byte stream of a connection cut into PDUs, and P-DATA-TF PDUs into fragments, in whatever pieces it arrives.
//!
//! Short PDUs are kept until complete. The values of P-DATA-TF are not: each piece is handed on as it comes.

use crate::error::{UlError, UlErrorKind};
use crate::pdata::{COMMAND_BIT, LAST_BIT, PDV_HEADER_BYTES, Part};
use crate::pdu::{PDU_HEADER_BYTES, PduHeader, PduKind};

/// What the decoder found.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'kept, 'input> {
    /// The header of a PDU; its body follows.
    Header(PduKind),
    /// The whole body of a PDU other than P-DATA-TF.
    Body(PduKind, &'kept [u8]),
    /// A piece of a fragment, which is always part of the input.
    Piece(Piece<'input>),
}

/// A piece of a PDV's fragment; the pieces of one fragment follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Presentation context.
    pub context_id: u8,
    /// Whether it is of a command set or a data set.
    pub part: Part,
    /// The bytes, perhaps none.
    pub bytes: &'a [u8],
    /// With these bytes the last fragment of the command set or data set is complete.
    pub last: bool,
}

/// A PDV whose fragment is being read.
#[derive(Debug, Clone, Copy)]
struct Pdv {
    context_id: u8,
    part: Part,
    last: bool,
    /// Bytes of the fragment that have not come yet.
    left: u32,
}

#[derive(Debug, Clone, Copy)]
enum Expect {
    PduHeader,
    /// The body of a PDU other than P-DATA-TF.
    Body(PduHeader),
    /// A PDV header; the PDU has `pdu_left` bytes left, which include that header.
    PdvHeader {
        pdu_left: u32,
    },
    /// A fragment; the PDU has `pdu_left` bytes behind it.
    Fragment {
        pdv: Pdv,
        pdu_left: u32,
    },
}

/// Decodes the bytes of one connection.
#[derive(Debug)]
pub struct Decoder {
    max_pdu_bytes: u32,
    expect: Expect,
    /// The beginning of a header or body that did not come in one piece; at most its length, which was checked.
    kept: Vec<u8>,
    /// `kept` was handed out whole by the last call.
    spent: bool,
}

impl Decoder {
    /// A decoder that accepts P-DATA-TF up to `max_pdu_bytes`.
    #[must_use]
    pub fn new(max_pdu_bytes: u32) -> Decoder {
        Decoder {
            max_pdu_bytes,
            expect: Expect::PduHeader,
            kept: Vec::new(),
            spent: false,
        }
    }

    /// Decodes from the front of `input`. Returns how many bytes were used up and what they were; `None` means that
    /// all of `input` was used and more is needed.
    ///
    /// # Errors
    ///
    /// What is wrong with the PDU; the stream cannot be decoded any further then.
    pub fn next<'kept, 'input: 'kept>(
        &'kept mut self,
        input: &'input [u8],
    ) -> Result<(usize, Option<Decoded<'kept, 'input>>), UlError> {
        if std::mem::take(&mut self.spent) {
            self.kept.clear();
        }
        match self.expect {
            Expect::PduHeader => {
                let (used, Some(header)) = self.array::<PDU_HEADER_BYTES>(input) else {
                    return Ok((input.len(), None));
                };
                let header = PduHeader::read(header, self.max_pdu_bytes)?;
                self.start(header)?;
                Ok((used, Some(Decoded::Header(header.kind))))
            }
            Expect::Body(header) => Ok(self.body(header, input)),
            Expect::PdvHeader { pdu_left } => {
                let (used, Some(header)) = self.array::<PDV_HEADER_BYTES>(input) else {
                    return Ok((input.len(), None));
                };
                let (pdv, pdu_left) = read_pdv_header(header, pdu_left)?;
                self.expect = Expect::Fragment { pdv, pdu_left };
                let (more, piece) = self.piece(&input[used..])?;
                Ok((used + more, piece))
            }
            Expect::Fragment { .. } => self.piece(input),
        }
    }

    /// How many of the next bytes on the wire are of a data set fragment, and nothing else.
    #[must_use]
    pub fn direct_bytes(&self) -> usize {
        match self.expect {
            Expect::Fragment { pdv, .. } if pdv.part == Part::DataSet => pdv.left as usize,
            _ => 0,
        }
    }

    /// Tells that the caller took `count` of the bytes that [`Decoder::direct_bytes`] announced. Returns the piece
    /// that they were, without the bytes; `None` if so many were not announced.
    ///
    /// # Errors
    ///
    /// A PDV length that leaves no room for another PDV behind this one.
    pub fn took_direct(&mut self, count: usize) -> Result<Option<Piece<'static>>, UlError> {
        match (self.expect, u32::try_from(count)) {
            (Expect::Fragment { pdv, .. }, Ok(count))
                if pdv.part == Part::DataSet && count <= pdv.left =>
            {
                self.advance(count)?;
                Ok(Some(Piece {
                    context_id: pdv.context_id,
                    part: pdv.part,
                    bytes: &[],
                    last: pdv.last && count == pdv.left,
                }))
            }
            _ => Ok(None),
        }
    }

    /// Whether the stream stands between two PDUs.
    #[must_use]
    pub fn between_pdus(&self) -> bool {
        matches!(self.expect, Expect::PduHeader) && (self.kept.is_empty() || self.spent)
    }

    fn start(&mut self, header: PduHeader) -> Result<(), UlError> {
        self.expect = match header.kind {
            PduKind::PDataTf => Expect::PdvHeader {
                pdu_left: check_pdv_room(header.length)?,
            },
            _ => Expect::Body(header),
        };
        Ok(())
    }

    /// The next `N` bytes, which may have come in pieces, and how many of `input` they took.
    fn array<const N: usize>(&mut self, input: &[u8]) -> (usize, Option<[u8; N]>) {
        if self.kept.is_empty() {
            if let Some(whole) = input.first_chunk::<N>() {
                return (N, Some(*whole));
            }
        }
        let used = (N - self.kept.len()).min(input.len());
        self.kept.extend_from_slice(&input[..used]);
        let whole = self.kept.first_chunk::<N>().copied();
        if whole.is_some() {
            self.kept.clear();
        }
        (used, whole)
    }

    fn body<'kept, 'input: 'kept>(
        &'kept mut self,
        header: PduHeader,
        input: &'input [u8],
    ) -> (usize, Option<Decoded<'kept, 'input>>) {
        let length = header.length as usize;
        if self.kept.is_empty() && input.len() >= length {
            self.expect = Expect::PduHeader;
            return (length, Some(Decoded::Body(header.kind, &input[..length])));
        }
        let used = (length - self.kept.len()).min(input.len());
        self.kept.extend_from_slice(&input[..used]);
        if self.kept.len() < length {
            return (used, None);
        }
        self.expect = Expect::PduHeader;
        self.spent = true;
        (used, Some(Decoded::Body(header.kind, &self.kept)))
    }

    fn piece<'kept, 'input>(
        &mut self,
        input: &'input [u8],
    ) -> Result<(usize, Option<Decoded<'kept, 'input>>), UlError> {
        let Expect::Fragment { pdv, .. } = self.expect else {
            return Ok((0, None));
        };
        // An empty fragment is a piece too: it may be the last one.
        if input.is_empty() && pdv.left > 0 {
            return Ok((0, None));
        }
        let bytes = &input[..input.len().min(pdv.left as usize)];
        let taken = u32::try_from(bytes.len()).unwrap_or(pdv.left);
        self.advance(taken)?;
        let last = pdv.last && taken == pdv.left;
        let piece = Piece {
            context_id: pdv.context_id,
            part: pdv.part,
            bytes,
            last,
        };
        Ok((bytes.len(), Some(Decoded::Piece(piece))))
    }

    /// Moves `count` bytes on inside the present fragment, and behind it when it is complete.
    fn advance(&mut self, count: u32) -> Result<(), UlError> {
        if let Expect::Fragment { mut pdv, pdu_left } = self.expect {
            pdv.left = pdv.left.saturating_sub(count);
            self.expect = match (pdv.left, pdu_left) {
                (0, 0) => Expect::PduHeader,
                (0, pdu_left) => Expect::PdvHeader {
                    pdu_left: check_pdv_room(pdu_left)?,
                },
                _ => Expect::Fragment { pdv, pdu_left },
            };
        }
        Ok(())
    }
}

/// What is left of a P-DATA-TF PDU must hold a PDV header at least.
fn check_pdv_room(pdu_left: u32) -> Result<u32, UlError> {
    if (pdu_left as usize) < PDV_HEADER_BYTES {
        let error = UlErrorKind::Truncated {
            what: "presentation data value item",
            needed: PDV_HEADER_BYTES,
            left: pdu_left as usize,
        };
        return Err(error.into());
    }
    Ok(pdu_left)
}

/// Reads a PDV header; returns also what its PDU has behind its fragment.
fn read_pdv_header(header: [u8; PDV_HEADER_BYTES], pdu_left: u32) -> Result<(Pdv, u32), UlError> {
    let [l0, l1, l2, l3, context_id, control] = header;
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    let left = pdu_left - 4;
    if length < 2 || length > left {
        return Err(UlErrorKind::PdvLength { length, left }.into());
    }
    let part = if control & COMMAND_BIT != 0 {
        Part::Command
    } else {
        Part::DataSet
    };
    let pdv = Pdv {
        context_id,
        part,
        last: control & LAST_BIT != 0,
        left: length - 2,
    };
    Ok((pdv, left - length))
}
