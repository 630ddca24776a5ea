//! P-DATA-TF PDUs to send (PS3.8 §9.3.5, §E): one PDV each, as long as the peer accepts.

use crate::limits::{MAX_PDU_BYTES, MIN_PEER_PDU_BYTES};
use crate::pdu::{PDU_HEADER_BYTES, PduHeader, PduKind};
use std::ops::Range;

/// Bytes of a PDV header: length (4), presentation context id (1), message control header (1).
pub const PDV_HEADER_BYTES: usize = 6;

/// Message control header bit: the fragment is of a command set.
pub const COMMAND_BIT: u8 = 1;
/// Message control header bit: the fragment is the last one.
pub const LAST_BIT: u8 = 2;

/// Which part of a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The command set.
    Command,
    /// The data set.
    DataSet,
}

/// The PDU and PDV headers before a fragment.
pub type FragmentHeaders = [u8; PDU_HEADER_BYTES + PDV_HEADER_BYTES];

/// Cuts `length` bytes of a message into fragments for a peer with this Maximum Length Received (0 for no limit). The
/// message part ends with them if `ends` says so; else more of it follows, and `length` is to be even (PS3.8 §E.1).
///
/// Yields for each fragment the headers to send before it, and which bytes it has; so that the bytes can be sent from
/// where they are.
pub fn fragments(
    context_id: u8,
    part: Part,
    length: usize,
    ends: bool,
    peer_max_pdu_bytes: u32,
) -> impl Iterator<Item = (FragmentHeaders, Range<usize>)> {
    let longest = longest_fragment(peer_max_pdu_bytes);
    let command_bit = if part == Part::Command {
        COMMAND_BIT
    } else {
        0
    };
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let end = length.min(start + longest);
        let last = end == length;
        next = (!last).then_some(end);
        let control = command_bit | if last && ends { LAST_BIT } else { 0 };
        Some((headers(context_id, control, end - start), start..end))
    })
}

/// The longest fragment for a peer: what its maximum leaves behind the PDV header, even as PS3.8 §E.1 wants it.
fn longest_fragment(peer_max_pdu_bytes: u32) -> usize {
    let max = match peer_max_pdu_bytes {
        0 => MAX_PDU_BYTES,
        max => max.clamp(MIN_PEER_PDU_BYTES, MAX_PDU_BYTES),
    };
    (max as usize - PDV_HEADER_BYTES) & !1
}

fn headers(context_id: u8, control: u8, length: usize) -> FragmentHeaders {
    // `longest_fragment` keeps this far below the limit of u32.
    let value_length = u32::try_from(length + 2).unwrap_or(u32::MAX);
    let pdu = PduHeader {
        kind: PduKind::PDataTf,
        length: value_length.saturating_add(4),
    }
    .to_bytes();
    let mut headers = [0; PDU_HEADER_BYTES + PDV_HEADER_BYTES];
    headers[..PDU_HEADER_BYTES].copy_from_slice(&pdu);
    headers[6..10].copy_from_slice(&value_length.to_be_bytes());
    headers[10] = context_id;
    headers[11] = control;
    headers
}

/// Appends a whole part of a message as P-DATA-TF PDUs.
pub fn write(out: &mut Vec<u8>, context_id: u8, part: Part, bytes: &[u8], peer_max_pdu_bytes: u32) {
    for (headers, range) in fragments(context_id, part, bytes.len(), true, peer_max_pdu_bytes) {
        out.extend_from_slice(&headers);
        out.extend_from_slice(&bytes[range]);
    }
}
