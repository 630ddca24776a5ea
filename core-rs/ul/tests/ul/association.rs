//! Two associations talk to each other, and one talks to a peer that does not know the rules.

use crate::common::*;
use vna_ul::command::{NO_DATA_SET, element};
use vna_ul::pdata::{self, Part};
use vna_ul::{
    Abort, ArtimRequest, AssociateRj, Association, CommandField, CommandSet, Indication, Received,
    State, StoreRequest,
};

fn store_request() -> StoreRequest {
    StoreRequest {
        message_id: 7,
        affected_sop_class_uid: CT.into(),
        affected_sop_instance_uid: "1.2.3.4".into(),
        priority: 0,
        move_originator: None,
    }
}

/// The source and reason of the A-ABORT in the output.
fn sent_abort(association: &Association) -> Abort {
    let [0x07, 0, 0, 0, 0, 4, body @ ..] = association.output() else {
        panic!("{:02X?}", association.output())
    };
    Abort::from_body(body.try_into().unwrap())
}

fn error_code(seen: &[Seen]) -> &'static str {
    match seen.last() {
        Some(Seen::Other(Indication::ProviderAborted(error))) => error.code(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_data_set_arrives_as_it_was_sent_in_whatever_pieces() {
    let data: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    for (peer_max, piece) in [
        (16_384, 1),
        (16_384, 4096),
        (0, 1 << 20),
        (8, 1000),
        (65_535, 65_536),
    ] {
        let (mut requestor, mut acceptor) = pair(
            16_384,
            if peer_max == 0 { 1 << 20 } else { peer_max },
            piece,
        );
        requestor
            .send_command(3, &store_request().to_command())
            .unwrap();
        requestor.send_data_set(3, &data).unwrap();
        let seen = transfer(&mut requestor, &mut acceptor, piece);
        let Seen::Other(Indication::Command {
            context_id: 3,
            command,
        }) = &seen[0]
        else {
            panic!("{:?}", seen[0])
        };
        assert_eq!(
            StoreRequest::from_command(command).unwrap(),
            store_request()
        );
        let mut received = Vec::new();
        for (i, part) in seen[1..].iter().enumerate() {
            let Seen::Data {
                context_id: 3,
                bytes,
                last,
            } = part
            else {
                panic!("{part:?}")
            };
            received.extend_from_slice(bytes);
            assert_eq!(
                *last,
                i == seen.len() - 2,
                "only the last piece is the last"
            );
        }
        assert!(received == data);
        assert!(!acceptor.receiving());
    }
}

#[test]
fn bytes_of_the_data_set_are_slices_of_the_input() {
    let (mut requestor, mut acceptor) = pair(0, 1 << 20, 4096);
    requestor
        .send_command(3, &store_request().to_command())
        .unwrap();
    transfer(&mut requestor, &mut acceptor, 4096);
    requestor.send_data_set(3, &[9; 1000]).unwrap();
    let input = requestor.output().to_vec();
    let (used, indication) = acceptor.receive(&input);
    let Some(Received::Data {
        bytes, last: true, ..
    }) = indication
    else {
        panic!("{indication:?}")
    };
    assert_eq!(used, input.len());
    assert_eq!(bytes.as_ptr(), input[12..].as_ptr());
}

#[test]
fn a_fragment_can_be_read_past_the_association() {
    let (mut requestor, mut acceptor) = pair(0, 1 << 20, 4096);
    requestor
        .send_command(3, &store_request().to_command())
        .unwrap();
    requestor.send_data_set(3, &[9; 1000]).unwrap();
    let bytes = requestor.output().to_vec();
    // Up to ten bytes into the data set.
    let seen = feed(&mut acceptor, &bytes[..bytes.len() - 990], 1 << 20);
    assert!(
        matches!(seen.last(), Some(Seen::Data { bytes, last: false, .. }) if bytes.len() == 10)
    );
    assert_eq!(acceptor.direct_bytes(), 990);
    assert_eq!(
        acceptor.took_direct(500),
        Some(Received::Data {
            context_id: 3,
            bytes: &[],
            last: false
        })
    );
    assert_eq!(acceptor.direct_bytes(), 490);
    assert_eq!(
        acceptor.took_direct(490),
        Some(Received::Data {
            context_id: 3,
            bytes: &[],
            last: true
        })
    );
    assert_eq!(acceptor.direct_bytes(), 0);
    assert!(!acceptor.receiving());
    assert_eq!(
        acceptor.took_direct(1),
        None,
        "more than announced is nobody's"
    );
}

#[test]
fn the_answered_maximum_is_respected() {
    for max in [8, 9, 100, 4096] {
        let (mut requestor, _) = pair(0, max, 4096);
        requestor
            .send_command(3, &store_request().to_command())
            .unwrap();
        requestor.send_data_set(3, &[1; 10_000]).unwrap();
        let mut output = requestor.output();
        while let [4, 0, a, b, c, d, rest @ ..] = output {
            let length = u32::from_be_bytes([*a, *b, *c, *d]);
            assert!(length <= max, "{length} > {max}");
            output = &rest[length as usize..];
        }
        assert!(output.is_empty());
    }
}

#[test]
fn an_empty_data_set_is_one_empty_last_fragment() {
    let (mut requestor, mut acceptor) = pair(0, 4096, 4096);
    requestor
        .send_command(3, &store_request().to_command())
        .unwrap();
    requestor.send_data_set(3, &[]).unwrap();
    let seen = transfer(&mut requestor, &mut acceptor, 4096);
    assert_eq!(
        seen[1..],
        [Seen::Data {
            context_id: 3,
            bytes: vec![],
            last: true
        }]
    );
}

#[test]
fn release_is_answered_and_waits_for_the_connection_to_close() {
    let (mut requestor, mut acceptor) = pair(0, 4096, 4096);
    let _ = acceptor.artim();
    requestor.release().unwrap();
    assert_eq!(
        transfer(&mut requestor, &mut acceptor, 1),
        [Seen::Other(Indication::Release)]
    );
    acceptor.respond_release().unwrap();
    assert_eq!(
        (acceptor.state(), acceptor.artim()),
        (State::Sta13, Some(ArtimRequest::Start))
    );
    assert_eq!(
        transfer(&mut acceptor, &mut requestor, 1),
        [Seen::Other(Indication::ReleaseConfirmed)]
    );
    assert!(requestor.wants_close());
    assert!(!acceptor.wants_close());
    assert!(!acceptor.transport_closed(), "nothing was cut off");
    assert_eq!(
        (acceptor.state(), acceptor.artim()),
        (State::Sta1, Some(ArtimRequest::Stop))
    );
}

#[test]
fn a_release_collision_ends_on_both_sides() {
    let (mut requestor, mut acceptor) = pair(0, 4096, 4096);
    requestor.release().unwrap();
    acceptor.release().unwrap();
    let (from_requestor, from_acceptor) = (requestor.output().to_vec(), acceptor.output().to_vec());
    requestor.output_sent(from_requestor.len());
    acceptor.output_sent(from_acceptor.len());
    assert_eq!(
        feed(&mut requestor, &from_acceptor, 99),
        [Seen::Other(Indication::Release)]
    );
    assert_eq!(
        feed(&mut acceptor, &from_requestor, 99),
        [Seen::Other(Indication::Release)]
    );
    assert_eq!(
        (requestor.state(), acceptor.state()),
        (State::Sta9, State::Sta10)
    );
    assert_eq!(
        acceptor.respond_release().unwrap_err().code(),
        "association.state"
    );
    requestor.respond_release().unwrap();
    assert_eq!(
        transfer(&mut requestor, &mut acceptor, 99),
        [Seen::Other(Indication::ReleaseConfirmed)]
    );
    acceptor.respond_release().unwrap();
    assert_eq!(
        transfer(&mut acceptor, &mut requestor, 99),
        [Seen::Other(Indication::ReleaseConfirmed)]
    );
    assert!(requestor.wants_close());
    assert_eq!(acceptor.state(), State::Sta13);
}

#[test]
fn artim_runs_until_the_request_is_there_and_its_end_closes() {
    let mut acceptor = Association::acceptor(4096);
    assert_eq!(acceptor.artim(), Some(ArtimRequest::Start));
    acceptor.artim_expired();
    assert!(acceptor.wants_close() && acceptor.output().is_empty());

    let (_, mut acceptor) = pair(0, 4096, 4096);
    assert_eq!(acceptor.artim(), Some(ArtimRequest::Stop));
    acceptor.artim_expired(); // too late to mean anything
    assert_eq!(acceptor.state(), State::Sta6);
}

#[test]
fn another_protocol_version_is_rejected_by_the_service_provider() {
    let mut pdu = Vec::new();
    let request = vna_ul::AssociateRq {
        protocol_version: 2,
        ..request(0)
    };
    request.write(&mut pdu).unwrap();
    let mut acceptor = Association::acceptor(4096);
    let rejection = AssociateRj::PROTOCOL_VERSION;
    assert_eq!(
        feed(&mut acceptor, &pdu, 99),
        [Seen::Other(Indication::Refused(rejection))]
    );
    assert_eq!(acceptor.output(), [3, 0, 0, 0, 0, 4, 0, 1, 2, 2]);
    assert_eq!(acceptor.state(), State::Sta13);
}

#[test]
fn each_violation_has_its_name_and_its_abort() {
    let echo = CommandSet::echo_request(1, VERIFICATION);
    let mut echo_bytes = Vec::new();
    echo.write(&mut echo_bytes);
    let pdu = |context, part, bytes: &[u8]| {
        let mut out = Vec::new();
        pdata::write(&mut out, context, part, bytes, 0);
        out
    };
    let mut store = Vec::new();
    store_request().to_command().write(&mut store);
    let not_last = |mut pdu: Vec<u8>| {
        pdu[11] &= !pdata::LAST_BIT;
        pdu
    };
    let not_group_0 = [8, 0, 0x18, 0, 2, 0, 0, 0, b'1', 0];
    let user = Abort::BY_USER;
    let cases: Vec<(&str, Abort, Vec<u8>)> = vec![
        (
            "pdu.unrecognized",
            Abort::UNRECOGNIZED_PDU,
            vec![0x99, 0, 0, 0, 0, 4],
        ),
        (
            "pdu.unrecognized",
            Abort::UNRECOGNIZED_PDU,
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ),
        (
            "pdu.unexpected",
            Abort::UNEXPECTED_PDU,
            vec![1, 0, 0, 0, 0, 200],
        ),
        (
            "pdu.unexpected",
            Abort::UNEXPECTED_PDU,
            vec![2, 0, 0, 0, 0, 200],
        ),
        (
            "pdu.unexpected",
            Abort::UNEXPECTED_PDU,
            vec![3, 0, 0, 0, 0, 4],
        ),
        (
            "pdu.unexpected",
            Abort::UNEXPECTED_PDU,
            vec![6, 0, 0, 0, 0, 4],
        ),
        (
            "pdu.too_long",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
        (
            "pdu.too_long",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0, 0, 0x10, 1],
        ),
        (
            "pdu.length",
            Abort::INVALID_PARAMETER,
            vec![5, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
        (
            "pdu.truncated",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0, 0, 0, 0],
        ),
        (
            "pdu.truncated",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0, 0, 0, 5, 0, 0, 0, 1, 1],
        ),
        (
            "pdv.length",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 3, 1, 3],
        ),
        (
            "pdv.length",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0, 0, 0, 6, 0xFF, 0xFF, 0xFF, 0xFF, 1, 3],
        ),
        (
            "pdv.length",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3],
        ),
        // Three bytes remain behind the PDV.
        (
            "pdu.truncated",
            Abort::INVALID_PARAMETER,
            vec![4, 0, 0, 0, 0, 9, 0, 0, 0, 2, 1, 1, 0, 0, 0],
        ),
        (
            "pdv.unknown_context",
            Abort::INVALID_PARAMETER,
            pdu(5, Part::Command, &echo_bytes),
        ),
        (
            "pdv.unknown_context",
            Abort::INVALID_PARAMETER,
            pdu(2, Part::Command, &echo_bytes),
        ),
        (
            "pdv.unexpected_fragment",
            Abort::UNEXPECTED_PARAMETER,
            pdu(3, Part::DataSet, &[0; 8]),
        ),
        (
            "pdv.unexpected_fragment",
            Abort::UNEXPECTED_PARAMETER,
            [pdu(3, Part::Command, &store), pdu(3, Part::Command, &store)].concat(),
        ),
        (
            "pdv.interleaved",
            Abort::UNEXPECTED_PARAMETER,
            [
                pdu(3, Part::Command, &store),
                pdu(1, Part::Command, &echo_bytes),
            ]
            .concat(),
        ),
        (
            "pdv.interleaved",
            Abort::UNEXPECTED_PARAMETER,
            [
                not_last(pdu(3, Part::Command, &store)),
                pdu(1, Part::Command, &echo_bytes),
            ]
            .concat(),
        ),
        (
            "command.too_long",
            user,
            not_last(pdu(1, Part::Command, &[0; 4000])).repeat(17),
        ),
        (
            "command.truncated",
            user,
            pdu(1, Part::Command, &echo_bytes[..echo_bytes.len() - 1]),
        ),
        (
            "command.truncated",
            user,
            pdu(1, Part::Command, &[0, 0, 2, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ),
        ("command.group", user, pdu(1, Part::Command, &not_group_0)),
        ("command.missing", user, pdu(1, Part::Command, &[])),
        (
            "command.missing",
            user,
            pdu(1, Part::Command, &[0, 0, 0, 1, 2, 0, 0, 0, 0x30, 0]),
        ),
        (
            "command.duplicate",
            user,
            pdu(
                1,
                Part::Command,
                &[echo_bytes.clone(), echo_bytes.clone()].concat(),
            ),
        ),
        (
            "command.value",
            user,
            pdu(1, Part::Command, &[0, 0, 0, 1, 1, 0, 0, 0, 0x30]),
        ),
    ];
    for (code, abort, bytes) in cases {
        for piece in [1, 7, bytes.len()] {
            let (_, mut acceptor) = pair(0, 4096, 4096);
            let seen = feed(&mut acceptor, &bytes, piece);
            assert_eq!(error_code(&seen), code, "{bytes:02X?}");
            assert_eq!(sent_abort(&acceptor), abort, "{code}");
            assert_eq!(acceptor.state(), State::Sta13);
            let sent = acceptor.output().len();
            assert_eq!(
                feed(&mut acceptor, &bytes, piece),
                [],
                "the rest is dropped"
            );
            assert_eq!(acceptor.output().len(), sent);
        }
    }
}

#[test]
fn before_a_request_everything_else_is_answered_by_an_abort() {
    let mut even = Vec::new();
    let mut bad = request(0);
    bad.contexts[0].context_id = 2;
    bad.write(&mut even).unwrap();
    let mut twice = Vec::new();
    bad.contexts[0].context_id = 3;
    bad.write(&mut twice).unwrap();
    let mut tiny = Vec::new();
    request(7).write(&mut tiny).unwrap();
    let cases = [
        (
            "pdu.unexpected",
            Abort::UNEXPECTED_PDU,
            vec![4, 0, 0, 0, 1, 0],
        ),
        (
            "pdu.unexpected",
            Abort::UNEXPECTED_PDU,
            vec![5, 0, 0, 0, 0, 4],
        ),
        (
            "pdu.too_long",
            Abort::INVALID_PARAMETER,
            vec![1, 0, 0xFF, 0xFF, 0xFF, 0xFF],
        ),
        (
            "pdu.truncated",
            Abort::INVALID_PARAMETER,
            [vec![1, 0, 0, 0, 0, 10], vec![0; 10]].concat(),
        ),
        ("context.even_id", Abort::INVALID_PARAMETER, even),
        ("context.duplicate_id", Abort::INVALID_PARAMETER, twice),
        ("pdu.maximum_length", Abort::INVALID_PARAMETER, tiny),
        ("pdu.unrecognized", Abort::UNRECOGNIZED_PDU, vec![0; 6]),
    ];
    for (code, abort, bytes) in cases {
        let mut acceptor = Association::acceptor(4096);
        let seen = feed(&mut acceptor, &bytes, bytes.len());
        assert_eq!(error_code(&seen), code);
        assert_eq!(sent_abort(&acceptor), abort, "{code}");
        assert_eq!(acceptor.artim(), Some(ArtimRequest::Start));
    }
}

#[test]
fn an_abort_of_the_peer_ends_it() {
    let (mut requestor, mut acceptor) = pair(0, 4096, 4096);
    requestor.abort().unwrap();
    assert_eq!(
        transfer(&mut requestor, &mut acceptor, 3),
        [Seen::Other(Indication::Aborted(Abort::BY_USER))]
    );
    assert!(acceptor.wants_close());
    assert_eq!(acceptor.state(), State::Sta1);
    assert_eq!(acceptor.abort().unwrap_err().code(), "association.state");
}

#[test]
fn pdus_after_a_rejection_are_ignored_but_a_new_request_is_aborted() {
    let mut acceptor = Association::acceptor(4096);
    let mut pdu = Vec::new();
    request(0).write(&mut pdu).unwrap();
    feed(&mut acceptor, &pdu, 99);
    acceptor.reject(AssociateRj::LOCAL_LIMIT).unwrap();
    assert_eq!(acceptor.output(), [3, 0, 0, 0, 0, 4, 0, 2, 3, 2]);
    acceptor.output_sent(10);
    let mut data = Vec::new();
    pdata::write(&mut data, 3, Part::DataSet, &[0; 100], 0);
    assert_eq!(feed(&mut acceptor, &data, 9), []);
    assert!(acceptor.output().is_empty());
    assert_eq!(feed(&mut acceptor, &pdu, 9), []);
    assert_eq!(sent_abort(&acceptor), Abort::UNEXPECTED_PDU);
    assert_eq!(acceptor.state(), State::Sta13);
}

#[test]
fn a_response_names_the_request() {
    let rsp = store_request().to_command().response(0xA700);
    assert_eq!(rsp.field(), Some(CommandField::CStoreRsp));
    assert_eq!(rsp.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(7));
    assert_eq!(rsp.us(element::STATUS), Some(0xA700));
    assert_eq!(rsp.us(element::COMMAND_DATA_SET_TYPE), Some(NO_DATA_SET));
    assert_eq!(rsp.text(element::AFFECTED_SOP_CLASS_UID), Some(CT));
    assert_eq!(
        rsp.text(element::AFFECTED_SOP_INSTANCE_UID),
        Some("1.2.3.4")
    );
    let delete = CommandSet::new(CommandField::NDeleteRq)
        .with_text(element::REQUESTED_SOP_CLASS_UID, CT)
        .with_text(element::REQUESTED_SOP_INSTANCE_UID, "1.2.3.4")
        .with_us(element::MESSAGE_ID, 9);
    let rsp = delete.response(0x0211);
    assert_eq!(rsp.field(), Some(CommandField::NDeleteRsp));
    assert_eq!(
        rsp.text(element::AFFECTED_SOP_INSTANCE_UID),
        Some("1.2.3.4")
    );
}

/// The bytes of a C-ECHO request as DCMTK's `echoscu` sends it.
#[test]
fn a_command_set_has_the_bytes_of_the_standard() {
    let mut bytes = Vec::new();
    CommandSet::echo_request(1, VERIFICATION).write(&mut bytes);
    let expected = [
        &[0, 0, 0, 0, 4, 0, 0, 0, 0x38, 0, 0, 0][..],
        &[0, 0, 2, 0, 18, 0, 0, 0],
        b"1.2.840.10008.1.1\0",
        &[0, 0, 0, 1, 2, 0, 0, 0, 0x30, 0],
        &[0, 0, 0x10, 1, 2, 0, 0, 0, 1, 0],
        &[0, 0, 0, 8, 2, 0, 0, 0, 1, 1],
    ]
    .concat();
    assert_eq!(bytes, expected);
}
