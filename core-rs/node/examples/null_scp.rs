//! A storage SCP that receives everything and keeps nothing: what the network side alone costs.
//!
//! `null_scp [port [spool_mb [threads]]]` listens on 127.0.0.1 until its standard input ends, then prints what it
//! received and the processor time it took.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vna_dicom::{FileMetaFields, write_file_meta};
use vna_node::dimse::{
    InstanceSink, InstanceStream, NoServices, Policy, ReceivedDataSet, ReceivedHeader, Server,
    ServerSettings, Spool, SpoolPool, status,
};

/// Answers success to everything.
struct NullSink;

/// Forgets its parts.
struct NullStream;

impl InstanceSink for NullSink {
    type Stream = NullStream;

    fn prefix(&self, header: &ReceivedHeader, out: &mut Vec<u8>) {
        out.extend_from_slice(&write_file_meta(&FileMetaFields {
            media_storage_sop_class_uid: &header.affected_sop_class_uid,
            media_storage_sop_instance_uid: &header.affected_sop_instance_uid,
            transfer_syntax_uid: &header.transfer_syntax_uid,
            source_application_entity_title: &header.origin.calling_ae_title,
        }));
    }

    async fn store(&self, received: ReceivedDataSet) -> u16 {
        drop(received);
        status::SUCCESS
    }

    async fn open_stream(&self, _header: ReceivedHeader) -> Result<NullStream, u16> {
        Ok(NullStream)
    }
}

impl InstanceStream for NullStream {
    async fn write(&mut self, part: Spool) -> Result<(), u16> {
        drop(part);
        Ok(())
    }

    async fn finish(self) -> u16 {
        status::SUCCESS
    }
}

/// User and system time of this process, in seconds (Linux).
fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    // Clock ticks are 1/100 s on every Linux port that we build for.
    let seconds = |field: &str| field.parse::<f64>().ok().map(|ticks| ticks / 100.0);
    Some((seconds(fields.get(11)?)?, seconds(fields.get(12)?)?))
}

fn memory_line(name: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .map(|word| word.parse())
        .collect::<Result<_, _>>()?;
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let port = u16::try_from(number(0, 11112))?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = numbers.get(2) {
        builder.worker_threads(*threads);
    }
    let runtime = builder.enable_all().build()?;
    let settings = ServerSettings {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        pool: SpoolPool::new(number(1, 64) << 20),
        stream_from_bytes: 8 << 20,
        tls: None,
    };
    let server = Server::start(
        runtime.handle(),
        &settings,
        Policy::default(),
        Arc::new(NullSink),
        Arc::new(NoServices),
    )?;
    println!("listening on {}", server.local_addr());
    let started = Instant::now();
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let snapshot = server.counters();
    let cpu = cpu_seconds();
    runtime.block_on(server.stop(Duration::from_secs(2)));
    println!("{snapshot:#?}");
    if let Some((user, system)) = cpu {
        let instances = snapshot.totals.stored.max(1);
        #[allow(clippy::cast_precision_loss, reason = "for people to read")]
        let per_thousand = (user + system) * 1000.0 / instances as f64;
        println!(
            "cpu {user:.2} s user, {system:.2} s system; {per_thousand:.4} s per 1,000 instances"
        );
    }
    println!(
        "{}, up {:.1} s",
        memory_line("VmHWM"),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
