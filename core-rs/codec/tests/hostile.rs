//! Whatever pixel data says: a named error or a frame of the promised size, in bounded memory, and the process alive.
//!
//! `CASES=1000000` makes it a long run (`make test-hostile`), `FIRST=12345 CASES=1` does one case again.

#[path = "support/hostile/mod.rs"]
mod hostile;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hostile::{Case, Seed, seeds};
use vna_codec::{CodecError, CodecSettings, Codecs, Colour, FrameFormat, Lease, pixel_syntax};

const HELPER: &str = env!("CARGO_BIN_EXE_vna-codec-helper");
/// In a quick build this is a few seconds.
const USUAL_CASES: u64 = 10_000;
/// What memory is full of before a frame is decoded, in the first try and in the second.
const FILLINGS: [u8; 2] = [0x55, 0xAA];
const NATIVE: &str = "1.2.840.10008.1.2.1";
/// A frame of these cases has at most some hundred kB: what needs so much more is a bomb that went off.
const MAX_FRAME_BYTES: u64 = 8 << 20;
const MEMORY_BYTES: u64 = 256 << 20;

/// Helpers whose memory is full of `filling` wherever nobody wrote to it.
fn codecs(filling: u8) -> Codecs {
    let command = [HELPER.to_owned(), "filled".to_owned(), filling.to_string()];
    Codecs::new(CodecSettings {
        helper_command: Some(command.to_vec()),
        parallel: parallel(),
        max_frame_bytes: MAX_FRAME_BYTES,
        memory_bytes: MEMORY_BYTES,
        frame_timeout_s: 30,
        ..CodecSettings::default()
    })
}

fn parallel() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn number(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().expect("a number"))
}

/// Does `one` for each number on as many threads as there are processors; gives what each thread kept account of.
fn on_all_processors<T: Default + Send>(one: impl Fn(u64, &mut T) + Sync) -> Vec<T> {
    let first = number("FIRST", 0);
    let end = first + number("CASES", USUAL_CASES);
    let next = AtomicU64::new(first);
    let run = || {
        let mut kept = T::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return kept;
            }
            one(number, &mut kept);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel()).map(|_| scope.spawn(run)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}

fn assert_none(findings: impl Iterator<Item = String>) {
    let findings: Vec<_> = findings.collect();
    for finding in findings.iter().take(50) {
        println!("{finding}");
    }
    let count = findings.len();
    assert!(
        count == 0,
        "{count} cases (FIRST=number CASES=1 does one again)"
    );
}

#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<(&'static str, &'static str), u64>,
    findings: Vec<String>,
    slowest: BTreeMap<&'static str, (f64, u64)>,
}

#[test]
fn hostile_pixel_data_is_a_named_error_or_a_frame() {
    let seeds = seeds();
    let codecs = FILLINGS.map(codecs);
    let tallies = on_all_processors(|number, tally| decode(number, tally, &seeds, &codecs));
    let mut outcomes = BTreeMap::new();
    let mut slowest: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
    for tally in &tallies {
        for (key, count) in &tally.outcomes {
            *outcomes.entry(*key).or_insert(0) += count;
        }
        for (syntax, time) in &tally.slowest {
            let slow = slowest.entry(syntax).or_insert(*time);
            *slow = if time.0 > slow.0 { *time } else { *slow };
        }
    }
    for ((syntax, outcome), count) in &outcomes {
        println!("{count:>8} {outcome:<18} {syntax}");
    }
    for (syntax, (seconds, case)) in slowest {
        println!("{seconds:>8.3} s at most, case {case}: {syntax}");
    }
    // Mutations that break everything would test little.
    let cases = number("CASES", USUAL_CASES);
    assert!(cases < 1000 || outcomes.keys().any(|(_, outcome)| *outcome == "frame"));
    assert_none(tallies.into_iter().flat_map(|tally| tally.findings));
}

fn decode(number: u64, tally: &mut Tally, seeds: &[Vec<Seed>], codecs: &[Codecs; 2]) {
    let case = Case::new(number, seeds);
    let name = pixel_syntax(case.syntax).expect("a syntax").name;
    let begun = Instant::now();
    let outcome = outcome(&case, &codecs[0], FILLINGS[0]);
    let seconds = begun.elapsed().as_secs_f64();
    let slow = tally.slowest.entry(name).or_insert((seconds, number));
    if seconds > slow.0 {
        *slow = (seconds, number);
    }
    let mut find = |what: String| {
        let format = case.format;
        tally
            .findings
            .push(format!("case {number}, {name}, {format:?}: {what}"));
    };
    let key = match &outcome {
        Err(error) => {
            if let CodecError::Helper { reason } | CodecError::Unavailable { reason } = error {
                find(reason.clone());
            }
            error.code()
        }
        Ok((format, samples)) => {
            if samples.len() as u64 != format.frame_bytes().unwrap_or(0) {
                find(format!("{} bytes of {format:?}", samples.len()));
            }
            // Nothing may show through of what was in memory before: another patient's frame.
            match self::outcome(&case, &codecs[1], FILLINGS[1]) {
                Ok((_, again)) if again == *samples => {}
                Ok(_) => find("is made of what was in memory before".to_owned()),
                Err(error) => find(format!("is a frame, then not: {error}")),
            }
            "frame"
        }
    };
    *tally.outcomes.entry((name, key)).or_insert(0) += 1;
}

#[test]
fn frames_of_hostile_formats_are_refused_or_encoded_so_that_they_decode() {
    let seeds = seeds();
    let codecs = codecs(FILLINGS[0]);
    let findings = on_all_processors(|number, findings: &mut Vec<String>| {
        let case = Case::to_encode(number, &seeds);
        if let Err(CodecError::Helper { reason }) = encode(&case, &codecs) {
            let (syntax, format) = (case.syntax, case.format);
            findings.push(format!("case {number}, {syntax}, {format:?}: {reason}"));
        }
    });
    assert_none(findings.into_iter().flatten());
}

/// Encodes a frame and decodes it again; what is a finding is an error of the helper.
fn encode(case: &Case, codecs: &Codecs) -> Result<(), CodecError> {
    let mut lease = codecs.lease()?;
    let samples = &case.codestream;
    lease.input(samples.len() as u64)?.copy_from_slice(samples);
    let (codestream, format) = lease.encode(case.syntax, &case.format, &case.options)?;
    let codestream = codestream.to_vec();
    lease
        .input(codestream.len() as u64)?
        .copy_from_slice(&codestream);
    let decoded = lease.decode(case.syntax, &format, Colour::AsStored);
    decoded.map(|_| ()).map_err(|error| CodecError::Helper {
        reason: format!("what was encoded of it does not decode: {error}"),
    })
}

/// What becomes of a case in memory that is full of `filling`.
fn outcome(
    case: &Case,
    codecs: &Codecs,
    filling: u8,
) -> Result<(FrameFormat, Vec<u8>), CodecError> {
    let mut lease = codecs.lease()?;
    fill(&mut lease, &case.format, filling);
    lease
        .input(case.codestream.len() as u64)?
        .copy_from_slice(&case.codestream);
    let decoded = lease.decode(case.syntax, &case.format, case.colour)?;
    Ok((decoded.format, decoded.samples.to_vec()))
}

/// Leaves a frame in the memory where the next one goes, as if it had been another patient's.
fn fill(lease: &mut Lease<'_>, format: &FrameFormat, filling: u8) {
    let bytes = format.frame_bytes().unwrap_or(0);
    let bytes = u32::try_from(bytes.min(MAX_FRAME_BYTES)).expect("small");
    let before = FrameFormat {
        rows: 1,
        columns: bytes,
        samples_per_pixel: 1,
        bits_allocated: 8,
        bits_stored: 8,
        sample: vna_codec::Sample::Unsigned,
        planar: false,
        photometric: vna_codec::Photometric::Monochrome2,
    };
    let input = lease.input(bytes.into()).expect("room");
    input.fill(filling);
    lease
        .decode(NATIVE, &before, Colour::AsStored)
        .expect("a native frame");
}
