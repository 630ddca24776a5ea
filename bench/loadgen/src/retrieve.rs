//! The client of C-FIND, C-MOVE and C-GET: what comes is counted, nothing is looked at.

use crate::args::Args;
use crate::identifier;
use crate::messages::{Message, Received, Receiver};
use crate::objects::{CT_IMAGE, EXPLICIT_LITTLE_ENDIAN};
use crate::pdu::{
    AssociationError, Framer, Offer, associate_request, command_set, read_acceptance, uid_value,
    unexpected_pdu,
};
use crate::run::{cpu_seconds, latency_report};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Our Maximum Length Received: as much as any peer uses.
pub const RECEIVED_PDU_BYTES: usize = 1 << 20;
/// What is sent in a PDU: identifiers are shorter.
const SENT_FRAGMENT_BYTES: usize = 16_000;
/// The most that an A-ASSOCIATE-AC may have.
const LARGEST_ASSOCIATE_BYTES: usize = 64 << 10;

const IMPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
const STUDY_ROOT_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const WORKLIST_FIND: &str = "1.2.840.10008.5.1.4.31";

const C_STORE_RQ: u16 = 0x0001;
const C_STORE_RSP: u16 = 0x8001;
const C_GET_RQ: u16 = 0x0010;
const C_FIND_RQ: u16 = 0x0020;
const C_MOVE_RQ: u16 = 0x0021;

/// What one request brought.
#[derive(Default)]
struct Outcome {
    answers: u64,
    stored: u64,
    bytes: u64,
    first: Option<Duration>,
    status: u16,
    counts: [Option<u16>; 4],
    error_comment: String,
}

struct Client {
    receiver: Receiver,
    stream: TcpStream,
    accepted: Vec<(Offer, u8)>,
}

impl Client {
    fn open(args: &Args, offers: &[Offer], served: &[&str]) -> Result<Self, AssociationError> {
        let mut stream = TcpStream::connect((args.host.as_str(), args.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(args.timeout))?;
        stream.set_write_timeout(Some(args.timeout))?;
        let request = associate_request(&args.called, offers, served, RECEIVED_PDU_BYTES);
        stream.write_all(&request)?;
        let mut receiver = Receiver::new(stream.try_clone()?);
        match receiver.pdu(LARGEST_ASSOCIATE_BYTES)? {
            (2, body) => {
                let (accepted, _) = read_acceptance(&body, offers)?;
                Ok(Self {
                    receiver,
                    stream,
                    accepted,
                })
            }
            (3, body) if body.len() == 4 => {
                Err(AssociationError::Rejected(body[1], body[2], body[3]))
            }
            (kind, body) => Err(unexpected_pdu(kind, &body)),
        }
    }

    fn context_id(&self, sop_class_uid: &str) -> Result<u8, AssociationError> {
        let found = self
            .accepted
            .iter()
            .find(|((uid, _), _)| *uid == sop_class_uid);
        found
            .map(|(_, id)| *id)
            .ok_or_else(|| AssociationError::NoContext(sop_class_uid.to_owned()))
    }

    /// Sends one request and takes all that follows, until its last response.
    fn ask(
        &mut self,
        context_id: u8,
        command: &[u8],
        identifier: &[u8],
    ) -> Result<Outcome, AssociationError> {
        let framer = Framer {
            context_id,
            max_fragment_bytes: SENT_FRAGMENT_BYTES,
        };
        let mut wire = Vec::new();
        framer.prefix(command, identifier, 0, &mut wire);
        let began = Instant::now();
        self.stream.write_all(&wire)?;
        let mut outcome = Outcome::default();
        loop {
            let Received::Message(message) = self.receiver.next()? else {
                return Err(AssociationError::Unexpected("a release".into()));
            };
            outcome.first.get_or_insert_with(|| began.elapsed());
            if message.us(0x0100) == Some(C_STORE_RQ) {
                outcome.stored += 1;
                outcome.bytes += message.data_set_bytes;
                self.stream.write_all(&store_response(&message))?;
                continue;
            }
            outcome.status = message.us(0x0900).unwrap_or(0xFFFF);
            outcome.counts = [0x1020, 0x1021, 0x1022, 0x1023].map(|element| message.us(element));
            if outcome.status & 0xFF00 == 0xFF00 {
                outcome.answers += u64::from(message.data_set_bytes > 0);
                continue;
            }
            let comment = message.value(0x0902).unwrap_or_default();
            outcome.error_comment = String::from_utf8_lossy(comment).trim().to_owned();
            return Ok(outcome);
        }
    }

    fn release(mut self) -> Result<(), AssociationError> {
        self.stream.write_all(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0])?;
        match self.receiver.next()? {
            Received::Released => Ok(()),
            _ => Err(AssociationError::Unexpected("no release".into())),
        }
    }
}

/// A C-STORE-RSP with status 0000, framed.
pub fn store_response(request: &Message) -> Vec<u8> {
    let value = |element| request.value(element).unwrap_or_default().to_vec();
    let command = command_set(&[
        (0x0002, value(0x0002)),
        (0x0100, C_STORE_RSP.to_le_bytes().to_vec()),
        (0x0120, value(0x0110)),
        (0x0800, 0x0101_u16.to_le_bytes().to_vec()),
        (0x0900, 0_u16.to_le_bytes().to_vec()),
        (0x1000, value(0x1000)),
    ]);
    let framer = Framer {
        context_id: request.context_id,
        max_fragment_bytes: SENT_FRAGMENT_BYTES,
    };
    let mut wire = Vec::new();
    framer.prefix(&command, &[], 0, &mut wire);
    wire
}

fn request(sop_class_uid: &str, field: u16, message_id: u16, destination: Option<&str>) -> Vec<u8> {
    let mut elements = vec![
        (0x0002, uid_value(sop_class_uid)),
        (0x0100, field.to_le_bytes().to_vec()),
        (0x0110, message_id.to_le_bytes().to_vec()),
    ];
    if let Some(title) = destination {
        let mut title = title.as_bytes().to_vec();
        if title.len() % 2 == 1 {
            title.push(b' ');
        }
        elements.push((0x0600, title));
    }
    elements.push((0x0700, 0_u16.to_le_bytes().to_vec()));
    elements.push((0x0800, 1_u16.to_le_bytes().to_vec()));
    command_set(&elements)
}

/// Asks `--repeat` times for what `--key` says.
pub fn find(args: &Args) -> Result<Value, String> {
    let worklist = match args.model.as_str() {
        "study" => false,
        "worklist" => true,
        model => return Err(format!("--model {model}: study or worklist")),
    };
    let sop_class_uid = if worklist {
        WORKLIST_FIND
    } else {
        STUDY_ROOT_FIND
    };
    let identifier = identifier::encode(&args.keys, worklist)?;
    repeat(args, sop_class_uid, C_FIND_RQ, &identifier, &[])
}

/// Moves what `--key` says to `--destination`.
pub fn r#move(args: &Args) -> Result<Value, String> {
    let identifier = identifier::encode(&args.keys, false)?;
    repeat(args, STUDY_ROOT_MOVE, C_MOVE_RQ, &identifier, &[])
}

/// Gets what `--key` says.
pub fn get(args: &Args) -> Result<Value, String> {
    let identifier = identifier::encode(&args.keys, false)?;
    let storage = (CT_IMAGE, EXPLICIT_LITTLE_ENDIAN);
    repeat(args, STUDY_ROOT_GET, C_GET_RQ, &identifier, &[storage])
}

fn repeat(
    args: &Args,
    sop_class_uid: &'static str,
    field: u16,
    identifier: &[u8],
    storage: &[Offer],
) -> Result<Value, String> {
    let mut offers = vec![(sop_class_uid, IMPLICIT_LITTLE_ENDIAN)];
    offers.extend_from_slice(storage);
    let served: Vec<&str> = storage.iter().map(|(uid, _)| *uid).collect();
    let text = |error: AssociationError| format!("{}:{}: {error}", args.host, args.port);
    let mut client = Client::open(args, &offers, &served).map_err(text)?;
    let context_id = client.context_id(sop_class_uid).map_err(text)?;
    let destination = (field == C_MOVE_RQ).then_some(args.destination.as_str());
    let (mut answers, mut stored, mut bytes) = (0, 0, 0);
    let (mut latencies, mut firsts) = (Vec::new(), Vec::new());
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = Outcome::default();
    let (started, cpu) = (Instant::now(), cpu_seconds());
    for index in 0..args.repeat {
        let message_id = u16::try_from(index % 0xFFFF).expect("below 65535") + 1;
        let command = request(sop_class_uid, field, message_id, destination);
        let began = Instant::now();
        last = client.ask(context_id, &command, identifier).map_err(text)?;
        latencies.push(began.elapsed());
        firsts.extend(last.first);
        answers += last.answers;
        stored += last.stored;
        bytes += last.bytes;
        *statuses.entry(format!("{:04X}", last.status)).or_default() += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    client.release().map_err(text)?;
    let failures = args.repeat - statuses.get("0000").copied().unwrap_or(0);
    let [_, completed, failed, warning] = last.counts;
    Ok(json!({
        "requests": args.repeat,
        "failures": failures,
        "statuses": statuses,
        "error_comment": last.error_comment,
        "answers": answers,
        "stored": stored,
        "data_set_bytes": bytes,
        "completed": completed,
        "failed": failed,
        "warning": warning,
        "seconds": seconds,
        "latency_ms": latency_report(latencies),
        "first_ms": latency_report(firsts),
        "generator_cpu_seconds": cpu,
    }))
}
