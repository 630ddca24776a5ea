//! Requests that are handed over, and what becomes of them whatever the peer does.

use super::peer::*;
use super::*;
use std::io::Write;
use vna_ul::command::{NO_DATA_SET, element};
use vna_ul::{
    Abort, AssociateRq, CommandField, CommandSet, ContextProposal, Indication, UserInformation,
};

pub const STUDY_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const FIND_CONTEXT: u8 = 5;
const COMMITMENT_CONTEXT: u8 = 7;

/// Everybody may do everything.
pub fn open() -> Policy {
    Policy {
        unknown_peers: SERVICE_SOP_CLASSES
            .iter()
            .map(|(_, service)| *service)
            .chain([Service::Store])
            .collect(),
        ..Policy::default()
    }
}

fn bench() -> Bench {
    Bench::with(open(), 4 << 20, 1 << 20)
}

fn asking() -> AssociateRq {
    let mut request = request();
    for (context_id, uid) in [
        (FIND_CONTEXT, STUDY_FIND),
        (COMMITMENT_CONTEXT, STORAGE_COMMITMENT),
    ] {
        request.contexts.push(ContextProposal {
            context_id,
            abstract_syntax: uid.into(),
            transfer_syntaxes: vec![IMPLICIT.into()],
        });
    }
    request
}

fn peer(bench: &Bench) -> Peer {
    match Peer::request(bench.address, asking()) {
        Answer::Accepted(peer) => *peer,
        _ => panic!("not accepted"),
    }
}

fn find(message_id: u16) -> CommandSet {
    CommandSet::query_request(CommandField::CFindRq, message_id, STUDY_FIND, None)
}

fn status_of(status: u16) -> CommandSet {
    CommandSet::default().with_us(element::STATUS, status)
}

fn answer(status: u16, data_set: Option<&[u8]>) -> Response {
    Response {
        command: status_of(status),
        data_set: data_set.map(<[u8]>::to_vec),
    }
}

fn page(answers: &[&[u8]]) -> crate::AnswerPage {
    let mut page = crate::AnswerPage::default();
    for answer in answers {
        page.bytes.extend_from_slice(answer);
        page.ends.push(page.bytes.len());
    }
    page
}

#[test]
fn a_request_is_handed_over_and_answered() {
    let bench = bench();
    let mut peer = peer(&bench);
    peer.ask(FIND_CONTEXT, &find(7), Some(b"identifier"));
    let request = bench.request();
    assert_eq!(request.data_set, b"identifier");
    assert_eq!(&*request.context.sop_class_uid, STUDY_FIND);
    assert_eq!(&*request.context.transfer_syntax_uid, IMPLICIT);
    assert_eq!(request.origin.calling_ae_title, "CT01");
    assert_eq!(request.contexts.iter().count(), 4);
    assert_eq!(request.responder.progress(), Progress::Running);

    let long = pattern(40_000, 1);
    bench.runtime.block_on(async {
        let pending = request.responder.respond(answer(0xFF00, Some(&long)));
        assert_eq!(pending.await, Ok(()));
        let page = page(&[&b"one"[..], &b"two"[..]]);
        let page = request.responder.page(status_of(0xFF00), page);
        assert_eq!(page.await, Ok(()));
        let comment = status_of(0).with_text(element::ERROR_COMMENT, "done");
        let last = Response {
            command: comment.with_us(element::MESSAGE_ID_BEING_RESPONDED_TO, 99),
            data_set: None,
        };
        assert_eq!(request.responder.finish(last).await, Ok(()));
        let late = request.responder.respond(answer(0xFF00, None));
        assert_eq!(late.await, Err(Over), "it was answered");
    });
    assert_eq!(request.responder.progress(), Progress::Ended);
    for _ in 0..3 {
        let response = peer.response();
        assert!(response.has_data_set());
        assert_eq!(response.field(), Some(CommandField::CFindRsp));
        assert_eq!(response.us(element::STATUS), Some(0xFF00));
        assert_eq!(
            response.text(element::AFFECTED_SOP_CLASS_UID),
            Some(STUDY_FIND)
        );
    }
    let last = peer.response();
    assert_eq!(last.us(element::MESSAGE_ID_BEING_RESPONDED_TO), Some(7));
    assert_eq!(last.text(element::ERROR_COMMENT), Some("done"));
    assert_eq!(last.us(element::COMMAND_DATA_SET_TYPE), Some(NO_DATA_SET));
    assert_eq!(peer.echo(), status::SUCCESS);
    peer.ask(FIND_CONTEXT, &find(7), Some(b"again"));
    drop(bench.request());
    assert_eq!(
        peer.status(),
        status::PROCESSING_FAILURE,
        "it was dropped unanswered"
    );
    peer.release();
    eventually("the release is counted", || bench.ended("released") == 1);
    assert_eq!(bench.server().counters().totals.requests, 2);
}

#[test]
fn data_sets_of_answers_arrive_whole() {
    let bench = bench();
    let mut peer = peer(&bench);
    peer.ask(FIND_CONTEXT, &find(1), Some(b"identifier"));
    let responder = bench.request().responder;
    let long = pattern(100_000, 5);
    drop(responder.begin_response(answer(0xFF00, Some(&long)), false));
    drop(responder.begin_response(answer(0, None), true));
    assert_eq!(peer.status(), 0xFF00);
    // What comes before the next command is the data set.
    assert!(matches!(peer.receive(), Some(Indication::Command { .. })));
    assert_eq!(peer.data_set, long);
}

#[test]
fn a_cancel_is_told_at_once_if_it_means_the_request() {
    let bench = bench();
    let mut peer = peer(&bench);
    peer.ask(FIND_CONTEXT, &find(3), Some(b"identifier"));
    let responder = bench.request().responder;
    peer.ask(FIND_CONTEXT, &CommandSet::cancel_request(4), None);
    assert_eq!(peer.echo(), status::SUCCESS, "the association is read");
    assert_eq!(
        responder.progress(),
        Progress::Running,
        "of another request"
    );
    peer.ask(CT_CONTEXT, &CommandSet::cancel_request(3), None);
    let interrupted = bench.runtime.block_on(responder.interrupted());
    assert_eq!(interrupted, Progress::Cancelled);
    drop(responder.begin_response(answer(0xFE00, None), true));
    assert_eq!(peer.status(), 0xFE00);
    let interrupted = bench.runtime.block_on(responder.interrupted());
    assert_eq!(interrupted, Progress::Ended);
    peer.ask(FIND_CONTEXT, &CommandSet::cancel_request(3), None);
    assert_eq!(peer.echo(), status::SUCCESS, "late, it means nothing");
}

#[test]
fn beside_a_running_request_others_are_refused_and_c_store_goes_on() {
    let bench = bench();
    let mut peer = peer(&bench);
    peer.ask(FIND_CONTEXT, &find(3), Some(b"identifier"));
    let responder = bench.request().responder;
    peer.ask(FIND_CONTEXT, &find(3), Some(&[0; 3000]));
    assert_eq!(peer.status(), status::DUPLICATE_INVOCATION);
    peer.ask(FIND_CONTEXT, &find(4), Some(b"identifier"));
    assert_eq!(peer.status(), status::RESOURCE_LIMITATION);
    assert_eq!(peer.store(5, &[7; 5000]), status::SUCCESS);
    assert_eq!(responder.progress(), Progress::Running);
    drop(responder.begin_response(answer(0, None), true));
    assert_eq!(peer.status(), 0);
    assert!(bench.requests.try_recv().is_err());
}

#[test]
fn requests_that_were_not_negotiated_are_refused() {
    let bench = bench();
    let mut peer = peer(&bench);
    let mut refused = |context, command: &CommandSet, data_set: Option<&[u8]>| {
        peer.ask(context, command, data_set);
        peer.status()
    };
    let action = CommandSet::new(CommandField::NActionRq)
        .with_us(element::MESSAGE_ID, 1)
        .with_us(element::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .with_text(element::REQUESTED_SOP_CLASS_UID, "1.2.3");
    let unrecognized = status::UNRECOGNIZED_OPERATION;
    assert_eq!(refused(CT_CONTEXT, &find(1), Some(b"x")), unrecognized);
    assert_eq!(refused(FIND_CONTEXT, &action, None), unrecognized);
    assert_eq!(
        refused(COMMITMENT_CONTEXT, &action, None),
        status::NO_SUCH_SOP_CLASS
    );
    let other = find(1).with_text(element::AFFECTED_SOP_CLASS_UID, CT);
    assert_eq!(
        refused(FIND_CONTEXT, &other, Some(b"x")),
        status::SOP_CLASS_NOT_SUPPORTED
    );
    let long = vec![0; (4 << 20) + 1];
    assert_eq!(
        refused(FIND_CONTEXT, &find(1), Some(&long)),
        status::RESOURCE_LIMITATION
    );
    let numberless = CommandSet::new(CommandField::NActionRq)
        .with_us(element::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .with_text(element::REQUESTED_SOP_CLASS_UID, STORAGE_COMMITMENT);
    assert_eq!(
        refused(COMMITMENT_CONTEXT, &numberless, None),
        status::MISTYPED_ARGUMENT
    );
    assert_eq!(peer.echo(), status::SUCCESS);
    assert!(bench.requests.try_recv().is_err(), "nobody was asked");
    assert_eq!(bench.server().counters().spool_used_bytes, 0);
}

#[test]
fn an_n_action_response_tells_what_follows_from_the_request() {
    let bench = bench();
    let mut peer = peer(&bench);
    let action = CommandSet::new(CommandField::NActionRq)
        .with_us(element::MESSAGE_ID, 9)
        .with_us(element::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .with_text(element::REQUESTED_SOP_CLASS_UID, STORAGE_COMMITMENT)
        .with_text(
            element::REQUESTED_SOP_INSTANCE_UID,
            "1.2.840.10008.1.20.1.1",
        )
        .with_us(element::ACTION_TYPE_ID, 1);
    peer.ask(COMMITMENT_CONTEXT, &action, None);
    let responder = bench.request().responder;
    drop(responder.begin_response(answer(0, None), true));
    let response = peer.response();
    assert_eq!(response.field(), Some(CommandField::NActionRsp));
    assert_eq!(response.us(element::ACTION_TYPE_ID), Some(1));
    assert_eq!(
        response.text(element::AFFECTED_SOP_CLASS_UID),
        Some(STORAGE_COMMITMENT)
    );
    assert_eq!(
        response.text(element::AFFECTED_SOP_INSTANCE_UID),
        Some("1.2.840.10008.1.20.1.1")
    );
}

#[test]
fn who_serves_learns_that_the_association_is_over() {
    let bench = bench();
    let ends: [fn(&mut Peer); 3] = [
        |peer| {
            peer.association.abort().unwrap();
            peer.send();
        },
        |peer| peer.stream.shutdown(std::net::Shutdown::Both).unwrap(),
        |peer| {
            peer.association.release().unwrap();
            peer.send();
        },
    ];
    for end in ends {
        let mut peer = peer(&bench);
        peer.ask(FIND_CONTEXT, &find(1), Some(b"identifier"));
        let responder = bench.request().responder;
        end(&mut peer);
        let interrupted = bench.runtime.block_on(responder.interrupted());
        assert_eq!(interrupted, Progress::Ended);
        let late = responder.respond(answer(0xFF00, Some(b"answer")));
        assert_eq!(bench.runtime.block_on(late), Err(Over));
    }
    eventually("all are gone", || {
        bench.server().counters().open_connections == 0
    });
}

#[test]
fn a_peer_that_does_not_take_its_answers_loses_its_association_alone() {
    let policy = Policy {
        message_timeout: Duration::from_millis(300),
        ..open()
    };
    let bench = Bench::with(policy, 4 << 20, 1 << 20);
    let mut stuck = peer(&bench);
    let mut other = peer(&bench);
    stuck.ask(FIND_CONTEXT, &find(1), Some(b"identifier"));
    let responder = bench.request().responder;
    let answers = page(&[&vec![7; 1 << 20][..]; 8]);
    bench.runtime.block_on(async {
        let mut taken = 0;
        while responder
            .page(status_of(0xFF00), answers.clone())
            .await
            .is_ok()
        {
            taken += 1;
            assert!(taken < 1000, "nobody reads them");
        }
    });
    assert_eq!(responder.progress(), Progress::Ended);
    assert_eq!(other.echo(), status::SUCCESS);
    eventually("it is counted", || bench.ended("timeout.message") == 1);
}

#[test]
fn a_running_request_keeps_its_association_however_long_it_takes() {
    let policy = Policy {
        idle_timeout: Duration::from_millis(200),
        ..open()
    };
    let bench = Bench::with(policy, 4 << 20, 1 << 20);
    let mut peer = peer(&bench);
    peer.ask(FIND_CONTEXT, &find(1), Some(b"identifier"));
    let responder = bench.request().responder;
    std::thread::sleep(Duration::from_millis(600));
    drop(responder.begin_response(answer(0, None), true));
    assert_eq!(peer.status(), 0);
    assert_eq!(
        peer.abort_received(),
        Some(Abort::BY_USER),
        "idle from here"
    );
}

#[test]
fn stopping_cancels_what_runs_and_waits_for_its_answer() {
    let mut bench = bench();
    let mut busy = peer(&bench);
    busy.ask(FIND_CONTEXT, &find(1), Some(b"identifier"));
    let responder = bench.request().responder;
    let handle = bench.runtime.handle().clone();
    let helper = std::thread::spawn(move || {
        let interrupted = handle.block_on(responder.interrupted());
        assert_eq!(interrupted, Progress::Cancelled);
        drop(responder.begin_response(answer(0xFE00, None), true));
        assert_eq!(busy.status(), 0xFE00);
        assert_eq!(busy.abort_received(), Some(Abort::BY_USER));
    });
    let took = bench.stop(Duration::from_secs(20));
    helper.join().unwrap();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn half_a_request_and_a_lie_about_its_length_end_their_association_alone() {
    let policy = Policy {
        message_timeout: Duration::from_millis(300),
        ..open()
    };
    let bench = Bench::with(policy, 4 << 20, 1 << 20);
    let mut half = peer(&bench);
    half.association
        .send_command(FIND_CONTEXT, &find(1))
        .unwrap();
    half.send();
    let mut lying = peer(&bench);
    lying
        .association
        .send_command(FIND_CONTEXT, &find(1))
        .unwrap();
    lying.send();
    // A PDV that says it is longer than its PDU.
    let pdu = [4, 0, 0, 0, 0, 8, 0, 0, 0, 99, FIND_CONTEXT, 2, 1, 2];
    lying.stream.write_all(&pdu).unwrap();
    assert!(lying.abort_received().is_some());
    assert!(half.abort_received().is_some());
    assert_eq!(peer(&bench).echo(), status::SUCCESS);
    assert!(bench.requests.try_recv().is_err());
}

#[test]
fn roles_decide_who_may_send() {
    let bench = bench();
    let mut request = asking();
    request.user = UserInformation {
        max_pdu_bytes: 16_384,
        roles: vec![vna_ul::RoleSelection {
            sop_class_uid: CT.into(),
            scu: false,
            scp: true,
        }],
        ..UserInformation::default()
    };
    let Answer::Accepted(mut peer) = Peer::request(bench.address, request) else {
        panic!("not accepted")
    };
    peer.send_store(1, &[1; 100]);
    assert_eq!(peer.status(), status::SOP_CLASS_NOT_SUPPORTED);
    let received: Option<Indication> = {
        peer.association.release().unwrap();
        peer.send();
        peer.receive()
    };
    assert_eq!(received, Some(Indication::ReleaseConfirmed));
}

#[test]
fn a_report_is_sent_on_the_association_of_its_request_and_answered() {
    let bench = bench();
    let mut peer = peer(&bench);
    let action = CommandSet::new(CommandField::NActionRq)
        .with_us(element::MESSAGE_ID, 9)
        .with_us(element::COMMAND_DATA_SET_TYPE, NO_DATA_SET)
        .with_text(element::REQUESTED_SOP_CLASS_UID, STORAGE_COMMITMENT);
    peer.ask(COMMITMENT_CONTEXT, &action, None);
    let ServiceRequest {
        responder,
        reporter,
        ..
    } = bench.request();
    drop(responder.begin_response(answer(0, None), true));
    assert_eq!(peer.status(), 0);
    let event = CommandSet::default()
        .with_text(element::AFFECTED_SOP_CLASS_UID, STORAGE_COMMITMENT)
        .with_us(element::EVENT_TYPE_ID, 1);
    let reported = reporter.report(event.clone(), b"report".to_vec());
    let received = peer.response();
    assert_eq!(received.field(), Some(CommandField::NEventReportRq));
    assert_eq!(received.us(element::MESSAGE_ID), Some(1));
    assert_eq!(received.us(element::EVENT_TYPE_ID), Some(1));
    // A second one waits until the first was answered; requests of the peer do not.
    let second = reporter.report(event, b"again".to_vec());
    peer.ask(
        ECHO_CONTEXT,
        &CommandSet::echo_request(3, VERIFICATION),
        None,
    );
    assert_eq!(peer.response().field(), Some(CommandField::CEchoRsp));
    assert_eq!(peer.data_set, b"report");
    peer.ask(COMMITMENT_CONTEXT, &received.response(0), None);
    let response = bench.runtime.block_on(reported).unwrap();
    assert_eq!(response.us(element::STATUS), Some(0));
    assert_eq!(peer.response().us(element::MESSAGE_ID), Some(2));
    // Answered with a Message ID that is not its own, it is none of ours.
    peer.ask(COMMITMENT_CONTEXT, &received.response(0), None);
    assert_eq!(peer.abort_received(), Some(Abort::BY_USER));
    assert_eq!(bench.runtime.block_on(second), Err(Over));
    eventually("it is counted", || {
        bench.ended("command.unexpected_response") == 1
    });
}

#[test]
fn a_report_that_is_never_answered_ends_its_association() {
    let policy = Policy {
        idle_timeout: Duration::from_millis(300),
        ..open()
    };
    let bench = Bench::with(policy, 4 << 20, 1 << 20);
    let mut peer = peer(&bench);
    peer.ask(FIND_CONTEXT, &find(1), Some(b"identifier"));
    let request = bench.request();
    let reported = request.reporter.report(CommandSet::default(), Vec::new());
    assert_eq!(bench.runtime.block_on(reported), Err(Over));
    eventually("it is counted", || bench.ended("timeout.response") == 1);
    assert_eq!(request.responder.progress(), Progress::Ended);
}
