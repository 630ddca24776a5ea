//! What peers that break the rules get, and that others do not notice.

use super::peer::*;
use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use vna_ul::{Abort, Association};

/// The bytes of a whole request for an association.
fn request_bytes() -> Vec<u8> {
    let mut association = Association::requestor(request());
    association.connected().unwrap();
    association.output().to_vec()
}

/// All that the server says until it closes.
fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is a close too: the server does not read what it does not want.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

fn abort_bytes(abort: Abort) -> Vec<u8> {
    let mut bytes = Vec::new();
    abort.write(&mut bytes);
    bytes
}

#[test]
fn a_connection_without_a_request_is_closed_when_artim_ends() {
    let bench = Bench::with(impatient(), 1 << 20, 1 << 20);
    let started = Instant::now();
    let mut silent = connect(bench.address);
    assert_eq!(read_all(&mut silent), b"", "ARTIM closes without a word");
    let mut half = connect(bench.address);
    half.write_all(&request_bytes()[..50]).unwrap();
    assert_eq!(read_all(&mut half), b"");
    assert!(started.elapsed() >= Duration::from_millis(600));
    eventually("both are counted", || bench.ended("timeout.artim") == 2);
    eventually("both are gone", || {
        bench.server().counters().open_connections == 0
    });
}

#[test]
fn a_request_that_trickles_in_is_cut_off_by_artim() {
    let bench = Bench::with(impatient(), 1 << 20, 1 << 20);
    let mut slow = connect(bench.address);
    let started = Instant::now();
    for byte in request_bytes() {
        if slow.write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    eventually("it is counted", || bench.ended("timeout.artim") == 1);
}

#[test]
fn an_idle_association_is_aborted() {
    let bench = Bench::with(impatient(), 1 << 20, 1 << 20);
    let mut peer = bench.peer();
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(
            peer.echo(),
            status::SUCCESS,
            "a message now and then keeps it open"
        );
    }
    assert_eq!(peer.abort_received(), Some(Abort::BY_USER));
    eventually("it is counted", || bench.ended("timeout.idle") == 1);
}

#[test]
fn a_message_that_stands_still_is_aborted() {
    let bench = Bench::with(
        Policy {
            idle_timeout: Duration::from_secs(60),
            ..impatient()
        },
        1 << 20,
        1 << 20,
    );
    // In the command, between command and data set, in the data set, in a PDU header.
    let mut whole = Peer::associate(bench.address);
    whole
        .association
        .send_command(CT_CONTEXT, &store_request(1).to_command())
        .unwrap();
    let command = whole.association.output().len();
    whole
        .association
        .send_data_set(CT_CONTEXT, &[0; 5000])
        .unwrap();
    let bytes = whole.association.output().to_vec();
    for end in [3, 20, command, command + 1000] {
        let mut peer = bench.peer();
        peer.stream.write_all(&bytes[..end]).unwrap();
        assert_eq!(peer.abort_received(), Some(Abort::BY_USER), "{end} bytes");
    }
    eventually("they are counted", || bench.ended("timeout.message") == 4);
    assert_eq!(bench.server().counters().spool_used_bytes, 0);
    assert!(bench.stored().is_empty());
}

#[test]
fn a_message_that_trickles_is_aborted_and_one_that_flows_slowly_is_not() {
    let policy = Policy {
        idle_timeout: Duration::from_secs(60),
        ..impatient()
    };
    let bench = Bench::with(policy, 1 << 20, 1 << 20);
    let mut flowing = bench.peer();
    let mut trickling = bench.peer();
    for peer in [&mut flowing, &mut trickling] {
        peer.association
            .send_command(CT_CONTEXT, &store_request(1).to_command())
            .unwrap();
        peer.association
            .send_data_set(CT_CONTEXT, &pattern(20_000, 1))
            .unwrap();
    }
    let flow = std::thread::spawn(move || {
        for piece in flowing.association.output().chunks(1000) {
            flowing.stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(60));
        }
        flowing.status()
    });
    let mut bytes = trickling.association.output().iter();
    let started = Instant::now();
    while bytes
        .next()
        .is_some_and(|byte| trickling.stream.write_all(&[*byte]).is_ok())
    {
        std::thread::sleep(Duration::from_millis(5));
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "a byte now and then is no progress"
        );
    }
    assert_eq!(flow.join().unwrap(), status::SUCCESS);
    eventually("it is counted", || bench.ended("timeout.message") == 1);
}

#[test]
fn a_peer_that_stalls_gives_its_part_of_the_budget_to_others() {
    // The budget has four spools of 16 kB.
    let bench = Bench::with(
        Policy {
            idle_timeout: Duration::from_secs(1),
            ..Policy::default()
        },
        64 << 10,
        64 << 10,
    );
    let data = pattern(15_000, 9);
    let mut stalled: Vec<_> = (1..=4)
        .map(|id| {
            let mut peer = bench.peer();
            peer.association
                .send_command(CT_CONTEXT, &store_request(id).to_command())
                .unwrap();
            peer.association.send_data_set(CT_CONTEXT, &data).unwrap();
            let bytes = peer.association.output().to_vec();
            peer.association.output_sent(bytes.len());
            peer.stream.write_all(&bytes[..10_000]).unwrap();
            (peer, bytes)
        })
        .collect();
    eventually("they hold the budget", || {
        bench.server().counters().spool_used_bytes == 64 << 10
    });

    let mut other = bench.peer();
    assert_eq!(other.store(5, &data), status::SUCCESS, "others are served");
    other.release();
    assert!(bench.server().counters().spool_waits > 0);
    for (peer, bytes) in &mut stalled {
        peer.stream.write_all(&bytes[10_000..]).unwrap();
        assert_eq!(
            peer.status(),
            status::SUCCESS,
            "and the stalled ones can go on"
        );
    }
    let stored = bench.stored();
    assert_eq!(stored.len(), 5);
    assert!(
        stored
            .iter()
            .all(|instance| instance.bytes == [PREFIX, &data].concat())
    );
    assert_eq!(stored[0].header.affected_sop_instance_uid, "1.2.3.5");
    assert!(stored[1..].iter().any(|instance| instance.parts > 0));
}

#[test]
fn a_peer_that_vanishes_leaves_nothing_behind() {
    let bench = Bench::with(Policy::default(), 4 << 20, 64 << 10);
    for size in [10_000, 1_000_000] {
        let mut peer = bench.peer();
        peer.association
            .send_command(CT_CONTEXT, &store_request(1).to_command())
            .unwrap();
        peer.association
            .send_data_set(CT_CONTEXT, &pattern(size, 1))
            .unwrap();
        let bytes = peer.association.output();
        peer.stream.write_all(&bytes[..bytes.len() - 100]).unwrap();
    }
    eventually("both are noticed", || bench.ended("peer.closed") == 2);
    assert!(bench.stored().is_empty());
    assert_eq!(
        bench.sink.given_up.load(Ordering::SeqCst),
        1,
        "the stream was given up"
    );
    assert_eq!(bench.server().counters().spool_used_bytes, 0);
    assert_eq!(bench.server().counters().open_associations, 0);
}

#[test]
fn lengths_of_4_gib_and_wrong_pdus_are_aborted_in_every_state() {
    let bench = Bench::new();
    let huge = [0xFF, 0xFF, 0xFF, 0xFF];
    let of_type = |pdu_type, length: [u8; 4]| [&[pdu_type, 0][..], &length].concat();
    let cases: [(&str, Vec<u8>, Abort); 9] = [
        ("pdu.too_long", of_type(4, huge), Abort::INVALID_PARAMETER),
        ("pdu.length", of_type(5, huge), Abort::INVALID_PARAMETER),
        ("pdu.length", of_type(7, huge), Abort::INVALID_PARAMETER),
        (
            "pdu.unrecognized",
            of_type(8, huge),
            Abort::UNRECOGNIZED_PDU,
        ),
        (
            "pdu.unrecognized",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            Abort::UNRECOGNIZED_PDU,
        ),
        (
            "pdu.unexpected",
            of_type(2, [0, 0, 0, 99]),
            Abort::UNEXPECTED_PDU,
        ),
        (
            "pdu.unexpected",
            of_type(3, [0, 0, 0, 4]),
            Abort::UNEXPECTED_PDU,
        ),
        (
            "pdu.unexpected",
            of_type(6, [0, 0, 0, 4]),
            Abort::UNEXPECTED_PDU,
        ),
        ("pdu.too_long", of_type(1, huge), Abort::INVALID_PARAMETER),
    ];
    let mut expected = std::collections::BTreeMap::<_, u64>::new();
    for (code, bytes, abort) in &cases {
        // Awaiting the request (Sta2): data and releases are unexpected there, once their length is right.
        let mut raw = connect(bench.address);
        raw.write_all(bytes).unwrap();
        raw.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut raw), abort_bytes(*abort), "{code} in Sta2");
        // With an association (Sta6), alone and inside a message.
        for message in [false, true] {
            let mut peer = bench.peer();
            if message {
                peer.association
                    .send_command(CT_CONTEXT, &store_request(1).to_command())
                    .unwrap();
                peer.send();
            }
            peer.stream.write_all(bytes).unwrap();
            assert_eq!(peer.abort_received(), Some(*abort), "{code} in Sta6");
        }
        *expected.entry(*code).or_default() += 3;
    }
    for (code, count) in expected {
        eventually(code, || bench.ended(code) == count);
    }
    // An association PDU inside an association is wrong whatever its length.
    let mut peer = bench.peer();
    peer.stream.write_all(&request_bytes()).unwrap();
    assert_eq!(peer.abort_received(), Some(Abort::UNEXPECTED_PDU));
    assert!(bench.stored().is_empty());
    assert_eq!(bench.peer().echo(), status::SUCCESS);
}

#[test]
fn after_the_end_bytes_are_dropped_until_artim_closes() {
    let bench = Bench::with(impatient(), 1 << 20, 1 << 20);
    let mut peer = bench.peer();
    peer.stream.write_all(&[0x99; 6]).unwrap();
    assert_eq!(peer.abort_received(), Some(Abort::UNRECOGNIZED_PDU));
    assert_eq!(
        bench.server().counters().open_associations,
        0,
        "its place is free at once"
    );
    let started = Instant::now();
    while peer.stream.write_all(&[4; 1000]).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    eventually("the connection is gone", || {
        bench.server().counters().open_connections == 0
    });
}

#[test]
fn connections_that_say_nothing_are_bounded() {
    let policy = Policy {
        max_associations: 4,
        max_associations_per_peer: 2,
        ..Policy::default()
    };
    let bench = Bench::with(policy, 1 << 20, 1 << 20);
    let mut peer = bench.peer();
    let silent: Vec<_> = (0..60).map(|_| connect(bench.address)).collect();
    eventually("the surplus is refused", || {
        let snapshot = bench.server().counters();
        snapshot.totals.connections == 61 && snapshot.open_connections == 2 + 16
    });
    assert_eq!(peer.echo(), status::SUCCESS, "who is in is not affected");
    drop(silent);
    eventually("they are forgotten", || {
        bench.server().counters().open_connections == 1
    });
    assert_eq!(bench.peer().echo(), status::SUCCESS);
}

#[test]
fn a_peer_that_does_not_read_its_answers_is_dropped() {
    let bench = Bench::with(impatient(), 1 << 20, 1 << 20);
    let mut deaf = bench.peer();
    let echo = {
        let command = vna_ul::CommandSet::echo_request(1, VERIFICATION);
        deaf.association
            .send_command(ECHO_CONTEXT, &command)
            .unwrap();
        deaf.association.output().repeat(1000)
    };
    deaf.stream
        .set_write_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let started = Instant::now();
    while deaf.stream.write_all(&echo).is_ok() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the answers go nowhere"
        );
    }
    eventually("it is counted", || bench.ended("timeout.message") == 1);
}

#[test]
fn others_are_served_while_garbage_arrives() {
    let bench = Bench::with(
        Policy {
            max_associations_per_peer: 200,
            ..impatient()
        },
        8 << 20,
        1 << 20,
    );
    let address = bench.address;
    let data = pattern(100_000, 4);
    std::thread::scope(|scope| {
        for seed in 0..4_u64 {
            scope.spawn(move || {
                // A xorshift: garbage, but the same garbage in each run.
                let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                for round in 0..60 {
                    let mut bytes = if round % 2 == 0 {
                        request_bytes()
                    } else {
                        Vec::new()
                    };
                    for _ in 0..200 {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        bytes.extend_from_slice(&state.to_le_bytes());
                    }
                    if round % 3 == 0 {
                        let at = usize::try_from(state % 200).unwrap();
                        bytes[at] ^= 0x10;
                    }
                    let mut raw = connect(address);
                    let _ = raw.write_all(&bytes);
                    let _ = raw.shutdown(std::net::Shutdown::Write);
                    read_all(&mut raw);
                }
            });
        }
        for _ in 0..2 {
            let data = &data;
            scope.spawn(move || {
                let mut peer = Peer::associate(address);
                for id in 1..200 {
                    assert_eq!(peer.store(id, data), status::SUCCESS);
                }
                peer.release();
            });
        }
    });
    assert_eq!(bench.stored().len(), 2 * 199);
    assert!(
        bench
            .stored()
            .iter()
            .all(|instance| instance.bytes[PREFIX.len()..] == data)
    );
    eventually("all is over", || {
        bench.server().counters().open_connections == 0
    });
    assert_eq!(bench.ended("panic"), 0);
    assert_eq!(bench.server().counters().spool_used_bytes, 0);
}
