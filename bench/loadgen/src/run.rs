//! The clocked part: associations in threads of their own, each sending what it prepared.

use crate::args::Args;
use crate::objects::Source;
use crate::pdu::{
    Association, AssociationError, Framer, Offer, VERIFICATION, echo_request, store_request,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Messages of one association, framed.
struct Prepared {
    prefixes: Vec<u8>,
    messages: Vec<Message>,
    tails: Vec<Vec<u8>>,
}

struct Message {
    prefix: Range<usize>,
    tail: Option<usize>,
    id: u16,
    data_set_bytes: u64,
}

/// What one association did.
#[derive(Default)]
struct Outcome {
    latencies: Vec<Duration>,
    statuses: BTreeMap<u16, u64>,
    error: Option<String>,
    data_set_bytes: u64,
    ended: Option<Instant>,
}

/// Sends the objects that `args` names and reports how fast they were answered.
pub fn send(args: &Args) -> Result<Value, String> {
    let source = args.source()?;
    let offers = source.offers();
    let share = |n: usize| args.first + args.count * n as u64 / args.associations as u64;
    clocked(args, &offers, |number, association| {
        let range = share(number)..share(number + 1);
        prepare(&source, range, association).map_err(|e| e.to_string())
    })
}

/// Sends C-ECHO requests and reports how fast they were answered.
pub fn echo(args: &Args) -> Result<Value, String> {
    let offer = (VERIFICATION, crate::objects::EXPLICIT_LITTLE_ENDIAN);
    let share = |n: usize| args.count * n as u64 / args.associations as u64;
    clocked(args, &[offer], |number, association| {
        let context_id = association.context_id(offer).map_err(|e| e.to_string())?;
        let framer = Framer {
            context_id,
            max_fragment_bytes: association.max_fragment_bytes,
        };
        let mut prepared = Prepared::new();
        for index in share(number)..share(number + 1) {
            let id = message_id(index);
            let start = prepared.prefixes.len();
            framer.prefix(&echo_request(id), &[], 0, &mut prepared.prefixes);
            let prefix = start..prepared.prefixes.len();
            prepared.messages.push(Message {
                prefix,
                tail: None,
                id,
                data_set_bytes: 0,
            });
        }
        Ok(prepared)
    })
}

/// Opens all associations, prepares all messages, and only then starts the clock.
fn clocked(
    args: &Args,
    offers: &[Offer],
    prepare: impl Fn(usize, &Association) -> Result<Prepared, String> + Sync,
) -> Result<Value, String> {
    let address = (args.host.as_str(), args.port);
    let mut associations = Vec::new();
    for _ in 0..args.associations {
        let opened = Association::open(
            address,
            &args.called,
            offers,
            args.max_pdu_bytes,
            args.timeout,
        );
        associations.push(opened.map_err(|e| format!("{}:{}: {e}", args.host, args.port))?);
    }
    let max_pdu = associations[0].max_fragment_bytes + 6;
    let ready = Barrier::new(args.associations + 1);
    let (outcomes, started, cpu) = thread::scope(|scope| {
        let (ready, prepare) = (&ready, &prepare);
        let threads: Vec<_> = associations
            .into_iter()
            .enumerate()
            .map(|(number, association)| {
                scope.spawn(move || {
                    let prepared = prepare(number, &association);
                    ready.wait();
                    match prepared {
                        Ok(prepared) => transmit(association, &prepared, args.limit),
                        Err(error) => Outcome {
                            error: Some(error),
                            ..Outcome::default()
                        },
                    }
                })
            })
            .collect();
        ready.wait();
        let (started, cpu) = (Instant::now(), cpu_seconds());
        let outcomes: Vec<Outcome> = threads
            .into_iter()
            .map(|t| t.join().expect("a sender does not panic"))
            .collect();
        (outcomes, started, cpu_seconds() - cpu)
    });
    let mut report = report(&outcomes, started, args.count);
    report["associations"] = json!(args.associations);
    report["max_pdu_bytes"] = json!(max_pdu);
    report["generator_cpu_seconds"] = json!(cpu);
    Ok(report)
}

impl Prepared {
    fn new() -> Self {
        let (prefixes, messages, tails) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            prefixes,
            messages,
            tails,
        }
    }
}

fn message_id(index: u64) -> u16 {
    u16::try_from(index % 0xFFFF).expect("below 65535") + 1
}

fn prepare(
    source: &Source,
    range: Range<u64>,
    association: &Association,
) -> Result<Prepared, AssociationError> {
    let mut prepared = Prepared::new();
    let mut framed: HashMap<(usize, usize, u8), usize> = HashMap::new();
    let mut failed = None;
    let mut index = range.start;
    source.each(range.start, range.end - range.start, |object| {
        let offer = (object.sop_class_uid, object.transfer_syntax_uid);
        let context_id = match association.context_id(offer) {
            Ok(context_id) => context_id,
            Err(error) => return failed = Some(error),
        };
        let framer = Framer {
            context_id,
            max_fragment_bytes: association.max_fragment_bytes,
        };
        let id = message_id(index);
        index += 1;
        let command = store_request(object.sop_class_uid, &object.identity.sop_instance_uid, id);
        let tail_bytes = object.tail.map_or(0, |tail| source.tails[tail].len());
        let start = prepared.prefixes.len();
        framer.prefix(&command, &object.head, tail_bytes, &mut prepared.prefixes);
        let tails = &mut prepared.tails;
        let tail = object.tail.map(|tail| {
            *framed
                .entry((tail, object.head.len(), context_id))
                .or_insert_with(|| {
                    tails.push(framer.tail(object.head.len(), &source.tails[tail]));
                    tails.len() - 1
                })
        });
        let prefix = start..prepared.prefixes.len();
        let data_set_bytes = (object.head.len() + tail_bytes) as u64;
        prepared.messages.push(Message {
            prefix,
            tail,
            id,
            data_set_bytes,
        });
    });
    failed.map_or(Ok(prepared), Err)
}

fn transmit(mut association: Association, prepared: &Prepared, limit: Duration) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome {
        latencies: Vec::with_capacity(prepared.messages.len()),
        ..Outcome::default()
    };
    let mut now = started;
    for message in &prepared.messages {
        if now - started > limit {
            outcome.error = Some(format!("stopped after {} s", limit.as_secs()));
            break;
        }
        let tail = message.tail.map_or(&[][..], |tail| &prepared.tails[tail]);
        let answer = association
            .send(&prepared.prefixes[message.prefix.clone()], tail)
            .map_err(AssociationError::Io)
            .and_then(|()| association.receive_status(message.id));
        let answered = Instant::now();
        match answer {
            Ok(status) => {
                *outcome.statuses.entry(status).or_default() += 1;
                outcome.data_set_bytes += message.data_set_bytes;
            }
            Err(error) => {
                outcome.error = Some(error.to_string());
                break;
            }
        }
        outcome.latencies.push(answered - now);
        now = answered;
    }
    outcome.ended = Some(now);
    if outcome.error.is_none() {
        if let Err(error) = association.release() {
            outcome.error = Some(format!("release: {error}"));
        }
    }
    outcome
}

/// Every request without the status 0000 is a failure, also one that was never sent.
fn report(outcomes: &[Outcome], started: Instant, count: u64) -> Value {
    let latencies = outcomes
        .iter()
        .flat_map(|outcome| outcome.latencies.iter().copied());
    let ended = outcomes
        .iter()
        .filter_map(|outcome| outcome.ended)
        .max()
        .unwrap_or(started);
    let seconds = (ended - started).as_secs_f64();
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for (status, times) in outcomes.iter().flat_map(|outcome| &outcome.statuses) {
        *statuses.entry(format!("{status:04X}")).or_default() += times;
    }
    let stored = statuses.get("0000").copied().unwrap_or(0);
    let bytes: u64 = outcomes.iter().map(|outcome| outcome.data_set_bytes).sum();
    let errors: Vec<&String> = outcomes
        .iter()
        .filter_map(|o| o.error.as_ref())
        .take(8)
        .collect();
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (rate, megabytes) = (stored as f64 / seconds, bytes as f64 / 1e6 / seconds);
    json!({
        "instances": count,
        "stored": stored,
        "failures": count - stored,
        "statuses": statuses,
        "errors": errors,
        "seconds": seconds,
        "per_second": rate,
        "data_set_bytes": bytes,
        "megabytes_per_second": megabytes,
        "latency_ms": latency_report(latencies.collect()),
    })
}

/// Shares of latencies in milliseconds; null where there are none.
pub fn latency_report(mut latencies: Vec<Duration>) -> Value {
    latencies.sort_unstable();
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into the list"
        )]
        let index =
            ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies
            .get(index)
            .map(|latency| latency.as_secs_f64() * 1e3)
    };
    json!({"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)})
}

/// User and system time of this process, all threads, ended ones too.
pub fn cpu_seconds() -> f64 {
    // Fields 14 and 15 of stat, counted behind the program's name, which may hold spaces; in units
    // of USER_HZ, which is 100 on all architectures that Linux reports to user space.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
