//! Written and read again, everything is as before; and what was changed on the way never does harm.

use crate::common::*;
use proptest::prelude::*;
use vna_ul::command::{Value, element};
use vna_ul::decoder::{Decoded, Decoder};
use vna_ul::pdata::{self, Part};
use vna_ul::{
    AssociateAc, AssociateRq, Association, CommandField, CommandSet, CommonExtendedNegotiation,
    ContextAnswer, ContextProposal, ContextResult, ExtendedNegotiation, Indication, Received,
    RoleSelection, UserIdentity, UserInformation,
};

fn uid() -> impl Strategy<Value = String> {
    proptest::collection::vec(0_u32..99_999, 1..8).prop_map(|parts| {
        parts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(".")
    })
}

fn ae_title() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(b"ABCxyz019_-. ".to_vec()), 0..=16)
        .prop_map(|bytes| String::from_utf8(bytes).unwrap().trim().to_owned())
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

fn user(request: bool) -> impl Strategy<Value = UserInformation> {
    let role =
        (uid(), any::<bool>(), any::<bool>()).prop_map(|(sop_class_uid, scu, scp)| RoleSelection {
            sop_class_uid,
            scu,
            scp,
        });
    let extended =
        (uid(), bytes(40)).prop_map(|(sop_class_uid, information)| ExtendedNegotiation {
            sop_class_uid,
            information,
        });
    let common = (uid(), uid(), proptest::collection::vec(uid(), 0..3)).prop_map(|(a, b, c)| {
        CommonExtendedNegotiation {
            sop_class_uid: a,
            service_class_uid: b,
            related_general_sop_class_uids: c,
        }
    });
    let identity =
        (1_u8..6, any::<bool>(), bytes(50), bytes(50)).prop_map(|(t, p, a, b)| UserIdentity {
            identity_type: t,
            positive_response_requested: p,
            primary: a,
            secondary: b,
        });
    (
        prop_oneof![Just(0_u32), 8..=u32::MAX],
        proptest::option::of(uid()),
        proptest::option::of("[A-Z][A-Z_0-9]{0,15}"),
        proptest::option::of(any::<(u16, u16)>()),
        proptest::collection::vec(role, 0..3),
        proptest::collection::vec(extended, 0..3),
        proptest::collection::vec(common, 0..3),
        proptest::option::of(identity),
        proptest::option::of(bytes(50)),
    )
        .prop_map(
            move |(max, class, name, window, roles, extended, common, identity, response)| {
                UserInformation {
                    max_pdu_bytes: max,
                    implementation_class_uid: class,
                    implementation_version_name: name,
                    async_window: window,
                    roles,
                    extended,
                    common_extended: if request { common } else { vec![] },
                    user_identity: identity.filter(|_| request),
                    user_identity_response: response.filter(|_| !request),
                }
            },
        )
}

fn associate_rq() -> impl Strategy<Value = AssociateRq> {
    let context = (uid(), proptest::collection::vec(uid(), 1..5));
    (
        any::<u16>(),
        ae_title(),
        ae_title(),
        uid(),
        proptest::collection::vec(context, 1..=128),
        user(true),
    )
        .prop_map(
            |(
                protocol_version,
                called_ae_title,
                calling_ae_title,
                application_context,
                contexts,
                user,
            )| AssociateRq {
                protocol_version,
                called_ae_title,
                calling_ae_title,
                application_context,
                contexts: (1..=255)
                    .step_by(2)
                    .zip(contexts)
                    .map(
                        |(context_id, (abstract_syntax, transfer_syntaxes))| ContextProposal {
                            context_id,
                            abstract_syntax,
                            transfer_syntaxes,
                        },
                    )
                    .collect(),
                user,
            },
        )
}

fn associate_ac() -> impl Strategy<Value = AssociateAc> {
    let result = proptest::sample::select(vec![
        ContextResult::Acceptance,
        ContextResult::UserRejection,
        ContextResult::NoReason,
        ContextResult::AbstractSyntaxNotSupported,
        ContextResult::TransferSyntaxesNotSupported,
        ContextResult::Reserved(9),
    ]);
    (
        associate_rq(),
        proptest::collection::vec((result, uid()), 0..20),
        user(false),
    )
        .prop_map(|(rq, answers, user)| AssociateAc {
            protocol_version: rq.protocol_version,
            called_ae_title: rq.called_ae_title,
            calling_ae_title: rq.calling_ae_title,
            application_context: rq.application_context,
            contexts: (1..=255)
                .step_by(2)
                .zip(answers)
                .map(|(context_id, (result, uid))| ContextAnswer {
                    context_id,
                    result,
                    transfer_syntax: if result == ContextResult::Acceptance {
                        uid
                    } else {
                        String::new()
                    },
                })
                .collect(),
            user,
        })
}

fn command_set() -> impl Strategy<Value = CommandSet> {
    use element::*;
    let us = |e| any::<u16>().prop_map(move |v| (e, Value::Us(v))).boxed();
    let ui = |e| uid().prop_map(move |v| (e, Value::Text(v))).boxed();
    let tags = |e| {
        proptest::collection::vec(any::<(u16, u16)>(), 0..9)
            .prop_map(move |v| (e, Value::Tags(v)))
            .boxed()
    };
    let ae = |e| ae_title().prop_map(move |v| (e, Value::Text(v))).boxed();
    let one = prop_oneof![
        ui(AFFECTED_SOP_CLASS_UID),
        ui(REQUESTED_SOP_CLASS_UID),
        us(MESSAGE_ID),
        us(MESSAGE_ID_BEING_RESPONDED_TO),
        ae(MOVE_DESTINATION),
        us(PRIORITY),
        us(STATUS),
        tags(OFFENDING_ELEMENT),
        "[a-z ]{0,40}[a-z]".prop_map(|v| (ERROR_COMMENT, Value::Text(v))),
        us(ERROR_ID),
        ui(AFFECTED_SOP_INSTANCE_UID),
        ui(REQUESTED_SOP_INSTANCE_UID),
        us(EVENT_TYPE_ID),
        tags(ATTRIBUTE_IDENTIFIER_LIST),
        us(ACTION_TYPE_ID),
        us(NUMBER_OF_REMAINING_SUBOPERATIONS),
        us(NUMBER_OF_COMPLETED_SUBOPERATIONS),
        us(NUMBER_OF_FAILED_SUBOPERATIONS),
        us(NUMBER_OF_WARNING_SUBOPERATIONS),
        ae(MOVE_ORIGINATOR_AE_TITLE),
        us(MOVE_ORIGINATOR_MESSAGE_ID),
    ];
    let field = proptest::sample::select(CommandField::ALL.to_vec());
    (field, any::<u16>(), proptest::collection::vec(one, 0..24)).prop_map(
        |(field, data_set, elements)| {
            let command = CommandSet::new(field).with_us(COMMAND_DATA_SET_TYPE, data_set);
            elements
                .into_iter()
                .fold(command, |command, (element, value)| {
                    command.with(element, value)
                })
        },
    )
}

/// Changes single bytes, cuts, and repeats.
#[derive(Debug, Clone)]
struct Mutation {
    bytes: Vec<(proptest::sample::Index, u8)>,
    cut: Option<proptest::sample::Index>,
    double: Option<(proptest::sample::Index, proptest::sample::Index)>,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let edge = prop_oneof![
        Just(0_u8),
        Just(1),
        Just(2),
        Just(0x7F),
        Just(0xFF),
        any::<u8>()
    ];
    (
        proptest::collection::vec((any::<proptest::sample::Index>(), edge), 0..6),
        proptest::option::weighted(0.2, any::<proptest::sample::Index>()),
        proptest::option::weighted(
            0.2,
            any::<(proptest::sample::Index, proptest::sample::Index)>(),
        ),
    )
        .prop_map(|(bytes, cut, double)| Mutation { bytes, cut, double })
}

impl Mutation {
    fn apply(&self, mut data: Vec<u8>) -> Vec<u8> {
        for (at, byte) in &self.bytes {
            let at = at.index(data.len());
            data[at] = *byte;
        }
        if let Some((a, b)) = &self.double {
            let (a, b) = (a.index(data.len()), b.index(data.len()));
            let piece = data[a.min(b)..a.max(b)].to_vec();
            data.splice(a..a, piece);
        }
        if let Some(at) = &self.cut {
            data.truncate(at.index(data.len()));
        }
        data
    }
}

/// One conversation from the requestor's side: request, echo, store, release.
fn conversation(request: &AssociateRq, command: &CommandSet, data: &[u8], max: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.write(&mut bytes).unwrap();
    let mut encoded = Vec::new();
    CommandSet::echo_request(1, VERIFICATION).write(&mut encoded);
    pdata::write(&mut bytes, 1, Part::Command, &encoded, max);
    encoded.clear();
    command.write(&mut encoded);
    pdata::write(&mut bytes, 3, Part::Command, &encoded, max);
    pdata::write(&mut bytes, 3, Part::DataSet, data, max);
    bytes.extend_from_slice(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    bytes
}

/// Plays an acceptor that accepts everything, and reads directly where it may. Returns how often it was called.
fn play_acceptor(bytes: &[u8], piece: usize) -> usize {
    let mut acceptor = Association::acceptor(4096);
    let mut at = 0;
    let mut calls = 0;
    let mut over = false;
    while at < bytes.len() && !acceptor.wants_close() {
        calls += 1;
        let direct = acceptor.direct_bytes().min(piece).min(bytes.len() - at);
        let end = bytes.len().min(at + piece);
        let indication = if direct > 0 && at % 2 == 0 {
            at += direct;
            acceptor.took_direct(direct)
        } else {
            let (used, indication) = acceptor.receive(&bytes[at..end]);
            at += used;
            indication
        };
        assert!(
            !over || indication.is_none(),
            "nothing is indicated after the end: {indication:?}"
        );
        match indication {
            Some(Received::Indication(Indication::Associate(request))) => {
                let accepted = acceptor.accept(&answer(&request, 4096));
                accepted
                    .or_else(|_| acceptor.reject(vna_ul::AssociateRj::REFUSED))
                    .unwrap();
            }
            Some(Received::Indication(Indication::Release)) => acceptor.respond_release().unwrap(),
            Some(Received::Indication(Indication::ProviderAborted(error))) => {
                assert!(!error.to_string().is_empty() && error.code().contains('.'));
                over = true;
            }
            _ => {}
        }
    }
    calls
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_reads_back(request in associate_rq()) {
        let mut pdu = Vec::new();
        request.write(&mut pdu).unwrap();
        prop_assert_eq!(AssociateRq::read(&pdu[6..]).unwrap(), request);
        prop_assert_eq!(u32::from_be_bytes(pdu[2..6].try_into().unwrap()) as usize, pdu.len() - 6);
    }

    #[test]
    fn an_answer_reads_back(answer in associate_ac()) {
        let mut pdu = Vec::new();
        answer.write(&mut pdu).unwrap();
        prop_assert_eq!(AssociateAc::read(&pdu[6..]).unwrap(), answer);
    }

    #[test]
    fn a_command_set_reads_back(command in command_set()) {
        let mut bytes = Vec::new();
        command.write(&mut bytes);
        prop_assert_eq!(bytes.len() % 2, 0);
        prop_assert_eq!(CommandSet::read(&bytes).unwrap(), command);
    }

    #[test]
    fn fragments_join_back(
        data in bytes(5000),
        max in 8_u32..600,
        piece in 1_usize..700,
        read in 1_usize..6000,
    ) {
        let mut stream = Vec::new();
        // As it is read from a disk, piece by piece; only the last one ends the data set.
        let reads = data.chunks(read).count().max(1);
        for n in 0..reads {
            let part = data.chunks(read).nth(n).unwrap_or_default();
            for (headers, range) in pdata::fragments(3, Part::DataSet, part.len(), n + 1 == reads, max) {
                stream.extend_from_slice(&headers);
                stream.extend_from_slice(&part[range]);
            }
        }
        let mut decoder = Decoder::new(max);
        let (mut joined, mut ended) = (Vec::new(), false);
        for chunk in stream.chunks(piece) {
            let mut at = 0;
            while let (used, Some(decoded)) = decoder.next(&chunk[at..]).unwrap() {
                at += used;
                if let Decoded::Piece(piece) = decoded {
                    prop_assert!(!ended);
                    joined.extend_from_slice(piece.bytes);
                    ended = piece.last;
                }
            }
        }
        prop_assert!(ended && decoder.between_pdus());
        prop_assert_eq!(joined, data);
    }

    #[test]
    fn a_mutated_conversation_does_no_harm(
        request in associate_rq(),
        command in command_set(),
        data in bytes(3000),
        max in 8_u32..4096,
        mutations in proptest::collection::vec(mutation(), 1..4),
        piece in 1_usize..5000,
    ) {
        let whole = conversation(&request, &command, &data, max);
        for mutation in &mutations {
            let bytes = mutation.apply(whole.clone());
            let calls = play_acceptor(&bytes, piece);
            // Each call uses bytes or ends a PDU, so hostile bytes cannot make the owner spin.
            prop_assert!(calls <= 2 * bytes.len() + 16);
        }
    }

    #[test]
    fn a_mutated_conversation_does_no_harm_behind_a_good_request(
        data in bytes(3000),
        command in command_set(),
        mutations in proptest::collection::vec(mutation(), 1..8),
        piece in 1_usize..5000,
    ) {
        let mut request_pdu = Vec::new();
        request(4096).write(&mut request_pdu).unwrap();
        let rest = conversation(&request(4096), &command, &data, 512)[request_pdu.len()..].to_vec();
        for mutation in &mutations {
            play_acceptor(&[&request_pdu[..], &mutation.apply(rest.clone())].concat(), piece);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(kind in 0_u8..9, data in bytes(600), piece in 1_usize..50) {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        let framed = [&[kind, 0][..], &length, &data].concat();
        play_acceptor(&framed, piece);
        play_acceptor(&data, piece);
        let _ = CommandSet::read(&data);
        let _ = AssociateRq::read(&data);
        let _ = AssociateAc::read(&data);
    }

    #[test]
    fn a_mutated_answer_does_no_harm(answer in associate_ac(), mutation in mutation(), piece in 1_usize..900) {
        let mut pdu = Vec::new();
        answer.write(&mut pdu).unwrap();
        let mut requestor = Association::requestor(request(4096));
        requestor.connected().unwrap();
        feed(&mut requestor, &mutation.apply(pdu), piece);
    }
}

/// Text inside an AE title that only looks like padding.
#[test]
fn an_ae_title_keeps_its_inner_spaces() {
    let mut pdu = Vec::new();
    AssociateRq {
        called_ae_title: "A B".into(),
        ..request(0)
    }
    .write(&mut pdu)
    .unwrap();
    assert_eq!(AssociateRq::read(&pdu[6..]).unwrap().called_ae_title, "A B");
    pdu[10] = b'\\';
    assert_eq!(
        AssociateRq::read(&pdu[6..]).unwrap_err().code(),
        "pdu.ae_title"
    );
}

#[test]
fn what_does_not_fit_its_field_is_not_written() {
    let mut out = vec![1, 2, 3];
    let long = AssociateRq {
        called_ae_title: "SEVENTEEN_LETTERS".into(),
        ..request(0)
    };
    assert_eq!(long.write(&mut out).unwrap_err().code(), "pdu.unencodable");
    let mut wide = request(0);
    wide.user.extended = vec![ExtendedNegotiation {
        sop_class_uid: CT.into(),
        information: vec![0; 65_530],
    }];
    assert_eq!(wide.write(&mut out).unwrap_err().code(), "pdu.unencodable");
    assert_eq!(out, [1, 2, 3], "nothing half written remains");
}

#[test]
fn secrets_are_not_printed() {
    let identity = UserIdentity {
        identity_type: 2,
        positive_response_requested: false,
        primary: b"alice".to_vec(),
        secondary: b"hunter2".to_vec(),
    };
    let shown = format!("{identity:?}");
    assert!(
        !shown.contains("alice") && !shown.contains("104, 117"),
        "{shown}"
    );
}
