//! What peers that keep to the rules get.

use super::peer::*;
use super::*;
use vna_ul::command::{NO_DATA_SET, Value, element};
use vna_ul::{
    Abort, AssociateRj, AssociateRq, CommandField, CommandSet, ContextProposal, Indication,
};

#[test]
fn an_echo_is_answered() {
    let bench = Bench::new();
    let mut peer = bench.peer();
    assert_eq!(peer.echo(), status::SUCCESS);
    assert_eq!(peer.echo(), status::SUCCESS);
    peer.release();
    eventually("the release is counted", || bench.ended("released") == 1);
    let snapshot = bench.server().counters();
    assert_eq!(
        (
            snapshot.totals.echoes,
            snapshot.totals.accepted,
            snapshot.open_associations
        ),
        (2, 1, 0)
    );
}

#[test]
fn data_sets_arrive_byte_for_byte_behind_the_prefix() {
    for max_pdu_bytes in [4096, 16_384, 65_537, 1 << 20] {
        let bench = Bench::with(
            Policy {
                max_pdu_bytes,
                ..Policy::default()
            },
            64 << 20,
            8 << 20,
        );
        let mut peer = bench.peer();
        let sizes = [
            0, 1, 3000, 65_523, 65_536, 65_537, 500_001, 20, 2_000_000, 524_288, 7,
        ];
        for (id, size) in (1..).zip(sizes) {
            assert_eq!(peer.store(id, &pattern(size, id.into())), status::SUCCESS);
        }
        peer.release();
        let stored = bench.stored();
        assert_eq!(stored.len(), sizes.len());
        for ((id, size), instance) in (1_u16..).zip(sizes).zip(&stored) {
            assert_eq!(&instance.bytes[..PREFIX.len()], PREFIX);
            assert!(
                instance.bytes[PREFIX.len()..] == pattern(size, id.into()),
                "{size} bytes"
            );
            assert_eq!(instance.parts, 0, "{size} bytes are not streamed");
            let header = &instance.header;
            assert_eq!(header.affected_sop_instance_uid, format!("1.2.3.{id}"));
            assert_eq!(header.affected_sop_class_uid, CT);
            assert_eq!(&*header.transfer_syntax_uid, EXPLICIT);
            assert_eq!(header.origin.calling_ae_title, "CT01");
            assert_eq!(header.origin.called_ae_title, "VNA");
            assert!(header.origin.remote_address.ip().is_loopback());
        }
        let bytes: usize = sizes.iter().sum();
        assert_eq!(
            bench.server().counters().totals.data_set_bytes,
            bytes as u64
        );
        eventually("the summary", || !bench.sink.summaries.lock().is_empty());
        let summary = bench.sink.summaries.lock()[0].clone();
        assert_eq!(
            (summary.end, summary.stored, summary.bytes),
            ("released", sizes.len() as u64, bytes as u64)
        );
    }
}

#[test]
fn the_way_bytes_are_cut_into_packets_does_not_matter() {
    use std::io::Write;
    let bench = Bench::new();
    let mut peer = bench.peer();
    let data = pattern(100_000, 5);
    for (id, piece) in (1..).zip([1, 2, 11, 13, 1000, 4097]) {
        peer.association
            .send_command(CT_CONTEXT, &store_request(id).to_command())
            .unwrap();
        peer.association
            .send_data_set(CT_CONTEXT, &data[..piece * 20])
            .unwrap();
        let bytes = peer.association.output().to_vec();
        peer.association.output_sent(bytes.len());
        for (i, chunk) in bytes.chunks(piece).enumerate() {
            peer.stream.write_all(chunk).unwrap();
            if i % 50 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(peer.status(), status::SUCCESS);
        assert!(bench.stored().last().unwrap().bytes[PREFIX.len()..] == data[..piece * 20]);
    }
}

#[test]
fn large_objects_are_handed_on_in_parts_as_they_arrive() {
    let bench = Bench::with(Policy::default(), 4 << 20, 64 << 10);
    let mut peer = bench.peer();
    let large = pattern(5_000_000, 1);
    assert_eq!(peer.store(1, &large), status::SUCCESS);
    assert_eq!(peer.store(2, &large[..1000]), status::SUCCESS);
    let stored = bench.stored();
    assert!(stored[0].bytes == [PREFIX, &large].concat());
    assert!(stored[0].parts >= 5, "{}", stored[0].parts);
    assert!(stored[1].bytes == [PREFIX, &large[..1000]].concat());
    assert_eq!(stored[1].parts, 0);
    let snapshot = bench.server().counters();
    assert_eq!((snapshot.totals.streamed, snapshot.totals.stored), (1, 2));
    assert_eq!(snapshot.totals.data_set_bytes, 5_001_000);
    assert_eq!(bench.sink.given_up.load(Ordering::SeqCst), 0);
}

#[test]
fn the_sinks_status_is_the_answer() {
    let bench = Bench::with(Policy::default(), 4 << 20, 64 << 10);
    let mut peer = bench.peer();
    for status in [
        status::OUT_OF_RESOURCES,
        status::DATA_SET_MISMATCH,
        status::CANNOT_UNDERSTAND,
    ] {
        bench.sink.status.store(status, Ordering::SeqCst);
        assert_eq!(peer.store(1, &[1; 100]), status);
    }
    bench.sink.status.store(status::SUCCESS, Ordering::SeqCst);
    bench
        .sink
        .refuse_stream
        .store(status::OUT_OF_RESOURCES, Ordering::SeqCst);
    assert_eq!(
        peer.store(2, &vec![1; 3_000_000]),
        status::OUT_OF_RESOURCES,
        "a stream is refused"
    );
    assert_eq!(
        peer.store(3, &[1; 100]),
        status::SUCCESS,
        "and the association goes on"
    );
    let totals = bench.server().counters().totals;
    assert_eq!((totals.stored, totals.refused), (1, 4));
}

#[test]
fn what_is_not_c_store_or_c_echo_is_refused_on_its_context() {
    let bench = Bench::new();
    let mut peer = bench.peer();
    let find = CommandSet::query_request(CommandField::CFindRq, 9, CT, None);
    for context in [ECHO_CONTEXT, CT_CONTEXT] {
        peer.association.send_command(context, &find).unwrap();
        peer.association
            .send_data_set(context, &[0; 50_000])
            .unwrap();
        peer.send();
        let response = peer.response();
        assert_eq!(
            response.us(element::STATUS),
            Some(status::UNRECOGNIZED_OPERATION)
        );
        assert_eq!(response.field(), Some(CommandField::CFindRsp));
        assert_eq!(response.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(9));
    }
    let mut refuse = |context, command: &CommandSet, data: Option<&[u8]>| {
        peer.association.send_command(context, command).unwrap();
        if let Some(data) = data {
            peer.association.send_data_set(context, data).unwrap();
        }
        peer.send();
        peer.status()
    };
    let delete = CommandSet::new(CommandField::NDeleteRq)
        .with_us(element::MESSAGE_ID, 4)
        .with_us(element::COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    assert_eq!(
        refuse(CT_CONTEXT, &delete, None),
        status::UNRECOGNIZED_OPERATION
    );
    assert_eq!(
        refuse(CT_CONTEXT, &CommandSet::echo_request(1, CT), None),
        status::UNRECOGNIZED_OPERATION
    );
    let store = store_request(5).to_command();
    assert_eq!(
        refuse(ECHO_CONTEXT, &store, Some(&[0; 10])),
        status::SOP_CLASS_NOT_SUPPORTED
    );
    let other = store
        .clone()
        .with_text(element::AFFECTED_SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.4");
    assert_eq!(
        refuse(CT_CONTEXT, &other, Some(&[0; 10])),
        status::SOP_CLASS_NOT_SUPPORTED
    );
    let no_instance = CommandSet::query_request(CommandField::CStoreRq, 6, CT, None);
    assert_eq!(
        refuse(CT_CONTEXT, &no_instance, Some(&[0; 10])),
        status::CANNOT_UNDERSTAND
    );
    let no_data = store.with_us(element::COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    assert_eq!(
        refuse(CT_CONTEXT, &no_data, None),
        status::CANNOT_UNDERSTAND
    );

    // A C-CANCEL has no response; the next answer is that of the echo.
    peer.association
        .send_command(CT_CONTEXT, &CommandSet::cancel_request(9))
        .unwrap();
    assert_eq!(peer.echo(), status::SUCCESS);
    assert_eq!(bench.stored().len(), 0);
}

#[test]
fn a_response_that_nobody_asked_for_is_an_abort() {
    let bench = Bench::new();
    let mut peer = bench.peer();
    let response = store_request(1).to_command().response(0);
    peer.association
        .send_command(CT_CONTEXT, &response)
        .unwrap();
    peer.send();
    assert_eq!(peer.abort_received(), Some(Abort::BY_USER));
    eventually("it is counted", || {
        bench.ended("command.unexpected_response") == 1
    });
}

#[test]
fn the_policy_rejects_and_a_new_one_holds_at_once() {
    let bench = Bench::with(
        Policy {
            check_called_ae_title: true,
            ..Policy::default()
        },
        1 << 20,
        1 << 20,
    );
    let ask = |request: AssociateRq| match Peer::request(bench.address, request) {
        Answer::Accepted(_) => None,
        Answer::Rejected(rejection) => Some(rejection),
        _ => panic!("neither accepted nor rejected"),
    };
    assert_eq!(ask(request()), None);
    let stranger = AssociateRq {
        called_ae_title: "PACS".into(),
        ..request()
    };
    assert_eq!(ask(stranger.clone()), Some(AssociateRj::CALLED_AE_TITLE));
    assert_eq!(
        ask(AssociateRq {
            protocol_version: 4,
            ..request()
        }),
        Some(AssociateRj::PROTOCOL_VERSION)
    );
    let open = bench.peer();
    bench.server().set_policy(Policy {
        calling_ae_titles: vec!["MR01".into()],
        ..Policy::default()
    });
    assert_eq!(ask(request()), Some(AssociateRj::CALLING_AE_TITLE));
    assert_eq!(
        ask(AssociateRq {
            calling_ae_title: "MR01".into(),
            ..stranger
        }),
        None
    );
    open.release();
    let rejected = bench.server().counters().totals.rejected;
    assert_eq!(
        rejected,
        [
            ("called_ae_title", 1),
            ("calling_ae_title", 1),
            ("protocol_version", 1)
        ]
    );
}

#[test]
fn all_storage_classes_are_accepted_in_every_transfer_syntax() {
    let bench = Bench::new();
    let mut accepted = 0;
    for classes in STORAGE_SOP_CLASSES.chunks(128) {
        let contexts = (1..=255)
            .step_by(2)
            .zip(classes)
            .zip(TRANSFER_SYNTAXES.iter().cycle());
        let contexts = contexts.map(
            |((context_id, (uid, _)), transfer_syntax)| ContextProposal {
                context_id,
                abstract_syntax: (*uid).into(),
                transfer_syntaxes: vec![(*transfer_syntax).into()],
            },
        );
        let request = AssociateRq {
            contexts: contexts.collect(),
            ..request()
        };
        let Answer::Accepted(peer) = Peer::request(bench.address, request.clone()) else {
            panic!()
        };
        for (answer, proposal) in peer
            .answer
            .as_ref()
            .unwrap()
            .contexts
            .iter()
            .zip(&request.contexts)
        {
            assert_eq!(
                answer.result,
                vna_ul::ContextResult::Acceptance,
                "{proposal:?}"
            );
            assert_eq!(answer.transfer_syntax, proposal.transfer_syntaxes[0]);
            accepted += 1;
        }
        peer.release();
    }
    assert_eq!(accepted, STORAGE_SOP_CLASSES.len());
}

#[test]
fn the_move_originator_is_handed_on() {
    let bench = Bench::new();
    let mut peer = bench.peer();
    let command = store_request(1)
        .to_command()
        .with_text(element::MOVE_ORIGINATOR_AE_TITLE, "WORKSTATION")
        .with(element::MOVE_ORIGINATOR_MESSAGE_ID, Value::Us(77));
    peer.association.send_command(CT_CONTEXT, &command).unwrap();
    peer.association
        .send_data_set(CT_CONTEXT, &[0; 10])
        .unwrap();
    peer.send();
    assert_eq!(peer.status(), status::SUCCESS);
    assert_eq!(
        bench.stored()[0].header.move_originator,
        Some(("WORKSTATION".to_owned(), 77))
    );
}

#[test]
fn who_cannot_have_a_part_of_the_budget_is_not_read() {
    // Room for four objects of up to 16 kB.
    let bench = Bench::with(Policy::default(), 64 << 10, 64 << 10);
    bench.sink.gate.forget_permits(1_000_000);
    let mut holders: Vec<_> = (0..4).map(|_| bench.peer()).collect();
    for (id, peer) in (1..).zip(&mut holders) {
        peer.send_store(id, &[1; 10_000]);
    }
    let with_the_sink = || bench.sink.waiting.load(Ordering::SeqCst);
    eventually("four are with the sink", || with_the_sink() == 4);
    let mut last = bench.peer();
    last.send_store(5, &[3; 10_000]);
    eventually("the fifth waits for the budget", || {
        bench.server().counters().spool_waits == 1
    });
    std::thread::sleep(Duration::from_millis(50));
    let snapshot = bench.server().counters();
    assert_eq!(snapshot.spool_used_bytes, snapshot.spool_budget_bytes);
    assert_eq!(with_the_sink(), 4, "the fifth has not come to the sink");
    bench.sink.gate.add_permits(5);
    assert!(
        holders
            .iter_mut()
            .all(|peer| peer.status() == status::SUCCESS)
    );
    assert_eq!(last.status(), status::SUCCESS);
    eventually("the budget is free again", || {
        bench.server().counters().spool_used_bytes == 0
    });
    assert_eq!(bench.stored().len(), 5);
}

#[test]
fn many_associations_share_a_small_budget_without_a_deadlock() {
    let bench = Bench::with(Policy::default(), 256 << 10, 64 << 10);
    let address = bench.address;
    std::thread::scope(|scope| {
        for association in 0..12_u16 {
            scope.spawn(move || {
                let mut peer = Peer::associate(address);
                for i in 0..20 {
                    let size = [300, 30_000, 60_000, 200_000][usize::from((association + i) % 4)];
                    assert_eq!(
                        peer.store(association * 100 + i, &pattern(size, 3)),
                        status::SUCCESS
                    );
                }
                peer.release();
            });
        }
    });
    let stored = bench.stored();
    assert_eq!(stored.len(), 240);
    for instance in stored {
        let data = &instance.bytes[PREFIX.len()..];
        assert!(
            data == pattern(data.len(), 3),
            "{}",
            instance.header.affected_sop_instance_uid
        );
    }
    eventually("the budget is free again", || {
        bench.server().counters().spool_used_bytes == 0
    });
}

#[test]
fn too_many_associations_are_rejected_until_one_ends() {
    let policy = Policy {
        max_associations: 3,
        max_associations_per_peer: 2,
        ..Policy::default()
    };
    let bench = Bench::with(policy, 1 << 20, 1 << 20);
    let (first, _second) = (bench.peer(), bench.peer());
    for _ in 0..3 {
        let Answer::Rejected(rejection) = Peer::request(bench.address, request()) else {
            panic!()
        };
        assert_eq!(rejection, AssociateRj::LOCAL_LIMIT);
    }
    first.release();
    // The release was answered, so its place is free.
    let mut third = bench.peer();
    assert_eq!(third.echo(), status::SUCCESS);
    let totals = bench.server().counters().totals;
    assert_eq!(totals.rejected, [("limit", 3)]);
}

#[test]
fn stopping_finishes_what_was_begun_and_refuses_what_is_new() {
    let mut bench = Bench::new();
    bench.sink.gate.forget_permits(1_000_000);
    let mut busy = bench.peer();
    let mut quiet = bench.peer();
    busy.send_store(1, &[7; 100_000]);
    eventually("it is with the sink", || {
        bench.sink.waiting.load(Ordering::SeqCst) == 1
    });
    let (address, sink) = (bench.address, Arc::clone(&bench.sink));
    let helper = std::thread::spawn(move || {
        assert_eq!(
            quiet.abort_received(),
            Some(Abort::BY_USER),
            "between two messages"
        );
        let Answer::Rejected(rejection) = Peer::request(address, request()) else {
            panic!()
        };
        assert_eq!(rejection, AssociateRj::CONGESTION);
        sink.gate.add_permits(1);
        assert_eq!(busy.status(), status::SUCCESS, "what was begun is answered");
        assert_eq!(busy.abort_received(), Some(Abort::BY_USER));
    });
    let took = bench.stop(Duration::from_secs(20));
    helper.join().unwrap();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(bench.stored().len(), 1);
    assert!(
        std::net::TcpStream::connect(bench.address).is_err(),
        "nobody listens any more"
    );
}

#[test]
fn stopping_ends_at_its_deadline_whatever_a_peer_does() {
    let mut bench = Bench::new();
    let mut half = bench.peer();
    half.association
        .send_command(CT_CONTEXT, &store_request(1).to_command())
        .unwrap();
    half.send();
    eventually("the spool is taken", || {
        bench.server().counters().spool_used_bytes > 0
    });
    let took = bench.stop(Duration::from_millis(200));
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(2),
        "{took:?}"
    );
    assert_eq!(half.receive(), None::<Indication>);
    assert!(bench.stored().is_empty());
}
