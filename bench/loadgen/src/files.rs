//! What the disk gives: the same objects as files of their own, each synced before the next.

use crate::args::Args;
use crate::element::{DataSet, Object};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// Writes the objects that `args` names with `--threads` threads below `--directory`.
pub fn write(args: &Args) -> Result<Value, String> {
    let source = args.source()?;
    let share = |n: usize| args.first + args.count * n as u64 / args.threads as u64;
    let ready = Barrier::new(args.threads + 1);
    let (results, seconds) = thread::scope(|scope| {
        let (ready, source) = (&ready, &source);
        let threads: Vec<_> = (0..args.threads)
            .map(|number| {
                scope.spawn(move || {
                    let directory = args.directory.join(number.to_string());
                    let (first, end) = (share(number), share(number + 1));
                    let mut objects = Vec::new();
                    source.each(first, end - first, |object| objects.push(object));
                    let created = fs::create_dir_all(&directory);
                    ready.wait();
                    created?;
                    let mut bytes = 0;
                    for (index, object) in objects.iter().enumerate() {
                        let tail = object.tail.map_or(&[][..], |tail| &source.tails[tail]);
                        bytes += write_file(&directory.join(index.to_string()), object, tail)?;
                    }
                    Ok::<u64, io::Error>(bytes)
                })
            })
            .collect();
        ready.wait();
        let started = Instant::now();
        let results: Vec<_> = threads
            .into_iter()
            .map(|t| t.join().expect("a writer does not panic"))
            .collect();
        (results, started.elapsed().as_secs_f64())
    });
    let mut bytes = 0;
    for result in results {
        bytes += result.map_err(|e| format!("{}: {e}", args.directory.display()))?;
    }
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (rate, megabytes) = (args.count as f64 / seconds, bytes as f64 / 1e6 / seconds);
    Ok(json!({
        "files": args.count,
        "threads": args.threads,
        "bytes": bytes,
        "seconds": seconds,
        "per_second": rate,
        "megabytes_per_second": megabytes,
    }))
}

/// A complete PS3.10 file; its size in bytes.
fn write_file(path: &Path, object: &Object, tail: &[u8]) -> io::Result<u64> {
    let start = file_start(object);
    let mut file = File::create(path)?;
    file.write_all(&start)?;
    file.write_all(tail)?;
    file.sync_all()?;
    Ok((start.len() + tail.len()) as u64)
}

/// Preamble, meta header and the head of the data set.
fn file_start(object: &Object) -> Vec<u8> {
    let mut meta = DataSet::default();
    meta.raw((0x0002, 0x0001), "OB", &[0, 1])
        .text((0x0002, 0x0002), "UI", object.sop_class_uid)
        .text((0x0002, 0x0003), "UI", &object.identity.sop_instance_uid)
        .text((0x0002, 0x0010), "UI", object.transfer_syntax_uid);
    let meta = meta.into_bytes();
    let length = u32::try_from(meta.len()).expect("a meta header is short");
    let mut group_length = DataSet::default();
    group_length.raw((0x0002, 0x0000), "UL", &length.to_le_bytes());
    [
        &[0; 128],
        b"DICM".as_slice(),
        &group_length.into_bytes(),
        &meta,
        &object.head,
    ]
    .concat()
}
