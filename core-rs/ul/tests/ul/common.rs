//! What the tests of this crate share.

use vna_ul::{
    AssociateAc, AssociateRq, Association, ContextAnswer, ContextProposal, ContextResult,
    DICOM_APPLICATION_CONTEXT, Indication, Received, UserInformation,
};

pub const VERIFICATION: &str = "1.2.840.10008.1.1";
pub const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub const IMPLICIT: &str = "1.2.840.10008.1.2";
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// A request for Verification (context 1) and CT Image Storage (context 3).
pub fn request(max_pdu_bytes: u32) -> AssociateRq {
    AssociateRq {
        protocol_version: 1,
        called_ae_title: "VNA".into(),
        calling_ae_title: "CT01".into(),
        application_context: DICOM_APPLICATION_CONTEXT.into(),
        contexts: vec![
            ContextProposal {
                context_id: 1,
                abstract_syntax: VERIFICATION.into(),
                transfer_syntaxes: vec![IMPLICIT.into()],
            },
            ContextProposal {
                context_id: 3,
                abstract_syntax: CT.into(),
                transfer_syntaxes: vec![EXPLICIT.into(), IMPLICIT.into()],
            },
        ],
        user: UserInformation {
            max_pdu_bytes,
            implementation_class_uid: Some("1.2.3".into()),
            implementation_version_name: Some("TEST".into()),
            ..UserInformation::default()
        },
    }
}

/// Accepts every context with its first transfer syntax.
pub fn answer(request: &AssociateRq, max_pdu_bytes: u32) -> AssociateAc {
    let accept = |c: &ContextProposal| ContextAnswer {
        context_id: c.context_id,
        result: ContextResult::Acceptance,
        transfer_syntax: c.transfer_syntaxes[0].clone(),
    };
    AssociateAc {
        protocol_version: 1,
        called_ae_title: request.called_ae_title.clone(),
        calling_ae_title: request.calling_ae_title.clone(),
        application_context: request.application_context.clone(),
        contexts: request.contexts.iter().map(accept).collect(),
        user: UserInformation {
            max_pdu_bytes,
            ..UserInformation::default()
        },
    }
}

/// Moves what `from` has to send to `to`, in pieces of `piece` bytes, and returns what it indicated, with the data
/// set bytes copied out of the input.
pub fn transfer(from: &mut Association, to: &mut Association, piece: usize) -> Vec<Seen> {
    let bytes = from.output().to_vec();
    from.output_sent(bytes.len());
    feed(to, &bytes, piece)
}

/// An indication that owns its bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Data {
        context_id: u8,
        bytes: Vec<u8>,
        last: bool,
    },
    Other(Indication),
}

pub fn feed(to: &mut Association, bytes: &[u8], piece: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        let mut at = 0;
        loop {
            let (used, received) = to.receive(&piece[at..]);
            at += used;
            match received {
                None => break,
                Some(Received::Data {
                    context_id,
                    bytes,
                    last,
                }) => {
                    seen.push(Seen::Data {
                        context_id,
                        bytes: bytes.to_vec(),
                        last,
                    });
                }
                Some(Received::Indication(indication)) => seen.push(Seen::Other(indication)),
            }
        }
        assert_eq!(at, piece.len(), "all input is used");
    }
    seen
}

/// A requestor and an acceptor with an association between them.
pub fn pair(requestor_max: u32, acceptor_max: u32, piece: usize) -> (Association, Association) {
    let mut requestor = Association::requestor(request(requestor_max));
    let mut acceptor = Association::acceptor(acceptor_max);
    requestor.connected().unwrap();
    let seen = transfer(&mut requestor, &mut acceptor, piece);
    let [Seen::Other(Indication::Associate(request))] = &seen[..] else {
        panic!("{seen:?}")
    };
    acceptor.accept(&answer(request, acceptor_max)).unwrap();
    let seen = transfer(&mut acceptor, &mut requestor, piece);
    assert!(
        matches!(&seen[..], [Seen::Other(Indication::Accepted(_))]),
        "{seen:?}"
    );
    (requestor, acceptor)
}
