//! Helpers that crash, hang, lie and cannot be started cost one frame each, and nothing is left of them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vna_codec::{
    CodecError, CodecSettings, Codecs, Colour, EncodeOptions, FrameFormat, Photometric, Sample,
};

const HELPER: &str = env!("CARGO_BIN_EXE_vna-codec-helper");
/// JPEG lossless: any codec that a helper runs would do.
const SYNTAX: &str = "1.2.840.10008.1.2.4.70";
const FORMAT: FrameFormat = FrameFormat {
    rows: 32,
    columns: 32,
    samples_per_pixel: 1,
    bits_allocated: 8,
    bits_stored: 8,
    sample: Sample::Unsigned,
    planar: false,
    photometric: Photometric::Monochrome2,
};

fn settings() -> CodecSettings {
    CodecSettings {
        helper_command: Some(vec![HELPER.to_owned()]),
        parallel: 2,
        frame_timeout_s: 20,
        ..CodecSettings::default()
    }
}

/// The same with helpers that can be told from those of other tests.
fn named(name: &str) -> CodecSettings {
    CodecSettings {
        helper_command: Some([HELPER, "named", name].map(str::to_owned).to_vec()),
        ..settings()
    }
}

/// Decodes a frame that begins with `how`; gives its samples.
fn frame(codecs: &Codecs, how: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut lease = codecs.lease()?;
    let input = lease.input(1024)?;
    input.fill(b'.');
    input[..how.len()].copy_from_slice(how);
    let decoded = lease.decode(SYNTAX, &FORMAT, Colour::Rgb)?;
    Ok(decoded.samples.to_vec())
}

fn reason(outcome: Result<Vec<u8>, CodecError>) -> String {
    match outcome {
        Err(CodecError::Helper { reason }) => reason,
        other => panic!("not lost by its helper: {other:?}"),
    }
}

#[test]
fn a_helper_that_crashes_costs_one_frame() {
    let codecs = Codecs::new(settings());
    for (how, why) in [
        (&b"!segv"[..], "was ended by signal 11"),
        (b"!kill", "was ended by signal 9"),
        (b"!exit", "ended with status 3"),
        (b"!gone", "ended with status 101"),
        (b"!talk", "answered out of bounds"),
        (b"!heap", "was ended by signal 6"),
    ] {
        assert_eq!(reason(frame(&codecs, how)), why);
        let good = frame(&codecs, b"!echo").unwrap();
        assert!(good.starts_with(b"!echo....") && good.len() == 1024);
    }
    let counts = codecs.counts();
    assert_eq!((counts.crashed, counts.decoded), (6, 6));
    assert_eq!((counts.helpers_started, counts.helpers), (7, 1));
    assert_eq!(counts.used_bytes, 0);
}

#[test]
fn a_helper_that_hangs_is_ended_and_costs_one_frame() {
    let codecs = Codecs::new(CodecSettings {
        frame_timeout_s: 1,
        ..settings()
    });
    let why = "was ended: the frame took longer than 1 s";
    assert_eq!(reason(frame(&codecs, b"!hang")), why);
    frame(&codecs, b"!echo").unwrap();
    let counts = codecs.counts();
    assert_eq!(
        (counts.timed_out, counts.crashed, counts.decoded),
        (1, 0, 1)
    );
}

#[test]
fn a_helper_that_lies_is_not_believed() {
    let codecs = Codecs::new(settings());
    for (how, what) in [(b"!long", "bytes of a frame"), (b"!wide", "columns")] {
        match frame(&codecs, how) {
            Err(CodecError::Mismatch { what: named, .. }) => assert_eq!(named, what),
            other => panic!("believed: {other:?}"),
        }
    }
    assert_eq!(codecs.counts().refused, 2);
}

#[test]
fn a_helper_can_do_nothing_but_compute_and_answer() {
    let codecs = Codecs::new(settings());
    frame(&codecs, b"!free").unwrap();
}

#[test]
fn helpers_that_cannot_be_started_are_named_and_keep_nobody_waiting() {
    for (command, why) in [
        (
            vec!["/nonexistent/program"],
            "could not be started: No such file or directory",
        ),
        (
            vec!["/bin/true"],
            "could not be started: it ended with status 0",
        ),
        (vec![], "could not be started: there is no command"),
    ] {
        let codecs = Codecs::new(CodecSettings {
            helper_command: Some(command.into_iter().map(str::to_owned).collect()),
            ..settings()
        });
        for _ in 0..3 {
            match frame(&codecs, b"!echo") {
                Err(CodecError::Unavailable { reason }) => {
                    assert!(reason.starts_with(why), "{reason}");
                }
                other => panic!("not said: {other:?}"),
            }
        }
        assert_eq!(codecs.counts().not_started, 3);
        assert_eq!(codecs.counts().helpers, 0);
    }
}

#[test]
fn a_helper_that_ended_at_rest_costs_no_frame() {
    let codecs = Codecs::new(named("at-rest"));
    frame(&codecs, b"!echo").unwrap();
    let helpers = children_named("at-rest");
    assert_eq!(helpers.len(), 1);
    signal(helpers[0], libc::SIGKILL);
    wait_until("it is gone", || command_line(helpers[0]).is_none());
    frame(&codecs, b"!echo").unwrap();
    let counts = codecs.counts();
    assert_eq!((counts.decoded, counts.helpers_started), (2, 2));
}

#[test]
fn helpers_outlive_signals_that_are_for_the_archive() {
    let codecs = Codecs::new(named("outlive"));
    frame(&codecs, b"!echo").unwrap();
    for number in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        signal(children_named("outlive")[0], number);
    }
    frame(&codecs, b"!echo").unwrap();
    assert_eq!(codecs.counts().helpers_started, 1);
}

#[test]
fn helpers_at_rest_end_after_a_while() {
    let codecs = Codecs::new(CodecSettings {
        helper_rest_s: 1,
        ..settings()
    });
    frame(&codecs, b"!echo").unwrap();
    wait_until("the helper has ended", || codecs.counts().helpers == 0);
    assert_eq!(codecs.counts().idle_bytes, 0);
    frame(&codecs, b"!echo").unwrap();
}

#[test]
fn many_threads_share_few_helpers() {
    let codecs = Codecs::new(settings());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let codecs = &codecs;
            scope.spawn(move || {
                for round in 0..20 {
                    let mark = format!("!echo {thread} {round} ");
                    let decoded = frame(codecs, mark.as_bytes()).unwrap();
                    assert!(decoded.starts_with(mark.as_bytes()));
                    if (thread + round) % 10 == 0 {
                        reason(frame(codecs, b"!kill"));
                    }
                }
            });
        }
    });
    let counts = codecs.counts();
    assert_eq!((counts.decoded, counts.crashed), (160, 16));
    assert!(counts.helpers <= 2);
    assert_eq!(counts.used_bytes, 0);
}

#[test]
fn frames_beyond_the_memory_wait_their_turn() {
    let codecs = Codecs::new(CodecSettings {
        parallel: 4,
        max_frame_bytes: 16 << 20,
        // Besides what helpers keep, for one frame at a time of each kind.
        memory_bytes: ((4 * 16) << 20) + (128 << 20),
        ..settings()
    });
    let format = FrameFormat {
        rows: 3072,
        columns: 4096,
        ..FORMAT
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let mut lease = codecs.lease().unwrap();
                    lease.input(12 << 20).unwrap()[..5].copy_from_slice(b"!echo");
                    let decoded = lease.decode(SYNTAX, &format, Colour::Rgb).unwrap();
                    assert!(decoded.samples.starts_with(b"!echo"));
                    let counts = codecs.counts();
                    assert!(counts.used_bytes <= counts.budget_bytes);
                    lease.output_as_input();
                    let options = EncodeOptions::default();
                    let (encoded, _) = lease.encode(SYNTAX, &format, &options).unwrap();
                    assert!(encoded.starts_with(b"!echo"));
                }
            });
        }
    });
    assert_eq!(codecs.counts().used_bytes, 0);
}

#[test]
fn a_frame_beyond_the_limits_is_refused_before_it_takes_memory() {
    let codecs = Codecs::new(CodecSettings {
        max_frame_bytes: 1 << 20,
        ..settings()
    });
    let mut lease = codecs.lease().unwrap();
    let limit = |error: CodecError| assert_eq!(error.code(), "codec.limit");
    limit(lease.input((1 << 20) + 1).unwrap_err());
    lease.input(1024).unwrap();
    let huge = FrameFormat {
        rows: u32::MAX,
        columns: u32::MAX,
        ..FORMAT
    };
    limit(lease.decode(SYNTAX, &huge, Colour::Rgb).unwrap_err());
    assert_eq!(codecs.counts().helpers_started, 0);
}

#[test]
fn a_frame_is_decoded_into_memory_of_the_callers_by_a_helper_and_without() {
    const RLE: &str = "1.2.840.10008.1.2.5";
    let here = CodecSettings {
        helper_command: None,
        ..settings()
    };
    let gradient: Vec<u8> = (0..1024_u32).map(|at| at.to_le_bytes()[0] / 3).collect();
    for (settings, syntax) in [(settings(), RLE), (here.clone(), RLE), (here, SYNTAX)] {
        let codecs = Codecs::new(settings);
        let mut lease = codecs.lease().unwrap();
        lease.input(1024).unwrap().copy_from_slice(&gradient);
        let options = EncodeOptions::default();
        lease.encode(syntax, &FORMAT, &options).unwrap();
        lease.output_as_input();
        let mut out = vec![0; 1024];
        let found = lease.decode_into(syntax, &FORMAT, Colour::Rgb, &mut out);
        assert_eq!((found.unwrap(), &out), (FORMAT, &gradient));
        let found = lease.decode_into(syntax, &FORMAT, Colour::Rgb, &mut out[1..]);
        assert_eq!(found.unwrap_err().code(), "codec.mismatch");
        drop(lease);
        assert_eq!(
            (codecs.counts().decoded, codecs.counts().used_bytes),
            (1, 0)
        );
    }
    let codecs = Codecs::new(settings());
    let mut lease = codecs.lease().unwrap();
    lease.input(1024).unwrap()[..5].copy_from_slice(b"!echo");
    let mut out = vec![0; 1024];
    let found = lease.decode_into(SYNTAX, &FORMAT, Colour::Rgb, &mut out);
    assert_eq!(found.unwrap(), FORMAT);
    assert_eq!(&out[..5], b"!echo", "what a helper made of it is copied");
}

#[test]
fn nothing_is_left_of_an_archive_that_ended_or_was_killed() {
    for signal_number in [libc::SIGKILL, libc::SIGTERM] {
        let mut archive = Command::new(HELPER)
            .arg("archive")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = archive.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let helpers: Vec<u32> = line.split_whitespace().flat_map(str::parse).collect();
        assert_eq!(helpers.len(), 2, "one in a frame, one at rest: {line}");
        signal(archive.id(), signal_number);
        archive.wait().unwrap();
        wait_until("the helpers are gone", || {
            helpers.iter().all(|helper| command_line(*helper).is_none())
        });
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(process: u32, number: i32) {
    // SAFETY: sending a signal touches no memory.
    unsafe { libc::kill(i32::try_from(process).unwrap(), number) };
}

fn children_named(name: &str) -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")));
    let lists: Vec<String> = lists.map(Result::unwrap_or_default).collect();
    let numbers = lists.iter().flat_map(|list| list.split_whitespace());
    numbers
        .flat_map(str::parse)
        .filter(|child| command_line(*child).is_some_and(|line| line.contains(name)))
        .collect()
}

/// The command line of a process; `None` if it is gone, or a zombie.
fn command_line(process: u32) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?;
    (!line.is_empty()).then(|| line.replace('\0', " "))
}
