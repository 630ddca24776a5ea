//! What the tests of this crate share.

use vna_store::{
    BlobRef, Body, Digest, Log, LogOptions, Lsn, NewRecord, RecordKind, Replayed, StoreError,
};

/// Settings under which a few records fill a segment.
pub fn tiny() -> LogOptions {
    LogOptions {
        segment_bytes: 8 << 10,
        segment_records: 40,
        reserve_bytes: 4 << 10,
        large_blob_bytes: 1 << 20,
        prefill_group_bytes: 2 << 10,
        prefill_ahead_bytes: 2 << 10,
        open_files: 3,
        compaction_bytes_per_s: None,
        known_good_lsn: 0,
        seed: None,
    }
}

/// `length` bytes that no other `number` has.
pub fn bytes_of(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

/// A blob that was stored, and what it must give back.
#[derive(Clone, Debug)]
pub struct Given {
    pub lsn: Lsn,
    pub header: Vec<u8>,
    pub blob: BlobRef,
    pub bytes: Vec<u8>,
}

/// Appends one arrival.
pub fn arrival(log: &Log, header: &[u8], parts: &[&[u8]]) -> Given {
    let body = Body::Bytes {
        parts,
        digest: Digest::of_parts(parts),
    };
    let answers = log
        .append(&[NewRecord {
            kind: RecordKind::ARRIVAL,
            header,
            body,
        }])
        .unwrap();
    let (lsn, blob) = (answers[0].lsn, answers[0].blob.unwrap());
    Given {
        lsn,
        header: header.to_vec(),
        blob,
        bytes: parts.concat(),
    }
}

/// Appends a group of arrivals of these sizes.
pub fn append(log: &Log, sizes: &[usize]) -> Vec<Given> {
    let first = log.stats().next_lsn;
    let bodies: Vec<Vec<u8>> = sizes
        .iter()
        .zip(first..)
        .map(|(size, lsn)| bytes_of(lsn, *size))
        .collect();
    let headers: Vec<Vec<u8>> = (first..)
        .take(sizes.len())
        .map(|lsn| format!("arrival {lsn}").into_bytes())
        .collect();
    let parts: Vec<[&[u8]; 1]> = bodies.iter().map(|body| [&body[..]]).collect();
    let records: Vec<NewRecord<'_>> = parts
        .iter()
        .zip(&headers)
        .map(|(parts, header)| NewRecord {
            kind: RecordKind::ARRIVAL,
            header,
            body: Body::Bytes {
                parts,
                digest: Digest::of_parts(parts),
            },
        })
        .collect();
    let answers = log.append(&records).unwrap();
    let given = answers.iter().zip(bodies.iter().zip(headers.iter()));
    given
        .map(|(answer, (body, header))| Given {
            lsn: answer.lsn,
            header: header.clone(),
            blob: answer.blob.unwrap(),
            bytes: body.clone(),
        })
        .collect()
}

/// Stores a large blob and appends its record.
pub fn append_large(log: &Log, bytes: &[u8]) -> Given {
    let mut writer = log.new_large_blob().unwrap();
    for part in bytes.chunks(60_000) {
        writer.write(part).unwrap();
    }
    let blob = writer.finish().unwrap();
    let header = b"large".to_vec();
    let body = Body::File(&blob);
    let record = NewRecord {
        kind: RecordKind::ARRIVAL,
        header: &header,
        body,
    };
    let answers = log.append(&[record]).unwrap();
    let (lsn, blob) = (answers[0].lsn, answers[0].blob.unwrap());
    Given {
        lsn,
        header,
        blob,
        bytes: bytes.to_vec(),
    }
}

/// Appends a deletion.
pub fn delete(log: &Log, header: &[u8]) -> Lsn {
    let record = NewRecord {
        kind: RecordKind::DELETE,
        header,
        body: Body::None,
    };
    log.append(&[record]).unwrap()[0].lsn
}

/// A record as replay gives it.
pub type Replay = (Lsn, RecordKind, Vec<u8>, Option<BlobRef>);

/// All records from `from` on; none may be damaged.
pub fn records_of(log: &Log, from: Lsn) -> Vec<Replay> {
    let mut records = Vec::new();
    log.replay(from, |replayed| {
        match replayed {
            Replayed::Record(r) => records.push((r.lsn, r.kind, r.header.to_vec(), r.blob)),
            Replayed::Damaged(damage) => return Err(StoreError::Damaged(damage)),
        }
        Ok(())
    })
    .unwrap();
    records
}
