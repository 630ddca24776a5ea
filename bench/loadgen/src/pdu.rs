//! The little of the upper layer (PS3.8) and of DIMSE (PS3.7) that a C-STORE requester needs.
//!
//! Data sets arrive here as a head, which differs between objects, and a tail, which many share.
//! Both are framed into P-DATA-TF PDUs before they are sent, so that sending is one system call
//! over two buffers and nothing is copied in user space while the clock runs.

use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Largest PDU that we send to a peer that sets no limit or a larger one.
pub const LARGEST_PDU_BYTES: usize = 1 << 20;
/// What we offer to receive, and the most that we accept: answers are some hundred bytes.
const RECEIVED_PDU_BYTES: usize = 16_384;
/// What we call ourselves.
pub const CALLING_AE_TITLE: &str = "LOADGEN";
const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Under root 2.25, generated once for this program.
const IMPLEMENTATION_CLASS_UID: &str = "2.25.212480713386211583201402736571902310047";

/// What went wrong on an association.
#[derive(Debug)]
pub enum AssociationError {
    /// The stream failed, ended, or nothing came within the timeout.
    Io(io::Error),
    /// The peer rejected the association: result, source, reason (PS3.8 §9.3.4).
    Rejected(u8, u8, u8),
    /// The peer aborted the association: source, reason (PS3.8 §9.3.8).
    Aborted(u8, u8),
    /// The peer accepted no presentation context for this SOP class and transfer syntax.
    NoContext(String),
    /// The peer sent something else than the answer that was due.
    Unexpected(String),
}

impl std::fmt::Display for AssociationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "stream: {error}"),
            Self::Rejected(result, source, reason) => {
                write!(
                    f,
                    "association rejected: result {result}, source {source}, reason {reason}"
                )
            }
            Self::Aborted(source, reason) => {
                write!(f, "association aborted: source {source}, reason {reason}")
            }
            Self::NoContext(what) => write!(f, "no presentation context accepted for {what}"),
            Self::Unexpected(what) => write!(f, "unexpected answer: {what}"),
        }
    }
}

impl std::error::Error for AssociationError {}

impl From<io::Error> for AssociationError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A SOP class and the one transfer syntax offered for it.
pub type Offer = (&'static str, &'static str);

/// An open association.
pub struct Association {
    stream: BufReader<TcpStream>,
    accepted: Vec<(Offer, u8)>,
    /// Largest data fragment of a PDV: the negotiated PDU size less the PDV's header, made even.
    pub max_fragment_bytes: usize,
}

impl Association {
    /// Connects and negotiates one presentation context for every offer.
    pub fn open(
        address: impl ToSocketAddrs,
        called_ae_title: &str,
        offers: &[Offer],
        max_pdu_bytes: usize,
        timeout: Duration,
    ) -> Result<Self, AssociationError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let mut association = Self {
            stream: BufReader::with_capacity(RECEIVED_PDU_BYTES, stream),
            accepted: Vec::new(),
            max_fragment_bytes: 0,
        };
        let request = associate_request(called_ae_title, offers, &[], RECEIVED_PDU_BYTES);
        association.stream.get_mut().write_all(&request)?;
        let (kind, body) = association.read_pdu()?;
        match (kind, body.as_slice()) {
            (2, body) => association.accept(body, offers, max_pdu_bytes)?,
            (3, &[_, result, source, reason]) => {
                return Err(AssociationError::Rejected(result, source, reason));
            }
            (kind, _) => return Err(unexpected_pdu(kind, &body)),
        }
        Ok(association)
    }

    /// The accepted presentation context for `offer`.
    pub fn context_id(&self, offer: Offer) -> Result<u8, AssociationError> {
        let found = self
            .accepted
            .iter()
            .find(|(accepted, _)| *accepted == offer);
        found
            .map(|&(_, id)| id)
            .ok_or_else(|| AssociationError::NoContext(format!("{} in {}", offer.0, offer.1)))
    }

    /// Sends a framed message: two buffers, usually one system call.
    pub fn send(&mut self, prefix: &[u8], tail: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        let total = prefix.len() + tail.len();
        let mut sent = 0;
        while sent < total {
            let written = if sent < prefix.len() {
                stream.write_vectored(&[IoSlice::new(&prefix[sent..]), IoSlice::new(tail)])
            } else {
                stream.write(&tail[sent - prefix.len()..])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for the answer to message `message_id` and returns its status.
    pub fn receive_status(&mut self, message_id: u16) -> Result<u16, AssociationError> {
        let mut command = Vec::new();
        loop {
            let (kind, body) = self.read_pdu()?;
            if kind != 4 {
                return Err(unexpected_pdu(kind, &body));
            }
            if append_command(&body, &mut command)? {
                break;
            }
        }
        let answered = command_us(&command, 0x0120);
        if answered != Some(message_id) {
            let text = format!("answer to message {answered:?}, {message_id} was sent");
            return Err(AssociationError::Unexpected(text));
        }
        command_us(&command, 0x0900)
            .ok_or_else(|| AssociationError::Unexpected("answer without (0000,0900) Status".into()))
    }

    /// Releases the association and waits for the answer.
    pub fn release(mut self) -> Result<(), AssociationError> {
        self.stream
            .get_mut()
            .write_all(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0])?;
        match self.read_pdu()? {
            (6, _) => Ok(()),
            (kind, body) => Err(unexpected_pdu(kind, &body)),
        }
    }

    fn read_pdu(&mut self) -> Result<(u8, Vec<u8>), AssociationError> {
        if self.stream.fill_buf()?.is_empty() {
            let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the peer");
            return Err(closed.into());
        }
        let mut header = [0; 6];
        self.stream.read_exact(&mut header)?;
        let [kind, _, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if length > RECEIVED_PDU_BYTES {
            let text = format!("PDU of {length} bytes, {RECEIVED_PDU_BYTES} were negotiated");
            return Err(AssociationError::Unexpected(text));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }

    fn accept(
        &mut self,
        body: &[u8],
        offers: &[Offer],
        max_pdu_bytes: usize,
    ) -> Result<(), AssociationError> {
        let (accepted, peer_max) = read_acceptance(body, offers)?;
        self.accepted = accepted;
        // Zero means no limit (PS3.8 §D.1).
        let max_pdu = if peer_max == 0 {
            max_pdu_bytes
        } else {
            peer_max.min(max_pdu_bytes)
        };
        self.max_fragment_bytes = (max_pdu.max(512) - 6) & !1;
        Ok(())
    }
}

/// What an A-ASSOCIATE-AC accepts of the offers, and the peer's Maximum Length Received.
pub fn read_acceptance(
    body: &[u8],
    offers: &[Offer],
) -> Result<(Vec<(Offer, u8)>, usize), AssociationError> {
    let truncated = || AssociationError::Unexpected("A-ASSOCIATE-AC ends inside an item".into());
    let (mut accepted, mut peer_max) = (Vec::new(), 0);
    for (kind, value) in items(body.get(68..).ok_or_else(truncated)?).ok_or_else(truncated)? {
        match (kind, value) {
            (0x21, &[id, _, 0, _, ..]) => {
                let offer = offers.get(usize::from(id / 2)).ok_or_else(truncated)?;
                accepted.push((*offer, id));
            }
            (0x50, value) => {
                for (kind, value) in items(value).ok_or_else(truncated)? {
                    if let (0x51, &[a, b, c, d]) = (kind, value) {
                        peer_max = u32::from_be_bytes([a, b, c, d]) as usize;
                    }
                }
            }
            _ => {}
        }
    }
    Ok((accepted, peer_max))
}

/// Frames the messages of one association.
pub struct Framer {
    pub context_id: u8,
    pub max_fragment_bytes: usize,
}

impl Framer {
    /// Appends to `prefix` the command set and the data set's part up to the end of `head`.
    /// What follows is [`Self::tail`] of the same head length.
    pub fn prefix(&self, command: &[u8], head: &[u8], tail_bytes: usize, prefix: &mut Vec<u8>) {
        self.fragment_header(command.len(), 0x03, prefix);
        prefix.extend_from_slice(command);
        let total = head.len() + tail_bytes;
        let mut at = 0;
        while at < head.len() {
            let end = total.min(at + self.max_fragment_bytes);
            self.fragment_header(end - at, u8::from(end == total) << 1, prefix);
            prefix.extend_from_slice(&head[at..end.min(head.len())]);
            at = end;
        }
    }

    /// The framed rest of a data set whose first `head_bytes` bytes are in the prefix.
    pub fn tail(&self, head_bytes: usize, tail: &[u8]) -> Vec<u8> {
        let total = head_bytes + tail.len();
        let mut framed = Vec::with_capacity(tail.len() + tail.len() / 256 + 64);
        let begun = head_bytes
            .next_multiple_of(self.max_fragment_bytes)
            .min(total);
        framed.extend_from_slice(&tail[..begun - head_bytes]);
        let mut at = begun;
        while at < total {
            let end = total.min(at + self.max_fragment_bytes);
            self.fragment_header(end - at, u8::from(end == total) << 1, &mut framed);
            framed.extend_from_slice(&tail[at - head_bytes..end - head_bytes]);
            at = end;
        }
        framed
    }

    fn fragment_header(&self, bytes: usize, control: u8, out: &mut Vec<u8>) {
        let item = u32::try_from(bytes + 2).expect("fragments are below the largest PDU");
        out.extend_from_slice(&[4, 0]);
        out.extend_from_slice(&(item + 4).to_be_bytes());
        out.extend_from_slice(&item.to_be_bytes());
        out.extend_from_slice(&[self.context_id, control]);
    }
}

/// The command set of a C-STORE-RQ (PS3.7 §9.3.1.1).
pub fn store_request(sop_class_uid: &str, sop_instance_uid: &str, message_id: u16) -> Vec<u8> {
    command_set(&[
        (0x0002, uid_value(sop_class_uid)),
        (0x0100, 0x0001_u16.to_le_bytes().to_vec()),
        (0x0110, message_id.to_le_bytes().to_vec()),
        (0x0700, 0_u16.to_le_bytes().to_vec()),
        (0x0800, 1_u16.to_le_bytes().to_vec()),
        (0x1000, uid_value(sop_instance_uid)),
    ])
}

/// The command set of a C-ECHO-RQ (PS3.7 §9.3.5.1).
pub fn echo_request(message_id: u16) -> Vec<u8> {
    command_set(&[
        (0x0002, uid_value(VERIFICATION)),
        (0x0100, 0x0030_u16.to_le_bytes().to_vec()),
        (0x0110, message_id.to_le_bytes().to_vec()),
        (0x0800, 0x0101_u16.to_le_bytes().to_vec()),
    ])
}

/// Verification SOP class.
pub const VERIFICATION: &str = "1.2.840.10008.1.1";

pub fn uid_value(uid: &str) -> Vec<u8> {
    let mut value = uid.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    value
}

/// Implicit VR Little Endian, group length first (PS3.7 §6.3.1).
pub fn command_set(elements: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (element, value) in elements {
        command_element(*element, value, &mut body);
    }
    let length = u32::try_from(body.len()).expect("command sets are short");
    let mut command = Vec::with_capacity(body.len() + 12);
    command_element(0x0000, &length.to_le_bytes(), &mut command);
    command.extend_from_slice(&body);
    command
}

fn command_element(element: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&element.to_le_bytes());
    let length = u32::try_from(value.len()).expect("command elements are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value);
}

/// The US element (0000,`element`) of a command set.
fn command_us(mut command: &[u8], element: u16) -> Option<u16> {
    while let [g0, g1, e0, e1, a, b, c, d, rest @ ..] = command {
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let value = rest.get(..length)?;
        if (
            u16::from_le_bytes([*g0, *g1]),
            u16::from_le_bytes([*e0, *e1]),
        ) == (0, element)
        {
            return Some(u16::from_le_bytes(value.try_into().ok()?));
        }
        command = &rest[length..];
    }
    None
}

/// Appends the command fragments of a P-DATA-TF body; true after the last one.
fn append_command(mut body: &[u8], command: &mut Vec<u8>) -> Result<bool, AssociationError> {
    let broken = || AssociationError::Unexpected("P-DATA-TF ends inside a PDV".into());
    let mut last = false;
    while let [a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let [_, control, fragment @ ..] = rest.get(..length).ok_or_else(broken)? else {
            return Err(broken());
        };
        if control & 1 == 0 {
            return Err(AssociationError::Unexpected(
                "a data set, an answer was due".into(),
            ));
        }
        command.extend_from_slice(fragment);
        last = control & 2 != 0;
        body = &rest[length..];
    }
    Ok(last)
}

/// Splits the items of an A-ASSOCIATE PDU; `None` if one ends beyond `bytes`.
pub fn items(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let [kind, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        found.push((*kind, rest.get(..length)?));
        bytes = &rest[length..];
    }
    Some(found)
}

pub fn unexpected_pdu(kind: u8, body: &[u8]) -> AssociationError {
    match (kind, body) {
        (7, &[_, _, source, reason]) => AssociationError::Aborted(source, reason),
        _ => AssociationError::Unexpected(format!("PDU of type {kind}")),
    }
}

/// An A-ASSOCIATE-RQ with one presentation context for every offer, the peer being SCU of the classes in `served`.
/// `received_pdu_bytes` is our Maximum Length Received.
pub fn associate_request(
    called_ae_title: &str,
    offers: &[Offer],
    served: &[&str],
    received_pdu_bytes: usize,
) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 0];
    for title in [called_ae_title, CALLING_AE_TITLE] {
        body.extend_from_slice(format!("{title:<16.16}").as_bytes());
    }
    body.extend_from_slice(&[0; 32]);
    item(0x10, APPLICATION_CONTEXT.as_bytes(), &mut body);
    for (index, (abstract_syntax, transfer_syntax)) in offers.iter().enumerate() {
        // Odd only, 1 to 255 (PS3.8 §9.3.2.2): one association offers at most 128 contexts.
        let id = u8::try_from(index * 2 + 1).expect("at most 128 presentation contexts");
        let mut context = vec![id, 0, 0, 0];
        item(0x30, abstract_syntax.as_bytes(), &mut context);
        item(0x40, transfer_syntax.as_bytes(), &mut context);
        item(0x20, &context, &mut body);
    }
    let mut user = Vec::new();
    let offered = u32::try_from(received_pdu_bytes).expect("below 4 GiB");
    item(0x51, &offered.to_be_bytes(), &mut user);
    item(0x52, IMPLEMENTATION_CLASS_UID.as_bytes(), &mut user);
    for sop_class_uid in served {
        // SCP/SCU role selection (PS3.7 §D.3.3.4): we are SCP too.
        let mut role = Vec::new();
        let length = u16::try_from(sop_class_uid.len()).expect("a UID is short");
        role.extend_from_slice(&length.to_be_bytes());
        role.extend_from_slice(sop_class_uid.as_bytes());
        role.extend_from_slice(&[1, 1]);
        item(0x54, &role, &mut user);
    }
    item(0x55, b"VNA_LOADGEN", &mut user);
    item(0x50, &user, &mut body);
    let mut pdu = vec![1, 0];
    let length = u32::try_from(body.len()).expect("an A-ASSOCIATE-RQ is short");
    pdu.extend_from_slice(&length.to_be_bytes());
    pdu.extend_from_slice(&body);
    pdu
}

pub fn item(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind, 0]);
    let length = u16::try_from(value.len()).expect("items of the generator are short");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins the fragments of P-DATA-TF PDUs: (command, data set, number of PDUs).
    fn unframe(mut bytes: &[u8], max_fragment: usize) -> (Vec<u8>, Vec<u8>, usize) {
        let (mut command, mut data, mut pdus, mut ended) = (Vec::new(), Vec::new(), 0, false);
        while !bytes.is_empty() {
            assert_eq!(bytes[..2], [4, 0]);
            let pdu = u32::from_be_bytes(bytes[2..6].try_into().unwrap()) as usize;
            let item = u32::from_be_bytes(bytes[6..10].try_into().unwrap()) as usize;
            assert_eq!(pdu, item + 4);
            assert_eq!(bytes[10], 7, "context");
            assert!(!ended, "a fragment after the last one");
            let (control, fragment) = (bytes[11], &bytes[12..6 + pdu]);
            assert!(fragment.len() <= max_fragment || control & 1 == 1);
            if control & 1 == 1 {
                assert_eq!(control, 3);
                command.extend_from_slice(fragment);
            } else {
                data.extend_from_slice(fragment);
                ended = control == 2;
            }
            pdus += 1;
            bytes = &bytes[6 + pdu..];
        }
        assert!(ended, "no last fragment");
        (command, data, pdus)
    }

    #[test]
    fn framed_fragments_join_back_to_the_data_set() {
        let bytes: Vec<u8> = (0..2_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        for max_fragment_bytes in [100, 250, 500, 4_096] {
            for head in [0, 1, 99, 100, 101, 250, 499, 500, 501, 1_000, 2_000] {
                for total in [head.max(1), head + 1, 700, 1_000, 2_000] {
                    if total < head || total > bytes.len() {
                        continue;
                    }
                    let framer = Framer {
                        context_id: 7,
                        max_fragment_bytes,
                    };
                    let mut wire = Vec::new();
                    framer.prefix(b"command", &bytes[..head], total - head, &mut wire);
                    wire.extend(framer.tail(head, &bytes[head..total]));
                    let (command, data, pdus) = unframe(&wire, max_fragment_bytes);
                    assert_eq!(command, b"command");
                    assert_eq!(data, &bytes[..total], "{max_fragment_bytes} {head} {total}");
                    assert_eq!(pdus, 1 + total.div_ceil(max_fragment_bytes));
                }
            }
        }
    }

    #[test]
    fn a_status_is_found_behind_other_command_elements() {
        let command = command_set(&[
            (0x0002, uid_value(VERIFICATION)),
            (0x0120, 9_u16.to_le_bytes().to_vec()),
            (0x0900, 0xA700_u16.to_le_bytes().to_vec()),
        ]);
        assert_eq!(command_us(&command, 0x0900), Some(0xA700));
        assert_eq!(command_us(&command, 0x0120), Some(9));
        assert_eq!(command_us(&command, 0x0110), None);
        assert_eq!(command_us(&command[..command.len() - 1], 0x0900), None);
    }
}
