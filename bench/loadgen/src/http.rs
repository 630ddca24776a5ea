//! HTTP/1.1 requests over kept connections: each client waits for its answer before it asks again.

use crate::args::Args;
use crate::run::{cpu_seconds, latency_report};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const BUFFER_BYTES: usize = 256 * 1024;
/// Longest status line and header fields together that are read.
const LONGEST_HEAD_BYTES: usize = 64 * 1024;

/// What one client did.
#[derive(Default)]
struct Outcome {
    latencies: Vec<Duration>,
    statuses: BTreeMap<u16, u64>,
    connections: u64,
    body_bytes: u64,
    error: Option<String>,
    ended: Option<Instant>,
}

/// Asks what `--requests` lists, over and over for `--seconds`, and reports how fast it was answered.
pub fn ask(args: &Args) -> Result<Value, String> {
    let requests = requests(args)?;
    let ready = Barrier::new(args.clients + 1);
    let (outcomes, started, cpu) = thread::scope(|scope| {
        let (ready, requests) = (&ready, requests.as_slice());
        let threads: Vec<_> = (0..args.clients)
            .map(|number| {
                scope.spawn(move || {
                    let client = Client::open(args);
                    ready.wait();
                    // Each begins elsewhere in the list, so that they do not ask the same at once.
                    let first = requests.len() * number / args.clients;
                    run(client, requests, first, args.seconds)
                })
            })
            .collect();
        ready.wait();
        let (started, cpu) = (Instant::now(), cpu_seconds());
        let outcomes: Vec<Outcome> = threads
            .into_iter()
            .map(|t| t.join().expect("a client does not panic"))
            .collect();
        (outcomes, started, cpu_seconds() - cpu)
    });
    let mut report = report(outcomes, started);
    report["clients"] = json!(args.clients);
    report["generator_cpu_seconds"] = json!(cpu);
    Ok(report)
}

/// The requests as they go over the wire. A line of the file is `{"method", "path", "body", "accept"}`.
fn requests(args: &Args) -> Result<Vec<Vec<u8>>, String> {
    let name = args.requests.display();
    let lines = std::fs::read_to_string(&args.requests).map_err(|e| format!("{name}: {e}"))?;
    let mut framed = Vec::new();
    for (number, line) in lines.lines().enumerate() {
        let bad = |what: &str| format!("{name}, line {}: {what}", number + 1);
        let request: Value = serde_json::from_str(line).map_err(|e| bad(&e.to_string()))?;
        let method = request["method"].as_str().unwrap_or("GET");
        let path = request["path"].as_str().ok_or_else(|| bad("no path"))?;
        let body = request["body"].as_str().unwrap_or("");
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", args.host);
        if let Some(authorization) = request["authorization"].as_str() {
            head += &format!("Authorization: {authorization}\r\n");
        }
        if let Some(accept) = request["accept"].as_str() {
            head += &format!("Accept: {accept}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        framed.push([head.as_bytes(), b"\r\n", body.as_bytes()].concat());
    }
    if framed.is_empty() {
        return Err(format!("{name}: no requests"));
    }
    Ok(framed)
}

fn run(client: io::Result<Client>, requests: &[Vec<u8>], first: usize, limit: Duration) -> Outcome {
    let mut outcome = Outcome::default();
    let started = Instant::now();
    let mut now = started;
    let mut all = requests.iter().cycle().skip(first);
    let ended = client.and_then(|mut client| {
        while now - started < limit {
            let request = all.next().expect("a cycle does not end");
            let answer = client.ask(request);
            outcome.connections = client.connections;
            let answer = answer?;
            let answered = Instant::now();
            *outcome.statuses.entry(answer.status).or_default() += 1;
            outcome.body_bytes += answer.body_bytes;
            outcome.latencies.push(answered - now);
            now = answered;
        }
        Ok(())
    });
    outcome.error = ended.err().map(|error| error.to_string());
    outcome.ended = Some(now);
    outcome
}

/// Every answer without the status 200 is a failure.
fn report(outcomes: Vec<Outcome>, started: Instant) -> Value {
    let ended = outcomes.iter().filter_map(|o| o.ended).max();
    let seconds = ended.map_or(0.0, |ended| (ended - started).as_secs_f64());
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for (status, times) in outcomes.iter().flat_map(|o| &o.statuses) {
        *statuses.entry(*status).or_default() += times;
    }
    let answered: u64 = statuses.values().sum();
    let right = statuses.get(&200).copied().unwrap_or(0);
    let bytes: u64 = outcomes.iter().map(|o| o.body_bytes).sum();
    let connections: u64 = outcomes.iter().map(|o| o.connections).sum();
    let errors: Vec<&String> = outcomes.iter().filter_map(|o| o.error.as_ref()).collect();
    let latencies = outcomes.iter().flat_map(|o| o.latencies.iter().copied());
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (rate, megabytes) = (right as f64 / seconds, bytes as f64 / 1e6 / seconds);
    json!({
        "answered": right,
        "failures": answered - right,
        "statuses": statuses,
        "errors": errors,
        "connections": connections,
        "seconds": seconds,
        "per_second": rate,
        "body_bytes": bytes,
        "megabytes_per_second": megabytes,
        "latency_ms": latency_report(latencies.collect()),
    })
}

struct Answer {
    status: u16,
    body_bytes: u64,
}

/// One connection, opened anew when the server has closed it.
struct Client {
    address: (String, u16),
    timeout: Duration,
    connections: u64,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// What of `buffer` was received and not read yet.
    filled: std::ops::Range<usize>,
}

impl Client {
    fn open(args: &Args) -> io::Result<Self> {
        let mut client = Self {
            address: (args.host.clone(), args.port),
            timeout: args.timeout,
            connections: 0,
            stream: None,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0..0,
        };
        client.connect()?;
        Ok(client)
    }

    fn connect(&mut self) -> io::Result<()> {
        let stream = TcpStream::connect((self.address.0.as_str(), self.address.1))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        self.connections += 1;
        self.filled = 0..0;
        self.stream = Some(stream);
        Ok(())
    }

    fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        if self.stream.is_none() {
            self.connect()?;
        }
        self.stream()?.write_all(request)?;
        let head = self.head()?;
        let body_bytes = match head.length {
            Some(length) => self.skip(length)?,
            None => self.skip_chunks()?,
        };
        if head.closes {
            self.stream = None;
        }
        Ok(Answer {
            status: head.status,
            body_bytes,
        })
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        self.stream.as_mut().ok_or_else(|| bad("not connected"))
    }

    /// Receives more behind what there is; the buffer never grows.
    fn receive(&mut self) -> io::Result<()> {
        if self.filled.is_empty() {
            self.filled = 0..0;
        } else if self.filled.end == self.buffer.len() {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        let free = self.filled.end..;
        let Self { stream, buffer, .. } = self;
        let stream = stream.as_mut().ok_or_else(|| bad("not connected"))?;
        match stream.read(&mut buffer[free])? {
            0 => Err(bad("the server closed the connection in an answer")),
            count => {
                self.filled.end += count;
                Ok(())
            }
        }
    }

    fn head(&mut self) -> io::Result<Head> {
        loop {
            let received = &self.buffer[self.filled.clone()];
            if let Some(end) = find(received, b"\r\n\r\n") {
                let head = Head::parse(&received[..end])?;
                self.filled.start += end + 4;
                return Ok(head);
            }
            if received.len() > LONGEST_HEAD_BYTES {
                return Err(bad("a head without an end"));
            }
            self.receive()?;
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        loop {
            let count = left.min(self.filled.len() as u64);
            self.filled.start += usize::try_from(count).expect("no more than the buffer");
            left -= count;
            if left == 0 {
                return Ok(length);
            }
            self.receive()?;
        }
    }

    /// A chunked body (RFC 9112 §7.1), whose trailer is empty.
    fn skip_chunks(&mut self) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let received = &self.buffer[self.filled.clone()];
            let Some(end) = find(received, b"\r\n") else {
                self.receive()?;
                continue;
            };
            let digits = received[..end].split(|&b| b == b';').next();
            let size = digits
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
                .filter(|&size| size < u64::from(u32::MAX))
                .ok_or_else(|| bad("a chunk without a size"))?;
            self.filled.start += end + 2;
            self.skip(size + 2)?;
            total += size;
            if size == 0 {
                return Ok(total);
            }
        }
    }
}

/// What of a head decides how to go on.
#[derive(Debug, PartialEq)]
struct Head {
    status: u16,
    /// None if the body comes in chunks.
    length: Option<u64>,
    closes: bool,
}

impl Head {
    fn parse(head: &[u8]) -> io::Result<Self> {
        let head = std::str::from_utf8(head).map_err(|_| bad("a head that is no text"))?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1."))
            .and_then(|line| line.get(2..5)?.parse().ok())
            .ok_or_else(|| bad("no status line"))?;
        let (mut length, mut chunked, mut closes) = (None, false, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "content-length" => length = value.parse().ok(),
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => closes = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        if length.is_none() && !chunked {
            return Err(bad("an answer that does not say how long it is"));
        }
        Ok(Self {
            status,
            length: if chunked { None } else { length },
            closes,
        })
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Serves `answers` on one connection, one for each request.
    fn serve(answers: &'static [&'static str]) -> Client {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let line = format!("http --port {port} --timeout 10");
        Client::open(&Args::parse(line.split(' ').map(str::to_owned)).unwrap()).unwrap()
    }

    #[test]
    fn bodies_of_both_forms_are_read_to_their_end() {
        let mut client = serve(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\ncontent-length: 0\r\n\r\n",
        ]);
        let mut got = || {
            let answer = client.ask(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            (answer.status, answer.body_bytes)
        };
        assert_eq!([got(), got(), got()], [(200, 5), (200, 4), (404, 0)]);
        assert!(client.stream.is_none(), "closed, as the server said");
        assert_eq!(client.connections, 1);
    }

    #[test]
    fn answers_without_an_end_are_errors() {
        for answer in [
            &["HTTP/1.1 200 OK\r\n\r\n"][..],
            &["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"],
            &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
            &["SSH-2.0\r\n\r\n"],
        ] {
            assert!(serve(answer).ask(b"GET / HTTP/1.1\r\n\r\n").is_err());
        }
    }
}
