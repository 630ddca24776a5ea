//! A helper as a program of its own, for the tests: it misbehaves where a frame begins with `!` and says how. With the argument
//! `archive` it is the other side: a process with helpers, one of them in the middle of a frame that never ends.

use std::io::Write as _;
use std::time::Duration;

use vna_codec::testing::{Done, Task, run_helper_with};
use vna_codec::{CodecError, CodecSettings, Codecs, FrameCodec, FrameFormat, Photometric, Sample};

fn main() {
    match std::env::args().nth(1).as_deref() {
        None | Some("named") => std::process::exit(run_helper_with(&work)),
        Some("filled") => {
            let filling = std::env::args().nth(2).and_then(|text| text.parse().ok());
            fill_memory(filling.expect("what memory is full of"));
            std::process::exit(vna_codec::run_helper());
        }
        Some("archive") => archive(),
        Some(other) => panic!("unknown argument {other}"),
    }
}

/// Lets whatever is allocated from now on be full of `byte`.
fn fill_memory(byte: u8) {
    #[cfg(target_env = "gnu")]
    // SAFETY: it changes what new memory holds, which nobody may rely on. What it is given is its complement.
    unsafe {
        libc::mallopt(libc::M_PERTURB, (!byte).into());
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = byte;
}

fn work(
    task: &Task,
    codec: &dyn FrameCodec,
    input: &[u8],
    output: &mut [u8],
) -> Result<Done, CodecError> {
    let done = Done {
        length: output.len() as u64,
        format: task.format,
    };
    match input.get(..5) {
        Some(b"!echo") => {
            let length = input.len().min(output.len());
            output[..length].copy_from_slice(&input[..length]);
        }
        Some(b"!segv") => {
            // SAFETY: there is none; that is the point.
            unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
        }
        // SAFETY: as above.
        Some(b"!kill") => drop(unsafe { libc::raise(libc::SIGKILL) }),
        Some(b"!exit") => std::process::exit(3),
        Some(b"!hang") => loop {
            std::hint::spin_loop();
        },
        Some(b"!gone") => panic!("as codecs do"),
        Some(b"!long") => {
            return Ok(Done {
                length: u64::MAX,
                ..done
            });
        }
        Some(b"!wide") => {
            let columns = task.format.columns + 1;
            return Ok(Done {
                format: FrameFormat {
                    columns,
                    ..task.format
                },
                ..done
            });
        }
        Some(b"!talk") => {
            // Something that is no answer, on whatever file the socket is.
            for file in 3..8 {
                // SAFETY: the bytes live until the call is over.
                unsafe { libc::send(file, b"what?".as_ptr().cast(), 5, libc::MSG_NOSIGNAL) };
            }
        }
        Some(b"!heap") => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        Some(b"!free") => return free(done),
        _ => return task.run(codec, input, output),
    }
    Ok(done)
}

/// Tries what a helper must not be able to do.
fn free(done: Done) -> Result<Done, CodecError> {
    let able = |what: &str| {
        Err(CodecError::Unsupported {
            what: what.to_owned(),
        })
    };
    if std::fs::File::open("/etc/passwd").is_ok() {
        return able("opens files");
    }
    if std::net::TcpListener::bind("127.0.0.1:0").is_ok() {
        return able("makes sockets");
    }
    if std::process::Command::new("/bin/true").spawn().is_ok() {
        return able("starts programs");
    }
    if std::thread::Builder::new().spawn(|| ()).is_ok() {
        return able("starts threads");
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: the kernel chooses an address that is free.
    let code = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    if code != libc::MAP_FAILED {
        return able("makes memory that can be executed");
    }
    // SAFETY: signal 0 only asks whether it may.
    if unsafe { libc::kill(libc::getppid(), 0) } == 0 {
        return able("sends signals");
    }
    Ok(done)
}

/// Says which helpers it has, then waits to be ended.
fn archive() {
    let me = std::env::current_exe().expect("this program has a path");
    let codecs = Codecs::new(CodecSettings {
        helper_command: Some(vec![me.to_str().expect("a path in UTF-8").to_owned()]),
        parallel: 2,
        ..CodecSettings::default()
    });
    let format = FrameFormat {
        rows: 16,
        columns: 16,
        samples_per_pixel: 1,
        bits_allocated: 8,
        bits_stored: 8,
        sample: Sample::Unsigned,
        planar: false,
        photometric: Photometric::Monochrome2,
    };
    let frame = |how: &[u8]| {
        let mut lease = codecs.lease().expect("a place");
        let input = lease.input(256).expect("room for a frame");
        input[..how.len()].copy_from_slice(how);
        let _ = lease.decode("1.2.840.10008.1.2.4.70", &format, vna_codec::Colour::Rgb);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| frame(b"!hang"));
        while codecs.counts().helpers < 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        frame(b"!echo");
        let mut helpers = String::new();
        for task in std::fs::read_dir("/proc/self/task").expect("threads") {
            let children = task.expect("a thread").path().join("children");
            helpers += &std::fs::read_to_string(children).unwrap_or_default();
        }
        println!("{helpers}");
        let _ = std::io::stdout().flush();
        std::thread::sleep(Duration::from_secs(3600));
    });
}
