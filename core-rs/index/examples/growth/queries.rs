//! What queries cost at the end, warm and cold.

use crate::population::{PATIENTS, Random, patient_id};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vna_dicom::{Level, Tag};
use vna_index::{DEFAULT_TENANT, Index, Options, Query, SqliteIndex};

const ROUNDS: usize = 200;
const COLD_ROUNDS: usize = 15;

fn query(what: usize, random: &mut Random) -> Query {
    let all = Query::all(DEFAULT_TENANT, Level::Study);
    match what {
        0 => all.key(Tag(0x0010, 0x0020), &patient_id(random.below(PATIENTS))),
        1 => {
            let (year, month) = (2010 + random.below(14), 1 + random.below(11));
            let range = format!("{year}{month:02}01-{year}{:02}28", month + 1);
            all.key(Tag(0x0008, 0x0020), &range).page(0, 100)
        }
        2 => {
            const INNER: [&str; 8] = [
                "*midtan*",
                "*ovakel*",
                "*田^花子*",
                "*idongar*",
                "*ujobe*",
                "*さとう*",
                "*ubois*^an*",
                "*ertca^*",
            ];
            let pattern = INNER[usize::try_from(random.below(8)).expect("small")];
            all.key(Tag(0x0010, 0x0010), pattern).page(0, 100)
        }
        3 => all.key(Tag(0x0010, 0x0010), "Schmidtan*").page(0, 100),
        _ => {
            let mut newest = all
                .key(Tag(0x0008, 0x0061), "CT")
                .key(Tag(0x0008, 0x0020), "2015-")
                .page(0, 100);
            newest.keys[1].value = "20150101-20150331".into();
            newest
        }
    }
}

const NAMES: [&str; 5] = [
    "study by PatientID",
    "date range, page of 100",
    "inner wildcard in a name, page of 100",
    "name by prefix",
    "modality and dates, page of 100",
];

fn p95(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
    (ms(times.len() / 2), ms(times.len() * 95 / 100))
}

pub fn warm(index: &dyn Index) {
    let mut random = Random(3);
    for (what, name) in NAMES.iter().enumerate() {
        let mut found = 0;
        let times = (0..ROUNDS)
            .map(|_| {
                let query = query(what, &mut random);
                let start = Instant::now();
                let answer = index.query(&query).expect("answers");
                found += answer.matches.len();
                start.elapsed()
            })
            .collect();
        assert!(found > 0, "{name} found nothing");
        let (median, p95) = p95(times);
        println!(
            "warm: {name}: median {median:.2} ms, p95 {p95:.2} ms, {:.1} found each",
            found as f64 / ROUNDS as f64
        );
    }
}

/// Each time with the index opened anew and its pages dropped from the page cache.
pub fn cold(path: &Path) {
    let mut random = Random(4);
    for (what, name) in NAMES.iter().enumerate() {
        let times = (0..COLD_ROUNDS)
            .map(|_| {
                let index = SqliteIndex::open(path, Options::default()).expect("opens");
                // dd's way of posix_fadvise(DONTNEED) for a whole file.
                let file = format!("of={}", path.display());
                let _ = Command::new("dd")
                    .args([
                        &file,
                        "oflag=nocache",
                        "conv=notrunc,fdatasync",
                        "count=0",
                        "status=none",
                    ])
                    .status();
                let query = query(what, &mut random);
                let start = Instant::now();
                index.query(&query).expect("answers");
                start.elapsed()
            })
            .collect();
        let (median, p95) = p95(times);
        println!("cold: {name}: median {median:.2} ms, p95 {p95:.2} ms");
    }
}
