//! A destination that costs nothing: takes every association, answers C-STORE, and throws away what comes.

use crate::args::Args;
use crate::messages::{Message, Received, Receiver};
use crate::pdu::{AssociationError, associate_request, item, items};
use crate::retrieve::{RECEIVED_PDU_BYTES, store_response};
use crate::run::cpu_seconds;
use serde_json::json;
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The most that an A-ASSOCIATE-RQ with 128 presentation contexts has.
const LARGEST_ASSOCIATE_BYTES: usize = 1 << 20;

/// What came, of all associations.
#[derive(Default)]
struct Counts {
    stored: u64,
    bytes: u64,
    instances: HashSet<Vec<u8>>,
    errors: Vec<String>,
}

/// Prints where it listens, serves until standard input ends, and prints what came.
pub fn run(args: &Args) -> Result<(), String> {
    let listener =
        TcpListener::bind((args.host.as_str(), args.port)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut out = io::stdout();
    writeln!(out, "{}", json!({"port": address.port()})).map_err(|error| error.to_string())?;
    out.flush().map_err(|error| error.to_string())?;
    let counts = Arc::new(Mutex::new(Counts::default()));
    let accepted = Arc::clone(&counts);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = Arc::clone(&accepted);
            thread::spawn(move || {
                if let Err(error) = serve(stream, &counts) {
                    let mut counts = counts.lock().expect("no holder panics");
                    counts.errors.push(error.to_string());
                }
            });
        }
    });
    // Whoever started us closes it.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let counts = counts.lock().expect("no holder panics");
    let report = json!({
        "stored": counts.stored,
        "instances": counts.instances.len(),
        "data_set_bytes": counts.bytes,
        "errors": counts.errors,
        "cpu_seconds": cpu_seconds(),
    });
    writeln!(out, "{report}").map_err(|error| error.to_string())
}

fn serve(mut stream: TcpStream, counts: &Mutex<Counts>) -> Result<(), AssociationError> {
    stream.set_nodelay(true)?;
    let mut receiver = Receiver::new(stream.try_clone()?);
    let (kind, body) = receiver.pdu(LARGEST_ASSOCIATE_BYTES)?;
    let answer = (kind == 1).then(|| acceptance(&body)).flatten();
    let answer = answer.ok_or_else(|| AssociationError::Unexpected("no A-ASSOCIATE-RQ".into()))?;
    stream.write_all(&answer)?;
    loop {
        match receiver.next()? {
            Received::Message(message) => {
                stream.write_all(&store_response(&message))?;
                count(&message, counts);
            }
            Received::Release => {
                stream.write_all(&[6, 0, 0, 0, 0, 4, 0, 0, 0, 0])?;
                return Ok(());
            }
            Received::Released => return Ok(()),
        }
    }
}

fn count(message: &Message, counts: &Mutex<Counts>) {
    let instance = message.value(0x1000).unwrap_or_default().to_vec();
    let mut counts = counts.lock().expect("no holder panics");
    counts.stored += 1;
    counts.bytes += message.data_set_bytes;
    counts.instances.insert(instance);
}

/// Accepts every presentation context with the first transfer syntax that it offers.
fn acceptance(request: &[u8]) -> Option<Vec<u8>> {
    let mut body = request.get(..68)?.to_vec();
    for (kind, value) in items(&request[68..])? {
        match (kind, value) {
            (0x10, name) => item(0x10, name, &mut body),
            (0x20, [id, _, _, _, inner @ ..]) => {
                let syntax = items(inner)?.into_iter().find(|(kind, _)| *kind == 0x40)?.1;
                let mut context = vec![*id, 0, 0, 0];
                item(0x40, syntax, &mut context);
                item(0x21, &context, &mut body);
            }
            _ => {}
        }
    }
    // The user information of our own requests, its first item being the Maximum Length.
    let own = associate_request("", &[], &[], RECEIVED_PDU_BYTES);
    let (_, user) = *items(&own[6 + 68..])?.last()?;
    item(0x50, user, &mut body);
    let mut pdu = vec![2, 0];
    pdu.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes());
    pdu.extend(body);
    Some(pdu)
}
