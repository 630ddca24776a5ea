//! A requestor on a blocking socket, driven by the same upper layer.

use super::super::services::VERIFICATION;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use vna_ul::command::element;
use vna_ul::{
    Abort, AssociateAc, AssociateRj, AssociateRq, Association, CommandSet, ContextProposal,
    DICOM_APPLICATION_CONTEXT, Indication, Received, StoreRequest, UserInformation,
};

pub const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub const IMPLICIT: &str = "1.2.840.10008.1.2";
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Context of Verification and of CT Image Storage in [`request`].
pub const ECHO_CONTEXT: u8 = 1;
pub const CT_CONTEXT: u8 = 3;

pub fn request() -> AssociateRq {
    let context = |context_id, abstract_syntax: &str, transfer_syntaxes: &[&str]| ContextProposal {
        context_id,
        abstract_syntax: abstract_syntax.into(),
        transfer_syntaxes: transfer_syntaxes
            .iter()
            .map(|uid| (*uid).to_owned())
            .collect(),
    };
    AssociateRq {
        protocol_version: 1,
        called_ae_title: "VNA".into(),
        calling_ae_title: "CT01".into(),
        application_context: DICOM_APPLICATION_CONTEXT.into(),
        contexts: vec![
            context(ECHO_CONTEXT, VERIFICATION, &[IMPLICIT]),
            context(CT_CONTEXT, CT, &[IMPLICIT, EXPLICIT]),
        ],
        user: UserInformation {
            max_pdu_bytes: 16_384,
            ..UserInformation::default()
        },
    }
}

pub fn store_request(message_id: u16) -> StoreRequest {
    StoreRequest {
        message_id,
        affected_sop_class_uid: CT.into(),
        affected_sop_instance_uid: format!("1.2.3.{message_id}"),
        priority: 0,
        move_originator: None,
    }
}

pub struct Peer {
    pub stream: TcpStream,
    pub association: Association,
    pub answer: Option<AssociateAc>,
    /// Of the last response.
    pub data_set: Vec<u8>,
    buffer: Vec<u8>,
}

/// How a request for an association was answered.
pub enum Answer {
    Accepted(Box<Peer>),
    Rejected(AssociateRj),
    Aborted(Abort),
    Closed,
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

impl Peer {
    pub fn associate(address: SocketAddr) -> Peer {
        match Peer::request(address, request()) {
            Answer::Accepted(peer) => *peer,
            Answer::Rejected(rejection) => panic!("{rejection:?}"),
            Answer::Aborted(abort) => panic!("{abort:?}"),
            Answer::Closed => panic!("closed"),
        }
    }

    pub fn request(address: SocketAddr, request: AssociateRq) -> Answer {
        let mut association = Association::requestor(request);
        association.connected().unwrap();
        let mut peer = Peer {
            stream: connect(address),
            association,
            answer: None,
            data_set: Vec::new(),
            buffer: Vec::new(),
        };
        peer.send();
        match peer.receive() {
            Some(Indication::Accepted(answer)) => {
                peer.answer = Some(*answer);
                Answer::Accepted(Box::new(peer))
            }
            Some(Indication::Rejected(rejection)) => Answer::Rejected(rejection),
            Some(Indication::Aborted(abort)) => Answer::Aborted(abort),
            None => Answer::Closed,
            Some(other) => panic!("{other:?}"),
        }
    }

    /// Sends what the association has to send.
    pub fn send(&mut self) {
        self.stream.write_all(self.association.output()).unwrap();
        let sent = self.association.output().len();
        self.association.output_sent(sent);
    }

    /// The next thing that the server says; `None` when it closes.
    pub fn receive(&mut self) -> Option<Indication> {
        loop {
            while !self.buffer.is_empty() {
                let (used, received) = self.association.receive(&self.buffer);
                let indication = match received {
                    Some(Received::Indication(indication)) => Some(indication),
                    Some(Received::Data { bytes, .. }) => {
                        self.data_set.extend_from_slice(bytes);
                        None
                    }
                    None => None,
                };
                self.buffer.drain(..used);
                if indication.is_some() {
                    return indication;
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The response that comes next; its data set, if it has one, comes only with what follows.
    pub fn response(&mut self) -> CommandSet {
        self.data_set.clear();
        match self.receive() {
            Some(Indication::Command { command, .. }) => command,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request with its data set, if it has one.
    pub fn ask(&mut self, context_id: u8, command: &CommandSet, data_set: Option<&[u8]>) {
        self.association.send_command(context_id, command).unwrap();
        if let Some(data_set) = data_set {
            self.association
                .send_data_set(context_id, data_set)
                .unwrap();
        }
        self.send();
    }

    pub fn status(&mut self) -> u16 {
        self.response().us(element::STATUS).unwrap()
    }

    pub fn echo(&mut self) -> u16 {
        self.association
            .send_command(ECHO_CONTEXT, &CommandSet::echo_request(1, VERIFICATION))
            .unwrap();
        self.send();
        self.status()
    }

    /// Sends a C-STORE request and does not wait.
    pub fn send_store(&mut self, message_id: u16, data: &[u8]) {
        self.association
            .send_command(CT_CONTEXT, &store_request(message_id).to_command())
            .unwrap();
        self.association.send_data_set(CT_CONTEXT, data).unwrap();
        self.send();
    }

    pub fn store(&mut self, message_id: u16, data: &[u8]) -> u16 {
        self.send_store(message_id, data);
        let response = self.response();
        assert_eq!(
            response.us(element::MESSAGE_ID_BEING_RESPONDED_TO),
            Some(message_id)
        );
        assert_eq!(
            response.text(element::AFFECTED_SOP_INSTANCE_UID),
            Some(format!("1.2.3.{message_id}").as_str())
        );
        response.us(element::STATUS).unwrap()
    }

    pub fn release(mut self) {
        self.association.release().unwrap();
        self.send();
        assert_eq!(self.receive(), Some(Indication::ReleaseConfirmed));
    }

    /// What the server says before it closes, if it aborts.
    pub fn abort_received(&mut self) -> Option<Abort> {
        match self.receive() {
            Some(Indication::Aborted(abort)) => Some(abort),
            None => None,
            other => panic!("{other:?}"),
        }
    }
}
