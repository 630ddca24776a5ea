//! Associations that we request, against our own acceptor and against peers that do not keep to the rules.

use super::super::peer::{Intake, Peer};
use super::super::{PeerError, PeerSpec, SpoolPool};
use super::peer::CT;
use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use vna_ul::command::element;
use vna_ul::{CommandField, CommandSet};

fn spec(address: SocketAddr, more: &str) -> PeerSpec {
    let json = format!(
        r#"{{"host":"{}","port":{},"calling_ae_title":"VNA","called_ae_title":"PEER","timeout_s":5{more}}}"#,
        address.ip(),
        address.port()
    );
    PeerSpec::read(json.as_bytes(), &crate::tls::TlsSettings::default()).unwrap()
}

fn proposing(class: &str) -> String {
    format!(
        r#","contexts":[{{"sop_class_uid":"{class}","transfer_syntaxes":["1.2.840.10008.1.2"]}}]"#
    )
}

fn peer(bench: &Bench, spec: PeerSpec) -> Peer {
    let intake = Intake {
        sink: Arc::new(TestSink::default()),
        pool: SpoolPool::new(1 << 20),
        spool_most_bytes: 1 << 18,
    };
    Peer::new(bench.runtime.handle(), spec, intake)
}

#[test]
fn a_peer_is_asked_and_released() {
    let bench = Bench::new();
    let peer = peer(&bench, spec(bench.address, &proposing(VERIFICATION)));
    bench.runtime.block_on(async {
        let opened = peer.open().await.unwrap();
        assert_eq!(opened.contexts.len(), 1);
        for number in 1..=3 {
            let echo = CommandSet::new(CommandField::CEchoRq);
            let requested = peer.request(VERIFICATION.into(), echo, None).await.unwrap();
            assert_eq!(requested.message_id, number);
            let message = peer.response(Duration::from_secs(5)).await.unwrap();
            assert_eq!(message.command.us(element::STATUS), Some(0));
            let answers = message.command.us(element::MESSAGE_ID_BEING_RESPONDED_TO);
            assert_eq!(answers, Some(number));
        }
        let echo = CommandSet::new(CommandField::CEchoRq);
        let refused = peer.request(CT.into(), echo, None).await.unwrap_err();
        assert_eq!(refused.code(), "context.refused");
        peer.release().await.unwrap();
        let over = peer.response(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(over.code(), "association.not_open");
    });
    eventually("released", || bench.ended("released") == 1);
}

#[test]
fn a_peer_that_is_let_go_of_is_aborted() {
    let bench = Bench::new();
    let peer = peer(&bench, spec(bench.address, &proposing(VERIFICATION)));
    bench.runtime.block_on(peer.open()).unwrap();
    drop(peer);
    eventually("aborted", || bench.ended("peer.aborted") == 1);
}

/// A listener that answers each connection with these bytes, and closes it.
fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes);
        }
    });
    address
}

#[test]
fn what_a_peer_answers_instead_of_an_association_has_its_name() {
    let bench = Bench::new();
    for (bytes, code) in [
        (&b""[..], "peer.closed"),
        (b"SSH-2.0-x\r\n", "pdu.unrecognized"),
        (b"\x03\0\0\0\0\x04\0\x01\x01\x03", "association.rejected"),
        (b"\x07\0\0\0\0\x04\0\0\x02\x01", "association.aborted"),
        (b"\x06\0\0\0\0\x04\0\0\0\0", "pdu.unexpected"),
        (b"\x02\0\xff\xff\xff\xff", "pdu.too_long"),
    ] {
        let peer = peer(&bench, spec(answering(bytes), &proposing(VERIFICATION)));
        let error = bench.runtime.block_on(peer.open()).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let again = bench.runtime.block_on(peer.release()).unwrap_err();
        assert_eq!(again.code(), code, "who asks next is told the same");
    }
}

#[test]
fn a_specification_that_cannot_be_is_refused() {
    for (json, problem) in [
        (&b"{}"[..], "missing field"),
        (
            br#"{"host":"x","port":104,"calling_ae_title":"","called_ae_title":"B"}"#,
            "1 to 16 characters",
        ),
        (
            br#"{"host":"x","port":104,"calling_ae_title":"A","called_ae_title":"B","timeout_s":-1}"#,
            "timeout_s is -1",
        ),
        (
            br#"{"host":"x","port":104,"calling_ae_title":"A","called_ae_title":"B","tls":{"cipher":1}}"#,
            "unknown field",
        ),
    ] {
        let error = PeerSpec::read(json, &crate::tls::TlsSettings::default()).unwrap_err();
        assert!(matches!(error, PeerError::Spec { .. }));
        assert!(error.to_string().contains(problem), "{error}");
    }
}
